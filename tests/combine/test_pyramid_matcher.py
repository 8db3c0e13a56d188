"""From coarse to fine around any matcher: as good as the whole, and nothing lost in silence."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import fathom
from fathom.combine.pyramid import Pyramid
from fathom.combine.tiles import Tiled
from fathom.core import Disparity, ResourceError, Source, StereoPair, UsageError, View
from fathom.data.samples import motorcycle
from fathom.geometry.resize import crop_pair


def smooth_noise(height, width, seed=0, cell=6):
    """A texture that is still there at a quarter of the size."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // cell + 2, width // cell + 2, 3)).astype(np.uint8)
    large = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = rng.integers(-25, 26, large.shape)
    return np.clip(large + fine, 0, 255).astype(np.uint8)


def scene(pole=0, height=136, width=420, back=6, near=70):
    """A wall at `back` px, before it a pole so many pixels wide at `near` px; its columns."""
    wall = smooth_noise(height, width + 200, 1)
    left, right = wall[:, 100 : 100 + width].copy(), wall[:, 100 + back : 100 + back + width].copy()
    columns = slice(300, 300 + pole)
    if pole:
        bar = smooth_noise(height, max(pole, 2), 2, cell=2)[:, :pole]
        left[:, columns] = bar
        right[:, 300 - near : 300 - near + pole] = bar
    return StereoPair(View(left), View(right)), columns


def test_as_good_as_the_whole_on_a_real_pair():
    sample = motorcycle()
    pair = crop_pair(sample.pair, 200, 150, 400, 160)
    truth = sample.truth.values[150:310, 200:600]
    matcher = fathom.create("sgm", max_disparity=64)
    whole, found = matcher(pair), Pyramid(matcher, size=(160, 96)).run(pair)
    known = np.isfinite(truth)
    bad = [(~(np.abs(d.values - truth)[known] <= 2)).mean() for d in (whole, found.disparity)]
    assert bad[1] <= bad[0] + 0.003
    assert (np.abs(found.disparity.values - whole.values) <= 0.5).mean() > 0.99
    assert found.disparity.range == whole.range
    assert found.disparity.known.all() and found.disparity.confidence is not None


@dataclass(frozen=True)
class Counting:
    """A matcher that notes what it is asked to search."""

    matcher: object
    searched: list
    min_disparity: int = 0
    max_disparity: int | None = None
    fill: bool = True
    most: int | None = None

    def _inner(self):
        return replace(
            self.matcher,
            min_disparity=self.min_disparity,
            max_disparity=self.max_disparity,
            fill=self.fill,
        )

    def __call__(self, pair, /):
        levels = self.max_disparity - self.min_disparity
        assert self.most is None or levels <= self.most
        self.searched.append(levels)
        return self._inner()(pair)

    def needs(self, pair):
        return replace(self._inner().needs(pair), most=self.most)


def counting(most=None, end=100, name="census", **own):
    return Counting(fathom.create(name, **own), [], max_disparity=end, most=most)


def test_parts_search_what_the_reduced_map_shows():
    pair, _ = scene()
    matcher = counting()
    found = Pyramid(matcher, factor=2, size=(128, 128)).run(pair)
    assert max(matcher.searched[1:]) <= 40 < matcher.searched[0]
    inner = found.disparity.values[:, 110:]
    assert (np.abs(inner - 6) <= 0.5).mean() > 0.98
    assert found.disparity.range == (0, 99)


def test_a_range_of_any_sign():
    pair, _ = scene(back=-12)
    matcher = replace(counting(end=40), min_disparity=-30)
    found = Pyramid(matcher, factor=2, size=(128, 128)).run(pair).disparity
    assert (np.abs(found.values[:, 20:-40] + 12) <= 0.5).mean() > 0.98
    assert found.range == (-30, 39)


def wrongly_sure(found, truth, tolerance=1):
    """Where a value is sold as matched and likely, and is not right."""
    sold = (found.source == Source.MATCHED) & (found.confidence >= 0.5)
    return sold & (np.abs(found.values - truth) > tolerance)


def test_a_pole_that_the_reduced_map_does_not_show_is_found_again():
    pair, columns = scene(pole=9, height=260)
    matcher, told = counting(window=5), []
    found = Pyramid(matcher, factor=4, size=(128, 128)).run(pair, told.append).disparity
    whole = matcher._inner()(pair)
    right = [(np.abs(d.values[:, columns] - 70) <= 1).mean() for d in (whole, found)]
    assert right[0] > 0.5 and right[1] > right[0] - 0.2
    silent = wrongly_sure(found, 70) & ~wrongly_sure(whole, 70)
    assert silent[:, columns].mean() < 0.03
    assert "had missed something" in told[-1]


def test_without_searching_again_the_pole_is_still_no_match(monkeypatch):
    monkeypatch.setattr("fathom.combine.pyramid._LOST", 10**9)
    pair, columns = scene(pole=9, height=260)
    found = Pyramid(counting(window=5), factor=4, size=(128, 128)).run(pair).disparity
    assert (np.abs(found.values[:, columns] - 70) > 1).mean() > 0.5
    assert wrongly_sure(found, 70)[:, columns].mean() < 0.2


def test_a_range_wider_than_the_matcher_can_search_is_reached_by_reduction():
    pair, _ = scene(back=70)
    matcher = counting(most=40, end=120)
    found = Pyramid(matcher, size=(128, 128)).run(pair)
    assert max(matcher.searched) <= 40
    assert (np.abs(found.disparity.values[:, 110:] - 70) <= 0.5).mean() > 0.97
    assert found.disparity.range == (0, 119)
    # only beyond the left border of the right view the reduced map is all there is
    assert (found.disparity.source[:, 150:] == Source.MATCHED).mean() > 0.9


def test_where_a_part_holds_more_than_can_be_searched_the_reduced_values_stand_as_filled():
    pair, _ = scene(pole=60)
    matcher = counting(most=36, end=120, confidence=True)
    told = Pyramid(matcher, size=(128, 128)).run(pair)
    assert "have the values of the reduced map" in told.notes[0]
    found = told.disparity
    left = np.zeros(found.shape, bool)
    left[:, 290:370] = True
    stands = found.source == Source.FILLED
    assert stands[left].mean() > 0.5 and stands[:, 120:220].mean() < 0.2
    assert found.confidence[:, 300:360][stands[:, 300:360]].max() < 0.85
    assert (np.abs(found.values[:, 310:350] - 70) <= 8).mean() > 0.8


def test_a_range_that_no_reduction_brings_within_reach():
    pair, _ = scene()
    with pytest.raises(UsageError, match="120 disparities are more than the 8"):
        Pyramid(counting(most=8, end=120))(pair)
    with pytest.raises(UsageError, match="4 or more"):
        Pyramid(counting(most=40, end=120), factor=2)(pair)


def test_an_unsure_reduced_map_means_the_whole_range():
    rng = np.random.default_rng(0)
    views = [View(rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)) for _ in range(2)]
    matcher, told = counting(end=80), []
    Pyramid(matcher, factor=2, size=(160, 128)).run(StereoPair(*views), told.append)
    assert set(matcher.searched[1:]) == {80}
    assert "the whole range was searched in" in told[-1]


def test_a_small_pair_is_matched_in_tiles():
    pair, _ = scene(height=70, width=110)
    matcher = fathom.create("sad", max_disparity=16)
    np.testing.assert_array_equal(Pyramid(matcher)(pair).values, Tiled(matcher)(pair).values)


def test_little_memory_makes_small_parts():
    pair, _ = scene()
    matcher = fathom.create("sgm", max_disparity=64)
    one = Pyramid(matcher, memory="200MB", factor=2).run(pair)
    many = Pyramid(matcher, memory="6MB", factor=2).run(pair)
    assert len(many.parts) > len(one.parts)
    assert (np.abs(one.disparity.values - many.disparity.values) <= 0.5).mean() > 0.98
    with pytest.raises(ResourceError, match="smallest tiles"):
        Pyramid(matcher, memory="2MB", factor=2).run(pair)


def test_values_at_the_end_of_a_part_s_range_are_not_believed(monkeypatch):
    monkeypatch.setattr("fathom.combine.pyramid._LOST", 10**9)
    pair, _ = scene()
    for fill in (False, True):
        asked = Ends(fill=fill)
        found = Pyramid(asked, factor=2, size=(128, 128)).run(pair).disparity
        inner = found.source[:, 250:]
        assert (inner == Source.MATCHED).mean() < 0.2
        assert (inner == (Source.FILLED if fill else Source.UNKNOWN)).mean() > 0.8


@dataclass(frozen=True)
class Ends:
    """Says 20 px at the reduced size, and at full size always the end of what is searched."""

    fill: bool = True
    min_disparity: int = 0
    max_disparity: int | None = 100

    def __call__(self, pair, /):
        small = self.min_disparity == 0 and self.max_disparity < 60 and pair.shape[0] == 68
        value = 20.0 if small else float(self.max_disparity - 1)
        values = np.full(pair.shape, value, np.float32)
        return Disparity(values, np.full(pair.shape, 0.9, np.float32))


def test_what_cannot_be_meant():
    matcher = fathom.create("sad")
    for wrong in ({"factor": 1}, {"factor": 65}, {"size": (8, 8)}, {"memory": "much"}):
        with pytest.raises(UsageError):
            Pyramid(matcher, **wrong)
