"""Which disparities to search: the default, the checks, and whether the search was wide enough."""

import math
from typing import Any

import numpy as np

from fathom.core.errors import UsageError
from fathom.core.maps import Disparity, Source
from fathom.core.pair import StereoPair

LIMIT_SHARE = 0.02
"""From this share of matched pixels at the limit on, the user is told to search further."""

_NARROWEST, _WIDEST = 64, 256
_NEAREST_IN_BASELINES = 3.0


def default_max_disparity(pair: StereoPair) -> int:
    """The end of the searched range in pixels (exclusive), a multiple of 16, where none is given.

    The rig's `max_disparity` (Middlebury's ndisp) if it has one. Else a sixth of the width, at
    least 64 and at most 256: the true maxima of the 25 real pairs this was chosen on
    (Middlebury 2001 to 2014, KITTI) lie between 4 and 17 % of the width, all inside this range.
    A calibrated rig may lower it: nothing is expected nearer than three baselines.
    """
    rig = pair.rig
    if rig is not None and rig.max_disparity is not None:
        return _up16(rig.max_disparity)
    wanted = min(max(pair.size[0] / 6, _NARROWEST), _WIDEST)
    if rig is not None:
        nearest = rig.left.fx / _NEAREST_IN_BASELINES - rig.doffs
        wanted = min(wanted, max(nearest, 16.0))
    return _up16(wanted)


def resolve_range(
    pair: StereoPair, min_disparity: int, max_disparity: int | None
) -> tuple[int, int]:
    """The disparities to search, first and last + 1, in pixels.

    Without a maximum the default is used (shifted if the minimum lies beyond it). A pair of width
    w can only show |d| < w: what lies outside is cut off.

    Raises `UsageError` for a range of 0 or less, or one that lies wholly outside the width.
    """
    width = pair.size[0]
    first = _whole("min_disparity", min_disparity)
    if max_disparity is None:
        end = default_max_disparity(pair)
        end = end if end > first else first + end
    else:
        end = _whole("max_disparity", max_disparity)
    if end <= first:
        raise UsageError(
            "leaves no disparities to search",
            field="max_disparity",
            value=end,
            expected=f"more than min_disparity = {first}",
        )
    if first >= width or end <= 1 - width:
        raise UsageError(
            f"the range {first}..{end - 1} lies outside an image {width} pixels wide",
            field="min_disparity" if first >= width else "max_disparity",
            value=first if first >= width else end,
            expected=f"disparities between {1 - width} and {width - 1}",
        )
    return max(first, 1 - width), min(end, width)


def hits_limit(disparity: Disparity) -> float:
    """Share (0..1) of the matched pixels within 1 px of the largest disparity searched.

    From `LIMIT_SHARE` on the scene is probably nearer than the search went. 0 where the map does
    not come from a search, or nothing was matched.
    """
    if disparity.range is None:
        return 0.0
    matched = disparity.known
    if disparity.source is not None:
        matched = disparity.source == Source.MATCHED
    values = disparity.values[matched]
    if values.size == 0:
        return 0.0
    return int(np.count_nonzero(values >= disparity.range[1] - 1)) / int(values.size)


def _up16(value: float) -> int:
    return 16 * math.ceil(value / 16)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise UsageError("is not a whole number", field=name, value=value, expected="whole pixels")
    return int(value)
