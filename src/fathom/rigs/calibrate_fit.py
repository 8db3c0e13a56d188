"""The fits that a calibration is made of: each camera alone, then the rig with all boards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.camera import Camera, CameraModel, StereoCalibration
from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.rigs.board_circles import centroid_shift
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.boards import Board
from fathom.rigs.bundle import BundleOptions, RefinedRig, refine_rig
from fathom.rigs.calibrate_camera import CalibratedCamera, calibrate_on
from fathom.rigs.calibrate_checks import FEWEST
from fathom.rigs.calibrate_views import BoardView, DroppedView, Poses

_FAR_OFF = 3.0  # times the median view's error
_ROUNDS = 6
_CIRCLE_FITS = 2  # of the rig, whose start has the circles' shift nearly right already
SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")

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


@dataclass(frozen=True, eq=False)
class EachCamera:
    """Both cameras alone. pairs: the views both saw; lonely: those one saw; dropped: left out.
    left, right: the cameras, with poses of the pairs first, then of their lonely views."""

    pairs: list[BoardView]
    lonely: list[BoardView]
    left: CalibratedCamera
    right: CalibratedCamera
    dropped: list[DroppedView]

    def poses(self) -> tuple[Poses, Poses]:
        """Of the pairs, to each camera."""
        count = len(self.pairs)
        both = [Poses(c.rotations[:count], c.translations[:count]) for c in (self.left, self.right)]
        return both[0], both[1]

    def lonely_poses(self, rig: StereoCalibration) -> Poses:
        """Of the lonely views, to the left camera."""
        rotations, translations = [], []
        after = {"left": len(self.pairs), "right": len(self.pairs)}
        for view in self.lonely:
            side = "right" if view.left is None else "left"
            own: CalibratedCamera = getattr(self, side)
            turn, shift = own.rotations[after[side]], own.translations[after[side]]
            after[side] += 1
            if side == "right":
                turn, shift = rig.rotation.T @ turn, rig.rotation.T @ (shift - rig.translation)
            rotations.append(turn)
            translations.append(shift)
        return Poses(
            np.array(rotations, dtype=np.float64).reshape(-1, 3, 3),
            np.array(translations, dtype=np.float64).reshape(-1, 3),
        )


def each_camera(
    pairs: list[BoardView],
    lonely: list[BoardView],
    board: Board,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    options: CalibrateOptions,
) -> EachCamera:
    """Each camera alone; views far worse than the others in one camera are left out."""
    dropped: list[DroppedView] = []
    for last in (False,) * (_ROUNDS - 1) + (True,):
        found = []
        bad: dict[str, str] = {}
        for side, size in zip(SIDES, sizes, strict=True):
            used = [*pairs, *(view for view in lonely if getattr(view, side) is not None)]
            seen: list[BoardPoints] = [getattr(view, side) for view in used]
            camera = calibrate_on(board, seen, size, options.model, options.terms)
            found.append(camera)
            limit = _limit(camera.errors, size[0])
            for i in _worst(camera.errors, limit, used):
                bad.setdefault(
                    used[i].name,
                    f"a reprojection error of {camera.errors[i]:.2f} px in the {side} image "
                    f"(others: {np.median(camera.errors):.2f} px)",
                )
        if last or not bad or not options.reject:
            break
        dropped += [DroppedView(name, "error", reason) for name, reason in bad.items()]
        pairs = [view for view in pairs if view.name not in bad]
        lonely = [view for view in lonely if view.name not in bad]
    return EachCamera(pairs, lonely, found[0], found[1], dropped)


def _limit(errors: Float64[np.ndarray, " v"], width: int) -> float:
    """The error in pixels beyond which a view does not belong to the others."""
    return max(_FAR_OFF * float(np.median(errors)), 0.3 * max(1.0, width / 1000))


def _worst(
    errors: Float64[np.ndarray, " v"], limit: float, views: Sequence[BoardView]
) -> list[int]:
    """The views beyond the limit, worst first; at most a quarter at once, and `FEWEST` pairs stay.

    A gross error spoils the fit of good views, too, so the worst go first.
    """
    far = [int(i) for i in np.argsort(-errors) if errors[i] > limit]
    spare = sum(_is_pair(view) for view in views) - FEWEST
    chosen = []
    for i in far[: max(1, len(views) // 4)]:
        if _is_pair(views[i]):
            spare -= 1
            if spare < 0:
                continue
        chosen.append(i)
    return chosen


def _is_pair(view: BoardView) -> bool:
    return view.left is not None and view.right is not None


@dataclass(frozen=True, eq=False)
class RigFit:
    """The rig fitted to all views. views: those that stayed, circles' centroids set right.
    held, refined: the fit with the cameras held, and with all refined; dropped: left out."""

    views: list[BoardView]
    held: RefinedRig
    held_views: list[BoardView]
    refined: RefinedRig
    dropped: list[DroppedView]


@dataclass(frozen=True)
class RigFitter:
    """The fit of all views together, and the leaving out of those that do not fit."""

    board: Board
    options: CalibrateOptions
    notify: Notify

    def rounds(self, views: list[BoardView], start: StereoCalibration, poses: Poses) -> RigFit:
        """Fits, leaves out what is far off, and fits again. poses: board to left camera."""
        dropped: list[DroppedView] = []
        width = start.left.width
        for last in (False,) * (_ROUNDS - 1) + (True,):
            held, held_views = self._solve(views, start, poses, ())
            after, right_views = held, held_views
            if self.options.refine:
                self.notify(f"refining {len(views)} views together")
                free = ("focal", "center", "distortion")
                at = Poses(held.rotations, held.translations)
                after, right_views = self._solve(views, held.calibration, at, free)
            errors = np.array([rms(a, b) for a, b in zip(after.left, after.right, strict=True)])
            bad = _worst(errors, _limit(errors, width), views)
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
        return RigFit(right_views, held, held_views, after, dropped)

    def _solve(
        self,
        views: list[BoardView],
        start: StereoCalibration,
        poses: Poses,
        refine: tuple[str, ...],
    ) -> tuple[RefinedRig, list[BoardView]]:
        """The fit, and the views it is of."""
        if not self.board.radius:
            return self._fitted(views, start, poses, refine), views
        for _ in range(_CIRCLE_FITS):
            mended = [
                _without_shift(view, self.board, start, (turn, shift))
                for view, turn, shift in zip(
                    views, poses.rotations, poses.translations, strict=True
                )
            ]
            fit = self._fitted(mended, start, poses, refine)
            start, poses = fit.calibration, Poses(fit.rotations, fit.translations)
        return fit, mended

    def _fitted(
        self,
        views: list[BoardView],
        start: StereoCalibration,
        poses: Poses,
        refine: tuple[str, ...],
    ) -> RefinedRig:
        objects, left, right = [], [], []
        for view in views:
            known = [points.ids for points in (view.left, view.right) if points is not None]
            ids = np.unique(np.concatenate(known))
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


def _without_shift(
    view: BoardView, board: Board, rig: StereoCalibration, pose: tuple[Array, Array]
) -> BoardView:
    """The view with the centres of its circles where their centroids were."""
    turn, shift = pose
    there = rig.rotation @ turn, rig.rotation @ shift + rig.translation
    return replace(
        view,
        left=_centred(view.left, board, rig.left, pose),
        right=_centred(view.right, board, rig.right, there),
    )


def _centred(
    points: BoardPoints | None, board: Board, camera: Camera, pose: tuple[Array, Array]
) -> BoardPoints | None:
    if points is None:
        return None
    return BoardPoints(points.ids, points.pixels - centroid_shift(camera, board, points.ids, *pose))


def _placed(ids: Array, points: BoardPoints | None) -> Array:
    out = np.full((len(ids), 2), np.nan)
    if points is None:
        return out
    out[np.searchsorted(ids, points.ids)] = points.pixels
    return out


def rms(*residuals: Array) -> float:
    """Of the distances in pixels; rows of NaN (not seen) do not count."""
    flat = np.concatenate(residuals)
    flat = flat[np.isfinite(flat).all(axis=1)]
    return float(np.sqrt(np.mean(np.sum(flat**2, axis=1)))) if len(flat) else float("nan")
