"""What an experiment is made of: one frozen dataclass, no torch needed to write it down."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import UsageError
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.core.sample import StereoSample
from fathom.data.registry import open_dataset
from fathom.eval.protocol import Protocol as EvalProtocol
from fathom.eval.protocols import protocol


@runtime_checkable
class Samples(Protocol):
    """Where training pairs come from: anything that gives a `StereoSample` for an index.

    With a `len()` every sample is seen once an epoch, in an order drawn from the seed; without one
    (procedural scenes) index 0, 1, 2 ... are asked for, each once. `names`, where there are any,
    allow a part to be held out.
    """

    def __getitem__(self, index: int, /) -> StereoSample:
        """The sample of that index; raises `FathomError` if it cannot serve."""
        ...


@runtime_checkable
class Stacked(Protocol):
    """A batch as numpy arrays, as workers hand it over. names: of the samples. failures: a line for
    each that had to be replaced."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def failures(self) -> tuple[str, ...]: ...


@runtime_checkable
class Loaded(Protocol):
    """A batch on the device. inputs: what the net is called with."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def inputs(self) -> tuple[Any, ...]: ...
    def part(self, chosen: slice) -> Any:
        """A batch of some samples of this one."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Samples on which a net is judged and never trained: `Validation` for pairs with truth.

    name: how its scores are called. data: gives the samples.
    """

    @property
    def name(self) -> str: ...
    @property
    def data(self) -> Callable[[], Any]: ...


@runtime_checkable
class Task(Protocol):
    """What is learned: how samples become batches, what the net gives, how it is judged.

    An experiment without one learns to match pairs with truth (`fathom.train.task.Matching`).
    """

    def cut(
        self, experiment: "Experiment", sample: Any, name: str, rng: np.random.Generator
    ) -> Any:
        """One place of a batch; raises `FathomError` for a sample that cannot serve."""
        ...

    def stacked(self, cuts: Sequence[Any], failures: tuple[str, ...]) -> Stacked:
        """What was cut, as one batch."""
        ...

    def to_batch(self, arrays: Any, device: Any, channels_last: bool) -> Loaded:
        """The batch as tensors on `device`."""
        ...

    def output(self, given: Any) -> Any:
        """What the net gave, checked, in float32; raises `InputError` for anything else."""
        ...

    def tensors(self, output: Any) -> tuple[Any, ...]:
        """All tensors of an output; the first one is looked at for values that are not finite."""
        ...

    def measured(self, output: Any, batch: Any) -> tuple[Any, Any, Any]:
        """Sums for the line of progress: |error|, errors over 2 px, pixels; 0 without a truth."""
        ...

    def judge(self, name: str, samples: Any) -> Judge:
        """How samples that were held out are judged."""
        ...

    def validate(self, judge: Any, samples: Any, judging: "Judging") -> Any:
        """A `fathom.train.validate.Judged`, or None once `judging.cancelled` says yes."""
        ...


@dataclass(frozen=True, eq=False)
class Judging:
    """What judging takes beside the samples. net: the `nn.Module`; experiment: its settings;
    device: where it runs. notify: told of each sample that is left out. cancelled: asked before
    each sample; once it says yes, judging ends."""

    net: Any
    experiment: "Experiment"
    device: Any
    notify: Callable[[str], None] = lambda line: None  # noqa: ARG005
    cancelled: Callable[[], bool] = lambda: False


StopRule = Callable[[Sequence[float]], str | None]
"""Why a run should end before its last step, None: it goes on. It is told the headline of the first
validation after each one so far, the first before any step."""
Augment = Callable[[StereoSample, np.random.Generator], StereoSample]
"""Changes a sample; all its chance comes from the generator."""
Evidence = Callable[[StereoPair], Array]
"""What a net wants beside the images: float32 (c, h', w') made from a (cropped) pair."""


@dataclass(frozen=True)
class Pairs:
    """Samples from disk, opened when called: any data set or manifest that fathom reads.

    root: its folder, or the manifest. format: its name; None recognises it. split: default the
    reader's first. options: the reader's own, as (name, value).
    """

    root: Path | str
    format: str | None = None
    split: str | None = None
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self) -> Any:
        """The data set. Raises `InputError` and `UsageError` as `open_dataset` does."""
        return open_dataset(self.format, self.root, self.split, **dict(self.options))


@dataclass(frozen=True)
class Validation:
    """Pairs with truth on which the net is judged and never trained.

    name: how its scores are called. data: gives the samples. protocol: of `fathom.eval`; its name
    stands beside every number. mask: None takes the protocol's first. metrics: which of the numbers
    are computed, the first one chooses the best weights. most: only so many samples, the first.

    Raises `UsageError` for an unknown protocol or metric, or `most` below 1.
    """

    name: str
    data: Callable[[], Any]
    protocol: str = "fathom"
    mask: str | None = None
    metrics: tuple[str, ...] = ("bad-2", "epe", "d1")
    most: int | None = None

    def __post_init__(self) -> None:
        self.rules()
        if self.most is not None and self.most < 1:
            raise UsageError(
                "is no number of samples", field="most", value=self.most, expected="1 or more"
            )

    def rules(self) -> EvalProtocol:
        """The protocol with these metrics."""
        chosen = protocol(self.protocol)
        return chosen.varied(metrics=self.metrics)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A training run, complete: who has the file, the data and the seed can repeat it.

    net: builds the `nn.Module` (see `fathom.layers.stereo.StereoNet`). data: gives the `Samples`;
    called once in each process. loss: (StereoOutput, Batch) -> {name: term}, whose sum is
    minimised. augment, evidence: see there; both run in the workers that load. validation: judged
    at the start, every `validate_every` steps and at the end. task: what is learned; None: to match
    pairs with truth. rates: (words, factor) of the learning rate of weights whose names begin with
    these words. stop: ends the run early. The rest can be changed with `--set name=value`.

    Raises `UsageError` for settings that contradict each other or lie out of range.
    """

    net: Callable[[], Any]
    data: Callable[[], Any]
    loss: Callable[..., Any]
    augment: Augment | None = None
    evidence: Evidence | None = None
    validation: tuple[Judge, ...] = ()
    task: Task | None = None
    rates: tuple[tuple[str, float], ...] = ()
    stop: StopRule | None = None

    steps: int = option(10_000, "batches to train on, counted from the very beginning")
    batch: int = option(4, "pairs a step, over all processes together")
    parts: int = option(1, "a batch goes through in so many parts: slower, and less memory")
    crop_width: int = option(512, "pixels")
    crop_height: int = option(256, "pixels")
    divisor: int = option(32, "sizes the net takes are multiples of this")
    max_disparity: float = option(192.0, "truths from here on, in pixels, are not taught")
    optimiser: Literal["adamw", "adam", "sgd", "rmsprop"] = option("adamw", "how the weights move")
    learning_rate: float = option(1e-3, "its peak")
    weight_decay: float = option(1e-4, "of the optimiser")
    schedule: Literal["cosine", "linear", "constant", "step"] = option(
        "cosine", "of the learning rate after the warm-up"
    )
    warmup: int = option(100, "steps over which the learning rate rises from 0")
    clip: float | None = option(1.0, "largest norm of the gradient; none = no limit")
    ema: float | None = option(
        None, "decay of the averaged weights that are validated and kept; none = no averaging"
    )
    precision: Literal["fp32", "bf16"] = option("fp32", "bf16 = autocast")
    channels_last: bool = option(True, "memory order of images and weights; what is faster differs")
    seed: int = option(0, "of weights, order, crops and augmentation")
    workers: int = option(0, "processes that load; the result does not depend on them")
    threads: int | None = option(None, "torch's threads; none = as torch decides")
    check_pairs: bool = option(
        True, "without a truth: look first which images are pairs at all, and leave out the others"
    )
    holdout: float = option(0.0, "share of the data, by hash of the name, to validate on instead")
    log_every: int = option(20, "steps between two lines of progress")
    save_every: int = option(200, "steps between two checkpoints")
    validate_every: int = option(1000, "steps between two validations")
    keep: int = option(2, "newest checkpoints to keep")
    patience: int = option(20, "stop after so many batches in a row without a finite loss")
    start: Path | str | None = option(
        None, "weights to start from: a safetensors file, or the name of a shipped model"
    )

    def __post_init__(self) -> None:
        for name in _COUNTS:
            _whole(name, getattr(self, name), 1)
        for name in ("warmup", "workers", "seed"):
            _whole(name, getattr(self, name), 0)
        if self.threads is not None:
            _whole("threads", self.threads, 1)
        for name, (least, below) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value < below:
                raise _impossible(name, value, f"a number >= {least:g} and < {below:g}")
        for name in ("crop_width", "crop_height"):
            if getattr(self, name) % self.divisor:
                raise _impossible(
                    name, getattr(self, name), f"a multiple of {self.divisor} (divisor)"
                )
        if self.warmup > self.steps:
            raise _impossible("warmup", self.warmup, f"at most {self.steps} (steps)")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _impossible(name, getattr(self, name), " or ".join(allowed))
        names = [v.name for v in self.validation]
        if len(set(names)) != len(names):
            raise _impossible("validation", ", ".join(names), "names that differ")


_COUNTS = (
    *("steps", "batch", "parts", "crop_width", "crop_height", "divisor"),
    *("log_every", "save_every", "validate_every", "keep", "patience"),
)
_TINY = 1e-12
_RANGES = {
    "learning_rate": (_TINY, math.inf),
    "max_disparity": (_TINY, math.inf),
    "clip": (_TINY, math.inf),
    "ema": (_TINY, 1.0),
    "weight_decay": (0.0, math.inf),
    "holdout": (0.0, 1.0),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "optimiser": ("adamw", "adam", "sgd", "rmsprop"),
    "schedule": ("cosine", "linear", "constant", "step"),
    "precision": ("fp32", "bf16"),
}


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _impossible(name, value, f"a whole number >= {least}")


def _impossible(name: str, value: Any, expected: str) -> UsageError:
    return UsageError(
        "no experiment can have this",
        field=name,
        value=value,
        expected=expected,
        remedy="change the experiment file, or give --set " + name + "=...",
    )
