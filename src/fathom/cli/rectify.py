"""`fathom rectify`."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fathom.cli.console import progress_bar, say, show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.io.frames import PairedFrames
from fathom.workflows.pairs import PairOptions
from fathom.workflows.recalibrate import RecalibrateOptions, recalibrate_files
from fathom.workflows.rectify import RectifyOptions, open_pairs, rectify_files

EXAMPLES = """examples:
  fathom rectify left.png right.png --calib rig.yml -o rectified
  fathom rectify left/ right/ --calib rig.yml --crop all --size 1280x720 -o rectified
  fathom rectify left.mp4 right.mp4 --calib rig.yml -o rectified      (two videos)
  fathom rectify both.mp4 --layout side-by-side --calib rig.yml       (one video)
  fathom rectify left.png right.png --uncalibrated -o rectified       (no metres then)
  fathom rectify left/ right/ --calib rig.yml --recalibrate -o new.json

the folder holds left.png and right.png (left/ and right/ for many, left.mkv and right.mkv,
lossless, for videos), calibration.json and calib.txt of the rectified images, rows.png to
look at, and result.json with the row error before and after

--recalibrate measures on natural images how the cameras have turned against each other since
they were calibrated, and writes a calibration that makes rows agree again
"""
_OTHERS = ("focal", "baseline", "rectified", "scale")  # of PairOptions, and of no use here


def run(words: list[str]) -> int:
    """Parses `words`, rectifies or re-calibrates, prints what came out; returns 0."""
    arguments = _parser().parse_args(words)
    pair_options = PairOptions(**taken(arguments, PairOptions))
    options = RectifyOptions(**taken(arguments, RectifyOptions))
    frames = open_pairs(arguments.left, arguments.right, pair_options, options)
    if arguments.recalibrate:
        return _recalibrate(arguments, frames, pair_options, options)
    out = Path(arguments.output or "fathom-rectified")
    with _progress(frames, frames.count or 1) as advance:
        info = rectify_files(frames, out, pair_options, options, say, advance)
    if arguments.json:
        show_json(info)
    else:
        _show(info)
    return 0


def _recalibrate(
    arguments: argparse.Namespace,
    frames: PairedFrames,
    pair_options: PairOptions,
    options: RectifyOptions,
) -> int:
    if options.uncalibrated or options.size is not None:
        raise UsageError(
            "makes a calibration, no images",
            field="recalibrate",
            remedy="leave --uncalibrated and --size out",
        )
    settings = RecalibrateOptions(**taken(arguments, RecalibrateOptions))
    out = Path(arguments.output or "recalibrated.json")
    with _progress(frames, min(frames.count or 1, settings.pairs)) as advance:
        info = recalibrate_files(
            frames, out, pair_options, settings, options.exchange, say, advance
        )
    if arguments.json:
        show_json(info)
    else:
        for line in info["text"]:
            print(line)
    return 0


@contextmanager
def _progress(frames: PairedFrames, count: int) -> Iterator[Callable[[str], None]]:
    """A bar over many pairs; nothing for one."""
    if not frames.many:
        yield lambda name: None  # noqa: ARG005
        return
    with progress_bar(count, "pairs") as advance:
        yield advance


def _parser() -> Parser:
    parser = Parser(
        prog="fathom rectify",
        usage="fathom rectify LEFT RIGHT --calib FILE [-o DIR] [--crop all] [--size WxH] ...",
        description="Makes the rows of two cameras agree: in images, folders and videos.",
        epilog=EXAMPLES,
    )
    parser.add_argument("left", metavar="LEFT", help="image, folder, glob or video")
    parser.add_argument("right", nargs="?", metavar="RIGHT", help="the same for the right camera")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="folder to write (default fathom-rectified); with --recalibrate a calibration file "
        "in any format fathom writes (default recalibrated.json)",
    )
    add_fields(parser.add_argument_group("reading"), PairOptions, skip=_OTHERS)
    add_fields(parser.add_argument_group("rectifying"), RectifyOptions)
    group = parser.add_argument_group("a rig that has drifted")
    group.add_argument(
        "--recalibrate",
        action="store_true",
        help="write a new calibration instead of images: the small rotation between the cameras, "
        "from natural images",
    )
    add_fields(group, RecalibrateOptions)
    parser.add_argument("--json", action="store_true", help="print result.json instead of text")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _show(info: dict[str, Any]) -> None:
    size, rows = info["size"], info["rows"]
    print(f"{info['pairs']} rectified to {size['width']}x{size['height']}, in {info['folder']}/")
    if info["field_of_view_deg"] is not None:
        across, down = info["field_of_view_deg"]
        print(f"field of view  {across:.0f} x {down:.0f} degrees")
    if info["rig"] is not None:
        rig = info["rig"]
        print(f"rig            focal length {rig['fx']:.2f} px, baseline {rig['baseline_m']:.5g} m")
    if rows["after"] is not None:
        before, after = rows["before"], rows["after"]
        print(
            f"row error      {before['median_px']:.2f} px before, {after['median_px']:.2f} px "
            f"after (median of {after['points']} points in {rows['pairs']} "
            f"pair{'s' if rows['pairs'] > 1 else ''})"
        )
