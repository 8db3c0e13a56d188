"""`fathom sizes`."""

from dataclasses import fields
from pathlib import Path

from fathom.catalog import entry, parameters
from fathom.cli.console import say, show_json, table
from fathom.cli.depth import method_of
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError
from fathom.io.pairing import find_pairs
from fathom.workflows.depth_mono import MonoOptions
from fathom.workflows.evaluate_read import MapOptions
from fathom.workflows.mono_camera import CameraOptions
from fathom.workflows.mono_sizes import FILES, SizeReport, sizes_of, sweep_sizes, write_sizes

EXAMPLES = """examples:
  fathom sizes photo.png --truth depth.npy --method depth-anything-v2-small --sizes 252,392,518
  fathom sizes rgb/ --truth depth/ --scale 1/5000 --method depth-anything-v2-small \\
      --sizes 252,392,518 -o sizes
  fathom sizes left.png --truth disp.pfm --kind disparity --method zoedepth-nyu --sizes 384,512

relative models are aligned to the truth first, and how is said; files written with -o DIR:
"""
_MODEL = ("method", "weights", "device", "threads")


def run(words: list[str]) -> int:
    """Parses `words`, sweeps, prints a table; returns 0."""
    method = method_of(words)
    parser = _parser(method)
    arguments = parser.parse_args(words)
    if entry(method).task != "mono":
        raise UsageError(
            "is no method that sees one image", field="method", value=method,
            remedy="give --method NAME; `fathom models` lists them",
        )  # fmt: skip
    own = {k: v for k, v in vars(arguments).items() if k in _own(method)}
    given = {k: v for k, v in taken(arguments, MonoOptions).items() if k in _MODEL}
    report = sweep_sizes(
        find_pairs(arguments.image, None),
        arguments.truth,
        sizes_of(arguments.sizes),
        MonoOptions(**{**given, "method": method}, parameters=own),
        MapOptions(**taken(arguments, MapOptions)),
        CameraOptions(calib=arguments.calib),
        say,
    )
    wrote = [] if arguments.output is None else write_sizes(Path(arguments.output), report)
    if arguments.json:
        show_json(
            {"method": report.method, "aligned": report.aligned, "rows": [vars(r) for r in
             report.rows], "best_size": report.best.size}
        )  # fmt: skip
        return 0
    _show(report)
    if wrote:
        print(f"wrote {arguments.output}/: {', '.join(wrote)}")
    return 0


def _show(report: SizeReport) -> None:
    print(f"{report.method}, {report.aligned}")
    rows = [
        [str(r.size), f"{r.abs_rel:.4f}", f"{r.delta_1:.4f}",
         "-" if r.rmse_m is None else f"{r.rmse_m:.3f} m", f"{r.seconds:.2f} s"]
        for r in report.rows
    ]  # fmt: skip
    print(table(["size", "AbsRel", "delta 1", "RMSE", "time"], rows))
    print(f"smallest AbsRel at {report.best.size} px")


def _own(method: str) -> set[str]:
    """The method's parameters but for the size, and for names that this command has itself."""
    mine = {f.name for cls in (MonoOptions, MapOptions) for f in fields(cls)}
    return set(parameters(method)) - mine - {"size", "calib"}


def _parser(method: str) -> Parser:
    files = "\n".join(f"  {name:<12}{content}" for name, content in FILES.items())
    parser = Parser(
        prog="fathom sizes",
        usage="fathom sizes IMAGE --truth FILE ... --method NAME --sizes LIST [-o DIR] ...",
        description="Error against input size of a method that sees one image.",
        epilog=EXAMPLES + files,
    )
    parser.add_argument("image", metavar="IMAGE", help="image, folder or glob")
    parser.add_argument(
        "--truth", nargs="+", required=True, metavar="FILE",
        help="true depth or disparity of each image, or a folder or glob of them",
    )  # fmt: skip
    parser.add_argument("--sizes", required=True, metavar="LIST", help="as 252,392,518")
    parser.add_argument("-o", "--output", "--out", metavar="DIR", help="folder to write")
    parser.add_argument("--calib", type=Path, metavar="FILE", help="rig of a true disparity")
    skip = [f.name for f in fields(MonoOptions) if f.name not in _MODEL]
    add_fields(parser.add_argument_group("the method"), MonoOptions, skip=skip)
    add_fields(parser.add_argument_group("the truth's numbers"), MapOptions)
    builder = entry(method).builder()
    own = _own(method)
    if entry(method).task == "mono" and own and isinstance(builder, type):
        group = parser.add_argument_group(f"parameters of {entry(method).name}")
        add_fields(group, builder, skip=[f.name for f in fields(builder) if f.name not in own])
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser
