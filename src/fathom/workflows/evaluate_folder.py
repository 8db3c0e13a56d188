"""A folder of predictions: `predictions.json`, what all have in common, and `samples.jsonl`, a line
a sample.

    DIR/predictions.json       method, every parameter, data set, versions; written first
    DIR/samples.jsonl          name, files, size, seconds, digest of the inputs; a line when done
    DIR/disparity/NAME.pfm     pixels, inf = unknown (or .npy, NaN = unknown)
    DIR/confidence/NAME.png    uint16 = P(error <= 1 px) x 65535, where the method has one
    DIR/source/NAME.png        0 unknown, 1 matched, 2 filled, 3 one-view model, 4 LiDAR or radar,
                               where the method says

A sample's line is written after its files, so a line means that they are whole. A process that was
killed can leave half a line at the end; whoever reads or goes on drops it.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from fathom.core.errors import InputError, ResourceError
from fathom.io.files import read_bytes
from fathom.io.paths import os_errors
from fathom.io.result import to_json, write_json

HEADER, JOURNAL = "predictions.json", "samples.jsonl"
FORMAT, VERSION = "fathom-predictions", 1
FOLDERS = ("disparity", "confidence", "source")
_LONGEST_HEADER, _LONGEST_JOURNAL = 1 << 24, 1 << 32
_LONGEST_PART = 100
_NO_MATTER = ("machine", "command", "started", "threads", "python")
"""Who made predictions and when decides no number, nor does the number of threads."""


@dataclass(frozen=True)
class Row:
    """What became of one sample.

    disparity, confidence, source: files, relative to the folder; "" where there is none. width,
    height: of the map in pixels. share_known: 0..1. seconds: of matching alone. peak_mb: most
    memory of the process while the sample was made, None where the system does not tell. inputs:
    SHA-256 of both images' pixels. error: why there is no map, "" if there is one.
    """

    name: str
    disparity: str = ""
    confidence: str = ""
    source: str = ""
    width: int = 0
    height: int = 0
    share_known: float | None = None
    seconds: float | None = None
    peak_mb: float | None = None
    inputs: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is empty is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        empty = [f.name for f in fields(self) if f.name != "name" and values[f.name] == f.default]
        return {name: value for name, value in values.items() if name not in empty}


def is_predictions(folder: Path) -> bool:
    """Whether the folder was written by `fathom eval predict`."""
    return (folder / HEADER).is_file()


def read_header(folder: Path) -> dict[str, Any]:
    """What predictions.json says.

    Raises `InputError` if it is missing, damaged, or of another program or a newer version.
    """
    file = folder / HEADER
    try:
        header = json.loads(read_bytes(file, HEADER, _LONGEST_HEADER))
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is broken JSON: {error}", file=file) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InputError("is not from fathom", file=file, field="format", expected=FORMAT)
    version = header.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise InputError(
            "is of a version this fathom does not know",
            file=file,
            field="version",
            value=version,
            expected=f"at most {VERSION}",
            remedy="install a newer fathom",
        )
    return header


def read_rows(folder: Path) -> dict[str, Row]:
    """The last line of each sample, by name; half a line at the end is dropped.

    Raises `InputError` for any other line that is no row.
    """
    file = folder / JOURNAL
    if not file.exists() or file.stat().st_size == 0:
        return {}
    text = read_bytes(file, JOURNAL, _LONGEST_JOURNAL)
    rows: dict[str, Row] = {}
    known = {f.name for f in fields(Row)}
    for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), 1):
        try:
            values = json.loads(line)
            row = Row(**{k: v for k, v in values.items() if k in known})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError("is no row", file=file, field=f"line {number}") from error
        if not _inside(row):
            raise InputError("names a file outside the folder", file=file, field=f"line {number}")
        rows[row.name] = row
    return rows


def _inside(row: Row) -> bool:
    names = (row.name, row.disparity, row.confidence, row.source)
    if not all(isinstance(name, str) for name in names) or not row.name:
        return False
    paths = [Path(name) for name in names[1:]]
    return not any(path.is_absolute() or ".." in path.parts for path in paths)


def stems(names: Sequence[str]) -> list[str]:
    """A file name without extension for each sample, the same at every call.

    Folders in a name are kept; what could lead elsewhere or trouble a file system is replaced, and
    names that would then be the same (case ignored) are numbered.
    """
    taken: set[str] = set()
    found = []
    for name in names:
        parts = [re.sub(r"[^\w.+=@-]", "_", part) for part in re.split(r"[/\\]", name)]
        parts = [part.lstrip(".") for part in parts]
        stem = "/".join(part[-_LONGEST_PART:] for part in parts if part) or "sample"
        unique, count = stem, 1
        while unique.lower() in taken:
            count += 1
            unique = f"{stem}~{count}"
        taken.add(unique.lower())
        found.append(unique)
    return found


class Journal:
    """samples.jsonl, open for one process to add rows to."""

    def __init__(self, folder: Path, file: BinaryIO) -> None:
        self._folder, self._file = folder, file

    def add(self, row: Row) -> None:
        """Writes the row's line through to the disk. Raises `ResourceError` if that fails."""
        line = json.dumps(row.as_dict(), ensure_ascii=True, allow_nan=False).encode() + b"\n"
        with os_errors(self._folder / JOURNAL, self._folder / JOURNAL):
            try:
                self._file.write(line)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                error.filename = str(self._folder / JOURNAL)
                raise


@contextmanager
def journal(folder: Path) -> Iterator[Journal]:
    """The folder's journal, for this process alone; half a line at its end is cut off.

    Raises `ResourceError` if another process is writing there, or if it cannot be written.
    """
    path = folder / JOURNAL
    with os_errors(path, path):
        file = path.open("a+b")
    with file:
        _lock(file, folder)
        file.seek(0)
        end = 0
        for line in file:
            end = end + len(line) if line.endswith(b"\n") else end
        file.truncate(end)
        yield Journal(folder, file)


def _lock(file: BinaryIO, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are the user's care
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ResourceError(
            "another run is writing here", file=folder, remedy="wait for it, or choose another -o"
        ) from error
    except OSError:
        return  # a file system without locks


def start(folder: Path, header: Mapping[str, Any], *, overwrite: bool = False) -> dict[str, Row]:
    """Makes the folder, or opens that of an earlier run, and gives the rows that are done.

    Only rows whose disparity is there count as done. overwrite: an earlier run's files are removed
    first.

    Raises `ResourceError` if the folder holds other things, and `InputError` naming the difference
    if the earlier run had other settings.
    """
    if not is_predictions(folder):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ResourceError(
                "holds something else than predictions",
                file=folder,
                remedy="choose another folder",
            )
        write_json(folder / HEADER, header)
        return {}
    if overwrite:
        remove(folder)
        write_json(folder / HEADER, header)
        return {}
    before = read_header(folder)
    different = difference(before, json.loads(to_json(header)))
    if different is not None:
        name, old, new = different
        raise InputError(
            "holds predictions that were made with other settings",
            file=folder,
            field=name,
            value=old,
            expected=str(new),
            remedy="choose another folder, or --overwrite",
        )
    _tidy(folder)
    rows = read_rows(folder)
    return {n: r for n, r in rows.items() if r.disparity and (folder / r.disparity).is_file()}


def difference(before: Any, now: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first setting in which two headers differ: its name, and both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(k for k in before if k not in now)]:
            if key in _NO_MATTER:
                continue
            place = f"{name}.{key}" if name else str(key)
            found = difference(before.get(key), now.get(key), place)
            if found is not None:
                return found
        return None
    return None if before == now else (name, before, now)


def remove(folder: Path) -> None:
    """Removes what `fathom eval predict` wrote to the folder, and nothing else."""
    for row in read_rows(folder).values():
        for name in (row.disparity, row.confidence, row.source):
            if name:
                (folder / name).unlink(missing_ok=True)
    _tidy(folder)
    for name in (JOURNAL, HEADER):
        (folder / name).unlink(missing_ok=True)
    for name in FOLDERS:
        if (folder / name).is_dir() and not any(p.is_file() for p in (folder / name).rglob("*")):
            shutil.rmtree(folder / name, ignore_errors=True)


def _tidy(folder: Path) -> None:
    """Removes temporary files of processes that were killed."""
    for name in FOLDERS:
        for left in (folder / name).rglob(".*.fathom-*"):
            match = re.search(r"\.fathom-(\d{1,9})-[0-9a-f]{8}$", left.name)
            if match and not _alive(int(match[1])):
                left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name == "nt":
        return True  # there, os.kill with any signal number ends the process
    with suppress(ProcessLookupError):
        try:
            os.kill(process, 0)
        except PermissionError:
            return True
        return True
    return False
