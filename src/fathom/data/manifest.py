"""A list of one's own data: CSV with a header, or JSON lines; no class to write.

Columns: left, right, disparity or depth, mask, nonocc, calibration, scale, encoding, name, and
focal, baseline, doffs in place of a calibration file. Only `left` is needed, and either `right` (a
stereo pair) or `depth` (one view). Paths are relative to the list. Empty cells are as if absent.

encoding: how a truth is kept, where its content alone cannot tell: `auto` (PFM and .npy as they
are, disparity PNG as KITTI's, depth PNG as millimetres), `uint16` or `uint8` (grey PNG, stored
number times scale), `sintel`, `fsd` (disparity in three channels). scale: what one stored number is
worth, in pixels or metres, as a number or fraction: `1/256`, `0.001`, `-1` for RAFT-Stereo's
negative .npy. 0, NaN and infinite values are unknown.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import StereoRig
from fathom.core.errors import FathomError, InputError, unknown_name
from fathom.core.sample import MonoSample, StereoSample
from fathom.data.dataset import Dataset
from fathom.data.layout import mono, stereo
from fathom.data.reader import NoOptions, Reader
from fathom.io.calibration import cameras_of, read_calibration
from fathom.io.encodings import (
    read_fsd_disparity,
    read_mask,
    read_sintel_disparity,
    read_steps,
)
from fathom.io.files import open_input, read_bytes
from fathom.io.maps import read_depth_npy, read_disparity

COLUMNS = (
    "left", "right", "disparity", "depth", "mask", "nonocc", "calibration",
    "focal", "baseline", "doffs", "scale", "encoding", "name",
)  # fmt: skip
ENCODINGS = ("auto", "uint16", "uint8", "sintel", "fsd")
_ALIASES = {"image": "left", "img": "left", "disp": "disparity", "calib": "calibration"}
_LONGEST = 1 << 28
_DEPTH_STEPS = 1000  # of a PNG with no scale: millimetres
_DISPARITY_STEPS = 256  # of a PNG with no scale: KITTI's


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. line: its number in the file, from 1. cells: what it says."""

    line: int
    cells: Mapping[str, str]


def read_manifest(path: Path) -> list[Row]:
    """The rows of a CSV (comma, semicolon or tab) or JSON-lines file, empty cells left out.

    Blank lines and lines that begin with # are skipped. Raises `InputError`, naming the line, for
    an unknown column, a row without what every row needs, or a line that cannot be parsed.
    """
    text = read_bytes(path, "list of samples", _LONGEST).decode("utf-8-sig", "replace")
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not numbered:
        raise InputError("holds no line", file=path, expected="CSV with a header, or JSON lines")
    parse = _json_rows if numbered[0][1].lstrip().startswith("{") else _csv_rows
    rows = parse(path, numbered)
    if not rows:
        raise InputError("holds a header and no row", file=path, expected="a line a sample")
    _check(path, rows)
    return rows


def _csv_rows(path: Path, numbered: list[tuple[int, str]]) -> list[Row]:
    header = numbered[0][1]
    separator = max(",;\t", key=header.count)
    names = [_column(path, numbered[0][0], cell) for cell in _split(header, separator)]
    rows = []
    for number, line in numbered[1:]:
        cells = _split(line, separator)
        if len(cells) != len(names):
            raise InputError(
                "has another number of cells than the header",
                file=path,
                field=f"line {number}",
                value=len(cells),
                expected=str(len(names)),
            )
        rows.append(Row(number, {n: c for n, c in zip(names, cells, strict=True) if c}))
    return rows


def _split(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]


def _json_rows(path: Path, numbered: list[tuple[int, str]]) -> list[Row]:
    rows = []
    for number, line in numbered:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError("is no JSON", file=path, field=f"line {number}") from error
        if not isinstance(values, dict):
            raise InputError("is no JSON object", file=path, field=f"line {number}")
        cells = {_column(path, number, k): str(v) for k, v in values.items() if v not in (None, "")}
        rows.append(Row(number, cells))
    return rows


def _column(path: Path, line: int, name: str) -> str:
    plain = name.strip().lower()
    plain = _ALIASES.get(plain, plain)
    if plain not in COLUMNS:
        error = unknown_name("column", name.strip(), list(COLUMNS))
        raise InputError(
            "is no column of a manifest",
            file=path,
            field=f"line {line}",
            value=name.strip(),
            remedy=error.remedy,
        )
    return plain


def _check(path: Path, rows: list[Row]) -> None:
    stereo_list = "right" in rows[0].cells
    for row in rows:
        problem = _problem(row.cells, stereo_list)
        if problem:
            raise InputError(problem[0], file=path, field=f"line {row.line}", expected=problem[1])
        encoding = row.cells.get("encoding", "auto")
        if encoding not in ENCODINGS:
            raise InputError(
                "is no encoding",
                file=path,
                field=f"line {row.line}, encoding",
                value=encoding,
                expected=" or ".join(ENCODINGS),
            )
        for name in ("scale", "focal", "baseline", "doffs"):
            if name in row.cells:
                _value(path, row, name)


def _problem(cells: Mapping[str, str], stereo_list: bool) -> tuple[str, str] | None:
    rig = "calibration" in cells or "focal" in cells
    no_view = not stereo_list and ("disparity" in cells or "depth" not in cells)
    tests = (
        ("left" not in cells, "names no left image", "a column `left`"),
        (
            ("right" in cells) != stereo_list,
            "mixes pairs and single views",
            "`right` in every line, or in none",
        ),
        (no_view, "is no sample", "`right` (a pair), or `depth` (one view)"),
        (
            "disparity" in cells and "depth" in cells,
            "names two truths",
            "`disparity` or `depth`",
        ),
        (
            ("focal" in cells) != ("baseline" in cells),
            "names half a rig",
            "`focal` (pixels) and `baseline` (metres)",
        ),
        (
            stereo_list and "depth" in cells and not rig,
            "has depth and no rig to make it disparity",
            "`calibration`, or focal and baseline",
        ),
    )
    return next(((what, right) for wrong, what, right in tests if wrong), None)


def _value(path: Path, row: Row, name: str) -> float:
    top, _, bottom = row.cells[name].partition("/")
    try:
        value = float(top) / (float(bottom) if bottom else 1.0)
    except (ValueError, ZeroDivisionError):
        value = float("nan")
    if not np.isfinite(value) or (value == 0 and name != "doffs"):
        raise InputError(
            "is no number",
            file=path,
            field=f"line {row.line}, {name}",
            value=row.cells[name],
            expected="a number or a fraction such as 1/256",
        )
    return value


def _truth(path: Path, row: Row) -> Array | None:
    kind = "disparity" if "disparity" in row.cells else "depth"
    if kind not in row.cells:
        return None
    scale = _value(path, row, "scale") if "scale" in row.cells else None
    return read_truth(path.parent / row.cells[kind], kind, row.cells.get("encoding", "auto"), scale)


def read_truth(
    file: Path, kind: str = "disparity", encoding: str = "auto", scale: float | None = None
) -> Array:
    """A truth as it is kept, times its scale: disparity in pixels or depth in metres, NaN unknown.

    kind: "disparity" or "depth". encoding: one of `ENCODINGS`. scale: what one stored number is
    worth; None takes what the encoding says.

    Raises `InputError` for a file that is no such map.
    """
    if encoding == "sintel":
        values = read_sintel_disparity(file)
    elif encoding == "fsd":
        values = read_fsd_disparity(file)
    elif encoding in ("uint16", "uint8"):
        values = read_steps(file, 1, bits=16 if encoding == "uint16" else 8, what=kind)
    else:
        values, scale = _auto(file, kind, scale)
    if scale is not None:
        values = (values.astype(np.float64) * scale).astype(np.float32)
    if kind == "depth":
        with np.errstate(invalid="ignore"):
            values = np.where(values > 0, values, np.float32(np.nan))
    return values


def _auto(file: Path, kind: str, scale: float | None) -> tuple[Array, float | None]:
    with open_input(file, f"{kind} map") as (opened, _):
        png = opened.read(4) == b"\x89PNG"
    if png:
        steps = 1 if scale is not None else _DEPTH_STEPS if kind == "depth" else _DISPARITY_STEPS
        return read_steps(file, steps, what=kind), scale
    values = read_disparity(file) if kind == "disparity" or file.suffix != ".npy" else None
    if values is None:
        values = read_depth_npy(file)
    return np.where(values == 0, np.float32(np.nan), values), scale


def _rig(path: Path, row: Row) -> Any:
    def read(size: tuple[int, int]) -> StereoRig | None:
        if "calibration" in row.cells:
            left = path.parent / row.cells["left"]
            found = read_calibration(
                path.parent / row.cells["calibration"],
                image_size=size,
                cameras=cameras_of(left),
                rectified=True,
            )
            if not isinstance(found, StereoRig):
                raise InputError(
                    "is a raw calibration, and the pairs of a data set are rectified",
                    file=path.parent / row.cells["calibration"],
                    expected="a rectified rig",
                    remedy="rectify the pairs first (fathom rectify)",
                )
            return found
        if "focal" not in row.cells:
            return None
        focal, baseline = _value(path, row, "focal"), _value(path, row, "baseline")
        doffs = _value(path, row, "doffs") if "doffs" in row.cells else 0.0
        return StereoRig.simple(*size, focal, baseline, doffs=doffs)

    return read


def _masks(path: Path, row: Row) -> dict[str, Array]:
    names = {"mask": "valid", "nonocc": "nonocc"}
    return {
        ours: read_mask(path.parent / row.cells[column])
        for column, ours in names.items()
        if column in row.cells
    }


def _sample(path: Path, row: Row, name: str) -> StereoSample | MonoSample:
    truth, masks = _truth(path, row), _masks(path, row)
    if truth is not None and "valid" in masks and masks["valid"].shape == truth.shape:
        truth = np.where(masks["valid"], truth, np.float32(np.nan))
    left = path.parent / row.cells["left"]
    file = path.parent / row.cells.get("disparity", row.cells.get("depth", row.cells["left"]))
    rig = _rig(path, row)
    if "right" not in row.cells:
        sample = mono(name, left, None, truth, masks, truth_file=file)
        known = rig(sample.view.size)
        if known is None:
            return sample
        return mono(name, left, known.left, truth, masks, truth_file=file)
    if truth is not None and "depth" in row.cells:
        known = rig((truth.shape[1], truth.shape[0]))
        truth = known.disparity_of(truth)
    right = path.parent / row.cells["right"]
    return stereo(name, (left, right), rig, truth, masks, truth_file=file)


def open_manifest(root: Path, split: str = "all", _options: Any = None) -> Dataset[Any]:
    """The data set of a list; a sample without a name is called by its left image's path.

    Errors of a sample name the list and the line as well as the file.
    """
    rows = read_manifest(root)
    names = [row.cells.get("name", row.cells["left"]) for row in rows]

    def load(index: int) -> StereoSample | MonoSample:
        try:
            return _sample(root, rows[index], names[index])
        except FathomError as error:
            error.file = f"{root} line {rows[index].line}: {error.file or names[index]}"
            raise

    return Dataset("manifest", root, split, names, load)


READERS = (
    Reader(
        "manifest",
        "stereo",
        "one's own data: CSV or JSON lines of left, right, disparity or depth, mask, calibration",
        "those of the data in it",
        "write the list: see docs/datasets.md",
        "ROOT is the list itself, for example pairs.csv:\n"
        "left,right,disparity,scale,calibration\n"
        "a/left.png,a/right.png,a/disp.png,1/256,calib.txt",
        ("all",),
        (),
        open_manifest,
        NoOptions,
    ),
)
