"""`fathom dataset`: list, info, check."""

import json
from pathlib import Path

import data_layouts as layouts
import numpy as np
import pytest

from fathom.cli.main import main
from fathom.core import Disparity, StereoSample
from fathom.data import write_sample

REPOSITORY = Path(__file__).parents[2]


def test_list_and_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("kitti-2015") for line in lines) and len(lines) == 31
    assert main(["dataset", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[0]["name"] == "middlebury-2001"
    assert main(["dataset", "info", "spring"]) == 0
    shown = capsys.readouterr().out
    assert "disp1_left_0001" in shown and "CC BY 4.0" in shown and "downloads nothing" in shown
    assert main(["dataset", "info", "kitti-2012", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["options"]) == {"truth", "images"}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["chek"], 2, "unknown command of dataset: 'chek'; did you mean check?"),
        (["info", "kiti"], 2, "unknown data set 'kiti'"),
        (["check", "nowhere"], 3, "nowhere: does not exist"),
        (["check", "x", "--format"], 2, "--format: names no data set"),
        (["check", "x", "--limit", "0"], 2, "limit = 0: is no number of samples"),
        (["check", "x", "--truth", "noc"], 2, "unknown flag --truth"),
    ],
)
def test_wrong_requests(words, code, message, capsys) -> None:
    assert main(["dataset", *words]) == code
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["--help"], ["check", "--help"], ["list", "--help"]])
def test_help(words, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert main(["dataset", *words]) == 0
    except SystemExit as stop:
        assert stop.code == 0
    assert "usage: fathom dataset" in capsys.readouterr().out


def test_help_shows_a_data_sets_own_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dataset", "check", "--format=driving", "--help"])
    assert "--focal" in capsys.readouterr().out


def test_a_sound_data_set(tmp_path: Path, motorcycle: StereoSample, capsys) -> None:
    write_sample(tmp_path / "data/one", motorcycle)
    assert main(["dataset", "check", str(tmp_path / "data")]) == 0
    shown = capsys.readouterr()
    assert shown.out == "nothing found in 1 samples\n"
    assert "fathom-folder, all: 1 of 1 samples" in shown.err


def test_findings(tmp_path: Path, motorcycle: StereoSample, capsys) -> None:
    values = motorcycle.truth.values * np.float32(256)
    wrong = StereoSample(motorcycle.pair, Disparity(values))
    write_sample(tmp_path / "a", wrong)
    write_sample(tmp_path / "b", motorcycle)
    (tmp_path / "b/right.png").unlink()
    assert main(["dataset", "check", str(tmp_path), "--format", "fathom-folder"]) == 1
    out = capsys.readouterr().out
    assert "a: scale: the truth fits when it is divided by 256" in out
    assert "b: missing-file: " in out
    assert "found in 2 samples:" in out and "KITTI keeps 256 a pixel" in out
    words = ["dataset", "check", str(tmp_path), "--json", "--format=fathom-folder", "--limit", "1"]
    assert main(words) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["samples"] == 1 and report["counts"] == {"scale": 1}
    assert report["problems"][0]["sample"] == "a"


def test_options_of_the_data_set(tmp_path: Path, capsys) -> None:
    layouts.kitti_2015(tmp_path)
    words = ["dataset", "check", str(tmp_path), "--format", "kitti-2015", "--truth", "noc"]
    assert main([*words, "--split", "testing"]) == 0
    assert "1 samples have no truth" in capsys.readouterr().out
    (tmp_path / "training/disp_noc_0/000000_10.png").unlink()
    assert main(words) == 1
    assert "missing-file" in capsys.readouterr().out


def test_the_documents_table_is_the_registrys(capsys) -> None:
    assert main(["dataset", "list", "--markdown"]) == 0
    table = capsys.readouterr().out
    page = (REPOSITORY / "docs/datasets.md").read_text()
    assert table in page, "run: fathom dataset list --markdown, and put it into docs/datasets.md"
