"""What an experiment learns, unless it names another task: to match pairs with a true disparity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.layers.losses import measured
from fathom.layers.stereo import StereoOutput, as_output
from fathom.train.experiment import Experiment, Judging, Task, Validation
from fathom.train.pairs import Arrays, Batch, Crop, cut, stacked, to_batch, usable
from fathom.train.validate import Judged, validate


@dataclass(frozen=True)
class Matching:
    """Stereo matching, taught by a true disparity; see `fathom.train.experiment.Task`."""

    def cut(self, experiment: Experiment, sample: Any, name: str, rng: np.random.Generator) -> Crop:
        """A window of the augmented sample. Raises `InputError` if it teaches nothing."""
        sample = usable(sample)
        if experiment.augment is not None:
            sample = usable(experiment.augment(sample, rng))
        size = (experiment.crop_height, experiment.crop_width)
        return cut(experiment, sample, size, name, rng)

    def stacked(self, cuts: Sequence[Crop], failures: tuple[str, ...]) -> Arrays:
        """The windows as one batch."""
        return stacked(cuts, failures)

    def to_batch(self, arrays: Arrays, device: torch.device, channels_last: bool) -> Batch:
        """The batch as tensors on `device`."""
        return to_batch(arrays, device, channels_last)

    def output(self, given: Any) -> StereoOutput:
        """As `fathom.layers.stereo.as_output`."""
        return as_output(given)

    def tensors(self, output: StereoOutput) -> tuple[Tensor, ...]:
        """The disparities, finest first, and the confidence where there is one."""
        sure = output.confidence
        return output.disparities if sure is None else (*output.disparities, sure)

    def measured(self, output: StereoOutput, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Of the finest disparity, see `fathom.layers.losses.measured`."""
        return measured(output.disparities[0], batch.truth, batch.valid)

    def judge(self, name: str, samples: Any) -> Validation:
        """Against the samples' own truth, by the default protocol."""
        return Validation(name, lambda: samples)

    def validate(self, judge: Validation, samples: Any, judging: Judging) -> Judged | None:
        """As `fathom.train.validate.validate`."""
        return validate(judge, samples, judging)


def task_of(experiment: Experiment) -> Task:
    """What the experiment learns."""
    return Matching() if experiment.task is None else experiment.task
