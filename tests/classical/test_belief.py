"""Belief propagation: messages as their slow twin, exact on trees, never a rising energy."""

import mrf_twins as twins
import numpy as np
import pytest

from fathom.classical import belief
from fathom.classical.belief import belief_propagation
from fathom.classical.energy import Weights, energy
from fathom.classical.kernels import global_layout as kernels
from fathom.classical.kernels.layout import NOTHING
from fathom.classical.scanline import scanline_optimum
from fathom.core import UsageError


def grid_of(data, weights, truncation, levels=1):
    return belief._pyramid(data, Weights(*weights), truncation, levels, 1)


@pytest.mark.parametrize("truncation", [1, 2, 3, 5, 40, 64])
@pytest.mark.parametrize(
    ("height", "width", "count"), [(3, 4, 3), (1, 5, 33), (4, 1, 7), (2, 3, 1)]
)
def test_messages_are_those_of_the_slow_twin(height, width, count, truncation):
    rng = np.random.default_rng(count + truncation)
    data, weights = twins.problem(rng, height, width, count)
    (grid,) = grid_of(data, weights, truncation)
    messages = grid.fresh()
    slow = np.zeros((height, width, 4, count), int)
    for colour in (0, 1, 0, 1):
        kernels.send(grid.terms, messages, grid.room(), grid.shape, colour, 0, height)
        slow = twins.send(data, slow, weights, truncation, colour)
        fast = messages.reshape(height, width, 4, grid.shape.levels)[..., :count]
        np.testing.assert_array_equal(fast, slow)
    found = grid.beliefs(messages)
    beliefs = data + slow.sum(axis=2)
    np.testing.assert_array_equal(found.labels.reshape(height, width), beliefs.argmin(axis=2))
    for pixel, values in enumerate(beliefs.reshape(-1, count)):
        best = int(values.argmin())
        others = [v for i, v in enumerate(values) if abs(i - best) > 1]
        if others:
            assert found.margin[pixel] == min(others) - values[best]
        if 0 < best < count - 1:
            a, b, c = values[best - 1 : best + 2]
            parabola = 0 if a + c == 2 * b else (a - c) / (2 * (a - 2 * b + c))
            assert found.offsets[pixel] == pytest.approx(parabola, abs=1e-6)
        else:
            assert found.offsets[pixel] == 0


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (1, 3), (3, 1)])
def test_coarser_grids_hold_sums_and_hand_their_messages_down(height, width):
    rng = np.random.default_rng(4)
    data, weights = twins.problem(rng, height, width, 5)
    grid = grid_of(data, weights, 2)[0]
    half = grid.coarser()
    coarse = half.terms.data.reshape(half.shape.height, half.shape.width, -1)
    for y in range(half.shape.height):
        for x in range(half.shape.width):
            total = data[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(int).sum(axis=(0, 1))
            np.testing.assert_array_equal(coarse[y, x, :5], total - total.min())
            assert (coarse[y, x, 5:] == NOTHING).all()
            if x + 1 < half.shape.width:
                pair = weights[0][2 * y : 2 * y + 2, 2 * x + 1].astype(int)
                got = half.terms.across.reshape(half.shape[:2])[y, x]
                assert got == (pair[0] + pair[-1]) // 2
            if y + 1 < half.shape.height:
                pair = weights[1][2 * y + 1, 2 * x : 2 * x + 2].astype(int)
                got = half.terms.down.reshape(half.shape[:2])[y, x]
                assert got == (pair[0] + pair[-1]) // 2
    messages = rng.integers(0, 99, half.fresh().size).astype(np.uint16)
    fine = grid.refined(messages).reshape(height, width, -1)
    source = messages.reshape(*half.shape[:2], -1)
    for y in range(height):
        for x in range(width):
            np.testing.assert_array_equal(fine[y, x], source[y // 2, x // 2])


@pytest.mark.parametrize("turned", [False, True])
def test_a_single_row_or_column_is_solved_exactly(turned):
    rng = np.random.default_rng(1)
    for _ in range(8):
        data, weights = twins.problem(rng, 1, 5, 3)
        least = twins.least_chain(data[0], weights[0][0], 2)
        if turned:
            data = np.ascontiguousarray(data.transpose(1, 0, 2))
            weights = [np.ascontiguousarray(w.T) for w in weights[::-1]]
        found = belief_propagation(data, Weights(*weights), 2, sweeps=6, levels=1)
        assert found.energies[-1] == least


def test_small_grids_come_near_the_minimum_and_never_below():
    rng = np.random.default_rng(2)
    exact = 0
    for _ in range(10):
        data, weights = twins.problem(rng, 2, 3, 3)
        least = twins.least_energy(data, weights, 2)
        found = belief_propagation(data, Weights(*weights), 2, sweeps=8, levels=2)
        assert found.energies[-1] >= least
        exact += found.energies[-1] == least
    assert exact >= 8


def test_energies_never_rise_and_the_last_is_that_of_the_labels():
    rng = np.random.default_rng(3)
    for seed in range(4):
        data, weights = twins.problem(rng, 9 + seed, 13, 7)
        found = belief_propagation(data, Weights(*weights), 3, sweeps=6)
        assert all(a >= b for a, b in zip(found.energies, found.energies[1:], strict=False))
        assert len(found.energies) == 7
        assert found.energies[-1] == energy(found.labels, data, Weights(*weights), 3)
        assert found.energies[-1] == twins.energy(found.labels, data, weights, 3)


def test_it_does_better_than_rows_by_themselves():
    rng = np.random.default_rng(5)
    data = rng.integers(0, 100, (30, 40, 16)).astype(np.uint16)
    rows = scanline_optimum(data, 20, 4).labels
    assert belief_propagation(data, 20, 4).energies[-1] < energy(rows, data, 20, 4)


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(6)
    data, weights = twins.problem(rng, 70, 33, 40)
    results = [belief_propagation(data, Weights(*weights), 4, threads=n) for n in (1, 2, 5)]
    for other in results[1:]:
        assert other.energies == results[0].energies
        for name in ("labels", "offsets", "margin"):
            np.testing.assert_array_equal(getattr(other, name), getattr(results[0], name))


def test_sums_at_the_limit_of_16_bits_stay_exact():
    rng = np.random.default_rng(7)
    data = rng.integers(0, 41000, (4, 5, 6)).astype(np.uint16)
    data[0, 0, 0] = 41000
    weights = [np.full((4, 5), 2000, np.uint16)] * 2
    (grid,) = grid_of(data, weights, 3)
    messages, slow = grid.fresh(), np.zeros((4, 5, 4, 6), int)
    for colour in (0, 1, 0, 1):
        kernels.send(grid.terms, messages, grid.room(), grid.shape, colour, 0, 4)
        slow = twins.send(data, slow, weights, 3, colour)
    np.testing.assert_array_equal(messages.reshape(4, 5, 4, -1)[..., :6], slow)
    assert belief_propagation(data, 2000, 3).energies[-1] > 0


@pytest.mark.parametrize("bad", [{"sweeps": 0}, {"levels": 0}])
def test_bad_numbers_are_refused(bad):
    with pytest.raises(UsageError, match="is below 1"):
        belief_propagation(np.zeros((2, 2, 2), np.uint16), 1, 1, **bad)
