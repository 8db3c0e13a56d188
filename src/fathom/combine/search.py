"""What a net of fixed range searches for a pair: how far the pair is reduced, and from where on."""

import math
from typing import NamedTuple

from fathom.classical.ranges import resolve_range
from fathom.core.errors import UsageError
from fathom.core.pair import StereoPair

_WIDEST_WHOLE = 1400
"""Pairs up to so many pixels wide are not reduced only because the default range is a little wider
than the net's: what is nearer than 192 px in them is rare (a seventh of the width), and a reduced
pair costs accuracy everywhere."""


class Search(NamedTuple):
    """first, last: disparities that may come out, in pixels of the pair. factor: by which the pair
    is reduced for the net. base: where the net's disparities count from, in pixels of the reduced
    pair. levels: searched from there on, in the same."""

    first: int
    last: int
    factor: int
    base: int
    levels: int


def search_of(
    pair: StereoPair, low: int, end: int | None, factor: int | None, limit: int
) -> Search:
    """The search over the disparities low .. end - 1 by a net that finds 0 .. limit - 1.

    end: None takes the default of the pair (see `default_max_disparity`). factor: None takes the
    least one with which the range fits.

    Raises `UsageError` for an empty range, one outside the pair, or one too wide for `factor`.
    """
    first, stop = resolve_range(pair, low, end)
    told = end is not None or (pair.rig is not None and pair.rig.max_disparity is not None)
    if not told and factor is None and pair.size[0] <= _WIDEST_WHOLE:
        stop = min(stop, first + limit)
    reduced = factor or math.ceil((stop - first) / limit)
    base, levels = _counted(first, stop, reduced)
    while levels > limit and factor is None:
        reduced += 1
        base, levels = _counted(first, stop, reduced)
    if levels > limit:
        raise UsageError(
            f"leaves {levels} disparities to a net that finds {limit}",
            field="shrink",
            value=factor,
            expected=f"{math.ceil((stop - first) / limit)} or more for this range",
            remedy="leave it out, or search fewer disparities",
        )
    return Search(first, stop - 1, reduced, base, levels)


def _counted(first: int, stop: int, factor: int) -> tuple[int, int]:
    base = first // factor
    return base, -(-stop // factor) - base
