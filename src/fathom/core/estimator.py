"""The one interface: an estimator is a call from a core type to a core type.

Estimators are composed, not inherited from: tiling, fusion and left-right checks are estimators
that hold estimators.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from fathom.core.maps import Depth, Disparity, RelativeDepth
from fathom.core.pair import StereoPair, View

In_contra = TypeVar("In_contra", contravariant=True)
Out_co = TypeVar("Out_co", covariant=True)


@runtime_checkable
class Estimator(Protocol[In_contra, Out_co]):
    """Anything that can be called with one core type and answers with another."""

    def __call__(self, inputs: In_contra, /) -> Out_co: ...


StereoMatcher = Estimator[StereoPair, Disparity]
"""Disparity of the left view of a rectified pair."""
MetricMono = Estimator[View, Depth]
"""Depth in metres from one view."""
RelativeMono = Estimator[View, RelativeDepth]
"""Depth up to an unknown transformation from one view."""


@dataclass(frozen=True)
class Needs:
    """What a stereo matcher wants for one pair: enough to cut the pair into tiles.

    first, end: the disparities first..end-1 (pixels) that it would search. memory: (height, width,
    levels) -> bytes that it takes at its peak for a pair of that size and so many disparities,
    images excluded. margin: how many pixels around a pixel its answer depends on, beside the
    search. most: disparities that it can search in one go; None = any number. threads: of which
    `memory` is true at most; None = any. refill: its parameter `fill` is `classical.fill` of the
    finished map and nothing else, so that tiles may be filled once they are together. inside: its
    parameters, by name, that are to be others in a tile.
    """

    first: int
    end: int
    memory: Callable[[int, int, int], int]
    margin: int
    most: int | None = None
    threads: int | None = None
    refill: bool = False
    inside: tuple[tuple[str, Any], ...] = ()


@runtime_checkable
class SaysNeeds(Protocol):
    """A matcher that says what it needs. It has dataclass fields `min_disparity` and
    `max_disparity`, to which a tile's search can be set."""

    def needs(self, pair: StereoPair) -> Needs: ...
