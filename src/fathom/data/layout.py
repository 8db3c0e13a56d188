"""What readers share: listing folders without a question to the disk for each file, and building
samples from files.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from fathom.core.arrays import Array, Bool, Float32
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError
from fathom.core.maps import Depth, Disparity
from fathom.core.pair import StereoPair
from fathom.core.sample import MonoSample, StereoSample
from fathom.geometry.consistency import left_right_difference
from fathom.io.calibration import read_calibration
from fathom.io.files import in_file, resource_error
from fathom.io.images import read_view

RigOfSize = Callable[[tuple[int, int]], StereoRig | None]
"""The rig of images of a (width, height)."""

IMAGES = (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".webp", ".bmp", ".tif", ".tiff")


def folders(place: Path) -> list[str]:
    """Names of the folders in `place`, sorted; hidden ones are left out.

    Raises `InputError` if `place` is no folder, `ResourceError` if it may not be read.
    """
    return sorted(e.name for e in _entries(place) if not e.name.startswith(".") and e.is_dir())


def files(place: Path, endings: Iterable[str] = IMAGES) -> list[str]:
    """Names of the files in `place` that end so (case ignored), sorted; hidden ones are left out.

    Names alone decide, so that a folder of a hundred thousand images costs one listing. Raises as
    `folders` does.
    """
    wanted = tuple(endings)
    names = (e.name for e in _entries(place) if not e.name.startswith("."))
    return sorted(name for name in names if name.lower().endswith(wanted))


def _entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("is no folder", file=place, expected="a folder of the data set") from error
    except OSError as error:
        raise resource_error(place, error, "read") from error


def walk(root: Path, endings: Iterable[str], depth: int = 6) -> list[str]:
    """Paths below `root`, with / between names, of the files at any depth whose names end so;
    sorted, hidden ones left out. Each folder is listed once. Raises as `folders` does."""
    wanted = tuple(endings)
    found: list[str] = []
    waiting = [("", 0)]
    while waiting:
        place, level = waiting.pop()
        for entry in _entries(root / place):
            if entry.name.startswith("."):
                continue
            path = f"{place}/{entry.name}" if place else entry.name
            if entry.name.endswith(wanted):
                found.append(path)
            elif level < depth and entry.is_dir():
                waiting.append((path, level + 1))
    return sorted(found)


def base(root: Path, inside: str, *names: str) -> Path:
    """The first of `root`, root/name, ... that holds `inside`: people unpack one level apart.

    Raises `InputError` if none does.
    """
    for place in (root, *(root / name for name in names)):
        if (place / inside).exists():
            return place
    raise InputError("is missing", file=root / inside, expected="a folder of the data set")


def stem(name: str) -> str:
    """A file's name without its last extension."""
    return name.rpartition(".")[0] or name


def sibling(place: Path, start: str, endings: Iterable[str] = IMAGES) -> Path:
    """`place/start` with the first of the endings that is there (else the first one, so that the
    error names a file that would have been right)."""
    options = [place / f"{start}{ending}" for ending in endings]
    return next((path for path in options if path.is_file()), options[0])


def stereo(
    name: str,
    views: tuple[Path, Path],
    rig: StereoRig | RigOfSize | None,
    truth: Array | None = None,
    masks: Mapping[str, Array] | None = None,
    *,
    truth_file: Path | None = None,
) -> StereoSample:
    """The sample of two image files, a rig, disparities (pixels, NaN unknown) and masks.

    rig: also a function of the images' (width, height).

    Raises `InputError` for an image that cannot be read or parts that differ in size.
    """
    left, right = (read_view(path) for path in views)
    with in_file(views[0]):
        known = rig(left.size) if callable(rig) else rig
    with in_file(views[1]):
        pair = StereoPair(left, right, known)
    with in_file(truth_file or views[0]):
        disparity = None if truth is None else Disparity(truth)
        return StereoSample(pair, disparity, masks or {}, name)


def mono(
    name: str,
    image: Path,
    camera: Camera | None,
    truth: Array | None,
    masks: Mapping[str, Array] | None = None,
    *,
    truth_file: Path | None = None,
) -> MonoSample:
    """The sample of an image file, a camera, depths (metres, NaN unknown) and masks; raises as
    `stereo` does."""
    view = read_view(image, camera)
    with in_file(truth_file or image):
        return MonoSample(view, None if truth is None else Depth(truth), masks or {}, name)


def nonocc(
    left: Float32[np.ndarray, "h w"], right: Float32[np.ndarray, "h w"], tolerance: float = 1.0
) -> Bool[np.ndarray, "h w"]:
    """True where the point is seen by both cameras: the right view's truth agrees to `tolerance`
    pixels. left, right: positive disparities of both views; where either is unknown it is False.
    """
    with np.errstate(invalid="ignore"):
        return left_right_difference(left, right) <= tolerance


def calibrated(
    path: Path, cameras: tuple[int, int] | None = None, *, rectified: bool = True
) -> RigOfSize:
    """The rig of a calibration file, or None where the file is not there: people often leave a
    data set's calibration out. Its errors are those of `read_calibration`."""

    def read(size: tuple[int, int]) -> StereoRig | None:
        if not path.is_file():
            return None
        found = read_calibration(path, image_size=size, cameras=cameras, rectified=rectified)
        return found if isinstance(found, StereoRig) else None

    return read


def rig_for(size: tuple[int, int], nominal: StereoRig) -> StereoRig:
    """The rig that a data set states, for images of `size` (width, height): the same, or scaled
    where somebody resized the images.

    Raises `InputError` for another shape of image.
    """
    if size == nominal.size:
        return nominal
    sx, sy = size[0] / nominal.size[0], size[1] / nominal.size[1]
    _same_shape(size, nominal.size)
    return nominal.scaled(sx, sy, *size)


def camera_for(size: tuple[int, int], nominal: Camera) -> Camera:
    """As `rig_for`, for one camera."""
    if size == nominal.size:
        return nominal
    _same_shape(size, nominal.size)
    return nominal.scaled(size[0] / nominal.width, size[1] / nominal.height, *size)


def _same_shape(size: tuple[int, int], nominal: tuple[int, int]) -> None:
    expected = size[0] * nominal[1] / nominal[0]
    if abs(expected - size[1]) > 1:
        raise InputError(
            "is not the shape of this data set's images",
            field="size",
            value=f"{size[0]}x{size[1]}",
            expected=f"{nominal[0]}x{nominal[1]}, or the same resized",
        )
