"""`fathom depth` with a method that sees one image."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from fathom.catalog import entry, parameters
from fathom.cli.console import metres, percent, progress_bar, say, show_json, warn
from fathom.cli.flags import Parser, add_fields, add_result_folder, taken
from fathom.core.errors import UsageError
from fathom.io.pairing import find_pairs
from fathom.workflows.depth import DepthOptions, Listener
from fathom.workflows.depth_mono import Job, MonoOptions, depth_of_image
from fathom.workflows.mono_anchors import AlignOptions
from fathom.workflows.mono_camera import CameraOptions
from fathom.workflows.mono_clip import CLIP_FILES, depth_of_clip, is_clip
from fathom.workflows.mono_many import depth_of_images
from fathom.workflows.mono_outputs import MONO_OUTPUTS
from fathom.workflows.pairs import PairOptions

EXAMPLES = """examples:
  fathom depth photo.jpg --method depth-anything-v2-small -o result
  fathom depth photo.jpg --method depth-anything-v2-small --align lidar.txt --fov 70
  fathom depth photo.jpg --method depth-anything-v2-small --align stereo-result/ --local 0.1
  fathom depth road.png --method depth-anything-v2-small --ground 1.65 --focal 721
  fathom depth photo.jpg --method zoedepth-nyu-kitti --known-size "410,220,96,140=0.30m" --fov 65
  fathom depth photos/ --method depth-anything-v2-small -o results     (one folder an image)
  fathom depth drive.mp4 --method depth-anything-v2-small --steady --smooth -o clip

a relative model's map has no unit until something metric anchors it: LiDAR points or another map
(--align), objects of known size, or flat ground below a camera of known height; anchors that
cannot determine the scale are refused. A cloud needs metres and the focal length: of --focal,
--fov or --calib, else of a calibration beside the image, of the photo's EXIF tags, or of the model

files written to the output folder, where they apply:
"""
_OPTIONS = (MonoOptions, AlignOptions, CameraOptions)


def run_mono(words: list[str], method: str) -> int:
    """Parses `words`, runs the job for images, prints what came out; returns the exit code."""
    parser = mono_parser(method)
    _refuse_stereo_flags(words, parser, method)
    if sum(word.split("=")[0] == "--known-size" for word in words) > 1:
        raise UsageError(
            "is given twice, and the last alone would count", field="known-size",
            expected='one flag, objects separated by ";": "10,10,20,20=0.3m;90,40,9,9=0.3m"',
        )  # fmt: skip
    arguments = parser.parse_args(words)
    job = job_of(arguments, method)
    if arguments.image is None:
        raise UsageError(
            "no image given", field="IMAGE", remedy=f"see: fathom depth --method {method} --help"
        )
    if arguments.second is not None:
        raise UsageError(
            f"{entry(method).name} sees one image, and two were given", field="IMAGE",
            value=arguments.second, remedy="leave one out, or take a stereo method",
        )  # fmt: skip
    out, listener = Path(arguments.output), Listener(say, warn)
    if is_clip(arguments.image, method, job):
        info = depth_of_clip(arguments.image, out, job, listener)
        _print(info, arguments.json, _show_clip)
        return 0
    images = find_pairs(arguments.image, None)
    if images.many:
        with progress_bar(len(images.pairs), "images") as advance:
            result = depth_of_images(images.pairs, out, job, listener, advance)
        if arguments.json:
            failed = [{"name": f.name, "error": str(f.error)} for f in result.failed]
            show_json({"done": list(result.done), "failed": failed})
        else:
            print(f"{len(result.done)} of {len(images.pairs)} done, in {out}/")
            for failure in result.failed:
                print(f"failed: {failure.name}: {failure.error}")
        return result.exit_code
    info = depth_of_image(images.pairs[0], out, job, listener)
    _print(info, arguments.json, _show)
    return 0


def job_of(arguments: argparse.Namespace, method: str) -> Job:
    """The options that were given. Raises `UsageError` for values that cannot be."""
    given = {k: v for k, v in vars(arguments).items() if k in _own(method)}
    options = MonoOptions(**{**taken(arguments, MonoOptions), "method": method}, parameters=given)
    camera = CameraOptions(**taken(arguments, CameraOptions))
    return Job(options, camera, AlignOptions(**taken(arguments, AlignOptions)))


def mono_parser(method: str) -> Parser:
    """The flags of one mono method."""
    files = {output.file: output.content for output in MONO_OUTPUTS} | {
        "result.json": "everything about the run"
    }
    clip = "\nof a video, or with --steady or --smooth:\n"
    parser = Parser(
        prog=f"fathom depth --method {method}",
        usage="fathom depth IMAGE --method NAME [--align FILE] [--fov DEGREES] [-o DIR] ...",
        description="Depth from one image: metres, or a relative map and what would make metres.",
        epilog=EXAMPLES + _lines(files) + clip + _lines(CLIP_FILES),
    )
    parser.add_argument("image", nargs="?", metavar="IMAGE", help="image, folder, glob or video")
    parser.add_argument("second", nargs="?", help=argparse.SUPPRESS)
    add_result_folder(parser, "images")
    add_fields(parser.add_argument_group("the method and its result"), MonoOptions)
    add_fields(parser.add_argument_group("metres"), AlignOptions)
    add_fields(parser.add_argument_group("the camera"), CameraOptions)
    builder = entry(method).builder()
    own = _own(method)
    if own and isinstance(builder, type):
        group = parser.add_argument_group(f"parameters of {entry(method).name}")
        add_fields(group, builder, skip=[f.name for f in fields(builder) if f.name not in own])
    parser.add_argument("--json", action="store_true", help="print result.json instead of text")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _own(method: str) -> set[str]:
    """The method's own parameters, but for names that the job's options have, too."""
    common = {f.name for cls in _OPTIONS for f in fields(cls)}
    return {name for name in parameters(method) if name not in common}


def _refuse_stereo_flags(words: list[str], parser: Parser, method: str) -> None:
    """A flag that only stereo methods have says so, instead of being unknown."""
    stereo = Parser(prog="fathom depth")
    for cls in (PairOptions, DepthOptions):
        add_fields(stereo, cls)
    for word in words:
        flag = word.split("=")[0]
        known = flag in stereo._option_string_actions
        if known and flag not in parser._option_string_actions:
            raise UsageError(
                f"is for two views, and {entry(method).name} sees one image", field=flag,
                remedy="leave it out, or take a stereo method",
            )  # fmt: skip


def _print(info: dict[str, Any], as_json: bool, show: Any) -> None:
    if as_json:
        show_json(info)
        return
    show(info)
    print(f"wrote {info['folder']}/: {', '.join(_few(info['files']))}")
    for file in ("report.html", "overview.png"):
        if file in info["files"]:
            print(f"open {Path(info['folder']) / file}")
            break


def _few(files: dict[str, Any]) -> list[str]:
    """The files; those of a sub-folder as one."""
    folders = dict.fromkeys(name.split("/")[0] + "/" for name in files if "/" in name)
    return [*(name for name in files if "/" not in name), *folders, "result.json"]


def _show(info: dict[str, Any]) -> None:
    result, size, seconds = info["result"], info["size"], info["seconds"]
    print(
        f"{info['title']}: {size['width']}x{size['height']}, estimated in "
        f"{seconds['estimate']:.2f} s, model loaded in {seconds['load']:.2f} s "
        f"(all {sum(seconds.values()):.2f} s)"
    )
    print(f"known {percent(result['share_known'])}; {info['answer']['meaning']}")
    if result["depth_m"] is not None:
        depth = result["depth_m"]
        print(f"depth {metres(depth['nearest'])} .. {metres(depth['farthest'])}")
    fit = info["alignment"]
    if fit is not None:
        print(
            f"aligned with {fit['inliers']} of {fit['anchors']} anchors, "
            f"median residual {percent(fit['median_residual'])}"
        )
    print(f"intrinsics: {info['camera']['how'] or 'not known'}")


def _show_clip(info: dict[str, Any]) -> None:
    size, flicker = info["size"], info["flicker"]
    count = info["inputs"]["count"]
    frames = "1 frame" if count == 1 else f"{count} frames"
    print(f"{info['title']}: {frames} of {size['width']}x{size['height']}")
    print(f"flicker {percent(flicker['before'])} of the spread -> {percent(flicker['after'])}")
    fit = info["alignment"]
    if fit is not None:
        print(
            f"{fit['of_frame']}: aligned with {fit['anchors']} anchors, "
            f"median residual {percent(fit['median_residual'])}"
        )


def _lines(files: dict[str, str]) -> str:
    return "\n".join(f"  {name:<16}{content}" for name, content in files.items())
