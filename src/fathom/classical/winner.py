"""Winner takes all: the disparity of least cost, its rivals, and the right view's winner."""

from typing import Literal, NamedTuple

import numpy as np

from fathom.classical.native import Kernel
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.refine_subpixel import SUBPIXEL, subpixel_offset
from fathom.classical.volume import CostVolume
from fathom.core.arrays import Array, Float32
from fathom.core.errors import unknown_name

Subpixel = Literal["none", "parabola", "equiangular", "symmetric-v"]

_ROWS = 16
_winner = Kernel("fathom.classical.kernels.local", "winner")
KERNELS = (_winner,)


class Winner(NamedTuple):
    """What a cost volume says when every pixel decides for itself; all float32 (h, w).

    disparity: pixels, sub-pixel, seen from the left view; NaN where no match lies inside the
    right image. best: cost of the best whole disparity, inf where there is none. second: least
    cost of a disparity that is no neighbour of the best, inf where there is none. margin:
    second - best, 0 where there is no best, inf where only second is missing. right: the right
    view's disparity in whole pixels, from the same costs: least cost (x + d, d); NaN where none.
    """

    disparity: Float32[np.ndarray, "h w"]
    best: Float32[np.ndarray, "h w"]
    second: Float32[np.ndarray, "h w"]
    margin: Float32[np.ndarray, "h w"]
    right: Float32[np.ndarray, "h w"]


def take_winner(
    volume: CostVolume, subpixel: Subpixel = "parabola", threads: int | None = None
) -> Winner:
    """The winner of every pixel; of equal costs the smallest disparity wins.

    subpixel: "none" or a curve of `refine_subpixel.SUBPIXEL` through the costs of the winner and
    its two neighbours, where both lie inside.

    Raises `UsageError` for an unknown `subpixel` or number of threads.
    """
    _check(subpixel)
    height, width, _ = volume.shape
    out = empty_winner(height, width)

    def block(i: int) -> None:
        top, end = i * _ROWS, min((i + 1) * _ROWS, height)
        planes = np.ascontiguousarray(volume.costs[top:end].transpose(2, 0, 1))
        winner_of_planes(planes, volume.first, subpixel, Winner(*(a[top:end] for a in out)))

    run_blocks(block, -(-height // _ROWS), thread_count(threads))
    return out


def empty_winner(height: int, width: int) -> Winner:
    """Maps to be written, with nothing in them."""
    return Winner(*(np.empty((height, width), np.float32) for _ in Winner._fields))


def winner_of_planes(
    planes: Float32[np.ndarray, "d h w"], first: int, subpixel: Subpixel, out: Winner
) -> None:
    """As `take_winner` for costs that lie plane after plane; writes to the maps of `out`.

    planes: C order. Used by matchers that never hold a whole volume.

    Raises `UsageError` for an unknown `subpixel`.
    """
    _check(subpixel)
    levels, height, width = planes.shape
    size = height * width
    best, second = (np.empty(size, np.float32) for _ in range(2))
    index, right = (np.empty(size, np.int32) for _ in range(2))
    scratch = np.empty(width, np.float32)
    _winner(planes.reshape(-1), best, second, index, right, scratch, levels, height, width, first)
    found = np.isfinite(best)
    offset = _offset(planes.reshape(levels, size), index, best, subpixel)
    whole = (index + first).astype(np.float32)
    out.disparity[:] = np.where(found, whole + offset, np.float32(np.nan)).reshape(height, width)
    out.best[:] = best.reshape(height, width)
    out.second[:] = second.reshape(height, width)
    with np.errstate(invalid="ignore"):
        out.margin[:] = np.where(found, second - best, 0).reshape(height, width)
    seen = np.where(right >= 0, (right + first).astype(np.float32), np.float32(np.nan))
    out.right[:] = seen.reshape(height, width)


def _offset(planes: Array, index: Array, best: Array, subpixel: Subpixel) -> Array:
    """Where between -0.5 and 0.5 px of the winner the cost is least."""
    levels, size = planes.shape
    if subpixel == "none":
        return np.zeros(size, np.float32)
    pixel = np.arange(size)
    below = planes[np.maximum(index - 1, 0), pixel]
    above = planes[np.minimum(index + 1, levels - 1), pixel]
    below[index == 0] = np.inf
    above[index == levels - 1] = np.inf
    with np.errstate(invalid="ignore"):
        return subpixel_offset(subpixel, below, best, above)


def _check(subpixel: Subpixel) -> None:
    if subpixel not in ("none", *SUBPIXEL):
        raise unknown_name("subpixel", str(subpixel), ["none", *SUBPIXEL])
