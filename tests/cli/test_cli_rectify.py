"""`fathom rectify`, called as people call it."""

import json

import pytest
from raw_samples import drifted, simulate

from fathom.io.calibration import write_calibration


@pytest.fixture(scope="module")
def raw(motorcycle):
    return simulate(motorcycle.pair, scale=0.4)


@pytest.fixture
def home(raw, tmp_path):
    return raw.write(tmp_path / "raw")


def test_a_pair(fathom_command, home, tmp_path):
    pair = (home / "left.png", home / "right.png")
    out = tmp_path / "out"
    done = fathom_command("rectify", *pair, "--calib", home / "rig.json", "-o", out)
    assert done.code == 0, done.err
    assert "row error" in done.out
    assert "field of view" in done.out
    assert (out / "rows.png").exists()
    # The result is taken as it is by the next command.
    checked = fathom_command("check", out / "left.png", out / "right.png")
    assert checked.code == 0, checked.out
    done = fathom_command("rectify", *pair, "--calib", home / "rig.json", "-o", out, "--json")
    info = json.loads(done.out)
    assert info["rows"]["after"]["median_px"] < 0.4


def test_without_calibration_metres_are_said_to_be_unknown(fathom_command, home, tmp_path):
    pair = (home / "left.png", home / "right.png")
    done = fathom_command("rectify", *pair, "--uncalibrated", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "metres are unknown" in done.err
    assert "baseline" not in done.out
    assert not (tmp_path / "out" / "calib.txt").exists()


def test_a_drifted_rig(fathom_command, home, raw, tmp_path):
    pair = (home / "left.png", home / "right.png")
    write_calibration(home / "rig.json", drifted(raw.calibration, 0.01, 0, 0.01))
    new = tmp_path / "new.json"
    words = ("rectify", *pair, "--calib", home / "rig.json", "--recalibrate", "-o", new)
    done = fathom_command(*words)
    assert done.code == 0, done.err
    assert "before" in done.out
    assert "after" in done.out
    assert new.exists()
    done = fathom_command(*words, "--json")
    info = json.loads(done.out)
    assert info["rows"]["after_px"] < info["rows"]["before_px"]
    words = ("rectify", *pair, "--calib", new, "--recalibrate", "-o", tmp_path / "again.json")
    refused = fathom_command(*words)
    assert refused.code == 3
    assert "makes the rows agree better" in refused.error
    refused = fathom_command(*words, "--uncalibrated")
    assert refused.code == 2
    assert "makes a calibration, no images" in refused.error


def test_usage(fathom_command, home, tmp_path):
    pair = (home / "left.png", home / "right.png")
    for words, code, text in (
        ((pair[0],), 2, "two cameras are needed"),
        ((*pair, "-o", tmp_path / "out"), 2, "no calibration is given"),
        ((*pair, "--calib", home / "rig.json", "--size", "big"), 2, "is no image size"),
        ((*pair, "--calib", home / "rig.json", "--crop", "some"), 2, "crop"),
        ((*pair, "--calib", home / "rig.json", "--field", "500"), 2, "field of view"),
        ((*pair, "--calib", home / "none.json"), 3, "does not exist"),
        ((home / "none.png", pair[1], "--calib", home / "rig.json"), 3, "does not exist"),
        ((*pair, "--calib", home / "rig.json", "-o", home), 2, "holds an input"),
        ((*pair, "--calib", home / "rig.json", "-o", pair[0]), 4, "is a file"),
    ):
        done = fathom_command("rectify", *words)
        assert done.code == code, done.err
        assert text in done.error
    with pytest.raises(SystemExit) as helped:
        fathom_command("rectify", "--help")
    assert helped.value.code == 0


def test_exchanged_images_are_named(fathom_command, home, tmp_path):
    words = (home / "right.png", home / "left.png", "--calib", home / "rig.json")
    done = fathom_command("rectify", *words, "-o", tmp_path / "out")
    assert "left and right look exchanged; give the two in the other order" in done.err
    refused = fathom_command("rectify", *words, "--exchange", "-o", tmp_path / "two")
    assert refused.code == 3 or "exchanged" in refused.err


def test_a_calibration_in_order_needs_no_exchange(fathom_command, home, tmp_path):
    words = (home / "left.png", home / "right.png", "--calib", home / "rig.json", "--exchange")
    done = fathom_command("rectify", *words, "-o", tmp_path / "out")
    assert done.code == 3
    assert "leave --exchange out" in done.error


@pytest.mark.parametrize(
    ("size", "text"),
    [("0x5", "no image size"), ("-5x3", "no image size"), ("99999x99999", "large")],
)
def test_sizes_that_cannot_be(fathom_command, home, tmp_path, size, text):
    words = (home / "left.png", home / "right.png", "--calib", home / "rig.json")
    done = fathom_command("rectify", *words, "--size", size, "-o", tmp_path / "out")
    assert done.code == 2
    assert text in done.error


def test_one_pixel_has_no_features(fathom_command, tmp_path):
    import numpy as np

    from fathom.io.images import write_png

    write_png(tmp_path / "one.png", np.zeros((1, 1, 3), np.uint8))
    one = tmp_path / "one.png"
    done = fathom_command("rectify", one, one, "--uncalibrated", "-o", tmp_path / "out")
    assert done.code == 3
    assert "shows 0 features" in done.error
