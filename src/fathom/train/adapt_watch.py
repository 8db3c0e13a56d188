"""Watching held-back frames without truth, and with it where there is some.

    labels          share of the pixels on which most looks of the unchanged model agree
                    (`combine.consensus`) that are missed by more than 1 px
    inconsistency   how badly both directions' maps and both images contradict each other, 0..1
                    (`fathom.eval.agreement.consistency_cost`); 1/2 is a map that knows nothing
    left-right      share of pixels whose match says otherwise by more than 1 px
    photometric     (1 - correlation) / 2 of 5x5 windows with the right image at the match, 0..1
    epe, bad-2      against the truth (LiDAR or a map), where a frame has some; unknown counts as
                    wrong, and as an error of its whole true disparity

Images are smoothed first (Gaussian of 1.5 px): on noisy ones the windows of right matches would
hardly be more alike than those of wrong ones.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.combine.consensus import both_ways, smoothed
from fathom.core.arrays import Array
from fathom.core.errors import FathomError, InputError, ResourceError
from fathom.core.estimator import StereoMatcher
from fathom.core.maps import Disparity
from fathom.core.sample import StereoSample
from fathom.eval.agreement import consistency_cost, window_correlation
from fathom.geometry.consistency import left_right_difference
from fathom.train.adapt_rule import ratio

SMOOTH = 1.5
AGREE = 1.0
BAD = 2.0
NUMBERS = ("epe", "bad-2", "labels", "inconsistency", "left-right", "photometric")


@dataclass(frozen=True)
class Seen:
    """A frame as it was judged. numbers: see this module. disparity: of the left view."""

    name: str
    numbers: dict[str, float]
    disparity: Disparity


def judge_frame(
    matcher: StereoMatcher, sample: StereoSample, labels: Disparity | None = None
) -> Seen:
    """What a matcher's two directions say of a frame. labels: what the unchanged model is sure of.

    Raises as the matcher does.
    """
    pair = sample.pair
    left, right = both_ways(matcher, pair)
    plain = smoothed(pair, SMOOTH)
    found = Disparity(left)
    difference = left_right_difference(left, right)
    alike = window_correlation(plain.left.gray8, plain.right.gray8, left)
    with np.errstate(invalid="ignore"):
        wrong = np.where(np.isnan(difference), True, difference > AGREE)
    unlike = np.where(np.isnan(alike), np.float32(0.5), (1 - alike) / 2)
    numbers = {
        "inconsistency": consistency_cost(found, Disparity(right), plain),
        "left-right": float(wrong.mean()),
        "photometric": float(unlike.mean(dtype=np.float64)),
    }
    if sample.truth is not None and sample.truth.known.any():
        e = _errors(left, sample.truth)
        numbers |= {"epe": float(e.mean(dtype=np.float64)), "bad-2": float((e > BAD).mean())}
    if labels is not None:
        numbers["labels"] = float((_errors(left, labels) > AGREE).mean())
    return Seen(sample.name, numbers, found)


def _errors(values: Array, truth: Disparity) -> Array:
    """|d - truth| where that is known; an unknown d counts as 0."""
    out: Array = np.abs(np.nan_to_num(values, nan=0.0) - truth.values)[truth.known]
    return out


def means(frames: Sequence[Seen]) -> dict[str, float]:
    """The means over the frames that have each number, in the order of `NUMBERS`."""
    out = {}
    for name in NUMBERS:
        values = [f.numbers[name] for f in frames if name in f.numbers]
        if values:
            out[name] = math.fsum(values) / len(values)
    return out


@dataclass(frozen=True)
class Watch:
    """Held-back frames on which adaptation is judged; a `fathom.train.experiment.Judge`.

    name: how its scores are called. samples: the frames. labels: what the unchanged model is sure
    of in each, as samples with a truth; None: not compared. before: the frames' numbers by the
    model as it was, to which `against before` compares.
    """

    name: str
    samples: Any
    labels: Any = None
    before: tuple[tuple[str, float], ...] = ()

    def data(self) -> Any:
        """The frames."""
        return self.samples

    def judged(
        self,
        matcher: StereoMatcher,
        notify: Callable[[str], None],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Seen] | None:
        """Every frame as the matcher sees it, in their order; None once `cancelled` says yes.

        Raises `InputError` if none can be judged; single ones that cannot are named.
        """
        seen: list[Seen] = []
        last = "no frame"
        for i in range(len(self.samples)):
            if cancelled():
                return None
            try:
                seen.append(judge_frame(matcher, self.samples[i], self._labels(i)))
            except ResourceError:
                raise  # a full disk, too little memory: no fault of the frame's
            except FathomError as error:
                last = str(error)
                notify(f"{self.name}: left out {last}")
        if not seen:
            raise InputError("no held-back frame can be judged", field=self.name, value=last)
        return seen

    def _labels(self, index: int) -> Disparity | None:
        try:
            found: Disparity | None = None if self.labels is None else self.labels[index].truth
        except InputError:  # sure nowhere
            return None
        return found

    def scores(self, seen: Sequence[Seen]) -> dict[str, float]:
        """`against before` first, which chooses what is kept, then the numbers themselves."""
        now = means(seen)
        return {"against before": ratio(now, dict(self.before)), **now}
