"""Tiles of slanted planes against twins that go from pixel to pixel."""

import numpy as np
import pytest
import torch

from fathom.layers.tiles import best_tiles, cut, expanded, folded, plane_costs, repeated, tile_costs

torch.set_num_threads(1)


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 1, shape))


def slow_plane(plane, side, step):
    b, _, h, w = plane.shape
    out = np.zeros((b, 1, h * side, w * side))
    for n, y, x, i, j in np.ndindex(b, h, w, side, side):
        d, dx, dy = plane[n, :, y, x]
        middle = (side - 1) / 2
        out[n, 0, y * side + i, x * side + j] = d + step * (dx * (j - middle) + dy * (i - middle))
    return out


def slow_costs(left, right, levels):
    b, _, h, w = left.shape
    out = np.zeros((b, h, w, levels))
    for n, y, x, d in np.ndindex(b, h, w, levels):
        column = min(max(4 * x + 1 - d, 0), right.shape[3] - 1)
        out[n, y, x, d] = np.abs(left[n, :, y, x] - right[n, :, y, column]).sum()
    return out


def slow_plane_costs(left, right, disparity):
    b, c, h, w = left.shape
    out = np.zeros((b, 4, h, w))
    columns = np.arange(w)
    for n, y, x in np.ndindex(b, h, w):
        out[n, 0, y, x] = np.abs(left[n, :, y, x]).sum()
        for k in range(3):
            at = x - (disparity[n, 0, y, x] + k - 1)
            seen = [np.interp(at, columns, right[n, i, y]) for i in range(c)]
            out[n, k + 1, y, x] = np.abs(left[n, :, y, x] - seen).sum()
    return out


@pytest.mark.parametrize(("side", "step"), [(4, 1.0), (2, 2.0), (1, 1.0), (8, 0.5)])
def test_planes_at_points(side, step):
    plane = noise(2, 3, 2, 3)
    found = expanded(plane, side, step).numpy()
    np.testing.assert_allclose(found, slow_plane(plane.numpy(), side, step), atol=1e-12)


def test_a_cut_lies_on_the_plane():
    tiles = noise(1, 16, 2, 3)
    once = cut(tiles, 2.0)
    assert once.shape == (1, 16, 4, 6)
    # quarters of 4 x 4 pixels, two apart, give each pixel what the whole gave
    torch.testing.assert_close(expanded(once[:, :3], 2), expanded(tiles[:, :3], 4))
    assert torch.equal(once[:, 1:], repeated(tiles[:, 1:], 2))


def test_a_cut_where_the_image_becomes_twice_as_large():
    tiles = noise(1, 16, 2, 3)
    once = cut(tiles, 2.0, 2.0)
    torch.testing.assert_close(once[:, :1], 2 * cut(tiles, 2.0)[:, :1])
    # a slant is pixels a pixel: the same at every size
    assert torch.equal(once[:, 1:3, ::2, ::2], tiles[:, 1:3])


def test_repeated_pixels():
    x = noise(1, 2, 2, 2)
    expected = x.numpy().repeat(3, axis=2).repeat(3, axis=3)
    np.testing.assert_array_equal(repeated(x, 3).numpy(), expected)


def test_folded_pixels_are_ordered_by_place_then_channel():
    x = noise(1, 3, 8, 4)
    out = folded(x, 4)
    assert out.shape == (1, 48, 2, 1)
    for i, j, n in np.ndindex(4, 4, 3):
        assert out[0, (4 * i + j) * 3 + n, 1, 0] == x[0, n, 4 + i, j]


@pytest.mark.parametrize("levels", [1, 2, 7, 20, 40])
def test_costs_of_tiles(levels):
    left, right = noise(2, 3, 2, 5), noise(2, 3, 2, 20, seed=1)
    expected = slow_costs(left.numpy(), right.numpy(), levels)
    np.testing.assert_allclose(tile_costs(left, right, 0, levels).numpy(), expected, atol=1e-12)
    later = tile_costs(left, right, levels // 2, levels - levels // 2).numpy()
    np.testing.assert_allclose(later, expected[..., levels // 2 :], atol=1e-12)


@pytest.mark.parametrize("block", [1, 3, 64])
def test_the_best_tile_in_blocks_and_the_first_of_equal_ones(block):
    left, right = noise(2, 3, 2, 5), noise(2, 3, 2, 20, seed=1)
    expected = slow_costs(left.numpy(), right.numpy(), 30)
    low, at = best_tiles(left, right, 30, block)
    np.testing.assert_allclose(low[:, 0].numpy(), expected.min(axis=-1), atol=1e-12)
    assert (at[:, 0].numpy() == expected.argmin(axis=-1)).all()
    low, at = best_tiles(left, torch.zeros_like(right), 30, block)
    assert (at == 0).all()


def test_a_shifted_view_is_found():
    image = noise(1, 4, 8, 64).float()
    shifted = image.roll(9, dims=3)  # x_left = x_right + 9
    ours = torch.nn.functional.unfold(shifted, 4, stride=4).reshape(1, 64, 2, 16)
    framed = torch.nn.functional.pad(image, (1, 2))
    theirs = torch.nn.functional.unfold(framed, 4, stride=(4, 1)).reshape(1, 64, 2, 64)
    _, at = best_tiles(ours, theirs, 16)
    assert (at[..., 3:] == 9).all()


def test_the_gradient_of_costs():
    left, right = (noise(1, 2, 1, k, seed=k).requires_grad_() for k in (3, 12))
    assert torch.autograd.gradcheck(lambda a, b: tile_costs(a, b, 1, 5), (left, right))


def test_costs_around_planes():
    left, right = noise(2, 3, 4, 9), noise(2, 3, 4, 9, seed=1)
    disparity = torch.from_numpy(np.random.default_rng(2).uniform(-4, 13, (2, 1, 4, 9)))
    found = plane_costs(left, right, disparity).numpy()
    expected = slow_plane_costs(left.numpy(), right.numpy(), disparity.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_gradient_of_costs_around_planes():
    left, right = noise(1, 2, 2, 5), noise(1, 2, 2, 5, seed=1)
    disparity = torch.from_numpy(np.random.default_rng(2).uniform(0.1, 0.4, (1, 1, 2, 5)) + 1)
    given = [t.requires_grad_() for t in (left, right, disparity)]
    assert torch.autograd.gradcheck(plane_costs, given)


def test_planes_that_are_not_finite_stay_inside():
    left, right = noise(1, 2, 2, 5), noise(1, 2, 2, 5, seed=1)
    wild = torch.full((1, 1, 2, 5), float("nan"), dtype=left.dtype)
    assert plane_costs(left, right, wild).shape == (1, 4, 2, 5)
    assert torch.isfinite(plane_costs(left, right, torch.full_like(wild, 1e9))).all()
