"""Cutting a pair into parts that a matcher answers as it would answer the whole, and the seams.

A part keeps some pixels and is shown more: its matcher sees to both sides as far as a match, and
the left-right check of a match, can lie, and the margin that the matcher says its answer depends
on (`fathom.core.estimator.Needs`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from fathom.classical.confidence import with_filled
from fathom.classical.fill import fill_large
from fathom.classical.memory import available_memory
from fathom.classical.parallel import thread_count
from fathom.classical.ranges import resolve_range
from fathom.combine.flip import FlipConfidence
from fathom.core.arrays import Array, Float32
from fathom.core.errors import ResourceError, UsageError
from fathom.core.estimator import Needs, SaysNeeds, StereoMatcher
from fathom.core.maps import Disparity, Source
from fathom.core.pair import StereoPair

ALIGN = 32
"""Parts begin at multiples of so many pixels: nets look at cells of 4 to 64."""
SMALLEST = 32
"""Pixels that are kept of a part at least, where the image has so many."""
HELD_BYTES = 12
"""Bytes a pixel of the map that is put together, held beside a part; 9 are filled."""
_FINISHED_BYTES = 32
"""Bytes a pixel while the whole is filled and made certain; 22 were measured for 12 megapixels."""
DEFAULT_MEMORY = 75 * 10**7
"""Bytes that a pair cut into parts may take unless told otherwise: with the program and a pair of
12 megapixels about 1 GB. It is not asked how much memory is free: the same pair gives the same bits
on every day."""
_UNTOLD_BYTES = 4000
_UNTOLD_MARGIN = 96
_STEP = 1.0
_SEEN_JUMP = 0.01
_STRETCH, _FEW = 64, 4
"""Pixels of a border that are looked at together, and how many of these tell how they vary."""


class Part(NamedTuple):
    """Rows top..bottom-1 and columns left..right-1 are kept."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Where it lies in the whole map."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Shown(NamedTuple):
    """Rows top..bottom-1 and columns left..right-1 of the left view are shown, and the same of the
    right view, moved to the left by `shift` columns; disparities there are smaller by it."""

    top: int
    bottom: int
    left: int
    right: int
    shift: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def of(self, pair: StereoPair) -> StereoPair:
        """What is shown of the pair; its rig is cut like the views."""
        rows, width = slice(self.top, self.bottom), self.right - self.left
        at = self.left - self.shift
        rig = pair.rig and replace(
            pair.rig,
            left=pair.rig.left.cropped(self.left, self.top, width, self.size[0]),
            right=pair.rig.right.cropped(at, self.top, width, self.size[0]),
        )
        return StereoPair(
            pair.left.part(rows, slice(self.left, self.right)),
            pair.right.part(rows, slice(at, at + width)),
            rig,
        )

    def inner(self, part: Part) -> tuple[slice, slice]:
        """Where the part lies in what is shown."""
        return (
            slice(part.top - self.top, part.bottom - self.top),
            slice(part.left - self.left, part.right - self.left),
        )


def needs_of(matcher: StereoMatcher, pair: StereoPair) -> Needs:
    """What a matcher needs for the pair. One that does not say so is taken to search what its
    fields `min_disparity` and `max_disparity` tell (without them, the default range), and to take
    the memory of a middling net."""
    if isinstance(matcher, FlipConfidence):
        return needs_of(matcher.matcher, pair)
    if isinstance(matcher, SaysNeeds):
        return matcher.needs(pair)
    low = getattr(matcher, "min_disparity", None) or 0
    first, end = resolve_range(pair, low, getattr(matcher, "max_disparity", None))

    def memory(height: int, width: int, levels: int) -> int:  # noqa: ARG001
        return _UNTOLD_BYTES * height * width

    return Needs(first, end, memory, _UNTOLD_MARGIN)


def adjusted(matcher: StereoMatcher, **values: Any) -> StereoMatcher:
    """The matcher with other parameters, of which those it does not have are left out."""
    if isinstance(matcher, FlipConfidence):
        return FlipConfidence(adjusted(matcher.matcher, **values))
    held: Any = matcher
    if not hasattr(held, "__dataclass_fields__"):
        return matcher
    known = {f.name for f in fields(held) if f.init}
    out: StereoMatcher = replace(held, **{k: v for k, v in values.items() if k in known})
    return out


def parameter(matcher: StereoMatcher, name: str, default: Any = None) -> Any:
    """The value of a parameter of the matcher, or of the one that a flip check is put around."""
    if isinstance(matcher, FlipConfidence):
        return parameter(matcher.matcher, name, default)
    return getattr(matcher, name, default)


def for_parts(
    matcher: StereoMatcher, needs: Needs, memory: int | str | None = None
) -> StereoMatcher:
    """The matcher as it works on a part: what `Needs.inside` says, not filled where that can wait,
    with no more threads than its memory was told for, and with `memory` as its limit if given."""
    values: dict[str, Any] = dict(needs.inside)
    if memory is not None:
        values["memory_limit"] = bytes_of(memory)
    if needs.refill:
        values["fill"] = False
    if needs.threads is not None:
        values["threads"] = min(thread_count(parameter(matcher, "threads")), needs.threads)
    return adjusted(matcher, **values)


def shown_of(
    part: Part, shape: tuple[int, int], search: tuple[int, int], margin: int, *, shifted: bool
) -> Shown:
    """What must be shown so that a part is answered as in the whole.

    search: disparities first..end-1. A match lies up to end-1 columns to the left (or -first to the
    right), and what else could match the same pixel of the right view lies within the range of
    that. shifted: the right view may be moved by the smallest disparity, so that less is shown.
    """
    height, width = shape
    first, end = search
    span = end - 1 - first
    reach = (span, span) if shifted else (max(end - 1, span, 0), max(-first, span, 0))
    top, bottom = _grown(part.top - margin, part.bottom + margin, height, 0)
    # a search that begins beyond what is shown would be refused
    least = span + 1 if shifted else max(end, 1 - first) + 1
    left, right = _grown(
        part.left - margin - reach[0], part.right + margin + reach[1], width, least
    )
    shift = max(right - width, min(left, first)) if shifted else 0
    return Shown(top, bottom, left, right, shift)


def _grown(start: int, stop: int, size: int, least: int) -> tuple[int, int]:
    """start..stop inside 0..size, moved outwards to multiples of `ALIGN` and to `least` long."""
    start = max(0, start // ALIGN * ALIGN)
    stop = max(stop, start + least)
    stop = min(size, start + -(-(stop - start) // ALIGN) * ALIGN)
    return max(0, min(start, stop - least) // ALIGN * ALIGN), stop


def grid(shape: tuple[int, int], size: tuple[int, int]) -> list[Part]:
    """Parts of at most `size` (rows, columns) that cover `shape`, row by row."""
    height, width = shape
    rows, columns = size
    return [
        Part(top, min(top + rows, height), left, min(left + columns, width))
        for top in range(0, height, rows)
        for left in range(0, width, columns)
    ]


def best_size(
    shape: tuple[int, int], need: Callable[[Part], int], limit: int
) -> tuple[int, int] | None:
    """The (rows, columns) of parts with which the least is shown in all, where each needs at most
    `limit` bytes; None where even the smallest needs more.

    need: bytes of a part at the place where it is shown the most, the middle.
    """
    height, width = shape
    best: tuple[int, tuple[int, int]] | None = None
    across = 1
    while True:
        columns = min(width, _up(-(-width // across)))
        rows = _most_rows(height, columns, width, need, limit)
        if rows is not None:
            down = -(-height // rows)
            rows = min(height, _up(-(-height // down)))
            cost = across * down * need(_middle(rows, columns, shape))
            if best is None or cost < best[0]:
                best = cost, (rows, columns)
        if columns <= ALIGN:
            return best and best[1]
        across += 1 if across < 16 else across // 4


def _most_rows(
    height: int, columns: int, width: int, need: Callable[[Part], int], limit: int
) -> int | None:
    low, high = 0, -(-height // ALIGN)
    while low < high:
        mid = (low + high + 1) // 2
        rows = min(height, mid * ALIGN)
        if need(_middle(rows, columns, (height, width))) <= limit:
            low = mid
        else:
            high = mid - 1
    return min(height, low * ALIGN) if low else None


def _middle(rows: int, columns: int, shape: tuple[int, int]) -> Part:
    top, left = (
        (n - kept) // 2 // ALIGN * ALIGN for n, kept in zip(shape, (rows, columns), strict=True)
    )
    return Part(top, top + rows, left, left + columns)


def smallest(pair: StereoPair) -> Part:
    """A part of the smallest size in the middle of the pair."""
    height, width = pair.shape
    return _middle(min(SMALLEST, height), min(SMALLEST, width), pair.shape)


def _up(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def budget_of(memory: int | str | None, matcher: StereoMatcher) -> int:
    """Bytes that may be taken: as told, or the matcher's `memory_limit`, or `DEFAULT_MEMORY`.

    Raises `UsageError` for a text that is no size.
    """
    if memory is None:
        return int(parameter(matcher, "memory_limit") or DEFAULT_MEMORY)
    return bytes_of(memory)


_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "B": 1}


def bytes_of(memory: int | str) -> int:
    """Bytes that a number, or a text like "2GB" or "500 MB", stands for.

    Raises `UsageError` for any other text, and for less than 1 byte.
    """
    found = memory if isinstance(memory, int) and not isinstance(memory, bool) else 0
    if isinstance(memory, str):
        text = memory.strip().upper().replace("IB", "B")
        unit = next((u for u in _UNITS if text.endswith(u)), "")
        try:
            found = int(float(text.removesuffix(unit)) * _UNITS.get(unit, 1))
        except (ValueError, OverflowError):
            found = 0
    if found < 1:
        raise UsageError(
            "is no amount of memory", field="memory", value=memory, expected="for example 2GB"
        )
    return found


def part_budget(pair: StereoPair, budget: int) -> int:
    """What is left of `budget` bytes for a part, beside the map of the whole."""
    pixels = pair.size[0] * pair.size[1]
    return budget - HELD_BYTES * pixels if budget >= _FINISHED_BYTES * pixels else 0


def check_budget(pair: StereoPair, part: int, budget: int) -> None:
    """Raises `ResourceError` where the smallest part needs `part` bytes, which is too much."""
    pixels = pair.size[0] * pair.size[1]
    least = max(part + HELD_BYTES * pixels, _FINISHED_BYTES * pixels)
    if least > budget:
        raise ResourceError(
            f"even the smallest tiles of {pair.size[0]}x{pair.size[1]} "
            f"need {least / 1e6:.0f} MB of memory",
            expected=f"at most {budget / 1e6:.0f} MB",
            remedy=f"allow more (--tile {-(-least // 10**8) / 10:g}GB), search fewer disparities, "
            "or reduce the images",
        )


def check_free(matcher: StereoMatcher, pair: StereoPair, part: int) -> None:
    """Raises `ResourceError` where less memory is free than a part of `part` bytes needs; a device
    says itself what it lacks."""
    if parameter(matcher, "device", "cpu") != "cpu":
        return
    need = part + HELD_BYTES * pair.size[0] * pair.size[1]
    free = available_memory()
    if free is not None and need > free:
        raise ResourceError(
            f"tiles that take {need / 1e6:.0f} MB of memory",
            expected=f"at most {free / 1e6:.0f} MB, which is free",
            remedy="allow less (--tile 500MB), or close other programs",
        )


class Canvas:
    """The map of the whole, put together part by part."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.values = np.full(shape, np.nan, np.float32)
        self.source = np.zeros(shape, np.uint8)
        self._confidence: Array | None = None

    def put(self, part: Part, found: Disparity, inner: tuple[slice, slice]) -> None:
        """Keeps what was found of the part; inner: where it lies in `found`."""
        self.values[part.window] = found.values[inner]
        known = found.known[inner].astype(np.uint8) * np.uint8(Source.MATCHED)
        self.source[part.window] = known if found.source is None else found.source[inner]
        if found.confidence is not None:
            if self._confidence is None:
                self._confidence = np.zeros(self.values.shape, np.float32)
            self._confidence[part.window] = found.confidence[inner]

    def finished(
        self, matcher: StereoMatcher, needs: Needs, search: tuple[float, float] | None
    ) -> Disparity:
        """The map, filled if the matcher fills and its parts were left unfilled."""
        out = Disparity(self.values, self._confidence, self.source, search)
        if not (needs.refill and parameter(matcher, "fill", False)):
            return out
        threads = thread_count(parameter(matcher, "threads"))
        filled = fill_large(out, threads)
        if out.confidence is None:
            return filled
        sure = with_filled(filled, out.confidence, threads)
        stood = self.source == Source.FILLED  # by a part, which knows its confidence
        if sure.confidence is None or not stood.any():
            return sure
        return replace(sure, confidence=np.where(stood, out.confidence, sure.confidence))


@dataclass(frozen=True)
class Seams:
    """Steps of more than 1 px between neighbouring pixels, as shares (0..1) of all pairs of known
    neighbours. across: over the borders of parts. elsewhere: 2 to 8 pixels beside the borders.
    pairs: how many were looked at across. error: standard error of the difference of both shares,
    from how much it varies from one stretch of border to the next."""

    across: float
    elsewhere: float
    pairs: int
    error: float

    @property
    def excess(self) -> float:
        """What the borders have more than their surroundings."""
        return max(0.0, self.across - self.elsewhere)

    @property
    def shows(self) -> bool:
        """Whether the borders can be seen: 1 % more steps, and more than an edge of the scene that
        happens to lie on a border explains."""
        return self.excess > _SEEN_JUMP + 2 * self.error


def seams(values: Float32[np.ndarray, "h w"], parts: Sequence[Part]) -> Seams:
    """How much more a map jumps from part to part than beside their borders."""
    stretches = [
        found
        for part in parts
        for axis in (0, 1)
        for found in _stretches(values, part, axis)
        if found[0, 1] and found[1, 1]
    ]
    if not stretches:
        return Seams(0.0, 0.0, 0, 0.0)
    counts = np.array(stretches)
    shares = counts[..., 0] / counts[..., 1]
    across, elsewhere = counts[..., 0].sum(axis=0) / counts[..., 1].sum(axis=0)
    excess = shares[:, 0] - shares[:, 1]
    few = len(excess) < _FEW
    error = abs(excess.mean()) if few else excess.std(ddof=1) / np.sqrt(len(excess))
    return Seams(float(across), float(elsewhere), int(counts[:, 0, 1].sum()), float(error))


def _stretches(values: Array, part: Part, axis: int) -> Iterator[Array]:
    """(steps, known pairs) across the part's left (axis 1) or upper border and beside it, for each
    stretch of it."""
    at = part.left if axis else part.top
    start, stop = (part.top, part.bottom) if axis else (part.left, part.right)
    if at == 0:
        return
    across = values if axis else values.T
    for low in range(start, stop, _STRETCH):
        rows = across[low : min(low + _STRETCH, stop)]
        counts = np.zeros((2, 2), np.int64)
        for off in (0, -8, -6, -4, -2, 2, 4, 6, 8):
            if 0 < at + off < across.shape[1]:
                step = np.abs(rows[:, at + off] - rows[:, at + off - 1])
                known = ~np.isnan(step)
                far = np.count_nonzero(step[known] > _STEP)
                counts[int(off != 0)] += (far, np.count_nonzero(known))
        yield counts
