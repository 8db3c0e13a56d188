"""Clusters on a line."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fathom.geometry.modes import clusters

RNG = np.random.default_rng(3)


def normal(mean, count, sigma=0.3):
    return RNG.normal(mean, sigma, count)


def test_two_surfaces_are_two_clusters():
    found = clusters(np.concatenate([normal(40, 300), normal(20, 700)]).astype(np.float32))
    big = [c for c in found if c.share > 0.1]
    assert [c.share for c in big] == pytest.approx([0.7, 0.3])
    assert [c.peak for c in big] == pytest.approx([20, 40], abs=0.3)
    assert all(c.low < c.peak < c.high for c in big)


def test_a_slanted_surface_is_one_cluster():
    (found,) = clusters(RNG.uniform(20, 40, 20_000).astype(np.float32))
    assert found.share == 1


def test_pixel_locking_does_not_split_a_slanted_surface():
    d = RNG.uniform(20, 30, 20_000)
    (found,) = clusters((d - 0.12 * np.sin(2 * np.pi * d)).astype(np.float32))
    assert found.share == 1


def test_one_value_and_none():
    (found,) = clusters(np.array([5.0], np.float32))
    assert (found.share, found.peak) == (1, 5)
    assert clusters(np.array([], np.float32)) == []


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-500, 500, width=32)))
def test_every_value_belongs_to_one_cluster(values):
    found = clusters(values)
    assert sum(c.share for c in found) == pytest.approx(1)
    for before, after in pairwise(found):
        assert before.high <= after.low
    assert found[0].low <= values.min()
    assert found[-1].high >= values.max() - 1e-4
