"""`fathom nearer`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from fathom.catalog import entry, parameters
from fathom.cli.console import percent, say, show_json, warn
from fathom.cli.depth import method_of
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.io.pairing import find_pairs
from fathom.workflows.depth import Listener
from fathom.workflows.nearer import FILES, NearerOptions, nearer, plane_words, write_nearer
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom nearer left.png right.png --plane 5m --calib calib.txt -o result
  fathom nearer left.png right.png --disparity 24 --json
  fathom nearer left.png right.png --plane 2m --at-least 0.9 --focal 700 --baseline 0.12
  fathom nearer left.png right.png --plane 5m --method bi3d-binary --weights bi3d.safetensors

bi3d-binary answers the one question in one pass. Every other method finds its disparity first, and
its confidence says how sure the answer is; unknown pixels stay unknown, never free.

files written with -o DIR:
"""


def run(words: list[str]) -> int:
    """Parses `words`, asks, prints what was found; returns 0."""
    method = method_of(words)
    arguments = _parser(method).parse_args(words)
    own = set(parameters(method))
    given = {k: v for k, v in vars(arguments).items() if k in own}
    options = NearerOptions(**taken(arguments, NearerOptions), parameters=given)
    pair_options = PairOptions(**taken(arguments, PairOptions))
    pairs = find_pairs(arguments.left, arguments.right)
    if pairs.many:
        raise UsageError(
            "this command takes one pair", field="LEFT", value=arguments.left,
            expected="two images",
        )  # fmt: skip
    done = nearer(pairs.pairs[0], pair_options, options, Listener(say, warn))
    info = done.info
    if arguments.output is not None:
        info = write_nearer(Path(arguments.output), done)
    if arguments.json:
        show_json(info)
    else:
        _show(info, plane_words(done.found))
    return 0


def _show(info: dict[str, Any], plane: str) -> None:
    result = info["result"]
    print(f"{percent(result['share_nearer'])} of the pixels are nearer than {plane}")
    print(
        f"{percent(result['share_not_nearer'])} are not, "
        f"{percent(result['share_unknown'])} are unknown "
        f"({info['method']['name']}, {info['seconds']['match']:.2f} s)"
    )
    if result["box_of_nearer_px"] is not None:
        x0, y0, x1, y1 = result["box_of_nearer_px"]
        print(f"the nearer ones lie in {x0},{y0} .. {x1},{y1}")
    if "folder" in info:
        print(f"wrote {info['folder']}/: {', '.join([*info['files'], 'result.json'])}")


def _parser(method: str) -> Parser:
    files = "\n".join(f"  {name:<16}{content}" for name, content in FILES.items())
    parser = Parser(
        prog="fathom nearer",
        usage="fathom nearer LEFT RIGHT --plane 5m | --disparity 24 [--method NAME] [-o DIR] ...",
        description="What is nearer than a plane: for each pixel of the left view the probability "
        "that it shows something nearer.",
        epilog=EXAMPLES + files + "\n  result.json     everything about the run",
    )
    parser.add_argument("left", metavar="LEFT", help="the left image")
    parser.add_argument("right", nargs="?", metavar="RIGHT", help="the right image")
    parser.add_argument("-o", "--output", "--out", metavar="DIR", help="folder to write")
    add_fields(parser.add_argument_group("the plane and the method"), NearerOptions)
    add_fields(parser.add_argument_group("the pair"), PairOptions)
    own = parameters(method)
    builder = entry(method).builder()
    if own and isinstance(builder, type):
        group = parser.add_argument_group(f"parameters of {entry(method).name}")
        common = [f.name for f in fields(builder) if f.name not in own]
        taken_names = {f.name for f in fields(NearerOptions)} | {
            f.name for f in fields(PairOptions)
        }
        add_fields(group, builder, skip=[*common, *taken_names])
    parser.add_argument("--json", action="store_true", help="print result.json instead of text")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser
