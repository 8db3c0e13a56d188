"""Volumes of concatenated descriptions, and what is read from a distribution over disparities."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.layers.volume import concat_volume, mass_near, soft_argmax


def slow_concat(left, right, levels, both):
    b, c, h, w = left.shape
    out = np.zeros((b, 2 * c, levels, h, w), left.dtype)
    for n, k, y, x in np.ndindex(b, levels, h, w):
        if x >= k or not both:
            out[n, :c, k, y, x] = left[n, :, y, x]
        if x >= k:
            out[n, c:, k, y, x] = right[n, :, y, x - k]
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 9),
    st.booleans(),
)  # fmt: skip
def test_concat_volume_voxel_by_voxel(b, c, h, w, levels, both):
    rng = np.random.default_rng(b * 1000 + c * 100 + w * 10 + levels)
    left, right = rng.standard_normal((2, b, c, h, w)).astype(np.float32)
    ours = concat_volume(torch.from_numpy(left), torch.from_numpy(right), levels, both=both)
    np.testing.assert_array_equal(ours, slow_concat(left, right, levels, both))


def test_its_channels_lie_together_and_gradients_flow():
    left = torch.randn(2, 3, 4, 6, requires_grad=True)
    right = torch.randn(2, 3, 4, 6, requires_grad=True)
    volume = concat_volume(left, right, 4)
    assert volume.is_contiguous(memory_format=torch.channels_last_3d)
    volume.sum().backward()
    # x of the left is seen at the levels 0..x, x of the right where x + k is inside
    assert torch.equal(left.grad[0, 0, 0], torch.tensor([1.0, 2, 3, 4, 4, 4]))
    assert torch.equal(right.grad[0, 0, 0], torch.tensor([4.0, 4, 4, 3, 2, 1]))


def test_soft_argmax_by_hand():
    p = torch.tensor([0.1, 0.2, 0.4, 0.3])
    mean, logit = soft_argmax(p.log().view(1, 4, 1, 1))
    assert mean.item() == pytest.approx(0.2 + 0.8 + 0.9)
    # 0.9 .. 2.9: 0.6 of level 1 (0.5 .. 1.5), all of 2, 0.4 of level 3 (2.5 .. 3.5)
    assert torch.sigmoid(logit).item() == pytest.approx(0.6 * 0.2 + 0.4 + 0.4 * 0.3)


def slow_mass(p, level):
    b, k, h, w = p.shape
    out = np.zeros((b, 1, h, w))
    for n, i, y, x in np.ndindex(b, k, h, w):
        low, high = level[n, 0, y, x] - 1, level[n, 0, y, x] + 1
        out[n, 0, y, x] += p[n, i, y, x] * max(0, min(high, i + 0.5) - max(low, i - 0.5))
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 1000))
def test_the_mass_around_a_level(k, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(k), (2, 3, 2)).transpose(0, 3, 1, 2).copy()
    level = rng.uniform(0, k - 1, (2, 1, 3, 2)) if k > 1 else np.zeros((2, 1, 3, 2))
    ours = mass_near(torch.from_numpy(p), torch.from_numpy(level))
    np.testing.assert_allclose(ours, slow_mass(p, level), atol=1e-12)
    assert ours.min() >= 0 and ours.max() <= 1 + 1e-9


def test_certainty_and_its_absence():
    scores = torch.zeros(1, 64, 1, 2)
    scores[0, 20, 0, 0] = 100
    mean, logit = soft_argmax(scores)
    assert mean[0, 0, 0, 0] == pytest.approx(20) and torch.sigmoid(logit)[0, 0, 0, 0] > 0.999
    assert mean[0, 0, 0, 1] == pytest.approx(31.5)
    assert torch.sigmoid(logit)[0, 0, 0, 1].item() == pytest.approx(2 / 64, rel=1e-3)


def test_half_precision_scores_are_read_in_full():
    scores = torch.randn(1, 192, 2, 2).to(torch.bfloat16)
    mean, logit = soft_argmax(scores)
    assert mean.dtype == logit.dtype == torch.float32
