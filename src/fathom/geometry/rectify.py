"""From a raw pair of cameras to a rectified rig: rows agree, distortion is gone."""

from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Float32, Shaped
from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.core.pair import StereoPair, View

_WIDEST = 60.0
"""Degrees between the cameras beyond which no useful common image is left."""


@dataclass(frozen=True, eq=False)
class Rectification:
    """A rig, and where each of its pixels lies in the raw images.

    left_map, right_map: float32 (h, w, 2), raw x and y of every rectified pixel.
    """

    rig: StereoRig
    left_map: Float32[np.ndarray, "h w 2"]
    right_map: Float32[np.ndarray, "h w 2"]

    def __call__(self, left: View, right: View) -> StereoPair:
        """The rectified pair of two raw views (cubic interpolation, black outside)."""
        views = [
            View(remap(view.image, grid))
            for view, grid in ((left, self.left_map), (right, self.right_map))
        ]
        return StereoPair(views[0], views[1], self.rig)


def remap(image: Shaped[np.ndarray, "h w 3"], grid: Float32[np.ndarray, "a b 2"]) -> Array:
    """`image` sampled at the pixels of `grid` (x, y), cubic, 0 outside; the same type."""
    import cv2

    out: Array = cv2.remap(
        image, grid[..., 0], grid[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT
    )
    return out


def rectify(calibration: StereoCalibration) -> Rectification:
    """The rectified rig of two raw cameras, and the maps that make its images.

    Both cameras are turned by half of their relative rotation (Bouguet's method, as OpenCV
    implements it), keep the left camera's image size, share focal length and principal point
    (doffs = 0), and are scaled so that every pixel of the result was seen.

    Raises `InputError` if the cameras differ in size or model, stand above each other, are
    exchanged, or look apart so far that no common image remains.
    """
    left, right = calibration.left, calibration.right
    if left.size != right.size:
        raise InputError(
            "the two cameras differ in image size",
            field="calibration",
            value=f"{left.width}x{left.height} left, {right.width}x{right.height} right",
            expected="equal sizes",
        )
    if left.model != right.model:
        raise InputError(
            "one camera is a fisheye and the other is not",
            field="calibration",
            expected="two cameras of one model",
        )
    _require_same_direction(calibration)
    rotations, projections = _stereo_rectify(calibration)
    focal, shift = projections[1][0, 0], projections[1][0, 3]
    _require_side_by_side(projections, focal)
    ideal = [
        Camera(left.width, left.height, p[0, 0], p[1, 1], p[0, 2], p[1, 2]) for p in projections
    ]
    rig = StereoRig(ideal[0], ideal[1], float(-shift / focal))
    maps = [
        _undistort_map(raw, rotation, new)
        for raw, rotation, new in zip((left, right), rotations, ideal, strict=True)
    ]
    _require_seen(rig, maps, calibration)
    return Rectification(rig, maps[0], maps[1])


def _require_same_direction(calibration: StereoCalibration) -> None:
    cosine = (np.trace(calibration.rotation) - 1) / 2
    angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    if angle > _WIDEST:
        raise InputError(
            f"the cameras are turned against each other by {angle:.0f} degrees",
            field="rotation",
            expected=f"at most {_WIDEST:.0f} degrees",
            remedy="check the rotation and its order (X_right = R X_left + T)",
        )


def _require_seen(rig: StereoRig, maps: list[Array], calibration: StereoCalibration) -> None:
    """Refuses a rectification whose images would be mostly black, or a blown-up sliver."""
    zoom = rig.left.fx / calibration.left.fx
    seen = 1.0
    for grid, raw in zip(maps, (calibration.left, calibration.right), strict=True):
        x, y = grid[..., 0], grid[..., 1]
        inside = (x >= -1) & (x <= raw.width) & (y >= -1) & (y <= raw.height)
        seen = min(seen, float(inside.mean()))
    if seen < 0.25 or zoom > 4:
        raise InputError(
            f"after rectification {seen:.0%} of an image would be seen, enlarged {zoom:.1f} times",
            field="calibration",
            expected="two cameras that look nearly the same way",
            remedy="check rotation, translation and distortion",
        )


def _stereo_rectify(calibration: StereoCalibration) -> tuple[list[Array], list[Array]]:
    """Two rotations (3, 3) and two projections (3, 4), by OpenCV."""
    import cv2

    left, right = calibration.left, calibration.right
    common = (left.matrix, _terms(left), right.matrix, _terms(right), left.size)
    pose = (np.array(calibration.rotation), np.array(calibration.translation).reshape(3, 1))
    try:
        if left.model == "fisheye":
            r1, r2, p1, p2, _ = cv2.fisheye.stereoRectify(
                *common, *pose, flags=cv2.CALIB_ZERO_DISPARITY, balance=0.0
            )
        else:
            r1, r2, p1, p2, *_ = cv2.stereoRectify(
                *common, *pose, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0
            )
    except cv2.error as error:
        raise InputError(
            f"this calibration cannot be rectified ({error.err})", field="calibration"
        ) from error
    return [r1, r2], [p1, p2]


def _require_side_by_side(projections: list[Array], focal: float) -> None:
    tx, ty = projections[1][0, 3], projections[1][1, 3]
    if not (np.isfinite(projections).all() and focal > 0):
        raise InputError(
            "no common image remains after rectification",
            field="calibration",
            expected="two cameras that look nearly the same way",
            remedy="check rotation, translation and distortion",
        )
    if abs(ty) > abs(tx):
        raise InputError(
            "the cameras stand above each other",
            field="translation",
            expected="cameras side by side",
            remedy="turn images and calibration by 90 degrees",
        )
    if tx > 0:
        raise InputError(
            "the right camera stands to the left of the left one",
            field="translation",
            expected="a negative first component (X_right = R X_left + T)",
            remedy="exchange left and right, in the calibration or in the images",
        )


def _undistort_map(raw: Camera, rotation: Array, new: Camera) -> Float32[np.ndarray, "h w 2"]:
    import cv2

    arguments = (raw.matrix, _terms(raw), rotation, new.matrix, new.size, cv2.CV_32FC1)
    make = (
        cv2.fisheye.initUndistortRectifyMap
        if raw.model == "fisheye"
        else cv2.initUndistortRectifyMap
    )
    return np.ascontiguousarray(np.stack(make(*arguments), axis=-1), dtype=np.float32)


def _terms(camera: Camera) -> Array:
    terms = camera.distortion or ((0.0,) * (4 if camera.model == "fisheye" else 5))
    return np.array(terms, dtype=np.float64)
