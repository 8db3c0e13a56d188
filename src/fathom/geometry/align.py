"""From relative depth to metres: scale, or scale and shift, fitted to anything metric.

A depth up to an ambiguity becomes metres where some pixels' metres are known: points of a LiDAR,
a stereo match, an object of known size, the ground below a camera of known height
(`geometry.anchors` makes points of the last two). Few of them are enough, and some may be wrong:
lines through random pairs are tried (RANSAC; Fischler and Bolles, 1981), then the fit is repeated
under Huber's law (Huber, 1964), weighted by each point's sigma. What the points cannot determine is
refused: a shift needs points at different depths.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Float64
from fathom.core.errors import InputError, unknown_name
from fathom.core.maps import Ambiguity, Depth, RelativeDepth, Source, SparseDepth

Robust = Literal["ransac", "huber", "none"]
ROBUST: tuple[Robust, ...] = ("ransac", "huber", "none")
_TRIES = 500
_HUBER = 1.345  # 95 % efficient where all points are good (Huber 1981)
_ROUNDS = 30
_DENSE = 20_000  # points that are fitted to; more tell nothing new
_LEAST_SIGMA = 0.01  # of the depth: what a point without a sigma is taken to be worth
_WORST = 0.5  # relative standard error of the scale from which on nothing is determined
_SAME_DEPTH = 1e-3  # spread of the points' metres, as a share of them, that is none
_NARROW = 0.02  # spread of the points' values, as a share of the map's, that determines no shift


@dataclass(frozen=True)
class DepthFit:
    """What was fitted: Z = scale v ("scale"), Z = scale v + shift ("affine"), or 1 / Z = scale v +
    shift ("affine_inverse").

    anchors: points used; inliers: those that agree (within 2.5 robust deviations). residual: median
    |Z - Z_anchor| / Z_anchor of all anchors, 0.02 = 2 %. error: relative standard error of the
    scale. reach: nearest and farthest anchor in metres; beyond it, the map is extrapolated.
    """

    ambiguity: Ambiguity
    scale: float
    shift: float
    anchors: int
    inliers: int
    residual: float
    error: float
    reach: tuple[float, float]

    def __str__(self) -> str:
        shift = "" if self.ambiguity == "scale" else f", shift {self.shift:.4g}"
        return (
            f"scale {self.scale:.4g}{shift} from {self.inliers} of {self.anchors} anchors at "
            f"{self.reach[0]:.3g} to {self.reach[1]:.3g} m, median residual {self.residual:.1%}"
        )

    def metres(self, values: Float32[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
        """Depth in metres of relative values; NaN where it would not be above 0."""
        fitted = np.asarray(values, np.float64) * self.scale + self.shift
        with np.errstate(divide="ignore", invalid="ignore"):
            metres = 1 / fitted if self.ambiguity == "affine_inverse" else fitted
        good = np.isfinite(metres) & (fitted > 0) & (metres < 1e6)
        return np.where(good, metres, np.nan).astype(np.float32)


class _Points(NamedTuple):
    """v: relative value. z: metres. y: what is fitted (Z or 1 / Z). weight: 1 / sigma_y."""

    pixels: Float64[np.ndarray, "n 2"]
    v: Float64[np.ndarray, " n"]
    z: Float64[np.ndarray, " n"]
    y: Float64[np.ndarray, " n"]
    weight: Float64[np.ndarray, " n"]


def align(
    relative: RelativeDepth | Depth,
    anchors: SparseDepth | Depth,
    *,
    robust: Robust = "ransac",
    local: float | None = None,
    mask: Bool[np.ndarray, "h w"] | None = None,
    seed: int = 0,
) -> tuple[Depth, DepthFit]:
    """Depth in metres, and what was fitted.

    relative: what is to be scaled; a `Depth` is taken to be right up to a scale. anchors: points,
    or a map of metres of the same view, of which confidence and sigma count where they are there.
    robust: `ransac` (half the anchors may be wrong), `huber` (few are, or only by little), `none`
    (least squares). local: let the correction change over the image: standard deviation, as a share
    of its width, over which neighbouring anchors are averaged; where there are none the global fit
    stays. mask: anchors count only here. seed: of the random pairs; the same gives the same.

    sigma of the result: the anchors' scatter around the fit, relative to depth.

    Raises `InputError` if the sizes differ, there are too few anchors on known pixels, they lie at
    one depth only (which leaves the shift open), or they contradict the map (negative scale).
    """
    if robust not in ROBUST:
        raise unknown_name("fit", robust, list(ROBUST))
    ambiguity: Ambiguity = relative.ambiguity if isinstance(relative, RelativeDepth) else "scale"
    points = _points(relative, anchors, ambiguity, mask)
    least = 1 if ambiguity == "scale" else 2
    if len(points.v) < least:
        raise InputError(
            "are too few", field="anchors", value=len(points.v),
            expected=f"{least} or more on pixels the map knows",
        )  # fmt: skip
    _check_spread(points, relative, ambiguity)
    fit = _fitted(points, ambiguity, robust, np.random.default_rng(seed))
    metres = fit.metres(relative.values)
    if local is not None:
        metres = _local(metres, points, fit, local)
    scatter = np.float32(max(1.4826 * fit.residual, 1e-4))
    known = ~np.isnan(metres)
    confidence = None if relative.confidence is None else np.where(known, relative.confidence, 0)
    source = np.where(known, np.uint8(Source.MONOCULAR), np.uint8(Source.UNKNOWN))
    return Depth(
        metres,
        scatter * metres,
        None if confidence is None else confidence.astype(np.float32),
        source if relative.source is None else np.where(known, relative.source, np.uint8(0)),
    ), fit


def _points(
    relative: RelativeDepth | Depth,
    anchors: SparseDepth | Depth,
    ambiguity: Ambiguity,
    mask: Bool[np.ndarray, "h w"] | None,
) -> _Points:
    """The anchors that lie on known pixels, at most `_DENSE` of them."""
    height, width = relative.shape
    if isinstance(anchors, Depth):
        if anchors.shape != relative.shape:
            raise InputError(
                "differ in size from the map", field="anchors", value=anchors.shape,
                expected=str(relative.shape),
            )  # fmt: skip
        rows, columns = np.nonzero(anchors.measured)
        z = anchors.values[rows, columns].astype(np.float64)
        sure = 1.0 if anchors.confidence is None else anchors.confidence[rows, columns]
        sigma = _LEAST_SIGMA * z if anchors.sigma is None else anchors.sigma[rows, columns]
        pixels = np.stack([columns, rows], axis=1).astype(np.float64)
    else:
        pixels, z = anchors.pixels.astype(np.float64), anchors.depth.astype(np.float64)
        sigma = _LEAST_SIGMA * z if anchors.sigma is None else anchors.sigma.astype(np.float64)
        sure = 1.0
    within = (pixels > -0.5) & (pixels < np.array([width, height]) - 0.5)
    inside: Array = np.all(within, axis=1)
    near = np.rint(np.where(inside[:, None], pixels, 0)).astype(int)
    v = relative.values[near[:, 1], near[:, 0]].astype(np.float64)
    worth = np.broadcast_to(np.asarray(sure, np.float64), z.shape)
    kept = inside & np.isfinite(v) & (worth > 0)
    if mask is not None:
        kept &= mask[near[:, 1], near[:, 0]]
    kept_at = np.flatnonzero(kept)
    kept_at = kept_at[np.linspace(0, len(kept_at) - 1, min(len(kept_at), _DENSE)).astype(int)]
    z, v, worth = z[kept_at], v[kept_at], worth[kept_at]
    # nobody measures better than a thousandth; and one point must not outweigh all others
    sigma = np.maximum(np.broadcast_to(sigma, kept.shape)[kept_at], 1e-3 * z)
    inverse = ambiguity == "affine_inverse"
    y, sigma_y = (1 / z, sigma / z**2) if inverse else (z, sigma)
    return _Points(pixels[kept_at], v, z, y, np.sqrt(worth) / sigma_y)


def _check_spread(points: _Points, relative: RelativeDepth | Depth, ambiguity: Ambiguity) -> None:
    """Refuses anchors that leave the shift open."""
    if ambiguity == "scale":
        return
    known = relative.values[relative.known]
    low, high = (float(q) for q in np.quantile(known, [0.02, 0.98]))
    low_v, high_v = (float(q) for q in np.quantile(points.v, [0.05, 0.95]))
    if high_v - low_v <= _NARROW * max(high - low, 1e-12):
        raise InputError(
            "all lie at one relative depth, which leaves the shift open", field="anchors",
            value=f"{low_v:.4g} to {high_v:.4g} of {low:.4g} to {high:.4g}",
            expected="anchors near and far",
        )  # fmt: skip
    if float(np.ptp(points.z)) <= _SAME_DEPTH * float(np.median(points.z)):
        raise InputError(
            "are all at one distance, where the map sees several", field="anchors",
            value=f"{float(np.median(points.z)):.4g} m", expected="anchors near and far",
        )  # fmt: skip


def _fitted(
    points: _Points, ambiguity: Ambiguity, robust: Robust, rng: np.random.Generator
) -> DepthFit:
    line = _least_squares(points, points.weight, ambiguity)
    if robust == "ransac":
        line = _consensus(points, ambiguity, rng)
    if robust != "none":
        line = _huber(points, line, ambiguity)
    away = np.abs(points.y - line[0] * points.v - line[1]) * points.weight
    limit = 2.5 * max(1.4826 * float(np.median(away)), 1e-9)
    inliers = np.asarray((away <= limit) | (robust == "none"))
    error = _relative_error(points, inliers, line, ambiguity)
    if not line[0] > 0:
        raise InputError(
            "contradict the map: what it calls nearer is farther", field="anchors",
            value=f"scale {line[0]:.4g}", expected="a scale above 0",
            remedy="is the ambiguity right? inverse depths are large where things are near",
        )  # fmt: skip
    if error > _WORST:
        raise InputError(
            "do not determine the scale", field="anchors",
            value=f"{len(points.v)} anchors leave it open to {error:.0%}",
            expected=f"below {_WORST:.0%}", remedy="add anchors at other depths",
        )  # fmt: skip
    fit = DepthFit(
        ambiguity, line[0], line[1], len(points.v), int(inliers.sum()), math.nan, error,
        (float(points.z.min()), float(points.z.max())),
    )  # fmt: skip
    metres = fit.metres(points.v.astype(np.float32)).astype(np.float64)
    off = np.where(np.isnan(metres), 1.0, np.abs(metres - points.z) / points.z)
    return replace(fit, residual=float(np.median(off)))


def _least_squares(points: _Points, weight: Array, ambiguity: Ambiguity) -> tuple[float, float]:
    """Scale and shift (0 for "scale") of least weighted squares."""
    w = weight**2
    if ambiguity == "scale":
        return float((w * points.v) @ points.y / max((w * points.v) @ points.v, 1e-300)), 0.0
    total = w.sum()
    v, y = (w @ points.v) / total, (w @ points.y) / total
    spread = float(w @ (points.v - v) ** 2)
    if spread <= 0:
        return math.nan, math.nan
    scale = float((w * (points.v - v)) @ (points.y - y)) / spread
    return scale, float(y - scale * v)


def _consensus(
    points: _Points, ambiguity: Ambiguity, rng: np.random.Generator
) -> tuple[float, float]:
    """The line through two anchors (one, for "scale") of the least median deviation: least median
    of squares needs no threshold (Rousseeuw, 1984)."""
    count = len(points.v)
    first, second = rng.integers(0, count, (2, _TRIES))
    with np.errstate(divide="ignore", invalid="ignore"):
        if ambiguity == "scale":
            scales = points.y[first] / points.v[first]
            shifts = np.zeros(_TRIES)
        else:
            scales = (points.y[second] - points.y[first]) / (points.v[second] - points.v[first])
            shifts = points.y[first] - scales * points.v[first]
    usable = np.flatnonzero(np.isfinite(scales) & np.isfinite(shifts) & (scales > 0))
    if usable.size == 0:
        return _least_squares(points, points.weight, ambiguity)
    some = np.linspace(0, count - 1, min(count, 2000)).astype(int)
    v, y, weight = points.v[some], points.y[some], points.weight[some]
    away = np.abs(y - scales[usable, None] * v - shifts[usable, None]) * weight
    best = usable[int(np.argmin(np.median(away, axis=1)))]
    return float(scales[best]), float(shifts[best])


def _huber(points: _Points, line: tuple[float, float], ambiguity: Ambiguity) -> tuple[float, float]:
    """Least squares again and again, far points weighing less: Huber's law with the deviations'
    robust spread, those beyond 4 of it left out (they are of something else)."""
    for _ in range(_ROUNDS):
        if not all(map(math.isfinite, line)):
            break
        away = np.abs(points.y - line[0] * points.v - line[1]) * points.weight
        spread = max(1.4826 * float(np.median(away)), 1e-9)
        soft = np.minimum(1.0, _HUBER * spread / np.maximum(away, 1e-300))
        soft[away > 4 * spread] = 0
        found = _least_squares(points, points.weight * np.sqrt(soft), ambiguity)
        if not all(map(math.isfinite, found)):
            break
        still = abs(found[0] - line[0]) <= 1e-9 * abs(found[0])
        line = found
        if still:
            break
    return line


def _relative_error(
    points: _Points, inliers: Array, line: tuple[float, float], ambiguity: Ambiguity
) -> float:
    """Standard error of the scale over the scale, from the inliers' scatter."""
    v, w = points.v[inliers], points.weight[inliers] ** 2
    free = len(v) - (1 if ambiguity == "scale" else 2)
    centre = 0.0 if ambiguity == "scale" else (w @ v) / max(w.sum(), 1e-300)
    spread = float(w @ (v - centre) ** 2)
    if spread <= 0 or not all(map(math.isfinite, line)):
        return math.inf
    off = points.y[inliers] - line[0] * v - line[1]
    # with as many anchors as unknowns there is no scatter: their own sigma speaks
    noise = max(1.0, float(w @ off**2) / free) if free > 0 else 1.0
    return math.sqrt(noise / spread) / max(abs(line[0]), 1e-300)


def _local(
    metres: Float32[np.ndarray, "h w"], points: _Points, fit: DepthFit, share: float
) -> Float32[np.ndarray, "h w"]:
    """The map times a factor that follows the anchors around: their log ratios, averaged with a
    Gaussian window, pulled to 1 where anchors are few."""
    if not 0 < share <= 10:
        raise InputError(
            "is no share of the width", field="local", value=share, expected="above 0, at most 10"
        )
    here = fit.metres(points.v.astype(np.float32)).astype(np.float64)
    ratio = np.log(points.z / np.where(np.isnan(here), np.nan, here))
    spread = max(1.4826 * float(np.nanmedian(np.abs(ratio - np.nanmedian(ratio)))), 1e-6)
    good = np.isfinite(ratio) & (np.abs(ratio - np.nanmedian(ratio)) <= 4 * spread)
    height, width = metres.shape
    deviation = share * width
    # the factor is smooth: a coarse grid holds it
    step = max(1.0, deviation / 4)
    grid_y, grid_x = (np.arange(0, n - 1 + step, step) for n in (height, width))
    total, mass = np.zeros((2, len(grid_y), len(grid_x)))
    for (x, y), r in zip(points.pixels[good], ratio[good], strict=True):
        near = np.exp(-0.5 * ((grid_y - y) / deviation) ** 2)[:, None]
        near = near * np.exp(-0.5 * ((grid_x - x) / deviation) ** 2)
        total += near * r
        mass += near
    factor = total / (mass + 1)
    from scipy.ndimage import map_coordinates

    places = np.meshgrid(np.arange(height) / step, np.arange(width) / step, indexing="ij")
    smooth = map_coordinates(factor, places, order=1, mode="nearest")
    out: Array = (metres * np.exp(smooth)).astype(np.float32)
    return out
