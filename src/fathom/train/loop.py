"""The training loop, whole and visible: `train` sets up, `_steps` is the loop.

Precision, devices and processes are Lightning Fabric's (see `world`). Loading, checkpoints and
seeds are ours: that a killed run ends with the same bits as an undisturbed one can only be promised
where every line that touches the state is. Every step seeds torch from (seed, step), so no state of
any generator has to be kept.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.layers.state import load_state
from fathom.train.batches import Batches, length, loaded, parted
from fathom.train.checkpoint import read_weights, save_checkpoint, save_weights
from fathom.train.experiment import Experiment, Judge, Judging, Loaded, Stacked
from fathom.train.fit import only_fit
from fathom.train.guards import Stop, check_memory, memory_errors
from fathom.train.meter import Meter
from fathom.train.record import (
    BEST,
    CHECKPOINTS,
    WEIGHTS,
    Notify,
    Record,
    locked,
    newest_of,
    open_record,
    start_record,
)
from fathom.train.schedule import Average
from fathom.train.state import State, averaged_weights, new_state
from fathom.train.step import culprits, one_step
from fathom.train.task import task_of
from fathom.train.taught import Taught
from fathom.train.validate import Judged
from fathom.train.world import World, joined

_NAMED = 10
"""Samples that could not be used are named one by one up to here, then only counted."""


@dataclass(frozen=True)
class TrainResult:
    """folder: of the run. step: batches done. stopped: `finished`, `interrupted`, or why
    `Experiment.stop` ended it. best: the lowest headline of the first validation, None without one.
    skipped: batches without a finite loss. failed: samples that could not be used. scores:
    validation -> metric -> number, the newest."""

    folder: Path
    step: int
    stopped: str
    skipped: int
    failed: int
    scores: dict[str, dict[str, float]]
    best: float | None = None

    @property
    def gaps(self) -> dict[str, dict[str, float]]:
        """The first validation's numbers less those of each other one, of the metrics that both
        have: with real pairs first and scenes second, what the scenes do not teach."""
        first, *others = self.scores or [""]
        mine = self.scores.get(first, {})
        found = {
            f"{first} less {name}": {
                k: mine[k] - v for k, v in self.scores[name].items() if k in mine
            }
            for name in others
        }
        return {name: numbers for name, numbers in found.items() if numbers}


def train(
    experiment: Experiment,
    folder: Path,
    *,
    name: str = "",
    resume: bool = False,
    device: str = "auto",
    notify: Notify = lambda line: None,  # noqa: ARG005
) -> TrainResult:
    """Trains until `experiment.steps`, or until Ctrl-C, which saves and returns.

    folder: where everything goes (see `record`). resume: goes on from the newest complete
    checkpoint there. device: `auto`, `cpu`, `cuda` or `cuda:N`. notify: gets a line now and then.
    Started by torchrun, it shares the batches with the other processes.

    Raises `UsageError` for settings that cannot be, `InputError` for data, weights or a net that
    cannot serve, or `patience` batches in a row without a finite loss; `ResourceError` for a
    missing GPU, too little memory or a full disk, `MissingExtraError` without Lightning Fabric.
    Whatever was saved stays.
    """
    if experiment.threads is not None:
        torch.set_num_threads(experiment.threads)
    with joined(device, experiment.precision) as world, memory_errors(experiment):
        _check(experiment, world)
        say = notify if world.rank == 0 else _nothing
        data, validations = _opened(experiment)
        _shared(experiment, data)  # what cannot be is told before anything is written
        with locked(folder) if world.rank == 0 else nullcontext():
            record = Record(folder, {}, [], say)
            if world.rank == 0:
                record = open_record(folder, name or folder.name, experiment, resume, say)
            state = _begun(experiment, world, record, resume)
            data, held = _shared(experiment, only_fit(data, experiment, world, folder, say))
            with Stop(say) as stop:
                judged = (*held, *validations)
                run = _Run(experiment, world, record, state, judged, stop, say)
                batches = Batches(experiment, data, world.rank, world.size)
                stopped = run.steps(loaded(batches, state.step))
                world.wait()
    counts = state.skipped, state.failed
    return TrainResult(folder, state.step, stopped, *counts, state.scores, state.best)


def _begun(experiment: Experiment, world: World, record: Record, resume: bool) -> State:
    """The state to go on with: of the newest checkpoint, or with given weights, or anew."""
    state = new_state(experiment, world)
    saved = world.same(newest_of(record) if world.rank == 0 and resume else None)
    if saved is not None:
        state.restore(saved, record.folder / CHECKPOINTS)
        record.notify(f"going on after step {state.step} of {experiment.steps}")
    elif experiment.start is not None:
        load_state(state.net, read_weights(experiment.start), experiment.start)
        if state.average is not None:
            state.average = Average(state.net, state.average.decay)
    if world.rank == 0:
        start_record(record)
        record.rewind(-1 if saved is None else state.step)
    return state


def trial(experiment: Experiment, steps: int, device: str, notify: Notify) -> dict[str, Any]:
    """A few steps without writing anything: `parameters`, `samples` (None = endless), `seconds`
    of the steps, `loss` of the last one. Everything that `train` needs is opened; raises as it
    does, and `InputError` if the loss is not finite.
    """
    with joined(device, experiment.precision) as world, memory_errors(experiment):
        _check(experiment, world)
        data, _ = _shared(experiment, _opened(experiment)[0])
        state = new_state(experiment, world)
        if experiment.start is not None:
            load_state(state.net, read_weights(experiment.start), experiment.start)
        batches = loaded(Batches(experiment, data, world.rank, world.size), 0)
        task = task_of(experiment)
        began, loss, names = time.monotonic(), math.nan, ""
        for step, arrays in enumerate(islice((a for _, a in batches), steps)):
            for line in arrays.failures:
                notify(f"left out {line}")
            batch = task.to_batch(arrays, world.device, experiment.channels_last)
            done = one_step(experiment, world, state, batch, step, (False, 0))
            loss, names = float(sum(done.terms.values())), ", ".join(batch.names)
        seconds = time.monotonic() - began
        if not math.isfinite(loss):
            raise InputError(
                "is not finite", field="loss", value=loss, expected=f"a number; {names}"
            )
        count = sum(p.numel() for p in state.net.parameters())
    return {"parameters": count, "samples": length(data), "seconds": seconds, "loss": loss}


@dataclass(frozen=True, eq=False)
class _Run:
    """A run under way."""

    experiment: Experiment
    world: World
    record: Record
    state: State
    validations: tuple[tuple[Judge, Any], ...]
    stop: "Stop"
    say: Notify

    def steps(self, batches: Iterator[tuple[int, Stacked]]) -> str:
        """The loop. Returns `finished`, `interrupted`, or why the experiment's rule ended it."""
        experiment, state = self.experiment, self.state
        task, meter = task_of(experiment), Meter(self.world)
        if state.step == 0:
            self.validate()
        for step, arrays in batches:
            batch = task.to_batch(arrays, self.world.device, experiment.channels_last)
            flags = (self.stop.asked, len(arrays.failures))
            done = one_step(experiment, self.world, state, batch, step, flags)
            state.step = step + 1
            meter.add(done, experiment.batch)
            if done.failures:
                self.report_failures(arrays)
            if not done.ok:
                self.skipped(batch)
            halt = done.halt or (self.world.size == 1 and self.stop.asked)
            last = state.step == experiment.steps
            if halt or last or state.step % experiment.log_every == 0:
                self.log(meter)
            began, why = time.monotonic(), None
            if last or (not halt and state.step % experiment.validate_every == 0):
                self.validate()
                why = None if last else self.ends()
            if halt or last or why or state.step % experiment.save_every == 0:
                self.save()
            meter.pause(time.monotonic() - began)
            if halt and not last:
                self.say(f"interrupted: saved after step {state.step}; go on with --resume")
                return "interrupted"
            if why:
                self.say(f"stopped after step {state.step}: {why}")
                self.finish()
                return why
        self.finish()
        return "finished"

    def ends(self) -> str | None:
        """Why the run should end now, by the experiment's own rule; the same in every process."""
        rule, why = self.experiment.stop, None
        if rule is not None and self.world.rank == 0 and self.validations:
            first = self.validations[0][0].name
            own = [e for e in self.record.entries if e.get("validation") == first]
            headlines = [e.get("headline") for e in own]
            why = rule([math.inf if h is None else h for h in headlines])
        found: str | None = self.world.same(why)
        return found

    def skipped(self, batch: Loaded) -> None:
        """Names what gave no finite loss; ends the run after too many in a row."""
        state = self.state
        state.skipped += 1
        state.in_a_row += 1
        own = culprits(state.net, self.experiment, batch)
        names = self.world.gathered(own)
        self.say(f"step {state.step}: no finite loss or gradient; skipped: {', '.join(names)}")
        if state.in_a_row >= self.experiment.patience:
            raise InputError(
                f"{state.in_a_row} batches in a row gave no finite loss or gradient",
                field=f"step {state.step}",
                value=", ".join(names),
                expected="finite numbers",
                remedy="lower learning_rate or clip, or take precision=fp32, and --resume",
            )

    def report_failures(self, arrays: Stacked) -> None:
        """Names samples that could not be used and were replaced by others."""
        for line in self.world.gathered(list(arrays.failures)):
            self.state.failed += 1
            if self.state.failed <= _NAMED:
                self.say(f"left out {line}")
            if self.state.failed == _NAMED:
                self.say("further samples that cannot be used are counted, not named")

    def log(self, meter: "Meter") -> None:
        """A line of progress and of the log."""
        entry = meter.entry(self.state, self.experiment)
        self.say(meter.line(entry, self.experiment))
        if self.world.rank == 0:
            self.record.add(entry)

    def validate(self) -> None:
        """Judges the weights on every validation set; keeps them if they are the best so far."""
        if not self.validations:
            return
        if self.world.rank == 0:
            task = task_of(self.experiment)
            judging = Judging(
                self.state.net,
                self.experiment,
                self.world.device,
                self.say,
                lambda: self.stop.asked,
            )
            with averaged_weights(self.state):
                for i, (judge, samples) in enumerate(self.validations):
                    judged = task.validate(judge, samples, judging)
                    if judged is None:
                        break
                    self.judged(judged, first=i == 0)
        self.world.wait()

    def judged(self, judged: Judged, first: bool) -> None:
        """Writes down what a validation gave."""
        state = self.state
        self.say(f"validation after step {state.step}: {judged}")
        numbers = {k: v for k, v in judged.numbers.items() if math.isfinite(v)}
        state.scores[judged.name] = numbers
        self.record.add(
            {
                "step": state.step,
                "validation": judged.name,
                "numbers": numbers,
                "headline": judged.headline,
                "heading": judged.heading,
                "images": judged.images,
                "failed": list(judged.failed),
            }
        )
        better = judged.headline < (math.inf if state.best is None else state.best)
        if first and better:
            state.best = judged.headline
            self.keep(BEST)
        self.record.show(judged)

    def save(self) -> None:
        """A checkpoint, verified; only the first process writes."""
        if self.world.rank == 0:
            folder = self.record.folder / CHECKPOINTS
            save_checkpoint(folder, self.state.checkpoint(), self.experiment.keep)
            self.record.show()
        self.world.wait()

    def keep(self, file: str) -> None:
        """The weights alone, under a name of their own."""
        about = {"run": self.record.info["name"], "step": self.state.step}
        about |= {"experiment": self.record.info["experiment"], "scores": self.state.scores}
        save_weights(self.record.folder / file, self.state.final(), about)

    def finish(self) -> None:
        """The weights at the end."""
        if self.world.rank == 0:
            self.keep(WEIGHTS)
            self.say(f"wrote {self.record.folder / WEIGHTS}")


def _opened(experiment: Experiment) -> tuple[Any, tuple[tuple[Judge, Any], ...]]:
    """The samples, and the validations with theirs."""
    data = experiment.data()
    if not hasattr(data, "__getitem__"):
        raise InputError(
            "gives no samples",
            field="data",
            value=type(data).__name__,
            expected="something with [index] -> StereoSample",
        )
    return data, tuple((v, v.data()) for v in experiment.validation)


def _shared(experiment: Experiment, data: Any) -> tuple[Any, tuple[tuple[Judge, Any], ...]]:
    """The samples to train on, and what is held out of them to judge."""
    sets: tuple[tuple[Judge, Any], ...] = ()
    if experiment.holdout:
        # What is held out is judged against its own truth, never against a teacher's.
        plain = data.samples if isinstance(data, Taught) else data
        held = parted(plain, experiment.holdout)[1]
        data = parted(data, experiment.holdout)[0]
        sets = ((task_of(experiment).judge("held-out", held), held),)
    if length(data) == 0:
        raise InputError("holds no sample", field="data", value=0, expected="one or more")
    return data, sets


def _check(experiment: Experiment, world: World) -> None:
    """Raises for what only the machine can tell to be impossible."""
    for count, whom in ((world.size, "the processes"), (world.size * experiment.parts, "parts")):
        if experiment.batch % count:
            raise UsageError(
                f"does not divide among {whom}",
                field="batch",
                value=experiment.batch,
                expected=f"a multiple of {count}",
            )
    cuda = world.device.type == "cuda"
    if experiment.precision == "bf16" and cuda and not torch.cuda.is_bf16_supported():
        raise ResourceError(
            "this GPU has no bfloat16", field="precision", value="bf16", remedy="take fp32"
        )
    check_memory(experiment, world.size)


def _nothing(line: str) -> None:
    """For the processes that say nothing."""
