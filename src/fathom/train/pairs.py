"""Batches of stereo pairs with a true disparity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample
from fathom.train.experiment import Experiment


@dataclass(frozen=True, eq=False)
class Arrays:
    """A batch as numpy arrays: what workers hand over.

    left, right: uint8 (b, h, w, 3). truth: float32 (b, h, w), NaN = not taught. evidence: float32
    (b, c, h', w') or None. names: of the samples. failures: a line for each that had to be
    replaced.
    """

    left: Array
    right: Array
    truth: Array
    evidence: Array | None
    names: tuple[str, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch on the device.

    left, right: float32 (b, 3, h, w), 0..255. truth: float32 (b, 1, h, w), 0 where not `valid`.
    both_views: the net is called with the mirrored pairs as well, which come after the others; what
    it says of them is the right view's, mirrored. The evidence is then (b, 2, c, h', w').
    """

    left: Tensor
    right: Tensor
    truth: Tensor
    valid: Tensor
    evidence: Tensor | None
    names: tuple[str, ...]
    both_views: bool = False

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the net is called with."""
        images, evidence = (self.left, self.right), self.evidence
        if self.both_views:
            mirrored = self.right.flip(3), self.left.flip(3)
            images = torch.cat([images[0], mirrored[0]]), torch.cat([images[1], mirrored[1]])
            evidence = None if evidence is None else evidence.transpose(0, 1).flatten(0, 1)
        return images if evidence is None else (*images, evidence)

    def part(self, chosen: slice) -> "Batch":
        """A batch of some samples of this one."""
        evidence = None if self.evidence is None else self.evidence[chosen]
        images = self.left[chosen], self.right[chosen]
        known = self.truth[chosen], self.valid[chosen]
        return Batch(*images, *known, evidence, self.names[chosen], self.both_views)


def to_batch(arrays: Arrays, device: torch.device, channels_last: bool) -> Batch:
    """The batch as tensors on `device`."""
    order = torch.channels_last if channels_last else torch.contiguous_format

    def image(values: Array) -> Tensor:
        moved = torch.from_numpy(values).to(device, non_blocking=True).permute(0, 3, 1, 2)
        return moved.to(torch.float32).contiguous(memory_format=order)

    truth = torch.from_numpy(arrays.truth).to(device)[:, None]
    valid = torch.isfinite(truth)
    evidence = arrays.evidence
    return Batch(
        image(arrays.left),
        image(arrays.right),
        torch.where(valid, truth, torch.zeros_like(truth)),
        valid,
        None if evidence is None else torch.from_numpy(evidence).to(device),
        arrays.names,
    )


@dataclass(frozen=True, eq=False)
class Crop:
    """A window of a pair: one place of a batch, as `Arrays` has them."""

    left: Array
    right: Array
    truth: Array
    evidence: Array | None
    name: str


def usable(sample: Any, *, labelled: bool = True) -> StereoSample:
    """`sample`, if it is a stereo sample, with a truth if `labelled`. Raises `InputError` if it is
    not."""
    if not isinstance(sample, StereoSample):
        raise InputError(
            "is no stereo sample",
            field="sample",
            value=type(sample).__name__,
            expected="a StereoSample (left, right and true disparity)",
        )
    if labelled and sample.truth is None:
        raise InputError("has no true disparity", field="truth", expected="a disparity map")
    return sample


def cut(
    experiment: Experiment,
    sample: StereoSample,
    size: tuple[int, int],
    name: str,
    rng: np.random.Generator,
    *,
    labelled: bool = True,
) -> Crop:
    """A window of (height, width) at random; a smaller image is repeated at its border.

    Raises `InputError` if no pixel of the window is taught and it should be (`labelled`), or the
    evidence is not finite.
    """
    height, width = sample.pair.shape
    top = int(rng.integers(max(height - size[0], 0) + 1))
    left = int(rng.integers(max(width - size[1], 0) + 1))
    rows = np.minimum(np.arange(top, top + size[0]), height - 1)
    columns = np.minimum(np.arange(left, left + size[1]), width - 1)
    pick = np.ix_(rows, columns)
    truth = np.full(size, np.float32(np.nan))
    if sample.truth is not None:
        truth = sample.truth.values[pick]
    outside = (np.arange(size[0]) >= height)[:, None] | (np.arange(size[1]) >= width)
    with np.errstate(invalid="ignore"):
        taught = (truth >= 0) & (truth < experiment.max_disparity) & ~outside
    if labelled and not taught.any():
        raise InputError(
            "no pixel of the window has a truth to teach",
            field="truth",
            expected=f"0 <= disparity < {experiment.max_disparity:g} (max_disparity)",
        )
    views = [v.rgb8[pick] for v in (sample.pair.left, sample.pair.right)]
    evidence = None
    if experiment.evidence is not None:
        evidence = made_evidence(experiment, StereoPair(View(views[0]), View(views[1])))
    taught_truth = np.where(taught, truth, np.float32(np.nan)).astype(np.float32)
    return Crop(views[0], views[1], taught_truth, evidence, name)


def made_evidence(experiment: Experiment, pair: StereoPair) -> Array:
    """The evidence of a pair, float32 (c, h', w').

    Raises `InputError` if it is of another shape or holds values that are not finite.
    """
    assert experiment.evidence is not None
    evidence = np.asarray(experiment.evidence(pair), dtype=np.float32)
    if evidence.ndim != 3 or not np.isfinite(evidence).all():
        raise InputError(
            "is no finite map",
            field="evidence",
            value=evidence.shape,
            expected="finite float32 (channels, height, width)",
        )
    return evidence


def stacked(crops: Sequence[Crop], failures: tuple[str, ...]) -> Arrays:
    """The crops as one batch; failures: a line for each sample that could not serve."""
    evidence = [c.evidence for c in crops if c.evidence is not None]
    return Arrays(
        np.stack([c.left for c in crops]),
        np.stack([c.right for c in crops]),
        np.stack([c.truth for c in crops]),
        np.stack(evidence) if evidence else None,
        tuple(c.name for c in crops),
        failures,
    )
