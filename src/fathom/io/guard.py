"""What a file says it is, read from its first bytes before any decoder sees it.

Decoders trust headers: a PNG of 4.6 kB with a false chunk length takes gigabytes. So the declared
size, and whether the file can hold it, are checked here with parsers of a few lines each.
"""

from dataclasses import dataclass
from typing import BinaryIO

from fathom.core.errors import InputError
from fathom.io.files import PathLike, in_file, open_input
from fathom.io.headers import read_header
from fathom.io.recognise import what_is
from fathom.io.source import Header, Source, damaged

MAX_PIXELS = 200_000_000
"""Images that declare more are refused unless the caller allows them."""


@dataclass(frozen=True)
class ImageInfo:
    """What an image's header says: format (PNG, JPEG, TIFF, BMP, WebP, PNM), width and height in
    pixels, channels in the file (a palette counts as 3), bits of a sample."""

    format: str
    width: int
    height: int
    channels: int
    bits: int


def image_info(path: PathLike, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Format and size of an image, from its content; its name's extension is not looked at.

    Raises `InputError` if the file is missing, a folder, empty, no image fathom reads (the message
    names what it is where that can be told), truncated, of size zero, or declares more than
    `max_pixels`; `ResourceError` if it may not be read.
    """
    with open_input(path, "image") as (file, size):
        return checked_header(path, file, size, max_pixels)


def checked_header(path: PathLike, file: BinaryIO, size: int, max_pixels: int) -> ImageInfo:
    """`image_info` of an open file of `size` bytes."""
    with in_file(path):
        source = Source(file, size)
        header = read_header(source)
        if header is None:
            kind = what_is(source.first(1 << 12))
            raise InputError(
                "is no image fathom reads" + (f": it is {kind.name}" if kind else ""),
                expected="PNG, JPEG, TIFF, BMP, WebP or PNM (.pgm, .ppm)",
                remedy=kind.remedy if kind else None,
            )
        _check_size(header, size, max_pixels)
        header.check_complete(source)
    return ImageInfo(header.format, header.width, header.height, header.channels, header.bits)


def _check_size(header: Header, size: int, max_pixels: int) -> None:
    shown = f"{header.width}x{header.height}"
    if header.width < 1 or header.height < 1:
        raise InputError("declares no pixels", field="size", value=shown, expected="1x1 or more")
    if header.width * header.height > max_pixels:
        raise InputError(
            f"declares {header.width * header.height / 1e6:.0f} megapixels",
            field="size",
            value=shown,
            expected=f"at most {max_pixels / 1e6:g} megapixels",
            remedy="resize the images first",
        )
    if size < header.least_bytes:
        raise damaged(f"{size} bytes where {shown} pixels need {header.least_bytes}")
    if size > (most := 24 * header.width * header.height + (1 << 26)):
        raise InputError(
            f"is far too long for {shown} pixels",
            field="size",
            value=f"{size} bytes",
            expected=f"at most {most} bytes",
        )
