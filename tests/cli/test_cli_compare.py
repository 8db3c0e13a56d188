"""`fathom compare` from the command line."""

import json

import numpy as np
import pytest

from fathom.core import Disparity, StereoSample
from fathom.data import write_sample
from fathom.data.samples import motorcycle
from fathom.geometry.resize import crop_pair
from fathom.io.maps import write_disparity_pfm

WINDOW = (250, 150, 260, 140)
FAST = ("--methods", "opencv-bm,sgm", "--no-confidence")


@pytest.fixture(scope="session")
def true_disparity():
    x, y, width, height = WINDOW
    return motorcycle().truth.values[y : y + height, x : x + width].copy()


def test_a_pair_with_truth(folder, fathom_command, true_disparity, tmp_path):
    write_disparity_pfm(folder / "truth.pfm", true_disparity)
    out = tmp_path / "out"
    words = ["compare", folder / "left.png", folder / "right.png", "--truth", folder / "truth.pfm"]
    done = fathom_command(*words, "-o", out, *FAST)
    assert done.code == 0, done.err
    assert "[fathom, all: unknown = wrong" in done.out
    assert "On the one pair, sgm has the lowest bad-2" in done.out
    assert "left" in done.err
    assert sorted(p.name for p in out.iterdir()) == [
        "regions.csv",
        "report.html",
        "result.json",
        "scores.csv",
    ]
    again = fathom_command(*words, "-o", out, *FAST, "--json", "--protocol", "fathom-depth")
    assert again.code == 0
    info = json.loads(again.out)
    assert info["protocol"]["name"] == "fathom-depth"
    assert info["scores"]["all"]["sgm"]["values"]["delta-1"] > 0.8
    assert info["folder"] == str(out)


def test_a_pair_without_truth(folder, fathom_command, tmp_path):
    done = fathom_command(
        "compare", folder / "left.png", folder / "right.png", "-o", tmp_path / "out", *FAST
    )
    assert done.code == 0
    assert "inconsistency" in done.out and "[consistency without truth" in done.out
    assert "Photometric" in (tmp_path / "out" / "report.html").read_text()
    blind = fathom_command(
        "compare",
        *(folder / "left.png", folder / "right.png", "-o", tmp_path / "blind", *FAST),
        "--no-consistency",
        "--no-fill",
    )
    assert blind.code == 0 and "[nothing to judge by]" in blind.out


def test_a_data_set_with_a_broken_sample(fathom_command, true_disparity, tmp_path):
    pair = crop_pair(motorcycle().pair, *WINDOW)
    shiny = np.zeros(pair.shape, bool)
    shiny[20:60, 50:150] = True
    sample = StereoSample(pair, Disparity(true_disparity), {"reflective": shiny}, "a")
    for name in ("a", "b"):
        write_sample(tmp_path / "data" / name, sample)
    (tmp_path / "data" / "b" / "right.png").write_bytes(b"no image")
    done = fathom_command(
        *("compare", "--data", tmp_path / "data", "--format", "fathom-folder", "--json"),
        *("-o", tmp_path / "out", *FAST, "--pictures", "1"),
    )
    assert done.code == 1
    info = json.loads(done.out)
    assert info["samples"] == 1 and info["regions"]["reflective"]["sgm"]["pixels"] > 3000
    assert [f["sample"] for f in info["failures"]] == ["b"]
    assert "b: " in done.err and "right.png" in done.err
    shown = fathom_command(
        *("compare", "--data", tmp_path / "data", "--format", "fathom-folder"),
        *("-o", tmp_path / "out", *FAST, "--pictures", "0"),
    )
    assert shown.code == 1 and "failed: b: " in shown.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "LEFT: no image given"),
        (["left.png"], 2, "RIGHT: two images are needed"),
        (["left.png", "right.png", "--format", "kitti-2015"], 2, "belongs to --data"),
        (["left.png", "right.png", "--truth-scale", "1/16"], 2, "belongs to --truth"),
        *(
            (["left.png", "right.png", "--truth-scale", bad], 2, "argument --truth-scale")
            for bad in ("x", "1/0", "0", "nan")
        ),
        (["--data", "x", "--calib", "c.txt"], 2, "a data set brings its own"),
        (["--data", "nowhere"], 3, "nowhere: does not exist"),
        (["left.png", "right.png", "--methods", "sgmm"], 2, "did you mean sgm"),
        (["left.png", "right.png", "--protocol", "kiti"], 2, "unknown protocol 'kiti'"),
        (["left.png", "right.png", "--pictures", "500"], 2, "pictures = 500: is out of range"),
        (["left.png", "nothing.png", "--methods", "sad"], 3, "nothing.png: does not exist"),
    ],
)
def test_wrong_requests(words, code, message, folder, fathom_command, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    done = fathom_command("compare", *words)
    assert done.code == code, done.err
    assert message in done.error
    assert not (folder / "fathom-compare").exists()


def test_a_foreign_file_stays(folder, fathom_command):
    out = folder / "mine"
    out.mkdir()
    (out / "report.html").write_text("precious")
    done = fathom_command("compare", folder / "left.png", folder / "right.png", "-o", out, *FAST)
    assert done.code == 4 and "would be overwritten" in done.error
    assert (out / "report.html").read_text() == "precious"


def test_help_has_examples_and_a_data_sets_own_flags(capsys):
    from fathom.cli.main import main

    with pytest.raises(SystemExit):
        main(["compare", "--format", "kitti-2015", "--help"])
    shown = capsys.readouterr().out
    for word in ("--methods LIST", "examples:", "scores.csv", "options of kitti"):
        assert word in shown
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "--truth FILE" in capsys.readouterr().out
