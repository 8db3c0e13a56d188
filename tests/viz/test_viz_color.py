"""Colour maps, scales and ticks against numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.core import UsageError
from fathom.viz.color import (
    COLOR_MAPS,
    UNKNOWN,
    Scale,
    colorize,
    depth_scale,
    nice_ticks,
    robust_range,
    table,
    tick_labels,
)

NAN = float("nan")


def column(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def test_gray_maps_the_range_onto_0_to_255_and_clips_beyond_it():
    got = colorize(column(-5, 10, 15, 20, 99, NAN), 10, 20, "gray")
    assert got.shape == (1, 6, 3)
    assert got.dtype == np.uint8
    # (15 - 10) / 10 * 255 = 127.5, rounded to even
    assert got[0, :5, 0].tolist() == [0, 0, 128, 255, 255]
    assert tuple(got[0, 5]) == UNKNOWN


def test_the_unknown_colour_can_be_chosen_and_infinities_are_clipped():
    got = colorize(column(NAN, np.inf, -np.inf), 0, 1, "gray", unknown=(1, 2, 3))
    assert got[0].tolist() == [[1, 2, 3], [255, 255, 255], [0, 0, 0]]


@pytest.mark.parametrize("cmap", COLOR_MAPS)
def test_tables_are_256_colours_without_the_unknown_one(cmap: str):
    colors = table(cmap)
    assert colors.shape == (256, 3)
    assert colors.dtype == np.uint8
    assert not colors.flags.writeable
    if cmap != "gray":
        assert not (colors == np.array(UNKNOWN)).all(axis=1).any()


def test_turbo_is_rgb_blue_below_and_red_above():
    # First and last colour of Mikhailov's published table.
    assert np.abs(table("turbo")[0].astype(int) - (48, 18, 59)).max() <= 1
    assert np.abs(table("turbo")[255].astype(int) - (122, 4, 3)).max() <= 1


def test_a_log_scale_sets_equal_ratios_equally_apart_and_reverse_makes_near_warm():
    scale = Scale(1, 100, "turbo", "log", reverse=True)
    assert scale.positions(column(1, 10, 100, 1000)).ravel() == pytest.approx([0, 0.5, 1, 1.5])
    assert scale.positions(column(0, -2)).ravel().tolist() == [-math.inf, -math.inf]
    assert scale.paint(column(1))[0, 0].tolist() == table("turbo")[255].tolist()
    assert scale.paint(column(100))[0, 0].tolist() == table("turbo")[0].tolist()


def test_pale_pixels_are_mixed_with_white_by_half():
    got = Scale(0, 1, "gray").paint(column(0, 1, NAN), pale=np.array([[True, True, False]]))
    assert got[0, :, 0].tolist() == [128, 255, UNKNOWN[0]]


@pytest.mark.parametrize("bounds", [(1, 1), (2, 1), (NAN, 1), (0, math.inf)])
def test_an_empty_range_is_refused(bounds: tuple[float, float]):
    with pytest.raises(UsageError, match="low < high"):
        colorize(column(1), *bounds)
    with pytest.raises(UsageError, match="low < high"):
        nice_ticks(*bounds)


def test_unknown_names_and_logarithms_of_zero_are_refused():
    with pytest.raises(UsageError, match="viridis"):
        colorize(column(1), 0, 1, "viridiss")
    with pytest.raises(UsageError, match="> 0"):
        Scale(0, 1, law="log")


def test_robust_range_ignores_outliers_and_unknown_pixels():
    values = np.arange(1001, dtype=np.float32)
    values[1000] = 1e9
    values = np.append(values, [NAN, np.inf]).astype(np.float32)
    assert robust_range(values) == pytest.approx((10, 990))
    assert robust_range(values, 0, 50) == pytest.approx((0, 500))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([NAN, NAN], (0, 1)), ([4.0, 4.0], (3.8, 4.2)), ([0.0], (-0.5, 0.5)), ([-2.0], (-2.1, -1.9))],
)
def test_robust_range_of_nothing_and_of_one_value(values: list[float], expected: tuple):
    assert robust_range(np.array(values, dtype=np.float32)) == pytest.approx(expected)


def test_robust_range_of_a_large_map_is_sampled_evenly():
    values = np.tile(np.arange(1000, dtype=np.float32), (500, 1))
    low, high = robust_range(values, 0, 100)
    assert (low, high) == (0, 999)  # every fifth value of each row would end at 995


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32) | st.just(NAN), min_size=1, max_size=30))
def test_robust_range_is_never_empty(values: list[float]):
    low, high = robust_range(np.array(values, dtype=np.float32))
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high


def test_depth_scale_of_nothing_and_of_millimetres():
    assert depth_scale(column(NAN)).law == "log"
    assert depth_scale(column(0.003, 0.003)).low > 0


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0, 1, 6, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (12, 57, 5, [20, 30, 40, 50]),
        (-0.3, 0.34, 4, [-0.2, 0, 0.2]),
        (0.05, 0.31, 3, [0.1, 0.2, 0.3]),
    ],
)
def test_nice_ticks_by_hand(low: float, high: float, n: int, expected: list[float]):
    assert nice_ticks(low, high, n) == expected  # exactly: 0.3, not 0.30000000000000004


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_nice_ticks_lie_inside_evenly_and_few(low: float, width: float, n: int):
    high = low + width
    if not high - low > 1e-9 * abs(low):
        return
    ticks = nice_ticks(low, high, n)
    assert 1 <= len(ticks) <= n
    assert all(low <= t <= high for t in ticks)
    steps = np.diff(ticks)
    assert np.all(steps > 0)
    assert np.allclose(steps, steps[:1], rtol=1e-3)


@given(st.floats(1e-4, 1e4), st.floats(1.01, 1e6))
def test_ticks_of_a_log_scale_stand_where_their_values_are_painted(low: float, ratio: float):
    scale = Scale(low, low * ratio, law="log")
    ticks = scale.ticks(5)
    assert 1 <= len(ticks) <= 6
    for tick in ticks:
        assert 0 <= tick.at <= 1
        value = np.float32(low * ratio**tick.at)
        assert float(scale.positions(np.array([value]))[0]) == pytest.approx(tick.at, abs=1e-3)


def test_log_ticks_go_1_2_5_over_decades_and_evenly_below_one():
    assert [t.label for t in Scale(4, 80, law="log").ticks(5)] == ["5", "10", "20", "50"]
    assert [t.label for t in Scale(1.9, 5.2, law="log").ticks(5)] == ["2", "3", "4", "5"]
    assert [t.label for t in Scale(0.1, 100, law="log").ticks(3)] == ["0.1", "1", "10", "100"]


def test_labels_have_as_many_decimals_as_needed():
    assert tick_labels([0.0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert tick_labels([-0.0, 10.0]) == ["0", "10"]
    assert tick_labels([1e6, 2e6]) == ["1e+06", "2e+06"]
    assert tick_labels([]) == []
