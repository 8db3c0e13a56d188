"""fathom's own calibration file: JSON that carries everything, with its version in it.

`left` and `right` are cameras (pixels; (0, 0) is the centre of the top-left pixel); a raw pair has
`rotation` and `translation_m` (X_right = R X_left + T), a rectified one `baseline_m`. The optional
`uncertainty` holds one standard deviation of whatever a calibration run estimated. Numbers are
written so that they read back to the last bit.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.io.calibration.fields import array, count, part, read_json, real
from fathom.io.calibration.text import Unit, agreed_size, refuse_unit

Calibration: TypeAlias = StereoRig | StereoCalibration

FORMAT, VERSION = "fathom calibration", 1
_MEANING = "pixels, (0, 0) the centre of the top-left pixel; metres; X_right = R X_left + T"


def is_own(text: str) -> bool:
    """True for a JSON object that calls itself a fathom calibration, or a rig of result.json."""
    head = text.lstrip()[:1]
    return head == "{" and (
        f'"{FORMAT}"' in text or ('"baseline_m"' in text and '"fx"' in text and '"cx"' in text)
    )


def parse_own(
    text: str, image_size: tuple[int, int] | None = None, unit: Unit | None = None
) -> Calibration:
    """The calibration of a file that `own_text` wrote, or of the rig in a result.json.

    Plain numbers (fx fy cx cy baseline_m, doffs or cx_right) are a rectified rig, too.

    Raises `InputError` (without the file's name) for a newer version, missing or wrong values, or
    another image size; `UsageError` for a `unit` other than metres.
    """
    refuse_unit(unit, "m", "fathom's calibration")
    root = read_json(text)
    if root.get("format") != FORMAT:
        return _plain_rig(root, image_size)
    version = root.get("version")
    if version != VERSION:
        raise InputError(
            "is of another version of the format",
            field="version",
            value=version,
            expected=str(VERSION),
            remedy="read it with the fathom that wrote it, or a newer one",
        )
    left, right = (_camera(part(root, side), side) for side in ("left", "right"))
    agreed_size(left.size, image_size)
    kind = root.get("kind")
    if kind == "rectified":
        limit = None if root.get("max_disparity") is None else count(root, "max_disparity")
        return StereoRig(left, right, real(root, "baseline_m"), limit)
    if kind != "raw":
        raise InputError(
            "is no kind of calibration", field="kind", value=kind, expected="raw or rectified"
        )
    rotation, translation = array(root, "rotation", (3, 3)), array(root, "translation_m", (3,))
    return StereoCalibration(left, right, rotation, translation)


def uncertainty_of(text: str) -> dict[str, float]:
    """The standard deviations in such a file; empty where there are none.

    Raises `InputError` (without the file's name) for one that is no number or negative.
    """
    found = read_json(text).get("uncertainty") or {}
    if not isinstance(found, dict):
        raise InputError("is no object", field="uncertainty", value=found, expected="{name: sigma}")
    sigmas = {name: real(found, name, "uncertainty") for name in found}
    for name, value in sigmas.items():
        _check_sigma(name, value, InputError)
    return sigmas


def own_text(calibration: Calibration, uncertainty: Mapping[str, float] | None = None) -> str:
    """The file's text. uncertainty: one standard deviation by name.

    Raises `UsageError` for an uncertainty that is negative or not finite.
    """
    root: dict[str, Any] = {"format": FORMAT, "version": VERSION, "meaning": _MEANING}
    raw = isinstance(calibration, StereoCalibration)
    root["kind"] = "raw" if raw else "rectified"
    for side, camera in (("left", calibration.left), ("right", calibration.right)):
        root[side] = {
            "width": camera.width,
            "height": camera.height,
            "model": camera.model,
            "fx": camera.fx,
            "fy": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
            "distortion": list(camera.distortion),
        }
    if isinstance(calibration, StereoCalibration):
        root["rotation"] = calibration.rotation.tolist()
        root["translation_m"] = calibration.translation.tolist()
    root["baseline_m"] = calibration.baseline
    if isinstance(calibration, StereoRig):
        root["max_disparity"] = calibration.max_disparity
    if uncertainty:
        for name, value in uncertainty.items():
            _check_sigma(name, value, UsageError)
        root["uncertainty"] = {name: float(value) for name, value in uncertainty.items()}
    return json.dumps(root, indent=2, allow_nan=False) + "\n"


def _check_sigma(name: str, value: float, error: type[InputError] | type[UsageError]) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise error(
            "is no standard deviation",
            field=f"uncertainty.{name}",
            value=value,
            expected="a number >= 0",
        )


def _camera(fields: Any, side: str) -> Camera:
    size = count(fields, "width", side), count(fields, "height", side)
    fx, fy, cx, cy = (real(fields, name, side) for name in ("fx", "fy", "cx", "cy"))
    terms = array(fields, "distortion", (-1,), side).tolist() if fields.get("distortion") else ()
    model = fields.get("model", "pinhole")
    if model not in ("pinhole", "fisheye"):
        raise InputError(
            "is no camera model fathom knows",
            field=f"{side}.model",
            value=model,
            expected="pinhole or fisheye",
        )
    return Camera(*size, fx, fy, cx, cy, model, tuple(terms))


def _plain_rig(root: dict[str, Any], image_size: tuple[int, int] | None) -> StereoRig:
    values = root["rig"] if isinstance(root.get("rig"), dict) else root
    stated = None
    if "width" in values or "height" in values:
        stated = count(values, "width"), count(values, "height")
    size = agreed_size(stated, image_size)
    fx, fy, cx, cy = (real(values, name) for name in ("fx", "fy", "cx", "cy"))
    left = Camera(*size, fx, fy, cx, cy)
    doffs = real(values, "doffs") if values.get("doffs") is not None else 0.0
    right = replace(
        left,
        cx=real(values, "cx_right") if values.get("cx_right") is not None else cx + doffs,
        cy=real(values, "cy_right") if values.get("cy_right") is not None else cy,
    )
    limit = None if values.get("max_disparity") is None else count(values, "max_disparity")
    return StereoRig(left, right, real(values, "baseline_m"), limit)
