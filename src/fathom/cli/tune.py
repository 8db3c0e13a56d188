"""`fathom tune`."""

import argparse
import shlex
from dataclasses import asdict, fields
from pathlib import Path

from fathom.catalog import default_of, entry, parameters
from fathom.cli.console import say, show_json, table
from fathom.cli.depth import method_of
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.io.pairing import find_pairs
from fathom.workflows.pairs import PairOptions
from fathom.workflows.tune import TuneOptions, TuneResult, tune_files

EXAMPLES = """examples:
  fathom tune left.png right.png -o parameters.json
  fathom tune left.png right.png --truth disparity.pfm --budget 120
  fathom tune left/ right/ --truth truth/ --method opencv-sgbm
  fathom tune left.png right.png --only p1,p2 --p1 10         (start at p1 = 10)
  fathom tune --method opencv-sgbm --help                     (its own parameters)

the score, smaller is better: with --truth the share of bad pixels of the filled map; without,
how much left and right map and the two images contradict each other (0..1): a pixel costs 1/2
if nothing is known of it, 1 if the right view's map says otherwise, and else as much less than
1/2 as the windows around it and around its match are alike
Ctrl-C ends the search and keeps the best so far (exit code 130)
"""
_INTERRUPTED = 130


def run(words: list[str]) -> int:
    """Parses `words`, tunes, prints what was chosen; returns 0, or 130 if it was interrupted."""
    method = method_of(words, TuneOptions.method)
    arguments = _parser(method).parse_args(words)
    own = set(parameters(method))
    pair_options = PairOptions(**taken(arguments, PairOptions))
    start = {k: v for k, v in vars(arguments).items() if k in own}
    options = TuneOptions(**taken(arguments, TuneOptions), start=start)
    if arguments.right is None and pair_options.layout is None:
        raise UsageError("two images are needed", field="RIGHT", remedy="see: fathom tune --help")
    found = find_pairs(arguments.left, arguments.right)
    out = Path(arguments.output)
    result = tune_files(found, arguments.truth, pair_options, options, out, say)
    command = _command(arguments, result)
    if arguments.json:
        show_json({**asdict(result), "file": str(out), "command": command})
    else:
        _show(result, out, command)
    return _INTERRUPTED if result.stopped == "interrupted" else 0


def _parser(method: str) -> Parser:
    parser = Parser(
        prog="fathom tune",
        usage="fathom tune LEFT RIGHT [--method NAME] [--truth FILE ...] [-o FILE.json] ...",
        description="Picks the parameters of a method on a few pairs.",
        epilog=EXAMPLES,
    )
    parser.add_argument("left", metavar="LEFT", help="image, folder or glob")
    parser.add_argument("right", nargs="?", metavar="RIGHT", help="the same for the right view")
    parser.add_argument(
        "--truth",
        nargs="+",
        metavar="FILE",
        help="true disparity of each pair (PFM, KITTI PNG, npy), or a folder or glob of them",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="fathom-tune.json",
        metavar="FILE",
        help="the parameters as JSON (default fathom-tune.json)",
    )
    add_fields(parser.add_argument_group("the pairs"), PairOptions, skip=("scale",))
    add_fields(parser.add_argument_group("the method and the search"), TuneOptions)
    own = parameters(method)
    builder = entry(method).builder()
    if own and isinstance(builder, type):
        group = parser.add_argument_group(f"where the search starts: {entry(method).name}")
        common = [f.name for f in fields(builder) if f.name not in own]
        add_fields(group, builder, skip=common)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _command(arguments: argparse.Namespace, result: TuneResult) -> str:
    """The line that computes depth with what was chosen."""
    words = [w for w in (arguments.left, arguments.right) if w is not None]
    for name in ("calib", "max_disparity", "min_disparity"):
        if (value := getattr(arguments, name, None)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(["fathom", "depth", *words, *result.flags()])


def _show(result: TuneResult, out: Path, command: str) -> None:
    known = parameters(result.method)
    rows = [
        [name, str(default_of(known[name])), str(result.start[name]), str(value)]
        for name, value in result.parameters.items()
    ]
    rows.append([result.measure, "", f"{result.before:.4f}", f"{result.after:.4f}"])
    print(table(["parameter", "default", "start", "chosen"], rows))
    print(f"{result.tried} settings judged; stopped because: {result.stopped}")
    print(f"wrote {out}")
    print(f"use   {command}")
