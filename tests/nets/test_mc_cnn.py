"""MC-CNN: what it computes against plain loops, its forms and names, and that it learns."""

import runpy
from functools import partial
from pathlib import Path

import learning
import numpy as np
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, ResourceError, UsageError
from fathom.layers.matching_loss import PairScores, margin_loss, match_entropy, pair_scores
from fathom.nets.costs import matching_costs
from fathom.nets.stereo import mc_cnn
from fathom.nets.stereo.mc_cnn import (
    FUSIONS,
    MCCNN,
    WEIGHTS,
    MCCNNConfig,
    config_of,
    convert,
    mc_cnn_accurate,
    mc_cnn_fast,
    normalised,
    unconvert,
)

torch.set_num_threads(1)
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
FAST = MCCNNConfig(3, 8, max_disparity=12)
ACCURATE = MCCNNConfig(3, 6, hidden=2, width=10, max_disparity=12)
FORMS = [FAST, *(MCCNNConfig(3, 6, 2, 10, fusion, 12) for fusion in FUSIONS)]


def built(config):
    torch.manual_seed(0)
    return MCCNN(config).eval()


def images(batch=1, height=7, width=15, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand((batch, 3, height, width), generator=generator) * 255 for _ in range(2)]


def slow_scores(net, left, right, first, levels):
    """One disparity at a time: the right view is moved, and both go through the layers together."""
    config = net.config
    views = [normalised(left), normalised(right)]
    described = [net.describe(v) for v in views]
    width = left.shape[-1]
    out = torch.full((*left.shape[::2][:1], left.shape[2], width, levels), -torch.inf)
    for k in range(levels):
        d = first + k
        columns = [x for x in range(width) if 0 <= x - d < width]
        moved = torch.zeros_like(described[1])
        for x in columns:
            moved[..., x] = described[1][..., x - d]
        if not config.hidden:
            found = (described[0] * moved).sum(dim=1)
        else:
            both = torch.cat([described[0], moved], dim=1)
            for convolution in net.joint:
                both = torch.relu(convolution(both))
            entered = both.permute(0, 2, 3, 1)
            for i, layer in enumerate(net.decide):
                entered = layer(torch.relu(entered) if i else entered)
            found = -entered[..., 0]
        for x in columns:
            out[:, :, x, k] = found[:, :, x]
    return out


@pytest.mark.parametrize("config", FORMS, ids=lambda c: f"{c.hidden}-{c.fusion}")
@pytest.mark.parametrize(("first", "levels"), [(0, 5), (-3, 5), (2, 20), (-30, 40)])
@pytest.mark.parametrize("items", [1 << 16, 40])
def test_scores_one_disparity_at_a_time(monkeypatch, config, first, levels, items):
    monkeypatch.setattr(mc_cnn, "_ITEMS", items)
    monkeypatch.setattr(mc_cnn, "_COLUMNS", 4)
    monkeypatch.setattr(mc_cnn, "_ROW_ITEMS", items)
    net = built(config)
    left, right = images(batch=2)
    with torch.no_grad():
        found = net.scores(normalised(left), normalised(right), first, levels)
        wanted = slow_scores(net, left, right, first, levels)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    # what is trained is put together in another way than what is only wanted
    taught = net.scores(normalised(left), normalised(right), first, levels)
    assert taught.requires_grad and torch.equal(taught.detach(), found)


def test_the_tower_sees_a_patch_and_nothing_else():
    net = built(FAST)
    image = normalised(images(height=20, width=20)[0])
    patch = image[:, :, 6:13, 4:11]
    with torch.no_grad():
        whole = net.describe(image)[0, :, 9, 7]
        seen = patch
        for i, convolution in enumerate(net.tower):
            seen = functional.conv2d(seen, convolution.weight, convolution.bias)
            seen = torch.relu(seen) if i < 2 else seen
    assert net.reach == 3 and seen.shape[2:] == (1, 1)
    seen = seen[0, :, 0, 0]
    torch.testing.assert_close(whole, seen / (seen.square().sum() + 1e-5).sqrt())
    assert whole.norm().item() == pytest.approx(1, abs=1e-3)


def test_costs_are_what_the_paper_calls_so():
    left, right = images()
    for config, low, high in ((FAST, -1, 1), (ACCURATE, 0, 1)):
        net = built(config)
        volume = matching_costs(net, *(v[0].permute(1, 2, 0).numpy() for v in (left, right)), -2, 6)
        assert volume.first == -2 and volume.shape == (7, 15, 6)
        known = np.isfinite(volume.costs)
        assert not known[:, 14, :1].any() and not known[:, 0, 3:].any() and known[:, 5].all()
        assert low - 1e-6 <= volume.costs[known].min() < volume.costs[known].max() <= high + 1e-6
        with torch.no_grad():
            scores = net.scores(normalised(left), normalised(right), -2, 6)[0].numpy()
        wanted = -scores if config is FAST else 1 / (1 + np.exp(scores))
        np.testing.assert_allclose(volume.costs[known], wanted[known], atol=1e-5)


def test_autocast_is_close_and_of_the_same_type():
    left, right = (v[0].permute(1, 2, 0).numpy() for v in images(height=12, width=20))
    net = built(FAST)
    exact, rough = (matching_costs(net, left, right, 0, 6, p) for p in ("fp32", "bf16"))
    assert rough.costs.dtype == np.float32
    np.testing.assert_allclose(rough.costs, exact.costs, atol=0.05)
    assert not np.array_equal(rough.costs, exact.costs)


def test_a_device_with_too_little_memory(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    net = built(FAST)
    monkeypatch.setattr(net, "scores", full)
    image = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ResourceError, match="device = 'cpu': has too little memory"):
        matching_costs(net, image, image, 0, 2)


@pytest.mark.parametrize("config", FORMS, ids=lambda c: f"{c.hidden}-{c.fusion}")
def test_forward(config):
    net = built(config)
    left, right = images(batch=2, height=9, width=11)
    with torch.no_grad():
        out = net(left, right)
        again = net(left[1:], right[1:])
    assert out.scores.shape == (2, 11, 9, 11)  # no more disparities than columns
    assert out.disparities[0].shape == (2, 1, 9, 11) and out.confidence is None
    winner = out.scores.argmax(dim=1, keepdim=True)
    assert torch.equal(out.disparities[0], winner.float())
    torch.testing.assert_close(again.scores, out.scores[1:], atol=1e-5, rtol=1e-5)
    x = torch.arange(11)
    outside = torch.arange(11)[:, None] > x
    assert bool((out.scores.permute(0, 2, 1, 3)[:, :, outside] == -1e4).all())
    # the last columns repeat the one before them
    assert torch.equal(out.scores[:, :8, :, 9], out.scores[:, :8, :, 7])


def test_normalised_images_mind_neither_gain_nor_offset():
    left = images(height=30, width=30)[0]
    found = normalised(left)
    assert found.mean().item() == pytest.approx(0, abs=1e-5)
    assert found.std().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(normalised(0.5 * left + 40), found, atol=1e-4, rtol=1e-4)
    assert not normalised(torch.full((1, 3, 4, 4), 77.0)).any()


def test_the_published_forms():
    fast, wide = mc_cnn_fast("kitti2012"), mc_cnn_fast("middlebury")
    accurate, other = mc_cnn_accurate("kitti2015"), mc_cnn_accurate("middlebury")
    assert [n.reach for n in (fast, wide, accurate, other)] == [4, 5, 4, 5]
    assert [len(n.decide) for n in (fast, wide, accurate, other)] == [0, 0, 5, 4]
    counts = [sum(p.numel() for p in n.parameters()) for n in (fast, wide, accurate)]
    assert counts == [111424, 148352, 870449]
    assert mc_cnn_accurate(fusion="early").joint[0].in_channels == 2
    assert {(w.model, w.settings["variant"]) for w in WEIGHTS} == {
        (m, v) for m in ("mc-cnn-fast", "mc-cnn-accurate") for v in mc_cnn.VARIANTS
    }


@pytest.mark.parametrize("config", FORMS, ids=lambda c: f"{c.hidden}-{c.fusion}")
def test_shapes_tell_the_form(config):
    state = built(config).state_dict()
    shapes = {name: tuple(v.shape) for name, v in state.items()}
    for prefix in ("", "net."):
        found = config_of({prefix + k: s for k, s in shapes.items()}, "file")
        again = {name: tuple(v.shape) for name, v in MCCNN(found).state_dict().items()}
        assert again == shapes and found.fusion == config.fusion


def test_there_and_back():
    for config in (FAST, ACCURATE):
        state = built(config).state_dict()
        official = unconvert(state)
        assert all(k.split(".")[0] in ("features", "decision") for k in official)
        back = convert(official)
        assert list(back) == list(state) and all(torch.equal(back[k], state[k]) for k in state)


@pytest.mark.parametrize(
    "name", ["features.1.weight", "cnet.conv1.weight", "decision.0.gamma", "x"]
)
def test_tensors_of_another_net(name):
    with pytest.raises(InputError, match=f"{name}: is no tensor of MC-CNN; expected features.N"):
        convert({name: torch.zeros(1)})


def test_fused_views_have_no_official_names():
    with pytest.raises(InputError, match=r"joint.*: is no tensor of the authors' net"):
        unconvert(built(FORMS[-1]).state_dict())


@pytest.mark.parametrize(
    "shapes", [{}, {"x": (3,)}, {"tower.0.weight": (8, 1)}, {"decide.0.weight": (3, 4)}]
)
def test_shapes_of_another_net(shapes):
    with pytest.raises(
        InputError, match=r"mine: .*weights of another net; expected weights of mc-cnn"
    ):
        config_of(shapes, "mine")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layers": 0}, "is no net"),
        ({"hidden": -1}, "is no net"),
        ({"hidden": 1, "fusion": "erly"}, "did you mean early"),
        ({"fusion": "middle"}, "fusion = 'middle': leaves no two descriptions"),
    ],
)
def test_configs_that_cannot_be(unchecked, wrong, message):
    with pytest.raises(UsageError, match=message):
        MCCNNConfig(**wrong)


def test_an_unknown_variant(unchecked):
    with pytest.raises(UsageError, match="unknown variant of mc-cnn 'kitti'; did you mean"):
        mc_cnn_fast("kitti")


def test_pairs_of_a_right_and_a_wrong_disparity():
    torch.manual_seed(0)
    levels, shape = 40, (1, 1, 30, 60)
    scores = torch.arange(levels).float().view(1, -1, 1, 1).expand(1, levels, 30, 60)
    truth = torch.full(shape, 20.3)
    valid = torch.ones(shape, dtype=torch.bool)
    valid[..., 50:] = False
    pairs = pair_scores(scores, truth, valid, 1.0, (4.0, 10.0))
    assert not pairs.usable[..., :19].any() and not pairs.usable[..., 50:].any()
    assert pairs.usable[..., 31:50].all()
    right, wrong = (v[pairs.usable] - 20.3 for v in pairs[:2])
    assert right.abs().max() <= 1.5 and len(right.unique()) == 3
    assert wrong.abs().min() >= 3.5 and wrong.abs().max() <= 10.5
    share = (wrong < 0).float().mean().item()
    assert 0.45 < share < 0.75  # more on the side that lies inside at the left border
    at = (20.3 + wrong).round() <= torch.arange(60).expand(shape)[pairs.usable]
    assert bool(at.all())


def test_pairs_at_the_end_of_what_is_scored_are_drawn_on_the_other_side():
    torch.manual_seed(0)
    scores = torch.arange(12.0).view(1, -1, 1, 1).expand(1, 12, 20, 30)
    truth = torch.full((1, 1, 20, 30), 11.0)
    valid = torch.ones_like(truth, dtype=torch.bool)
    pairs = pair_scores(scores, truth, valid, 0.0, (4.0, 6.0))
    assert pairs.usable[..., 11:].all() and bool((pairs.wrong[pairs.usable] <= 7).all())
    assert not pair_scores(scores, truth + 5, valid, 0.0, (4.0, 6.0)).usable.any()


@pytest.mark.parametrize("wrong", [(-1, (4, 10)), (5, (4, 10)), (1, (10, 4))])
def test_ranges_that_are_none(unchecked, wrong):
    zero = torch.zeros(1, 1, 2, 2)
    with pytest.raises(UsageError, match="are no ranges of right and wrong disparities"):
        pair_scores(zero, zero, zero > 0, *wrong)


def test_losses_by_hand():
    right = torch.tensor([[0.9, 0.5, 0.1, 9.0]])[None, None]
    wrong = torch.tensor([[0.1, 0.4, 0.6, 9.0]])[None, None]
    usable = torch.tensor([[True, True, True, False]])[None, None]
    pairs = PairScores(right, wrong, usable)
    assert margin_loss(pairs).item() == pytest.approx((0 + 0.1 + 0.7) / 3)
    logits = torch.cat([right[usable], wrong[usable]])
    target = torch.tensor([1.0] * 3 + [0.0] * 3)
    wanted = functional.binary_cross_entropy_with_logits(logits, target)
    assert match_entropy(pairs).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert margin_loss(pairs._replace(usable=usable & False)).item() == 0


def loss(kind, output, batch):
    # in scenes of dots nothing matches half a pixel beside the truth
    pairs = pair_scores(output.scores, batch.truth, batch.valid, 0.0, (3.0, 8.0))
    return {"pairs": kind(pairs)}


@pytest.mark.parametrize(
    ("config", "kind", "steps", "rate"),
    [
        (MCCNNConfig(2, 8, max_disparity=10), margin_loss, 15, 1e-2),
        (MCCNNConfig(2, 12, 1, 24, max_disparity=10), match_entropy, 50, 2e-2),
    ],
    ids=["fast", "accurate"],
)
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(config, kind, steps, rate):
    net, taught = partial(MCCNN, config), partial(loss, kind)
    given = learning.batch(12, 32, 10)
    learning.assert_learns(net, given, taught, steps=steps, rate=rate)


def test_the_experiment_s_loss_reaches_every_weight():
    experiment = runpy.run_path(str(EXPERIMENTS / "mc_cnn.py"))["EXPERIMENT"]
    assert experiment.net().config.features == 64
    net, given = MCCNN(FAST), learning.batch(16, 32, 10)
    terms = experiment.loss(net(*given.inputs), given)
    assert set(terms) == {"margin"} and terms["margin"] > 0
    terms["margin"].backward()
    assert all(bool(p.grad.any()) for p in net.parameters())
