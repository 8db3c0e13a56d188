"""Working memory of the semi-global kernels."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from fathom.classical.kernels import layout as kernels
from fathom.core.arrays import Array

_LANES = kernels.LANES
_KEPT_BYTES = 2**28
"""A volume of at most this size is kept for the next match."""
_keeping = threading.Lock()
_kept: list[Array] = []


def aligned(count: int, dtype: type) -> Array:
    """An uninitialised flat array that starts on a cache line, so that no vector in it is split."""
    size = np.dtype(dtype).itemsize * count
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    out: Array = memory[start : start + size].view(dtype)
    return out


@contextmanager
def volume(count: int) -> Iterator[Array]:
    """Sums for the time of one match. The last one is kept where it is small: to get fresh pages
    from the system takes a fifth of the time of a match."""
    with _keeping:
        memory = _kept.pop() if _kept else None
    if memory is None or not count <= memory.size <= 4 * count:
        memory = aligned(count, np.uint16)
    yield memory[:count]
    if memory.nbytes <= _KEPT_BYTES:
        with _keeping:
            _kept[:] = [memory]


def scratch(columns: int, levels: int) -> kernels.Scratch:
    """Working memory of one call on so many columns."""
    sums = aligned(levels + 2 * _LANES, np.uint16)
    sums[:] = kernels.NOTHING
    jumps = aligned(4 * columns, np.uint8)
    return kernels.Scratch(aligned(columns * levels + _LANES, np.uint8), jumps, sums)


def fresh_slots(count: int, levels: int) -> tuple[Array, Array]:
    """Path costs of 0 (a path starts with C alone), fenced with 255 so that nothing comes from
    beyond the first and last disparity; and their minima."""
    slots = aligned(count * (levels + _LANES) + _LANES, np.uint8)
    slots[:] = 0
    slots[:-_LANES].reshape(count, -1)[:, :_LANES] = 255
    slots[-_LANES:] = 255
    return slots, np.zeros(count, np.uint8)
