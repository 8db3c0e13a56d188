"""The README's commands and its Python are run, as someone would who believes it."""

import re
import shlex
from pathlib import Path

import pytest

from fathom.catalog import entries
from fathom.cli.main import main
from fathom.workflows.outputs import OUTPUTS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("fathom")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder after `make demo`, with the demo's pair as one's own beside it."""
    home = tmp_path_factory.mktemp("readme")
    assert main(["demo", "-o", str(home / "demo")]) == 0
    for name in ("left.png", "right.png", "calib.txt"):
        (home / name).write_bytes((home / "demo" / name).read_bytes())
    return home


def test_there_are_commands_and_five_lines_of_python():
    assert len(COMMANDS) >= 2
    (code,) = [block for kind, block in BLOCKS if kind == "python"]
    assert len([line for line in code.splitlines() if line.strip()]) == 5


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(shlex.split(command)[1:]) == 0


def test_the_python_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (code,) = [block for kind, block in BLOCKS if kind == "python"]
    exec(compile(code, "README.md", "exec"), {})
    assert re.fullmatch(r"\d\.\d\d m, \d+% sure\n", capsys.readouterr().out)


def test_every_method_and_every_file_is_named():
    for entry in entries():
        assert f"`{entry.name}`" in README
    for output in OUTPUTS:
        if output.short != ("pair",):
            assert f"`{output.file}`" in README


def test_pictures_and_pages_it_points_to_exist():
    for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (ROOT / target).is_file(), target
    for target in re.findall(r"`(docs/[\w./]+|CONTRIBUTING\.md)`", README):
        assert (ROOT / target).is_file(), target


def test_make_targets_it_names_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"make (\w+)", README)) - {"it"}:
        if re.search(rf"`make {target}`|^make {target}", README, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
