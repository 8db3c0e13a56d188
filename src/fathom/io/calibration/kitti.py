"""KITTI's calibrations: P0..P3 of the benchmarks, and calib_cam_to_cam.txt of the raw data.

A. Geiger et al., Vision meets robotics: the KITTI dataset, IJRR 2013. P is 3x4 and row by row,
P[0, 3] = -fx times the camera's x in metres, seen from camera 0. Cameras 0 and 1 are grey, 2 and
3 are colour.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.text import (
    Unit,
    agreed_size,
    camera_of,
    floats,
    no_fisheye,
    plus_to,
    refuse_unit,
    terms_of,
    whole,
    wrong_size,
)

Fields = dict[str, str]
_COLOR, _GREY = (2, 3), (0, 1)


def is_kitti(text: str) -> bool:
    """True if the text has a line `P2:`, `P_rect_02:` or `K_02:` (any camera)."""
    return re.search(r"(?m)^\s*(P(_rect_0)?\d|K_0\d)\s*:", text) is not None


def cameras_of(left_path: Path) -> tuple[int, int] | None:
    """The pair of cameras that the name of an image's folder tells (image_0, image_02/data), or
    None."""
    for folder in left_path.absolute().parts[-3:-1][::-1]:
        match = re.fullmatch(r"image_0?([0-3])", folder)
        if match:
            return _GREY if int(match[1]) < 2 else _COLOR
        if re.fullmatch(r"colored_[01]", folder):
            return _COLOR
    return None


def parse_kitti(
    text: str,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    cameras: tuple[int, int] | None = None,
) -> StereoRig | StereoCalibration:
    """The rectified rig, or the raw calibration where the images have the raw size.

    cameras: (left, right); without it 2 and 3, or 0 and 1 where only these are there. Raw data
    hold both: images of the size S_rect get the rig, images of the size S the `StereoCalibration`,
    and without `image_size` it is the rig, where there is one. Files with P alone are rectified
    and state no size.

    Raises `InputError` (without the file's name) for missing or wrong fields or another image
    size, `UsageError` for a `unit` other than the format's metres.
    """
    refuse_unit(unit, "m", "a KITTI calibration")
    fields = _fields(text)
    pair = cameras or _pair(fields)
    size = _size(fields, "S_rect", pair[0])
    raw = _size(fields, "S", pair[0])
    if raw is not None and not any(_has_projection(fields, camera) for camera in pair):
        return _raw(fields, pair, agreed_size(raw, image_size))
    if image_size is not None and size is not None and image_size != size:
        if raw is not None and image_size == raw:
            return _raw(fields, pair, raw)
        raise wrong_size(size, image_size)
    return _rig(fields, pair, agreed_size(size, image_size))


def _fields(text: str) -> Fields:
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon}


def _pair(fields: Fields) -> tuple[int, int]:
    def there(camera: int) -> bool:
        return _has_projection(fields, camera) or f"K_0{camera}" in fields

    return _GREY if all(map(there, _GREY)) and not any(map(there, _COLOR)) else _COLOR


def _has_projection(fields: Fields, camera: int) -> bool:
    return f"P{camera}" in fields or f"P_rect_0{camera}" in fields


def _size(fields: Fields, name: str, camera: int) -> tuple[int, int] | None:
    key = f"{name}_0{camera}"
    if key not in fields:
        return None
    width, height = (whole(str(v), key) for v in floats(fields[key], 2, key))
    return width, height


def _numbers(fields: Fields, key: str, count: int) -> list[float]:
    if key not in fields:
        raise InputError("is missing", field=key, expected=f"a line `{key}:` of {count} numbers")
    return floats(fields[key], count, key)


def _rig(fields: Fields, pair: tuple[int, int], size: tuple[int, int]) -> StereoRig:
    cameras: list[Camera] = []
    shifts: list[float] = []
    for i in pair:
        key = f"P_rect_0{i}" if f"P_rect_0{i}" in fields else f"P{i}"
        values = _numbers(fields, key, 12)
        kept = [v for k, v in enumerate(values) if k % 4 != 3]
        cameras.append(camera_of(kept, size, key))
        shifts.append(values[3])
    left, right = cameras
    baseline = (shifts[0] - shifts[1]) / left.fx
    if not baseline > 0:
        raise InputError(
            "does not stand to the right of the left camera",
            field=f"P{pair[1]}",
            value=f"baseline {baseline:.6g} m",
            expected=f"P{pair[1]}[0,3] < P{pair[0]}[0,3]",
            remedy="give the cameras in the order left, right",
        )
    return StereoRig(left, right, baseline)


def _raw(fields: Fields, pair: tuple[int, int], size: tuple[int, int]) -> StereoCalibration:
    cameras, rotations, places = [], [], []
    for i in pair:
        stated = _size(fields, "S", i)
        if stated is not None and stated != size:
            raise wrong_size(stated, size)
        matrix = _numbers(fields, f"K_0{i}", 9)
        terms = tuple(_numbers(fields, f"D_0{i}", 5))
        cameras.append(replace(camera_of(matrix, size, f"K_0{i}"), distortion=terms))
        rotations.append(np.array(_numbers(fields, f"R_0{i}", 9)).reshape(3, 3))
        places.append(np.array(_numbers(fields, f"T_0{i}", 3)))
    # R_i, T_i take points from camera 0 to camera i; left to right goes back through camera 0.
    with np.errstate(all="ignore"):
        rotation = rotations[1] @ rotations[0].T
        translation = places[1] - rotation @ places[0]
        return StereoCalibration(cameras[0], cameras[1], rotation, translation)


def kitti_text(rig: StereoRig) -> str:
    """P0 .. P3 of the benchmarks: the rig stands as the grey pair and as the colour pair."""
    rows = _projections(rig)
    return "".join(f"P{i}: {rows[i % 2]}\n" for i in range(4))


def kitti_raw_text(calibration: StereoRig | StereoCalibration) -> str:
    """calib_cam_to_cam.txt of the colour pair: S K D R T of raw cameras, S_rect R_rect P_rect of a
    rig. Five terms of distortion and one image size; the rest is left out.

    Raises `UsageError` for fisheye cameras.
    """
    cameras = (calibration.left, calibration.right)
    lines = []
    if isinstance(calibration, StereoRig):
        for i, (camera, row) in enumerate(zip(cameras, _projections(calibration), strict=True), 2):
            lines.append(f"S_rect_0{i}: {camera.width} {camera.height}")
            lines += [f"R_rect_0{i}: {_line(np.eye(3))}", f"P_rect_0{i}: {row}"]
        return "\n".join(lines) + "\n"
    no_fisheye(calibration, "KITTI")
    turns = (np.eye(3), calibration.rotation)
    places = (np.zeros(3), calibration.translation)
    for i, camera in enumerate(cameras):
        name = f"_0{i + 2}"
        lines += [f"S{name}: {cameras[0].width} {cameras[0].height}"]
        lines += [f"K{name}: {_line(camera.matrix)}"]
        lines += [f"D{name}: {_line(np.array(terms_of(camera, 5)))}"]
        lines += [f"R{name}: {_line(turns[i])}", f"T{name}: {_line(places[i])}"]
    return "\n".join(lines) + "\n"


def _projections(rig: StereoRig) -> list[str]:
    left, right = (np.hstack([c.matrix, np.zeros((3, 1))]) for c in (rig.left, rig.right))
    right[0, 3] = -plus_to(0, rig.left.fx, rig.baseline)
    return [_line(left), _line(right)]


def _line(values: Array) -> str:
    return " ".join(repr(float(v)) for v in values.ravel())
