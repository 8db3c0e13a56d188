"""Bytes of a file read with care, and what an image's header declares."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from fathom.core.errors import InputError


def damaged(detail: str) -> InputError:
    """The error for a file that ends early or contradicts itself."""
    return InputError(f"is truncated or damaged: {detail}", remedy="copy or export the file again")


class Source:
    """Random access to a file of a known size."""

    def __init__(self, file: BinaryIO | BytesIO, size: int) -> None:
        self._file = file
        self.size = size

    def at(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`; raises `InputError` if the file ends before."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise damaged(f"it refers to byte {offset + count} and has {self.size}")
        self._file.seek(offset)
        data = self._file.read(count)
        if len(data) != count:
            raise damaged(f"it ends at byte {offset + len(data)}")
        return data

    def first(self, count: int) -> bytes:
        """Up to `count` bytes from the beginning."""
        return self.at(0, min(count, self.size))

    def find(self, what: bytes, offset: int) -> int:
        """Where `what` is first found at or after `offset`; -1 if nowhere."""
        step = 1 << 20
        while offset < self.size:
            chunk = self.at(offset, min(step + len(what) - 1, self.size - offset))
            place = chunk.find(what)
            if place >= 0:
                return offset + place
            offset += step
        return -1


def _complete(_source: Source) -> None:
    """For formats whose size in bytes already tells whether they are whole."""


@dataclass(frozen=True)
class Header:
    """What a header declares. least_bytes: fewer than these cannot hold such an image.
    check_complete: raises `InputError` if the file ends early."""

    format: str
    width: int
    height: int
    channels: int
    bits: int
    least_bytes: int = 0
    check_complete: Callable[[Source], None] = _complete
