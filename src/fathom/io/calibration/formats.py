"""The formats that calibrations are written in: names, file names, what each can hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import UsageError, unknown_name
from fathom.io.calibration.colmap import colmap_texts, parse_colmap
from fathom.io.calibration.depthai import depthai_text, parse_depthai
from fathom.io.calibration.kalibr import kalibr_text, parse_kalibr
from fathom.io.calibration.kitti import kitti_raw_text, kitti_text, parse_kitti
from fathom.io.calibration.ktxt import ktxt_text, parse_ktxt
from fathom.io.calibration.middlebury import middlebury_text, parse_middlebury
from fathom.io.calibration.opencv import opencv_text, parse_opencv
from fathom.io.calibration.own import Calibration, own_text, parse_own
from fathom.io.calibration.ros import parse_ros, ros_texts
from fathom.io.calibration.stereodemo import parse_stereodemo, stereodemo_text
from fathom.io.calibration.zed import parse_zed, zed_text

Texts = tuple[str, ...]
Size = tuple[int, int] | None


@dataclass(frozen=True)
class Format:
    """One format. name: as in `--to`. title: in a sentence. files: what its files are usually
    called, for the help. holds: which calibrations it can hold. build: a calibration's text, or
    texts where the format has several files. parse: the way back, given the image size."""

    name: str
    title: str
    files: str
    holds: tuple[str, ...]
    build: Callable[[Calibration, Path], Texts]
    parse: Callable[[Texts, Size], Calibration]


_BOTH, _RECTIFIED = ("raw", "rectified"), ("rectified",)


def _rig_only(text: Callable[[StereoRig], str]) -> Callable[[Calibration, Path], Texts]:
    def build(calibration: Calibration, _path: Path) -> Texts:
        if isinstance(calibration, StereoCalibration):
            raise UsageError(
                "holds rectified rigs, and this calibration is raw",
                field="format",
                remedy="choose one for raw cameras (fathom, opencv, ros, kalibr, ...), or write "
                "the rig of the rectified images: --rectify",
            )
        return (text(calibration),)

    return build


def _any(text: Callable[[Calibration], str]) -> Callable[[Calibration, Path], Texts]:
    return lambda calibration, _path: (text(calibration),)


def _one(parse: Callable[[str, Size], Calibration]) -> Callable[[Texts, Size], Calibration]:
    return lambda texts, size: parse(texts[0], size)


FORMATS: tuple[Format, ...] = (
    Format(
        "fathom",
        "fathom's own JSON, which carries everything",
        "calibration.json",
        _BOTH,
        _any(own_text),
        _one(parse_own),
    ),
    Format(
        "opencv",
        "OpenCV FileStorage (M1 D1 M2 D2 R T, or P1 P2 Q)",
        "calib.yml, calib.xml, or intrinsics.yml,extrinsics.yml",
        _BOTH,
        lambda c, path: (opencv_text(c, path.suffix.lower() == ".xml"),),
        lambda texts, size: parse_opencv(texts[0], "", size, more="".join(texts[1:]) or None),
    ),
    Format(
        "ros",
        "ROS camera_info, one YAML file a camera",
        "left.yaml,right.yaml",
        _BOTH,
        lambda c, _: ros_texts(c),
        lambda texts, size: parse_ros((texts[0], texts[1]), ("left", "right"), size),
    ),
    Format(
        "kalibr", "Kalibr camchain", "camchain.yaml", _BOTH,
        _any(kalibr_text), _one(parse_kalibr),
    ),
    Format(
        "kitti", "KITTI P0..P3 (object, odometry)", "calib.txt", _RECTIFIED,
        _rig_only(kitti_text), _one(parse_kitti),
    ),
    Format(
        "kitti-raw", "KITTI raw data", "calib_cam_to_cam.txt", _BOTH,
        _any(kitti_raw_text), _one(parse_kitti),
    ),
    Format(
        "middlebury", "Middlebury and ETH3D", "calib.txt", _RECTIFIED,
        _rig_only(middlebury_text), _one(parse_middlebury),
    ),
    Format(
        "k-txt", "nine numbers of K and the baseline (FoundationStereo)", "K.txt", _RECTIFIED,
        _rig_only(ktxt_text), _one(parse_ktxt),
    ),
    Format("zed", "ZED configuration", "SN12345678.conf", _BOTH, _any(zed_text), _one(parse_zed)),
    Format(
        "depthai", "DepthAI calibration (OAK)", "depthai_calib.json", _BOTH,
        _any(depthai_text), _one(parse_depthai),
    ),
    Format(
        "colmap",
        "COLMAP text model",
        "cameras.txt,images.txt",
        _BOTH,
        lambda c, _: colmap_texts(c),
        lambda texts, size: parse_colmap(texts[0], {"images.txt": texts[1]}, size),
    ),
    Format(
        "stereodemo", "stereodemo", "stereodemo_calibration.json", _RECTIFIED,
        _rig_only(stereodemo_text), _one(parse_stereodemo),
    ),
)  # fmt: skip
_ALIASES = {"json": "fathom", "camera_info": "ros", "camchain": "kalibr", "eth3d": "middlebury"}
_ALIASES |= {"ktxt": "k-txt", "k.txt": "k-txt", "foundationstereo": "k-txt", "oak": "depthai"}
_ALIASES |= {"yml": "opencv", "xml": "opencv", "kitti_raw": "kitti-raw", "k_txt": "k-txt"}
_BY_NAME = (
    (r"stereodemo.*\.json", "stereodemo"),
    (r"(depthai|oak).*\.json", "depthai"),
    (r".*camchain.*\.ya?ml", "kalibr"),
    (r".*(left|right|camera_info).*\.ya?ml", "ros"),
    (r".*\.(yml|yaml|xml)", "opencv"),
    (r"calib_cam_to_cam.*\.txt", "kitti-raw"),
    (r"(.*_)?k\.txt", "k-txt"),
    (r"cameras\.txt", "colmap"),
    (r".*\.conf", "zed"),
)


def format_named(name: str) -> Format:
    """The format of that name. Raises `UsageError` with the close ones for an unknown name."""
    plain = _ALIASES.get(name.lower(), name.lower())
    for known in FORMATS:
        if known.name == plain:
            return known
    raise unknown_name("calibration format", name, [known.name for known in FORMATS])


def format_of_path(path: Path) -> Format:
    """The format that a file's name means.

    Raises `UsageError` for a .txt that several formats are called by, and for a name that no
    format is called by.
    """
    name = path.name.lower()
    for pattern, found in _BY_NAME:
        if re.fullmatch(pattern, name):
            return format_named(found)
    if name.endswith(".txt"):
        raise UsageError(
            "may be several formats by its name",
            file=path,
            field="format",
            expected="middlebury, kitti, kitti-raw, k-txt or colmap",
            remedy="name one: --to middlebury",
        )
    if not name.endswith(".json"):
        raise UsageError(
            "does not tell the format by its name",
            file=path,
            field="format",
            expected=".json (fathom's own), .yml or .xml (OpenCV), left.yaml,right.yaml (ROS), ...",
            remedy="name one: --to opencv",
        )
    return format_named("fathom")
