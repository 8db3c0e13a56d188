"""The one interface: an estimator is a call from a core type to a core type.

Estimators are composed, not inherited from: tiling, fusion and left-right checks are estimators
that hold estimators.
"""

from typing import Protocol, TypeVar, runtime_checkable

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
