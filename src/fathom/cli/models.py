"""`fathom models`."""

from fathom.catalog import entries, entry
from fathom.cli.console import show_json
from fathom.cli.flags import Parser


def run(words: list[str]) -> int:
    """Prints a line for each method of the catalog."""
    parser = Parser(
        prog="fathom models",
        usage="fathom models [--json]",
        description="The methods there are, and whether they are ready.",
        epilog="examples:\n  fathom models\n  fathom depth left.png right.png --method opencv-sgbm",
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    default = entry("default").name
    if arguments.json:
        names = ("name", "task", "summary", "extra", "licence", "state")
        rows = [{n: getattr(e, n) for n in names} for e in entries()]
        show_json([{**row, "default": row["name"] == default} for row in rows])
        return 0
    width = max(len(e.name) for e in entries())
    for e in entries():
        mark = " (default)" if e.name == default else ""
        print(f"{e.name:<{width}}  {e.task}  {e.state:<8}  {e.summary}{mark}")
    return 0
