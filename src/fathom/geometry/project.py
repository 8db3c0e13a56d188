"""Points of a camera's frame to its pixels and back, lens distortion included; with derivatives.

The lens models are OpenCV's: Brown-Conrady with up to 14 terms, and Kannala and Brandt's fisheye
("A generic camera model and calibration method", PAMI 2006).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.camera import Camera

FOCAL = ("fx", "fy")
CENTER = ("cx", "cy")
PINHOLE = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "taux", "tauy")
FISHEYE = ("k1", "k2", "k3", "k4")


def intrinsic_names(camera: Camera) -> tuple[str, ...]:
    """fx, fy, cx, cy and the camera's distortion terms, in OpenCV's order."""
    terms = FISHEYE if camera.model == "fisheye" else PINHOLE
    return FOCAL + CENTER + terms[: len(camera.distortion)]


def intrinsics(camera: Camera) -> Float64[np.ndarray, " k"]:
    """The numbers that belong to `intrinsic_names`: pixels, and terms without a unit."""
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy, *camera.distortion])


def with_intrinsics(camera: Camera, values: Float64[np.ndarray, " k"]) -> Camera:
    """The camera with other numbers, in the order of `intrinsic_names`."""
    fx, fy, cx, cy, *terms = (float(v) for v in values)
    return replace(camera, fx=fx, fy=fy, cx=cx, cy=cy, distortion=tuple(terms))


@dataclass(frozen=True, eq=False)
class Projection:
    """Pixels and how they move.

    pixels: (n, 2); NaN for points that do not lie in front of the camera. by_point: (n, 2, 3),
    pixels per metre. by_intrinsics: (n, 2, k), pixels per unit of each of `intrinsic_names`.
    """

    pixels: Float64[np.ndarray, "n 2"]
    by_point: Float64[np.ndarray, "n 2 3"]
    by_intrinsics: Float64[np.ndarray, "n 2 k"]


def project(points: Float64[np.ndarray, "n 3"], camera: Camera) -> Float64[np.ndarray, "n 2"]:
    """Pixels of points (metres, the camera's frame); NaN for points not in front of it (z <= 0)."""
    return project_with_derivatives(points, camera).pixels


def project_with_derivatives(points: Float64[np.ndarray, "n 3"], camera: Camera) -> Projection:
    """Pixels of points (metres, the camera's frame) and their first derivatives."""
    ahead = points[:, 2] > 0
    # Points behind are moved ahead for the formulas, which divide by z, and marked afterwards.
    safe = np.where(ahead[:, None], points, (0.0, 0.0, 1.0))
    if camera.is_ideal() and not camera.distortion:
        pixels, by_point, by_intrinsics = _ideal(safe, camera)
    else:
        pixels, by_point, by_intrinsics = _distorted(safe, camera)
    pixels[~ahead] = np.nan
    return Projection(pixels, by_point, by_intrinsics)


def rays(pixels: Float64[np.ndarray, "n 2"], camera: Camera) -> Float64[np.ndarray, "n 3"]:
    """Directions (x, y, 1) in the camera's frame that pixels look along.

    NaN where no direction within the lens model's range shows at the pixel (to 0.01 pixels):
    beyond the turning point of a strong distortion nothing can be told.
    """
    if len(pixels) == 0:
        return np.zeros((0, 3))
    if camera.is_ideal():
        x = (pixels[:, 0] - camera.cx) / camera.fx
        y = (pixels[:, 1] - camera.cy) / camera.fy
        return np.stack([x, y, np.ones_like(x)], axis=1)
    flat = _undistorted(pixels, camera)
    out = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
    # A pixel that does not come back was not inverted: OpenCV then returns its last iterate.
    usable = np.isfinite(out).all(axis=1)
    again = project(np.where(usable[:, None], out, (0.0, 0.0, 1.0)), camera)
    with np.errstate(invalid="ignore"):
        usable &= np.abs(again - pixels).max(axis=1) < 0.01
    out[~usable] = np.nan
    return out


def _undistorted(pixels: Array, camera: Camera) -> Float64[np.ndarray, "n 2"]:
    import cv2

    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
    known = np.where(np.isfinite(pixels), pixels, 0.0)[:, None]
    terms = np.array(camera.distortion, dtype=np.float64)
    undo = cv2.fisheye.undistortPoints if camera.model == "fisheye" else cv2.undistortPoints
    if camera.model == "fisheye" and terms.size == 0:
        terms = np.zeros(4)
    flat = np.asarray(undo(known, camera.matrix, terms, criteria=stop), np.float64).reshape(-1, 2)
    flat[~np.isfinite(pixels).all(axis=1)] = np.nan
    return flat


def _ideal(points: Array, camera: Camera) -> tuple[Array, Array, Array]:
    count = len(points)
    inverse = 1 / points[:, 2]
    x, y = points[:, 0] * inverse, points[:, 1] * inverse
    pixels = np.stack([camera.fx * x + camera.cx, camera.fy * y + camera.cy], axis=1)
    by_point = np.zeros((count, 2, 3))
    by_point[:, 0, 0] = camera.fx * inverse
    by_point[:, 1, 1] = camera.fy * inverse
    by_point[:, 0, 2] = -camera.fx * x * inverse
    by_point[:, 1, 2] = -camera.fy * y * inverse
    by_intrinsics = np.zeros((count, 2, 4))
    by_intrinsics[:, 0, 0] = x
    by_intrinsics[:, 1, 1] = y
    by_intrinsics[:, 0, 2] = 1
    by_intrinsics[:, 1, 3] = 1
    return pixels, by_point, by_intrinsics


def _distorted(points: Array, camera: Camera) -> tuple[Array, Array, Array]:
    import cv2

    count, terms = len(points), len(camera.distortion)
    if count == 0:
        return np.zeros((0, 2)), np.zeros((0, 2, 3)), np.zeros((0, 2, 4 + terms))
    zero = np.zeros(3)
    make: Any
    if camera.model == "fisheye":
        given = np.array(camera.distortion or (0.0,) * 4)
        make = cv2.fisheye.projectPoints
        place, inner = slice(11, 14), slice(0, 4 + terms)
    else:
        given = np.array(camera.distortion)
        make = cv2.projectPoints
        place, inner = slice(3, 6), slice(6, 10 + terms)
    pixels, slopes = make(points[:, None], zero, zero, camera.matrix, given)
    slopes = np.asarray(slopes, np.float64).reshape(count, 2, -1)
    # With no rotation and no shift, moving the camera's shift is moving the point.
    by_point, by_intrinsics = slopes[..., place].copy(), slopes[..., inner].copy()
    return np.array(pixels, np.float64).reshape(count, 2), by_point, by_intrinsics
