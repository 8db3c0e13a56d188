"""What only a sequence of pairs shows: shots that were not taken at one moment.

While something moves, the left frame i and the right frame i + k obey the rig's rows only for the
k at which both cameras shot together: at any other, the movement in between takes points off their
rows, by amounts that go with their depth. A rig's own row error is the same for all frames and is
taken out first.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fathom.combine.check_finding import Finding
from fathom.combine.check_matches import Matches, match_views
from fathom.combine.check_rows import robust_fit
from fathom.combine.check_views import Light, comparable
from fathom.core.arrays import Array

_NEAR = 0.75  # pixels of a matched image from its row
_CLEAR = 1.15  # times as many points on their rows as at k = 0
_ENOUGH = 30
_RIG = np.array([50.0, 30.0, 10.0])  # pixels: an offset, a roll and a magnification of the rig

Moment = Mapping[int, Matches]
"""Matches of one left frame i with the right frames i + k, by k."""


def moment(left: Light, rights: Mapping[int, Light], size: tuple[int, int]) -> Moment:
    """The matches of one left frame with right frames, by how many frames these are later.

    size: (width, height) of the frames.
    """
    return {k: match_views(*comparable(left, right), size) for k, right in rights.items()}


def frames_on_rows(moments: Sequence[Moment], size: tuple[int, int]) -> dict[int, list[int]]:
    """For each k how many points of each moment lie on their rows.

    One offset, roll and magnification is fitted to all moments together, robustly, per k.
    """
    found: dict[int, list[int]] = {}
    for k in moments[0] if moments else ():
        matches = [at[k] for at in moments]
        rise = np.concatenate([m.rise for m in matches])
        if len(rise) < _ENOUGH:
            found[k] = [0] * len(matches)
            continue
        terms = np.concatenate([_terms(m, size) for m in matches])
        known = robust_fit(terms, rise, _RIG)[0]
        limit = _NEAR * max(1.0, (size[0] * size[1] / 1.2e6) ** 0.5)
        near = np.abs(rise - terms @ known) < limit
        ends = np.cumsum([len(m) for m in matches])[:-1]
        found[k] = [int(part.sum()) for part in np.split(near, ends)]
    return found


def check_time(
    moments: Sequence[Moment], size: tuple[int, int], fps: float | None = None
) -> Finding | None:
    """`time-offset`: left frames fit other right frames than their own; None if they do not.

    moments: matches at a few moments of the sequence, each with the same k. fps: frames a second,
    where known, for milliseconds. The size is in frames: the left frame i fits the right i + size.
    """
    scores = frames_on_rows(moments, size)
    if not scores or 0 not in scores:
        return None
    best = max(scores, key=lambda k: (sum(scores[k]), -abs(k)))
    if best == 0 or sum(scores[best]) < _CLEAR * sum(scores[0]) + _ENOUGH:
        return None
    wins = sum(a > b for a, b in zip(scores[best], scores[0], strict=True))
    ms = "" if fps is None else f" ({1000 * abs(best) / fps:.0f} ms)"
    way, camera = ("later", "right") if best > 0 else ("earlier", "left")
    edge = " or more" if abs(best) == max(abs(k) for k in scores) else ""
    return Finding(
        "time-offset",
        f"left frames fit the right frames that come {abs(best)}{edge} {way}{ms}: "
        f"{sum(scores[best])} points lie on their rows then, {sum(scores[0])} as they are paired",
        (wins + 0.5) / (len(moments) + 1),
        f"leave out the first {abs(best)} frames of the {camera} camera, or trigger both cameras "
        "together",
        float(best),
        "frames",
    )


def _terms(matches: Matches, size: tuple[int, int]) -> Array:
    x, y = ((matches.right + 0.5) / (np.array(size) / 2) - 1).T
    return np.stack([np.ones_like(x), x, y], axis=1)
