"""What may befall a run from outside: Ctrl-C, and too little memory."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fathom.classical.memory import available_memory
from fathom.core.errors import FathomError, ResourceError
from fathom.train.experiment import Experiment

Notify = Callable[[str], None]
_LEAST_BYTES = 16  # a pixel of a sample: an image as float32 and a target, the least of any task
_SMALLER = "take a smaller batch or crop (--set batch=...); what was saved is kept"


class Stop:
    """Ctrl-C (and SIGTERM) while this is open ask the loop to stop; a second one stops at once."""

    def __init__(self, say: Notify) -> None:
        self.asked = False
        self._say = say
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._say("stopping after this step; Ctrl-C again stops at once")


@contextmanager
def memory_errors(experiment: Experiment) -> Iterator[None]:
    """Too little memory, on the processor or the GPU, as one line."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        short = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if isinstance(error, FathomError) or not (short or "allocate memory" in text):
            raise
        raise ResourceError(
            "not enough memory", field="batch", value=_size(experiment), remedy=_SMALLER
        ) from error


def check_memory(experiment: Experiment, processes: int) -> None:
    """Raises `ResourceError` for a batch whose bare images do not fit into the memory that is free.

    A system that lends more memory than it has would not refuse them: it ends the process when they
    are half loaded.
    """
    free = available_memory()
    pixels = experiment.batch // processes * experiment.crop_width * experiment.crop_height
    least = _LEAST_BYTES * pixels
    if free is not None and least > free:
        raise ResourceError(
            "not enough memory for a batch as it is loaded, without the net",
            field="batch",
            value=f"{_size(experiment)}: {least / 1e9:,.1f} GB or more",
            expected=f"less than the {free / 1e9:,.1f} GB that are free",
            remedy=_SMALLER,
        )


def _size(experiment: Experiment) -> str:
    return f"{experiment.batch} samples of {experiment.crop_width}x{experiment.crop_height}"
