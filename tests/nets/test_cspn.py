"""CSPN's and SPN's completion nets: sizes, up-projections, what stays, names, learning."""

from dataclasses import replace

import learning
import numpy as np
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.losses import masked_mean
from fathom.layers.state import load_state
from fathom.nets.mono.cspn import (
    CSPN,
    IGNORED,
    WEIGHTS,
    Completion,
    CSPNConfig,
    convert,
    cspn,
    spn,
    unconvert,
    unpooled_conv,
)
from fathom.published.convert import candidates, convert_tensors
from fathom.train import StereoLoss

torch.set_num_threads(1)
KINDS = ("cspn", "spn")


def narrow(kind="cspn", **other):
    return CSPNConfig(kind, width=4, blocks=(1, 1, 1, 1), **other)


def built(kind="cspn", **other):
    torch.manual_seed(1)
    return CSPN(narrow(kind, **other))


def given(height=40, width=52, count=1, seed=0):
    torch.manual_seed(seed)
    image = 255 * torch.rand(count, 3, height, width)
    depth = 1 + 9 * torch.rand(count, 1, height, width)
    return image, depth * (torch.rand(depth.shape) < 0.05)


@pytest.mark.parametrize("side", [3, 5, 7])
@pytest.mark.parametrize("size", [(8, 10), (7, 9)])
def test_four_small_convolutions_are_the_one_of_the_enlarged_map(side, size):
    x, weight = torch.randn(2, 3, 4, 5), torch.randn(6, 3, side, side)
    large = torch.zeros(2, 3, 8, 10)
    large[..., ::2, ::2] = x
    wanted = functional.conv2d(large[..., : size[0], : size[1]], weight, padding=side // 2)
    torch.testing.assert_close(unpooled_conv(x, weight, size), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(32, 32), (45, 61)])
def test_any_size_comes_back_and_a_batch_of_two_is_two_of_one(kind, size):
    net = built(kind).eval()
    image, hints = given(*size, count=2)
    with torch.no_grad():
        both = net(image, hints)
        assert both.shape == hints.shape and bool(torch.isfinite(both).all())
        for i in range(2):
            one = net(image[i : i + 1], hints[i : i + 1])
            torch.testing.assert_close(one, both[i : i + 1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_put_back(kind):
    """The first depth as in the authors' code, or the measurement itself."""
    image, hints = given()
    kept = hints > 0
    with torch.no_grad():
        net = built(kind).eval()
        assert torch.equal(net(image, hints)[kept], net.described(image, hints)[0][kept])
        assert torch.equal(built(kind, reinsert=True).eval()(image, hints)[kept], hints[kept])


def test_too_small_an_image():
    with pytest.raises(InputError, match=r"size = '40x31'.*32 or more"):
        built()(*given(31, 40))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"width": 0}, {"blocks": (1, 0, 1, 1)}])
def test_a_config_that_is_no_net(wrong, unchecked):
    with pytest.raises(UsageError, match="is no net"):
        CSPNConfig(**wrong)
    with pytest.raises(UsageError, match="unknown propagation 'cnps'"):
        CSPNConfig("cnps")


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_reached_but_the_unused_ones(kind):
    net = built(kind)
    net(*given(count=2)).sum().backward()
    named = dict(net.named_parameters())
    idle = [n for n, p in named.items() if p.grad is None or not bool(p.grad.any())]
    assert [n for n in idle if not n.startswith("unused.")] == []
    assert [n for n, p in named.items() if not p.requires_grad] == idle
    assert bool(idle) == (kind == "cspn")


def test_names_there_and_back():
    state = built().state_dict()
    official = unconvert(state)
    assert len(official) == len(state)
    assert official.keys() >= {"gud_up_proj_layer2.bn1_1.weight", "up_proj_layer4.conv1.weight"}
    assert official.keys() >= {"gud_up_proj_layer6.conv1.weight", "conv3.weight", "conv1_1.weight"}
    old = {k: v for k, v in official.items() if not k.endswith("num_batches_tracked")}
    for tensors in (official, old, official | {IGNORED[0]: torch.ones(1, 8, 1, 1, 1)}):
        back = convert(tensors)
        assert set(back) == set(state) and all(torch.equal(back[k], state[k]) for k in state)


def test_a_file_saved_after_a_forward_is_taken_and_one_of_another_net_is_not(monkeypatch):
    """Eight ones of the authors' propagation lie in such files, and nothing else may."""
    from fathom.nets.mono import cspn as module

    monkeypatch.setattr(module, "cspn", _narrow_cspn)
    monkeypatch.setattr(module, "spn", _narrow_spn)
    among = candidates(module, WEIGHTS, "cspn")
    official = unconvert(built().state_dict())
    after = {f"module.{k}": v for k, v in official.items()}
    after[f"module.{IGNORED[0]}"] = torch.ones(1, 8, 1, 1, 1)
    found = convert_tensors(after, among, list, "best.pth")
    assert set(found.tensors) == set(built().state_dict())
    with pytest.raises(InputError, match=r"1 unknown \(other\)"):
        convert_tensors(after | {"module.other": torch.ones(1)}, among, list, "best.pth")
    other = unconvert(built("spn").state_dict())
    with pytest.raises(InputError, match="of another net or variant"):
        convert_tensors(other, among, list, "best.pth")
    both = lambda: candidates(module, WEIGHTS, "spn")  # noqa: E731
    with pytest.raises(InputError, match=r"another net, spn.*run again with --model spn"):
        convert_tensors(other, among, both, "best.pth")


def _narrow_cspn(*, positive: bool = False, reinsert: bool = False) -> CSPN:
    return CSPN(narrow(positive=positive, reinsert=reinsert))


def _narrow_spn(*, reinsert: bool = False) -> CSPN:
    return CSPN(narrow("spn", reinsert=reinsert))


for _function in (_narrow_cspn, _narrow_spn):
    _function.__module__ = "fathom.nets.mono.cspn"


def test_weights_of_the_other_propagation_are_refused():
    with pytest.raises(InputError, match=r"to_affinities.*weights of another net"):
        load_state(built("spn"), built().state_dict(), "cspn.safetensors")


def test_the_published_sizes_and_what_is_said_of_the_weights():
    with torch.device("meta"):
        nets = [cspn(), cspn(positive=True, reinsert=True), spn(reinsert=True)]
    assert [sum(p.numel() for p in n.parameters()) for n in nets[:2]] == [256078272] * 2
    assert nets[1].flow.positive and nets[1].config.reinsert and nets[2].config.reinsert
    used = sum(p.numel() for p in nets[0].parameters() if p.requires_grad)
    ours = sum(p.numel() for p in nets[2].parameters())
    assert ours - used == (12 - 8) * 64 * 9
    assert len({w.name for w in WEIGHTS}) == len(WEIGHTS) == 2
    assert all(w.model == "cspn" and w.state == "convert" for w in WEIGHTS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_four_scenes_and_the_check_would_notice_if_not(kind):
    """Of each scene a twentieth of the disparities are hints; the paper's loss, mean |error|."""
    batch = learning.batch(32, 32, 14)
    chance = torch.from_numpy(np.random.default_rng(0).random(batch.truth.shape))
    hints = torch.where(chance < 0.05, batch.truth, torch.zeros_like(batch.truth))
    hinted = replace(batch, evidence=hints)

    def build():
        return Completion(built(kind, steps=6, reinsert=True))

    learning.assert_learns(build, hinted, StereoLoss(kind="sequence"), steps=30)


def test_its_loss_is_the_mean_absolute_error_of_known_pixels():
    batch = learning.batch(32, 32, 14)
    valid = batch.truth > 3
    some = replace(batch, valid=valid)
    out = Completion(built())(batch.left, batch.right, torch.zeros_like(batch.truth))
    found = StereoLoss(kind="sequence")(out, some)["disparity"]
    torch.testing.assert_close(found, masked_mean((out.disparities[0] - batch.truth).abs(), valid))


def test_what_the_training_loop_keeps_can_be_converted(monkeypatch):
    """Its tensors are called as those of `Completion`."""
    from fathom.nets.mono import cspn as module

    monkeypatch.setattr(module, "cspn", _narrow_cspn)
    net = built()
    found = convert_tensors(
        Completion(net).state_dict(), candidates(module, WEIGHTS, "cspn"), list, "best.safetensors"
    )
    assert set(found.tensors) == set(net.state_dict())


def test_the_experiment_takes_hints_that_matching_is_sure_of(small_pair_of_noise):
    from pathlib import Path

    from fathom.train.load import load_experiment

    found = load_experiment(Path(__file__).parents[2] / "experiments" / "cspn.py")
    assert (found.optimiser, found.batch, found.learning_rate) == ("sgd", 8, 1e-2)
    hints = found.evidence(small_pair_of_noise)
    assert hints.shape == (1, *small_pair_of_noise.shape) and hints.dtype == np.float32
    assert 0 < np.count_nonzero(hints) <= 500
    assert np.abs(hints[hints > 0] - 9).max() < 1
    assert np.array_equal(found.evidence(small_pair_of_noise), hints)


@pytest.fixture
def small_pair_of_noise():
    """Random dots shifted by 9 px."""
    from fathom.core import StereoPair, View

    dots = np.random.default_rng(0).integers(0, 255, (48, 121, 3)).astype(np.uint8)
    return StereoPair(View(dots[:, :112].copy()), View(dots[:, 9:].copy()))
