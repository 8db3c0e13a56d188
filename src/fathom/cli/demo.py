"""`fathom demo`."""

from pathlib import Path

from fathom.cli.console import metres, percent, say, show_json, table, warn
from fathom.cli.flags import Parser
from fathom.data.samples import motorcycle
from fathom.workflows.demo import PROTOCOL, DemoResult, demo
from fathom.workflows.depth import Listener


def run(words: list[str]) -> int:
    """Runs the demo, prints its table and which files to open."""
    parser = Parser(
        prog="fathom demo",
        usage="fathom demo [-o DIR] [--json]",
        description="Every built-in method on the real Motorcycle pair (Middlebury 2014), judged "
        "by its ground truth.",
        epilog="example:\n  fathom demo -o demo",
    )
    parser.add_argument(
        "-o", "--output", default="fathom-demo", metavar="DIR", help="(default fathom-demo)"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    result = demo(Path(arguments.output), motorcycle(), Listener(say, warn))
    if arguments.json:
        show_json([vars(row) for row in result.rows])
    else:
        _show(result)
    return 0


def _show(result: DemoResult) -> None:
    headers = ["method", "time", "bad-1", "bad-2", "bad-4", "EPE", "known", "nearest", "farthest"]
    rows = [
        [
            row.method,
            f"{row.seconds:.2f} s",
            *(percent(share) for share in (row.bad1, row.bad2, row.bad4)),
            f"{row.epe:.2f} px",
            percent(row.known),
            metres(row.nearest),
            metres(row.farthest),
        ]
        for row in result.rows
    ]
    print(f"\n{table(headers, rows)}\n({PROTOCOL}; time with filling and confidence)\n")
    print(f"wrote {result.folder}/: {', '.join([*result.files, 'result.json'])}")
    print(f"open  {result.folder}/overview.png, or {result.folder}/report.html in a browser")
    print(f"next  fathom depth {result.folder}/left.png {result.folder}/right.png")
