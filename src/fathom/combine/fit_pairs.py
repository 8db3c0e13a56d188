"""Which pairs of a folder, list or data set can be learned from: the pair check over all of them.

Without a truth nothing else tells that two images are no pair: the loss would blame the disparity.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fathom.combine.check import Examination, examine
from fathom.combine.check_finding import Finding
from fathom.combine.check_folder import check_folder, lean
from fathom.core.errors import FathomError, UsageError
from fathom.core.sample import StereoSample

REFUSED = frozenset(
    {
        *("size-differs", "depth-differs", "too-small", "flat", "unrelated", "mirrored", "rotated"),
        *("identical", "vertical-rig", "swapped", "negative-disparity", "unrectified"),
        *("roll", "scale", "curve", "stale-calibration"),
    }
)
"""Findings of the pair check (`fathom.combine.check`) that make a pair unfit to learn from. Views
of different brightness are not among them: nets can learn to bear that."""


@dataclass(frozen=True)
class Fit:
    """Which pairs can be learned from. kept: their indices. left_out: name and why of the rest.
    anchored: how many of the kept have a known disparity somewhere."""

    kept: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...]
    anchored: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many were left out for each reason, the most frequent first."""
        return dict(Counter(why.split(":")[0] for _, why in self.left_out).most_common())

    @property
    def first_unreadable(self) -> str | None:
        """Of pairs that could not be read: what the first one says, for no check would show it."""
        said = (f"{n}: {why}" for n, why in self.left_out if why.startswith("unreadable"))
        return next(said, None)

    def line(self, anchors: bool = True) -> str:
        """For people. anchors: say how many have some."""
        total = len(self.kept) + len(self.left_out)
        reasons = ", ".join(f"{why} {count}" for why, count in self.counts.items())
        known = f", {self.anchored} of them with anchors" if anchors and self.anchored else ""
        return f"pair check: {len(self.kept)} of {total} pairs are fit{known}" + (
            f"; left out: {reasons}" if reasons else ""
        )


def fit_pairs(
    names: Sequence[str],
    load: Callable[[int], Any],
    *,
    check: bool = True,
    lonely: Sequence[str] = (),
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> Fit:
    """Which pairs can be read and, if `check`, are pairs at all: each by itself, then all of one
    size together (`fathom.combine.check_folder`).

    load: the sample of an index; what it raises is why that one is left out. lonely: names of
    images without a partner. advance: told each name.

    Raises `UsageError` as `load` does.
    """
    looks = []
    for i, name in enumerate(names):
        advance(name)
        looks.append(_look(load, i, check))
    reasons = _together(looks)
    left_out = [(name, "no partner") for name in lonely]
    left_out += [(n, why) for n, why in zip(names, reasons, strict=True) if why is not None]
    kept = tuple(i for i, why in enumerate(reasons) if why is None)
    return Fit(kept, tuple(left_out), sum(looks[i].anchored for i in kept))


@dataclass(frozen=True, eq=False)
class _Look:
    """why: the frame cannot serve, or None. anchored: something is known of it. seen: by the check,
    with the size of the pair."""

    why: str | None = None
    anchored: bool = False
    size: tuple[int, int] = (0, 0)
    seen: Examination | None = None


def _look(load: Callable[[int], StereoSample], index: int, check: bool) -> _Look:
    try:
        sample: Any = load(index)
        if not isinstance(sample, StereoSample):
            return _Look("no pair: a single view")
        anchored = sample.truth is not None and bool(sample.truth.known.any())
        if not check:
            return _Look(anchored=anchored)
        pair = sample.pair
        seen = examine(pair.left, pair.right, pair.rig)
    except UsageError:
        raise  # what was typed is wrong, not this pair
    except FathomError as error:
        return _Look(f"unreadable: {error}")
    grave = next((f for f in seen.findings if f.code in REFUSED), None)
    return _Look(_words(grave), anchored, pair.size, lean(seen))


def _together(looks: Sequence[_Look]) -> list[str | None]:
    """Why each frame cannot serve, when all of one size are seen together."""
    reasons = [look.why for look in looks]
    sizes: dict[tuple[int, int], dict[int, Examination]] = {}
    for i, look in enumerate(looks):
        if look.seen is not None:
            sizes.setdefault(look.size, {})[i] = look.seen
    for size, seen in sizes.items():
        found = check_folder(tuple(seen.values()), size)
        for i, finding in zip(seen, found, strict=True):
            reasons[i] = reasons[i] or _words(finding)
    return reasons


def _words(finding: Finding | None) -> str | None:
    return None if finding is None else f"{finding.code}: {finding.message}"
