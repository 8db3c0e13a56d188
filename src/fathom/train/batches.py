"""Batches: which sample when, cropped and stacked, the same whoever loads them.

Everything about batch number `step` follows from the seed and `step` alone: neither the number of
workers, nor of processes, nor where a run was resumed, changes a pixel of it.
"""

import errno
import functools
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fathom.core.arrays import Array
from fathom.core.errors import FathomError, InputError, ResourceError, UsageError
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample
from fathom.train.experiment import Experiment, Samples

ATTEMPTS = 8
"""Samples tried for one place of a batch before the run stops."""
_SPARE = 1 << 40  # index from which endless data replaces samples that cannot serve


@dataclass(frozen=True, eq=False)
class Arrays:
    """A batch as numpy arrays: what workers hand over.

    left, right: uint8 (b, h, w, 3). truth: float32 (b, h, w), NaN = not taught. evidence: float32
    (b, c, h', w') or None. names: of the samples. failures: a line for each that had to be
    replaced.
    """

    left: Array
    right: Array
    truth: Array
    evidence: Array | None
    names: tuple[str, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch on the device.

    left, right: float32 (b, 3, h, w), 0..255. truth: float32 (b, 1, h, w), 0 where not `valid`.
    """

    left: Tensor
    right: Tensor
    truth: Tensor
    valid: Tensor
    evidence: Tensor | None
    names: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the net is called with."""
        images = (self.left, self.right)
        return images if self.evidence is None else (*images, self.evidence)


def to_batch(arrays: Arrays, device: torch.device, channels_last: bool) -> Batch:
    """The batch as tensors on `device`."""
    order = torch.channels_last if channels_last else torch.contiguous_format

    def image(values: Array) -> Tensor:
        moved = torch.from_numpy(values).to(device, non_blocking=True).permute(0, 3, 1, 2)
        return moved.to(torch.float32).contiguous(memory_format=order)

    truth = torch.from_numpy(arrays.truth).to(device)[:, None]
    valid = torch.isfinite(truth)
    evidence = arrays.evidence
    return Batch(
        image(arrays.left),
        image(arrays.right),
        torch.where(valid, truth, torch.zeros_like(truth)),
        valid,
        None if evidence is None else torch.from_numpy(evidence).to(device),
        arrays.names,
    )


@dataclass(frozen=True)
class Batches:
    """The batches of one process: `batches[step]` is this process's part of batch `step`.

    It gives an `Arrays`, or the error that ends the run as a value: an exception raised in a
    worker would come back as a traceback in text.
    """

    experiment: Experiment
    samples: Samples
    rank: int = 0
    processes: int = 1

    def __getitem__(self, step: int) -> Arrays | FathomError:
        """Batch `step`, counted from 0."""
        own = self.experiment.batch // self.processes
        slots = range(self.rank * own, (self.rank + 1) * own)
        try:
            return _stacked([self._filled(step, slot) for slot in slots])
        except FathomError as error:
            return error

    def _filled(self, step: int, slot: int) -> tuple["_Crop", list[str]]:
        """The crop for one place of a batch, and why earlier choices could not serve."""
        failures: list[str] = []
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([self.experiment.seed, step, slot, attempt])
            index = self._index(step * self.experiment.batch + slot, attempt, rng)
            try:
                return self._crop(self.samples[index], index, rng), failures
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

    def _crop(self, sample: Any, index: int, rng: np.random.Generator) -> "_Crop":
        sample = usable(sample)
        if self.experiment.augment is not None:
            sample = usable(self.experiment.augment(sample, rng))
        size = (self.experiment.crop_height, self.experiment.crop_width)
        return _cut(self.experiment, sample, size, sample.name or f"sample {index}", rng)


def _disk_full(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, ResourceError) else None
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, eq=False)
class _Crop:
    left: Array
    right: Array
    truth: Array
    evidence: Array | None
    name: str


def usable(sample: Any) -> StereoSample:
    """`sample`, if it is a stereo sample with a truth. Raises `InputError` if it is not."""
    if not isinstance(sample, StereoSample):
        raise InputError(
            "is no stereo sample",
            field="sample",
            value=type(sample).__name__,
            expected="a StereoSample (left, right and true disparity)",
        )
    if sample.truth is None:
        raise InputError("has no true disparity", field="truth", expected="a disparity map")
    return sample


def _cut(
    experiment: Experiment,
    sample: StereoSample,
    size: tuple[int, int],
    name: str,
    rng: np.random.Generator,
) -> _Crop:
    """A window of (height, width) at random; a smaller image is repeated at its border.

    Raises `InputError` if no pixel of the window is taught, or the evidence is not finite.
    """
    assert sample.truth is not None
    height, width = sample.pair.shape
    top = int(rng.integers(max(height - size[0], 0) + 1))
    left = int(rng.integers(max(width - size[1], 0) + 1))
    rows = np.minimum(np.arange(top, top + size[0]), height - 1)
    columns = np.minimum(np.arange(left, left + size[1]), width - 1)
    pick = np.ix_(rows, columns)
    truth = sample.truth.values[pick]
    outside = (np.arange(size[0]) >= height)[:, None] | (np.arange(size[1]) >= width)
    with np.errstate(invalid="ignore"):
        taught = (truth >= 0) & (truth < experiment.max_disparity) & ~outside
    if not taught.any():
        raise InputError(
            "no pixel of the window has a truth to teach",
            field="truth",
            expected=f"0 <= disparity < {experiment.max_disparity:g} (max_disparity)",
        )
    views = [v.rgb8[pick] for v in (sample.pair.left, sample.pair.right)]
    evidence = None
    if experiment.evidence is not None:
        evidence = made_evidence(experiment, StereoPair(View(views[0]), View(views[1])))
    taught_truth = np.where(taught, truth, np.float32(np.nan)).astype(np.float32)
    return _Crop(views[0], views[1], taught_truth, evidence, name)


def made_evidence(experiment: Experiment, pair: StereoPair) -> Array:
    """The evidence of a pair, float32 (c, h', w').

    Raises `InputError` if it is of another shape or holds values that are not finite.
    """
    assert experiment.evidence is not None
    evidence = np.asarray(experiment.evidence(pair), dtype=np.float32)
    if evidence.ndim != 3 or not np.isfinite(evidence).all():
        raise InputError(
            "is no finite map",
            field="evidence",
            value=evidence.shape,
            expected="finite float32 (channels, height, width)",
        )
    return evidence


def _stacked(filled: Sequence[tuple[_Crop, list[str]]]) -> Arrays:
    crops = [crop for crop, _ in filled]
    evidence = [c.evidence for c in crops if c.evidence is not None]
    return Arrays(
        np.stack([c.left for c in crops]),
        np.stack([c.right for c in crops]),
        np.stack([c.truth for c in crops]),
        np.stack(evidence) if evidence else None,
        tuple(c.name for c in crops),
        tuple(line for _, lines in filled for line in lines),
    )


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


def loaded(batches: Batches, first: int) -> Iterator[tuple[int, Arrays]]:
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


def _checked(pairs: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Arrays]]:
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


def parted(samples: Any, share: float) -> tuple[Any, Any]:
    """(training part, held-out part) by a hash of the names: adding samples moves none.

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
    held = {i for i, place in enumerate(places) if place < share}
    ranked = sorted(range(len(places)), key=places.__getitem__)
    # Few names: neither part may be empty.
    held = held or {ranked[0]}
    if len(held) == len(places):
        held.remove(ranked[-1])
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

    def __getitem__(self, index: int) -> StereoSample:
        """The sample of that index in this part."""
        sample: StereoSample = self.samples[self.indices[index]]
        return sample
