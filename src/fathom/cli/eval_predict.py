"""`fathom eval predict`."""

import shlex
from dataclasses import fields
from pathlib import Path

from fathom.catalog import entry, parameters
from fathom.cli.console import percent, say, show_json
from fathom.cli.depth import method_of
from fathom.cli.flags import Parser, add_fields, taken
from fathom.data.registry import reader
from fathom.workflows.evaluate import Predicted, PredictOptions, duration
from fathom.workflows.evaluate import predict as run_predict
from fathom.workflows.evaluate_folder import read_rows
from fathom.workflows.evaluate_pairs import pairs_of
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom eval predict data/kitti --method sgm -o runs/sgm          (the folder tells the data set)
  fathom eval predict MiddEval3 --format middlebury-v3 --resolution H --split test -o runs/test
  fathom eval predict pairs.csv --method opencv-sgbm --mode hh     (a list, docs/datasets.md)
  fathom eval predict left/ right/ --calib calib.txt -o runs/own   (two images, folders or globs)
  fathom eval predict data --format driving --help                 (its own options)

written to the folder:
  predictions.json      method, every parameter, data set, versions
  samples.jsonl         a line a sample: its files, seconds, memory, digest of the images
  disparity/NAME.pfm    pixels, inf = unknown (or .npy, NaN = unknown)
  confidence/NAME.png   P(error <= 1 px) x 65535
  source/NAME.png       0 unknown, 1 matched, 2 filled, 3 one-view model, 4 LiDAR or radar
a run that was stopped or killed goes on where it was with the same command; other settings in the
same folder are refused
exit code 0: every sample has a map; 1: some failed (named; tried again next time)
"""
_SKIPPED = ("scale", "layout")


def predict(words: list[str]) -> int:
    """Parses `words`, makes the maps; returns the exit code."""
    method, format = method_of(words), value_of(words, "--format")
    parser = _parser(method, format)
    arguments = parser.parse_args(words)
    own = set(parameters(method))
    given = {k: v for k, v in vars(arguments).items() if k in own}
    options = PredictOptions(**taken(arguments, PredictOptions), parameters=given)
    pair_options = PairOptions(**taken(arguments, PairOptions))
    of_set = {} if format is None else taken(arguments, reader(format).options)
    pairs = pairs_of(
        arguments.first, arguments.second, format, arguments.split, of_set, pair_options
    )
    out = Path(arguments.output)
    command = shlex.join(["fathom", "eval", "predict", *words])
    try:
        result = run_predict(pairs, out, options, say, command)
    except KeyboardInterrupt:
        done = sum(1 for row in read_rows(out).values() if row.disparity) if out.is_dir() else 0
        say(f"{done} of {len(pairs.names)} are done and kept; the same command goes on from there")
        raise
    if arguments.json:
        show_json(result.as_dict())
    else:
        _show(result, entry(method).name, arguments.second is None)
    return result.exit_code


def value_of(words: list[str], flag: str) -> str | None:
    """The value of a flag that decides which other flags there are."""
    for i, word in enumerate(words):
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
        if word == flag and i + 1 < len(words):
            return words[i + 1]
    return None


def _parser(method: str, format: str | None) -> Parser:
    parser = Parser(
        prog="fathom eval predict",
        usage="fathom eval predict ROOT|LIST|LEFT RIGHT [--method NAME] [-o DIR] ...",
        description="Disparity maps of a whole data set, a file a sample, for `fathom eval score`.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "first", metavar="ROOT|LIST|LEFT", help="a data set, a list (.csv, .jsonl), or left images"
    )
    parser.add_argument("second", nargs="?", metavar="RIGHT", help="right images")
    parser.add_argument(
        "-o",
        "--output",
        default="predictions",
        metavar="DIR",
        help="folder to write (default predictions)",
    )
    parser.add_argument(
        "--format", metavar="NAME", help="which data set it is; default: by its folders"
    )
    parser.add_argument("--split", metavar="NAME", help="which part; default: the first")
    add_fields(parser.add_argument_group("the method and its result"), PredictOptions)
    builder, own = entry(method).builder(), parameters(method)
    if own and isinstance(builder, type):
        group = parser.add_argument_group(f"parameters of {entry(method).name}")
        add_fields(group, builder, skip=[f.name for f in fields(builder) if f.name not in own])
    if format is not None:
        clash = {f.name for f in fields(PredictOptions)} | set(own) | {"split"}
        add_fields(
            parser.add_argument_group(f"options of {format}"), reader(format).options, skip=clash
        )
    group = parser.add_argument_group("calibration, for images of one's own")
    add_fields(group, PairOptions, skip=_SKIPPED)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _show(result: Predicted, method: str, of_set: bool) -> None:
    there = result.made + result.kept
    earlier = f" ({result.kept} by an earlier run)" if result.kept else ""
    print(f"{method}: {there} of {result.total} maps{earlier}, in {result.folder}/")
    if result.seconds is not None:
        total = duration(result.seconds * result.made)
        print(f"matched in {result.seconds:.3g} s a pair, {total} in all")
    shares = [r.share_known for r in read_rows(result.folder).values() if r.share_known is not None]
    if shares:
        print(f"known {percent(sum(shares) / len(shares))} of the pixels")
    for name, error in result.failed:
        print(f"failed: {name}: {error}")
    truth = "" if of_set else " --truth LIST"
    print(f"next  fathom eval score {shlex.quote(str(result.folder))}{truth}")
