"""What every reader of a data set gives: a list of names, and a typed sample when one is asked for.

Nothing is read before a sample is asked for, and no sample is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.sample import MonoSample, StereoSample

S = TypeVar("S", bound=StereoSample | MonoSample)


@dataclass(frozen=True, eq=False)
class Dataset(Generic[S]):
    """The samples of one split of a data set.

    format: the reader's name. root: where it lies. split: which part. names: of the samples, in
    order; a list that people wrote may hold one twice. load: reads the sample of an index.

    `len(d)`, `d[3]`, `d[-1]`, `d["name"]`, iteration, and `d.take(10)` for the first ten.

    Raises what `load` raises: `InputError` for a file that is missing or cannot serve.
    """

    format: str
    root: Path
    split: str
    names: Sequence[str]
    load: Callable[[int], S]
    _places: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[S]:
        return (self.load(i) for i in range(len(self.names)))

    def __getitem__(self, which: int | str) -> S:
        """The sample of an index (from the end if negative) or a name.

        Raises `IndexError` for an index that is not there (so that Python's own loops end),
        `UsageError` with close matches for an unknown name, `InputError` for a name that stands
        in the list more than once.
        """
        if isinstance(which, str):
            return self.load(self.index(which))
        index = which + len(self) if which < 0 else which
        if not 0 <= index < len(self):
            raise IndexError(f"sample {which} of {len(self)}")
        return self.load(index)

    def index(self, name: str) -> int:
        """Where the sample of that name stands; raises as `[]` does."""
        if not self._places and self.names:
            for i, known in enumerate(self.names):
                self._places[known] = -1 if known in self._places else i
        place = self._places.get(name)
        if place is None:
            raise unknown_name(f"sample of {self.format}:", name, list(self.names))
        if place < 0:
            raise InputError(
                "stands more than once in the data set",
                file=self.root,
                field="name",
                value=name,
                remedy="take the sample by its index",
            )
        return place

    def take(self, count: int) -> "Dataset[S]":
        """The first `count` samples (all of them where there are fewer).

        Raises `UsageError` for a count below 1.
        """
        if count < 1:
            raise UsageError(
                "is no number of samples", field="count", value=count, expected="1 or more"
            )
        return Dataset(self.format, self.root, self.split, self.names[:count], self.load)


def by_name(
    format: str, root: Path, split: str, names: Sequence[str], read: Callable[[str], Any]
) -> Dataset[Any]:
    """A data set whose samples' files follow from their names.

    Raises `InputError` if there is no name: an empty data set is a wrong folder.
    """
    if not names:
        raise InputError(f"holds no sample of {format}", file=root, field="split", value=split)
    return Dataset(format, root, split, names, lambda index: read(names[index]))
