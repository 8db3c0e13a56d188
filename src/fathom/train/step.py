"""One step, forward, backward, update, and who is to blame if it fails."""

import math
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fathom.core.errors import FathomError
from fathom.layers.losses import measured
from fathom.layers.stereo import as_output
from fathom.train.batches import Batch
from fathom.train.experiment import Experiment
from fathom.train.schedule import learning_rate
from fathom.train.state import State
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
    batch: Batch,
    step: int,
    flags: tuple[bool, int],
) -> Done:
    """One step: forward, backward, update. If loss or gradient are not finite in any process,
    nothing changes, the running means of the net's normalisation included."""
    torch.manual_seed(_seed(experiment.seed, step, world.rank))
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(experiment, step)
    buffers = [b.detach().clone() for b in state.net.buffers()]
    with autocast(experiment, world.device):
        output = state.parallel(*batch.inputs)
    output = as_output(output)
    terms = experiment.loss(output, batch)
    total: Tensor = sum(terms.values(), batch.truth.new_zeros(()))
    finite = torch.isfinite(total.detach())
    if world.size > 1:
        # DDP waits for the gradient of every parameter, and a loss need not use every output.
        for tensor in (*output.disparities, output.confidence):
            total = total if tensor is None else total + 0 * torch.nan_to_num(tensor).sum()
    state.optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
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
    sums = measured(output.disparities[0], batch.truth, batch.valid)
    return Done(not bad, asked > 0, int(failures), kept, sums)


def culprits(net: nn.Module, experiment: Experiment, batch: Batch) -> list[str]:
    """Names of the samples that give no finite loss by themselves; all, if none is to blame.

    Each is run alone and in evaluation mode: a batch normalisation would spread its NaN to all.
    """
    found = []
    net.eval()
    with torch.no_grad(), suppress(FathomError):
        for i, name in enumerate(batch.names):
            evidence = None if batch.evidence is None else batch.evidence[i : i + 1]
            images = batch.left[i : i + 1], batch.right[i : i + 1]
            one = Batch(*images, batch.truth[i : i + 1], batch.valid[i : i + 1], evidence, (name,))
            with autocast(experiment, batch.left.device):
                output = net(*one.inputs)
            output = as_output(output)
            loss = sum(experiment.loss(output, one).values(), batch.truth.new_zeros(()))
            if not bool(torch.isfinite(loss) & torch.isfinite(output.disparities[0]).all()):
                found.append(name)
    net.train()
    return found or list(batch.names)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
