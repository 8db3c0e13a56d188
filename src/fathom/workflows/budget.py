"""The accuracy budget of a rig: from a calibration, or three numbers, to a table and a plot."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.geometry.accuracy import (
    AccuracyAt,
    MeasurableRange,
    accuracy_at,
    baseline_for,
    depth_for,
    disparities_for,
    focal_for,
    measurable_range,
    sigma_d_for,
)
from fathom.geometry.plausible import field_of_view, implausibilities
from fathom.workflows.pairs import Unit

DEPTHS = (1.0, 2.0, 5.0, 10.0, 50.0)
_WANT = re.compile(r"\s*([0-9.eE+-]+)\s*(%|mm|cm|m)\s*@\s*([0-9.eE+-]+)\s*m?\s*")
_METRES = {"mm": 0.001, "cm": 0.01, "m": 1.0}


@dataclass(frozen=True)
class BudgetOptions:
    """Which rig, and how well it is matched and calibrated."""

    calib: Path | None = option(
        None,
        "calibration file; a raw one is rectified first",
        flags=("--calibration", "--intrinsic_file"),
        metavar="FILE",
    )
    focal: float | None = option(
        None, "focal length of the rectified pair in pixels, instead of a file", metavar="PX"
    )
    baseline: float | None = option(
        None, "distance of the cameras in metres, instead of a file", metavar="M"
    )
    width: int | None = option(
        None, "image width in pixels, without a file or for one that states none", metavar="PX"
    )
    height: int | None = option(
        None, "image height in pixels (default three quarters of the width)", metavar="PX"
    )
    sigma_d: float = option(
        0.25, "standard deviation of the disparity in pixels", metavar="PX", flags=("--subpixel",)
    )
    max_disparity: int | None = option(
        None,
        "disparities that are searched (default: from the calibration, else 128)",
        flags=("--max-disp", "--num-disparities"),
        metavar="N",
    )
    min_disparity: int = option(0, "the smallest disparity searched", flags=("--min-disp",))
    calibration_error: float = option(
        0.1, "error of the rectified pair in pixels (doffs, or rows along slanted edges)"
    )
    focal_error: float = option(0.1, "error of the focal length in pixels")
    baseline_error: float = option(1.0, "error of the baseline in millimetres")
    unit: Unit | None = option(
        None,
        "unit of lengths in calibration formats that state none (default m)",
        flags=("--calib-unit",),
    )

    def __post_init__(self) -> None:
        numbers = (self.focal, self.baseline)
        if self.calib is None and None in numbers:
            raise UsageError(
                "no rig is given",
                field="calib",
                expected="a calibration file, or both focal length and baseline",
                remedy="give --calib FILE, or --focal PX --baseline M --width PX",
            )
        if self.calib is not None and numbers != (None, None):
            raise UsageError(
                "the rig comes from a calibration file or from numbers, not from both",
                field="calib",
                remedy="give either --calib, or --focal and --baseline",
            )
        for name, value in (("focal", self.focal), ("baseline", self.baseline)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(
                    "is not a positive number", field=name, value=value, expected="a number > 0"
                )
        if self.calib is None and self.width is None:
            raise UsageError("the image size is missing", field="width", expected="pixels")
        if self.width is None and self.height is not None:
            raise UsageError("the image size is incomplete", field="width", expected="pixels")

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) in pixels where it was given."""
        if self.width is None:
            return None
        return self.width, self.height or max(1, round(self.width * 3 / 4))


@dataclass(frozen=True)
class Want:
    """A wish: sigma_Z at most `relative` x Z at `depth` metres."""

    relative: float
    depth: float
    text: str

    @property
    def spoken(self) -> str:
        """As in a sentence: "1 % at 20 m"."""
        number, unit, depth = _WANT.fullmatch(self.text).groups()  # type: ignore[union-attr]
        return f"{number} {unit} at {depth} m"

    @classmethod
    def parse(cls, text: str) -> "Want":
        """From "1%@20" (percent at metres) or "5cm@3" (mm, cm or m at metres).

        Raises `UsageError` for any other text.
        """
        match = _WANT.fullmatch(text)
        try:
            number, unit, depth = float(match[1]), match[2], float(match[3])  # type: ignore[index]
        except (TypeError, ValueError):
            number, unit, depth = math.nan, "%", math.nan
        if not (0 < number < math.inf and 0 < depth < math.inf):
            raise UsageError(
                "is no accuracy at a depth",
                field="want",
                value=text,
                expected="for example 1%@20 (percent at metres) or 5cm@3",
            )
        relative = number / 100 if unit == "%" else number * _METRES[unit] / depth
        return cls(relative, depth, text)


@dataclass(frozen=True)
class Answer:
    """What would fulfil a `Want`, each with the rest of the rig as it is. Lengths in metres.

    fulfilled: by the rig as it is. baseline; focal: pixels; sigma_d: pixels. nearest: the nearest
    depth the same search reaches with that baseline. disparities: what the search would need to
    reach the present nearest depth with it. farthest: the depth up to which the rig as it is does
    it.
    """

    want: Want
    fulfilled: bool
    baseline: float
    focal: float
    sigma_d: float
    nearest: float
    disparities: int
    farthest: float


@dataclass(frozen=True)
class Budget:
    """What a rig can measure. notes: what is implausible or was assumed, one sentence each."""

    rig: StereoRig
    options: BudgetOptions
    max_disparity: int
    span: MeasurableRange
    rows: tuple[AccuracyAt, ...]
    answers: tuple[Answer, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers; units stand in the names."""
        across, down = field_of_view(self.rig.left)
        return {
            "rig": self.rig.as_dict(),
            "field_of_view_deg": {"horizontal": across, "vertical": down},
            "sigma_d_px": self.options.sigma_d,
            "calibration_error_px": self.options.calibration_error,
            "focal_error_px": self.options.focal_error,
            "baseline_error_mm": self.options.baseline_error,
            "search_px": {"from": self.options.min_disparity, "below": self.max_disparity},
            "nearest_m": self.span.nearest,
            "farthest_m": self.span.farthest,
            "at": [row.as_dict() for row in self.rows],
            "want": [_answer_dict(answer) for answer in self.answers],
            "notes": list(self.notes),
        }


def budget(
    options: BudgetOptions,
    at: Sequence[float] = DEPTHS,
    wants: Sequence[Want] = (),
    notify: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> Budget:
    """The accuracy budget of the rig that `options` name, at the depths `at` (metres).

    Raises `UsageError` for numbers out of range, `InputError` for a calibration that cannot serve.
    """
    rig, notes = _rig_of(options)
    for note in notes:
        notify(note)
    max_disparity = options.max_disparity
    if max_disparity is None:
        max_disparity = rig.max_disparity or 128
    span = measurable_range(
        rig, max_disparity, min_disparity=options.min_disparity, sigma_d=options.sigma_d
    )
    rows = tuple(accuracy_of(rig, depth, options) for depth in at)
    answers = tuple(_answer(rig, want, options, max_disparity, span) for want in wants)
    return Budget(rig, options, max_disparity, span, rows, answers, tuple(notes))


def accuracy_of(rig: StereoRig, depth: float, options: BudgetOptions) -> AccuracyAt:
    """`geometry.accuracy.accuracy_at` with the errors that `options` state."""
    return accuracy_at(
        rig,
        depth,
        sigma_d=options.sigma_d,
        calibration_error=options.calibration_error,
        focal_error=options.focal_error,
        baseline_error=options.baseline_error / 1000,
    )


def write_plot(path: Path, found: Budget) -> None:
    """The plot of a budget as PNG, whole or not at all."""
    from fathom.io.figures import write_figure
    from fathom.viz.budget import budget_plot

    depths = [row.depth for row in found.rows] or list(DEPTHS)
    low = min(found.span.nearest, *depths) / 1.3
    high = min(max(*depths, found.span.nearest * 4), found.span.farthest * 10) * 1.3
    curve = [
        accuracy_of(found.rig, float(z), found.options)
        for z in np.geomspace(low, max(high, low * 4), 200)
    ]
    options = found.options
    names = {
        "calibration": f"rig {options.calibration_error:g} px off",
        "baseline": f"baseline {options.baseline_error:g} mm off",
        "focal length": f"focal length {options.focal_error:g} px off",
    }
    picture = budget_plot(found.rig, curve, found.rows, found.span, options.sigma_d, names)
    write_figure(path, picture)


def _rig_of(options: BudgetOptions) -> tuple[StereoRig, list[str]]:
    if options.calib is None:
        assert options.focal is not None and options.baseline is not None and options.size
        rig = StereoRig.simple(*options.size, options.focal, options.baseline)
        return rig, implausibilities(rig)
    from fathom.geometry.rectify import rectify
    from fathom.io.calibration import read_calibration
    from fathom.io.files import in_file

    try:
        found = read_calibration(options.calib, image_size=options.size, unit=options.unit)
    except InputError as error:
        if error.field == "image size" and options.size is None:
            error.remedy = "give --width and --height"
        raise
    notes = [f"{options.calib}: {line}" for line in implausibilities(found)]
    if not isinstance(found, StereoCalibration):
        return found, notes
    with in_file(options.calib):
        rig = rectify(found).rig
    change = rig.left.fx / found.left.fx
    notes.append(
        f"{options.calib}: raw calibration; the budget is that of the rectified pair "
        f"(focal length {rig.left.fx:.1f} px, {change:.2f} times the raw one)"
    )
    return rig, notes


def _answer(
    rig: StereoRig, want: Want, options: BudgetOptions, count: int, span: MeasurableRange
) -> Answer:
    focal, sigma_d = rig.left.fx, options.sigma_d
    needed = baseline_for(want.relative, want.depth, focal, sigma_d)
    wide = StereoRig(rig.left, rig.right, needed)
    wide_span = measurable_range(wide, count, min_disparity=options.min_disparity, sigma_d=sigma_d)
    farthest = depth_for(want.relative, focal, rig.baseline, sigma_d)
    return Answer(
        want,
        fulfilled=farthest >= want.depth,
        baseline=needed,
        focal=focal_for(want.relative, want.depth, rig.baseline, sigma_d),
        sigma_d=sigma_d_for(want.relative, want.depth, focal, rig.baseline),
        nearest=wide_span.nearest,
        disparities=disparities_for(wide, span.nearest),
        farthest=farthest,
    )


def _answer_dict(answer: Answer) -> dict[str, Any]:
    return {
        "want": answer.want.text,
        "relative": answer.want.relative,
        "depth_m": answer.want.depth,
        "fulfilled": answer.fulfilled,
        "baseline_m": answer.baseline,
        "focal_px": answer.focal,
        "sigma_d_px": answer.sigma_d,
        "nearest_m_with_that_baseline": answer.nearest,
        "disparities_for_the_present_nearest": answer.disparities,
        "farthest_m_as_it_is": answer.farthest,
    }
