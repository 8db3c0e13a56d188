"""Are planes planes? Noise and bending of estimated surfaces that are flat in truth."""

from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Float64
from fathom.core.camera import Camera
from fathom.core.errors import InputError, UsageError
from fathom.eval.metrics import require_same_size
from fathom.geometry.reproject import back_project


def planar(
    truth: Float32[np.ndarray, "h w"], side: int = 9, tolerance: float = 0.1
) -> Bool[np.ndarray, "h w"]:
    """Pixels around which the truth is a plane: no residual above `tolerance` in the window.

    truth: disparity in pixels or inverse depth (a plane of the world is a plane there), NaN
    unknown; windows with an unknown pixel or outside the image are not planar.

    Raises `UsageError` for an even side.
    """
    residual, complete = plane_residual(truth, side)
    import cv2

    bent = (~(np.abs(residual) <= tolerance) | ~complete).astype(np.uint8)
    flat: Array = cv2.dilate(bent, _square(side)) == 0
    return flat


def plane_residual(
    values: Float32[np.ndarray, "h w"], side: int = 9
) -> tuple[Float32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Each pixel's distance from the least squares plane of its window, and where it is complete.

    In the centre of a full symmetric window that plane has the mean of the window, whatever its
    slope. Complete: all pixels known and inside the image.

    Raises `UsageError` for an even side.
    """
    import cv2

    if side < 3 or side % 2 == 0:
        raise UsageError("is no window", field="side", value=side, expected="3, 5, 7 ...")
    unknown = np.isnan(values)
    # Around the mean of the map float32 sums keep enough digits.
    filled = values.copy()
    cv2.patchNaNs(filled, 0)
    count = max(filled.size - int(np.count_nonzero(unknown)), 1)
    filled -= np.float32(filled.sum(dtype=np.float64) / count)
    mean = cv2.blur(filled, (side, side), borderType=cv2.BORDER_REFLECT_101)
    pad = side // 2
    complete = np.zeros(values.shape, dtype=np.bool_)
    inner = (slice(pad, values.shape[0] - pad), slice(pad, values.shape[1] - pad))
    touched = cv2.dilate(unknown.astype(np.uint8), _square(side)) > 0
    complete[inner] = ~touched[inner]
    return filled - mean, complete


def surface_noise(
    estimate: Float32[np.ndarray, "h w"],
    truth: Float32[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"] | None = None,
    side: int = 9,
) -> float:
    """Planarity: RMS distance of the estimate from its own local plane where the truth is planar.

    In the maps' unit (disparity in pixels). 0 for a plane, even at a wrong place: it speaks of
    ripples and steps (whole-pixel disparities give about 0.29 px), not of error. NaN where no
    window is planar in truth and known in the estimate.

    Raises `InputError` for maps of different size, `UsageError` for an even side.
    """
    require_same_size((estimate.shape[0], estimate.shape[1]), (truth.shape[0], truth.shape[1]))
    residual, complete = plane_residual(estimate, side)
    judged = planar(truth, side) & complete
    if mask is not None:
        judged &= mask
    found = residual[judged]
    return float(np.sqrt(np.mean(found**2, dtype=np.float64))) if found.size else float("nan")


@dataclass(frozen=True)
class Planarity:
    """One plane of the world, as an estimate has it.

    flatness: standard deviation of the points' distances from their own plane, metres.
    orientation: angle between that plane and the true one, degrees. pixels: how many were used.
    """

    flatness: float
    orientation: float
    pixels: int


def planarity(
    estimate: Float32[np.ndarray, "h w"],
    truth: Float32[np.ndarray, "h w"],
    camera: Camera,
    mask: Bool[np.ndarray, "h w"],
) -> Planarity:
    """Flatness and orientation of the plane that `mask` marks, in 3D.

    estimate, truth: depth in metres. The planarity errors of Koch et al., "Evaluation of CNN-based
    single-image depth estimation methods", ECCV Workshops 2018, section 3.2.

    Raises `InputError` for maps of different size, or fewer than three pixels that both know.
    """
    require_same_size((estimate.shape[0], estimate.shape[1]), (truth.shape[0], truth.shape[1]))
    used = mask & ~np.isnan(estimate) & ~np.isnan(truth)
    count = int(np.count_nonzero(used))
    if count < 3:
        raise InputError(
            "leaves fewer than three known pixels of the plane", field="mask", value=count
        )
    normals, flatness = [], 0.0
    for depth in (truth, estimate):
        normal, flatness = _plane(back_project(depth, camera, used).astype(np.float64))
        normals.append(normal)
    cosine = min(1.0, abs(float(normals[0] @ normals[1])))
    return Planarity(flatness, float(np.degrees(np.arccos(cosine))), count)


def _plane(points: Float64[np.ndarray, "n 3"]) -> tuple[Array, float]:
    """Normal of the least squares plane and the standard deviation of the distances from it."""
    centred = points - points.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(points))
    return vectors[:, 0], float(np.sqrt(max(values[0], 0.0)))


def _square(side: int) -> Array:
    return np.ones((side, side), np.uint8)
