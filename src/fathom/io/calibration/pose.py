"""What formats with a relative pose share: its unit, and whether it leaves anything to rectify."""

import math

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import FathomError, InputError, UsageError
from fathom.io.calibration.own import Calibration
from fathom.io.calibration.text import Unit, length_in_metres, one_model, plus_to, terms_of


def metric(
    left: Camera,
    right: Camera,
    rotation: Array,
    translation: Array,
    unit: Unit | None,
    name: str,
    own: Unit = "m",
) -> StereoCalibration:
    """The pair with its translation in metres, for formats in which any unit may stand.

    unit: of the translation; None is `own`, the format's.

    Raises `InputError` with field `name` for a baseline that would be implausible in metres.
    """
    with np.errstate(all="ignore"):
        length = float(np.linalg.norm(translation))
        if not np.isfinite(length):
            raise InputError("is not finite", field=name, value=translation.tolist())
        if length > 0:
            metres = length_in_metres(length, unit, name, own=own)
            translation = translation * (metres / length)
        return StereoCalibration(left, right, rotation, translation)


def rectified_or_raw(calibration: StereoCalibration) -> Calibration:
    """The rig where nothing is left to rectify: ideal cameras, exactly parallel, shifted along x.

    For formats that say nothing about it. Otherwise the calibration as it is.
    """
    x, y, z = (float(v) for v in calibration.translation)
    parallel = np.array_equal(calibration.rotation, np.eye(3)) and y == 0 and z == 0 and x < 0
    if not (parallel and calibration.left.is_ideal() and calibration.right.is_ideal()):
        return calibration
    try:
        return StereoRig(calibration.left, calibration.right, -x)
    except FathomError:
        return calibration  # parallel cameras of different lenses still need a common image


def average(rotations: list[Array]) -> Array:
    """The rotation nearest to all in the chordal sense: their mean, made orthonormal.

    Hartley et al., Rotation Averaging, IJCV 2013, section 5.3.
    """
    u, _, vt = np.linalg.svd(np.mean(rotations, axis=0))
    out: Array = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return out


def from_quaternion(w: float, x: float, y: float, z: float) -> Array:
    """The rotation matrix of a quaternion, which need not be of unit length."""
    n = w * w + x * x + y * y + z * z
    s = 2 / n if n > 0 else float("nan")
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )


def to_quaternion(rotation: Array) -> tuple[float, float, float, float]:
    """(w, x, y, z) of unit length with w >= 0.

    The eigenvector of the largest eigenvalue of Bar-Itzhack's matrix (JGCD 2000): no case apart.
    """
    r = rotation
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    _, vectors = np.linalg.eigh(k)  # of the lower triangle
    x, y, z, w = (float(v) for v in vectors[:, -1])
    sign = -1.0 if w < 0 else 1.0
    return sign * w, sign * x, sign * y, sign * z


def from_rotation_vector(vector: Array) -> Array:
    """The rotation about `vector` by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    half = math.sin(angle / 2) / angle if angle > 0 else 0.5
    x, y, z = (float(v) * half for v in vector)
    return from_quaternion(math.cos(angle / 2), x, y, z)


def to_rotation_vector(rotation: Array) -> Array:
    """Axis times angle in radians, 0 .. pi; the inverse of `from_rotation_vector`."""
    w, x, y, z = to_quaternion(rotation)
    sine = math.sqrt(x * x + y * y + z * z)
    factor = 2 * math.atan2(sine, w) / sine if sine > 0 else 2.0
    return np.array([x, y, z]) * factor


def _least_turn(start: Array, end: Array) -> Array:
    """The smallest rotation that takes one unit vector to another that is not opposite."""
    x, y, z = np.cross(start, end)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    out: Array = np.eye(3) + cross + cross @ cross / (1 + float(start @ end))
    return out


def rectifying(calibration: StereoCalibration) -> tuple[list[Array], list[Array]]:
    """Two rotations (3, 3) and two projections (3, 4) in metres, as OpenCV rectifies the pair with
    every pixel valid; R2 X_right = R1 X_left + (P2[0, 3] / fx, 0, 0).

    Raises `UsageError` for a pair that cannot be rectified.
    """
    import cv2

    left, right = calibration.left, calibration.right
    fisheye = one_model(calibration, "such") == "fisheye"
    terms = [
        np.array(terms_of(c, max(4 if fisheye else 5, len(c.distortion)))) for c in (left, right)
    ]
    pose = np.array(calibration.rotation), np.array(calibration.translation).reshape(3, 1)
    common = (left.matrix, terms[0], right.matrix, terms[1], left.size, *pose)
    try:
        zero = cv2.CALIB_ZERO_DISPARITY
        if fisheye:
            r1, _, p1, p2, *_ = cv2.fisheye.stereoRectify(*common, flags=zero, balance=0.0)
        else:
            r1, _, p1, p2, *_ = cv2.stereoRectify(*common, flags=zero, alpha=0)
        first, projections = np.array(r1), [np.array(p1), np.array(p2)]
    except cv2.error:
        first, projections = np.full((3, 3), np.nan), [np.zeros((3, 4))] * 2
    # Not OpenCV's R2: its rounding would not give the rotation back to the last digits.
    second = first @ pose[0].T
    shift = (second @ pose[1]).ravel()
    good = np.isfinite(first).all() and np.isfinite(projections).all()
    focal = float(projections[1][0, 0])
    if not (good and focal > 0 and abs(shift[2]) < 1e-6 * np.linalg.norm(shift)):
        raise UsageError(
            "this pair cannot be rectified, and the format needs what rectifies it",
            field="format",
            remedy="write fathom's own JSON, opencv or kalibr",
        )
    axis = 1 if abs(shift[1]) > abs(shift[0]) else 0
    # OpenCV leaves up to 1e-8 of the shift beside its axis, which would be lost on the way back
    along = np.zeros(3)
    along[axis] = math.copysign(1, shift[axis])
    last = _least_turn(shift / np.linalg.norm(shift), along)
    first, second, shift = last @ first, last @ second, last @ shift
    projections[1][:2, 3] = 0
    projections[1][axis, 3] = plus_to(0, float(projections[1][axis, axis]), float(shift[axis]))
    return [first, second], projections
