"""Semi-global matching over costs that somebody else made: a volume of real numbers in, one out.

`engine` is faster and takes less memory, but it makes its own census costs of 6 bits. Here any cost
volume will do, such as a network's. Žbontar and LeCun, JMLR 17(65), 2016, section 4.2, after
Hirschmueller, PAMI 2008.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from fathom.classical.kernels.layout import Edges, Volumes, Walk
from fathom.classical.native import Kernel
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.volume import CostVolume
from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import InputError, UsageError

_paths = Kernel("fathom.classical.kernels.float_paths", "float_paths")
KERNELS = (_paths,)

_COLUMNS = 16
"""Columns that are walked down side by side, so that memory is read in longer pieces."""


@dataclass(frozen=True)
class PathPenalties:
    """What a path pays, in units of the costs.

    p1: for a step of one disparity. p2: for a larger jump. edge: step of the guide from which on it
    is an edge (in its units). one_edge, both_edges: p1 and p2 are divided by these where one view
    or both have an edge there. ground: what p1 is divided by where a path goes down and the
    disparity rises, or up and it falls, as on a road.

    Raises `UsageError` for a number that is not positive and finite, or p2 below p1.
    """

    p1: float
    p2: float
    edge: float
    one_edge: float = 1.0
    both_edges: float = 1.0
    ground: float = 1.0

    def __post_init__(self) -> None:
        for name in ("p1", "p2", "edge", "one_edge", "both_edges", "ground"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise UsageError("is out of range", field=name, value=value, expected="above 0")
        if self.p2 < self.p1:
            raise UsageError(
                "is below p1", field="p2", value=self.p2, expected=f"at least {self.p1}"
            )

    def table(self, *, down: bool, backward: bool) -> Float32[np.ndarray, "9"]:
        """P1 for a rising and for a falling disparity and P2, for none, one and both edges."""
        rising = self.ground if down and not backward else 1.0
        falling = self.ground if down and backward else 1.0
        rows = [
            (self.p1 / by / rising, self.p1 / by / falling, self.p2 / by)
            for by in (1.0, self.one_edge, self.both_edges)
        ]
        return np.array(rows, np.float32).reshape(-1)


def path_costs(
    volume: CostVolume,
    left: Float32[np.ndarray, "h w"],
    right: Float32[np.ndarray, "h w"],
    penalties: PathPenalties,
    *,
    threads: int | None = None,
) -> CostVolume:
    """The mean of the path costs from left, right, above and below.

    left, right: guides, the grey values of both views in any unit. A path's penalties depend on the
    step of the left guide at the pixel and of the right one at its match; a match whose neighbour
    lies outside the right image counts as an edge. Costs that are inf stay so, and paths pass them
    by. The same for any number of threads.

    Raises `InputError` for guides of another size than the volume.
    """
    height, width, levels = volume.shape
    for name, guide in (("left", left), ("right", right)):
        if guide.shape != (height, width):
            raise InputError(
                "differs in size from the volume",
                field=name,
                value=f"{guide.shape[1]}x{guide.shape[0]}",
                expected=f"{width}x{height}",
            )
    costs = np.ascontiguousarray(volume.costs).reshape(-1)
    out = np.zeros(costs.size, np.float32)
    volumes = Volumes(costs, out)
    for down, backward in product((False, True), repeat=2):
        matched = _matched(_edges(right, penalties.edge, down, backward), volume.first, levels)
        along = _edges(left, penalties.edge, down, backward)
        table = penalties.table(down=down, backward=backward)
        edges = Edges(along.reshape(-1), matched.reshape(-1), table)
        run = _paths.bound(volumes, edges, Walk(height, width, levels, int(down), int(backward)))
        count, block = (width, _COLUMNS) if down else (height, 1)
        room = partial(np.empty, 2 * block * (levels + 2), np.float32)
        call = partial(_lines, run, room, count, block)
        run_blocks(call, -(-count // block), thread_count(threads))
    return CostVolume(out.reshape(volume.shape), volume.first)


def _lines(
    run: Callable[..., None], room: Callable[[], Array], count: int, block: int, i: int
) -> None:
    """The i-th block of lines of one direction."""
    run(room(), i * block, min((i + 1) * block, count))


def _edges(guide: Array, edge: float, down: bool, backward: bool) -> UInt8[np.ndarray, "h w"]:
    """1 where the guide's step from the pixel before is an edge, or there is none before."""
    axis = 0 if down else 1
    steps = np.abs(np.diff(guide, axis=axis)) >= np.float32(edge)
    border = [(0, 0), (0, 0)]
    border[axis] = (0, 1) if backward else (1, 0)
    out: Array = np.pad(steps, border, constant_values=True).astype(np.uint8)
    return out


def _matched(edges: Array, first: int, levels: int) -> UInt8[np.ndarray, "h reach"]:
    """The right view's edges in the kernel's order: place k is column w - 1 - first - k."""
    height, width = edges.shape
    out = np.ones((height, width - 1 + levels), np.uint8)
    column = width - 1 - first - np.arange(out.shape[1])
    inside = (column >= 0) & (column < width)
    out[:, inside] = edges[:, column[inside]]
    return out
