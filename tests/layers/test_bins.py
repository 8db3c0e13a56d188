"""ZoeDepth's metric bins: a slow twin, transformers' head, the law's shape, gradients."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fathom.core.errors import UsageError
from fathom.layers.bins import BinsConfig, MetricBins, attracted, log_binomial

torch.set_num_threads(1)
SMALL = BinsConfig(8, (3, 2, 2, 1), 6, 5, 4, 6, 7, 9)


def given(seed=0, config=SMALL):
    generator = torch.Generator().manual_seed(seed)

    def features(channels, height, width):
        return torch.randn(2, channels, height, width, generator=generator)

    levels = [features(config.level, 3 << i, 4 << i) for i in range(4)]
    last, relative = features(config.last, 48, 64), features(1, 24, 32).abs()
    return features(config.bottleneck, 3, 4), levels, last, relative


def head(config=SMALL):
    torch.manual_seed(1)
    net = MetricBins(config)
    with torch.no_grad():  # as first drawn, all bins are nearly alike
        for p in net.parameters():
            p.mul_(2)
    return net


def twin_shares(probability, temperature, bins):
    """The law, bin by bin."""
    tiny, n = 1e-7, bins - 1
    score = []
    for k in range(bins):
        m, j = n + tiny, k + tiny
        score.append(m * math.log(m) - j * math.log(j) - (m - j) * math.log(m - j + tiny))
        score[-1] += k * math.log(max(probability, 1e-4))
        score[-1] += (n - k) * math.log(max(1 - probability, 1e-4))
    e = np.exp((np.array(score) - max(score)) / temperature)
    return e / e.sum()


@pytest.mark.parametrize("probability", [1e-6, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("temperature", [0.0212, 1.0, 50.0])
def test_the_law_and_its_twin(probability, temperature):
    p, t = (torch.full((1, 1, 1, 1), v, dtype=torch.float64) for v in (probability, temperature))
    found = log_binomial(p, t, 16)[0, :, 0, 0].numpy()
    np.testing.assert_allclose(found, twin_shares(probability, temperature, 16), atol=1e-9)
    assert found.sum() == pytest.approx(1)
    slopes = np.sign(np.diff(found[found > 1e-12]))
    assert (np.diff(slopes) <= 0).all()  # it rises, then falls: one peak


def test_a_higher_probability_means_a_farther_bin():
    means = []
    for p in (0.1, 0.5, 0.9):
        shares = log_binomial(torch.full((1, 1, 1, 1), p), torch.ones(1, 1, 1, 1), 64)[0, :, 0, 0]
        means.append(float((shares * torch.arange(64)).sum()))
    np.testing.assert_allclose(means, [6.3, 31.5, 56.7], atol=0.7)


def test_attractors_and_their_twin():
    centres = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)[None, :, None, None]
    pull = torch.tensor([1.1, 3.0], dtype=torch.float64)[None, :, None, None]
    want = [
        c + np.mean([(a - c) / (1 + 300 * (a - c) ** 2) for a in (1.1, 3.0)])
        for c in (0.5, 1.0, 4.0)
    ]
    np.testing.assert_allclose(attracted(centres, pull)[0, :, 0, 0], want)
    near = attracted(centres, pull[:, :1], alpha=0.0)
    np.testing.assert_allclose(near[0, :, 0, 0], 1.1)  # nothing slows them down


def twin(net, bottleneck, levels, last, relative):
    """The depth of one pixel of maps of one pixel each, in numpy."""

    def layer(module, x):
        return module.weight.detach().numpy()[:, :, 0, 0] @ x + module.bias.detach().numpy()

    def mlp(modules, x):
        return layer(modules[2], np.maximum(layer(modules[0], x), 0))

    def softplus(x):
        return np.log1p(np.exp(x))

    x = layer(net.enter, bottleneck)
    centres, embedding = softplus(mlp(net.seed, x)), mlp(net.seed_embedding, x)
    for i, features in enumerate(levels):
        own = mlp(net.embeddings[i], features)
        pull = softplus(mlp(net.attractors[i], own + embedding))
        away = pull[:, None] - centres
        centres, embedding = centres + (away / (1 + 300 * away**2)).mean(axis=0), own
    joined = layer(net.law[0], np.concatenate([last, relative, embedding]))
    told = softplus(layer(net.law[2], [v * (1 + math.erf(v / 2**0.5)) / 2 for v in joined])) + 1e-4
    p, t = told[0] / (told[0] + told[1]), told[2] / (told[2] + told[3])
    return float(twin_shares(p, (50 - 0.0212) * t + 0.0212, len(centres)) @ centres)


def test_the_head_and_its_twin():
    net, rng = head().double(), np.random.default_rng(0)
    sizes = (SMALL.bottleneck, *[SMALL.level] * 4, SMALL.last, 1)
    values = [rng.normal(size=n) for n in sizes]
    tensors = [torch.tensor(v)[None, :, None, None] for v in values]
    with torch.no_grad():
        found = net(tensors[0], tensors[1:5], tensors[5], tensors[6])
    assert found.item() == pytest.approx(twin(net, values[0], values[1:5], *values[5:]))


def test_transformers_head_with_the_same_weights():
    """Number for number; and so the published weights mean the same here."""
    transformers = pytest.importorskip("transformers")
    from transformers.models.zoedepth import modeling_zoedepth as theirs

    config = transformers.ZoeDepthConfig(
        bottleneck_features=SMALL.bottleneck, fusion_hidden_size=SMALL.level,
        num_relative_features=SMALL.last, bin_embedding_dim=SMALL.embedding,
        num_attractors=list(SMALL.attractors), attractor_alpha=1000,
        bin_configurations=[{"n_bins": SMALL.bins, "min_depth": 0.001, "max_depth": 10.0}],
    )  # fmt: skip
    torch.manual_seed(1)
    official = theirs.ZoeDepthMetricDepthEstimationHead(config).eval()
    # the widths inside are no settings of theirs
    hidden, projector = (
        getattr(official, name).conv1.out_channels
        for name in ("seed_bin_regressor", "seed_projector")
    )
    net = MetricBins(replace(SMALL, hidden=hidden, projector=projector))
    net.load_state_dict(_ours(official.state_dict()), strict=True)
    bottleneck, levels, last, relative = given()
    with torch.no_grad():
        want, _ = official(last, bottleneck, levels, relative[:, 0])
        found = net(bottleneck, levels, last, relative)
    assert want.std() > 1e-3
    torch.testing.assert_close(found, want, rtol=1e-5, atol=1e-6)


def _ours(state):
    """transformers' names of tensors -> ours."""
    pairs = {"conv2.": "enter.", "seed_bin_regressor.": "seed."}
    pairs |= {"seed_projector.": "seed_embedding.", "projectors.": "embeddings."}
    pairs |= {"conditional_log_binomial.mlp.": "law."}
    out = {}
    for name, values in state.items():
        new = next((n + name.removeprefix(o) for o, n in pairs.items() if name.startswith(o)), name)
        if not new.startswith(("enter.", "law.")):
            new = new.replace("conv1.", "0.").replace("conv2.", "2.")
        out[new] = values
    return out


def test_gradients_reach_every_weight():
    net = head().double()
    bottleneck, levels, last, relative = given()
    out = net(bottleneck.double(), [v.double() for v in levels], last.double(), relative.double())
    assert out.shape == (2, 1, 48, 64) and bool((out > 0).all())
    out.square().mean().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())] == []
    p = torch.rand(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: log_binomial(v, 1 + v, 6), p)


def test_heads_that_cannot_be():
    with pytest.raises(UsageError, match="is no head"):
        BinsConfig(bins=0)
    with pytest.raises(UsageError, match="is no range"):
        BinsConfig(temperature=(1.0, 0.5))
    bottleneck, levels, last, relative = given()
    with pytest.raises(UsageError, match="not as many as the attractors"):
        head()(bottleneck, levels[:3], last, relative)
