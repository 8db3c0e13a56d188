"""Everything that a step changes, and how it is written down and taken back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fathom.core.errors import InputError, UsageError
from fathom.layers.state import load_state
from fathom.train.checkpoint import (
    Checkpoint,
    optimiser_tensors,
    part,
    restore_optimiser,
)
from fathom.train.experiment import Experiment
from fathom.train.schedule import Average
from fathom.train.world import World


@dataclass(eq=False)
class State:
    """Everything that a step changes. net: the bare net; parallel: the one that is called."""

    net: nn.Module
    parallel: nn.Module
    optimiser: torch.optim.Optimizer
    average: Average | None
    step: int = 0
    skipped: int = 0
    in_a_row: int = 0
    failed: int = 0
    best: float | None = None
    scores: dict[str, dict[str, float]] = field(default_factory=dict)

    def checkpoint(self) -> Checkpoint:
        """As it would be written."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        if self.average is not None:
            tensors |= {f"ema.{k}": v for k, v in self.average.state.items()}
        info = {name: getattr(self, name) for name in _COUNTERS}
        return Checkpoint(self.step, tensors | optimiser_tensors(self.optimiser), info)

    def restore(self, saved: Checkpoint, file: Path) -> None:
        """Takes everything back from a checkpoint. Raises `InputError` if it is of another net."""
        load_state(self.net, part(saved.tensors, "net."), file)
        if self.average is not None:
            averaged = part(saved.tensors, "ema.")
            for name, value in self.average.state.items():
                value.copy_(averaged[name])
        restore_optimiser(self.optimiser, saved.tensors)
        self.step = saved.step
        for name in _COUNTERS:
            setattr(self, name, saved.info[name])

    def final(self) -> dict[str, Tensor]:
        """The weights that are validated and kept: the averaged ones, if there are any."""
        return self.net.state_dict() if self.average is None else self.average.state


_COUNTERS = ("skipped", "in_a_row", "failed", "best", "scores")


def new_state(experiment: Experiment, world: World) -> State:
    """Net, optimiser and average at step 0, the same in every process.

    Raises `InputError` if the builder gives no `nn.Module`, or one without parameters, and
    `UsageError` if the net says (`net.config.divisor`) that it needs other sizes, or has no weights
    for one of the `rates`.
    """
    torch.manual_seed(experiment.seed)
    net = experiment.net()
    if not isinstance(net, nn.Module) or not any(p.requires_grad for p in net.parameters()):
        raise InputError(
            "builds nothing that can be trained",
            field="net",
            value=type(net).__name__,
            expected="an nn.Module with parameters",
        )
    needed = getattr(getattr(net, "config", None), "divisor", None)
    if isinstance(needed, int) and experiment.divisor % needed:
        raise UsageError(
            "does not suit the net",
            field="divisor",
            value=experiment.divisor,
            expected=f"a multiple of {needed}, and crops that it divides",
        )
    net = net.to(world.device)
    if experiment.channels_last:
        _channels_last(net)
    net.train()
    parallel = world.wrapped(net)
    average = None if experiment.ema is None else Average(net, experiment.ema)
    return State(net, parallel, _optimiser(experiment, _groups(net, experiment.rates)), average)


def _channels_last(net: nn.Module) -> None:
    """The order of 2-D convolutions' weights; `Module.to` would refuse a net with 3-D ones."""
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _groups(net: nn.Module, rates: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """The weights that are trained by the factor of their learning rate: the first of `rates` whose
    words a weight's name begins with; the others, with 1, come first."""
    found: list[dict[str, Any]] = [
        {"params": [], "factor": factor} for factor in (1.0, *(f for _, f in rates))
    ]
    words = [word for word, _ in rates]
    parts = sorted({name.partition(".")[0] for name, _ in net.named_parameters()})
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            place = next((i for i, word in enumerate(words) if name.startswith(word)), -1)
            found[place + 1]["params"].append(parameter)
    for word, group in zip(words, found[1:], strict=True):
        if not group["params"]:
            raise UsageError(
                "begins no name of a weight that is trained", field="rates", value=word,
                expected=", ".join(parts),
            )  # fmt: skip
    return [group for group in found if group["params"]]


def _optimiser(experiment: Experiment, parameters: list[dict[str, Any]]) -> torch.optim.Optimizer:
    rate, decay = experiment.learning_rate, experiment.weight_decay
    if experiment.optimiser == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay)
    if experiment.optimiser == "rmsprop":
        return torch.optim.RMSprop(parameters, rate, alpha=0.9, weight_decay=decay)
    kind = torch.optim.AdamW if experiment.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, rate, weight_decay=decay)


@contextmanager
def averaged_weights(state: State) -> Iterator[None]:
    """The averaged weights in the net's place, while the block lasts."""
    if state.average is None:
        yield
        return
    own = {k: v.detach().clone() for k, v in state.net.state_dict().items()}
    state.net.load_state_dict(state.average.state)
    try:
        yield
    finally:
        state.net.load_state_dict(own)
