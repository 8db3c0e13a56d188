"""One matcher and many pairs: several in one go where the matcher can, one by one where not."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from fathom.core.errors import InputError, UsageError
from fathom.core.estimator import StereoMatcher
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair


@runtime_checkable
class TakesBatches(Protocol):
    """A matcher that answers several pairs of one size in one go, each as it would alone."""

    def batch(self, pairs: Sequence[StereoPair]) -> list[Disparity]: ...


def run_many(
    matcher: StereoMatcher, pairs: Iterable[StereoPair], *, batch: int = 4
) -> Iterator[Disparity]:
    """The disparity of each pair, in their order, as they come.

    batch: up to so many pairs of one size that follow each other go through the matcher together,
    if it has a method `batch` (the published nets have); on a GPU this pays, and takes as many
    times the memory. Any other matcher is called for one pair after the other.

    Raises what the matcher raises, and `UsageError` for a batch below 1.
    """
    if batch < 1:
        raise UsageError("is below 1", field="batch", value=batch, expected="pairs, 1 or more")
    return _run(matcher, pairs, batch)


def _run(matcher: StereoMatcher, pairs: Iterable[StereoPair], batch: int) -> Iterator[Disparity]:
    if not isinstance(matcher, TakesBatches):
        yield from (matcher(pair) for pair in pairs)
        return
    waiting: list[StereoPair] = []
    for pair in pairs:
        if waiting and (len(waiting) == batch or waiting[0].size != pair.size):
            yield from matcher.batch(waiting)
            waiting = []
        waiting.append(pair)
    if waiting:
        yield from matcher.batch(waiting)


def same_size(pairs: Sequence[StereoPair]) -> StereoPair:
    """The first of some pairs. Raises `InputError` if another one differs in size."""
    first = pairs[0]
    other = next((pair for pair in pairs if pair.size != first.size), None)
    if other is not None:
        raise InputError(
            "differs in size from the first pair of its batch",
            field="pairs",
            value=f"{other.size[0]}x{other.size[1]}",
            expected=f"{first.size[0]}x{first.size[1]}",
            remedy="give pairs of one size, or run_many",
        )
    return first
