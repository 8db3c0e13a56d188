"""The energy itself: hand-computed, equal to its slow twin, and what it refuses."""

import mrf_twins as twins
import numpy as np
import pytest

from fathom.classical.energy import Weights, edge_weights, energy
from fathom.core import InputError, UsageError


def test_a_labelling_computed_by_hand():
    data = np.zeros((2, 3, 4), np.uint16)
    data[0, 0, 3], data[1, 2, 0] = 7, 11
    labels = np.array([[3, 1, 1], [0, 0, 0]], np.int32)
    # data 7 + 11; steps along rows 2; down 3, 1, 1; truncation 2
    assert energy(labels, data, 5, 2) == 7 + 11 + 5 * (2 + 2 + 1 + 1)
    assert energy(labels, data, 5, 1) == 7 + 11 + 5 * (1 + 1 + 1 + 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 6), (6, 1), (5, 4)])
def test_it_is_the_sum_of_the_slow_twin(height, width):
    rng = np.random.default_rng(height)
    data, weights = twins.problem(rng, height, width, 5)
    labels = rng.integers(0, 5, (height, width)).astype(np.int32)
    for truncation in (1, 3, 64):
        expected = twins.energy(labels, data, weights, truncation)
        assert energy(labels, data, Weights(*weights), truncation) == expected


def test_lambda_falls_at_image_edges_but_never_below_a_quarter():
    gray = np.array([[0, 16, 255], [0, 0, 0]], np.uint8)
    across, down = edge_weights(gray, 100, 16.0)
    assert across[0].tolist() == [50, 25, 100]
    assert across[1].tolist() == [100, 100, 100]
    assert down[0].tolist() == [100, 50, 25]
    assert (edge_weights(gray, 100).across == 100).all()


@pytest.mark.parametrize("label", [-1, 4])
def test_labels_without_a_term_are_refused(label):
    labels = np.full((2, 2), label, np.int32)
    with pytest.raises(InputError, match="holds labels without a data term"):
        energy(labels, np.zeros((2, 2, 4), np.uint16), 1, 1)


@pytest.mark.parametrize("truncation", [0, 65])
def test_a_truncation_out_of_range_is_refused(truncation):
    labels, data = np.zeros((2, 2), np.int32), np.zeros((2, 2, 4), np.uint16)
    with pytest.raises(UsageError, match="truncation"):
        energy(labels, data, 1, truncation)


@pytest.mark.parametrize("smoothness", [-1, 16251])
def test_terms_beyond_16_bits_are_refused(smoothness):
    labels, data = np.zeros((2, 2), np.int32), np.zeros((2, 2, 4), np.uint16)
    assert energy(labels, data, 16250, 1) == 0
    with pytest.raises(UsageError, match="scale all terms down"):
        energy(labels, data, smoothness, 1)


def test_weights_of_another_size_are_refused():
    labels, data = np.zeros((2, 2), np.int32), np.zeros((2, 2, 4), np.uint16)
    with pytest.raises(UsageError, match="differs in size"):
        energy(labels, data, Weights(*[np.ones((2, 3), np.uint16)] * 2), 1)
