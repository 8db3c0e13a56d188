"""Figures: their sizes for any image, and that what they paint is what the maps say."""

import numpy as np
import pytest

from fathom.core import Depth, Disparity, InputError, Source, StereoPair, UsageError, View
from fathom.viz.color import UNKNOWN, Scale
from fathom.viz.figure import comparison, side_by_side
from fathom.viz.grid import ABSENT, MAX_PANEL_HEIGHT, MAX_WIDTH, Panel, fit, grid
from fathom.viz.overview import overview


def pair_of(height: int, width: int) -> StereoPair:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return StereoPair(View(image), View(image))


def ramp(height: int, width: int) -> np.ndarray:
    return np.linspace(1, 30, height * width, dtype=np.float32).reshape(height, width)


def holds(figure: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((figure == np.array(color, dtype=np.uint8)).all(axis=2).any())


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (7, 9), (1, 300), (300, 1), (1, 4000), (60, 1242), (500, 100), (30, 40), (1500, 2000)],
)
@pytest.mark.parametrize("full", [True, False])
def test_an_overview_of_any_shape_fits_the_page(height: int, width: int, full: bool):
    values = ramp(height, width)
    confidence = np.full((height, width), 0.5, dtype=np.float32)
    disparity = Disparity(values, confidence if full else None)
    figure = overview(pair_of(height, width), disparity, Depth(values) if full else None, "title")
    assert figure.dtype == np.uint8
    assert figure.shape[2] == 3
    assert 200 <= figure.shape[1] <= MAX_WIDTH
    assert 200 <= figure.shape[0] <= 5 * MAX_PANEL_HEIGHT


def test_an_overview_without_any_known_pixel():
    nothing = np.full((20, 30), np.nan, dtype=np.float32)
    figure = overview(pair_of(20, 30), Disparity(nothing), Depth(nothing))
    assert holds(figure, UNKNOWN)


def test_a_pair_that_fits_is_shown_pixel_by_pixel():
    pair, values = pair_of(400, 600), ramp(400, 600)
    figure = overview(pair, Disparity(values))
    assert np.array_equal(figure[40:440, 16:616], pair.left.image)


def test_texts_are_cut_to_the_figure_and_may_hold_anything():
    pair, values = pair_of(9, 9), ramp(9, 9)
    plain = overview(pair, Disparity(values), title="x")
    long = overview(pair, Disparity(values), title="a very\nlong 你好 title " * 50)
    assert plain.shape == long.shape
    assert not np.array_equal(plain, long)


def test_filled_pixels_are_paler_and_unknown_ones_dark():
    values = np.full((4, 6), 10, dtype=np.float32)
    values[0, 0] = np.nan
    values[0, 1] = 20
    source = np.full((4, 6), Source.MATCHED, dtype=np.uint8)
    source[0, 0] = Source.UNKNOWN
    plain = Panel("", values=values, scale=Scale(0, 20, "gray"))
    pale = Panel("", values=values, scale=Scale(0, 20, "gray"), pale=source == Source.MATCHED)
    assert fit(plain, (6, 4))[0, :3, 0].tolist() == [40, 255, 128]
    assert fit(pale, (6, 4))[0, :3, 0].tolist() == [40, 255, 192]


def test_maps_are_reduced_to_the_nearest_value_and_photographs_averaged():
    values = np.array([[0, 0, 100], [0, 0, 100], [0, 0, 100]], dtype=np.float32)
    panel = Panel("", values=values, scale=Scale(0, 100, "gray"))
    assert set(np.unique(fit(panel, (2, 2)))) <= {0, 255}
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    image[0] = 100
    assert fit(Panel("", image), (1, 1)).ravel().tolist() == [50, 50, 50]


def test_maps_of_another_size_are_refused():
    pair, small = pair_of(20, 30), Disparity(ramp(10, 10))
    with pytest.raises(InputError, match="disparity"):
        overview(pair, small)
    with pytest.raises(InputError, match="depth"):
        overview(pair, Disparity(ramp(20, 30)), Depth(ramp(10, 10)))
    with pytest.raises(InputError, match="sgm"):
        comparison(pair, {"sgm": small})
    with pytest.raises(InputError, match="truth"):
        comparison(pair, {"sgm": Disparity(ramp(20, 30))}, small)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("with_truth", [True, False])
def test_a_comparison_of_any_number_of_methods(count: int, with_truth: bool):
    values = ramp(40, 60)
    values[0] = np.nan
    maps = {f"method {i}": Disparity(values + i) for i in range(count)}
    truth = Disparity(np.where(np.arange(60) < 30, values, np.float32(np.nan)))
    figure = comparison(pair_of(40, 60), maps, truth if with_truth else None, title="all")
    assert figure.shape[1] <= MAX_WIDTH
    assert holds(figure, UNKNOWN)
    absent = int((figure == np.array(ABSENT)).all(axis=2).sum())
    # Half of each error map; the legend's little square alone would be 169 pixels.
    assert absent > 600 * count if with_truth else absent == 0


def test_a_row_that_is_not_full_sets_no_column_apart():
    maps = {f"method {i}": Disparity(ramp(40, 60)) for i in range(5)}
    first = dict(list(maps.items())[:3])
    widths = {
        comparison(pair_of(40, 60), m, Disparity(ramp(40, 60))).shape[1] for m in (maps, first)
    }
    assert len(widths) == 1  # no room is kept for a bar in the middle


def test_a_comparison_needs_maps_and_a_grid_as_many_labels_as_pictures():
    with pytest.raises(UsageError, match="compare"):
        comparison(pair_of(4, 4), {})
    image = np.zeros((5, 5, 3), dtype=np.uint8)
    with pytest.raises(UsageError, match="labels"):
        side_by_side([image], ["a", "b"])
    with pytest.raises(UsageError, match="labels"):
        side_by_side([], [])
    assert side_by_side([image, image[:2]], ["a", "b"]).shape[2] == 3


def test_the_colour_bar_runs_from_the_low_end_below_to_the_high_end_above():
    values = ramp(200, 400)
    scale = Scale(0, 30, "gray")
    figure = grid([Panel("map", values=values, scale=scale, unit="px")], 1)
    bar = figure[40:240, 16 + 400 + 8, 0].astype(int)
    assert bar[0] == 255
    assert bar[-1] == 0
    assert (np.diff(bar) <= 0).all()
