"""SSIM: equal to scikit-image's where all is known, and honest where it is not."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity as reference

from fathom.core import InputError, UsageError
from fathom.eval.similarity import structural_similarity


def maps(seed=0, shape=(30, 40)):
    rng = np.random.default_rng(seed)
    truth = rng.normal(30, 8, shape).astype(np.float32)
    return (truth + rng.normal(0, 3, shape)).astype(np.float32), truth


@pytest.mark.parametrize("window", [3, 7, 11])
def test_equals_scikit_image_where_all_is_known(window):
    found, truth = maps()
    extent = float(truth.max() - truth.min())
    score, full = reference(
        found.astype(np.float64),
        truth.astype(np.float64),
        win_size=window,
        data_range=extent,
        full=True,
    )
    ours = structural_similarity(found, truth, window=window)
    assert ours.score == pytest.approx(score, abs=1e-9)
    pad = window // 2
    inner = (slice(pad, -pad), slice(pad, -pad))
    np.testing.assert_allclose(ours.values[inner], full[inner], atol=1e-6)
    assert np.isnan(ours.values[0]).all()
    assert ours.data_range == pytest.approx(extent)
    assert ours.left_out == 0


def test_one_unknown_pixel_costs_its_windows_and_nothing_else():
    found, truth = maps()
    whole = structural_similarity(found, truth)
    holed = found.copy()
    holed[15, 20] = np.nan
    ours = structural_similarity(holed, truth)
    windows = (30 - 6) * (40 - 6)
    assert ours.left_out == pytest.approx(49 / windows)
    touched = np.zeros(found.shape, bool)
    touched[12:19, 17:24] = True
    assert np.isnan(ours.values[touched]).all()
    same = ~touched & ~np.isnan(whole.values)
    np.testing.assert_allclose(ours.values[same], whole.values[same], atol=1e-6)
    assert ours.score == pytest.approx(whole.values[same].mean(), abs=1e-6)
    assert "left out" in str(ours)


def test_the_data_range_is_stated_and_matters():
    found, truth = maps()
    own, wide = (
        structural_similarity(found, truth),
        structural_similarity(found, truth, data_range=255),
    )
    assert wide.score > own.score + 0.02
    assert "data range 255" in str(wide)
    assert structural_similarity(truth, truth).score == pytest.approx(1)


def test_nothing_known_is_nan():
    found, truth = maps()
    ours = structural_similarity(np.full_like(found, np.nan), truth)
    assert np.isnan(ours.score)
    assert ours.left_out == 1


def test_what_cannot_be_compared(unchecked):
    found, truth = maps()
    with pytest.raises(InputError, match="size"):
        structural_similarity(found[:-1].copy(), truth)
    with pytest.raises(InputError, match="smaller than the window"):
        structural_similarity(found[:5].copy(), truth[:5].copy())
    with pytest.raises(InputError, match="data range"):
        structural_similarity(found, np.ones_like(truth))
    with pytest.raises(InputError, match="data range"):
        structural_similarity(found, np.full_like(truth, np.nan))
    with pytest.raises(UsageError, match="window = 4"):
        structural_similarity(found, truth, window=4)
    with pytest.raises(UsageError, match="data_range = -1"):
        structural_similarity(found, truth, data_range=-1)
