"""The learning rate over the steps, and the averaged weights."""

import math

import torch
from torch import Tensor, nn

from fathom.train.experiment import Experiment

_STEP = 0.75


def learning_rate(experiment: Experiment, step: int) -> float:
    """The rate of batch `step`, counted from 0: a linear rise over `warmup` steps, then constant,
    linear to 0, half a cosine to 0 (Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5), or constant
    and a tenth of it in the last quarter (step)."""
    peak = experiment.learning_rate
    if step < experiment.warmup:
        return peak * (step + 1) / experiment.warmup
    rest = max(experiment.steps - experiment.warmup, 1)
    share = min((step - experiment.warmup) / rest, 1.0)
    if experiment.schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * share))
    if experiment.schedule == "step":
        return peak if step < _STEP * experiment.steps else 0.1 * peak
    return peak * (1 - share) if experiment.schedule == "linear" else peak


class Average:
    """An exponential moving average of a net's weights; its buffers are copied.

    decay: at most; early on (1 + n) / (10 + n) after n steps, so that the start is forgotten.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state: dict[str, Tensor] = {k: v.detach().clone() for k, v in net.state_dict().items()}
        self._learned = {name for name, _ in net.named_parameters()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Takes in the weights after batch `step`, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            if name in self._learned:
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)
