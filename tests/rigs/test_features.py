"""Matches against known warps and true disparities, and a slow twin of the nearest neighbours."""

import cv2
import numpy as np
import pytest

from fathom.core import InputError, UsageError, View
from fathom.rigs import features
from fathom.rigs.features import Matches, _agreeing, _spread, match_features, within


@pytest.fixture(scope="module")
def small(motorcycle):
    """A third of the pair, which is faster to match."""
    window = (slice(100, 380), slice(150, 550))
    return [
        View(np.ascontiguousarray(v.image[window]))
        for v in (motorcycle.pair.left, motorcycle.pair.right)
    ]


@pytest.mark.parametrize(("method", "least", "right"), [("sift", 900, 0.85), ("orb", 400, 0.82)])
def test_matches_agree_with_the_true_disparity(motorcycle, method, least, right):
    pair = motorcycle.pair
    found = match_features(pair.left, pair.right, method=method)
    assert len(found) >= least
    x, y = np.rint(found.left).astype(int).T
    error = found.disparity - motorcycle.truth.values[y, x]
    assert np.mean(np.abs(error[np.isfinite(error)]) < 1) > right
    assert np.median(np.abs(found.rise)) < 0.2
    assert (np.diff(found.score) <= 0).all()
    assert ((found.score >= 0) & (found.score <= 1)).all()


@pytest.mark.parametrize("method", ["sift", "orb"])
def test_positions_are_those_of_pixel_centres(small, method):
    # A shift by whole pixels has no blur, a turn by 180 degrees shows any half pixel.
    image = small[0].image
    turned = np.ascontiguousarray(image[::-1, ::-1])
    found = match_features(View(image), View(turned), method=method)
    height, width = image.shape[:2]
    error = found.left + found.right - [width - 1, height - 1]
    good = np.abs(error).max(axis=1) < 2
    assert good.sum() > 100
    assert np.abs(np.median(error[good], axis=0)).max() < (0.02 if method == "sift" else 0.1)


def test_the_same_images_give_the_same_matches(small):
    a, b = (match_features(*small) for _ in range(2))
    np.testing.assert_array_equal(a.left, b.left)
    np.testing.assert_array_equal(a.right, b.right)


def test_sixteen_bits_match_like_eight(small):
    wide = [View(v.image.astype(np.uint16) * 200) for v in small]
    assert len(match_features(*wide)) > 0.8 * len(match_features(*small))


def test_matches_are_spread_over_the_image(motorcycle):
    pair = motorcycle.pair
    few = match_features(pair.left, pair.right, limit=400)
    cells = {tuple(c) for c in (few.left // 125).astype(int).tolist()}
    assert len(cells) >= 20  # of 24


def test_the_strongest_of_every_cell_come_first():
    places = [(10, 10), (12, 12), (14, 14), (300, 300)]
    keys = [
        cv2.KeyPoint(x, y, 5.0, 0.0, response)
        for (x, y), response in zip(places, (0.9, 0.8, 0.7, 0.1), strict=True)
    ]
    assert _spread(keys, (400, 400), 2).tolist() == [0, 3]
    assert _spread(keys, (400, 400), 9).tolist() == [0, 3, 1, 2]
    assert len(_spread([], (400, 400), 9)) == 0


def test_nearest_neighbours_have_a_slow_twin():
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=(n, 8)).astype(np.float32) for n in (60, 50))
    a[:30] = b[:30] + rng.normal(size=(30, 8)).astype(np.float32) * 0.3
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    pairs, score = _agreeing(a, b, 0.8)
    slow = []
    for i, p in enumerate(a):
        distance = [float(np.linalg.norm(p - q)) for q in b]
        j = int(np.argmin(distance))
        back = [float(np.linalg.norm(b[j] - r)) for r in a]
        second = min(sorted(distance)[1], sorted(back)[1])
        if int(np.argmin(back)) == i and distance[j] < 0.8 * second:
            slow.append((i, j, 1 - distance[j] / second))
    assert sorted(map(tuple, pairs.tolist())) == [(i, j) for i, j, _ in slow]
    np.testing.assert_allclose(np.sort(score), np.sort([s for *_, s in slow]), atol=1e-5)


def test_large_images_are_matched_smaller_and_keep_their_coordinates(small, monkeypatch):
    monkeypatch.setattr(features, "_PIXELS", small[0].image[..., 0].size)
    size = (3 * small[0].size[0], 3 * small[0].size[1])
    large = [View(cv2.resize(v.image, size, interpolation=cv2.INTER_CUBIC)) for v in small]
    a, b = match_features(*large), match_features(*small)
    assert np.median(a.disparity) == pytest.approx(3 * np.median(b.disparity), rel=0.1)
    # Of the points that both found, the larger image's are where (x + 0.5) 3 - 0.5 puts them.
    gap = np.abs(a.left[:, None] - ((b.left + 0.5) * 3 - 0.5)[None]).max(axis=2)
    near = gap.min(axis=1) < 1.5
    error = a.left[near] - ((b.left[gap[near].argmin(axis=1)] + 0.5) * 3 - 0.5)
    assert near.sum() > 100
    assert np.abs(np.median(error, axis=0)).max() < 0.15


@pytest.mark.parametrize("side", [0, 1])
def test_a_flat_image_is_named(small, side):
    views = list(small)
    views[side] = View(np.full((280, 400), 128, np.uint8))
    with pytest.raises(InputError, match=f"{('left', 'right')[side]} image: shows 0 features"):
        match_features(*views)


def test_two_scenes_are_named(small):
    noise = np.random.default_rng(0).integers(0, 256, (280, 400), dtype=np.uint8)
    with pytest.raises(InputError, match=r"only \d+ of \d+ features match"):
        match_features(small[0], View(noise), least=30)


def test_wrong_requests_are_named(small):
    with pytest.raises(UsageError, match="ratio"):
        match_features(*small, ratio=0.0)
    with pytest.raises(UsageError, match="limit"):
        match_features(*small, limit=2)


def test_an_unknown_method_is_named(small, unchecked):
    with pytest.raises(UsageError, match="did you mean sift"):
        match_features(*small, method="sfit")


def test_matches_check_themselves(unchecked):
    two = np.zeros((2, 2))
    with pytest.raises(InputError, match="right"):
        Matches(two, np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(InputError, match="not finite"):
        Matches(two, two, np.array([0.0, np.nan]))


def test_within_counts_the_rim():
    at = np.array([[-0.5, 0.0], [9.6, 0.0], [5.0, 4.5]])
    found = within(Matches(at, at, np.ones(3)), (10, 5))
    assert found.tolist() == [True, False, True]
