"""A file of numbers that any program wrote, as a typed estimate."""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, Disparity, RelativeDepth
from fathom.core.options import option
from fathom.io.encodings import read_steps
from fathom.io.files import in_file, open_input
from fathom.io.maps import read_confidence_png, read_disparity_pfm, read_source_png
from fathom.io.pfm import MAX_VALUES
from fathom.io.source import damaged

Estimate = Disparity | Depth | RelativeDepth
Kind = Literal["disparity", "depth", "scale", "affine", "affine_inverse"]
Encoding = Literal["auto", "uint16", "uint8"]
KINDS = ("disparity", "depth", "scale", "affine", "affine_inverse")
ENCODINGS = ("auto", "uint16", "uint8")
_STEPS = {"disparity": 256.0, "depth": 1000.0}  # of a 16-bit PNG of unsaid scale


@dataclass(frozen=True)
class MapOptions:
    """How values in files are to be read, where the files do not say.

    unknown: values that mean it, besides NaN, infinity and 0 of a PNG.
    """

    kind: Kind | None = option(
        None,
        "what the values are: disparity (pixels), depth (metres), or relative depth, known up to "
        "scale, affine or affine_inverse; default: what the truth is",
    )
    encoding: Encoding = option(
        "auto", "how numbers are kept; uint16 and uint8 are stored numbers times --scale"
    )
    scale: str | None = option(
        None,
        "what one stored number is worth, for example 1/256, 0.001 or -1 (default: 1; a 16-bit PNG "
        "1/256 px as KITTI's, or 1/1000 m)",
        metavar="X",
    )
    unknown: str | None = option(
        None, "values that also mean unknown, for example 0 or -1,0", metavar="LIST"
    )

    def __post_init__(self) -> None:
        for name, known in (("kind", (None, *KINDS)), ("encoding", ENCODINGS)):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"is no {name}",
                    field=name,
                    value=getattr(self, name),
                    expected=" or ".join(str(k) for k in known if k),
                )
        if self.factor is None and self.encoding != "auto":
            raise UsageError(
                "needs to know what a stored number is worth",
                field="encoding",
                value=self.encoding,
                remedy="give --scale, for example 1/256",
            )
        _ = self.holes

    @property
    def factor(self) -> float | None:
        """`scale` as a number. Raises `UsageError` if it is none."""
        return None if self.scale is None else number(self.scale, "scale")

    @property
    def holes(self) -> tuple[float, ...]:
        """`unknown` as numbers. Raises `UsageError` for what is none."""
        words = [] if self.unknown is None else self.unknown.split(",")
        return tuple(number(word, "unknown", zero=True) for word in words)


@dataclass(frozen=True)
class MapFile:
    """One map: its file, how to read it, and what belongs to it. seconds: the time it took to
    make, where it is known."""

    path: Path
    options: MapOptions
    confidence: Path | None = None
    source: Path | None = None
    seconds: float | None = None


def number(text: str, field: str, *, zero: bool = False) -> float:
    """A number or a fraction such as 1/256. Raises `UsageError` for anything else, and for zero
    unless that is allowed."""
    top, _, bottom = text.partition("/")
    try:
        value = float(top) / (float(bottom) if bottom else 1.0)
    except (ValueError, ZeroDivisionError):
        value = float("nan")
    if not np.isfinite(value) or (value == 0 and not zero):
        raise UsageError(
            "is no number",
            field=field,
            value=text,
            expected="a number or a fraction such as 1/256",
        )
    return value


def read_map(file: MapFile, default: Kind) -> tuple[Estimate, str]:
    """The estimate in a file, and how its numbers were taken, in a few words.

    default: the kind of maps whose options name none.

    Raises `InputError` for a missing or damaged file, or values that cannot be what they are said
    to be.
    """
    options = file.options
    kind = options.kind or default
    values, how = _values(file.path, options, kind)
    with in_file(file.path):
        confidence = None if file.confidence is None else _confidence(file.confidence)
        source = None if file.source is None else read_source_png(file.source)
        if kind == "disparity":
            return Disparity(values, confidence, source), how
        if kind == "depth":
            with np.errstate(invalid="ignore"):
                metres = np.where(values > 0, values, np.float32(np.nan))
            return Depth(metres, None, confidence, source), how
        return RelativeDepth(values, kind, confidence, source), how


def _confidence(path: Path) -> Array:
    if path.suffix.lower() == ".npy":
        return _npy(path)[0]
    return read_confidence_png(path)


def _values(path: Path, options: MapOptions, kind: Kind) -> tuple[Array, str]:
    """float32 values, NaN unknown, and how they were made of the stored numbers."""
    with open_input(path, "map") as (opened, _):
        head = opened.read(8)
    factor = options.factor
    if options.encoding != "auto":
        bits = 16 if options.encoding == "uint16" else 8
        values, how = read_steps(path, 1, bits=bits, what="value"), f"{bits} bits"
    elif head.startswith(b"\x89PNG"):
        if factor is None and kind not in _STEPS:
            raise InputError(
                "is a PNG, and what its numbers are worth is not said",
                file=path,
                remedy="give --encoding and --scale",
            )
        values, how = read_steps(path, 1, bits=16, what=kind), "PNG of 16 bits"
        factor = 1 / _STEPS[kind] if factor is None else factor
    elif head.startswith(b"\x93NUMPY"):
        values, how = _npy(path)
    elif head[:2] in (b"II", b"MM"):
        values, how = _tiff(path)
    else:
        values, how = read_disparity_pfm(path), "PFM"
    for hole in options.holes:
        values = np.where(values == np.float32(hole), np.float32(np.nan), values)
    if factor is not None:
        values = (values.astype(np.float64) * factor).astype(np.float32)
        how += f" x {options.scale or _fraction(factor)}"
    return values, how


def _fraction(factor: float) -> str:
    return f"1/{1 / factor:g}"


def _npy(path: Path) -> tuple[Array, str]:
    """A .npy array (h, w) of numbers, whole ones too (OpenCV's 16 bits); extra axes of one go."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        with in_file(path):
            raise damaged("its header and its length do not fit, or it holds objects") from error
    shape = stored.shape if stored.ndim == 2 else tuple(n for n in stored.shape if n != 1)
    if stored.dtype.kind not in "fiu" or len(shape) != 2 or stored.size > MAX_VALUES:
        raise InputError(
            "is no map of numbers",
            file=path,
            field="array",
            value=f"{stored.dtype} {stored.shape}",
            expected="a .npy array of (height, width)",
        )
    with np.errstate(over="ignore"):
        values = np.asarray(stored, dtype=np.float32).reshape(shape)
    return np.where(np.isfinite(values), values, np.float32(np.nan)), f".npy of {stored.dtype}"


_TIFF_ERRORS = (OSError, ValueError, SyntaxError, TypeError, KeyError, struct.error)
"""What Pillow raises for damaged files; UnidentifiedImageError is an OSError."""


def _tiff(path: Path) -> tuple[Array, str]:
    """A TIFF of one channel, 32-bit float or 16-bit whole numbers."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is wrong with a file is said below
            image = Image.open(path)
        with image:
            if image.size[0] * image.size[1] > MAX_VALUES:
                raise InputError("declares an impossible size", file=path, value=image.size)
            if (pages := getattr(image, "n_frames", 1)) > 1:
                raise InputError(
                    f"is a TIFF of {pages} pages", file=path, expected="one map",
                    remedy="save the page that is meant by itself",
                )  # fmt: skip
            mode, values = image.mode, np.asarray(image)
    except (Image.DecompressionBombError, *_TIFF_ERRORS) as error:
        if isinstance(error, InputError):
            raise
        with in_file(path):
            raise damaged(f"a TIFF that cannot be read ({error})") from error
    if mode not in ("F", "I", "I;16", "I;16B", "I;16L"):
        raise InputError(
            "is no map of numbers: it looks like a picture",
            file=path,
            field="channels",
            value=mode,
            expected="a TIFF of one channel, 32-bit float or 16 bits",
        )
    as_float = values.astype(np.float32)
    finite = np.where(np.isfinite(as_float), as_float, np.float32(np.nan))
    return finite, "TIFF of floats" if mode == "F" else "TIFF of whole numbers"
