"""Alpha-expansion by graph cuts, and the maximum flow on the grid it rests on.

Boykov, Veksler and Zabih, "Fast Approximate Energy Minimization via Graph Cuts", PAMI 2001: every
pixel may keep its label or take alpha, and the best such move is a minimum cut. For smoothness
terms that are metrics, as truncated linear ones are, the result is within a known factor of the
least energy: twice the largest over the smallest cost of a step, here 2 * min(truncation, d - 1).
"""

from typing import Any

import numpy as np

from fathom.classical.energy import Solution, Weights, checked, energy, judged
from fathom.classical.kernels import global_layout as kernels
from fathom.core.arrays import Array, Bool, Int32, UInt16
from fathom.core.errors import UsageError


def alpha_expansion(
    data: UInt16[np.ndarray, "h w d"],
    smoothness: int | Weights,
    truncation: int,
    *,
    sweeps: int = 3,
    start: Int32[np.ndarray, "h w"] | None = None,
) -> Solution:
    """A labelling that no expansion of one label improves, or the one after `sweeps`.

    data: cost of each label. smoothness, truncation: as in `energy`. sweeps: how often each label
    is expanded at most. start: labels to start with, by default those of least data cost; a good
    start saves time. It ends early when a whole round has changed nothing, and never raises the
    energy. One thread; takes 64 bytes a pixel.

    The energies are those of the start and after each sweep. Offsets come from a parabola through
    the data terms; the margin is that of a pixel whose neighbours' labels stay.

    Raises `UsageError` for sweeps below 1, or terms as in `energy`; `InputError` for a start with
    labels that have no data term.
    """
    weights = checked(data, smoothness, truncation)
    if sweeps < 1:
        raise UsageError("is below 1", field="sweeps", value=sweeps, expected="1 or more")
    height, width, count = data.shape
    terms = kernels.Terms(*(np.ascontiguousarray(a).reshape(-1) for a in (data, *weights)))
    shape = kernels.Shape(height, width, count, count, min(truncation, count))
    labels = (data.argmin(axis=2) if start is None else start).astype(np.int32)
    nodes = (height + 2) * (width + 2)
    graph = kernels.Graph(np.empty(4 * nodes, np.int32), np.empty(nodes, np.int32))
    expand, gain = kernels.expand.bound(terms, labels.reshape(-1), graph), np.zeros(1, np.int64)
    trees = _trees(nodes)
    energies = [energy(labels, data, weights, truncation)]
    idle = 0
    for _ in range(sweeps):
        value = energies[-1]
        for alpha in range(count):
            expand(trees, shape, alpha, gain)
            value -= float(gain[0])
            idle = 0 if gain[0] > 0 else idle + 1
            if idle >= count:
                break
        energies.append(value)
        if idle >= count:
            break
    return judged(labels, tuple(energies), terms, shape, threads=1)


def bytes_needed(height: int, width: int) -> int:
    """Memory in bytes that `alpha_expansion` takes, its arguments excluded."""
    return (height + 2) * (width + 2) * 64


def grid_flow(
    across: Int32[np.ndarray, "h w 2"],
    down: Int32[np.ndarray, "h w 2"],
    terminal: Int32[np.ndarray, "h w"],
) -> tuple[int, Bool[np.ndarray, "h w"]]:
    """Maximum flow on the 4-connected grid, and True where a node is on the sink's side of the cut.

    across: capacities >= 0 from (y, x) to (y, x + 1) and back (the last column is not used). down:
    the same to (y + 1, x). terminal: capacity from the source to the node, or if negative from the
    node to the sink. Of several minimum cuts it is the one with the fewest nodes at the sink.

    Raises `UsageError` for a negative capacity.
    """
    if min(across.min(), down.min()) < 0:
        raise UsageError(
            "is negative", field="capacity", value=min(across.min(), down.min()), expected=">= 0"
        )
    height, width = terminal.shape
    capacity = np.zeros((4, height + 2, width + 2), np.int32)
    capacity[0, 1:-1, 1:-2] = across[:, :-1, 0]
    capacity[1, 1:-1, 2:-1] = across[:, :-1, 1]
    capacity[2, 1:-2, 1:-1] = down[:-1, :, 0]
    capacity[3, 2:-1, 1:-1] = down[:-1, :, 1]
    graph = kernels.Graph(capacity.reshape(-1), np.pad(terminal, 1).reshape(-1))
    trees, total = _trees(len(graph.terminal)), np.zeros(1, np.int64)
    kernels.flow(graph, trees, width + 2, total)
    sink = trees.tree.reshape(height + 2, width + 2)[1:-1, 1:-1] == 2
    return int(total[0]), sink


def _trees(nodes: int) -> kernels.Trees:
    def of(kind: Any, count: int = nodes) -> Array:
        return np.empty(count, kind)

    return kernels.Trees(
        tree=of(np.uint8),
        parent=of(np.uint8),
        stamp=of(np.int32),
        distance=of(np.int32),
        queued=of(np.uint8),
        active=of(np.int32, nodes + 1),
        orphans=of(np.int32, nodes + 1),
        state=of(np.int64, 8),
    )
