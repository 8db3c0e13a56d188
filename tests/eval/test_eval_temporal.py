"""Flicker by hand."""

import numpy as np
import pytest

from fathom.core import InputError
from fathom.eval.temporal import flicker, temporal_error

NAN = np.nan


def frame(*values):
    return np.array([values], np.float32)


def test_a_constant_error_does_not_flicker():
    truth = [frame(10, 20), frame(12, 20), frame(14, 20)]
    found = temporal_error((t + 3, t) for t in truth)
    assert (found.mean, found.share, found.pixels, found.frames) == (0, 0, 4, 3)


def test_temporal_error_by_hand():
    pairs = [
        (frame(1, 5, NAN), frame(0, 0, 0)),
        (frame(3, 5, 1), frame(0, 0, 0)),
        (frame(3, 0, 9), frame(0, 0, 0)),
    ]
    found = temporal_error(pairs, threshold=3)
    # steps: 2, 0 and then 0, 5, 8; the pixel unknown in the first frame counts once
    assert found.mean == pytest.approx((2 + 0 + 0 + 5 + 8) / 5)
    assert found.share == pytest.approx(2 / 5)
    assert found.pixels == 5


def test_flicker_by_hand():
    frames = [frame(0, 5, 1), frame(1, 9, NAN), frame(2, 5, 1), frame(3, 5, 1)]
    # first triple: 0 (moves evenly), 4; second: 0, |5 - (9 + 5) / 2| = 2
    assert flicker(iter(frames)) == pytest.approx((0 + 4 + 0 + 2) / 4)


def test_too_little_is_nan():
    assert np.isnan(flicker([frame(1), frame(2)]))
    assert np.isnan(temporal_error([(frame(1), frame(2))]).mean)
    assert temporal_error([]).frames == 0


def test_other_sizes_are_refused(unchecked):
    with pytest.raises(InputError, match="size"):
        flicker([frame(1), frame(1, 2)])
    with pytest.raises(InputError, match="size"):
        temporal_error([(frame(1), frame(1, 2))])
    with pytest.raises(InputError, match="size"):
        temporal_error([(frame(1), frame(1)), (frame(1, 2), frame(1, 2))])
