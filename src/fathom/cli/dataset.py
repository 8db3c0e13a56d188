"""`fathom dataset`."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from fathom.cli.console import say, show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError, unknown_name
from fathom.data.judge import Problem
from fathom.data.reader import Reader
from fathom.data.registry import as_markdown, reader, readers
from fathom.workflows.dataset import CheckOptions, CheckReport, check_dataset

HELP = """usage: fathom dataset {list,info,check} ...

Data sets with true depth or disparity: which ones fathom reads, and whether the truth of one
fits its images.

commands:
  list    all data sets that fathom reads
  info    one of them: terms, where to get it, the folders that are expected
  check   finds wrong scale, swapped views and misaligned truth by warping

examples:
  fathom dataset list
  fathom dataset info kitti-2015
  fathom dataset check kitti --format kitti-2015 --truth noc
  fathom dataset check pairs.csv --limit 100 --json
  fathom dataset COMMAND --help
"""
CHECK_EXAMPLES = """examples:
  fathom dataset check kitti
  fathom dataset check pairs.csv                       (a list of your own, docs/datasets.md)
  fathom dataset check MiddEval3 --format middlebury-v3 --resolution H --limit 5
  fathom dataset check --format driving --help         (its own options)

what is found: missing-file, unreadable, size-differs, duplicate-name, no-truth, empty-mask,
constant-truth, identical, depth-unit; and by warping the right image onto the left one: scale,
offset, sign, swapped, other-view, flipped, shifted, mismatch
exit code 0: nothing found; 1: something found
"""


def run(words: list[str]) -> int:
    """Parses `words` and runs the sub-command; returns 0, or 1 with findings."""
    commands: dict[str, Callable[[list[str]], int]] = {
        "list": _list,
        "info": _info,
        "check": _check,
    }
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        raise SystemExit(0)
    if words[0] not in commands:
        raise unknown_name("command of dataset:", words[0], list(commands))
    return commands[words[0]](words[1:])


def _list(words: list[str]) -> int:
    parser = _parser("list", "[--json]", "All data sets that fathom reads.", "")
    parser.add_argument("--markdown", action="store_true", help="print docs/datasets.md's table")
    arguments = parser.parse_args(words)
    if arguments.markdown:
        print(as_markdown(), end="")
    elif arguments.json:
        show_json([_as_dict(r) for r in readers()])
    else:
        width = max(len(r.name) for r in readers())
        for r in readers():
            print(f"{r.name:<{width}}  {r.kind:<6}  {r.summary}")
    return 0


def _info(words: list[str]) -> int:
    parser = _parser("info", "NAME [--json]", "What fathom knows about a data set.", "")
    parser.add_argument("name", metavar="NAME", help="as `fathom dataset list` shows it")
    arguments = parser.parse_args(words)
    found = reader(arguments.name)
    if arguments.json:
        show_json(_as_dict(found))
        return 0
    print(f"{found.name}: {found.summary}")
    print(f"samples  {found.kind}")
    print(f"terms    {found.terms}")
    print(f"from     {found.source}   (fathom downloads nothing)")
    print(f"splits   {', '.join(found.splits)}")
    for f in fields(found.options):
        print(f"option   {f.name}: {f.metadata.get('help', '')} (default {f.default})")
    print("expected")
    for line in found.layout.splitlines():
        print(f"  {line}")
    return 0


def _check(words: list[str]) -> int:
    parser = _parser(
        "check", "ROOT|LIST [--format NAME] [--limit N] [--json]", _CHECK_TEXT, CHECK_EXAMPLES
    )
    parser.add_argument("root", metavar="ROOT", help="its folder, or a list (.csv, .jsonl)")
    add_fields(parser, CheckOptions)
    format = _format_of(words)
    own: type | None = None
    if format is not None:
        own = reader(format).options
        clash = {f.name for f in fields(CheckOptions)}
        add_fields(parser.add_argument_group(f"options of {format}"), own, skip=clash)
    arguments = parser.parse_args(words)
    settings = {} if own is None else taken(arguments, own)
    options = CheckOptions(**taken(arguments, CheckOptions))

    def found(problem: Problem) -> None:
        if not arguments.json:
            print(f"{problem.sample or 'the data set'}: {problem.code}: {problem.message}")

    report = check_dataset(Path(arguments.root), options, settings, say, found)
    if arguments.json:
        show_json(report.as_dict())
    else:
        _summary(report)
    return 1 if report.counts else 0


_CHECK_TEXT = "Does the truth fit the images? Reads every sample once."


def _summary(report: CheckReport) -> None:
    if report.with_truth < report.samples:
        print(f"{report.samples - report.with_truth} samples have no truth that could be read")
    if not report.counts:
        print(f"nothing found in {report.samples} samples")
        return
    print(f"found in {report.samples} samples:")
    remedies = {p.code: p.remedy for p in reversed(report.problems)}
    for code, count in report.counts.most_common():
        print(f"  {count:>6} {code:<15} {remedies.get(code, '')}")


def _format_of(words: list[str]) -> str | None:
    """The value of --format before the parser is built: its data set has flags of its own."""
    for i, word in enumerate(words):
        if word.startswith("--format="):
            return word.partition("=")[2]
        if word == "--format":
            if i + 1 == len(words):
                raise UsageError("names no data set", field="--format", remedy="--format NAME")
            return words[i + 1]
    return None


def _parser(command: str, usage: str, text: str, examples: str) -> Parser:
    parser = Parser(
        prog=f"fathom dataset {command}",
        usage=f"fathom dataset {command} {usage}",
        description=text,
        epilog=examples,
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _as_dict(r: Reader) -> dict[str, object]:
    plain = ("name", "kind", "summary", "terms", "source", "layout", "splits")
    own = {f.name: f.metadata.get("help", "") for f in fields(r.options)}
    return {**{name: getattr(r, name) for name in plain}, "options": own}
