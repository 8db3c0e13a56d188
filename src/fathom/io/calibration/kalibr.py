"""Kalibr's camchain: cam0, cam1, ... and T_cn_cnm1, which takes points from camera n-1 to n.

https://github.com/ethz-asl/kalibr/wiki/yaml-formats : intrinsics fu fv pu pv; metres; a 4x4 matrix.
"""

import re
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, CameraModel, StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.fields import array, part
from fathom.io.calibration.own import Calibration
from fathom.io.calibration.plain_yaml import read_yaml
from fathom.io.calibration.pose import metric, rectified_or_raw
from fathom.io.calibration.text import Unit, agreed_size, camera_of, terms_of

_DISTORTIONS: dict[str, CameraModel] = {
    "radtan": "pinhole",
    "none": "pinhole",
    "equidistant": "fisheye",
}


def is_kalibr(text: str) -> bool:
    """True if the text has a `cam0:` block with Kalibr's keys."""
    return bool(
        re.search(r"(?m)^\s*cam\d+\s*:\s*$", text)
        and re.search(r"(?m)^\s+(camera_model|T_cn_cnm1|distortion_model|intrinsics)\s*:", text)
    )


def parse_kalibr(
    text: str,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    cameras: tuple[int, int] | None = None,
) -> Calibration:
    """The pair of a chain: raw, or the rig where both cameras are ideal and only shifted.

    cameras: (left, right), default 0 and 1; poses are multiplied along the chain, or taken from
    T_cam_imu where the chain has no T_cn_cnm1. unit: of the translations, default metres.

    Raises `InputError` (without the file's name) for missing or wrong values, another image size,
    or a camera model that has no counterpart here (omni, ds, eucm, fov).
    """
    chain = read_yaml(text)
    left, right = cameras or (0, 1)
    models = [_camera(chain, i, image_size) for i in (left, right)]
    with np.errstate(all="ignore"):
        pose = _pose(chain, right) @ np.linalg.inv(_pose(chain, left))
    calibration = metric(models[0], models[1], pose[:3, :3], pose[:3, 3], unit, "T_cn_cnm1")
    return rectified_or_raw(calibration)


def _camera(chain: dict[str, Any], index: int, image_size: tuple[int, int] | None) -> Camera:
    name = f"cam{index}"
    fields = part(chain, name)
    model = str(part(fields, "camera_model", name))
    if model != "pinhole":
        raise InputError(
            "is a camera model without a counterpart here",
            field=f"{name}.camera_model",
            value=model,
            expected="pinhole (with radtan, equidistant or none)",
            remedy="calibrate again with pinhole-radtan or pinhole-equi",
        )
    distortion = str(fields.get("distortion_model", "none"))
    if distortion not in _DISTORTIONS:
        raise InputError(
            "is a distortion model without a counterpart here",
            field=f"{name}.distortion_model",
            value=distortion,
            expected="radtan, equidistant or none",
            remedy="calibrate again with pinhole-radtan or pinhole-equi",
        )
    size: tuple[int, int] | None = None
    if fields.get("resolution") is not None:
        width, height = array(fields, "resolution", (2,), name).tolist()
        size = _pixels(width, name), _pixels(height, name)
    fx, fy, cx, cy = array(fields, "intrinsics", (4,), name).tolist()
    terms: tuple[float, ...] = ()
    if distortion != "none":
        terms = tuple(array(fields, "distortion_coeffs", (4,), name).tolist())
    return camera_of(
        (fx, 0, cx, 0, fy, cy, 0, 0, 1),
        agreed_size(size, image_size),
        name,
        distortion=terms,
        model=_DISTORTIONS[distortion],
    )


def _pixels(value: float, name: str) -> int:
    if not (0 < value < 1e9) or value != int(value):
        raise InputError("is no image size", field=f"{name}.resolution", value=value)
    return int(value)


def _pose(chain: dict[str, Any], index: int) -> Array:
    """From camera 0 to camera `index` (or from the IMU, for every camera), 4x4."""
    if not _has_chain(chain) and "T_cam_imu" in chain[f"cam{index}"]:
        return _matrix(chain, index, "T_cam_imu")
    pose = np.eye(4)
    for i in range(1, index + 1):
        pose = _matrix(chain, i, "T_cn_cnm1") @ pose
    return pose


def _has_chain(chain: dict[str, Any]) -> bool:
    """True if camera 1 has the pose from camera 0: then all poses are taken along the chain."""
    return isinstance(chain.get("cam1"), dict) and "T_cn_cnm1" in chain["cam1"]


def _matrix(chain: dict[str, Any], index: int, key: str) -> Array:
    matrix = array(part(chain, f"cam{index}"), key, (4, 4), f"cam{index}")
    if not np.isfinite(matrix).all() or np.abs(matrix[3] - (0, 0, 0, 1)).max() > 1e-9:
        raise InputError(
            "is no pose",
            field=f"cam{index}.{key}",
            value=matrix[3].tolist(),
            expected="finite numbers with a last row of 0 0 0 1",
        )
    return matrix


def kalibr_text(calibration: Calibration) -> str:
    """The chain of two cameras. radtan has k1 k2 p1 p2; other terms of distortion are left out."""
    rows = np.eye(4)
    if isinstance(calibration, StereoCalibration):
        rows[:3, :3], rows[:3, 3] = calibration.rotation, calibration.translation
    else:
        rows[0, 3] = -calibration.baseline
    lines: list[str] = []
    for i, camera in enumerate((calibration.left, calibration.right)):
        ideal = isinstance(calibration, StereoRig) or camera.is_ideal()
        model = "equidistant" if camera.model == "fisheye" else "none" if ideal else "radtan"
        lines.append(f"cam{i}:")
        if i:
            lines += ["  T_cn_cnm1:", *(f"  - {_list(row)}" for row in rows)]
        lines += [f"  cam_overlaps: [{1 - i}]", "  camera_model: pinhole"]
        lines.append(
            f"  distortion_coeffs: {_list([] if model == 'none' else terms_of(camera, 4))}"
        )
        lines.append(f"  distortion_model: {model}")
        lines.append(f"  intrinsics: {_list((camera.fx, camera.fy, camera.cx, camera.cy))}")
        lines += [
            f"  resolution: [{camera.width}, {camera.height}]",
            f"  rostopic: /cam{i}/image_raw",
        ]
    return "\n".join(lines) + "\n"


def _list(values: Any) -> str:
    return "[" + ", ".join(repr(float(v)) for v in values) + "]"
