"""Linear attention against the sum it stands for, the layer around it, and sines of positions."""

import math

import pytest
import torch

from fathom.layers.attention import LinearAttention, linear_attention, position_sines

torch.set_num_threads(1)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_weighted_mean_of_the_values():
    """Query by query and key by key, as the definition has it."""
    q, k, v = noise(2, 5, 3, 4), noise(2, 7, 3, 4, seed=1), noise(2, 7, 3, 6, seed=2)
    found = linear_attention(q, k, v)
    assert found.shape == (2, 5, 3, 6)

    def phi(x):
        return torch.where(x > 0, x + 1, x.exp())

    for b, i, head in [(0, 0, 0), (1, 4, 2), (0, 3, 1)]:
        weights = torch.stack([(phi(q[b, i, head]) * phi(k[b, j, head])).sum() for j in range(7)])
        expected = (weights[:, None] * v[b, :, head]).sum(0) / weights.sum()
        torch.testing.assert_close(found[b, i, head], expected, atol=1e-5, rtol=1e-4)


def test_equal_values_come_out_whoever_asks():
    values = torch.full((1, 9, 2, 4), 3.0)
    found = linear_attention(noise(1, 5, 2, 4), noise(1, 9, 2, 4, seed=1), values)
    torch.testing.assert_close(found, torch.full((1, 5, 2, 4), 3.0))


def test_the_order_of_the_others_does_not_matter_and_x_stays_in_it():
    torch.manual_seed(0)
    layer = LinearAttention(8, 2)
    x, others = noise(1, 6, 8), noise(1, 4, 8, seed=1)
    found = layer(x, others)
    torch.testing.assert_close(layer(x, others.flip(1)), found, atol=1e-5, rtol=1e-4)
    torch.nn.init.zeros_(layer.changed.weight)
    torch.nn.init.zeros_(layer.changed.bias)
    assert torch.equal(layer(x, others), x)


def test_sines_are_those_of_the_positions():
    found = position_sines(torch.tensor([1.0, 0.25]), 3, 5)
    assert found.shape == (8, 3, 5)
    for n, f in enumerate((1.0, 0.25)):
        for y, x in [(0, 0), (2, 4), (1, 3)]:
            expected = [math.sin(f * (x + 1)), math.cos(f * (x + 1))]
            expected += [math.sin(f * (y + 1)), math.cos(f * (y + 1))]
            assert found[4 * n : 4 * n + 4, y, x].tolist() == pytest.approx(expected, abs=1e-6)
