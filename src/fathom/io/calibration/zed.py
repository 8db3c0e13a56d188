"""ZED's SN<serial>.conf: raw cameras by resolution, the pose in [STEREO], millimetres.

Stereolabs' own calibration tool writes Baseline = -T[0], TY = T[1], TZ = T[2] and the rotation
vector as RX, CV, RZ, with X_right = R X_left + T (github.com/stereolabs/zed-stereo-calibration);
files from the factory have five terms of distortion in each camera's section, newer ones eight in
[LEFT_DISTO] and [RIGHT_DISTO].
"""

import re
from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from fathom.core.camera import Camera, CameraModel, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.io.calibration.own import Calibration
from fathom.io.calibration.pose import (
    from_rotation_vector,
    metric,
    rectified_or_raw,
    to_rotation_vector,
)
from fathom.io.calibration.text import Unit, camera_of, no_fisheye, number, terms_of

SIZES = {
    "2k": (2208, 1242),
    "fhd": (1920, 1080),
    "hd": (1280, 720),
    "vga": (672, 376),
    "fhd1200": (1920, 1200),
    "svga": (960, 600),
    "4k": (3840, 2160),
    "qhdplus": (3200, 1800),
}
"""The width and height in pixels that a section's name stands for."""

Sections = Mapping[str, Mapping[str, str]]
_EIGHT = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


def is_zed(text: str) -> bool:
    """True if the text has a section like [LEFT_CAM_HD]."""
    return re.search(r"(?mi)^\s*\[LEFT_CAM_\w+\]", text) is not None


def parse_zed(
    text: str, image_size: tuple[int, int] | None = None, unit: Unit | None = None
) -> Calibration:
    """The raw pair of the resolution of the images. unit: of Baseline, TY, TZ; default mm.

    Raises `InputError` (without the file's name) for missing or wrong values, a resolution the
    file does not have, or several and no `image_size`.
    """
    sections = _sections(text)
    mode = _mode(sections, image_size)
    left, right = (_camera(sections, side, mode) for side in ("left", "right"))
    stereo = sections.get("stereo")
    if not stereo:
        raise InputError("is missing", field="[STEREO]", expected="Baseline, TY, TZ, RX, CV, RZ")

    def value(name: str) -> float:
        key = f"{name}_{mode}" if f"{name}_{mode}" in stereo else name
        return number(stereo.get(key, "0"), f"STEREO.{name}")

    if "baseline" not in stereo:
        raise InputError("is missing", field="STEREO.Baseline", expected="millimetres > 0")
    vector = np.array([value("rx"), value("cv"), value("rz")])
    if not np.isfinite(vector).all():
        raise InputError("is not finite", field="STEREO.RX CV RZ", value=vector.tolist())
    place = np.array([-value("baseline"), value("ty"), value("tz")])
    rotation = from_rotation_vector(vector)
    return rectified_or_raw(metric(left, right, rotation, place, unit, "STEREO.Baseline", own="mm"))


def _sections(text: str) -> Sections:
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for raw in text.splitlines():
        line = re.split(r"[;#]", raw)[0].strip()
        title = re.fullmatch(r"\[([^\]]+)\]", line)
        if title:
            current = sections.setdefault(title[1].strip().lower(), {})
        elif "=" in line:
            name, _, value = line.partition("=")
            current[name.strip().lower()] = value.strip()
    return sections


def _mode(sections: Sections, image_size: tuple[int, int] | None) -> str:
    """The resolution's name in the sections' names."""
    there = [m for m in SIZES if f"left_cam_{m}" in sections and f"right_cam_{m}" in sections]
    listed = ", ".join(f"{SIZES[m][0]}x{SIZES[m][1]}" for m in there)
    if not there:
        raise InputError("holds no resolution of both cameras", field="[LEFT_CAM_...]")
    if image_size is None and len(there) > 1:
        raise InputError(
            "holds several resolutions, and none was chosen",
            field="image size",
            expected=f"one of {listed}",
            remedy="give image_size",
        )
    found = [m for m in there if image_size in (None, SIZES[m])]
    if not found:
        width, height = image_size or (0, 0)
        raise InputError(
            "is not among the resolutions in the file",
            field="image size",
            value=f"{width}x{height}",
            expected=f"one of {listed}",
            remedy="give the images as the camera made them, one view each",
        )
    return found[0]


def _camera(sections: Sections, side: str, mode: str) -> Camera:
    name = f"{side.upper()}_CAM_{mode.upper()}"
    section = sections[f"{side}_cam_{mode}"]
    for key in ("fx", "fy", "cx", "cy"):
        if key not in section:
            raise InputError("is missing", field=f"{name}.{key}", expected="pixels")
    fx, fy, cx, cy = (number(section[key], f"{name}.{key}") for key in ("fx", "fy", "cx", "cy"))
    lens = sections.get(f"{side}_disto", section)
    model: CameraModel = "pinhole"
    names: tuple[str, ...] = _EIGHT if lens is not section else _EIGHT[:5]
    if lens is not section and "k4" in lens and "p1" not in lens:
        model, names = "fisheye", ("k1", "k2", "k3", "k4")
    terms = tuple(number(lens.get(key, "0"), f"{name}.{key}") for key in names)
    matrix = (fx, 0, cx, 0, fy, cy, 0, 0, 1)
    return camera_of(matrix, SIZES[mode], name, distortion=terms, model=model)


def zed_text(calibration: Calibration) -> str:
    """The pair as a .conf of one resolution. Terms of distortion beyond eight are left out.

    Raises `UsageError` for fisheye cameras, or an image size that no section stands for.
    """
    mode = next((m for m, size in SIZES.items() if size == calibration.left.size), None)
    if mode is None:
        sizes = ", ".join(f"{w}x{h}" for w, h in SIZES.values())
        width, height = calibration.left.size
        raise UsageError(
            "is no resolution of a ZED", field="size", value=f"{width}x{height}", expected=sizes
        )
    if isinstance(calibration, StereoRig):
        vector, place = np.zeros(3), np.array([-calibration.baseline, 0, 0])
    else:
        no_fisheye(calibration, "ZED")
        vector = to_rotation_vector(calibration.rotation)
        place = calibration.translation
    lines: list[str] = []
    sides = (("LEFT", calibration.left), ("RIGHT", calibration.right))
    for side, camera in sides:
        numbers = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}
        numbers |= dict(zip(_EIGHT[:5], terms_of(camera, 5), strict=True))
        lines += [f"[{side}_CAM_{mode.upper()}]", *(f"{k}={v!r}" for k, v in numbers.items()), ""]
    if any(len(camera.distortion) > 5 for _, camera in sides):
        for side, camera in sides:
            terms = zip(_EIGHT, terms_of(camera, 8), strict=True)
            lines += [f"[{side}_DISTO]", *(f"{k}={v!r}" for k, v in terms), ""]
    millimetres = [f"{Decimal(repr(float(v))).scaleb(3):f}" for v in (-place[0], *place[1:])]
    lines += ["[STEREO]"]
    lines += [f"{k}={v}" for k, v in zip(("Baseline", "TY", "TZ"), millimetres, strict=True)]
    angles = zip(("RX", "CV", "RZ"), vector, strict=True)
    lines += [f"{k}_{mode.upper()}={float(v)!r}" for k, v in angles]
    return "\n".join(lines) + "\n"
