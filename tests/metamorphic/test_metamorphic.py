"""Relations that must hold between matches of related pairs, on real images, beside OpenCV's.

A share is that of pixels, matched in both runs, whose disparities agree within a pixel.
"""

import cv2
import numpy as np
import pytest

from fathom.classical.sgm import SGM
from fathom.core import Source, StereoPair, View
from fathom.geometry.resize import resize_pair

LEVELS = 96
SHIFT = 10
NAMES = ("motorcycle", "cones", "Moebius", "kitti")
PLACES = {
    "cones": "data/pairs_gt/middlebury_2001_2003/cones",
    "Moebius": "data/pairs_gt/middlebury_2005_2006_third/Moebius",
    "kitti": "data/pairs_gt/kitti_lidar/stereo_rcnn_demo",
}


@pytest.fixture(scope="module", params=NAMES)
def pair(request):
    """A real pair; those of the shared folder are skipped where that is absent."""
    if request.param == "motorcycle":
        return request.getfixturevalue("motorcycle").pair
    folder = request.getfixturevalue("shared") / PLACES[request.param]
    views = [cv2.imread(str(folder / f"{side}.png")) for side in ("left", "right")]
    return StereoPair(*(View(v[..., ::-1]) for v in views))


def ours(pair, low=0, levels=LEVELS):
    found = SGM(min_disparity=low, max_disparity=low + levels, confidence=False, fill=False)(pair)
    return np.where(found.source == Source.MATCHED, found.values, np.nan)


def opencv(pair, low=0, levels=LEVELS):
    sgbm = cv2.StereoSGBM_create(
        low, levels, 3, 72, 288, 1, 63, 10, 100, 2, cv2.STEREO_SGBM_MODE_HH
    )
    found = sgbm.compute(pair.left.gray8, pair.right.gray8).astype(np.float32) / 16
    return np.where(found < low, np.nan, found)


def identical(match, pair):
    found = match(StereoPair(pair.left, pair.left), -16)
    return np.mean(np.abs(found[~np.isnan(found)]) <= 1)


def agreeing(a, b):
    both = ~np.isnan(a) & ~np.isnan(b)
    assert both.mean() > 0.2
    return np.mean(np.abs(a - b)[both] <= 1)


def shifted(match, pair):
    moved = np.roll(pair.right.image, -SHIFT, axis=1)
    moved[:, -SHIFT:] = moved[:, -SHIFT - 1 : -SHIFT]
    other = match(StereoPair(pair.left, View(moved)), SHIFT)
    return agreeing(match(pair) + SHIFT, other)


def flipped(match, pair):
    upside = StereoPair(*(View(v.image[::-1]) for v in (pair.left, pair.right)))
    return agreeing(match(pair), match(upside)[::-1])


def exposed(match, pair):
    darker = View((pair.right.image * np.float32(0.8) + 12).astype(np.uint8))
    return agreeing(match(pair), match(StereoPair(pair.left, darker)))


def halves(match, pair):
    """The map of the pair at half size, and the whole one's mean of each 2 x 2 pixels, halved."""
    width, height = (n // 2 * 2 for n in pair.size)
    even = StereoPair(*(View(v.image[:height, :width]) for v in (pair.left, pair.right)))
    small = match(resize_pair(even, 0.5), 0, LEVELS // 2)
    blocks = match(even).reshape(height // 2, 2, width // 2, 2)
    known = ~np.isnan(blocks).any(axis=(1, 3))
    middle = np.where(known, np.nan_to_num(blocks).mean(axis=(1, 3)), np.nan)
    return small, middle / 2


def halved(match, pair):
    return agreeing(*halves(match, pair))


def halved_to_half_a_pixel(match, pair):
    small, large = halves(match, pair)
    return agreeing(2 * small, 2 * large)


RELATIONS = {
    "identical": (identical, 1.000),
    "shifted": (shifted, 0.996),
    "flipped": (flipped, 0.968),
    "exposed": (exposed, 0.970),
    "halved": (halved, 0.968),
}


@pytest.mark.parametrize("name", RELATIONS)
def test_the_relation_holds_at_least_as_well_as_for_opencv(name, pair, record_property):
    relation, least = RELATIONS[name]
    mine, theirs = relation(ours, pair), relation(opencv, pair)
    record_property("shares", f"{name}: sgm {mine:.4f}, OpenCV HH {theirs:.4f}")
    print(f"{name}: sgm {mine:.4f}, OpenCV HH {theirs:.4f}, wanted {least}")
    assert mine >= least


def test_half_size_agrees_to_half_a_pixel_more_often_than_opencv(pair):
    mine, theirs = halved_to_half_a_pixel(ours, pair), halved_to_half_a_pixel(opencv, pair)
    print(f"halved, 0.5 px: sgm {mine:.4f}, OpenCV HH {theirs:.4f}")
    assert mine >= theirs
