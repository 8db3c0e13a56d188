"""Metric points for `geometry.align`: from an object's size, or the height of the camera."""

import math

import numpy as np

from fathom.core.arrays import Bool
from fathom.core.camera import Camera
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import SparseDepth

_MOST = 4000
Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are no longer inside."""


def object_anchors(
    camera: Camera, box: Box, *, width: float | None = None, height: float | None = None,
    sigma: float = 0.05,
) -> SparseDepth:  # fmt: skip
    """Depth of an object of known size: Z = f size / pixels, for the middle half of its box.

    camera: of the image (no distortion is corrected). box: around the object, which faces the
    camera. width, height: in metres, one of them or both (then their mean counts). sigma: relative,
    of the size and of the box together.

    Raises `UsageError` for a box outside the image or without a size, or sizes that are none.
    """
    left, top, right, bottom = box
    wide, tall = camera.size
    if not (0 <= left < right <= wide and 0 <= top < bottom <= tall):
        raise UsageError(
            "is no box in the image", field="box", value=box,
            expected=f"left, top, right, bottom within {wide}x{tall}",
        )  # fmt: skip
    sizes = [s for s in (width, height) if s is not None]
    if not sizes or not all(0 < s < math.inf for s in sizes) or not 0 < sigma < 1:
        raise UsageError(
            "is no size", field="width, height, sigma", value=(width, height, sigma),
            expected="metres above 0, at least one; a relative sigma below 1",
        )  # fmt: skip
    found = []
    if width is not None:
        found.append(camera.fx * width / (right - left))
    if height is not None:
        found.append(camera.fy * height / (bottom - top))
    depth = sum(found) / len(found)
    x = _some(left + (right - left) / 4, right - (right - left) / 4)
    y = _some(top + (bottom - top) / 4, bottom - (bottom - top) / 4)
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    count = len(pixels)
    return SparseDepth(
        pixels, np.full(count, depth, np.float32), np.full(count, sigma * depth, np.float32)
    )


def ground_anchors(
    camera: Camera, height: float, *, pitch: float = 0.0,
    mask: Bool[np.ndarray, "h w"] | None = None, farthest: float = 50.0,
) -> SparseDepth:  # fmt: skip
    """Depth of a flat ground below a camera of known height.

    camera: without roll. height: above the ground in metres. pitch: degrees that it looks down.
    mask: the ground's pixels; by default a trapezoid in the lower third of the image, the middle
    half of its width. farthest: no anchors beyond, in metres.

    A pixel y rows below the horizon sees the ground at Z = h / ((y - cy) / fy cos p + sin p) (from
    the plane's equation), which half a degree of pitch changes by Z / h * 0.9 %: that is its sigma.

    Raises `UsageError` for a height or pitch that is none, `InputError` if no pixel sees ground.
    """
    if not (0 < height < math.inf and -80 <= pitch <= 80 and farthest > 0):
        raise UsageError(
            "cannot be", field="height, pitch, farthest", value=(height, pitch, farthest),
            expected="metres above 0, and degrees within 80",
        )  # fmt: skip
    wide, tall = camera.size
    if mask is None:
        rows, columns = np.mgrid[(2 * tall) // 3 : tall, wide // 4 : wide - wide // 4]
    else:
        if mask.shape != (tall, wide):
            raise InputError(
                "differs in size from the image", field="mask", value=mask.shape,
                expected=str((tall, wide)),
            )  # fmt: skip
        rows, columns = np.nonzero(mask)
    rows, columns = rows.ravel(), columns.ravel()
    angle = math.radians(pitch)
    down = (rows - camera.cy) / camera.fy * math.cos(angle) + math.sin(angle)
    with np.errstate(divide="ignore"):
        z = np.where(down > 0, height / np.maximum(down, 1e-12), np.inf)
    seen = np.flatnonzero(z <= farthest)
    if seen.size == 0:
        raise InputError(
            "shows no ground", field="mask",
            expected=f"pixels below the horizon, within {farthest:g} m",
            remedy="check height and pitch, or give a mask of the ground",
        )  # fmt: skip
    seen = seen[np.linspace(0, seen.size - 1, min(seen.size, _MOST)).astype(int)]
    pixels = np.stack([columns[seen], rows[seen]], axis=1).astype(np.float32)
    depth = z[seen].astype(np.float32)
    return SparseDepth(pixels, depth, depth * np.maximum(0.009 * depth / height, 0.01))


def _some(first: float, last: float) -> np.ndarray:
    return np.linspace(first, last - 1 if last - first > 1 else first, 12)
