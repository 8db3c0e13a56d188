"""How long a model of one view takes: to be loaded, which happens once, and to answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Clock:
    """Runs a model and adds up what it takes. loading: seconds in which its libraries and weights
    came; in `answering` where a model has no `prepare` to do that apart. images: that it answered.
    """

    loading: float = 0.0
    answering: float = 0.0
    images: int = 0
    _ready: bool = field(default=False, init=False)

    def timed(self, estimator: Any, images: int, answer: Callable[[], T]) -> T:
        """What `answer` gives, for so many images, after the model was loaded. Raises what either
        raises."""
        start = time.perf_counter()
        if not self._ready and hasattr(estimator, "prepare"):
            estimator.prepare()
            self.loading = time.perf_counter() - start
        self._ready = True
        start = time.perf_counter()
        found = answer()
        self.answering += time.perf_counter() - start
        self.images += images
        return found

    def told(self, unit: str) -> str:
        """Both in words; unit: what one is, "image" or "frame"."""
        return (
            f"model loaded in {self.loading:.2f} s; "
            f"{self.answering / max(self.images, 1):.2f} s for each {unit}"
        )
