"""Dynamic programming: the exact minimum of every row, with and without order and uniqueness."""

import mrf_twins as twins
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.energy import Weights
from fathom.classical.scanline import scanline_optimum
from fathom.core import UsageError

sizes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 3))


@settings(max_examples=30, deadline=None)
@given(size=sizes, seed=st.integers(0, 10**6), truncation=st.integers(1, 3))
def test_each_row_has_the_least_energy_of_all_labelings(size, seed, truncation):
    rng = np.random.default_rng(seed)
    data, weights = twins.problem(rng, *size)
    found = scanline_optimum(data, Weights(*weights), truncation)
    least = [twins.least_chain(d, w, truncation) for d, w in zip(data, weights[0], strict=True)]
    assert found.energies == (sum(least),)
    flat = [weights[0], np.zeros_like(weights[1])]
    assert twins.energy(found.labels, data, flat, truncation) == sum(least)


@settings(max_examples=50, deadline=None)
@given(size=sizes, seed=st.integers(0, 10**6), occlusion=st.integers(1, 80))
def test_each_row_has_the_least_cost_of_all_alignments(size, seed, occlusion):
    data, _ = twins.problem(np.random.default_rng(seed), *size)
    found = scanline_optimum(data, 1, 1, occlusion=occlusion)
    assert found.energies == (sum(twins.least_alignment(row, occlusion) for row in data),)
    costs = [
        twins.alignment(labels, row, occlusion)
        for labels, row in zip(found.labels, data, strict=True)
    ]
    assert None not in costs
    assert sum(costs) == found.energies[0]


def test_matches_are_in_order_and_one_to_one():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 100, (20, 60, 12)).astype(np.uint16)
    found = scanline_optimum(data, 1, 1, occlusion=30)
    for row in found.labels:
        x = np.flatnonzero(row >= 0)
        assert (np.diff(x - row[x]) >= 1).all()
        assert 0 < len(x) < 60


def test_a_step_in_depth_leaves_the_hidden_pixels_out():
    # label 2 left of x = 10, label 5 from x = 13 on: three pixels are seen by the left view only
    data = np.full((1, 24, 8), 50, np.uint16)
    data[0, :10, 2] = 0
    data[0, 13:, 5] = 0
    labels = scanline_optimum(data, 1, 1, occlusion=20).labels[0]
    assert labels.tolist() == [2] * 10 + [-1] * 3 + [5] * 11


def test_dear_matches_leave_everything_out():
    data = np.full((2, 5, 3), 100, np.uint16)
    found = scanline_optimum(data, 1, 1, occlusion=7)
    assert (found.labels == -1).all()
    assert found.energies == (70.0,)
    assert (found.margin == 0).all()


@pytest.mark.parametrize("occlusion", [None, 25])
def test_threads_do_not_change_a_bit(occlusion):
    rng = np.random.default_rng(2)
    data, weights = twins.problem(rng, 50, 31, 9)
    a, b = (
        scanline_optimum(data, Weights(*weights), 3, occlusion=occlusion, threads=n) for n in (1, 4)
    )
    assert a.energies == b.energies
    for name in ("labels", "offsets", "margin"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("occlusion", [0, 32001])
def test_a_bad_occlusion_cost_is_refused(occlusion):
    with pytest.raises(UsageError, match="occlusion"):
        scanline_optimum(np.zeros((2, 2, 2), np.uint16), 1, 1, occlusion=occlusion)
