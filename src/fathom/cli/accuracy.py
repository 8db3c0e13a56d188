"""`fathom accuracy`."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from fathom.cli.console import percent, say, show_json, table, warn
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import InputError, UsageError
from fathom.geometry.flatness import Box
from fathom.io.figures import check_figure
from fathom.workflows.accuracy import (
    AccuracyOptions,
    Capture,
    FieldTest,
    captures_of_pairs,
    captures_of_results,
    field_test,
    wall_dict,
    write_picture,
)
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom accuracy result                                    (a folder of `fathom depth`)
  fathom accuracy results/ --distance 2.0 -o residual.png   (several captures in it)
  fathom accuracy left.png right.png --calib calib.txt --distance 2.0
  fathom accuracy 'left/*.png' 'right/*.png' --calib calib.txt --roi 300,200,900,600

Stand square to a flat, textured wall that fills the region (by default the middle half of the
image). Filled pixels do not count.
  Z-accuracy      median of (depth - truth) / truth; needs --distance
  spatial noise   RMS distance from the best plane, without the 0.5 % farthest out at each end
  sub-pixel RMS   the same in pixels of disparity: what --sigma-d of `fathom budget` asks for
  fill rate       share of the region that was measured
  temporal noise  median standard deviation of a pixel over the captures (two or more)
"""


def run(words: list[str]) -> int:
    """Parses `words`, tests, prints what was found; returns 0."""
    arguments = _parser().parse_args(words)
    options = AccuracyOptions(**taken(arguments, AccuracyOptions))
    roi = None if arguments.roi is None else _box(arguments.roi)
    if arguments.output is not None:
        check_figure(arguments.output)
    test = field_test(_captures(arguments, options), options.distance, roi)
    if arguments.output is not None:
        write_picture(Path(arguments.output), test)
    if arguments.json:
        show_json(test.as_dict())
    else:
        _show(test)
    if arguments.output is not None:
        say(f"wrote {arguments.output}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="fathom accuracy",
        usage="fathom accuracy DIR ... | LEFT RIGHT --calib FILE [--distance M] [-o FILE.png] ...",
        description="The field test: how well does this camera measure a flat wall?",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "captures",
        nargs="+",
        metavar="DIR | LEFT RIGHT",
        help="folders of `fathom depth`, or the two images, folders or globs of pairs",
    )
    parser.add_argument(
        "--roi",
        metavar="X0,Y0,X1,Y1",
        help="the wall in pixels (default: the middle half of the image)",
    )
    add_fields(parser, AccuracyOptions)
    add_fields(parser.add_argument_group("pairs that are matched here"), PairOptions)
    parser.add_argument("-o", "--output", metavar="FILE", help="write the residual (PNG)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _captures(arguments: argparse.Namespace, options: AccuracyOptions) -> Iterator[Capture]:
    given = arguments.captures
    pair_options = PairOptions(**taken(arguments, PairOptions))
    folders = [Path(word) for word in given]
    if all(_holds_results(folder) for folder in folders):
        return captures_of_results(folders)
    if len(given) == 1 and pair_options.layout is not None:
        return captures_of_pairs(given[0], None, pair_options, options, say)
    if len(given) == 1 and folders[0].is_dir():
        return captures_of_results(folders)
    if len(given) == 1 and not folders[0].exists():
        raise InputError(
            "does not exist", file=given[0], expected="a folder that `fathom depth` wrote"
        )
    if len(given) != 2:
        raise UsageError(
            "is neither result folders nor a pair",
            field="captures",
            value=" ".join(given),
            expected="folders of `fathom depth`, or LEFT and RIGHT",
        )
    return captures_of_pairs(given[0], given[1], pair_options, options, say)


def _holds_results(folder: Path) -> bool:
    return (folder / "result.json").is_file() or any(folder.glob("*/result.json"))


def _box(text: str) -> Box:
    try:
        x0, y0, x1, y1 = (int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            "is not four whole numbers", field="roi", value=text, expected="X0,Y0,X1,Y1"
        ) from error
    return x0, y0, x1, y1


def _show(test: FieldTest) -> None:
    found = test.as_dict()
    x0, y0, x1, y1 = found["roi_px"]
    count = len(test.walls)
    print(f"region {x0},{y0} .. {x1},{y1}, {count} capture{'s' if count > 1 else ''}")
    rows = [["distance", f"{found['distance_m']:.4f} m", ""]]
    if test.truth is not None:
        rows.append(["Z-accuracy", f"{found['z_accuracy_percent']:+.3f} %", ""])
        rows.append(["bias", f"{found['bias_mm']:+.2f} mm", f"{found['bias_px']:+.3f} px"])
    rows.append(
        [
            "plane fit RMS (spatial noise)",
            f"{found['plane_fit_rms_mm']:.2f} mm",
            f"{found['subpixel_rms_px']:.3f} px",
        ]
    )
    rows.append(["  of the distance", f"{found['spatial_noise_percent']:.3f} %", ""])
    if test.temporal_px is not None:
        mm = found["temporal_noise_mm"]
        rows.append(["temporal noise", f"{mm:.2f} mm", f"{test.temporal_px:.3f} px"])
    rows.append(["fill rate", percent(found["fill_rate"]), ""])
    tilt = f"{found['tilt_x_deg']:+.2f} across, {found['tilt_y_deg']:+.2f} down"
    rows.append(["tilt of the wall", f"{found['tilt_deg']:.2f} deg", tilt])
    print(table(["", "", "in disparity"], rows))
    if count > 1:
        print()
        print(table(["capture", "distance", "plane fit RMS", "", "fill rate"], _each(test)))
    for note in test.notes:
        warn(note)


def _each(test: FieldTest) -> list[list[str]]:
    rows = []
    for name, wall in zip(test.names, test.walls, strict=True):
        numbers = wall_dict(wall)
        rows.append(
            [
                name,
                f"{numbers['distance_m']:.4f} m",
                f"{numbers['plane_fit_rms_mm']:.2f} mm",
                f"{numbers['subpixel_rms_px']:.3f} px",
                percent(numbers["fill_rate"]),
            ]
        )
    return rows
