"""`fathom budget`: from a calibration or three numbers to a table, a plot and JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from fathom.core import StereoRig, UsageError
from fathom.geometry.accuracy import accuracy_at, measurable_range
from fathom.io.calibration.ktxt import parse_ktxt
from fathom.io.images import read_image
from fathom.viz.budget import budget_plot, length
from fathom.workflows.budget import BudgetOptions, Want, budget

RIG = ("--focal", 700, "--baseline", 0.12, "--width", 1280)


def test_a_rig_of_three_numbers(fathom_command):
    outcome = fathom_command("budget", *RIG, "--want", "1%@20")
    assert outcome.code == 0, outcome.err
    assert "74.4 mm" in outcome.out  # sigma at 5 m: 25 * 0.25 / 84
    assert "1 % at 20 m: this rig does not; it holds up to 3.36 m" in outcome.out
    assert "71.4 cm" in outcome.out  # 20 * 0.25 / (0.01 * 700)
    assert "66.1 cm" in outcome.out  # nearest: 84 / 127
    assert "50 m" in outcome.out


def test_json_holds_the_same(fathom_command):
    outcome = fathom_command("budget", *RIG, "--at", "2,5", "--want", "5cm@3", "--json")
    found = json.loads(outcome.out)
    assert [row["depth_m"] for row in found["at"]] == [2, 5]
    assert found["at"][1]["sigma_m"] == pytest.approx(25 * 0.25 / 84)
    assert found["at"][1]["baseline_m"] == pytest.approx(5 * 0.001 / 0.12)  # 1 mm by default
    assert found["want"][0]["fulfilled"] is True
    assert found["want"][0]["baseline_m"] == pytest.approx(9 * 0.25 / (0.05 * 700))
    assert found["search_px"] == {"from": 0, "below": 128}
    assert found["field_of_view_deg"]["horizontal"] == pytest.approx(84.9, abs=0.1)


def test_a_calibration_file_and_its_own_disparities(fathom_command, folder):
    outcome = fathom_command("budget", "--calib", folder / "calib.txt", "--json")
    found = json.loads(outcome.out)
    assert found["rig"]["baseline_m"] == pytest.approx(0.193001, abs=1e-6)
    assert found["search_px"]["below"] == 70
    assert found["notes"] == []


def test_a_simulated_raw_calibration_is_rectified_first(tmp_path):
    file = tmp_path / "raw.yml"
    matrix = "!!opencv-matrix\n   rows: {0}\n   cols: {1}\n   dt: d\n   data: [{2}]\n"
    camera = "600, 0, 319.5, 0, 600, 239.5, 0, 0, 1"
    entries = [
        ("M1", 3, 3, camera),
        ("D1", 1, 5, "-0.1, 0.01, 0, 0, 0"),
        ("M2", 3, 3, camera),
        ("D2", 1, 5, "-0.1, 0.01, 0, 0, 0"),
        ("R", 3, 3, "1, 0, 0, 0, 1, 0, 0, 0, 1"),
        ("T", 3, 1, "-0.1, 0, 0"),
    ]
    text = "".join(f"{n}: {matrix.format(r, c, v)}" for n, r, c, v in entries)
    file.write_text("%YAML:1.0\n---\n" + text)
    found = budget(BudgetOptions(calib=file, width=640, height=480))
    assert any("raw calibration" in note for note in found.notes)
    assert found.rig.baseline == pytest.approx(0.1)
    assert found.rig.left.is_ideal()


def test_a_size_that_the_file_does_not_state(fathom_command, tmp_path):
    file = tmp_path / "K.txt"
    file.write_text("700 0 640 0 700 480 0 0 1\n0.12\n")
    assert parse_ktxt(file.read_text(), (1280, 960), None).baseline == 0.12
    outcome = fathom_command("budget", "--calib", file)
    assert outcome.code == 3
    assert "give --width and --height" in outcome.error
    assert fathom_command("budget", "--calib", file, "--width", 1280, "--height", 960).code == 0


def test_an_implausible_baseline_is_called_out(fathom_command):
    outcome = fathom_command("budget", "--focal", 700, "--baseline", 60, "--width", 1280)
    assert outcome.code == 0
    assert "a baseline of 60 m is implausible" in outcome.err


def test_the_plot_is_a_picture(fathom_command, tmp_path):
    file = tmp_path / "plot.png"
    assert fathom_command("budget", *RIG, "-o", file).code == 0
    picture = read_image(file)
    assert picture.shape == (720, 1100, 3)
    blue = (picture == (20, 90, 180)).all(axis=-1)
    # The curve of sigma rises to the right: its blue pixels lie higher there.
    rows, columns = np.nonzero(blue)
    low, high = columns.min(), np.percentile(columns, 70)
    assert rows[columns < low + 30].mean() > rows[(columns > high) & (columns < 860)].mean() + 100


@pytest.mark.parametrize(
    ("words", "part", "code"),
    [
        ((), "no rig is given", 2),
        (("--focal", 700), "no rig is given", 2),
        (("--focal", 700, "--baseline", 0.1), "image size is missing", 2),
        ((*RIG, "--calib", "x"), "not from both", 2),
        ((*RIG, "--at", "one"), "no list of numbers", 2),
        ((*RIG, "--at", "-1"), "not a positive number", 2),
        ((*RIG, "--want", "good"), "no accuracy at a depth", 2),
        ((*RIG, "--want", "0%@3"), "no accuracy at a depth", 2),
        ((*RIG, "--sigma-d", 0), "not a positive number", 2),
        ((*RIG, "--max-disparity", -3), "leaves nothing to search", 2),
        (("--calib", "nowhere.txt"), "nowhere.txt", 3),
    ],
)
def test_what_cannot_be_is_one_line(fathom_command, words, part, code):
    outcome = fathom_command("budget", *words)
    assert outcome.code == code
    assert part in outcome.error


def test_height_without_width():
    with pytest.raises(UsageError, match="incomplete"):
        BudgetOptions(calib=Path("c.txt"), height=3)


def test_wants_in_every_unit():
    assert Want.parse("1%@20").relative == pytest.approx(0.01)
    assert Want.parse("50mm@2 m").relative == pytest.approx(0.025)
    assert Want.parse("0.1m @ 4").relative == pytest.approx(0.025)


def test_lengths_in_the_unit_people_say():
    values = (0.00002, 0.0123, 0.25, 3.0, float("inf"))
    assert [length(v) for v in values] == ["20 um", "12.3 mm", "25 cm", "3 m", "infinity"]


def test_a_plot_needs_a_curve():
    rig = StereoRig.simple(64, 48, 50.0, 0.1)
    one = accuracy_at(rig, 1.0)
    span = measurable_range(rig, 16)
    for curve in ([one], [one, one]):
        with pytest.raises(UsageError, match="increasing depths"):
            budget_plot(rig, curve, [], span, 0.25)


def test_numbers_that_cannot_be_and_files_that_stay(fathom_command, folder):
    calib = folder / "calib.txt"
    before = calib.read_bytes()
    for words, text in (
        (("--calib", calib, "--max-disparity", "0"), "leaves nothing to search"),
        (("--focal", "0", "--baseline", "1", "--width", "640"), "focal = 0.0: is not a positive"),
        (("--calib", calib, "-o", calib), "is no PNG by its name"),
        (("--calib", calib, "--at", "-1,5"), "depth = -1.0: is not a positive number"),
    ):
        outcome = fathom_command("budget", *words)
        assert outcome.code == 2
        assert text in outcome.error
    left = folder / "left.png"
    picture = left.read_bytes()
    assert fathom_command("budget", "--calib", calib, "-o", left).code == 4
    assert (calib.read_bytes(), left.read_bytes()) == (before, picture)
