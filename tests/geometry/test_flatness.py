"""The measures of the field test, recovered from walls with known noise, offset and tilt."""

import math

import numpy as np
import pytest

from fathom.core import InputError, StereoRig, UsageError
from fathom.geometry.flatness import TemporalNoise, centre_box, fit_plane, flatness

RIG = StereoRig.simple(320, 240, 400.0, 0.1, cx=150.0, cy=130.0, doffs=3.0)  # f b = 40 m px
WHOLE = (0, 0, 320, 240)


def wall(distance=2.0, across=0.0, down=0.0, noise=0.0, seed=0):
    """Disparity of a wall that the optical axis meets at `distance`, by intersecting rays."""
    a, b = math.tan(math.radians(across)), math.tan(math.radians(down))
    normal = np.array([a, b, 1.0])
    v, u = np.mgrid[:240, :320]
    rays = np.stack([(u - 150) / 400, (v - 130) / 400, np.ones(u.shape)], axis=-1)
    z = distance / (rays @ normal)
    rng = np.random.default_rng(seed)
    return (40 / z - 3 + rng.normal(0, noise, u.shape)).astype(np.float32)


def test_a_perfect_wall():
    found = flatness(wall(across=6, down=-3), RIG, WHOLE, 2.0)
    assert found.distance == pytest.approx(2, abs=1e-5)
    assert found.tilt_x == pytest.approx(6, abs=1e-3)
    assert found.tilt_y == pytest.approx(-3, abs=1e-3)
    expected = math.hypot(math.tan(math.radians(6)), math.tan(math.radians(3)))
    assert found.tilt == pytest.approx(math.degrees(math.atan(expected)), abs=1e-3)
    assert found.plane_fit_rms < 1e-5
    assert found.subpixel_rms < 1e-4
    assert found.fill_rate == 1
    assert (found.bias, found.bias_px, found.z_accuracy) == pytest.approx((0, 0, 0), abs=1e-4)


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_noise_offset_and_fill_rate_are_recovered(noise):
    d = wall(noise=noise)
    d[::5] = np.nan
    found = flatness(d, RIG, WHOLE, 1.95)
    # Without the 0.5 % tails at each end a normal law's RMS is 0.971 of its sigma.
    assert found.subpixel_rms == pytest.approx(0.971 * noise, rel=0.03)
    # sigma_Z = Z^2 sigma_d / (f b), square to the wall the distance from the plane.
    assert found.plane_fit_rms == pytest.approx(0.971 * noise * 4 / 40, rel=0.03)
    assert found.fill_rate == pytest.approx(0.8)
    assert found.bias == pytest.approx(0.05, abs=0.001)
    assert found.bias_px == pytest.approx(40 / 2 - 40 / 1.95, abs=0.01)
    assert found.z_accuracy == pytest.approx(2 / 1.95 - 1, abs=5e-4)


def test_the_distance_from_a_tilted_plane_is_measured_across_it():
    found = flatness(wall(across=40, noise=0.1), RIG, (130, 110, 170, 150))
    # At 40 degrees the distance across the plane is cos(40) of that along z.
    assert found.plane_fit_rms == pytest.approx(
        0.971 * 0.1 * 0.1 * math.cos(math.radians(40)), rel=0.1
    )


def test_outliers_do_not_move_the_plane():
    d = wall(across=5, noise=0.05)
    rng = np.random.default_rng(5)
    wrong = rng.random(d.shape) < 0.15
    d[wrong] += rng.uniform(3, 30, d.shape).astype(np.float32)[wrong]
    found = flatness(d, RIG, WHOLE)
    assert found.distance == pytest.approx(2, abs=1e-3)
    assert found.tilt_x == pytest.approx(5, abs=0.05)
    assert found.inliers == pytest.approx(0.85, abs=0.01)
    assert found.bias is None


def test_least_squares_agrees_where_there_are_no_outliers():
    v, u = (a.ravel().astype(np.float64) for a in np.mgrid[:50, :60])
    values = 0.01 * u - 0.02 * v + 7 + np.random.default_rng(2).normal(0, 0.1, u.size)
    plane, inliers = fit_plane(u, v, values)
    slow = np.linalg.lstsq(np.stack([u, v, np.ones_like(u)], 1), values, rcond=None)[0]
    assert (plane.p, plane.q, plane.r) == pytest.approx(tuple(slow), rel=0.02)
    assert inliers.mean() > 0.99


def test_two_walls_are_no_plane():
    d = wall()
    d[:, 120:] = wall(distance=3.0)[:, 120:]
    with pytest.raises(InputError, match=r"no plane: only .* lies on the best plane"):
        flatness(d, RIG, WHOLE)


def test_a_cluttered_scene_is_no_plane():
    rng = np.random.default_rng(1)
    d = wall() + np.kron(rng.uniform(-8, 8, (12, 16)), np.ones((20, 20))).astype(np.float32)
    with pytest.raises(InputError, match=r"no plane: its disparities scatter by"):
        flatness(d, RIG, WHOLE)


def test_a_column_is_no_plane():
    u = np.arange(320.0)
    d = wall() - (4 * ((u - 160) / 160) ** 2)[None].astype(np.float32)
    with pytest.raises(InputError, match=r"no plane: it is bowed by .* lens distortion"):
        flatness(d, RIG, WHOLE)


def test_a_slight_bow_is_measured_not_refused():
    u = np.arange(320.0)
    bow = 0.9 * ((u - 160) / 160) ** 2
    found = flatness(wall(noise=0.05) - bow[None].astype(np.float32), RIG, WHOLE)
    assert found.bow == pytest.approx(float(bow.std()), rel=0.05)


def test_too_little_measured():
    d = np.full((240, 320), np.nan, np.float32)
    with pytest.raises(InputError, match="only 0% of the region was measured"):
        flatness(d, RIG, WHOLE)


def test_a_plane_that_misses_the_optical_axis():
    u = np.mgrid[:240, :320][1]
    d = (0.5 * (u - 250) - 3).astype(np.float32)  # behind infinity left of column 250
    with pytest.raises(InputError, match="does not cross the optical axis"):
        flatness(d, RIG, (260, 0, 320, 240))


@pytest.mark.parametrize("box", [(0, 0, 321, 240), (5, 5, 5, 9), (-1, 0, 5, 5)])
def test_a_region_outside_the_image(box):
    with pytest.raises(UsageError, match="no region of the image"):
        flatness(wall(), RIG, box)


@pytest.mark.parametrize("distance", [0.0, -1.0, math.nan, math.inf])
def test_a_distance_that_is_none(distance):
    with pytest.raises(UsageError, match="no distance"):
        flatness(wall(), RIG, None, distance)


def test_the_default_region_is_the_middle_half():
    assert centre_box(320, 240) == (80, 60, 240, 180)
    assert flatness(wall(), RIG).box == (80, 60, 240, 180)
    assert centre_box(1, 1) == (0, 0, 1, 1)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_temporal_noise_is_recovered_from_few_captures(count):
    noise = TemporalNoise()
    assert noise.value() is None
    assert noise.map() is None
    maps = [wall(noise=0.1, seed=seed) for seed in range(count)]
    for d in maps:
        noise.add(d)
    assert noise.value() == pytest.approx(0.1, rel=0.03)
    np.testing.assert_allclose(noise.map(), np.std(maps, axis=0, ddof=1), atol=1e-5)


def test_a_pixel_that_was_not_always_measured_has_no_temporal_noise():
    noise = TemporalNoise()
    first, second = wall(noise=0.1, seed=1), wall(noise=0.1, seed=2)
    second[:100] = np.nan
    noise.add(first)
    noise.add(second)
    assert np.isnan(noise.map()[:100]).all()
    assert noise.value() is not None
    noise.add(np.full_like(first, np.nan))
    assert noise.value() is None
    with pytest.raises(InputError, match="differ in size"):
        noise.add(first[:5])
