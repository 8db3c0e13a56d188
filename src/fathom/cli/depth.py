"""`fathom depth`."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from fathom.catalog import entries, entry, parameters
from fathom.cli.console import metres, percent, progress_bar, say, show_json, warn
from fathom.cli.flags import Parser, add_fields, add_result_folder, taken
from fathom.core.errors import UsageError
from fathom.io.pairing import FoundPairs, find_pairs
from fathom.workflows.depth import (
    BatchResult,
    DepthOptions,
    Listener,
    depth_of_many,
    depth_of_pair,
)
from fathom.workflows.outputs import OUTPUTS
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom depth left.png right.png --calib calib.txt -o result
  fathom depth left.png right.png --focal 700 --baseline 0.12
  fathom depth left/ right/ --calib K.txt -o results          (two folders)
  fathom depth 'left/*.png' 'right/*.png' -o results          (two globs)
  fathom depth both.png --layout side-by-side -o result
  fathom depth left.png right.png --method opencv-sgbm --mode hh
  fathom depth --method opencv-sgbm --help                    (its own parameters)
  fathom depth photo.jpg --method NAME                        (one image: NAME of a mono method)

files written to the output folder, where they apply:
"""


def run(words: list[str]) -> int:
    """Parses `words`, runs the main job, prints what came out; returns the exit code."""
    method = method_of(words)
    _require_depth(method)
    if entry(method).task == "mono":
        from fathom.cli.depth_mono import run_mono

        return run_mono(words, method)
    parser = _parser(method)
    arguments = parser.parse_args(words)
    own = set(parameters(method))
    pair_options = PairOptions(**taken(arguments, PairOptions))
    given = {k: v for k, v in vars(arguments).items() if k in own}
    options = DepthOptions(**taken(arguments, DepthOptions), parameters=given)
    left, right = _left_right(arguments)
    found = find_pairs(left, right)
    if right is None and pair_options.layout is None:
        raise UsageError(
            f"{entry(method).name} is a stereo method and needs two images",
            field="RIGHT",
            remedy="give the right image, or say how one image holds both: --layout side-by-side; "
            "or take a method that sees one image" + _for_one_image(),
        )
    out = Path(arguments.output)
    if found.many:
        if given.get("points") is not None:
            raise UsageError(
                "are of one pair, and several were given", field="points", value=given["points"],
                remedy="give one pair at a time",
            )  # fmt: skip
        return _many(found, out, pair_options, options, arguments.json)
    info = depth_of_pair(found.pairs[0], out, pair_options, options, Listener(say, warn))
    if arguments.json:
        show_json(info)
    else:
        _show(info)
    return 0


def _require_depth(method: str) -> None:
    """Raises `UsageError` for a method that makes no depth of images."""
    if entry(method).task == "refine":
        raise UsageError(
            "refines a map and sees no pair", field="method", value=method,
            remedy="see: fathom refine --help",
        )  # fmt: skip


def _for_one_image() -> str:
    """The first of them, as a hint."""
    found = entries("mono", own=True)
    return f": --method {found[0].name}" if found else ""


def _many(
    found: FoundPairs, out: Path, pair_options: PairOptions, options: DepthOptions, as_json: bool
) -> int:
    with progress_bar(len(found.pairs), "pairs") as advance:
        result = depth_of_many(found, out, pair_options, options, Listener(say, warn), advance)
    if as_json:
        show_json(_as_dict(result))
    else:
        print(f"{len(result.done)} of {len(result.done) + len(result.failed)} done, in {out}/")
        for failure in result.failed:
            print(f"failed: {failure.name}: {failure.error}")
    return result.exit_code


def _as_dict(result: BatchResult) -> dict[str, Any]:
    failed = [{"name": f.name, "error": str(f.error)} for f in result.failed]
    return {"done": list(result.done), "failed": failed}


def _show(info: dict[str, Any]) -> None:
    """A few lines about one result: what was found, in which time, and what to open."""
    result, size, seconds = info["result"], info["size"], info["seconds"]
    print(
        f"{info['title']}: {size['width']}x{size['height']}, matched in {seconds['match']:.2f} s "
        f"(all {sum(seconds.values()):.2f} s)"
    )
    known = f"known {percent(result['share_known'])}"
    if result["share_measured"] < result["share_known"]:
        known += f" (measured {percent(result['share_measured'])}, the rest filled)"
    print(known)
    span = result["disparity_px"]
    if span["min"] is not None:
        print(f"disparity {span['min']:.1f} .. {span['max']:.1f} px")
    if result["depth_m"] is not None:
        depth = result["depth_m"]
        print(f"depth {metres(depth['nearest'])} .. {metres(depth['farthest'])}")
    print(f"wrote {info['folder']}/: {', '.join([*info['files'], 'result.json'])}")
    for file in ("report.html", "overview.png"):
        if file in info["files"]:
            print(f"open {Path(info['folder']) / file}")
            break


def method_of(words: list[str], default: str = "default") -> str:
    """The method named in `words`, looked for ahead of parsing because it brings own flags."""
    scout = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scout.add_argument("--method", "-m", "--model", "--algorithm", dest="method")
    try:
        known, _ = scout.parse_known_args(words)
    except argparse.ArgumentError:
        return default
    name = known.method or default
    entry(name)
    return str(name)


def _parser(method: str) -> Parser:
    files = "\n".join(f"  {output.file:<16}{output.content}" for output in OUTPUTS)
    parser = Parser(
        prog="fathom depth",
        usage="fathom depth LEFT RIGHT [--calib FILE] [--method NAME] [-o DIR] ...",
        description="Disparity, and metric depth where a calibration is known, of a stereo pair.",
        epilog=EXAMPLES + files + "\n  result.json     everything about the run",
    )
    parser.add_argument("left", nargs="?", metavar="LEFT", help="image, folder or glob")
    parser.add_argument("right", nargs="?", metavar="RIGHT", help="the same for the right view")
    aliases = ("--left_file", "--left_img_path", "--left_imgs")
    parser.add_argument("-l", "--left", *aliases, dest="left_flag", help=argparse.SUPPRESS)
    aliases = ("--right_file", "--right_img_path", "--right_imgs")
    parser.add_argument("-r", "--right", *aliases, dest="right_flag", help=argparse.SUPPRESS)
    add_result_folder(parser, "pairs")
    add_fields(parser.add_argument_group("the pair"), PairOptions)
    add_fields(parser.add_argument_group("the method and its result"), DepthOptions)
    own = parameters(method)
    builder = entry(method).builder()
    if own and isinstance(builder, type):
        group = parser.add_argument_group(f"parameters of {entry(method).name}")
        common = [f.name for f in fields(builder) if f.name not in own]
        add_fields(group, builder, skip=common)
    parser.add_argument("--json", action="store_true", help="print result.json instead of text")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _left_right(arguments: argparse.Namespace) -> tuple[str, str | None]:
    left = arguments.left_flag or arguments.left
    right = arguments.right_flag or arguments.right
    if arguments.left_flag and arguments.left:
        raise UsageError("the left image is given twice", field="LEFT")
    if left is None:
        raise UsageError("no image given", field="LEFT", remedy="see: fathom depth --help")
    return left, right
