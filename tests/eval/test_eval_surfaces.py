"""Planarity: planes of the image and of the world."""

import numpy as np
import pytest

from fathom.core import Camera, InputError, UsageError
from fathom.eval.surfaces import planar, planarity, plane_residual, surface_noise

NAN = np.nan
Y, X = np.mgrid[:40, :60].astype(np.float32)
PLANE = (50 + 0.7 * X - 0.3 * Y).astype(np.float32)


def test_a_plane_of_any_slope_has_no_noise():
    assert surface_noise(PLANE, PLANE) == pytest.approx(0, abs=1e-4)
    assert surface_noise(PLANE + 5, PLANE) == pytest.approx(0, abs=1e-4)  # elsewhere, but flat


def test_noise_is_measured_where_the_truth_is_planar():
    noise = np.random.default_rng(0).normal(0, 0.5, PLANE.shape).astype(np.float32)
    # the mean of 81 pixels takes its own share of the noise away
    expected = 0.5 * np.sqrt(80 / 81)
    assert surface_noise(PLANE + noise, PLANE) == pytest.approx(expected, rel=0.05)
    rounded = np.rint(PLANE)
    assert surface_noise(rounded, PLANE) == pytest.approx(1 / np.sqrt(12), rel=0.1)
    half = X < 30
    assert surface_noise(np.where(half, PLANE, PLANE + noise), PLANE, X < 20) < 1e-4


def test_residual_equals_a_fitted_plane():
    rng = np.random.default_rng(1)
    values = rng.normal(20, 3, (15, 15)).astype(np.float32)
    residual, complete = plane_residual(values, 5)
    assert complete.sum() == 11 * 11
    y, x = np.mgrid[:5, :5]
    a = np.stack([x.ravel(), y.ravel(), np.ones(25)], 1)
    for r, c in ((2, 2), (7, 9), (12, 12)):
        window = values[r - 2 : r + 3, c - 2 : c + 3].astype(float).ravel()
        fit = a @ np.linalg.lstsq(a, window, rcond=None)[0]
        assert residual[r, c] == pytest.approx(window[12] - fit[12], abs=1e-4)


def test_steps_and_unknown_pixels_are_not_planar():
    truth = PLANE.copy()
    truth[:, 30:] += 10
    flat = planar(truth, 9)
    assert not flat[:, 22:38].any()
    assert flat[12:28, 10:20].all()
    truth = PLANE.copy()
    truth[20, 30] = NAN
    assert not planar(truth, 9)[16:25, 26:35].any()
    assert np.isnan(surface_noise(np.full_like(PLANE, NAN), PLANE))


def test_a_plane_of_the_world_by_hand():
    camera = Camera(60, 40, 50, 50, 29.5, 19.5)
    wall = np.full((40, 60), 2, np.float32)
    same = planarity(wall + 1, wall, camera, np.ones((40, 60), bool))
    assert same.flatness == pytest.approx(0, abs=1e-5)
    assert same.orientation == pytest.approx(0, abs=0.1)
    assert same.pixels == 2400
    # z = 2 + x: the plane leans by 45 degrees; with x = z u it is z = 2 / (1 - u)
    u = (X - 29.5) / 50
    leaning = (2 / (1 - u)).astype(np.float32)
    found = planarity(leaning, wall, camera, np.abs(u) < 0.3)
    assert found.orientation == pytest.approx(45, abs=0.1)
    assert found.flatness == pytest.approx(0, abs=1e-4)
    rough = planarity(wall + 0.01 * (-1) ** (X + Y), wall, camera, np.ones((40, 60), bool))
    assert rough.flatness == pytest.approx(0.01, rel=0.05)


def test_what_cannot_be_judged(unchecked):
    camera = Camera(60, 40, 50, 50, 29.5, 19.5)
    with pytest.raises(InputError, match="fewer than three"):
        planarity(PLANE, PLANE, camera, np.zeros(PLANE.shape, bool))
    for call in (lambda a: surface_noise(a, PLANE), lambda a: planarity(a, PLANE, camera, X > 0)):
        with pytest.raises(InputError, match="size"):
            call(PLANE[1:].copy())
    with pytest.raises(UsageError, match="side = 2"):
        plane_residual(PLANE, 2)
