"""`fathom nearer`: what is nearer than a plane, with any method."""

import json

import numpy as np
import pytest

from fathom.io.images import read_image


def test_metres_with_a_calibration(fathom_command, folder, tmp_path, small_pair):
    out = tmp_path / "result"
    call = ("nearer", folder / "left.png", folder / "right.png", "--plane", "3m", "-o", out)
    done = fathom_command(*call, "--method", "sgm", "--json")
    assert done.code == 0, done.err
    info = json.loads(done.out)
    plane, result = info["plane"], info["result"]
    assert plane["distance_m"] == pytest.approx(3)
    rig = small_pair.rig
    assert plane["disparity_px"] == pytest.approx(rig.left.fx * rig.baseline / 3 - rig.doffs)
    shares = [result[f"share_{k}"] for k in ("nearer", "not_nearer", "unknown")]
    assert sum(shares) == pytest.approx(1) and shares[0] > 0.1
    mask = read_image(out / "mask.png")[..., 0]
    assert (mask == 255).mean() == pytest.approx(shares[0])
    probability = np.load(out / "probability.npy")
    assert (probability >= 0.5).mean() == pytest.approx(shares[0])
    assert json.loads((out / "result.json").read_text())["result"] == result
    assert (out / "nearer.png").stat().st_size > 1000
    assert fathom_command(*call, "--method", "opencv-bm").code == 0  # over an earlier result


def test_pixels_and_what_is_printed(fathom_command, folder):
    call = ("nearer", folder / "left.png", folder / "right.png", "--disparity", "30")
    done = fathom_command(*call, "--method", "sgm", "--at-least", "0.9")
    assert done.code == 0 and "% of the pixels are nearer than" in done.out
    assert "disparity 30.0 px" in done.out and "are unknown" in done.out


def test_the_search_reaches_the_plane(fathom_command, folder):
    call = ("nearer", folder / "left.png", folder / "right.png", "--disparity", "90", "--json")
    done = fathom_command(*call, "--method", "sgm")
    assert done.code == 0, done.err
    assert json.loads(done.out)["method"]["max_disparity"] == 94
    done = fathom_command(*call, "--method", "sgm", "--max-disparity", "64")
    assert done.code == 2 and "search up to --max-disparity 95 or more" in done.error


def test_a_plane_without_a_calibration_shows_no_metres(fathom_command, folder):
    (folder / "calib.txt").unlink()
    call = ("nearer", folder / "left.png", folder / "right.png", "--method", "sgm", "--no-check")
    done = fathom_command(*call, "--plane", "30px")
    assert done.code == 0 and " m (" not in done.out and "than disparity 30 px" in done.out
    done = fathom_command(*call, "--plane", "3m")
    assert done.code == 2 and "there is no calibration" in done.error


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), "no plane is given"),
        (("--plane", "3m", "--disparity", "9"), "said twice"),
        (("--plane", "3 miles"), "is no plane"),
        (("--plane", "-3m"), "is no plane"),
        (("--plane", "-3000px", "--method", "sgm"), "lies outside the images"),
        (("--disparity", "nan"), "is no plane"),
        (("--disparity", "9", "--at-least", "0"), "is no probability"),
        (("--disparity", "9", "--at-least", "nan"), "is no probability"),
        (("--disparity", "9", "--method", "sgn"), "unknown method"),
        (("--disparity", "9", "--method", "bi3d-binary"), "weights"),
        (("--disparity", "3000", "--method", "sgm"), "lies outside the images"),
        (("--disparity", "9", "--paths", "8", "--method", "opencv-bm"), "unknown flag --paths"),
    ],
)
def test_questions_that_cannot_be(fathom_command, folder, flags, problem, monkeypatch, tmp_path):
    monkeypatch.setenv("FATHOM_CACHE_DIR", str(tmp_path / "cache"))
    done = fathom_command("nearer", folder / "left.png", folder / "right.png", *flags)
    assert done.code in (2, 3) and problem in done.error


def test_folders_are_not_pairs(fathom_command, folder):
    done = fathom_command("nearer", folder, folder, "--disparity", "9")
    assert done.code in (2, 3)
    done = fathom_command("nearer", folder / "left.png", "--disparity", "9")
    assert done.code == 2 and "RIGHT" in done.error


def test_an_input_is_never_replaced(fathom_command, folder):
    call = ("nearer", folder / "left.png", folder / "right.png", "--disparity", "20", "-o", folder)
    first = fathom_command(*call, "--method", "sgm")
    assert first.code == 0, first.err
    assert (folder / "left.png").exists() and (folder / "calib.txt").exists()
    again = fathom_command(*call, "--method", "sgm")
    assert again.code == 2 and "holds an input" in again.error
