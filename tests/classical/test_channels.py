"""The evidence of semi-global matching as channels of a net."""

import numpy as np
import pytest

from fathom.classical.channels import CHANNELS, evidence_channels, pair_channels
from fathom.classical.sgm import SGM, SgmEvidence, sgm_evidence
from fathom.core import StereoPair, UsageError, View


@pytest.fixture(scope="module")
def pair():
    """Random dots at 5 px on the left half, 9 on the right one."""
    rng = np.random.default_rng(0)
    right = rng.integers(0, 255, (40, 96), dtype=np.uint8)
    place = np.arange(96) - np.where(np.arange(96) < 48, 5, 9)
    left = right[:, np.clip(place, 0, 95)]
    return StereoPair(*(View(np.repeat(v[..., None], 3, axis=2)) for v in (left, right)))


def test_by_hand():
    """A single column of numbers, spread over a map so that the median changes none of them."""

    def whole(value, kind):
        return np.full((5, 6), value, kind)

    evidence = SgmEvidence(
        disparity=whole(12.5, np.float32),
        best=whole(99, np.uint16),
        margin=whole(300, np.uint16),
        difference=whole(0.5, np.float32),
        range=(4, 67),
        paths=8,
    )
    found = evidence_channels(evidence)
    assert found.shape == (CHANNELS, 5, 6) and found.dtype == np.float32
    assert found[:4, 2, 3].tolist() == pytest.approx(
        [8.5, evidence.confidence()[2, 3], np.exp(-0.5), 300 / (300 + 99 + 1)]
    )


def test_a_match_outside_the_right_view_and_no_lead_at_all():
    flat = np.zeros((3, 3), np.float32)
    zero = np.zeros((3, 3), np.uint16)
    found = evidence_channels(SgmEvidence(flat, zero, zero, flat * np.nan, (0, 15), 4))
    assert (found[2] == 0).all() and (found[3] == 0).all() and np.isfinite(found).all()


def test_a_single_wrong_pixel_is_smoothed_away():
    values = np.full((5, 5), 7, np.float32)
    values[2, 2] = 60
    ones = np.ones((5, 5), np.uint16)
    found = evidence_channels(SgmEvidence(values, ones, ones, values * 0, (0, 63), 8))
    assert (found[0] == 7).all()


def test_of_a_real_match(pair):
    settings = SGM(max_disparity=16)
    found = pair_channels(pair, settings)
    np.testing.assert_array_equal(found, evidence_channels(sgm_evidence(pair, settings), settings))
    assert np.isfinite(found).all()
    assert (found[0] >= 0).all() and (found[0] <= 15).all()
    whole = settings(pair)
    np.testing.assert_array_equal(found[4], whole.values)
    np.testing.assert_array_equal(found[5], whole.confidence)
    certain = found[[1, 2, 3, 5]]
    assert ((certain >= 0) & (certain <= 1)).all()
    inside = found[:, 8:-8, 16:36]
    assert np.abs(inside[0] - 5).mean() < 0.1 and inside[1].mean() > 0.8
    assert inside[2].mean() > 0.8 and inside[3].mean() > 0.5
    assert found[2][:, :3].mean() < 0.3  # what the right camera cannot see


def test_counted_from_the_first_disparity_searched(pair):
    from_two = pair_channels(pair, SGM(min_disparity=2, max_disparity=16))
    assert np.abs(from_two[0][8:-8, 16:36] - 3).mean() < 0.1


def test_the_same_for_any_number_of_threads(pair):
    one, two = (pair_channels(pair, SGM(max_disparity=16, threads=n)) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_a_range_that_cannot_be(pair):
    with pytest.raises(UsageError):
        pair_channels(pair, SGM(min_disparity=8, max_disparity=8))
