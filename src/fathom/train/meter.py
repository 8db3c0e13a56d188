"""Loss, errors and speed between two lines of the log."""

import math
import time
from typing import Any

import torch
from torch import Tensor

from fathom.train.experiment import Experiment
from fathom.train.schedule import learning_rate
from fathom.train.state import State
from fathom.train.step import Done
from fathom.train.world import World


class Meter:
    """What happened since the last line of the log."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._start()
        self._rate = 0.0

    def _start(self) -> None:
        self._began = time.monotonic()
        self._pairs = 0
        self._steps = 0
        self._terms: dict[str, Tensor] = {}
        self._sums = [torch.zeros((), dtype=torch.float64) for _ in range(3)]

    def add(self, done: Done, pairs: int) -> None:
        """Takes one step in; one that was skipped counts for the speed only."""
        self._pairs += pairs
        if not done.ok:
            return
        self._steps += 1
        for name, value in done.terms.items():
            self._terms[name] = self._terms.get(name, torch.zeros_like(value)) + value
        for i, value in enumerate(done.sums):
            self._sums[i] = self._sums[i].to(value.device) + value

    def pause(self, seconds: float) -> None:
        """Time that was spent on something else than training."""
        self._began += seconds

    def entry(self, state: State, experiment: Experiment) -> dict[str, Any]:
        """The line of the log, and a new start."""
        seconds = time.monotonic() - self._began
        share = max(self._steps, 1) * self._world.size
        names = list(self._terms)
        values = [self._terms[n].to(torch.float64) for n in names] + self._sums
        totals = self._world.summed(torch.stack([v.cpu() for v in values])).tolist()
        *sums, error, bad, pixels = totals
        terms = {n: v / share for n, v in zip(names, sums, strict=True)}
        rate = self._pairs / max(seconds, 1e-9)
        self._rate = rate if not self._rate else 0.7 * self._rate + 0.3 * rate
        known = pixels if pixels else math.nan
        self._start()
        return {
            "step": state.step,
            "loss": sum(terms.values()) if terms else math.nan,
            "terms": terms,
            "epe": error / known,
            "bad_2": bad / known,
            "learning_rate": learning_rate(experiment, max(state.step - 1, 0)),
            "samples_per_s": rate,
            "seconds": seconds,
            "skipped": state.skipped,
            "failed": state.failed,
        }

    def line(self, entry: dict[str, Any], experiment: Experiment) -> str:
        """The line of progress."""
        left = (experiment.steps - entry["step"]) * experiment.batch / max(self._rate, 1e-9)
        errors = ""
        if math.isfinite(entry["bad_2"]):
            errors = f"EPE {entry['epe']:.3g} px  bad-2 {100 * entry['bad_2']:.1f} %  "
        return (
            f"step {entry['step']}/{experiment.steps}  loss {entry['loss']:.4g}  {errors}"
            f"{entry['samples_per_s']:.3g} samples/s  {_clock(left)} left"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
