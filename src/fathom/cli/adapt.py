"""`fathom adapt`."""

import os
import shlex
from pathlib import Path

from fathom.cli.console import progress_bar, say, show_json, table
from fathom.cli.flags import Parser, add_fields, taken
from fathom.train.adapt_recipe import Recipe
from fathom.train.adapt_rule import deciding
from fathom.workflows.adapt import AdaptOptions, Outcome, adapt_files
from fathom.workflows.adapt_anchors import AnchorOptions
from fathom.workflows.adapt_frames import FrameOptions
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom adapt walks/left walks/right -o walks.safetensors     (two folders or globs)
  fathom adapt walks --model sgm-refined                       (a folder with left and right in it)
  fathom adapt mine.csv                       (a list; its depth or disparity are the anchors)
  fathom adapt left/ right/ --calib calib.txt --anchors lidar/ (points in metres, a file a pair)
  fathom adapt left/ right/ --truth disparities/               (judged by it, never taught)
  fathom adapt left/ right/ -o walks.safetensors --resume      (after Ctrl-C or a crash)
  fathom depth left.png right.png --method fathom-s --weights walks.safetensors

Every pair is checked first; some are held back by their names and never learned from. The model
learns from what it says alike of several looks of a pair (as it is, smoothed, reduced, from both
sides), and from the anchors. It stops when the held-back frames get no better. 8 pairs or more must
be fit, of which 4 or more are held back.

Weights are written only if the held-back frames got better by 1 % or more, and in no number that
decides worse by however little. With a truth for them that is their end-point error (1 %) and bad-2
(no worse); without, `labels` (what those looks agree on and the model misses) and `inconsistency`
(how badly both directions and both images contradict each other): neither worse, their geometric
mean 1 % better. Without a truth none of this is the error itself.

beside WEIGHTS: its report (.json, .html) and the run's folder (WEIGHTS-run: log.html, ...)

exit code 0: better, weights written; 1: no better, nothing written but the report; 3: pairs that
cannot serve; 130: Ctrl-C (what was best until then is kept by the same rule)
"""
_INTERRUPTED = 130


def run(words: list[str]) -> int:
    """Parses `words`, adapts, prints before and after; returns 0, 1 if it was no better, or 130."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = _parser().parse_args(words)
    options = AdaptOptions(**taken(arguments, AdaptOptions))
    outcome = adapt_files(
        arguments.first,
        arguments.second,
        Path(arguments.output or f"{options.model}-adapted.safetensors"),
        options,
        FrameOptions(**taken(arguments, FrameOptions)),
        PairOptions(**taken(arguments, PairOptions)),
        AnchorOptions(**taken(arguments, AnchorOptions)),
        Recipe(**taken(arguments, Recipe)),
        say,
        lambda count: progress_bar(count, "pairs"),
    )
    interrupted = outcome.stopped == "interrupted"
    if arguments.json:
        show_json(outcome.as_dict())
    else:
        _show(outcome, options)
        if interrupted:
            again = [w for w in words if w != "--resume"]
            print(f"go on with  {shlex.join(['fathom', 'adapt', *again, '--resume'])}")
    if interrupted:
        return _INTERRUPTED
    return 0 if outcome.kept else 1


def _show(outcome: Outcome, options: AdaptOptions) -> None:
    decides = deciding(outcome.before)
    rows = [
        [name, f"{value:.4g}", f"{outcome.after[name]:.4g}", "yes" if name in decides else "-"]
        for name, value in outcome.before.items()
    ]
    print(table([f"{len(outcome.held)} held-back frames", "before", "after", "decides"], rows))
    print(f"{outcome.stopped} after step {outcome.steps}; see {outcome.places.page}")
    if not outcome.kept:
        print("rolled back: no better than before by what decides, no weights written")
        return
    print(f"wrote {outcome.places.weights}")
    words = ["fathom", "depth", "LEFT", "RIGHT", "--method", options.model, "--weights"]
    print(f"use it with  {shlex.join([*words, str(outcome.places.weights)])}")


def _parser() -> Parser:
    parser = Parser(
        prog="fathom adapt",
        usage="fathom adapt PAIRS [RIGHT] [--model NAME] [-o WEIGHTS.safetensors] ...",
        description="Fine-tunes a model on your own rectified pairs, without truth; keeps it only "
        "if held-back pairs say that it is better.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "first",
        metavar="PAIRS",
        help="left images (folder or glob), a folder with both sides, a list, or a data set",
    )
    parser.add_argument("second", nargs="?", metavar="RIGHT", help="right images")
    parser.add_argument(
        "-o",
        "--output",
        metavar="WEIGHTS",
        help="file for the new weights (default MODEL-adapted.safetensors)",
    )
    add_fields(parser, AdaptOptions)
    add_fields(parser, FrameOptions)
    add_fields(parser.add_argument_group("objective"), Recipe)
    pairs = parser.add_argument_group("pairs of images, and anchors in metres")
    add_fields(pairs, PairOptions, skip=("layout",))
    add_fields(pairs, AnchorOptions)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser
