"""Which disparities are searched."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from fathom.classical.ranges import (
    LIMIT_SHARE,
    default_max_disparity,
    hits_limit,
    resolve_range,
)
from fathom.classical.sgm import SGM
from fathom.core import Disparity, Source, StereoPair, StereoRig, UsageError, View


def pair_of(width, height=8, rig=None):
    view = View(np.zeros((height, width, 3), np.uint8))
    return StereoPair(view, view, rig)


@pytest.mark.parametrize(
    ("width", "expected"), [(100, 64), (741, 128), (1242, 208), (1282, 224), (4000, 256)]
)
def test_without_a_rig_the_width_decides(width, expected):
    assert default_max_disparity(pair_of(width)) == expected


def test_the_rig_names_it_or_caps_it():
    rig = StereoRig.simple(1242, 8, 721.0, 0.5)
    assert default_max_disparity(pair_of(1242, rig=replace(rig, max_disparity=70))) == 80
    assert default_max_disparity(pair_of(1242, rig=rig)) == 208
    wide_angle = StereoRig.simple(1242, 8, 300.0, 0.5)
    assert default_max_disparity(pair_of(1242, rig=wide_angle)) == 112
    shifted = StereoRig.simple(1242, 8, 300.0, 0.5, doffs=200.0)
    assert default_max_disparity(pair_of(1242, rig=shifted)) == 16


@pytest.mark.parametrize(
    ("first", "end", "expected"),
    [
        (0, None, (0, 64)),
        (-20, None, (-20, 64)),
        (70, None, (70, 100)),
        (0, 30, (0, 30)),
        (-500, 500, (-99, 100)),
        (-30, -10, (-30, -10)),
    ],
)
def test_ranges_are_resolved_and_cut_to_the_width(first, end, expected):
    assert resolve_range(pair_of(100), first, end) == expected


@pytest.mark.parametrize(
    ("first", "end", "field"),
    [
        (0, 0, "max_disparity"),
        (5, -3, "max_disparity"),
        (100, 200, "min_disparity"),
        (-300, -99, "max_disparity"),
        (0, True, "max_disparity"),
    ],
)
def test_ranges_without_disparities_are_refused(first, end, field):
    with pytest.raises(UsageError) as caught:
        resolve_range(pair_of(100), first, end)
    assert caught.value.field == field


def test_numbers_that_are_not_whole_are_refused():
    bare = inspect.unwrap(resolve_range)  # without the type checker of the tests
    with pytest.raises(UsageError, match=r"min_disparity = 0\.5: is not a whole number"):
        bare(pair_of(100), 0.5, 3)


def test_the_share_at_the_limit_counts_matched_pixels_only():
    values = np.array([[9.0, 8.0, 8.5, 3.0, 9.0, np.nan]], np.float32)
    source = np.array([[1, 1, 1, 1, 2, 0]], np.uint8)
    assert hits_limit(Disparity(values, None, source, (0, 9))) == 0.75
    assert hits_limit(Disparity(values, None, None, (0, 9))) == 0.8
    assert hits_limit(Disparity(values, None, source)) == 0
    unknown = np.full((1, 6), np.uint8(Source.UNKNOWN))
    assert hits_limit(Disparity(values, None, unknown, (0, 9))) == 0


def test_a_search_that_ends_too_early_is_noticed(motorcycle):
    short, enough = SGM(max_disparity=48), SGM()
    assert hits_limit(short(motorcycle.pair)) > 3 * LIMIT_SHARE
    assert hits_limit(enough(motorcycle.pair)) < LIMIT_SHARE / 3


@pytest.mark.shared
def test_the_default_covers_every_real_pair(shared):
    from PIL import Image

    folders = [p.parent for p in (shared / "data" / "pairs_gt").rglob("disp_left.npy")]
    assert len(folders) > 20
    for folder in folders:
        with Image.open(folder / "left.png") as image:
            pair = pair_of(image.width)
        assert np.nanmax(np.load(folder / "disp_left.npy")) < default_max_disparity(pair), folder
