"""Calibrating a rig: from folders or videos of a board to a folder with calibration and report."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.core.pair import View
from fathom.io.frames import FramePair, PairedFrames, paired_frames
from fathom.io.images import Layout
from fathom.rigs.board_detect import BoardPoints, detect_board, sharpness
from fathom.rigs.board_guess import guess_board, larger_chessboard
from fathom.rigs.boards import Board
from fathom.rigs.calibrate import RigCalibration, calibrate_rig
from fathom.rigs.calibrate_fit import CalibrateOptions
from fathom.rigs.calibrate_quality import Quality, judge
from fathom.rigs.calibrate_views import BoardView, moved

Notify = Callable[[str], None]
_FAR_ENOUGH = 0.04  # of the image's width, between two frames of a video
_LOOKS_A_SECOND = 3


@dataclass(frozen=True)
class ShotOptions:
    """Where the shots come from."""

    layout: Layout | None = option(
        None, "how one image or video holds both views", flags=("--format",)
    )
    max_views: int = option(
        40, "of a video: keep at most this many frames, as different as can be", metavar="N"
    )

    def __post_init__(self) -> None:
        if self.max_views < 3:
            raise UsageError(
                "is too few", field="max_views", value=self.max_views, expected="3 or more"
            )


@dataclass(frozen=True, eq=False)
class Shot:
    """One view and its two images, kept as JPEG until pictures are made of them."""

    view: BoardView
    left: bytes
    right: bytes

    def image(self, side: str) -> Array:
        """RGB uint8 (h, w, 3) of one side."""
        import cv2

        data = np.frombuffer(self.left if side == "left" else self.right, dtype=np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))


@dataclass(frozen=True, eq=False)
class Shots:
    """The shots of one run, and the (width, height) of the left and right images."""

    shots: tuple[Shot, ...]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    looked_at: int


@dataclass(frozen=True, eq=False)
class CalibrationRun:
    """What came out: the calibration, its judgement, and what result.json says."""

    result: RigCalibration
    quality: Quality
    info: dict[str, Any]


def calibrate_files(
    left: str | Path,
    right: str | Path | None,
    out: Path,
    board: Board,
    shot_options: ShotOptions = ShotOptions(),
    options: CalibrateOptions = CalibrateOptions(),  # noqa: B008 (frozen)
    notify: Notify = lambda line: None,  # noqa: ARG005
) -> CalibrationRun:
    """Calibrates a rig from shots of `board` and writes the folder `out`.

    left, right: folders, globs or videos; right None with a layout. The folder is written whole
    or not at all: calibration.json (fathom's, with uncertainties), calibration.yml (OpenCV's),
    pictures, report.html and result.json.

    Raises `InputError` for shots that cannot be read, boards not found (naming the one that is
    there), too few or degenerate views and what else `calibrate_rig` raises; `UsageError` for
    contradicting sources; `ResourceError` if `out` cannot be written.
    """
    from fathom.io.atomic import check_result_folder, result_folder
    from fathom.workflows.calibrate_outputs import FILES, write_run

    frames = paired_frames(left, right, shot_options.layout)
    check_result_folder(out, FILES)
    for path in frames.lonely:
        notify(f"{path}: has no partner and is left out")
    shots = find_shots(frames, board, shot_options, notify)
    result = calibrate_rig([shot.view for shot in shots.shots], board, shots.sizes, options, notify)
    quality = judge(result)
    sources = [str(left)] + ([] if right is None else [str(right)])
    with result_folder(out) as folder:
        info = write_run(folder, result, quality, shots, sources, options)
    return CalibrationRun(result, quality, info)


def find_shots(frames: PairedFrames, board: Board, options: ShotOptions, notify: Notify) -> Shots:
    """The board in every pair, or in the sharp and different frames of a video.

    Raises `InputError` if no pair shows the board in both images, saying which board is there.
    """
    sizes: list[tuple[int, int]] = []
    looked = 0
    shots: list[Shot] = []
    pairs = _sharpest(frames) if frames.video else iter(frames)
    for pair in pairs:
        looked += 1
        if not sizes:
            sizes = [pair.left.size, pair.right.size]
        found = [
            detect_board(v.gray8, board, thorough=not frames.video) for v in (pair.left, pair.right)
        ]
        view = BoardView(pair.name, *found)
        total = "" if frames.count is None or frames.video else f"/{frames.count}"
        notify(f"[{looked}{total}] {pair.name}: {_told(board, found)}")
        if frames.video and (None in found or not _new(view, shots, sizes[0][0])):
            if looked <= 4 and not shots:
                shots.append(_kept(BoardView(pair.name, None, None), pair))
            continue
        shots.append(_kept(view, pair))
    _require_board(shots, board, looked)
    if frames.video:
        shots = _most_different([s for s in shots if s.view.left is not None], options.max_views)
    return Shots(tuple(shots), (sizes[0], sizes[1]), looked)


def _sharpest(frames: PairedFrames) -> Iterator[FramePair]:
    """Of each third of a second of a video, the frame that is sharpest in both images."""
    window = max(1, round((frames.rate or 30) / _LOOKS_A_SECOND))
    if frames.count is not None and frames.count < 30 * window:
        window = max(1, min(window, frames.count // 30))
    best: tuple[float, FramePair] | None = None
    for i, pair in enumerate(frames):
        score = min(sharpness(view.gray8) for view in (pair.left, pair.right))
        if best is None or score > best[0]:
            best = score, pair
        if (i + 1) % window == 0:
            yield best[1]
            best = None
    if best is not None:
        yield best[1]


def _told(board: Board, found: list[BoardPoints | None]) -> str:
    if all(points is not None for points in found):
        counts = [len(points) for points in found if points is not None]
        whole = len(board.points)
        return "board found" if counts == [whole, whole] else f"{counts[0]} and {counts[1]} points"
    missing = [s for s, points in zip(("left", "right"), found, strict=True) if points is None]
    return f"no board in {' and '.join(missing)}"


def _kept(view: BoardView, pair: FramePair) -> Shot:
    return Shot(view, _jpeg(pair.left), _jpeg(pair.right))


def _jpeg(view: View) -> bytes:
    import cv2

    flags = [cv2.IMWRITE_JPEG_QUALITY, 92]
    return bytes(cv2.imencode(".jpg", view.rgb8[..., ::-1], flags)[1].tobytes())


def _new(view: BoardView, shots: Iterable[Shot], width: int) -> bool:
    """Whether a frame shows the board elsewhere than all frames that were kept."""
    for shot in shots:
        old = shot.view
        if old.left is None or old.right is None or view.left is None or view.right is None:
            continue
        if moved(view.left, old.left) < _FAR_ENOUGH * width:
            return False
    return True


def _most_different(shots: list[Shot], limit: int) -> list[Shot]:
    """At most `limit` shots, each as far as can be from those before (farthest-point sampling)."""
    if len(shots) <= limit:
        return shots
    chosen = [0]
    nearest = np.full(len(shots), np.inf)
    while len(chosen) < limit:
        last = shots[chosen[-1]].view.left
        for i, shot in enumerate(shots):
            assert last is not None and shot.view.left is not None
            gap = moved(last, shot.view.left)
            nearest[i] = min(nearest[i], gap if np.isfinite(gap) else 1e6)
        chosen.append(int(np.argmax(nearest)))
    return [shots[i] for i in sorted(chosen)]


def _require_board(shots: list[Shot], board: Board, looked: int) -> None:
    """Refuses shots without the board, or with a larger one of which it is a part."""
    seen = [s for s in shots if s.view.left is not None or s.view.right is not None]
    if not seen:
        there = guess_board([_gray(s) for s in shots[:4]], board)
        raise InputError(
            f"the board was not found in any of {looked} views"
            + (f", but {there} is there" if there else ""),
            field="board",
            value=str(board),
            expected="the whole board in both images, sharp, with a white border",
            remedy="check --board, --columns and --rows (inner corners: squares - 1)",
        )
    if board.kind != "chessboard":
        return
    images = [
        _gray(s, side)
        for s in seen[:4]
        for side in ("left", "right")
        if getattr(s.view, side) is not None
    ]
    larger = larger_chessboard(images, board)
    if larger is not None:
        wide, high = max(larger), min(larger)
        raise InputError(
            f"the images show a larger chessboard, of {wide} x {high} inner corners",
            field="board",
            value=str(board),
            expected=f"--columns {wide} --rows {high}",
            remedy="count the inner corners, one less than the squares",
        )


def _gray(shot: Shot, side: str = "left") -> Array:
    return View(shot.image(side)).gray8
