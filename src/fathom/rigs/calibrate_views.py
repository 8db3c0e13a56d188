"""Views of a board before a rig is fitted to them: which are the same, which fit one rig, and how.

A board that looks the same turned by 180 degrees may be read upside-down in one camera, which
would put that camera somewhere else: the rig that most views agree on tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fathom.core.arrays import Array, Float64, Num
from fathom.core.errors import InputError
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.boards import Board

AGREE = 0.05
"""Views agree on a rig within so many radians, and so much of the board's distance."""
_SAME = 0.003  # of the image's width: points that moved less are those of the same pose
_SHIFTS = (-3, -2, -1, 1, 2, 3)


@dataclass(frozen=True, eq=False)
class BoardView:
    """One shot of both cameras: the board's points in each image, None where it was not found."""

    name: str
    left: BoardPoints | None
    right: BoardPoints | None

    @property
    def lonely(self) -> bool:
        """Whether one camera alone saw the board."""
        return (self.left is None) != (self.right is None)


@dataclass(frozen=True)
class DroppedView:
    """A view that was left out. code: a short name of the reason; reason: a sentence."""

    name: str
    code: str
    reason: str


@dataclass(frozen=True, eq=False)
class Poses:
    """Board to camera per view: rotations (v, 3, 3), translations (v, 3) in metres."""

    rotations: Float64[np.ndarray, "v 3 3"]
    translations: Float64[np.ndarray, "v 3"]

    def picked(self, views: Num[np.ndarray, " n"]) -> "Poses":
        """The poses of the views with these indices."""
        return Poses(self.rotations[views], self.translations[views])

    def joined(self, more: "Poses") -> "Poses":
        """These poses, then more."""
        return Poses(
            np.concatenate([self.rotations, more.rotations]),
            np.concatenate([self.translations, more.translations]),
        )


@dataclass(frozen=True, eq=False)
class RigGuess:
    """The rig that most views agree on. rotation, translation (metres): left to right camera.

    turns: per view the index of `Board.turns` by which the right image's reading is to be turned.
    angles (degrees) and gaps (metres): how far each view's own rig is off. agree: bool (v,).
    """

    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]
    turns: tuple[int, ...]
    angles: Float64[np.ndarray, " v"]
    gaps: Float64[np.ndarray, " v"]
    agree: Array


def complete_views(views: Sequence[BoardView]) -> tuple[list[BoardView], list[DroppedView]]:
    """The views in which both cameras saw the board, and the others with the reason."""
    kept, dropped = [], []
    for view in views:
        missing = [s for s in ("left", "right") if getattr(view, s) is None]
        if not missing:
            kept.append(view)
            continue
        where = "either image" if len(missing) == 2 else f"the {missing[0]} image"
        code = "not-found" if len(missing) == 2 else f"not-found-{missing[0]}"
        dropped.append(DroppedView(view.name, code, f"the board was not found in {where}"))
    return kept, dropped


def lonely_views(
    views: Sequence[BoardView], pairs: Sequence[BoardView], width: int
) -> list[BoardView]:
    """The views that only one camera saw, in other poses than the pairs and those before them.

    They say nothing about the rig, but something about their camera. width: pixels.
    """
    found: list[BoardView] = []
    limit = max(1.0, _SAME * width)
    for view in views:
        if not view.lonely:
            continue
        side = "right" if view.left is None else "left"
        points = getattr(view, side)
        others = [getattr(old, side) for old in (*pairs, *found)]
        if all(old is None or moved(points, old) >= limit for old in others):
            found.append(view)
    return found


def distinct_views(
    views: Sequence[BoardView], width: int
) -> tuple[list[BoardView], list[DroppedView]]:
    """The views in other poses than those before them; the same pose twice only feigns certainty.

    width: of the images in pixels.
    """
    kept: list[BoardView] = []
    dropped = []
    for view in views:
        twin = next((old for old in kept if _same(view, old, max(1.0, _SAME * width))), None)
        if twin is None:
            kept.append(view)
        else:
            reason = f"shows the board where {twin.name} shows it"
            dropped.append(DroppedView(view.name, "duplicate", reason))
    return kept, dropped


def moved(first: BoardPoints, second: BoardPoints) -> float:
    """Mean distance in pixels of the points that both have; infinite if they share none."""
    _, a, b = np.intersect1d(first.ids, second.ids, return_indices=True)
    if len(a) == 0:
        return float("inf")
    return float(np.linalg.norm(first.pixels[a] - second.pixels[b], axis=1).mean())


def guess_rig(board: Board, left: Poses, right: Poses) -> RigGuess:
    """The rig that most views agree on, over every way in which the board may have been read.

    left, right: poses of the same views. Each view's own rig, under each turn of the board, is a
    hypothesis; the one with the most views within `AGREE` wins, and is averaged over them.
    """
    own = _own_rigs(board, left, right)
    distance = np.linalg.norm(left.translations, axis=1)
    best: tuple[int, float, Array, Array] | None = None
    step = max(1, len(distance) // 30)
    for view in range(0, len(distance), step):
        for turn in range(len(board.turns)):
            candidate = own[0][view, turn], own[1][view, turn]
            angles, gaps = _off(own, candidate)
            errors = angles + gaps / distance[:, None]
            least = errors.min(axis=1)
            agreeing = int((least < AGREE).sum())
            spread = float(np.minimum(least, AGREE).sum())
            if best is None or (agreeing, -spread) > (best[0], -best[1]):
                best = agreeing, spread, errors.argmin(axis=1), least < AGREE
    assert best is not None
    _, _, turns, agree = best
    index = np.arange(len(distance))
    rotations, translations = own[0][index, turns], own[1][index, turns]
    rotation = _mean_rotation(rotations[agree])
    translation = np.median(translations[agree], axis=0)
    angles, gaps = _off(own, (rotation, translation))
    return RigGuess(
        rotation,
        translation,
        tuple(int(t) for t in turns),
        np.degrees(angles[index, turns]),
        gaps[index, turns],
        agree,
    )


def require_sync(board: Board, left: Poses, right: Poses, guess: RigGuess) -> None:
    """Refuses views of which the right images fit others of the left ones much better.

    Raises `InputError` if at least 3/5 of the views agree on a rig once the right ones are taken
    up to three later or earlier, and less than 2/5 do as they are.
    """
    count = len(left.translations)
    share = float(guess.agree.mean())
    if share >= 0.4 or count < 6:
        return
    for shift in _SHIFTS:
        index = np.arange(max(0, -shift), min(count, count - shift))
        if len(index) < 4:
            continue
        moved_on = guess_rig(board, left.picked(index), right.picked(index + shift))
        agreeing = float(moved_on.agree.mean())
        if agreeing >= 0.6:
            later = "later" if shift > 0 else "earlier"
            raise InputError(
                f"left and right are not in sync: the right views fit the left ones "
                f"{abs(shift)} {later} ({agreeing:.0%} of them, as given {share:.0%})",
                field="RIGHT",
                remedy="trigger both cameras together, or drop the first images of one side",
            )


def turned_right(board: Board, view: BoardView, turn: int) -> BoardView:
    """The view with the right image read as the board turned by `Board.turns[turn]`."""
    if turn == 0 or view.right is None:
        return view
    return replace(view, right=view.right.turned(board.turns[turn]))


def _same(view: BoardView, old: BoardView, limit: float) -> bool:
    pairs = ((view.left, old.left), (view.right, old.right))
    return all(a is not None and b is not None and moved(a, b) < limit for a, b in pairs)


def _own_rigs(board: Board, left: Poses, right: Poses) -> tuple[Array, Array]:
    """Left to right per view and turn: rotations (v, t, 3, 3), translations (v, t, 3)."""
    rotations, translations = [], []
    for turn in board.turns:
        spin, shift = _rigid(board.points, board.points[turn])
        # A point X of the reading is truly spin X + shift, so the true pose is R spin^T ...
        turned = right.rotations @ spin.T
        moved_to = right.translations - turned @ shift
        rotation = turned @ left.rotations.transpose(0, 2, 1)
        rotations.append(rotation)
        translations.append(moved_to - np.einsum("vij,vj->vi", rotation, left.translations))
    return np.stack(rotations, axis=1), np.stack(translations, axis=1)


def _rigid(here: Array, there: Array) -> tuple[Array, Array]:
    """Rotation and translation that take the points `here` to `there` (Kabsch 1976), in a plane."""
    a, b = here - here.mean(axis=0), there - there.mean(axis=0)
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a[:, :2] * b[:, :2]).sum())
    c, s = np.cos(angle), np.sin(angle)
    spin = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return spin, there.mean(axis=0) - spin @ here.mean(axis=0)


def _off(own: tuple[Array, Array], rig: tuple[Array, Array]) -> tuple[Array, Array]:
    """How far each view's rigs are from one: radians, metres; both (v, t)."""
    trace = np.einsum("vtij,ij->vt", own[0], rig[0])
    angles = np.arccos(np.clip((trace - 1) / 2, -1, 1))
    return angles, np.linalg.norm(own[1] - rig[1], axis=2)


def _mean_rotation(rotations: Array) -> Array:
    """The rotation nearest to the mean of the matrices (Moakher, 2002)."""
    u, _, vt = np.linalg.svd(rotations.mean(axis=0))
    out: Array = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return out
