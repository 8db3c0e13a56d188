"""KITTI's calibrations: P0..P3 of the benchmarks, and calib_cam_to_cam.txt of the raw data.

A. Geiger et al., Vision meets robotics: the KITTI dataset, IJRR 2013. P is 3x4 and row by row,
P[0, 3] = -fx times the camera's x in metres, seen from camera 0. Cameras 0 and 1 are grey, 2 and
3 are colour.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.text import (
    Unit,
    agreed_size,
    camera_of,
    floats,
    refuse_unit,
    whole,
    wrong_size,
)

Fields = dict[str, str]
_COLOR, _GREY = (2, 3), (0, 1)


def is_kitti(text: str) -> bool:
    """True if the text has a line `P2:` or `P_rect_02:` (any camera)."""
    return re.search(r"(?m)^\s*P(_rect_0)?\d\s*:", text) is not None


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
    and without `image_size` it is the rig. Files with P alone are rectified and state no size.

    Raises `InputError` (without the file's name) for missing or wrong fields or another image
    size, `UsageError` for a `unit` other than the format's metres.
    """
    refuse_unit(unit, "m", "a KITTI calibration")
    fields = _fields(text)
    pair = cameras or _pair(fields)
    size = _size(fields, "S_rect", pair[0])
    raw = _size(fields, "S", pair[0])
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
        return f"P{camera}" in fields or f"P_rect_0{camera}" in fields

    return _GREY if all(map(there, _GREY)) and not any(map(there, _COLOR)) else _COLOR


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
