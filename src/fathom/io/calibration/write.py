"""Writing a calibration in any format, and saying what the format could not take."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from fathom.core.camera import StereoCalibration
from fathom.core.errors import InputError, UsageError
from fathom.io.atomic import atomic_file
from fathom.io.calibration.formats import Format, Texts, format_named, format_of_path
from fathom.io.calibration.losses import differences
from fathom.io.calibration.opencv import opencv_halves
from fathom.io.calibration.own import Calibration, own_text
from fathom.io.files import PathLike, in_file


def write_calibration(
    path: PathLike,
    calibration: Calibration,
    *,
    format: str | None = None,
    uncertainty: Mapping[str, float] | None = None,
) -> list[str]:
    """Write the calibration, whole or not at all, over what was there; gives what was lost.

    path: a file; two as "left.yaml,right.yaml" (or one name with `left` in it) for ROS, as
    "intrinsics.yml,extrinsics.yml" for OpenCV, a folder or its cameras.txt for COLMAP. A second
    name without a folder lies beside the first. format: one of `FORMATS`, default by the file's
    name. uncertainty: one standard deviation by name ("baseline_m", "left.fx", ...), which only
    fathom's own JSON holds.

    Each line of the result names something that the file does not hold, or holds otherwise than
    the calibration (found by reading it back), empty if nothing.

    Raises `UsageError` for an unknown format, or one that cannot hold such a calibration at all;
    `ResourceError` if a file cannot be written.
    """
    files, chosen = targets(path, format)
    texts = chosen_texts(calibration, chosen, files, uncertainty)
    lost = _lost(calibration, chosen, texts)
    if uncertainty and chosen.name != "fathom":
        lost.append("the uncertainties (standard deviations) are dropped")
    with ExitStack() as stack:
        opened = [stack.enter_context(atomic_file(file)) for file in files]
        for file, text in zip(opened, texts, strict=True):
            file.write(text.encode())
    return lost


def targets(path: PathLike, format: str | None = None) -> tuple[tuple[Path, ...], Format]:
    """The files that writing to `path` makes, and the format.

    Raises `UsageError` for an unknown format, or a name that does not tell where its files go.
    """
    first, *others = beside(*(Path(word) for word in str(path).split(",")))
    chosen = format_of_path(first) if format is None else format_named(format)
    halves = len(others) == 1 and "extrinsic" in others[0].name.lower()
    yamls = all(file.suffix.lower() in (".yaml", ".yml") for file in (first, *others))
    if len(others) == 1 and format is None and chosen.name == "opencv" and not halves and yamls:
        chosen = format_named("ros")
    if first in others:
        raise UsageError("names one file twice", field="file", value=str(path))
    if chosen.name == "opencv" and halves:
        return (first, others[0]), chosen
    if chosen.name == "ros":
        return _ros_files(first, others), chosen
    if chosen.name == "colmap":
        return _colmap_files(first, others), chosen
    if others:
        raise UsageError(
            "is more files than the format has",
            field="file",
            value=str(path),
            expected=f"one file for {chosen.title}",
        )
    return (first,), chosen


def beside(first: Path, *others: Path) -> tuple[Path, ...]:
    """The files, those after the first beside it where they name no folder of their own."""
    return first, *(first.with_name(o.name) if o.parent == Path() and o.name else o for o in others)


def chosen_texts(
    calibration: Calibration,
    chosen: Format,
    files: tuple[Path, ...],
    uncertainty: Mapping[str, float] | None = None,
) -> Texts:
    """The texts of the format's files. Raises `UsageError` if it cannot hold the calibration."""
    with in_file(files[0]):
        if chosen.name == "fathom":
            return (own_text(calibration, uncertainty),)
        if chosen.name == "opencv" and len(files) == 2:
            return opencv_halves(calibration, files[0].suffix.lower() == ".xml")
        return chosen.build(calibration, files[0])


def _lost(calibration: Calibration, chosen: Format, texts: Texts) -> list[str]:
    """What reading back says: as it is, with the image size named, or with a usual baseline."""
    found: list[str] = []
    size = None
    for _ in range(3):
        try:
            return found + differences(calibration, chosen.parse(texts, size))
        except InputError as error:
            if error.field == "image size" and size is None:
                size = calibration.left.size
                line = f"the image size of {size[0]}x{size[1]} is not stated"
                found.append(f"{line}: name it when the file is read")
                continue
            # A baseline that readers refuse for being implausible is written all the same.
            found.append(f"a reader of {chosen.name} may refuse it: {error.problem}")
            calibration = _usual(calibration)
            texts = chosen.build(calibration, Path())
    return found


def _usual(calibration: Calibration) -> Calibration:
    """The calibration with a baseline of 0.1 m."""
    if isinstance(calibration, StereoCalibration):
        factor = 0.1 / calibration.baseline
        return replace(calibration, translation=calibration.translation * factor)
    return replace(calibration, baseline=0.1)


def _ros_files(first: Path, others: list[Path]) -> tuple[Path, ...]:
    if len(others) == 1:
        return first, others[0]
    if not others and (first.is_dir() or not first.suffix):
        return first / "left.yaml", first / "right.yaml"
    right = re.sub("left", "right", first.name)
    if others or right == first.name:
        raise UsageError(
            "ROS has one file a camera",
            field="file",
            value=str(first),
            expected="left.yaml,right.yaml, a name with `left` in it, or a folder",
        )
    return first, first.with_name(right)


def _colmap_files(first: Path, others: list[Path]) -> tuple[Path, ...]:
    if len(others) == 1:
        return first, others[0]
    if not others and first.name == "cameras.txt":
        return first, first.with_name("images.txt")
    if not others and (first.is_dir() or not first.suffix):
        return first / "cameras.txt", first / "images.txt"
    raise UsageError(
        "COLMAP's model is two files",
        field="file",
        value=str(first),
        expected="a folder, or its cameras.txt",
    )
