"""`fathom eval submit` and `fathom eval validate`."""

from pathlib import Path

from fathom.cli.console import percent, say, show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.eval.submission import BENCHMARKS, benchmark
from fathom.eval.submission_check import Verdict
from fathom.eval.submission_check import validate as run_validate
from fathom.workflows.evaluate_maps import open_maps
from fathom.workflows.evaluate_read import MapOptions
from fathom.workflows.evaluate_submit import SubmitOptions, Submitted, size_reader
from fathom.workflows.evaluate_submit import submit as pack

_NAMES = ", ".join(b.name for b in BENCHMARKS)
SUBMIT_EXAMPLES = """examples:
  fathom eval predict kitti --format kitti-2015 --split testing -o runs/test
  fathom eval submit kitti-2015 runs/test -o kitti.zip
  fathom eval submit middlebury-v3 runs/training runs/test --name SGMx -o midd.zip
  fathom eval submit eth3d their_maps/ --runtime 0.4 -o eth3d.zip      (maps of any program)

the archive is checked as by `fathom eval validate`, and appears only if nothing is wrong with it
"""
VALIDATE_EXAMPLES = """examples:
  fathom eval validate kitti.zip
  fathom eval validate midd.zip --data MiddEval3          (sizes compared with the images)
  fathom eval validate unpacked/ --benchmark eth3d --json

exit code 0: the benchmark would take it; 1: errors were found
"""
_SHOWN = 20


def submit(words: list[str]) -> int:
    """Parses `words`, packs and checks the archive; returns the exit code."""
    parser = Parser(
        prog="fathom eval submit",
        usage="fathom eval submit BENCHMARK PREDICTIONS [PREDICTIONS] -o FILE.zip ...",
        description=f"An archive for one of {_NAMES}, checked before it appears.",
        epilog=SUBMIT_EXAMPLES,
    )
    parser.add_argument("benchmark", metavar="BENCHMARK", help=_NAMES)
    parser.add_argument(
        "predictions",
        nargs="+",
        metavar="PREDICTIONS",
        help="folders of maps or lists, as for `fathom eval score`; one for each split",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the archive (default BENCHMARK.zip)"
    )
    add_fields(parser, SubmitOptions)
    add_fields(
        parser.add_argument_group("how files are read, where they do not say"),
        MapOptions,
        skip=("kind",),
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    of = benchmark(arguments.benchmark)
    options = SubmitOptions(**taken(arguments, SubmitOptions))
    reading = MapOptions(**taken(arguments, MapOptions))
    maps = [open_maps([place], reading) for place in arguments.predictions]
    out = Path(arguments.output or f"{of.name}.zip")
    result = pack(of.name, maps, out, options, say)
    if arguments.json:
        show_json(result.as_dict())
        return 0
    _show_submitted(result)
    print(f"upload it at {of.page}")
    return 0


def _show_submitted(result: Submitted) -> None:
    verdict = result.verdict
    print(
        f"wrote {result.file}: {verdict.benchmark}, {' and '.join(verdict.splits)}, "
        f"{verdict.maps} maps, {percent(verdict.known)} of the pixels known"
    )
    if result.sparse:
        print("some maps have unknown pixels, so all are named as sparse ones (_s.pfm)")
    if result.clipped:
        print(f"{result.clipped} known pixels lie outside 1/256 .. 255.996 px and were clipped")
    if result.seconds is not None:
        print(f"mean time a pair, for the form: {result.seconds:.3g} s")
    for problem in verdict.problems[:_SHOWN]:
        print(problem)


def validate(words: list[str]) -> int:
    """Parses `words`, checks the archive; returns 1 if it has errors."""
    parser = Parser(
        prog="fathom eval validate",
        usage="fathom eval validate FILE.zip|FOLDER [--benchmark NAME] [--data ROOT] [--json]",
        description="Would the benchmark take this archive? Names, sizes, types and values.",
        epilog=VALIDATE_EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", help="the archive, or the folder to be packed")
    parser.add_argument("--benchmark", metavar="NAME", help=f"{_NAMES}; default: by the names")
    parser.add_argument("--data", metavar="ROOT", help="the benchmark's data, to compare sizes")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    path = Path(arguments.file)
    name = arguments.benchmark
    if name is not None:
        benchmark(name)
    sizes = size_reader(None if arguments.data is None else Path(arguments.data))
    verdict = run_validate(path, name, sizes)
    if arguments.json:
        show_json(verdict.as_dict())
    else:
        _show_verdict(path, verdict)
    return 1 if verdict.errors else 0


def _show_verdict(path: Path, verdict: Verdict) -> None:
    for problem in verdict.problems[:_SHOWN]:
        print(problem)
    if len(verdict.problems) > _SHOWN:
        print(f"and {len(verdict.problems) - _SHOWN} more (all with --json)")
    compared = "compared with the images'" if verdict.sizes else "not compared (give --data ROOT)"
    print(
        f"{path}: {verdict.benchmark}, {' and '.join(verdict.splits)}: {verdict.maps} maps, "
        f"{percent(verdict.known)} of the pixels known; sizes {compared}"
    )
    errors = len(verdict.errors)
    print("ready to upload" if not errors else f"{errors} errors: it would be refused or misread")
