"""What may befall a run from outside: Ctrl-C, and too little memory."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fathom.core.errors import FathomError, ResourceError
from fathom.train.experiment import Experiment

Notify = Callable[[str], None]


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
        size = f"{experiment.batch} pairs of {experiment.crop_width}x{experiment.crop_height}"
        raise ResourceError(
            "not enough memory",
            field="batch",
            value=size,
            remedy="take a smaller batch or crop (--set batch=...); what was saved is kept",
        ) from error
