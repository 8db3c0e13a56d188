"""`fathom compare`."""

import argparse
from pathlib import Path
from typing import Any, Literal

from fathom.cli.compare_mono import asked_for, run_mono
from fathom.cli.compared import (
    add_output_flags,
    add_sources,
    cell,
    compared_parser,
    dataset_options,
    run_compared,
    show_compared,
)
from fathom.cli.console import percent, say, table, warn
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.io.pairing import find_pairs
from fathom.workflows.compare import FILES, Compared, CompareOptions, compare
from fathom.workflows.compare_cases import Cases, cases_of_dataset, cases_of_files
from fathom.workflows.depth import Listener
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom compare left.png right.png -o report
  fathom compare left.png right.png --truth disparity.pfm --methods sgm,opencv-sgbm,census
  fathom compare left/ right/ --truth truth/ --truth-encoding uint16 --truth-scale 1/256
  fathom compare left.png right.png --methods opencv-sgbm,opencv-sgbm:mode=hh,sgm:p2=80
  fathom compare --data kitti --format kitti-2015 --limit 20 --protocol kitti-2015
  fathom compare --data pairs.csv                    (a list of your own, docs/datasets.md)
  fathom compare --mono depth-anything-v2-small --stereo sgm left.png right.png --truth disp.pfm
                         (depth from one view against stereo; see fathom compare --mono --help)

Ctrl-C writes the report of the pairs done so far, unless DIR holds an earlier one, which stays.

exit code 0: all well; 1: a pair or a method failed, is named, and the rest was done

files written to the output folder:
"""


def run(words: list[str]) -> int:
    """Parses `words`, compares, prints the table; returns 0, or 1 if something failed."""
    format = _format_of(words)
    if asked_for(words):
        return run_mono(words, format)
    arguments = _parser(format).parse_args(words)
    options = CompareOptions(**taken(arguments, CompareOptions))
    cases = _cases(arguments, format, options.check)
    return run_compared(
        arguments,
        cases,
        options.limit,
        "pairs",
        lambda out, advance: compare(cases, out, options, Listener(say, warn), advance),
        _show,
    )


def _show(compared: Compared, out: Path) -> None:
    info = compared.info
    notes = [*_unit_notes(info), *info["notes"]]
    show_compared(compared, out, _table(info), notes, "pairs", FILES)


def _cases(arguments: argparse.Namespace, format: str | None, check: bool) -> Cases:
    own = dataset_options(arguments, format)
    if own is not None:
        return cases_of_dataset(Path(arguments.data), format, arguments.split, own)
    options = PairOptions(**taken(arguments, PairOptions))
    if arguments.right is None and options.layout is None:
        raise UsageError(
            "two images are needed", field="RIGHT", remedy="see: fathom compare --help"
        )
    found = find_pairs(arguments.left, arguments.right)
    encoding, scale = arguments.truth_encoding, arguments.truth_scale
    if arguments.truth is None and (encoding is not None or scale is not None):
        raise UsageError("belongs to --truth", field="truth-encoding", remedy="give --truth FILE")
    return cases_of_files(found, arguments.truth, options, encoding or "auto", scale, check)


def _format_of(words: list[str]) -> str | None:
    """The data set named in `words`, looked for ahead of parsing because it brings own flags."""
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scout.add_argument("--format")
    try:
        known, _ = scout.parse_known_args(words)
    except argparse.ArgumentError:
        return None
    return None if known.format is None else str(known.format)


def _parser(format: str | None) -> Parser:
    parser = compared_parser(
        "fathom compare",
        "fathom compare LEFT RIGHT [--truth FILE] [--methods LIST] [-o DIR] ...\n"
        "       fathom compare --data ROOT [--format NAME] [--limit N] ...\n"
        "       fathom compare --mono LIST [--stereo LIST] LEFT [RIGHT] ...",
        "Several methods on the same pairs: scores, pictures, where each fails.",
        EXAMPLES,
        FILES,
    )
    add_sources(parser, format, CompareOptions, several=False)
    add_fields(parser.add_argument_group("the comparison"), CompareOptions)
    add_output_flags(parser)
    return parser


def _unit_notes(info: dict[str, Any]) -> list[str]:
    """What scoring had to say, such as a truth in another unit; once for each method."""
    rows: dict[str, Any] = next(iter(info["scores"].values()), {})
    return [f"{label}: {row['first_note']}" for label, row in rows.items() if row["first_note"]]


def _table(info: dict[str, Any]) -> str:
    """The first metrics under the first mask, or consistency; with time and memory."""
    metrics = [m for m in info["protocol"]["metrics"] if m["better"] != "as stated"][:6]
    mask: str | Literal[False] = next(iter(info["scores"]), False)
    rows: list[list[str]] = []
    words: list[str] = []
    for label, method in info["methods"].items():
        cells = [label, str(method["samples"])]
        if mask is not False:
            row = info["scores"][mask].get(label)
            cells.append(percent(row["known"] if row else None))
            cells += [cell(row and row["values"].get(m["name"]), m["unit"]) for m in metrics]
            cells.append(cell(info["ssim"].get(label, {}).get("mean"), ""))
        elif info["consistency"]:
            found = info["consistency"]["methods"].get(label, {})
            cells += [
                cell(found.get("inconsistency"), ""),
                cell(found.get("photometric"), ""),
                percent(found.get("left-right")),
                percent(found.get("measured")),
            ]
        memory = method["memory_mb"]
        cells += [
            cell(method["seconds_median"], "s"),
            "-" if memory is None else f"{memory:.0f} MB",
        ]
        rows.append(cells)
    if mask is not False:
        words = ["known", *(m["name"] for m in metrics), "SSIM"]
        note = f"[{info['protocol']['name']}, {mask}: {info['protocol']['rules']}]"
    elif info["consistency"]:
        words = ["inconsistency", "photometric", "left-right", "measured"]
        note = "[consistency without truth, filled pixels left out]"
    else:
        note = "[nothing to judge by]"
    return f"{table(['method', 'pairs', *words, 'time', 'memory'], rows)}\n{note}"
