"""`fathom compare --mono ... --stereo ...`."""

import argparse
from pathlib import Path
from typing import Any

from fathom.cli.compared import (
    add_output_flags,
    add_sources,
    cell,
    compared_parser,
    dataset_options,
    run_compared,
    show_compared,
)
from fathom.cli.console import percent, say, table, warn
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.io.pairing import find_pairs
from fathom.workflows.compare import Compared
from fathom.workflows.compare_mono import FILES, CompareMonoOptions, compare_mono
from fathom.workflows.compare_mono_frames import (
    TRUTHS,
    Frames,
    TruthFiles,
    frames_of_datasets,
    frames_of_files,
)
from fathom.workflows.depth import Listener
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom compare --mono depth-anything-v2-small --stereo sgm left.png right.png --truth disp.pfm
  fathom compare --mono depth-anything-v2-small:weights=FOLDER --stereo sgm,census left/ right/ \\
      --truth truth/ --truth-encoding uint16 --truth-scale 1/256 --calib calib.txt
  fathom compare --mono NAME --stereo NAME l.png r.png --truth depth.png --truth-kind depth
  fathom compare --mono NAME,NAME image.png --truth depth.npy --truth-kind depth   (one view)
  fathom compare --mono NAME --stereo sgm --data kitti --format kitti-2015 --limit 20
  fathom compare --mono NAME --data nyu.csv --data diode.csv      (several: says what transfers)

Relative depths are aligned first, and how stands beside every number: --align truth fits scale and
shift to the truth of each frame, --align stereo to the first stereo method without the truth.
Without a calibration everything is compared in disparity, and no metres are given.

Ctrl-C writes the report of the frames done so far, unless DIR holds an earlier one, which stays.

exit code 0: all well; 1: a frame or a method failed, is named, and the rest was done

files written to the output folder:
"""


def asked_for(words: list[str]) -> bool:
    """Whether a command line of `fathom compare` is about one-view methods."""
    return any(word.split("=")[0] in ("--mono", "--stereo") for word in words)


def run_mono(words: list[str], format: str | None) -> int:
    """Parses `words`, compares, prints the table; returns 0, or 1 if something failed. format: the
    data set named in them."""
    if {"-h", "--help"} & set(words):
        words = ["--help"]  # beside flags without a value it would be one
    arguments = _parser(format).parse_args(words)
    options = CompareMonoOptions(**taken(arguments, CompareMonoOptions))
    frames = _frames(arguments, format, options)
    return run_compared(
        arguments,
        frames,
        options.limit,
        "frames",
        lambda out, advance: compare_mono(frames, out, options, Listener(say, warn), advance),
        _show,
    )


def _show(compared: Compared, out: Path) -> None:
    info = compared.info
    files = [*info["files"], "result.json"]
    show_compared(compared, out, _table(info), info["notes"], "frames", files)


def _frames(
    arguments: argparse.Namespace, format: str | None, options: CompareMonoOptions
) -> Frames:
    own = dataset_options(arguments, format)
    if own is not None:
        roots = [Path(root) for root in arguments.data]
        return frames_of_datasets(roots, format, arguments.split, own)
    pair = PairOptions(**taken(arguments, PairOptions))
    if arguments.right is None and pair.layout is None and options.stereo:
        raise UsageError(
            "stereo methods need two images",
            field="RIGHT",
            remedy="give the right image, or leave --stereo out",
        )
    found = find_pairs(arguments.left, arguments.right)
    kind, encoding, scale = (
        getattr(arguments, f"truth_{name}") for name in ("kind", "encoding", "scale")
    )
    if arguments.truth is None and any(v is not None for v in (kind, encoding, scale)):
        raise UsageError("belongs to --truth", field="truth-encoding", remedy="give --truth FILE")
    how = TruthFiles(arguments.truth, kind or "disparity", encoding or "auto", scale)
    return frames_of_files(found, how, pair)


def _parser(format: str | None) -> Parser:
    parser = compared_parser(
        "fathom compare --mono",
        "fathom compare --mono LIST [--stereo LIST] LEFT [RIGHT] [--truth FILE] ...\n"
        "       fathom compare --mono LIST [--stereo LIST] --data ROOT [--format NAME] ...",
        "Depth from one view against stereo, on the same frames and the same truth.",
        EXAMPLES,
        FILES,
    )
    add_fields(parser.add_argument_group("the comparison"), CompareMonoOptions)
    group = add_sources(parser, format, CompareMonoOptions, several=True)
    if format is None:
        group.add_argument(
            "--truth-kind", choices=TRUTHS, help="what the truth holds (default disparity)"
        )
    add_output_flags(parser)
    return parser


def _table(info: dict[str, Any]) -> str:
    """The first metrics of depth (disparity, without a calibration) over all pixels."""
    quantity = next(iter(info["scores"]), None)
    headers = ["method", "task", "frames"]
    metrics: list[dict[str, Any]] = []
    note = "[no truth: nothing to judge by]"
    if quantity is not None:
        protocol = info["protocols"][quantity]
        metrics = [
            m for m in protocol["metrics"]
            if m["name"] in ("abs-rel", "delta-1", "rmse", "silog", "epe", "boundary-f1")
            or m["name"].startswith("bad-")
        ]  # fmt: skip
        names = list(next(iter(info["ssim"].values()), {}))
        headers += ["known", *(m["name"] for m in metrics), "SSIM", "SSIM 8-bit"]
        note = f"[{quantity}, {protocol['name']}, all: {protocol['rules']}]"
    rows = []
    for label, method in info["methods"].items():
        cells = [label, method["task"], str(method["samples"])]
        if quantity is not None:
            row = info["scores"][quantity]["all"].get(label)
            cells.append(percent(row["known"] if row else None))
            cells += [cell(row and row["values"].get(m["name"]), m["unit"]) for m in metrics]
            alike = info["ssim"].get(label, {}) if names else {}
            cells += [cell(alike.get(n), "") for n in (quantity, f"{quantity} 8-bit")]
        rows.append([*cells, cell(method["seconds_median"], "s")])
    ways = [
        f"aligned: {label}: {m['aligned']}" for label, m in info["methods"].items() if m["samples"]
    ]
    return "\n".join([table([*headers, "time"], rows), note, *ways])
