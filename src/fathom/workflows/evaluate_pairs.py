"""What is predicted: the pairs of a data set, of a list, or of one's own images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.pair import StereoPair
from fathom.data.dataset import Dataset
from fathom.data.manifest import read_manifest
from fathom.data.registry import open_dataset, reader
from fathom.io.pairing import find_pairs
from fathom.workflows.pairs import PairOptions, load_pair


@dataclass(frozen=True, eq=False)
class Pairs:
    """Named pairs that are read when asked for.

    source: where they come from, as plain values for the manifest. names: unique. load: the pair
    of an index. failed: names that cannot even be tried, and why.
    """

    source: dict[str, Any]
    names: Sequence[str]
    load: Callable[[int], StereoPair]
    failed: tuple[tuple[str, FathomError], ...] = field(default=())


def pairs_of(
    first: str,
    second: str | None,
    format: str | None,
    split: str | None,
    own: dict[str, Any],
    options: PairOptions,
) -> Pairs:
    """The pairs that the command line names: one place is a data set or a list, two are images.

    own: options of the data set.

    Raises `UsageError` for flags that do not go together, and what `open_dataset` and `find_pairs`
    raise.
    """
    if second is not None:
        if format is not None or split is not None or own:
            raise UsageError(
                "two images or folders are no data set",
                field="--format" if format is not None else "--split",
                remedy="give one folder or list, or leave the flag out",
            )
        return _of_images(first, second, options)
    if options != PairOptions():
        raise UsageError(
            "a data set brings its own calibration",
            field="calibration flags",
            remedy="leave them out, or give LEFT and RIGHT images",
        )
    return _of_dataset(open_dataset(format, first, split, **own), Path(first), own)


def _of_dataset(dataset: Dataset[Any], root: Path, own: dict[str, Any]) -> Pairs:
    names = list(dataset.names)
    twice = next((n for n, c in _counts(names).items() if c > 1), None)
    if twice is not None:
        raise InputError(
            "stands more than once, and predictions are told apart by names",
            file=dataset.root,
            field="name",
            value=twice,
            remedy="give each sample a name of its own",
        )

    if _single_views(dataset):
        raise UsageError(
            "holds single views, and the methods here need pairs",
            file=dataset.root,
            field="format",
            value=dataset.format,
            remedy="take a stereo data set (`fathom dataset list`)",
        )

    def load(index: int) -> StereoPair:
        pair: StereoPair = dataset.load(index).pair
        return pair

    source = {
        "format": dataset.format,
        "root": str(root.resolve()),
        "split": dataset.split,
        "options": own,
    }
    return Pairs(source, names, load)


def _single_views(dataset: Dataset[Any]) -> bool:
    if dataset.format == "manifest":
        return "right" not in read_manifest(dataset.root)[0].cells
    return reader(dataset.format).kind == "mono"


def _of_images(left: str, right: str, options: PairOptions) -> Pairs:
    found = find_pairs(left, right)

    def load(index: int) -> StereoPair:
        files = found.pairs[index]
        return load_pair(files.left, files.right, options).pair

    lonely = tuple(
        (path.name, InputError("has no partner in the other folder", file=path))
        for path in found.lonely
    )
    source = {
        "format": "images",
        "left": str(left),
        "right": str(right),
        "options": {k: v for k, v in vars(options).items() if v is not None},
    }
    return Pairs(source, [pair.name for pair in found.pairs], load, lonely)


def _counts(names: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
