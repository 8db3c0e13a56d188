"""Regions, each on an image made for it; errors in them, and the boxes around the worst."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import Disparity, InputError, StereoPair, StereoSample, UsageError, View
from fathom.eval import regions as r

NAN = np.nan
H, W = 48, 120


def noise(seed=0, low=30, high=220):
    return np.random.default_rng(seed).integers(low, high, (H, W)).astype(np.uint8)


def test_textureless_is_where_the_row_does_not_change():
    grey = noise()
    grey[:, 40:80] = 100
    flat = r.textureless(grey)
    assert flat[:, 43:78].all()
    assert flat[:, :38].mean() < 0.05
    stripes = np.repeat(np.arange(H, dtype=np.uint8)[:, None] * 5, W, axis=1)
    assert r.textureless(stripes).all()  # horizontal stripes give a row nothing to match by
    assert r.textureless(grey[:, :1].copy()).shape == (H, 1)


def test_repetitive_is_where_a_window_is_met_again():
    grey = noise(1)
    x = np.arange(60)
    grey[:, 30:90] = (120 + 80 * np.sin(2 * np.pi * x / 10)).astype(np.uint8)
    grey[:, 30:90] += noise(2, 0, 6)[:, 30:90]
    found = r.repetitive(grey)
    assert found[4:-4, 36:84].mean() > 0.95
    assert found[:, :26].mean() < 0.02
    assert found[:, 94:].mean() < 0.02
    assert not r.repetitive(np.full((H, W), 90, np.uint8)).any()  # alike, but without texture
    ramp = np.tile((2 * np.arange(W)).astype(np.uint8), (H, 1))
    assert not r.textureless(ramp).any()
    assert not r.repetitive(ramp).any()  # alike at every shift: no peak


def repetitive_twin(grey, first, last):
    """Every window with every other of its row, in float64."""
    height, width = grey.shape
    padded = np.pad(grey.astype(np.float64), 3, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    apart = windows - windows.mean(axis=(2, 3), keepdims=True)
    spread = (apart**2).mean(axis=(2, 3))
    found = np.zeros(grey.shape, bool)

    def alike(y, x, shift):
        if x + shift > width - 4:  # the window would leave the image
            return -1
        both = (apart[y, x] * apart[y, x + shift]).mean()
        return both / np.sqrt(spread[y, x] * spread[y, x + shift] + 16)

    for y in range(height):
        for shift in range(first, last + 1):
            for x in range(3, width - shift):
                less, peak, more = (alike(y, x, shift + k) for k in (-1, 0, 1))
                if peak >= 0.95 and peak > less + 1e-3 and peak > more + 1e-3:
                    found[y, x] = found[y, x + shift] = True
    return found & ~r.textureless(grey, 7)


@pytest.mark.parametrize("pixels", [1 << 16, 300])  # one band of rows, and many
def test_repetitive_equals_its_twin(pixels, monkeypatch):
    monkeypatch.setattr(r, "_BAND_PIXELS", pixels)
    x = np.arange(44)
    waves = 100 + 60 * np.sin(2 * np.pi * x / 9)
    grey = (np.tile(waves, (23, 1)) + noise(3, 0, 35)[:23, :44]).astype(np.uint8)
    found = r.repetitive(grey, 4, 14)
    twin = repetitive_twin(grey, 4, 14)
    assert 0.2 < twin[:, 12:32].mean() < 0.98
    np.testing.assert_array_equal(found, twin)


def test_smooth_texture_is_not_repetitive_at_the_border():
    import cv2

    smooth = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (120, 200)), (0, 0), 2.5)
    grey = (20 + 200 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    found = r.repetitive(grey)
    assert found[:, 60:140].mean() < 0.1  # chance
    assert found[:, :40].mean() < 0.1


def test_bright_and_dark_by_hand():
    grey = np.array([[0, 16, 17, 239, 240, 255]], np.uint8)
    assert r.bright(grey).tolist() == [[False] * 4 + [True] * 2]
    assert r.dark(grey).tolist() == [[True] * 2 + [False] * 4]


def test_thin_things_stand_out_and_wide_ones_do_not():
    truth = np.full((H, W), 10, np.float32)
    truth[:, 20:23] = 20  # a pole
    truth[10:40, 60:90] = 20  # a box
    truth[:, 100:103] = 11  # thin, but hardly nearer
    truth[5, 20] = NAN
    found = r.thin(truth)
    expected = np.zeros((H, W), bool)
    expected[:, 20:23] = True
    expected[5, 20] = False
    np.testing.assert_array_equal(found, expected)
    assert not r.thin(np.full((H, W), NAN, np.float32)).any()


def occluded_twin(truth, tolerance):
    out = np.zeros(truth.shape, bool)
    for y, row in enumerate(truth):
        for x, d in enumerate(row):
            if np.isnan(d):
                continue
            target = np.rint(np.float32(x) - d)
            rivals = [o for k, o in enumerate(row) if np.rint(np.float32(k) - o) == target]
            out[y, x] = not 0 <= target < len(row) or any(o > d + tolerance for o in rivals)
    return out


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_occlusion_equals_its_twin(seed):
    rng = np.random.default_rng(seed)
    truth = (rng.integers(0, 12, (3, 20)) + rng.choice([0, 0.25], (3, 20))).astype(np.float32)
    truth[rng.random(truth.shape) < 0.1] = NAN
    np.testing.assert_array_equal(r.occluded(truth), occluded_twin(truth, 1))


def test_near_and_far_are_quarters():
    truth = np.arange(100, dtype=np.float32).reshape(10, 10)
    near, far = r.near_and_far(truth)
    assert (near.sum(), far.sum()) == (25, 25)
    assert near[9, 9]
    assert far[0, 0]
    for flat in (np.ones((3, 3), np.float32), np.full((3, 3), NAN, np.float32)):
        assert not any(m.any() for m in r.near_and_far(flat))
    with pytest.raises(UsageError, match=r"share = 0\.7"):
        r.near_and_far(truth, 0.7)


def sample(masks=None, truth=True):
    view = View(noise())
    values = np.full((H, W), 5, np.float32)
    values[10:20, 30:50] = 15
    return StereoSample(
        StereoPair(view, view), Disparity(values) if truth else None, masks or {}, "mine"
    )


def test_all_regions_of_a_sample():
    shiny = np.zeros((H, W), bool)
    shiny[0] = True
    found = r.regions(sample({"moving": shiny, "reflective": shiny}))
    assert set(found) == {*r.COMPUTED, "moving", "reflective"}
    assert all(m.shape == (H, W) and m.dtype == bool for m in found.values())
    assert found["occluded"][:, :5].all()
    given = r.regions(sample({"nonocc": ~shiny}))
    np.testing.assert_array_equal(given["occluded"], shiny)
    with pytest.raises(InputError, match="sample mine"):
        r.regions(sample(truth=False))


def test_nonocc_can_be_computed():
    whole = r.with_visible(sample())
    np.testing.assert_array_equal(whole.masks["nonocc"], ~r.occluded(whole.truth.values))
    assert r.with_visible(whole) is whole
    with pytest.raises(InputError, match="no truth"):
        r.with_visible(sample(truth=False))


def test_errors_by_region_by_hand():
    truth = Disparity(np.array([[1, 2, 3, NAN]], np.float32))
    found = Disparity(np.array([[1, 6, NAN, 9]], np.float32))
    left = np.array([[True, True, False, False]])
    rows = r.region_errors(found, truth, {"left": left, "none": left & False})
    assert [row.name for row in rows] == ["all", "left", "none"]
    assert (rows[0].pixels, rows[0].bad, rows[0].epe) == (3, pytest.approx(2 / 3), 2)
    assert rows[0].known == pytest.approx(2 / 3)
    assert (rows[1].pixels, rows[1].bad, rows[1].epe, rows[1].known) == (2, 0.5, 2, 1)
    assert rows[1].share == pytest.approx(2 / 3)
    assert rows[2].pixels == 0
    assert np.isnan(rows[2].bad)
    with pytest.raises(InputError, match="region left"):
        r.region_errors(found, truth, {"left": left.T})
    with pytest.raises(InputError, match="estimate"):
        r.region_errors(Disparity(np.ones((2, 2), np.float32)), truth, {})


def test_the_worst_boxes_are_found():
    truth = np.full((H, W), 5, np.float32)
    found = truth.copy()
    found[5:15, 10:20] = 50
    found[30:40, 90:95] = NAN
    truth[5:15, 10:15] = NAN  # not judged
    found[5, 20] = 6  # off by 1: not wrong
    boxes = r.worst_boxes(Disparity(found), Disparity(truth), side=10)
    assert len(boxes) == 2
    for box in boxes:
        assert (box.width, box.height) == (10, 10)
    assert {round(b.bad * 100) for b in boxes} >= {50}
    covered = np.zeros((H, W), bool)
    for b in boxes:
        assert not covered[b.y : b.y + 10, b.x : b.x + 10].any()
        covered[b.y : b.y + 10, b.x : b.x + 10] = True
    wrong = ~np.isnan(truth) & ~(np.abs(found - truth) <= 2)
    assert covered[wrong].all()
    assert r.worst_boxes(Disparity(truth), Disparity(truth)) == ()
    assert len(r.worst_boxes(Disparity(found), Disparity(truth), count=1)) == 1
    assert r.worst_boxes(Disparity(found), Disparity(truth), side=9999)[0].width == H
    with pytest.raises(UsageError, match="side = 0"):
        r.worst_boxes(Disparity(found), Disparity(truth), side=0)
    with pytest.raises(UsageError, match="count = 0"):
        r.worst_boxes(Disparity(found), Disparity(truth), count=0)
    with pytest.raises(InputError, match="estimate"):
        r.worst_boxes(Disparity(found[1:]), Disparity(truth))


def test_on_the_real_pair_methods_fail_where_they_are_expected_to(motorcycle):
    found = r.regions(r.with_visible(motorcycle))
    truth = motorcycle.truth
    rng = np.random.default_rng(0)
    noisy = Disparity((truth.values + rng.normal(0, 0.1, truth.shape)).astype(np.float32))
    rows = {row.name: row for row in r.region_errors(noisy, truth, found)}
    assert rows["all"].bad == 0
    for name in r.COMPUTED:
        assert 0 < rows[name].share < 0.5, name
    assert rows["occluded"].share == pytest.approx(0.09, abs=0.03)
