"""Cost volumes against pixel-by-pixel twins, by hand, and their gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.layers.volume import correlation, peak_disparity, soft_histogram


def t(values, grad=False):
    return torch.tensor(np.asarray(values, np.float64), requires_grad=grad)


def slow_correlation(left, right, levels):
    b, c, h, w = left.shape
    out = np.zeros((b, levels, h, w))
    for n, k, y, x in np.ndindex(b, levels, h, w):
        if x - k >= 0:
            out[n, k, y, x] = sum(left[n, i, y, x] * right[n, i, y, x - k] for i in range(c))
    return out


def slow_histogram(disparity, weight, levels):
    b, n, h, w = disparity.shape
    out = np.zeros((b, levels, h, w))
    for i, j, y, x in np.ndindex(b, n, h, w):
        low = int(np.floor(disparity[i, j, y, x]))
        share = disparity[i, j, y, x] - low
        for level, part in ((low, 1 - share), (low + 1, share)):
            if 0 <= level < levels:
                out[i, level, y, x] += part * weight[i, j, y, x] / n
    return out


def slow_peak(logits, radius):
    """The mean level, and the share of the softmax that is around it."""
    b, k, h, w = logits.shape
    out = np.zeros((2, b, 1, h, w))
    for n, y, x in np.ndindex(b, h, w):
        column = logits[n, :, y, x]
        best = int(np.argmax(column))
        near = range(max(best - radius, 0), min(best + radius, k - 1) + 1)
        weights = np.array([np.exp(column[i] - column[best]) for i in near])
        out[0, n, 0, y, x] = (weights * list(near)).sum() / weights.sum()
        out[1, n, 0, y, x] = weights.sum() / np.exp(column - column[best]).sum()
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 12), st.integers(1, 3))
def test_correlation_is_the_sum_of_products(seed, levels, width, height):
    """More levels than columns, too."""
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(2, 2, 3, height, width))
    found = correlation(t(left), t(right), levels)
    assert found.shape == (2, levels, height, width)
    np.testing.assert_allclose(found.numpy(), slow_correlation(left, right, levels), atol=1e-12)


def test_correlation_finds_a_shift():
    """By hand: one bright column, seen 2 px farther left by the right camera."""
    left, right = np.zeros((2, 1, 1, 1, 6))
    left[..., 4], right[..., 2] = 3, 5
    found = correlation(t(left), t(right), 4)[0, :, 0]
    assert found[2, 4] == 15 and found.count_nonzero() == 1


def test_correlation_s_gradient_and_half_precision():
    rng = np.random.default_rng(0)
    pair = [t(v, grad=True) for v in rng.normal(size=(2, 1, 2, 2, 5))]
    assert torch.autograd.gradcheck(lambda a, b: correlation(a, b, 3), pair)
    half = correlation(*(v.detach().bfloat16() for v in pair), 3)
    torch.testing.assert_close(half.double(), correlation(*pair, 3), atol=0.1, rtol=0.05)


def test_correlation_does_not_care_about_memory_order():
    rng = np.random.default_rng(1)
    left, right = (t(v) for v in rng.normal(size=(2, 2, 3, 4, 7)))
    last = [v.contiguous(memory_format=torch.channels_last) for v in (left, right)]
    torch.testing.assert_close(correlation(*last, 5), correlation(left, right, 5))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 7), st.integers(1, 5))
def test_histogram_shares_each_estimate_among_two_levels(seed, levels, count):
    rng = np.random.default_rng(seed)
    disparity = rng.uniform(-2, levels + 2, (2, count, 2, 3))
    weight = rng.uniform(0, 1, disparity.shape)
    found = soft_histogram(t(disparity), t(weight), levels)
    want = slow_histogram(disparity, weight, levels)
    np.testing.assert_allclose(found.numpy(), want, atol=1e-12)


def test_histogram_by_hand():
    """2.25 with weight 1 and 0 with weight 0.5, two estimates: halves of (0.75, 0.25) and 0.5."""
    found = soft_histogram(t([[[[2.25]], [[0.0]]]]), t([[[[1.0]], [[0.5]]]]), 4)
    assert found.flatten().tolist() == [0.25, 0, 0.375, 0.125]
    inside = soft_histogram(t(np.full((1, 4, 1, 1), 1.7)), t(np.ones((1, 4, 1, 1))), 4)
    assert inside.sum() == pytest.approx(1.0)


def test_histogram_s_gradient():
    rng = np.random.default_rng(2)
    disparity = t(rng.integers(0, 4, (1, 3, 2, 2)) + rng.uniform(0.2, 0.8, (1, 3, 2, 2)), grad=True)
    weight = t(rng.uniform(0.1, 1, (1, 3, 2, 2)), grad=True)
    assert torch.autograd.gradcheck(lambda d, w: soft_histogram(d, w, 4), (disparity, weight))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(0, 3))
def test_peak_is_the_mean_around_the_highest(seed, levels, radius):
    logits = np.random.default_rng(seed).normal(0, 3, (2, levels, 2, 3))
    found = torch.stack(peak_disparity(t(logits), radius))
    np.testing.assert_allclose(found.numpy(), slow_peak(logits, radius), atol=1e-9)


def test_peak_ignores_a_second_surface():
    """By hand: two peaks, at 1 and at 8; a mean over all levels would be near 4."""
    logits = np.full((1, 10, 1, 1), -50.0)
    logits[0, 1], logits[0, 8] = 0.1, 0.0
    peak, mass = peak_disparity(t(logits))
    assert peak.item() == pytest.approx(1.0, abs=1e-9)
    assert mass.item() == pytest.approx(1 / (1 + np.exp(-0.1)), abs=1e-9)
    logits[0, 2] = 0.1 + np.log(1 / 3)  # a third as likely: (1 * 3 + 2) / 4
    assert peak_disparity(t(logits))[0].item() == pytest.approx(1.25, abs=1e-9)


def test_peak_s_gradient():
    rng = np.random.default_rng(4)
    logits = np.stack([rng.permutation(7) for _ in range(6)], axis=1).reshape(1, 7, 2, 3)
    assert torch.autograd.gradcheck(peak_disparity, (t(logits * 0.7, grad=True),))
