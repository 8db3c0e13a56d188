"""One's own pairs for adaptation: found, read, checked, with anchors and truth where known."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fathom.combine.check import check_pair
from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.maps import Depth, Disparity, SparseDepth
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.core.sample import StereoSample
from fathom.data.augment import resized
from fathom.data.registry import open_dataset, recognise
from fathom.io.pairing import FoundPairs, find_pairs
from fathom.train.taught import side_folders
from fathom.workflows.mono_anchors import AlignOptions, anchors_of
from fathom.workflows.mono_camera import FoundCamera
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
    first: str, second: str | None, options: FrameOptions, pairs: PairOptions, anchors: AlignOptions
) -> Frames:
    """The pairs of two folders or globs, of one folder with a folder for each side, of a list, or
    of a data set.

    Raises `UsageError` for flags that do not go together, anchors of one pair for several among
    them, `InputError` where nothing is there.
    """
    place = Path(first)
    named = options.format is not None or options.split is not None
    if second is None and (named or place.is_file() or recognise(place)):
        if pairs != PairOptions() or anchors.align is not None:
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
    if len(names) > 1:
        anchors.require_many("give a folder with anchors of each pair", flag="anchors")

    def load(index: int) -> StereoSample:
        files = found.pairs[index]
        pair = load_pair(files.left, files.right, pairs).pair
        known = _anchors(pair, anchors, names[index], index, len(names))
        return StereoSample(pair, known, name=names[index])

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


def _anchors(
    pair: StereoPair, options: AlignOptions, name: str, index: int, count: int
) -> Disparity | None:
    """What is known of a pair in metres, as disparities."""
    file = options.file_of(name, index, count)
    if file is None:
        return None
    rig = pair.rig
    if rig is None:
        raise UsageError(
            "are metres, and no rig says what disparity they are", field="align", value=file,
            remedy="give --calib FILE, or --focal and --baseline",
        )  # fmt: skip
    found = FoundCamera(rig.left, "calibration", "the pair's rig", rig)
    points, _ = anchors_of(pair.size, found, options, file)
    return Disparity(disparity_map(points, rig, pair.shape))


def disparity_map(points: SparseDepth | Depth, rig: StereoRig, shape: tuple[int, int]) -> Array:
    """Metres at single pixels, or a map of them, as disparities float32 (h, w), NaN = unknown.

    A point counts for the pixel it lies in; of several in one the nearest counts. Points outside
    the image are left out.
    """
    if isinstance(points, Depth):
        return rig.disparity_of(points.values)
    out = np.full(shape, -np.inf, np.float32)
    columns, rows = np.rint(points.pixels).astype(np.int64).T
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    values = rig.disparity_of(points.depth)[inside]
    np.maximum.at(out, (rows[inside], columns[inside]), values)
    return np.where(np.isfinite(out), out, np.float32(np.nan))


def _reduced(sample: StereoSample, factor: int) -> StereoSample:
    if factor == 1:
        return sample
    width, height = sample.pair.size
    return resized(sample, (width // factor, height // factor))


@dataclass(frozen=True)
class Fit:
    """Which frames can be learned from. kept: their indices. left_out: name and why of the rest."""

    kept: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many were left out for each reason, the most frequent first."""
        return dict(Counter(why.split(":")[0] for _, why in self.left_out).most_common())

    def line(self) -> str:
        """For people."""
        total = len(self.kept) + len(self.left_out)
        reasons = ", ".join(f"{why} {count}" for why, count in self.counts.items())
        return f"pair check: {len(self.kept)} of {total} pairs are fit" + (
            f"; left out: {reasons}" if reasons else ""
        )


def fit_frames(frames: Frames, check: bool, advance: Notify) -> Fit:
    """Which frames can be read and, if `check`, are pairs at all. advance: told each name.

    Raises `InputError` if fewer than `LEAST` are left, `UsageError` as the frames' reader does.
    """
    kept: list[int] = []
    left_out: list[tuple[str, str]] = [(p.name, "no partner") for p in frames.lonely]
    for i, name in enumerate(frames.names):
        advance(name)
        try:
            why = _unfit(frames.load(i), check)
        except UsageError:
            raise  # what was typed is wrong, not this pair
        except FathomError as error:
            why = f"unreadable: {error}"
        if why is None:
            kept.append(i)
        else:
            left_out.append((name, why))
    found = Fit(tuple(kept), tuple(left_out))
    if len(kept) < LEAST:
        raise InputError(
            "leaves too few pairs to learn from", field="pairs", value=found.line(),
            expected=f"{LEAST} or more that are fit",
            remedy=_first_reason(left_out) or "look at them with: fathom check LEFT RIGHT",
        )  # fmt: skip
    return found


def _first_reason(left_out: list[tuple[str, str]]) -> str | None:
    """Of pairs that could not be read: what the first one says, for no check would show it."""
    said = [f"{name}: {why}" for name, why in left_out if why.startswith("unreadable")]
    return said[0] if said else None


def _unfit(sample: Any, check: bool) -> str | None:
    if not isinstance(sample, StereoSample):
        return "no pair: a single view"
    if not check:
        return None
    pair = sample.pair
    findings = check_pair(pair.left, pair.right, pair.rig)
    grave = [f for f in findings if f.code in REFUSED]
    return f"{grave[0].code}: {grave[0].message}" if grave else None
