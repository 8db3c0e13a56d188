"""The pixels that one score is about: taken out of the maps once, shared by all measures."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fathom.core.arrays import Array, Bool, Float32


@dataclass(frozen=True, eq=False)
class Judged:
    """An estimate and its truth, and which pixels of them are judged.

    estimate, truth: float32 (h, w) in one unit, NaN unknown. mask: the judged pixels; the truth is
    known in all of them. unknown_wrong: whether what the estimate does not know counts as wrong
    (otherwise it is left out). confidence, sigma: of the estimate, if it has them. measured: where
    the estimate is known and not filled in. shift: what makes the values inverse depth up to a
    factor (doffs of a disparity).
    """

    estimate: Float32[np.ndarray, "h w"]
    truth: Float32[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"]
    unknown_wrong: bool = True
    confidence: Float32[np.ndarray, "h w"] | None = None
    sigma: Float32[np.ndarray, "h w"] | None = None
    measured: Bool[np.ndarray, "h w"] | None = None
    shift: float = 0.0

    @cached_property
    def everything(self) -> bool:
        """True if the whole image is judged: then nothing has to be picked out of it."""
        return bool(self.mask.all())

    def pick(self, values: Array) -> Array:
        """`values` at the judged pixels that the estimate knows, as one row."""
        flat = values.reshape(-1)
        if self.everything and self.known == self.pixels:
            return flat
        picked: Array = flat[self._known_at]
        return picked

    @cached_property
    def _known_mask(self) -> Array:
        known: Array = self.mask & ~np.isnan(self.estimate)
        return known

    @cached_property
    def _known_at(self) -> Array:
        return np.flatnonzero(self._known_mask)

    @cached_property
    def pixels(self) -> int:
        """How many pixels are judged."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def known(self) -> int:
        """How many of them the estimate knows."""
        return int(np.count_nonzero(self._known_mask))

    @property
    def missing(self) -> int:
        """How many judged pixels count as wrong because they are unknown.

        Where nothing is known at all they count, whatever the protocol says of single ones:
        the worst possible result, as in ETH3D's evaluation.
        """
        return self.pixels - self.known if self.unknown_wrong or not self.known else 0

    @property
    def counted(self) -> int:
        """Pixels that shares are taken of."""
        return self.known + self.missing

    @cached_property
    def truths(self) -> Array:
        """Truth at the known pixels."""
        return self.pick(self.truth)

    @cached_property
    def values(self) -> Array:
        """Estimate at the known pixels."""
        return self.pick(self.estimate)

    @cached_property
    def differences(self) -> Array:
        """Estimate - truth at the known pixels."""
        difference: Array = self.values - self.truths
        return difference

    @cached_property
    def errors(self) -> Array:
        """|estimate - truth| at the known pixels."""
        absolute: Array = np.abs(self.differences)
        return absolute

    @cached_property
    def ranked(self) -> Array:
        """The errors in order, for all quantiles; numpy sorts faster than it partitions."""
        ranked: Array = np.sort(self.errors)
        return ranked

    @cached_property
    def log_ratios(self) -> Array:
        """ln(estimate / truth) at the known pixels."""
        ratio: Array = np.log(self.values / self.truths)
        return ratio

    @cached_property
    def squared(self) -> float:
        """Sum of the squared errors."""
        return float(np.square(self.errors).sum(dtype=np.float64))
