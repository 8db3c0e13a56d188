"""KITTI's filling against a slow twin of the devkit's rule, and enlarging by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import InputError
from fathom.eval.interpolation import enlarge, fill_background

NAN = np.nan


def test_by_hand():
    values = np.array(
        [[NAN] * 5, [NAN, 4, NAN, 2, NAN], [NAN] * 5, [7, NAN, NAN, 9, 1]], np.float32
    )
    expected = [[4, 4, 2, 2, 2], [4, 4, 2, 2, 2], [NAN] * 5, [7, 7, 7, 9, 1]]
    np.testing.assert_array_equal(fill_background(values), np.array(expected, np.float32))
    nothing = np.full((2, 3), NAN, np.float32)
    assert np.isnan(fill_background(nothing)).all()


def twin(values):
    """Row by row: gaps take the smaller end, borders the one they touch; then columns' ends."""
    out = values.copy()
    height, width = out.shape
    for row in out:
        known = [x for x in range(width) if not np.isnan(row[x])]
        for a, b in pairwise(known):
            row[a + 1 : b] = min(row[a], row[b])
        if known:
            row[: known[0]], row[known[-1] + 1 :] = row[known[0]], row[known[-1]]
    for column in out.T:
        known = [y for y in range(height) if not np.isnan(column[y])]
        if known:
            column[: known[0]], column[known[-1] + 1 :] = column[known[0]], column[known[-1]]
    return out


@settings(max_examples=60, deadline=None)
@given(h=st.integers(1, 6), w=st.integers(1, 8), share=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_equals_its_twin(h, w, share, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 9, (h, w)).astype(np.float32)
    values[rng.random((h, w)) < share] = NAN
    np.testing.assert_array_equal(fill_background(values), twin(values))


def test_enlarging_repeats_pixels_and_scales_values():
    small = np.array([[1, NAN]], np.float32)
    grown, factor = enlarge(small, (2, 4), (1, 2, 4))
    assert factor == 2
    np.testing.assert_array_equal(grown, [[2, 2, NAN, NAN]] * 2)
    assert enlarge(small, (1, 2), (1, 2))[0] is small
    with pytest.raises(InputError, match=r"'2x1': differs in size.*expected 6x3$"):
        enlarge(small, (3, 6), (1, 2))
