"""Making a confidence true: what a net says becomes how often it is right.

Nets are sure of themselves in their own way, and after training on other pictures mostly too sure.
One line in the logit (Platt, "Probabilistic outputs for support vector machines", 1999; for nets
Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2, there without the
offset) keeps the order of the pixels and makes the number a probability.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError

_LEAST = 1e-4  # no confidence is nearer to 0 or 1 than this
_SMALL = 1e-4  # weight of the pull towards (1, 0): confidences that are all alike


@dataclass(frozen=True)
class Calibration:
    """confidence -> sigmoid(scale * logit(confidence) + offset); scale > 0."""

    scale: float = 1.0
    offset: float = 0.0

    def __call__(self, confidence: Float32[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
        """Probabilities, 0..1, of confidences 0..1; 0 stays 0: nothing is known there."""
        line = np.float32(self.scale) * _logit(confidence) + np.float32(self.offset)
        return np.where(confidence > 0, 1 / (1 + np.exp(-line)), 0).astype(np.float32)

    @staticmethod
    def of(about: Mapping[str, Any], file: str) -> "Calibration | None":
        """What a file of weights says under "calibration"; None where it says nothing.

        Raises `InputError` for what is none.
        """
        said = about.get("calibration")
        if said is None:
            return None
        try:
            found = Calibration(float(said["scale"]), float(said["offset"]))
        except (TypeError, KeyError, ValueError):
            found = Calibration(math.nan)
        if not (math.isfinite(found.offset) and 0 < found.scale < math.inf):
            raise InputError(
                "holds no calibration", file=file, field="calibration", value=said,
                expected="scale above 0, and offset", remedy="run: fathom weights calibrate",
            )  # fmt: skip
        return found


def fit(
    confidence: Float32[np.ndarray, " n"],
    correct: Bool[np.ndarray, " n"],
    weight: Float32[np.ndarray, " n"] | None = None,
) -> Calibration:
    """The calibration of greatest likelihood.

    confidence: 0..1. correct: whether the error is at most 1 px. weight: of each pixel, default 1.

    Raises `InputError` if nothing, or only one kind of pixel is there.
    """
    if correct.all() or not correct.any():
        raise InputError(
            "tells nothing about being wrong" if correct.size else "holds no pixel with truth",
            field="correct",
            value=f"{int(correct.sum())} of {correct.size} pixels",
            expected="right and wrong ones",
            remedy="take more pairs",
        )
    from scipy.optimize import minimize

    x = _logit(confidence).astype(np.float64)
    share = np.ones_like(x) if weight is None else weight.astype(np.float64)
    share = share / share.sum()

    def loss(at: Array) -> tuple[float, Array]:
        """The mean surprise, and its slope."""
        line = at[0] * x + at[1]
        surprise = np.logaddexp(0, line) - correct * line
        # tanh: an exponential would overflow
        slope = share * (0.5 + 0.5 * np.tanh(line / 2) - correct)
        pull = at - (1.0, 0.0)
        value = (share * surprise).sum() + _SMALL / 2 * pull @ pull
        return float(value), np.array([slope @ x, slope.sum()]) + _SMALL * pull

    at = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    if at[0] < _LEAST:
        # told the wrong way round: not to be believed in that, only the share of right pixels is
        even = float((share * correct).sum())
        return Calibration(_LEAST, math.log(even / (1 - even)))
    return Calibration(float(at[0]), float(at[1]))


def _logit(confidence: Array) -> Array:
    p = np.clip(confidence, _LEAST, 1 - _LEAST)
    out: Array = np.log(p / (1 - p))
    return out
