"""What a comparison goes through: named inputs that are read when asked for."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from fathom.core.errors import FathomError, InputError
from fathom.io.pairing import FoundPairs

T = TypeVar("T")
_NUMBER = re.compile(r"\d+(?=\D*$)")


@dataclass(frozen=True, eq=False)
class Inputs(Generic[T]):
    """Named inputs. source: where they are from, for result.json. load: reads the one of an index.
    failed: those that cannot even be tried. clips: for each the sequence of frames that it belongs
    to, "" for none; empty where nothing is a sequence.
    """

    source: dict[str, Any]
    names: Sequence[str]
    load: Callable[[int], T]
    failed: tuple[tuple[str, FathomError], ...] = ()
    clips: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)

    def limited(self, count: int | None) -> Iterator[int]:
        """Indices of `count` inputs, evenly spread over all; of all without a count."""
        number = len(self) if count is None else min(count, len(self))
        return (i * len(self) // number for i in range(number))


def inputs_of_files(
    found: FoundPairs, truth: Sequence[Path] | None, told: dict[str, Any], load: Callable[[int], T]
) -> Inputs[T]:
    """Images of one's own, with the files of their truth. told: what else `source` says."""
    lonely = tuple(
        (path.name, InputError("has no partner in the other folder", file=path))
        for path in found.lonely
    )
    source = {
        "format": "images",
        "left": [str(pair.left) for pair in found.pairs[:1]],
        "truth": None if truth is None else [str(truth[0])],
        **told,
    }
    names = [pair.name for pair in found.pairs]
    return Inputs(source, names, load, lonely, clips_of(names))


def clips_of(names: Sequence[str]) -> list[str]:
    """The sequence that each name belongs to: the name with # for its last number; "" without a
    number, or where no other name has it."""
    found = [_NUMBER.sub("#", name) if _NUMBER.search(name) else "" for name in names]
    counts = Counter(found)
    return [key if counts[key] > 1 else "" for key in found]
