"""IGEV-Stereo: sizes, ranges, iterations, lookups against a twin, names of tensors, learning."""

from dataclasses import replace
from functools import partial

import learning
import net_checks
import pytest
import torch

from fathom.core import InputError, UsageError
from fathom.layers.rows import pyramid, row_correlation
from fathom.layers.state import load_state
from fathom.nets.stereo.igev import (
    FRAMES,
    IGEV,
    WEIGHTS,
    IGEVConfig,
    _Places,
    convert,
    igev,
    unconvert,
)

torch.set_num_threads(1)
NARROW = IGEVConfig(
    max_disparity=32,
    iterations=3,
    train_iterations=3,
    radius=2,
    hidden=16,
    widths=(8, 12, 16),
    blocks=1,
)


def built(config=NARROW):
    torch.manual_seed(0)
    return IGEV(config)


def images(height=64, width=96, batch=1):
    return net_checks.images(height, width, batch, seed=1)


def given(net, *inputs):
    with torch.no_grad():
        return net(*inputs)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 128)])
def test_sizes_of_everything_it_gives(height, width):
    net, pair = built(), images(height, width, 2)
    out = given(net.eval(), *pair)
    assert [tuple(t.shape) for t in (*out.disparities, out.confidence)] == [
        (2, 1, height, width)
    ] * 2
    taught = given(net.train(), *pair)
    assert [tuple(t.shape) for t in taught.disparities] == [(2, 1, height, width)] * (3 + 1)
    assert taught.confidence is None
    finite = (*out.disparities, out.confidence, *taught.disparities)
    assert all(bool(torch.isfinite(t).all()) for t in finite)


def test_the_last_move_comes_first_in_training_and_the_beginning_at_the_end():
    net, pair = built(), images()
    net.hourglass.eval(), net.enter.eval()  # norms of volumes learn while training
    last = given(net.eval(), *pair).disparities[0]
    net.training = True
    taught = given(net, *pair).disparities
    torch.testing.assert_close(taught[0], last, atol=1e-4, rtol=1e-4)
    net.config = replace(NARROW, train_iterations=1)
    once = given(net, *pair).disparities
    assert torch.equal(once[1], taught[3])
    torch.testing.assert_close(once[0], taught[2], atol=1e-4, rtol=1e-4)


def test_lookups_against_a_twin():
    """Place by place: the volume at d / 2^i + j, the products at (x - d) / 2^i + j, linear between,
    0 outside; levels are means of pairs."""
    generator = torch.Generator().manual_seed(3)
    left, right = torch.randn(2, 1, 5, 2, 12, generator=generator)
    volume = torch.randn(1, 3, 8, 2, 12, generator=generator)
    at = torch.rand(1, 1, 2, 12, generator=generator) * 14 - 3
    levels, radius = 2, 2
    places = _Places(
        pyramid(volume.permute(0, 1, 3, 4, 2), levels, radius),
        row_correlation(left, right, levels, radius, scaled=False),
    )
    found = places(at)
    products = torch.einsum("bchw,bchx->bhwx", left, right)[:, None]
    both = (volume.permute(0, 1, 3, 4, 2), products)

    def value(values, position):
        if not -1 < position < len(values):
            return 0.0
        low = int(position // 1)
        near = [values[k].item() if 0 <= k < len(values) else 0.0 for k in (low, low + 1)]
        return near[0] + (near[1] - near[0]) * (position - low)

    for y, x in [(0, 0), (1, 5), (1, 11)]:
        wanted, d = [], at[0, 0, y, x].item()
        for i in range(levels):
            for which, start in ((0, d), (1, x - d)):
                for channel in both[which][0]:
                    line = channel[y, x]
                    if i:
                        line = line.reshape(-1, 2).mean(1)
                    wanted += [value(line, start / 2**i + j) for j in range(-radius, radius + 1)]
        assert found[0, :, y, x].tolist() == pytest.approx(wanted, abs=1e-4)


def test_it_begins_with_the_mean_of_its_distribution():
    """Without moves the volume's own answer comes out, in full pixels."""
    net, pair = built().eval(), images()
    for p in net.move.parameters():
        torch.nn.init.zeros_(p)
    for p in net.score.parameters():
        torch.nn.init.zeros_(p)
    out = given(net, *pair)
    inner = out.disparities[0][..., 4:-4, 4:-4]  # where no zeros from outside are mixed in
    torch.testing.assert_close(inner, torch.full_like(inner, 4 * 3.5))


def test_norms_of_images_stay_as_they_came_and_gradients_reach_all_that_runs():
    net, pair = built().train(), images(batch=2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    sum(d.mean() for d in net(*pair).disparities).backward()
    changed = {
        k.split(".")[0] for k, v in net.state_dict().items() if not torch.equal(before[k], v)
    }
    assert changed <= {"enter", "hourglass"}
    still = {n for n, p in net.named_parameters() if not p.requires_grad}
    assert {n.rsplit(".", 1)[0] for n in still} == {"hourglass.spare"}
    missed = [
        n
        for n, p in net.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert missed == []


def test_the_same_bits_again_and_a_batch_of_two_is_two_of_one():
    net_checks.assert_repeats(built(), images(batch=2))
    net_checks.assert_batch_is_singles(built(), images(batch=2), atol=1e-3, rtol=1e-4)


def test_bfloat16_comes_near_and_images_that_are_not_numbers_do_not_end_the_process():
    net_checks.assert_stands_low_precision_and_no_numbers(built(), images())


def test_sizes_that_do_not_divide():
    with pytest.raises(InputError, match=r"96x48.*: does not suit this net"):
        built()(*images(48, 96))


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"max_disparity": 48}, "a multiple of 32"),
        ({"iterations": 0}, "1 to 1000"),
        ({"radius": 0}, "1 to 16"),
        ({"levels": 9}, "1 to 4"),
        ({"blocks": 5}, "1 to 4"),
    ],
)
def test_a_config_that_is_no_net(wrong, what):
    with pytest.raises(UsageError, match=f"^{next(iter(wrong))} = .*expected {what}"):
        replace(NARROW, **wrong)


def test_the_published_one():
    with torch.device("meta"):
        net, other = igev(), igev(max_disparity=64, iterations=5)
    assert sum(p.numel() for p in net.parameters()) == 12598114
    assert (net.config.max_disparity, net.config.iterations) == (192, 32)
    assert (other.config.max_disparity, other.config.iterations) == (64, 5)
    assert {k: v.shape for k, v in other.state_dict().items()} == {
        k: v.shape for k, v in net.state_dict().items()
    }
    assert FRAMES["igev"].levels == 192 and FRAMES["igev"].step == 32
    assert [w.model for w in WEIGHTS] == ["igev"] and WEIGHTS[0].state == "convert"


def test_names_there_and_back():
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in igev().state_dict().items()}
    state = {k: torch.full(shape, float(i)) for i, (k, shape) in enumerate(shapes.items())}
    official = unconvert(state)
    assert not {k for k in official if k in state}
    assert {"cnet.layer2.0.norm3.weight", "update_block.gru08.convr.bias"} <= set(official)
    back = convert(official)
    assert set(back) == set(state) and all(torch.equal(back[k], state[k]) for k in state)


def test_another_net_is_refused_by_name():
    """A gate without its twin and unknown names stay, so that strict loading names them."""
    state = unconvert(built().state_dict())
    del state["update_block.gru04.convr.weight"]
    state["extra.weight"] = torch.zeros(1)
    ours = convert(state)
    assert "extra.weight" in ours
    with pytest.raises(InputError, match=r"units\.finest\.gates\.weight: is missing"):
        load_state(built(), ours, "x.pth")


def test_the_experiment_is_the_paper_s():
    """The first of 22 moves weighs 0.9^15, and smooth L1 is added for where they begin."""
    found = net_checks.experiment("igev")
    assert found.net is igev
    batch = learning.batch(32, 32, 12)
    exact = batch.truth + 0.0
    far = batch.truth + 3.0

    def total(*disparities):
        return found.loss(_output(disparities), batch)

    moves = total(*[exact] * 21, far, exact)["moves"].item()
    assert moves == pytest.approx(3 * 0.9**15, rel=1e-4)
    assert total(*[exact] * 22, far)["first"].item() == pytest.approx(2.5, rel=1e-4)
    assert (found.batch, found.learning_rate, found.weight_decay) == (8, 2e-4, 1e-5)
    assert (found.crop_width, found.crop_height) == (736, 320)


def _output(disparities):
    from fathom.layers.stereo import StereoOutput

    return StereoOutput(tuple(disparities))


@pytest.mark.slow
def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    batch = learning.batch(32, 64, 24)
    loss = partial(net_checks.experiment("igev").loss, moves=NARROW.train_iterations)
    learning.assert_learns(built, batch, loss, steps=18, rate=4e-3)
