"""How the rows of two views disagree: an offset, a roll, a magnification, a bend.

The vertical displacement of matched points is fitted by a small model of the position, robustly,
with the standard errors of its terms. Everything is in pixels of the full images.
"""

from dataclasses import dataclass
from math import atan2, degrees
from typing import Literal

import numpy as np

from fathom.combine.check_matches import Matches
from fathom.core.arrays import Array, Float64

# What real rigs show, in pixels: how far one standard deviation of each term reaches. It holds
# terms near 0 that the points at hand cannot tell apart (disparity and height on a ground plane).
_PRIOR = np.array([50.0, 30.0, 30.0, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0, 5.0, 30.0])
_LINEAR = 4
_BENT = 0.5  # pixels of curvature beyond which all terms are fitted together
_DEPTH, _QUADRATIC, _LENSES = [3, 7, 8], [4, 5, 6], [9, 10]  # the curved terms by their cause

_BARRED = 1e-3  # a prior in pixels that keeps a term out
Cause = Literal["lens", "turned", "depth"]
Lenses = Literal["none", "right", "both", "each"]


@dataclass(frozen=True)
class Rows:
    """Row differences y_right - y_left of a pair, as a model of the position in the image.

    offset: in the middle of the points, pixels, positive where the right image is lower; level:
    the same without what curved terms add to it.
    roll: degrees, positive where the right image is turned clockwise against the left one.
    scale: share by which the right image is higher than the left one (0.01 = 1 %).
    roll_edge, scale_edge: what these two do to rows at the left or right, and upper or lower
    border, in pixels. bend: root mean square in pixels of what is curved, or goes with disparity.
    typical: root mean square in pixels of all but the magnification; total: of all. spread: of
    single points around the model, pixels. cause: what most of the bend is like: a "lens" whose
    distortion was left in, cameras "turned" against each other, or errors that go with "depth".
    curve: the coefficients in pixels of the curved terms: x^2, xy, y^2 (from -1 to 1), the right
    lens, both lenses alike (the last two at the corner, vertically). offset_error, roll_error,
    scale_error, bend_error: one standard error in pixels, of the offset, the two edges, the bend.
    count: points that agree with the model.
    """

    offset: float
    roll: float
    scale: float
    roll_edge: float
    scale_edge: float
    bend: float
    typical: float
    spread: float
    offset_error: float
    roll_error: float
    scale_error: float
    bend_error: float
    count: int
    total: float = 0.0
    level: float = 0.0
    cause: Cause = "turned"
    curve: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)


def fit_rows(matches: Matches, size: tuple[int, int], *, lenses: Lenses = "each") -> Rows | None:
    """The row differences of matched points in images of `size` (width, height).

    lenses: whose distortion may explain a curve; "each" lets the right one and both do so.

    None where fewer than 12 points tell. Weights are Geman and McClure's; the standard errors are
    those of weighted least squares, doubled because neighbouring points err together.
    """
    if len(matches) < 12:
        return None
    terms = _terms(matches, size)
    rise = matches.rise
    priors = _PRIOR.copy()
    for term, names in zip(_LENSES, (("right", "each"), ("both", "each")), strict=True):
        priors[term] = priors[term] if lenses in names else _BARRED
    first, _, _, covariance = robust_fit(terms[:, :_LINEAR], rise, priors[:_LINEAR])
    # The curved terms see only what the linear ones leave: fitted together, few points would
    # trade one for the other.
    curve, prior = np.delete(terms, [1, 2, 3], axis=1), np.delete(priors, [1, 2, 3])
    second, weights, spread, curved = robust_fit(curve, rise - terms[:, :_LINEAR] @ first, prior)
    if float((curve @ second).std()) > _BENT:
        # Clearly bent rows: only together are a barrel and a magnification told apart.
        every, weights, spread, full = robust_fit(terms, rise, priors)
        first, second = every[:_LINEAR], np.r_[0.0, every[_LINEAR:]]
        covariance = full[:_LINEAR, :_LINEAR]
        curved = np.zeros_like(curved)
        curved[1:, 1:] = full[_LINEAR:, _LINEAR:]
    good = weights > 0.25
    if int(good.sum()) < 12:
        return None
    width, height = size
    bent = terms[good, 3] * first[3] + curve[good] @ second
    evenly = terms[good][:, [0, 1]] @ first[:2] + bent
    errors = 2 * np.sqrt(np.diag(covariance)[:3])
    doubt = (curve[good] @ curved * curve[good]).sum(axis=1)
    known = np.r_[first, second[1:]]
    return Rows(
        offset=float(first[0] + bent.mean()),
        roll=degrees(atan2(first[1], width / 2)),
        scale=float(first[2]) / (height / 2),
        roll_edge=float(first[1]),
        scale_edge=float(first[2]),
        bend=float(bent.std()),
        typical=float(np.sqrt(np.mean(evenly**2))),
        spread=spread,
        offset_error=float(errors[0]),
        roll_error=float(errors[1]),
        scale_error=float(errors[2]),
        bend_error=2 * float(np.sqrt(doubt.mean())),
        count=int(good.sum()),
        level=float(first[0] + second[0]),
        total=float(np.sqrt(np.mean((evenly + terms[good, 2] * first[2]) ** 2))),
        cause=_cause(terms[good], known),
        curve=tuple(float(v) for v in known[_LINEAR + np.array([0, 1, 2, 5, 6])]),
    )


def _cause(terms: Float64[np.ndarray, "n k"], known: Float64[np.ndarray, " k"]) -> Cause:
    """Which kind of curved terms moves the rows most."""
    parts: tuple[tuple[Cause, list[int]], ...] = (
        ("lens", _LENSES),
        ("turned", _QUADRATIC),
        ("depth", _DEPTH),
    )
    return max(parts, key=lambda part: float((terms[:, part[1]] @ known[part[1]]).std()))[0]


def _terms(matches: Matches, size: tuple[int, int]) -> Float64[np.ndarray, "n 11"]:
    """1, x, y, d, xx, xy, yy, dx, dy, right lens, both lenses.

    Positions are -1..1, disparities are divided by their own spread. A lens moves a point away
    from the middle by k r^2 times its distance (Brown, "Close-range camera calibration", 1971);
    r is 1 in the corner. Where both lenses do so alike, what remains is the difference of the two.
    """
    half = np.array(size) / 2
    x, y = (((matches.left + matches.right) / 2 + 0.5) / half - 1).T
    disparity = matches.disparity
    middle = np.median(disparity)
    reach = max(1.4826 * float(np.median(np.abs(disparity - middle))), 0.01 * size[0])
    d = np.clip((disparity - middle) / reach, -3, 3)
    one = np.ones_like(x)
    left, right = (radial((side + 0.5) / half - 1, size) for side in (matches.left, matches.right))
    return np.stack(
        [one, x, y, d, x * x - 1 / 3, x * y, y * y - 1 / 3, d * x, d * y, right, right - left],
        axis=1,
    )


def radial(at: Float64[np.ndarray, "n 2"], size: tuple[int, int]) -> Float64[np.ndarray, " n"]:
    """r^2 y of positions -1..1 in an image of `size` (width, height); r is 1 in the corner."""
    share = np.array(size, dtype=np.float64) ** 2 / (size[0] ** 2 + size[1] ** 2)
    out: Array = (at**2 @ share) * at[:, 1]
    return out


def robust_fit(
    terms: Float64[np.ndarray, "n k"],
    values: Float64[np.ndarray, " n"],
    prior: Float64[np.ndarray, " k"],
) -> tuple[Array, Array, float, Array]:
    """Coefficients, weights, spread in pixels and covariance of a robust linear fit."""
    known = np.zeros(terms.shape[1])
    known[0] = np.median(values)
    for _ in range(15):
        error = values - terms @ known
        spread = 1.4826 * float(np.median(np.abs(error))) + 0.02
        weights = 1 / (1 + (error / (2.5 * spread)) ** 2) ** 2
        normal = (terms * weights[:, None]).T @ terms + np.diag((spread / prior) ** 2)
        fresh = np.linalg.solve(normal, (terms * weights[:, None]).T @ values)
        moved = float(np.abs(fresh - known).max())
        known = fresh
        if moved < 1e-3:
            break
    return known, weights, spread, np.linalg.inv(normal) * spread**2
