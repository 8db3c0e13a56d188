"""What the semi-global kernels take, and the kernels themselves by name; without numba."""

from typing import Any, NamedTuple

from fathom.classical.native import Kernel

LANES = 32
"""Disparities, or pixels, that a kernel works on at once."""
WINDOW_HEIGHT = 7
WINDOW_WIDTH = 9
PLANES = 8
"""The 62 census bits of a pixel lie in 8 planes of one byte."""
NOTHING = 65535
NO_COST = 63
"""Census costs are at most 62."""
SURE_COST = 10
"""How much the mean cost beside the winner must rise for `subpixel` to trust it alone (of 62)."""
BORDER = 2
"""Pixels around, and levels below and above, that `subpixel` looks at."""


class Frame(NamedTuple):
    """Sizes. levels: number of disparities, rounded up to whole vectors. reach: width of a row
    of the right planes. origin: index in such a row of what left pixel 0 meets at level 0."""

    height: int
    width: int
    levels: int
    reach: int
    origin: int
    paths: int


class Costs(NamedTuple):
    """What costs are made of. left: (h, 8, w + 32) census bytes. right: (h, 8, reach) the same of
    the right image with x running backwards, so that growing disparity is growing index. inside:
    (reach,) 255 where there is a right pixel. outside: (reach,) the cost where there is none.
    beyond: (levels,) 255 at levels that only fill up the last vector. gray: (h, w) 8-bit
    intensities. penalty: (256,) P2 for each difference of intensity along a path. p1: (1,)."""

    left: Any
    right: Any
    inside: Any
    outside: Any
    beyond: Any
    gray: Any
    penalty: Any
    p1: Any


class Paths(NamedTuple):
    """State of four paths. slots: (lines, levels + 32) + 32 path costs, one slot for each line of
    pixels that a path runs along, each behind 32 bytes of 255. lows: the smallest cost of each
    slot. sums: (h, w, levels) path costs summed so far; `PACKED` tells how."""

    slots: Any
    lows: Any
    sums: Any


class Ways(NamedTuple):
    """The four directions of a sweep in its own coordinates, each (x, y) with y >= 0: a path goes
    from (u - x, v - y) to (u, v), and its slot is base + y u - x v. skew: tiles are cut along
    u + skew v, so that every (u - x, v - y) lies in the same, a left or an upper tile."""

    base0: int
    x0: int
    y0: int
    base1: int
    x1: int
    y1: int
    base2: int
    x2: int
    y2: int
    base3: int
    x3: int
    y3: int
    skew: int


class Line(NamedTuple):
    """One traversal of `moreglobal`: pixel (u, v) of it is origin + u du + v dv, u < across.
    down: number of lines. diagonal: 1 if its predecessors are (u - 1, v - 1) and (u + 1, v - 1),
    0 if they are (u - 1, v) and (u, v - 1)."""

    origin: int
    du: int
    dv: int
    across: int
    down: int
    diagonal: int


class Scratch(NamedTuple):
    """Working memory of one call. costs: (columns of a tile, levels). jumps: (4, columns). sums:
    (levels + 64,), 65535 outside of 32..levels + 32."""

    costs: Any
    jumps: Any
    sums: Any


class Winners(NamedTuple):
    """Results. disparity, best, margin: (h, w) sub-pixel level, its sum, and the distance to the
    second-best sum that is no neighbour. right_best, right_level: (h, reach) for each right pixel
    the smallest sum and its level, at the same places as `Costs.right`. level: the winner's whole
    level, (h + 4, w + 4 + 32) with two pixels of border that are no level. near: (5, h + 4, w + 36)
    its costs and those of the two levels below and above, `NO_COST` where there is none."""

    disparity: Any
    best: Any
    margin: Any
    right_best: Any
    right_level: Any
    level: Any
    near: Any


class Tile(NamedTuple):
    """Rows top..bottom-1 and first <= u + skew v < last, in the sweep's own coordinates. turned: 1
    if these are turned by 180 degrees. job: `STORE`, `ADD` or `FINISH`; only `sweep` looks."""

    top: int
    bottom: int
    first: int
    last: int
    turned: int
    job: int


class Mode(NamedTuple):
    """What a sweep does, mostly constants of its kernel. job: as `Tile` has it. four: 1 if it
    advances four paths, 0 if the first two. packed: 1 if sums hold costs as well (`PACKED`)."""

    job: int
    four: int
    packed: int


class Row(NamedTuple):
    """Pixels start..end-1 of row v of a tile, in the sweep's own coordinates. In the image, the
    first of them is (x, y), number `here`, and the next is `step` further. columns: of the tile."""

    v: int
    start: int
    end: int
    x: int
    y: int
    here: int
    step: int
    columns: int


class Volumes(NamedTuple):
    """What `float_paths` reads and adds to: costs and their sums, (h, w, levels) each."""

    costs: Any
    sums: Any


class Edges(NamedTuple):
    """Where views have edges between a pixel q and the next one p of a path, and what it pays.
    left: (h, w) 1 at p where the left view has one. right: (h, w - 1 + levels) the same of the
    right view, of the match of pixel x at level i in place w - 1 - x + i. table: (3, 3) P1 from
    below and from above and P2, for none, one and both of these edges."""

    left: Any
    right: Any
    table: Any


class Walk(NamedTuple):
    """Sizes, and one direction: lines are rows, or columns where down is 1; backward: 1 if they
    are walked from their end."""

    height: int
    width: int
    levels: int
    down: int
    backward: int


class Means(NamedTuple):
    """What `near_mean` reads and writes, (h, w) each. NaN is near to nothing."""

    values: Any
    out: Any


class Window(NamedTuple):
    """Neighbours. weights: (2 radius + 1) squared. limit: 1024ths by which they may differ."""

    weights: Any
    radius: int
    limit: int


STORE, ADD, FINISH = 0, 1, 2
"""A sweep's sums are the first, are added to the others, or make the winners with the others."""
PACKED = 10
"""`first_sweep` keeps sums of four paths in so many bits and the cost in the 6 above them: costs
are at most 62, and four times P2 + 62 <= 252 is below 1024. `sweep` keeps sums alone."""

_SEMIGLOBAL = "fathom.classical.kernels.semiglobal"
_VIEWS = "fathom.classical.kernels.views"
census = Kernel(_VIEWS, "census")
first_sweep = Kernel(_SEMIGLOBAL, "first_sweep")
last_sweep = Kernel(_SEMIGLOBAL, "last_sweep")
sweep = Kernel(_SEMIGLOBAL, "sweep")
disagreement = Kernel(_VIEWS, "disagreement")
subpixel = Kernel("fathom.classical.kernels.subpixel", "subpixel")
KERNELS = (census, first_sweep, last_sweep, sweep, subpixel, disagreement)

_MOREGLOBAL = "fathom.classical.kernels.moreglobal"
cost_rows = Kernel(_MOREGLOBAL, "cost_rows")
traverse_tile = Kernel(_MOREGLOBAL, "traverse_tile")
win_rows = Kernel(_MOREGLOBAL, "win_rows")
