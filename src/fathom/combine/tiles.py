"""Any matcher on pairs of any size: tile by tile, in a given amount of memory."""

import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fathom.combine.pieces import (
    SMALLEST,
    Canvas,
    Part,
    Seams,
    adjusted,
    best_size,
    budget_of,
    bytes_of,
    check_budget,
    check_free,
    for_parts,
    grid,
    needs_of,
    part_budget,
    seams,
    shown_of,
    smallest,
)
from fathom.core.errors import UsageError
from fathom.core.estimator import Needs, StereoMatcher
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import StereoPair

Tell = Callable[[str], None]
_QUIET = 10.0


@dataclass(frozen=True, eq=False)
class Pieced:
    """disparity: of the whole. parts: it was made of. seams: between them. notes: sentences on what
    limits the result."""

    disparity: Disparity
    parts: tuple[Part, ...]
    seams: Seams
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Tiled:
    """A matcher that works on tiles of a pair, which together take a bounded amount of memory.

    matcher: any stereo matcher. memory: bytes, or a text like "2GB": tiles are made so that
    matching takes no more beside the pair and the program; default: the matcher's own
    `memory_limit`, or 750 MB. size: (width, height) kept of a tile, instead. margin: pixels that a
    tile is shown beyond what is kept of it and what the search needs; default: as the matcher says.

    All tiles search the same disparities. Each is shown the columns that its matches, and their
    left-right check, can lie in, and what is kept of it is cut out; a matcher that fills unknown
    pixels from around fills them once the tiles are together. So the local matchers answer as for
    the whole (to rounding), while what a global one or a net says depends a little on where a tile
    ends: `run` tells how much more the map jumps at the borders than beside them, and a call warns
    where that can be seen. Tiles are done one after the other, by as many threads as the matcher
    takes; neither their number nor the free memory changes the result.

    Raises `UsageError` for a memory, size or margin that cannot be meant.
    """

    matcher: StereoMatcher
    memory: int | str | None = option(None, "most memory that matching may take, for example 2GB")
    size: tuple[int, int] | None = option(None, "width and height kept of a tile (px)")
    margin: int | None = option(None, "pixels shown around what is kept")

    def __post_init__(self) -> None:
        if self.memory is not None:
            bytes_of(self.memory)
        if self.size is not None and not (len(self.size) == 2 and min(self.size) >= SMALLEST):
            raise UsageError(
                "is no size of a tile",
                field="size",
                value=self.size,
                expected=f"(width, height), at least {SMALLEST} pixels each",
            )
        if self.margin is not None and self.margin < 0:
            raise UsageError("is below 0", field="margin", value=self.margin, expected="pixels")

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """The matcher's disparity of the whole pair. Warns where the borders of tiles show.

        Raises what the matcher raises, and `ResourceError` if even the smallest tiles take more
        memory than they may.
        """
        return warned(self.run(pair))

    def run(self, pair: StereoPair, tell: Tell = lambda line: None) -> Pieced:  # noqa: ARG005
        """As a call, with the tiles and their seams. tell: is told now and then how it goes.

        Raises as a call.
        """
        needs = needs_of(self.matcher, pair)
        search = needs.first, needs.end
        margin = needs.margin if self.margin is None else self.margin
        parts = self._parts(pair, needs, margin)
        ready = for_parts(self.matcher, needs, self.memory)
        ready = adjusted(ready, min_disparity=needs.first, max_disparity=needs.end)
        whole = StereoPair(pair.left.with_stretch(), pair.right.with_stretch(), pair.rig)
        canvas, limits = Canvas(pair.shape), None
        progress = Progress(len(parts), tell)
        for part in parts:
            shown = shown_of(part, pair.shape, search, margin, shifted=False)
            found = ready(shown.of(whole))
            canvas.put(part, found, shown.inner(part))
            limits = found.range
            del found
            progress.step()
        disparity = canvas.finished(self.matcher, needs, limits)
        return pieced(disparity, parts)

    def _parts(self, pair: StereoPair, needs: Needs, margin: int) -> list[Part]:
        search = needs.first, needs.end
        levels = needs.end - needs.first

        def need(part: Part) -> int:
            shown = shown_of(part, pair.shape, search, margin, shifted=False)
            return needs.memory(*shown.size, levels)

        size = self.size and (self.size[1], self.size[0])
        if size is None:
            budget = budget_of(self.memory, self.matcher)
            size = best_size(pair.shape, need, part_budget(pair, budget))
        if size is None:
            check_budget(pair, need(smallest(pair)), budget)
            size = SMALLEST, SMALLEST
        parts = grid(pair.shape, size)
        check_free(self.matcher, pair, max(need(part) for part in parts))
        return parts


def tile_words(text: str) -> dict[str, Any]:
    """Parameters of `Tiled` that a word of the command line means: auto, 1024x768, or 2GB.

    Raises `UsageError` for another word.
    """
    word = text.strip().lower()
    if word == "auto":
        return {}
    if re.fullmatch(r"\d+x\d+", word):
        width, height = (int(n) for n in word.split("x"))
        return {"size": (width, height)}
    try:
        return {"memory": bytes_of(word)}
    except UsageError:
        raise UsageError(
            "is no way to cut tiles",
            field="tile",
            value=text,
            expected="auto, a size like 1024x768, or a memory like 2GB",
        ) from None


class Progress:
    """Tells how many parts of a longer job are done, at most every few seconds."""

    def __init__(self, count: int, tell: Tell) -> None:
        self._count, self._tell, self._done = count, tell, 0
        self._start = self._last = time.monotonic()
        if count > 1:
            tell(f"matching in {count} tiles")

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        now = time.monotonic()
        if now - self._last >= _QUIET and self._done < self._count:
            left = (now - self._start) / self._done * (self._count - self._done)
            self._tell(f"{self._done} of {self._count} tiles done, about {left:.0f} s left")
            self._last = now


def pieced(disparity: Disparity, parts: Sequence[Part], notes: Sequence[str] = ()) -> Pieced:
    """A map with its seams, and a note where they show."""
    measured = seams(disparity.values, parts)
    notes = list(notes)
    if measured.shows:
        notes.append(
            f"the borders of tiles show: {measured.across:.1%} of the pixels along them jump by "
            f"more than 1 px, {measured.elsewhere:.1%} beside them; give larger tiles, or more "
            "memory"
        )
    return Pieced(disparity, tuple(parts), measured, tuple(notes))


def warned(found: Pieced) -> Disparity:
    """The map of an estimator's run; its notes become warnings of who called the estimator."""
    for note in found.notes:
        warnings.warn(note, stacklevel=3)
    return found.disparity
