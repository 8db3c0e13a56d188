"""Deformable convolution against a naive loop, plain convolution, and finite differences."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from fathom.layers.deform import DeformConv, deformed

torch.set_num_threads(1)


def looked_up(plane, y, x):
    """Linear between pixels, 0 outside."""
    low_y, low_x = int(np.floor(y)), int(np.floor(x))
    total = 0.0
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at_y, at_x = low_y + i, low_x + j
        if 0 <= at_y < plane.shape[0] and 0 <= at_x < plane.shape[1]:
            total += plane[at_y, at_x] * (1 - abs(y - at_y)) * (1 - abs(x - at_x))
    return total


def slow(x, offsets, masks, weight, stride, dilation):
    outputs, channels, side, _ = weight.shape
    groups = masks.shape[1] // side**2
    rows, columns = masks.shape[-2:]
    out = np.zeros((len(x), outputs, rows, columns))
    for n, c, y, x_out in np.ndindex(len(x), channels, rows, columns):
        group = c // (channels // groups)
        for i, j in np.ndindex(side, side):
            tap = group * side**2 + i * side + j
            dy, dx = offsets[n, 2 * tap : 2 * tap + 2, y, x_out]
            at = (
                stride * y + dilation * (i - side // 2) + dy,
                stride * x_out + dilation * (j - side // 2) + dx,
            )
            value = looked_up(x[n, c], *at) * masks[n, tap, y, x_out]
            out[n, :, y, x_out] += weight[:, c, i, j] * value
    return out


def drawn(height, width, stride=1, side=3, groups=2, channels=4, far=2.0, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // stride), -(-width // stride)
    return (
        rng.normal(size=(2, channels, height, width)),
        rng.normal(size=(2, 2 * groups * side**2, rows, columns)) * far,
        rng.uniform(0, 2, (2, groups * side**2, rows, columns)),
        rng.normal(size=(3, channels, side, side)),
    )


@pytest.mark.parametrize(
    ("height", "width", "stride", "dilation", "side", "groups"),
    [
        (5, 7, 1, 1, 3, 1),
        (6, 4, 1, 2, 3, 2),
        (7, 6, 2, 2, 3, 2),
        (1, 3, 1, 1, 3, 4),
        (4, 1, 1, 1, 1, 1),
    ],
)
def test_it_is_the_naive_loop(height, width, stride, dilation, side, groups):
    values = drawn(height, width, stride, side, groups)
    found = deformed(*map(torch.from_numpy, values), stride=stride, dilation=dilation)
    np.testing.assert_allclose(found.numpy(), slow(*values, stride, dilation), atol=1e-9)


def test_offsets_of_whole_pixels_far_outside_see_nothing():
    x, offsets, masks, weight = drawn(5, 6)
    found = deformed(*map(torch.from_numpy, (x, 0 * offsets + 100, masks, weight)))
    assert not bool(found.any())


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (2, 2)])
def test_without_offsets_it_is_an_ordinary_convolution(stride, dilation):
    torch.manual_seed(0)
    conv = DeformConv(4, 6, stride, dilation=dilation)
    x = torch.randn(2, 4, 9, 10)
    expected = functional.conv2d(x, conv.taps.weight, None, stride, dilation, dilation)
    torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-4)


def test_what_the_second_half_of_the_channels_chooses_moves_only_that():
    torch.manual_seed(0)
    conv = DeformConv(4, 6)
    x = torch.randn(1, 4, 9, 10)
    before = conv(x)
    with torch.no_grad():
        conv.where.bias[36 + 9 :] = -50.0  # the masks of the second group
    silent = x.clone()
    silent[:, 2:] = 0
    torch.testing.assert_close(conv(x), conv(silent), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(conv(x), before, atol=1e-2)


def test_gradients_are_those_of_finite_differences():
    """All four inputs; offsets stay away from whole pixels, where the derivative jumps."""
    x, offsets, masks, weight = drawn(2, 2, channels=2, groups=2)
    offsets = np.floor(offsets) + 0.1 + 0.8 * np.random.default_rng(1).random(offsets.shape)
    given = [torch.tensor(v[:1] if v is not weight else v[:2]) for v in (x, offsets, masks, weight)]
    for t in given:
        t.requires_grad_()
    assert torch.autograd.gradcheck(lambda *v: deformed(*v, dilation=2), given, atol=1e-6)


def test_every_weight_is_reached():
    torch.manual_seed(0)
    conv = DeformConv(4, 6)
    torch.nn.init.normal_(conv.where.weight, std=0.1)
    conv(torch.randn(1, 4, 6, 7)).square().sum().backward()
    assert all(bool(p.grad.any()) for p in conv.parameters())


def test_positions_stay_exact_under_autocast():
    """bfloat16 tells positions beyond 128 apart by whole pixels only."""
    torch.manual_seed(0)
    conv = DeformConv(4, 4)
    x = torch.randn(1, 4, 4, 300).cumsum(3) / 8
    with torch.no_grad():
        plain = conv(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = conv(x)
    assert (found.float() - plain).abs().max() < 0.03 * plain.abs().max()
