"""A folder with a small real pair and its calibration, and the command line called in-process."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from fathom.cli.main import main
from fathom.data.samples import motorcycle
from fathom.geometry.resize import crop_pair
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.images import write_png


@dataclass
class Outcome:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one error line."""
        lines = [line for line in self.err.splitlines() if "error:" in line]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def fathom_command(capsys):
    """Calls `fathom ...`; answers with exit code, standard output and standard error."""

    def call(*words) -> Outcome:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def small_pair():
    """A part of the Motorcycle pair with its rig."""
    return crop_pair(motorcycle().pair, 250, 150, 260, 140)


@pytest.fixture
def folder(tmp_path, small_pair) -> Path:
    """left.png, right.png and calib.txt in an own folder."""
    home = tmp_path / "scene"
    home.mkdir()
    write_png(home / "left.png", small_pair.left.image)
    write_png(home / "right.png", small_pair.right.image)
    write_middlebury(home / "calib.txt", small_pair.rig)
    return home
