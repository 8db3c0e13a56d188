"""What depth is measured with: a rig, or the one camera that took the image; and the errors that
follow from it."""

import math

import numpy as np

from fathom.core.arrays import Array, Float32
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError
from fathom.core.maps import Depth
from fathom.geometry.project import rays

_MIDDLE = 100.0
"""Inverse depth that the middle of a region gets without a rig, in place of pixels of disparity."""

Optics = StereoRig | Camera
"""The rig whose left view a depth is of, or the camera that took the one image."""


def sigmas(depth: Depth, rig: Optics) -> Float32[np.ndarray, "h w"]:
    """Of each pixel's depth, in metres; NaN where nothing tells it."""
    if depth.sigma is not None:
        return depth.sigma
    if isinstance(rig, Camera):
        return np.full(depth.shape, np.nan, np.float32)
    from fathom.core.uncertainty import DEFAULT_SIGMA_D

    out: Array = depth.values**2 * np.float32(DEFAULT_SIGMA_D / _product(rig))
    return out


def sigma_at(depth: Depth, rig: Optics, z: float, at: tuple[int, int]) -> float:
    """Of one pixel (row, column) at depth z, as `sigmas`."""
    if depth.sigma is not None:
        return float(depth.sigma[at])
    if isinstance(rig, Camera):
        return math.nan
    from fathom.core.uncertainty import DEFAULT_SIGMA_D

    return z**2 * DEFAULT_SIGMA_D / _product(rig)


def camera_of(rig: Optics) -> Camera:
    """The camera whose pixels the depth is of."""
    return rig if isinstance(rig, Camera) else rig.left


def _product(rig: StereoRig) -> float:
    return rig.left.fx * rig.baseline


def metres_per_pixel(rig: Optics, z: float) -> float:
    """Metres at depth z for a pixel of disparity; 0 where there is none."""
    return 0.0 if isinstance(rig, Camera) else z**2 / _product(rig)


def unit_of(rig: Optics, depths: Array) -> float:
    """What divided by a depth makes surfaces of an object comparable: its disparity in pixels."""
    if isinstance(rig, StereoRig):
        return _product(rig)
    return _MIDDLE * float(np.median(depths))


def ray_of(rig: Optics, x: int, y: int) -> Array:
    """The direction (x, y, 1) that a pixel looks along. Raises `InputError` where the lens shows
    none."""
    found: Array = directions(camera_of(rig), np.array([x]), np.array([y]))[0]
    if not np.isfinite(found).all():
        raise InputError(
            "lies where the lens shows no direction", field="at", value=f"{x},{y}",
            remedy="choose a pixel nearer to the middle",
        )  # fmt: skip
    return found


def directions(camera: Camera, x: Array, y: Array) -> Array:
    """Directions (x, y, 1) that pixels look along, (n, 3)."""
    return rays(np.stack([x, y], axis=1).astype(np.float64), camera)
