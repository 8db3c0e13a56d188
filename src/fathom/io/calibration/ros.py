"""ROS's camera_info, one file a camera: YAML, a message as `topic echo` prints it, or ost.txt.

https://docs.ros.org/en/api/sensor_msgs/html/msg/CameraInfo.html : K and D are the raw camera, R
turns it into the rectified frame, P projects from there, and P[0, 3] of the right camera is
-fx times the baseline in metres. R and P of both cameras hold the relative pose:
R2 X_right = R1 X_left + t, so X_right = R2^T (R1 X_left + t).
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, CameraModel, StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.fields import array, count
from fathom.io.calibration.own import Calibration
from fathom.io.calibration.plain_yaml import read_yaml
from fathom.io.calibration.pose import rectifying
from fathom.io.calibration.text import (
    Unit,
    agreed_size,
    camera_of,
    floats,
    length_in_metres,
    plus_to,
    terms_of,
    whole,
)
from fathom.io.files import PathLike, in_file

_MODELS: dict[str, CameraModel] = {
    "plumb_bob": "pinhole",
    "rational_polynomial": "pinhole",
    "thin_prism": "pinhole",
    "equidistant": "fisheye",
    "fisheye": "fisheye",
    "kannala_brandt4": "fisheye",
    "": "pinhole",
}
_NAMES = {  # in a file, in a message of ROS 1 and of ROS 2
    "K": ("camera_matrix", "K", "k"),
    "D": ("distortion_coefficients", "D", "d"),
    "R": ("rectification_matrix", "R", "r"),
    "P": ("projection_matrix", "P", "p"),
}


@dataclass(frozen=True, eq=False)
class _Info:
    """One camera_info: the raw camera, R (3, 3), P (3, 4)."""

    raw: Camera
    turn: Array
    projection: Array

    @property
    def shift(self) -> Array:
        """Where the left camera's centre lies in this camera's rectified frame, metres."""
        p = self.projection
        return np.array([p[0, 3] / p[0, 0], p[1, 3] / p[1, 1], 0.0])


def is_ros(text: str) -> bool:
    """True for a camera_info in YAML or as a message, or an ost.txt; false for FileStorage."""
    if "!!opencv-matrix" in text:
        return False
    yaml = re.search(r"(?m)^(camera_matrix|[Kk])\s*:", text) and re.search(
        r"(?m)^(distortion_model|projection_matrix|[Pp])\s*:", text
    )
    ini = re.search(r"(?m)^\[image\]", text) and re.search(r"(?m)^camera matrix\s*$", text)
    return bool(yaml or ini)


def parse_ros(
    texts: tuple[str, str],
    paths: tuple[PathLike, PathLike],
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    rectified: bool = False,
) -> Calibration:
    """The pair of two camera_infos (left, right): raw cameras and their pose, or the rig.

    It is the rig of P where the cameras are ideal already (no distortion, R = 1, K as in P), or
    `rectified` says that the images are those that P describes. unit: of P[0, 3], default metres.

    Raises `InputError` naming the file and the field: missing or wrong values, another image size,
    a P[0, 3] of the wrong sign, of zero, or of an implausible baseline.
    """
    infos = []
    for text, path in zip(texts, paths, strict=True):
        with in_file(path):
            infos.append(_info(text, image_size))
    left, right = infos
    with in_file(paths[1]), np.errstate(all="ignore"):
        shift = _shift(left, right, unit)
        if rectified or (_is_rectified(left) and _is_rectified(right)):
            return _rig(left, right, shift)
        rotation = right.turn.T @ left.turn
        return StereoCalibration(left.raw, right.raw, rotation, right.turn.T @ shift)


def _info(text: str, image_size: tuple[int, int] | None) -> _Info:
    ini = re.search(r"(?m)^\[image\]", text) is not None
    fields = _ini(text) if ini else read_yaml(text)
    names = ("image_width", "image_height") if "image_width" in fields else ("width", "height")
    size = agreed_size((count(fields, names[0]), count(fields, names[1])), image_size)
    model = _model(fields)
    terms = tuple(_numbers(fields, "D", (-1,)).tolist())
    if model == "fisheye" and len(terms) > 4 and not any(terms[4:]):
        terms = terms[:4]
    if len(terms) not in ((0, 4) if model == "fisheye" else (0, 4, 5, 8, 12, 14)):
        raise InputError(
            f"has {len(terms)} terms", field="D", expected="5 (plumb_bob), 8 or 4 (equidistant)"
        )
    matrix = _numbers(fields, "K", (9,)).tolist()
    raw = camera_of(matrix, size, "K", distortion=terms, model=model)
    projection = _numbers(fields, "P", (3, 4))
    camera_of(projection[:, :3].ravel().tolist(), size, "P")
    turn = _numbers(fields, "R", (3, 3))
    with np.errstate(all="ignore"):
        rotation = np.isfinite(turn).all() and np.abs(turn @ turn.T - np.eye(3)).max() < 1e-3
    if not rotation:
        raise InputError("is not a rotation", field="R", value=turn.tolist())
    return _Info(raw, turn, projection)


def _model(fields: dict[str, Any]) -> CameraModel:
    name = str(fields.get("distortion_model") or "")
    if name not in _MODELS:
        raise InputError(
            "is a model without a counterpart here",
            field="distortion_model",
            value=name,
            expected="plumb_bob, rational_polynomial or equidistant",
        )
    return _MODELS[name]


def _numbers(fields: dict[str, Any], name: str, shape: tuple[int, ...]) -> Array:
    key = next((key for key in _NAMES[name] if fields.get(key) is not None), _NAMES[name][0])
    value = fields.get(key)
    if isinstance(value, dict):
        return array(value, "data", shape, key)
    return array(fields, key, shape)


def _ini(text: str) -> dict[str, Any]:
    """ost.txt: a name on one line, its values on the following ones."""
    fields: dict[str, Any] = {}
    names = {"camera matrix": "K", "distortion": "D", "rectification": "R", "projection": "P"}
    blocks = re.split(
        r"(?m)^(width|height|camera matrix|distortion|rectification|projection)$", text
    )
    for name, block in zip(blocks[1::2], blocks[2::2], strict=True):
        body = re.sub(r"(?m)^[#\[].*$", "", block).strip()
        if name in ("width", "height"):
            fields[name] = whole(body, name)
        else:
            fields[names[name]] = floats(body, len(body.split()), name)
    return fields


def _shift(left: _Info, right: _Info, unit: Unit | None) -> Array:
    """Between the cameras in the rectified frame in metres: (-b, 0, 0), or (0, -b, 0)."""
    shift = right.shift - left.shift
    axis = 1 if abs(shift[1]) > abs(shift[0]) else 0
    name, value = f"P[{axis},3]", float(right.projection[axis, 3])
    if not math.isfinite(shift[0]) or not math.isfinite(shift[1]):
        raise InputError("is not finite", field=name, value=value)
    if shift[axis] == 0:
        raise InputError(
            "is 0, as of two cameras that were calibrated one by one",
            field=name,
            value=value,
            expected="-fx times the baseline in metres",
            remedy="calibrate the pair as a stereo camera",
        )
    if shift[axis] > 0:
        raise InputError(
            "puts the right camera to the left of the left one",
            field=name,
            value=value,
            expected="-fx times the baseline, negative",
            remedy="give the files in the order left, right, or correct the sign",
        )
    length = float(np.linalg.norm(shift))
    focal = float(right.projection[axis, axis])
    metres = length_in_metres(length, unit, f"baseline of {name}", focal)
    out: Array = shift * (metres / length)
    return out


def _is_rectified(info: _Info) -> bool:
    ideal = Camera(*info.raw.size, *(info.projection[i] for i in ((0, 0), (1, 1), (0, 2), (1, 2))))
    same = np.allclose(ideal.matrix, info.raw.matrix, rtol=1e-6, atol=1e-6)
    return info.raw.is_ideal() and same and bool(np.abs(info.turn - np.eye(3)).max() < 1e-9)


def _rig(left: _Info, right: _Info, shift: Array) -> StereoRig:
    if shift[1]:
        raise InputError(
            "says that one camera stands above the other",
            field="P[1,3]",
            value=float(right.projection[1, 3]),
            expected="0 for a rectified pair side by side",
        )
    cameras = [
        camera_of(info.projection[:, :3].ravel().tolist(), info.raw.size, "P")
        for info in (left, right)
    ]
    return StereoRig(cameras[0], cameras[1], float(-shift[0]))


def ros_texts(calibration: Calibration) -> tuple[str, str]:
    """The two YAML files, left and right. R and P of a raw pair are those of its rectification.

    Raises `UsageError` for a raw pair that cannot be rectified: without R and P there is no pose.
    """
    left, right = calibration.left, calibration.right
    if isinstance(calibration, StereoRig):
        projections = [np.hstack([c.matrix, np.zeros((3, 1))]) for c in (left, right)]
        projections[1][0, 3] = -plus_to(0, right.fx, calibration.baseline)
        turns = [np.eye(3), np.eye(3)]
    else:
        turns, projections = rectifying(calibration)
    sides = zip(("left", "right"), (left, right), turns, projections, strict=True)
    first, second = (_yaml(*side) for side in sides)
    return first, second


def _yaml(side: str, camera: Camera, turn: Array, projection: Array) -> str:
    if camera.model == "fisheye":
        model, terms = "equidistant", terms_of(camera, 4)
    elif len(camera.distortion) <= 5:
        model, terms = "plumb_bob", terms_of(camera, 5)
    else:
        model, terms = "rational_polynomial", list(camera.distortion)
    lines = [f"image_width: {camera.width}", f"image_height: {camera.height}"]
    lines += [f"camera_name: {side}", *_matrix("camera_matrix", camera.matrix)]
    lines += [f"distortion_model: {model}", *_matrix("distortion_coefficients", np.array([terms]))]
    lines += _matrix("rectification_matrix", turn)
    lines += _matrix("projection_matrix", projection)
    return "\n".join(lines) + "\n"


def _matrix(name: str, values: Array) -> list[str]:
    rows, cols = values.shape
    data = ", ".join(repr(float(v)) for v in values.ravel())
    return [f"{name}:", f"  rows: {rows}", f"  cols: {cols}", f"  data: [{data}]"]
