"""What the calibration readers share: text, numbers, a camera from a matrix, sizes."""

import math
import re
from collections.abc import Sequence
from typing import Literal

from fathom.core.camera import Camera, CameraModel, StereoCalibration
from fathom.core.errors import InputError, UsageError
from fathom.geometry.plausible import FARTHEST, NEAREST, implausible_baseline
from fathom.io.files import PathLike, read_bytes
from fathom.io.recognise import looks_binary, what_is

Unit = Literal["m", "cm", "mm"]
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_WORDS = {"m": "metres", "cm": "centimetres", "mm": "millimetres"}
_LONGEST = 1 << 22


def read_text(path: PathLike) -> str:
    """The text of a calibration file (UTF-8, or UTF-16 with its mark).

    Raises `InputError` for a missing, empty or overlong file, a picture, or any other binary.
    """
    data = read_bytes(path, "calibration file", _LONGEST)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    kind = what_is(data[: 1 << 12])
    if (kind is not None and kind.is_image) or looks_binary(data[: 1 << 16]):
        what = kind.name if kind is not None and "text" not in kind.name else "a binary file"
        raise InputError(
            f"is no calibration: it is {what}",
            file=path,
            expected="a text file (Middlebury calib.txt, KITTI, OpenCV yml or xml, K.txt, ...)",
        )
    return data.decode("utf-8-sig", errors="replace")


def floats(text: str, count: int, name: str) -> list[float]:
    """`count` numbers, separated by blanks, commas or semicolons.

    Raises `InputError` with field `name` for another count, or something that is no number. NaN
    and infinity are numbers here: what they stand for is checked, and named, by the nouns.
    """
    words = [w for w in re.split(r"[\s,;]+", text) if w]
    if len(words) != count:
        raise InputError(
            f"has {len(words)} numbers", field=name, value=text.strip(), expected=f"{count} numbers"
        )
    return [number(word, name) for word in words]


def number(word: str, name: str) -> float:
    """One number. Raises `InputError` with field `name`."""
    if "_" not in word:
        try:
            return float(word)
        except ValueError:
            pass
    raise InputError("is no number", field=name, value=word.strip(), expected="a number")


def whole(word: str, name: str) -> int:
    """One positive whole number, also as `741.0`. Raises `InputError` with field `name`."""
    value = number(word, name)
    if not math.isfinite(value) or value != int(value) or not 0 < value < 1e9:
        raise InputError(
            "is no positive whole number", field=name, value=word.strip(), expected="pixels > 0"
        )
    return int(value)


def camera_of(
    matrix: Sequence[float],
    size: tuple[int, int],
    name: str,
    *,
    distortion: tuple[float, ...] = (),
    model: CameraModel = "pinhole",
) -> Camera:
    """The camera of a matrix K (nine numbers, row by row: fx 0 cx, 0 fy cy, 0 0 1) in pixels.

    Raises `InputError` with field `name` for a matrix of another form, one in shares of the image
    size (normalised), or a focal length that is not positive.
    """
    fx, skew, cx, below, fy, cy, *last = (float(v) for v in matrix)
    for label, value in (("fx", fx), ("fy", fy), ("cx", cx), ("cy", cy)):
        if not math.isfinite(value) or (label[0] == "f" and value <= 0):
            raise InputError(
                "is not a positive number" if label[0] == "f" else "is not finite",
                field=f"{name}.{label}",
                value=value,
                expected="a number of pixels" + (" > 0" if label[0] == "f" else ""),
            )
    if max(abs(last[0]), abs(last[1]), abs(last[2] - 1), abs(below)) > 1e-6:
        raise InputError(
            "is no camera matrix",
            field=name,
            value=[float(v) for v in matrix],
            expected="fx 0 cx, 0 fy cy, 0 0 1 row by row",
        )
    if abs(skew) > 1e-3 * fx:
        raise InputError("has skew, which no camera here has", field=name, value=skew, expected="0")
    if fx < 10 and abs(cx) < 2 and min(size) > 16:
        raise InputError(
            "looks normalised (shares of the image size)",
            field=name,
            value=f"fx {fx:g}, cx {cx:g}",
            expected="pixels",
            remedy=f"multiply the first row by {size[0]} and the second by {size[1]}",
        )
    return Camera(*size, fx, fy, cx, cy, model, distortion)


def agreed_size(
    stated: tuple[int, int] | None, image_size: tuple[int, int] | None
) -> tuple[int, int]:
    """The image size (width, height) that the file states and the images have.

    Raises `InputError` if neither is known, or if they differ.
    """
    if stated is None:
        if image_size is None:
            raise InputError(
                "states no image size, and none was given",
                field="image size",
                expected="the (width, height) of the images it was made for",
                remedy="give image_size (--size WxH)",
            )
        return image_size
    if image_size is not None and stated != image_size:
        raise wrong_size(stated, image_size)
    return stated


def wrong_size(stated: tuple[int, int], image_size: tuple[int, int]) -> InputError:
    """The error for a calibration made for images of another size."""
    smaller, larger = _multiple(stated, image_size), _multiple(image_size, stated)
    if smaller or larger:
        times = f"{larger} times" if larger else f"1/{smaller} of"
        detail = f"; the images are {times} that size"
        remedy = "scale the calibration, or give the images it was made for"
    else:
        detail = "; the images are no plain multiple of that"
        remedy = "give the images it was made for, or their own calibration"
    return InputError(
        f"is for images of another size{detail}",
        field="image size",
        value=f"{stated[0]}x{stated[1]}",
        expected=f"{image_size[0]}x{image_size[1]} as the images",
        remedy=remedy,
    )


def _multiple(large: tuple[int, int], small: tuple[int, int]) -> int:
    """n if `large` is n times `small` but for the rounding of a resize; 0 if there is none."""
    times = round(large[0] / small[0])
    fits = all(abs(a - times * b) < times for a, b in zip(large, small, strict=True))
    return times if times > 1 and fits else 0


def length_in_metres(
    value: float, unit: Unit | None, name: str, focal: float | None = None, own: Unit = "m"
) -> float:
    """A baseline of a format that states no unit, or often has a wrong one; without `unit` it is
    in the format's `own`. focal: fx in pixels, where the format has it multiplied in.

    Raises `InputError` if it is then longer or shorter than that of any stereo rig: most
    calibrations that give 120 were made in millimetres, and metres that are wrong by a thousand
    look right in a picture.
    """
    metres = value * METRES[unit or own]
    absurd = implausible_baseline(abs(metres), focal) if unit is None and value else None
    if absurd:
        raise InputError(
            f"would be {_WORDS[own]} between the cameras: {absurd[0]}",
            field=name,
            value=f"{value:.6g}",
            expected=f"{NEAREST:g} to at most {FARTHEST:g} m",
            remedy="name the unit of this file: mm, cm or m",
        )
    return metres


def plus_to(start: float, factor: float, wanted: float) -> float:
    """factor * wanted, moved by the last digit if that makes (product - start) / factor `wanted`.

    For entries like P[0, 3] = -fx b, so that what is read back is the b that was written.
    """
    product = start + factor * wanted
    near = (product, math.nextafter(product, math.inf), math.nextafter(product, -math.inf))
    return min(near, key=lambda p: abs((p - start) / factor - wanted))


def refuse_unit(unit: Unit | None, own: Unit, what: str) -> None:
    """Raise `UsageError` if `unit` contradicts the one that the format has."""
    if unit is not None and unit != own:
        raise UsageError(
            f"does not fit {what}, which is in {own}", field="unit", value=unit, expected=own
        )


def one_model(calibration: StereoCalibration, what: str) -> CameraModel:
    """The model of both cameras. Raises `UsageError` if they differ, for formats of one model."""
    if calibration.left.model != calibration.right.model:
        raise UsageError(
            f"one camera is a fisheye and the other is not, which {what} files cannot say",
            field="format",
            remedy="write fathom's own JSON, ros, kalibr or colmap",
        )
    return calibration.left.model


def no_fisheye(calibration: StereoCalibration, what: str) -> None:
    """Raise `UsageError` for fisheye cameras, for formats that have no such model."""
    if "fisheye" in (calibration.left.model, calibration.right.model):
        raise UsageError(
            f"{what} files know no fisheye cameras",
            field="format",
            remedy="write fathom's own JSON, opencv, ros, kalibr, depthai or colmap",
        )


def terms_of(camera: Camera, many: int) -> list[float]:
    """The first `many` terms of a camera's distortion, zeros where it has fewer."""
    return [*camera.distortion[:many], *[0.0] * (many - len(camera.distortion))]
