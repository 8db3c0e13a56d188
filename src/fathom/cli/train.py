"""`fathom train`."""

import os
import shlex
from dataclasses import asdict
from pathlib import Path

from fathom.cli.console import percent, say, show_json, table
from fathom.cli.flags import Parser, add_fields, taken
from fathom.workflows.train import Check, TrainOptions, check_file, train_file

EXAMPLES = """examples:
  fathom train experiments/tiny.py                         (seconds; shows every part)
  fathom train experiments/tiny.py --check                 (settings, speed, memory; writes nothing)
  fathom train experiments/tiny.py --set steps=500 --set batch=4 -o runs/long
  fathom train experiments/tiny.py -o runs/long --resume   (after Ctrl-C, a crash, kill -9)
  fathom train experiments/tiny.py --data mine.csv --from runs/tiny/best.safetensors \\
    --set holdout=0.1 -o runs/mine                         (fine-tune, judged on 10 % held out)
  torchrun --nproc-per-node 2 -m fathom train experiments/tiny.py

the folder (default runs/NAME) gets log.html to look at, log.jsonl, checkpoints/,
best.safetensors (best on the first validation set) and weights.safetensors (at the end);
Ctrl-C saves after the step under way and ends with exit code 130
"""
_INTERRUPTED = 130


def run(words: list[str]) -> int:
    """Parses `words`, trains or checks, prints the scores; returns 0, or 130 if interrupted."""
    # Two OpenMP threads that spin while they wait are slower than one on busy cores; torch reads
    # this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = _parser().parse_args(words)
    file = Path(arguments.experiment)
    options = TrainOptions(**taken(arguments, TrainOptions), changes=tuple(arguments.set))
    start = None if arguments.start is None else Path(arguments.start)
    folder = Path(arguments.output) if arguments.output else Path("runs") / file.stem
    first = int(os.environ.get("RANK", "0") or 0) == 0
    if arguments.check:
        found = check_file(file, options, start, say)
        if first:
            show_json(asdict(found)) if arguments.json else _show_check(found)
        return 0
    result = train_file(file, folder, options, start, say)
    interrupted = result.stopped == "interrupted"
    if first and arguments.json:
        show_json({**asdict(result), "gaps": result.gaps})
    elif first:
        rows = [
            [name, *(f"{k} {_shown(k, v)}" for k, v in numbers.items())]
            for name, numbers in [*result.scores.items(), *result.gaps.items()]
        ]
        for row in rows:
            print("  ".join(row))
        print(f"{result.stopped} after step {result.step}; see {folder / 'log.html'}")
        if interrupted:
            again = [w for w in words if w != "--resume"]
            print(f"go on with  {shlex.join(['fathom', 'train', *again, '--resume'])}")
    return _INTERRUPTED if interrupted else 0


def _parser() -> Parser:
    parser = Parser(
        prog="fathom train",
        usage="fathom train EXPERIMENT.py [--set NAME=VALUE ...] [--resume] [--check] ...",
        description="Trains a stereo net as an experiment file says.",
        epilog=EXAMPLES,
    )
    parser.add_argument("experiment", metavar="EXPERIMENT.py", help="file that has an EXPERIMENT")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting (steps, batch, learning_rate, precision, seed, workers, ...)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="FILE",
        help="start from these weights: a safetensors file (a checkpoint, too) or a shipped model",
    )
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", help="where the run goes (default runs/EXPERIMENT)"
    )
    parser.add_argument(
        "--check", action="store_true", help="try a few steps, say what it takes, write nothing"
    )
    add_fields(parser, TrainOptions)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _show_check(found: Check) -> None:
    rows = [
        ["parameters", f"{found.parameters:,}"],
        ["samples", "endless" if found.samples is None else f"{found.samples:,}"],
        ["seconds a step", f"{found.seconds_a_step:.3g}"],
        ["hours in all", f"{found.hours:.2f}"],
        ["memory so far", f"{found.memory_mb:.0f} MB"],
        ["loss", f"{found.loss:.4g}"],
    ]
    print(table(["what", "value"], rows))


def _shown(metric: str, value: float) -> str:
    if metric.startswith("bad") or metric == "d1":
        return percent(value)
    return f"{value:.3f}" + (" px" if metric == "epe" else "")
