"""Answers about planes: what they hold, what they refuse, and what follows from them."""

import math

import numpy as np
import pytest

from fathom.core import (
    Disparity,
    InputError,
    PlaneProbability,
    QuantizedDisparity,
    SelectedDisparity,
    Source,
    StereoRig,
    UsageError,
)
from fathom.core.planes import UNKNOWN_STEP, disparity_of_plane, distance_of
from fathom.geometry.planes import plane_probability

# These are tests of the checks that fathom itself makes.
pytestmark = pytest.mark.usefixtures("unchecked")

RIG = StereoRig.simple(3, 2, 10.0, 0.5, doffs=1.0)
ANSWERS = np.array([[0.1, 0.5, 0.9], [1.0, 0.0, np.nan]], np.float32)


def plane(*rows, at=4.0):
    return PlaneProbability(np.array(rows, np.float32), at)


def test_what_is_nearer_with_which_probability():
    found = PlaneProbability.seen(ANSWERS, 4, RIG)
    assert found.shape == (2, 3) and found.distance == pytest.approx(1.0)
    assert found.known.tolist() == [[True] * 3, [True, True, False]]
    assert found.nearer().tolist() == [[False, True, True], [True, False, False]]
    assert found.share_nearer() == pytest.approx(0.5)
    assert found.nearer(0.95).sum() == 1 and found.share_nearer(0) == pytest.approx(5 / 6)
    with pytest.raises(ValueError, match="read-only"):
        found.probability[0, 0] = 1
    assert PlaneProbability(ANSWERS, 4).distance is None


@pytest.mark.parametrize("least", [-0.1, 1.5, math.nan])
def test_a_threshold_is_a_probability(least):
    with pytest.raises(UsageError, match=r"least.*is no probability"):
        plane([0.5]).nearer(least)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((np.array([[1.1]], np.float32), 4), "leaves the range 0..1"),
        ((np.array([[-0.1]], np.float32), 4), "leaves the range 0..1"),
        ((np.zeros(3, np.float32), 4), "has a wrong shape"),
        ((np.zeros((2, 2), np.float32), math.nan), "is no plane"),
        ((np.zeros((2, 2), np.float32), 4, 0.0), "is no plane before the camera"),
        ((np.zeros((2, 2), np.float32), 4, math.nan), "is no plane before the camera"),
    ],
)
def test_answers_that_are_none(given, problem):
    with pytest.raises(InputError, match=problem):
        PlaneProbability(*given)


def test_planes_in_metres_and_back():
    assert disparity_of_plane(1.0, RIG) == pytest.approx(4.0)
    assert distance_of(4.0, RIG) == pytest.approx(1.0)
    assert distance_of(-1.0, RIG) == math.inf and distance_of(4.0, None) is None
    assert PlaneProbability.seen(ANSWERS, -2, RIG).distance == math.inf
    with pytest.raises(UsageError, match="there is no calibration"):
        disparity_of_plane(1.0, None)
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="is no plane before the camera"):
            disparity_of_plane(wrong, RIG)


def test_steps_between_planes():
    planes = (
        plane([0.9, 0.9, 0.1, 0.9], at=12),
        plane([0.8, 0.1, 0.0, np.nan], at=24),
    )
    found = QuantizedDisparity.of(planes, (0, 192))
    assert found.edges == (0, 12, 24, 192)
    assert found.label.tolist() == [[2, 1, 0, UNKNOWN_STEP]]
    np.testing.assert_allclose(found.probability, [[0.8, 0.8, 0.9, 0]], atol=1e-6)
    disparity = found.to_disparity()
    np.testing.assert_array_equal(disparity.values, [[108, 18, 6, np.nan]])
    np.testing.assert_allclose(
        disparity.confidence, [[0.8 * 2 / 168, 0.8 / 6, 0.9 / 6, 0]], rtol=1e-5
    )
    assert disparity.source.tolist() == [[Source.MATCHED] * 3 + [Source.UNKNOWN]]
    assert disparity.range == (0, 192)


def test_answers_that_contradict_each_other_still_give_a_step():
    found = QuantizedDisparity.of((plane([0.2], at=12), plane([0.9], at=24)), (0, 48))
    assert found.label.tolist() == [[2]]


def test_steps_that_are_none():
    two = (plane([0.5], at=12), plane([0.5], at=24))
    with pytest.raises(InputError, match="there are none"):
        QuantizedDisparity.of((), (0, 48))
    for limits in ((12, 48), (0, 24), (0, 20)):
        with pytest.raises(InputError, match="do not cut the range"):
            QuantizedDisparity.of(two, limits)
    with pytest.raises(InputError, match="do not cut the range"):
        QuantizedDisparity.of(two[::-1], (0, 48))
    one, label = np.ones((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    with pytest.raises(InputError, match="differ in size"):
        QuantizedDisparity((two[0], plane([0.5, 0.5], at=24)), label, one, (0, 48))
    for wrong in (label + np.uint8(3), label.astype(int), np.zeros((1, 2), np.uint8)):
        with pytest.raises(InputError, match="is no interval per pixel"):
            QuantizedDisparity(two, wrong, one, (0, 48))
    with pytest.raises(InputError, match=r"leaves the range 0\.\.1"):
        QuantizedDisparity(two, label, 2 * one, (0, 48))


def selected(values, near, far):
    disparity = Disparity(np.array([values], np.float32), range=(12, 48))
    return SelectedDisparity(disparity, plane(near, at=48), plane(far, at=12))


def test_on_which_side_of_a_range():
    nan = np.nan
    found = selected([20, nan, nan, nan], [0.1, 0.9, 0.1, nan], [0.9, 0.9, 0.1, nan])
    assert found.nearer.tolist() == [[False, True, False, False]]
    assert found.farther.tolist() == [[False, False, True, False]]


def test_a_range_that_is_none():
    disparity = Disparity(np.zeros((1, 1), np.float32))
    with pytest.raises(InputError, match="differ in size from the disparity"):
        SelectedDisparity(disparity, plane([0.5, 0.5], at=48), plane([0.5], at=12))
    with pytest.raises(InputError, match="is not nearer than the far end"):
        SelectedDisparity(disparity, plane([0.5], at=12), plane([0.5], at=12))


def test_a_disparity_and_its_confidence_answer_for_a_plane():
    """Laplace's law: a confidence of c leaves 1 - c outside 1 px, half of it on either side."""
    values = np.array([[5.0, 3.0, 4.0, np.nan]], np.float32)
    confidence = np.array([[0.8, 0.8, 0.3, 0]], np.float32)
    found = plane_probability(Disparity(values, confidence), 4.0, RIG.cropped(0, 0, 3, 2))
    np.testing.assert_allclose(found.probability, [[0.9, 0.1, 0.5, np.nan]], atol=1e-5)
    assert found.distance == pytest.approx(1.0)
    plain = plane_probability(Disparity(values), 4.0).probability
    assert plain[0, 0] == pytest.approx(1 - math.exp(-math.sqrt(2) / 0.5) / 2, abs=1e-5)
    assert np.isnan(plain[0, 3])


def test_the_answer_is_calibrated_where_the_errors_follow_the_law():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 20, (200, 200))
    confidence = rng.uniform(0.3, 0.95, truth.shape)
    values = truth + rng.laplace(0, -1 / np.log(1 - confidence))
    given = Disparity(values.astype(np.float32), confidence.astype(np.float32))
    p = plane_probability(given, 10.0).probability
    for low in (0.1, 0.5, 0.8):
        some = (p >= low) & (p < low + 0.1)
        assert (truth > 10)[some].mean() == pytest.approx(p[some].mean(), abs=0.06)
