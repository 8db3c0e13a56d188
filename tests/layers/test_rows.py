"""Correlation along rows and its lookup, against sampling one position after the other."""

import numpy as np
import pytest
import torch

from fathom.layers import rows
from fathom.layers.rows import row_correlation, volume_bytes

LEVELS, RADIUS = 3, 2


def features(height=3, width=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 2, 5, height, width, generator=generator)


def slow(left, right, x, levels, radius):
    """The definition, value by value: mean features of 2^i columns, product, linear between."""
    left, right, x = (np.asarray(t, np.float64) for t in (left, right, x))
    batch, channels, height, width = left.shape
    out = np.zeros((batch, levels * (2 * radius + 1), height, width))
    for i in range(levels):
        count = right.shape[-1] >> i
        coarse = right[..., : count << i].reshape(batch, channels, height, count, 1 << i).mean(-1)
        for b, y, w in np.ndindex(batch, height, width):
            products = left[b, :, y, w] @ coarse[b, :, y] / np.sqrt(channels)
            at = x[b, 0, y, w] / 2**i + np.arange(-radius, radius + 1)
            for j, position in enumerate(at):
                low = int(np.floor(position))
                share = position - low
                for column, weight in ((low, 1 - share), (low + 1, share)):
                    if 0 <= column < count:
                        out[b, i * (2 * radius + 1) + j, y, w] += weight * products[column]
    return out


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("width", [12, 7, 3])
def test_it_is_the_definition(stored, width):
    """Width 3 leaves nothing of the coarsest level but zeros."""
    left, right = features(width=width)
    x = torch.linspace(-9, width + 9, 2 * 3 * width).reshape(2, 1, 3, width)
    found = row_correlation(left, right, LEVELS, RADIUS, stored=stored)(x)
    assert found.is_contiguous()
    np.testing.assert_allclose(found, slow(left, right, x, LEVELS, RADIUS), atol=2e-6)


def test_on_whole_pixels_and_at_the_border():
    """Only column 0 of the right view matches: it is seen where the lookup reaches it."""
    left, right = torch.ones(1, 1, 1, 4), torch.zeros(1, 1, 1, 4)
    right[..., 0] = 5
    found = row_correlation(left, right, 1, 1)(torch.tensor([[[[-1.0, 0.0, 0.75, 3.0]]]]))
    expected = [[0, 0, 5], [0, 5, 0], [3.75, 1.25, 0], [0, 0, 0]]
    np.testing.assert_allclose(found[0, :, 0].T, expected, atol=1e-6)


def test_without_the_volume_blocks_of_rows_make_no_difference(monkeypatch):
    left, right = features(height=5)
    x = torch.rand(2, 1, 5, 12) * 14 - 1
    whole = row_correlation(left, right, LEVELS, RADIUS)(x)
    for rows_at_once in (1, 2, 5):
        monkeypatch.setattr(rows, "_BLOCK", rows_at_once * 2 * 12 * 12)
        parts = row_correlation(left, right, LEVELS, RADIUS, stored=False)
        assert parts.volume is None
        torch.testing.assert_close(parts(x), whole, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("stored", [True, False])
def test_gradients_reach_both_views(stored):
    left, right = features(height=2, width=6)
    given = [t[:1].clone().requires_grad_() for t in (left, right)]
    x = torch.rand(1, 1, 2, 6) * 5
    found = row_correlation(*given, 2, 1, stored=stored)(x)
    found.square().sum().backward()
    change = 1e-2
    for values in given:
        with torch.no_grad():
            moved = [values.clone(), values.clone()]
            moved[0][0, 1, 1, 2] += change
            moved[1][0, 1, 1, 2] -= change
            sums = []
            for other in moved:
                both = [other if t is values else t for t in given]
                sums.append(row_correlation(*both, 2, 1)(x).double().square().sum())
        slope = (sums[0] - sums[1]) / (2 * change)
        assert values.grad[0, 1, 1, 2].item() == pytest.approx(slope.item(), rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_positions_that_are_none_see_nothing(value):
    left, right = features()
    for stored in (True, False):
        found = row_correlation(left, right, LEVELS, RADIUS, stored=stored)(
            torch.full((2, 1, 3, 12), value)
        )
        assert not bool(found.any())


def test_bytes_of_the_volume():
    left, right = features()
    volume = row_correlation(left[:1], right[:1], LEVELS, RADIUS).volume
    assert volume_bytes(3, 12, LEVELS, RADIUS) == sum(4 * level.numel() for level in volume)


def test_reduced_precision_does_not_enter():
    left, right = features()
    x = torch.rand(2, 1, 3, 12) * 10
    with torch.autocast("cpu", torch.bfloat16):
        low = row_correlation(left, right, LEVELS, RADIUS)(x)
    assert torch.equal(low, row_correlation(left, right, LEVELS, RADIUS)(x))
