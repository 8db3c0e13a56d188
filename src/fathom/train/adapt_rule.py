"""When adaptation is better, when it stops, and when it is rolled back: plain numbers, no torch.

Held-back frames are watched by several numbers, all better when smaller (`train.adapt_watch`). Some
of them decide (`deciding`): one number made of these says what a state is worth against the one
before (`ratio`). What is kept has improved by it (`Rule.improved`) and is worse in none of those
that decide; or nothing is kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fathom.core.errors import UsageError

WITH_TRUTH = ("epe", "bad-2")
WITHOUT = ("labels", "inconsistency")
"""The numbers that decide where held-back frames have a truth, and where none has."""
KNOWN_NOTHING = 0.5
"""The inconsistency of a map that knows nothing (`fathom.eval.agreement.consistency_cost`)."""


@dataclass(frozen=True)
class Rule:
    """least: share by which a state has to be better for its weights to be kept. patience:
    judgements in a row without a new best after which it stops. diverged: ratio at which it stops
    at once.

    Raises `UsageError` for a share outside 0..1, a patience below 1, or a `diverged` up to 1.
    """

    least: float = 0.01
    patience: int = 4
    diverged: float = 1.5

    def __post_init__(self) -> None:
        if not (0 <= self.least < 1 and self.patience >= 1 and self.diverged > 1):
            raise UsageError(
                "is no rule to stop by",
                field="least, patience, diverged",
                value=f"{self.least}, {self.patience}, {self.diverged}",
                expected="0 <= least < 1, patience >= 1, diverged > 1",
            )

    def __call__(self, ratios: Sequence[float]) -> str | None:
        """Why it should stop after these judgements, the first one before any step; None: go on."""
        if not ratios:
            return None
        if not ratios[-1] < self.diverged:
            return f"diverging: {_words(ratios[-1])} of what it was before"
        since = len(ratios) - 1 - min(range(len(ratios)), key=ratios.__getitem__)
        if since >= self.patience:
            return f"no better for {since} judgements in a row"
        return None

    def improved(self, ratio: float) -> bool:
        """Whether weights of that ratio are kept; if not, everything stays as it was."""
        return ratio < 1 and ratio <= 1 - self.least


def deciding(before: Mapping[str, float]) -> tuple[str, ...]:
    """Which of the watched numbers decide: those of the truth alone, where there is some."""
    return tuple(n for n in (WITH_TRUTH if WITH_TRUTH[0] in before else WITHOUT) if n in before)


def ratio(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    """What a state is worth against the one before: below 1 it is better, inf if a number is none.

    With a truth it is what `epe` is against before; without, the geometric mean of what `labels`
    and `inconsistency` are. Whatever that says, a state is worth 1 at best if a number that decides
    (`bad-2` too) is worse than before by however little, or if without a truth its inconsistency is
    1/2 or more, which a map that knows nothing has.
    """
    names = deciding(before)
    pairs = [(now.get(name, math.nan), before[name]) for name in names]
    if not pairs or not all(math.isfinite(value) for pair in pairs for value in pair):
        return math.inf
    truth = names[0] == WITH_TRUTH[0]
    shares = [new / old if old else 1.0 for new, old in (pairs[:1] if truth else pairs)]
    mean = math.prod(shares) ** (1 / len(shares))
    hopeless = not truth and not now.get("inconsistency", 1.0) < KNOWN_NOTHING
    worse = any(new > old for new, old in pairs)
    return max(mean, 1.0) if hopeless or worse else mean


def _words(value: float) -> str:
    return f"{value:.2f} times" if math.isfinite(value) else "no number instead"
