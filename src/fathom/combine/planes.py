"""Is this nearer than that plane? Asked of any stereo matcher, in pixels or in metres."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from fathom.core.errors import UsageError
from fathom.core.estimator import StereoMatcher
from fathom.core.pair import StereoPair
from fathom.core.planes import PlaneProbability, disparity_of_plane
from fathom.geometry.planes import plane_probability

SURROUNDING = 4
"""Disparities (pixels) on either side of a plane that a matcher must search to tell its sides."""


@runtime_checkable
class AnswersPlanes(Protocol):
    """A matcher that answers for a plane itself, without finding a disparity first."""

    def plane(self, pair: StereoPair, disparity: float) -> PlaneProbability:
        """How likely each pixel is nearer than the plane of that disparity (pixels)."""
        ...


@dataclass(frozen=True, kw_only=True)
class NearerThan:
    """The probability that each pixel is nearer than a plane.

    matcher: answers itself if it can (`bi3d-binary`, in one pass), otherwise its disparity and
    confidence do (`geometry.planes`). disparity: of the plane, in pixels; or distance: metres from
    the cameras along z, for pairs with a rig.

    Raises `UsageError` unless there is one of both, for a plane that is no number, or that lies
    outside what the matcher searches.
    """

    matcher: StereoMatcher
    disparity: float | None = None
    distance: float | None = None

    def __post_init__(self) -> None:
        if (self.disparity is None) == (self.distance is None):
            raise UsageError(
                "a plane is said in one way", field="disparity, distance",
                value=f"{self.disparity}, {self.distance}", expected="one of both",
            )  # fmt: skip
        for name, least in (("disparity", -np.inf), ("distance", 0.0)):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > least):
                raise UsageError(
                    "is no plane", field=name, value=value,
                    expected="metres > 0" if name == "distance" else "pixels",
                )  # fmt: skip

    def __call__(self, pair: StereoPair, /) -> PlaneProbability:
        """Seen from the left view.

        Raises `UsageError` for metres without a rig, and for a plane outside the images or what
        the matcher searches; and what the matcher raises.
        """
        at = plane_of(pair, self.disparity, self.distance)
        if isinstance(self.matcher, AnswersPlanes):
            return self.matcher.plane(pair, at)
        found = self.matcher(pair)
        if found.range is not None and not found.range[0] - 1 <= at <= found.range[1]:
            low, high = found.range
            raise UsageError(
                "is no plane that this search can tell the sides of", field="disparity",
                value=round(at, 2), expected=f"{low:g} to {high:g} px, as searched",
                remedy=f"search up to --max-disparity {int(at) + 1 + SURROUNDING} or more"
                if at > high
                else "give a smaller --min-disparity",
            )  # fmt: skip
        return plane_probability(found, at, pair.rig)


def plane_of(pair: StereoPair, disparity: float | None, distance: float | None) -> float:
    """The plane's disparity in this pair, in pixels.

    Raises `UsageError` for metres without a rig, or a plane outside the images.
    """
    at = disparity_of_plane(distance or 0.0, pair.rig) if disparity is None else float(disparity)
    width = pair.size[0]
    if not np.isfinite(at):
        raise UsageError("is no plane", field="disparity", value=at, expected="pixels")
    if not -width < at < width:
        raise UsageError(
            "lies outside the images", field="disparity", value=round(at, 2),
            expected=f"a plane within {width} px",
            remedy="give a plane farther away" if at > 0 else "give a nearer plane",
        )  # fmt: skip
    return at
