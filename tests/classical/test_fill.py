"""Filling: what is known stays, what is unknown takes the surface behind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.classical.fill import fill, row_slopes
from fathom.core import Disparity, Source, StereoPair

NAN = np.nan


def rows(*lines):
    return Disparity(np.array(lines, np.float32))


def hole(values, where):
    holed = values.astype(np.float32).copy()
    holed[where] = NAN
    return Disparity(holed)


def test_a_gap_between_near_and_far_takes_the_far_side():
    found = fill(rows(*[[10, 10, NAN, NAN, 40, 40]] * 7))
    np.testing.assert_array_equal(found.values, [[10, 10, 10, 10, 40, 40]] * 7)
    found = fill(rows(*[[40, 40, NAN, NAN, 10, 10]] * 7))
    np.testing.assert_array_equal(found.values, [[40, 40, 10, 10, 10, 10]] * 7)


def test_a_gap_in_one_surface_is_bridged():
    found = fill(rows(*[[10, 10, NAN, NAN, NAN, 12]] * 7))
    np.testing.assert_allclose(found.values[3], [10, 10, 10.5, 11, 11.5, 12])


def test_slanted_background_is_continued_with_its_slope():
    x = np.arange(120, dtype=np.float32)
    wall = np.tile(60 - 0.2 * x, (40, 1))
    border = np.s_[:, :20]
    found = fill(hole(wall, border))
    # a prior draws the slope towards 0: most of the way is asked for
    assert np.abs(found.values - wall)[border].max() < 0.5 * 20 * 0.2
    behind = wall.copy()
    behind[:, 80:] = 90
    found = fill(hole(behind, np.s_[:, 60:80]))
    assert np.abs(found.values - behind)[:, 60:80].max() < 0.5 * 20 * 0.2


def test_slopes_of_planes_and_edges():
    x = np.arange(100, dtype=np.float32)
    known = np.ones((30, 100), bool)
    plane = np.tile(0.1 * x, (30, 1)).astype(np.float32)
    assert row_slopes(plane, known)[15, 50] == pytest.approx(0.1 * 341 / 391, rel=1e-3)
    edge = np.where(x > 50, 30, 10).astype(np.float32)
    assert np.abs(row_slopes(np.tile(edge, (30, 1)), known)).max() == 0


def test_rows_without_anything_known_take_the_nearest_row():
    found = fill(rows([NAN] * 5, [3] * 5, [NAN] * 5, [NAN] * 5, [8] * 5))
    assert found.known.all()
    assert found.values[0, 2] == 3
    np.testing.assert_array_equal(found.source[0], [Source.FILLED] * 5)


def test_nothing_known_stays_unknown_and_everything_known_stays_known():
    empty = fill(rows([NAN, NAN]))
    assert not empty.known.any()
    np.testing.assert_array_equal(empty.source, [[Source.UNKNOWN] * 2])
    full = fill(rows([1, 2]))
    np.testing.assert_array_equal(full.values, [[1, 2]])
    np.testing.assert_array_equal(full.source, [[Source.MATCHED] * 2])


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 40),
    share=st.floats(0, 1),
    seed=st.integers(0, 10**6),
)
def test_known_pixels_stay_and_all_others_are_filled_and_marked(height, width, share, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 50, (height, width)).astype(np.float32)
    values[rng.random(values.shape) < share] = NAN
    known = ~np.isnan(values)
    confidence = np.where(known, 0.5, 0).astype(np.float32)
    found = fill(Disparity(values, confidence, None, (-99, 99)))
    np.testing.assert_array_equal(found.values[known], values[known])
    np.testing.assert_array_equal(found.confidence, confidence)
    assert found.range == (-99, 99)
    if known.any():
        assert found.known.all()
        np.testing.assert_array_equal(found.source == Source.FILLED, ~known)
        assert (np.abs(found.values[~known]) <= 99).all()


def test_a_run_much_longer_than_its_step_lies_on_the_surface_above_and_below():
    # a road that comes nearer downwards, before the side of a car at 40
    values = np.repeat(np.arange(10, 31, dtype=np.float32)[:, None], 40, axis=1)
    values[:, 30:] = 40
    values[:, :2] = 3  # what lies beside the road
    holed = hole(values, np.s_[8:13, 2:30])
    found = fill(holed)
    # 28 px long where the step is 37 px: as wide as an occlusion may be, so the left end decides
    np.testing.assert_allclose(found.values[10, 10:20], 3, atol=0.1)
    values[:, :2] = 30  # now the step is 10 px
    found = fill(hole(values, np.s_[8:13, 2:30]))
    # a pixel a row is too steep to be told from an edge: the farther of above and below
    np.testing.assert_allclose(found.values[10, 10:20], values[7, 10], atol=0.1)
    # nothing above: what is below
    found = fill(hole(values, np.s_[:13, 2:30]))
    np.testing.assert_allclose(found.values[5, 10:20], values[13, 10], atol=0.1)


def test_a_gently_slanted_road_is_bridged_down_the_columns():
    road = np.repeat(10 + 0.15 * np.arange(60, dtype=np.float32)[:, None], 60, axis=1)
    values = road.copy()
    values[:, 50:] = 40
    values[:, :2] = 30
    found = fill(hole(values, np.s_[20:40, 2:50]))
    np.testing.assert_allclose(found.values[25:35, 10:40], road[25:35, 10:40], atol=0.01)


@pytest.mark.shared
def test_a_road_is_filled_across_its_rows(shared):
    import fathom
    from fathom.eval.metrics import bad
    from fathom.io.images import read_view

    folder = shared / "data" / "pairs_gt" / "kitti_lidar" / "stereo_rcnn_demo"
    pair = StereoPair(read_view(folder / "left.png"), read_view(folder / "right.png"))
    truth = Disparity(np.load(folder / "disp_left.npy").astype(np.float32))
    # 13.8 % with ends of rows alone, 12.1 % with the rows above and below, 11.7 % with their slopes
    assert bad(fathom.create("sgm")(pair), truth, 2) < 0.12
