"""`fathom refine`."""

import argparse
from dataclasses import fields
from pathlib import Path

from fathom.catalog import entry, parameters
from fathom.cli.console import percent, show_json, warn
from fathom.cli.flags import Parser, add_fields, taken
from fathom.workflows.refine import RefineOptions, refine_file

EXAMPLES = """examples:
  fathom refine left.png result/disparity.pfm --confidence result/confidence.png -o dense.pfm
  fathom refine image.png lidar.png --kind kitti-depth -o dense.png
  fathom refine left.png sparse.pfm --hints measured.pfm --method spn -o dense.pfm
  fathom refine image.png sparse.npy --kind depth --weights cspn-nyu -o dense.npy
  fathom refine --method spn --help                          (its own parameters)

what is known for sure is kept bit for bit: the hints, and the map's values (those that are sure,
where a confidence is given); all else is made from them. Without --weights values follow the
image's edges, and nothing is learned: good for sparse maps. Holes that only one camera sees are
better filled by the matcher, which knows that they belong to the background.
"""


def run(words: list[str]) -> int:
    """Parses `words`, refines, prints what came out; returns 0."""
    method = _method_of(words)
    arguments = _parser(method).parse_args(words)
    own = set(parameters(method))
    given = {k: v for k, v in vars(arguments).items() if k in own}
    options = RefineOptions(**taken(arguments, RefineOptions), parameters=given)
    info = refine_file(arguments.image, arguments.map, arguments.output, options)
    if info["not_representable"]:
        warn(f"{info['not_representable']} values do not fit into the file: written as unknown")
    if arguments.json:
        show_json(info)
        return 0
    print(
        f"{method}, by {info['by']}: known {percent(info['share_known_before'])} -> "
        f"{percent(info['share_known'])} (kept {percent(info['share_kept'])})"
    )
    print(f"wrote {info['file']}")
    return 0


def _method_of(words: list[str]) -> str:
    """The method named in `words`, looked for ahead of parsing because it brings own flags."""
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scout.add_argument("--method", "-m", "--model", dest="method")
    try:
        known, _ = scout.parse_known_args(words)
    except argparse.ArgumentError:
        return "cspn"
    name = str(known.method or "cspn")
    RefineOptions(method=name).refiner()
    return name


def _parser(method: str) -> Parser:
    parser = Parser(
        prog="fathom refine",
        usage="fathom refine IMAGE MAP -o FILE [--hints FILE] [--kind KIND] [--method NAME] ...",
        description="A dense disparity or depth map from an image and a sparse or unsure one.",
        epilog=EXAMPLES,
    )
    parser.add_argument("image", metavar="IMAGE", help="the image that the map is of")
    parser.add_argument("map", metavar="MAP", help=".pfm, .png or .npy; unknown where it says so")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help=".pfm, .png or .npy"
    )
    add_fields(parser.add_argument_group("the map and the method"), RefineOptions)
    builder = entry(method).builder()
    assert isinstance(builder, type)
    own = parameters(method)
    common = [f.name for f in fields(builder) if f.name not in own]
    add_fields(parser.add_argument_group(f"parameters of {method}"), builder, skip=common)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser
