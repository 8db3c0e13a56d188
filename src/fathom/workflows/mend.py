"""Mending a pair: from files to a pair whose rows agree, and what was done to it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fathom.combine.check import Examination, examine
from fathom.combine.mend import Mended, mend_pair
from fathom.core.pair import StereoPair
from fathom.workflows.pairs import LoadedPair, PairOptions, pair_of_views, read_views


@dataclass(frozen=True, eq=False)
class MendedPair:
    """A pair as it was loaded and as it is now.

    loaded: the pair to be matched. mended: what the check found before and after. done: what was
    done, a sentence each; empty if nothing was.
    """

    loaded: LoadedPair
    mended: Mended
    done: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for result.json: findings before and after, row errors in pixels."""
        return {
            "done": list(self.done),
            "found": [finding.as_dict() for finding in self.mended.found.findings],
            "remaining": [finding.as_dict() for finding in self.mended.remaining],
            "row_error_px": {
                "before": _rounded(self.mended.before),
                "after": _rounded(self.mended.after),
            },
        }


def load_mended(left: Path, right: Path | None, options: PairOptions) -> MendedPair:
    """The pair in these files, calibrated as `load_pair` does it and mended.

    Exchanged images of a raw calibration are exchanged before they are rectified, so that each
    meets its own camera. Raises what `load_pair` raises.
    """
    views = read_views(left, right, options.layout)
    loaded = pair_of_views(*views, left, right, options)
    done: tuple[str, ...] = ()
    found: Examination | None = None
    if loaded.rectified_here:
        # The raw images cannot tell: cameras that look towards each other see points either way.
        wrong = examine(loaded.pair.left, loaded.pair.right, loaded.pair.rig)
        if "swapped" in wrong.codes:
            found, done = wrong, ("left and right exchanged, ahead of rectification",)
            loaded = pair_of_views(views[1], views[0], left, right, options)
    return mended_pair(loaded, done, found)


def mended_pair(
    loaded: LoadedPair, done: tuple[str, ...] = (), found: Examination | None = None
) -> MendedPair:
    """`loaded` mended. done, found: what was done and found ahead of this."""
    pair = loaded.pair
    mended = mend_pair(pair.left, pair.right, pair.rig)
    if found is not None:
        mended = replace(mended, found=found)
    done = (*done, *mended.done)
    if not done:
        return MendedPair(loaded, mended, done)
    now = StereoPair(mended.left, mended.right, mended.rig)
    # Pixels that no camera saw are known for the left view as it was.
    unseen = loaded.unseen if mended.left is pair.left else None
    loaded = replace(
        loaded, pair=now, changed=True, unseen=unseen, turned=loaded.turned + mended.turned
    )
    return MendedPair(loaded, mended, done)


def _rounded(seen: Examination) -> float | None:
    return None if seen.rows is None else round(seen.rows.total, 3)
