"""The loss of coarse scores against a twin and by hand; the bound of the smooth L1."""

import math

import numpy as np
import pytest
import torch

from fathom.layers.losses import score_loss, smooth_l1


def t(values, grad=False):
    return torch.tensor(np.asarray(values, np.float64), requires_grad=grad)


def slow(scores, truth, valid):
    """Cell by cell, pixel by pixel; of even cells every second row and column."""
    b, k, h, w = scores.shape
    size = truth.shape[-1] // w
    every = 2 if size % 2 == 0 else 1
    means = []
    for n in range(b):
        cells = []
        for y, x in np.ndindex(h, w):
            target = np.zeros(k)
            for i, j in np.ndindex(size, size):
                v, u = y * size + i, x * size + j
                if i % every or j % every or not valid[n, 0, v, u]:
                    continue
                d = truth[n, 0, v, u] / size
                low = math.floor(d)
                for level, part in ((low, 1 - (d - low)), (low + 1, d - low)):
                    if 0 <= level < k:
                        target[level] += part
            if target.sum() > 0:
                column = scores[n, :, y, x]
                log = column - np.log(np.exp(column).sum())
                cells.append(-(target / target.sum() * log).sum())
        means.append(np.mean(cells) if cells else 0.0)
    return np.mean(means)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_it_is_the_cross_entropy_against_each_cell_s_histogram(size):
    rng = np.random.default_rng(size)
    scores = rng.normal(size=(2, 5, 2, 3))
    truth = rng.uniform(-size, 6 * size, (2, 1, 2 * size, 3 * size))
    valid = rng.random(truth.shape) < 0.7
    found = score_loss(t(scores), t(truth), torch.tensor(valid))
    assert found.item() == pytest.approx(slow(scores, truth, valid), abs=1e-9)


def test_by_hand():
    """Cells of 2 px: one pixel in four is looked at. 3 px = level 1.5: half of 1, half of 2."""
    scores = np.zeros((1, 3, 1, 1))
    truth = np.full((1, 1, 2, 2), 3.0)
    every = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    assert score_loss(t(scores), t(truth), every).item() == pytest.approx(math.log(3))
    scores[0, :, 0, 0] = [0, 2, 2]
    want = math.log(1 + 2 * math.exp(2)) - 2
    assert score_loss(t(scores), t(truth), every).item() == pytest.approx(want)
    scores[0, :, 0, 0] = [2, 0, 0]  # sure of the wrong level
    assert score_loss(t(scores), t(truth), every).item() > 2


def test_what_is_unknown_or_out_of_reach_counts_with_nothing_and_sends_no_gradient():
    scores = t(np.random.default_rng(0).normal(size=(1, 3, 1, 2)), grad=True)
    truth = t([[[[3.0, 3.0, 100.0, 100.0]] * 2]])
    valid = torch.ones(1, 1, 2, 4, dtype=torch.bool)
    score_loss(scores, truth, valid).backward()
    assert bool(scores.grad[..., 0].any()) and not bool(scores.grad[..., 1].any())
    assert score_loss(scores, truth, ~valid).item() == 0


def test_unknown_truth_may_be_nan_without_harm():
    """As `Batch` has it, unknown is 0; whoever passes NaN must not get NaN gradients."""
    scores = t(np.zeros((1, 3, 1, 1)), grad=True)
    truth = t([[[[math.nan, 3.0], [3.0, 3.0]]]])
    valid = torch.isfinite(truth)
    loss = score_loss(scores, truth, valid)
    loss.backward()
    assert math.isfinite(loss.item()) and bool(torch.isfinite(scores.grad).all())


def test_gradient():
    rng = np.random.default_rng(1)
    truth, valid = t(rng.uniform(0, 8, (1, 1, 4, 8))), torch.tensor(rng.random((1, 1, 4, 8)) < 0.8)
    scores = t(rng.normal(size=(1, 3, 1, 2)), grad=True)
    assert torch.autograd.gradcheck(lambda s: score_loss(s, truth, valid), (scores,))


def test_most_bounds_a_pixel_s_loss_and_its_pull():
    """Errors 1, 5 and 50 with beta 1: 0.5, 4.5, 49.5 - at most 10, and then nothing pulls."""
    d = t([[[[1.0, 5.0, 50.0]]]], grad=True)
    truth, valid = t(np.zeros((1, 1, 1, 3))), torch.ones(1, 1, 1, 3, dtype=torch.bool)
    loss = smooth_l1((d,), truth, valid, most=10.0)
    assert loss.item() == pytest.approx((0.5 + 4.5 + 10) / 3)
    loss.backward()
    assert d.grad.flatten().tolist() == pytest.approx([1 / 3, 1 / 3, 0])
    assert smooth_l1((d,), truth, valid).item() == pytest.approx((0.5 + 4.5 + 49.5) / 3)
