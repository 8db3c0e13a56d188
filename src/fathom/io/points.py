"""Depth at single pixels (x, y, metres, perhaps sigma in metres): text, .npy, or a cloud."""

from pathlib import Path

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import SparseDepth
from fathom.io.files import PathLike, in_file, read_bytes
from fathom.io.source import damaged

POINT_SUFFIXES = (".txt", ".csv", ".xy", ".xyz", ".pts")
CLOUD_SUFFIX = ".ply"
_LONGEST = 1 << 28
_EXPECTED = "x, y (pixels), depth and perhaps sigma (metres) in each row"


def read_points(path: PathLike) -> SparseDepth:
    """Points of a text file (a row each, separated by blanks or commas, # begins a comment, one
    line of names may stand first) or of a .npy array (n, 3) or (n, 4).

    Rows whose depth is not above 0, or that hold no number, are left out: they are not measured.

    Raises `InputError` for anything else, or if no point is left.
    """
    rows = _array(path) if Path(path).suffix.lower() == ".npy" else _text(path)
    with in_file(path):
        if rows.ndim != 2 or rows.shape[1] not in (3, 4):
            raise InputError("holds no points", field="shape", value=rows.shape, expected=_EXPECTED)
        good = np.isfinite(rows).all(axis=1) & (rows[:, 2] > 0)
        rows = rows[good].astype(np.float32)
        if len(rows) == 0:
            raise InputError("holds no point with a depth above 0", expected=_EXPECTED)
        sigma = rows[:, 3] if rows.shape[1] == 4 else None
        return SparseDepth(rows[:, :2], rows[:, 2], sigma)


def read_points_of(path: PathLike, camera: Camera | None) -> SparseDepth:
    """As `read_points`; a .ply cloud in the camera's frame gives its points at the pixels where
    `camera` sees them.

    Raises as `read_points`, and `UsageError` for a cloud without a camera.
    """
    if Path(path).suffix.lower() != CLOUD_SUFFIX:
        return read_points(path)
    if camera is None:
        raise UsageError(
            "is a cloud, and no camera says at which pixels its points lie", field="points",
            value=str(path), remedy="give the calibration, or points as text: x y depth [sigma]",
        )  # fmt: skip
    from fathom.geometry.project import project
    from fathom.io.ply import read_ply

    points = read_ply(path).points.astype(np.float64)
    pixels = project(points, camera)
    edge = np.array(camera.size) - 0.5
    with np.errstate(invalid="ignore"):
        inside = np.all((pixels > -0.5) & (pixels < edge), axis=1)
    found = np.column_stack([pixels, points[:, 2]])[inside].astype(np.float32)
    return SparseDepth(found[:, :2], found[:, 2])


def is_points(path: PathLike) -> bool:
    """True for a text file by its suffix, and for a .npy array of three or four columns."""
    suffix = Path(path).suffix.lower()
    if suffix != ".npy" or not Path(path).is_file():
        return suffix in POINT_SUFFIXES
    shape = _array(path).shape
    return len(shape) == 2 and shape[1] in (3, 4)


def _array(path: PathLike) -> Array:
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        with in_file(path):
            raise damaged("it is no .npy array of numbers") from error
    if stored.dtype.kind not in "fiu":
        raise InputError("holds no numbers", file=path, value=stored.dtype, expected=_EXPECTED)
    found: Array = np.asarray(stored)
    return found


def _text(path: PathLike) -> Array:
    text = read_bytes(path, "list of points", _LONGEST).decode("utf-8", "replace")
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            if rows or number > 1:
                raise InputError(
                    "is no point", file=path, field=f"line {number}", value=line, expected=_EXPECTED
                ) from error
            continue
        if len(rows[-1]) != len(rows[0]):
            raise InputError(
                "has another number of columns than the first", file=path, field=f"line {number}",
                value=line, expected=_EXPECTED,
            )  # fmt: skip
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.zeros((0, 3))
