"""The variants of supervised losses, pixel by pixel against plain loops and finite differences."""

import math

import numpy as np
import pytest
import torch

from fathom.core import UsageError
from fathom.layers.losses import ErrorLaw, law_loss, smooth_l1, trust_weights
from fathom.layers.matching_loss import margin_loss, pair_scores
from fathom.layers.stereo import StereoOutput
from fathom.train import StereoLoss
from fathom.train.pairs import Batch

torch.set_num_threads(1)
SHAPE = (2, 1, 3, 5)
LAWS = {
    "plain": ErrorLaw(1.5),
    "bounded": ErrorLaw(most=1.2),
    "log": ErrorLaw(0.1, log=True),
    "step": ErrorLaw(threshold=1.0),
    "slope": ErrorLaw(threshold=1.0, softness=0.5),
    "log and slope": ErrorLaw(0.1, log=True, threshold=2.0, softness=0.3),
}


@pytest.fixture(scope="module")
def case():
    """Disparities, some below 0, a truth with NaN where it is unknown, and the mask."""
    rng = np.random.default_rng(5)
    truth = rng.uniform(0, 9, SHAPE)
    valid = rng.random(SHAPE) < 0.7
    truth[~valid] = np.nan
    found = np.nan_to_num(truth, nan=3.0) + rng.normal(0, 2, SHAPE)
    assert (found[valid] < 0).any()
    return found, truth, valid


def t(values, grad=False):
    return torch.tensor(values, requires_grad=grad)


def slow(law, d, truth):
    """The cost of one pixel."""

    def phi(x):
        return math.log(1 + x) if law.log and x > 0 else x

    e, off = abs(phi(d) - phi(truth)), abs(d - truth)
    cost = min(e * e / (2 * law.beta) if e < law.beta else e - law.beta / 2, law.most)
    if law.threshold and law.softness:
        return cost / (1 + math.exp(-(off - law.threshold) / law.softness))
    return cost if off > law.threshold else 0.0


@pytest.mark.parametrize("name", LAWS)
def test_each_law_against_plain_loops_and_finite_differences(case, name):
    found, truth, valid = case
    law = LAWS[name]
    got = law(t(found), t(truth), t(valid)).numpy()
    want = [
        slow(law, d, v) if known else 0.0 for d, v, known in zip(*map(np.ravel, case), strict=True)
    ]
    np.testing.assert_allclose(got.ravel(), want, rtol=1e-12)
    weights = t(np.random.default_rng(1).uniform(0, 1, SHAPE))
    assert torch.autograd.gradcheck(
        lambda d: law_loss((d,), t(truth), t(valid), (1.0,), law, weights), (t(found, True),)
    )


def test_the_sharper_the_slope_the_nearer_to_the_step(case):
    found, truth, valid = map(t, case)
    step = ErrorLaw(threshold=1.0)(found, truth, valid)
    off = [
        (ErrorLaw(threshold=1.0, softness=s)(found, truth, valid) - step).abs().max().item()
        for s in (1.0, 0.1, 1e-3)
    ]
    assert off[0] > off[1] > off[2] and off[2] < 1e-6


def test_smooth_l1_is_the_plain_law_and_its_weights_those_of_the_outputs(case):
    found, truth, valid = map(t, case)
    both = (found, found + 1)
    plain = law_loss(both, truth, valid, (1.0, 0.5), ErrorLaw(2.0, 3.0))
    assert smooth_l1(both, truth, valid, (1.0, 0.5), 2.0, 3.0).item() == plain.item()
    doubled = law_loss(both, truth, valid, (1.0, 0.5), ErrorLaw(2.0, 3.0), 2 * torch.ones(SHAPE))
    assert doubled.item() == pytest.approx(2 * plain.item())


def test_trust_is_the_confidence_without_a_gradient_and_0_below_the_least():
    logits = t([[[[-2.0, 0.0, 2.0]]]], grad=True)
    assert trust_weights(logits).flatten().tolist() == pytest.approx(
        [0.1192, 0.5, 0.8808], abs=1e-4
    )
    assert trust_weights(logits, 0.5).flatten().tolist() == pytest.approx(
        [0, 0.5, 0.8808], abs=1e-4
    )
    assert not trust_weights(logits).requires_grad
    with pytest.raises(UsageError, match="least = 2: is no probability"):
        trust_weights(logits, 2)


def batch(truth, valid):
    image = torch.zeros(*truth.shape[:1], 3, *truth.shape[2:])
    return Batch(image, image, truth, valid, None, ("a", "b"))


def test_the_objective_passes_its_options_on(case):
    found, truth, valid = map(t, case)
    given, sure = batch(truth, valid), torch.linspace(-3, 3, 30).double().view(SHAPE)
    options = {"beta": 0.2, "most": 1.0, "log": True, "threshold": 0.5, "softness": 0.1}
    loss = StereoLoss(**options, trusted=True, least_trust=0.4, confidence=0.0)
    terms = loss(StereoOutput((found,), sure), given)
    want = law_loss((found,), truth, valid, (1.0,), ErrorLaw(**options), trust_weights(sure, 0.4))
    assert list(terms) == ["disparity"]
    assert terms["disparity"].item() == pytest.approx(want.item(), rel=1e-12)
    with pytest.raises(UsageError, match="trusted = True: needs a net that gives a confidence"):
        loss(StereoOutput((found,)), given)


def test_the_triplet_hinge_is_taken_in_levels_of_the_scores():
    torch.manual_seed(0)
    scores = torch.randn(2, 12, 4, 16, requires_grad=True)
    truth = 4 * torch.randint(0, 12, (2, 1, 4, 16)).float()
    truth = truth.repeat_interleave(4, 2).repeat_interleave(4, 3)
    given = batch(truth, torch.isfinite(truth))
    loss = StereoLoss(triplet=0.5, triplet_far=(2.0, 5.0))
    torch.manual_seed(1)
    got = loss(StereoOutput((truth,), None, scores), given)["triplet"]
    torch.manual_seed(1)
    small = truth[..., ::4, ::4] / 4
    pairs = pair_scores(scores, small, torch.isfinite(small), 0.5, (2.0, 5.0))
    assert got.item() == pytest.approx(0.5 * margin_loss(pairs).item())
    got.backward()
    assert (scores.grad != 0).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beta": 0.0}, "beta = 0.0: is not positive"),
        ({"threshold": -1.0}, "threshold = -1.0: is no width"),
        ({"softness": math.inf}, "softness = inf: is no width"),
        ({"triplet": -1.0}, "triplet = -1.0: is no weight"),
        ({"kind": "sequence", "log": True, "trusted": True}, "log, trusted = 'sequence': is an"),
    ],
)
def test_options_that_cannot_be(wrong, message):
    with pytest.raises(UsageError, match=message):
        StereoLoss(**wrong)
