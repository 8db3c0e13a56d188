"""Pairs with lines along their rows."""

import numpy as np
import pytest

from fathom.core import UsageError
from fathom.viz.row_lines import _COLORS, RowPair, row_lines


def grey(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def colored(picture):
    """(h, w), the pixels that have a line's colour."""
    return (picture[..., None, :] == np.array(_COLORS, np.uint8)).all(axis=-1).any(axis=-1)


def test_lines_run_through_both_images():
    picture = row_lines([RowPair("pair", grey(400, 500), grey(400, 500))], lines=8)
    rows = np.flatnonzero(colored(picture).sum(axis=1) > 900)
    assert len(rows) == 8
    assert np.unique(np.diff(rows)).tolist() == [50]


def test_images_above_each_other_have_columns():
    picture = row_lines([RowPair("pair", grey(300, 400), grey(300, 400), columns=True)], lines=4)
    columns = np.flatnonzero(colored(picture).sum(axis=0) > 500)
    assert len(columns) == 4


def test_unequal_and_large_images_fit():
    pairs = [
        RowPair("raw", grey(900, 3000), grey(700, 2000)),
        RowPair("now", *[grey(300, 400)] * 2),
    ]
    picture = row_lines(pairs, title="rows")
    assert picture.shape[1] <= 1800
    assert colored(picture).any()


def test_nothing_to_draw():
    with pytest.raises(UsageError):
        row_lines([])
    with pytest.raises(UsageError):
        row_lines([RowPair("pair", grey(4, 4), grey(4, 4))], lines=0)
