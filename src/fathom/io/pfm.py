"""PFM, the format of float maps: `Pf`, width height, scale, then float32 rows from bottom to top.

The scale's sign tells the byte order (negative: little-endian); its size is ignored, as the
Middlebury tools do. https://www.pauldebevec.com/Research/HDR/PFM/
"""

import math
import re

import numpy as np

from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError, UsageError
from fathom.io.atomic import atomic_file
from fathom.io.files import PathLike, in_file, open_input
from fathom.io.recognise import what_is
from fathom.io.source import damaged

MAX_VALUES = 200_000_000
_HEADER = re.compile(rb"(P[fF])\s+(\d{1,9})\s+(\d{1,9})\s+([-+.\deE]{1,40})(?=\s)")
_LONGEST_HEADER = 1024


def read_pfm(path: PathLike) -> Float32[np.ndarray, "..."]:
    """The values of a PFM as float32: (h, w) for `Pf`, (h, w, 3) for `PF`, top row first.

    Infinite values and NaN are given as they stand in the file.

    Raises `InputError` if the file is no PFM, declares more than 200 million values, or has
    another length than its header declares.
    """
    with open_input(path, "PFM map") as (file, size), in_file(path):
        head = file.read(_LONGEST_HEADER)
        match = _HEADER.match(head)
        if match is None:
            kind = what_is(head)
            raise InputError(
                "is no PFM map" + (f": it is {kind.name}" if kind else ""),
                expected="a header `Pf`, width height, scale",
            )
        channels = 3 if match[1] == b"PF" else 1
        width, height = int(match[2]), int(match[3])
        count = width * height * channels
        if not 0 < count <= MAX_VALUES:
            raise InputError(
                "declares an impossible size",
                field="size",
                value=f"{width}x{height}x{channels}",
                expected=f"1 to {MAX_VALUES} values",
            )
        order = "<" if _scale(match[4]) < 0 else ">"
        file.seek(_data_start(head, match.end(), size, 4 * count))
        data = file.read(4 * count)
        if len(data) != 4 * count:
            raise damaged(f"{len(data)} bytes of values where {4 * count} are declared")
        shape = (height, width, 3) if channels == 3 else (height, width)
        values = np.frombuffer(data, order + "f4").reshape(shape)
        return np.ascontiguousarray(values[::-1], dtype=np.float32)


def _scale(text: bytes) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale) or scale == 0:
        raise InputError(
            "is no scale",
            field="scale",
            value=text.decode("ascii"),
            expected="a number whose sign tells the byte order, for example -1",
        )
    return scale


def _data_start(head: bytes, end: int, size: int, need: int) -> int:
    """Where the values begin: after one white-space byte, or more if the length says so.

    A line break of two bytes, or blanks before it, cannot be told from values by looking at them.
    """
    blanks = size - end - need
    if blanks < 1:
        raise damaged(f"{max(size - end - 1, 0)} bytes of values where {need} are declared")
    if blanks > 16 or head[end : end + blanks].strip():
        raise damaged(f"{size - end - 1} bytes of values where {need} are declared")
    return end + blanks


def write_pfm(path: PathLike, values: Float32[np.ndarray, "..."]) -> None:
    """Write float32 values (h, w) or (h, w, 3) as a little-endian PFM, whole or not at all.

    Raises `UsageError` for another shape, `ResourceError` if the file cannot be written.
    """
    array: Array = np.asarray(values)
    if array.dtype != np.float32 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
        raise UsageError(
            "cannot be written as a PFM",
            field="values",
            value=f"{array.dtype} {array.shape}",
            expected="float32 (h, w) or (h, w, 3)",
        )
    kind = "Pf" if array.ndim == 2 else "PF"
    with atomic_file(path) as file:
        file.write(f"{kind}\n{array.shape[1]} {array.shape[0]}\n-1.0\n".encode("ascii"))
        file.write(np.ascontiguousarray(array[::-1], dtype="<f4").tobytes())
