"""Sub-pixel disparities from the matching costs: no leaning to whole pixels."""

import cv2
import numpy as np
import pytest

import fathom
from fathom.core import StereoPair, View


def wall(slope, seed=9, size=(160, 260)):
    """A textured pair and its disparity, 20 + slope * x px; the right view is looked up where the
    left one's pixels come from."""
    height, width = size
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(
        rng.normal(0, 1, (height, width + 80)).astype(np.float32), (0, 0), 1.5
    )
    texture = 128 + 40 * texture / texture.std()
    y, x = np.mgrid[:height, :width].astype(np.float32)
    right = texture[:, 40 : 40 + width]
    # right pixel xr = x - d(x) shows what left pixel x shows
    left = cv2.remap(texture, 40 + x - (20 + slope * x), y, cv2.INTER_CUBIC)
    views = [
        np.clip(np.rint(v + rng.normal(0, 2, v.shape)), 0, 255).astype(np.uint8)
        for v in (left, right)
    ]
    return StereoPair(*(View(v) for v in views)), (20 + slope * x).astype(np.float32)


@pytest.mark.parametrize("slope", [0.01, 0.03, -0.05])
def test_a_slanted_wall_has_its_slope(slope):
    pair, truth = wall(slope)
    found = fathom.create("sgm", max_disparity=48)(pair).values
    part = np.s_[20:140, 90:240]
    fit = np.polyfit(truth[part].ravel(), found[part].ravel(), 1)
    # from the path sums it was 0.3 to 0.4 of the true slope
    assert fit[0] == pytest.approx(1, abs=0.06)
    assert np.sqrt(np.mean((found - truth)[part] ** 2)) < 0.06


def test_fractions_are_spread_evenly():
    pair, _ = wall(0.02)
    found = fathom.create("sgm", max_disparity=48)(pair).values[20:140, 90:240]
    shares = np.histogram(found % 1, bins=5, range=(0, 1))[0] / found.size
    assert shares.min() > 0.12
    assert shares.max() < 0.28
