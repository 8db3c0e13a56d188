"""Hierarchical min-sum belief propagation.

Felzenszwalb and Huttenlocher, "Efficient Belief Propagation for Early Vision", IJCV 2006: messages
in linear time, updates on a checkerboard, coarse grids first. The grid has loops, so neither is
the minimum guaranteed nor does the energy fall by itself: the best labelling of all sweeps is kept,
and the energies reported are those of the best so far.
"""

import numpy as np

from fathom.classical.energy import LARGEST, Solution, Weights, checked, energy, over_rows
from fathom.classical.kernels import global_layout as kernels
from fathom.classical.kernels.layout import LANES, NOTHING
from fathom.classical.parallel import thread_count
from fathom.core.arrays import Array, UInt16
from fathom.core.errors import UsageError


def belief_propagation(
    data: UInt16[np.ndarray, "h w d"],
    smoothness: int | Weights,
    truncation: int,
    *,
    sweeps: int = 5,
    levels: int = 5,
    threads: int | None = None,
) -> Solution:
    """A labelling of small energy (`energy.energy`), by messages between neighbours.

    data: cost of each label. smoothness, truncation: as in `energy`. sweeps: on each grid, both
    colours of the checkerboard each time. levels: number of grids, each half the size of the one
    before. threads: None = all; they do not change the result.

    The energies are those of the start (messages of the coarser grids) and of the best labelling
    up to each sweep. Offsets come from a parabola through the beliefs, margins are differences of
    beliefs. Takes 14 bytes a pixel and label (labels rounded up to 32).

    Raises `UsageError` for sweeps or levels below 1, or terms as in `energy`.
    """
    weights = checked(data, smoothness, truncation)
    for name, value in (("sweeps", sweeps), ("levels", levels)):
        if value < 1:
            raise UsageError("is below 1", field=name, value=value, expected="1 or more")
    grids = _pyramid(data, weights, truncation, levels, thread_count(threads))
    messages: Array | None = None
    while True:
        grid = grids.pop()
        messages = grid.fresh() if messages is None else grid.refined(messages)
        if not grids:
            break
        for _ in range(sweeps):
            grid.sweep(messages)
    best: kernels.Found | None = None
    energies: list[float] = []
    for number in range(sweeps + 1):
        if number > 0:
            grid.sweep(messages)
        found = grid.beliefs(messages)
        reached = energy(found.labels.reshape(data.shape[:2]), data, weights, truncation)
        if best is None or reached < energies[-1]:
            best = found
            energies.append(reached)
        else:
            energies.append(energies[-1])
    assert best is not None
    labels, offsets, margin = (layer.reshape(data.shape[:2]) for layer in best)
    return Solution(labels, tuple(energies), offsets, margin)


def bytes_needed(height: int, width: int, labels: int) -> int:
    """Memory in bytes that `belief_propagation` takes at its peak, its arguments excluded."""
    padded = -(-labels // LANES) * LANES
    # data and messages of this grid and of a quarter, a sixteenth, ... of it; then maps
    return height * width * (14 * padded + 64) + 2 * (height + width) * 14 * padded


class _Grid:
    """One grid of the hierarchy: its terms, and the kernels run over its rows."""

    def __init__(self, terms: kernels.Terms, shape: kernels.Shape, threads: int) -> None:
        self.terms, self.shape, self.threads = terms, shape, threads

    def fresh(self) -> Array:
        """Messages that say nothing."""
        return np.zeros(self.shape.height * self.shape.width * 4 * self.shape.levels, np.uint16)

    def room(self) -> Array:
        return np.full(2 * self.shape.levels + 3 * LANES, NOTHING, np.uint16)

    def sweep(self, messages: Array) -> None:
        """Both colours send once."""
        for colour in (0, 1):

            def part(top: int, bottom: int, colour: int = colour) -> None:
                kernels.send(self.terms, messages, self.room(), self.shape, colour, top, bottom)

            over_rows(part, self.shape.height, self.threads)

    def beliefs(self, messages: Array) -> kernels.Found:
        count = self.shape.height * self.shape.width
        found = kernels.Found(
            np.empty(count, np.int32), np.empty(count, np.float32), np.empty(count, np.uint16)
        )

        def part(top: int, bottom: int) -> None:
            kernels.believe(self.terms, messages, found, self.room(), self.shape, top, bottom)

        over_rows(part, self.shape.height, self.threads)
        return found

    def coarser(self) -> "_Grid":
        """The grid of half the size: sums of data terms, mean weights.

        The paper leaves lambda as it is on all grids, for labels differ more over longer ways.
        """
        height, width, labels, levels, truncation = self.shape
        half = kernels.Shape((height + 1) // 2, (width + 1) // 2, labels, levels, truncation)
        data = np.empty(half.height * half.width * levels, np.uint16)
        across, down = (w.reshape(height, width) for w in self.terms[1:])
        weights = _halved(across[:, 1::2], half), _halved(down.T[:, 1::2], half, turned=True)
        largest = max(int(w.max()) for w in weights)
        ceiling = LARGEST - 4 * largest * truncation

        def part(top: int, bottom: int) -> None:
            kernels.coarsen(self.terms.data, data, self.shape, ceiling, top, bottom)

        over_rows(part, half.height, self.threads)
        return _Grid(kernels.Terms(data, *(w.reshape(-1) for w in weights)), half, self.threads)

    def refined(self, messages: Array) -> Array:
        """Messages of the next coarser grid, handed to the pixels of each block."""
        out = np.empty(self.shape.height * self.shape.width * 4 * self.shape.levels, np.uint16)

        def part(top: int, bottom: int) -> None:
            kernels.refine(messages, out, self.shape, top, bottom)

        over_rows(part, self.shape.height, self.threads)
        return out


def _pyramid(
    data: Array, weights: Weights, truncation: int, levels: int, threads: int
) -> list[_Grid]:
    """The grids, finest first."""
    height, width, labels = data.shape
    padded = -(-labels // LANES) * LANES
    if padded != labels:
        wide = np.empty((height, width, padded), np.uint16)
        wide[..., :labels] = data
        wide[..., labels:] = NOTHING
        data = wide
    flat = kernels.Terms(*(np.ascontiguousarray(a).reshape(-1) for a in (data, *weights)))
    shape = kernels.Shape(height, width, labels, padded, min(truncation, labels))
    grids = [_Grid(flat, shape, threads)]
    while len(grids) < levels and max(grids[-1].shape[:2]) > 1:
        grids.append(grids[-1].coarser())
    return grids


def _halved(edges: Array, half: kernels.Shape, *, turned: bool = False) -> Array:
    """Mean weight of the two edges between each two blocks; 0 at the last, which has none.

    edges: those that cross from block to block, one column a block, two rows a block.
    """
    rows, columns = (half.width, half.height) if turned else (half.height, half.width)
    out = np.zeros((rows, columns), np.uint16)
    first = edges[0::2].astype(np.uint32)
    second = first.copy()
    second[: len(edges[1::2])] = edges[1::2]
    out[:, : edges.shape[1]] = (first + second) // 2
    return np.ascontiguousarray(out.T if turned else out)
