"""Mending a pair from files: raw calibrations, exchanged images, what is written down."""

import cv2
import numpy as np
import pytest

from fathom.combine.check import Finding
from fathom.core import Camera, StereoRig, View
from fathom.io.images import write_png
from fathom.viz.rows import rows_figure
from fathom.workflows.check import check_files, examine_files
from fathom.workflows.check_many import aggregate
from fathom.workflows.mend import load_mended
from fathom.workflows.pairs import PairOptions


@pytest.fixture(scope="module")
def raw(motorcycle, tmp_path_factory):
    """Two cameras turned against each other, by 1 and -2 degrees about all axes, and their file."""
    folder = tmp_path_factory.mktemp("raw")
    k = np.array([[900.0, 0, 370], [0, 900, 249.5], [0, 0, 1]])
    rotations = []
    for side, angle in (("left", 1.0), ("right", -2.0)):
        turn = cv2.Rodrigues(np.radians(angle) * np.array([0.5, 0.2, 1.0]))[0]
        view = getattr(motorcycle.pair, side)
        ideal = getattr(motorcycle.pair.rig, side)
        rectified_from_raw = ideal.matrix @ turn @ np.linalg.inv(k)
        raw_image = cv2.warpPerspective(
            view.image, rectified_from_raw, view.size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        )
        write_png(folder / f"{side}.png", raw_image)
        rotations.append(turn)
    storage = cv2.FileStorage(str(folder / "rig.yml"), cv2.FILE_STORAGE_WRITE)
    left, right = rotations
    shift = -right.T @ np.array([[motorcycle.pair.rig.baseline], [0], [0]])
    for name, value in (("M1", k), ("D1", np.zeros((1, 5))), ("M2", k), ("D2", np.zeros((1, 5)))):
        storage.write(name, value)
    storage.write("R", right.T @ left)
    storage.write("T", shift)
    storage.release()
    return folder


def test_exchanged_raw_images_are_exchanged_before_they_are_rectified(raw):
    options = PairOptions(calib=raw / "rig.yml")
    right_way = load_mended(raw / "left.png", raw / "right.png", options)
    assert right_way.done == ()
    assert right_way.loaded.rectified_here
    exchanged = load_mended(raw / "right.png", raw / "left.png", options)
    assert exchanged.done == ("left and right exchanged, ahead of rectification",)
    assert "swapped" in exchanged.mended.found.codes
    assert exchanged.mended.remaining == []
    now, then = exchanged.loaded.pair, right_way.loaded.pair
    assert (now.left.image == then.left.image).all()
    assert (now.right.image == then.right.image).all()
    plain = exchanged.as_dict()
    assert plain["done"] == list(exchanged.done)
    assert plain["remaining"] == []
    assert plain["row_error_px"]["after"] < 0.3


def test_a_raw_pair_is_checked_rectified(raw):
    options = PairOptions(calib=raw / "rig.yml")
    assert check_files(raw / "left.png", raw / "right.png", options) == []
    found = check_files(raw / "left.png", raw / "right.png", PairOptions())
    assert {"unrectified", "roll"} <= {finding.code for finding in found}


def test_a_calibration_that_no_longer_fits_is_called_stale(raw, tmp_path):
    """The right camera was bumped by a degree since it was calibrated."""
    image = cv2.imread(str(raw / "right.png"))
    turn = cv2.getRotationMatrix2D((370, 249.5), 1.0, 1.0)
    write_png(tmp_path / "right.png", cv2.warpAffine(image, turn, image.shape[1::-1])[..., ::-1])
    checked = examine_files(
        raw / "left.png", tmp_path / "right.png", PairOptions(calib=raw / "rig.yml")
    )
    assert {"roll", "stale-calibration"} <= checked.seen.codes
    mended = load_mended(
        raw / "left.png", tmp_path / "right.png", PairOptions(calib=raw / "rig.yml")
    )
    assert mended.mended.remaining == []
    assert mended.as_dict()["row_error_px"]["before"] > 2


def test_findings_of_many_pairs_are_summed_up_by_hand():
    def off(size):
        return Finding("unrectified", f"{size}", 0.9, "rectify", size, "px")

    dark = Finding("exposure", "dark", 0.9, "light", 2.0, "x")
    found = [("a", [off(2.0)]), ("b", []), ("c", [off(5.0), dark]), ("d", [off(3.0)])]
    rows, light = aggregate(found)
    assert (rows.code, rows.count, rows.share, rows.typical) == ("unrectified", 3, 0.75, 3.0)
    assert (rows.worst_pair, rows.worst.size) == ("c", 5.0)
    assert (light.code, light.count, light.worst_pair) == ("exposure", 1, "c")
    assert rows.as_dict()["worst_pair"] == "c"
    assert aggregate([("a", [])]) == ()


def test_the_picture_shows_any_pair(raw, motorcycle):
    checked = examine_files(raw / "left.png", raw / "right.png", PairOptions())
    stage = ("before", checked.left, checked.right, checked.seen)
    one = rows_figure([stage])
    two = rows_figure([stage, ("after", *stage[1:])], title="rows")
    assert one.dtype == np.uint8
    assert two.shape[0] > 1.8 * one.shape[0]
    black = View(np.zeros((40, 60, 3), np.uint16))
    flat = examine_of(black)
    assert rows_figure([("", black, black, flat)]).size


def examine_of(view):
    from fathom.combine.check import examine

    rig = StereoRig(Camera(60, 40, 50, 50, 30, 20), Camera(60, 40, 50, 50, 30, 20), 0.1)
    return examine(view, view, rig)
