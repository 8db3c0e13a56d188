"""Which pictures of a long run are kept: the worst, the best and the middle ones, never more."""

from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Kept(Generic[T]):
    """A picture that is kept. number: of the sample, in order. value: what it is ranked by."""

    number: int
    value: float
    picture: T


class Gallery(Generic[T]):
    """At most `size` pictures of any number of samples: a third with the largest values, a third
    with the smallest, the rest nearest to the median of those so far.

    A picture is made only if it will be kept. The middle is that of the samples seen so far, so
    the pictures in it are near the median of all, and not exactly it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: list[float] = []
        self._kept: list[Kept[T]] = []

    def offer(self, number: int, value: float, make: Callable[[], T]) -> None:
        """Keeps the sample's picture, made by `make`, if it is among those to be kept."""
        insort(self._values, value)
        if self._size < 1:
            return
        if len(self._kept) < self._size:
            self._kept.append(Kept(number, value, make()))
            return
        candidates = [(k.value, k.number) for k in self._kept] + [(value, number)]
        dropped = self._least_wanted(candidates)
        if dropped == len(self._kept):
            return
        self._kept[dropped] = Kept(number, value, make())

    def _least_wanted(self, candidates: list[tuple[float, int]]) -> int:
        """Index of the candidate that is neither worst nor best and farthest from the median."""
        worst = -(-self._size // 3)
        best = (self._size - worst + 1) // 2 if self._size > 1 else 0
        middle = self._values[len(self._values) // 2]
        # Among equals the earlier one stays: its picture is made already.
        everyone = range(len(candidates))
        falling = sorted(everyone, key=lambda i: (-candidates[i][0], candidates[i][1]))
        rising = sorted(falling[worst:], key=lambda i: candidates[i])
        return max(rising[best:], key=lambda i: (abs(candidates[i][0] - middle), candidates[i][1]))

    @property
    def seen(self) -> int:
        """How many samples were offered."""
        return len(self._values)

    def ranked(self) -> list[tuple[int, Kept[T]]]:
        """What was kept, largest value first, each with its rank (1 = largest of all seen)."""
        found = sorted(self._kept, key=lambda k: (-k.value, k.number))
        return [(len(self._values) - self._right(k.value) + 1, k) for k in found]

    def _right(self, value: float) -> int:
        """How many values are at most `value`."""
        return bisect_right(self._values, value)
