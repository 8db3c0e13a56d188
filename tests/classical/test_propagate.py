"""Spreading along edges: a slow twin, the layers in torch, what is kept, how far values reach."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.propagate import NEAR, diffused, edge_affinities, swept


def scene(height=9, width=12, seed=0):
    """An image of two colours with a little noise, values, and where they are known."""
    rng = np.random.default_rng(seed)
    image = np.where(np.arange(width)[None, :, None] < width // 2, 60, 180)
    image = (image + rng.integers(-3, 4, (height, width, 3))).astype(np.uint8)
    values = rng.uniform(1, 50, (height, width)).astype(np.float32)
    known = rng.random((height, width)) < 0.2
    known[0, 0] = True
    return image, values, known


def affinity(a, b, colour):
    difference = np.abs(a.astype(float) - b.astype(float)).mean()
    return max(np.exp(-((difference / colour) ** 2)), 1e-6)


def test_affinities_pixel_by_pixel():
    image = scene(5, 6)[0]
    found = edge_affinities(image, 12.0)
    for y, x in np.ndindex(5, 6):
        wanted = np.zeros(8)
        for k, (dy, dx) in enumerate(NEAR):
            if 0 <= y + dy < 5 and 0 <= x + dx < 6:
                wanted[k] = affinity(image[y, x], image[y + dy, x + dx], 12.0) / np.hypot(dy, dx)
        np.testing.assert_allclose(found[:, y, x], wanted / wanted.sum(), rtol=1e-5)


def test_one_sweep_after_the_other_pixel_by_pixel():
    image, values, known = scene(6, 7)
    height, width = known.shape
    total, weight = np.zeros(known.shape), np.zeros(known.shape)
    for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
        v, w = np.zeros(known.shape), np.zeros(known.shape)
        for y, x in sorted(np.ndindex(height, width), key=lambda at: -dy * at[0] - dx * at[1]):
            if known[y, x]:
                v[y, x], w[y, x] = values[y, x], 1
                continue
            sum_ = 0
            for side in (-1, 0, 1):
                j, i = y + (dy or side), x + (dx or side)
                if 0 <= j < height and 0 <= i < width:
                    fade = np.exp(-np.hypot(1, side) / 10)
                    p = affinity(image[y, x], image[j, i], 5.0) * fade * w[j, i]
                    v[y, x] += p * v[j, i]
                    sum_ += p
                    w[y, x] = max(w[y, x], p)
            v[y, x] /= sum_ or 1
        total += v * w
        weight += w
    found = swept(values, known, image)
    np.testing.assert_allclose(found, np.where(known, values, total / weight), rtol=1e-5)
    assert np.array_equal(found[known], values[known])


def test_steps_are_those_of_the_layer_in_torch():
    torch = pytest.importorskip("torch")
    from fathom.layers.propagation import NEAR_2D, propagated

    assert NEAR_2D == NEAR
    image, values, known = scene(70, 12)
    weights = edge_affinities(image)
    found = diffused(values, weights, known, 5, threads=2)
    arrays = (values[None, None], weights[None], known[None, None])
    start, w, kept = (torch.from_numpy(a) for a in arrays)
    wanted = propagated(start, w, 5, kept)[0, 0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.floats(0.1, 300.0))
def test_what_holds_for_any_image(seed, height, width, colour):
    """All pixels get a value, none leaves the range of the known ones, which stay bit for bit; a
    constant stays one."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    values = rng.uniform(0.1, 1000, (height, width)).astype(np.float32)
    known = rng.random((height, width)) < 0.15
    known[rng.integers(height), rng.integers(width)] = True
    first = swept(np.where(known, values, np.float32(np.nan)), known, image, colour)
    for found in (first, diffused(first, edge_affinities(image, colour), known, 8)):
        assert np.array_equal(found[known], values[known])
        assert found.min() >= values[known].min() * 0.9999
        assert found.max() <= values[known].max() * 1.0001
    flat = swept(np.full_like(values, 7), known, image, colour)
    np.testing.assert_allclose(flat, 7, rtol=1e-5)


def test_values_stop_at_edges():
    image, _, _ = scene(40, 60)
    values, known = np.zeros((40, 60), np.float32), np.zeros((40, 60), bool)
    values[5, 3], values[33, 55] = 4.0, 9.0
    known[5, 3] = known[33, 55] = True
    found = swept(values, known, image)
    assert np.abs(found[:, :30] - 4).max() < 0.5 and np.abs(found[:, 30:] - 9).max() < 0.5
    found = diffused(found, edge_affinities(image), known)
    assert np.abs(found[:, :30] - 4).max() < 0.5 and np.abs(found[:, 30:] - 9).max() < 0.5


def test_nothing_known_gives_nothing():
    image, values, _ = scene()
    assert np.isnan(swept(values, np.zeros(values.shape, bool), image)).all()
