"""Files and folders that appear whole or not at all.

A file is written under a hidden name beside its target, flushed to the disk and renamed. A result
folder is written into a hidden staging folder and then takes its target's place (folder.py).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fathom.core.errors import ResourceError
from fathom.io.files import PathLike
from fathom.io.folder import check_result_folder, result_folder
from fathom.io.paths import (
    hidden_name,
    make_folders,
    os_errors,
    remove_folders,
    resolve,
    sync_folder,
)

__all__ = [
    "atomic_file",
    "check_result_folder",
    "result_folder",
    "write_bytes",
    "write_text",
]


@contextmanager
def atomic_file(path: PathLike) -> Iterator[BinaryIO]:
    """A binary file to write to that appears at `path` when the block ends well.

    On any exception, an interrupt included, the temporary file is removed and what was at `path`
    stays. A link is followed, an existing file's permissions are kept, and missing folders are
    created.

    Raises `ResourceError` if the file cannot be written (disk, permission, a folder in its place).
    """
    target = resolve(path)
    with os_errors(path, target):
        _refuse_special(target)
        made = make_folders(target.parent)
        temporary = target.parent / hidden_name(target.name)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            remove_folders(made)
            raise
        sync_folder(target.parent)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write `data` whole or not at all. Raises `ResourceError` as `atomic_file` does."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: PathLike, text: str) -> None:
    """Write `text` as UTF-8 with the line breaks it has; raises as `atomic_file` does."""
    # A file name that is no valid UTF-8 may be quoted in a text; it must not cost the result.
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def _refuse_special(target: Path) -> None:
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not stat.S_ISREG(mode):
        # Renaming over a device would replace it: /dev/null as a file helps nobody.
        raise ResourceError(
            "is no regular file", file=target, remedy="give the name of a file to write"
        )
