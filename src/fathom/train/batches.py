"""Batches: which sample when, the same whoever loads them; the task crops and stacks.

Everything about batch number `step` follows from the seed and `step` alone: neither the number of
workers, nor of processes, nor where a run was resumed, changes a pixel of it.
"""

import errno
import functools
import os
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from fathom.core.arrays import Array
from fathom.core.errors import FathomError, InputError, ResourceError, UsageError
from fathom.train.experiment import Experiment, Samples, Stacked
from fathom.train.task import task_of

ATTEMPTS = 8
"""Samples tried for one place of a batch before the run stops."""
_SPARE = 1 << 40  # index from which endless data replaces samples that cannot serve


@dataclass(frozen=True)
class Batches:
    """The batches of one process: `batches[step]` is this process's part of batch `step`.

    It gives what the task stacks, or the error that ends the run as a value: an exception raised in
    a worker would come back as a traceback in text.
    """

    experiment: Experiment
    samples: Samples
    rank: int = 0
    processes: int = 1

    def __getitem__(self, step: int) -> Stacked | FathomError:
        """Batch `step`, counted from 0."""
        own = self.experiment.batch // self.processes
        slots = range(self.rank * own, (self.rank + 1) * own)
        try:
            filled = [self._filled(step, slot) for slot in slots]
            failures = tuple(line for _, lines in filled for line in lines)
            return task_of(self.experiment).stacked([cut for cut, _ in filled], failures)
        except FathomError as error:
            return error

    def _filled(self, step: int, slot: int) -> tuple[Any, list[str]]:
        """What is cut for one place of a batch, and why earlier choices could not serve."""
        failures: list[str] = []
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([self.experiment.seed, step, slot, attempt])
            index = self._index(step * self.experiment.batch + slot, attempt, rng)
            try:
                return self._cut(self.samples[index], index, rng), failures
            except MemoryError as error:
                raise ResourceError("not enough memory to load a sample") from error
            except Exception as error:  # a decoder's, a reader's: named, survived
                if _disk_full(error):
                    raise  # taking another sample instead would only hide it
                name = name_of(self.samples, index)
                text = str(error) if isinstance(error, FathomError) else repr(error)
                failures.append(f"{name}: {text}")
        raise InputError(
            f"{ATTEMPTS} samples in a row cannot be trained on; the last one, {failures[-1]}",
            expected="rectified pairs with a true disparity",
            remedy="look at the data with: fathom dataset check",
        )

    def _index(self, position: int, attempt: int, rng: np.random.Generator) -> int:
        count = length(self.samples)
        if count is None:
            return position if attempt == 0 else _SPARE + position * ATTEMPTS + attempt
        if attempt:
            return int(rng.integers(count))
        epoch, place = divmod(position, count)
        return int(_order(self.experiment.seed, epoch, count)[place])

    def _cut(self, sample: Any, index: int, rng: np.random.Generator) -> Any:
        name = getattr(sample, "name", "") or f"sample {index}"
        return task_of(self.experiment).cut(self.experiment, sample, name, rng)


def _disk_full(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, ResourceError) else None
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> Array:
    return np.random.default_rng([seed, epoch]).permutation(count)


def length(samples: Any) -> int | None:
    """How many samples there are; None for endless ones."""
    try:
        return len(samples)
    except TypeError:  # no `__len__`, or one that says so
        return None


def name_of(samples: Any, index: int) -> str:
    """The sample's name without reading it, where the data knows it."""
    names = getattr(samples, "names", None)
    return str(names[index]) if names is not None else f"sample {index}"


def loaded(batches: Batches, first: int) -> Iterator[tuple[int, Stacked]]:
    """(step, batch) from `first` to the last step, read ahead by the experiment's workers.

    The workers are started by this call, before anything else may have started threads.

    Raises what a batch's error is; `ResourceError` if a worker was killed.
    """
    experiment = batches.experiment
    steps = range(first, experiment.steps)
    loader: DataLoader[Any] = DataLoader(
        batches,  # type: ignore[arg-type]
        batch_size=None,
        sampler=steps,
        num_workers=experiment.workers,
        collate_fn=_as_it_is,
        worker_init_fn=_quiet if experiment.workers else None,
        prefetch_factor=2 if experiment.workers else None,
    )
    with warnings.catch_warnings():
        # Python 3.12 warns of every fork in a process that has threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        workers = iter(loader)
    return _checked(zip(steps, workers, strict=True))


def _checked(pairs: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Stacked]]:
    while True:
        try:
            step, arrays = next(pairs)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise ResourceError(
                "a process that loads data was killed: too little memory?",
                remedy="go on with --resume, and --set workers=0 or fewer",
            ) from error
        if isinstance(arrays, FathomError):
            # The error's traceback would keep the workers alive until some later collection.
            del pairs
            raise arrays
        yield step, arrays


def _as_it_is(value: Any) -> Any:
    return value


def _quiet(worker: int) -> None:  # noqa: ARG001
    """Ctrl-C reaches every process of the terminal; the main one stops the workers itself."""
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    threading.Thread(target=_ends_with, args=(os.getppid(),), daemon=True).start()


def _ends_with(parent: int) -> None:
    """Ends this process soon after its parent: one whose parent was killed would wait for ever to
    hand over its last batch, for it holds both ends of the pipe."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def parted(samples: Any, share: float, least: int = 1) -> tuple[Any, Any]:
    """(training part, held-out part) by a hash of the names: adding samples moves none.

    least: so many are held out even if their share is more; one at least is left to train on.

    Raises `UsageError` if the samples have no names, or there are fewer than two.
    """
    names = getattr(samples, "names", None)
    if names is None or len(names) < 2:
        raise UsageError(
            "needs two or more samples with names",
            field="holdout",
            value=share,
            expected="0 for endless data",
            remedy="give validation sets instead",
        )
    places = [_place(str(name)) for name in names]
    ranked = sorted(range(len(places)), key=places.__getitem__)
    count = max(least, sum(place < share for place in places))
    held = set(ranked[: min(count, len(places) - 1)])  # neither part may be empty
    kept = [i for i in range(len(places)) if i not in held]
    return Part(samples, tuple(kept)), Part(samples, tuple(sorted(held)))


def _place(name: str) -> float:
    from hashlib import sha256

    return int.from_bytes(sha256(name.encode("utf-8", "replace")).digest()[:8], "big") / 2.0**64


@dataclass(frozen=True, eq=False)
class Part:
    """Some samples of a data set, by their indices."""

    samples: Any
    indices: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the samples in this part."""
        return tuple(str(self.samples.names[i]) for i in self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """The sample of that index in this part."""
        return self.samples[self.indices[index]]
