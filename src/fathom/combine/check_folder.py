"""What pairs of one camera show together: a few points a pair say little, those of all say much.

Small or plain images give a handful of points each, too few for `check_pair` to speak. The points
of all pairs of one camera see the same rows and the same order of the views.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fathom.combine.check import Examination, weighed
from fathom.combine.check_finding import REPORTED, Finding, plain
from fathom.combine.check_geometry import MOVED, SWAPPED, SWAPPED_SHARE, check_order
from fathom.combine.check_matches import FINE_PIXELS, Matches
from fathom.combine.check_rows import Rows, fit_rows
from fathom.combine.check_uneven import check_rows
from fathom.core.arrays import Array

_MOST = 20_000  # points of all pairs together that are looked at
_KEPT = 200  # points that are kept of a pair while others are looked at
_ALONE = 12  # points from which on a pair is judged by itself (`check_order`, `fit_rows`)
_SIGNS, _RISES = 3, 5  # points that say something against a pair all the same
_FAR = 1.5  # pixels of a matched image that most of these few lie off their rows
_CORNERS, _RELATED = 60, 0.08  # corners of all pairs, and the share of them that comes back
_REMEDY = "rectify the pairs: give the raw calibration with --calib, or calibrate again"


def check_folder(seen: Sequence[Examination], size: tuple[int, int]) -> list[Finding | None]:
    """What is wrong with pairs of one camera that some of them alone do not show.

    seen: each by itself (`examine`). size: (width, height) of all of them. For each pair: None, or
    `unrelated`, `swapped`, `unrectified`, `roll`, `scale` or `curve`. What all pairs show together
    holds for each whose own points do not speak against it; a pair too poor to be judged alone is
    also compared with what a good one would show. Procedural scenes of 96x64 to 320x192 and real
    pairs reduced to 120 pixels have no finding as long as they are good.
    """
    if not seen:
        return []
    matches = [_thinned(e.matches, _MOST // len(seen)) for e in seen]
    pool = _pooled(matches)
    pixel = max(1.0, (size[0] * size[1] / FINE_PIXELS) ** 0.5)
    model = fit_rows(pool, size)
    order = check_order(pool, model, 0.0, size, pixel)
    common = [
        *_unrelated(pool),
        *(f for f in order if f.code == SWAPPED),
        *(weighed(f, pool) for f in check_rows(model, _REMEDY)),
    ]
    told = [
        replace(f, message=f"{len(matches)} pairs together: {f.message}")
        for f in common
        if f.certainty >= REPORTED
    ]
    return [
        next((f for f in told if _suits(f, m, model, size, pixel)), None)
        or _few(examined, m, pixel)
        for examined, m in zip(seen, matches, strict=True)
    ]


def lean(examined: Examination) -> Examination:
    """What `check_folder` needs of an examination: of ten thousand pairs all points are many."""
    return replace(examined, matches=_thinned(examined.matches, _KEPT))


def _thinned(matches: Matches | None, most: int) -> Matches:
    """Every n-th point, so that about `most` are left, and as many as a pair is judged by."""
    if matches is None:
        return Matches(np.zeros((0, 2)), np.zeros((0, 2)), 0)
    every = max(1, len(matches) // max(_ALONE, most))
    return replace(matches, left=matches.left[::every], right=matches.right[::every])


def _pooled(matches: Sequence[Matches]) -> Matches:
    """The points of all pairs as if one had them."""
    points = [len(m) for m in matches]
    return Matches(
        np.concatenate([m.left for m in matches]),
        np.concatenate([m.right for m in matches]),
        corners=sum(m.corners for m in matches),
        rows=sum(m.rows for m in matches),
        columns=sum(m.columns for m in matches),
        trust=float(np.dot([m.trust for m in matches], points)) / max(1, sum(points)),
    )


def _unrelated(pool: Matches) -> list[Finding]:
    """Hardly a point of any pair is found again: 40 % are of good pairs, none of foreign ones."""
    found = max(len(pool), pool.rows, pool.columns)
    if pool.corners < _CORNERS or found >= _RELATED * pool.corners:
        return []
    return [
        Finding(
            "unrelated", f"the images hardly agree: {found} of {pool.corners} points", 0.95,
            "give two views of one scene taken at the same moment", found / pool.corners,
            "share of points",
        )
    ]  # fmt: skip


def _suits(
    finding: Finding, own: Matches, model: Rows | None, size: tuple[int, int], pixel: float
) -> bool:
    """Whether what all pairs show holds for one of them: its own points do not say otherwise."""
    if finding.code == "unrelated":
        return len(own) == 0
    if finding.code == SWAPPED:
        ahead, behind = _signs(own, pixel)
        return behind >= ahead
    if model is None or len(own) < _SIGNS:
        return True
    x, y = (((own.left + own.right) / 2 + 0.5) / (np.array(size) / 2) - 1).T
    rest = own.rise - (model.level + model.roll_edge * x + model.scale_edge * y)
    return _middle(own.rise) >= 0.5 * _middle(rest)


def _few(examined: Examination, own: Matches, pixel: float) -> Finding | None:
    """What a handful of points says against a pair: those of good ones lie on their rows, and
    hardly one of them further right in the right image."""
    ahead, behind = _signs(own, pixel)
    if ahead + behind < _ALONE and behind >= max(_SIGNS, SWAPPED_SHARE * (ahead + behind)):
        return Finding(
            SWAPPED, f"left and right look exchanged: {behind} of {ahead + behind} points lie "
            "further right in the right image", REPORTED, "give the two images in the other order",
            behind / (ahead + behind), "share of points",
        )  # fmt: skip
    off = _middle(own.rise) if len(own) >= _RISES and examined.rows is None else 0.0
    if off <= _FAR * pixel:
        return None
    return Finding(
        "unrectified", f"half of {len(own)} points lie {plain(off)} px or more off their rows",
        REPORTED, _REMEDY, off, "px",
    )  # fmt: skip


def _signs(matches: Matches, pixel: float) -> tuple[int, int]:
    """How many points lie further left, and further right, in the right image."""
    moved = matches.disparity / pixel
    return int((moved > MOVED).sum()), int((moved < -MOVED).sum())


def _middle(values: Array) -> float:
    return float(np.median(np.abs(values)))
