"""RAFT-Stereo: sizes, iterations, warm start, variants, names of tensors, learning."""

from dataclasses import replace

import learning
import net_checks
import pytest
import torch

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.nets.stereo import raft_stereo as module
from fathom.nets.stereo.raft_stereo import (
    WEIGHTS,
    RaftStereo,
    RaftStereoConfig,
    config_of,
    convert,
    raft_stereo,
    raft_stereo_realtime,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
NARROW = RaftStereoConfig(
    levels=2,
    radius=3,
    iterations=3,
    train_iterations=4,
    widths=(8, 12, 16),
    hidden=16,
    matched=16,
)
QUICK = replace(
    NARROW, downsample=0, layers=2, radius=4, train_iterations=3, context_norm="instance"
)
FAST = replace(NARROW, downsample=3, layers=2, slow_fast=True, shared_backbone=True)


def built(config=NARROW):
    torch.manual_seed(0)
    return RaftStereo(config)


def images(height=32, width=64, batch=1):
    return net_checks.images(height, width, batch, seed=1)


def outputs(net, *inputs):
    with torch.no_grad():
        return net(*inputs).disparities


@pytest.mark.parametrize(
    "config",
    [
        NARROW,
        FAST,
        replace(NARROW, layers=1, downsample=0),
        replace(NARROW, layers=3, slow_fast=True, context_norm="instance"),
        replace(NARROW, layers=2, downsample=1, shared_backbone=True),
    ],
)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96)])
def test_sizes_of_everything_it_gives(config, height, width):
    net, pair = built(config), images(height, width, 2)
    cell = config.cell
    full, low = outputs(net.eval(), *pair)
    assert full.shape == (2, 1, height, width)
    assert low.shape == (2, 1, height // cell, width // cell)
    trained = outputs(net.train(), *pair)
    assert [tuple(t.shape) for t in trained] == [(2, 1, height, width)] * config.train_iterations
    assert all(bool(torch.isfinite(t).all()) for t in (full, low, *trained))
    assert config.divisor % cell == 0


def test_the_last_iteration_comes_first_in_training():
    """Frozen norms: training and evaluation of as many iterations end in the same map."""
    net, pair = built(), images()
    trained = outputs(net.train(), *pair)
    for count, expected in zip(range(4, 0, -1), trained, strict=True):
        net.config = replace(NARROW, iterations=count)
        torch.testing.assert_close(outputs(net.eval(), *pair)[0], expected, atol=1e-5, rtol=1e-5)


def test_a_warm_start_goes_on_where_the_last_map_ended(monkeypatch):
    """With a start the first lookup is around it: five pixels of the full image are 5 / 4 to the
    left at a quarter of the size. Without a move the start itself comes out."""
    net, pair = built().eval(), images()
    asked = []
    original = module.row_correlation

    def spied(*given, **options):
        rows = original(*given, **options)
        return lambda x: (asked.append(x.clone()), rows(x))[1]

    monkeypatch.setattr(module, "row_correlation", spied)
    torch.nn.init.zeros_(net.move[2].weight)
    torch.nn.init.zeros_(net.move[2].bias)
    start = torch.full((1, 1, 8, 16), 5.0)
    full, low = outputs(net, *pair, start)
    assert torch.equal(asked[0], (torch.arange(16.0) - 1.25).expand(1, 1, 8, 16))
    assert torch.equal(low, start)
    # inside, where no zeros from outside are mixed in
    torch.testing.assert_close(full[..., 4:-4, 4:-4], torch.full((1, 1, 24, 56), 5.0))
    assert not bool(outputs(net, *pair)[1].any())


def test_volume_or_none_and_which_when(monkeypatch):
    pair = images(32, 96)
    found = {}
    for correlation in ("reg", "alt", "auto"):
        net = built(replace(NARROW, correlation=correlation)).eval()
        found[correlation] = outputs(net, *pair)[0]
    torch.testing.assert_close(found["alt"], found["reg"], atol=1e-4, rtol=1e-5)
    assert torch.equal(found["auto"], found["reg"])
    net = built().eval()
    features = torch.zeros(1, 1, 8, 24)
    assert net._stored(features)
    monkeypatch.setattr(module, "_STORED", 100)
    assert not net._stored(features)


def test_batch_norms_stay_as_they_came_and_all_else_learns():
    net, pair = built().train(), images(batch=2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    out = net(*pair)
    sum(d.mean() for d in out.disparities).backward()
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    left_out = [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert left_out == []


def test_what_does_not_run_takes_no_gradient():
    net = built(FAST).train()
    sum(d.mean() for d in net(*images()).disparities).backward()
    still = {n for n, p in net.named_parameters() if not p.requires_grad}
    assert {n.split(".")[0] for n in still} == {"context", "units"}
    assert any(n.startswith("context.coarser.1") for n in still)
    assert any(n.startswith("units.coarsest") for n in still)
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)
    assert not [n for n, p in built().named_parameters() if not p.requires_grad]


def test_the_same_bits_again_and_a_batch_of_two_is_two_of_one():
    net_checks.assert_repeats(built(), images(batch=2))
    net_checks.assert_batch_is_singles(built(), images(batch=2), atol=1e-4, rtol=1e-5)


def test_bfloat16_comes_near_and_images_that_are_not_numbers_do_not_end_the_process():
    net_checks.assert_stands_low_precision_and_no_numbers(built(), images())


def test_sizes_that_do_not_divide():
    with pytest.raises(InputError, match=r"62x32.*: does not suit this net"):
        built()(*images(32, 62))


@pytest.mark.parametrize(
    "wrong",
    [
        {"downsample": 4},
        {"layers": 0},
        {"iterations": 0},
        {"radius": 0},
        {"hidden": 1},
        {"correlation": "cuda"},
        {"context_norm": "group"},
    ],
)
def test_a_config_that_is_no_net(unchecked, wrong):
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))} = .*is no net; expected "):
        RaftStereoConfig(**wrong)


@pytest.mark.parametrize("config", [NARROW, FAST, replace(NARROW, context_norm="instance")])
def test_names_there_and_back(config):
    state = built(config).state_dict()
    official = unconvert(state)
    again = convert(official)
    assert {k: v.shape for k, v in again.items()} == {k: v.shape for k, v in state.items()}
    assert all(torch.equal(again[k], v) for k, v in state.items())
    shared, norm = config.shared_backbone, config.context_norm
    found = config_of(state)
    assert (found.shared_backbone, found.context_norm) == (shared, norm)
    aliases = [k for k in official if ".norm3." in k]
    assert bool(aliases) is (norm == "batch")
    z = official["update_block.gru08.convz.weight"]
    assert torch.equal(state["units.finest.gates.weight"][: len(z)], z)


def test_another_variant_is_refused_by_name():
    """A gate without its twin and unknown names stay, so that strict loading names them."""
    state = unconvert(built().state_dict())
    del state["update_block.gru08.convr.weight"]
    state["extra.weight"] = torch.zeros(1)
    ours = convert(state)
    assert "units.finest.convz.weight" in ours and "extra.weight" in ours
    with pytest.raises(InputError, match=r"units\.finest\.gates\.weight: is missing"):
        load_state(built(), ours, "x.pth")
    with pytest.raises(InputError, match=r"x\.pth: .*weights of another net"):
        load_state(built(), built(FAST).state_dict(), "x.pth")


def test_the_published_ones():
    with torch.device("meta"):
        default, fast = raft_stereo(), raft_stereo_realtime()
        others = [
            raft_stereo(shared_backbone=True),
            raft_stereo(context_norm="instance"),
        ]
    counts = [sum(p.numel() for p in net.parameters()) for net in (default, fast, others[0])]
    assert counts == [11116176, 9865568, 10639664]
    assert (default.config.iterations, fast.config.iterations) == (32, 7)
    assert not [k for k in others[1].state_dict() if "trunk" in k and "running" in k]
    assert len({w.name for w in WEIGHTS}) == len(WEIGHTS) == 5
    for record in WEIGHTS:
        builder = getattr(module, record.builder or record.model.replace("-", "_"))
        with torch.device("meta"):
            assert isinstance(builder(**record.settings), RaftStereo)
        assert record.state == "convert" and record.licences.code == "MIT"


def test_the_experiment_is_the_paper_s():
    """The first of 22 moves weighs 0.9^15, whatever their number."""
    found = net_checks.experiment("raft_stereo")
    assert found.net is raft_stereo
    moves = RaftStereoConfig().train_iterations
    assert moves == 22
    assert found.loss.gamma ** (moves - 1) == pytest.approx(0.9**15)
    assert (found.batch, found.learning_rate, found.weight_decay) == (8, 2e-4, 1e-5)
    assert found.crop_width % RaftStereoConfig().divisor == 0


def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    given = learning.batch(16, 48, 12)
    loss = StereoLoss(kind="sequence", gamma=0.9**7.5)
    learning.assert_learns(lambda: RaftStereo(QUICK), given, loss, steps=35, rate=4e-3)
