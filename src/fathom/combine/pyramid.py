"""Any matcher from coarse to fine: the whole range at a reduced size, then each part's own range.

As `classical.pyramid` does within `sgm` (after Rothermel et al., "SURE: photogrammetric surface
reconstruction from imagery", 2012), around any matcher. What a reduced image does not show, a thin
pole, is in no range that follows from it; so each part is judged again at full size, and searched
over the whole range where too much of what should have matched did not.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fathom.combine.coarse import Coarse, codes, matched
from fathom.combine.pieces import (
    SMALLEST,
    Canvas,
    Part,
    adjusted,
    budget_of,
    bytes_of,
    check_budget,
    check_free,
    for_parts,
    grid,
    needs_of,
    parameter,
    part_budget,
    shown_of,
    smallest,
)
from fathom.combine.tiles import Pieced, Progress, Tell, Tiled, pieced, warned
from fathom.core.errors import UsageError
from fathom.core.estimator import Needs, StereoMatcher
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair, View
from fathom.geometry.resize import resize_image

_PART = (512, 384)
_COARSE_PIXELS = 10**6
_LEAST_SIDE, _SMALLEST_SIDE = 64, 24
"""Sides of the reduced pair below which a pair is not reduced, and cannot be."""
_WINDOW = 9
_LOST = 96
"""Pixels, in places where half of a 9x9 window is without a match that the reduced map had, from
which on the box around them is searched again over the whole range."""


class _Task(NamedTuple):
    """A part, and the disparities first..end-1 to search in it; none: it is left to the coarse."""

    part: Part
    first: int
    end: int

    @property
    def levels(self) -> int:
        return self.end - self.first


@dataclass(frozen=True)
class Pyramid:
    """A matcher that searches the whole range at a reduced size, and at full size what that shows.

    matcher: any stereo matcher. memory: as of `Tiled`. factor: how many times smaller the reduced
    pair is; default: a power of 2 that leaves at most a megapixel, and no more disparities than the
    matcher can search. size: (width, height) of the parts that have a range of their own.

    The reduced map is searched for the range of each part, with what lies around it. Where it is
    unsure the whole range is searched, and so it is where the full size finds no match in places
    that the reduced map was sure of, as at things too thin to be seen in it. What still has no
    match is unknown, or FILLED by the matcher, with the confidence of that. Where a part's own
    range is more than the matcher can search, the reduced map's values stand, as FILLED. `run`
    tells how often each happened. A pair too small to be reduced is matched in tiles.

    Raises `UsageError` for a memory, factor or size that cannot be meant.
    """

    matcher: StereoMatcher
    memory: int | str | None = option(None, "most memory that matching may take, for example 2GB")
    factor: int | None = option(None, "how many times smaller the reduced pair is")
    size: tuple[int, int] | None = option(None, "width and height kept of a part (px)")

    def __post_init__(self) -> None:
        if self.memory is not None:
            bytes_of(self.memory)
        if self.factor is not None and not 2 <= self.factor <= 64:
            raise UsageError(
                "is out of range", field="factor", value=self.factor, expected="2 to 64"
            )
        Tiled(self.matcher, size=self.size)  # its check of the size

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """The disparity of the pair. Warns of what limits it, as `Tiled`.

        Raises as `Tiled`.
        """
        return warned(self.run(pair))

    def run(self, pair: StereoPair, tell: Tell = lambda line: None) -> Pieced:  # noqa: ARG005
        """As a call, with the parts, their seams and notes. tell: is told how it goes.

        Raises as a call.
        """
        needs = needs_of(self.matcher, pair)
        least = _least_factor(needs)
        factor = self.factor or _factor(pair.shape, least)
        if least == 1 and min(pair.shape) // factor < _LEAST_SIDE:
            return Tiled(self.matcher, self.memory, self.size).run(pair, tell)
        if factor < least or min(pair.shape) // factor < _SMALLEST_SIDE:
            raise UsageError(
                f"{needs.end - needs.first} disparities are more than the {needs.most} that the "
                f"method searches, even at 1/{factor} of the size",
                field="factor",
                value=factor,
                expected=f"{least} or more, and a side of {_SMALLEST_SIDE} px that is left",
                remedy="search fewer disparities, or leave the factor out",
            )
        whole = StereoPair(pair.left.with_stretch(), pair.right.with_stretch(), pair.rig)
        tell(f"looking for the range of each part at 1/{factor} of the size")
        coarse = self._coarse(whole, needs, factor)
        return _Work(self, whole, needs, coarse).run(tell)

    def _coarse(self, pair: StereoPair, needs: Needs, factor: int) -> "Coarse":
        width, height = (n // factor for n in pair.size)
        left, right = (
            View(resize_image(v.image, (width, height)), stretch=v.stretch)
            for v in (pair.left, pair.right)
        )
        stretch = pair.size[0] / width
        first = math.floor(needs.first / stretch)
        end = max(first + 2, math.ceil(needs.end / stretch) + 1)
        ready = adjusted(self.matcher, min_disparity=first, max_disparity=end, fill=True)
        small = Tiled(ready, budget_of(self.memory, self.matcher))
        found = small.run(StereoPair(left, right)).disparity
        return Coarse.of(found, pair.shape)


class _Work:
    """The second half of `Pyramid.run`: parts at full size."""

    def __init__(self, settings: Pyramid, pair: StereoPair, needs: Needs, coarse: Coarse) -> None:
        self.settings, self.pair, self.needs, self.coarse = settings, pair, needs, coarse
        self.matcher = for_parts(settings.matcher, needs, settings.memory)
        self.budget = budget_of(settings.memory, settings.matcher)
        self.room = part_budget(pair, self.budget)
        self.whole_range = self.again = 0
        self.left = 0

    def run(self, tell: Tell) -> Pieced:
        shape = self.pair.shape
        size = self.settings.size or _PART
        parts = grid(shape, (size[1], size[0]))
        canvas = Canvas(shape)
        progress = Progress(len(parts), tell)
        done: list[Part] = []
        for part in parts:
            for task in self._fitting(part, None):
                canvas.put(task.part, self._answer(task), _inside(task.part, task.part))
                done.append(task.part)
            progress.step()
        limits = (float(self.needs.first), float(self.needs.end - 1))
        disparity = canvas.finished(self.settings.matcher, self.needs, limits)
        if self.whole_range or self.again:
            tell(
                f"the whole range was searched in {self.whole_range + self.again} of {len(done)} "
                f"parts: in {self.again} the reduced map had missed something"
            )
        return pieced(disparity, done, self._notes())

    def _notes(self) -> list[str]:
        if not self.left:
            return []
        share = self.left / (self.pair.shape[0] * self.pair.shape[1])
        return [
            f"{share:.1%} of the pixels have the values of the reduced map, marked as filled: more "
            f"disparities lie there than the {self.needs.most} that the method can search; "
            "reduce the pair"
        ]

    def _fitting(self, part: Part, search: tuple[int, int] | None) -> Iterator[_Task]:
        """The part, or pieces of it, each with a range and a size that can be matched.

        search: the range; None: what the reduced map says of each piece. Raises `ResourceError`
        where even the smallest piece takes too much memory.
        """
        first, end = search or self.coarse.range_of(part, self.needs.first, self.needs.end)
        rows, columns = part.bottom - part.top, part.right - part.left
        least = max(rows, columns) <= SMALLEST
        if search is None and not self._searchable(first, end):
            bounds = self.needs.first, self.needs.end
            first, end = self.coarse.range_of(part, *bounds, only_sure=True)
        fits = self._searchable(first, end)
        if not fits and search is not None:
            return
        if fits and self._need(part, first, end) <= self.room:
            yield _Task(part, first, end)
        elif not least:
            for piece in _halves(part):
                yield from self._fitting(piece, search)
        elif fits:
            check_budget(self.pair, self._need(smallest(self.pair), first, end), self.budget)
            yield _Task(part, first, end)  # the budget is short by less than this estimate is sure
        else:
            yield _Task(part, first, first)

    def _searchable(self, first: int, end: int) -> bool:
        return self.needs.most is None or end - first <= self.needs.most

    def _need(self, part: Part, first: int, end: int) -> int:
        search, margin = (first, end), self.needs.margin
        shown = shown_of(part, self.pair.shape, search, margin, shifted=True)
        return self.needs.memory(*shown.size, end - first)

    def _answer(self, task: _Task) -> Disparity:
        """What is found of a part, the whole range searched where that may find more."""
        part = task.part
        if task.levels == 0:
            self.left += (part.bottom - part.top) * (part.right - part.left)
            return self.coarse.enlarged(part)
        whole = self.needs.first, self.needs.end
        found = self._match(task)
        if (task.first, task.end) == whole:
            self.whole_range += 1
            return found
        found = self._trusted(found, task)
        missed = self._missed(found, part)
        if missed is None:
            return found
        again = list(self._fitting(missed, whole))
        self.again += bool(again)
        for other in again:
            found = _joined(found, self._match(other), _inside(other.part, part))
        return found

    def _match(self, task: _Task) -> Disparity:
        """The part's map, its own pixels only."""
        search, margin = (task.first, task.end), self.needs.margin
        shown = shown_of(task.part, self.pair.shape, search, margin, shifted=True)
        levels = task.end - task.first
        check_free(self.matcher, self.pair, self.needs.memory(*shown.size, levels))
        ready = adjusted(
            self.matcher,
            min_disparity=task.first - shown.shift,
            max_disparity=task.end - shown.shift,
        )
        found = ready(shown.of(self.pair))
        inner = shown.inner(task.part)
        values = found.values[inner] + np.float32(shown.shift)
        return Disparity(
            values,
            None if found.confidence is None else found.confidence[inner],
            codes(found)[inner],
        )

    def _trusted(self, found: Disparity, task: _Task) -> Disparity:
        """What lies at an end of a part's range that is no end of the whole may have its true
        value beyond: it is unknown, or with `fill` a filled value without confidence."""
        with np.errstate(invalid="ignore"):
            at_end = (found.values < task.first + 1) & (task.first > self.needs.first)
            at_end |= (found.values > task.end - 2) & (task.end < self.needs.end)
        if not at_end.any():
            return found
        if not parameter(self.matcher, "fill", False):
            return found.with_unknown(at_end)
        confidence = found.confidence
        if confidence is not None:
            confidence = np.where(at_end, np.float32(0), confidence)
        source = np.where(at_end, np.uint8(Source.FILLED), codes(found))
        return replace(found, confidence=confidence, source=source)

    def _missed(self, found: Disparity, part: Part) -> Part | None:
        """The box around places without a match where the reduced map was sure of one; None where
        there are none of any size."""
        import cv2

        lost = ~matched(found) & self.coarse.expected(part)
        share = cv2.blur(lost.astype(np.float32), (_WINDOW, _WINDOW))
        y, x = np.nonzero(lost & (share > 0.5))
        if len(y) < _LOST:
            return None
        return Part(
            max(part.top, part.top + int(y.min()) - _WINDOW),
            min(part.bottom, part.top + int(y.max()) + 1 + _WINDOW),
            max(part.left, part.left + int(x.min()) - _WINDOW),
            min(part.right, part.left + int(x.max()) + 1 + _WINDOW),
        )


def _least_factor(needs: Needs) -> int:
    """The least power of 2 by which the range must be reduced to be searched at all."""
    factor = 1
    while needs.most is not None and -(-(needs.end - needs.first) // factor) + 2 > needs.most:
        factor *= 2
        if factor > 64:
            break
    return factor if factor > 1 and needs.end - needs.first > (needs.most or 0) else 1


def _factor(shape: tuple[int, int], least: int) -> int:
    factor = max(2, least)
    while shape[0] * shape[1] > _COARSE_PIXELS * factor**2:
        factor *= 2
    return factor


def _joined(found: Disparity, other: Disparity, window: tuple[slice, slice]) -> Disparity:
    """`found`, with what `other` (its window) has matched: it searched more."""
    better = matched(other)
    values, source = found.values.copy(), codes(found).copy()
    values[window][better] = other.values[better]
    source[window][better] = Source.MATCHED
    confidence = found.confidence
    if confidence is not None and other.confidence is not None:
        confidence = confidence.copy()
        confidence[window][better] = other.confidence[better]
    return replace(found, values=values, confidence=confidence, source=source)


def _inside(part: Part, around: Part) -> tuple[slice, slice]:
    """Where a part lies in one that holds it."""
    return (
        slice(part.top - around.top, part.bottom - around.top),
        slice(part.left - around.left, part.right - around.left),
    )


def _halves(part: Part) -> tuple[Part, Part]:
    """The part cut across its longer side, at a multiple of the smallest size."""
    rows, columns = part.bottom - part.top, part.right - part.left
    if rows >= columns:
        middle = part.top + max(SMALLEST, rows // 2 // SMALLEST * SMALLEST)
        return part._replace(bottom=middle), part._replace(top=middle)
    middle = part.left + max(SMALLEST, columns // 2 // SMALLEST * SMALLEST)
    return part._replace(right=middle), part._replace(left=middle)
