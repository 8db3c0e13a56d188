"""`fathom calib show` and `fathom calib convert`."""

from collections.abc import Callable
from typing import Any

from fathom.cli.console import show_json, table, warn
from fathom.cli.flags import Parser, add_fields, taken
from fathom.core.errors import UsageError, unknown_name
from fathom.io.calibration.formats import FORMATS
from fathom.workflows.calib import CalibOptions, convert_calibration, describe_calibration

HELP = """usage: fathom calib show FILE ... | fathom calib convert FROM TO ... [--help]

Calibration files: what is in one, and the same in another format.

  show       every number with its unit, the view, and what is implausible
  convert    another format; a line for everything it cannot carry

examples:
  fathom calib show calib.yml
  fathom calib show left.yaml,right.yaml
  fathom calib convert calib.yml calibration.json
  fathom calib convert camchain.yaml left.yaml,right.yaml
  fathom calib convert SN1234.conf calib.yml --size 1280x720
  fathom calib convert calib.txt half.txt --to middlebury --scale 0.5
  fathom calib convert raw.yml K.txt --rectify

formats to write (--to NAME), all of them are read, by their content:
{formats}
"""
_WAYS = {
    "convert": (
        "fathom calib convert FROM TO [--to NAME] [--size WxH] [--unit mm] [--scale S]",
        "Writes a calibration in another format, and says what the format cannot carry.",
    ),
    "show": (
        "fathom calib show FILE [--size WxH] [--unit mm] [--json]",
        "Every number of a calibration, with its unit, and what about it is implausible.",
    ),
}


def run(words: list[str]) -> int:
    """Finds the sub-command and runs it; returns the exit code."""
    ways: dict[str, Callable[[list[str]], int]] = {"convert": _convert, "show": _show}
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        if not words:
            return 0
        raise SystemExit(0)
    if words[0] not in ways:
        raise unknown_name("calib command", words[0], list(ways))
    return ways[words[0]](words[1:])


def _help() -> str:
    lines = [f"  {f.name:<12}{f.title}; {f.files}" for f in FORMATS]
    return HELP.format(formats="\n".join(lines))


def _parser(way: str) -> Parser:
    usage, description = _WAYS[way]
    parser = Parser(
        prog=f"fathom calib {way}", usage=usage, description=description, epilog=_help()
    )
    name = "FROM" if way == "convert" else "FILE"
    text = "calibration file (two: left.yaml,right.yaml)"
    parser.add_argument("source", metavar=name, help=text)
    return parser


def _convert(words: list[str]) -> int:
    parser = _parser("convert")
    parser.add_argument("target", metavar="TO", help="file to write (two: left.yaml,right.yaml)")
    parser.add_argument("--to", metavar="NAME", help="format to write (default by the name of TO)")
    parser.add_argument("--force", action="store_true", help="replace TO where it exists")
    add_fields(parser, CalibOptions)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    options = CalibOptions(**taken(arguments, CalibOptions))
    done = convert_calibration(
        arguments.source, arguments.target, options, to=arguments.to, force=arguments.force
    )
    if arguments.json:
        names = [str(file) for file in done.files]
        found = {"lost": list(done.lost), "implausible": list(done.implausible)}
        show_json({"files": names, "format": done.format, **found})
        return 0
    for line in done.implausible:
        warn(line)
    for line in done.lost:
        print(f"lost: {line}")
    print(f"wrote {', '.join(str(file) for file in done.files)} ({done.format})")
    return 0


def _show(words: list[str]) -> int:
    parser = _parser("show")
    add_fields(parser, CalibOptions)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    if "," in arguments.source and arguments.source.count(",") > 1:
        raise UsageError("is more than two files", field="FILE", value=arguments.source)
    options = CalibOptions(**taken(arguments, CalibOptions))
    info = describe_calibration(arguments.source, options)
    if arguments.json:
        show_json(info)
    else:
        _print(info)
    return 1 if info["implausible"] else 0


def _print(info: dict[str, Any]) -> None:
    title = next((f.title for f in FORMATS if f.name == info["format"]), info["format"])
    kinds = {"raw": "raw cameras, to be rectified", "rectified": "rectified"}
    print(f"{info['file']}: {title}; {kinds[info['kind']]}")
    left, right = info["left"], info["right"]
    rows = [["image size"] + [f"{c['width']}x{c['height']} px" for c in (left, right)]]
    for name in ("fx", "fy", "cx", "cy"):
        rows.append([name, *(f"{c[name]:.6f} px" for c in (left, right))])
    rows.append(["view"] + ["{:.1f} x {:.1f} deg".format(*c["view_deg"]) for c in (left, right)])
    rows.append(["model", left["model"], right["model"]])
    for i in range(max(len(left["distortion"]), len(right["distortion"]))):
        terms = (c["distortion"][i : i + 1] for c in (left, right))
        rows.append([_term(left["model"], i), *(f"{t[0]:.8g}" if t else "-" for t in terms)])
    print(table(["", "left", "right"], rows))
    print(f"baseline   {info['baseline_m']:.9g} m")
    if info["kind"] == "rectified":
        print(f"doffs      {info['doffs_px']:.9g} px (cx right - cx left)")
        if info["max_disparity_px"]:
            print(f"disparity  up to {info['max_disparity_px']} px (ndisp)")
    else:
        place = ", ".join(f"{v:.6g}" for v in info["translation_m"])
        print(f"T          {place} m (X_right = R X_left + T)")
        print(f"R          {info['rotation_deg']:.4g} deg between the cameras")
        for row in info["rotation"]:
            print("           " + "  ".join(f"{v:12.9f}" for v in row))
    for name, sigma in info["uncertainty"].items():
        print(f"sigma      {name}: {sigma:.3g}")
    for line in info["implausible"]:
        print(f"implausible: {line}")


def _term(model: str, i: int) -> str:
    pinhole = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "tx", "ty")
    return f"k{i + 1}" if model == "fisheye" else pinhole[i]
