"""`fathom check`."""

from pathlib import Path

from fathom.cli.console import show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.workflows.check import check_files
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom check left.png right.png
  fathom check left.png right.png --calib calib.txt --json

exit code 0: nothing found; 1: something found, each with what was seen, how sure it is
and what to do; 3: a file that cannot be read
"""


def run(words: list[str]) -> int:
    """Parses `words`, checks the pair, prints the findings; returns 0 or, with findings, 1."""
    parser = Parser(
        prog="fathom check",
        usage="fathom check LEFT RIGHT [--calib FILE] [--json]",
        description="Is this pair fit to be matched? Says what is wrong and what to do.",
        epilog=EXAMPLES,
    )
    parser.add_argument("left", metavar="LEFT", help="image (with --layout: both views)")
    parser.add_argument("right", nargs="?", metavar="RIGHT", help="the right image")
    add_fields(parser, PairOptions, skip=("scale",))
    parser.add_argument("--json", action="store_true", help="print the list of findings as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    options = PairOptions(**taken(arguments, PairOptions))
    if arguments.right is None and options.layout is None:
        raise UsageError("two images are needed", field="RIGHT", remedy="see: fathom check --help")
    right = None if arguments.right is None else Path(arguments.right)
    findings = check_files(Path(arguments.left), right, options)
    if arguments.json:
        show_json([finding.as_dict() for finding in findings])
    elif not findings:
        print("nothing found: the pair looks fit to be matched")
    else:
        for finding in findings:
            print(f"{finding.code} ({finding.certainty:.0%} sure): {finding.message}")
            print(f"  what to do: {finding.remedy}")
    return 1 if findings else 0
