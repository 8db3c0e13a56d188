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


@dataclass(frozen=True, eq=False)
class Done:
    """One step's outcome. ok: loss and gradient were finite. halt: somebody wants to stop.
    failures: samples replaced, in all processes. terms: of the loss. sums: see `losses.measured`.
    """

    ok: bool
    halt: bool
    failures: int
    terms: dict[str, Tensor]
    sums: tuple[Tensor, Tensor, Tensor]


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
    task = task_of(experiment)
    torch.manual_seed(_seed(experiment.seed, step, world.rank))
    for group in state.optimiser.param_groups:
        group["lr"] = group["factor"] * learning_rate(experiment, step)
    buffers = [b.detach().clone() for b in state.net.buffers()]
    with world.autocast(), _normalised(experiment):
        output = state.parallel(*batch.inputs)
    output = task.output(output)
    terms = experiment.loss(output, batch)
    total: Tensor = sum(terms.values(), torch.zeros((), device=world.device))
    finite = torch.isfinite(total.detach())
    if world.size > 1:
        # DDP waits for the gradient of every parameter, and a loss need not use every output.
        for tensor in task.tensors(output):
            total = total + 0 * torch.nan_to_num(tensor).sum()
    state.optimiser.zero_grad(set_to_none=True)
    world.backward(total)
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
    kept = {k: v.detach() for k, v in terms.items()}
    return Done(not bad, asked > 0, int(failures), kept, task.measured(output, batch))


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
            one = batch.single(i)
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
