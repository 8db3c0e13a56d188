"""Answers from a few of the scores, and how sure the whole distribution is of them."""

import math

import numpy as np
import pytest
import torch

from fathom.layers.volume import spread_logit, top_argmax

torch.set_num_threads(1)


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_top(scores, count, levels):
    out = np.zeros((scores.shape[0], 1, *scores.shape[2:]))
    for b, y, x in np.ndindex(scores.shape[0], *scores.shape[2:]):
        best = np.argsort(scores[b, :, y, x])[::-1][:count]
        weight = np.exp(scores[b, best, y, x])
        out[b, 0, y, x] = (weight * levels[b, best, y, x]).sum() / weight.sum()
    return out


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_best_few_pixel_by_pixel(count):
    scores = made(2, 5, 3, 4)
    steps = np.broadcast_to(np.arange(5.0)[:, None, None], scores.shape)
    np.testing.assert_allclose(
        top_argmax(scores, count), slow_top(scores.numpy(), count, steps), atol=1e-5
    )
    levels = made(2, 5, 3, 4, seed=1)
    np.testing.assert_allclose(
        top_argmax(scores, count, levels),
        slow_top(scores.numpy(), count, levels.numpy()),
        atol=1e-5,
    )


def test_two_surfaces_are_not_mixed():
    scores = torch.tensor([0.0, 5.0, 4.9, -2.0, 4.0]).view(1, 5, 1, 1)
    assert 1 < top_argmax(scores, 2).item() < 1.5


def logits_of(p):
    return torch.tensor(p).log().view(1, -1, 1, 1)


def test_two_neighbours_that_say_a_fraction_are_sure():
    scores = logits_of([1e-9, 0.75, 0.25, 1e-9])
    sure = torch.sigmoid(spread_logit(scores, torch.full((1, 1, 1, 1), 1.25), 4.0))
    assert sure.item() > 0.999


def test_what_spreads_is_as_sure_as_laplaces_law():
    scores = logits_of([0.5, 1e-9, 1e-9, 0.5])  # variance 2.25 about 1.5, of which 0.25 is needed
    sure = torch.sigmoid(spread_logit(scores, torch.full((1, 1, 1, 1), 1.5), 4.0))
    spread = 4 * math.sqrt(2)
    assert sure.item() == pytest.approx(1 - math.exp(-math.sqrt(2) / spread), abs=1e-4)


def test_spread_counts_in_the_levels_that_are_given():
    scores, level = logits_of([0.5, 0.5]), torch.full((1, 1, 1, 1), 5.0)
    near, far = (torch.tensor(v).view(1, 2, 1, 1) for v in ([4.0, 6.0], [1.0, 9.0]))
    assert spread_logit(scores, level, 1.0, near) > spread_logit(scores, level, 1.0, far)


def test_confidence_sends_no_gradient():
    scores, level = made(1, 4, 2, 2).requires_grad_(), made(1, 1, 2, 2).requires_grad_()
    assert not spread_logit(scores, level, 1.0).requires_grad
