"""`fathom check`."""

import argparse
from pathlib import Path
from typing import Any

from fathom.cli.console import percent, progress_bar, say, show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.combine.check import Finding
from fathom.core.errors import UsageError
from fathom.io.figures import check_figure
from fathom.io.frames import PairedFrames, is_video, paired_frames
from fathom.workflows.check import examine_files, fix_files, write_picture
from fathom.workflows.check_many import (
    SequenceOptions,
    SequenceReport,
    check_sequence,
    unequal_lengths,
)
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom check left.png right.png
  fathom check left.png right.png --calib calib.txt --json
  fathom check left.png right.png --picture rows.png
  fathom check left.png right.png --calib calib.txt --fix -o mended
  fathom check left/ right/ --fps 10              (two folders, globs or videos)

--fix writes the mended pair: exchanged views in order, cameras above each other turned by 90
degrees, rows moved, turned, scaled or unbent until they agree; with the calibration that fits it,
the rows before and after as a picture, and result.json. What cannot be mended is named.

exit code 0: nothing found (with --fix: nothing left); 1: something found, each with what was seen,
how sure it is and what to do; 3: a file that cannot be read
"""


def run(words: list[str]) -> int:
    """Parses `words`, checks the pair, prints the findings; returns 0 or, with findings, 1."""
    arguments = _parser().parse_args(words)
    options = PairOptions(**taken(arguments, PairOptions))
    sequence = SequenceOptions(**taken(arguments, SequenceOptions))
    if arguments.right is None and options.layout is None:
        raise UsageError("two images are needed", field="RIGHT", remedy="see: fathom check --help")
    if arguments.output is not None and not arguments.fix:
        raise UsageError(
            "is where --fix writes",
            field="output",
            remedy="add --fix, or leave it out; a picture of the rows goes to --picture FILE",
        )
    left, right = arguments.left, arguments.right
    if not Path(left).is_file() or is_video(left):
        # Whatever is missing or wrong about a folder, glob or video is said there.
        frames = paired_frames(left, right, options.layout, shortest=True)
        if frames.many:
            return _sequence(frames, options, sequence, arguments)
    files = Path(left), None if right is None else Path(right)
    if arguments.fix:
        return _fix(*files, options, arguments)
    if arguments.picture is not None:
        check_figure(arguments.picture)
    checked = examine_files(*files, options)
    if arguments.picture is not None:
        write_picture(Path(arguments.picture), checked)
    findings = checked.seen.findings
    if arguments.json:
        show_json([finding.as_dict() for finding in findings])
    else:
        _show(findings, "nothing found: the pair looks fit to be matched")
        if arguments.picture is not None:
            print(f"wrote {arguments.picture}")
    return 1 if findings else 0


def _sequence(
    frames: PairedFrames,
    options: PairOptions,
    sequence: SequenceOptions,
    arguments: argparse.Namespace,
) -> int:
    if arguments.fix or arguments.picture is not None:
        raise UsageError(
            "is for one pair, and many were given",
            field="fix" if arguments.fix else "picture",
            remedy="check the sequence first, then mend a pair of it; `fathom rectify` does all "
            "pairs with one calibration",
        )
    uneven = unequal_lengths(arguments.left, arguments.right)
    if frames.count is None:
        report = check_sequence(frames, options, sequence, also=uneven)
    else:
        with progress_bar(frames.count, "pairs") as advance:
            report = check_sequence(frames, options, sequence, advance, also=uneven)
    if arguments.json:
        show_json(report.as_dict())
    else:
        _show_report(report)
    return 1 if report.common or report.whole or report.failed else 0


def _show_report(report: SequenceReport) -> None:
    _show(report.whole, "")
    if report.common and any(finding.code == "time-offset" for finding in report.whole):
        print("what follows may come from the time offset: mend that first")
    for common in report.common:
        line = f"{common.code}: {common.count} of {report.checked} pairs ({percent(common.share)})"
        if common.typical is not None:
            line += f", typically {common.typical:.3g} {common.worst.unit}"
        print(line)
        print(f"  worst, {common.worst_pair}: {common.worst.message}")
        print(f"  what to do: {common.worst.remedy}")
    for name, error in report.failed:
        print(f"not checked: {name}: {error}")
    if not (report.whole or report.common):
        print(f"nothing found in {report.checked} pairs")


def _fix(left: Path, right: Path | None, options: PairOptions, arguments: Any) -> int:
    if arguments.picture is not None:
        raise UsageError("comes with --fix by itself, as check.png", field="picture")
    out = Path(arguments.output or "fathom-fixed")
    info = fix_files(left, right, options, out, say)
    if arguments.json:
        show_json(info)
        return 1 if info["remaining"] else 0
    error = info["row_error_px"]
    if info["folder"] is None:
        print("nothing was mended, and nothing written")
    else:
        if None not in error.values():
            print(f"rows {error['before']:.2f} px apart before, {error['after']:.2f} px after")
        print(f"wrote {info['folder']}/: {', '.join([*info['files'], 'result.json'])}")
    for finding in info["remaining"]:
        print(f"not mended: {finding['code']}: {finding['message']}")
        print(f"  what to do: {finding['remedy']}")
    return 1 if info["remaining"] else 0


def _show(findings: Any, nothing: str) -> None:
    if not findings and nothing:
        print(nothing)
    finding: Finding
    for finding in findings:
        print(f"{finding.code} ({finding.certainty:.0%} sure): {finding.message}")
        print(f"  what to do: {finding.remedy}")


def _parser() -> Parser:
    parser = Parser(
        prog="fathom check",
        usage="fathom check LEFT RIGHT [--calib FILE] [--fix -o DIR] [--json]",
        description="Is this pair fit to be matched? Says what is wrong and what to do.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "left", metavar="LEFT", help="image (with --layout: both views), folder, glob or video"
    )
    parser.add_argument("right", nargs="?", metavar="RIGHT", help="the same for the right view")
    parser.add_argument("--fix", action="store_true", help="write the mended pair")
    parser.add_argument(
        "-o",
        "--output",
        "--out",
        metavar="DIR",
        help="folder that --fix writes (default fathom-fixed)",
    )
    parser.add_argument(
        "--picture", metavar="FILE", help="write a PNG of the rows and their errors"
    )
    add_fields(parser, PairOptions, skip=("scale",))
    add_fields(parser, SequenceOptions)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser
