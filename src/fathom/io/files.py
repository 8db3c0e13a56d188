"""What every reader here shares: opening a file safely, and naming it in errors."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fathom.core.errors import FathomError, InputError, ResourceError

PathLike = str | Path

_REMEDIES = {
    errno.ENOSPC: "free some space or choose another place",
    errno.EDQUOT: "free some space or choose another place",
    errno.EACCES: "change the permission or choose another place",
    errno.EPERM: "change the permission or choose another place",
    errno.EROFS: "choose another place",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "choose a path whose parents are folders",
    errno.EEXIST: "choose a path whose parents are folders",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def resource_error(path: PathLike, error: OSError, doing: str) -> ResourceError:
    """The `ResourceError` for an operating system's error; `doing` is for example "written"."""
    number, said = error.errno or 0, str(error)
    if not number and "requested and" in said and said.endswith("written"):
        number = errno.ENOSPC  # numpy's words for a write that ended early; it gives no number
    reason = (error.strerror or (os.strerror(number) if number else said)).lower()
    reason = reason or type(error).__name__.lower()
    if number in (errno.ENOTDIR, errno.EEXIST):
        reason = "a file stands where a folder is needed"
    return ResourceError(f"cannot be {doing}: {reason}", file=path, remedy=_REMEDIES.get(number))


@contextmanager
def in_file(path: PathLike) -> Iterator[None]:
    """Errors raised inside that name no file, as those of the nouns, name this one."""
    try:
        yield
    except FathomError as error:
        if error.file is None:
            error.file = str(path)
        raise


@contextmanager
def open_input(path: PathLike, kind: str = "file") -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading; gives it and its size in bytes.

    Raises `InputError` if it is missing, a folder, empty or no regular file (a pipe or a device
    could block or never end), and `ResourceError` if it may not be read. `kind` is the word for
    what was looked for.
    """
    handle = _open(path, _a(kind))
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            folder = stat.S_ISDIR(status.st_mode)
            special = "is a folder" if folder else "is no regular file"
            empty = stat.S_ISREG(status.st_mode)
            raise InputError(
                "is empty (0 bytes)" if empty else special, file=path, expected=_a(kind)
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield file, status.st_size
    except MemoryError as error:
        raise ResourceError("does not fit into memory", file=path) from error
    except OSError as error:
        raise resource_error(path, error, "read") from error
    finally:
        os.close(handle)


def _open(path: PathLike, expected: str) -> int:
    try:
        # O_NONBLOCK: opening a pipe nobody writes to would wait for ever, before fstat can tell.
        return os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except ValueError as error:
        raise InputError("is no file name", file=repr(str(path)), expected=expected) from error
    except OSError as error:
        absent = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
        if error.errno in absent:
            raise InputError("does not exist", file=path, expected=expected) from error
        raise resource_error(path, error, "read") from error


def read_bytes(path: PathLike, kind: str, limit: int) -> bytes:
    """The whole file, if it is no longer than `limit` bytes.

    Raises what `open_input` raises, and `InputError` for a longer file.
    """
    with open_input(path, kind) as (file, size):
        if size > limit:
            raise InputError(
                "is too long",
                file=path,
                field="size",
                value=f"{size} bytes",
                expected=f"{_a(kind)} of at most {limit} bytes",
            )
        return file.read()


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"
