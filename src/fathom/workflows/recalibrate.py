"""A drifted rig re-calibrated on natural images: the small rotation between its cameras."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.core.options import option
from fathom.geometry.rectify import exchange
from fathom.io.frames import PairedFrames
from fathom.rigs.drift import NAMES, Drift, refine_rotation
from fathom.rigs.features import Matches, match_features
from fathom.workflows.pairs import PairOptions, find_and_read_calibration
from fathom.workflows.rectify_rows import choose


@dataclass(frozen=True)
class RecalibrateOptions:
    """How much is looked at."""

    pairs: int = option(30, "look at this many pairs, evenly spread over all", metavar="N")

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise UsageError("is too few", field="pairs", value=self.pairs, expected="1 or more")


def recalibrate_files(
    frames: PairedFrames,
    out: Path,
    pair_options: PairOptions,
    options: RecalibrateOptions,
    exchanged: bool = False,
    notify: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> dict[str, Any]:
    """Writes to `out` the calibration with which the rows of the pairs agree; tells what changed.

    Points are matched in many pairs, the rotation between the cameras that they agree on is
    estimated (`fathom.rigs.drift`), and applied where it is certain. exchanged: the cameras of
    the calibration and the images are exchanged. The result holds the angles in degrees with one
    standard deviation, the row error before and after in pixels, and `text`, lines for a person.

    Raises `InputError` if too little matches, or the rows get no better (nothing is written then),
    `UsageError` without a calibration or if `out` is that very file, `ResourceError` if `out` is
    somebody else's file or cannot be written.
    """
    from fathom.io.calibration import write_calibration

    first = next(iter(frames), None)
    if first is None:
        raise InputError("holds no frame", file=frames.files[0])
    calibration, file = find_and_read_calibration(first.left.size, first.left_file, pair_options)
    if calibration is None or file is None:
        raise UsageError(
            "no calibration is given, and none lies beside the left image",
            field="calib",
            remedy="give the one to be mended: --calib FILE",
        )
    _require_free(out, file, frames)
    if exchanged and isinstance(calibration, StereoCalibration):
        calibration = exchange(calibration)
    found = _matched(frames, calibration, exchanged, options.pairs, notify, advance)
    drift = refine_rotation(calibration, found)
    _require_better(drift, file)
    lost = write_calibration(out, drift.calibration)
    info = _describe(drift, file, out)
    info["text"] += [f"{out}: {line}" for line in lost]
    return info


def _matched(
    frames: PairedFrames,
    calibration: StereoCalibration | StereoRig,
    exchanged: bool,
    most: int,
    notify: Callable[[str], None],
    advance: Callable[[str], None],
) -> list[Matches]:
    wanted = choose(frames.count, most)
    found = []
    for index, pair in enumerate(frames):
        if index in wanted:
            advance(pair.name)
            views = (pair.right, pair.left) if exchanged else (pair.left, pair.right)
            for side, view, camera in zip(
                ("left", "right"), views, (calibration.left, calibration.right), strict=True
            ):
                if view.size != camera.size:
                    raise InputError(
                        "the calibration is for another image size",
                        file=pair.left_file if side == "left" else pair.right_file,
                        field=f"{side} image",
                        value=f"{view.size[0]}x{view.size[1]}",
                        expected=f"{camera.width}x{camera.height}",
                    )
            try:
                found.append(match_features(*views))
            except InputError as error:
                notify(f"{pair.name}: left out: {error}")
        if index >= max(wanted):
            break
    if not found:
        raise InputError(
            "not one pair has points that match",
            file=frames.files[0],
            remedy="give sharp pairs of a scene with structure, left and right of one moment",
        )
    return found


def _require_better(drift: Drift, file: Path) -> None:
    if drift.changed and drift.after < drift.before:
        return
    raise InputError(
        f"no small turn of a camera makes the rows agree better: {drift.before:.2f} px before, "
        f"{drift.after:.2f} px after",
        file=file,
        field="rotation",
        remedy="keep this calibration: the rig has not drifted"
        if drift.before < 1
        else "calibrate anew with a board: what is wrong is no rotation between the cameras",
    )


def _require_free(out: Path, calib: Path, frames: PairedFrames) -> None:
    """Refuses to write over the calibration in use, an image, or what is no calibration of ours."""
    for used in (calib, *frames.files):
        if out.resolve() == used.resolve():
            raise UsageError(
                "would be written over, and it is an input",
                field="output",
                value=str(out),
                remedy="choose another file: the old calibration is worth keeping",
            )
    if out.is_dir():
        raise ResourceError("is a folder", file=out, remedy="give the name of a file")
    if out.exists():
        from fathom.io.calibration import read_calibration

        try:
            read_calibration(out)
        except InputError as error:
            if error.field != "image size":
                raise ResourceError(
                    "would be overwritten, and it is no calibration",
                    file=out,
                    remedy="choose another file or move that one away",
                ) from error


def _describe(drift: Drift, file: Path, out: Path) -> dict[str, Any]:
    angles = {
        name: {"degrees": angle, "sigma_degrees": sigma, "held": drift.held.get(name)}
        for name, angle, sigma in zip(NAMES, drift.angles, drift.sigma, strict=True)
    }
    lines = [f"row error  {drift.before:.2f} px before, {drift.after:.2f} px after"]
    lines[0] += f" (RMS of {drift.points} points in {drift.pairs} pairs)"
    for name, angle in angles.items():
        if angle["held"] is None:
            size = f"{angle['degrees']:+.3f} +- {angle['sigma_degrees']:.3f} degrees"
            lines.append(f"{name:<9}  {size} since {file.name}")
        else:
            lines.append(f"{name:<9}  kept: {angle['held']}")
    lines.append(f"wrote {out}")
    return {
        "calibration": str(file),
        "file": str(out),
        "angles": angles,
        "rows": {"before_px": drift.before, "after_px": drift.after, "points": drift.points},
        "pairs": drift.pairs,
        "text": lines,
    }
