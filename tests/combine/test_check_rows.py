"""The model of row differences, on points whose differences are known."""

import numpy as np
import pytest

from fathom.combine.check_finding import certainty_above, plain
from fathom.combine.check_geometry import check_content, check_order
from fathom.combine.check_matches import Matches, match_views, shrink
from fathom.combine.check_rows import fit_rows
from fathom.combine.check_uneven import check_rows

SIZE = (800, 600)


def points(rise, count=300, noise=0.1, wild=0.0, seed=0):
    """Matches all over the image with rise(x, y) as row difference and a share of wild ones."""
    rng = np.random.default_rng(seed)
    left = rng.uniform((0, 0), SIZE, (count, 2)) - 0.5
    disparity = rng.uniform(5, 60, count)
    right = np.stack([left[:, 0] - disparity, left[:, 1]], axis=1)
    middle = (left + right) / 2 + 0.5
    x, y = middle[:, 0] / 400 - 1, middle[:, 1] / 300 - 1
    right[:, 1] += rise(x, y) + rng.normal(0, noise, count)
    strange = rng.random(count) < wild
    right[strange, 1] += rng.uniform(-40, 40, strange.sum())
    return Matches(left, right, count, count, 0)


def test_each_term_is_recovered_with_its_error():
    rows = fit_rows(points(lambda x, y: 1.5 + 2.0 * x - 3.0 * y, wild=0.2), SIZE)
    assert rows.offset == pytest.approx(1.5, abs=0.05)
    assert rows.roll_edge == pytest.approx(2.0, abs=0.05)
    assert rows.roll == pytest.approx(np.degrees(np.arctan(2.0 / 400)), abs=0.01)
    assert rows.scale_edge == pytest.approx(-3.0, abs=0.05)
    assert rows.scale == pytest.approx(-0.01, abs=2e-4)
    assert rows.bend < 0.1
    assert 0.002 < rows.offset_error < 0.05
    assert 0.05 < rows.spread < 0.15


def test_the_typical_error_leaves_the_magnification_out():
    rows = fit_rows(points(lambda x, y: 2.0 + 4.0 * y), SIZE)
    assert rows.typical == pytest.approx(2.0, abs=0.1)
    rows = fit_rows(points(lambda x, y: 3.0 * x), SIZE)
    assert rows.typical == pytest.approx(3.0 / 3**0.5, rel=0.1)


def test_a_curve_is_a_bend_and_no_roll():
    rows = fit_rows(points(lambda x, y: 3.0 * (x * x - 1 / 3), wild=0.1), SIZE)
    assert rows.bend == pytest.approx(3.0 * (4 / 45) ** 0.5, rel=0.15)
    assert abs(rows.roll_edge) < 0.3
    assert abs(rows.scale_edge) < 0.3


def test_errors_cover_what_is_missed():
    missed = []
    for seed in range(30):
        rows = fit_rows(points(lambda x, y: 1.5 + y, count=40, noise=0.5, seed=seed), SIZE)
        missed.append(abs(rows.offset - 1.5) / rows.offset_error)
    assert np.mean(np.array(missed) < 2) > 0.9


def test_too_few_points_say_nothing():
    assert fit_rows(points(lambda x, y: x, count=11), SIZE) is None


def test_no_points_from_images_without_corners():
    gray = np.full((100, 100), 128, np.uint8)
    assert len(match_views(gray, gray, (100, 100))) == 0
    tiny = np.zeros((5, 5), np.uint8)
    assert match_views(tiny, tiny, (5, 5)).corners == 0


def test_matches_are_in_pixels_of_the_full_image():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (60, 90), dtype=np.uint8)
    wide = np.kron(small, np.ones((4, 4), np.uint8))
    left, right = wide[:, :340], wide[:, 20:360]
    matches = match_views(left, right, (3400, 2400))
    assert len(matches) > 50
    assert np.median(matches.disparity) == pytest.approx(200, abs=1)
    assert np.median(matches.rise) == pytest.approx(0, abs=1)


def test_the_corner_of_an_image_stays_where_it_is():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (60, 90), dtype=np.uint8)
    wide = np.kron(small, np.ones((4, 4), np.uint8))
    here = match_views(wide, wide, (360, 240))
    there = match_views(wide, wide, (3600, 2400))
    assert there.left == pytest.approx(10 * here.left + 4.5, abs=1e-6)


def test_roll_and_magnification_are_taken_out_before_signs_are_judged():
    rng = np.random.default_rng(0)
    left = rng.uniform((0, 0), SIZE, (400, 2))
    right = left - np.stack([rng.uniform(2, 6, 400), np.zeros(400)], axis=1)
    middle = (np.array(SIZE) - 1) / 2
    roll = np.radians(1.5)
    turn = 1.03 * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    turned = Matches(left, (right - middle) @ turn.T + middle, 400, 400, 0)
    rows = fit_rows(turned, SIZE)
    assert rows.roll == pytest.approx(1.5, abs=0.1)
    assert rows.scale == pytest.approx(0.03, abs=0.002)
    assert [f.code for f in check_order(turned, None, 0.0, SIZE, 1.0)] == ["negative-disparity"]
    assert check_order(turned, rows, 0.0, SIZE, 1.0) == []


def test_bent_rows_are_not_called_magnified():
    matches = points(lambda x, y: 2.0 * y + 5 * x * y)
    unrectified, roll, scale, curve = check_rows(fit_rows(matches, SIZE), "rectify")
    assert [f.code for f in (unrectified, roll, scale, curve)] == [
        "unrectified",
        "roll",
        "scale",
        "curve",
    ]
    assert unrectified.certainty > 0.99
    assert curve.certainty > 0.99
    assert scale.certainty < 0.8
    straight = check_rows(fit_rows(points(lambda x, y: 2.0 * y), SIZE), "rectify")
    assert [f.certainty > 0.99 for f in straight] == [False, False, True, False]


def test_the_total_is_that_of_all_terms_together():
    rows = fit_rows(points(lambda x, y: 2.0 + 3.0 * x + 4.0 * y), SIZE)
    # mean squares of a constant, and of a slope over -1..1
    assert rows.total == pytest.approx((4 + 9 / 3 + 16 / 3) ** 0.5, rel=0.05)


def test_a_barrel_is_told_from_a_magnification():
    share = np.array(SIZE) ** 2 / (800**2 + 600**2)
    barrel = points(lambda x, y: 9.0 * y * (share[0] * x * x + share[1] * y * y))
    rows = fit_rows(barrel, SIZE, lenses="right")
    assert rows.cause == "lens"
    assert rows.curve[3] == pytest.approx(9, abs=1)
    assert abs(rows.scale_edge) < 0.5
    assert fit_rows(barrel, SIZE, lenses="none").curve[3:] == pytest.approx((0, 0), abs=0.01)


def test_how_many_points_make_two_images_related():
    gray = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
    other = np.random.default_rng(1).integers(0, 256, (200, 300), dtype=np.uint8)
    none = np.zeros((0, 2))

    def found(agree, corners):
        return [f.code for f in check_content(gray, other, Matches(none, none, corners, agree, 2))]

    assert found(20, 1200) == ["unrelated"]
    assert found(24, 1200) == []
    assert found(9, 100) == ["unrelated"]
    assert found(11, 100) == []
    assert found(0, 59) == []  # too few corners to tell
    assert found(0, 5) == ["flat"]


def test_shrink_keeps_small_images_and_their_type():
    image = np.arange(200, dtype=np.uint16).reshape(10, 20)
    assert shrink(image, 200) is image
    assert shrink(image, 50).shape == (5, 10)
    assert shrink(image, 50).dtype == np.uint16


def test_certainty_and_numbers():
    assert certainty_above(2.0, 2.0, 0.1) == 0.5
    assert certainty_above(2.2, 2.0, 0.1) == pytest.approx(0.977, abs=1e-3)
    assert [plain(v) for v in (3.14159, 12.0, 0.000193, 1234.5, 0.25)] == [
        "3.14",
        "12",
        "0.000193",
        "1230",
        "0.25",
    ]
