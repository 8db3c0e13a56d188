"""Which values of which parameters `fathom tune` tries."""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import Field
from typing import Any, Literal

from fathom.catalog import default_of, entry, parameters
from fathom.core.errors import unknown_name

SEARCH: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "sgm": {
        "p1": (5, 10, 15, 25, 40, 60),
        "p2": (60, 100, 140, 190),
        "p2_gradient": (0.0, 4.0, 8.0, 16.0, 32.0, 64.0),
        "uniqueness": (0.0, 2.0, 4.0, 8.0, 15.0),
        "lr_threshold": (0.5, 1.0, 1.5, 2.0),
        "speckle_size": (0, 25, 50, 100, 200),
        "speckle_range": (1.0, 2.0, 4.0),
    },
    "opencv-sgbm": {
        "mode": ("sgbm", "hh", "3way"),
        "block_size": (1, 3, 5, 7, 9, 11),
        "p1": (None, 50, 100, 200, 400, 800),
        "p2": (None, 400, 800, 1600, 3200),
        "pre_filter_cap": (15, 31, 63),
        "uniqueness_ratio": (0, 5, 10, 15),
        "speckle_window_size": (0, 50, 100, 200),
        "speckle_range": (1, 2, 4),
    },
    "opencv-bm": {
        "block_size": (9, 11, 13, 15, 17, 21, 27),
        "pre_filter_size": (5, 9, 15),
        "pre_filter_cap": (15, 31, 63),
        "texture_threshold": (0, 5, 10, 20),
        "uniqueness_ratio": (0, 5, 10, 15),
        "speckle_window_size": (0, 50, 100, 200),
        "speckle_range": (1, 2, 4),
    },
}
"""Values tried for each parameter of a method. Others get a grid around their default."""

UNTUNED = ("memory_limit",)
"""What is no matter of quality."""


def grids(method: str, only: Sequence[str] | None = None) -> dict[str, tuple[Any, ...]]:
    """The values that are tried for each parameter of a method, in the order of its fields.

    From `SEARCH`; a parameter that is not there takes metadata "search" of its field, else: all
    choices, both switches, or for a number its default times 1/4, 1/2, 1, 2 and 4 (odd widths
    stay odd). only: just these.

    Raises `UsageError` with close matches for a name that is no parameter of the method.
    """
    known = parameters(method)
    for name in only or ():
        if name not in known:
            raise unknown_name(f"parameter of {entry(method).name}:", name, list(known))
    table = SEARCH.get(entry(method).name, {})
    hints = typing.get_type_hints(entry(method).builder()) if known else {}
    found = {}
    for name, f in known.items():
        if (only is None or name in only) and name not in UNTUNED:
            values = table.get(name) or f.metadata.get("search")
            if values is None and not table:
                values = _derived(f, hints[name])
            if values:
                found[name] = tuple(values)
    return found


def _derived(f: Field[Any], hint: Any) -> tuple[Any, ...]:
    """A grid around the default of a field; empty where there is none to be had."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    value = default_of(f)
    if isinstance(value, bool):
        return (True, False)
    if isinstance(value, int):
        around = {value // 4, value // 2, value, 2 * value, 4 * value} if value else {0, 1}
        if value % 2 and f.name in ("window", "size", "block_size"):
            around = {v for v in (value - 4, value - 2, value, value + 2, value + 6) if v > 0}
        return tuple(sorted(around))
    if isinstance(value, float):
        return tuple(value * s for s in (0.25, 0.5, 1.0, 2.0, 4.0)) if value else (0.0, 0.5, 1.0)
    return ()
