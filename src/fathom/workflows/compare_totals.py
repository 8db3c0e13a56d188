"""What a comparison adds up, sample by sample: sums and a few numbers each, never a map."""

import math
import typing
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array
from fathom.eval.protocol import Protocol
from fathom.eval.tally import Tally, Totals
from fathom.workflows.compare_judge import Verdict

_RESAMPLES = 2000
LEAST_PAIRS = 5
"""Pairs below which nothing is said about noise: a bootstrap of so few says little."""
CONSISTENCY = ("cost", "photometric", "disagree", "measured")


@dataclass(frozen=True)
class RegionTotal:
    """One method in one region, over the pixels of all samples. samples: those that have pixels in
    it. bad: share 0..1 off by more than the threshold or unknown. epe: pixels. known: 0..1."""

    samples: int
    pixels: int
    bad: float
    epe: float
    known: float


@dataclass(frozen=True)
class Difference:
    """How far one method's mean lies above another's. low, high: 95 % interval over the samples;
    None where there are fewer than `LEAST_PAIRS`."""

    mean: float
    samples: int
    low: float | None
    high: float | None

    @property
    def certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@typing.runtime_checkable
class HasSeries(typing.Protocol):
    """Whatever keeps a number of every sample."""

    @property
    def series(self) -> Callable[[str], Array]: ...


@typing.runtime_checkable
class HasMedians(typing.Protocol):
    """Whatever tells the median of a number over the samples."""

    @property
    def median(self) -> Callable[[str], float | None]: ...


class Series:
    """Numbers of the samples so far by name, each in the samples' order."""

    def __init__(self) -> None:
        self._numbers: dict[str, array[float]] = {}
        self._count = 0

    def begin(self) -> None:
        """The next sample begins: what is put from here on is its."""
        self._count += 1

    def put(self, key: str, value: float) -> None:
        """A number of the sample that has begun."""
        series = self._numbers.setdefault(key, array("d"))
        series.extend([math.nan] * (self._count - 1 - len(series)))
        series.append(value)

    def series(self, key: str) -> Array:
        """A number of every sample in their order, NaN where there is none."""
        values = np.full(self._count, np.nan)
        found = self._numbers.get(key)
        if found is not None:
            values[: len(found)] = found
        return values

    def mean(self, key: str) -> float | None:
        """The mean of the samples that have the number; None where none has."""
        values = self.series(key)
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else None

    def median(self, key: str) -> float | None:
        """The median of the samples that have the number; None where none has."""
        values = self.series(key)
        values = values[np.isfinite(values)]
        return float(np.median(values)) if values.size else None


class MethodTotals:
    """One method over the samples so far. numbers: what is kept of each; `series`, `mean` and
    `median` are theirs."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._tallies: dict[str, Tally] = {}
        self._regions: dict[str, list[float]] = {}
        self.numbers = Series()
        self.series, self.mean, self.median = (
            self.numbers.series, self.numbers.mean, self.numbers.median
        )  # fmt: skip
        self.done = 0
        self.memory_mb: float | None = None

    def add(self, verdict: Verdict | None) -> None:
        """Takes the next sample in; None where the method failed on it. Every method of a
        comparison is given every sample, so that their numbers can be paired."""
        self.numbers.begin()
        if verdict is None:
            return
        self.done += 1
        self.numbers.put("seconds", verdict.run.seconds)
        self.numbers.put("pixels", float(verdict.disparity.values.size))
        if verdict.run.memory_mb is not None:
            self.memory_mb = max(self.memory_mb or 0.0, verdict.run.memory_mb)
        for scores in verdict.scores:
            tally = self._tallies.setdefault(scores.mask, Tally(self._protocol, scores.mask))
            tally.add(scores)
        if verdict.scores:
            first = verdict.scores[0]
            self.numbers.put("headline", first.values[self._protocol.metrics[0]])
        for row in verdict.regions:
            sums = self._regions.setdefault(row.name, [0.0] * 5)
            if row.pixels:
                known = row.known * row.pixels
                error = row.epe * known if known else 0.0
                new = (1.0, row.pixels, row.bad * row.pixels, error, known)
                self._regions[row.name] = [a + b for a, b in zip(sums, new, strict=True)]
                self.numbers.put(f"region {row.name}", row.bad)
        if verdict.similarity is not None:
            self.numbers.put("ssim", verdict.similarity.score)
            self.numbers.put("ssim range", verdict.similarity.data_range)
            self.numbers.put("ssim left out", verdict.similarity.left_out)
        if verdict.consistency is not None:
            for name in CONSISTENCY:
                self.numbers.put(name, getattr(verdict.consistency, name))

    def masks(self) -> tuple[str, ...]:
        """The masks that were judged, in the protocol's order."""
        return tuple(mask for mask in self._protocol.masks if mask in self._tallies)

    def totals(self, mask: str) -> Totals | None:
        """The protocol's numbers under a mask; None if no sample had it."""
        tally = self._tallies.get(mask)
        return None if tally is None else tally.totals()

    def regions(self) -> dict[str, RegionTotal]:
        """Every region that any sample has."""
        found = {}
        for name, (samples, pixels, wrong, error, known) in self._regions.items():
            found[name] = RegionTotal(
                int(samples),
                int(pixels),
                wrong / pixels if pixels else math.nan,
                error / known if known else math.nan,
                known / pixels if pixels else math.nan,
            )
        return found


def difference(a: Array, b: Array) -> Difference | None:
    """How far the mean of `a` lies above that of `b`, over the samples that both have.

    The interval is that of a bootstrap over samples (Efron, "Bootstrap methods", Annals of
    Statistics 1979; 2.5 and 97.5 percentile of 2000 means, fixed seed). None without a common
    sample.
    """
    both = np.isfinite(a) & np.isfinite(b)
    apart = (a - b)[both]
    count = int(apart.size)
    if count == 0:
        return None
    mean = float(apart.mean())
    if count < LEAST_PAIRS:
        return Difference(mean, count, None, None)
    rng = np.random.default_rng(0)
    means = np.array([apart[rng.integers(0, count, count)].mean() for _ in range(_RESAMPLES)])
    low, high = np.percentile(means, (2.5, 97.5))
    return Difference(mean, count, float(low), float(high))


def ranked(totals: Mapping[str, HasSeries], key: str, sign: int = 1) -> Sequence[str]:
    """Labels in the order of their means, best first; those without the number are left out.

    sign: 1 if smaller is better, -1 if larger. Only samples that all methods have count, so that
    nobody gains by failing where it is hard; if there are none, each method's own.
    """
    table = {label: t.series(key) for label, t in totals.items()}
    table = {label: values for label, values in table.items() if np.isfinite(values).any()}
    if not table:
        return []
    common = np.logical_and.reduce([np.isfinite(values) for values in table.values()])
    means = {
        label: float(values[common if common.any() else np.isfinite(values)].mean())
        for label, values in table.items()
    }
    return sorted(means, key=lambda label: sign * means[label])
