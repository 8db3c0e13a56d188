"""Answers about planes: how likely each pixel is nearer than a plane, and depth in steps of planes.

A plane stands upright before the left camera, all of it at one depth and so at one disparity.
"""

import math
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, UInt8, as_map
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity, Source

_MOST = 254  # intervals that a uint8 can count


@dataclass(frozen=True, eq=False)
class PlaneProbability:
    """How likely each pixel of the left view shows something nearer than a plane.

    probability: float32 (h, w), 0..1, NaN = unknown. disparity: the plane's, in pixels; nearer
    means a larger one. distance: of the plane along z, in metres, where a rig is known; inf for a
    plane at or behind infinity.

    Raises `InputError` for probabilities outside 0..1, a disparity that is no number, or a distance
    that is not positive.
    """

    probability: Float32[np.ndarray, "h w"]
    disparity: float
    distance: float | None = None

    def __post_init__(self) -> None:
        probability = as_map(self.probability, "probability")
        with np.errstate(invalid="ignore"):
            outside = (probability < 0) | (probability > 1)
        if bool(outside.any()):
            raise InputError("leaves the range 0..1", field="probability", expected="0..1")
        object.__setattr__(self, "probability", probability)
        object.__setattr__(self, "disparity", float(self.disparity))
        if not math.isfinite(self.disparity):
            raise InputError(
                "is no plane", field="disparity", value=self.disparity, expected="pixels"
            )
        if self.distance is not None:
            object.__setattr__(self, "distance", float(self.distance))
            if not self.distance > 0:
                raise InputError(
                    "is no plane before the camera", field="distance", value=self.distance,
                    expected="metres > 0",
                )  # fmt: skip

    @classmethod
    def seen(
        cls, probability: Float32[np.ndarray, "h w"], disparity: float, rig: StereoRig | None
    ) -> "PlaneProbability":
        """With the plane's distance where there is a rig."""
        return cls(probability, disparity, distance_of(disparity, rig))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.probability.shape[0], self.probability.shape[1]

    @property
    def known(self) -> Bool[np.ndarray, "h w"]:
        """True where there is an answer."""
        found: Array = ~np.isnan(self.probability)
        return found

    def nearer(self, least: float = 0.5) -> Bool[np.ndarray, "h w"]:
        """True where the pixel is nearer than the plane with at least this probability; unknown
        pixels are not.

        Raises `UsageError` for a probability outside 0..1.
        """
        if not 0 <= least <= 1:
            raise UsageError("is no probability", field="least", value=least, expected="0..1")
        with np.errstate(invalid="ignore"):
            found: Array = self.probability >= np.float32(least)
        return found

    def share_nearer(self, least: float = 0.5) -> float:
        """Share of all pixels that are nearer with at least this probability, 0..1.

        Raises `UsageError` as `nearer`.
        """
        return float(np.count_nonzero(self.nearer(least))) / self.probability.size


@dataclass(frozen=True, eq=False)
class QuantizedDisparity:
    """Between which of some planes each pixel lies.

    planes: rising in disparity, so the farthest first, all of one size. label: uint8 (h, w), how
    many planes the pixel is nearer than: 0 = behind all of them; 255 = unknown. probability:
    float32 (h, w), of that interval, 0..1. range: disparities in pixels at which the first interval
    begins and the last one ends.

    Raises `InputError` for planes that do not rise, differ in size or lie outside the range, and
    for layers that do not fit them.
    """

    planes: tuple[PlaneProbability, ...]
    label: UInt8[np.ndarray, "h w"]
    probability: Float32[np.ndarray, "h w"]
    range: tuple[float, float]

    def __post_init__(self) -> None:
        at = [plane.disparity for plane in self.planes]
        rising = [self.range[0], *at, self.range[1]]
        if not at or len(at) > _MOST or any(a >= b for a, b in zip(rising, rising[1:])):  # noqa: B905, RUF007
            raise InputError(
                "do not cut the range into intervals", field="planes", value=at,
                expected=f"disparities that rise from {self.range[0]:g} to {self.range[1]:g} px",
            )  # fmt: skip
        shape = self.planes[0].shape
        if any(plane.shape != shape for plane in self.planes):
            raise InputError("differ in size", field="planes", expected=f"all {shape}")
        label = np.asarray(self.label)
        beyond = (label != UNKNOWN_STEP) & (label > len(at)) if label.dtype == np.uint8 else label
        if label.shape != shape or label.dtype != np.uint8 or bool(beyond.any()):
            raise InputError(
                "is no interval per pixel", field="label", value=f"{label.dtype} {label.shape}",
                expected=f"uint8 {shape}, 0 .. {len(at)}",
            )  # fmt: skip
        label = label.view()
        label.flags.writeable = False
        object.__setattr__(self, "label", label)
        sure = as_map(self.probability, "probability", shape=shape)
        if not bool(((sure >= 0) & (sure <= 1)).all()):
            raise InputError("leaves the range 0..1", field="probability", expected="0..1")
        object.__setattr__(self, "probability", sure)

    @classmethod
    def of(
        cls, planes: tuple[PlaneProbability, ...], limits: tuple[float, float]
    ) -> "QuantizedDisparity":
        """Each pixel in its likeliest interval; unknown where one of the planes is.

        An interval's probability is the fall from its farther plane's answer to its nearer one's.
        Badki et al., "Bi3D", CVPR 2020, section 3.2.

        Raises `InputError` as the type.
        """
        if not planes:
            raise InputError("there are none", field="planes", expected="one or more")
        stack = np.stack([p.probability for p in planes])
        known = np.isfinite(stack).all(axis=0)
        ends = np.ones_like(stack[:1])
        inside = -np.diff(np.concatenate([ends, np.nan_to_num(stack), 0 * ends]), axis=0)
        label = inside.argmax(axis=0).astype(np.uint8)
        sure = np.where(known, np.clip(inside.max(axis=0), 0, 1), 0).astype(np.float32)
        label[~known] = UNKNOWN_STEP
        return cls(planes, label, sure, limits)

    @property
    def edges(self) -> tuple[float, ...]:
        """Where the intervals begin and end, in pixels of disparity, one more than there are."""
        return (self.range[0], *(plane.disparity for plane in self.planes), self.range[1])

    def to_disparity(self) -> Disparity:
        """The middle of each pixel's interval, NaN where unknown.

        confidence: P(error <= 1 px) if the true disparity lies anywhere in the interval with equal
        chance: so of intervals of 50 px it is small.
        """
        edges = np.asarray(self.edges, np.float32)
        unknown = self.label == UNKNOWN_STEP
        step = np.where(unknown, 0, self.label)
        middle = ((edges[1:] + edges[:-1]) / 2)[step]
        near = np.minimum(1, 2 / np.diff(edges))[step] * self.probability
        source = np.where(unknown, Source.UNKNOWN, Source.MATCHED).astype(np.uint8)
        return Disparity(
            np.where(unknown, np.float32(np.nan), middle).astype(np.float32),
            np.where(unknown, 0, near).astype(np.float32),
            source,
            self.range,
        )


UNKNOWN_STEP = 255
"""The label of a pixel of which nothing is known."""


@dataclass(frozen=True, eq=False)
class SelectedDisparity:
    """Disparity within a selected range, and on which side of it the other pixels lie.

    disparity: NaN outside the range; its `range` is the selected one. near, far: the planes that
    end it: how likely each pixel is nearer than the range's near end, and than its far end.

    Raises `InputError` if the sizes differ, or the planes are not in this order.
    """

    disparity: Disparity
    near: PlaneProbability
    far: PlaneProbability

    def __post_init__(self) -> None:
        shape = self.disparity.shape
        if self.near.shape != shape or self.far.shape != shape:
            raise InputError(
                "differ in size from the disparity", field="near, far",
                value=f"{self.near.shape}, {self.far.shape}", expected=str(shape),
            )  # fmt: skip
        if not self.near.disparity > self.far.disparity:
            raise InputError(
                "is not nearer than the far end", field="near", value=self.near.disparity,
                expected=f"a disparity above {self.far.disparity:g} px",
            )  # fmt: skip

    @property
    def nearer(self) -> Bool[np.ndarray, "h w"]:
        """True where the pixel is nearer than the range."""
        found: Array = ~self.disparity.known & self.near.nearer()
        return found

    @property
    def farther(self) -> Bool[np.ndarray, "h w"]:
        """True where the pixel is farther than the range."""
        behind = self.far.known & ~self.far.nearer() & ~self.nearer
        found: Array = ~self.disparity.known & behind
        return found


def distance_of(disparity: float, rig: StereoRig | None) -> float | None:
    """The distance in metres of a plane; inf at or behind infinity, None without a rig."""
    if rig is None:
        return None
    ahead = disparity + rig.doffs
    return float(rig.left.fx * rig.baseline / ahead) if ahead > 0 else math.inf


def disparity_of_plane(distance: float, rig: StereoRig | None) -> float:
    """The disparity in pixels of a plane at so many metres.

    Raises `UsageError` without a rig, or for a distance that is not positive.
    """
    if not (math.isfinite(distance) and distance > 0):
        raise UsageError(
            "is no plane before the camera", field="distance", value=distance, expected="metres > 0"
        )
    if rig is None:
        raise UsageError(
            "there is no calibration, so a plane in metres cannot be found",
            field="distance", value=distance,
            remedy="give --calib FILE, or --focal and --baseline, or the plane as a disparity",
        )  # fmt: skip
    return float(rig.left.fx * rig.baseline / distance - rig.doffs)
