"""`fathom depth --tile` and `--pyramid`: the same result in less memory, and what is refused."""

import json

import numpy as np

from fathom.io.maps import read_disparity_pfm


def test_tiles_give_the_same_map_and_are_written_down(fathom_command, folder, tmp_path):
    views = (folder / "left.png", folder / "right.png", "-m", "sad", "--max-disparity", 48)
    maps = []
    for name, words in (("whole", ()), ("tiles", ("--tile", "160x160"))):
        out = tmp_path / name
        outcome = fathom_command("depth", *views, *words, "-o", out, "--save", "pfm")
        assert outcome.code == 0, outcome.err
        maps.append(read_disparity_pfm(out / "disparity.pfm"))
    assert "tiles" in outcome.err
    assert (np.abs(maps[0] - maps[1]) <= 0.1).mean() >= 0.999
    method = json.loads((tmp_path / "tiles" / "result.json").read_text())["method"]
    assert method["name"] == "sad" and method["size"] == [160, 160]
    assert method["matcher"]["max_disparity"] == 48


def test_coarse_to_fine(fathom_command, folder, tmp_path):
    out = tmp_path / "out"
    outcome = fathom_command(
        "depth", folder / "left.png", folder / "right.png", "--pyramid", "--tile", "1GB",
        "-o", out, "--save", "pfm",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert json.loads((out / "result.json").read_text())["method"]["memory"] == 10**9
    assert np.isfinite(read_disparity_pfm(out / "disparity.pfm")).all()


def test_what_is_no_tile_and_too_little_memory(fathom_command, folder, tmp_path):
    views = (folder / "left.png", folder / "right.png", "-o", tmp_path / "out")
    outcome = fathom_command("depth", *views, "--tile", "small")
    assert outcome.code == 2 and "1024x768" in outcome.err
    outcome = fathom_command("depth", *views, "--tile", "1MB")
    assert outcome.code == 4 and "allow more (--tile" in outcome.err
    outcome = fathom_command("depth", *views, "-m", "census", "--memory-limit", 10**5)
    assert outcome.code == 4 and "--tile auto" in outcome.err
    assert not (tmp_path / "out").exists()
