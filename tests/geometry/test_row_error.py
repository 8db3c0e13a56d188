"""Row differences of matched points."""

import numpy as np

from fathom.geometry.row_error import one_geometry, row_error


def test_by_hand():
    error = row_error(np.array([-1.0, 1.0] * 9 + [3.0, -5.0]))
    assert (error.median, error.points) == (1.0, 20)
    assert 1 <= error.most <= 3
    assert "1.00 px" in str(error)
    assert error.as_dict() == {"median_px": 1.0, "below_90_percent_px": error.most, "points": 20}


def test_few_points_tell_nothing():
    assert row_error(np.ones(19)) is None
    assert not one_geometry(np.ones((19, 2)), np.ones((19, 2))).any()
    # Points that are one and the same have no geometry.
    assert not one_geometry(np.ones((40, 2)), np.ones((40, 2))).all()


def test_wrong_matches_are_left_out_and_right_ones_kept_even_with_rows_apart():
    rng = np.random.default_rng(0)
    points = np.stack([*rng.uniform(-3, 3, (2, 300)), rng.uniform(4, 12, 300)], axis=1)
    left = 500 * points[:, :2] / points[:, 2:] + (320, 240)
    moved = points - (0.3, 0, 0)
    # The right camera looks 2 degrees higher: rows are 17 px apart, and still one geometry.
    up = np.radians(2)
    turn = np.array([[1, 0, 0], [0, np.cos(up), np.sin(up)], [0, -np.sin(up), np.cos(up)]])
    moved = moved @ turn.T
    right = 500 * moved[:, :2] / moved[:, 2:] + (320, 240)
    right[:60] += rng.uniform(30, 90, (60, 2))
    good = one_geometry(left, right)
    assert good[60:].mean() > 0.95
    assert good[:60].mean() < 0.15
