"""`fathom eval`: predict, score, protocols, submit, validate."""

import importlib
from collections.abc import Callable

from fathom.cli.console import show_json
from fathom.cli.flags import Parser
from fathom.core.errors import unknown_name

HELP = """usage: fathom eval {predict,score,protocols,submit,validate} ...

Judges disparity and depth in two steps: maps are written to files, and files are scored, so that
any program's results can be judged the same way. No number without its protocol.

commands:
  predict    a method on a data set, a list or folders of pairs: one file a sample, resumable
  score      files of maps (fathom's or any other's) against a truth, under named protocols
  protocols  the protocols there are, and what each of them means
  submit     an archive to upload to KITTI, Middlebury or ETH3D, checked
  validate   would the benchmark take this archive? names, sizes, types, values

examples:
  fathom eval predict data/kitti --method sgm -o runs/sgm
  fathom eval score runs/sgm --truth data/kitti
  fathom eval score their_maps/ --truth pairs.csv --protocol kitti-2015,fathom --csv rows.csv
  fathom eval submit kitti-2015 runs/sgm-testing -o kitti.zip
  fathom eval validate kitti.zip
  fathom eval COMMAND --help
"""
_COMMANDS = {
    "predict": "eval_predict",
    "score": "eval_score",
    "submit": "eval_submit",
    "validate": "eval_submit",
}


def run(words: list[str]) -> int:
    """Parses `words` and runs the sub-command; returns its exit code."""
    if not words or words[0] in ("-h", "--help"):
        print(HELP, end="")
        if words:
            raise SystemExit(0)
        return 0
    if words[0] == "protocols":
        return _protocols(words[1:])
    if words[0] not in _COMMANDS:
        raise unknown_name("command of eval:", words[0], [*_COMMANDS, "protocols"])
    module = importlib.import_module(f"fathom.cli.{_COMMANDS[words[0]]}")
    command: Callable[[list[str]], int] = getattr(module, words[0])
    return command(words[1:])


def _protocols(words: list[str]) -> int:
    from fathom.eval.protocols import protocol, protocols

    parser = Parser(
        prog="fathom eval protocols",
        usage="fathom eval protocols [NAME] [--json]",
        description="What a number means: masks, thresholds, crops, caps, unknown pixels.",
        epilog="examples:\n  fathom eval protocols\n  fathom eval protocols kitti-2015",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of them, with its metrics")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    chosen = protocols() if arguments.name is None else (protocol(arguments.name),)
    if arguments.json:
        show_json(
            [
                {
                    "name": p.name,
                    "quantity": p.quantity,
                    "summary": p.summary,
                    "rules": p.rules(),
                    "masks": p.masks,
                    "metrics": p.metrics,
                    "source": p.source,
                }
                for p in chosen
            ]
        )
        return 0
    if arguments.name is None:
        width = max(len(p.name) for p in chosen)
        for p in chosen:
            print(f"{p.name:<{width}}  {p.quantity:<9}  {p.summary}")
        return 0
    (one,) = chosen
    print(f"{one.name}: {one.summary}")
    print(f"rules   {one.rules()}")
    print(f"masks   {', '.join(one.masks)}")
    print(f"source  {one.source}")
    rows = [[m.name, m.unit or "-", m.better, m.text] for m in one.measures]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
        print("  " + "  ".join([*cells, row[3]]))
    return 0
