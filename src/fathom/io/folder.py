"""A folder of results that changes as a whole.

Three cases when a run ends well: the folder is new (one rename); it holds nothing but an earlier
result of ours (the two folders change places); or other people's files lie in it (ours are moved
in one by one, with a journal that takes everything back when something fails). A process that was
killed leaves a hidden folder, and the next run for the same target undoes or removes it.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import FrameType

from fathom.core.errors import FathomError, ResourceError
from fathom.io.files import PathLike
from fathom.io.paths import (
    hidden_name,
    hidden_prefix,
    make_folders,
    os_errors,
    remove_folders,
    resolve,
    sync_folder,
)

RESULT = "result.json"
RESULT_FORMAT = "fathom-result"
_JOURNAL = ".fathom-journal"
_REPLACED = ".fathom-replaced"
_ASIDE = "-old"
_MAX_JSON = 1 << 24


@contextmanager
def result_folder(path: PathLike) -> Iterator[Path]:
    """A staging folder to write into; its files appear at `path` together when the block ends well.

    On any exception, an interrupt included, nothing at `path` has changed and the staging folder
    is gone. Files of an earlier fathom result (those its result.json lists) are replaced or
    removed; any other file in the folder is left alone.

    Raises `ResourceError` if the folder cannot be written, or if a file that is not from an
    earlier result has the name of a new one.
    """
    target = resolve(path)
    with os_errors(path, target):
        _check_kind(path, target)
        _recover(target)
        made = make_folders(target.parent)
        staging = (target.parent if _beside(target) else target) / hidden_name(target.name)
        try:
            staging.mkdir()
            yield staging
            with interrupts_deferred():
                _commit(staging, target, path)
        except BaseException as error:
            _discard(staging, target)
            remove_folders(made)
            if isinstance(error, FathomError) and error.file:
                # People know the folder they named, not the one we wrote in.
                error.file = error.file.replace(str(staging), str(path))
            raise


def check_result_folder(path: PathLike, names: Iterable[str]) -> None:
    """Raise what `result_folder` would raise at its end for files of these `names`.

    To be asked before any work. `ResourceError` if `path` or one of its parents is a file, if the
    folder cannot be written, or if a foreign file has one of the names. Creates nothing.
    """
    target = resolve(path)
    with os_errors(path, target):
        _check_kind(path, target)
        _recover(target)
        if require_writable(path) == target:
            _check_foreign(path, target, names)


def require_writable(path: PathLike) -> Path:
    """The folder `path`, or the one of its parents that is there.

    Raises `ResourceError` if that is a file, or nothing can be written in it. Creates nothing.
    """
    exists = resolve(path)
    while not exists.exists():
        exists = exists.parent
    if not exists.is_dir():
        raise ResourceError(
            "cannot be created: a file stands where a folder is needed",
            file=path,
            field="parent",
            value=str(exists),
            remedy="choose another folder",
        )
    if not os.access(exists, os.W_OK | os.X_OK):
        raise ResourceError(
            "cannot be written: permission denied",
            file=path,
            remedy="change the permission or choose another folder",
        )
    return exists


def earlier_files(folder: Path) -> frozenset[str]:
    """Names (with / between folders) that the fathom result in `folder` lists; empty if none."""
    try:
        with (folder / RESULT).open("rb") as file:
            content = json.loads(file.read(_MAX_JSON))
        if content["format"] != RESULT_FORMAT:
            return frozenset()
        names = {name for name in content["files"] if _is_inside(name)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return frozenset()
    return frozenset(names | {RESULT})


def _is_inside(name: object) -> bool:
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return False
    pure = PurePosixPath(name)
    return not pure.is_absolute() and ".." not in pure.parts and str(pure) == name


def _check_kind(path: PathLike, target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise ResourceError(
            "is a file, and the results need a folder", file=path, remedy="choose another folder"
        )


def _check_foreign(path: PathLike, target: Path, names: Iterable[str]) -> None:
    ours = earlier_files(target)
    for name in names:
        here = target / name
        linked = any(p.is_symlink() for p in _between(here, target))
        if os.path.lexists(here) and (name not in ours or linked or _is_folder(here)):
            raise ResourceError(
                "would be overwritten, and it is not from an earlier fathom result",
                file=path,
                field=name,
                remedy="choose another folder or move that file away",
            )
        for parent in _between(here, target):
            if os.path.lexists(parent) and not _is_folder(parent):
                raise ResourceError(
                    "stands where a folder of the result belongs",
                    file=path,
                    field=parent.name,
                    remedy="choose another folder or move that file away",
                )


def _between(file: Path, folder: Path) -> list[Path]:
    """The folders between `file` and `folder`, deepest first."""
    return [p for p in file.parents if p != folder and p.is_relative_to(folder)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _files(folder: Path) -> list[str]:
    """Names of the files below `folder` (links are files), its own result.json last."""
    found = []
    for root, folders, files in os.walk(folder):
        here = Path(root).relative_to(folder)
        linked = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked]
        found += [(here / name).as_posix() for name in (*files, *linked)]
    return sorted(found, key=lambda name: (name == RESULT, name))


def _beside(target: Path) -> bool:
    """True if the staging folder can lie beside `target`: writable, and the same file system."""
    if not target.exists():
        return True
    parent = target.parent
    return (
        parent != target
        and os.access(parent, os.W_OK | os.X_OK)
        and not target.is_mount()
        and target.stat().st_dev == parent.stat().st_dev
    )


def _commit(staging: Path, target: Path, path: PathLike) -> None:
    sync_folder(staging)
    if not target.exists():
        staging.rename(target)
    elif _exchangeable(staging, target):
        _exchange(staging, target)
    else:
        _check_foreign(path, target, _files(staging))
        _merge(staging, target)
    sync_folder(target.parent)


def _exchangeable(staging: Path, target: Path) -> bool:
    """True if `target` may be thrown away as a whole: only our files, nobody's current folder."""
    try:
        current = Path.cwd()
    except OSError:
        current = None
    if current is not None and current.is_relative_to(target):
        return False
    ours, old, new = earlier_files(target), target.stat(), staging.stat()
    if staging.parent != target.parent or (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        return False
    folders = {p.as_posix() for name in ours for p in PurePosixPath(name).parents}
    inside = {
        (Path(root) / name).relative_to(target).as_posix()
        for root, names, _ in os.walk(target)
        for name in names
    }
    return set(_files(target)) <= ours and inside <= folders


def _exchange(staging: Path, target: Path) -> None:
    staging.chmod(stat.S_IMODE(target.stat().st_mode))
    if not _swap_names(staging, target):
        aside = target.parent / (hidden_name(target.name) + _ASIDE)
        target.rename(aside)
        try:
            staging.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    else:
        shutil.rmtree(staging, ignore_errors=True)


def _swap_names(a: Path, b: Path) -> bool:
    """Exchange two names in one step (Linux's renameat2); False where that is not to be had."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of linux/fs.h
    return bool(rename(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0)


def _merge(staging: Path, target: Path) -> None:
    """Move the files of `staging` into `target`; a failure is undone by `_discard`."""
    new = _files(staging)
    there = [name for name in new if os.path.lexists(target / name)]
    stale = [n for n in earlier_files(target) - set(new) if os.path.lexists(target / n)]
    stale = [n for n in stale if not _is_folder(target / n) and not _linked(target / n, target)]
    journal, begun = staging / _JOURNAL, staging / f"{_JOURNAL}.begun"
    with begun.open("w", encoding="ascii") as file:
        json.dump({"new": new, "old": there + stale}, file)
        file.flush()
        os.fsync(file.fileno())
    begun.rename(journal)
    kept = staging / _REPLACED
    for name in new + stale:
        if name in there or name in stale:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).rename(kept / name)
        if name in new:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).rename(target / name)
    for name in stale:
        remove_folders(_between(target / name, target))
    sync_folder(target)
    journal.unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _linked(file: Path, folder: Path) -> bool:
    return any(p.is_symlink() for p in _between(file, folder))


def _discard(staging: Path, target: Path) -> None:
    """Undo what the staging folder's journal says was begun, then remove the folder.

    If the undoing fails, the folder stays: it holds the old files.
    """
    journal = staging / _JOURNAL
    with suppress(OSError, ValueError, KeyError, TypeError):
        if journal.exists():
            content = json.loads(journal.read_text(encoding="ascii"))
            _roll_back(staging, target, content["new"], content["old"])
            journal.unlink()
        shutil.rmtree(staging, ignore_errors=True)


def _roll_back(staging: Path, target: Path, new: list[str], old: list[str]) -> None:
    for name in [*new, *old]:
        if not _is_inside(name):
            continue
        before, here = staging / _REPLACED / name, target / name
        if os.path.lexists(before):
            here.parent.mkdir(parents=True, exist_ok=True)
            before.replace(here)
        elif name not in old and not os.path.lexists(staging / name):
            here.unlink(missing_ok=True)
            remove_folders(_between(here, target))


def _recover(target: Path) -> None:
    """Undo or remove what dead processes left for this target; nothing of a living one."""
    pattern = re.compile(re.escape(hidden_prefix(target.name)) + r"(\d{1,9})-[0-9a-f]{8}(-old)?")
    for folder in {target.parent, target}:
        with suppress(OSError):
            for entry in list(os.scandir(folder)):
                match = pattern.fullmatch(entry.name)
                if match is None or _alive(int(match[1])):
                    continue
                left = Path(entry.path)
                if match[2] is None:
                    _discard(left, target)
                elif target.exists():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.rename(target)


def _alive(process: int) -> bool:
    if os.name == "nt":
        return True  # there, os.kill with any signal number ends the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Ctrl-C inside the block takes effect at its end; only the main thread can arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pending.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)
        if pending:
            signal.raise_signal(signal.SIGINT)
