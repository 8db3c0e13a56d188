"""`fathom refine`: sparse maps to dense ones, in every format, and what it refuses."""

import json

import numpy as np
import pytest

from fathom.io.images import write_png
from fathom.io.maps import (
    read_depth_npy,
    read_depth_png,
    read_disparity,
    write_confidence_png,
    write_depth_npy,
    write_depth_png,
    write_disparity_pfm,
    write_disparity_png,
)


@pytest.fixture
def scene(tmp_path):
    """image.png, sparse.pfm (disparities, a twentieth of them known); the values."""
    rng = np.random.default_rng(3)
    right = np.arange(40) >= 18
    image = np.where(right[None, :, None], (200, 60, 30), (30, 90, 220)) + np.zeros((30, 1, 1))
    write_png(tmp_path / "image.png", image.astype(np.uint8))
    truth = np.broadcast_to(np.where(right, np.float32(25), np.float32(8)), (30, 40))
    sparse = np.where(rng.random((30, 40)) < 0.05, truth, np.float32(np.nan))
    write_disparity_pfm(tmp_path / "sparse.pfm", sparse)
    return tmp_path, truth, sparse


@pytest.mark.parametrize("method", ["cspn", "spn"])
def test_a_sparse_map(scene, method, fathom_command):
    folder, truth, sparse = scene
    words = [folder / "image.png", folder / "sparse.pfm", "-o", folder / "dense.pfm"]
    outcome = fathom_command("refine", *words, "--method", method)
    assert outcome.code == 0, outcome.err
    assert f"{method}, by the image's edges: known 4.6 % -> 100.0 % (kept 4.6 %)" in outcome.out
    found = read_disparity(folder / "dense.pfm")
    known = ~np.isnan(sparse)
    assert np.array_equal(found[known], sparse[known])
    assert (np.abs(found - truth) > 1).mean() < 0.05


def test_depth_in_millimetres_and_in_kitti_s_steps(scene, fathom_command):
    folder, truth, sparse = scene
    with np.errstate(invalid="ignore"):
        depth = (100 / sparse).astype(np.float32)
    write_depth_png(folder / "mm.png", depth)
    write_disparity_png(folder / "kitti.png", depth)
    write_depth_npy(folder / "depth.npy", depth)
    wanted = 100 / truth
    for given, kind, out, read in (
        ("mm.png", "depth", "dense_mm.png", read_depth_png),
        ("kitti.png", "kitti-depth", "dense_kitti.png", read_disparity),
        ("depth.npy", "depth", "dense.npy", read_depth_npy),
    ):
        words = (folder / "image.png", folder / given, "--kind", kind, "-o", folder / out)
        assert fathom_command("refine", *words).code == 0
        assert (np.abs(read(folder / out) - wanted) > 0.5).mean() < 0.05


def test_hints_confidence_and_json(scene, fathom_command):
    folder, truth, _ = scene
    wrong, sure = truth.copy(), np.full(truth.shape, 0.9, np.float32)
    wrong[4:8, 4:8], sure[4:8, 4:8] = 70, 0.1
    write_disparity_pfm(folder / "map.pfm", wrong)
    write_confidence_png(folder / "sure.png", sure)
    hints = np.full(truth.shape, np.nan, np.float32)
    hints[20, 30] = 26.5
    write_disparity_pfm(folder / "hints.pfm", hints)
    outcome = fathom_command(
        "refine", folder / "image.png", folder / "map.pfm", "--confidence", folder / "sure.png",
        "--hints", folder / "hints.pfm", "-o", folder / "out.png", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    info = json.loads(outcome.out)
    assert info["share_kept"] == pytest.approx(1 - 16 / truth.size)
    assert info["share_known"] == 1 and info["by"] == "the image's edges"
    found = read_disparity(folder / "out.png")
    assert found[20, 30] == 26.5 and np.abs(found[4:8, 4:8] - 8).max() < 0.5


def test_values_that_the_file_cannot_hold_are_told(scene, fathom_command):
    folder, truth, _ = scene
    write_disparity_pfm(folder / "far.pfm", truth + 240)
    words = (folder / "image.png", folder / "far.pfm", "-o", folder / "out.png")
    outcome = fathom_command("refine", *words)
    assert outcome.code == 0 and "660 values do not fit" in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "out.jpg"], 2, "has no ending of a map"),
        (["-o", "sparse.pfm"], 2, "which the result would replace"),
        (["-o", "out.pfm", "--method", "sgm"], 2, "refines no map; expected cspn or spn"),
        (["-o", "out.pfm", "--method", "cnps"], 2, "unknown method"),
        (["-o", "out.pfm", "--kind", "metres"], 2, "--kind"),
        (["-o", "out.pfm", "--step", "3"], 2, "unknown flag --step"),
        (["-o", "out.pfm", "--colour", "0"], 2, "colour"),
        (["-o", "out.pfm", "--hints", "image.png"], 3, "no disparity map"),
        (["-o", "out.pfm", "--confidence", "small.png"], 3, "is not of the map's size"),
        (["-o", "out.pfm", "--weights", "nowhere.safetensors"], 3, "nowhere.safetensors"),
    ],
)
def test_what_it_refuses(scene, words, code, said, fathom_command, monkeypatch):
    if "--weights" in words:
        pytest.importorskip("torch")
    folder, *_ = scene
    monkeypatch.chdir(folder)
    write_confidence_png("small.png", np.ones((3, 4), np.float32))
    outcome = fathom_command("refine", "image.png", "sparse.pfm", *words)
    assert outcome.code == code
    assert said in outcome.error
    assert not (folder / "out.pfm").exists()


def test_a_map_of_another_size(scene, fathom_command):
    folder, truth, _ = scene
    write_disparity_pfm(folder / "small.pfm", truth[:20].copy())
    words = (folder / "image.png", folder / "small.pfm", "-o", folder / "out.pfm")
    outcome = fathom_command("refine", *words)
    assert outcome.code == 3 and "is not of the image's size" in outcome.error


def test_it_is_no_stereo_method(folder, fathom_command):
    words = (folder / "left.png", folder / "right.png", "-o", folder / "out")
    outcome = fathom_command("depth", *words, "--method", "spn")
    assert outcome.code == 2 and "refines a map and sees no pair" in outcome.error
    assert not (folder / "out").exists()
