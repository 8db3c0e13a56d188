"""The pair check over many pairs: what is wrong with how many of them, and are they in time?"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from fathom.combine.check import Finding, check_pair
from fathom.combine.check_finding import REPORTED
from fathom.combine.check_sequence import Moment, check_time, moment
from fathom.combine.check_views import SMALLEST, Light
from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.core.pair import View
from fathom.geometry.rectify import Rectification, rectify
from fathom.io.frames import FramePair, PairedFrames, is_video, open_frames
from fathom.workflows.check import needs_rectification
from fathom.workflows.pairs import PairOptions, find_and_read_calibration

_MOMENTS = 6


@dataclass(frozen=True)
class SequenceOptions:
    """How a sequence of pairs is checked."""

    every: int = option(1, "of a sequence check every N-th pair", metavar="N")
    shift: int = option(
        3, "of a sequence look for a time offset of up to N frames (0: do not)", metavar="N"
    )
    fps: float | None = option(
        None, "frames a second of a sequence of images, for milliseconds", metavar="F"
    )

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError("is below 1", field="every", value=self.every, expected=">= 1")
        if not 0 <= self.shift <= 50:
            raise UsageError("is out of range", field="shift", value=self.shift, expected="0..50")
        if self.fps is not None and not 0 < self.fps < 1e6:
            raise UsageError("is no frame rate", field="fps", value=self.fps, expected="> 0")


@dataclass(frozen=True)
class Common:
    """One kind of finding over all pairs.

    share: of the checked pairs that have it; count: how many. typical: the median of its sizes,
    in the worst finding's unit, or None. worst: the gravest of them; worst_pair: its name.
    """

    code: str
    count: int
    share: float
    typical: float | None
    worst: Finding
    worst_pair: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the worst finding, and how common it is."""
        return {
            **self.worst.as_dict(),
            "count": self.count,
            "share": round(self.share, 4),
            "typical": None if self.typical is None else float(f"{self.typical:.4g}"),
            "worst_pair": self.worst_pair,
        }


@dataclass(frozen=True)
class SequenceReport:
    """What the check says of a sequence.

    checked: how many pairs were. common: the kinds of findings, the most frequent first.
    whole: findings about the sequence itself, as a time offset. failed: names of pairs that could
    not be checked, with why.
    """

    checked: int
    common: tuple[Common, ...]
    whole: tuple[Finding, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "pairs": self.checked,
            "findings": [common.as_dict() for common in self.common],
            "sequence": [finding.as_dict() for finding in self.whole],
            "failed": [{"name": name, "error": error} for name, error in self.failed],
        }


def check_sequence(
    frames: PairedFrames,
    options: PairOptions,
    sequence: SequenceOptions | None = None,
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
    *,
    also: tuple[Finding, ...] = (),
) -> SequenceReport:
    """The pair check over the pairs of folders, globs or videos, and their timing.

    options: as for one pair; a raw calibration rectifies every pair. sequence: which pairs are
    checked, and how far a time offset is looked for. advance is called with each pair's name.
    also: findings about the sequence that are known already.

    Raises `InputError` if there is no pair at all, or for what `frames` cannot read.
    """
    sequence = SequenceOptions() if sequence is None else sequence
    found: list[tuple[str, list[Finding]]] = []
    clock = _Clock(_moments_at(frames.count, sequence.shift), sequence.shift)
    prepare: _Prepared | None = None
    for index, pair in enumerate(frames):
        advance(pair.name)
        if prepare is None:
            prepare = _Prepared.of(pair, options)
        views = prepare(pair)
        if index % sequence.every == 0:
            found.append((pair.name, check_pair(*views, prepare.calibration)))
        clock.tick(index, views)
    if not found:
        raise InputError("holds no pair", field="LEFT, RIGHT", expected="one pair or more")
    fps = sequence.fps if sequence.fps is not None else frames.rate
    late = check_time(clock.moments, clock.size, fps) if clock.moments else None
    whole = (late, *also) if late is not None and late.certainty >= REPORTED else also
    lonely = tuple((path.name, "has no partner in the other folder") for path in frames.lonely)
    return SequenceReport(len(found), aggregate(found), whole, lonely)


def unequal_lengths(left: str, right: str | None) -> tuple[Finding, ...]:
    """`frames-differ` for two videos that do not have equally many frames.

    Raises `InputError` for a video that cannot be opened.
    """
    if right is None or not (is_video(left) and is_video(right)):
        return ()
    counts = [open_frames(video).count for video in (left, right)]
    if None in counts or counts[0] == counts[1]:
        return ()
    return (
        Finding(
            "frames-differ",
            f"the left video has {counts[0]} frames, the right one {counts[1]}",
            1.0,
            "cut both so that they begin and end at one moment",
            float(abs((counts[1] or 0) - (counts[0] or 0))),
            "frames",
        ),
    )


def aggregate(found: Sequence[tuple[str, list[Finding]]]) -> tuple[Common, ...]:
    """The findings of (name, findings) of many pairs by their codes, the most frequent first."""
    by_code: dict[str, list[tuple[str, Finding]]] = {}
    for name, findings in found:
        for finding in findings:
            by_code.setdefault(finding.code, []).append((name, finding))
    common = []
    for code, items in by_code.items():
        sizes = [finding.size for _, finding in items if finding.size is not None]
        name, worst = max(items, key=lambda item: (abs(item[1].size or 0), item[1].certainty))
        typical = median(sizes) if sizes else None
        share = len(items) / len(found)
        common.append(Common(code, len(items), share, typical, worst, name))
    return tuple(sorted(common, key=lambda c: (-c.count, c.code)))


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What happens to every pair ahead of its check."""

    calibration: StereoRig | StereoCalibration | None
    rectification: Rectification | None = None

    @classmethod
    def of(cls, pair: FramePair, options: PairOptions) -> "_Prepared":
        """From the first pair, whose size the calibration is judged by."""
        left, right = pair.left, pair.right
        calibration, _ = find_and_read_calibration(
            left.size, pair.left_file, options, any_size=True
        )
        if needs_rectification(calibration, (left, right), options):
            rectification = rectify(calibration, crop=options.crop)
            return cls(rectification.rig, rectification)
        return cls(calibration)

    def __call__(self, pair: FramePair) -> tuple[View, View]:
        if self.rectification is None:
            return pair.left, pair.right
        rectified = self.rectification(pair.left, pair.right)
        return rectified.left, rectified.right


class _Clock:
    """Keeps the last frames, and matches the middle one's left view with all right ones when a
    moment of interest stands in the middle."""

    def __init__(self, at: Iterable[int], reach: int) -> None:
        self.moments: list[Moment] = []
        self.size = (0, 0)
        self._at, self._reach = frozenset(at), reach
        self._kept: deque[tuple[Light, Light]] = deque(maxlen=2 * reach + 1)

    def tick(self, index: int, views: tuple[View, View]) -> None:
        """The next pair of frames, `index` from 0."""
        left, right = views
        wanted = any(abs(index - at) <= self._reach for at in self._at)
        if not wanted or left.size != right.size or min(left.size) < SMALLEST:
            self._kept.clear()
            return
        self.size = left.size
        self._kept.append((Light.of(left), Light.of(right)))
        middle = index - self._reach
        if middle in self._at and len(self._kept) == 2 * self._reach + 1:
            rights = {k - self._reach: kept[1] for k, kept in enumerate(self._kept)}
            self.moments.append(moment(self._kept[self._reach][0], rights, self.size))


def _moments_at(count: int | None, reach: int) -> list[int]:
    """Indices of left frames to try other right frames for: spread over the sequence."""
    if reach == 0:
        return []
    if count is None:  # a video that does not say how long it is
        return [reach + i * (2 * reach + 1) for i in range(_MOMENTS)]
    first, last = reach, count - 1 - reach
    if last < first:
        return []
    steps = min(_MOMENTS, last - first + 1)
    at = [first + round(i * (last - first) / max(steps - 1, 1)) for i in range(steps)]
    return [a for a, b in pairwise([*at, -1]) if a != b]
