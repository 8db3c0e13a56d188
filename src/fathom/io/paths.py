"""Paths that are written to: resolving them, hidden names beside them, folders, errors."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fathom.core.errors import ResourceError
from fathom.io.files import PathLike, resource_error


def resolve(path: PathLike) -> Path:
    """`path` as an absolute path with links followed; `~` is left as it is."""
    try:
        return Path(os.path.realpath(path))
    except (ValueError, OSError) as error:
        raise ResourceError("is no usable path", file=repr(str(path))) from error


def hidden_name(name: str) -> str:
    """A new hidden name that tells for which target and by which process it was made."""
    return f"{hidden_prefix(name)}{os.getpid()}-{os.urandom(4).hex()}"


def hidden_prefix(name: str) -> str:
    """What all hidden names for the target `name` begin with."""
    if len(os.fsencode(name)) > 100:
        from hashlib import sha256

        # A name may fill the file system's 255 bytes, and the hidden one is longer.
        name = f"{name[:16]}~{sha256(os.fsencode(name)).hexdigest()[:12]}"
    return f".{name}.fathom-"


@contextmanager
def os_errors(path: PathLike, target: Path) -> Iterator[None]:
    """Turns the operating system's errors about `target` into a `ResourceError` naming `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _ours(Path(os.fsdecode(error.filename)), target):
            raise  # about another file, by the block's own work
        raise resource_error(path, error, "written") from error


def _ours(named: Path, target: Path) -> bool:
    if named == target or named in target.parents or named.is_relative_to(target):
        return True
    return any(part.startswith(hidden_prefix(target.name)) for part in named.parts)


def make_folders(folder: Path) -> list[Path]:
    """Create `folder` and its parents; gives those that were new, deepest first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    made: list[Path] = []
    try:
        for new in reversed(missing):
            new.mkdir(exist_ok=True)
            made.insert(0, new)
    except BaseException:
        remove_folders(made)
        raise
    return made


def remove_folders(folders: list[Path]) -> None:
    """Remove those of `folders` that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can do that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
