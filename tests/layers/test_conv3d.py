"""3-D convolutions against numpy sums and torch's plain modules, whatever detour they take."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from fathom.layers import conv3d
from fathom.layers.conv3d import Conv3d, ConvNorm3d, convolved, together

torch.set_num_threads(1)


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_convolution(x, weight, stride):
    """Sum by sum."""
    b, _, *size = x.shape
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (1, 1)))
    out = np.zeros((b, len(weight), *(-(-n // stride) for n in size)))
    for n, o, z, y, i in np.ndindex(out.shape):
        at = [slice(stride * p, stride * p + 3) for p in (z, y, i)]
        out[n, o, z, y, i] = (framed[n, :, *at] * weight[o]).sum()
    return out


def slow_transposed(x, weight):
    """Every voxel adds its kernel, two voxels apart; sizes doubled."""
    b, _, *size = x.shape
    out = np.zeros((b, weight.shape[1], *(2 * n + 2 for n in size)))
    for n, i, z, y, q in np.ndindex(x.shape):
        at = [slice(2 * p, 2 * p + 3) for p in (z, y, q)]
        out[n, :, *at] += x[n, i, z, y, q] * weight[i]
    return out[:, :, 1:-1, 1:-1, 1:-1]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch", [1, 2])
def test_convolution_sum_by_sum(stride, batch):
    x, weight, bias = made(batch, 3, 4, 5, 6), made(2, 3, 3, 3, 3, seed=1), made(2, seed=2)
    expected = (
        slow_convolution(x.numpy(), weight.numpy(), stride) + bias.numpy()[:, None, None, None]
    )
    np.testing.assert_allclose(convolved(x, weight, bias, stride=stride), expected, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2])
def test_transposed_convolution_sum_by_sum(batch):
    x, weight = made(batch, 3, 2, 3, 4), made(3, 2, 3, 3, 3, seed=1)
    out = convolved(x, weight, up=True)
    assert out.shape == (batch, 2, 4, 6, 8)
    np.testing.assert_allclose(out, slow_transposed(x.numpy(), weight.numpy()), atol=1e-4)


def test_both_sides_of_the_rule_give_the_same(monkeypatch):
    x, weight = made(1, 4, 4, 6, 8), made(4, 4, 3, 3, 3, seed=1)
    seen = []
    plain = functional.conv3d

    def watched(given, *rest):
        seen.append(len(given))
        return plain(given, *rest)

    monkeypatch.setattr(functional, "conv3d", watched)
    small = convolved(x, weight)
    monkeypatch.setattr(conv3d, "_SLOW", 0)
    torch.testing.assert_close(convolved(x, weight), small, atol=1e-5, rtol=1e-5)
    assert seen == [2, 1] and small.shape == (1, 4, 4, 6, 8)


def test_where_torch_would_be_slow():
    at_most, above = made(1, 20, 32, 32, 2), made(1, 20, 33, 32, 2)
    assert conv3d._is_slow(at_most) and not conv3d._is_slow(above)
    assert not conv3d._is_slow(made(2, 4, 4, 4, 4)) and not conv3d._is_slow(at_most.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not conv3d._is_slow(at_most)


def test_the_detour_has_the_plain_gradient():
    weight = made(2, 3, 3, 3, 3, seed=1).requires_grad_()
    x = made(1, 3, 3, 4, 5).requires_grad_()
    ours = torch.autograd.grad(convolved(x, weight).square().sum(), (x, weight))
    plain = torch.autograd.grad(
        functional.conv3d(x, weight, None, 1, 1).square().sum(), (x, weight)
    )
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


def test_channels_lie_together():
    x = made(2, 3, 4, 5, 6)
    assert torch.equal(together(x), x)
    assert together(x).is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("stride", "up"), [(1, False), (2, False), (1, True)])
@pytest.mark.parametrize("last", [True, False])
def test_normalisation_multiplied_into_the_weights(bias, stride, up, last):
    torch.manual_seed(0)
    block = ConvNorm3d(3, 4, stride, last=last, bias=bias, up=up).eval()
    for p in (*block.parameters(), block[1].running_mean):
        nn.init.normal_(p)
    nn.init.uniform_(block[1].running_var, 0.5, 2)
    x = made(1, 3, 4, 4, 6)
    plain = block(x)
    assert plain.requires_grad and bool((plain.min() < 0) == last)
    with torch.no_grad():
        torch.testing.assert_close(block(x), plain.detach(), atol=1e-5, rtol=1e-5)
    block.train()
    with torch.no_grad():  # in training the batch's own statistics count, gradients or not
        assert not torch.allclose(block(x), plain, atol=1e-2)


def test_first_weights_are_those_of_torch():
    torch.manual_seed(3)
    ours = Conv3d(4, 5, 2, bias=True)
    torch.manual_seed(3)
    theirs = nn.Conv3d(4, 5, 3)
    assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)
    assert Conv3d(4, 5, up=True).weight.shape == (4, 5, 3, 3, 3)


def slow_transposed_four(x, weight):
    """As `slow_transposed`, of side 4."""
    b, _, *size = x.shape
    out = np.zeros((b, weight.shape[1], *(2 * n + 2 for n in size)))
    for n, i, z, y, q in np.ndindex(x.shape):
        at = [slice(2 * p, 2 * p + 4) for p in (z, y, q)]
        out[n, :, *at] += x[n, i, z, y, q] * weight[i]
    return out[:, :, 1:-1, 1:-1, 1:-1]


def test_transposed_convolution_of_side_four_sum_by_sum():
    x, weight = made(1, 3, 2, 3, 4), made(3, 2, 4, 4, 4, seed=1)
    out = convolved(x, weight, up=True)
    assert out.shape == (1, 2, 4, 6, 8)
    np.testing.assert_allclose(out, slow_transposed_four(x.numpy(), weight.numpy()), atol=1e-4)


@pytest.mark.parametrize("side", [1, 3])
def test_a_leak_below_zero(side):
    block = ConvNorm3d(2, 3, side=side, slope=0.1).eval()
    plain = ConvNorm3d(2, 3, side=side, last=True).eval()
    plain.load_state_dict(block.state_dict())
    x = made(1, 2, 3, 4, 5)
    with torch.no_grad():
        out = plain(x)
        torch.testing.assert_close(block(x), torch.where(out > 0, out, 0.1 * out))
    torch.testing.assert_close(block(x).detach(), block.eval()(x).detach())
