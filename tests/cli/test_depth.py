"""`fathom depth`: what it writes, what it says, and what it refuses."""

import json
import os
import shutil

import numpy as np
import pytest

import fathom
from fathom.core import Source
from fathom.io.images import read_image, write_png
from fathom.io.maps import read_depth_npy, read_depth_png, read_disparity_pfm, read_disparity_png
from fathom.io.ply import read_ply

ALL = {
    "disparity.pfm",
    "disparity.png",
    "depth.npy",
    "depth.png",
    "sigma.npy",
    "confidence.png",
    "source.png",
    "cloud.ply",
    "overview.png",
    "report.html",
    "result.json",
}


def listing(folder):
    return {p.name for p in folder.iterdir()}


def test_a_pair_becomes_every_file_and_they_agree(fathom_command, folder, small_pair, tmp_path):
    out = tmp_path / "out"
    outcome = fathom_command("depth", folder / "left.png", folder / "right.png", "-o", out)
    assert outcome.code == 0, outcome.err
    assert "open" in outcome.out
    assert listing(out) == ALL
    disparity = read_disparity_pfm(out / "disparity.pfm")
    depth = read_depth_npy(out / "depth.npy")
    expected = fathom.create()(fathom.read_pair(folder / "left.png", folder / "right.png"))
    np.testing.assert_array_equal(disparity, expected.values)
    np.testing.assert_allclose(depth, small_pair.rig.depth_of(disparity), rtol=1e-5)
    np.testing.assert_allclose(read_disparity_png(out / "disparity.png"), disparity, atol=1 / 512)
    np.testing.assert_allclose(read_depth_png(out / "depth.png"), depth, atol=0.00051)
    info = json.loads((out / "result.json").read_text())
    assert info["rig"]["baseline_m"] == pytest.approx(0.193001, abs=1e-6)
    assert info["method"]["name"] == fathom.catalog.entry("default").name
    assert info["result"]["share_known"] == 1
    assert set(info["files"]) == ALL - {"result.json"}
    cloud = read_ply(out / "cloud.ply")
    assert len(cloud) == info["files"]["cloud.ply"]["points"]
    assert 0 < len(cloud) <= (expected.source == Source.MATCHED).sum()
    result = fathom.read_result(out)
    np.testing.assert_array_equal(result.disparity.values, disparity)
    assert result.rig == small_pair.rig


def test_three_lines_of_python(folder, small_pair):
    pair = fathom.read_pair(folder / "left.png", folder / "right.png", calib=folder / "calib.txt")
    disparity = fathom.create("default", max_disparity=64)(pair)
    depth = disparity.to_depth(pair.rig)
    assert depth.shape == small_pair.shape
    assert 1 < np.nanmedian(depth.values) < 10


def test_without_calibration_there_are_no_metres(fathom_command, folder, tmp_path):
    (folder / "calib.txt").unlink()
    out = tmp_path / "out"
    outcome = fathom_command("depth", folder / "left.png", folder / "right.png", "-o", out)
    assert outcome.code == 0
    assert "no metres" in outcome.err
    assert listing(out) == ALL - {"depth.npy", "depth.png", "sigma.npy", "cloud.ply"}
    assert json.loads((out / "result.json").read_text())["rig"] is None


def test_focal_and_baseline_give_metres_without_a_file(fathom_command, folder, tmp_path):
    (folder / "calib.txt").unlink()
    pair = (folder / "left.png", folder / "right.png")
    numbers = ("--focal", "994.978", "--baseline", "0.193001")
    outcome = fathom_command("depth", *pair, *numbers, "-o", tmp_path / "out", "--json")
    info = json.loads(outcome.out)
    assert info["rig"]["fx"] == 994.978
    assert "principal point" in outcome.err
    assert info["folder"] == str(tmp_path / "out")


def test_save_picks_a_subset(fathom_command, folder, tmp_path):
    pair = (folder / "left.png", folder / "right.png")
    for save, names in (
        ("depth.npy,cloud.ply", {"depth.npy", "cloud.ply"}),
        ("disparity", {"disparity.pfm", "disparity.png"}),
        ("none", set()),
    ):
        out = tmp_path / save
        assert fathom_command("depth", *pair, "-o", out, "--save", save).code == 0
        assert listing(out) == names | {"result.json"}
    outcome = fathom_command("depth", *pair, "-o", tmp_path / "x", "--save", "cluod")
    assert outcome.code == 2
    assert "cloud" in outcome.error


def test_scale_resizes_pair_and_rig(fathom_command, folder, small_pair, tmp_path):
    out = tmp_path / "out"
    pair = (folder / "left.png", folder / "right.png")
    assert fathom_command("depth", *pair, "--scale", "0.5", "-o", out).code == 0
    result = fathom.read_result(out)
    assert result.disparity.shape == (70, 130)
    assert result.rig.left.fx == pytest.approx(small_pair.rig.left.fx / 2)
    assert {"left.png", "right.png", "calib.txt"} <= listing(out)
    full = fathom.create()(fathom.read_pair(*pair)).to_depth(small_pair.rig).values
    half = result.depth.values
    ratio = np.nanmedian(half) / np.nanmedian(full)
    assert ratio == pytest.approx(1, abs=0.05)


def test_no_fill_and_min_confidence_leave_pixels_unknown(fathom_command, folder, tmp_path):
    pair = (folder / "left.png", folder / "right.png")
    fathom_command("depth", *pair, "--no-fill", "-o", tmp_path / "a")
    fathom_command("depth", *pair, "--min-confidence", "0.8", "-o", tmp_path / "b")
    bare, sure = (fathom.read_result(tmp_path / n).disparity for n in "ab")
    assert 0.3 < bare.share_known < 1
    assert 0.1 < sure.share_known < 1
    assert sure.confidence[sure.known].min() >= 0.8 - 1e-4


def test_z_far_trims_the_cloud(fathom_command, folder, tmp_path):
    pair = (folder / "left.png", folder / "right.png")
    fathom_command("depth", *pair, "--z-far", "3", "-o", tmp_path / "a")
    assert read_ply(tmp_path / "a" / "cloud.ply").points[:, 2].max() <= 3


def test_method_and_its_own_parameters(fathom_command, folder, tmp_path):
    pair = (folder / "left.png", folder / "right.png")
    words = ("--method", "opencv-sgbm", "--mode", "hh", "--max-disp", "64", "-o", tmp_path / "a")
    assert fathom_command("depth", *pair, *words).code == 0
    method = json.loads((tmp_path / "a" / "result.json").read_text())["method"]
    assert method["name"] == "opencv-sgbm"
    assert method["matcher"]["mode"] == "hh"
    with pytest.raises(SystemExit) as stop:
        fathom_command("depth", "--method", "opencv-sgbm", "--help")
    assert stop.value.code == 0


def test_side_by_side_and_over_under(fathom_command, folder, small_pair, tmp_path):
    left, right = small_pair.left.image, small_pair.right.image
    for layout, both in (
        ("side-by-side", np.concatenate([left, right], axis=1)),
        ("over-under", np.concatenate([left, right], axis=0)),
    ):
        write_png(folder / "both.png", both)
        out = tmp_path / layout
        outcome = fathom_command("depth", folder / "both.png", "--layout", layout, "-o", out)
        assert outcome.code == 0, outcome.err
        assert (read_image(out / "left.png") == left).all()
        assert (read_image(out / "right.png") == right).all()


@pytest.fixture
def two_folders(tmp_path, folder):
    """Three pairs in left/ and right/, the second one's right image damaged, a fourth alone."""
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for i in range(3):
            shutil.copy(folder / f"{side}.png", tmp_path / side / f"{i}.png")
    damaged = tmp_path / "right" / "1.png"
    damaged.write_bytes(damaged.read_bytes()[:5000])
    shutil.copy(folder / "left.png", tmp_path / "left" / "9.png")
    return tmp_path


def test_a_folder_goes_on_after_a_bad_pair(fathom_command, two_folders):
    out = two_folders / "out"
    words = ("--save", "npy", "--focal", "500", "--baseline", "0.1", "-o", out)
    outcome = fathom_command("depth", two_folders / "left", two_folders / "right", *words)
    assert outcome.code == 1
    assert listing(out) == {"0", "2"}
    assert "2 of 4 done" in outcome.out
    assert "failed: 1:" in outcome.out
    assert "9.png" in outcome.out
    assert "[2/3]" in outcome.err
    assert outcome.err.count("principal point") == 1  # the same for every pair, so said once
    words = (f"{two_folders}/left/[02].png", f"{two_folders}/right/[02].png", *words)
    outcome = fathom_command("depth", *words, "--json")
    assert outcome.code == 0
    assert len(json.loads(outcome.out)["done"]) == 2


def test_a_result_replaces_an_earlier_one_and_spares_other_files(fathom_command, folder, tmp_path):
    out = tmp_path / "out"
    pair = (folder / "left.png", folder / "right.png")
    assert fathom_command("depth", *pair, "-o", out).code == 0
    assert fathom_command("depth", *pair, "-o", out, "--save", "npy").code == 0
    assert listing(out) == {"depth.npy", "result.json"}
    (out / "notes.txt").write_text("mine")
    assert fathom_command("depth", *pair, "-o", out).code == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert listing(out) == ALL | {"notes.txt"}
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_failed_run_leaves_nothing_and_harms_nothing(fathom_command, folder, tmp_path):
    out = tmp_path / "out"
    pair = (folder / "left.png", folder / "right.png")
    fathom_command("depth", *pair, "-o", out, "--save", "npy")
    before = (out / "depth.npy").read_bytes()
    (folder / "calib.txt").write_text("cam0=[1 0 0; 0 1 0; 0 0 1]\nbaseline=nonsense\n")
    assert fathom_command("depth", *pair, "-o", out).code == 3
    assert (out / "depth.npy").read_bytes() == before
    assert fathom_command("depth", *pair, "-o", tmp_path / "new").code == 3
    assert not (tmp_path / "new").exists()


USAGE = [
    (("--method", "smg"), "did you mean sgm"),
    (("--max-disparity", "0"), "disparity"),
    (("--max-disparity", "-5"), "disparity"),
    (("--max-disparity", "many"), "max-disparity"),
    (("--min-disparity", "64", "--max-disparity", "32"), "disparity"),
    (("--max-disparty", "32"), "did you mean --max-disparity"),
    (("--focal", "500"), "baseline"),
    (("--focal", "500", "--baseline", "0.1", "--calib", "x"), "not from both"),
    (("--scale", "0"), "scale"),
    (("--threads", "0"), "threads"),
    (("--z-far", "-1"), "z-far"),
    (("--min-confidence", "2"), "min-confidence"),
    (("--method", "sgm", "--device", "cuda"), "CPU only"),
    (("--method", "sgm", "--weights", "x"), "no weights"),
    (("--layout", "diagonal"), "layout"),
    (("--method", "opencv-sgbm", "--uniqueness-ratio", "100"), "uniqueness"),
]


@pytest.mark.parametrize(("words", "message"), USAGE)
def test_usage_errors_are_one_line_and_exit_2(fathom_command, folder, tmp_path, words, message):
    pair = (folder / "left.png", folder / "right.png")
    outcome = fathom_command("depth", *pair, "-o", tmp_path / "out", *words)
    assert outcome.code == 2, outcome.err
    assert message in outcome.error
    assert not (tmp_path / "out").exists()


def test_points_are_of_one_pair(fathom_command, two_folders):
    words = ("--method", "mono+stereo", "--points", "lidar.txt")
    outcome = fathom_command("depth", two_folders / "left", two_folders / "right", *words)
    assert outcome.code == 2 and "points = 'lidar.txt': are of one pair" in outcome.err


def test_one_image_is_a_usage_error(fathom_command, folder):
    outcome = fathom_command("depth", folder / "left.png")
    assert outcome.code == 2
    assert "needs two images" in outcome.error
    assert fathom_command("depth").code == 2
    both = ("-l", folder / "left.png", "-r", folder / "right.png")
    assert fathom_command("depth", *both, folder / "left.png").code == 2


def damaged_png(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text_file(path):
    path.write_text("this is no image")


def tiny_image(path):
    write_png(path, np.zeros((1, 1, 3), np.uint8))


def other_size(path):
    write_png(path, np.zeros((50, 60, 3), np.uint8))


def a_pfm(path):
    path.write_bytes(b"Pf\n2 2\n-1\n" + bytes(16))


def gigantic(path):
    data = bytearray(path.read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil", [damaged_png, text_file, tiny_image, other_size, a_pfm, gigantic, os.unlink]
)
@pytest.mark.parametrize("side", ["left.png", "right.png"])
def test_bad_images_are_one_line_and_exit_3(fathom_command, folder, tmp_path, spoil, side):
    spoil(folder / side)
    pair = (folder / "left.png", folder / "right.png")
    outcome = fathom_command("depth", *pair, "-o", tmp_path / "out")
    assert outcome.code == 3, outcome.err
    assert "png" in outcome.error or "calib.txt" in outcome.error
    assert not (tmp_path / "out").exists()


def replaced(old, new):
    def change(path):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def picture(path):
    write_png(path, np.zeros((5, 5, 3), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (replaced("baseline=193.001", "baseline=0"), ["baseline"]),
        (replaced("baseline=193.001", "baseline=-5"), ["baseline"]),
        (replaced("doffs=31.086", "doffs=nan"), ["doffs"]),
        (replaced("cam0=[994.978", "cam0=[-994.978"), ["fx"]),
        (replaced("width=260", "width=520"), ["520"]),
        (picture, ["calib.txt"]),
        (lambda path: path.write_text(""), ["empty"]),
        (lambda path: path.write_text("hello world\n"), ["calib.txt"]),
    ],
)
def test_bad_calibrations_are_one_line_and_exit_3(fathom_command, folder, tmp_path, spoil, words):
    spoil(folder / "calib.txt")
    pair = (folder / "left.png", folder / "right.png")
    outcome = fathom_command("depth", *pair, "-o", tmp_path / "out")
    assert outcome.code == 3, outcome.err
    for word in ["calib.txt", *words]:
        assert word in outcome.error


def test_resource_errors_exit_4_before_any_work(fathom_command, folder, tmp_path):
    pair = (folder / "left.png", folder / "right.png")
    (tmp_path / "file").write_text("precious")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        outcome = fathom_command("depth", *pair, "-o", out)
        assert outcome.code == 4, outcome.err
        assert "file" in outcome.error
    assert (tmp_path / "file").read_text() == "precious"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "depth.npy").write_text("not fathom's")
    outcome = fathom_command("depth", *pair, "-o", mine)
    assert outcome.code == 4
    assert (mine / "depth.npy").read_text() == "not fathom's"
    assert listing(mine) == {"depth.npy"}


def test_a_pair_of_tiny_images_names_the_file(fathom_command, tmp_path):
    tiny_image(tmp_path / "tiny.png")
    for method in ("sgm", "opencv-sgbm", "opencv-bm"):
        words = (tmp_path / "tiny.png", tmp_path / "tiny.png", "--method", method)
        outcome = fathom_command("depth", *words, "-o", tmp_path / "out")
        assert outcome.code == 3
        assert "tiny.png: image size" in outcome.error


def test_debug_shows_the_traceback(fathom_command, folder):
    with pytest.raises(fathom.InputError):
        fathom_command("depth", folder / "none.png", folder / "right.png", "--debug")


def test_errors_as_json(fathom_command, folder):
    outcome = fathom_command("depth", folder / "none.png", folder / "right.png", "--json")
    error = json.loads(outcome.out)["error"]
    assert error["exit_code"] == 3
    assert "none.png" in error["file"]


def test_a_swapped_pair_is_warned_about(fathom_command, folder, tmp_path):
    pair = (folder / "right.png", folder / "left.png")
    outcome = fathom_command("depth", *pair, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "warning:" in outcome.err
    info = json.loads((tmp_path / "out" / "result.json").read_text())
    assert "swapped" in [f["code"] for f in info["findings"]]


def test_a_range_that_is_too_small_is_told(fathom_command, folder, tmp_path):
    pair = (folder / "left.png", folder / "right.png")
    outcome = fathom_command("depth", *pair, "--max-disparity", "24", "-o", tmp_path / "out")
    assert "--max-disparity" in outcome.err
