"""Correlation in groups against a loop, scores enlarged and read, and the blocks around them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from fathom.layers.conv3d import PlainResidual3d, convolved
from fathom.layers.stereo import imagenet_colours
from fathom.layers.trunk import official_names, stages, start, stem
from fathom.layers.volume import enlarged_argmax, group_correlation, soft_argmax

torch.set_num_threads(1)


def slow(left, right, levels, groups):
    b, c, h, w = left.shape
    each = c // groups
    out = np.zeros((b, groups, levels, h, w))
    for n, g, k, y, x in np.ndindex(out.shape):
        if x - k >= 0:
            part = slice(g * each, (g + 1) * each)
            out[n, g, k, y, x] = (left[n, part, y, x] * right[n, part, y, x - k]).mean()
    return out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 11), st.sampled_from([1, 2, 3, 6]))
def test_groups_are_means_of_products(seed, levels, width, groups):
    left, right = np.random.default_rng(seed).normal(size=(2, 2, 6, 2, width))
    found = group_correlation(torch.tensor(left), torch.tensor(right), levels, groups)
    np.testing.assert_allclose(found.numpy(), slow(left, right, levels, groups), atol=1e-12)


def test_the_gradient_of_groups():
    given = torch.randn(2, 1, 4, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: group_correlation(v[0], v[1], 3, 2), (given,))


def test_scores_are_enlarged_and_then_read():
    torch.manual_seed(0)
    scores = torch.randn(2, 1, 3, 2, 4)
    for align in (False, True):
        found, sure = enlarged_argmax(scores, (12, 8, 16), align_corners=align)
        full = functional.interpolate(scores, (12, 8, 16), mode="trilinear", align_corners=align)
        p = full[:, 0].softmax(dim=1)
        expected = (p * torch.arange(12.0).view(1, -1, 1, 1)).sum(dim=1, keepdim=True)
        torch.testing.assert_close(found, expected)
        assert sure.shape == (2, 1, 8, 16)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_of_side_one_looks_at_one_voxel(stride):
    torch.manual_seed(0)
    x, weight = torch.randn(1, 3, 4, 5, 6), torch.randn(2, 3, 1, 1, 1)
    part = x[:, :, ::stride, ::stride, ::stride]
    expected = torch.einsum("bckhw,oc->bokhw", part, weight[..., 0, 0, 0])
    torch.testing.assert_close(convolved(x, weight, stride=stride), expected, atol=1e-5, rtol=1e-4)


def test_the_mean_level_stays_exact_under_autocast():
    """By hand: 130 and 131 at 7 to 3; bfloat16 knows 130 and 131 only."""
    scores = torch.full((1, 192, 2, 3), -80.0)
    scores[:, 130], scores[:, 131] = math.log(0.7), math.log(0.3)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = soft_argmax(scores)
    torch.testing.assert_close(found, torch.full((1, 1, 2, 3), 130.3))


def test_a_plain_residual_keeps_what_is_negative():
    block = PlainResidual3d(2).eval()
    torch.nn.init.zeros_(block.body[1][1].weight)
    x = torch.randn(1, 2, 3, 4, 5)
    with torch.no_grad():
        torch.testing.assert_close(block(x), x)


def test_the_trunk_halves_twice_and_widens_four_times():
    torch.manual_seed(0)
    net = torch.nn.ModuleDict({"stem": stem(2), "stages": stages(2, (1, 2, 1, 1))}).apply(start)
    x = net["stem"](torch.randn(1, 3, 24, 16))
    sizes = []
    for stage in net["stages"]:
        x = stage(x)
        sizes.append(tuple(x.shape[1:]))
    assert sizes == [(2, 12, 8), (4, 6, 4), (8, 6, 4), (8, 6, 4)]
    assert net["stages"][3][0].first[0].dilation == (2, 2)
    held = {name.rpartition(".")[0] for name, _ in net.named_parameters()}
    named = {ours.format(n) for _, ours in official_names((1, 2, 1, 1)) for n in (0, 1)}
    assert held <= named


def test_the_colours_of_imagenet():
    """Its mean becomes 0, and a spread above it 1."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    spread = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    torch.testing.assert_close(imagenet_colours(255 * mean), torch.zeros(1, 3, 1, 1))
    found = imagenet_colours(255 * (mean + spread))
    torch.testing.assert_close(found, torch.ones(1, 3, 1, 1), atol=1e-5, rtol=0)
