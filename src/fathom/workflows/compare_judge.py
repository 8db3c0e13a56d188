"""One method on one sample: what it scores, where it fails, and whether it agrees with itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair
from fathom.core.sample import StereoSample
from fathom.eval.agreement import consistency_cost, window_correlation
from fathom.eval.protocol import Protocol
from fathom.eval.regions import Box, RegionError, region_errors, regions, worst_boxes
from fathom.eval.scores import Scores
from fathom.eval.scoring import score_masks
from fathom.eval.similarity import Similarity, structural_similarity
from fathom.geometry.consistency import left_right_difference
from fathom.workflows.compare_cases import Loaded, dense, without_unseen
from fathom.workflows.compare_methods import Matcher, Run

AGREE = 1.0
"""Pixels by which the right view's map may differ from the left one's and still agree."""


@dataclass(frozen=True, eq=False)
class Consistency:
    """How a method agrees with itself and with the images, without truth; filled pixels are left
    out throughout.

    cost: `agreement.consistency_cost`, 0..1. photometric: mean correlation -1..1 of the 5x5 windows
    at the match. disagree: share 0..1 of the pixels known in both maps that differ by more than
    `AGREE` px. measured: share of the pixels with a measured value. alike, difference: the maps.
    """

    cost: float
    photometric: float
    disagree: float
    measured: float
    alike: Array
    difference: Array


@dataclass(frozen=True, eq=False)
class Verdict:
    """Everything about one map. scores: one for each mask, empty without truth; regions, boxes and
    similarity as well."""

    run: Run
    scores: tuple[Scores, ...] = ()
    regions: tuple[RegionError, ...] = ()
    boxes: tuple[Box, ...] = ()
    similarity: Similarity | None = None
    consistency: Consistency | None = None

    @property
    def disparity(self) -> Disparity:
        """The map."""
        return self.run.disparity


def regions_of(sample: StereoSample) -> dict[str, Array]:
    """The regions of a sample; without those that a sparse truth cannot tell. Empty without truth.

    What is thin or hidden follows from the truth around a pixel, and edges from its neighbours.
    """
    if sample.truth is None:
        return {}
    found = regions(sample)
    if not dense(sample.truth):
        for name in ("edges", "thin", *(() if "nonocc" in sample.masks else ("occluded",))):
            found.pop(name)
    return found


def judge(
    run: Run,
    right: Matcher | None,
    loaded: Loaded,
    found: Mapping[str, Array],
    protocol: Protocol,
    threshold: float,
) -> Verdict:
    """Judges the map of `run`. right: the method to ask for the right view's map; None leaves out
    consistency. found: the sample's regions. threshold: pixels above which an error is bad.

    Raises `InputError` for a map of another size, and what the method raises.
    """
    sample = loaded.sample
    if run.disparity.shape != sample.pair.shape:
        raise InputError(
            "the method's map differs in size from the pair",
            field="map",
            value=run.disparity.shape,
            expected=str(sample.pair.shape),
        )
    disparity = without_unseen(run.disparity, loaded.unseen)
    run = Run(disparity, run.seconds, run.memory_mb)
    agreed = None if right is None else _consistency(disparity, right, sample.pair)
    if sample.truth is None:
        return Verdict(run, consistency=agreed)
    return Verdict(
        run,
        score_masks(disparity, sample, protocol),
        region_errors(disparity, sample.truth, found, threshold),
        worst_boxes(disparity, sample.truth, threshold=threshold),
        _similarity(disparity, sample.truth),
        agreed,
    )


def _similarity(disparity: Disparity, truth: Disparity) -> Similarity | None:
    """SSIM with the truth's own range; None for a truth that is constant or smaller than the
    window, which has none."""
    try:
        return structural_similarity(disparity.values, truth.values)
    except InputError:
        return None


def _consistency(disparity: Disparity, matcher: Matcher, pair: StereoPair) -> Consistency:
    left = _measured(disparity)
    mirrored = _measured(matcher(pair.mirrored()))
    right = Disparity(np.ascontiguousarray(mirrored.values[:, ::-1]))
    alike = window_correlation(pair.left.gray8, pair.right.gray8, left.values)
    difference = left_right_difference(left.values, right.values)
    both = ~np.isnan(difference)
    return Consistency(
        consistency_cost(left, right, pair),
        _mean(alike[~np.isnan(alike)]),
        _mean((difference > AGREE)[both]),
        float(left.known.mean()),
        alike,
        difference,
    )


def _measured(disparity: Disparity) -> Disparity:
    return Disparity(np.where(disparity.measured, disparity.values, np.float32(np.nan)))


def _mean(values: Array) -> float:
    return float(values.mean(dtype=np.float64)) if values.size else float("nan")
