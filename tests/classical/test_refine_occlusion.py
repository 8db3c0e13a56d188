"""Occlusions and mismatches: a built scene, plain twins, and what filling keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.refine_occlusion import Kind, classify, fill_by_kind, nearest_known
from fathom.core import Disparity, InputError, Source, UsageError

NAN = np.nan


def rows(*lines):
    return Disparity(np.array(lines, np.float32))


def square_scene():
    """A square at 6 px in front of a wall at 2 px, from both sides; a wrong pixel on the wall."""
    left = np.full((12, 40), 2, np.float32)
    left[:, 20:30] = 6
    right = np.full((12, 40), 2, np.float32)
    right[:, 14:24] = 6
    holed = left.copy()
    holed[:, 16:20] = NAN  # the wall there is behind the square in the right view
    holed[5, 35] = NAN  # seen by both, matched wrongly
    return left, holed, right


def test_a_square_before_a_wall():
    left, holed, right = square_scene()
    kinds = classify(Disparity(holed), Disparity(right))
    assert (kinds[:, 16:20] == Kind.OCCLUDED).all()
    assert kinds[5, 35] == Kind.MISMATCHED
    assert (kinds[~np.isnan(holed)] == Kind.KNOWN).all()
    found = fill_by_kind(Disparity(holed), kinds)
    np.testing.assert_array_equal(found.values, left)
    np.testing.assert_array_equal(found.source == Source.FILLED, np.isnan(holed))


def classify_twin(left, right, tolerance):
    out = np.zeros(left.shape, np.uint8)
    height, width = left.shape
    for y in range(height):
        for x in range(width):
            if np.isnan(left[y, x]):
                crosses = any(abs((x - u) - right[y, u]) <= tolerance for u in range(width))
                out[y, x] = Kind.MISMATCHED if crosses else Kind.OCCLUDED
    return out


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    width=st.integers(1, 15),
    tolerance=st.sampled_from([0.0, 0.5, 1.0, 2.25]),
)
def test_classification_equals_its_twin(seed, width, tolerance):
    rng = np.random.default_rng(seed)
    left, right = (rng.integers(-8, 24, (2, 4, width)) / 4).astype(np.float32)
    left[rng.random(left.shape) < 0.6] = NAN
    right[rng.random(right.shape) < 0.5] = NAN
    found = classify(Disparity(left), Disparity(right), tolerance)
    np.testing.assert_array_equal(found, classify_twin(left, right, tolerance))


def test_filled_pixels_of_the_right_view_are_no_witnesses():
    right = Disparity(np.zeros((1, 3), np.float32), None, np.full((1, 3), 2, np.uint8))
    np.testing.assert_array_equal(classify(rows([NAN] * 3), right), [[Kind.OCCLUDED] * 3])


def nearest_twin(values, y, x):
    found = []
    for dy, dx in ((0, -1), (0, 1), (-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1)):
        v, u = y, x
        while 0 <= v < values.shape[0] and 0 <= u < values.shape[1] and np.isnan(values[v, u]):
            v, u = v + dy, u + dx
        inside = 0 <= v < values.shape[0] and 0 <= u < values.shape[1]
        found.append(values[v, u] if inside else NAN)
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    share=st.floats(0, 1),
)
def test_eight_directions_and_filling_equal_their_twin(seed, height, width, share):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 9, (height, width)).astype(np.float32)
    values[rng.random(values.shape) < share] = NAN
    kinds = rng.integers(1, 3, values.shape).astype(np.uint8)
    confidence = np.where(np.isnan(values), 0, 0.5).astype(np.float32)
    found = fill_by_kind(Disparity(values, confidence, None, (-50, 50)), kinds)
    np.testing.assert_array_equal(found.confidence, confidence)
    assert found.range == (-50, 50)
    for y in range(height):
        for x in range(width):
            around = nearest_twin(values, y, x)
            here = nearest_known(values, np.array([y]), np.array([x]))[:, 0]
            np.testing.assert_array_equal(np.sort(here), np.sort(np.float32(around)))
            if not np.isnan(values[y, x]):
                assert found.values[y, x] == values[y, x]
                assert found.source[y, x] == Source.MATCHED
                continue
            ordered = sorted(v for v in around if not np.isnan(v))
            if not ordered:
                assert found.source[y, x] == Source.UNKNOWN
                assert np.isnan(found.values[y, x])
                continue
            occluded = kinds[y, x] == Kind.OCCLUDED
            pick = min(1, len(ordered) - 1) if occluded else (len(ordered) - 1) // 2
            assert found.values[y, x] == ordered[pick]
            assert found.source[y, x] == Source.FILLED


def test_what_does_not_fit_is_named():
    two = rows([1, 2])
    with pytest.raises(InputError, match="right"):
        classify(two, rows([1]))
    with pytest.raises(UsageError, match="tolerance"):
        classify(two, two, -1.0)
    with pytest.raises(InputError, match="kinds"):
        fill_by_kind(two, np.zeros((2, 2), np.uint8))
