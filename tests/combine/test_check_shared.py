"""The pair check on some of the shared real pairs; benchmarks/check_rates.py has them all."""

import cv2
import numpy as np
import pytest

from fathom.combine.check import check_pair
from fathom.core import View

pytestmark = pytest.mark.shared

PAIRS = [
    "pairs/eth3d/facade_1s",
    "pairs/eth3d/playground_1l",
    "pairs/kitti/mccnn_kitti",
    "pairs/middlebury_v3_test/AustraliaP",
    "pairs_gt/middlebury_2001_2003/cones",
    "pairs_gt/middlebury_2005_2006_third/Lampshade1",
    "pairs_gt/middlebury_2005_2006_third/Midd1",
    "pairs_gt/middlebury_2006_full/aloe",
]


def read(folder, side):
    image = cv2.imread(str(folder / side), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def codes(left, right):
    return [f.code for f in check_pair(View(left), View(right))]


@pytest.mark.parametrize("name", PAIRS)
def test_good_pairs_and_their_faults(shared, name):
    left, right = (read(shared / "data" / name, side) for side in ("left.png", "right.png"))
    assert codes(left, right) == []
    assert codes(right, left) == ["swapped"]
    moved = cv2.warpAffine(
        right,
        np.array([[1, 0, 0], [0, 1, 2.0]]),
        right.shape[1::-1],
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    found = check_pair(View(left), View(moved))
    assert [f.code for f in found] == ["unrectified"]
    assert found[0].size == pytest.approx(2, abs=0.5)


def test_a_pair_that_is_known_to_be_off_is_told(shared):
    folder = shared / "data" / "pairs/middlebury_2021/artroom1"
    found = check_pair(*(View(read(folder, side)) for side in ("left.png", "right.png")))
    assert [f.code for f in found] == ["unrectified"]
    assert found[0].size == pytest.approx(1.7, abs=0.3)  # SIFT matches: median of 1.71 px


def test_different_exposures_are_told(shared):
    folder = shared / "data" / "pairs/middlebury_v3_test/Classroom2E"
    found = check_pair(*(View(read(folder, side)) for side in ("left.png", "right.png")))
    assert [f.code for f in found] == ["exposure"]


def test_raw_cameras_are_not_rectified(shared):
    folder = shared / "data" / "calibration/opencv_chessboards"
    for number in ("01", "06", "11"):
        pair = [read(folder, f"{side}{number}.jpg") for side in ("left", "right")]
        assert "unrectified" in codes(*pair)


def test_a_facade_seen_from_above_each_other_is_a_vertical_rig(shared):
    folder = shared / "data" / "pairs/eth3d/facade_1s"  # near one plane
    pair = [read(folder, side).swapaxes(0, 1).copy() for side in ("left.png", "right.png")]
    assert codes(*pair) == ["vertical-rig"]


def test_a_chessboard_whose_squares_look_alike_is_no_foreign_pair(shared):
    folder = shared / "data" / "calibration/opencv_chessboards"
    for number in ("03", "05"):
        pair = [read(folder, f"{side}{number}.jpg") for side in ("left", "right")]
        assert "unrelated" not in codes(*pair)
        assert "unrelated" not in codes(*pair[::-1])
