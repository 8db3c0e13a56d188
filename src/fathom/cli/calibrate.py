"""`fathom calibrate`."""

from pathlib import Path
from typing import Any

from fathom.cli.console import say, show_json, table
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.rigs.calibrate_fit import CalibrateOptions
from fathom.workflows.board import BoardOptions
from fathom.workflows.calibrate import ShotOptions, calibrate_files

EXAMPLES = """examples:
  fathom calibrate left/ right/ --columns 9 --rows 6 --square 25mm -o calibration
  fathom calibrate 'shots/left*.jpg' 'shots/right*.jpg' --square 25mm
  fathom calibrate left.mp4 right.mp4 --board charuco --columns 10 --rows 7 --square 30mm
  fathom calibrate both.mp4 --format side-by-side --model fisheye
  fathom board -o board.pdf                     (a board to print)
  fathom depth left.png right.png --calib calibration/calibration.json

columns and rows of a chessboard count inner corners: one less than its squares. Shoot 15 or more
views: the whole board in both images, at all places, tilted 20 to 45 degrees both ways, near and
far, and hold it still. The rim of circles has to be known (--diameter); wide fisheye lenses are
best shot with a chessboard or ChArUco. exit code 0: good or usable; 1: written, but not good enough
"""


def run(words: list[str]) -> int:
    """Parses `words`, calibrates, prints; returns 0, or 1 if the result is not good enough."""
    parser = Parser(
        prog="fathom calibrate",
        usage="fathom calibrate LEFT [RIGHT] [--board NAME --columns N --rows N --square 25mm] "
        "[-o DIR] ...",
        description="A stereo rig from shots of a board: cameras, their pose, and how sure it is.",
        epilog=EXAMPLES,
    )
    parser.add_argument("left", metavar="LEFT", help="folder, glob or video of the left camera")
    parser.add_argument(
        "right", nargs="?", metavar="RIGHT", help="the same of the right one (or see --layout)"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="calibration",
        metavar="DIR",
        help="folder for the calibration and its report (default calibration)",
    )
    add_fields(parser.add_argument_group("the board"), BoardOptions)
    add_fields(parser.add_argument_group("the shots"), ShotOptions)
    add_fields(parser.add_argument_group("the fit"), CalibrateOptions)
    parser.add_argument("--json", action="store_true", help="print result.json")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    shots = ShotOptions(**taken(arguments, ShotOptions))
    if arguments.right is None and shots.layout is None:
        raise UsageError(
            "two cameras are needed",
            field="RIGHT",
            remedy="give the right one, or --layout side-by-side; see: fathom calibrate --help",
        )
    done = calibrate_files(
        arguments.left,
        arguments.right,
        Path(arguments.output),
        BoardOptions(**taken(arguments, BoardOptions)).target(),
        shots,
        CalibrateOptions(**taken(arguments, CalibrateOptions)),
        say,
    )
    if arguments.json:
        show_json(done.info)
    else:
        _show(done.info, arguments.output)
    return 1 if done.quality.level == "poor" else 0


def _show(info: dict[str, Any], folder: str) -> None:
    for drop in info["views"]["left_out"]:
        print(f"left out {drop['name']}: {drop['reason']}")
    for view in info["views"]["one_camera"]:
        print(f"{view['name']}: one camera only; it helps the {view['camera']} camera's lens")
    for view in info["views"]["kept"]:
        if view["turned"]:
            print(f"{view['name']}: the board was read upside-down in the right image; mended")
    rows = [
        [
            c["name"],
            f"{c['value']:.3g} {c['unit']}".strip(),
            f"{'>=' if c['better'] == 'more' else '<='} {c['good']:.3g}",
            c["level"],
        ]
        for c in info["criteria"]
    ]
    print(table(["criterion", "value", "good", "level"], rows))
    before, after = info["rms_before_refinement_px"], info["rms_px"]
    if info["settings"]["refine"]:
        print(
            f"refined together: RMS {before:.3f} -> {after:.3f} px, rows "
            f"{info['row_rms_before_refinement_px']:.3f} -> {info['row_rms_px']:.3f} px"
        )
    for side in ("left", "right"):
        sigma = info[side]["sigma"].get("fx")
        sure = "" if sigma is None else f" +- {sigma:.2f}"
        print(f"{side}: fx {info[side]['fx']:.2f}{sure} px")
    baseline, error = 1000 * info["baseline_m"], 1000 * info["baseline_sigma_m"]
    print(f"baseline {baseline:.3f} +- {error:.3f} mm (1 sigma)")
    for note in info["notes"]:
        print(f"note: {note}")
    print(f"this calibration is {info['level']}")
    if info["shoot_next"]:
        print(
            "shoot next:" if info["level"] != "good" else "good enough; surer with, to shoot next:"
        )
        for line in info["shoot_next"]:
            print(f"  - {line}")
    print(f"wrote {folder}: calibration.json, calibration.yml, report.html, pictures")
