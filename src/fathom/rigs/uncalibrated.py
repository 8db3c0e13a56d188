"""Rectification of a pair without any calibration, from matched points alone.

Rows are made to agree by two homographies K R K^-1 of turning cameras with one guessed focal length
(A. Fusiello and L. Irsara, "Quasi-Euclidean uncalibrated epipolar rectification", ICPR 2008): what
a turn of a camera can do to an image distorts it little, and never mirrors it. The fundamental
matrix that separates right matches from wrong ones is found by MAGSAC++ (D. Barath et al., CVPR
2020).

Metres stay unknown: neither the focal length nor the baseline follows from matches.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Bool, Float64, Shaped
from fathom.core.errors import InputError
from fathom.core.pair import StereoPair, View
from fathom.rigs.bundle_problem import turn
from fathom.rigs.features import Matches

_LEAST = 30  # matches of one epipolar geometry
_SHARE = 0.25  # of all matches, below which their agreement is chance
_TOLERANCE = 1.5  # pixels from the epipolar line, in images 1000 pixels wide
_STEEP = 45.0  # degrees of the epipolar lines
_MARGIN = 2.0  # pixels that the smallest disparity is above 0

UNKNOWN_METRES = (
    "rectified from matches alone: disparity is relative, metres are unknown (no focal length, "
    "no baseline, and infinity may lie at any disparity)"
)


@dataclass(frozen=True, eq=False)
class UncalibratedRectification:
    """Two homographies under which matches lie on common rows.

    left, right: (3, 3), raw pixels to rectified ones, of images of `size` (width, height). before,
    after: root mean square of y_right - y_left of the inliers, pixels. inliers: bool (n,), which
    matches fit. disparities: smallest and largest x_left - x_right of the inliers, pixels, > 0; no
    smallest one far from all others, which is a wrong match along a row.
    focal: pixels, the guess under which the turns fit; not a calibration. shear, aspect: largest
    change of a right angle in degrees, and of the ratio of sides, at the middle of an image.
    statement: what the result cannot say, for people.
    """

    left: Float64[np.ndarray, "3 3"]
    right: Float64[np.ndarray, "3 3"]
    size: tuple[int, int]
    before: float
    after: float
    inliers: Bool[np.ndarray, " n"]
    disparities: tuple[float, float]
    focal: float
    shear: float
    aspect: float
    statement: str = UNKNOWN_METRES

    def __call__(self, left: View, right: View) -> StereoPair:
        """The rectified pair, without a rig (cubic interpolation, black outside).

        Raises `InputError` for images of another size.
        """
        return StereoPair(self._warped(left, self.left), self._warped(right, self.right))

    def _warped(self, view: View, homography: Array) -> View:
        import cv2

        if view.size != self.size:
            raise InputError(
                "the rectification is for another image size",
                field="view",
                value=f"{view.size[0]}x{view.size[1]}",
                expected=f"{self.size[0]}x{self.size[1]}",
            )
        image = cv2.warpPerspective(
            np.asarray(view.image), homography, self.size, flags=cv2.INTER_CUBIC
        )
        return View(np.asarray(image))


def rectify_uncalibrated(matches: Matches, size: tuple[int, int]) -> UncalibratedRectification:
    """Homographies that put the matches of two images of `size` (width, height) on common rows.

    The right image is moved along its rows so that inliers' disparities are positive; that moves
    infinity too, so disparities are not depths up to scale. The same matches give the same
    result.

    Raises `InputError`, each with its reason, for too few matches, too few that agree, a scene of
    one plane or cameras that only turned (both leave the geometry open), a camera that moved
    forward (the epipole lies in the image), and cameras above each other.
    """
    width, height = size
    if len(matches) < _LEAST:
        raise InputError(
            f"{len(matches)} matches are too few to rectify by",
            field="matches",
            expected=f"{_LEAST} or more",
            remedy="give images that share more structure",
        )
    unit = max(width, height) / 1000
    fundamental, inliers = _fundamental(matches, _TOLERANCE * unit)
    found = int(inliers.sum())
    if found < max(_LEAST, _SHARE * len(matches)):
        raise InputError(
            f"only {found} of {len(matches)} matches agree on one geometry",
            field="matches",
            expected=f"at least {max(_LEAST, round(_SHARE * len(matches)))}",
            remedy="give two views of one still scene, taken from nearby places",
        )
    good = matches.take(inliers)
    _require_parallax(good, fundamental, size, unit)
    left, right, focal = _turned(good, size)
    left, right = _placed(left, right, good, size)
    p, q = (_mapped(h, x) for h, x in ((left, good.left), (right, good.right)))
    rise, disparity = q[:, 1] - p[:, 1], p[:, 0] - q[:, 0]
    after = float(np.sqrt(np.mean(rise**2)))
    if not after < _TOLERANCE * unit:
        raise _unfit(after, good, fundamental, size)
    shapes = [_shape(h, size) for h in (left, right)]
    return UncalibratedRectification(
        left,
        right,
        size,
        before=float(np.sqrt(np.mean(good.rise**2))),
        after=after,
        inliers=inliers,
        disparities=(_farthest(disparity, width), float(disparity.max())),
        focal=focal,
        shear=max(s[0] for s in shapes),
        aspect=max((s[1] for s in shapes), key=lambda a: abs(np.log(a))),
    )


def _fundamental(
    matches: Matches, tolerance: float
) -> tuple[Float64[np.ndarray, "3 3"], Bool[np.ndarray, " n"]]:
    """F with q^T F p = 0, and the matches within `tolerance` pixels of it."""
    import cv2

    how = cv2.UsacParams()
    how.threshold, how.confidence, how.maxIterations = tolerance, 0.9999, 5000
    how.score, how.loMethod = cv2.SCORE_METHOD_MAGSAC, cv2.LOCAL_OPTIM_SIGMA
    how.sampler, how.isParallel = cv2.SAMPLING_UNIFORM, False
    how.randomGeneratorState = 1
    left, right = np.array(matches.left), np.array(matches.right)
    found, _ = cv2.findFundamentalMat(left, right, how)
    if found is None or np.shape(found) != (3, 3):
        return np.zeros((3, 3)), np.zeros(len(matches), bool)
    matrix = np.asarray(found, np.float64)
    return matrix, _sampson(matrix, left, right) < tolerance


def _sampson(matrix: Float64[np.ndarray, "3 3"], p: Array, q: Array) -> Float64[np.ndarray, " n"]:
    """Distance of matches from the epipolar geometry to first order, pixels (Hartley and Zisserman
    2004, equation 11.9)."""
    one = np.ones((len(p), 1))
    a, b = np.hstack([p, one]), np.hstack([q, one])
    lines, back = a @ matrix.T, b @ matrix
    slope = np.hypot(np.hypot(lines[:, 0], lines[:, 1]), np.hypot(back[:, 0], back[:, 1]))
    return np.asarray(np.abs((b * lines).sum(axis=1)) / np.maximum(slope, 1e-12))


def _require_parallax(
    good: Matches, fundamental: Array, size: tuple[int, int], unit: float
) -> None:
    """Refuses matches that one homography explains as well: F would be any of a whole family."""
    import cv2

    p, q = np.array(good.left), np.array(good.right)
    found: Any = cv2.findHomography(p, q, cv2.RANSAC, _TOLERANCE * unit * 2, maxIters=2000)[0]
    if found is None:
        return
    plane = np.asarray(found, np.float64)
    off = np.linalg.norm(_mapped(plane, p) - q, axis=1)
    # One point in twenty must leave the plane by what noise does not do: wrong matches along the
    # epipolar lines are fewer.
    noise = 1.4826 * float(np.median(_sampson(fundamental, p, q)))
    limit = unit + 3 * noise
    if float(np.quantile(off, 0.95)) > limit:
        return
    turned = "the cameras only turned, or all lies in one far plane"
    what = turned if _only_turned(plane, size) else "all lies in one plane"
    raise InputError(
        f"{what}: {np.mean(off <= limit):.0%} of the points move as one, to {limit:.1f} px",
        field="matches",
        expected="a scene with depth, seen from two places",
        remedy="move the camera sideways, and show near and far things",
    )


def _only_turned(plane: Float64[np.ndarray, "3 3"], size: tuple[int, int]) -> bool:
    """Whether K^-1 H K is a rotation for a plausible focal length."""
    for share in np.geomspace(0.4, 4.0, 25):
        k = _matrix(share * max(size), size)
        core = np.linalg.inv(k) @ plane @ k
        core /= np.cbrt(np.linalg.det(core))
        if np.abs(core @ core.T - np.eye(3)).max() < 0.02:
            return True
    return False


def _unfit(after: float, good: Matches, fundamental: Array, size: tuple[int, int]) -> InputError:
    """Why rows do not agree: epipolar lines that run up and down, or meet in an image.

    Asked only then: with little parallax the epipole is hardly determined, and rows still are.
    """
    width, height = size
    lines = np.hstack([good.left, np.ones((len(good), 1))]) @ fundamental.T
    steep = float(np.degrees(np.median(np.arctan2(np.abs(lines[:, 0]), np.abs(lines[:, 1])))))
    for side, matrix in (("left", fundamental), ("right", fundamental.T)):
        epipole = np.linalg.svd(matrix)[2][2]
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = epipole[:2] / epipole[2]
        if -0.1 * width < x < 1.1 * width and -0.1 * height < y < 1.1 * height:
            return InputError(
                f"the epipole lies in the {side} image, at ({x:.0f}, {y:.0f})",
                field="matches",
                expected="cameras side by side",
                remedy="a camera that moved forward gives no rectified pair: move it sideways",
            )
    if steep > _STEEP:
        return InputError(
            f"points move along lines {steep:.0f} degrees from the rows",
            field="matches",
            expected=f"below {_STEEP:.0f} degrees: cameras side by side",
            remedy="turn both images by 90 degrees, for the cameras stand above each other",
        )
    return InputError(
        f"rows still differ by {after:.1f} px after rectification",
        field="matches",
        expected=f"below {_TOLERANCE * max(size) / 1000:.1f} px",
        remedy="give views that are turned less against each other, with less lens distortion",
    )


def _turned(good: Matches, size: tuple[int, int]) -> tuple[Array, Array, float]:
    """Homographies of the two turns under which rows agree best, and the focal length.

    Six unknowns: yaw and roll of the left camera, all three angles of the right one, and the
    logarithm of the focal length, over the row errors of the turned points. The left camera's pitch
    is free (it turns both about the baseline) and 0. A weak prior keeps angles and focal length
    that nothing determines near none and near the image's width.
    """
    from scipy.optimize import least_squares

    p, q = (np.hstack([x, np.ones((len(good), 1))]) for x in (good.left, good.right))
    # Matches share errors of the lens: they tell no more than some 200 independent ones.
    noise = 0.3 * max(size) / 1000 * max(1.0, len(good) / 200) ** 0.5
    prior = np.array([0.3, 0.3, 0.3, 0.3, 0.3, 0.3])  # radians; a factor of e^0.3
    limit = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.1])  # a factor of 3

    def matrices(unknowns: Array) -> tuple[Array, Array]:
        k = _matrix(max(size) * float(np.exp(unknowns[5])), size)
        inverse = np.linalg.inv(k)
        left = np.array([0.0, unknowns[0], unknowns[1]])
        return k @ turn(left[None])[0] @ inverse, k @ turn(unknowns[None, 2:5])[0] @ inverse

    def errors(unknowns: Array) -> Array:
        a, b = (x @ h.T for x, h in zip((p, q), matrices(unknowns), strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = (b[:, 1] / b[:, 2] - a[:, 1] / a[:, 2]) / noise
        # A turn that takes points behind the camera is no candidate; scipy then steps less.
        rise[(a[:, 2] <= 0) | (b[:, 2] <= 0)] = np.nan
        return np.concatenate([rise, unknowns / prior])

    done: Any = None
    for yaw in (0.0, 0.2, -0.2):
        start = np.array([yaw, 0.0, 0.0, yaw, 0.0, 0.0])
        if not np.isfinite(errors(start)).all():
            continue
        tried = least_squares(
            errors, start, loss="soft_l1", f_scale=3.0, max_nfev=200, bounds=(-limit, limit)
        )
        if done is None or tried.cost < 0.99 * done.cost:
            done = tried
    left, right = matrices(done.x)
    return left, right, max(size) * float(np.exp(done.x[5]))


def _placed(left: Array, right: Array, good: Matches, size: tuple[int, int]) -> tuple[Array, Array]:
    """The homographies followed by one scale, one shift of rows, and a shift along the rows each.

    The points' middle goes back to where it was in the left image, the scale keeps their area, and
    the right image is moved until the smallest disparity is positive.
    """
    p, q = _mapped(left, good.left), _mapped(right, good.right)
    middle = np.array([[(size[0] - 1) / 2, (size[1] - 1) / 2]])
    areas = [_area(h, middle) for h in (left, right)]
    scale = float(np.clip((areas[0] * areas[1]) ** -0.25, 0.5, 2.0))
    centers = [_mapped(h, middle)[0] * scale for h in (left, right)]
    down = middle[0, 1] - (centers[0][1] + centers[1][1]) / 2
    along = middle[0, 0] - centers[0][0]
    smallest = _farthest(scale * (p[:, 0] - q[:, 0]), size[0])
    grow = np.diag([scale, scale, 1.0])
    out = []
    for h, across in ((left, along), (right, along + smallest - _MARGIN)):
        shift = np.array([[1, 0, across], [0, 1, down], [0, 0, 1.0]])
        placed = shift @ grow @ h
        out.append(placed / placed[2, 2])
    return out[0], out[1]


def _farthest(disparity: Float64[np.ndarray, " n"], width: int) -> float:
    """The smallest disparity that is not alone.

    A wrong match may lie on the right row, anywhere on it: it must not push the image out of sight.
    One counts where a hundredth of all lie within a hundredth of the image's width above it.
    """
    found = np.sort(disparity)
    count = max(3, len(found) // 100)
    close = found[count - 1 :] - found[: len(found) - count + 1] < max(2.0, 0.01 * width)
    return float(found[int(np.argmax(close))])


def _area(homography: Array, at: Float64[np.ndarray, "1 2"]) -> float:
    """By how much the homography enlarges an area there."""
    x, y = at[0]
    w = float(homography[2] @ np.array([x, y, 1.0]))
    return float(abs(np.linalg.det(homography) / w**3))


def _shape(homography: Array, size: tuple[int, int]) -> tuple[float, float]:
    """Change of a right angle in degrees, and of the ratio of sides, between the lines through the
    middles of the sides (J. Mallon and P. Whelan, "Projective rectification from the fundamental
    matrix", Image and Vision Computing 2005)."""
    width, height = size
    x, y = (width - 1) / 2, (height - 1) / 2
    ends = np.array([[x, 0], [width - 1.0, y], [x, height - 1.0], [0, y]])
    top, right, bottom, left = _mapped(homography, ends)
    across, down = right - left, bottom - top
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    angle = np.degrees(np.arccos(np.clip(across @ down / (lengths[0] * lengths[1]), -1, 1)))
    before = (width - 1) / max(height - 1, 1)
    return float(abs(angle - 90)), float(lengths[0] / lengths[1] / before)


def _matrix(focal: float, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1.0]])


def _mapped(homography: Array, points: Shaped[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    out = np.hstack([points, np.ones((len(points), 1))]) @ homography.T
    return np.asarray(out[:, :2] / out[:, 2:])
