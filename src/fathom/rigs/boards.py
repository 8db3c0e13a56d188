"""Calibration boards: where their points lie in metres, which turns look the same, their names.

A board's frame has its origin at its first point, x along the columns, y along the rows, z = 0.
Seen from the front x runs to the right, y down, and z away from the viewer.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array, Float64, Num, frozen
from fathom.core.errors import UsageError, unknown_name

BoardKind = Literal["chessboard", "circles", "asymmetric-circles", "charuco"]
KINDS = ("chessboard", "circles", "asymmetric-circles", "charuco")
SMALLEST_SQUARE, LARGEST_SQUARE = 5e-4, 1.0
"""Metres between neighbouring points; beyond, a unit was mistaken (mm for m, or the reverse)."""
_MOST = 100
_COUNTED = {
    "chessboard": "inner corners (squares - 1)",
    "circles": "circles",
    "asymmetric-circles": "circles in a row, and rows (as OpenCV counts them)",
    "charuco": "squares",
}
DIAMETERS = {"circles": 0.6, "asymmetric-circles": 0.9}
"""Of a printed circle, as a share of the step; asymmetric neighbours are 1.41 steps apart."""


@dataclass(frozen=True)
class Board:
    """A flat calibration target.

    kind: `chessboard`, `circles` (a rectangular grid), `asymmetric-circles` (every second row
    shifted by half a step) or `charuco`. columns, rows: inner corners of a chessboard, circles of
    a grid, squares of a ChArUco board, all as OpenCV counts them. square: metres from one corner
    to the next, or between neighbouring circles' centres (for the asymmetric grid between its
    rows, so circles of one row are 2 squares apart). marker: side of a ChArUco marker in metres,
    None = 3/4 of the square. dictionary: OpenCV's name of the markers' dictionary. diameter: of a
    circle in metres, None = the share of the square in `DIAMETERS`, as `fathom board` prints it.

    Raises `UsageError` for counts or lengths that no board has, or an unknown kind.
    """

    kind: BoardKind = "chessboard"
    columns: int = 9
    rows: int = 6
    square: float = 0.025
    marker: float | None = None
    dictionary: str = "DICT_5X5_250"
    diameter: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("board", self.kind, list(KINDS))
        least = 2 if self.kind == "asymmetric-circles" else 3
        for name in ("columns", "rows"):
            count = getattr(self, name)
            if not least <= count <= _MOST:
                raise UsageError(
                    "is no number of a board's points",
                    field=name,
                    value=count,
                    expected=f"{least} to {_MOST} {_COUNTED[self.kind]}",
                )
        if not SMALLEST_SQUARE <= self.square <= LARGEST_SQUARE:
            raise UsageError(
                f"is no plausible size: the board would be {_length(self.square * self.columns)} "
                "wide",
                field="square",
                value=_length(self.square),
                expected=f"{_length(SMALLEST_SQUARE)} to {_length(LARGEST_SQUARE)}",
                remedy="give the unit, for example --square 25mm",
            )
        if self.kind in DIAMETERS:
            self._set_diameter()
        if self.kind != "charuco":
            return
        marker = 0.75 * self.square if self.marker is None else self.marker
        if not 0 < marker < self.square:
            raise UsageError(
                "does not fit into its square",
                field="marker",
                value=_length(marker),
                expected=f"a side below the square's {_length(self.square)}",
            )
        object.__setattr__(self, "marker", marker)

    def _set_diameter(self) -> None:
        share = DIAMETERS[self.kind]
        diameter = share * self.square if self.diameter is None else self.diameter
        nearest = self.square * (math.sqrt(2) if self.kind == "asymmetric-circles" else 1)
        if not 0 < diameter < nearest:
            raise UsageError(
                "does not fit between its neighbours",
                field="diameter",
                value=_length(diameter),
                expected=f"below {_length(nearest)}, the distance of the nearest circles",
            )
        object.__setattr__(self, "diameter", diameter)

    @property
    def radius(self) -> float:
        """Of a circle in metres; 0 for boards without circles."""
        return 0.0 if self.diameter is None or self.kind not in DIAMETERS else self.diameter / 2

    @cached_property
    def points(self) -> Float64[np.ndarray, "n 3"]:
        """Every point of the board in metres, row by row; the index of a point is its id."""
        columns, rows = self.grid
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
        if self.kind == "asymmetric-circles":
            x = 2 * x + y % 2
        flat = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1) * self.square
        return frozen(flat)

    @property
    def grid(self) -> tuple[int, int]:
        """(columns, rows) of the points that are looked for."""
        less = 1 if self.kind == "charuco" else 0
        return self.columns - less, self.rows - less

    @property
    def extent(self) -> tuple[float, float]:
        """Width and height in metres from the first to the last point."""
        high = self.points.max(axis=0)
        return float(high[0]), float(high[1])

    @cached_property
    def turns(self) -> tuple[Array, ...]:
        """The ways in which the board looks the same when turned: permutations of its ids.

        The first is the identity; a half turn (or quarter turns of a square board) follows where
        it maps the board onto itself, colours included. If the board is seen turned by t, what
        a detector calls id i is truly id t[i].
        """
        if self.kind == "charuco":
            return (np.arange(len(self.points)),)
        flat = self.points[:, :2] / self.square
        middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
        found = [np.arange(len(flat))]
        for quarter in (2, 1, 3):
            cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
            turned = (flat - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle
            gaps = np.abs(turned[:, None] - flat[None]).max(axis=2)
            if bool((gaps.min(axis=1) < 1e-6).all()) and self._keeps_colours(quarter):
                found.append(gaps.argmin(axis=1))
        return tuple(found)

    def _keeps_colours(self, quarter: int) -> bool:
        """Whether a chessboard turned by quarters has black where it had black before."""
        if self.kind != "chessboard":
            return True
        dark = np.add.outer(np.arange(self.rows + 1), np.arange(self.columns + 1)) % 2
        return np.array_equal(np.rot90(dark, quarter), dark)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for result.json; lengths in metres."""
        values: dict[str, Any] = {
            "kind": self.kind,
            "columns": self.columns,
            "rows": self.rows,
            "square_m": self.square,
        }
        if self.kind == "charuco":
            values |= {"marker_m": self.marker, "dictionary": self.dictionary}
        if self.radius:
            values["diameter_m"] = self.diameter
        return values

    def flags(self) -> list[str]:
        """The words that tell `fathom calibrate` and `fathom board` about this board."""
        words = ["--board", self.kind, "--columns", str(self.columns), "--rows", str(self.rows)]
        words += ["--square", _length(self.square)]
        if self.kind == "charuco":
            assert self.marker is not None
            words += ["--marker", _length(self.marker), "--dictionary", self.dictionary]
        if self.diameter is not None and self.radius:
            words += ["--diameter", _length(self.diameter)]
        return words

    def __str__(self) -> str:
        return f"{self.kind} of {self.columns} x {self.rows} {_COUNTED[self.kind]}"


def object_points(board: Board, ids: Num[np.ndarray, " n"]) -> Float64[np.ndarray, "n 3"]:
    """The board's points with these ids, in metres."""
    chosen: Array = board.points[np.asarray(ids, dtype=np.int64)]
    return chosen


def parse_length(text: str, name: str = "square") -> float:
    """Metres from "25mm", "2.5 cm", "0.025m", "1in" or a plain number of metres.

    Raises `UsageError` for anything else, or a length that is not positive.
    """
    units = {"mm": 1e-3, "cm": 1e-2, "um": 1e-6, "in": 0.0254, '"': 0.0254, "m": 1.0, "": 1.0}
    word = text.strip().lower().replace("µm", "um").replace("inch", "in")
    unit = next(u for u in sorted(units, key=len, reverse=True) if word.endswith(u))
    number = word[: len(word) - len(unit)].strip()
    try:
        # Decimal places first, so that 25mm is 0.025 and not 0.025000000000000001.
        value = float(f"{float(number) * units[unit]:.12g}")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(
            "is no length", field=name, value=text, expected="for example 25mm, 2.5cm or 0.025m"
        )
    return value


def _length(metres: float) -> str:
    """A length as people write it, and as `parse_length` reads it back exactly."""
    return f"{1000 * metres:.10g}mm" if metres < 1 else f"{metres:.10g}m"
