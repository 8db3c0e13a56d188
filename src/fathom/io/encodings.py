"""Encodings of depth and disparity that data sets have and fathom does not write.

Every reader gives float32 with NaN for unknown. What "unknown" is differs from set to set, so each
caller says it.
"""

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Shaped
from fathom.core.errors import InputError, MissingExtraError
from fathom.io.files import PathLike, in_file, open_input
from fathom.io.images import decode
from fathom.io.maps import read_disparity
from fathom.io.source import damaged


def read_levels(
    path: PathLike, bits: int | None = None, what: str = "mask"
) -> Shaped[np.ndarray, "h w"]:
    """The values of a grey image as they stand: uint8 or uint16 (h, w).

    bits: 8 or 16, if only that can be right. Raises `InputError` for an image of several channels
    or other bits: a picture of a map holds no values.
    """
    import cv2

    info, image = decode(path, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    given = 8 * image.dtype.itemsize
    if image.ndim != 2 or image.dtype.kind != "u" or (bits is not None and given != bits):
        raise InputError(
            f"is no {what} map: it looks like a picture",
            file=path,
            field="channels x bits",
            value=f"{info.channels} x {info.bits}",
            expected=f"one channel of {bits or '8 or 16'} bits",
        )
    return image


def read_mask(path: PathLike, above: int = 0) -> Bool[np.ndarray, "h w"]:
    """True where a grey image (8 or 16 bits) is above a level; raises as `read_levels` does."""
    mask: Array = read_levels(path) > above
    return mask


def read_steps(
    path: PathLike,
    per_unit: float,
    *,
    bits: int = 16,
    unknown: Iterable[int] = (0,),
    what: str = "disparity",
) -> Float32[np.ndarray, "h w"]:
    """Values of a grey image of 8 or 16 bits: stored number / per_unit.

    unknown: the stored numbers that mean it. Raises as `read_levels` does.
    """
    stored = read_levels(path, bits, what)
    values = (stored.astype(np.float64) / per_unit).astype(np.float32)
    values[np.isin(stored, list(unknown))] = np.nan
    return values


def read_sintel_disparity(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Disparity of MPI Sintel's stereo set from an RGB image of 8 bits: 4 R + G / 2^6 + B / 2^14.

    Butler et al., ECCV 2012, the stereo set's `sdk/python/sintel_io.py`. Every value is known.
    Raises `InputError` for a grey image or one of 16 bits.
    """
    r, g, b = _channels(path)
    values: Array = (4.0 * r + g / 2.0**6 + b / 2.0**14).astype(np.float32)
    return values


def read_fsd_disparity(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Disparity of FoundationStereo's data from an RGB image of 8 bits:
    (255^2 R + 255 G + B) / 1000, base 255 and not 256; 0 is unknown.

    Raises `InputError` for a grey image or one of 16 bits.
    """
    r, g, b = _channels(path)
    values: Array = ((255.0 * 255.0 * r + 255.0 * g + b) / 1000).astype(np.float32)
    values[values == 0] = np.nan
    return values


def _channels(path: PathLike) -> tuple[Array, Array, Array]:
    import cv2

    info, image = decode(path, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image.ndim != 3 or image.dtype != np.uint8:
        raise InputError(
            "holds no disparity in its colours",
            file=path,
            field="channels x bits",
            value=f"{info.channels} x {info.bits}",
            expected="three channels of 8 bits",
        )
    # OpenCV's order is blue, green, red.
    r, g, b = (image[..., i].astype(np.float64) for i in (2, 1, 0))
    return r, g, b


def read_positive(path: PathLike) -> Float32[np.ndarray, "h w"]:
    """Disparity from a PFM, KITTI's PNG or a float .npy array, where the data set writes 0, inf,
    NaN or a negative number for unknown. Raises as `read_disparity` does."""
    values = read_disparity(path)
    with np.errstate(invalid="ignore"):
        return np.where(values > 0, values, np.float32(np.nan))


def hdf5(path: PathLike) -> Any:
    """An open HDF5 file.

    Raises `MissingExtraError` without h5py, `InputError` for what is no HDF5 file.
    """
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise MissingExtraError("h5py (for HDF5 files)", "hdf5") from error
    with open_input(path, "HDF5 file") as (file, _):
        head = file.read(8)
    if head != b"\x89HDF\r\n\x1a\n" and not _has_user_block(path):
        raise InputError("is no HDF5 file", file=path, expected="an HDF5 file")
    try:
        return h5py.File(str(path), "r")
    except OSError as error:
        with in_file(path):
            raise damaged("an HDF5 file that cannot be opened") from error


def _has_user_block(path: PathLike) -> bool:
    """MATLAB's v7.3 files are HDF5 behind a text of 512 bytes."""
    with open_input(path, "HDF5 file") as (file, _):
        return file.read(520)[512:] == b"\x89HDF\r\n\x1a\n"


def read_hdf5_map(path: PathLike, key: str) -> Float32[np.ndarray, "h w"]:
    """The two-dimensional array `key` of an HDF5 file as float32; infinite values as NaN.

    Raises as `hdf5` does, and `InputError` if there is no such array.
    """
    with hdf5(path) as file:
        if key not in file or getattr(file[key], "ndim", 0) != 2:
            raise InputError(
                "holds no such map",
                file=path,
                field="key",
                value=key,
                expected=f"a two-dimensional array `{key}`",
            )
        values = np.asarray(file[key], dtype=np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))
