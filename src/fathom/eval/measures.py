"""Every metric that a protocol can name: what it is called, its unit, and how it is summed.

The definitions are the pure functions of `metrics`, `depth_metrics`, `boundaries`, `surfaces`,
`sparsification` and `sigma`; here they are computed from one `Judged`, so that masks, errors and
logarithms are shared. A measure is a few sums and what to make of them: sums of many images can be
added, which gives the metric over all their pixels.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from fathom.core.errors import UsageError, unknown_name
from fathom.eval import boundaries, sparsification, surfaces
from fathom.eval.judged import Judged
from fathom.eval.metrics import quantile_rank

Quantity = Literal["disparity", "depth"]
Sums = tuple[float, ...]


@dataclass(frozen=True)
class Measure:
    """One metric.

    name: as protocols and tables write it. unit: "%" (stored as a share 0..1), "px", "m", "m2"
    or "". better: which way. text: the definition in one
    line. sums: of one image. finish: the metric from its sums. pooled: whether sums of several
    images may be added. needs: what the estimate must have ("", "confidence", "sigma").
    """

    name: str
    unit: str
    better: Literal["lower", "higher", "as stated"]
    text: str
    sums: Callable[[Judged], Sums]
    finish: Callable[[Sums], float]
    pooled: bool = True
    needs: Literal["", "confidence", "sigma"] = ""

    def shown(self, value: float) -> str:
        """The value as people read it, with its unit."""
        if np.isnan(value):
            return "unknown"
        if self.unit == "%":
            return f"{100 * value:.2f} %"
        return f"{value:.3f} {self.unit}".rstrip()


def measure(name: str, quantity: Quantity) -> Measure:
    """The measure of that name for disparities or depths; `bad-K` for any K in pixels.

    Raises `UsageError` with close matches for an unknown name, or K that is no number > 0.
    """
    plain = _ALIASES[quantity].get(name, name)
    fixed = _FIXED[quantity].get(plain)
    if fixed is not None:
        return fixed
    found = re.fullmatch(r"(bad|auc|ause)-(.*)", plain)
    if found and quantity == "disparity":
        return _with_threshold(found[1], _positive(plain, found[2]))
    known = [*_FIXED[quantity], *_ALIASES[quantity]]
    if quantity == "disparity":
        known += ["bad-1", "bad-2", "bad-3", "auc-1", "ause-1"]
    raise unknown_name(f"metric of {quantity}", name, known)


def measure_names(quantity: Quantity) -> tuple[str, ...]:
    """All names, K standing for any number of pixels."""
    threshold = ("bad-K", "auc-K", "ause-K") if quantity == "disparity" else ()
    return (*threshold, *_FIXED[quantity])


def _count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise UsageError(
            "has no threshold in pixels", field="metric", value=name, expected="for example bad-2"
        )
    return value


def _ratio(sums: Sums) -> float:
    return sums[0] / sums[1] if sums[1] else float("nan")


def _root(sums: Sums) -> float:
    return float(np.sqrt(_ratio(sums)))


def _bad(threshold: float, j: Judged) -> Sums:
    return _count(j.errors > threshold) + j.missing, j.counted


def _d1(j: Judged) -> Sums:
    limit = np.maximum(np.float32(3), np.float32(0.05) * np.abs(j.truths))
    return _count(j.errors > limit) + j.missing, j.counted


def _mean_of(values: Callable[[Judged], np.ndarray], j: Judged) -> Sums:
    return float(values(j).sum(dtype=np.float64)), j.known


def _quantile(percent: float, j: Judged) -> Sums:
    if not j.known:
        return (float("nan"),)
    rank = quantile_rank(j.known, percent)
    return (float(j.ranked[rank]),)


def _boundary(inverse: bool, j: Judged) -> Sums:
    shift = np.float32(j.shift)
    a, b = (1 / m if inverse else m + shift for m in (j.estimate, j.truth))
    return (boundaries.boundary_f1(a, b, None if j.everything else j.mask),)


def _flying(j: Judged) -> Sums:
    hanging, beside = boundaries.flying(j.estimate, j.truth)
    return _count(hanging & j.mask), _count(beside & j.mask & ~np.isnan(j.estimate))


def _planarity(j: Judged) -> Sums:
    residual, complete = surfaces.plane_residual(j.estimate)
    found = residual[surfaces.planar(j.truth) & complete & j.mask]
    return float(np.square(found).sum(dtype=np.float64)), found.size


def _complete(j: Judged) -> Sums:
    measured = ~np.isnan(j.estimate) if j.measured is None else j.measured
    return _count(measured & j.mask), j.pixels


def _area(threshold: float, j: Judged) -> Sums:
    confidence = j.pick(j.confidence)  # type: ignore[arg-type]
    kept = j.__dict__.setdefault("areas", {})
    if threshold not in kept:
        curve = (
            sparsification.wrong_curve(j.errors > threshold, confidence)
            if threshold
            else sparsification.sparsification_curve(j.errors.astype(np.float64), confidence)
        )
        kept[threshold] = sparsification.area_under(curve)
    return (kept[threshold],)


def _ause(threshold: float, j: Judged) -> Sums:
    curve = (
        sparsification.wrong_oracle(_count(j.errors > threshold), j.known)
        if threshold
        else sparsification.oracle_curve(j.errors.astype(np.float64))
    )
    return (_area(threshold, j)[0] - sparsification.area_under(curve),)


def _ece(j: Judged) -> Sums:
    confidence = j.pick(j.confidence)  # type: ignore[arg-type]
    return (sparsification.calibration_error(j.errors <= 1, confidence),)


def _sigma_within(k: int, j: Judged) -> Sums:
    sigma = j.pick(j.sigma)  # type: ignore[arg-type]
    stated = ~np.isnan(sigma)
    return _count(j.errors[stated] <= k * sigma[stated]), _count(stated)


def _sigma_rms(j: Judged) -> Sums:
    sigma = j.pick(j.sigma)  # type: ignore[arg-type]
    stated = ~np.isnan(sigma)
    squares = np.square(j.errors[stated] / sigma[stated])
    return float(squares.sum(dtype=np.float64)), squares.size


def _silog_sums(j: Judged) -> Sums:
    e = j.log_ratios
    return (
        float(np.square(e).sum(dtype=np.float64)),
        float(e.sum(dtype=np.float64)),
        j.known,
    )


def _silog(sums: Sums) -> float:
    square, total, count = sums
    if not count:
        return float("nan")
    return 100 * float(np.sqrt(max(square / count - (total / count) ** 2, 0)))


def _delta(power: int, j: Judged) -> Sums:
    right = _count(np.abs(j.log_ratios) < np.float32(power * np.log(1.25)))
    return right, j.counted


def _with_threshold(kind: str, k: float) -> Measure:
    name = f"{kind}-{k:g}"
    if kind == "bad":
        text = f"share with |d - d_true| > {k:g} px"
        return Measure(name, "%", "lower", text, partial(_bad, k), _ratio)
    text = f"mean share of errors > {k:g} px over the sparsification curve"
    if kind == "auc":
        return _single(name, "%", "lower", text, partial(_area, k), "confidence")
    return _single(name, "%", "lower", f"{text}, less the oracle's", partial(_ause, k))


def _single(
    name: str,
    unit: str,
    better: Literal["lower", "higher", "as stated"],
    text: str,
    sums: Callable[[Judged], Sums],
    needs: Literal["", "confidence", "sigma"] = "confidence",
) -> Measure:
    """A measure of one image that cannot be added up over images."""
    return Measure(name, unit, better, text, sums, lambda s: s[0], pooled=False, needs=needs)


def _named(*measures: Measure) -> dict[str, Measure]:
    return {m.name: m for m in measures}


_QUANTILES = tuple(
    _single(
        f"a{p:.0f}",
        "px",
        "lower",
        f"{p:.0f} % of the known errors are at most this",
        partial(_quantile, p),
        "",
    )
    for p in (50.0, 90.0, 95.0, 99.0)
)
_SIGMAS = (
    Measure(
        "sigma-rms",
        "",
        "as stated",
        "RMS of error / sigma; 1 is right, above it sigma is too small",
        _sigma_rms,
        _root,
        needs="sigma",
    ),
    *(
        Measure(
            f"sigma-{k}",
            "%",
            "as stated",
            f"share with an error of at most {k} sigma; {share} % is right",
            partial(_sigma_within, k),
            _ratio,
            needs="sigma",
        )
        for k, share in ((1, 68.3), (2, 95.4), (3, 99.7))
    ),
)
_DISPARITY = _named(
    Measure(
        "epe",
        "px",
        "lower",
        "mean |d - d_true| over known pixels (MAE, avgerr)",
        partial(_mean_of, lambda j: j.errors),
        _ratio,
    ),
    Measure(
        "rms",
        "px",
        "lower",
        "root mean square of d - d_true over known pixels",
        lambda j: (j.squared, j.known),
        _root,
    ),
    Measure(
        "d1", "%", "lower", "share with |d - d_true| > 3 px and > 5 % of |d_true|", _d1, _ratio
    ),
    *_QUANTILES,
    Measure(
        "complete", "%", "higher", "share measured: known and not filled in", _complete, _ratio
    ),
    _single(
        "boundary-f1",
        "%",
        "higher",
        "depth-edge F1 of Depth Pro, edges met to the pixel",
        partial(_boundary, False),
        "",
    ),
    Measure(
        "flying",
        "%",
        "lower",
        "share of known pixels beside a true step > 2 px that hang between both surfaces",
        _flying,
        _ratio,
    ),
    Measure(
        "planarity",
        "px",
        "lower",
        "RMS distance from the own 9x9 plane where the truth is planar",
        _planarity,
        _root,
    ),
    _single(
        "auc-epe",
        "px",
        "lower",
        "area under the sparsification curve of the error",
        partial(_area, 0.0),
    ),
    _single("ause-epe", "px", "lower", "auc-epe less the oracle's", partial(_ause, 0.0)),
    _single(
        "ece",
        "%",
        "lower",
        "expected calibration error of P(error <= 1 px), 10 bins",
        _ece,
    ),
)
_DEPTH = _named(
    Measure(
        "mae",
        "m",
        "lower",
        "mean |z - z_true|",
        partial(_mean_of, lambda j: j.errors),
        _ratio,
    ),
    Measure("mse", "m2", "lower", "mean (z - z_true)^2", lambda j: (j.squared, j.known), _ratio),
    Measure("rmse", "m", "lower", "root of mse", lambda j: (j.squared, j.known), _root),
    Measure(
        "abs-rel",
        "",
        "lower",
        "mean |z - z_true| / z_true",
        partial(_mean_of, lambda j: j.errors / j.truths),
        _ratio,
    ),
    Measure(
        "sq-rel",
        "m",
        "lower",
        "mean (z - z_true)^2 / z_true",
        partial(_mean_of, lambda j: np.square(j.errors) / j.truths),
        _ratio,
    ),
    Measure(
        "rmse-log",
        "",
        "lower",
        "root mean square of ln z - ln z_true",
        partial(_mean_of, lambda j: np.square(j.log_ratios)),
        _root,
    ),
    Measure(
        "log10",
        "",
        "lower",
        "mean |log10 z - log10 z_true|",
        partial(_mean_of, lambda j: np.abs(j.log_ratios) / np.float32(np.log(10))),
        _ratio,
    ),
    Measure(
        "silog",
        "",
        "lower",
        "KITTI's 100 sqrt(mean e^2 - (mean e)^2), e = ln z - ln z_true",
        _silog_sums,
        _silog,
    ),
    *(
        Measure(
            f"delta-{p}",
            "%",
            "higher",
            f"share with max(z / z_true, z_true / z) < 1.25^{p}",
            partial(_delta, p),
            _ratio,
        )
        for p in (1, 2, 3)
    ),
    Measure(
        "complete", "%", "higher", "share measured: known and not filled in", _complete, _ratio
    ),
    _single(
        "boundary-f1",
        "%",
        "higher",
        "depth-edge F1 of Depth Pro, edges met to the pixel",
        partial(_boundary, True),
        "",
    ),
    *_SIGMAS,
)
_FIXED: dict[Quantity, dict[str, Measure]] = {"disparity": _DISPARITY, "depth": _DEPTH}
_ALIASES: dict[Quantity, dict[str, str]] = {
    "disparity": {"mae": "epe", "avgerr": "epe", "rmse": "rms", "d1-all": "d1"},
    "depth": {"delta1": "delta-1", "delta2": "delta-2", "delta3": "delta-3", "absrel": "abs-rel"},
}
