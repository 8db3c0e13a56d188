"""`fathom calibrate` and `fathom board` from files to files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from board_scenes import fine_rays, pinhole_rig, poses, render, right_pose
from PIL import Image

from fathom.cli.main import main
from fathom.core import InputError, ResourceError, UsageError
from fathom.io.calibration import read_calibration, read_uncertainty
from fathom.io.video import write_video
from fathom.rigs.boards import Board
from fathom.workflows.board import BoardOptions, write_board
from fathom.workflows.calibrate import Shot, ShotOptions, _most_different, calibrate_files
from fathom.workflows.calibrate_outputs import FILES

BOARD = Board()
RIG = pinhole_rig(320, 240)


@pytest.fixture(scope="module")
def images() -> list[tuple[np.ndarray, np.ndarray]]:
    looks = fine_rays(RIG.left), fine_rays(RIG.right)
    return [
        (
            render(RIG.left, BOARD, pose, looks[0]),
            render(RIG.right, BOARD, right_pose(RIG, pose), looks[1]),
        )
        for pose in poses(RIG, BOARD, 6, seed=3)
    ]


@pytest.fixture(scope="module")
def folders(images, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("shots")
    for side in (0, 1):
        folder = place / ("left", "right")[side]
        folder.mkdir()
        for i, pair in enumerate(images):
            Image.fromarray(pair[side]).save(folder / f"shot{i}.png")
    return place


@pytest.fixture(scope="module")
def done(folders, tmp_path_factory) -> tuple[Path, list[str]]:
    out = tmp_path_factory.mktemp("results") / "calibration"
    lines: list[str] = []
    calibrate_files(folders / "left", folders / "right", out, BOARD, notify=lines.append)
    return out, lines


def test_a_folder_of_shots_becomes_a_calibration(done) -> None:
    out, lines = done
    assert sorted(p.name for p in out.iterdir()) == sorted(FILES)
    info = json.loads((out / "result.json").read_text())
    assert set(info["files"]) == set(FILES) - {"result.json"}
    assert info["rms_px"] < 0.2 and info["row_rms_px"] < 0.3
    assert info["level"] in ("good", "usable", "poor") and info["shoot_next"]
    ours, theirs = (read_calibration(out / f"calibration.{s}") for s in ("json", "yml"))
    sigma = read_uncertainty(out / "calibration.json")
    assert abs(ours.baseline - RIG.baseline) < 4 * sigma["baseline_m"] + 1e-5
    assert abs(ours.left.fx - RIG.left.fx) < 4 * sigma["left.fx"]
    assert theirs.left.fx == pytest.approx(ours.left.fx, rel=1e-12)
    assert any(line.startswith("[6/6]") for line in lines)
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(out / name) as picture:
                assert picture.size[0] > 200
    page = (out / "report.html").read_text()
    for words in ("What to shoot next", "Coverage of the images", "Residuals", "baseline"):
        assert words in page


def test_the_command_prints_what_matters(folders, tmp_path, capsys) -> None:
    out = tmp_path / "c"
    words = ["calibrate", str(folders / "left"), str(folders / "right"), "-o", str(out)]
    code = main(words)
    text = capsys.readouterr().out
    assert code == (1 if "this calibration is poor" in text else 0)
    for part in ("reprojection RMS", "baseline ", "shoot next:", "refined together", "wrote "):
        assert part in text
    assert main([*words, "--json", "--no-refine"]) in (0, 1)
    info = json.loads(capsys.readouterr().out)
    assert info["settings"]["refine"] is False and info["kind"] == "calibration"


def test_another_board_is_named_and_nothing_is_written(folders, done, tmp_path) -> None:
    left, right = folders / "left", folders / "right"
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"board = 'chessboard of 5 x 4.*larger.*9 x 6"):
        calibrate_files(left, right, out, Board(columns=5, rows=4))
    with pytest.raises(InputError, match=r"not found in any of 6 views, but a chessboard of 9 x 6"):
        calibrate_files(left, right, out, Board(columns=13, rows=10))
    assert not out.exists()
    before = {p.name: p.read_bytes() for p in done[0].iterdir()}
    with pytest.raises(InputError, match="not found"):
        calibrate_files(left, right, done[0], Board("charuco", 10, 7))
    assert {p.name: p.read_bytes() for p in done[0].iterdir()} == before


def test_images_without_a_board_are_refused(tmp_path) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for i in range(3):
            Image.fromarray(np.full((90, 120), 99, np.uint8)).save(tmp_path / side / f"{i}.png")
    with pytest.raises(InputError, match="not found in any of 3 views; expected the whole board"):
        calibrate_files(tmp_path / "left", tmp_path / "right", tmp_path / "out", BOARD)


def test_mixed_sizes_are_named(images, tmp_path) -> None:
    for side in (0, 1):
        folder = tmp_path / ("left", "right")[side]
        folder.mkdir()
        for i, pair in enumerate(images[:3]):
            image = pair[side] if i < 2 else pair[side][:200]
            Image.fromarray(image).save(folder / f"{i}.png")
    with pytest.raises(InputError, match=r"2\.png.*320x200.*expected 320x240"):
        calibrate_files(tmp_path / "left", tmp_path / "right", tmp_path / "out", BOARD)
    assert not (tmp_path / "out").exists()


def test_files_of_others_are_not_touched(folders, tmp_path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(ResourceError, match=r"report\.html"):
        calibrate_files(folders / "left", folders / "right", tmp_path, BOARD)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("both", [True, False], ids=["side-by-side", "two-files"])
def test_videos_give_sharp_and_different_frames(images, tmp_path, both: bool) -> None:
    def frames(i: int) -> Iterator[np.ndarray]:
        for pair in images:
            image = np.concatenate(pair, axis=1) if both else pair[i]
            blurred = cv2.GaussianBlur(image, (0, 0), 4)
            for one in (blurred, image, image, blurred):
                yield np.repeat(one[..., None], 3, axis=2)

    paths = [tmp_path / "both.avi"] if both else [tmp_path / "left.avi", tmp_path / "right.avi"]
    for i, path in enumerate(paths):
        with write_video(path, (640 if both else 320, 240), 30) as video:
            for frame in frames(i):
                video.write(frame)
    options = ShotOptions(layout="side-by-side" if both else None, max_views=5)
    run = calibrate_files(paths[0], None if both else paths[1], tmp_path / "out", BOARD, options)
    assert 4 <= len(run.result.views) <= 5
    assert run.result.rms < 0.2  # blurred frames would be worse
    assert run.result.calibration.baseline == pytest.approx(RIG.baseline, rel=0.02)


@pytest.mark.parametrize("late", [False, True], ids=["looking", "writing"])
def test_an_interrupt_leaves_nothing(folders, done, tmp_path, monkeypatch, late: bool) -> None:
    def stop(line: str) -> None:
        if line.startswith("[2/"):
            raise KeyboardInterrupt

    def stop_writing(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    if late:
        monkeypatch.setattr("fathom.viz.calibration_report.calibration_report", stop_writing)
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    notify = (lambda line: None) if late else stop
    for folder in (out, tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            calibrate_files(folders / "left", folders / "right", folder, BOARD, notify=notify)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_farthest_shots_are_kept() -> None:
    from fathom.rigs.board_detect import BoardPoints
    from fathom.rigs.calibrate_views import BoardView

    def shot(x: float) -> Shot:
        points = BoardPoints(np.array([0]), np.array([[x, 0.0]]))
        return Shot(BoardView(f"{x}", points, points), b"", b"")

    kept = _most_different([shot(x) for x in (0.0, 1, 2, 50, 51, 100)], 3)
    assert [s.view.name for s in kept] == ["0.0", "50", "100"]


def test_wrong_requests_are_usage_errors(tmp_path, capsys) -> None:
    with pytest.raises(UsageError, match="max_views = 2"):
        ShotOptions(max_views=2)
    assert main(["calibrate", "left"]) == 2
    assert "two cameras are needed" in capsys.readouterr().err
    assert main(["calibrate", "a", "b", "--square", "2.5m"]) == 2
    assert main(["calibrate", "a", "b", "--square", "0.01mm"]) == 2
    assert main(["calibrate", str(tmp_path / "none"), "b"]) == 3
    assert main(["board", "--columns", "1"]) == 2


def test_boards_are_written_by_suffix(tmp_path, capsys) -> None:
    for suffix, head in ((".pdf", b"%PDF-1."), (".svg", b"<svg"), (".png", b"\x89PNG")):
        path = tmp_path / f"board{suffix}"
        assert main(["board", "-o", str(path), "--dpi", "60"]) == 0
        assert path.read_bytes().startswith(head)
    assert "--columns 9 --rows 6 --square 25mm" in capsys.readouterr().out
    with Image.open(tmp_path / "board.png") as picture:
        assert picture.info["dpi"] == pytest.approx((60, 60), abs=0.1)
    assert main(["board", "-o", str(tmp_path / "b.pdf"), "--kind", "charuco", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["board"]["kind"] == "charuco" and written["page_mm"] == [297, 210]
    again = BoardOptions(board="charuco", square="25mm", columns=9, rows=6).target()
    assert again.flags() == written["calibrate_flags"]


def test_a_board_file_of_no_known_kind_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"output = .*expected .pdf or .svg or .png"):
        write_board(tmp_path / "board.docx", BOARD)
    with pytest.raises(UsageError, match="dpi = 5"):
        write_board(tmp_path / "board.png", BOARD, dpi=5)
    (tmp_path / "old.pdf").write_text("mine")
    with pytest.raises(UsageError, match="does not fit"):
        write_board(tmp_path / "old.pdf", Board(square=0.1))
    assert (tmp_path / "old.pdf").read_text() == "mine"


@pytest.mark.shared
def test_opencv_shots_by_glob(shared, tmp_path) -> None:
    folder = shared / "data" / "calibration" / "opencv_chessboards"
    run = calibrate_files(
        str(folder / "left??.jpg"), str(folder / "right??.jpg"), tmp_path / "out", BOARD
    )
    assert len(run.result.views) == 13
    assert run.info["level"] == "good"
    assert run.result.rms < 0.25 and run.result.rows < 0.2
