"""Recurrent units against their equations, what each scale is told, and zeros around an enlarged
map as the published networks have them."""

import pytest
import torch
from torch.nn import functional

from fathom.layers.encoder import Block, Trunk
from fathom.layers.gru import (
    ConvGRU,
    MotionEncoder,
    MultiScaleGRU,
    SeparableGRU,
    halved,
    resized_like,
)
from fathom.layers.resample import convex_upsample

torch.set_num_threads(1)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_unit_is_its_equations():
    torch.manual_seed(0)
    unit = ConvGRU(4, 6)
    h, context, first, second = (
        noise(1, 4, 5, 7),
        noise(1, 12, 5, 7),
        noise(1, 2, 5, 7),
        noise(1, 4, 5, 7),
    )
    x = torch.cat([first, second], 1)
    z_weight, r_weight = unit.gates.weight[:4], unit.gates.weight[4:]
    z_bias, r_bias = unit.gates.bias[:4], unit.gates.bias[4:]
    hx = torch.cat([h, x], 1)
    z = torch.sigmoid(functional.conv2d(hx, z_weight, z_bias, padding=1) + context[:, :4])
    r = torch.sigmoid(functional.conv2d(hx, r_weight, r_bias, padding=1) + context[:, 4:8])
    q = torch.tanh(unit.candidate(torch.cat([r * h, x], 1)) + context[:, 8:])
    expected = (1 - z) * h + z * q
    torch.testing.assert_close(unit(h, context, first, second), expected, atol=1e-6, rtol=1e-5)


def test_a_separable_unit_is_two_units_with_the_context_among_their_inputs():
    """What is prepared once is what convolving the context at every step would add."""
    torch.manual_seed(0)
    unit = SeparableGRU(4, 3, 5)
    h, context, x = noise(1, 4, 6, 7), noise(1, 3, 6, 7, seed=1), noise(1, 5, 6, 7, seed=2)
    expected = h
    for part, told in zip((unit.along, unit.across), unit.told, strict=True):
        sides = part.gates.kernel_size
        plain = ConvGRU(4, 8, sides)
        for i, conv in enumerate((plain.gates, plain.candidate)):
            own = (part.gates, part.candidate)[i]
            added = told.weight[:8] if i == 0 else told.weight[8:]
            conv.weight.data = torch.cat([own.weight[:, :4], added, own.weight[:, 4:]], dim=1)
            conv.bias.data = own.bias.data
        expected = plain(expected, torch.zeros(1, 12, 6, 7), context, x)
    assert unit.along.gates.kernel_size == (1, 5) and unit.across.gates.kernel_size == (5, 1)
    found = unit(h, unit.prepare(context), x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("layers", "start", "changed"),
    [(3, 0, {0, 1, 2}), (3, 1, {1, 2}), (3, 2, {2}), (2, 0, {0, 1}), (2, 1, {1}), (1, 0, {0})],
)
def test_which_scales_move(layers, start, changed):
    torch.manual_seed(0)
    units = MultiScaleGRU(4, 6, layers)
    states = [noise(1, 4, 8 >> i, 12 >> i) for i in range(layers)]
    contexts = [noise(1, 12, 8 >> i, 12 >> i, seed=1) for i in range(layers)]
    found = units(states, contexts, noise(1, 6, 8, 12), start)
    assert {i for i in range(layers) if not torch.equal(found[i], states[i])} == changed


def test_each_scale_is_told_of_its_neighbours_newest_state():
    """Coarsest first: the middle one hears the new coarsest state and the old finest one."""
    torch.manual_seed(0)
    units = MultiScaleGRU(4, 6, 3)
    states = [noise(1, 4, 8 >> i, 12 >> i) for i in range(3)]
    contexts = [noise(1, 12, 8 >> i, 12 >> i, seed=1) for i in range(3)]
    motion = noise(1, 6, 8, 12, seed=2)
    coarsest = units.coarsest(states[2], contexts[2], halved(states[1]))
    middle = units.middle(
        states[1], contexts[1], halved(states[0]), resized_like(coarsest, states[1])
    )
    finest = units.finest(states[0], contexts[0], motion, resized_like(middle, states[0]))
    for ours, expected in zip(
        units(states, contexts, motion), (finest, middle, coarsest), strict=True
    ):
        assert torch.equal(ours, expected)


def test_halving_counts_zeros_outside_and_rounds_up():
    ones = torch.ones(1, 1, 5, 4)
    found = halved(ones)[0, 0]
    assert found.shape == (3, 2)
    assert found[0, 0].item() == pytest.approx(4 / 9)
    assert found[1, 1].item() == 1


def test_the_flow_itself_comes_last():
    torch.manual_seed(0)
    encoder, flow = MotionEncoder(9, 5), noise(1, 2, 6, 8)
    found = encoder(noise(1, 9, 6, 8), flow)
    assert found.shape == (1, 10, 6, 8)
    assert torch.equal(found[:, 8:], flow) and bool((found[:, :8] >= 0).all())


def test_a_disparity_alone_and_wider_layers():
    torch.manual_seed(0)
    disparity = noise(1, 1, 6, 8)
    found = MotionEncoder(9, 5, components=1)(noise(1, 9, 6, 8), disparity)
    assert found.shape == (1, 10, 6, 8) and torch.equal(found[:, 9:], disparity)
    wide = MotionEncoder(9, 5, wide=True)
    assert [m.out_channels for m in wide.modules() if hasattr(m, "out_channels")] == [
        *(20, 15),
        *(10, 5),
        8,
    ]
    assert wide(noise(1, 9, 6, 8), noise(1, 2, 6, 8)).shape == (1, 10, 6, 8)


@pytest.mark.parametrize("downsample", [0, 1, 2, 3])
def test_the_trunk_divides_the_size(downsample):
    trunk = Trunk((4, 6, 8), "instance", downsample)
    assert not trunk.state_dict().keys() & {"1.weight"}
    assert trunk(noise(1, 3, 32, 48)).shape == (1, 8, 32 >> downsample, 48 >> downsample)


def test_a_block_s_skip():
    same = Block(4, 4, "batch")
    for p in same.parameters():
        torch.nn.init.zeros_(p)
    x = noise(1, 4, 6, 6)
    assert torch.equal(same(x), torch.relu(x))
    assert Block(4, 6, "batch", 2)(x).shape == (1, 6, 3, 3)
    assert isinstance(Block(4, 4, "batch", project=True).skip, torch.nn.Sequential)


def test_enlarging_with_zeros_outside():
    """By unfolding, as the definition has it."""
    d, logits, factor = noise(2, 1, 4, 5), noise(2, 36, 4, 5, seed=1), 2
    weights = logits.view(2, 9, 4, 4, 5).softmax(1)
    nine = functional.unfold(d, 3, padding=1).view(2, 9, 1, 4, 5)
    expected = functional.pixel_shuffle((weights * nine).sum(1), factor)
    torch.testing.assert_close(convex_upsample(d, logits, factor, border="constant"), expected)
    inner = convex_upsample(d, logits, factor)
    assert torch.equal(
        inner[..., 2:-2, 2:-2], convex_upsample(d, logits, factor, "constant")[..., 2:-2, 2:-2]
    )
    assert not torch.equal(inner, expected)
