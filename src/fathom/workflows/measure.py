"""Measuring in a result folder: points, boxes, masks and lengths, and a picture of them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Bool, UInt8
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.maps import Depth
from fathom.geometry.measuring import (
    RIG_ERROR,
    LengthMeasure,
    ObjectMeasure,
    PointMeasure,
    measure_length,
    measure_object,
    measure_point,
    nearest_measured,
)
from fathom.geometry.optics import Optics
from fathom.geometry.project import rays
from fathom.io.files import in_file
from fathom.io.result import Result, read_result
from fathom.workflows.mono_camera import NO_CAMERA

Pixel = tuple[int, int]
Box = tuple[int, int, int, int]
Measure = PointMeasure | ObjectMeasure | LengthMeasure


@dataclass(frozen=True)
class Wishes:
    """What is to be measured, in pixels of the result.

    at: points (x, y). boxes: (x0, y0, x1, y1), both corners included. masks: image files, white
    (not 0) where the object is. lengths: two points each.
    """

    at: tuple[Pixel, ...] = ()
    boxes: tuple[Box, ...] = ()
    masks: tuple[Path, ...] = ()
    lengths: tuple[tuple[Pixel, Pixel], ...] = ()

    def __post_init__(self) -> None:
        if not (self.at or self.boxes or self.masks or self.lengths):
            raise UsageError(
                "nothing is asked for",
                field="at",
                remedy="give --at X,Y, --box X0,Y0,X1,Y1, --mask FILE, or --from X,Y --to X,Y",
            )


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured in one folder. notes: what limits a measurement, by its number from 1."""

    folder: Path
    result: Result
    depth: Depth
    rig: Optics
    measures: tuple[Measure, ...]
    notes: tuple[tuple[int, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers; metres and pixels, error bars are one standard deviation."""
        found = []
        for number, measure in enumerate(self.measures, 1):
            notes = [text for i, text in self.notes if i == number]
            found.append({**measure_dict(measure), "notes": notes})
        whose = "left camera" if isinstance(self.rig, StereoRig) else "camera"
        return {
            "folder": str(self.folder),
            "frame": f"{whose}: x right, y down, z forward",
            "measures": found,
        }


def measure(folder: Path, wishes: Wishes, *, rig_error: float = RIG_ERROR) -> Measured:
    """Measures in the result that `fathom depth` wrote to `folder`, of a pair or of one image.

    rig_error: pixels of disparity by which the rig is taken to be off; of one image it is not used.

    Raises `UsageError` for pixels outside the image or a negative error, `InputError` for a folder
    without metres, a point that is unknown, or a region in which too little was measured.
    """
    if not 0 <= rig_error < np.inf:
        raise UsageError("is no error", field="rig-error", value=rig_error, expected="pixels >= 0")
    result = read_result(folder)
    depth, rig = _metres(folder, result)
    found: list[Measure] = []
    with in_file(folder):
        found += [measure_point(depth, rig, pixel, rig_error) for pixel in wishes.at]
        found += [measure_length(depth, rig, a, b, rig_error) for a, b in wishes.lengths]
        for box in wishes.boxes:
            region = box_region(box, depth.shape)
            found.append(measure_object(depth, rig, region, rig_error=rig_error))
    for file in wishes.masks:
        region = read_mask(file, depth.shape)
        with in_file(file):
            found.append(measure_object(depth, rig, region, nearest=False, rig_error=rig_error))
    notes = [(i, text) for i, m in enumerate(found, 1) for text in _notes(m, depth)]
    return Measured(folder, result, depth, rig, tuple(found), tuple(notes))


def box_region(box: Box, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """True within the box (x0, y0, x1, y1), both corners included, in any order.

    What lies outside the image is cut off. Raises `UsageError` for a box that lies outside whole.
    """
    x0, x1 = sorted((box[0], box[2]))
    y0, y1 = sorted((box[1], box[3]))
    if x1 < 0 or y1 < 0 or x0 >= shape[1] or y0 >= shape[0]:
        raise UsageError(
            "lies outside the image",
            field="box",
            value=",".join(str(v) for v in box),
            expected=f"x 0..{shape[1] - 1}, y 0..{shape[0] - 1}",
        )
    region = np.zeros(shape, np.bool_)
    region[max(0, y0) : y1 + 1, max(0, x0) : x1 + 1] = True
    return region


def read_mask(file: Path, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """True where the image in `file` is not black.

    Raises `InputError` for a file that is no image, of another size, or black everywhere.
    """
    from fathom.io.images import read_image

    mask: Array = read_image(file).max(axis=2) > 0
    if mask.shape != shape:
        raise InputError(
            "the mask differs in size from the result",
            file=file,
            field="size",
            value=f"{mask.shape[1]}x{mask.shape[0]}",
            expected=f"{shape[1]}x{shape[0]}",
        )
    if not mask.any():
        raise InputError("the mask is black everywhere", file=file, expected="white on the object")
    return mask


def left_image(found: Measured) -> UInt8[np.ndarray, "h w 3"]:
    """The left (or the one) image of the result, or its depth in colours where that is not to be
    had.

    left.png of the folder (pairs that were rectified or scaled), else the file that was matched.
    """
    from fathom.io.images import read_view
    from fathom.viz.color import depth_scale

    inputs = found.result.info.get("inputs") or {}
    named = inputs.get("left", inputs.get("image"))
    for file in (found.folder / "left.png", None if named is None else Path(str(named))):
        if file is None or not file.is_file():
            continue
        try:
            view = read_view(file)
        except FathomError:
            continue
        if view.shape == found.depth.shape:
            return view.rgb8
    values = found.depth.values
    return depth_scale(values).paint(values)


def write_picture(path: Path, found: Measured) -> None:
    """The left image with everything that was measured drawn on it, as PNG, whole or not at all."""
    from fathom.io.figures import write_figure
    from fathom.viz.measure import measure_picture

    write_figure(path, measure_picture(left_image(found), found.measures))


def measure_dict(measure: Measure) -> dict[str, Any]:
    """A measurement as plain numbers; the unit stands in each name."""
    if isinstance(measure, LengthMeasure):
        return {
            "kind": "length",
            "length_m": measure.length,
            "length_sigma_m": measure.length_sigma,
            "from": _place_dict(measure.first),
            "to": _place_dict(measure.second),
        }
    if isinstance(measure, PointMeasure):
        return {"kind": "point", **_place_dict(measure)}
    m = measure
    return {
        "kind": "object",
        "box_px": list(m.box),
        **_common(m),
        "nearest_m": m.nearest,
        "farthest_m": m.farthest,
        "width_m": m.width,
        "width_sigma_m": m.width_sigma,
        "height_m": m.height,
        "height_sigma_m": m.height_sigma,
        "pixels": int(np.count_nonzero(m.pixels)),
        "share_of_measured": m.share,
        "share_measured": m.measured,
        "cut_by_box": list(m.cut),
        "other_depths_m": list(m.others),
    }


def _place_dict(point: PointMeasure) -> dict[str, Any]:
    return {
        "pixel": list(point.pixel),
        **_common(point),
        "source": point.source,
        "confidence": point.confidence,
    }


def _common(m: PointMeasure | ObjectMeasure) -> dict[str, Any]:
    return {
        "distance_m": m.distance,
        "distance_sigma_m": m.distance_sigma,
        "depth_m": m.depth,
        "depth_sigma_m": m.depth_sigma,
        "position_m": list(m.position),
        "position_sigma_m": list(m.position_sigma),
    }


def _metres(folder: Path, result: Result) -> tuple[Depth, Optics]:
    """Depth in metres, and the rig or camera that saw it."""
    if result.disparity is None:
        return _of_one_image(folder, result)
    if result.rig is None:
        raise InputError(
            "holds no metres: it was made without a calibration",
            file=folder,
            field="rig",
            remedy="run `fathom depth` again with --calib FILE, or with --focal and --baseline",
        )
    return result.depth or result.disparity.to_depth(result.rig), result.rig


def _of_one_image(folder: Path, result: Result) -> tuple[Depth, Camera]:
    depth, camera = result.depth, result.camera
    if depth is None:
        raise InputError(
            "holds no metres: it is relative depth of one image",
            file=folder,
            field="depth",
            remedy="run `fathom depth` again with --align FILE, --known-size or --ground, or with "
            "a metric model",
        )
    if camera is None:
        raise InputError(
            "tells no focal length, so that distances and sizes are unknown",
            file=folder, field="camera", remedy=f"run `fathom depth` again and {NO_CAMERA}",
        )  # fmt: skip
    if camera.distortion:
        rows, columns = np.indices(depth.shape).reshape(2, -1).astype(np.float64)
        seen = np.isfinite(rays(np.stack([columns, rows], axis=1), camera)).all(axis=1)
        depth = replace(
            depth, values=np.where(seen.reshape(depth.shape), depth.values, np.float32(np.nan))
        )
    return depth, camera


def _notes(measure: Measure, depth: Depth) -> list[str]:
    """What a person should know about a measurement, one sentence each."""
    if isinstance(measure, LengthMeasure):
        return [*_notes(measure.first, depth), *_notes(measure.second, depth)]
    if isinstance(measure, PointMeasure):
        if measure.source != "filled":
            return []
        at = nearest_measured(depth, measure.pixel)
        other = "" if at is None else f"; the nearest measured one is {at[0]},{at[1]}"
        x, y = measure.pixel
        return [f"pixel {x},{y} was filled in from its neighbours, not measured{other}"]
    notes = []
    if measure.cut:
        *most, last = measure.cut
        sides = f"{', '.join(most)} and {last}" if most else last
        edges = "edges" if most else "edge"
        notes.append(f"the object reaches the {sides} {edges} of the region: it may be larger")
    if measure.share < 0.5:
        notes.append(
            f"only {measure.share:.0%} of the measured pixels there are the object; draw the "
            "region closer around it if that is wrong"
        )
    if measure.measured < 0.5:
        notes.append(f"only {measure.measured:.0%} of the region was measured")
    return notes
