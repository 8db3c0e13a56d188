"""CREStereo: sizes, stages, iterations, signs, where it looks, names of tensors, learning."""

from dataclasses import replace

import learning
import net_checks
import pytest
import torch
from torch.nn import functional

from fathom.core import InputError, UsageError
from fathom.layers.state import load_state
from fathom.nets.stereo import crestereo as module
from fathom.nets.stereo.crestereo import (
    FRAMES,
    WEIGHTS,
    CREStereo,
    CREStereoConfig,
    convert,
    crestereo,
    unconvert,
)
from fathom.train import StereoLoss

torch.set_num_threads(1)
NARROW = CREStereoConfig(
    iterations=3, train_iterations=4, stages=1, widths=(8, 12, 16), hidden=16, heads=2
)


def built(config=NARROW):
    torch.manual_seed(0)
    return CREStereo(config)


def images(height=32, width=64, batch=1):
    return net_checks.images(height, width, batch, seed=1)


def outputs(net, *inputs):
    with torch.no_grad():
        return net(*inputs).disparities


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 80), (64, 96)])
def test_sizes_of_everything_it_gives(height, width):
    net, pair = built(), images(height, width, 2)
    (full,) = outputs(net.eval(), *pair)
    assert full.shape == (2, 1, height, width)
    trained = outputs(net.train(), *pair)
    assert [tuple(t.shape) for t in trained] == [(2, 1, height, width)] * (2 + 2 + 4)
    assert all(bool(torch.isfinite(t).all()) for t in (full, *trained))


def test_the_last_move_comes_first_in_training():
    net, pair = built(replace(NARROW, iterations=4)), images()
    (last,) = outputs(net.eval(), *pair)
    torch.testing.assert_close(outputs(net.train(), *pair)[0], last, atol=1e-5, rtol=1e-5)


def test_two_stages_begin_with_the_map_of_half_the_size():
    """As the authors' demo: the halves' map is the start of the whole, which then moves it at 1/4
    only; without moves there, twice the halves' values come out."""
    pair = images(64, 128)
    one = built()
    halves = [
        functional.interpolate(t, size=(32, 64), mode="bilinear", align_corners=True) for t in pair
    ]
    with torch.no_grad():
        start = one.eval().flows(*halves, 3)[-1]
        (expected,) = one.flows(*pair, 3, start)
    both = built(replace(NARROW, stages=2)).eval()
    assert torch.equal(outputs(both, *pair)[0], expected[:, :1])
    assert not torch.allclose(expected, one.flows(*pair, 3)[-1], atol=1e-3)
    for p in both.move.parameters():
        torch.nn.init.zeros_(p)
    with torch.no_grad():
        (kept,) = both.flows(*pair, 3, torch.full((1, 2, 32, 64), 5.0))
    # inside, where no zeros from outside are mixed in
    torch.testing.assert_close(kept[..., 4:-4, 4:-4], torch.full((1, 2, 56, 120), 10.0))


def test_it_looks_in_a_row_and_in_a_square_by_turns(monkeypatch):
    net, asked = built(replace(NARROW, iterations=4)).eval(), []
    plain = module._Level.matched

    def spied(level, flow, square):
        asked.append((flow.shape[-1], level.shifts is not None, square))
        return plain(level, flow, square)

    monkeypatch.setattr(module._Level, "matched", spied)
    outputs(net, *images(32, 64))
    rows = [(4, True), (4, True), (8, True), (8, True), *[(16, False)] * 4]
    assert asked == [(*row, i % 2 == 1) for i, row in enumerate(rows)]


@pytest.mark.parametrize("square", [False, True])
def test_what_is_matched_is_the_mean_of_products(square):
    """Pixel by pixel, with a whole flow and no learned shifts: both ways of looking are one where
    nothing lies outside."""
    generator = torch.Generator().manual_seed(2)
    left, right = torch.randn(2, 1, 16, 12, 20, generator=generator)
    flow = torch.zeros(1, 2, 12, 20)
    flow[:, 0], flow[:, 1] = -2, 1
    plain = module._Level(left, right).matched(flow, square)
    shifted = module._Level(left, right, torch.zeros(1, 9, 2, 12, 20)).matched(flow, square)
    inner = (slice(None), slice(None), slice(2, -2), slice(7, -7))
    torch.testing.assert_close(plain[inner], shifted[inner], atol=1e-5, rtol=1e-4)
    window = module._window(square)
    for n, (i, j) in enumerate(window):
        for group in range(4):
            channels = slice(4 * group, 4 * group + 4)
            products = left[0, channels, 5, 10] * right[0, channels, 5 + 1 + i, 10 - 2 + j]
            assert plain[0, 9 * group + n, 5, 10].item() == pytest.approx(
                products.mean().item(), abs=1e-5
            )


def test_shifts_are_x_then_y_of_each_place():
    left = torch.ones(1, 4, 8, 24)
    right = torch.arange(24.0).expand(1, 4, 8, 24)
    shifts = torch.zeros(1, 9, 2, 8, 24)
    shifts[:, 3, 0] = 0.5
    found = module._Level(left, right, shifts).matched(torch.zeros(1, 2, 8, 24), False)
    torch.testing.assert_close(found[0, :9, 4, 12], 12 + torch.arange(-4.0, 5.0) + 0.5 * _one(3))


def _one(at):
    return torch.nn.functional.one_hot(torch.tensor(at), 9).float()


def test_gradients_reach_every_weight():
    net, pair = built().train(), images(48, 64, batch=2)
    sum(d.mean() for d in net(*pair).disparities).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


def test_the_same_bits_again_and_a_batch_of_two_is_two_of_one():
    net_checks.assert_repeats(built(), images(batch=2))
    net_checks.assert_batch_is_singles(built(), images(batch=2), atol=1e-3, rtol=1e-4)


def test_bfloat16_comes_near_and_images_that_are_not_numbers_do_not_end_the_process():
    net_checks.assert_stands_low_precision_and_no_numbers(built(), images())


@pytest.mark.parametrize(("stages", "size"), [(1, (40, 64)), (1, (16, 64)), (2, (48, 64))])
def test_images_it_cannot_take(stages, size):
    with pytest.raises(InputError, match=rf"does not suit this net.* multiples of {16 * stages}"):
        built(replace(NARROW, stages=stages)).eval()(*images(*size))


@pytest.mark.parametrize(
    "wrong", [{"iterations": 1}, {"train_iterations": 0}, {"stages": 3}, {"hidden": 18}]
)
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))} = .*is no net; expected "):
        replace(NARROW, **wrong)


def test_the_published_ones():
    with torch.device("meta"):
        two, one = crestereo(), crestereo(iterations=7, variant="one-stage")
    assert sum(p.numel() for p in two.parameters()) == 5432948
    assert (two.config.iterations, two.config.stages, two.config.divisor) == (20, 2, 32)
    assert (one.config.iterations, one.config.stages, one.config.divisor) == (7, 1, 16)
    assert FRAMES["crestereo"].divisor % two.config.divisor == 0
    assert [w.model for w in WEIGHTS] == ["crestereo"] and WEIGHTS[0].state == "convert"


def test_an_unknown_variant(unchecked):
    with pytest.raises(UsageError, match="one-stage"):
        crestereo(variant="one-stag")


def test_names_there_and_back():
    state = built().state_dict()
    official = unconvert(state)
    back = convert(official)
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in state.items()}
    assert all(torch.equal(back[k], state[k]) for k in state)
    assert official["update_block.gru.convq2.weight"].shape == (16, 48, 5, 1)
    assert "fnet.layer1.0.downsample.0.weight" in official


def test_another_net_is_refused_by_name():
    """A unit without one of its convolutions and unknown names stay, so that loading names them."""
    state = unconvert(built().state_dict())
    del state["update_block.gru.convr2.weight"]
    state["extra.weight"] = torch.zeros(1)
    ours = convert(state)
    assert {"update_block.gru.convz2.weight", "extra.weight", "unit.along.gates.weight"} <= set(
        ours
    )
    with pytest.raises(InputError, match=r"unit\.across\.gates\.weight: is missing"):
        load_state(built(), ours, "x.pth")


def test_the_experiment_is_the_paper_s():
    found = net_checks.experiment("crestereo")
    assert found.net is crestereo
    assert (found.loss.kind, found.loss.gamma) == ("sequence", 0.8)
    assert (found.batch, found.learning_rate, found.steps) == (16, 4e-4, 300_000)
    assert found.crop_width % 16 == found.crop_height % 16 == 0


@pytest.mark.slow
def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    given = learning.batch(32, 48, 12)
    loss = StereoLoss(kind="sequence", gamma=0.8)
    config = replace(NARROW, train_iterations=2)
    learning.assert_learns(lambda: CREStereo(config), given, loss, steps=40, rate=8e-3)
