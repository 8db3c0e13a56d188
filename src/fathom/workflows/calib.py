"""Calibrations as a job: what is in one, and the same in another format."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import UsageError
from fathom.core.options import option
from fathom.geometry.plausible import field_of_view, implausibilities, turn
from fathom.io.calibration.sniff import format_of_text, read_calibration, read_uncertainty
from fathom.io.calibration.text import read_text
from fathom.io.calibration.write import targets, write_calibration

Unit = Literal["m", "cm", "mm"]
Calibration = StereoRig | StereoCalibration


@dataclass(frozen=True)
class CalibOptions:
    """How a calibration is read, and what is done to it before it is written."""

    size: str | None = option(
        None, "size of the images, for formats that state none or several", metavar="WxH"
    )
    unit: Unit | None = option(
        None, "unit of the lengths in the file (default: the format's own, else metres)"
    )
    cameras: str | None = option(
        None, "left and right in files of many cameras (KITTI 2,3; Kalibr 0,1)", metavar="I,J"
    )
    rectified: bool = option(
        False, "take the rectified rig where a file holds raw cameras, too (OpenCV, ROS)"
    )
    rectify: bool = option(
        False, "of raw cameras, the rig that their rectified images have (fathom rectify)"
    )
    scale: float = option(1.0, "the calibration of the images resized by this", metavar="S")

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 100:
            raise UsageError(
                "is out of range", field="scale", value=self.scale, expected="0 < scale <= 100"
            )
        self.image_size()
        self.camera_pair()

    def image_size(self) -> tuple[int, int] | None:
        """(width, height) in pixels. Raises `UsageError` for what is no size."""
        return _two(self.size, r"\s*(\d{1,6})\s*[xX*, ]\s*(\d{1,6})\s*", "size", "640x480")

    def camera_pair(self) -> tuple[int, int] | None:
        """(left, right). Raises `UsageError` for what are no two numbers."""
        return _two(self.cameras, r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", "cameras", "2,3")


def _two(text: str | None, pattern: str, name: str, example: str) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(pattern, text)
    if match is None or (name == "size" and 0 in (int(match[1]), int(match[2]))):
        raise UsageError("is not two whole numbers", field=name, value=text, expected=example)
    return int(match[1]), int(match[2])


@dataclass(frozen=True, eq=False)
class Converted:
    """What a conversion did. files: written. lost: what the format could not take, a line each.
    implausible: what no real pair of cameras has, a line each."""

    calibration: Calibration
    files: tuple[Path, ...]
    format: str
    lost: tuple[str, ...]
    implausible: tuple[str, ...]


def read_calibration_file(source: str | Path, options: CalibOptions) -> Calibration:
    """The calibration in `source`, rectified and scaled as `options` say.

    Raises what `read_calibration` raises, and `InputError` for raw cameras that cannot be
    rectified where that is asked for.
    """
    calibration = read_calibration(
        source,
        image_size=options.image_size(),
        unit=options.unit,
        cameras=options.camera_pair(),
        rectified=options.rectified,
    )
    if options.rectify and isinstance(calibration, StereoCalibration):
        from fathom.geometry.rectify import rectify
        from fathom.io.files import in_file

        with in_file(source):
            calibration = rectify(calibration).rig
    return scaled(calibration, options.scale)


def scaled(calibration: Calibration, scale: float) -> Calibration:
    """The calibration of the images resized by `scale`, sizes rounded as `resize_pair` does.

    Raises `UsageError` for a scale that leaves no pixel.
    """
    if scale == 1:
        return calibration
    if isinstance(calibration, StereoRig):
        width, height = _size_of(calibration.left, scale)
        ratios = width / calibration.left.width, height / calibration.left.height
        return calibration.scaled(*ratios, width, height)
    cameras = []
    for camera in (calibration.left, calibration.right):
        width, height = _size_of(camera, scale)
        cameras.append(camera.scaled(width / camera.width, height / camera.height, width, height))
    return replace(calibration, left=cameras[0], right=cameras[1])


def _size_of(camera: Camera, scale: float) -> tuple[int, int]:
    width, height = round(camera.width * scale), round(camera.height * scale)
    if min(width, height) < 1:
        size = f"{camera.width}x{camera.height}"
        raise UsageError(f"leaves no pixel of a {size} image", field="scale", value=scale)
    return width, height


def convert_calibration(
    source: str | Path,
    target: str | Path,
    options: CalibOptions | None = None,
    *,
    to: str | None = None,
    force: bool = False,
) -> Converted:
    """Write the calibration in `source` to `target`, in the format `to`, else by its name.

    The uncertainties of a fathom calibration go along where they still hold (no --rectify) and the
    format has room. Nothing that exists is replaced unless `force`.

    Raises `UsageError` if the target exists, or its format cannot hold such a calibration;
    `InputError` for a source that is no calibration; `ResourceError` if it cannot be written.
    """
    options = options or CalibOptions()
    files, chosen = targets(target, to)
    if not force:
        for file in files:
            if file.exists():
                raise UsageError(
                    "exists already", file=file, remedy="choose another name, or --force"
                )
    calibration = read_calibration_file(source, options)
    kept = read_uncertainty(source)
    changed = options.rectify or options.scale != 1
    known = {} if changed else kept
    lost = write_calibration(target, calibration, format=chosen.name, uncertainty=known)
    if kept and changed:
        lost.append("the uncertainties are dropped: they are those of the raw cameras, unscaled")
    absurd = implausibilities(calibration)
    return Converted(calibration, files, chosen.name, tuple(lost), tuple(absurd))


def describe_calibration(source: str | Path, options: CalibOptions | None = None) -> dict[str, Any]:
    """Everything about a calibration as plain values: format, cameras, pose, what is implausible.

    Lengths in metres, angles in degrees, the rest in pixels. Raises as `read_calibration_file`.
    """
    options = options or CalibOptions()
    calibration = read_calibration_file(source, options)
    first = str(source) if Path(source).exists() else str(source).split(",")[0]
    info: dict[str, Any] = {
        "file": str(source),
        "format": format_of_text(read_text(first)),
        "kind": "raw" if isinstance(calibration, StereoCalibration) else "rectified",
        "left": _camera(calibration.left),
        "right": _camera(calibration.right),
        "baseline_m": calibration.baseline,
    }
    if isinstance(calibration, StereoRig):
        info |= {"doffs_px": calibration.doffs, "max_disparity_px": calibration.max_disparity}
    else:
        info["rotation"] = calibration.rotation.tolist()
        info["rotation_deg"] = turn(calibration)
        info["translation_m"] = calibration.translation.tolist()
    info["uncertainty"] = read_uncertainty(source)
    info["implausible"] = implausibilities(calibration)
    return info


def _camera(camera: Camera) -> dict[str, Any]:
    across, down = field_of_view(camera)
    return {
        "width": camera.width,
        "height": camera.height,
        "model": camera.model,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "distortion": list(camera.distortion),
        "view_deg": [across, down],
    }
