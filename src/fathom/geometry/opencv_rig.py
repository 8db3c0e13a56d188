"""The rig of images that were rectified with OpenCV, where only the raw calibration is known."""

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.geometry.rectify import rectify


def opencv_rig(calibration: StereoCalibration) -> StereoRig:
    """What OpenCV's stereoRectify makes of a raw calibration with its usual settings.

    alpha (fisheye: balance) 0, that is all pixels valid, and zero disparity at infinity. To rectify
    images ourselves there is `rectify`, which OpenCV's faults do not touch.

    Raises `InputError` for what `rectify` cannot do either, and for cameras above each other, or of
    unequal size or model, which that function of OpenCV does not take.
    """
    left, right = calibration.left, calibration.right
    if left.size != right.size or left.model != right.model or rectify(calibration).turned:
        raise InputError(
            "only cameras side by side, of one size and one model, give a rig by themselves",
            field="calibration",
            remedy="give the calibration of the rectified images, or the raw images",
        )
    projections = _projections(calibration)
    ideal = [Camera(*left.size, p[0, 0], p[1, 1], p[0, 2], p[1, 2]) for p in projections]
    return StereoRig(ideal[0], ideal[1], calibration.baseline)


def _projections(calibration: StereoCalibration) -> list[Array]:
    """Two projections (3, 4)."""
    import cv2

    left, right = calibration.left, calibration.right
    terms = [
        np.array(camera.distortion or (0.0,) * (4 if camera.model == "fisheye" else 5))
        for camera in (left, right)
    ]
    common = (left.matrix, terms[0], right.matrix, terms[1], left.size)
    pose = (np.array(calibration.rotation), np.array(calibration.translation).reshape(3, 1))
    try:
        if left.model == "fisheye":
            _, _, p1, p2, _ = cv2.fisheye.stereoRectify(
                *common, *pose, flags=cv2.CALIB_ZERO_DISPARITY, balance=0.0
            )
        else:
            _, _, p1, p2, *_ = cv2.stereoRectify(
                *common, *pose, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0
            )
    except cv2.error as error:
        raise InputError(
            f"OpenCV cannot rectify this calibration ({error.err})", field="calibration"
        ) from error
    if not (np.isfinite([p1, p2]).all() and p1[0, 0] > 0):
        raise InputError(
            "OpenCV finds no common image in this calibration",
            field="calibration",
            remedy="give the calibration of the rectified images, or the raw images",
        )
    return [p1, p2]
