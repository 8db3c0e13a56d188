"""Maps of numbers as files: disparity, depth, confidence, source.

Every reader gives float32 with NaN for unknown (source: uint8 codes), and reads back exactly what
its writer wrote. A format that cannot hold a value stores "unknown" there, and its writer returns
how many such values there were.
"""

import re
import struct
from typing import BinaryIO

import numpy as np

from fathom.core.arrays import Array, Float32, Shaped, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Source
from fathom.io.atomic import atomic_file
from fathom.io.files import PathLike, in_file, open_input
from fathom.io.images import decode, write_png
from fathom.io.pfm import MAX_VALUES, read_pfm, write_pfm
from fathom.io.recognise import what_is
from fathom.io.source import damaged

_DISPARITY_STEPS = 256  # KITTI: v / 256 pixels
_DEPTH_STEPS = 1000  # RGB-D cameras: v millimetres
_FULL = 65535


def write_disparity_pfm(path: PathLike, values: Float32[np.ndarray, "h w"]) -> None:
    """Write disparity in pixels as PFM; unknown (NaN) becomes inf, as in Middlebury's files."""
    write_pfm(path, np.where(np.isnan(values), np.float32(np.inf), values))


def read_disparity_pfm(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Disparity in pixels from a PFM of one channel; inf and NaN are unknown.

    Raises as `read_pfm` does, and `InputError` for three channels.
    """
    values = read_pfm(path)
    if values.ndim != 2:
        raise InputError(
            "has three channels",
            file=path,
            field="kind",
            value="PF",
            expected="`Pf`: one value a pixel",
        )
    return _finite(values)


def write_disparity_png(path: PathLike, values: Float32[np.ndarray, "h w"]) -> int:
    """Write disparity in pixels as KITTI's PNG: uint16, 256 a pixel, 0 unknown.

    Returns how many known values the format cannot hold (below 1/512 px, from 255.998 px on);
    they are stored as unknown.
    """
    return _write_steps(path, values, _DISPARITY_STEPS)


def read_disparity_png(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Disparity in pixels from KITTI's uint16 PNG (v / 256, 0 unknown).

    Raises `InputError` for no readable image, or one that is not grey with 16 bits.
    """
    return _read_steps(path, "disparity", _DISPARITY_STEPS)


def write_depth_png(path: PathLike, values: Float32[np.ndarray, "h w"]) -> int:
    """Write depth in metres as a PNG of millimetres: uint16, 0 unknown.

    Returns how many known values the format cannot hold (below half a millimetre, beyond
    65.535 m); they are stored as unknown.
    """
    return _write_steps(path, values, _DEPTH_STEPS)


def read_depth_png(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Depth in metres from a uint16 PNG of millimetres (0 unknown); raises as
    `read_disparity_png` does."""
    return _read_steps(path, "depth", _DEPTH_STEPS)


def write_confidence_png(path: PathLike, values: Float32[np.ndarray, "h w"]) -> None:
    """Write confidence 0..1 as a uint16 PNG, 65535 a unit.

    Raises `UsageError` for values outside 0..1 or NaN.
    """
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise UsageError("leaves the range 0..1", field="confidence", expected="0..1")
    write_png(path, np.rint(values.astype(np.float64) * _FULL).astype(np.uint16))


def read_confidence_png(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Confidence 0..1 from a uint16 PNG (v / 65535); raises as `read_disparity_png` does."""
    steps = _grey(path, "confidence", np.uint16)
    return (steps.astype(np.float64) / _FULL).astype(np.float32)


def write_source_png(path: PathLike, codes: UInt8[np.ndarray, "h w"]) -> None:
    """Write `Source` codes as a uint8 PNG."""
    write_png(path, codes)


def read_source_png(path: PathLike) -> UInt8[np.ndarray, "h w"]:
    """`Source` codes from a uint8 PNG.

    Raises `InputError` for no readable image, one that is not grey with 8 bits, or a code that
    `Source` does not have.
    """
    codes = _grey(path, "source", np.uint8)
    if int(codes.max()) > max(Source):
        raise InputError(
            "is no source code",
            file=path,
            field="source",
            value=int(codes.max()),
            expected=f"0 to {int(max(Source))}",
        )
    return codes


def write_depth_npy(path: PathLike, values: Float32[np.ndarray, "h w"]) -> None:
    """Write depth in metres (NaN unknown) as a float32 .npy array of version 1.0."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {values.shape}, }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    with atomic_file(path) as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii"))
        file.write(np.ascontiguousarray(values, dtype="<f4").tobytes())


def read_depth_npy(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Depth in metres from a .npy array (h, w) of floats; NaN, infinite, zero and negative values
    are unknown.

    Raises `InputError` if the file is no .npy array of that kind, holds pickled objects, or has
    another length than its header declares.
    """
    values = _read_npy(path)
    with np.errstate(invalid="ignore"):
        return np.where(values > 0, values, np.float32(np.nan))


def read_relative_npy(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """A relative map from a .npy array (h, w) of floats, of any sign; what is not finite is
    unknown. Raises as `read_depth_npy`."""
    return _read_npy(path)


def read_disparity(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Disparity in pixels, NaN unknown, from a PFM, KITTI's uint16 PNG or a float .npy array; the
    content decides which.

    Raises `InputError` for any other file; a picture of a disparity map (8 bits or colour) is
    refused, because its values are no pixels.
    """
    with open_input(path, "disparity map") as (file, size):
        head = file.read(min(size, 512))
    if head.startswith(b"\x89PNG"):
        return read_disparity_png(path)
    if head.startswith(b"\x93NUMPY"):
        return _read_npy(path)
    if re.match(rb"P[fF]\s", head):
        return read_disparity_pfm(path)
    kind = what_is(head)
    raise InputError(
        "is no disparity map" + (f": it is {kind.name}" if kind else ""),
        file=path,
        expected="PFM, a 16-bit PNG as KITTI writes it (256 a pixel), or a float .npy array",
    )


def _finite(values: Array) -> Array:
    out: Array = np.where(np.isfinite(values), values, np.float32(np.nan))
    return out


def _write_steps(path: PathLike, values: Array, steps: int) -> int:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        scaled = np.rint(values.astype(np.float64) * steps)
        held = known & (scaled >= 1) & (scaled <= _FULL)
    write_png(path, np.where(held, scaled, 0).astype(np.uint16))
    return int(np.count_nonzero(known & ~held))


def _read_steps(path: PathLike, name: str, steps: int) -> Array:
    stored = _grey(path, name, np.uint16)
    values = (stored.astype(np.float64) / steps).astype(np.float32)
    values[stored == 0] = np.nan
    return values


def _grey(path: PathLike, name: str, dtype: type) -> Shaped[np.ndarray, "h w"]:
    import cv2

    info, image = decode(path, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image.ndim != 2 or image.dtype != dtype:
        bits = np.dtype(dtype).itemsize * 8
        raise InputError(
            f"is no {name} map: it looks like a picture",
            file=path,
            field="channels x bits",
            value=f"{info.channels} x {info.bits}",
            expected=f"one channel of {bits} bits",
            remedy=f"give the file that holds the values ({name}.png, .pfm or .npy of a result)",
        )
    return image


_NPY = re.compile(
    r"\{(?=.*'descr': *'([<>=|]?[a-zA-Z]+\d*)')(?=.*'fortran_order': *(True|False))"
    r"(?=.*'shape': *\((\d{1,9}), *(\d{1,9})(?:, *1)?,?\))[^{}]*\}\s*"
)


def _read_npy(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """A float array (h, w), infinite values as NaN. numpy.lib.format's header, by our own parser:
    numpy's evaluates an expression and allocates what it says."""
    with open_input(path, ".npy array") as (file, size), in_file(path):
        match = _NPY.fullmatch(_npy_header(file))
        if match is None or match[1].lstrip("<>=|") not in ("f2", "f4", "f8"):
            raise InputError(
                "is no map of numbers",
                field="array",
                value=None if match is None else match[1],
                expected="a float .npy array of (height, width)",
            )
        dtype = np.dtype(match[1])
        height, width = int(match[3]), int(match[4])
        if not 0 < height * width <= MAX_VALUES:
            raise InputError(
                "declares an impossible size",
                field="shape",
                value=f"({height}, {width})",
                expected=f"1 to {MAX_VALUES} values",
            )
        need, left = height * width * dtype.itemsize, size - file.tell()
        if left != need:
            raise damaged(f"{left} bytes of values where {need} are declared")
        data = np.frombuffer(file.read(need), dtype)
        values = data.reshape((height, width), order="F" if match[2] == "True" else "C")
        with np.errstate(over="ignore"):
            return _finite(np.ascontiguousarray(values.astype(np.float32)))


def _npy_header(file: BinaryIO) -> str:
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or len(start) < 8 or start[6] not in (1, 2, 3):
        raise InputError("is no .npy array", expected="a numpy array saved by numpy.save")
    digits = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(digits), "little")
    header = file.read(min(length, 1 << 14))
    if len(header) != length:
        raise damaged("its header is cut off")
    return header.decode("latin-1")
