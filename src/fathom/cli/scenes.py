"""`fathom scenes`."""

from dataclasses import replace
from pathlib import Path

from fathom.cli.console import say, show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.workflows.scenes import (
    WriteOptions,
    Written,
    check_sheet,
    write_scenes,
    write_sheet,
)

EXAMPLES = """examples:
  fathom scenes -n 1000 -o scenes
  fathom scenes -n 24 --sheet sheet.jpg                  (a picture of 24, nothing else)
  fathom scenes -n 5000 -o night --night --kind road,terrain --size 768x384 --workers 2
  fathom scenes -n 200 -o traced --renderer rays         (true shadows, mirrors, glass; slower)
  fathom scenes -n 1000 -o mine --photos pictures/       (textures from your own pictures, too)
  fathom dataset check scenes --limit 20                 (read them as any data set)

the same seed and settings give the same bits; a run that was interrupted goes on where it stopped
"""


def run(words: list[str]) -> int:
    """Parses `words`, writes scenes and a sheet, says where they are; returns 0."""
    parser = Parser(
        prog="fathom scenes",
        usage="fathom scenes [-n N] [-o DIR] [--sheet FILE.jpg] ...",
        description="Makes stereo pairs with exact dense disparity, masks and rig for training.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "-o", "--output", "--out", metavar="DIR", help="where to write them (default fathom-scenes)"
    )
    parser.add_argument("--sheet", metavar="FILE", help="draw the first of them (.jpg or .png)")
    add_fields(parser, WriteOptions)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    options = WriteOptions(**taken(arguments, WriteOptions))
    sheet = None if arguments.sheet is None else Path(arguments.sheet)
    folder = arguments.output or (None if sheet else "fathom-scenes")
    if sheet is not None:
        check_sheet(sheet)
    done = Written("", 0, 0, 0.0)
    if folder is not None:
        done = write_scenes(Path(folder), options, say)
    if sheet is not None:
        write_sheet(sheet, options)
        done = replace(done, sheet=str(sheet))
    if arguments.json:
        show_json(vars(done))
        return 0
    if folder is not None:
        print(f"wrote {done.written} scenes to {folder}, kept {done.kept}, in {done.seconds:.1f} s")
    if sheet is not None:
        print(f"open  {sheet}")
    return 0
