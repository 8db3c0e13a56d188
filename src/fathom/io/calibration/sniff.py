"""Which format a calibration is, by its content; and where one lies beside an image."""

import re
from pathlib import Path

from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import InputError
from fathom.io.calibration.kitti import is_kitti, parse_kitti
from fathom.io.calibration.ktxt import is_ktxt, parse_ktxt
from fathom.io.calibration.middlebury import is_middlebury, parse_middlebury
from fathom.io.calibration.opencv import parse_opencv
from fathom.io.calibration.storage import is_storage
from fathom.io.calibration.text import Unit, read_text
from fathom.io.files import PathLike, in_file

_BESIDE = ("calib.txt", "K.txt", "calib.yml")
_VIEW_FOLDER = re.compile(
    r"(left|right|im(age)?[01]|image_0?[0-3]|colored_[01]|cam[01]|(left|right)_images?"
    r"|images?_(left|right))",
    re.I,
)
_OTHERS = (
    (r"(?m)^camera_matrix\s*:(?s:.)*distortion_model", "a ROS camera_info file"),
    (r"(?m)^cam\d\s*:\s*$", "a Kalibr camchain"),
    (r"(?m)^\[(LEFT|RIGHT)_CAM_|^\[STEREO\]", "a ZED configuration"),
)


def read_calibration(
    path: PathLike,
    *,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    cameras: tuple[int, int] | None = None,
    rectified: bool = False,
) -> StereoRig | StereoCalibration:
    """The rig of a calibration file: a `StereoRig` where it describes rectified images, a
    `StereoCalibration` where they are still to be rectified. The content tells the format
    (Middlebury calib.txt, KITTI, OpenCV FileStorage, K.txt).

    image_size: (width, height) of the images in pixels; needed for formats that state none, and
    compared with those that do. unit: of the lengths, for formats that do not state it (OpenCV,
    K.txt; default metres). cameras: the (left, right) cameras of a KITTI file, default 2 and 3.
    rectified: the images are rectified, so where an OpenCV file holds both the raw cameras and the
    rectified rig (Q, or P1 and P2), it is the rig.

    Raises `InputError`, naming file and field, for a file that is missing, no text, of no known
    format, for another image size, or wrong in a value; `UsageError` for a unit that the format
    contradicts.
    """
    text = read_text(path)
    if is_middlebury(text):
        with in_file(path):
            return parse_middlebury(text, image_size, unit)
    other = next((name for pattern, name in _OTHERS if re.search(pattern, text)), None)
    if other is None and is_storage(text):
        return parse_opencv(text, path, image_size, unit, rectified)
    if is_kitti(text):
        with in_file(path):
            return parse_kitti(text, image_size, unit, cameras)
    if is_ktxt(text):
        with in_file(path):
            return parse_ktxt(text, image_size, unit)
    raise InputError(
        "is no calibration fathom reads" + (f": it looks like {other}" if other else ""),
        file=path,
        expected="Middlebury calib.txt (cam0=...), KITTI (P0: ... or P_rect_02: ...), OpenCV "
        "FileStorage (M1 D1 M2 D2 R T, or Q), or K.txt (nine numbers and the baseline in metres)",
    )


def find_calibration(left_path: Path) -> Path | None:
    """The calibration that lies with an image: calib.txt, K.txt or calib.yml in its folder, or
    calib.txt one folder up where the image's folder is one view's (left, image_2, cam0, ...)."""
    folder = left_path.absolute().parent
    places = [folder / name for name in _BESIDE]
    if _VIEW_FOLDER.fullmatch(folder.name):
        places.append(folder.parent / "calib.txt")
    return next((place for place in places if place.is_file()), None)
