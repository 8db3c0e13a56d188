"""How much memory there is, and the refusal to start what will not fit."""

import os

from fathom.core.errors import ResourceError
from fathom.core.pair import StereoPair

_LANES = 32
REMEDY = (
    "work in tiles (--tile auto, in Python fathom.Tiled), search fewer disparities, or reduce "
    "the images"
)
"""What to do about a pair that takes too much memory."""


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    # systems without /proc tell at least how much is built in
    try:
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return None


def predict(height: int, width: int, levels: int, *, mgm: bool = False) -> int:
    """Bytes that semi-global matching of a whole pair takes at its peak, images excluded.

    levels: number of disparities searched. It is the largest part by far that grows with them: 2
    bytes a pixel and disparity (3 with More Global Matching), rounded up to whole vectors of 32.
    The same for any paths.
    """
    padded = -(-levels // _LANES) * _LANES
    reach = width + levels + padded + _LANES
    volume = (3 if mgm else 2) * height * width * padded
    # a slot a line of pixels; knight moves have the most
    lines = 8 * (height + width) * (padded + _LANES)
    rows = height * (8 * (width + _LANES + reach) + 4 * reach)
    maps = 72 * height * width
    return volume + lines + rows + maps


def check_memory(
    pair: StereoPair,
    levels: int | None,
    need: int,
    limit: int | None = None,
    remedy: str = REMEDY,
) -> None:
    """Passes if `need` bytes are at most `limit`, by default 80 % of the memory available.

    levels: disparities that are to be searched; None where that is no number.

    Raises `ResourceError` that names need, limit and levels, and says the remedy.
    """
    if limit is None:
        available = available_memory()
        if available is None:
            return
        limit = available * 8 // 10
    if need > limit:
        over = "" if levels is None else f"over {levels} disparities "
        raise ResourceError(
            f"matching {pair.size[0]}x{pair.size[1]} {over}needs {need / 1e6:.0f} MB of memory",
            expected=f"at most {limit / 1e6:.0f} MB",
            remedy=remedy,
        )
