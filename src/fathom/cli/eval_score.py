"""`fathom eval score`."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from fathom.cli.console import percent, say, show_json, table
from fathom.cli.eval_predict import value_of
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import InputError
from fathom.data.dataset import Dataset
from fathom.data.manifest import read_manifest
from fathom.data.registry import open_dataset, reader
from fathom.eval.tally import Totals
from fathom.workflows.evaluate_maps import Maps, open_maps
from fathom.workflows.evaluate_read import MapOptions
from fathom.workflows.evaluate_score import ScoreOptions, ScoreReport, score_maps

EXAMPLES = """examples:
  fathom eval score runs/sgm --truth data/kitti                    (what `eval predict` wrote)
  fathom eval score their_maps/ --truth data/kitti --protocol kitti-2015,fathom --mask nonocc
  fathom eval score maps.csv --truth pairs.csv --csv rows.csv      (csv: name, disparity, scale)
  fathom eval score depth/ --truth nyu --kind affine_inverse --protocol affine-invariant
  fathom eval score out/ --truth data --scale 1/16 --unknown -1    (OpenCV's 16 bits)

files of any program: .pfm, .npy, .tiff and .png maps, matched to samples by their names (or the
names of their folders); results of `fathom depth`; a list with the columns name, disparity (or
depth, or map with kind), and if need be encoding, scale, unknown, confidence, source, seconds
exit code 0: every map was scored; 1: some could not be (named, and left out); 3: maps are missing
"""
_SHOWN = 10


def score(words: list[str]) -> int:
    """Parses `words`, scores, prints the tables; returns the exit code."""
    format = value_of(words, "--format")
    arguments = _parser(format).parse_args(words)
    maps = open_maps(arguments.predictions, MapOptions(**taken(arguments, MapOptions)))
    of_set = {} if format is None else taken(arguments, reader(format).options)
    truth = _truth(maps, arguments.truth, format, arguments.split, of_set)
    options = ScoreOptions(**taken(arguments, ScoreOptions))
    csv = None if arguments.csv is None else Path(arguments.csv)
    report = score_maps(maps, truth, options, _kind(truth), say, csv)
    if arguments.json:
        show_json(report.as_dict())
    else:
        show(report)
        if csv is not None:
            print(f"wrote {csv}: a row a sample, protocol and mask")
    return report.exit_code


def _truth(
    maps: Maps, place: str | None, format: str | None, split: str | None, own: dict[str, Any]
) -> Dataset[Any]:
    """The data set to judge by: the one named, else the one that the predictions were made of."""
    if place is not None:
        return open_dataset(format, place, split, **own)
    made = maps.info.get("dataset")
    if not isinstance(made, dict) or "root" not in made:
        raise InputError(
            "does not say which data set it is about",
            file=maps.title,
            field="--truth",
            expected="a data set or a list with truth",
            remedy="give --truth ROOT or --truth pairs.csv",
        )
    chosen = format or made["format"]
    if format is None:
        own = made.get("options") or {}
    return open_dataset(chosen, made["root"], split or made["split"], **own)


def _kind(truth: Dataset[Any]) -> Literal["stereo", "mono"]:
    if truth.format == "manifest":
        return "stereo" if "right" in read_manifest(truth.root)[0].cells else "mono"
    return reader(truth.format).kind


def _parser(format: str | None) -> Parser:
    parser = Parser(
        prog="fathom eval score",
        usage="fathom eval score PREDICTIONS --truth ROOT|LIST [--protocol NAME,...] ...",
        description="Scores maps of disparity or depth against a truth; reads files only.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "predictions", nargs="+", metavar="PREDICTIONS", help="a folder, a list, or map files"
    )
    parser.add_argument(
        "--truth",
        metavar="ROOT|LIST",
        help="data set or list with truth; default: the one that the predictions name",
    )
    parser.add_argument(
        "--format", metavar="NAME", help="which data set it is; default: by its folders"
    )
    parser.add_argument("--split", metavar="NAME", help="which part; default: the first")
    add_fields(parser.add_argument_group("what is computed"), ScoreOptions)
    add_fields(parser.add_argument_group("how files are read, where they do not say"), MapOptions)
    if format is not None:
        mine = (ScoreOptions, MapOptions)
        clash = {f.name for cls in mine for f in fields(cls)} | {"split"}
        add_fields(
            parser.add_argument_group(f"options of {format}"), reader(format).options, skip=clash
        )
    parser.add_argument("--csv", metavar="FILE", help="write a row a sample, protocol and mask")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def show(report: ScoreReport) -> None:
    """The tables: a column a mask, a row a metric; and whatever a reader should know."""
    speed = "" if report.seconds is None else f", {report.seconds:.3g} s a map"
    print(f"{report.title} on {report.truth}: {report.samples} samples{speed}")
    for name in dict.fromkeys(t.protocol.name for t in report.totals):
        print()
        _show_protocol([t for t in report.totals if t.protocol.name == name])
    print()
    for line in _remarks(report):
        print(line)


def _show_protocol(totals: list[Totals]) -> None:
    first = totals[0].protocol
    print(f"{first.name}: {first.rules()}")
    rows = [
        ["images", *(str(t.images) for t in totals)],
        ["judged pixels", *(str(t.pixels) for t in totals)],
        ["known", *(percent(t.known) for t in totals)],
    ]
    for measure in first.measures:
        cells = []
        for one in totals:
            value = one.published.get(measure.name)
            text = "-" if value is None else measure.shown(value)
            few = one.counted.get(measure.name, one.images)
            cells.append(text if few == one.images else f"{text} ({few} images)")
        if any(cell != "-" for cell in cells):
            rows.append([measure.name, *cells])
    print(table(["", *(t.mask for t in totals)], rows))
    if first.mean == "pixels" and any(not m.pooled for m in first.measures):
        print("quantiles, areas and F1 are means of images")


def _remarks(report: ScoreReport) -> list[str]:
    lines = [f"read {count} as {how}" for how, count in report.read_as.items()]
    if report.missing:
        counted = "left out" if report.missing_rule == "skip" else "judged as knowing nothing"
        lines.append(
            f"MISSING: {len(report.missing)} of {report.samples} samples have no map and are "
            f"{counted}: {_few(report.missing)}"
        )
    if report.failed:
        lines.append(
            f"FAILED: {len(report.failed)} of {report.samples} samples could not be scored and are "
            "left out:"
        )
        lines += [f"  {name}: {error}" for name, error in report.failed[:_SHOWN]]
        if len(report.failed) > _SHOWN:
            lines.append(f"  and {len(report.failed) - _SHOWN} more")
    if report.empty:
        lines.append(f"no pixel to judge in {len(report.empty)}: {_few(report.empty)}")
    if report.unused:
        lines.append(f"{report.unused} maps belong to no sample of this data set")
    seen = set()
    for one in report.totals:
        if one.noted and one.first_note not in seen:
            seen.add(one.first_note)
            lines.append(
                f"NOTE [{one.protocol.name}, {one.mask}] in {one.noted} of {one.images} images: "
                f"{one.first_note}"
            )
    return lines


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
