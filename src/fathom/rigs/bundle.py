"""Bundle adjustment: cameras, rig, poses and points together, to the least reprojection error.

B. Triggs et al., "Bundle adjustment: a modern synthesis", 1999. Solved by scipy's trust region
method (Branch, Coleman and Li, 1999) with the analytic sparse Jacobian of `bundle_problem`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.camera import StereoCalibration
from fathom.core.errors import InputError, unknown_name
from fathom.geometry.project import rays
from fathom.rigs.bundle_covariance import covariances, noise_of
from fathom.rigs.bundle_problem import Bundle, Observations, Problem
from fathom.rigs.bundle_solve import Solution
from fathom.rigs.bundle_start import (
    BundleOptions,
    held_and_moving,
    require_ahead,
    require_enough,
    require_indices,
)
from fathom.rigs.triangulate import PosedCamera, posed_pair

__all__ = [
    "Adjusted",
    "Bundle",
    "BundleOptions",
    "Observations",
    "RefinedRig",
    "bundle_adjust",
    "refine_rig",
]


@dataclass(frozen=True, eq=False)
class Adjusted:
    """The bundle of the least error, and what is known about it.

    residuals: (m, 2) pixels, projected minus seen. rms_before, rms_after: pixels, of the distance
    between projected and seen. noise: estimated standard deviation of a pixel coordinate, outliers
    held back. names, covariance (k, k): of all unknowns but the points; rotations (rx, ry, rz) are
    radians about the axes of the frame they lead to, translations metres, intrinsics pixels.
    point_covariance: (p, 3, 3) square metres, None where the points were held. gauge: what was held
    because no observation can tell it. converged: False if the evaluations ran out.
    """

    bundle: Bundle
    residuals: Float64[np.ndarray, "m 2"]
    rms_before: float
    rms_after: float
    noise: float
    names: tuple[str, ...]
    covariance: Float64[np.ndarray, "k k"]
    point_covariance: Float64[np.ndarray, "p 3 3"] | None
    gauge: str
    evaluations: int
    converged: bool

    def sigma(self, name: str) -> float:
        """One standard deviation of the unknown of that name.

        Raises `UsageError` for a name that was not among the unknowns.
        """
        if name not in self.names:
            raise unknown_name("unknown of this bundle", name, list(self.names))
        i = self.names.index(name)
        return float(np.sqrt(self.covariance[i, i]))


def bundle_adjust(
    start: Bundle,
    seen: Observations,
    options: BundleOptions = BundleOptions(),  # noqa: B008 (frozen, so it may be shared)
    *,
    notify: Callable[[str], None] | None = None,
) -> Adjusted:
    """The cameras, poses and points under which the observations are most likely.

    The gauge: with points that move, the first frame's pose is held, and the scale by one length:
    that of the rig where it is known and held, the distance of the first two cameras where the rig
    moves, else the distance between the first frame and the one farthest from it. With held points
    nothing needs holding. The covariance is that gauge's.

    The covariance comes from the Jacobian at the solution and the residuals' own spread; with a
    robust loss by Huber's formula (Robust Statistics, 1981, section 7.6), so that outliers do not
    enter as noise.

    Raises `InputError` if indices leave the bundle, a moving point is seen only once, points lie
    behind a camera that sees them, there are fewer residuals than unknowns, or the observations
    leave an unknown undetermined.
    """
    require_indices(start, seen)
    poses, gauge = held_and_moving(start, options)
    problem = Problem(start, seen, options.refine, poses, options.points)
    require_enough(problem, seen, options)
    solution = Solution(problem, _Teller(notify))
    before = solution.residuals
    require_ahead(before)
    solution.solve(options)
    after = solution.residuals
    noise = noise_of(after, options.loss, options.loss_scale, problem.size)
    known, of_points = covariances(problem, solution.blocks, noise.variance)
    return Adjusted(
        bundle=problem.bundle(solution.unknowns),
        residuals=after,
        rms_before=_rms(before),
        rms_after=_rms(after),
        noise=noise.sigma,
        names=tuple(problem.names),
        covariance=known,
        point_covariance=of_points,
        gauge=gauge,
        evaluations=solution.evaluations,
        converged=solution.converged,
    )


class _Teller:
    """Says where the work stands, once a second."""

    def __init__(self, notify: Callable[[str], None] | None) -> None:
        self._notify, self._count, self._last = notify, 0, time.monotonic()

    def __call__(self, residuals: Array) -> None:
        self._count += 1
        now = time.monotonic()
        rms = _rms(residuals)  # NaN for a step that is not taken
        if self._notify is not None and now - self._last > 1 and np.isfinite(rms):
            self._last = now
            self._notify(f"bundle: evaluation {self._count}, rms {rms:.3f} px")


def _rms(residuals: Array) -> float:
    """Of the distances in pixels, not of their coordinates."""
    return float(np.sqrt(2 * np.mean(residuals**2)))


@dataclass(frozen=True, eq=False)
class RefinedRig:
    """A stereo calibration refined over all views of a board at once.

    calibration: the refined cameras and their pose. rotations (v, 3, 3), translations (v, 3):
    board to left camera, metres. left, right: per view (n, 2) residuals in pixels, projected minus
    detected, NaN where not detected. adjusted: the whole account; its unknowns are called left.fx,
    right.k1, rig.rx (radians, about the right camera's axes), rig.tx (metres), board3.rz, ...
    """

    calibration: StereoCalibration
    rotations: Float64[np.ndarray, "v 3 3"]
    translations: Float64[np.ndarray, "v 3"]
    left: tuple[Float64[np.ndarray, "_ 2"], ...]
    right: tuple[Float64[np.ndarray, "_ 2"], ...]
    adjusted: Adjusted

    def sigma(self, name: str) -> float:
        """One standard deviation of an unknown (`adjusted.names`); pixels, metres, radians."""
        return self.adjusted.sigma(name)

    @property
    def baseline_sigma(self) -> float:
        """One standard deviation of the baseline in metres."""
        first = self.adjusted.names.index("rig.tx")
        along = np.array(self.calibration.translation) / self.calibration.baseline
        block = self.adjusted.covariance[first : first + 3, first : first + 3]
        return float(np.sqrt(along @ block @ along))


def refine_rig(
    start: StereoCalibration,
    boards: Sequence[Float64[np.ndarray, "_ 3"]],
    left: Sequence[Float64[np.ndarray, "_ 2"]],
    right: Sequence[Float64[np.ndarray, "_ 2"]],
    *,
    poses: tuple[Float64[np.ndarray, "v 3 3"], Float64[np.ndarray, "v 3"]] | None = None,
    options: BundleOptions | None = None,
    notify: Callable[[str], None] | None = None,
) -> RefinedRig:
    """Both cameras, their pose and all board poses together, from a start that is roughly right.

    boards: per view the object points in the board's frame, metres. left, right: per view the
    detected pixels of those points, NaN where not detected (a whole view may be NaN on one side).
    poses: board to left camera; without it they are found from `start`. options: what moves; by
    default focal, center and distortion of both cameras with the loss soft_l1 at 1 pixel. A camera
    without distortion terms gets none: give the start as many zeros as terms shall be refined.

    Raises `InputError` if the views disagree in number or shape, or a view has fewer than 4
    detected points on both sides; and what `bundle_adjust` raises.
    """
    _require_views(boards, left, right)
    if options is None:
        options = BundleOptions(refine=("focal", "center", "distortion"))
    options = replace(options, rig=True, poses=True, points=False)
    cameras = posed_pair(start)
    if poses is None:
        found = [
            _board_pose(i, cameras, board, (a, b))
            for i, (board, a, b) in enumerate(zip(boards, left, right, strict=True))
        ]
        poses = np.stack([f[0] for f in found]), np.stack([f[1] for f in found])
    count = [len(board) for board in boards]
    frame = np.repeat(np.arange(len(boards)), count)
    pixels = np.concatenate([*left, *right])
    known = np.isfinite(pixels).all(axis=1)
    seen = Observations(
        np.tile(frame, 2)[known],
        np.repeat([0, 1], len(frame))[known],
        np.tile(np.arange(len(frame)), 2)[known],
        pixels[known],
    )
    done = bundle_adjust(
        Bundle(cameras, *poses, np.concatenate(list(boards))), seen, options, notify=notify
    )
    residuals = np.full(pixels.shape, np.nan)
    residuals[known] = done.residuals
    parts = np.split(residuals, np.cumsum(count * 2)[:-1])
    a, b = done.bundle.cameras
    return RefinedRig(
        StereoCalibration(a.camera, b.camera, b.rotation, b.translation),
        done.bundle.rotations,
        done.bundle.translations,
        tuple(parts[: len(boards)]),
        tuple(parts[len(boards) :]),
        replace(done, names=tuple(_rig_name(name) for name in done.names)),
    )


def _rig_name(name: str) -> str:
    owner, _, term = name.partition(".")
    if owner.startswith("frame"):
        return f"board{owner.removeprefix('frame')}.{term}"
    if owner == "camera0":
        return f"left.{term}"
    pose = ("rx", "ry", "rz", "tx", "ty", "tz")
    return f"rig.{term}" if term in pose else f"right.{term}"


def _require_views(boards: Sequence[Array], left: Sequence[Array], right: Sequence[Array]) -> None:
    if not len(boards) == len(left) == len(right) or not boards:
        raise InputError(
            "differ in number, or there are none",
            field="views",
            value=f"{len(boards)} boards, {len(left)} left, {len(right)} right",
            expected="one of each a view",
        )
    for i, (board, a, b) in enumerate(zip(boards, left, right, strict=True)):
        if np.shape(board) != (len(board), 3) or not (
            np.shape(a) == np.shape(b) == (len(board), 2)
        ):
            raise InputError(
                "has a wrong shape",
                field=f"view {i}",
                value=f"board {np.shape(board)}, left {np.shape(a)}, right {np.shape(b)}",
                expected="(n, 3), (n, 2), (n, 2)",
            )


def _board_pose(
    view: int, cameras: Sequence[PosedCamera], board: Array, pixels: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Board to left camera, from the side that shows more of the board."""
    import cv2

    looks = [rays(p, c.camera) for p, c in zip(pixels, cameras, strict=True)]
    known = [np.isfinite(look).all(axis=1) for look in looks]
    side = int(known[1].sum() > known[0].sum())
    here = known[side]
    if here.sum() < 4:
        raise InputError(
            f"shows {int(here.sum())} points of the board",
            field=f"view {view}",
            expected="4 or more in one image",
            remedy="leave that view out",
        )
    good, vector, shift = cv2.solvePnP(
        np.ascontiguousarray(board[here]), looks[side][here, :2].copy(), np.eye(3), None
    )
    rotation = np.asarray(cv2.Rodrigues(vector)[0])
    if not (good and np.isfinite(shift).all()):
        raise InputError(
            "gives no pose of the board", field=f"view {view}", remedy="leave that view out"
        )
    mount = cameras[side]
    return (
        mount.rotation.T @ rotation,
        mount.rotation.T @ (np.asarray(shift).ravel() - mount.translation),
    )
