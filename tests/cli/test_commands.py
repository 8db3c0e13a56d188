"""The other commands, and what the command line does when something goes wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fathom.catalog import entries
from fathom.cli import main as cli
from fathom.cli.console import table
from fathom.core import ResourceError
from fathom.io.images import write_png


def test_help_names_every_command(fathom_command):
    outcome = fathom_command("--help")
    assert outcome.code == 0
    for name in cli.COMMANDS:
        assert name in outcome.out
    assert fathom_command().out == outcome.out


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_s_help_shows_an_example(fathom_command, name, capsys):
    with pytest.raises(SystemExit) as stop:
        fathom_command(name, "--help")
    assert stop.value.code == 0
    assert f"fathom {name}" in capsys.readouterr().out.split("example", 1)[1]


def test_version_and_unknown_command(fathom_command):
    assert fathom_command("--version").out.startswith("fathom ")
    outcome = fathom_command("dpeth")
    assert outcome.code == 2
    assert "did you mean depth" in outcome.error


def test_models(fathom_command):
    outcome = fathom_command("models")
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines] == [entry.name for entry in entries()]
    for line, entry in zip(lines, entries(), strict=True):
        assert f" {entry.state} " in line
        assert entry.state == "ready" or f"{entry.state}: " in outcome.err
    assert sum(line.endswith("(default)") for line in lines) == 1
    listed = json.loads(fathom_command("models", "--json").out)
    assert [row["default"] for row in listed].count(True) == 1
    assert listed[0]["licence"] == "Apache-2.0"
    assert all(row["hub"]["pinned"] for row in listed if row["hub"])


def test_check_finds_nothing_on_a_good_pair(fathom_command, folder):
    outcome = fathom_command("check", folder / "left.png", folder / "right.png")
    assert outcome.code == 0, outcome.out
    outcome = fathom_command("check", folder / "left.png", folder / "right.png", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == []


def test_check_reports_findings_with_exit_code_1(fathom_command, folder):
    outcome = fathom_command("check", folder / "right.png", folder / "left.png", "--json")
    assert outcome.code == 1
    finding = next(f for f in json.loads(outcome.out) if f["code"] == "swapped")
    assert set(finding) >= {"code", "certainty", "size", "remedy", "message"}
    assert 0 < finding["certainty"] <= 1
    text = fathom_command("check", folder / "right.png", folder / "left.png").out
    assert "swapped" in text
    assert "what to do" in text


def test_check_takes_views_and_calibrations_of_any_size(fathom_command, folder):
    write_png(folder / "right.png", np.zeros((50, 60, 3), np.uint8))
    outcome = fathom_command("check", folder / "left.png", folder / "right.png", "--json")
    assert outcome.code == 1
    assert "size-differs" in [f["code"] for f in json.loads(outcome.out)]


def test_check_reports_a_calibration_for_another_size(fathom_command, folder):
    text = (folder / "calib.txt").read_text()
    (folder / "calib.txt").write_text(
        text.replace("width=260", "width=520").replace("height=140", "height=280")
    )
    outcome = fathom_command("check", folder / "left.png", folder / "right.png", "--json")
    assert outcome.code == 1
    assert "calibration-size" in [f["code"] for f in json.loads(outcome.out)]


def test_check_needs_two_readable_images(fathom_command, folder):
    assert fathom_command("check", folder / "left.png").code == 2
    outcome = fathom_command("check", folder / "left.png", folder / "none.png")
    assert outcome.code == 3
    assert "none.png" in outcome.error


def raising(error):
    def job():
        raise error

    return job


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (ResourceError("no space", file="x"), 4, "x: no space"),
        (MemoryError(), 4, "not enough memory"),
        (OSError(28, "No space left on device", "/out/x"), 4, "No space left"),
        (RuntimeError("OpenCV: Insufficient memory: failed"), 4, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("oh"), 70, "a fault of fathom itself: ZeroDivisionError: oh"),
    ],
)
def test_whatever_goes_wrong_is_one_line(capsys, error, code, word):
    assert cli.guarded(raising(error), debug=False, as_json=False) == code
    err = capsys.readouterr().err
    assert word in err
    assert len(err.splitlines()) == 1


def test_debug_lets_errors_through():
    with pytest.raises(ZeroDivisionError):
        cli.guarded(raising(ZeroDivisionError()), debug=True, as_json=False)


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m fathom models | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_table_columns_line_up():
    text = table(["a", "bb"], [["x", "1"], ["long", "22"]])
    assert text.splitlines() == ["a     bb", "x      1", "long  22"]


LEAVING = """
import atexit, sys, threading, time
from pathlib import Path
from fathom.cli.main import leave

def keep():
    time.sleep(0.3)
    Path("kept").touch()

threading.Thread(target=keep, name="fathom-model").start()
threading.Thread(target=threading.Event().wait, name="somebody's pool").start()
atexit.register(Path("tidied").touch)
print("said", end="")
leave(3)
"""


def test_a_command_s_end_loses_nothing_and_waits_for_nobody_else(tmp_path):
    """The output that is still in the buffer, what goes into the cache, libraries' last acts."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVING], cwd=tmp_path, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (3, b"said")
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "tidied"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_cannot_be_written_at_the_end_is_told():
    words = "import sys; from fathom.cli.main import leave; sys.stdout.write('x'); leave(0)"
    held_back = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", words],
            env=held_back,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 4
    assert done.stderr == b"fathom: the output could not be written: No space left on device\n"
