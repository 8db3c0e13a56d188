"""Alpha-expansion: every move is the best there is, and the flow beneath is the maximum."""

import itertools

import mrf_twins as twins
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from fathom.classical.energy import Weights, energy
from fathom.classical.expansion import alpha_expansion, grid_flow
from fathom.core import InputError, UsageError


def random_graph(rng, height, width):
    across, down = (rng.integers(0, 20, (height, width, 2)).astype(np.int32) for _ in range(2))
    terminal = rng.integers(-40, 41, (height, width)).astype(np.int32)
    return across, down, terminal


def cut_value(sink, across, down, terminal):
    """Capacity from the source's side to the sink's side."""
    total = 0
    for p in np.ndindex(*terminal.shape):
        total += max(int(terminal[p]), 0) if sink[p] else max(-int(terminal[p]), 0)
    for p, q, which in twins.edges(*terminal.shape):
        there, back = (across, down)[which][p]
        total += int(there) * (not sink[p] and sink[q]) + int(back) * (sink[p] and not sink[q])
    return total


def reference_flow(across, down, terminal):
    height, width = terminal.shape
    count = height * width
    number = np.arange(count).reshape(height, width)
    matrix = np.zeros((count + 2, count + 2), np.int32)
    for p, q, which in twins.edges(height, width):
        matrix[number[p], number[q]], matrix[number[q], number[p]] = (across, down)[which][p]
    matrix[count, :count] = np.maximum(terminal.reshape(-1), 0)
    matrix[:count, count + 1] = np.maximum(-terminal.reshape(-1), 0)
    return maximum_flow(csr_array(matrix), count, count + 1).flow_value


def test_the_flow_is_the_least_cut_of_all():
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (1, 5), (5, 1), (2, 4), (3, 3)) * 2:
        graph = random_graph(rng, height, width)
        value, sink = grid_flow(*graph)
        cuts = [
            cut_value(np.array(s).reshape(height, width), *graph)
            for s in itertools.product((False, True), repeat=height * width)
        ]
        assert value == min(cuts)
        assert cut_value(sink, *graph) == value


def test_the_flow_is_scipy_s_on_larger_grids():
    rng = np.random.default_rng(1)
    for _ in range(60):
        height, width = rng.integers(1, 25, 2)
        graph = random_graph(rng, height, width)
        value, sink = grid_flow(*graph)
        assert value == reference_flow(*graph)
        assert cut_value(sink, *graph) == value


def test_long_thin_ways_are_found():
    # all flow must wind through a maze from the first to the last node
    across, down = np.zeros((9, 9, 2), np.int32), np.zeros((9, 9, 2), np.int32)
    across[::2] = 7
    for y in range(8):
        down[y, (8 if y // 2 % 2 == 0 else 0)] = 7
    across[1::2] = 0
    terminal = np.zeros((9, 9), np.int32)
    terminal[0, 0], terminal[8, 8] = 30, -30
    assert grid_flow(across, down, terminal)[0] == reference_flow(across, down, terminal) == 7


def test_a_negative_capacity_is_refused():
    flat = np.zeros((2, 2, 2), np.int32)
    with pytest.raises(UsageError, match="capacity = -1: is negative"):
        grid_flow(flat, flat - 1, np.zeros((2, 2), np.int32))


def test_no_expansion_improves_the_result_and_it_is_within_its_bound():
    rng = np.random.default_rng(2)
    exact = 0
    for truncation in (1, 2, 1, 2):
        data, weights = twins.problem(rng, 2, 3, 3)
        found = alpha_expansion(data, Weights(*weights), truncation, sweeps=20)
        assert found.energies[-1] == twins.energy(found.labels, data, weights, truncation)
        for alpha in range(3):
            best = twins.best_expansion(found.labels, data, weights, truncation, alpha)
            assert best == found.energies[-1]
        least = twins.least_energy(data, weights, truncation)
        assert least <= found.energies[-1] <= 2 * truncation * least
        exact += found.energies[-1] == least
    assert exact >= 3


def test_the_first_moves_are_each_the_best_there_is():
    rng = np.random.default_rng(3)
    for _ in range(6):
        data, weights = twins.problem(rng, 3, 2, 3)
        labels = data.argmin(axis=2).astype(np.int32)
        value = twins.energy(labels, data, weights, 2)
        found = alpha_expansion(data, Weights(*weights), 2, sweeps=1)
        assert found.energies[0] == value
        # the energy after the three moves can be reached only if each was a best one
        first = twins.best_expansion(labels, data, weights, 2, 0)
        assert found.energies[1] <= first <= value


def test_energies_strictly_fall_until_they_stand():
    rng = np.random.default_rng(4)
    for height, width, count in ((12, 15, 6), (1, 30, 9), (30, 1, 9), (17, 9, 1), (8, 8, 20)):
        data, weights = twins.problem(rng, height, width, count)
        found = alpha_expansion(data, Weights(*weights), 3, sweeps=10)
        falls = np.diff(found.energies)
        assert (falls <= 0).all()
        assert (falls[:-1] < 0).all()
        assert found.energies[-1] == energy(found.labels, data, Weights(*weights), 3)


def test_a_repeat_is_identical_and_the_data_untouched():
    rng = np.random.default_rng(5)
    data, weights = twins.problem(rng, 14, 15, 8)
    before = data.copy()
    a, b = (alpha_expansion(data, Weights(*weights), 2) for _ in range(2))
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(data, before)
    assert a.energies == b.energies


def test_offsets_and_margins_are_those_of_the_terms():
    rng = np.random.default_rng(6)
    data, weights = twins.problem(rng, 4, 5, 6)
    found = alpha_expansion(data, Weights(*weights), 2)
    for p in np.ndindex(4, 5):
        own = int(found.labels[p])
        values = []
        for label in range(6):
            changed = found.labels.copy()
            changed[p] = label
            values.append(twins.energy(changed, data, weights, 2))
        rest = min(v for i, v in enumerate(values) if abs(i - own) > 1)
        assert found.margin[p] == max(0, rest - values[own])
        terms = data[p].astype(int)
        expected = 0
        if 0 < own < 5 and terms[own] <= min(terms[own - 1], terms[own + 1]):
            bend = terms[own - 1] - 2 * terms[own] + terms[own + 1]
            expected = (terms[own - 1] - terms[own + 1]) / (2 * bend) if bend else 0
        assert found.offsets[p] == pytest.approx(expected, abs=1e-6)


def test_a_start_is_improved_and_not_touched():
    data, weights = twins.problem(np.random.default_rng(7), 9, 8, 5)
    start = np.full((9, 8), 2, np.int32)
    found = alpha_expansion(data, Weights(*weights), 2, start=start, sweeps=9)
    assert found.energies[0] == twins.energy(start, data, weights, 2) > found.energies[-1]
    assert (start == 2).all()
    with pytest.raises(InputError, match="without a data term"):
        alpha_expansion(data, Weights(*weights), 2, start=start + 3)


def test_no_sweeps_are_refused():
    with pytest.raises(UsageError, match="is below 1"):
        alpha_expansion(np.zeros((2, 2, 2), np.uint16), 1, 1, sweeps=0)
