"""Blocks: sizes, what they compute, and that every weight of theirs is reached."""

import pytest
import torch
from torch import nn

from fathom.layers.blocks import ConvNorm, Residual, UNet


def seeded(build):
    torch.manual_seed(0)
    return build()


@pytest.mark.parametrize(
    ("side", "stride", "size"), [(3, 1, (6, 10)), (3, 2, (3, 5)), (1, 1, (6, 10))]
)
def test_conv_norm_divides_the_size_by_its_stride(side, stride, size):
    block = seeded(lambda: ConvNorm(2, 5, side, stride))
    out = block(torch.randn(3, 2, 6, 10))
    assert out.shape == (3, 5, *size) and bool((out >= 0).all())
    last = seeded(lambda: ConvNorm(2, 5, side, stride, last=True))
    assert bool((last(torch.randn(3, 2, 6, 10)) < 0).any())
    assert [n for n, _ in last.named_parameters()] == ["0.weight", "1.weight", "1.bias"]


def test_conv_norm_is_its_three_steps():
    block = seeded(lambda: ConvNorm(2, 3))
    x = torch.randn(2, 2, 4, 6)
    y = nn.functional.conv2d(x, block[0].weight, padding=1)
    mean, var = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), unbiased=False, keepdim=True)
    torch.testing.assert_close(block(x), ((y - mean) / (var + 1e-5).sqrt()).relu())


def test_residual_adds_its_input():
    block = seeded(lambda: Residual(3)).eval()
    x = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(block(x), (x + block.body(x)).relu())
    nn.init.zeros_(block.body[1][1].weight)  # a body that gives nothing
    torch.testing.assert_close(block(x), x.relu())


@pytest.mark.parametrize("widths", [(4,), (4, 6), (4, 6, 8, 5)])
def test_unet_keeps_size_and_width_and_reaches_every_weight(widths):
    net = seeded(lambda: UNet(widths))
    side = 1 << (len(widths) - 1)
    x = torch.randn(2, 4, 2 * side, 3 * side, requires_grad=True)
    out = net(x)
    assert out.shape == x.shape
    out.square().sum().backward()
    assert x.grad is not None and bool((x.grad != 0).any())
    assert all(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


def test_unet_sees_far():
    """A change in one corner reaches the other: 3 halvings of 32 pixels."""
    net = seeded(lambda: UNet((4, 4, 4, 4))).eval()
    x = torch.randn(1, 4, 32, 32)
    y = x.clone()
    y[..., 0, 0] += 10
    with torch.no_grad():
        changed = (net(y) - net(x)).abs().amax((0, 1)) > 0
    assert bool(changed[20:, 20:].any())
