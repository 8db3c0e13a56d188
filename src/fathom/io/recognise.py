"""What a file is when it is not what was asked for: names for a clear message, nothing more."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of file. name: with its article. remedy: what to do with it, where that is known."""

    name: str
    remedy: str | None = None
    is_image: bool = False


_MAP = "give it as a disparity map, or give the photo it belongs to"
_SAVE_AS = "save it as PNG"
_FRAMES = "extract its frames as PNG"
_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG", Kind("a PNG image", is_image=True)),
    (b"\xff\xd8\xff", Kind("a JPEG image", is_image=True)),
    (b"II*\x00", Kind("a TIFF image", is_image=True)),
    (b"MM\x00*", Kind("a TIFF image", is_image=True)),
    (b"II+\x00", Kind("a BigTIFF image", _SAVE_AS, is_image=True)),
    (b"MM\x00+", Kind("a BigTIFF image", _SAVE_AS, is_image=True)),
    (b"GIF8", Kind("a GIF image", _SAVE_AS, is_image=True)),
    (b"\x93NUMPY", Kind("a numpy array (.npy)", _MAP)),
    (b"PK\x03\x04", Kind("a zip archive (or .npz)", "unpack it first")),
    (b"\x89HDF", Kind("an HDF5 file")),
    (b"ply\n", Kind("a PLY cloud or mesh")),
    (b"ply\r", Kind("a PLY cloud or mesh")),
    (b"%PDF", Kind("a PDF document")),
    (b"\x1f\x8b", Kind("a gzip archive", "unpack it first")),
    (b"7z\xbc\xaf", Kind("a 7z archive", "unpack it first")),
    (b"8BPS", Kind("a Photoshop image", _SAVE_AS, is_image=True)),
    (b"v/1\x01", Kind("an OpenEXR image", _SAVE_AS, is_image=True)),
    (b"#?RADIANCE", Kind("a Radiance HDR image", _SAVE_AS, is_image=True)),
    (b"\x00\x00\x00\x0cjP  ", Kind("a JPEG 2000 image", _SAVE_AS, is_image=True)),
    (b"\xff\x4f\xff\x51", Kind("a JPEG 2000 image", _SAVE_AS, is_image=True)),
    (b"\x1aE\xdf\xa3", Kind("a Matroska or WebM video", _FRAMES)),
    (b"version https://git-lfs", Kind("a Git LFS pointer", "fetch the file: git lfs pull")),
    (b"P7\n", Kind("a PAM image", _SAVE_AS, is_image=True)),
)
_PATTERNS: tuple[tuple[bytes, Kind], ...] = (
    (rb"(?s)RIFF....WEBP", Kind("a WebP image", is_image=True)),
    (rb"(?s)RIFF....AVI ", Kind("an AVI video", _FRAMES)),
    (rb"P[fF]4?\s", Kind("a PFM map", _MAP)),
    (rb"P[1-6][\s#]", Kind("a PNM image", is_image=True)),
    (rb"(?s)....ftyp(avi[fs]|hei[cx]|m[is]f1)", Kind("an AVIF or HEIC image", _SAVE_AS, True)),
    (rb"(?s)....ftyp", Kind("an MP4 or QuickTime video", _FRAMES)),
    (rb"(?s)BM....\0\0\0\0", Kind("a BMP image", is_image=True)),
)
_TEXTS: tuple[tuple[str, Kind], ...] = (
    (r"(?m)^\s*cam0\s*=", Kind("a Middlebury calibration", "give it with --calib")),
    (r"(?m)^P(_rect_0)?\d:", Kind("a KITTI calibration", "give it with --calib")),
    (r"%YAML|!!opencv-matrix|<opencv_storage", Kind("OpenCV calibration", "give it with --calib")),
    (r"(?i)^\s*<(!doctype html|html)", Kind("a web page", "download the file itself")),
    (r"(?i)^\s*(<\?xml[^>]*>\s*)?<svg", Kind("an SVG drawing", _SAVE_AS, is_image=True)),
)


def what_is(head: bytes) -> Kind | None:
    """The kind of file that begins with `head`; None for bytes that say nothing."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    for pattern, kind in _PATTERNS:
        if re.match(pattern, head):
            return kind
    return _text_kind(head)


def looks_binary(head: bytes) -> bool:
    """True if `head` holds bytes that no text has."""
    return any(byte < 9 or 13 < byte < 32 for byte in head if byte != 27) or 127 in head


def _text_kind(head: bytes) -> Kind | None:
    if not head or looks_binary(head):
        return None
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff")
    for pattern, kind in _TEXTS:
        if re.search(pattern, text):
            return kind
    return Kind("a text file")
