"""`fathom tune` as it is typed."""

import json
import shlex

import numpy as np
import pytest

from fathom.data.samples import motorcycle
from fathom.io.maps import write_disparity_pfm
from fathom.workflows import tune as module

FEW = ("--only", "p1,p2", "--p1", "3", "--p2", "10")


@pytest.fixture
def truth(folder):
    """The true disparity of the pair in `folder`."""
    values = motorcycle().truth.values[150 : 150 + 140, 250 : 250 + 260]
    write_disparity_pfm(folder / "truth.pfm", np.ascontiguousarray(values))
    return folder / "truth.pfm"


def test_by_truth_a_table_a_file_and_the_line_to_use(fathom_command, folder, truth):
    out = folder / "best.json"
    pair = (folder / "left.png", folder / "right.png")
    outcome = fathom_command("tune", *pair, *FEW, "--truth", truth, "-o", out)
    assert outcome.code == 0, outcome.err
    assert "start: bad-2" in outcome.err
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["parameter", "default", "start", "chosen"]
    assert lines[1].split()[:3] == ["p1", "25", "3"]
    written = json.loads(out.read_text())
    assert written["format"] == "fathom-parameters"
    assert written["after"] < written["before"]
    # the line that it names runs, and is about the same parameters
    words = shlex.split(lines[-1].removeprefix("use "))
    assert words[:2] == ["fathom", "depth"]
    flags = dict(zip(words[4::2], words[5::2], strict=True))
    assert flags["--method"] == "sgm"
    assert int(flags.get("--p2", 190)) == written["parameters"]["p2"]
    ran = fathom_command(*words[1:], "-o", folder / "result", "--save", "none")
    assert ran.code == 0, ran.err


def test_by_consistency_as_json(fathom_command, folder):
    out = folder / "best.json"
    pair = (folder / "left.png", folder / "right.png")
    outcome = fathom_command("tune", *pair, *FEW, "--max-disparity", "64", "--json", "-o", out)
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert said["measure"] == "inconsistency"
    assert said["after"] <= said["before"]
    assert said["file"] == str(out)
    assert "--max-disparity 64" in said["command"]


def test_an_interruption_is_130_and_keeps_what_there_was(fathom_command, folder, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Search, "run", interrupted)
    out = folder / "best.json"
    outcome = fathom_command("tune", folder / "left.png", folder / "right.png", "-o", out)
    assert outcome.code == 130
    assert json.loads(out.read_text())["stopped"] == "interrupted"


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ([], 2, "LEFT"),
        (["left.png"], 2, "RIGHT"),
        (["left.png", "right.png", "--method", "sgmm"], 2, "did you mean sgm"),
        (["left.png", "right.png", "--only", "p9"], 2, "p9"),
        (["left.png", "right.png", "--budget", "0"], 2, "budget"),
        (["left.png", "right.png", "--p1", "0"], 2, "p1"),
        (["left.png", "right.png", "--bugdet", "5"], 2, "did you mean --budget"),
        (["left.png", "right.png", "--truth", "left.png"], 3, "left.png"),
        (["left.png", "nowhere.png"], 3, "nowhere.png"),
        (["left.png", "right.png", "--only", "p1", "-o", "left.png/x.json"], 4, "left.png"),
    ],
)
def test_what_cannot_be_done_is_one_line(fathom_command, folder, monkeypatch, words, code, part):
    monkeypatch.chdir(folder)
    outcome = fathom_command("tune", *words)
    assert outcome.code == code, outcome.err
    assert part in outcome.error
