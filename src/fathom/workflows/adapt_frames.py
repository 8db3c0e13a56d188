"""One's own pairs for adaptation: found, read, checked, with anchors and truth where known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fathom.combine.fit_pairs import Fit, fit_pairs
from fathom.core.errors import InputError, UsageError
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


def fit_frames(frames: Frames, check: bool, advance: Notify) -> Fit:
    """Which frames can be learned from (`fathom.combine.fit_pairs`). advance: told each name.

    Raises `InputError` if fewer than `LEAST` are left, `UsageError` as the frames' reader does.
    """
    lonely = [p.name for p in frames.lonely]
    found = fit_pairs(frames.names, frames.load, check=check, lonely=lonely, advance=advance)
    if len(found.kept) < LEAST:
        raise InputError(
            "leaves too few pairs to learn from", field="pairs", value=found.line(),
            expected=f"{LEAST} or more that are fit",
            remedy=found.first_unreadable or "look at them with: fathom check LEFT RIGHT",
        )  # fmt: skip
    return found
