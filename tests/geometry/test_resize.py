"""Resizing and cropping carry the rig and the disparities along."""

import numpy as np
import pytest

from fathom.core import Disparity, StereoPair, StereoRig, UsageError, View
from fathom.geometry.resize import crop_pair, nearest_indices, resize_disparity, resize_pair

RNG = np.random.default_rng(1)
IMAGE = RNG.integers(0, 256, (30, 41, 3), dtype=np.uint8)
PAIR = StereoPair(View(IMAGE), View(IMAGE[::-1]), StereoRig.simple(41, 30, 50.0, 0.2, doffs=3.0))


@pytest.mark.parametrize("scale", [0.5, 0.33, 1.0, 2.0])
def test_resized_pair_measures_the_same(scale):
    small = resize_pair(PAIR, scale)
    assert small.size == (round(41 * scale), round(30 * scale))
    assert small.rig.size == small.size
    ratio = small.size[0] / 41
    d = np.array([7.0], np.float32)
    np.testing.assert_allclose(
        small.rig.depth_of(d * np.float32(ratio)), PAIR.rig.depth_of(d), rtol=1e-5
    )


@pytest.mark.parametrize("scale", [0, -1, 5, float("nan"), 0.001])
def test_bad_scales_are_refused(scale):
    with pytest.raises(UsageError):
        resize_pair(PAIR, scale)


def test_crop():
    window = crop_pair(PAIR, 5, 6, 10, 11)
    assert window.size == (10, 11)
    assert (window.left.image == IMAGE[6:17, 5:15]).all()
    assert window.rig.left.cx == PAIR.rig.left.cx - 5
    assert window.rig.doffs == PAIR.rig.doffs
    for box in ((-1, 0, 5, 5), (0, 0, 42, 5), (0, 0, 0, 5), (40, 29, 2, 1)):
        with pytest.raises(UsageError):
            crop_pair(PAIR, *box)


def test_resized_disparity_scales_values_and_keeps_unknown():
    values = np.array([[1.0, np.nan], [3.0, 4.0]], np.float32)
    source = np.array([[1, 0], [1, 2]], np.uint8)
    big = resize_disparity(Disparity(values, source=source, range=(0, 9)), (4, 2))
    assert big.values.shape == (2, 4)
    np.testing.assert_array_equal(big.values[0], [2, 2, np.nan, np.nan])
    assert big.source[1].tolist() == [1, 1, 2, 2]
    assert big.range == (0, 18)
    same = Disparity(values)
    assert resize_disparity(same, (2, 2)) is same
    assert nearest_indices(4, 2).tolist() == [1, 3]
