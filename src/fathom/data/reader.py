"""What fathom knows about a data set, and how its reader is called."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fathom.data.dataset import Dataset

Kind = Literal["stereo", "mono"]


@dataclass(frozen=True)
class NoOptions:
    """For readers that have nothing to choose."""


@dataclass(frozen=True)
class Reader:
    """One data set, or one family member of several.

    name: what `open_dataset` takes. kind: stereo samples or views with depth. summary: one line.
    terms: under which the data may be used, as their site says. source: where people get it;
    fathom downloads nothing. layout: the folders that are expected, as a text tree. splits: the
    first is the default. marks: alternatives, each a tuple of glob patterns below the root that
    must all be met; they tell the data set from others. open: (root, split, options) -> Dataset.
    options: a frozen dataclass whose fields are keywords of `open_dataset`.
    """

    name: str
    kind: Kind
    summary: str
    terms: str
    source: str
    layout: str
    splits: tuple[str, ...]
    marks: tuple[tuple[str, ...], ...]
    open: Callable[[Path, str, Any], Dataset[Any]]
    options: type[Any] = NoOptions

    def fits(self, root: Path) -> bool:
        """True if the folder looks like this data set."""
        return any(all(_met(root, pattern) for pattern in marks) for marks in self.marks)


def _met(root: Path, pattern: str) -> bool:
    if not any(sign in pattern for sign in "*?["):
        return (root / pattern).exists()
    found: Iterator[Path] = root.glob(pattern)
    try:
        return next(found, None) is not None
    except OSError:
        return False
