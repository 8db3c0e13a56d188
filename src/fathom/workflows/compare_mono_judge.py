"""One method on one frame, in disparity and depth alike: scores, similarity, regions, boxes."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.core.maps import Depth, Disparity
from fathom.core.sample import MonoSample, StereoSample
from fathom.eval.measures import Measure
from fathom.eval.protocol import Protocol
from fathom.eval.protocols import protocol
from fathom.eval.regions import Box
from fathom.eval.scores import Scores
from fathom.eval.scoring import score_masks
from fathom.eval.similarity import Similarity, picture_similarity, structural_similarity
from fathom.eval.tally import Tally, Totals
from fathom.eval.windows import RegionRow, region_rows, worst_windows
from fathom.workflows.compare_mono_align import Placed
from fathom.workflows.compare_mono_frames import Frame
from fathom.workflows.compare_totals import Series

OFF = 0.25
"""Relative error of a depth above which a pixel is called wrong, near what delta < 1.25 asks."""
QUANTITIES = ("depth", "disparity")
SIMILARITIES = ("depth", "depth 8-bit", "disparity", "disparity 8-bit")


@cache
def rules(quantity: str, threshold: float) -> Protocol:
    """The protocol of a quantity. threshold: of bad pixels, in pixels of disparity."""
    if quantity == "depth":
        return protocol("fathom-depth").varied(
            metrics=(
                *("abs-rel", "delta-1", "delta-2", "delta-3", "rmse", "rmse-log", "silog"),
                *("log10", "sq-rel", "boundary-f1"),
            )
        )
    return protocol("fathom").varied(
        metrics=("epe", f"bad-{threshold:g}", "rms", "d1", "boundary-f1", "flying")
    )


@dataclass(frozen=True, eq=False)
class MonoVerdict:
    """Everything about one answer.

    task: "stereo" or "mono". placed: the maps and how they were aligned. seconds, memory_mb: of the
    call. scores: by quantity, one for each mask; empty without truth. similarity: by a name of
    `SIMILARITIES`. regions: by quantity. boxes: of the worst windows, in `judged_in`. judged_in:
    the quantity that errors are shown in, depth where it is known.
    """

    task: str
    placed: Placed
    seconds: float
    memory_mb: float | None
    scores: Mapping[str, tuple[Scores, ...]]
    similarity: Mapping[str, Similarity]
    regions: Mapping[str, tuple[RegionRow, ...]]
    boxes: tuple[Box, ...] = ()
    judged_in: str = "depth"


def judge_placed(
    task: str,
    at: Placed,
    frame: Frame,
    found: Mapping[str, Array],
    threshold: float,
    seconds: float,
    memory_mb: float | None,
) -> MonoVerdict:
    """Judges the maps of `at` against the frame's truth. found: the frame's regions. threshold:
    pixels above which a disparity is bad."""
    scores: dict[str, tuple[Scores, ...]] = {}
    similarity: dict[str, Similarity] = {}
    rows: dict[str, tuple[RegionRow, ...]] = {}
    boxes: tuple[Box, ...] = ()
    for quantity in reversed(QUANTITIES):
        estimate = at.depth if quantity == "depth" else at.disparity
        truth = frame.depth if quantity == "depth" else frame.disparity
        if estimate is None or truth is None or not truth.known.any():
            continue
        scores[quantity] = _scores(estimate, frame, rules(quantity, threshold))
        for name, how in (("", structural_similarity), (" 8-bit", picture_similarity)):
            # a truth that is constant or smaller than the window has no similarity
            with suppress(InputError):
                similarity[quantity + name] = how(estimate.values, truth.values)
        error = error_map(estimate.values, truth.values, quantity)
        limit = OFF if quantity == "depth" else threshold
        rows[quantity] = region_rows(error, truth.known, found, limit)
        boxes = worst_windows(error, truth.known, limit)
    judged_in = "depth" if "depth" in scores or not scores else "disparity"
    return MonoVerdict(task, at, seconds, memory_mb, scores, similarity, rows, boxes, judged_in)


def error_map(estimate: Array, truth: Array, quantity: str) -> Array:
    """|z - z_true| / z_true of depths, |d - d_true| in pixels of disparities; NaN unknown."""
    error: Array = np.abs(estimate - truth)
    return error / truth if quantity == "depth" else error


def _scores(estimate: Disparity | Depth, frame: Frame, chosen: Protocol) -> tuple[Scores, ...]:
    if isinstance(estimate, Depth):
        return score_masks(
            estimate, MonoSample(frame.view, frame.depth, frame.masks, frame.name), chosen
        )
    assert frame.pair is not None
    sample = StereoSample(frame.pair, frame.disparity, frame.masks, frame.name)
    return score_masks(estimate, sample, chosen)


class MonoTotals:
    """One method over the frames so far: sums and a few numbers each, never a map. numbers: what is
    kept of each frame; `series`, `mean` and `median` are theirs."""

    def __init__(self, task: str, threshold: float) -> None:
        self.task = task
        self.how: dict[str, int] = {}
        self.done = 0
        self.memory_mb: float | None = None
        self._threshold = threshold
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._regions: dict[tuple[str, str], list[float]] = {}
        self.numbers = Series()
        self.series, self.mean, self.median = (
            self.numbers.series, self.numbers.mean, self.numbers.median
        )  # fmt: skip

    def add(self, verdict: MonoVerdict | None) -> None:
        """Takes the next frame in; None where the method failed on it."""
        self.numbers.begin()
        if verdict is None:
            return
        self.done += 1
        self.how[verdict.placed.how] = self.how.get(verdict.placed.how, 0) + 1
        self.numbers.put("seconds", verdict.seconds)
        if verdict.memory_mb is not None:
            self.memory_mb = max(self.memory_mb or 0.0, verdict.memory_mb)
        for quantity, scores in verdict.scores.items():
            chosen = rules(quantity, self._threshold)
            for one in scores:
                key = (quantity, one.mask)
                self._tallies.setdefault(key, Tally(chosen, one.mask)).add(one)
            for name in (chosen.metrics[0], "boundary-f1", "flying"):
                if name in scores[0].values:
                    self.numbers.put(f"{quantity} {name}", scores[0].values[name])
            for row in verdict.regions[quantity]:
                if row.pixels:
                    self._add_region(quantity, row)
        for name, found in verdict.similarity.items():
            self.numbers.put(f"ssim {name}", found.score)
            self.numbers.put(f"ssim left out {name}", found.left_out)
            self.numbers.put(f"ssim range {name}", found.data_range)

    def _add_region(self, quantity: str, row: RegionRow) -> None:
        known = row.known * row.pixels
        error = row.error * known if known else 0.0
        new = (1.0, row.pixels, error, row.bad * row.pixels, known)
        sums = self._regions.setdefault((quantity, row.name), [0.0] * 5)
        self._regions[quantity, row.name] = [a + b for a, b in zip(sums, new, strict=True)]
        self.numbers.put(f"{quantity} region {row.name}", row.error)

    def masks(self, quantity: str) -> tuple[str, ...]:
        """The masks that were judged, in the protocol's order."""
        chosen = rules(quantity, self._threshold)
        return tuple(mask for mask in chosen.masks if (quantity, mask) in self._tallies)

    def totals(self, quantity: str, mask: str) -> Totals | None:
        """The protocol's numbers under a mask; None if no frame had it."""
        tally = self._tallies.get((quantity, mask))
        return None if tally is None else tally.totals()

    def regions(self, quantity: str) -> dict[str, RegionRow]:
        """Every region that any frame has, over the pixels of all frames."""
        found = {}
        whole = self._regions.get((quantity, "all"), [0.0] * 5)[1]
        for (what, name), (_, pixels, error, bad, known) in self._regions.items():
            if what == quantity:
                found[name] = RegionRow(
                    name,
                    int(pixels),
                    pixels / whole,
                    error / known if known else math.nan,
                    bad / pixels,
                    known / pixels,
                )
        return found

    @property
    def aligned(self) -> str:
        """How the answers were aligned, in words; all ways where frames differ."""
        return "; ".join(self.how) or "-"


def headline(totals: Mapping[str, MonoTotals]) -> tuple[str, Measure] | None:
    """What methods are ranked by: AbsRel where depths were judged, else EPE; None without truth."""
    for quantity in QUANTITIES:
        measure = rules(quantity, 2.0).measures[0]
        key = f"{quantity} {measure.name}"
        if any(np.isfinite(t.series(key)).any() for t in totals.values()):
            return key, measure
    return None
