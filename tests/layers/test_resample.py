"""Warping and upsampling against twins that go pixel by pixel."""

import numpy as np
import torch

from fathom.layers.resample import convex_upsample, sampled, to_size, warp_right


def test_warp_against_its_twin():
    rng = np.random.default_rng(0)
    right, d = rng.random((2, 3, 3, 7)), rng.uniform(-3, 9, (2, 1, 3, 7))
    d[0, 0, 0, 0] = np.nan
    got, inside = warp_right(torch.tensor(right), torch.tensor(d))
    for b, y, x in np.ndindex(2, 3, 7):
        at = x - d[b, 0, y, x]
        assert bool(inside[b, 0, y, x]) == (0 <= at <= 6)
        at = min(max(0 if np.isnan(at) else at, 0), 6)
        i = min(int(np.floor(at)), 5)
        want = (1 - (at - i)) * right[b, :, y, i] + (at - i) * right[b, :, y, i + 1]
        np.testing.assert_allclose(got[b, :, y, x], want, atol=1e-12)


def test_sampling_against_its_twin():
    rng = np.random.default_rng(0)
    image, at = rng.random((2, 3, 4, 6)), rng.uniform(-2, 7, (2, 2, 3, 5))
    found = sampled(torch.tensor(image), torch.tensor(at)).numpy()
    framed = np.pad(image, ((0, 0), (0, 0), (4, 6), (4, 6)))
    for b, y, x in np.ndindex(2, 3, 5):
        i, j = (int(np.floor(at[b, n, y, x])) for n in (1, 0))
        v, u = at[b, 1, y, x] - i, at[b, 0, y, x] - j
        near = framed[b, :, i + 4 : i + 6, j + 4 : j + 6]
        want = near @ np.array([1 - u, u]) @ np.array([1 - v, v])
        np.testing.assert_allclose(found[b, :, y, x], want, atol=1e-12)


def test_warp_by_whole_pixels_moves_them():
    right = torch.arange(6.0).reshape(1, 1, 1, 6)
    got, inside = warp_right(right, torch.full((1, 1, 1, 6), 2.0))
    assert got[0, 0, 0].tolist() == [0, 0, 0, 1, 2, 3]
    assert inside[0, 0, 0].tolist() == [False, False, True, True, True, True]


def test_warp_of_a_single_column():
    got, inside = warp_right(torch.ones(1, 2, 3, 1), torch.zeros(1, 1, 3, 1))
    assert (got == 1).all() and inside.all()


def test_the_gradient_of_warping_is_the_slope():
    right = torch.rand(1, 2, 3, 8, dtype=torch.float64, requires_grad=True)
    # Away from whole pixels, where linear interpolation has a corner.
    d = (torch.rand(1, 1, 3, 8, dtype=torch.float64) * 0.8 + 1.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda r, x: warp_right(r, x)[0], (right, d))


def test_warping_by_the_truth_gives_the_left_view(motorcycle):
    truth = motorcycle.truth.values
    left, right = (
        torch.tensor(v.rgb8.transpose(2, 0, 1)[None].astype(np.float32))
        for v in (motorcycle.pair.left, motorcycle.pair.right)
    )
    warped, inside = warp_right(right, torch.tensor(truth)[None, None])
    seen = inside & torch.isfinite(torch.tensor(truth))
    error = (warped - left).abs().mean(1, keepdim=True)
    still = (right - left).abs().mean(1, keepdim=True)
    assert error[seen].median() < 4 < 10 < still[seen].median()


def test_convex_upsampling_against_its_twin():
    rng = np.random.default_rng(1)
    d, k = rng.random((2, 1, 3, 4)), 2
    logits = rng.normal(0, 2, (2, 9 * k * k, 3, 4))
    got = convex_upsample(torch.tensor(d), torch.tensor(logits), k)
    framed = np.pad(d, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    for b, y, x, i, j in np.ndindex(2, 3, 4, k, k):
        w = np.exp([logits[b, (n * k + i) * k + j, y, x] for n in range(9)])
        nine = framed[b, 0, y : y + 3, x : x + 3].ravel()
        want = (w / w.sum() * nine).sum()
        np.testing.assert_allclose(got[b, 0, k * y + i, k * x + j], want, atol=1e-12)


def test_upsampling_keeps_the_values_and_the_size_that_is_right():
    d = torch.full((1, 1, 2, 3), 7.0)
    assert to_size(d, (2, 3)) is d
    big = to_size(d, (8, 12))
    assert big.shape == (1, 1, 8, 12) and (big == 7).all()
