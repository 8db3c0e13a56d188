"""Views whose truth is a teacher's guess, and blends of them with others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fathom.core.arrays import Float32
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, RelativeDepth
from fathom.core.pair import View
from fathom.core.sample import MonoSample
from fathom.layers.mono import as_mono_output

GUESSED = "guessed"
"""The mask that says where a sample's truth is a teacher's guess."""
_FARTHEST = 11.0  # a guess's inverse depth lies between 1 / 11 and 1: any scale and shift would do


@dataclass(frozen=True)
class GuessedViews:
    """Views with a teacher's answer as their truth; masks: `guessed`, everywhere.

    samples: gives a `MonoSample` for an index; it keeps its names and length, and its own truth is
    not looked at. teacher: an estimator of one view. What is known of it up to scale and shift, in
    inverse depth, is kept so: the truth's inverse is the answer moved to 1/11 .. 1.

    Raises `InputError` for an answer of another kind, or the same everywhere.
    """

    samples: Any
    teacher: Callable[[View], Depth | RelativeDepth]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the samples, where they have any."""
        return tuple(map(str, self.samples.names))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> MonoSample:
        """Sample `index` with the guess; raises what the samples and the teacher raise."""
        sample: MonoSample = self.samples[index]
        found = self.teacher(sample.view)
        masks = {**sample.masks, GUESSED: np.ones(sample.view.shape, np.bool_)}
        return replace(sample, truth=_as_depth(found), masks=masks)


def _as_depth(found: Depth | RelativeDepth) -> Depth:
    if isinstance(found, Depth):
        return found
    values = found.values
    extent = np.nanmax(values) - np.nanmin(values) if found.known.any() else np.float32(0)
    if found.ambiguity != "affine_inverse" or not extent > 0:
        raise InputError(
            "cannot teach", field="teacher", value=f"{found.ambiguity}, extent {extent:g}",
            expected="depth, or inverse depth up to scale and shift, that is not constant",
        )  # fmt: skip
    share = (values - np.nanmin(values)) / extent
    least = np.float32(1 / _FARTHEST)
    return Depth((1 / (least + (1 - least) * share)).astype(np.float32))


@dataclass(frozen=True)
class Blend:
    """Several data sets in fixed shares, without an end: of each `sum(shares)` samples so many are
    of the first, the second, ... Each set's samples come in an order drawn from the seed, anew each
    time round. sets: each with a length.

    Raises `UsageError` for other shares than one whole number >= 1 a set, or a set that is empty.
    """

    sets: tuple[Any, ...]
    shares: tuple[int, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.sets or len(self.sets) != len(self.shares) or min(self.shares) < 1:
            raise UsageError(
                "do not fit the sets", field="shares", value=self.shares,
                expected=f"{len(self.sets)} whole numbers >= 1",
            )  # fmt: skip
        if not all(len(s) for s in self.sets):
            raise UsageError("holds no sample", field="sets", value=[len(s) for s in self.sets])

    def __getitem__(self, index: int) -> Any:
        """Sample `index` of the endless row."""
        turn, place = divmod(index, sum(self.shares))
        for number, share in enumerate(self.shares):  # noqa: B007  # used after the loop
            if place < share:
                break
            place -= share
        samples = self.sets[number]
        epoch, at = divmod(turn * self.shares[number] + place, len(samples))
        rng = np.random.default_rng([self.seed, number, epoch])
        return samples[int(rng.permutation(len(samples))[at])]


def relative_teacher(net: nn.Module) -> Callable[[View], RelativeDepth]:
    """A trained net of inverse depth as an estimator of views, on the processor."""
    net = net.eval()

    def tell(view: View) -> RelativeDepth:
        image = torch.from_numpy(view.rgb8.copy()).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            found: Float32[np.ndarray, "h w"] = as_mono_output(net(image)).map[0, 0].numpy()
        return RelativeDepth(found, "affine_inverse")

    return tell
