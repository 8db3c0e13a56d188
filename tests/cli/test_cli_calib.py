"""`fathom calib show` and `fathom calib convert`, and depth with a calibration in two files."""

import json

import numpy as np
import pytest

from fathom.core import StereoCalibration, StereoRig
from fathom.io.calibration import FORMATS, read_calibration, read_uncertainty, write_calibration

RIG = StereoRig.simple(640, 480, 700, 0.12, doffs=3)
RAW = StereoCalibration(RIG.left, RIG.left, np.eye(3), np.array([-0.12, 0.001, 0]))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_calibration("rig.json", RIG)
    write_calibration("raw.json", RAW, uncertainty={"left.fx": 0.5})
    return tmp_path


def test_help_names_formats_and_ways(fathom_command, capsys):
    assert fathom_command("calib").code == 0
    with pytest.raises(SystemExit) as stop:
        fathom_command("calib", "--help")
    text = capsys.readouterr().out
    assert stop.value.code == 0 and "examples:" in text
    for known in FORMATS:
        assert f"  {known.name} " in text
    assert "did you mean convert" in fathom_command("calib", "conver").error


class TestShow:
    def test_rig(self, fathom_command, home):
        outcome = fathom_command("calib", "show", "rig.json")
        assert outcome.code == 0
        for part in ("640x480", "700.000000 px", "0.12 m", "doffs      3 px", "49.1 x 37.8 deg"):
            assert part in outcome.out

    def test_raw(self, fathom_command, home):
        outcome = fathom_command("calib", "show", "raw.json")
        assert "raw cameras" in outcome.out and "-0.12, 0.001, 0 m" in outcome.out
        assert "sigma      left.fx: 0.5" in outcome.out

    def test_json(self, fathom_command, home):
        info = json.loads(fathom_command("calib", "show", "raw.json", "--json").out)
        assert info["format"] == "fathom" and info["kind"] == "raw"
        assert info["left"]["fx"] == 700 and info["implausible"] == []
        assert info["baseline_m"] == pytest.approx(0.12, abs=1e-4)
        assert info["uncertainty"] == {"left.fx": 0.5}

    def test_implausible(self, fathom_command, home):
        text = (home / "rig.json").read_text().replace('"baseline_m": 0.12', '"baseline_m": 60')
        (home / "far.json").write_text(text)
        outcome = fathom_command("calib", "show", "far.json")
        assert outcome.code == 1
        assert "implausible: a baseline of 60 m" in outcome.out

    def test_distortion_is_named(self, fathom_command, home):
        fathom_command("calib", "convert", "raw.json", "raw.yml")
        assert "k3" in fathom_command("calib", "show", "raw.yml").out

    @pytest.mark.parametrize(
        ("words", "code", "part"),
        [
            (["none.json"], 3, "none.json: does not exist"),
            (["rig.json", "--size", "640"], 2, "size = '640': is not two whole numbers"),
            (["rig.json", "--size", "0x480"], 2, "size"),
            (["rig.json", "--size", "320x240"], 3, "is for images of another size"),
            (["rig.json", "--cameras", "1"], 2, "cameras = '1'"),
            (["rig.json", "--scale", "-1"], 2, "scale = -1"),
            (["rig.json", "--scale", "0.0001"], 2, "leaves no pixel"),
            (["rig.json", "--unit", "mm"], 2, "unit = 'mm'"),
            (["a,b,c"], 2, "more than two files"),
        ],
    )
    def test_errors(self, fathom_command, home, words, code, part):
        outcome = fathom_command("calib", "show", *words)
        assert outcome.code == code and part in outcome.error


class TestConvert:
    def test_there_and_back(self, fathom_command, home):
        assert fathom_command("calib", "convert", "rig.json", "left.yaml").code == 0
        outcome = fathom_command("calib", "convert", "left.yaml,right.yaml", "back.json")
        assert outcome.code == 0 and "lost" not in outcome.out
        assert read_calibration("back.json") == RIG

    def test_what_is_lost(self, fathom_command, home):
        outcome = fathom_command("calib", "convert", "rig.json", "K.txt")
        assert "lost: doffs of 3 px became 0" in outcome.out and outcome.code == 0
        done = json.loads(fathom_command("calib", "convert", "rig.json", "a_K.txt", "--json").out)
        assert done["format"] == "k-txt" and len(done["lost"]) == 2

    def test_scale(self, fathom_command, home):
        fathom_command("calib", "convert", "rig.json", "half.json", "--scale", "0.5")
        assert read_calibration("half.json") == RIG.scaled(0.5, 0.5, 320, 240)
        outcome = fathom_command("calib", "convert", "raw.json", "rawhalf.json", "--scale", "0.5")
        assert "lost: the uncertainties" in outcome.out
        half = read_calibration("rawhalf.json")
        assert half.left.fx == 350 and half.right.size == (320, 240) and half.baseline > 0.1
        # (319.5 + 0.5) / 2 - 0.5: the corner of the first pixel stays, not its centre.
        assert half.left.cx == 159.5
        assert read_uncertainty("rawhalf.json") == {}

    def test_unit_and_size(self, fathom_command, home):
        (home / "K.txt").write_text("700 0 319.5 0 700 239.5 0 0 1\n120\n")
        words = ("calib", "convert", "K.txt", "k.json", "--size", "640x480")
        assert "implausible" in fathom_command(*words).error
        assert fathom_command(*words, "--unit", "mm").code == 0
        assert read_calibration("k.json").baseline == pytest.approx(0.12)

    def test_rectify(self, fathom_command, home):
        words = ("calib", "convert", "raw.json", "calib.txt", "--to", "middlebury")
        outcome = fathom_command(*words)
        assert outcome.code == 2 and "--rectify" in outcome.error
        assert fathom_command(*words, "--rectify").code == 0
        assert isinstance(read_calibration("calib.txt"), StereoRig)

    def test_uncertainties_go_along(self, fathom_command, home):
        fathom_command("calib", "convert", "raw.json", "copy.json")
        assert read_uncertainty("copy.json") == {"left.fx": 0.5}
        assert "uncertainties" in fathom_command("calib", "convert", "raw.json", "c.yml").out

    def test_nothing_is_replaced_unasked(self, fathom_command, home):
        before = (home / "raw.json").read_bytes()
        outcome = fathom_command("calib", "convert", "rig.json", "raw.json")
        assert outcome.code == 2 and "raw.json: exists already" in outcome.error
        assert (home / "raw.json").read_bytes() == before
        (home / "right.yaml").write_text("mine")
        assert fathom_command("calib", "convert", "rig.json", "left.yaml").code == 2
        assert not (home / "left.yaml").exists()
        assert fathom_command("calib", "convert", "rig.json", "raw.json", "--force").code == 0
        assert read_calibration("raw.json") == RIG

    def test_implausible_is_warned_of(self, fathom_command, home):
        text = (home / "rig.json").read_text().replace('"baseline_m": 0.12', '"baseline_m": 60')
        (home / "far.json").write_text(text)
        outcome = fathom_command("calib", "convert", "far.json", "far.yml")
        assert outcome.code == 0 and "warning" in outcome.err and "60 m" in outcome.err
        assert "may refuse it" in outcome.out


def test_depth_with_a_calibration_in_two_files(fathom_command, folder):
    rig = read_calibration(folder / "calib.txt")
    (folder / "calib.txt").unlink()
    write_calibration(f"{folder}/l.yaml,{folder}/r.yaml", rig)
    images = (folder / "left.png", folder / "right.png")
    words = ("--max-disparity", "64", "--save", "npy", "-o", folder / "out", "--json")
    both = f"{folder}/l.yaml,{folder}/r.yaml"
    outcome = fathom_command("depth", *images, "--calib", both, *words)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["rig"]["baseline_m"] == pytest.approx(rig.baseline)
