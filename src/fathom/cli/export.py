"""`fathom export`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fathom.cli.console import say, show_json, table
from fathom.cli.flags import Parser, add_fields, taken
from fathom.workflows.export import CERTIFICATE, ExportOptions, default_folder, export_file

if TYPE_CHECKING:
    from fathom.export import Certificate

EXAMPLES = """examples:
  fathom export fathom-s                                   (fathom-s-onnx/model.onnx)
  fathom export fathom-s --format openvino --int8 -o small
  fathom export runs/mine/best.safetensors -o mine         (a net that you trained)
  fathom export fathom-s --pairs kitti --limit 50          (certified on your pairs, too)
  fathom export psmnet --weights mine.safetensors --max-disparity 128 --format openvino -o psm
  fathom export raft-stereo --iterations 12                (converted weights kept under its name)

sizes are free: any height and width that the net's divisor divides; inputs left, right (and
evidence, of our own nets), outputs disparity and confidence (where the net has one). Needs torch:
pip install 'fathom-depth[torch,export]'
"""


def run(words: list[str]) -> int:
    """Parses `words`, exports, prints the certificate; returns 0."""
    # Threads that spin while they wait are slower on busy cores; torch reads this when imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = _parser().parse_args(words)
    options = ExportOptions(**taken(arguments, ExportOptions))
    output = arguments.output
    folder = default_folder(arguments.source, options) if output is None else Path(output)
    certificate = export_file(arguments.source, folder, options, say)
    if arguments.json:
        show_json({"folder": str(folder), **certificate.as_dict()})
        return 0
    _show(certificate)
    print(f"wrote {folder / certificate.file} ({certificate.bytes / 1e6:.1f} MB), {CERTIFICATE}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="fathom export",
        usage="fathom export NAME|WEIGHTS.safetensors [--format onnx|openvino] [--int8] ...",
        description="Writes a net as a file that runs without torch, with a certificate.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "source", metavar="NAME|WEIGHTS", help="a net of `fathom models`, or .safetensors"
    )
    parser.add_argument(
        "-o", "--output", "--out", metavar="DIR", help="where to (default: NAME-FORMAT)"
    )
    add_fields(parser, ExportOptions)
    parser.add_argument("--json", action="store_true", help="print the certificate as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _show(certificate: "Certificate") -> None:
    rows = [
        [
            case.pair,
            case.backend,
            f"{case.largest_px:.2g}",
            f"{case.mean_px:.2g}",
            "-" if case.largest_confidence is None else f"{case.largest_confidence:.2g}",
            "-" if case.epe_torch is None else f"{case.epe_torch:.3f}",
            "-" if case.epe_change is None else f"{case.epe_change:+.4f}",
        ]
        for case in certificate.cases
    ]
    heads = ["against torch", "", "largest px", "mean px", "confidence", "EPE torch", "change"]
    print(table(heads, rows))
    print()
    rows = [
        [
            speed.backend,
            speed.precision,
            f"{speed.latency_ms:.0f} ms",
            "-" if speed.memory_mb is None else f"{speed.memory_mb:.0f} MB",
        ]
        for speed in certificate.speed
    ]
    threads = f"{certificate.threads} thread{'s' if certificate.threads > 1 else ''}"
    print(table([f"{certificate.speed_size}, {threads}", "", "median", "memory"], rows))
