"""What `fathom compare` of matchers and of mono against stereo share: flags, running, printing."""

import argparse
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fathom.cli.console import percent, progress_bar, show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.cli.truth import add_truth
from fathom.core.errors import UsageError
from fathom.data.registry import reader
from fathom.workflows.compare import Compared
from fathom.workflows.compare_inputs import Inputs
from fathom.workflows.pairs import PairOptions


def compared_parser(
    prog: str, usage: str, about: str, epilog: str, files: Mapping[str, str]
) -> Parser:
    """The words before all flags. files: what is written, for the end of the help."""
    lines = "\n".join(f"  {name:<14}{content}" for name, content in files.items())
    parser = Parser(prog=prog, usage=usage, description=about, epilog=epilog + lines)
    parser.add_argument("left", nargs="?", metavar="LEFT", help="image, folder or glob")
    parser.add_argument("right", nargs="?", metavar="RIGHT", help="the same for the right view")
    parser.add_argument(
        "-o", "--output", "--out", default="fathom-compare", metavar="DIR",
        help="folder to write (default fathom-compare)",
    )  # fmt: skip
    return parser


def add_sources(
    parser: Parser, format: str | None, options: type[Any], *, several: bool
) -> argparse._ArgumentGroup:
    """What is compared on: a data set (or several), with the flags of its format, or images of
    one's own, with their truth and calibration. options: the comparison's, whose flags win. Gives
    the group of the second."""
    group = parser.add_argument_group(
        "data sets instead of images" if several else "a data set instead of images"
    )
    words = "its folder, or a list (.csv, .jsonl)" + "; may be given several times" * several
    group.add_argument(
        "--data", metavar="ROOT", action="append" if several else "store", help=words
    )
    group.add_argument(
        "--format", metavar="NAME", help="which it is (`fathom dataset list`; default: by folders)"
    )
    group.add_argument("--split", metavar="NAME", help="which part (default: its first)")
    if format is None:
        group = parser.add_argument_group("images of your own")
        add_truth(group)
        add_fields(group, PairOptions)
    else:
        # A data set's own flags may have the names of those above (KITTI's --truth noc).
        clash = set(options.__dataclass_fields__)
        group = parser.add_argument_group(f"options of {format}")
        add_fields(group, reader(format).options, skip=clash)
    return group


def add_output_flags(parser: Parser) -> None:
    """How the result is printed."""
    parser.add_argument("--json", action="store_true", help="print result.json instead of text")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def dataset_options(arguments: argparse.Namespace, format: str | None) -> dict[str, Any] | None:
    """The data set's own options where one was given, else None.

    Raises `UsageError` for images, truth or a calibration beside a data set, and for flags of a
    data set without one, or without any image.
    """
    if arguments.data is None:
        for name in ("format", "split"):
            if getattr(arguments, name, None) is not None:
                raise UsageError(
                    "belongs to --data", field=name, remedy="give --data ROOT, or leave it"
                )
        if arguments.left is None:
            raise UsageError("no image given", field="LEFT", remedy="see: fathom compare --help")
        return None
    given = {} if format is not None else taken(arguments, PairOptions)
    truth = format is None and arguments.truth is not None
    if arguments.left is not None or truth or given:
        data = arguments.data
        raise UsageError(
            "a data set brings its own images, truth and calibration",
            field="data",
            value=data if isinstance(data, str) else ", ".join(data),
            remedy="leave LEFT, RIGHT, --truth and calibration flags out",
        )
    return {} if format is None else taken(arguments, reader(format).options)


def run_compared(
    arguments: argparse.Namespace,
    inputs: Inputs[Any],
    limit: int | None,
    noun: str,
    job: Callable[[Path, Callable[[str], None]], Compared],
    show: Callable[[Compared, Path], None],
) -> int:
    """Runs the comparison beside a bar of progress and prints what came out; its exit code. noun:
    of the inputs, in the plural."""
    out = Path(arguments.output)
    with progress_bar(len(list(inputs.limited(limit))), noun) as advance:
        compared = job(out, advance)
    if arguments.json:
        show_json({**compared.info, "folder": str(out)})
    else:
        show(compared, out)
    return compared.exit_code


def cell(value: float | None, unit: str) -> str:
    """A number for the printed table; "-" for what is not known."""
    if value is None or math.isnan(value):
        return "-"
    return percent(value) if unit == "%" else f"{value:.3f} {unit}".rstrip()


def show_compared(
    compared: Compared, out: Path, table: str, notes: Iterable[str], noun: str, files: Iterable[str]
) -> None:
    """The table, the summary, notes, failures and what was written. noun: what was compared on."""
    info = compared.info
    print(f"\n{table}\n")
    for sentence in info["summary"]:
        print(f"- {sentence}")
    for note in [*notes][:10]:
        print(f"note: {note}")
    if compared.interrupted:
        print(f"interrupted: this is of the first {info['samples']} {noun}")
    for failure in info["failures"][:5]:
        who = ", ".join(part for part in (failure["sample"], failure["method"]) if part)
        print(f"failed: {who}: {failure['error']}")
    if len(info["failures"]) > 5:
        print(f"failed: {len(info['failures']) - 5} more, in {out / 'result.json'}")
    print(f"wrote {out}/: {', '.join(files)}")
    print(f"open  {out / 'report.html'} ({info['report_bytes'] / 1e6:.1f} MB)")
