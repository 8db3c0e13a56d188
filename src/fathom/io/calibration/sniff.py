"""Which format a calibration is, by its content; the file that belongs to it; and where one lies
beside an image."""

import re
from pathlib import Path

from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import FathomError, InputError
from fathom.io.calibration.colmap import has_images, is_colmap, parse_colmap
from fathom.io.calibration.depthai import is_depthai, parse_depthai
from fathom.io.calibration.kalibr import is_kalibr, parse_kalibr
from fathom.io.calibration.kitti import is_kitti, parse_kitti
from fathom.io.calibration.ktxt import is_ktxt, parse_ktxt
from fathom.io.calibration.middlebury import is_middlebury, parse_middlebury
from fathom.io.calibration.opencv import parse_opencv
from fathom.io.calibration.own import is_own, parse_own, uncertainty_of
from fathom.io.calibration.ros import is_ros, parse_ros
from fathom.io.calibration.stereodemo import is_stereodemo, parse_stereodemo
from fathom.io.calibration.storage import is_storage
from fathom.io.calibration.text import Unit, read_text
from fathom.io.calibration.zed import is_zed, parse_zed
from fathom.io.files import PathLike, in_file

Files = PathLike | tuple[PathLike, PathLike]
"""A calibration's file, or two: (left, right), (intrinsics, extrinsics), (cameras, images)."""

_SNIFFERS = (
    ("fathom", is_own),
    ("stereodemo", is_stereodemo),
    ("depthai", is_depthai),
    ("middlebury", is_middlebury),
    ("zed", is_zed),
    ("ros", is_ros),
    ("kalibr", is_kalibr),
    ("opencv", is_storage),
    ("kitti", is_kitti),
    ("colmap", is_colmap),
    ("k-txt", is_ktxt),
)
_SIDES = (
    *(("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"), ("cam0", "cam1")),
    *(("cam_0", "cam_1"), ("camera0", "camera1"), ("camera_0", "camera_1"), ("l.", "r.")),
)


def read_calibration(
    path: Files,
    *,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    cameras: tuple[int, int] | None = None,
    rectified: bool = False,
) -> StereoRig | StereoCalibration:
    """The rig of a calibration file: a `StereoRig` where it describes rectified images, a
    `StereoCalibration` where they are still to be rectified. The content tells the format
    (docs/calibration.md lists them), never the name.

    path: a file, or two as a tuple or as "left.yaml,right.yaml"; where one of ROS's two files,
    one of intrinsics.yml and extrinsics.yml, or COLMAP's cameras.txt is given alone, the other is
    looked for beside it. image_size: (width, height) of the images in pixels; needed for formats
    that state none, and compared with those that do. unit: of the lengths, for formats that do
    not state it or often hold another (default: the format's own, metres where it has none).
    cameras: (left, right) in files of many cameras: KITTI (default 2, 3), Kalibr (0, 1), DepthAI's
    sockets, COLMAP's ids. rectified: the images are rectified, so where a file holds both the raw
    cameras and the rectified rig (OpenCV, ROS), it is the rig.

    Raises `InputError`, naming file and field, for a file that is missing, no text, of no known
    format, for another image size, wrong in a value, or with a baseline that is implausible in the
    assumed unit; `UsageError` for a unit that the format contradicts.
    """
    first, second = _files(path)
    text = read_text(first)
    name = format_of_text(text)
    if name == "ros":
        return _read_ros(first, second, text, image_size, unit, rectified)
    if name == "colmap" or (second is not None and is_colmap(read_text(second))):
        return _read_colmap(first, second, image_size, unit, cameras)
    if name == "opencv":
        more = None if second is None else read_text(second)
        return parse_opencv(text, first, image_size, unit, rectified, more)
    if second is not None:
        raise InputError(
            "is not half of a calibration in two files",
            file=first,
            expected="ROS's left and right, OpenCV's intrinsics and extrinsics, or COLMAP's "
            "cameras and images",
            remedy="give the one file that holds the calibration",
        )
    with in_file(first):
        if name in ("kalibr", "depthai", "kitti"):
            parse = {"kalibr": parse_kalibr, "depthai": parse_depthai, "kitti": parse_kitti}[name]
            return parse(text, image_size, unit, cameras)
        if name in _PLAIN:
            return _PLAIN[name](text, image_size, unit)
    raise InputError(
        "is no calibration fathom reads",
        file=first,
        expected="Middlebury calib.txt (cam0=...), KITTI (P0: ... or P_rect_02: ...), OpenCV "
        "FileStorage (M1 D1 M2 D2 R T, or Q), ROS camera_info, Kalibr camchain, ZED conf, DepthAI "
        "or stereodemo json, COLMAP cameras.txt, fathom's own JSON, or K.txt (nine numbers and "
        "the baseline in metres)",
    )


_PLAIN = {
    "fathom": parse_own,
    "stereodemo": parse_stereodemo,
    "middlebury": parse_middlebury,
    "zed": parse_zed,
    "k-txt": parse_ktxt,
}


def format_of_text(text: str) -> str | None:
    """The name of the format (as in `FORMATS`) that the text looks like, or None."""
    return next((name for name, is_it in _SNIFFERS if is_it(text)), None)


def read_uncertainty(path: PathLike) -> dict[str, float]:
    """The standard deviations that a calibration file holds by name: pixels and metres.

    Empty for every format but fathom's own. Raises as `read_calibration` does.
    """
    first, second = _files(path)
    text = "" if second is not None else read_text(first)
    if format_of_text(text) != "fathom":
        return {}
    with in_file(first):
        return uncertainty_of(text)


def _files(path: Files) -> tuple[Path, Path | None]:
    if isinstance(path, tuple):
        return Path(path[0]), Path(path[1])
    words = str(path).split(",")
    if len(words) != 2 or Path(path).exists() or not all(words):
        return Path(path), None
    first, second = Path(words[0]), Path(words[1])
    near = first.with_name(second.name)
    # A second name without a folder lies beside the first, as it does when it is written.
    return first, near if second.parent == Path() and near.exists() else second


def _read_ros(
    first: Path,
    second: Path | None,
    text: str,
    image_size: tuple[int, int] | None,
    unit: Unit | None,
    rectified: bool,
) -> StereoRig | StereoCalibration:
    left, right = (first, second) if second is not None else _sides(first)
    texts = [text if file == first else read_text(file) for file in (left, right)]
    for file, content in zip((left, right), texts, strict=True):
        if not is_ros(content):
            raise InputError(
                "is no ROS camera_info, and the other one is",
                file=file,
                expected="the camera_info of the other camera",
            )
    return parse_ros((texts[0], texts[1]), (left, right), image_size, unit, rectified)


def _sides(file: Path) -> tuple[Path, Path]:
    """(left, right) where one of the two is given: same folder and name but for the side, or the
    same name in a folder that differs so."""
    other = partner(file)
    if other is None:
        raise InputError(
            "is a ROS camera_info, which holds one camera of two",
            file=file,
            expected="the other one beside it (left.yaml and right.yaml)",
            remedy="give both: left.yaml,right.yaml",
        )
    return (other, file) if _is_right(file, other) else (file, other)


def _is_right(file: Path, other: Path) -> bool:
    own, others = str(file.absolute()), str(other.absolute())
    return any(others.replace(a, b) == own and own.replace(b, a) == others for a, b in _SIDES)


def partner(file: Path) -> Path | None:
    """The file of the other camera: left for right, cam0 for cam1, in its name or its folder's."""
    for a, b in (*_SIDES, *(side[::-1] for side in _SIDES)):
        for other in (
            file.with_name(file.name.replace(a, b)),
            file.absolute().parent.parent / file.absolute().parent.name.replace(a, b) / file.name,
        ):
            if other.absolute() != file.absolute() and other.is_file():
                return other
    return None


def _read_colmap(
    first: Path,
    second: Path | None,
    image_size: tuple[int, int] | None,
    unit: Unit | None,
    cameras: tuple[int, int] | None,
) -> StereoRig | StereoCalibration:
    lenses, other = first, second
    if second is not None and not is_colmap(read_text(first)):
        lenses, other = second, first
    if other is not None:
        text = read_text(other)
        with in_file(other):
            poses = {"images.txt" if has_images(text) else "rigs.txt": text}
    else:
        beside = [(name, lenses.with_name(name)) for name in ("rigs.txt", "images.txt")]
        poses = {name: read_text(file) for name, file in beside if file.is_file()}
    with in_file(lenses):
        return parse_colmap(read_text(lenses), poses, image_size, unit, cameras)


_BESIDE = (
    *("calibration.json", "calib.txt", "K.txt", "calib.yml", "calib.yaml", "calib.xml"),
    *("stereodemo_calibration.json", "camchain.yaml", "*camchain*.yaml"),
    *("calib_cam_to_cam.txt", "SN[0-9]*.conf"),
)
_PAIRED = (
    *("left.yaml", "left.yml", "left_camera_info.yaml", "camera_info_left.yaml"),
    *("camera_left.yaml", "cam0.yaml", "intrinsics.yml", "intrinsics.yaml", "intrinsics.xml"),
)
_NOT_ABOVE = ("K.txt", "calib.yml")
_CERTAIN = ("calib.txt", "K.txt", "calib.yml")  # any other name may be somebody else's file
_VIEW_FOLDER = re.compile(
    r"(left|right|im(age)?[01]|image_0?[0-3]|colored_[01]|cam[01]|(left|right)_images?"
    r"|images?_(left|right))",
    re.I,
)


def find_calibration(left_path: Path) -> Path | None:
    """The calibration that lies with an image: in its folder, or one folder up where the image's
    folder is one view's (left, image_2, cam0, ...); calib_cam_to_cam.txt where KITTI's raw data
    have it. Of two files it is the first, and the second must be there."""
    folder = left_path.absolute().parent
    found = _in_folder(folder, _BESIDE)
    if found is None and _VIEW_FOLDER.fullmatch(folder.name):
        found = _in_folder(folder.parent, tuple(n for n in _BESIDE if n not in _NOT_ABOVE))
    if found is None and folder.name == "data" and _VIEW_FOLDER.fullmatch(folder.parent.name):
        above = folder.parents[2] / "calib_cam_to_cam.txt"
        found = above if above.is_file() else None
    return found


def _in_folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    for name in names:
        places = sorted(folder.glob(name)) if "*" in name else [folder / name]
        found = next((place for place in places if place.is_file()), None)
        if found is not None and (name in _CERTAIN or _known(found)):
            return found
    for name in _PAIRED:
        place = folder / name
        other = partner(place) if "intrinsics" not in name else _extrinsics(place)
        if place.is_file() and other is not None and _known(place):
            return place
    return None


def _known(place: Path) -> bool:
    """True if the content is of a format that is read here."""
    try:
        return format_of_text(read_text(place)) is not None
    except FathomError:
        return False


def _extrinsics(place: Path) -> Path | None:
    for suffix in (place.suffix, ".yml", ".yaml", ".xml"):
        other = place.with_name("extrinsics" + suffix)
        if other.is_file():
            return other
    return None
