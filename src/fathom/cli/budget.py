"""`fathom budget`."""

from pathlib import Path

from fathom.cli.console import say, show_json, table, warn
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.geometry.plausible import field_of_view
from fathom.viz.budget import length
from fathom.workflows.budget import DEPTHS, Budget, BudgetOptions, Want, budget, write_plot

EXAMPLES = """examples:
  fathom budget --calib calib.txt
  fathom budget --calib calib.txt --at 0.5,1,3 --sigma-d 0.1 -o plot.png
  fathom budget --focal 700 --baseline 0.12 --width 1280 --want 1%@20
  fathom budget --calib calib.txt --want 5cm@3 --json

sigma Z = Z^2 sigma_d / (f b) is one standard deviation of the depth from matching. The columns
after it say how far a calibration that is off by so much moves the depth. Typical sigma_d:
0.05 to 0.1 px on a well-textured wall, 0.25 px in ordinary scenes, 0.5 px for a whole filled map;
`fathom accuracy` measures yours.
"""


def run(words: list[str]) -> int:
    """Parses `words`, prints the budget; returns 0."""
    arguments = _parser().parse_args(words)
    options = BudgetOptions(**taken(arguments, BudgetOptions))
    wants = [Want.parse(text) for text in arguments.want]
    found = budget(options, numbers(arguments.at), wants, warn)
    if arguments.output is not None:
        write_plot(Path(arguments.output), found)
    if arguments.json:
        show_json(found.as_dict())
    else:
        _show(found)
    if arguments.output is not None:
        say(f"wrote {arguments.output}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="fathom budget",
        usage="fathom budget --calib FILE [--sigma-d 0.25] [--at 1,2,5,10,50] [-o plot.png] ...",
        description="What a rig can measure, before anything is measured.",
        epilog=EXAMPLES,
    )
    add_fields(parser, BudgetOptions)
    parser.add_argument(
        "--at",
        default=",".join(f"{z:g}" for z in DEPTHS),
        metavar="LIST",
        help="depths in metres (default 1,2,5,10,50)",
    )
    parser.add_argument(
        "--want",
        action="append",
        default=[],
        metavar="1%@20",
        help="which baseline or focal length gives this accuracy at so many metres (5cm@3, too)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the plot (PNG)")
    parser.add_argument("--json", action="store_true", help="print the budget as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def numbers(text: str) -> tuple[float, ...]:
    """Numbers between commas. Raises `UsageError` for anything else, or none."""
    try:
        found = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = ()
    if not found:
        raise UsageError(
            "is no list of numbers", field="at", value=text, expected="for example 1,2,5"
        )
    return found


def _show(found: Budget) -> None:
    options, rig = found.options, found.rig
    across, down = field_of_view(rig.left)
    print(
        f"focal length {rig.left.fx:.1f} px, baseline {length(rig.baseline)}, "
        f"{rig.size[0]}x{rig.size[1]}, {across:.0f} x {down:.0f} degrees"
    )
    print(
        f"searching disparities {options.min_disparity} .. {found.max_disparity - 1} px: "
        f"depths {length(found.span.nearest)} .. {length(found.span.farthest)}"
    )
    headers = [
        "depth",
        "disparity",
        "sigma Z",
        "",
        "range of Z",
        "1 px in x,y",
        f"rig {options.calibration_error:g} px off",
        f"f {options.focal_error:g} px off",
        f"b {options.baseline_error:g} mm off",
    ]
    rows = [
        [
            f"{row.depth:g} m",
            f"{row.disparity:.1f} px",
            length(row.sigma),
            f"{100 * row.relative:.2g} %",
            f"{length(row.nearer)} .. {length(row.farther)}",
            length(row.lateral),
            length(row.calibration),
            length(row.focal),
            length(row.baseline),
        ]
        for row in found.rows
    ]
    print(table(headers, rows))
    outside = [
        f"{row.depth:g} m"
        for row in found.rows
        if not found.span.nearest <= row.depth <= found.span.farthest
    ]
    if outside:
        print(f"outside what this search can find: {', '.join(outside)}")
    for answer in found.answers:
        state = "this rig does it" if answer.fulfilled else "this rig does not"
        print(f"{answer.want.spoken}: {state}; it holds up to {length(answer.farthest)}")
        print(
            f"  baseline needed   {length(answer.baseline)}: nearest depth then "
            f"{length(answer.nearest)}, or search {answer.disparities} disparities for "
            f"{length(found.span.nearest)}"
        )
        print(f"  or focal length   {answer.focal:.0f} px")
        print(f"  or sigma_d        {answer.sigma_d:.3g} px")
