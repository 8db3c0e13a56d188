"""What a rig can measure: the first-order error budget of a rectified pair of cameras.

Everything follows from Z = f b / D with D = d + doffs (disparity counted from infinity). Symbols:
Z depth along the optical axis, f focal length in pixels, b baseline, d disparity, sigma_d its
standard deviation. Gallup, Frahm, Mordohai and Pollefeys, "Variable Baseline/Resolution Stereo",
CVPR 2008, equation 1; Rodriguez and Aggarwal, "Stochastic Analysis of Stereo Quantization Error",
PAMI 1990. Lengths in metres, the rest in pixels.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from fathom.core.camera import StereoRig
from fathom.core.errors import UsageError

_HUGE = 1e12
INFINITY_SIGMAS = 2.0
"""How many sigma_d the disparity of a point must lie from that of infinity to tell it apart."""


@dataclass(frozen=True)
class AccuracyAt:
    """What a rig achieves at one depth. Lengths in metres.

    depth: Z. disparity: of a point there, pixels. sigma: one standard deviation of Z from matching.
    relative: sigma / Z. nearer, farther: Z at one sigma_d more and less of disparity, without
    linearisation (farther is infinite where sigma_d reaches beyond infinity). step: change of Z
    by one pixel of disparity. lateral: width of one pixel. calibration, focal, baseline: error of
    Z that an error of the calibration causes (see `accuracy_at`).
    """

    depth: float
    disparity: float
    sigma: float
    relative: float
    nearer: float
    farther: float
    step: float
    lateral: float
    calibration: float
    focal: float
    baseline: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers; the unit stands in each name."""
        units = {"disparity": "disparity_px", "relative": "relative"}
        return {units.get(name, f"{name}_m"): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class MeasurableRange:
    """Depths in metres that a search over a number of disparities can find.

    nearest: at the largest disparity searched. farthest: at the smallest one searched, or where
    the disparity is only `INFINITY_SIGMAS` sigma_d from that of infinity, whichever is nearer.
    """

    nearest: float
    farthest: float


def depth_sigma(depth: float, focal: float, baseline: float, sigma_d: float) -> float:
    """sigma_Z = Z^2 sigma_d / (f b), metres. Raises `UsageError` for numbers that are not > 0."""
    _require(depth=depth, focal=focal, baseline=baseline, sigma_d=sigma_d)
    return depth**2 * sigma_d / (focal * baseline)


def lateral_resolution(depth: float, focal: float) -> float:
    """Z / f: the width in metres of what one pixel sees at depth Z.

    Raises `UsageError` for numbers that are not > 0.
    """
    _require(depth=depth, focal=focal)
    return depth / focal


def accuracy_at(
    rig: StereoRig,
    depth: float,
    *,
    sigma_d: float = 0.25,
    calibration_error: float = 0.1,
    focal_error: float = 0.1,
    baseline_error: float = 0.001,
) -> AccuracyAt:
    """What `rig` achieves at `depth` (metres).

    sigma_d: standard deviation of the disparity, pixels. calibration_error: pixels by which the
    rectified pair is off: an error of doffs (the principal points' difference) shifts every
    disparity by as much, and so does an error of the rows along edges that slant by 45 degrees;
    both move Z by Z^2 e / (f b). focal_error: of f, pixels, moves Z by Z e / f. baseline_error:
    metres, moves Z by Z e / b.

    Raises `UsageError` for numbers that are not > 0 (errors of the calibration may be 0).
    """
    focal, baseline = rig.left.fx, rig.baseline
    sigma = depth_sigma(depth, focal, baseline, sigma_d)
    for name, value in (
        ("calibration-error", calibration_error),
        ("focal-error", focal_error),
        ("baseline-error", baseline_error),
    ):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError("is no error", field=name, value=value, expected="a number >= 0")
    apart = focal * baseline / depth
    step = depth**2 / (focal * baseline)
    return AccuracyAt(
        depth=depth,
        disparity=apart - rig.doffs,
        sigma=sigma,
        relative=sigma / depth,
        nearer=focal * baseline / (apart + sigma_d),
        farther=focal * baseline / (apart - sigma_d) if apart > sigma_d else math.inf,
        step=step,
        lateral=lateral_resolution(depth, focal),
        calibration=step * calibration_error,
        focal=depth * focal_error / focal,
        baseline=depth * baseline_error / baseline,
    )


def measurable_range(
    rig: StereoRig, max_disparity: int, *, min_disparity: int = 0, sigma_d: float = 0.25
) -> MeasurableRange:
    """Depths that a search from `min_disparity` to below `max_disparity` (pixels) can find.

    nearest = f b / (max_disparity - 1 + doffs); farthest = f b / D with D the larger of
    min_disparity + doffs and 2 sigma_d.

    Raises `UsageError` for an empty search or one that ends at or behind infinity.
    """
    _require(sigma_d=sigma_d)
    if max_disparity <= min_disparity:
        raise UsageError(
            "leaves nothing to search",
            field="max-disparity",
            value=max_disparity,
            expected=f"more than the smallest disparity, {min_disparity}",
        )
    product = rig.left.fx * rig.baseline
    last = max_disparity - 1 + rig.doffs
    if not last > 0:
        raise UsageError(
            "ends behind infinity",
            field="max-disparity",
            value=max_disparity,
            expected=f"more than {1 - rig.doffs:.1f} px with this rig's doffs",
        )
    least = max(min_disparity + rig.doffs, INFINITY_SIGMAS * sigma_d)
    return MeasurableRange(product / last, product / min(least, last))


def disparities_for(rig: StereoRig, nearest: float) -> int:
    """The number of disparities from 0 that a search needs to reach `nearest` (metres).

    Raises `UsageError` if `nearest` is not > 0.
    """
    _require(nearest=nearest)
    return max(1, math.ceil(rig.left.fx * rig.baseline / nearest - rig.doffs) + 1)


def baseline_for(relative: float, depth: float, focal: float, sigma_d: float) -> float:
    """The baseline in metres with which sigma_Z is `relative` x Z at `depth`:
    b = Z sigma_d / (relative f). Raises `UsageError` for numbers that are not > 0."""
    _require(relative=relative, depth=depth, focal=focal, sigma_d=sigma_d)
    return depth * sigma_d / (relative * focal)


def focal_for(relative: float, depth: float, baseline: float, sigma_d: float) -> float:
    """The focal length in pixels with which sigma_Z is `relative` x Z at `depth`:
    f = Z sigma_d / (relative b). Raises `UsageError` for numbers that are not > 0."""
    _require(relative=relative, depth=depth, baseline=baseline, sigma_d=sigma_d)
    return depth * sigma_d / (relative * baseline)


def sigma_d_for(relative: float, depth: float, focal: float, baseline: float) -> float:
    """The standard deviation of the disparity in pixels with which sigma_Z is `relative` x Z at
    `depth`: sigma_d = relative f b / Z. Raises `UsageError` for numbers that are not > 0."""
    _require(relative=relative, depth=depth, focal=focal, baseline=baseline)
    return relative * focal * baseline / depth


def depth_for(relative: float, focal: float, baseline: float, sigma_d: float) -> float:
    """The depth in metres at which sigma_Z is `relative` x Z: Z = relative f b / sigma_d.

    Raises `UsageError` for numbers that are not > 0.
    """
    _require(relative=relative, focal=focal, baseline=baseline, sigma_d=sigma_d)
    return relative * focal * baseline / sigma_d


def _require(**numbers: float) -> None:
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise UsageError(
                "is not a positive number",
                field=name.replace("_", "-"),
                value=value,
                expected="a number > 0",
            )
        if not 1 / _HUGE <= value <= _HUGE:
            # Squares and products of such numbers leave what a float can hold, or mean nothing.
            raise UsageError(
                "is out of range",
                field=name.replace("_", "-"),
                value=value,
                expected=f"{1 / _HUGE:g} to {_HUGE:g}",
            )
