"""stereodemo_calibration.json: a rectified rig in metres, cx0 left and cx1 right.

https://github.com/nburrus/stereodemo : width, height, fx, fy, cx0, cx1, cy, baseline_meters,
depth_range, left_image_rect_normalized.
"""

import json
from dataclasses import replace

from fathom.core.camera import StereoRig
from fathom.io.calibration.fields import count, read_json, real
from fathom.io.calibration.text import Unit, agreed_size, camera_of, length_in_metres


def is_stereodemo(text: str) -> bool:
    """True for JSON with stereodemo's `baseline_meters` and `cx0`."""
    return text.lstrip()[:1] == "{" and '"baseline_meters"' in text and '"cx0"' in text


def parse_stereodemo(
    text: str, image_size: tuple[int, int] | None = None, unit: Unit | None = None
) -> StereoRig:
    """The rectified rig; depth_range and left_image_rect_normalized are not needed.

    Raises `InputError` (without the file's name) for missing or wrong values, another image size,
    or a baseline that would be implausible in metres and `unit` is None.
    """
    root = read_json(text)
    size = agreed_size((count(root, "width"), count(root, "height")), image_size)
    fx, fy, cx, cy = (real(root, name) for name in ("fx", "fy", "cx0", "cy"))
    left = camera_of((fx, 0, cx, 0, fy, cy, 0, 0, 1), size, "left")
    baseline = length_in_metres(real(root, "baseline_meters"), unit, "baseline_meters")
    return StereoRig(left, replace(left, cx=real(root, "cx1")), baseline)


def stereodemo_text(rig: StereoRig) -> str:
    """The rig as stereodemo reads it; the depth range is that of 1 px to 1/4 of the width."""
    farthest = rig.left.fx * rig.baseline
    values = {
        "width": rig.left.width,
        "height": rig.left.height,
        "fx": rig.left.fx,
        "fy": rig.left.fy,
        "cx0": rig.left.cx,
        "cx1": rig.right.cx,
        "cy": rig.left.cy,
        "baseline_meters": rig.baseline,
        "depth_range": [float(f"{farthest / max(1, rig.left.width / 4):.3g}"), round(farthest, 3)],
        "left_image_rect_normalized": [0.0, 0.0, 1.0, 1.0],
    }
    return json.dumps(values, indent=2, allow_nan=False) + "\n"
