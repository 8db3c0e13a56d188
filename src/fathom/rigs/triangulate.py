"""Points in space from pixels in two or more posed views, with what is known about their error.

R. Hartley and A. Zisserman, Multiple View Geometry in Computer Vision, 2nd ed. 2004, chapters 5
(covariance) and 12 (triangulation): a linear start, then the minimum of the reprojection error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Bool, Float64, frozen
from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import SparseDepth
from fathom.core.pair import StereoPair
from fathom.geometry.project import project, project_with_derivatives, rays
from fathom.rigs.features import Matches, match_features

_ROUNDS = 20  # of Gauss-Newton at most; three or four are the rule
_CHUNK = 20_000  # points at a time, so that memory stays near the caches


@dataclass(frozen=True, eq=False)
class PosedCamera:
    """A camera and where it stands: X_camera = rotation @ X_world + translation.

    rotation (3, 3); translation (3,) in metres.

    Raises `InputError` if the rotation is not orthonormal (to 1e-3) or a number is not finite.
    """

    camera: Camera
    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]

    def __post_init__(self) -> None:
        rotation = np.array(self.rotation, dtype=np.float64)
        translation = np.array(self.translation, dtype=np.float64).reshape(-1)
        if rotation.shape != (3, 3) or translation.shape != (3,):
            raise InputError(
                "has a wrong shape",
                field="pose",
                value=f"rotation {rotation.shape}, translation {translation.shape}",
                expected="(3, 3) and (3,)",
            )
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs(rotation @ rotation.T - np.eye(3)).max()
            good = error <= 1e-3 and np.linalg.det(rotation) > 0
        if not (good and np.isfinite(translation).all()):
            raise InputError(
                "is no pose",
                field="pose",
                value=f"|R R^T - 1| = {error:.3g}, translation {translation.tolist()}",
                expected="an orthonormal rotation with determinant +1 and finite metres",
            )
        object.__setattr__(self, "rotation", frozen(rotation))
        object.__setattr__(self, "translation", frozen(translation))

    @property
    def center(self) -> Float64[np.ndarray, "3"]:
        """Where the camera stands in the world, metres."""
        out: Array = -self.rotation.T @ self.translation
        return out


def posed_pair(calibration: StereoCalibration | StereoRig) -> tuple[PosedCamera, PosedCamera]:
    """The two cameras of a calibration; the world is the left camera's frame."""
    left = PosedCamera(calibration.left, np.eye(3), np.zeros(3))
    if isinstance(calibration, StereoRig):
        shift = np.array([-calibration.baseline, 0.0, 0.0])
        return left, PosedCamera(calibration.right, np.eye(3), shift)
    right = PosedCamera(
        calibration.right, np.array(calibration.rotation), np.array(calibration.translation)
    )
    return left, right


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Points and how far to trust them; NaN where fewer than two views see a point.

    points: (n, 3) metres, the world's frame. covariance: (n, 3, 3) square metres, from the pixels'
    standard deviation. error: (n,) pixels, the reprojection error, root of the mean square over
    the views. angle: (n,) degrees, the largest angle between two of the point's rays.
    ahead: (n,) True where the point lies in front of all cameras that see it.
    """

    points: Float64[np.ndarray, "n 3"]
    covariance: Float64[np.ndarray, "n 3 3"]
    error: Float64[np.ndarray, " n"]
    angle: Float64[np.ndarray, " n"]
    ahead: Bool[np.ndarray, " n"]

    def good(self, max_error: float = 2.0, min_angle: float = 0.1) -> Bool[np.ndarray, " n"]:
        """Points in front of the cameras, of at most `max_error` pixels of reprojection error,
        and with rays at least `min_angle` degrees apart."""
        with np.errstate(invalid="ignore"):
            out: Array = self.ahead & (self.error <= max_error) & (self.angle >= min_angle)
        return out


def triangulate(
    views: Sequence[PosedCamera], pixels: Float64[np.ndarray, "v n 2"], *, sigma: float = 0.5
) -> Triangulation:
    """Points seen by two or more posed views.

    pixels: raw pixels of every view (lens distortion is undone through the camera's model), NaN
    where a view does not see a point. sigma: standard deviation of a pixel coordinate.

    Starts at the point nearest to all rays and goes to the minimum of the squared reprojection
    error; the covariance is sigma^2 (J^T J)^-1 there (Hartley and Zisserman, result 5.12).
    Nearly parallel rays give a large covariance and a small `angle`, not an error.

    Raises `InputError` for fewer than two views or pixels of another shape, `UsageError` for a
    sigma that is not positive.
    """
    pixels = np.asarray(pixels, dtype=np.float64)
    if len(views) < 2:
        raise InputError(
            "is too few to triangulate", field="views", value=len(views), expected="two or more"
        )
    if pixels.ndim != 3 or len(pixels) != len(views) or pixels.shape[2] != 2:
        raise InputError(
            "has a wrong shape",
            field="pixels",
            value=pixels.shape,
            expected=f"({len(views)}, n, 2), one layer a view",
        )
    if not sigma > 0:
        raise UsageError("is not positive", field="sigma", value=sigma, expected="pixels > 0")
    count = pixels.shape[1]
    starts = range(0, max(count, 1), _CHUNK)
    parts = [_triangulated(views, pixels[:, s : s + _CHUNK], sigma) for s in starts]
    names = ("points", "covariance", "error", "angle", "ahead")
    return Triangulation(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def _triangulated(views: Sequence[PosedCamera], pixels: Array, sigma: float) -> Triangulation:
    directions = _directions(views, pixels)
    seen = np.isfinite(directions).all(axis=2)
    used = seen.sum(axis=0) >= 2
    points = _nearest_to_rays(views, directions, seen)
    points[~used] = np.nan
    depth = np.stack([(points @ v.rotation.T + v.translation)[:, 2] for v in views])
    ahead = used & (~seen | (depth > 0)).all(axis=0)
    inverse = np.full((len(points), 3, 3), np.nan)
    error = np.full(len(points), np.nan)
    index = np.nonzero(ahead)[0]
    points[index], inverse[index], error[index] = _least_squares(
        views, pixels[:, index], seen[:, index], points[index]
    )
    behind = used & ~ahead
    error[behind] = np.inf
    angle = _widest(directions, seen)
    angle[~used] = np.nan
    return Triangulation(points, inverse * sigma**2, error, angle, ahead)


def _directions(views: Sequence[PosedCamera], pixels: Array) -> Float64[np.ndarray, "v n 3"]:
    """Unit vectors in the world's frame along which the pixels look; NaN where not seen."""
    out = np.full((*pixels.shape[:2], 3), np.nan)
    for i, view in enumerate(views):
        seen = np.isfinite(pixels[i]).all(axis=1)
        ray = rays(pixels[i, seen], view.camera) @ view.rotation
        out[i, seen] = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    return out


def _nearest_to_rays(
    views: Sequence[PosedCamera], directions: Array, seen: Array
) -> Float64[np.ndarray, "n 3"]:
    """The points of the least squared distance to their rays: sum (1 - d d^T)(X - c) = 0."""
    count = directions.shape[1]
    normal, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for view, direction, here in zip(views, directions, seen, strict=True):
        d = np.where(here[:, None], direction, 0.0)
        off = here[:, None, None] * np.eye(3) - d[:, :, None] * d[:, None, :]
        normal += off
        right += off @ view.center
    # Parallel rays meet nowhere: a trace of a distance keeps the equations solvable, far away.
    normal += 1e-12 * np.eye(3)
    return np.linalg.solve(normal, right[..., None])[..., 0]


def _least_squares(
    views: Sequence[PosedCamera], pixels: Array, seen: Array, start: Array
) -> tuple[Array, Array, Array]:
    """Points of the least reprojection error, (J^T J)^-1 there, and the error in pixels.

    Damped Gauss-Newton (Marquardt, 1963), all points at once: a step that does not lower a
    point's error, or takes it behind a camera, is not made and that point's damping grows.
    """
    points = start.copy()
    normal, slope, cost = _normal_equations(views, pixels, seen, points)
    damping = np.full(len(points), 1e-6)
    open_ = np.arange(len(points))
    for _ in range(_ROUNDS):
        if len(open_) == 0:
            break
        diagonal = np.einsum("nii->ni", normal[open_])
        damped = normal[open_] + np.einsum(
            "ni,ij->nij", diagonal * damping[open_, None] + 1e-300, np.eye(3)
        )
        step = np.linalg.solve(damped, -slope[open_, :, None])[..., 0]
        trial = points[open_] + step
        fresh = _normal_equations(views, pixels[:, open_], seen[:, open_], trial)
        better = fresh[2] <= cost[open_]  # False for NaN: behind a camera
        # What a step would still gain, in square pixels: far below what a pixel can tell.
        gain = -np.einsum("ni,ni->n", slope[open_], step)
        taken = open_[better]
        points[taken] = trial[better]
        for held, new in zip((normal, slope, cost), fresh, strict=True):
            held[taken] = new[better]
        damping[open_] = np.where(better, damping[open_] / 10, damping[open_] * 10 + 1e-4)
        open_ = open_[gain > 1e-10]
    views_each = np.maximum(seen.sum(axis=0), 1)
    return points, _inverse(normal), np.sqrt(cost / views_each)


def _normal_equations(
    views: Sequence[PosedCamera], pixels: Array, seen: Array, points: Array
) -> tuple[Array, Array, Array]:
    """J^T J (n, 3, 3), J^T r (n, 3) and |r|^2 (n,) of the reprojection error at `points`."""
    count = len(points)
    normal, slope, cost = np.zeros((count, 3, 3)), np.zeros((count, 3)), np.zeros(count)
    for view, target, here in zip(views, pixels, seen, strict=True):
        inside = points @ view.rotation.T + view.translation
        made = project_with_derivatives(inside, view.camera)
        residual = np.where(here[:, None], made.pixels - target, 0.0)
        moved = np.where(here[:, None, None], made.by_point @ view.rotation, 0.0)
        turned = moved.transpose(0, 2, 1)
        normal += turned @ moved
        slope += (turned @ residual[..., None])[..., 0]
        cost += (residual**2).sum(axis=1)
    return normal, slope, cost


def _inverse(normal: Float64[np.ndarray, "n 3 3"]) -> Float64[np.ndarray, "n 3 3"]:
    """Inverses; infinite where rays are so parallel that the matrix has none."""
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", normal), 1e-300))
    outer = scale[:, :, None] * scale[:, None, :]
    unit = normal / outer
    solvable = np.linalg.det(unit) > 1e-15
    out = np.full_like(normal, np.inf)
    out[solvable] = np.linalg.inv(unit[solvable]) / outer[solvable]
    return out


def _widest(directions: Array, seen: Array) -> Float64[np.ndarray, " n"]:
    widest = np.zeros(directions.shape[1])
    for i in range(len(directions)):
        for j in range(i):
            # The arc sine of half the chord keeps its digits where the angle is tiny.
            chord = np.linalg.norm(directions[i] - directions[j], axis=1)
            angle = np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1)))
            widest = np.where(seen[i] & seen[j], np.fmax(widest, angle), widest)
    return widest


def sparse_depth(
    pair: StereoPair,
    *,
    matches: Matches | None = None,
    method: Literal["sift", "orb"] = "sift",
    sigma: float | None = None,
    max_relative: float = 0.25,
) -> SparseDepth:
    """Depth with its standard deviation at the matched points of a rectified pair.

    matches: in pixels of the pair; by default they are found with `method`. sigma: standard
    deviation of a matched pixel coordinate. Without it, it is estimated from the rows, on which
    both views must agree: what they scatter by is the matches' error, for it holds no depth.
    max_relative: points with a standard deviation above this share of their depth are left out.

    Matches off their row by more than 3 sigmas, and those at or behind infinity, are left out.
    sigma_Z = Z^2 sqrt(2) sigma / (f b), which is what the full covariance gives for a rectified
    rig up to the point's rise on the same row.

    Raises `UsageError` without a rig, `InputError` if no match is left.
    """
    if pair.rig is None:
        raise UsageError(
            "there is no calibration, so matches cannot become metres",
            remedy="read the pair with calib=FILE, or give focal= and baseline=",
        )
    if matches is None:
        matches = match_features(pair.left, pair.right, method=method)
    rise = matches.rise
    if sigma is None:
        # The rise is a difference of two coordinates; rigs are aligned to no better than 0.05.
        near = rise[np.abs(rise) <= 3.0]
        # Not the median: half of ORB's matches may have the very same whole row.
        spread = float(np.quantile(np.abs(near), 0.683)) if len(near) else 0.7
        sigma = max(spread / np.sqrt(2), 0.05)
    kept = np.abs(rise) <= max(3 * np.sqrt(2) * sigma, 0.3)
    kept &= matches.disparity + pair.rig.doffs > 0
    matches = matches.take(kept)
    found = triangulate(posed_pair(pair.rig), np.stack([matches.left, matches.right]), sigma=sigma)
    depth = found.points[:, 2]
    with np.errstate(invalid="ignore"):
        error = np.sqrt(found.covariance[:, 2, 2])
        certain = found.ahead & (error <= max_relative * depth)
    if not certain.any():
        raise InputError(
            f"none of {len(rise)} matches gives a depth",
            field="matches",
            expected="points on one row, in front of infinity, not too far away",
            remedy="run `fathom check` on the pair",
        )
    return SparseDepth(
        matches.left[certain].astype(np.float32),
        depth[certain].astype(np.float32),
        error[certain].astype(np.float32),
    )


def reprojection(
    views: Sequence[PosedCamera], points: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "v n 2"]:
    """Pixels at which the views see points of the world (metres); NaN behind a camera."""
    return np.stack([project(points @ v.rotation.T + v.translation, v.camera) for v in views])
