"""`fathom measure`."""

import argparse
from pathlib import Path

from fathom.cli.console import percent, say, show_json, warn
from fathom.cli.flags import Parser
from fathom.core.errors import UsageError
from fathom.geometry.measuring import RIG_ERROR, LengthMeasure, ObjectMeasure, PointMeasure
from fathom.viz.budget import length
from fathom.viz.measure import value
from fathom.workflows.measure import Measured, Wishes, measure, write_picture

EXAMPLES = """examples:
  fathom measure result --at 430,300
  fathom measure result --at 430,300 --at 120,80 --json
  fathom measure result --box 380,250,470,340 -o measured.png
  fathom measure result --mask object.png
  fathom measure result --from 100,200 --to 340,210

pixels are those of the result; (0, 0) is the top-left one, and the report shows them under the
pointer. In a box the nearest surface with at least 15 % of the measured pixels is the object;
filled and unknown pixels take no part. Error bars (+-) are one standard deviation: the matching,
the pixel's width, and a rig that is --rig-error off; not an error of baseline or focal length.
Results of one image are measured where they are metres: the error bar is that of the alignment
(--align), and a model in metres tells none.
"""


def run(words: list[str]) -> int:
    """Parses `words`, measures, prints what was found; returns 0."""
    arguments = _parser().parse_args(words)
    wishes = _wishes(arguments)
    found = measure(Path(arguments.folder), wishes, rig_error=arguments.rig_error)
    if arguments.output is not None:
        write_picture(Path(arguments.output), found)
    if arguments.json:
        show_json(found.as_dict())
    else:
        _show(found)
    if arguments.output is not None:
        say(f"wrote {arguments.output}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="fathom measure",
        usage="fathom measure DIR --at X,Y | --box X0,Y0,X1,Y1 | --mask FILE | --from X,Y --to X,Y",
        description="Distance, position, size and length from a folder of `fathom depth`.",
        epilog=EXAMPLES,
    )
    parser.add_argument("folder", metavar="DIR", help="folder that `fathom depth` wrote")
    for flag, name, shown, text in (
        ("--at", "at", "X,Y", "a point; may be repeated, as all of these"),
        ("--box", "box", "X0,Y0,X1,Y1", "a box around an object"),
        ("--mask", "mask", "FILE", "image, white on the object"),
        ("--from", "start", "X,Y", "one end of a length"),
        ("--to", "end", "X,Y", "its other end"),
    ):
        parser.add_argument(flag, dest=name, metavar=shown, help=text, action="append", default=[])
    parser.add_argument(
        "--rig-error",
        type=float,
        default=RIG_ERROR,
        metavar="PX",
        help=f"disparity in pixels by which the rig may be off (default {RIG_ERROR})",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write a picture (PNG)")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _wishes(arguments: argparse.Namespace) -> Wishes:
    starts = [_whole(text, 2, "from") for text in arguments.start]
    ends = [_whole(text, 2, "to") for text in arguments.end]
    if len(starts) != len(ends):
        raise UsageError(
            "a length has two ends",
            field="from, to",
            value=f"{len(starts)}, {len(ends)}",
            expected="as many --from as --to",
        )
    return Wishes(
        at=tuple((p[0], p[1]) for p in (_whole(text, 2, "at") for text in arguments.at)),
        boxes=tuple(
            (b[0], b[1], b[2], b[3]) for b in (_whole(text, 4, "box") for text in arguments.box)
        ),
        masks=tuple(Path(file) for file in arguments.mask),
        lengths=tuple(((a[0], a[1]), (b[0], b[1])) for a, b in zip(starts, ends, strict=True)),
    )


def _whole(text: str, count: int, name: str) -> list[int]:
    """`count` pixels between commas, rounded. Raises `UsageError` for anything else."""
    try:
        found = [round(float(part)) for part in text.split(",")]
    except (ValueError, OverflowError):
        found = []
    if len(found) != count:
        raise UsageError(
            f"is not {count} numbers",
            field=name,
            value=text,
            expected="X,Y" if count == 2 else "X0,Y0,X1,Y1",
        )
    return found


def _show(found: Measured) -> None:
    for number, measured in enumerate(found.measures, 1):
        if isinstance(measured, LengthMeasure):
            (x0, y0), (x1, y1) = measured.first.pixel, measured.second.pixel
            print(f"{number}: length {value(measured.length, measured.length_sigma)}")
            for end, (x, y) in ((measured.first, (x0, y0)), (measured.second, (x1, y1))):
                print(f"   {x},{y}: {_place(end)}")
        elif isinstance(measured, PointMeasure):
            x, y = measured.pixel
            print(f"{number}: distance {value(measured.distance, measured.distance_sigma)}")
            sure = "" if measured.confidence is None else f", {percent(measured.confidence)} sure"
            print(f"   {x},{y}: {_place(measured)} ({measured.source}{sure})")
        else:
            print(f"{number}: distance {value(measured.distance, measured.distance_sigma)}")
            print(f"   {_place(measured)}")
            print(
                f"   width {value(measured.width, measured.width_sigma)}, "
                f"height {value(measured.height, measured.height_sigma)}"
            )
            line = f"   depths of the object {length(measured.nearest)} .. "
            line += f"{length(measured.farthest)}, {percent(measured.share)} of what was measured"
            if measured.others:
                line += f"; elsewhere {', '.join(length(z) for z in sorted(measured.others))}"
            print(line)
        for i, note in found.notes:
            if i == number:
                warn(note)


def _place(measured: PointMeasure | ObjectMeasure) -> str:
    x, y, z = measured.position
    return f"x {x:.3f}, y {y:.3f}, z {value(z, measured.depth_sigma)}"
