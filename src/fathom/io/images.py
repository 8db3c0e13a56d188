"""Images: files to RGB arrays and back.

OpenCV decodes (Pillow cuts 16-bit colour to 8 bits without a word); Python reads and writes the
bytes, so that any file name works and every file is written whole.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Shaped, UInt8
from fathom.core.camera import Camera
from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.core.pair import View
from fathom.io.atomic import write_bytes
from fathom.io.files import PathLike, in_file, open_input
from fathom.io.guard import MAX_PIXELS, ImageInfo, checked_header
from fathom.io.headers import png_chunks
from fathom.io.source import Source, damaged
from fathom.io.tiff import upright

Layout = Literal["side-by-side", "side-by-side-swapped", "over-under", "over-under-swapped"]
LAYOUTS = ("side-by-side", "side-by-side-swapped", "over-under", "over-under-swapped")

_NO_MEMORY = -4  # cv2.error.code of StsNoMem
_FAST = 1


def read_image(path: PathLike, *, max_pixels: int = MAX_PIXELS) -> Shaped[np.ndarray, "h w 3"]:
    """The image as RGB (h, w, 3), uint8 or uint16 as the file has it.

    Grey is repeated, alpha dropped, palettes and 1-bit images are expanded. The orientation tag
    of EXIF is ignored on purpose: the two images of a pair must stay as the calibration knows
    them. The content decides, not the extension.

    Raises `InputError` for what is no readable, whole image of at most `max_pixels` (see
    `guard.image_info`), and `ResourceError` for missing permission or memory.
    """
    import cv2

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    _, image = decode(path, flags, max_pixels=max_pixels)
    with in_file(path):
        if image.dtype not in (np.uint8, np.uint16) or image.ndim != 3:
            raise damaged(f"it decodes to {image.dtype} {image.shape}, not to a picture")
    rgb: Array = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb


def read_view(path: PathLike, camera: Camera | None = None) -> View:
    """The image as a `View`, with its camera where that is known; raises as `read_image` does,
    and `InputError` for a camera of another size."""
    image = read_image(path)
    with in_file(path):
        return View(image, camera)


def decode(
    path: PathLike, flags: int, *, max_pixels: int = MAX_PIXELS
) -> tuple[ImageInfo, Shaped[np.ndarray, "..."]]:
    """The checked header and what OpenCV makes of the file (channels in OpenCV's order, BGR).

    flags: OpenCV's IMREAD flags. Raises as `read_image` does.
    """
    import cv2

    with open_input(path, "image") as (file, size):
        info = checked_header(path, file, size, max_pixels)
        file.seek(0)
        data = file.read()
        with in_file(path):
            if info.format == "PNG":
                data = _bare_png(data)
            elif info.format == "TIFF":
                data = upright(data)
            try:
                with quiet():
                    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            except cv2.error as error:
                if error.code == _NO_MEMORY:
                    raise ResourceError("does not fit into memory") from error
                raise damaged(f"{info.format} data that cannot be decoded") from error
            if image is None:
                raise damaged(f"{info.format} data that cannot be decoded")
            if image.shape[:2] != (info.height, info.width):
                raise damaged(
                    f"its header says {info.width}x{info.height}, "
                    f"its data {image.shape[1]}x{image.shape[0]}"
                )
    return info, image


def encode_png(array: Shaped[np.ndarray, "..."], *, level: int = _FAST) -> bytes:
    """`array` as a PNG: uint8 or uint16, grey (h, w) or RGB (h, w, 3); level: zlib's, 0 to 9.

    Raises `UsageError` for another shape, type or level.
    """
    import cv2

    if not 0 <= level <= 9:
        raise UsageError("is no compression level", field="level", value=level, expected="0 to 9")
    picture = _writable(array, (np.uint8, np.uint16))
    # Asked for nothing, the encoder takes run lengths after one fixed filter: 40 % less time than
    # any level it is given, for which it tries all filters on each row; 5 to 10 % larger files.
    options = [] if level == _FAST else [cv2.IMWRITE_PNG_COMPRESSION, level]
    done, data = cv2.imencode(".png", picture, options)
    return _encoded(done, data)


def write_png(path: PathLike, array: Shaped[np.ndarray, "..."]) -> None:
    """Write `array` (as in `encode_png`) whole or not at all; `ResourceError` if that fails."""
    write_bytes(path, encode_png(array))


def write_jpeg_bytes(array: UInt8[np.ndarray, "..."], quality: int = 90) -> bytes:
    """`array`, uint8 grey (h, w) or RGB (h, w, 3), as a JPEG; quality 1 to 100.

    Raises `UsageError` for another shape, type or quality.
    """
    import cv2

    if not 1 <= quality <= 100:
        raise UsageError("is no JPEG quality", field="quality", value=quality, expected="1 to 100")
    picture = _writable(array, (np.uint8,))
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _encoded(done, data)


def split_layout(
    image: Shaped[np.ndarray, "h w 3"], layout: str
) -> tuple[Shaped[np.ndarray, "h2 w2 3"], Shaped[np.ndarray, "h2 w2 3"]]:
    """The (left, right) views of one image that holds both.

    layout: "side-by-side" (the left half is the left view), "over-under" (the upper half is), or
    either with "-swapped". Both halves are views of `image`.

    Raises `UsageError` for another layout, `InputError` for a width or height that has no half.
    """
    if layout not in LAYOUTS:
        raise UsageError(
            "is no layout", field="layout", value=layout, expected=f"one of {', '.join(LAYOUTS)}"
        )
    beside = layout.startswith("side")
    axis, name = (1, "width") if beside else (0, "height")
    length = image.shape[axis]
    if length % 2:
        raise InputError(
            f"cannot be split {layout}", field=name, value=length, expected="an even number"
        )
    half = length // 2
    first, second = (image[:, :half], image[:, half:]) if beside else (image[:half], image[half:])
    return (second, first) if layout.endswith("swapped") else (first, second)


_PNG_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


def _bare_png(data: bytes) -> bytes:
    """The PNG with only what makes its pixels, each chunk's checksum verified.

    Profiles, compressed texts, animation and transparency cannot hurt, or slow, what they never
    reach; and a wrong checksum gets our message instead of libpng's.
    """
    parts = [data[:8]]
    for name, offset, length in png_chunks(Source(BytesIO(data), len(data))):
        if name not in _PNG_CRITICAL:
            continue
        end = offset + length
        stored = int.from_bytes(data[end - 4 : end], "big")
        if zlib.crc32(memoryview(data)[offset + 4 : end - 4]) != stored:
            raise damaged(f"the checksum of a PNG chunk at byte {offset} is wrong")
        parts.append(data[offset:end])
    return b"".join(parts)


@contextmanager
def quiet() -> Iterator[None]:
    """OpenCV's own log lines off: what it has to say becomes our one line."""
    import cv2

    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _writable(array: Array, dtypes: tuple[type, ...]) -> Array:
    """The array as OpenCV wants it for writing: contiguous, BGR."""
    import cv2

    grey_or_rgb = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype not in dtypes or not grey_or_rgb or array.size == 0:
        raise UsageError(
            "cannot be written as an image",
            field="array",
            value=f"{array.dtype} {array.shape}",
            expected=f"{' or '.join(t.__name__ for t in dtypes)} (h, w) or (h, w, 3)",
        )
    array = np.ascontiguousarray(array)
    return array if array.ndim == 2 else cv2.cvtColor(array, cv2.COLOR_RGB2BGR)


def _encoded(done: bool, data: Array) -> bytes:
    if not done:
        raise ResourceError("the image could not be encoded")
    return data.tobytes()
