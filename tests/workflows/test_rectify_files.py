"""`fathom rectify` as a job: images, folders and videos to rectified ones."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from raw_samples import drifted, simulate

import fathom
from fathom.core import InputError, ResourceError, StereoCalibration, UsageError, View
from fathom.geometry.rectify import exchange, rectify
from fathom.io.calibration import write_calibration
from fathom.io.frames import open_frames, paired_frames
from fathom.io.images import read_image, write_png
from fathom.io.video import write_video
from fathom.rigs.features import match_features
from fathom.workflows.pairs import PairOptions, load_pair
from fathom.workflows.recalibrate import RecalibrateOptions, recalibrate_files
from fathom.workflows.rectify import RectifyOptions, open_pairs, rectify_files


@pytest.fixture(scope="module")
def raw(motorcycle):
    return simulate(motorcycle.pair)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Rows are measured in one pair: matching takes most of the time."""
    monkeypatch.setattr("fathom.workflows.rectify._SAMPLES", 1)


@pytest.fixture
def home(raw, tmp_path):
    """left.png, right.png and rig.json."""
    return raw.write(tmp_path / "raw")


@pytest.fixture
def folders(raw, tmp_path):
    """Three pairs in left/ and right/, and rig.json."""
    for name in ("a", "b", "c"):
        raw.write(tmp_path / "many", name)
    return tmp_path / "many"


def run(left, right, out, pair_options, told=None, **options):
    settings = RectifyOptions(**options)
    frames = open_pairs(left, right, pair_options, settings)
    told = [] if told is None else told
    return rectify_files(frames, out, pair_options, settings, told.append)


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_one_pair(home, raw, tmp_path):
    out = tmp_path / "out"
    info = run(home / "left.png", home / "right.png", out, PairOptions(calib=home / "rig.json"))
    assert names(out) == [
        *("calib.txt", "calibration.json", "left.png", "result.json", "right.png", "rows.png")
    ]
    pair = rectify(raw.calibration)(raw.left, raw.right)
    assert (read_image(out / "left.png") == pair.left.image).all()
    assert (read_image(out / "right.png") == pair.right.image).all()
    assert info["rows"]["before"]["median_px"] > 3
    assert info["rows"]["after"]["median_px"] < 0.3
    assert info["turned"] == 0
    assert json.loads((out / "result.json").read_text())["files"].keys() == set(names(out)) - {
        "result.json"
    }
    # What was written is a pair like any other: its calibration is found beside it.
    again = fathom.read_pair(out / "left.png", out / "right.png")
    assert again.rig.left.fx == pytest.approx(pair.rig.left.fx, rel=1e-6)
    assert fathom.read_calibration(out / "calibration.json") == pair.rig
    assert not fathom.check_pair(again.left, again.right, again.rig)


def test_a_folder_of_pairs_with_everything_kept(folders, raw, tmp_path):
    out = tmp_path / "out"
    options = PairOptions(calib=folders / "rig.json", crop="all")
    info = run(folders / "left", folders / "right", out, options, size="300x200")
    assert info["pairs"] == 3
    assert [f"left/{n}.png" in info["files"] for n in "abc"] == [True] * 3
    assert read_image(out / "right" / "b.png").shape == (200, 300, 3)
    mask = read_image(out / "mask_left.png")[..., 0]
    assert set(np.unique(mask)) == {0, 255}
    assert info["share_seen"][0] == pytest.approx((mask > 0).mean())
    assert not read_image(out / "left" / "a.png")[mask == 0].any()
    # Again over its own result: complete ones are replaced, and nothing is left over.
    run(folders / "left", folders / "right", out, PairOptions(calib=folders / "rig.json"), every=2)
    assert [n for n in names(out) if n.startswith("left")] == ["left/a.png", "left/c.png"]
    assert "mask_left.png" not in names(out)


@pytest.mark.parametrize("layout", [None, "side-by-side"])
def test_videos(raw, tmp_path, layout):
    raw.write(tmp_path)
    shapes = [view.size for view in (raw.left, raw.right)]
    if layout is None:
        sources = [tmp_path / "l.mkv", tmp_path / "r.mkv"]
        images = [[raw.left.image], [raw.right.image]]
    else:
        sources, images = [tmp_path / "both.mkv"], [[np.hstack([raw.left.image, raw.right.image])]]
        shapes = [(2 * shapes[0][0], shapes[0][1])]
    for source, size, frames in zip(sources, shapes, images, strict=True):
        with write_video(source, size, 20) as writer:
            for frame in frames * 3:
                writer.write(frame)
    out = tmp_path / "out"
    options = PairOptions(calib=tmp_path / "rig.json", layout=layout)
    right = sources[1] if layout is None else None
    info = run(sources[0], right, out, options)
    assert info["pairs"] == 3
    pair = rectify(raw.calibration)(raw.left, raw.right)
    for side in ("left", "right"):
        found = open_frames(out / f"{side}.mkv")
        assert (found.count, found.rate) == (3, pytest.approx(20))
        for frame in found:
            assert (frame.view.image == getattr(pair, side).image).all()
    assert "calib.txt" in names(out)
    run(sources[0], right, tmp_path / "images", options, images=True)
    assert [n for n in names(tmp_path / "images") if n.startswith("left/")] == [
        f"left/{sources[0].stem}_{i:06d}.png" for i in range(3)
    ]


def test_an_interrupted_job_goes_on(folders, raw, tmp_path, monkeypatch):
    out, told = tmp_path / "out", []
    options = PairOptions(calib=folders / "rig.json")
    settings = RectifyOptions()
    frames = open_pairs(folders / "left", folders / "right", options, settings)

    def stop(name):
        if name == "c":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rectify_files(frames, out, options, settings, told.append, stop)
    assert "2 pairs are kept: the same command goes on from there" in told
    assert not out.exists()
    from fathom.io import images

    written, plain = [], images.write_png
    monkeypatch.setattr(images, "write_png", lambda p, a: written.append(p.name) or plain(p, a))
    told.clear()
    info = run(folders / "left", folders / "right", out, options, told)
    assert info["pairs"] == 3
    assert "2 of 3 pairs were there from an interrupted run" in told
    assert written.count("c.png") == 2
    assert "a.png" not in written
    assert len([n for n in names(out) if n.startswith(("left/", "right/"))]) == 6
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("change", ["size", "calibration"])
def test_another_job_does_not_go_on_from_there(folders, raw, tmp_path, change):
    out = tmp_path / "out"
    options, settings = PairOptions(calib=folders / "rig.json"), RectifyOptions()
    frames = open_pairs(folders / "left", folders / "right", options, settings)

    def stop(name):
        if name == "b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rectify_files(frames, out, options, settings, advance=stop)
    calibration, size = raw.calibration, (200, 100)
    if change == "calibration":
        calibration, size = drifted(calibration, 0.01, 0, 0), None
        write_calibration(folders / "rig.json", calibration)
    shown = None if size is None else f"{size[0]}x{size[1]}"
    run(folders / "left", folders / "right", out, options, size=shown)
    expected = rectify(calibration, size=size)(raw.left, raw.right)
    assert (read_image(out / "left" / "a.png") == expected.left.image).all()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_bad_frame_leaves_nothing(folders, tmp_path):
    write_png(folders / "right" / "c.png", np.zeros((7, 7, 3), np.uint8))
    options = PairOptions(calib=folders / "rig.json")
    with pytest.raises(InputError, match=r"c\.png.*differs in size"):
        run(folders / "left", folders / "right", tmp_path / "out", options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["many"]


def test_inputs_and_foreign_files_are_safe(home, folders, tmp_path):
    options = PairOptions(calib=home / "rig.json")
    pair = (home / "left.png", home / "right.png")
    with pytest.raises(UsageError, match="holds an input"):
        run(*pair, home, options)
    with pytest.raises(UsageError, match="holds an input"):
        run(folders / "left", folders / "right", folders, options)
    out = tmp_path / "mine"
    out.mkdir()
    (out / "left.png").write_text("mine")
    with pytest.raises(ResourceError, match="would be overwritten"):
        run(*pair, out, options)
    assert (out / "left.png").read_text() == "mine"
    assert names(out) == ["left.png"]


def test_cameras_above_each_other(motorcycle, tmp_path):
    raw = simulate(motorcycle.pair, quarter=1)
    home = raw.write(tmp_path / "raw")
    images = (home / "left.png", home / "right.png")
    options = PairOptions(calib=home / "rig.json")
    told = []
    info = run(*images, tmp_path / "out", options, told)
    assert abs(info["turned"]) == 90
    assert any("above each other" in line for line in told)
    # Before, it is columns that differ: rows hold the parallax.
    matches = match_features(raw.left, raw.right)
    apart = np.median(np.abs(matches.right - matches.left), axis=0)
    assert info["rows"]["before"]["median_px"] == pytest.approx(apart[0], rel=0.1)
    assert abs(apart[1] - apart[0]) > 0.15 * apart[0]
    assert info["rows"]["after"]["median_px"] < 0.3
    # The main job takes the same way, and says so.
    loaded = load_pair(*images, options)
    assert loaded.turned == info["turned"]
    assert any("so are all results" in note for note in loaded.notes)
    assert (loaded.pair.left.image == read_image(tmp_path / "out" / "left.png")).all()
    depth = fathom.create("sgm", max_disparity=64)(loaded.pair).to_depth(loaded.pair.rig)
    truth = motorcycle.truth.to_depth(motorcycle.pair.rig)
    assert np.nanmedian(depth.values) == pytest.approx(np.nanmedian(truth.values), rel=0.1)
    upright = rectify(raw.calibration).turn_back(loaded.pair.left.image)
    assert upright.shape[:2] == raw.left.shape


def test_every_raw_pixel_in_the_main_job(home, tmp_path):
    from fathom.cli.main import main

    images = [home / "left.png", home / "right.png"]
    words = ["--calib", str(home / "rig.json"), "--crop", "all", "-o", str(tmp_path / "out")]
    assert (
        main(["depth", *map(str, images), *words, "--method", "opencv-bm", "--scale", "0.7"]) == 0
    )
    loaded = load_pair(*images, PairOptions(calib=home / "rig.json", crop="all", scale=0.7))
    assert loaded.unseen.shape == loaded.pair.shape
    assert 0.02 < loaded.unseen.mean() < 0.5
    assert not loaded.pair.left.image[loaded.unseen].max() > 200
    result = fathom.read_result(tmp_path / "out")
    assert not result.disparity.known[loaded.unseen].any()
    assert result.info["inputs"]["turned"] == 0
    assert load_pair(*images, PairOptions(calib=home / "rig.json")).unseen is None


def test_cameras_of_unequal_size(motorcycle, tmp_path):
    raw = simulate(motorcycle.pair, right_scale=0.8)
    home = raw.write(tmp_path / "raw")
    assert raw.left.size != raw.right.size
    images = (home / "left.png", home / "right.png")
    info = run(*images, tmp_path / "out", PairOptions(calib=home / "rig.json"))
    assert info["rows"]["after"]["median_px"] < 0.4
    pair = fathom.read_pair(*images, calib=home / "rig.json")
    assert pair.size == raw.left.size
    write_calibration(home / "rig.json", pair.rig)
    with pytest.raises(InputError, match="two images differ in size"):
        fathom.read_pair(*images, calib=home / "rig.json")


def test_exchanged_cameras(home, raw, tmp_path):
    write_calibration(home / "rig.json", exchange(raw.calibration))
    options = PairOptions(calib=home / "rig.json")
    with pytest.raises(InputError, match=r"rig\.json.*left of the left"):
        run(home / "right.png", home / "left.png", tmp_path / "out", options)
    info = run(home / "right.png", home / "left.png", tmp_path / "out", options, exchange=True)
    assert info["inputs"]["exchanged"] is True
    expected = rectify(raw.calibration)(raw.left, raw.right)
    assert (read_image(tmp_path / "out" / "left.png") == expected.left.image).all()


def test_without_calibration(home, raw, tmp_path):
    told = []
    pair = (home / "left.png", home / "right.png")
    out = tmp_path / "out"
    info = run(*pair, out, PairOptions(), told, uncalibrated=True, size="300x202")
    assert any("metres are unknown" in line for line in told)
    assert info["metric"] is False
    assert info["rig"] is None
    assert not [n for n in names(out) if "calib" in n]
    assert info["rows"]["after"]["median_px"] < 0.5 < info["rows"]["before"]["median_px"]
    assert read_image(out / "left.png").shape == (202, 300, 3)
    views = [View(read_image(out / f"{side}.png")) for side in ("left", "right")]
    codes = [finding.code for finding in fathom.check_pair(*views)]
    assert "unrectified" not in codes
    for words in ({"exchange": True}, {}):
        options = PairOptions() if words else PairOptions(calib=home / "rig.json")
        with pytest.raises(UsageError, match="without a calibration"):
            run(*pair, out, options, uncalibrated=True, **words)
    write_png(home / "right.png", raw.right.image[:-4])
    with pytest.raises(InputError, match="must not"):
        run(*pair, tmp_path / "x", PairOptions(), uncalibrated=True)


def test_frames_of_another_size_without_calibration(folders, tmp_path):
    from fathom.workflows.rectify_rows import uncalibrated_warp

    frames = paired_frames(folders / "left", folders / "right")
    warp = uncalibrated_warp(frames, None, lambda line: None)
    with pytest.raises(InputError, match="differs in size from the first"):
        warp(View(np.zeros((9, 9, 3), np.uint8)), View(np.zeros((9, 9, 3), np.uint8)))


def test_a_calibration_that_does_not_fit(home, raw, tmp_path):
    pair = (home / "left.png", home / "right.png")
    wrong = drifted(raw.calibration, 0.02, 0, 0.02)
    write_calibration(home / "rig.json", wrong)
    told = []
    info = run(*pair, tmp_path / "out", PairOptions(calib=home / "rig.json"), told)
    assert any("rows still disagree" in line and "--recalibrate" in line for line in told)
    assert any("rows still disagree" in note for note in info["notes"])
    far = replace(raw.calibration, translation=raw.calibration.translation * 1000)
    write_calibration(home / "rig.json", far)
    run(*pair, tmp_path / "out", PairOptions(calib=home / "rig.json"), told)
    assert any("a baseline of" in line and "implausible" in line for line in told)
    small = [replace(c, width=100) for c in (wrong.left, wrong.right)]
    odd = StereoCalibration(*small, wrong.rotation, wrong.translation)
    write_calibration(home / "rig.json", odd)
    with pytest.raises(InputError, match="another image size"):
        run(*pair, tmp_path / "out", PairOptions(calib=home / "rig.json"))
    write_calibration(home / "rig.json", rectify(raw.calibration).rig)
    with pytest.raises(InputError, match="rectified already"):
        run(*pair, tmp_path / "out", PairOptions(calib=home / "rig.json"))
    (home / "rig.json").unlink()
    with pytest.raises(UsageError, match="no calibration is given"):
        run(*pair, tmp_path / "out", PairOptions())


def test_images_that_tell_nothing_about_rows(home, tmp_path, raw):
    for side in ("left", "right"):
        write_png(home / f"{side}.png", np.full(raw.left.image.shape, 90, np.uint8))
    told = []
    pair = (home / "left.png", home / "right.png")
    info = run(*pair, tmp_path / "out", PairOptions(calib=home / "rig.json"), told)
    assert info["rows"]["after"] is None
    assert any("too few points" in line for line in told)


def test_sizes_that_are_none():
    assert RectifyOptions(size="640x480").pixels() == (640, 480)
    assert RectifyOptions().pixels() is None
    for text in ("640", "640x", "ax480", "640x480x3", "-640x480"):
        with pytest.raises(UsageError, match="is no image size"):
            RectifyOptions(size=text).pixels()


def recalibrate(folder, out, told=None, **options):
    pair_options = PairOptions(calib=folder / "rig.json")
    frames = paired_frames(folder / "left", folder / "right")
    told = [] if told is None else told
    return recalibrate_files(
        frames, out, pair_options, RecalibrateOptions(**options), notify=told.append
    )


def test_a_drifted_rig_is_mended(folders, raw, tmp_path):
    write_calibration(folders / "rig.json", drifted(raw.calibration, 0.008, 0, -0.01))
    out = tmp_path / "new.json"
    info = recalibrate(folders, out, pairs=2)
    assert info["pairs"] == 2
    assert info["rows"]["before_px"] > 2
    assert info["rows"]["after_px"] < 0.5
    assert abs(info["angles"]["pitch"]["degrees"]) == pytest.approx(np.degrees(0.008), abs=0.06)
    assert abs(info["angles"]["roll"]["degrees"]) == pytest.approx(np.degrees(0.01), abs=0.06)
    assert any("before" in line for line in info["text"])
    # With it, the images are rectified as with the true calibration; and there is no more to do.
    check = run(folders / "left", folders / "right", tmp_path / "out", PairOptions(calib=out))
    assert check["rows"]["after"]["median_px"] < 0.4
    shutil.copy(out, folders / "rig.json")
    before = out.read_bytes()
    with pytest.raises(InputError, match=r"makes the rows agree better.*keep this calibration"):
        recalibrate(folders, out)
    assert out.read_bytes() == before


def test_what_cannot_be_mended(folders, raw, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="it is an input"):
        recalibrate(folders, folders / "rig.json")
    (tmp_path / "notes.json").write_text("mine")
    with pytest.raises(ResourceError, match="no calibration"):
        recalibrate(folders, tmp_path / "notes.json")
    with pytest.raises(ResourceError, match="is a folder"):
        recalibrate(folders, tmp_path)
    with pytest.raises(UsageError, match="pairs"):
        RecalibrateOptions(pairs=0)
    frames = paired_frames(folders / "left", folders / "right")
    with pytest.raises(UsageError, match="no calibration is given"):
        recalibrate_files(frames, tmp_path / "x.json", PairOptions(), RecalibrateOptions())
    flat = np.full(raw.left.image.shape, 90, np.uint8)
    told = []
    write_png(folders / "left" / "a.png", flat)
    write_calibration(folders / "rig.json", drifted(raw.calibration, 0.008, 0, -0.01))
    recalibrate(folders, tmp_path / "new.json", told)
    assert any("a: left out" in line for line in told)
    for name in "abc":
        write_png(folders / "left" / f"{name}.png", flat)
    with pytest.raises(InputError, match="not one pair"):
        recalibrate(folders, tmp_path / "x.json")
    for name in "abc":
        write_png(folders / "left" / f"{name}.png", flat[:-2])
    with pytest.raises(InputError, match="image size"):
        recalibrate(folders, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_boards_of_opencv_have_rows_that_agree(shared):
    """OpenCV's own calibration of its sample, as its sample program makes it."""
    home = shared / "data" / "calibration" / "opencv_chessboards"
    target = np.zeros((54, 3), np.float32)
    target[:, :2] = np.mgrid[:9, :6].T.reshape(-1, 2)
    corners = {"left": [], "right": []}
    stop = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 0.01)
    for file in sorted(home.glob("left*.jpg")):
        for side, found in corners.items():
            grey = cv2.imread(str(home / file.name.replace("left", side)), cv2.IMREAD_GRAYSCALE)
            good, points = cv2.findChessboardCorners(grey, (9, 6))
            assert good
            found.append(cv2.cornerSubPix(grey, points, (11, 11), (-1, -1), stop))
    boards = [target] * 13
    assert len(corners["left"]) == 13
    k = [cv2.initCameraMatrix2D(boards, found, (640, 480)) for found in corners.values()]
    flags = (
        cv2.CALIB_FIX_ASPECT_RATIO
        | cv2.CALIB_ZERO_TANGENT_DIST
        | cv2.CALIB_USE_INTRINSIC_GUESS
        | cv2.CALIB_SAME_FOCAL_LENGTH
        | cv2.CALIB_RATIONAL_MODEL
        | cv2.CALIB_FIX_K3
        | cv2.CALIB_FIX_K4
        | cv2.CALIB_FIX_K5
    )
    _, k1, d1, k2, d2, rotation, shift, *_ = cv2.stereoCalibrate(
        boards, corners["left"], corners["right"], k[0], None, k[1], None, (640, 480),
        flags=flags, criteria=(cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-5),
    )  # fmt: skip
    cameras = [
        fathom.Camera(640, 480, m[0, 0], m[1, 1], m[0, 2], m[1, 2], distortion=tuple(d.ravel()[:8]))
        for m, d in ((k1, d1), (k2, d2))
    ]
    calibration = StereoCalibration(*cameras, rotation, shift.ravel() * 0.025)
    result = rectify(calibration)
    errors = []
    for left, right in zip(corners["left"], corners["right"], strict=True):
        a = result.points(left.reshape(-1, 2).astype(float), "left")
        b = result.points(right.reshape(-1, 2).astype(float), "right")
        errors.append((b - a)[:, 1])
    rows = np.concatenate(errors)
    assert np.isfinite(rows).all()
    assert np.sqrt(np.mean(rows**2)) < 0.5
    assert np.quantile(np.abs(rows), 0.95) < 0.7
