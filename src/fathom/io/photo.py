"""What a photo's own tags say: focal length, which way is up, whether it is a panorama or moves.

Pillow reads the tags; the pixels are read by `io.images`. A file whose tags are damaged has none.
"""

import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Shaped
from fathom.core.errors import InputError
from fathom.io.files import PathLike

_FOCAL, _FOCAL_35, _ZOOM = 0x920A, 0xA405, 0xA404
_RES_X, _RES_UNIT = 0xA20E, 0xA210
_WIDTH, _HEIGHT, _ORIENTATION = 0xA002, 0xA003, 0x0112
_DETAILS = 0x8769  # the directory of the camera's own tags
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_FILM_DIAGONAL = math.hypot(36, 24)
_ASPECT = 0.02  # relative difference of aspect from which on a picture was cropped
_ANIMATED = ("GIF", "PNG", "WEBP")
_SPHERE = re.compile(rb"ProjectionType[^A-Za-z]{1,8}(equirectangular|cylindrical)", re.IGNORECASE)


@dataclass(frozen=True)
class PhotoTags:
    """focal: length in pixels of the file's size, None where the tags do not say. how: which tag
    said so, for people. orientation: EXIF's 1..8; 1 is upright. panorama: it says that it is one.
    frames: more than 1 for an animation.
    """

    focal: float | None = None
    how: str = ""
    orientation: int = 1
    panorama: bool = False
    frames: int = 1


def read_tags(path: PathLike) -> PhotoTags:
    """The tags of an image file; empty ones where there are none or they cannot be read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged tags are no tags
            with Image.open(path) as image:
                exif = image.getexif()
                tags = {**dict(exif), **dict(exif.get_ifd(_DETAILS))}
                found = focal_of(tags, image.size)
                frames = image_frames(image)
                sphere = bool(_SPHERE.search(_xmp(image.info)))
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, AttributeError, OverflowError):
        return PhotoTags()
    except Image.DecompressionBombError:
        return PhotoTags()
    turned = tags.get(_ORIENTATION, 1)
    orientation = int(turned) if turned in range(1, 9) else 1
    focal, how = found or (None, "")
    return PhotoTags(focal, how, orientation, sphere, frames)


def image_frames(image: Any) -> int:
    """How many frames an opened Pillow image has as an animation; 1 for everything else (the
    pages of a TIFF and the previews of a phone's JPEG are no animation)."""
    return int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1


def refuse_animation(path: PathLike, tags: PhotoTags) -> None:
    """Raises `InputError` for an animation: one image is wanted, and which one is not said."""
    if tags.frames > 1:
        raise InputError(
            f"is an animation of {tags.frames} frames", file=path, expected="one image, or a video",
            remedy="extract its frames as PNG into a folder, or convert it to a video",
        )  # fmt: skip


def focal_of(tags: Mapping[int, Any], size: tuple[int, int]) -> tuple[float, str] | None:
    """The focal length in pixels of an image of `size` (width, height), and the tag it is from.

    FocalLength with FocalPlaneXResolution: f_px = f_mm * pixels per mm, for the recorded width.
    FocalLengthIn35mmFilm (Exif 2.32, section 4.6.5): of the lens that shows the same angle on
    36 x 24 mm; CIPA DCG-001 means the angle over the diagonal, so f_px = f_35 diagonal / 43.27 mm.
    Where both are there and differ by more than 15 %, the second counts: resolutions are often
    those of a preview. None for a picture that was cropped since (its aspect is another one than
    the recorded one), and for values that cannot be.
    """
    width, height = size
    recorded = [_number(tags.get(tag)) for tag in (_WIDTH, _HEIGHT)]
    if all(recorded):
        aspect = math.log(recorded[0] / recorded[1])
        if min(abs(abs(aspect) - abs(math.log(width / height))), 10) > _ASPECT:
            return None
    film = _number(tags.get(_FOCAL_35))
    by_film = film * math.hypot(width, height) / _FILM_DIAGONAL
    plane = _number(tags.get(_RES_X)) / _UNIT_MM.get(int(_number(tags.get(_RES_UNIT)) or 2), 25.4)
    by_plane = _number(tags.get(_FOCAL)) * plane * max(1.0, _number(tags.get(_ZOOM)))
    if all(recorded):
        by_plane *= max(width, height) / max(recorded)
    longest = max(width, height)
    usable = 0.2 * longest < by_plane < 50 * longest
    if usable and (by_film == 0 or abs(math.log(by_plane / by_film)) < 0.15):
        return by_plane, f"FocalLength {_number(tags.get(_FOCAL)):g} mm and the sensor's resolution"
    if 0.2 * longest < by_film < 50 * longest:
        return by_film, f"FocalLengthIn35mmFilm {film:g} mm"
    return None


def upright(image: Shaped[np.ndarray, "h w 3"], orientation: int) -> Shaped[np.ndarray, "h2 w2 3"]:
    """The image as it is to be looked at, by EXIF's orientation 1..8 (Exif 2.32, tag 274)."""
    turns, mirrored = {
        1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True),
        5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False),
    }[orientation]  # fmt: skip
    turned: Array = np.rot90(image, turns)
    if mirrored:
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def _number(value: Any) -> float:
    """A tag's number; 0 for none, and for what is not above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _xmp(info: Mapping[Any, Any]) -> bytes:
    for name in ("xmp", "XML:com.adobe.xmp"):
        text = info.get(name)
        if text:
            return text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")
    return b""
