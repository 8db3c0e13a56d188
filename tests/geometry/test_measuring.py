"""Points, objects and lengths in a simulated depth map with known truth."""

import math

import numpy as np
import pytest

from fathom.core import Depth, Disparity, InputError, Source, StereoRig, UsageError
from fathom.geometry.measuring import (
    largest_part,
    measure_length,
    measure_object,
    measure_point,
    nearest_measured,
)

RIG = StereoRig.simple(200, 120, 400.0, 0.25, cx=100.0, cy=60.0)  # f b = 100 m px
SHAPE = (120, 200)


def scene(noise=0.0, box=(80, 40, 120, 70), near=2.0, far=5.0, seed=0):
    """A box at `near` metres before a wall at `far`, as a depth map; 40x30 px at 2 m = 20x15 cm."""
    rng = np.random.default_rng(seed)
    z = np.full(SHAPE, far)
    x0, y0, x1, y1 = box
    z[y0:y1, x0:x1] = near
    d = 100 / z + rng.normal(0, noise, SHAPE) if noise else 100 / z
    confidence = np.full(SHAPE, 0.95, np.float32)
    source = np.full(SHAPE, Source.MATCHED, np.uint8)
    return Disparity(d.astype(np.float32), confidence, source).to_depth(RIG)


def region(x0, y0, x1, y1):
    mask = np.zeros(SHAPE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_point_by_hand():
    found = measure_point(scene(), RIG, (110, 50), rig_error=0.0)
    assert found.position == pytest.approx((2 * 10 / 400, 2 * -10 / 400, 2.0))
    assert found.depth == pytest.approx(2)
    assert found.distance == pytest.approx(math.hypot(0.05, 0.05, 2))
    sigma = 4 / 100 * math.sqrt(2) / -math.log(0.05)
    assert found.depth_sigma == pytest.approx(sigma, rel=1e-4)
    assert found.distance_sigma == pytest.approx(sigma * found.distance / 2, rel=1e-4)
    assert found.position_sigma[0] == pytest.approx(
        math.hypot(sigma * 10 / 400, 2 / 400 / 12**0.5), rel=1e-4
    )
    assert (found.source, found.confidence) == ("matched", pytest.approx(0.95))


def test_the_rig_s_error_adds_to_the_matching_s():
    alone = measure_point(scene(), RIG, (110, 50), rig_error=0.0).depth_sigma
    both = measure_point(scene(), RIG, (110, 50), rig_error=0.5).depth_sigma
    assert both == pytest.approx(math.hypot(alone, 0.5 * 4 / 100))


def test_a_point_without_depth_names_the_nearest_measured_one():
    values = scene().values.copy()
    values[10:20, 10:20] = np.nan
    source = np.full(SHAPE, Source.MATCHED, np.uint8)
    source[8:10, :] = Source.FILLED
    depth = Depth(values, None, None, np.where(np.isnan(values), np.uint8(0), source))
    with pytest.raises(InputError, match=r"nothing is known .* nearest measured pixel is 9,14"):
        measure_point(depth, RIG, (11, 14))
    assert nearest_measured(depth, (30, 8)) == (30, 7)
    empty = Depth(np.full(SHAPE, np.nan, np.float32))
    assert nearest_measured(empty, (1, 1)) is None
    with pytest.raises(InputError, match="not one pixel"):
        measure_point(empty, RIG, (1, 1))


@pytest.mark.parametrize("pixel", [(-1, 0), (0, -1), (200, 0), (0, 120)])
def test_a_point_outside_is_named(pixel):
    with pytest.raises(UsageError, match=r"outside the image; expected x 0\.\.199, y 0\.\.119"):
        measure_point(scene(), RIG, pixel)


def test_a_length_across_and_one_into_depth():
    depth = scene()
    across = measure_length(depth, RIG, (80, 50), (119, 50))
    assert across.length == pytest.approx(2 * 39 / 400)
    into = measure_length(depth, RIG, (110, 50), (130, 50))
    a, b = np.array([0.05, -0.05, 2]), np.array([5 * 30 / 400, -5 * 10 / 400, 5])
    assert into.length == pytest.approx(float(np.linalg.norm(a - b)))
    # Mostly along z: the far end's error dominates.
    assert into.length_sigma > into.second.depth_sigma * 0.8
    assert across.length_sigma < across.first.depth_sigma


def test_the_rig_s_error_scales_a_length_as_it_scales_the_depth():
    depth = scene()
    alone = measure_length(depth, RIG, (80, 50), (119, 50), rig_error=0.0)
    off = measure_length(depth, RIG, (80, 50), (119, 50), rig_error=1.0)
    # One pixel of 50 moves Z, and every width at Z, by a fiftieth.
    common = math.sqrt(off.length_sigma**2 - alone.length_sigma**2)
    assert common == pytest.approx(alone.length / 50, rel=1e-3)


def test_the_error_bar_of_a_length_is_what_repeated_captures_show():
    lengths, sigma_d = [], math.sqrt(2) / -math.log(0.05)
    for seed in range(120):
        noisy = scene(noise=sigma_d, seed=seed)
        lengths.append(measure_length(noisy, RIG, (90, 50), (160, 80)).length)
    said = measure_length(scene(), RIG, (90, 50), (160, 80), rig_error=0.0).length_sigma
    assert np.std(lengths) == pytest.approx(said, rel=0.25)


def test_a_length_of_nothing():
    found = measure_length(scene(), RIG, (90, 50), (90, 50))
    assert found.length == 0
    assert found.length_sigma > 0


def test_the_object_s_distance_not_the_background_s():
    depth = scene(noise=0.2)
    found = measure_object(depth, RIG, region(60, 20, 140, 90))
    assert (found.pixels.sum() / (40 * 30)) == pytest.approx(1, abs=0.02)
    assert found.depth == pytest.approx(2, abs=0.01)
    assert np.median(depth.values[region(60, 20, 140, 90)]) > 4  # the plain median is the wall
    assert found.width == pytest.approx(0.20, abs=0.01)
    assert found.height == pytest.approx(0.15, abs=0.01)
    assert found.others == pytest.approx((5,), abs=0.2)
    assert found.cut == ()
    assert found.box == (60, 20, 140, 90)
    assert found.share == pytest.approx(1200 / 5600, abs=0.01)


def test_a_sliver_in_front_is_not_the_object():
    depth = scene()
    values = depth.values.copy()
    values[60:62, 60:140] = 1.0  # a wire across the box, under 15 % of it
    found = measure_object(Depth(values, depth.sigma), RIG, region(60, 20, 140, 90))
    assert found.depth == pytest.approx(2)


def test_a_mask_takes_its_largest_surface():
    depth = scene(box=(80, 40, 100, 60))
    found = measure_object(depth, RIG, region(60, 20, 140, 90), nearest=False)
    assert found.depth == pytest.approx(5)


def test_filled_pixels_take_no_part():
    depth = scene()
    source = np.full(SHAPE, Source.MATCHED, np.uint8)
    source[40:70, 80:120] = Source.FILLED
    found = measure_object(
        Depth(depth.values, depth.sigma, None, source), RIG, region(60, 20, 140, 90)
    )
    assert found.depth == pytest.approx(5)
    assert found.measured == pytest.approx(1 - 1200 / 5600)


def test_an_object_that_reaches_the_region_s_edge_is_said_to_be_cut():
    assert measure_object(scene(), RIG, region(90, 30, 140, 60)).cut == ("left", "bottom")


def test_a_slanted_object_is_whole_and_its_width_is_true():
    # A board of 0.5 m, turned by 45 degrees: x = z - 2.
    u = np.arange(200.0)
    ray = (u - 100) / 400
    z = 2 / (1 - ray)
    values = np.full(SHAPE, 9.0)
    x = z * ray
    on = np.abs(x) <= 0.25
    values[30:90, on] = z[on]
    d = (100 / values).astype(np.float32)
    found = measure_object(Disparity(d).to_depth(RIG), RIG, region(20, 20, 180, 100))
    assert found.width == pytest.approx(0.5, abs=0.015)
    assert found.nearest < 1.8 < 2.2 < found.farthest


def test_error_bars_shrink_with_pixels_but_not_below_the_rig_s():
    small = measure_object(scene(), RIG, region(95, 50, 99, 54), rig_error=0.0)
    large = measure_object(scene(), RIG, region(60, 20, 140, 90), rig_error=0.0)
    assert large.depth_sigma < small.depth_sigma / 2
    held = measure_object(scene(), RIG, region(60, 20, 140, 90), rig_error=0.1)
    assert held.depth_sigma > 0.1 * 4 / 100


def test_without_sigma_the_default_is_taken():
    found = measure_point(Depth(scene().values), RIG, (110, 50), rig_error=0.0)
    assert found.depth_sigma == pytest.approx(4 / 100 * 0.5)
    assert found.confidence is None
    assert measure_object(Depth(scene().values), RIG, region(90, 50, 92, 60)).depth_sigma > 0


def test_too_little_to_measure():
    depth = scene()
    with pytest.raises(InputError, match="only 4 of its 4 pixels were measured"):
        measure_object(depth, RIG, region(10, 10, 12, 12))
    with pytest.raises(UsageError, match="selects no pixel"):
        measure_object(depth, RIG, np.zeros(SHAPE, np.bool_))


def test_a_region_of_another_size(unchecked):
    with pytest.raises(UsageError, match="differs in size"):
        measure_object(scene(), RIG, np.ones((5, 6), np.bool_))


def test_the_largest_part_bridges_a_gap_of_one_pixel():
    mask = np.zeros((20, 20), np.bool_)
    mask[2:10, 2:6] = mask[2:10, 7:11] = True
    mask[15:18, 15:18] = True
    assert largest_part(mask).sum() == 64
