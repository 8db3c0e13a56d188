"""Training as a job: an experiment file, what the command line changes in it, a folder."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.core.errors import InputError
from fathom.core.options import option
from fathom.train.packages import check_packages

if TYPE_CHECKING:
    from fathom.train.experiment import Experiment, Judge
    from fathom.train.loop import TrainResult

Notify = Callable[[str], None]


@dataclass(frozen=True)
class TrainOptions:
    """What is not the experiment's own: where, on what, from what.

    changes: `name=value` words for the experiment's plain settings.
    """

    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto takes a GPU if there is one")
    resume: bool = option(False, "go on from the newest complete checkpoint in the folder")
    data: Path | None = option(
        None,
        "train on these pairs instead: a data set's folder, or a list (CSV, JSON lines)",
        metavar="PATH",
    )
    format: str | None = option(
        None, "with --data: which data set it is (default: recognised)", metavar="NAME"
    )
    split: str | None = option(None, "with --data: which split", metavar="NAME")
    changes: tuple[str, ...] = ()


def prepare(
    file: Path,
    options: TrainOptions,
    start: Path | None = None,
    notify: Notify = lambda line: None,  # noqa: ARG005
) -> "Experiment":
    """The experiment of a file with the options applied. start: weights to start from. With other
    data than the experiment's, its validations that are not on this machine are left out and told.

    Raises `MissingExtraError` without torch or Lightning Fabric, `InputError` for a file that is no
    experiment or weights that are not there, `UsageError` for impossible settings.
    """
    check_packages()
    from fathom.train.checkpoint import read_weights
    from fathom.train.experiment import Pairs
    from fathom.train.load import changed, load_experiment

    experiment = changed(load_experiment(file), options.changes)
    if options.data is not None:
        pairs = Pairs(options.data, options.format, options.split)
        there = _that_open(experiment.validation, notify)
        experiment = replace(experiment, data=pairs, validation=there)
    if start is not None:
        read_weights(start)
        experiment = replace(experiment, start=start)
    return experiment


def _that_open(validations: "tuple[Judge, ...]", notify: Notify) -> "tuple[Judge, ...]":
    """Those whose data are there: a published recipe judges on data sets that whoever trains it on
    pairs of their own need not have."""
    kept = []
    for validation in validations:
        try:
            validation.data()
        except InputError as error:
            notify(f"validation {validation.name} is left out: {error}")
        else:
            kept.append(validation)
    return tuple(kept)


def train_file(
    file: Path, folder: Path, options: TrainOptions, start: Path | None, notify: Notify
) -> "TrainResult":
    """Trains what an experiment file says; see `fathom.train.train`, also for what it raises."""
    experiment = prepare(file, options, start, notify)
    from fathom.train.loop import train

    return train(
        experiment,
        folder,
        name=file.stem,
        resume=options.resume,
        device=options.device,
        notify=notify,
    )


@dataclass(frozen=True)
class Check:
    """What a trial of an experiment gave. parameters: of the net. samples: to train on, None =
    endless. steps: tried. seconds_a_step, hours: for the whole run, without validation. loss: of
    the last step tried. memory_mb: the most that this process has held."""

    parameters: int
    samples: int | None
    steps: int
    seconds_a_step: float
    hours: float
    loss: float
    memory_mb: float


def check_file(
    file: Path, options: TrainOptions, start: Path | None, notify: Notify, steps: int = 3
) -> Check:
    """Runs a few steps of an experiment without writing anything; raises as `train_file` does."""
    experiment = prepare(file, options, start, notify)
    from fathom.train.loop import trial

    notify(f"trying {steps} steps of {experiment.steps}; nothing is written")
    began = time.monotonic()
    found: dict[str, Any] = trial(experiment, steps, options.device, notify)
    a_step = found.pop("seconds") / steps
    notify(f"tried in {time.monotonic() - began:.1f} s")
    return Check(
        steps=steps,
        seconds_a_step=a_step,
        hours=a_step * experiment.steps / 3600,
        memory_mb=_memory_mb(),
        **found,
    )


def _memory_mb() -> float:
    import sys

    try:
        import resource
    except ImportError:  # Windows has no such count
        return float("nan")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)
