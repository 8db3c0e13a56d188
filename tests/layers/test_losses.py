"""Each loss against a slow numpy twin, its gradient against finite differences, and no NaN."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core.errors import UsageError
from fathom.layers import losses

SHAPE = (2, 1, 4, 6)


@pytest.fixture
def case():
    """Two outputs (the second at half size), a truth with NaN where it is unknown, and a mask."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, 9, SHAPE)
    valid = rng.random(SHAPE) < 0.6
    truth[~valid] = np.nan
    fine = np.nan_to_num(truth, nan=4) + rng.normal(0, 2, SHAPE)
    coarse = rng.uniform(0, 9, (2, 1, 2, 3))
    return fine, coarse, truth, valid


def t(values, grad=False):
    return torch.tensor(np.asarray(values), requires_grad=grad)


def enlarge(values, factor):
    """Bilinear with corners kept, pixel by pixel, borders repeated."""
    b, _, h, w = values.shape
    out = np.zeros((b, 1, h * factor, w * factor))
    for y in range(h * factor):
        for x in range(w * factor):
            v, u = (y + 0.5) / factor - 0.5, (x + 0.5) / factor - 0.5
            v, u = min(max(v, 0), h - 1), min(max(u, 0), w - 1)
            j, i = min(int(v), h - 2), min(int(u), w - 2)
            a, c = v - j, u - i
            out[:, 0, y, x] = (
                (1 - a) * (1 - c) * values[:, 0, j, i]
                + (1 - a) * c * values[:, 0, j, i + 1]
                + a * (1 - c) * values[:, 0, j + 1, i]
                + a * c * values[:, 0, j + 1, i + 1]
            )
    return out


def mean_of_samples(values, valid):
    return np.mean([values[i][valid[i]].mean() if valid[i].any() else 0 for i in range(len(valid))])


def huber(e, beta):
    e = np.abs(e)
    return np.where(e < beta, e * e / (2 * beta), e - beta / 2)


def test_smooth_l1_over_all_outputs(case):
    fine, coarse, truth, valid = case
    got = losses.smooth_l1((t(fine), t(coarse)), t(truth), t(valid), (1.0, 0.3), beta=1.5)
    want = mean_of_samples(huber(fine - truth, 1.5), valid)
    want += 0.3 * mean_of_samples(huber(enlarge(coarse, 2) - truth, 1.5), valid)
    assert got.item() == pytest.approx(want, rel=1e-12)


def test_the_last_weight_is_repeated(case):
    fine, _, truth, valid = case
    one = losses.smooth_l1((t(fine),), t(truth), t(valid))
    three = losses.smooth_l1((t(fine),) * 3, t(truth), t(valid), (1.0, 0.5))
    assert three.item() == pytest.approx(2 * one.item())


def test_sequence_loss_weighs_the_last_iteration_most(case):
    fine, coarse, truth, valid = case
    got = losses.sequence_loss((t(fine), t(coarse), t(fine + 1)), t(truth), t(valid), gamma=0.8)
    want = mean_of_samples(np.abs(fine - truth), valid)
    want += 0.8 * mean_of_samples(np.abs(enlarge(coarse, 2) - truth), valid)
    want += 0.64 * mean_of_samples(np.abs(fine + 1 - truth), valid)
    assert got.item() == pytest.approx(want, rel=1e-12)


def test_multi_scale_judges_at_the_output_s_size(case):
    fine, coarse, truth, valid = case
    got = losses.multi_scale_loss((t(fine), t(coarse)), t(truth), t(valid), (1.0, 0.5), beta=1.0)
    small, known = np.zeros(coarse.shape), np.zeros(coarse.shape, bool)
    for b, y, x in np.ndindex(2, 2, 3):
        cell = truth[b, 0, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        inside = cell[np.isfinite(cell)]
        known[b, 0, y, x] = inside.size > 0 and np.ptp(inside) <= 1
        small[b, 0, y, x] = inside.mean() if inside.size else 0
    assert known.any() and not known.all()
    want = mean_of_samples(huber(fine - truth, 1), valid)
    want += 0.5 * mean_of_samples(huber(coarse - small, 1), known)
    assert got.item() == pytest.approx(want, rel=1e-9)


def test_smoothness_is_cheap_across_edges(case):
    fine = np.abs(case[0])
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 6))
    d = fine / fine.mean(axis=(2, 3), keepdims=True)
    want = 0.0
    for axis in (2, 3):
        edge = np.abs(np.diff(image / 255, axis=axis)).mean(axis=1, keepdims=True)
        want += (np.abs(np.diff(d, axis=axis)) * np.exp(-edge)).mean()
    got = losses.edge_aware_smoothness(t(fine), t(image))
    assert got.item() == pytest.approx(want, rel=1e-12)
    # One pixel has no neighbours.
    assert losses.edge_aware_smoothness(t(np.ones((1, 1, 1, 1))), t(np.ones((1, 3, 1, 1)))) == 0


def test_confidence_is_cross_entropy_and_leaves_the_disparity_alone(case):
    fine, _, truth, valid = case
    logits = np.random.default_rng(1).normal(0, 2, SHAPE)
    p = 1 / (1 + np.exp(-logits))
    good = np.abs(fine - truth) <= 1
    assert good[valid].any() and not good[valid].all()
    want = mean_of_samples(-np.where(good, np.log(p), np.log(1 - p)), valid)
    disparity, guess = t(fine, grad=True), t(logits, grad=True)
    got = losses.confidence_loss(guess, disparity, t(truth), t(valid))
    assert got.item() == pytest.approx(want, rel=1e-9)
    got.backward()
    assert disparity.grad is None
    assert torch.isfinite(guess.grad).all()


def test_laplace(case):
    fine, _, truth, valid = case
    s = np.random.default_rng(2).normal(0, 1, SHAPE)
    want = mean_of_samples(np.abs(fine - truth) / np.exp(s) + np.log(2 * np.exp(s)), valid)
    got = losses.laplace_nll(t(fine), t(s), t(truth), t(valid))
    assert got.item() == pytest.approx(want, rel=1e-9)
    # A scale that runs off to nothing is held, in value and in gradient.
    far = t(np.full(SHAPE, -1e9), grad=True)
    low = losses.laplace_nll(t(fine), far, t(truth), t(valid))
    low.backward()
    assert torch.isfinite(low) and torch.isfinite(far.grad).all()


CALLS = {
    "smooth-l1": lambda d, c, truth, valid: losses.smooth_l1((d, c), truth, valid, (1.0, 0.5)),
    "sequence": lambda d, c, truth, valid: losses.sequence_loss((d, c), truth, valid),
    "multi-scale": lambda d, c, truth, valid: losses.multi_scale_loss((d, c), truth, valid),
    "laplace": lambda d, c, truth, valid: losses.laplace_nll(d, 0 * d + c.mean(), truth, valid),
    "confidence": lambda d, c, truth, valid: losses.confidence_loss(d + c.mean(), d, truth, valid),
    "smoothness": lambda d, c, truth, valid: losses.edge_aware_smoothness(
        d.abs() + c.mean(), torch.ones(2, 3, 4, 6, dtype=d.dtype)
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_those_of_finite_differences(case, name):
    fine, coarse, truth, valid = case
    if name == "confidence":  # its target is a step of the disparity, which sends no gradient
        logits = t(fine, grad=True)
        assert torch.autograd.gradcheck(
            lambda x: losses.confidence_loss(x, t(fine), t(truth), t(valid)), (logits,)
        )
        return
    assert torch.autograd.gradcheck(
        lambda d, c: CALLS[name](d, c, t(truth), t(valid)), (t(fine, True), t(coarse, True))
    )


@pytest.mark.parametrize("name", CALLS)
def test_an_empty_mask_gives_no_nan(case, name):
    """The trap: a mean over nothing, or 0 times NaN, poisons every weight of the net."""
    fine, coarse, truth, valid = case
    valid[0] = False
    truth[0] = np.nan
    d, c = t(fine, True), t(coarse, True)
    loss = CALLS[name](d, c, t(truth), t(valid))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(d.grad).all() and (c.grad is None or torch.isfinite(c.grad).all())
    if name in ("smooth-l1", "sequence", "multi-scale"):
        assert (d.grad[0] == 0).all()
        assert (d.grad[1] != 0).any()


def test_a_prediction_that_is_nan_where_nothing_is_known_does_no_harm(case):
    fine, _, truth, valid = case
    fine[~valid] = np.nan
    d = t(fine, True)
    s = torch.zeros(SHAPE, dtype=torch.float64, requires_grad=True)
    loss = losses.sequence_loss((d,), t(truth), t(valid))
    loss = loss + losses.smooth_l1((d,), t(truth), t(valid))
    (loss + losses.laplace_nll(d, s, t(truth), t(valid))).backward()
    assert torch.isfinite(d.grad).all() and torch.isfinite(s.grad).all()


def test_every_pair_counts_alike_however_sparse():
    valid = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    valid[0, 0, 0, 0] = True
    valid[1] = True
    values = torch.cat([torch.full((1, 1, 4, 4), 6.0), torch.full((1, 1, 4, 4), 2.0)])
    assert losses.masked_mean(values, valid).item() == 4


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_masked_mean_against_its_twin(seed, share):
    rng = np.random.default_rng(seed)
    values, valid = rng.normal(size=(3, 1, 3, 5)), rng.random((3, 1, 3, 5)) < share
    values[~valid] = np.nan
    got = losses.masked_mean(t(values), t(valid))
    assert got.item() == pytest.approx(mean_of_samples(values, valid), abs=1e-12)


def test_measured_counts_what_the_progress_line_shows(case):
    fine, _, truth, valid = case
    fine[np.unravel_index(np.argmax(valid), SHAPE)] = np.nan
    total, bad, pixels = losses.measured(t(fine), t(truth), t(valid))
    assert torch.isnan(total)
    assert bad == np.count_nonzero(~(np.abs(fine - truth)[valid] <= 2))
    assert pixels == valid.sum()


def test_what_cannot_be_is_refused(case):
    fine, _, truth, valid = case
    args = t(truth), t(valid)
    with pytest.raises(UsageError, match="no disparity"):
        losses.smooth_l1((), *args)
    with pytest.raises(UsageError, match="weights"):
        losses.smooth_l1((t(fine),), *args, weights=())
    with pytest.raises(UsageError, match="beta"):
        losses.smooth_l1((t(fine),), *args, beta=0.0)
    with pytest.raises(UsageError, match="gamma"):
        losses.sequence_loss((t(fine),), *args, gamma=1.5)
    with pytest.raises(UsageError, match="divisor of 6x4"):
        losses.multi_scale_loss((t(np.zeros((2, 1, 3, 4))),), *args)
