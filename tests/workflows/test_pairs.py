"""Reading a pair, above all from a raw rig: rectified on the way in, with metres that are right."""

import logging

import cv2
import numpy as np
import pytest

import fathom
from fathom.core import InputError, UsageError
from fathom.io.images import write_png
from fathom.workflows.pairs import PairOptions, load_pair

TURNED = {"left": (0.02, 0.03, -0.015), "right": (-0.01, -0.02, 0.02)}
TERMS = np.array([-0.12, 0.03, 0.0005, -0.0004, 0.0])


def raw_camera(rig, side):
    """K, distortion and rotation (raw to rectified frame) of one simulated raw camera."""
    ideal = rig.left if side == "left" else rig.right
    k = ideal.matrix.copy()
    k[0, 0] *= 0.97
    k[1, 1] *= 0.98
    k[:2, 2] += (6, -4) if side == "left" else (-5, 7)
    return k, TERMS, cv2.Rodrigues(np.array(TURNED[side]))[0]


def raw_image(image, rig, side):
    """What that camera would have seen of the rectified image's scene."""
    k, terms, turn = raw_camera(rig, side)
    height, width = image.shape[:2]
    v, u = np.mgrid[:height, :width].astype(np.float64)
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)[:, None]
    rays = cv2.undistortPoints(pixels, k, terms).reshape(-1, 2)
    rays = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) @ turn.T
    ideal = rig.left if side == "left" else rig.right
    x = (rays[:, 0] / rays[:, 2] * ideal.fx + ideal.cx).reshape(height, width)
    y = (rays[:, 1] / rays[:, 2] * ideal.fy + ideal.cy).reshape(height, width)
    return cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)


def write_opencv(path, rig, scale=1.0):
    """The raw rig as an OpenCV FileStorage; `scale` 1000 writes millimetres."""
    (k1, d1, r1), (k2, d2, r2) = raw_camera(rig, "left"), raw_camera(rig, "right")
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in (
        ("M1", k1),
        ("D1", d1[None]),
        ("M2", k2),
        ("D2", d2[None]),
        ("R", r2.T @ r1),
        ("T", -r2.T @ np.array([[rig.baseline * scale], [0], [0]])),
    ):
        storage.write(name, value)
    storage.release()


@pytest.fixture(scope="module")
def raw(motorcycle, tmp_path_factory):
    """A folder with the raw pair and its calibration."""
    home = tmp_path_factory.mktemp("raw")
    for side in ("left", "right"):
        view = getattr(motorcycle.pair, side)
        write_png(home / f"{side}.png", raw_image(view.image, motorcycle.pair.rig, side))
    write_opencv(home / "rig.yml", motorcycle.pair.rig)
    return home


def test_a_raw_rig_gives_metres_that_are_right(raw, motorcycle, caplog):
    with caplog.at_level(logging.WARNING, logger="fathom"):
        pair = fathom.read_pair(raw / "left.png", raw / "right.png", calib=raw / "rig.yml")
    assert "rectified first" in caplog.text
    assert pair.rig.baseline == pytest.approx(motorcycle.pair.rig.baseline, rel=1e-6)
    depth = fathom.create("sgm", max_disparity=128)(pair).to_depth(pair.rig).values
    # The range along a ray is the same in every frame: compare it with the truth's.
    calibration = fathom.read_calibration(raw / "rig.yml", image_size=(741, 500))
    grid = fathom.rectify(calibration).left_map
    k, terms, turn = raw_camera(motorcycle.pair.rig, "left")
    rays = cv2.undistortPoints(grid.reshape(-1, 1, 2).astype(np.float64), k, terms).reshape(-1, 2)
    rays = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) @ turn.T
    rig = motorcycle.pair.rig
    x = np.rint(rays[:, 0] / rays[:, 2] * rig.left.fx + rig.left.cx).astype(int)
    y = np.rint(rays[:, 1] / rays[:, 2] * rig.left.fy + rig.left.cy).astype(int)
    inside = (x >= 0) & (x < 741) & (y >= 0) & (y < 500)
    truth = motorcycle.truth.to_depth(rig).values
    true_range = np.full(len(x), np.nan)
    length = np.linalg.norm(rays, axis=1) / rays[:, 2]
    true_range[inside] = truth[y[inside], x[inside]] * length[inside]
    v, u = np.mgrid[:500, :741]
    own = np.stack(
        [(u - pair.rig.left.cx) / pair.rig.left.fx, (v - pair.rig.left.cy) / pair.rig.left.fy]
    )
    found_range = depth * np.sqrt(1 + (own**2).sum(axis=0))
    ratio = found_range.ravel() / true_range
    known = np.isfinite(ratio)
    assert np.median(ratio[known]) == pytest.approx(1, abs=0.005)
    assert (np.abs(ratio[known] - 1) < 0.03).mean() > 0.85


def test_without_rectification_the_raw_pair_is_found_out(raw):
    findings = fathom.check_pair(
        fathom.read_view(raw / "left.png"), fathom.read_view(raw / "right.png")
    )
    assert "unrectified" in [finding.code for finding in findings]


def test_the_command_line_rectifies_and_keeps_the_rectified_pair(raw, tmp_path, capsys):
    from fathom.cli.main import main

    words = ["depth", raw / "left.png", raw / "right.png", "--calib", raw / "rig.yml"]
    assert main([*map(str, words), "-o", str(tmp_path / "out")]) == 0
    assert "rectified first" in capsys.readouterr().err
    again = fathom.read_pair(tmp_path / "out" / "left.png", tmp_path / "out" / "right.png")
    first = fathom.read_pair(raw / "left.png", raw / "right.png", calib=raw / "rig.yml")
    assert (again.left.image == first.left.image).all()
    # calib.txt beside it was found by itself, and is the rig.
    assert again.rig.left.fx == pytest.approx(first.rig.left.fx, rel=1e-6)
    assert main(["check", *map(str, words[1:])]) == 0
    result = fathom.read_result(tmp_path / "out")
    assert result.info["inputs"]["rectified_here"] is True


def test_rectified_declares_it_done(raw, motorcycle):
    options = PairOptions(calib=raw / "rig.yml", rectified=True)
    loaded = load_pair(raw / "left.png", raw / "right.png", options)
    assert not loaded.changed
    assert not loaded.rectified_here
    assert "declared rectified" in loaded.notes[0]
    assert loaded.pair.rig is not None
    plain = fathom.read_view(raw / "left.png")
    assert (loaded.pair.left.image == plain.image).all()


def test_millimetres_are_asked_about_and_then_understood(raw, motorcycle, tmp_path):
    write_opencv(tmp_path / "mm.yml", motorcycle.pair.rig, scale=1000)
    images = (raw / "left.png", raw / "right.png")
    with pytest.raises(InputError, match="unit"):
        fathom.read_pair(*images, calib=tmp_path / "mm.yml")
    pair = fathom.read_pair(*images, calib=tmp_path / "mm.yml", unit="mm")
    assert pair.rig.baseline == pytest.approx(motorcycle.pair.rig.baseline, rel=1e-6)


def test_a_file_with_both_raw_cameras_and_a_rectified_rig(raw, tmp_path, motorcycle):
    rig = motorcycle.pair.rig
    text = (raw / "rig.yml").read_text()
    q = np.array(
        [
            [1, 0, 0, -rig.left.cx],
            [0, 1, 0, -rig.left.cy],
            [0, 0, 0, rig.left.fx],
            [0, 0, 1 / rig.baseline, rig.doffs / rig.baseline],
        ]
    )
    rows = ", ".join(f"{v!r}" for v in q.ravel().tolist())
    text += f"Q: !!opencv-matrix\n   rows: 4\n   cols: 4\n   dt: d\n   data: [ {rows} ]\n"
    (tmp_path / "both.yml").write_text(text)
    raw_rig = fathom.read_calibration(tmp_path / "both.yml", image_size=(741, 500))
    assert isinstance(raw_rig, fathom.StereoCalibration)
    ready = fathom.read_calibration(tmp_path / "both.yml", image_size=(741, 500), rectified=True)
    assert isinstance(ready, fathom.StereoRig)
    assert ready.doffs == pytest.approx(rig.doffs)
    assert ready.baseline == pytest.approx(rig.baseline)


def test_kitti_folders_choose_their_cameras(tmp_path, motorcycle):
    rows = {
        0: [700, 0, 370, 0, 0, 700, 250, 0, 0, 0, 1, 0],
        1: [700, 0, 370, -350, 0, 700, 250, 0, 0, 0, 1, 0],
        2: [700, 0, 370, 42, 0, 700, 250, 0, 0, 0, 1, 0],
        3: [700, 0, 370, -336, 0, 700, 250, 0, 0, 0, 1, 0],
    }
    text = "".join(f"P{i}: {' '.join(map(str, row))}\n" for i, row in rows.items())
    (tmp_path / "calib.txt").write_text(text)
    for name in ("image_0", "image_1", "image_2", "image_3"):
        (tmp_path / name).mkdir()
        write_png(tmp_path / name / "000000.png", motorcycle.pair.left.image)
    grey = fathom.read_pair(tmp_path / "image_0/000000.png", tmp_path / "image_1/000000.png")
    color = fathom.read_pair(tmp_path / "image_2/000000.png", tmp_path / "image_3/000000.png")
    assert grey.rig.baseline == pytest.approx(0.5)
    assert color.rig.baseline == pytest.approx(0.54)


@pytest.mark.usefixtures("unchecked")
def test_options_that_contradict_each_other(raw):
    images = (raw / "left.png", raw / "right.png")
    for options, word in (
        ({"focal": 500.0}, "belong together"),
        ({"focal": 500.0, "baseline": 0.1, "calib": "x"}, "not from both"),
        ({"layout": "side-by-side"}, "two were given"),
        ({"layout": "askew"}, "layout"),
        ({"unit": "inch"}, "unit"),
    ):
        with pytest.raises(UsageError, match=word):
            fathom.read_pair(*images, **options)
    with pytest.raises(UsageError, match="two images"):
        fathom.read_pair(images[0])
