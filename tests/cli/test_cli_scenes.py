"""`fathom scenes`: writes what the readers know, goes on where it stopped, never mixes."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from fathom.data import open_dataset
from fathom.data.scenes import SceneSettings, full_scene

SIZE = ("--size", "96x64")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_written_is_what_is_made(fathom_command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = fathom_command("scenes", "-n", 3, "-o", out, *SIZE, "--seed", 4, "--normals", "--json")
    assert done.code == 0
    said = json.loads(done.out)
    assert (said["written"], said["kept"]) == (3, 0)
    dataset = open_dataset(None, out)
    assert dataset.format == "fathom-folder" and len(dataset) == 3
    made = full_scene(4, SceneSettings(width=96, height=64), 1)
    sample = dataset[1]
    assert np.array_equal(sample.pair.left.image, made.left)
    assert np.array_equal(sample.pair.right.image, made.right)
    assert np.array_equal(sample.truth.values, made.disparity)
    assert sample.pair.rig == made.rig
    assert {n: m.tolist() for n, m in sample.masks.items()} == {
        n: m.tolist() for n, m in made.masks.items()
    }
    place = out / "0000" / "0000001"
    assert np.array_equal(np.load(place / "disp_right.npy"), made.disparity_right)
    assert np.load(place / "normals.npy").shape == (64, 96, 3)
    assert json.loads((place / "meta.json").read_text())["kind"] == made.kind


def test_goes_on_where_it_stopped_with_the_same_bits(fathom_command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert fathom_command("scenes", "-n", 3, "-o", out, *SIZE).code == 0
    whole = files_of(out)
    shutil.rmtree(out / "0000" / "0000001")
    done = fathom_command("scenes", "-n", 3, "-o", out, *SIZE, "--workers", 2)
    assert done.code == 0 and "kept 2" in done.out
    assert files_of(out) == whole


def test_normals_asked_for_later_come_into_scenes_that_are_there(
    fathom_command, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert fathom_command("scenes", "-n", 1, "-o", out, *SIZE).code == 0
    before = files_of(out)
    done = fathom_command("scenes", "-n", 1, "-o", out, *SIZE, "--normals")
    assert done.code == 0 and "wrote 1" in done.out
    after = files_of(out)
    assert {name.name for name in map(Path, after.keys() - before.keys())} == {"normals.npy"}


def test_pictures_of_which_none_can_be_read(fathom_command, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("hello")
    done = fathom_command(
        "scenes", "-n", 1, "-o", tmp_path / "out", "--photos", tmp_path / "photos"
    )
    assert done.code == 3 and "holds no picture that can be read" in done.error
    assert not (tmp_path / "out").exists()


def test_scenes_of_other_settings_are_not_mixed(fathom_command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert fathom_command("scenes", "-n", 1, "-o", out, *SIZE).code == 0
    done = fathom_command("scenes", "-n", 2, "-o", out, *SIZE, "--night")
    assert done.code == 4 and "holds scenes of other settings" in done.error
    assert "night" in done.error
    (out / "scenes.json").write_text("[]")
    assert fathom_command("scenes", "-n", 2, "-o", out, *SIZE).code == 4
    (out / "scenes.json").write_text("{torn")
    assert fathom_command("scenes", "-n", 2, "-o", out, *SIZE).code == 4


def test_rays_are_another_setting(fathom_command, tmp_path: Path, monkeypatch) -> None:
    """They are written and read as the others are, and never mixed with them; folders of before
    there were rays go on."""
    pytest.importorskip("embreex")
    out, tiny = tmp_path / "out", ("--size", "64x48")
    rays = ("--renderer", "rays")
    assert fathom_command("scenes", "-n", 1, "-o", out, *tiny, *rays).code == 0
    sample = open_dataset(None, out)[0]
    made = full_scene(0, SceneSettings(width=64, height=48, renderer="rays"))
    assert np.array_equal(sample.pair.left.image, made.left)
    assert np.array_equal(sample.truth.values, made.disparity)
    done = fathom_command("scenes", "-n", 2, "-o", out, *tiny)
    assert done.code == 4 and "renderer = 'rays'" in done.error and "expected raster" in done.error
    old = tmp_path / "old"
    assert fathom_command("scenes", "-n", 1, "-o", old, *tiny).code == 0
    said = json.loads((old / "scenes.json").read_text())
    del said["renderer"]
    (old / "scenes.json").write_text(json.dumps(said))
    assert fathom_command("scenes", "-n", 2, "-o", old, *tiny).code == 0
    done = fathom_command("scenes", "-n", 2, "-o", old, *tiny, *rays)
    assert done.code == 4 and "renderer = 'raster'" in done.error


def test_rays_without_their_extra_leave_nothing(
    fathom_command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    for words in (("-o", tmp_path / "out"), ("--sheet", tmp_path / "sheet.png")):
        done = fathom_command("scenes", "-n", 1, *SIZE, *words, "--renderer", "rays")
        assert done.code == 2 and "fathom-depth[scenes]" in done.error
    done = fathom_command("scenes", "-n", 1, "-o", tmp_path / "out", "--photos", tmp_path / "none")
    assert done.code == 3
    assert not list(tmp_path.iterdir())


def test_other_peoples_files_stay(fathom_command, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = fathom_command("scenes", "-n", 1, "-o", tmp_path, *SIZE)
    assert done.code == 4 and "holds other files" in done.error
    assert files_of(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_sheet_alone_writes_nothing_else(fathom_command, tmp_path: Path, ending: str) -> None:
    from fathom.io.images import read_image

    sheet = tmp_path / f"sheet.{ending}"
    done = fathom_command("scenes", "-n", 5, *SIZE, "--sheet", sheet)
    assert done.code == 0 and str(sheet) in done.out
    assert [p.name for p in tmp_path.iterdir()] == [sheet.name]
    assert read_image(sheet).shape[1] == 1200


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-n", "0"], 2, "count = 0: is too small"),
        (["--workers", "0"], 2, "workers = 0: is too small"),
        (["--seed", "-3"], 2, "seed = -3: is too small"),
        (["--size", "512"], 2, "is no size"),
        (["--size", "4x4"], 2, "is no size of a scene"),
        (["--kind", "rom"], 2, "did you mean room"),
        (["--motion", "2"], 2, "is no share"),
        (["--photos", "nowhere"], 3, "is no folder"),
        (["--sheet", "sheet.gif"], 2, "is no picture fathom writes"),
        (["--nigth"], 2, "did you mean --night"),
    ],
)
def test_wrong_requests(
    fathom_command, tmp_path: Path, words, code: int, message: str, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = fathom_command("scenes", *words)
    assert done.code == code and message in done.error
    assert not list(tmp_path.rglob("left.png"))


def test_help_has_examples(capsys) -> None:
    from fathom.cli.main import main

    with pytest.raises(SystemExit):
        main(["scenes", "--help"])
    shown = capsys.readouterr().out
    assert "examples:" in shown and "--kind" in shown and "--workers" in shown
