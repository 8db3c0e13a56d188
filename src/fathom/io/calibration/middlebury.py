"""Middlebury's calib.txt: cam0, cam1, doffs, baseline in millimetres, width, height, ndisp.

https://vision.middlebury.edu/stereo/data/scenes2014/ : Z = baseline f / (d + doffs), and doffs is
cx of cam1 minus cx of cam0. ETH3D's two-view files are the same.
"""

import math
import re
from dataclasses import replace
from decimal import Decimal

from fathom.core.camera import StereoRig
from fathom.core.errors import InputError
from fathom.io.atomic import write_text
from fathom.io.calibration.text import (
    Unit,
    agreed_size,
    camera_of,
    floats,
    number,
    refuse_unit,
    whole,
)
from fathom.io.files import PathLike

_SLACK = 0.01  # pixels between doffs and the difference of the principal points


def is_middlebury(text: str) -> bool:
    """True if the text has a `cam0=` line."""
    return re.search(r"(?m)^\s*cam0\s*=", text) is not None


def parse_middlebury(
    text: str, image_size: tuple[int, int] | None = None, unit: Unit | None = None
) -> StereoRig:
    """The rectified rig; ndisp becomes its max_disparity. vmin, vmax and the like are not needed.

    Raises `InputError` (without the file's name) for missing or wrong fields, cameras that differ
    in focal length, or a doffs that disagrees with the principal points by more than 0.01 px;
    `UsageError` for a `unit` other than the format's millimetres.
    """
    refuse_unit(unit, "mm", "a Middlebury calibration")
    fields = _fields(text)
    for name in ("cam0", "cam1", "baseline"):
        if name not in fields:
            raise InputError("is missing", field=name, expected=f"a line `{name}=...`")
    stated = None
    if "width" in fields or "height" in fields:
        width, height = (whole(fields.get(name, ""), name) for name in ("width", "height"))
        stated = width, height
    size = agreed_size(stated, image_size)
    left, right = (
        camera_of(floats(fields[name].strip("[]"), 9, name), size, name)
        for name in ("cam0", "cam1")
    )
    if abs(left.fx - right.fx) > _SLACK:
        raise InputError(
            "differs in focal length from cam0, so the pair is not rectified",
            field="cam1.fx",
            value=right.fx,
            expected=str(left.fx),
        )
    if "doffs" in fields:
        _check_doffs(number(fields["doffs"], "doffs"), right.cx - left.cx)
    baseline = number(fields["baseline"], "baseline")
    if not (math.isfinite(baseline) and baseline > 0):
        raise InputError(
            "is not a positive number",
            field="baseline",
            value=fields["baseline"],
            expected="millimetres > 0",
        )
    limit = whole(fields["ndisp"], "ndisp") if "ndisp" in fields else None
    # Shifting the decimal point, not dividing: 193.001 mm are 0.193001 m to the last digit.
    metres = float(Decimal(fields["baseline"]).scaleb(-3))
    return StereoRig(left, replace(right, fx=left.fx), metres, limit)


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            continue
        if name in fields and fields[name] != value:
            raise InputError("is given twice", field=name, value=value, expected=fields[name])
        fields[name] = value
    return fields


def _check_doffs(doffs: float, difference: float) -> None:
    if not math.isfinite(doffs):
        raise InputError(
            "is not finite", field="doffs", value=doffs, expected=f"{difference:g} pixels"
        )
    if abs(doffs - difference) > _SLACK:
        raise InputError(
            "disagrees with the principal points of cam0 and cam1",
            field="doffs",
            value=doffs,
            expected=f"cx of cam1 minus cx of cam0 = {difference:.6g}",
        )


def write_middlebury(path: PathLike, rig: StereoRig) -> None:
    """Write the rig as calib.txt (lengths in millimetres), whole or not at all.

    Raises `ResourceError` if the file cannot be written.
    """
    write_text(path, middlebury_text(rig))


def middlebury_text(rig: StereoRig) -> str:
    """The rig as calib.txt. The format has one focal length: cam1 gets cam0's."""
    left, right = rig.left, replace(rig.right, fx=rig.left.fx)
    lines = [
        f"cam{i}=[{c.fx!r} 0 {c.cx!r}; 0 {c.fy!r} {c.cy!r}; 0 0 1]"
        for i, c in enumerate((left, right))
    ]
    millimetres = Decimal(repr(rig.baseline)).scaleb(3)
    lines += [f"doffs={round(rig.doffs, 9)!r}", f"baseline={millimetres:f}"]
    lines += [f"width={rig.left.width}", f"height={rig.left.height}"]
    if rig.max_disparity is not None:
        lines.append(f"ndisp={rig.max_disparity}")
    return "\n".join(lines) + "\n"
