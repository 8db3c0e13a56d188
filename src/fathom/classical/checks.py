"""Checks of parameters that every matcher makes when it is built."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from fathom.classical.parallel import thread_count
from fathom.core.errors import UsageError


@runtime_checkable
class Searching(Protocol):
    """The parameters that matchers of our own share."""

    @property
    def max_disparity(self) -> int | None: ...
    @property
    def min_disparity(self) -> int: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def memory_limit(self) -> int | None: ...


def in_range(name: str, value: Any, low: float, high: float, *, whole: bool = False) -> None:
    """Raises `UsageError` unless `value` is a (whole) number from `low` to `high`."""
    kinds: tuple[type, ...] = (int, np.integer) if whole else (int, float, np.number)
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise UsageError(
            "is out of range",
            field=name,
            value=value,
            expected=f"{kind} from {low:g} to {high:g}",
        )


def check_search(settings: Searching) -> None:
    """Raises `UsageError` for a search range of nothing, no threads or no memory."""
    in_range("min_disparity", settings.min_disparity, -(10**6), 10**6, whole=True)
    if settings.max_disparity is not None:
        in_range("max_disparity", settings.max_disparity, -(10**6), 10**6, whole=True)
        if settings.max_disparity <= settings.min_disparity:
            raise UsageError(
                "leaves no disparities to search",
                field="max_disparity",
                value=settings.max_disparity,
                expected=f"more than min_disparity = {settings.min_disparity}",
            )
    thread_count(settings.threads)
    if settings.memory_limit is not None:
        in_range("memory_limit", settings.memory_limit, 1, 2**63, whole=True)
