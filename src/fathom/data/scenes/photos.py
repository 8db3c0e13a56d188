"""Photographs to cut textures from: scikit-image's free ones, and a folder the user names."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from fathom.core.arrays import UInt8
from fathom.core.errors import FathomError, InputError
from fathom.io.images import read_view

FREE = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png",
    "coffee.png", "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
    "moon.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip
"""Files of scikit-image whose documentation names public domain, CC0 or no known restriction
(https://scikit-image.org/docs/stable/api/skimage.data.html). Its Motorcycle pair stays out: it is
what matchers are judged on."""
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
_LARGEST = 1024
_KEPT = 64


@lru_cache(maxsize=1)
def free_photos() -> tuple[Path, ...]:
    """Those of `FREE` that the installed scikit-image ships; nothing is downloaded."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return ()
    folder = Path(spec.origin).parent / "data"
    return tuple(folder / name for name in FREE if (folder / name).is_file())


@lru_cache(maxsize=4)
def photos_of(folder: Path | None) -> tuple[Path, ...]:
    """The pictures below the user's folder, sorted; without one, none.

    Raises `InputError` for what is no folder, or one without pictures.
    """
    if folder is None:
        return ()
    if not folder.is_dir():
        raise InputError("is no folder", file=folder, expected="a folder of pictures")
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file())
    if not found:
        raise InputError(
            "holds no picture", file=folder, expected=f"files that end in {' '.join(_ENDINGS)}"
        )
    return tuple(found)


@lru_cache(maxsize=_KEPT)
def photo(path: Path) -> UInt8[np.ndarray, "h w 3"] | None:
    """A picture, at most 1024 pixels wide or high; None if it cannot be read: one damaged file
    among thousands does not end an endless stream."""
    import cv2

    try:
        image = read_view(path).rgb8
    except FathomError:
        return None
    scale = _LARGEST / max(image.shape[:2])
    if scale < 1:
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, (max(size[0], 1), max(size[1], 1)), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image)
