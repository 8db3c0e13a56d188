"""The camera of one image: the left one of a rig's file, or a file that holds one camera alone."""

import json
import re
from pathlib import Path
from typing import Any

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.kitti import cameras_of
from fathom.io.calibration.sniff import find_calibration, format_of_text, read_calibration
from fathom.io.calibration.text import Unit, read_text
from fathom.io.files import PathLike, in_file

_BESIDE = ("camera.json", "calib.json", "intrinsics.json", "intrinsics.txt", "camera_info.yaml")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_MATRIX = re.compile(
    r"\b(?:camera_matrix|cameraMatrix|intrinsic_matrix|K|k)\b\s*[:=][^\[]{0,200}?"
    rf"\[\s*({_NUMBER}(?:\s*,\s*{_NUMBER}){{8}})\s*,?\s*\]",
    re.DOTALL,
)
_LENS = re.compile(
    r"\b(?:distortion_coefficients|dist_coeffs|distCoeffs|D|d)\b\s*[:=][^\[]{0,200}?"
    rf"\[\s*({_NUMBER}(?:\s*,\s*{_NUMBER}){{3,13}})\s*,?\s*\]",
    re.DOTALL,
)
_TWO = re.compile(r"(?m)^\s*<?(M1|cameraMatrix1|K1|Q|T)\b")  # OpenCV's files of two cameras
_SIDE = r"\b{}\b\s*[:=]\s*(\d+)"


def read_camera(
    path: PathLike, size: tuple[int, int], *, unit: Unit | None = None, image: Path | None = None
) -> tuple[Camera, StereoRig | StereoCalibration | None]:
    """The camera that took an image of `size` (width, height), and the rig where the file has one.

    path: any calibration that `read_calibration` reads (then the left camera's), JSON with fx fy
    cx cy (distortion, width, height), nine numbers of a camera matrix, or YAML and text with
    `camera_matrix` or `K` as ROS and OpenCV write them for one camera. image: which file it is
    for, where the format has many cameras.

    Raises `InputError` for anything else, or a file for another size.
    """
    if "," in str(path):
        return _of_rig(path, size, unit, image)
    text = read_text(Path(path))
    name = format_of_text(text)
    if name not in (None, "k-txt", "ros") and (name != "opencv" or _TWO.search(text)):
        return _of_rig(path, size, unit, image)
    with in_file(path):
        found = _json(text) if text.lstrip().startswith("{") else _plain(text)
        if found is None:
            return _of_rig(path, size, unit, image)
        stated = found.pop("size")
        if stated is not None and stated != size:
            raise InputError(
                "is for another image size", field="image size", value=f"{stated[0]}x{stated[1]}",
                expected=f"{size[0]}x{size[1]}",
            )  # fmt: skip
        lens = found.pop("distortion")
        terms = tuple(lens) if any(lens) else ()
        return Camera(*size, **found, distortion=terms), None


def find_camera_file(image: Path) -> Path | None:
    """A calibration beside an image: as for pairs, or one of the names for one camera."""
    found = find_calibration(image)
    if found is not None:
        return found
    folder = image.absolute().parent
    return next((folder / name for name in _BESIDE if (folder / name).is_file()), None)


def _of_rig(
    path: PathLike, size: tuple[int, int], unit: Unit | None, image: Path | None
) -> tuple[Camera, StereoRig | StereoCalibration]:
    cameras = None if image is None else cameras_of(image)
    rig = read_calibration(path, image_size=size, unit=unit, cameras=cameras)
    return rig.left, rig


def _json(text: str) -> dict[str, Any] | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is broken JSON: {error}") from error
    if not isinstance(content, dict) or not all(k in content for k in ("fx", "fy", "cx", "cy")):
        return None
    numbers = {name: content[name] for name in ("fx", "fy", "cx", "cy")}
    lens = content.get("distortion", [])
    whole = [*numbers.values(), *(lens if isinstance(lens, list) else [None])]
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in whole):
        raise InputError("holds values that are no numbers", field="fx, fy, cx, cy, distortion")
    wide, tall = content.get("width"), content.get("height")
    size = (wide, tall) if isinstance(wide, int) and isinstance(tall, int) else None
    return {**numbers, "distortion": lens, "size": size}


def _plain(text: str) -> dict[str, Any] | None:
    words = re.findall(_NUMBER, text)
    if len(words) == 9 and re.fullmatch(rf"[\s\[\],;]*(?:{_NUMBER}[\s\[\],;]*){{9}}", text):
        numbers = [float(word) for word in words]
        lens: list[float] = []
    else:
        match = _MATRIX.search(text)
        if match is None:
            return None
        numbers = [float(word) for word in match[1].split(",")]
        terms = _LENS.search(text)
        lens = [] if terms is None else [float(word) for word in terms[1].split(",")]
    sides = [re.search(_SIDE.format(name), text) for name in ("image_width", "image_height")]
    if not all(sides):
        sides = [re.search(_SIDE.format(name), text) for name in ("width", "height")]
    size = None
    if sides[0] is not None and sides[1] is not None:
        size = (int(sides[0][1]), int(sides[1][1]))
    fx, skew, cx, _, fy, cy = numbers[:6]
    if abs(skew) > 1e-6 * abs(fx) or numbers[6:] != [0, 0, 1]:
        raise InputError(
            "is no camera matrix", field="K", value=numbers, expected="fx 0 cx 0 fy cy 0 0 1"
        )
    return {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "distortion": lens, "size": size}
