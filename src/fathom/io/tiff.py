"""The one image of a classic TIFF: size, sample type, and whether its data lie in the file.

Adobe, TIFF revision 6.0 (1992), sections 2 and 8.
"""

import struct
from contextlib import suppress

import numpy as np

from fathom.core.errors import InputError
from fathom.io.source import Header, Source, damaged

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES, _SAMPLE_FORMAT = 322, 323, 324, 325, 339
_USED = frozenset((*range(256, 260), 262, 273, 277, 278, 279, 284, *range(322, 326), 339))
_ORIENTATION = 274
_SUBFILE, _OLD_SUBFILE = 254, 255
_PREVIEW_OR_MASK, _OLD_PREVIEW = 0b101, 2
_MOST_PAGES = 1000
_TYPES = {1: "u1", 3: "u2", 4: "u4"}
_READABLE_BITS = (1, 2, 4, 8, 10, 12, 14, 16)


def tiff_header(source: Source) -> Header:
    """The `Header` of a TIFF's image.

    Raises `InputError` for damaged directories, data beyond the file's end, sample types that are
    no image of 8 or 16 bits (float, signed, 32 bit), and several pages.
    """
    order = "<" if source.at(0, 1) == b"I" else ">"
    tags = _directory(source, order)
    pages = _pages(source, order)
    if pages > 1:
        raise InputError(
            f"is a TIFF of {pages} pages", expected="one image",
            remedy="save the page that is meant as PNG, or its pages as PNG into a folder",
        )  # fmt: skip
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    bits, channels = _one(tags, _BITS, 1), _one(tags, _SAMPLES, 1)
    kind = {1: "integer", 2: "signed", 3: "float"}.get(_one(tags, _SAMPLE_FORMAT, 1), "unknown")
    if bits not in _READABLE_BITS or kind != "integer":
        raise InputError(
            "is a TIFF that holds no 8-bit or 16-bit image",
            field="samples",
            value=f"{kind} of {bits} bits",
            expected="unsigned integers of 8 or 16 bits",
            remedy="convert it to a 16-bit PNG",
        )
    if not 1 <= channels <= 4:
        raise InputError(
            "is a TIFF that is no picture", field="channels", value=channels, expected="1 to 4"
        )
    _check_tile(tags, width, height)
    need = (width * channels * bits + 7) // 8 * height
    raw = _one(tags, _COMPRESSION, 1) == 1
    channels = 3 if _one(tags, _PHOTOMETRIC, 1) == 3 else channels
    return Header(
        "TIFF",
        width,
        height,
        channels,
        8 if bits <= 8 else 16,
        need if raw else 0,
        lambda s: _check_data(s, tags, need if raw else 1),
    )


def upright(data: bytes) -> bytes:
    """The TIFF with its orientation tag set to "first row on top".

    OpenCV turns and flips by that tag whatever it is told, and a rectified pair must not turn.
    """
    order = "<" if data[:1] == b"I" else ">"
    place = int(np.frombuffer(data[4:8], order + "u4")[0])
    count = int(np.frombuffer(data[place : place + 2], order + "u2")[0])
    changed = bytearray(data)
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        if int(np.frombuffer(data[entry : entry + 2], order + "u2")[0]) == _ORIENTATION:
            short, count_one, value = 3, 1, 1
            changed[entry + 2 : entry + 12] = struct.pack(
                order + "HIHH", short, count_one, value, 0
            )
    return bytes(changed)


Tags = dict[int, "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"]


def _directory(source: Source, order: str) -> Tags:
    place = int(np.frombuffer(source.at(4, 4), order + "u4")[0])
    count = int(np.frombuffer(source.at(place, 2), order + "u2")[0])
    entries = source.at(place + 2, 12 * count)
    tags: Tags = {}
    for i in range(count):
        entry = entries[12 * i : 12 * i + 12]
        tag, kind = (int(v) for v in np.frombuffer(entry[:4], order + "u2"))
        if tag not in _USED or tag in tags:
            continue
        if kind not in _TYPES:
            raise damaged(f"a TIFF whose tag {tag} has type {kind}")
        number, where = (int(v) for v in np.frombuffer(entry[4:], order + "u4"))
        dtype = np.dtype(order + _TYPES[kind])
        length = number * dtype.itemsize
        data = entry[8 : 8 + length] if length <= 4 else source.at(where, length)
        tags[tag] = np.frombuffer(data, dtype).astype(np.int64)
    return tags


def _pages(source: Source, order: str) -> int:
    """How many images it holds, previews and masks not counted. A directory beyond the file's end
    counts as none: decoders of one image do not look for it."""
    pages, seen = 0, set[int]()
    place = int(np.frombuffer(source.at(4, 4), order + "u4")[0])
    with suppress(InputError):
        while place and place not in seen and len(seen) < _MOST_PAGES:
            seen.add(place)
            count = int(np.frombuffer(source.at(place, 2), order + "u2")[0])
            entries = source.at(place + 2, 12 * count + 4)
            pages += not _is_beside(entries[:-4], order)
            place = int(np.frombuffer(entries[-4:], order + "u4")[0])
    return pages


def _is_beside(entries: bytes, order: str) -> bool:
    """Whether a directory says that its image is another's preview in less pixels, or its mask."""
    rows = np.frombuffer(entries, order + "u2").reshape(-1, 6)  # tag, type, count, value
    by_tag = {int(row[0]): row for row in rows[np.isin(rows[:, 0], (_SUBFILE, _OLD_SUBFILE))]}
    for tag, row in by_tag.items():
        long = int(row[1]) == 4
        value = int(row[4:].view(order + "u4")[0]) if long else int(row[4])
        if value & _PREVIEW_OR_MASK if tag == _SUBFILE else value == _OLD_PREVIEW:
            return True
    return False


def _one(tags: Tags, tag: int, default: int) -> int:
    values = tags.get(tag)
    return int(values[0]) if values is not None and len(values) else default


def _check_tile(tags: Tags, width: int, height: int) -> None:
    if _TILES not in tags:
        return
    tile = _one(tags, _TILE_WIDTH, 0), _one(tags, _TILE_HEIGHT, 0)
    # A decoder allocates whole tiles; writers pad an image by less than a tile of usual size.
    if not (0 < tile[0] <= width + 4096 and 0 < tile[1] <= height + 4096):
        raise damaged(f"TIFF tiles of {tile[0]}x{tile[1]} in an image of {width}x{height}")


def _check_data(source: Source, tags: Tags, need: int) -> None:
    tiled = _TILES in tags
    places = tags.get(_TILES if tiled else _STRIPS)
    sizes = tags.get(_TILE_BYTES if tiled else _STRIP_BYTES)
    if places is None or not len(places):
        raise damaged("a TIFF without image data")
    if sizes is None:
        sizes = np.zeros_like(places)
    if len(sizes) != len(places):
        raise damaged(f"a TIFF with {len(places)} data blocks and {len(sizes)} sizes")
    expected = _blocks(tags, tiled)
    if len(places) < expected:
        raise damaged(f"a TIFF with {len(places)} data blocks where {expected} are needed")
    end = int((places + sizes).max())
    if end > source.size:
        raise damaged(f"a TIFF whose data end at byte {end} of {source.size}")
    if sizes.any() and int(sizes.sum()) < need:
        raise damaged(f"a TIFF with {int(sizes.sum())} bytes of pixels where {need} are needed")


def _blocks(tags: Tags, tiled: bool) -> int:
    width, height = _one(tags, _WIDTH, 0), _one(tags, _HEIGHT, 0)
    planes = _one(tags, _SAMPLES, 1) if _one(tags, _PLANAR, 1) == 2 else 1
    if tiled:
        tile = _one(tags, _TILE_WIDTH, 1), _one(tags, _TILE_HEIGHT, 1)
        return -(-width // tile[0]) * -(-height // tile[1]) * planes
    rows = max(1, min(_one(tags, _ROWS, height), height))
    return -(-height // rows) * planes
