"""Judging a net while it is trained: whole pairs, named protocols, pictures."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from fathom.core.arrays import Array, UInt8
from fathom.core.errors import FathomError, InputError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.core.sample import StereoSample
from fathom.eval.scoring import score
from fathom.eval.tally import Tally
from fathom.nets import adapter
from fathom.train.experiment import Experiment, Judging, Validation
from fathom.train.pairs import made_evidence, usable
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
    return adapter.autocast(device, experiment.precision)


def predict(
    net: nn.Module, pair: StereoPair, experiment: Experiment, device: torch.device
) -> Disparity:
    """The net's disparity of a pair of any size, as `fathom.nets.adapter.NetMatcher` has it.

    The net must be in evaluation mode.

    Raises `InputError` if the net's first output is not of the images' size.
    """
    evidence = None if experiment.evidence is None else partial(made_evidence, experiment)
    matcher = adapter.NetMatcher(
        net,
        experiment.divisor,
        evidence,
        device,
        experiment.precision,
        experiment.channels_last,
    )
    return matcher(pair)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """The net in evaluation mode, and afterwards as it was."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)


def judge_each(
    judging: Judging,
    title: str,
    samples: Any,
    look: Callable[[Any, str], None],
    expected: str,
    most: int | None = None,
) -> tuple[str, ...] | None:
    """Calls `look` with each sample and its name, the net in evaluation mode. Samples that fail are
    named and left out: gives a line for each; None once judging is cancelled.

    title: of the validation. expected: what the samples ought to be, in words. most: only so many,
    the first.

    Raises `InputError` if none could be judged.
    """
    failed: list[str] = []
    count = len(samples) if most is None else min(most, len(samples))
    with evaluating(judging.net):
        for i in range(count):
            name = f"sample {i}"
            if judging.cancelled():
                return None
            try:
                sample = samples[i]
                name = getattr(sample, "name", "") or name
                look(sample, name)
            except FathomError as error:
                failed.append(f"{name}: {error}")
                judging.notify(f"validation {title}: left out {failed[-1]}")
    if len(failed) == count:
        raise InputError(
            "no sample could be judged",
            field=f"validation {title}",
            value=failed[-1] if failed else "no sample",
            expected=expected,
        )
    return tuple(failed)


def validate(validation: Validation, samples: Any, judging: Judging) -> Judged | None:
    """Judges the net on the validation's samples; those that fail are named and left out. None once
    judging is cancelled.

    Raises `InputError` if none could be judged.
    """
    rules = validation.rules()
    tally = Tally(rules, validation.mask)
    pictures: dict[str, Array] = {}

    def look(given: Any, name: str) -> None:
        sample = usable(given)
        estimate = predict(judging.net, sample.pair, judging.experiment, judging.device)
        scores = score(estimate, sample, rules, mask=tally.mask)
        tally.add(scores)
        if len(pictures) < PICTURES:
            pictures[name] = _picture(sample, estimate, scores.values)

    wanted = "stereo pairs with a true disparity"
    failed = judge_each(judging, validation.name, samples, look, wanted, validation.most)
    if failed is None:
        return None
    totals = tally.totals()
    numbers = dict(totals.published)
    return Judged(validation.name, numbers, str(totals), totals.images, failed, pictures)


def _picture(sample: StereoSample, estimate: Disparity, numbers: Any) -> Array:
    words = ", ".join(f"{k} {v:.3g}" for k, v in numbers.items())
    return comparison(sample.pair, {"net": estimate}, sample.truth, title=f"{sample.name}: {words}")
