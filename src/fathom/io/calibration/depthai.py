"""DepthAI's calibration JSON (the EEPROM of an OAK camera): cameras by socket, centimetres.

https://docs.luxonis.com : extrinsics take points from a camera to `toCameraSocket`; distortionCoeff
has OpenCV's fourteen terms, or four for a fisheye; stereoRectificationData names left and right.
"""

import json
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, CameraModel, StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.fields import array, count, part, read_json, real
from fathom.io.calibration.own import Calibration
from fathom.io.calibration.pose import metric, rectified_or_raw, rectifying
from fathom.io.calibration.text import Unit, agreed_size, camera_of, terms_of

_LEFT, _RIGHT = 1, 2  # sockets CAM_B and CAM_C
_MODELS: dict[Any, CameraModel] = {0: "pinhole", 1: "fisheye"}
_NAMES = {0: "perspective", 1: "fisheye", 2: "equirectangular", 3: "radial division"}


def is_depthai(text: str) -> bool:
    """True for JSON with `cameraData`."""
    return text.lstrip()[:1] == "{" and '"cameraData"' in text


def parse_depthai(
    text: str,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    cameras: tuple[int, int] | None = None,
) -> Calibration:
    """The raw pair of two sockets: `cameras`, else those that stereoRectificationData names, else
    1 and 2. unit: of the translations, default centimetres.

    Raises `InputError` (without the file's name) for missing or wrong values, another image size,
    a camera model without a counterpart here, or sockets that no extrinsics connect.
    """
    sockets = _sockets(read_json(text))
    root = sockets[-1]
    left, right = cameras or _stereo(root)
    first, second = (_camera(sockets, i, image_size) for i in (left, right))
    with np.errstate(all="ignore"):
        pose = _pose(sockets, left, right)
    place = pose[:3, 3]
    return rectified_or_raw(
        metric(first, second, pose[:3, :3], place, unit, "translation", own="cm")
    )


def _sockets(root: dict[str, Any]) -> dict[int, Any]:
    """Socket -> camera; the whole object stands at -1, where no socket is."""
    data = part(root, "cameraData")
    pairs = list(data.items()) if isinstance(data, dict) else data
    sockets: dict[int, Any] = {-1: root}
    for pair in pairs if isinstance(pairs, list) else []:
        if isinstance(pair, list | tuple) and len(pair) == 2:
            fields = {"socket": pair[0], "camera": pair[1]}
            socket = int(max(-1.0, min(real(fields, "socket", "cameraData"), 99.0)))
            sockets[socket] = pair[1] if socket >= 0 else root
    return sockets


def _stereo(root: dict[str, Any]) -> tuple[int, int]:
    data = root.get("stereoRectificationData")
    if isinstance(data, dict):
        left, right = data.get("leftCameraSocket"), data.get("rightCameraSocket")
        if isinstance(left, int) and isinstance(right, int) and left >= 0 and right >= 0:
            return left, right
    return _LEFT, _RIGHT


def _camera(sockets: dict[int, Any], socket: int, image_size: tuple[int, int] | None) -> Camera:
    name = f"camera {socket}"
    if socket not in sockets:
        there = ", ".join(str(i) for i in sorted(sockets) if i >= 0)
        raise InputError("is missing", field=name, expected=f"one of the sockets {there or 'none'}")
    fields = sockets[socket]
    kind = part(fields, "cameraType", name)
    if isinstance(kind, list | dict) or kind not in _MODELS:
        shown = _NAMES.get(kind, kind) if isinstance(kind, int) else kind
        raise InputError(
            "is a camera model without a counterpart here",
            field=f"{name}.cameraType",
            value=shown,
            expected="0 (perspective) or 1 (fisheye)",
        )
    size = count(fields, "width", name), count(fields, "height", name)
    matrix = array(fields, "intrinsicMatrix", (9,), name).tolist()
    terms: list[float] = []
    if fields.get("distortionCoeff"):
        terms = array(fields, "distortionCoeff", (-1,), name).tolist()
    if _MODELS[kind] == "fisheye":
        terms = terms[:4]
    if len(terms) not in ((0, 4) if _MODELS[kind] == "fisheye" else (0, 4, 5, 8, 12, 14)):
        raise InputError(
            f"has {len(terms)} terms", field=f"{name}.distortionCoeff", expected="14, or 4"
        )
    stated = agreed_size(size, image_size)
    return camera_of(matrix, stated, name, distortion=tuple(terms), model=_MODELS[kind])


def _pose(sockets: dict[int, Any], left: int, right: int) -> Array:
    """From the left camera to the right one (4, 4), along whatever extrinsics connect them."""
    steps: dict[int, list[tuple[int, Array]]] = {i: [] for i in sockets if i >= 0}
    for socket in list(steps):
        camera = sockets[socket]
        extrinsics = camera.get("extrinsics") if isinstance(camera, dict) else None
        target = extrinsics.get("toCameraSocket") if isinstance(extrinsics, dict) else None
        if not isinstance(target, int) or target not in steps or target == socket:
            continue
        name = f"camera {socket}.extrinsics"
        pose = np.eye(4)
        pose[:3, :3] = array(extrinsics, "rotationMatrix", (3, 3), name)
        place = part(extrinsics, "translation", name)
        pose[:3, 3] = [real(place, axis, f"{name}.translation") for axis in "xyz"]
        if (
            not np.isfinite(pose).all()
            or np.abs(pose[:3, :3] @ pose[:3, :3].T - np.eye(3)).max() > 1e-2
        ):
            raise InputError("is no pose", field=name, expected="a rotation and a translation")
        steps[socket].append((target, pose))
        steps[target].append((socket, np.linalg.inv(pose)))
    reached, ahead = {left: np.eye(4)}, [left]
    for socket in ahead:
        for target, pose in steps[socket]:
            if target not in reached:
                reached[target] = pose @ reached[socket]
                ahead.append(target)
    if right not in reached:
        raise InputError(
            f"no extrinsics connect the cameras {left} and {right}",
            field="cameraData",
            expected="toCameraSocket from one to the other",
        )
    return reached[right]


def depthai_text(calibration: Calibration) -> str:
    """The pair as an OAK's calibration: left on socket 1, right on socket 2.

    Raises `UsageError` for a raw pair that cannot be rectified.
    """
    if isinstance(calibration, StereoRig):
        rotation, place = np.eye(3), np.array([-calibration.baseline, 0.0, 0.0])
        turns = [np.eye(3), np.eye(3)]
    else:
        rotation, place = calibration.rotation, calibration.translation
        turns, _ = rectifying(calibration)
    to_right = _extrinsics(_RIGHT, rotation, place * 100)
    none = _extrinsics(-1, np.zeros((3, 3)), np.zeros(3))
    root = {
        "batchName": "",
        "batchTime": 0,
        "boardConf": "",
        "boardName": "",
        "boardRev": "",
        "cameraData": [
            [_LEFT, _camera_data(calibration.left, to_right)],
            [_RIGHT, _camera_data(calibration.right, none)],
        ],
        "hardwareConf": "",
        "imuExtrinsics": none,
        "miscellaneousData": [],
        "productName": "",
        "stereoRectificationData": {
            "leftCameraSocket": _LEFT,
            "rectifiedRotationLeft": turns[0].tolist(),
            "rectifiedRotationRight": turns[1].tolist(),
            "rightCameraSocket": _RIGHT,
        },
        "version": 7,
    }
    return json.dumps(root, indent=4, allow_nan=False) + "\n"


def _extrinsics(target: int, rotation: Array, centimetres: Array) -> dict[str, Any]:
    place = dict(zip("xyz", (float(v) for v in centimetres), strict=True))
    return {
        "rotationMatrix": rotation.tolist(),
        "specTranslation": place,
        "toCameraSocket": target,
        "translation": place,
    }


def _camera_data(camera: Camera, extrinsics: dict[str, Any]) -> dict[str, Any]:
    return {
        "cameraType": 1 if camera.model == "fisheye" else 0,
        "distortionCoeff": terms_of(camera, 14),
        "extrinsics": extrinsics,
        "height": camera.height,
        "intrinsicMatrix": camera.matrix.tolist(),
        "lensPosition": 0,
        "specHfovDeg": 0.0,
        "width": camera.width,
    }
