"""One's own pairs for adaptation: found, read, checked, with anchors and truth where known."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fathom.combine.check import Examination, examine
from fathom.combine.check_finding import Finding
from fathom.combine.check_folder import check_folder, lean
from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.core.sample import StereoSample
from fathom.data.augment import resized
from fathom.data.registry import open_dataset, recognise
from fathom.io.pairing import FoundPairs, find_pairs
from fathom.train.taught import side_folders
from fathom.workflows.adapt_anchors import AnchorOptions
from fathom.workflows.pairs import PairOptions, load_pair
from fathom.workflows.truths import truth_files

Notify = Callable[[str], None]
LEAST_HELD = 4
"""Held-back frames at least: what fewer say by chance would be taken for better or worse."""
LEAST = 2 * LEAST_HELD
"""Pairs at least that are fit to learn from, the held-back ones among them."""
REFUSED = frozenset(
    {
        *("size-differs", "depth-differs", "too-small", "flat", "unrelated", "mirrored", "rotated"),
        *("identical", "vertical-rig", "swapped", "negative-disparity", "unrectified"),
        *("roll", "scale", "curve", "stale-calibration"),
    }
)
"""Findings of the pair check (`fathom.combine.check`) that make a pair unfit to learn from. Views
of different brightness are not among them: nets can learn to bear that."""


@dataclass(frozen=True)
class FrameOptions:
    """What the pairs are, and what is known of them besides.

    Raises `UsageError` for a share that leaves nothing.
    """

    format: str | None = option(
        None, "which data set a folder is (default: recognised)", metavar="NAME"
    )
    split: str | None = option(None, "which split of the data set", metavar="NAME")
    truth: Path | None = option(
        None, "disparity maps (folder, one for each pair) to judge held-back frames by; never "
        "learned from", metavar="DIR",
    )  # fmt: skip
    held: float = option(
        0.2, f"share of the pairs that is held back, chosen by their names; {LEAST_HELD} at least"
    )
    check: bool = option(True, "look whether each pair is one (unrectified, swapped, ...)")

    def __post_init__(self) -> None:
        if not 0 < self.held < 1:
            raise UsageError(
                "is no share", field="held", value=self.held, expected="above 0, below 1"
            )


@dataclass(frozen=True, eq=False)
class Frames:
    """Named pairs that are read when asked for. load: the sample of an index, its truth being what
    is known (LiDAR, a map of the data set). judged: a truth for judging only, by index, or None.
    factor: by which samples are reduced. lonely: images without a partner."""

    names: tuple[str, ...]
    load: Callable[[int], StereoSample]
    judged: Callable[[int, StereoPair], Disparity] | None = None
    factor: int = 1
    lonely: tuple[Path, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> StereoSample:
        """The sample of an index; raises as its readers do."""
        return _reduced(self.load(index), self.factor)

    def only(self, indices: Sequence[int], *, to_judge: bool = False) -> "Frames":
        """Some of them. to_judge: with the truth that is for judging, where there is one."""
        picked = tuple(indices)

        def load(index: int) -> StereoSample:
            sample = self.load(picked[index])
            if to_judge and self.judged is not None:
                return replace(sample, truth=self.judged(picked[index], sample.pair))
            return sample

        return replace(self, names=tuple(self.names[i] for i in picked), load=load, judged=None)


def find_frames(
    first: str,
    second: str | None,
    options: FrameOptions,
    pairs: PairOptions,
    anchors: AnchorOptions,
) -> Frames:
    """The pairs of two folders or globs, of one folder with a folder for each side, of a list, or
    of a data set.

    Raises `UsageError` for flags that do not go together, anchors of one pair for several among
    them, `InputError` where nothing is there.
    """
    place = Path(first)
    named = options.format is not None or options.split is not None
    if second is None and (named or place.is_file() or recognise(place)):
        if pairs != PairOptions() or anchors.anchors is not None:
            raise UsageError(
                "a data set or list brings its own calibration and truth",
                field="flags for images",
                remedy="leave them out, or give the folders of images",
            )
        dataset = open_dataset(options.format, place, options.split)
        return Frames(tuple(map(str, dataset.names)), dataset.load, None)
    if named:
        raise UsageError(
            "two folders of images are no data set", field="format", value=options.format,
            remedy="leave it out, or give one folder or list",
        )  # fmt: skip
    sides = side_folders(place) if second is None else (first, second)
    found = find_pairs(*sides)
    names = tuple(p.name for p in found.pairs)
    anchors.check(names)

    def load(index: int) -> StereoSample:
        files = found.pairs[index]
        loaded = load_pair(files.left, files.right, pairs)
        known = anchors.of(loaded, names[index], index, len(names))
        return StereoSample(loaded.pair, known, name=names[index])

    judged = None if options.truth is None else _judged(found, options.truth)
    return Frames(names, load, judged, lonely=found.lonely)


def _judged(found: FoundPairs, truth: Path) -> Callable[[int, StereoPair], Disparity]:
    from fathom.io.maps import read_disparity

    files = truth_files(found, [truth])

    def judged(index: int, pair: StereoPair) -> Disparity:
        values = Disparity(read_disparity(files[index]))
        if values.shape != pair.shape:
            raise InputError(
                "differs in size from its pair", file=files[index], field="truth",
                value=values.shape, expected=str(pair.shape),
            )  # fmt: skip
        return values

    return judged


def _reduced(sample: StereoSample, factor: int) -> StereoSample:
    if factor == 1:
        return sample
    width, height = sample.pair.size
    return resized(sample, (width // factor, height // factor))


@dataclass(frozen=True)
class Fit:
    """Which frames can be learned from. kept: their indices. left_out: name and why of the rest.
    anchored: how many of the kept have anchors inside the image."""

    kept: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...]
    anchored: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many were left out for each reason, the most frequent first."""
        return dict(Counter(why.split(":")[0] for _, why in self.left_out).most_common())

    def line(self) -> str:
        """For people."""
        total = len(self.kept) + len(self.left_out)
        reasons = ", ".join(f"{why} {count}" for why, count in self.counts.items())
        anchors = f", {self.anchored} of them with anchors" if self.anchored else ""
        return f"pair check: {len(self.kept)} of {total} pairs are fit{anchors}" + (
            f"; left out: {reasons}" if reasons else ""
        )


def fit_frames(frames: Frames, check: bool, advance: Notify) -> Fit:
    """Which frames can be read and, if `check`, are pairs at all: each by itself, then all of one
    size together (`fathom.combine.check_folder`). advance: told each name.

    Raises `InputError` if fewer than `LEAST` are left, `UsageError` as the frames' reader does.
    """
    looks = []
    for i, name in enumerate(frames.names):
        advance(name)
        looks.append(_look(frames.load, i, check))
    reasons = _together(looks)
    left_out = [(p.name, "no partner") for p in frames.lonely]
    left_out += [(n, why) for n, why in zip(frames.names, reasons, strict=True) if why is not None]
    kept = tuple(i for i, why in enumerate(reasons) if why is None)
    found = Fit(kept, tuple(left_out), sum(looks[i].anchored for i in kept))
    if len(found.kept) < LEAST:
        raise InputError(
            "leaves too few pairs to learn from", field="pairs", value=found.line(),
            expected=f"{LEAST} or more that are fit",
            remedy=_first_reason(left_out) or "look at them with: fathom check LEFT RIGHT",
        )  # fmt: skip
    return found


@dataclass(frozen=True, eq=False)
class _Look:
    """why: the frame cannot serve, or None. anchored: something is known of it. seen: by the check,
    with the size of the pair."""

    why: str | None = None
    anchored: bool = False
    size: tuple[int, int] = (0, 0)
    seen: Examination | None = None


def _look(load: Callable[[int], StereoSample], index: int, check: bool) -> _Look:
    try:
        sample: Any = load(index)
        if not isinstance(sample, StereoSample):
            return _Look("no pair: a single view")
        anchored = sample.truth is not None and bool(sample.truth.known.any())
        if not check:
            return _Look(anchored=anchored)
        pair = sample.pair
        seen = examine(pair.left, pair.right, pair.rig)
    except UsageError:
        raise  # what was typed is wrong, not this pair
    except FathomError as error:
        return _Look(f"unreadable: {error}")
    grave = next((f for f in seen.findings if f.code in REFUSED), None)
    return _Look(_words(grave), anchored, pair.size, lean(seen))


def _together(looks: Sequence[_Look]) -> list[str | None]:
    """Why each frame cannot serve, when all of one size are seen together."""
    reasons = [look.why for look in looks]
    sizes: dict[tuple[int, int], dict[int, Examination]] = {}
    for i, look in enumerate(looks):
        if look.seen is not None:
            sizes.setdefault(look.size, {})[i] = look.seen
    for size, seen in sizes.items():
        found = check_folder(tuple(seen.values()), size)
        for i, finding in zip(seen, found, strict=True):
            reasons[i] = reasons[i] or _words(finding)
    return reasons


def _words(finding: Finding | None) -> str | None:
    return None if finding is None else f"{finding.code}: {finding.message}"


def _first_reason(left_out: list[tuple[str, str]]) -> str | None:
    """Of pairs that could not be read: what the first one says, for no check would show it."""
    said = [f"{name}: {why}" for name, why in left_out if why.startswith("unreadable")]
    return said[0] if said else None
