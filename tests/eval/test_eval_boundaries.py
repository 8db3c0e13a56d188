"""Depth edges and flying pixels, by hand and against slow twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import InputError, UsageError
from fathom.eval.boundaries import THRESHOLDS, boundary_f1, depth_edges, flying, window_extremes

NAN = np.nan


def step(width=20, at=10, low=10.0, high=20.0):
    out = np.full((8, width), low, np.float32)
    out[:, at:] = high
    return out


def test_f1_by_hand():
    truth = step()
    # Only one of the four directions has edges; the others count 0, so that 1/4 is all there is.
    assert boundary_f1(truth, truth) == pytest.approx(0.25)
    assert boundary_f1(step(at=11), truth) == 0  # one pixel beside is not met
    assert boundary_f1(np.full_like(truth, 10), truth) == 0
    assert boundary_f1(3 * truth, truth) == pytest.approx(0.25)  # blind to scale
    assert boundary_f1(truth, np.full_like(truth, NAN)) == 0
    half = truth.copy()
    half[4:] = 10
    # met in half the rows: recall 1/8 (of the four directions), precision 1/4, and one edge
    # along the column that the truth does not have
    assert boundary_f1(half, truth) == pytest.approx(2 * 0.125 * 0.25 / 0.375)


def f1_twin(estimate, truth, mask):
    total = 0.0
    for t in THRESHOLDS:
        precision, recall = [], []
        for axis, flip in ((0, 0), (0, 1), (1, 0), (1, 1)):
            met = found = there = 0
            h, w = truth.shape
            for y in range(h - (axis == 0)):
                for x in range(w - (axis == 1)):
                    p, q = (y, x), (y + (axis == 0), x + (axis == 1))
                    if not (mask[p] and mask[q]) or np.isnan(truth[p]) or np.isnan(truth[q]):
                        continue
                    if flip:
                        p, q = q, p
                    a = max(float(estimate[q]), 1e-6) > t * max(float(estimate[p]), 1e-6)
                    if np.isnan(estimate[p]) or np.isnan(estimate[q]):
                        a = False
                    b = max(float(truth[q]), 1e-6) > t * max(float(truth[p]), 1e-6)
                    met, found, there = met + (a and b), found + a, there + b
            precision.append(met / max(found, 1))
            recall.append(met / max(there, 1))
        p, r = np.mean(precision), np.mean(recall)
        total += t * (2 * p * r / (p + r) if p + r else 0)
    return total / sum(THRESHOLDS)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_f1_equals_its_twin(seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 1.6, (7, 9)).astype(np.float32)
    found = (truth * rng.uniform(0.9, 1.1, truth.shape)).astype(np.float32)
    found[rng.random(found.shape) < 0.1] = NAN
    truth[rng.random(found.shape) < 0.1] = NAN
    found[0, 0] = -1
    mask = rng.random(found.shape) < 0.9
    assert boundary_f1(found, truth, mask) == pytest.approx(f1_twin(found, truth, mask))


def test_edges_and_what_flies_beside_them():
    truth = step()
    edges = depth_edges(truth, 2, 5)
    assert edges[:, 8:12].all()
    assert not edges[:, :8].any()
    assert not edges[:, 12:].any()
    found = truth.copy()
    found[3, 9] = 15  # between both surfaces
    found[4, 9] = 20  # on the wrong one: an error, but it hangs nowhere
    found[5, 2] = 15  # wrong, but no step near
    found[6, 9] = 9  # behind both
    hanging, beside = flying(found, truth)
    assert np.argwhere(hanging).tolist() == [[3, 9]]
    np.testing.assert_array_equal(beside, edges)
    truth[3, 9] = NAN
    hanging, beside = flying(found, truth)
    assert not hanging.any()
    assert not beside[3, 9]


def test_a_thin_thing_in_the_truth_does_not_fly():
    truth = step()
    truth[:, 5] = 15
    hanging, _ = flying(truth, truth)
    assert not hanging.any()


def test_extremes_skip_what_is_unknown():
    values = np.array([[1, NAN, 3, NAN, NAN, NAN]], np.float32)
    low, high = window_extremes(values, 3)
    np.testing.assert_array_equal(low[0, :4], [1, 1, 3, 3])
    np.testing.assert_array_equal(high[0, :4], [1, 3, 3, 3])
    assert low[0, 4] > high[0, 4]


def test_what_cannot_be_compared(unchecked):
    truth = step()
    for call in (boundary_f1, flying):
        with pytest.raises(InputError, match="size"):
            call(truth[1:].copy(), truth)
    with pytest.raises(UsageError, match="side = 4"):
        depth_edges(truth, 2, 4)
