"""Losses blind to scale and shift: slow twins, invariances, gradients, no NaN."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core.errors import UsageError
from fathom.layers import depth_losses

SHAPE = (2, 1, 6, 8)


@pytest.fixture
def case():
    """A prediction, a truth with NaN where it is unknown, the mask."""
    rng = np.random.default_rng(5)
    truth = rng.uniform(1, 9, SHAPE)
    valid = rng.random(SHAPE) < 0.7
    guess = truth * 1.3 + rng.normal(0, 0.4, SHAPE)
    truth[~valid] = np.nan
    return np.abs(guess) + 0.1, truth, valid


def t(values):
    return torch.tensor(np.asarray(values))


def centred(values):
    # torch's median is the lower one of two
    middle = np.sort(values)[(len(values) - 1) // 2]
    return (values - middle) / np.abs(values - middle).mean()


def test_silog_and_its_twin(case):
    guess, truth, valid = case
    want = []
    for g, y, m in zip(guess, truth, valid, strict=True):
        d = np.log(g[m]) - np.log(y[m])
        want.append(10 * np.sqrt((d**2).mean() - 0.85 * d.mean() ** 2))
    found = depth_losses.silog(*map(t, case), 0.85, 10.0)
    assert found.item() == pytest.approx(np.mean(want))


def test_silog_s_other_forms_and_their_twins(case):
    guess, truth, valid = case
    eigen, zoe = [], []
    for g, y, m in zip(guess, truth, valid, strict=True):
        d, n = np.log(g[m]) - np.log(y[m]), m.sum()
        # Eigen's second way of writing it: the mean over all pairs of pixels, at 1
        pairs = np.mean([(a - b) ** 2 for a in d for b in d]) / 2
        eigen.append(pairs + (1 - 0.4) * d.mean() ** 2)
        zoe.append(10 * np.sqrt(d.var(ddof=1) + 0.15 * d.mean() ** 2))
        assert n > 2
    given_ = tuple(map(t, case))
    found = depth_losses.silog(*given_, 0.4, form="eigen")
    assert found.item() == pytest.approx(np.mean(eigen))
    found = depth_losses.silog(*given_, 0.85, 10.0, form="zoedepth")
    assert found.item() == pytest.approx(np.mean(zoe))


def test_depth_anything_s_loss_and_its_twin(case):
    guess, truth, valid = case
    whole, dropped = [], []
    for g, y, m in zip(guess, truth, valid, strict=True):
        away = np.sort(np.abs(centred(g[m]) - centred(y[m])))
        whole.append(away.mean())
        dropped.append(away[: round(0.9 * len(away))].mean())
    loss, given_ = depth_losses.affine_invariant, tuple(map(t, case))
    assert loss(*given_).item() == pytest.approx(np.mean(whole))
    assert loss(*given_, 0.1).item() == pytest.approx(np.mean(dropped))
    half = depth_losses.scale_and_shift_invariant(*given_, "robust", 0.0)
    assert loss(*given_).item() == pytest.approx(2 * half.item())


def test_invariant_losses_and_their_twins(case):
    guess, truth, valid = case
    squared, trimmed = [], []
    for g, y, m in zip(guess, truth, valid, strict=True):
        v, z = g[m], y[m]
        fit = np.polyval(np.polyfit(v, z, 1), v)
        squared.append(((fit - z) ** 2).sum() / (2 * len(z)))
        away = np.sort(np.abs(centred(v) - centred(z)))
        trimmed.append(away[: int(0.8 * len(away))].sum() / (2 * len(away)))
    loss = depth_losses.scale_and_shift_invariant
    assert loss(*map(t, case), "mse").item() == pytest.approx(np.mean(squared))
    assert loss(*map(t, case)).item() == pytest.approx(np.mean(trimmed))


def test_gradient_matching_and_its_twin(case):
    guess, truth, valid = case
    want = 0.0
    for g, y, m in zip(guess[:, 0], truth[:, 0], valid[:, 0], strict=True):
        r = np.zeros(g.shape)
        r[m] = centred(g[m]) - centred(y[m])
        for k in range(3):
            s, known = r[:: 2**k, :: 2**k], m[:: 2**k, :: 2**k]
            total = 0.0
            for i, j in np.argwhere(known):
                for di, dj in ((0, 1), (1, 0)):
                    if i + di < s.shape[0] and j + dj < s.shape[1] and known[i + di, j + dj]:
                        total += abs(s[i + di, j + dj] - s[i, j])
            want += total / max(known.sum(), 1)
    found = depth_losses.gradient_matching(*map(t, case), scales=3)
    assert found.item() == pytest.approx(want / 2)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 20), st.floats(-5, 5))
def test_scale_and_shift_do_not_matter(scale, shift):
    rng = np.random.default_rng(0)
    guess, truth = t(rng.uniform(1, 9, SHAPE)), t(rng.uniform(1, 9, SHAPE))
    valid = torch.ones(SHAPE, dtype=torch.bool)
    for loss in (
        lambda p: depth_losses.scale_and_shift_invariant(p, truth, valid, "mse"),
        lambda p: depth_losses.scale_and_shift_invariant(p, truth, valid, "robust"),
        lambda p: depth_losses.gradient_matching(p, truth, valid),
        lambda p: depth_losses.affine_invariant(p, truth, valid, 0.1),
    ):
        assert loss(scale * guess + shift).item() == pytest.approx(loss(guess).item(), rel=1e-6)
        assert loss(scale * truth + shift).item() == pytest.approx(0, abs=1e-8)
    whole = depth_losses.silog(scale * truth, truth, valid, 1.0)
    assert whole.item() == pytest.approx(0, abs=1e-5)
    part = depth_losses.silog(scale * truth, truth, valid, 0.0)
    assert part.item() == pytest.approx(abs(np.log(scale)), abs=1e-5)


def test_trimming_forgets_the_worst():
    truth = t(np.random.default_rng(1).uniform(1, 9, (1, 1, 10, 10)))
    guess = truth.clone()
    guess[..., 0, :9] += 40
    valid = torch.ones_like(truth, dtype=torch.bool)
    loss = depth_losses.scale_and_shift_invariant
    assert loss(guess, truth, valid, "robust", 0.2) < 0.5 * loss(guess, truth, valid, "robust", 0.0)


LOSSES = {
    "silog": depth_losses.silog,
    "eigen": lambda *a: depth_losses.silog(*a, form="eigen"),
    "zoedepth": lambda *a: depth_losses.silog(*a, 0.85, 10.0, form="zoedepth"),
    "depth anything": lambda *a: depth_losses.affine_invariant(*a, 0.1),
    "mse": lambda *a: depth_losses.scale_and_shift_invariant(*a, "mse"),
    "robust": depth_losses.scale_and_shift_invariant,
    "gradient": depth_losses.gradient_matching,
    "absrel": depth_losses.relative_error,
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name, case):
    guess, truth, valid = map(t, case)
    guess.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: LOSSES[name](p, truth, valid), guess, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_unknown_sends_nothing(name, case):
    guess, truth, valid = map(t, case)
    guess[~valid] = float("nan")
    guess.requires_grad_()
    value = LOSSES[name](guess, truth, valid)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(guess.grad[valid]).all()
    assert (guess.grad[~valid] == 0).all()
    empty = LOSSES[name](guess.detach(), truth, torch.zeros_like(valid))
    assert empty.item() == pytest.approx(0, abs=1e-5)


def test_constant_maps_are_finite():
    flat, valid = torch.full(SHAPE, 3.0), torch.ones(SHAPE, dtype=torch.bool)
    flat.requires_grad_()
    for loss in LOSSES.values():
        value = loss(flat, torch.full(SHAPE, 2.0), valid)
        assert torch.isfinite(value)


def test_relative_error():
    valid = torch.ones((1, 1, 1, 2), dtype=torch.bool)
    found = depth_losses.relative_error(t([[[[2.0, 3.0]]]]), t([[[[1.0, 4.0]]]]), valid)
    assert found.item() == pytest.approx((1 + 0.25) / 2)


def test_settings_that_cannot_be(unchecked, case):
    given_ = tuple(map(t, case))
    for wrong in (
        lambda: depth_losses.silog(*given_, 1.5),
        lambda: depth_losses.silog(*given_, form="log"),
        lambda: depth_losses.affine_invariant(*given_, 1.0),
        lambda: depth_losses.scale_and_shift_invariant(*given_, "l3"),
        lambda: depth_losses.scale_and_shift_invariant(*given_, "robust", 1.0),
        lambda: depth_losses.gradient_matching(*given_, 0),
    ):
        with pytest.raises(UsageError):
            wrong()
