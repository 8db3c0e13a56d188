"""Single pictures that a command is asked for (`-o plot.png`): never over somebody else's file."""

import zlib
from pathlib import Path

import numpy as np

from fathom.core.arrays import Shaped
from fathom.core.errors import ResourceError, UsageError
from fathom.io.atomic import write_bytes
from fathom.io.files import PathLike
from fathom.io.images import encode_png
from fathom.io.paths import os_errors, resolve

_HEAD = 8 + 25  # signature and IHDR, which the mark follows
_TEXT = b"tEXtSoftware\x00fathom figure"
_MARK = (len(_TEXT) - 4).to_bytes(4, "big") + _TEXT + zlib.crc32(_TEXT).to_bytes(4, "big")


def check_figure(path: PathLike) -> None:
    """Refuses a place where `write_figure` would fail; to be called ahead of long work.

    Raises `UsageError` for a name that is not a PNG's, `ResourceError` where a file stands that
    `write_figure` did not make.
    """
    name = Path(path).suffix
    if name.lower() not in ("", ".png"):
        raise UsageError(
            "is no PNG by its name", file=path, expected=".png", remedy="give a name with .png"
        )
    target = resolve(path)
    with os_errors(path, target):
        if not target.is_file():
            return  # a folder or a device is named by the writer
        with target.open("rb") as file:
            ours = file.read(_HEAD + len(_MARK))[_HEAD:] == _MARK
    if not ours:
        raise ResourceError(
            "exists already, and is no picture of this kind that fathom wrote",
            file=path,
            remedy="choose another name, or move that file away",
        )


def write_figure(path: PathLike, picture: Shaped[np.ndarray, "..."]) -> None:
    """Write `picture` (as in `encode_png`) as a PNG, whole or not at all, over an earlier one.

    Raises as `check_figure` does, and `ResourceError` if the file cannot be written.
    """
    check_figure(path)
    data = encode_png(picture)
    write_bytes(path, data[:_HEAD] + _MARK + data[_HEAD:])
