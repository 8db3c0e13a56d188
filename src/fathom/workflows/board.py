"""A calibration board as a file to print."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.core.errors import UsageError
from fathom.core.options import option
from fathom.io.atomic import atomic_file, write_bytes, write_text
from fathom.rigs.boards import Board, BoardKind, parse_length

SUFFIXES = (".pdf", ".svg", ".png")


@dataclass(frozen=True)
class BoardOptions:
    """What the board is; shared by `fathom board` and `fathom calibrate`. Lengths with units."""

    board: BoardKind = option(
        "chessboard", "what kind of board it is", flags=("--kind", "-p", "--pattern")
    )
    columns: int = option(
        9,
        "columns: inner corners of a chessboard (squares - 1), circles, squares of a ChArUco board",
        flags=("--cols",),
        metavar="N",
    )
    rows: int = option(6, "rows, counted alike", metavar="N")
    square: str = option(
        "25mm",
        "side of a square, or distance of circles, with its unit; measure it on the print",
        flags=("-q", "--spacing"),
        metavar="LENGTH",
    )
    marker: str | None = option(
        None, "ChArUco: side of a marker (default 3/4 of the square)", metavar="LENGTH"
    )
    dictionary: str = option("DICT_5X5_250", "ChArUco: OpenCV's name of the markers")
    diameter: str | None = option(
        None, "circles: their diameter (default: as fathom board prints them)", metavar="LENGTH"
    )

    def target(self) -> Board:
        """The board. Raises `UsageError` for lengths or counts that no board has."""
        return Board(
            self.board,
            self.columns,
            self.rows,
            parse_length(self.square, "square"),
            None if self.marker is None else parse_length(self.marker, "marker"),
            self.dictionary,
            None if self.diameter is None else parse_length(self.diameter, "diameter"),
        )


def write_board(path: Path, board: Board, paper: str = "a4", dpi: float = 300) -> dict[str, Any]:
    """Writes `board` in its true size as PDF, SVG or PNG, as the suffix of `path` says.

    paper: one of `viz.board.PAPERS`. dpi: pixels an inch of a PNG. Returns what was written:
    file, paper, size of the page and of the board in millimetres, and the flags of
    `fathom calibrate` for it.

    Raises `UsageError` for another suffix, an unknown paper, a board that does not fit on it, or
    a dpi out of 36 to 1200; `ResourceError` if the file cannot be written.
    """
    from fathom.viz.board import board_pdf, board_picture, board_sheet, board_svg

    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            "is no kind of file a board is written as",
            field="output",
            value=str(path),
            expected=" or ".join(SUFFIXES),
        )
    if not 36 <= dpi <= 1200:
        raise UsageError("is out of range", field="dpi", value=dpi, expected="36 to 1200")
    sheet = board_sheet(board, paper)
    if suffix == ".pdf":
        write_bytes(path, board_pdf(sheet))
    elif suffix == ".svg":
        write_text(path, board_svg(sheet))
    else:
        from PIL import Image

        picture = Image.fromarray(board_picture(sheet, dpi)[..., 0])
        with atomic_file(path) as file:
            picture.save(file, format="PNG", dpi=(dpi, dpi))
    return {
        "file": str(path),
        "paper": paper.lower(),
        "page_mm": [sheet.width, sheet.height],
        "board_mm": [sheet.board.width, sheet.board.height],
        "board": board.as_dict(),
        "calibrate_flags": board.flags(),
    }
