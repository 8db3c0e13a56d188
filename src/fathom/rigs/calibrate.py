"""A stereo rig from views of a board: both cameras, their pose, what was left out, how sure it is.

Each camera alone (calibrate_camera.py), then the rig that most views agree on
(calibrate_views.py), then all cameras and boards together (calibrate_fit.py), each time leaving
out the views that do not fit. Views that only one camera saw help that camera alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.camera import StereoCalibration
from fathom.core.errors import InputError
from fathom.geometry.rectify import rectify
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.boards import Board
from fathom.rigs.calibrate_checks import (
    require_count,
    require_order,
    require_slants,
    require_sure,
)
from fathom.rigs.calibrate_fit import (
    CalibrateOptions as CalibrateOptions,  # noqa: PLC0414 (part of this interface)
)
from fathom.rigs.calibrate_fit import (
    Notify,
    RigFit,
    RigFitter,
    each_camera,
    rms,
)
from fathom.rigs.calibrate_views import (
    BoardView,
    DroppedView,
    complete_views,
    distinct_views,
    guess_rig,
    lonely_views,
    require_sync,
    turned_right,
)


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
class SingleView:
    """A view in which one camera alone saw the board, kept for that camera's intrinsics.

    side: which camera. error: RMS distance of projected and seen points, pixels. residuals: (n, 2),
    projected minus seen.
    """

    view: BoardView
    side: Literal["left", "right"]
    error: float
    residuals: Float64[np.ndarray, "n 2"]


@dataclass(frozen=True, eq=False)
class RigCalibration:
    """A calibrated rig with everything that is known about it.

    errors, views, left and right (residuals (n, 2), projected minus seen, in the order of each
    view's points) belong together. rms: of all distances, pixels; rms_before: the same before all
    was refined together. rows, rows_before: RMS row difference after rectification, pixels.
    sigma: one standard deviation by name: left.fx, ... (pixels), baseline_m (metres), rig.rx, ...
    (radians). normals: (v, 3) the boards' normals in the left camera's frame. singles: views that
    one camera alone saw; they count in rms and for that camera. Circles' pixels in `views` are set
    right for the shift of their centroids (board_circles.py).
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
    singles: tuple[SingleView, ...] = ()

    def seen(self, side: Literal["left", "right"]) -> list[BoardPoints]:
        """What one camera saw of the board in all views that count."""
        points = [getattr(view, side) for view in self.views]
        return [*points, *(getattr(s.view, side) for s in self.singles if s.side == side)]

    def residuals(self, side: Literal["left", "right"]) -> Float64[np.ndarray, "_ 2"]:
        """Projected minus seen of all that `seen` gives, in its order, pixels."""
        own = [single.residuals for single in self.singles if single.side == side]
        return np.concatenate([*getattr(self, side), *own])


def calibrate_rig(
    views: Sequence[BoardView],
    board: Board,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    options: CalibrateOptions = CalibrateOptions(),  # noqa: B008 (frozen)
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
    alone = each_camera(kept, lonely_views(views, kept, sizes[0][0]), board, sizes, options)
    kept = alone.pairs
    dropped += alone.dropped
    left, right = alone.poses()
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
        alone.left.camera, alone.right.camera, guess.rotation, guess.translation
    )
    require_order(start)
    fit = RigFitter(board, options, notify).rounds(
        [*agreed, *alone.lonely], start, left.picked(index).joined(alone.lonely_poses(start))
    )
    dropped += fit.dropped
    used = {view.name for view in fit.views}
    # A view that only one camera saw is left out only if it does not serve that camera.
    dropped = [d for d in dropped if not (d.code.startswith("not-found-") and d.name in used)]
    order = {view.name: i for i, view in enumerate(views)}
    dropped.sort(key=lambda d: order[d.name])
    return _account(board, fit, turned, tuple(dropped), options)


def _account(
    board: Board,
    fit: RigFit,
    turned: set[str],
    dropped: tuple[DroppedView, ...],
    options: CalibrateOptions,
) -> RigCalibration:
    before, after = fit.held, fit.refined
    index = [i for i, view in enumerate(fit.views) if not view.lonely]
    views = [fit.views[i] for i in index]
    normals = after.rotations[index, :, 2]
    if options.refine:
        require_sure(after, normals)
    rows = row_differences(after.calibration, views)
    rows_before = row_differences(before.calibration, [fit.held_views[i] for i in index])
    sigma = {n: after.sigma(n) for n in after.adjusted.names if not n.startswith("board")}
    sigma["baseline_m"] = after.baseline_sigma
    return RigCalibration(
        calibration=after.calibration,
        board=board,
        views=tuple(views),
        errors=tuple(
            _view_error(board, fit, i, row, fit.views[i].name in turned)
            for i, row in zip(index, rows, strict=True)
        ),
        dropped=dropped,
        rms=rms(*after.left, *after.right),
        rms_before=rms(*before.left, *before.right),
        rows=_row_rms(rows),
        rows_before=_row_rms(rows_before),
        sigma=sigma,
        left=tuple(_seen(after.left[i]) for i in index),
        right=tuple(_seen(after.right[i]) for i in index),
        normals=normals,
        refined=options.refine,
        singles=tuple(
            SingleView(
                view,
                "right" if view.left is None else "left",
                rms(after.left[i], after.right[i]),
                _seen(after.right[i] if view.left is None else after.left[i]),
            )
            for i, view in enumerate(fit.views)
            if view.lonely
        ),
    )


def _view_error(board: Board, fit: RigFit, i: int, row: Array, turned: bool) -> ViewError:
    after, view = fit.refined, fit.views[i]
    assert view.left is not None and view.right is not None
    middle = (board.points.min(axis=0) + board.points.max(axis=0)) / 2
    place = after.rotations[i] @ middle + after.translations[i]
    return ViewError(
        view.name,
        rms(after.left[i]),
        rms(after.right[i]),
        rms(after.left[i], after.right[i]),
        float(np.sqrt(np.mean(row**2))) if len(row) > 1 else None,
        (len(view.left), len(view.right)),
        float(np.degrees(np.arccos(np.clip(abs(after.rotations[i, 2, 2]), 0, 1)))),
        float(np.linalg.norm(place)),
        turned,
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
