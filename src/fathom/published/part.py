"""The part of a file that a download has got so far, and what it is the beginning of."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from fathom.core.errors import ResourceError
from fathom.io.files import resource_error
from fathom.io.paths import sync_folder

_SPARE = 1 << 24


def digest_of(file: BinaryIO) -> str:
    """SHA-256 of what follows in an open file, hexadecimal."""
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


class Part:
    """The beginning of a file on the disk, and what it is the beginning of."""

    def __init__(self, file: BinaryIO, path: Path, url: str, sha256: str | None) -> None:
        self.file, self.path, self.about = file, path, path.with_name(path.name + ".json")
        # not the address itself: its query may hold a secret, and still matters
        self.origin = {"url": hashlib.sha256(url.encode()).hexdigest(), "sha256": sha256}
        self.size, self.tag = 0, ""
        self.total: int | None = None
        known = self._known()
        if {k: known.get(k) for k in self.origin} == self.origin and (
            known.get("tag") or sha256 is not None
        ):
            self.size = os.fstat(file.fileno()).st_size
            self.tag, self.total = str(known.get("tag") or ""), known.get("total")
        if self.size == 0:
            self.restart()

    def _known(self) -> Mapping[str, Any]:
        with suppress(OSError, ValueError):
            known = json.loads(self.about.read_bytes())
            if isinstance(known, dict):
                return known
        return {}

    def remember(self, tag: str, total: int | None) -> None:
        """Notes the server's mark of this version of the file, and its length."""
        self.tag, self.total = tag, total
        text = json.dumps({**self.origin, "tag": tag, "total": total})
        with self._disk():
            self.about.write_text(text, encoding="utf-8")

    def add(self, block: bytes) -> None:
        """Appends. Raises `ResourceError` if the disk is full, and then leaves nothing behind."""
        with self._disk():
            self.file.seek(self.size)
            self.file.write(block)
            self.file.flush()
        self.size += len(block)

    def restart(self) -> None:
        """Forgets what there is."""
        self.file.truncate(0)
        self.size, self.tag, self.total = 0, "", None

    def digest(self) -> str:
        """SHA-256 of what there is."""
        self.file.seek(0)
        return digest_of(self.file)

    def finish(self, target: Path) -> None:
        """Makes it the target."""
        os.fsync(self.file.fileno())
        self.file.close()
        self.path.replace(target)
        self.about.unlink(missing_ok=True)
        sync_folder(target.parent)

    def discard(self) -> None:
        """Removes it."""
        self.file.close()
        for path in (self.path, self.about):
            path.unlink(missing_ok=True)

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.discard()
            raise resource_error(self.path.parent, error, "written") from error


@contextmanager
def part_of(target: Path, url: str, sha256: str | None) -> Iterator[Part]:
    """The part that belongs to `target`, held by this process alone."""
    path = target.with_name(f".{target.name}.part")
    with path.open("a+b") as file:
        try:
            _lock(file)
        except BlockingIOError as error:
            raise ResourceError(
                "is being downloaded by another process", file=target,
                remedy="wait for it",
            ) from error  # fmt: skip
        part = Part(file, path, url, sha256)
        try:
            yield part
        finally:
            if part.size == 0:
                part.discard()


def _lock(file: BinaryIO) -> None:
    with suppress(ImportError):
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_space(part: Part, total: int | None) -> None:
    """Raises `ResourceError` if the rest of `total` bytes does not fit on the disk."""
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - part.size + _SPARE > free:
        raise ResourceError(
            "too little space on the disk", file=part.path.parent, field="free",
            value=f"{free} bytes", expected=f"{total - part.size + _SPARE} bytes or more",
            remedy="free some space, or set FATHOM_CACHE_DIR to another place",
        )  # fmt: skip
