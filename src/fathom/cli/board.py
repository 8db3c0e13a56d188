"""`fathom board`."""

import shlex
from pathlib import Path

from fathom.cli.console import show_json
from fathom.cli.flags import Parser, add_fields, taken
from fathom.workflows.board import BoardOptions, write_board

EXAMPLES = """examples:
  fathom board -o board.pdf                              (9 x 6 inner corners of 25 mm, A4)
  fathom board -o board.pdf --board charuco --columns 11 --rows 8 --square 30mm --paper a3
  fathom board -o board.pdf --board asymmetric-circles --columns 4 --rows 11 --square 18mm
  fathom board -o board.svg --paper letter

papers: a0 to a5, letter, legal, tabloid. Print at 100 % ("actual size"), measure the printed
ruler and the squares, glue the sheet on something flat, and give the measured --square to
fathom calibrate
"""


def run(words: list[str]) -> int:
    """Parses `words`, writes the board; returns 0."""
    parser = Parser(
        prog="fathom board",
        usage="fathom board -o FILE.pdf [--board NAME --columns N --rows N --square 25mm] ...",
        description="A calibration board to print, in its true size.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "-o",
        "--output",
        default="board.pdf",
        metavar="FILE",
        help="what to write: .pdf, .svg or .png (default board.pdf)",
    )
    add_fields(parser, BoardOptions)
    parser.add_argument("--paper", default="a4", metavar="NAME", help="the paper (default a4)")
    parser.add_argument(
        "--dpi", type=float, default=300, metavar="X", help="pixels an inch of a PNG (default 300)"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments = parser.parse_args(words)
    board = BoardOptions(**taken(arguments, BoardOptions)).target()
    written = write_board(Path(arguments.output), board, arguments.paper, arguments.dpi)
    if arguments.json:
        show_json(written)
        return 0
    width, height = written["board_mm"]
    print(f"wrote {written['file']}: {board}, {width:g} x {height:g} mm on {written['paper']}")
    print("print it at 100 %, measure the ruler at its foot, then:")
    print("  " + shlex.join(["fathom", "calibrate", "LEFT", "RIGHT", *written["calibrate_flags"]]))
    return 0
