"""Which part of what two cameras see becomes the rectified images.

Coordinates: x / z and y / z in the rectified frame, which both cameras share but for the baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Float64
from fathom.core.camera import Camera
from fathom.core.errors import InputError
from fathom.geometry.project import project, rays

Crop = Literal["valid", "all"]

UNSEEN = -100.0
"""Raw x and y of what a camera did not see: outside of every image, for any interpolation."""

_CELLS = 400
_ZOOM = 4.0
_EDGE = 64  # points along each side of an image's border


@dataclass(frozen=True, eq=False)
class Eye:
    """A raw camera and the rotation from its frame to the rectified one."""

    camera: Camera
    rotation: Float64[np.ndarray, "3 3"]

    @cached_property
    def reach(self) -> float:
        """tan of the largest angle from the axis at which the lens model still runs outward.

        A polynomial fitted within the image turns back somewhere beyond it; what lies farther out
        would be mapped into the image a second time.
        """
        angle = np.linspace(0, np.pi / 2, 4001)[:-1]
        tangent, k = np.tan(angle), [*self.camera.distortion, *(0.0,) * 14]
        if self.camera.model == "fisheye":
            powers = [angle ** (2 * i + 3) for i in range(4)]
            moved = angle + sum(term * power for term, power in zip(k[:4], powers, strict=True))
        else:
            q = tangent**2
            with np.errstate(all="ignore"):
                above = 1 + q * (k[0] + q * (k[1] + q * k[4]))
                below = 1 + q * (k[5] + q * (k[6] + q * k[7]))
                moved = np.where(below > 0, tangent * above / below, -np.inf)
        with np.errstate(invalid="ignore"):
            back = np.flatnonzero(~(np.diff(moved) > 0))
        return float(tangent[back[0]] if len(back) else tangent[-1])

    def sees(self, x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> Array:
        """Bool (n,): whether the middle of a raw pixel, or what lies between, shows the point."""
        ahead = np.stack([x, y, np.ones_like(x)], axis=1) @ self.rotation
        within = self._within(ahead[:, 0], ahead[:, 1], ahead[:, 2])
        pixels = project(np.where(within[:, None], ahead, (0.0, 0.0, 1.0)), self.camera)
        out: Array = within & _inside(pixels[:, 0], pixels[:, 1], self.camera, 0.0)
        return out

    def border(self) -> Float64[np.ndarray, "n 2"]:
        """x, y that the border of the raw image looks at; infinite where it looks aside or back."""
        w, h = self.camera.width - 1, self.camera.height - 1
        along = np.linspace(0, 1, _EDGE)
        ends = [(along * w, along * 0), (along * w, along * 0 + h)]
        ends += [(along * 0, along * h), (along * 0 + w, along * h)]
        pixels = np.concatenate([np.stack(end, axis=1) for end in ends])
        directions = rays(pixels, self.camera) @ self.rotation.T
        with np.errstate(all="ignore"):
            flat: Array = directions[:, :2] / directions[:, 2:]
        aside = ~np.isfinite(flat).all(axis=1) | ~(directions[:, 2] > 0)
        # Beyond a quarter circle, or the lens model: in the direction of the pixel.
        outward = (pixels - (w / 2, h / 2)) @ self.rotation[:2, :2].T
        flat[aside] = np.copysign(np.inf, outward[aside])
        return flat

    def _within(self, x: Array, y: Array, z: Array) -> Array:
        with np.errstate(over="ignore"):
            out: Array = (z > 0) & (x * x + y * y < (self.reach * z) ** 2)
        return out


@dataclass(frozen=True)
class Window:
    """Focal length and principal point, in pixels, of the rectified cameras."""

    focal: float
    cx: float
    cy: float
    notes: tuple[str, ...] = ()


def undistort_map(
    eye: Eye, camera: Camera
) -> tuple[Float32[np.ndarray, "h w 2"], Bool[np.ndarray, "h w"]]:
    """Raw x and y of each pixel of the rectified `camera`, and whether the raw one saw it."""
    import cv2

    raw = eye.camera
    terms = raw.distortion or ((0.0,) * (4 if raw.model == "fisheye" else 5))
    make = (
        cv2.fisheye.initUndistortRectifyMap
        if raw.model == "fisheye"
        else cv2.initUndistortRectifyMap
    )
    x, y = make(raw.matrix, np.array(terms), eye.rotation, camera.matrix, camera.size, cv2.CV_32FC1)
    column = (np.arange(camera.width, dtype=np.float32) - np.float32(camera.cx)) / camera.fx
    row = ((np.arange(camera.height, dtype=np.float32) - np.float32(camera.cy)) / camera.fy)[
        :, None
    ]
    turn = eye.rotation.astype(np.float32)
    ahead = (column * turn[0, i] + row * turn[1, i] + turn[2, i] for i in range(3))
    mask = eye._within(*ahead)
    # Half a pixel beyond the outer centres still belongs to the outer pixels.
    mask &= _inside(x, y, raw, 0.5)
    grid = np.stack([x, y], axis=-1).astype(np.float32, copy=False)
    grid[~mask] = UNSEEN
    return np.ascontiguousarray(grid), mask


def choose_window(eyes: Sequence[Eye], crop: Crop, size: tuple[int, int], field: float) -> Window:
    """The window of rectified images of `size` (width, height).

    crop "valid": the largest in which both cameras see each pixel; "all": the smallest that holds
    all that either sees; both of at most `field` degrees across and down. Raises `InputError` where
    the cameras have no part of the world in common, or too little of it.
    """
    # The window ends at the outer pixels' middles, the view at their edges.
    limit = float(np.tan(np.radians(field / 2))) * (1 - 1 / min(size))
    borders = np.concatenate([eye.border() for eye in eyes])
    low, high = borders.min(axis=0), borders.max(axis=0)
    cut = bool((low < -limit).any() or (high > limit).any())
    low, high = np.clip(low, -limit, limit), np.clip(high, -limit, limit)
    step = float((high - low).max()) / _CELLS
    if not step > 0:
        raise _apart(0.0)
    x = np.arange(low[0] + step / 2, high[0], step)
    y = np.arange(low[1] + step / 2, high[1], step)
    seen = [_seen_grid(eye, x, y) for eye in eyes]
    common = seen[0] & seen[1]
    if not common.any():
        raise _apart(0.0)
    aspect = (size[0] - 1) / (size[1] - 1)
    if crop == "valid":
        middle, half = _largest(common, x, y, step, aspect)
        half = _refined(eyes, middle, half, aspect)
        room = limit - np.abs(middle)
        half = min(half, float(min(room[0], room[1] * aspect)))
    else:
        middle, half = _around(seen[0] | seen[1], x, y, step, aspect)
        half = min(half, limit * min(1.0, aspect))
        room = np.array([limit - half, limit - half / aspect])
        middle = np.clip(middle, -room, room)
    focal = (size[0] - 1) / (2 * half)
    zoom = focal / _focal(eyes[0].camera, size)
    if crop == "valid" and zoom > _ZOOM:
        raise _apart(zoom)
    if crop == "all" and common.sum() < 0.05 * min(s.sum() for s in seen):
        raise _apart(0.0)
    notes: tuple[str, ...] = ()
    wide = max(abs(middle[0]) + half, abs(middle[1]) + half / aspect)
    if cut and wide > 0.97 * limit:
        notes = (
            f"the lenses see wider than a flat image can show well: the view is limited to "
            f"{field:.0f} degrees",
        )
    cx, cy = focal * (half - middle[0]), focal * (half / aspect - middle[1])
    return Window(focal, float(cx), float(cy), notes)


def _apart(zoom: float) -> InputError:
    found = "no part" if zoom == 0 else f"so little (it would be enlarged {zoom:.1f} times)"
    return InputError(
        f"after rectification both cameras see {found} of the world in common",
        field="calibration",
        expected="two cameras that look nearly the same way",
        remedy="check rotation, translation and distortion",
    )


def _focal(raw: Camera, size: tuple[int, int]) -> float:
    """The raw camera's focal length if its image were resized to as many pixels as `size` has."""
    scale = np.sqrt(size[0] * size[1] / (raw.width * raw.height))
    return float(np.sqrt(raw.fx * raw.fy) * scale)


def _seen_grid(eye: Eye, x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " m"]) -> Array:
    """Bool (m, n): whether the eye sees (x, y), by the same maps that make the images."""
    step = x[1] - x[0]
    camera = Camera(len(x), len(y), 1 / step, 1 / step, -x[0] / step, -y[0] / step)
    return undistort_map(eye, camera)[1]


def _largest(
    good: Bool[np.ndarray, "m n"], x: Array, y: Array, step: float, aspect: float
) -> tuple[Float64[np.ndarray, "2"], float]:
    """Middle and half width of the largest upright rectangle of `aspect` (width / height) that
    holds good cells alone: bisection on its width, over a summed-area table."""
    total = np.zeros((good.shape[0] + 1, good.shape[1] + 1), np.int64)
    total[1:, 1:] = good.cumsum(axis=0).cumsum(axis=1)

    def places(width: int) -> Array:
        """Top-left cells at which a rectangle of so many cells fits."""
        height = max(1, round(width / aspect))
        if width > good.shape[1] or height > good.shape[0]:
            return np.zeros((0, 2), np.int64)
        count = total[height:, width:] - total[:-height, width:] - total[height:, :-width]
        return np.argwhere(count + total[:-height, :-width] == width * height)

    fits, fails = 1, good.shape[1] + 1
    while fails - fits > 1:
        width = (fits + fails) // 2
        fits, fails = (width, fails) if len(places(width)) else (fits, width)
    found = places(fits)
    # The one nearest to the middle of all that fit: a tie must not move the window to one side.
    row, column = found[np.abs(found - found.mean(axis=0)).sum(axis=1).argmin()]
    height = max(1, round(fits / aspect))
    middle = np.array([x[column] + (fits - 1) * step / 2, y[row] + (height - 1) * step / 2])
    return middle, fits * step / 2


def _refined(
    eyes: Sequence[Eye], middle: Float64[np.ndarray, "2"], half: float, aspect: float
) -> float:
    """The largest half width near `half` at which both eyes see the whole border."""
    along = np.linspace(-1, 1, 4 * _EDGE + 1)
    one = np.ones_like(along)
    x = np.concatenate([along, along, -one, one])
    y = np.concatenate([-one, one, along, along]) / aspect

    def fits(width: float) -> bool:
        return all(eye.sees(middle[0] + width * x, middle[1] + width * y).all() for eye in eyes)

    low, high = 0.0, 1.02 * half
    # A few steps down from above, then bisection: the grid is right to a cell or two.
    for shrink in (0.99, 0.97, 0.93, 0.8, 0.5, 0.1):
        if fits(shrink * half):
            low = shrink * half
            break
        high = shrink * half
    for _ in range(20):
        mid = (low + high) / 2
        low, high = (mid, high) if fits(mid) else (low, mid)
    if low <= 0:
        raise _apart(0.0)
    return low


def _around(
    good: Bool[np.ndarray, "m n"], x: Array, y: Array, step: float, aspect: float
) -> tuple[Float64[np.ndarray, "2"], float]:
    """Middle and half width of the smallest upright rectangle of `aspect` with all good cells."""
    columns, rows = np.flatnonzero(good.any(axis=0)), np.flatnonzero(good.any(axis=1))
    left, right = x[columns[0]] - step / 2, x[columns[-1]] + step / 2
    top, bottom = y[rows[0]] - step / 2, y[rows[-1]] + step / 2
    half = max(right - left, (bottom - top) * aspect) / 2
    return np.array([(left + right) / 2, (top + bottom) / 2]), float(half)


def _inside(x: Array, y: Array, camera: Camera, margin: float) -> Array:
    """Whether pixels lie within the image, up to `margin` beyond its outer pixels' middles."""
    slack = margin + 1e-6
    with np.errstate(invalid="ignore"):
        out: Array = (x >= -slack) & (x <= camera.width - 1 + slack)
        out &= (y >= -slack) & (y <= camera.height - 1 + slack)
    return out
