"""`fathom models`."""

from typing import Any

from fathom.catalog import Entry, entries, entry
from fathom.cli.console import say, show_json
from fathom.cli.flags import Parser

_HELP = {
    "install": "run: pip install 'fathom-depth[{extras}]'",
    "convert": "convert the authors' weights first: fathom weights --help",
    "download": "weights on the hub; to fetch them: fathom weights add NAME",
    "train": "of these nets no weights were published: train one (experiments/), --weights FILE",
    "missing": "the weights of these methods are not in this installation: give --weights FILE",
}


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
        rows = [{n: getattr(e, n) for n in names} | {"hub": _hub(e)} for e in entries()]
        show_json([{**row, "default": row["name"] == default} for row in rows])
        return 0
    width = max(len(e.name) for e in entries())
    for e in entries():
        mark = " (default)" if e.name == default else ""
        print(f"{e.name:<{width}}  {e.task}  {e.state:<8}  {e.summary}{mark}")
    for state in sorted({e.state for e in entries()} & set(_HELP)):
        extras = ",".join(sorted({e.extra or "openvino" for e in entries() if e.state == state}))
        say(f"{state}: {_HELP[state].format(extras=extras)}")
    return 0


def _hub(e: Entry) -> dict[str, Any] | None:
    """Where its weights are on the hub, for JSON; None where they are not."""
    if e.hub is None:
        return None
    return {"repo": e.hub.repo, "revision": e.hub.revision, "pinned": e.hub.pinned}
