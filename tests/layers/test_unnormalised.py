"""Blocks without normalisation: sizes, and the shortcut of a view repeated at every level."""

import pytest
import torch

from fathom.layers.conv3d import Conv3d
from fathom.layers.unnormalised import (
    DilatedCorrection,
    EncoderDecoder,
    LeakyResidual,
    VolumeAgreement,
    beside,
    leaky,
)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_view_beside_a_volume_is_one_repeated_in_it(stride):
    torch.manual_seed(0)
    conv = Conv3d(5, 4, stride, bias=True).double()
    volume, view = torch.randn(2, 2, 6, 4, 8).double(), torch.randn(2, 3, 4, 8).double()
    both = torch.cat([view[:, :, None].expand(-1, -1, 6, -1, -1), volume], dim=1)
    torch.testing.assert_close(beside(conv, volume, view), conv(both))


def test_its_gradients_are_those_of_the_repeated_one():
    torch.manual_seed(0)
    conv = Conv3d(3, 2, bias=True).double()
    volume = torch.randn(1, 1, 4, 3, 3).double().requires_grad_()
    view = torch.randn(1, 2, 3, 3).double().requires_grad_()
    both = torch.cat([view[:, :, None].expand(-1, -1, 4, -1, -1), volume], dim=1)
    given = (volume, view, conv.weight, conv.bias)
    ours = torch.autograd.grad(beside(conv, volume, view).square().sum(), given)
    wanted = torch.autograd.grad(conv(both).square().sum(), given)
    for a, b in zip(ours, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_sizes():
    assert EncoderDecoder(6, (8, 12))(torch.rand(2, 6, 8, 12)).shape == (2, 1, 8, 12)
    assert DilatedCorrection(4)(torch.rand(1, 1, 5, 7), torch.rand(1, 3, 5, 7)).shape == (
        1,
        1,
        5,
        7,
    )
    out = VolumeAgreement(3, 2)(torch.rand(1, 1, 16, 16, 32), torch.rand(1, 3, 16, 32))
    assert out.shape == (1, 1, 16, 16, 32)


def test_slopes():
    torch.testing.assert_close(leaky(torch.tensor([-2.0, 3.0])), torch.tensor([-0.2, 3.0]))
    block = LeakyResidual(2, 2, 0.0)
    x = torch.rand(1, 2, 6, 6)
    change = block.second(torch.relu(block.first(x)))
    torch.testing.assert_close(block(x), x + change)
