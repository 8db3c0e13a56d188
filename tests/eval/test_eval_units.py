"""Ground truth in another unit is called out by name."""

import numpy as np
import pytest

from fathom.eval.units import unit_notes

RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(5, 60, 3000).astype(np.float32)
CLOSE = (TRUTH * RNG.normal(1, 0.03, 3000)).astype(np.float32)


@pytest.mark.parametrize(
    ("factor", "quantity", "words"),
    [
        (1000, "depth", "estimate in millimetres against metres? divide by 1000"),
        (1 / 1000, "depth", "truth in millimetres against metres? multiply by 1000"),
        (256, "disparity", "KITTI's PNG factor 256"),
        (1 / 256, "disparity", "truth in KITTI's PNG factor 256"),
        (16, "disparity", "OpenCV's fixed point"),
        (100, "depth", "centimetres"),
        (0.5, "disparity", "estimate made at half of the size"),
        (4, "disparity", "truth made at a quarter of the size"),
        (-1, "disparity", "the sign is turned; fathom's"),
        (-256, "disparity", "the sign is turned, and 2"),
        (7, "depth", "another unit, another rig"),
        (0, "disparity", "is it a map of disparity at all"),
    ],
)
def test_factors_are_named(factor, quantity, words):
    notes = unit_notes((CLOSE * np.float32(factor)).astype(np.float32), TRUTH, quantity)
    assert any(words in note for note in notes), notes


def test_what_is_right_or_merely_bad_is_left_alone():
    assert unit_notes(CLOSE, TRUTH, "disparity") == ()
    noisy = (TRUTH * RNG.uniform(0.6, 1.4, 3000)).astype(np.float32)
    assert unit_notes(noisy, TRUTH, "depth") == ()
    assert unit_notes(TRUTH[:1], TRUTH[:1] * 1000, "depth") == ()


def test_inverse_depth_is_called_out():
    (note,) = unit_notes((300 / TRUTH).astype(np.float32), np.maximum(TRUTH, 10), "depth")[-1:]
    assert "inverse depth" in note
