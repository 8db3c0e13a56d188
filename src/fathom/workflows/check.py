"""The pair check as a job: from files to findings, to a picture, to a mended pair."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from fathom.combine.check import Examination, Finding, examine
from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.pair import View
from fathom.geometry.rectify import rectify
from fathom.workflows.mend import MendedPair, load_mended
from fathom.workflows.pairs import PairOptions, find_and_read_calibration, read_views

PICTURE = "check.png"
_FILES = ("left.png", "right.png", "calib.txt", PICTURE, "result.json")


@dataclass(frozen=True, eq=False)
class CheckedPair:
    """Two views as they were judged, rectified where a raw calibration was given, and the check."""

    left: View
    right: View
    seen: Examination


def check_files(left: Path, right: Path | None, options: PairOptions) -> list[Finding]:
    """What is wrong with the pair in these files; an empty list if nothing was found.

    Views of different size, or a calibration for another size, are findings here, not errors.
    With a raw calibration the rectified pair is checked.

    Raises `InputError` for a file that is no image or no calibration.
    """
    return examine_files(left, right, options).seen.findings


def examine_files(left: Path, right: Path | None, options: PairOptions) -> CheckedPair:
    """As `check_files`, with the views that were judged and the points that were seen in both."""
    views = read_views(left, right, options.layout)
    calibration, _ = find_and_read_calibration(views[0].size, left, options, any_size=True)
    if needs_rectification(calibration, views, options):
        pair = rectify(calibration, crop=options.crop)(*views)
        return CheckedPair(pair.left, pair.right, examine(pair.left, pair.right, pair.rig))
    return CheckedPair(*views, examine(*views, calibration))


def needs_rectification(
    calibration: StereoRig | StereoCalibration | None,
    views: tuple[View, View],
    options: PairOptions,
) -> TypeGuard[StereoCalibration]:
    """Whether the calibration is raw, for images of these sizes, and these are not rectified."""
    return (
        isinstance(calibration, StereoCalibration)
        and not options.rectified
        and (calibration.left.size, calibration.right.size) == (views[0].size, views[1].size)
    )


def write_picture(file: Path, checked: CheckedPair) -> None:
    """Writes the picture of rows and their errors as a PNG, whole or not at all."""
    from fathom.io.figures import write_figure
    from fathom.viz.rows import rows_figure

    write_figure(file, rows_figure([("", checked.left, checked.right, checked.seen)]))


def fix_files(
    left: Path,
    right: Path | None,
    options: PairOptions,
    out: Path,
    notify: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> dict[str, Any]:
    """Mends the pair in these files into the folder `out`; returns what its result.json says.

    The folder gets left.png and right.png, calib.txt (Middlebury's format) where the rig is known,
    check.png (rows before and after) and result.json. Where nothing could be mended nothing is
    written, and "folder" is None. notify is told what was done, a line each.

    Raises `UsageError` for the folder of the pair itself, `InputError` for images or a calibration
    that cannot serve, `ResourceError` if the folder cannot be written or a file of yours has the
    name of a new one.
    """
    from fathom.io.atomic import check_result_folder, result_folder
    from fathom.io.elsewhere import require_elsewhere

    require_elsewhere(out, (left, right, options.calib))
    check_result_folder(out, _FILES)
    pair = load_mended(left, right, options)
    for line in (*pair.loaded.notes, *pair.done):
        notify(line)
    info: dict[str, Any] = {
        "format": "fathom-result",
        "version": 1,
        "title": f"{left.stem}: pair check",
        "inputs": {"left": str(left), "right": None if right is None else str(right)},
        "rig": None if pair.loaded.pair.rig is None else pair.loaded.pair.rig.as_dict(),
        **pair.as_dict(),
        "folder": None,
    }
    if not pair.done:
        return info
    with result_folder(out) as folder:
        info["files"] = _written(folder, pair)
        _write_json(folder, info)
    return {**info, "folder": str(out)}


def _write_json(folder: Path, info: dict[str, Any]) -> None:
    from fathom.io.result import write_json

    write_json(folder / "result.json", {k: v for k, v in info.items() if k != "folder"})


def _written(folder: Path, pair: MendedPair) -> dict[str, Any]:
    """Writes everything but result.json; returns the files with what they hold."""
    from fathom.io.calibration import write_middlebury
    from fathom.io.images import write_png
    from fathom.viz.rows import rows_figure

    now, mended = pair.loaded.pair, pair.mended
    files = {
        "left.png": {"content": "mended left image"},
        "right.png": {"content": "mended right image"},
    }
    write_png(folder / "left.png", now.left.image)
    write_png(folder / "right.png", now.right.image)
    if now.rig is not None:
        write_middlebury(folder / "calib.txt", now.rig)
        files["calib.txt"] = {"content": "rig of the mended pair, Middlebury's format"}
    stages = [
        ("before", *mended.ordered, mended.before),
        ("after", mended.left, mended.right, mended.after),
    ]
    write_png(folder / PICTURE, rows_figure(stages))
    files[PICTURE] = {"content": "rows of both views with the errors of matched points"}
    return files
