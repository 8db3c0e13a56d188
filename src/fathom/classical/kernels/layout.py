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
    """State of the paths. slots: (h + w + 2 (w + h - 1), levels + 32) + 32 path costs, each slot
    behind 32 bytes of 255. lows: the smallest cost of each slot. sums: (h, w, levels)."""

    slots: Any
    lows: Any
    sums: Any


class Scratch(NamedTuple):
    """Working memory of one call. costs: (columns of a tile, levels). sums: (levels + 64,), 65535
    outside of 32..levels + 32."""

    costs: Any
    sums: Any


class Winners(NamedTuple):
    """Results. disparity, best, margin: (h, w) sub-pixel level, its sum, and the distance to the
    second-best sum that is no neighbour. keys: (h, reach) for each right pixel the smallest sum
    and its level, sum << 16 | level, at the same places as `Costs.right`."""

    disparity: Any
    best: Any
    margin: Any
    keys: Any


class Tile(NamedTuple):
    """Rows top..bottom-1 and first <= x + y < last, in the sweep's own coordinates. last_sweep: 1
    for the second sweep, whose coordinates are turned by 180 degrees."""

    top: int
    bottom: int
    first: int
    last: int
    last_sweep: int


_SEMIGLOBAL = "fathom.classical.kernels.semiglobal"
census = Kernel(_SEMIGLOBAL, "census")
sweep = Kernel(_SEMIGLOBAL, "sweep")
disagreement = Kernel(_SEMIGLOBAL, "disagreement")
KERNELS = (census, sweep, disagreement)
