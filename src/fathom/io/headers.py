"""Small parsers of image headers: PNG, JPEG, BMP, WebP, PNM; TIFF is in tiff.py.

Each gives a `Header` or raises `InputError` (the caller adds the file's name). Nothing here
allocates by a number the file states.
"""

import re
import struct
from collections.abc import Callable
from functools import partial

from fathom.core.errors import InputError
from fathom.io.source import Header, Source, damaged
from fathom.io.tiff import tiff_header


def read_header(source: Source) -> Header | None:
    """The header of an image in a format fathom reads; None for any other file.

    Raises `InputError` for a damaged header, or a kind of such an image that is not read.
    """

    parsers: tuple[tuple[bytes, Callable[[Source], Header | None]], ...] = (
        (rb"\x89PNG\r\n\x1a\n", _png),
        (rb"\xff\xd8\xff", _jpeg),
        (rb"II\*\x00|MM\x00\*", tiff_header),
        (rb"(?s)RIFF....WEBP", _webp),
        (rb"P[1-6][\s#]", _pnm),
        (rb"BM", _bmp),
    )
    head = source.first(16)
    for pattern, parse in parsers:
        if re.match(pattern, head):
            return parse(source)
    return None


_MOST_CHUNKS = 1 << 18  # writers make chunks of 8 kB or more, so these are 2 GB
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def _png(source: Source) -> Header:
    length, name, width, height, depth, color = struct.unpack(">I4sIIBB", source.at(8, 18))
    if name != b"IHDR" or length != 13:
        raise damaged("a PNG without its header chunk")
    if depth not in _PNG_DEPTHS.get(color, ()):
        raise damaged(f"a PNG of color type {color} with {depth} bits")
    bits = 8 if color == 3 else depth
    return Header("PNG", width, height, _PNG_CHANNELS[color], bits, 57, _png_complete)


def _png_complete(source: Source) -> None:
    for name, _, _ in png_chunks(source):
        if name == b"IEND":
            return


def png_chunks(source: Source) -> list[tuple[bytes, int, int]]:
    """Name, offset and whole length in bytes of every chunk of a PNG, up to IEND (PNG
    specification 5.3). Raises `InputError` if a chunk reaches beyond the file or there is no end.
    """
    chunks, offset = [], 8
    while True:
        if offset + 12 > source.size:
            raise damaged(f"a PNG that ends at byte {source.size} without its end chunk")
        length, name = struct.unpack(">I4s", source.at(offset, 8))
        if length > source.size - offset - 12:
            left = source.size - offset - 12
            raise damaged(f"a PNG chunk claims {length} bytes where {left} are left")
        chunks.append((name, offset, length + 12))
        offset += length + 12
        if name == b"IEND":
            return chunks
        if len(chunks) > _MOST_CHUNKS:
            raise damaged(f"a PNG of more than {_MOST_CHUNKS} chunks")


def _jpeg(source: Source) -> Header:
    offset = 2
    for _ in range(4096):
        marker, offset = _jpeg_marker(source, offset)
        if marker in (0xD9, 0xDA):
            break
        length = struct.unpack(">H", source.at(offset, 2))[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack(">BHHB", source.at(offset + 2, 6))
            if bits != 8:
                raise InputError(
                    "is a JPEG fathom does not read",
                    field="bits",
                    value=bits,
                    expected="8",
                    remedy="save it as PNG",
                )
            check = partial(_jpeg_complete, offset=offset + length)
            return Header("JPEG", width, height, channels, 8, 0, check)
        offset += length
    raise damaged("a JPEG without a frame header")


def _jpeg_marker(source: Source, offset: int) -> tuple[int, int]:
    """The marker at `offset` (fill bytes skipped) and where its segment begins."""
    if source.at(offset, 1) != b"\xff":
        raise damaged(f"a JPEG without a marker at byte {offset}")
    for _ in range(4096):
        offset += 1
        marker = source.at(offset, 1)[0]
        if marker != 0xFF:
            return marker, offset + 1
    raise damaged("a JPEG of fill bytes")


def _jpeg_complete(source: Source, offset: int) -> None:
    """A JPEG's entropy-coded data cannot hold an end marker, so the first one after the scan's
    header ends the image; a decoder would fill what is missing with grey."""
    for _ in range(4096):
        marker, offset = _jpeg_marker(source, offset)
        if marker == 0xDA:
            break
        if marker == 0xD9:
            raise damaged("a JPEG without image data")
        offset += struct.unpack(">H", source.at(offset, 2))[0]
    if source.find(b"\xff\xd9", offset) < 0:
        raise damaged("a JPEG without its end marker")


def _bmp(source: Source) -> Header | None:
    if source.size < 26:
        return None
    data, kind = struct.unpack("<II", source.at(10, 8))
    if kind == 12:
        width, height, _, bits = struct.unpack("<HHHH", source.at(18, 8))
        packed = 0
    elif 40 <= kind <= 256:
        width, height, _, bits, packed = struct.unpack("<iiHHI", source.at(18, 16))
    else:
        return None
    if bits not in (1, 4, 8, 16, 24, 32):
        raise damaged(f"a BMP of {bits} bits a pixel")
    width, height = max(width, 0), abs(height)  # rows run downwards where the height is negative
    row = (width * bits + 31) // 32 * 4
    least = data + row * height if packed in (0, 3, 6) else 0
    return Header("BMP", width, height, {32: 4}.get(bits, 3), 8, least)


def _webp(source: Source) -> Header:
    declared = struct.unpack("<I", source.at(4, 4))[0] + 8
    name = source.at(12, 4)
    if name == b"VP8 ":
        body = source.at(20, 10)
        if body[3:6] != b"\x9d\x01\x2a":
            raise damaged("a WebP without a key frame")
        width, height = (v & 0x3FFF for v in struct.unpack("<HH", body[6:10]))
        channels = 3
    elif name == b"VP8L":
        body = source.at(20, 5)
        if body[0] != 0x2F:
            raise damaged("a WebP without its lossless signature")
        packed = struct.unpack("<I", body[1:5])[0]
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        channels = 4 if packed >> 28 & 1 else 3
    elif name == b"VP8X":
        body = source.at(20, 10)
        if body[0] & 2:
            raise InputError("is a WebP animation", remedy="save one frame as PNG")
        width = int.from_bytes(body[4:7], "little") + 1
        height = int.from_bytes(body[7:10], "little") + 1
        channels = 4 if body[0] & 16 else 3
    else:
        raise damaged(f"a WebP of unknown kind {name!r}")
    return Header("WebP", width, height, channels, 8, declared)


def _pnm(source: Source) -> Header:
    kind = source.at(1, 1)[0] - ord("0")
    count = 2 if kind in (1, 4) else 3
    numbers, data = _pnm_numbers(source.first(1 << 16), count)
    width, height, top = (*numbers, 1)[:3]
    if not 1 <= top <= 65535:
        raise damaged(f"a PNM whose largest value is {top}")
    channels = 3 if kind in (3, 6) else 1
    samples = width * height * channels
    size = 2 if top > 255 else 1
    # Plain formats take a digit a sample, and a blank between two of them (not in P1).
    least = {1: samples, 2: 2 * samples - 1, 3: 2 * samples - 1, 4: (width + 7) // 8 * height}
    bits = 16 if top > 255 else 8
    return Header("PNM", width, height, channels, bits, data + least.get(kind, samples * size))


def _pnm_numbers(head: bytes, count: int) -> tuple[list[int], int]:
    """The first `count` numbers after the magic, and where the data begins (one blank later)."""
    numbers: list[int] = []
    offset = 2
    while len(numbers) < count:
        while offset < len(head) and head[offset] in b" \t\r\n\v\f":
            offset += 1
        if head[offset : offset + 1] == b"#":
            end = head.find(b"\n", offset)
            offset = len(head) if end < 0 else end + 1
            continue
        begin = offset
        while offset < len(head) and head[offset] in b"0123456789":
            offset += 1
        if not 0 < offset - begin <= 9:
            raise damaged("a PNM header without its numbers")
        numbers.append(int(head[begin:offset]))
    return numbers, offset + 1
