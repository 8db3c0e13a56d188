"""A stereo rig from views of a board: both cameras, their pose, what was left out, how sure it is.

Each camera alone (calibrate_camera.py), then the rig that most views agree on
(calibrate_views.py), then all cameras and boards together (bundle.py), each time leaving out the
views that do not fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.camera import CameraModel, StereoCalibration
from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.geometry.rectify import rectify
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.boards import Board
from fathom.rigs.bundle import BundleOptions, RefinedRig, refine_rig
from fathom.rigs.calibrate_camera import CalibratedCamera, calibrate_camera
from fathom.rigs.calibrate_checks import (
    FEWEST,
    require_count,
    require_order,
    require_slants,
    require_sure,
)
from fathom.rigs.calibrate_views import (
    BoardView,
    DroppedView,
    Poses,
    complete_views,
    distinct_views,
    guess_rig,
    require_sync,
    turned_right,
)

_FAR_OFF = 3.0  # times the median view's error
_ROUNDS = 6


Notify = Callable[[str], None]


@dataclass(frozen=True)
class CalibrateOptions:
    """How a rig is fitted to the views of a board."""

    model: CameraModel = option(
        "pinhole", "lens model: pinhole (Brown-Conrady) or fisheye (Kannala-Brandt)"
    )
    terms: Literal[4, 5, 8] = option(5, "distortion terms of a pinhole lens (a fisheye one has 4)")
    refine: bool = option(True, "refine both cameras and all board poses together")
    reject: bool = option(True, "leave out views with a high error")


@dataclass(frozen=True)
class ViewError:
    """What a kept view says. left, right, both: RMS distance of projected and seen points, pixels.

    rows: RMS row difference after rectification in pixels, None with fewer than 2 common points.
    points: seen by left and right. tilt: degrees between the board's normal and the left camera's
    axis. distance: metres to the middle of the board. turned: the right reading was turned.
    """

    name: str
    left: float
    right: float
    both: float
    rows: float | None
    points: tuple[int, int]
    tilt: float
    distance: float
    turned: bool


@dataclass(frozen=True, eq=False)
class RigCalibration:
    """A calibrated rig with everything that is known about it.

    errors, views, left and right (residuals (n, 2), projected minus seen, in the order of each
    view's points) belong together. rms: of all distances, pixels; rms_before: the same before all
    was refined together. rows, rows_before: RMS row difference after rectification, pixels.
    sigma: one standard deviation by name: left.fx, ... (pixels), baseline_m (metres), rig.rx, ...
    (radians). normals: (v, 3) the boards' normals in the left camera's frame.
    """

    calibration: StereoCalibration
    board: Board
    views: tuple[BoardView, ...]
    errors: tuple[ViewError, ...]
    dropped: tuple[DroppedView, ...]
    rms: float
    rms_before: float
    rows: float
    rows_before: float
    sigma: dict[str, float]
    left: tuple[Float64[np.ndarray, "_ 2"], ...]
    right: tuple[Float64[np.ndarray, "_ 2"], ...]
    normals: Float64[np.ndarray, "v 3"]
    refined: bool


def calibrate_rig(
    views: Sequence[BoardView],
    board: Board,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    options: CalibrateOptions = CalibrateOptions(),
    notify: Notify = lambda line: None,  # noqa: ARG005
) -> RigCalibration:
    """Two cameras and their pose from views of one board.

    views: the points found, in the order in which they were shot. sizes: (width, height) of the
    left and the right images.

    Raises `InputError` for fewer than `FEWEST` usable views, views that do not determine the
    cameras (all at the same slant), views that agree on no rig or are not in sync, and cameras
    that are exchanged.
    """
    kept, dropped = complete_views(views)
    require_count(kept, dropped, len(views))
    kept, twins = distinct_views(kept, sizes[0][0])
    dropped += twins
    require_count(kept, dropped, len(views))
    require_slants(kept, board)
    notify(f"calibrating each camera from {len(kept)} views")
    kept, cameras, lost = _each_camera(kept, board, sizes, options)
    dropped += lost
    left, right = (Poses(c.rotations, c.translations) for c in cameras)
    guess = guess_rig(board, left, right)
    require_sync(board, left, right, guess)
    dropped += [
        DroppedView(
            view.name,
            "rig-pose",
            f"the cameras would be {angle:.1f} degrees and {1000 * gap:.0f} mm from where the "
            "other views have them: the board or the rig moved between the two shots",
        )
        for view, agree, angle, gap in zip(kept, guess.agree, guess.angles, guess.gaps, strict=True)
        if not agree
    ]
    if guess.agree.mean() < 0.5:
        raise InputError(
            f"only {guess.agree.sum()} of {len(kept)} views agree on where the cameras stand",
            field="views",
            expected="cameras that do not move to each other, and shots taken at one moment",
            remedy="hold the board still while shooting, and check that left and right belong "
            "together",
        )
    turned = {v.name for v, turn in zip(kept, guess.turns, strict=True) if turn}
    index = np.flatnonzero(guess.agree)
    agreed = [turned_right(board, kept[i], guess.turns[i]) for i in index]
    require_count(agreed, dropped, len(views))
    start = StereoCalibration(
        cameras[0].camera, cameras[1].camera, guess.rotation, guess.translation
    )
    require_order(start)
    fit = _Fit(board, options, notify)
    agreed, before, after, lost = fit.rounds(agreed, start, left.picked(index))
    dropped += lost
    order = {view.name: i for i, view in enumerate(views)}
    dropped.sort(key=lambda d: order[d.name])
    return _account(board, agreed, turned, (before, after), tuple(dropped), options)


def _each_camera(
    views: list[BoardView],
    board: Board,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    options: CalibrateOptions,
) -> tuple[list[BoardView], tuple[CalibratedCamera, CalibratedCamera], list[DroppedView]]:
    """Each camera alone; views far worse than the others in one camera are left out."""
    dropped: list[DroppedView] = []
    for _ in range(_ROUNDS):
        found = []
        for side, size in zip(("left", "right"), sizes, strict=True):
            seen: list[BoardPoints] = [getattr(view, side) for view in views]
            objects = [board.points[points.ids] for points in seen]
            pixels = [points.pixels for points in seen]
            found.append(calibrate_camera(objects, pixels, size, options.model, options.terms))
        both = found[0], found[1]
        bad: dict[int, str] = {}
        for side, camera, size in zip(("left", "right"), both, sizes, strict=True):
            limit = _limit(camera.errors, size[0])
            for i in _worst(camera.errors, limit, len(views)):
                bad.setdefault(
                    i,
                    f"a reprojection error of {camera.errors[i]:.2f} px in the {side} image "
                    f"(others: {np.median(camera.errors):.2f} px)",
                )
        if not bad or not options.reject:
            return views, both, dropped
        dropped += [DroppedView(views[i].name, "error", reason) for i, reason in bad.items()]
        views = [view for i, view in enumerate(views) if i not in bad]
    return views, both, dropped


def _limit(errors: Float64[np.ndarray, " v"], width: int) -> float:
    """The error in pixels beyond which a view does not belong to the others."""
    return max(_FAR_OFF * float(np.median(errors)), 0.3 * max(1.0, width / 1000))


def _worst(errors: Float64[np.ndarray, " v"], limit: float, count: int) -> list[int]:
    """The views beyond the limit, worst first; at most a quarter at once, and `FEWEST` stay.

    A gross error spoils the fit of good views, too, so the worst go first.
    """
    far = [int(i) for i in np.argsort(-errors) if errors[i] > limit]
    return far[: max(0, min(max(1, count // 4), count - FEWEST))]


@dataclass(frozen=True)
class _Fit:
    """The fit of all views together, and the leaving out of those that do not fit."""

    board: Board
    options: CalibrateOptions
    notify: Notify

    def rounds(
        self, views: list[BoardView], start: StereoCalibration, poses: Poses
    ) -> tuple[list[BoardView], RefinedRig, RefinedRig, list[DroppedView]]:
        """The views that stay, the rig with the cameras held, the rig refined, what was dropped."""
        dropped: list[DroppedView] = []
        width = start.left.width
        for last in (False,) * (_ROUNDS - 1) + (True,):
            held = self._solve(views, start, poses, ())
            after = held
            if self.options.refine:
                self.notify(f"refining {len(views)} views together")
                free = ("focal", "center", "distortion")
                at = Poses(held.rotations, held.translations)
                after = self._solve(views, held.calibration, at, free)
            errors = np.array([_rms(a, b) for a, b in zip(after.left, after.right, strict=True)])
            bad = _worst(errors, _limit(errors, width), len(views))
            if last or not bad or not self.options.reject:
                break
            dropped += [
                DroppedView(
                    views[i].name,
                    "error",
                    f"a reprojection error of {errors[i]:.2f} px once left and right are one rig "
                    f"(others: {np.median(errors):.2f} px): not shot at the same moment?",
                )
                for i in bad
            ]
            stay = [i for i in range(len(views)) if i not in bad]
            views, poses = [views[i] for i in stay], poses.picked(np.array(stay))
        return views, held, after, dropped

    def _solve(
        self,
        views: list[BoardView],
        start: StereoCalibration,
        poses: Poses,
        refine: tuple[str, ...],
    ) -> RefinedRig:
        objects, left, right = [], [], []
        for view in views:
            assert view.left is not None and view.right is not None
            ids = np.union1d(view.left.ids, view.right.ids)
            objects.append(self.board.points[ids])
            left.append(_placed(ids, view.left))
            right.append(_placed(ids, view.right))
        try:
            return refine_rig(
                start,
                objects,
                left,
                right,
                poses=(poses.rotations, poses.translations),
                options=BundleOptions(refine=refine),
                notify=self.notify,
            )
        except InputError as error:
            raise InputError(
                f"the views do not determine the rig ({error.field}: {error.problem})",
                field="views",
                expected="the board at several slants (20 to 45 degrees) and places",
                remedy="shoot more, with the board tilted about both axes, or take fewer --terms",
            ) from error


def _placed(ids: Array, points: BoardPoints) -> Array:
    out = np.full((len(ids), 2), np.nan)
    out[np.searchsorted(ids, points.ids)] = points.pixels
    return out


def _rms(*residuals: Array) -> float:
    """Of the distances in pixels; rows of NaN (not seen) do not count."""
    flat = np.concatenate(residuals)
    flat = flat[np.isfinite(flat).all(axis=1)]
    return float(np.sqrt(np.mean(np.sum(flat**2, axis=1)))) if len(flat) else float("nan")


def _account(
    board: Board,
    views: list[BoardView],
    turned: set[str],
    fits: tuple[RefinedRig, RefinedRig],
    dropped: tuple[DroppedView, ...],
    options: CalibrateOptions,
) -> RigCalibration:
    before, after = fits
    calibration = after.calibration
    normals = after.rotations[:, :, 2]
    if options.refine:
        require_sure(after, normals)
    rows = row_differences(calibration, views)
    rows_before = row_differences(before.calibration, views)
    middle = (board.points.min(axis=0) + board.points.max(axis=0)) / 2
    errors = []
    for i, view in enumerate(views):
        assert view.left is not None and view.right is not None
        place = after.rotations[i] @ middle + after.translations[i]
        lean = float(np.degrees(np.arccos(np.clip(abs(normals[i, 2]), 0, 1))))
        row = rows[i]
        errors.append(
            ViewError(
                view.name,
                _rms(after.left[i]),
                _rms(after.right[i]),
                _rms(after.left[i], after.right[i]),
                float(np.sqrt(np.mean(row**2))) if len(row) > 1 else None,
                (len(view.left), len(view.right)),
                lean,
                float(np.linalg.norm(place)),
                view.name in turned,
            )
        )
    sigma = {n: after.sigma(n) for n in after.adjusted.names if not n.startswith("board")}
    sigma["baseline_m"] = after.baseline_sigma
    return RigCalibration(
        calibration=calibration,
        board=board,
        views=tuple(views),
        errors=tuple(errors),
        dropped=dropped,
        rms=_rms(*after.left, *after.right),
        rms_before=_rms(*before.left, *before.right),
        rows=_row_rms(rows),
        rows_before=_row_rms(rows_before),
        sigma=sigma,
        left=tuple(_seen(r) for r in after.left),
        right=tuple(_seen(r) for r in after.right),
        normals=normals,
        refined=options.refine,
    )


def _seen(residuals: Array) -> Array:
    out: Array = residuals[np.isfinite(residuals).all(axis=1)]
    return out


def row_differences(
    calibration: StereoCalibration, views: Sequence[BoardView]
) -> list[Float64[np.ndarray, " _"]]:
    """Per view, y_left - y_right in pixels of the common points after rectification.

    Raises `InputError` if the calibration cannot be rectified.
    """
    maps = rectify(calibration)
    found = []
    for view in views:
        assert view.left is not None and view.right is not None
        _, a, b = np.intersect1d(view.left.ids, view.right.ids, return_indices=True)
        left = maps.points(view.left.pixels[a], "left")
        right = maps.points(view.right.pixels[b], "right")
        gap = left[:, 1] - right[:, 1]
        found.append(gap[np.isfinite(gap)])
    return found


def _row_rms(rows: Sequence[Array]) -> float:
    flat = np.concatenate(list(rows))
    return float(np.sqrt(np.mean(flat**2))) if len(flat) else float("nan")
