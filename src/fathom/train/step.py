"""One step, forward, backward, update, and who is to blame if it fails."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fathom.core.errors import FathomError, UsageError
from fathom.train.experiment import Experiment, Loaded
from fathom.train.schedule import learning_rate
from fathom.train.state import State
from fathom.train.task import task_of
from fathom.train.validate import autocast
from fathom.train.world import World

Sums = tuple[Tensor, Tensor, Tensor]
"""Of |error|, of errors over 2 px, of pixels."""


@dataclass(frozen=True, eq=False)
class Done:
    """One step's outcome. ok: loss and gradient were finite. halt: somebody wants to stop.
    failures: samples replaced, in all processes. terms: of the loss. sums: see `losses.measured`.
    """

    ok: bool
    halt: bool
    failures: int
    terms: dict[str, Tensor]
    sums: Sums


def one_step(
    experiment: Experiment,
    world: World,
    state: State,
    batch: Loaded,
    step: int,
    flags: tuple[bool, int],
) -> Done:
    """One step: forward, backward, update. If loss or gradient are not finite in any process,
    nothing changes, the running means of the net's normalisation included."""
    torch.manual_seed(_seed(experiment.seed, step, world.rank))
    for group in state.optimiser.param_groups:
        group["lr"] = group["factor"] * learning_rate(experiment, step)
    buffers = [b.detach().clone() for b in state.net.buffers()]
    state.optimiser.zero_grad(set_to_none=True)
    terms, sums = _gradients(experiment, world, state, batch)
    finite = torch.isfinite(sum(terms.values(), torch.zeros((), device=world.device)))
    limit = math.inf if experiment.clip is None else experiment.clip
    norm = nn.utils.clip_grad_norm_(state.net.parameters(), limit)
    wrong = not bool(finite & torch.isfinite(norm))
    bad, asked, failures = world.summed(torch.tensor([float(wrong), *map(float, flags)])).tolist()
    if not bad:
        state.optimiser.step()
        state.in_a_row = 0
        if state.average is not None:
            state.average.update(state.net, step)
    else:
        with torch.no_grad():
            for buffer, before in zip(state.net.buffers(), buffers, strict=True):
                buffer.copy_(before)
    return Done(not bad, asked > 0, int(failures), terms, sums)


def _gradients(
    experiment: Experiment, world: World, state: State, batch: Loaded
) -> tuple[dict[str, Tensor], Sums]:
    """Leaves the gradient of the loss in the weights; a batch in parts, one after the other, leaves
    the mean of theirs. Returns the loss's terms and what is measured, both without a gradient."""
    task, parts = task_of(experiment), experiment.parts
    size = len(batch.names) // parts
    means: dict[str, Tensor] = {}
    sums: list[Sums] = []
    for start in range(0, size * parts, size):
        part = batch if parts == 1 else batch.part(slice(start, start + size))
        with world.accumulating(state.parallel, last=len(sums) == parts - 1):
            with world.autocast(), _normalised(experiment):
                output = state.parallel(*part.inputs)
            output = task.output(output)
            terms = {k: v / parts for k, v in experiment.loss(output, part).items()}
            total: Tensor = sum(terms.values(), torch.zeros((), device=world.device))
            if world.size > 1:
                # DDP waits for every parameter's gradient, and a loss need not use every output.
                for tensor in task.tensors(output):
                    total = total + 0 * torch.nan_to_num(tensor).sum()
            world.backward(total)
        for name, value in terms.items():
            means[name] = means.get(name, 0) + value.detach()
        sums.append(task.measured(output, part))
    error, bad, pixels = (torch.stack(list(each)).sum(0) for each in zip(*sums, strict=True))
    return means, (error, bad, pixels)


@contextmanager
def _normalised(experiment: Experiment) -> Iterator[None]:
    """While open, a net may normalise over the batch. Raises `UsageError` for a batch that leaves
    one value a channel, as of one small image in a net that pools, instead of torch's own error."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            "leaves a normalisation of this net one value a channel to take mean and variance of",
            field="batch", value=experiment.batch, expected="2 or more, or larger crops",
            remedy="raise batch, or crop_width and crop_height (now "
            f"{experiment.crop_width}x{experiment.crop_height})",
        ) from error  # fmt: skip


def culprits(net: nn.Module, experiment: Experiment, batch: Loaded) -> list[str]:
    """Names of the samples that give no finite loss by themselves; all, if none is to blame.

    Each is run alone and in evaluation mode: a batch normalisation would spread its NaN to all.
    """
    found = []
    task, device = task_of(experiment), next(net.parameters()).device
    net.eval()
    with torch.no_grad(), suppress(FathomError):
        for i, name in enumerate(batch.names):
            one = batch.part(slice(i, i + 1))
            with autocast(experiment, device):
                output = net(*one.inputs)
            output = task.output(output)
            loss = sum(experiment.loss(output, one).values(), torch.zeros((), device=device))
            if not bool(torch.isfinite(loss) & torch.isfinite(task.tensors(output)[0]).all()):
                found.append(name)
    net.train()
    return found or list(batch.names)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
