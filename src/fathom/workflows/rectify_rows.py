"""What moves the pixels of a pair, and how well its rows agree before and after."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError
from fathom.core.pair import View
from fathom.geometry.rectify import Rectification, Side
from fathom.geometry.row_error import RowError, one_geometry, row_error
from fathom.io.frames import PairedFrames

_FEATURES = 2000
_TOO_FAR = 1.0
"""Pixels of median row error after rectification beyond which matching suffers."""
_EXCHANGED = 0.88
"""Share of points with a negative disparity from which views are taken to be exchanged."""


@dataclass(frozen=True, eq=False)
class Warp:
    """Two raw views to two rectified images.

    apply: the images. points: raw pixels (n, 2) of "left" or "right" to rectified ones, NaN where
    they cannot be. size: (width, height) of the result. masks: bool (h, w) a view, what was seen.
    rig: None without a calibration. turned, notes: as in `Rectification`. field: degrees across
    and down, None without a calibration.
    """

    apply: Callable[[View, View], tuple[Array, Array]]
    points: Callable[[Array, Side], Array]
    size: tuple[int, int]
    masks: tuple[Array, Array]
    rig: StereoRig | None = None
    turned: int = 0
    field: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    key: str = ""

    def __call__(self, left: View, right: View) -> tuple[Array, Array]:
        """The rectified images; raises `InputError` for views of another size."""
        return self.apply(left, right)

    def fingerprint(self) -> str:
        """The same for warps that move every pixel alike."""
        return hashlib.sha256(self.key.encode()).hexdigest()

    @classmethod
    def of(cls, rectification: Rectification) -> "Warp":
        """By a calibration."""

        def apply(left: View, right: View) -> tuple[Array, Array]:
            pair = rectification(left, right)
            return pair.left.image, pair.right.image

        raw = rectification.calibration
        turns = [
            turn.tolist() for turn in (rectification.left_rotation, rectification.right_rotation)
        ]
        return cls(
            apply,
            rectification.points,
            rectification.rig.size,
            (rectification.left_mask, rectification.right_mask),
            rectification.rig,
            rectification.turned,
            rectification.field,
            rectification.notes,
            repr((rectification.rig, raw.left, raw.right, turns)),
        )


def uncalibrated_warp(
    frames: PairedFrames, size: tuple[int, int] | None, notify: Callable[[str], None]
) -> Warp:
    """By homographies that make the rows of matched points agree, from up to six of the pairs.

    Raises `InputError` if the pairs differ in size from view to view or do not tell.
    """
    from fathom.rigs.features import Matches, match_features
    from fathom.rigs.uncalibrated import rectify_uncalibrated

    found: list[Matches] = []
    shape: tuple[int, int] | None = None
    wanted = choose(frames.count, 6)
    for index, pair in enumerate(frames):
        if index in wanted:
            if pair.left.size != pair.right.size:
                raise InputError(
                    "the two images differ in size, and without a calibration they must not",
                    file=pair.right_file or pair.left_file,
                    field="size",
                    value=f"{pair.right.size[0]}x{pair.right.size[1]}",
                    expected=f"{pair.left.size[0]}x{pair.left.size[1]}",
                )
            shape = pair.left.size
            notify(f"matching {pair.name}")
            found.append(match_features(pair.left, pair.right, limit=_FEATURES))
        if index >= max(wanted):
            break
    assert shape is not None
    every = Matches(
        *(np.concatenate([getattr(m, name) for m in found]) for name in ("left", "right", "score"))
    )
    result = rectify_uncalibrated(every, shape)
    target = size or shape
    x, y = target[0] / shape[0], target[1] / shape[1]
    # The corner of the image, (-0.5, -0.5), stays where it is.
    scale = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    homographies = [scale @ np.asarray(h) for h in (result.left, result.right)]
    return _by_homographies(homographies, target, shape, result.statement)


def _by_homographies(
    homographies: Sequence[Array], size: tuple[int, int], shape: tuple[int, int], statement: str
) -> Warp:
    import cv2

    def moved(view: View, homography: Array) -> Array:
        if view.size != shape:
            raise InputError(
                "differs in size from the first pair",
                field="view",
                value=f"{view.size[0]}x{view.size[1]}",
                expected=f"{shape[0]}x{shape[1]}",
            )
        out: Array = cv2.warpPerspective(view.image, homography, size, flags=cv2.INTER_CUBIC)
        return out

    def points(pixels: Array, side: Side) -> Array:
        homography = homographies[0] if side == "left" else homographies[1]
        rays = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1) @ homography.T
        flat: Array = rays[:, :2] / rays[:, 2:]
        return flat

    white = np.full((shape[1], shape[0]), 255, np.uint8)
    masks = [cv2.warpPerspective(white, h, size, flags=cv2.INTER_NEAREST) > 0 for h in homographies]
    return Warp(
        lambda left, right: (moved(left, homographies[0]), moved(right, homographies[1])),
        points,
        size,
        (masks[0], masks[1]),
        notes=(statement,),
        key=repr([h.tolist() for h in homographies]),
    )


def choose(count: int | None, most: int) -> frozenset[int]:
    """Up to `most` of `count` items, evenly spread; of an unknown number, each thirtieth."""
    if count is None:
        return frozenset(range(0, 30 * most, 30))
    picked = np.linspace(0, count - 1, min(most, count)).round().astype(int)
    return frozenset(int(i) for i in picked)


@dataclass(frozen=True)
class Rows:
    """Row errors of raw and rectified pairs; None where too few points were matched. behind: share
    of the points that lie further right in the right image, as in exchanged views."""

    before: RowError | None
    after: RowError | None
    pairs: int
    behind: float = 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about them."""
        if self.after is None:
            return ("too few points match between the images to measure how well rows agree",)
        if self.behind > _EXCHANGED:
            return (
                f"{self.behind:.0%} of the points lie further right in the right image: left and "
                "right look exchanged; give the two in the other order",
            )
        if self.after.median > _TOO_FAR:
            return (
                f"rows still disagree by {self.after.median:.1f} px after rectification: this "
                "calibration does not fit these images (fathom rectify --recalibrate may mend it)",
            )
        return ()

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers in pixels."""
        return {
            "before": None if self.before is None else self.before.as_dict(),
            "after": None if self.after is None else self.after.as_dict(),
            "pairs": self.pairs,
        }


@dataclass(eq=False)
class RowMeter:
    """Looks at some of the pairs of a job: matches their raw views, follows the points.

    The same points are judged before and after, and a calibration has no part in choosing them.
    """

    warp: Warp
    wanted: frozenset[int]
    _before: list[Array] = field(default_factory=list)
    _after: list[Array] = field(default_factory=list)
    _disparity: list[Array] = field(default_factory=list)
    _first: tuple[View, View] | None = None
    _pairs: int = 0

    def look(self, index: int, left: View, right: View) -> None:
        """To be called with each pair of the job in turn."""
        if self._first is None:
            self._first = (left, right)
        if index not in self.wanted:
            return
        from fathom.rigs.features import match_features

        try:
            matches = match_features(left, right, limit=_FEATURES)
        except InputError:
            return  # a pair without structure says nothing about rows
        a, b = self.warp.points(matches.left, "left"), self.warp.points(matches.right, "right")
        known = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
        # Across the direction of matching; raw cameras above each other are matched along columns.
        axis = 0 if self.warp.turned else 1
        before = (matches.right - matches.left)[known, axis]
        after = (b - a)[known, 1]
        agreed = one_geometry(a[known], b[known])
        self._before.append(before[agreed])
        self._after.append(after[agreed])
        # Without a calibration the right image was moved until no disparity is negative.
        moved = matches.left - matches.right if self.warp.rig is None else a - b
        self._disparity.append(moved[known][agreed, 0])
        self._pairs += 1

    def result(self) -> Rows:
        """The errors over all points of the pairs looked at."""
        before, after = (
            row_error(np.concatenate(parts) if parts else np.zeros(0))
            for parts in (self._before, self._after)
        )
        disparity = np.concatenate(self._disparity) if self._disparity else np.zeros(0)
        behind = float((disparity < -1).mean()) if len(disparity) else 0.0
        return Rows(before, after, self._pairs, behind)

    def picture(self) -> Array:
        """The first pair before and after, with lines along its rows."""
        from fathom.viz.row_lines import RowPair, row_lines

        assert self._first is not None
        left, right = self._first
        images = [View(image).rgb8 for image in self.warp(left, right)]
        rows = self.result()
        pairs = [
            RowPair(_label("Before", rows.before), left.rgb8, right.rgb8, self.warp.turned != 0),
            RowPair(_label("Rectified", rows.after), images[0], images[1]),
        ]
        return row_lines(pairs)


def _label(word: str, error: RowError | None) -> str:
    return word if error is None else f"{word}: rows differ by {error}"
