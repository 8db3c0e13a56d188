"""What methods are compared on: pairs of one's own, with or without truth, or a data set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fathom.combine.check import check_pair
from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.sample import MonoSample, StereoSample
from fathom.data.dataset import Dataset
from fathom.data.manifest import ENCODINGS, read_truth
from fathom.data.registry import open_dataset
from fathom.eval.regions import with_visible
from fathom.geometry.resize import resize_disparity
from fathom.io.files import in_file
from fathom.io.pairing import FoundPairs, PairFiles
from fathom.workflows.compare_inputs import Inputs, inputs_of_files
from fathom.workflows.pairs import PairOptions, load_pair
from fathom.workflows.truths import truth_files

_DENSE = 0.5
"""Share of pixels with truth above which what hides what can be told from it."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A sample, the pixels that no camera saw (or None), and what to say about it."""

    sample: StereoSample
    unseen: Array | None = None
    notes: tuple[str, ...] = ()


Cases = Inputs[Loaded]
"""Named samples that are read when asked for."""


def cases_of_files(
    found: FoundPairs,
    truth: Sequence[str | Path] | None,
    options: PairOptions,
    encoding: str = "auto",
    scale: float | None = None,
    check: bool = True,
) -> Cases:
    """Pairs of one's own. truth: disparity files, folders or globs, one for each pair, by name or
    in their order. encoding, scale: of the truth (`data.manifest`). check: whether what the pair
    check finds becomes a note.

    Raises `UsageError` if there are not as many truths as pairs, or for an unknown encoding.
    """
    if encoding not in ENCODINGS:
        raise UsageError(
            "is no encoding", field="truth", value=encoding, expected=" or ".join(ENCODINGS)
        )
    files = None if truth is None else truth_files(found, truth)

    def load(index: int) -> Loaded:
        pair = found.pairs[index]
        file = None if files is None else files[index]
        loaded = _own_pair(pair, file, options, encoding, scale)
        return _checked(loaded) if check else loaded

    return inputs_of_files(found, files, {"truth_encoding": encoding}, load)


def _own_pair(
    files: PairFiles, truth: Path | None, options: PairOptions, encoding: str, scale: float | None
) -> Loaded:
    loaded = load_pair(files.left, files.right, options)
    disparity = None
    if truth is not None:
        disparity = Disparity(read_truth(truth, "disparity", encoding, scale))
        if options.scale != 1 and disparity.shape != loaded.pair.shape:
            disparity = resize_disparity(disparity, loaded.pair.size)
        if loaded.unseen is not None and disparity.shape == loaded.pair.shape:
            disparity = disparity.with_unknown(loaded.unseen)
    with in_file(truth or files.left):
        sample = StereoSample(loaded.pair, disparity, {}, files.name)
    return prepared(Loaded(sample, loaded.unseen, loaded.notes))


def _checked(loaded: Loaded) -> Loaded:
    pair = loaded.sample.pair
    found = check_pair(pair.left, pair.right, pair.rig)
    notes = (f"{finding.message}; {finding.remedy}" for finding in found)
    return replace(loaded, notes=(*loaded.notes, *notes))


def prepared(loaded: Loaded) -> Loaded:
    """With `nonocc` computed where the truth is dense enough to tell; an empty truth is none."""
    sample, notes = loaded.sample, loaded.notes
    if sample.truth is None:
        return loaded
    if not sample.truth.known.any():
        note = "the truth knows no pixel, so this pair counts as one without truth"
        return Loaded(replace(sample, truth=None), loaded.unseen, (*notes, note))
    if "nonocc" in sample.masks:
        return loaded
    if not dense(sample.truth):
        note = (
            f"the truth knows {sample.truth.share_known:.1%} of the pixels: too few to tell what "
            "is occluded"
        )
        return Loaded(sample, loaded.unseen, (*notes, note))
    return Loaded(with_visible(sample), loaded.unseen, notes)


def dense(truth: Disparity) -> bool:
    """Whether enough pixels have a truth to compute from it what is occluded or thin."""
    return truth.share_known >= _DENSE


def cases_of_dataset(
    root: Path, format: str | None, split: str | None, own: dict[str, Any] | None = None
) -> Cases:
    """The samples of a data set or of a list; raises as `open_dataset` does.

    Loading a sample that has no pair raises `InputError`.
    """
    dataset: Dataset[Any] = open_dataset(format, root, split, **(own or {}))

    def load(index: int) -> Loaded:
        sample: StereoSample | MonoSample = dataset.load(index)
        if not isinstance(sample, StereoSample):
            raise InputError(
                "is a single view, and the methods here need pairs",
                file=root,
                field="sample",
                value=sample.name,
                remedy="take a stereo data set (`fathom dataset list`)",
            )
        return prepared(Loaded(replace(sample, name=dataset.names[index])))

    source = {"format": dataset.format, "root": str(root), "split": dataset.split}
    return Cases(source, list(dataset.names), load)


def without_unseen(disparity: Disparity, unseen: Array | None) -> Disparity:
    """The map with the pixels that no camera saw made unknown."""
    if unseen is None or not np.any(unseen):
        return disparity
    return disparity.with_unknown(unseen)
