"""Bringing an estimate to the truth's scale before it is scored, as pure functions.

A depth of unknown scale or shift can only be judged after both were fitted to the truth. Numbers
that were aligned and numbers that were not are different numbers: protocols name the alignment.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError, unknown_name

AlignmentName = Literal["none", "median", "depth", "inverse-depth"]
ALIGNMENTS: tuple[AlignmentName, ...] = ("none", "median", "depth", "inverse-depth")


@dataclass(frozen=True)
class Alignment:
    """What was fitted: aligned = scale * value + shift, in the space that `name` says.

    name: `none`; `median` (scale only, in metres); `depth` (z = scale v + shift); `inverse-depth`
    (1 / z = scale v + shift). pixels: how many were fitted to.
    """

    name: AlignmentName
    scale: float
    shift: float
    pixels: int

    def __str__(self) -> str:
        if self.name == "none":
            return "none"
        shift = "" if self.name == "median" else f", shift {self.shift:.4g}"
        return f"{self.name} (scale {self.scale:.4g}{shift})"


def align(
    name: AlignmentName,
    estimate: Float32[np.ndarray, "h w"],
    truth: Float32[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"],
    limits: tuple[float, float] | None = None,
) -> tuple[Float32[np.ndarray, "h w"], Alignment]:
    """The estimate as depth in metres, and what was fitted over `mask` to make it so.

    estimate: depth or relative depth (for `inverse-depth`: relative inverse depth), NaN unknown.
    truth: metres. mask: the pixels that are judged; those the estimate does not know are left out
    of the fit. limits: nearest and farthest depth in metres; a fitted depth outside takes the
    limit, and a fitted inverse depth of zero or less is the farthest (MiDaS' and Marigold's
    evaluation do so). Without limits, what is no depth > 0 after the fit becomes unknown.

    median: monodepth2's median scaling (ratio of medians, Zhou et al., CVPR 2017). depth and
    inverse-depth: closed least squares (Ranftl et al., PAMI 2022, eq. 3; Marigold's evaluation fits
    affine depth in depth, disparity in inverse depth).

    Raises `UsageError` for an unknown name, `InputError` if there is nothing to fit to, or the
    estimate is constant there.
    """
    if name not in ALIGNMENTS:
        raise unknown_name("alignment", name, list(ALIGNMENTS))
    if name == "none":
        return estimate, Alignment("none", 1.0, 0.0, 0)
    known = mask & ~np.isnan(estimate) & (truth > 0)
    v, z = estimate[known].astype(np.float64), truth[known].astype(np.float64)
    if name == "median":
        scale, shift = median_scale(v, z), 0.0
    else:
        scale, shift = scale_and_shift(v, z if name == "depth" else 1 / z)
    fitted = estimate.astype(np.float64) * scale + shift
    if name == "inverse-depth":
        nothing = 1 / limits[1] if limits else np.nan
        fitted = 1 / np.where((fitted > 0) | np.isnan(fitted), fitted, nothing)
    if limits is not None:
        fitted = np.clip(fitted, *limits)
    fitted = np.where(fitted > 0, fitted, np.nan).astype(np.float32)
    return fitted, Alignment(name, scale, shift, v.size)


def median_scale(estimate: Array, truth: Array) -> float:
    """median(truth) / median(estimate) of two sets of depths of the same pixels.

    Raises `InputError` if there is no pixel or the estimate's median is not positive.
    """
    if estimate.size == 0:
        raise _nothing()
    middle = float(np.median(estimate))
    if not middle > 0:
        raise InputError(
            "has no positive median to be scaled by",
            field="estimate",
            value=middle,
            expected="depths > 0",
            remedy="is it inverse depth? then align in inverse depth",
        )
    return float(np.median(truth)) / middle


def scale_and_shift(values: Array, target: Array) -> tuple[float, float]:
    """(s, t) that minimise sum (s v + t - target)^2: Ranftl et al., PAMI 2022, eq. 3 and 4.

    Raises `InputError` for fewer than two pixels or constant values.
    """
    if values.size < 2:
        raise _nothing()
    v, mean = values - values.mean(), float(target.mean())
    spread = float(v @ v)
    if spread <= 1e-12 * max(float(values @ values), 1e-30):
        raise InputError(
            "is constant, so no scale and shift can be fitted",
            field="estimate",
            value=float(values[0]),
        )
    scale = float(v @ (target - mean)) / spread
    return scale, mean - scale * float(values.mean())


def _nothing() -> InputError:
    return InputError(
        "knows too few of the judged pixels to be aligned",
        field="estimate",
        expected="two or more pixels that are known in estimate and truth",
    )
