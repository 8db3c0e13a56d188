"""Judging a net while it is trained: whole pairs, named protocols, pictures."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from fathom.core.arrays import Array, UInt8
from fathom.core.errors import FathomError, InputError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample
from fathom.eval.scoring import score
from fathom.eval.tally import Tally
from fathom.layers.stereo import as_output
from fathom.train.batches import made_evidence, usable
from fathom.train.experiment import Experiment, Validation
from fathom.viz.figure import comparison

PICTURES = 3
"""Samples of each validation that are shown in the log."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A validation's outcome. numbers: metric -> its published mean. headline: the first of them.
    heading: the protocol in words. images: judged. failed: a line for each that could not be.
    pictures: sample -> RGB figure."""

    name: str
    numbers: dict[str, float]
    heading: str
    images: int
    failed: tuple[str, ...]
    pictures: dict[str, UInt8[np.ndarray, "_h _w 3"]] = field(repr=False)

    @property
    def headline(self) -> float:
        """The number that chooses the best weights; smaller is better; inf if there is none."""
        value = next(iter(self.numbers.values()), math.inf)
        return value if math.isfinite(value) else math.inf

    def __str__(self) -> str:
        return f"{self.name}: {self.heading}"


def autocast(experiment: Experiment, device: torch.device) -> Any:
    """The context in which the net runs."""
    if experiment.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def predict(
    net: nn.Module, pair: StereoPair, experiment: Experiment, device: torch.device
) -> Disparity:
    """The net's disparity of a pair of any size, with confidence where the net has one.

    The pair is extended at the right and bottom, by its border, to the next multiple of `divisor`.
    Negative and not finite values become NaN. The net must be in evaluation mode.

    Raises `InputError` if the net's first output is not of the images' size.
    """
    height, width = pair.shape
    below, beside = -height % experiment.divisor, -width % experiment.divisor
    room = ((0, below), (0, beside), (0, 0))
    images = [np.pad(v.rgb8, room, mode="edge") for v in (pair.left, pair.right)]
    inputs = [_tensor(image.transpose(2, 0, 1), device) for image in images]
    if experiment.evidence is not None:
        padded = StereoPair(View(images[0]), View(images[1]))
        inputs.append(_tensor(made_evidence(experiment, padded), device))
    if experiment.channels_last:
        inputs = [t.contiguous(memory_format=torch.channels_last) for t in inputs]
    with torch.inference_mode(), autocast(experiment, device):
        output = net(*inputs)
    output = as_output(output)
    finest = output.disparities[0]
    if tuple(finest.shape) != (1, 1, height + below, width + beside):
        raise InputError(
            "the net's first disparity is not of the images' size",
            field="shape",
            value=tuple(finest.shape),
            expected=str((1, 1, height + below, width + beside)),
        )
    values = finest[0, 0, :height, :width].cpu().numpy()
    with np.errstate(invalid="ignore"):
        values = np.where(np.isfinite(values) & (values >= 0), values, np.float32(np.nan))
    if output.confidence is None:
        return Disparity(values)
    confidence = torch.sigmoid(output.confidence)[0, 0, :height, :width].cpu().numpy()
    return Disparity(values, np.nan_to_num(np.ascontiguousarray(confidence), nan=0.0))


def validate(
    net: nn.Module,
    validation: Validation,
    samples: Any,
    experiment: Experiment,
    device: torch.device,
    notify: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Judged | None:
    """Judges the net on the validation's samples; those that fail are named and left out.

    cancelled: asked before each sample; once it says yes, the answer is None.

    Raises `InputError` if none could be judged.
    """
    rules = validation.rules()
    tally = Tally(rules, validation.mask)
    pictures: dict[str, Array] = {}
    failed: list[str] = []
    count = len(samples) if validation.most is None else min(validation.most, len(samples))
    training = net.training
    net.eval()
    try:
        for i in range(count):
            name = f"sample {i}"
            if cancelled():
                return None
            try:
                sample = usable(samples[i])
                name = sample.name or name
                estimate = predict(net, sample.pair, experiment, device)
                scores = score(estimate, sample, rules, mask=tally.mask)
            except FathomError as error:
                failed.append(f"{name}: {error}")
                notify(f"validation {validation.name}: left out {failed[-1]}")
                continue
            tally.add(scores)
            if len(pictures) < PICTURES:
                pictures[name] = _picture(sample, estimate, scores.values)
    finally:
        net.train(training)
    if len(failed) == count:
        raise InputError(
            "no sample could be judged",
            field=f"validation {validation.name}",
            value=failed[-1] if failed else "no sample",
            expected="stereo pairs with a true disparity",
        )
    totals = tally.totals()
    return Judged(
        validation.name,
        dict(totals.published),
        str(totals),
        totals.images,
        tuple(failed),
        pictures,
    )


def _picture(sample: StereoSample, estimate: Disparity, numbers: Any) -> Array:
    words = ", ".join(f"{k} {v:.3g}" for k, v in numbers.items())
    return comparison(sample.pair, {"net": estimate}, sample.truth, title=f"{sample.name}: {words}")


def _tensor(values: Array, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)[None]
