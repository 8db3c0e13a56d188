"""Time offsets between two cameras, on drawn sequences whose offset is known."""

import cv2
import numpy as np
import pytest

from fathom.combine.check_matches import Matches
from fathom.combine.check_sequence import check_time, frames_on_rows, moment
from fathom.combine.check_views import Light
from fathom.core import View

SIZE = (320, 240)
REACH = 2


def sequence(count, rows_off=0.0):
    """Two cameras that sink in front of a far wall and near boxes: rows move with depth."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (4, 500, 700)).astype(np.float32)
    layers = [np.clip(127 + 150 * cv2.GaussianBlur(n, (0, 0), 1.5), 0, 255) for n in noise]
    frames = []
    for i in range(count):
        views = []
        for side in (0, 1):
            image = np.zeros((SIZE[1], SIZE[0]), np.float32)
            for layer, (disparity, box) in zip(
                layers,
                (
                    (4, (0, 0, 320, 240)),
                    (12, (20, 30, 90, 180)),
                    (24, (130, 60, 80, 140)),
                    (36, (230, 20, 70, 150)),
                ),
                strict=True,
            ):
                # what is nearer moves farther, along rows and columns
                dx, dy = side * disparity + 0.2 * disparity * i, 0.25 * disparity * i
                x, y, w, h = box
                grid = np.mgrid[y : y + h, x : x + w].astype(np.float32)
                off = rows_off * side
                image[y : y + h, x : x + w] = cv2.remap(
                    layer, grid[1] + dx + 40, grid[0] + dy + off + 40, cv2.INTER_LINEAR
                )
            views.append(View(image.astype(np.uint8)))
        frames.append(tuple(views))
    return frames


def moments(frames, late):
    """The matches at a few moments when the right camera's frame i shows the moment i - late."""
    lights = [(Light.of(a), Light.of(b)) for a, b in frames]
    found = []
    for i in range(REACH + abs(late), len(lights) - REACH - abs(late)):
        rights = {k: lights[i + k - late][1] for k in range(-REACH, REACH + 1)}
        found.append(moment(lights[i][0], rights, SIZE))
    return found


@pytest.mark.parametrize("late", [0, 1, -2])
def test_the_offset_is_found_whatever_the_rig_s_own_rows(late):
    for rows_off in (0.0, 3.0):
        found = check_time(moments(sequence(11, rows_off), late), SIZE, fps=20)
        if late == 0:
            assert found is None
            continue
        assert (found.code, found.size, found.unit) == ("time-offset", late, "frames")
        assert f"({1000 * abs(late) / 20:.0f} ms)" in found.message
        assert found.certainty > 0.8
        camera = "right" if late > 0 else "left"
        assert f"first {abs(late)} frames of the {camera} camera" in found.remedy


def test_nothing_moves_and_nothing_is_told():
    still = [sequence(1)[0]] * 9
    assert check_time(moments(still, 0), SIZE) is None


def test_no_moments_and_no_points_tell_nothing():
    assert check_time([], SIZE) is None
    none = np.zeros((0, 2))
    empty = {k: Matches(none, none, 0) for k in (-1, 0, 1)}
    assert check_time([empty], SIZE) is None
    assert frames_on_rows([empty], SIZE) == {-1: [0], 0: [0], 1: [0]}


def test_one_rig_is_taken_out_of_all_moments_together():
    rng = np.random.default_rng(0)
    left = rng.uniform((60, 10), (310, 230), (60, 2))
    off = Matches(left, left - (20, -3), 60)  # 3 px lower, in both moments
    mixed = Matches(left, left - np.stack([np.full(60, 20), rng.uniform(-9, 9, 60)], 1), 60)
    scores = frames_on_rows([{0: off, 1: mixed}, {0: off, 1: mixed}], SIZE)
    assert scores[0] == [60, 60]
    assert max(scores[1]) < 25
