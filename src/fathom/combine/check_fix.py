"""Rows brought together: the model of the row differences, applied the other way round.

A roll is taken out by a turn and a magnification by a zoom, about the principal point, because
that is what a turned camera and another lens do to both coordinates; an offset and what is left of
a camera that looks elsewhere move rows alone, so that disparities stay as they are. Lens distortion
is taken out along the radius (Brown, "Close-range camera calibration", 1971). All but the
distortion that both lenses share is applied to the right view: depth is seen from the left one,
whose pixels and camera so stay what they were.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fathom.combine.check_matches import Matches
from fathom.combine.check_rows import Lenses, Rows, fit_rows
from fathom.core.arrays import Array, Float64, Shaped

_ROUNDS = 8
_CELL = 16
_ALIKE = 0.1
_WILD = 4.0
_NOTHING = 0.01
_SEEN = 0.25  # pixels at a border below which a roll or a magnification is not worth a warp
_BENT = 0.5
_SHARPEST = 0.2  # of the half height: a stronger distortion at the corner is no left-over


@dataclass(frozen=True)
class RowFix:
    """A correction of a pair's rows.

    size: (width, height). centre: of the turn and the zoom, pixels. shift: pixels that the right
    view's content is moved up. roll: degrees that it is turned counter-clockwise. scale: it is
    shrunk by 1 + scale. quadratic: of x^2 - 1/3, xy, y^2 - 1/3 in pixels, positions from -1 to 1,
    taken from the right view's rows. lens_right, lens_both: radial distortion at the corner, in
    vertical pixels, taken out of the right view, and of both.
    """

    size: tuple[int, int]
    centre: tuple[float, float]
    shift: float = 0.0
    roll: float = 0.0
    scale: float = 0.0
    quadratic: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lens_right: float = 0.0
    lens_both: float = 0.0

    @property
    def moves_left(self) -> bool:
        """Whether the left view is changed, too."""
        return self.lens_both != 0

    def left_points(self, points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Where pixels (x, y) of the left view come to lie."""
        return self._unbent(points, self.lens_both)

    def right_points(self, points: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Where pixels (x, y) of the right view come to lie."""
        p = self._unbent(points, self.lens_both + self.lens_right)
        half = np.array(self.size) / 2
        x, y = ((p + 0.5) / half - 1).T
        a, b, c = self.quadratic
        rows = p[:, 1] - self.shift - a * (x * x - 1 / 3) - b * x * y - c * (y * y - 1 / 3)
        angle = np.radians(self.roll)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        centre = np.array(self.centre)
        moved = np.stack([p[:, 0], rows], axis=1) - centre
        out: Array = moved @ turn.T / (1 + self.scale) + centre
        return out

    def matches(self, matches: Matches) -> Matches:
        """Matched points after the correction."""
        return replace(
            matches, left=self.left_points(matches.left), right=self.right_points(matches.right)
        )

    def left_image(self, image: Shaped[np.ndarray, "h w 3"]) -> Shaped[np.ndarray, "h w 3"]:
        """The corrected left image, of the same type; itself where nothing moves it."""
        return self._warped(image, self.left_points) if self.moves_left else image

    def right_image(self, image: Shaped[np.ndarray, "h w 3"]) -> Shaped[np.ndarray, "h w 3"]:
        """The corrected right image, of the same type."""
        return self._warped(image, self.right_points)

    def _unbent(self, points: Array, corner: float) -> Array:
        middle = (np.array(self.size) - 1) / 2
        p = points - middle
        share = (p**2).sum(axis=1) / ((self.size[0] ** 2 + self.size[1] ** 2) / 4)
        out: Array = points - p * (share * (corner / (self.size[1] / 2)))[:, None]
        return out

    def _warped(self, image: Array, moved: Callable[[Array], Array]) -> Array:
        """`image` sampled where each new pixel comes from; beyond the border its last rows go on.

        Where it comes from is solved for on a coarse grid (the correction is smooth), by
        stepping back by the movement of the last guess.
        """
        import cv2

        width, height = self.size
        x, y = np.meshgrid(np.arange(0, width + _CELL, _CELL), np.arange(0, height + _CELL, _CELL))
        goal = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
        source = goal
        for _ in range(6):
            source = source - (moved(source) - goal)
        away: Array = (source - goal).reshape(*x.shape, 2).astype(np.float32)
        fx, fy = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (width, height)))
        away = cv2.remap(away, fx / _CELL, fy / _CELL, cv2.INTER_LINEAR)
        out: Array = cv2.remap(
            image,
            fx + away[..., 0],
            fy + away[..., 1],
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return out


def fit_row_fix(
    matches: Matches, size: tuple[int, int], centre: tuple[float, float] | None = None
) -> RowFix | None:
    """The correction after which the rows of matched points agree best; None for too few points.

    centre: the principal point in pixels; default the middle. A term that the points do not
    show clearly (three standard errors, a quarter of a pixel at the border) is left alone.
    """
    rows = fit_rows(matches, size)
    if rows is None:
        return None
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    start = RowFix(size, middle if centre is None else centre)
    if not (rows.bend > max(_BENT, 4 * rows.bend_error) and rows.cause != "depth"):
        return _fitted(start, matches, "each", bent=False)[0]
    # Distortions of one lens and of both look alike: the simplest that explains the rows is taken.
    models: tuple[Lenses, ...] = ("none", "right", "both", "each")
    fixes = [_fitted(start, matches, model, bent=True) for model in models]
    best = min(left for _, left in fixes)
    return next(fix for fix, left in fixes if left <= best + _ALIKE)


def _fitted(start: RowFix, matches: Matches, lenses: Lenses, bent: bool) -> tuple[RowFix, float]:
    """The correction under one model of the lenses, and the row error in pixels that it leaves."""
    fix, rows = start, fit_rows(matches, start.size, lenses=lenses)
    left = _uneven(matches)
    if rows is None:
        return fix, left
    turned = abs(rows.roll_edge) > max(_SEEN, 3 * rows.roll_error)
    zoomed = abs(rows.scale_edge) > max(_SEEN, 3 * rows.scale_error)
    for _ in range(_ROUNDS):
        step = _step(fix, rows, (turned, zoomed, bent))
        moved = step.matches(matches)
        fresh = fit_rows(moved, start.size, lenses=lenses)
        gained = left - _uneven(moved)
        if fresh is None or gained < 0:
            break
        fix, rows, left = step, fresh, left - gained
        if gained < 1e-3:
            break
    return fix, left


def _uneven(matches: Matches) -> float:
    """Mean row difference in pixels; what is far off is a wrong match, and counts no more."""
    return float(np.minimum(np.abs(matches.rise), _WILD).mean())


def _step(fix: RowFix, rows: Rows, active: tuple[bool, bool, bool]) -> RowFix:
    """`fix` with what the rows still show added to it."""
    turned, zoomed, bent = active
    a, b, c, right, both = rows.curve if bent else (0.0,) * 5
    q, limit = fix.quadratic, _SHARPEST * fix.size[1] / 2
    return replace(
        fix,
        shift=fix.shift + (rows.level if bent else rows.offset),
        roll=fix.roll + rows.roll * turned,
        scale=fix.scale + rows.scale * zoomed,
        quadratic=(q[0] + a, q[1] + b, q[2] + c),
        lens_right=float(np.clip(fix.lens_right + _kept(right), -limit, limit)),
        lens_both=float(np.clip(fix.lens_both + _kept(both), -limit, limit)),
    )


def _kept(pixels: float) -> float:
    """0 for what a barred term comes to: a left view that nothing moves stays as it is."""
    return pixels if abs(pixels) > _NOTHING else 0.0
