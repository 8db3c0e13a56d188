"""Stereo pairs made from single pictures: a depth map moves the picture's pixels into a right view.

Watson et al., "Learning Stereo from Single Images", ECCV 2020: any depth that looks plausible will
do, for the pair is made from it and it is exact for that pair. Disparity is the inverse depth times
a factor drawn anew for every picture; what the right camera sees and the picture does not show is
painted with another picture in its colours. As in their code the nearest point, not the mean one,
is what the factor fixes, and pixels that hang between two surfaces take the value of one of them.
Ours: the right view is read between the picture's pixels where a surface is continuous, so that
slanted surfaces are neither torn nor rounded to whole pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, UInt8
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.maps import Depth, Disparity, RelativeDepth
from fathom.core.options import option
from fathom.core.pair import StereoPair, View
from fathom.core.sample import MonoSample, StereoSample
from fathom.geometry.consistency import flying_pixels
from fathom.geometry.resize import resize_image
from fathom.io.images import read_view
from fathom.io.pairing import find_images

FILLS = ("texture", "edge")
_STEP = 1.0  # pixels by which the disparity may differ between neighbours of one surface
_HANGING = 3.0  # a step in pixels of disparity from which on values between its sides hang
_NEAREST = 0.1  # depth of the nearest point where only differences of depth are known; farthest: 1


@dataclass(frozen=True)
class PhotoSettings:
    """least, largest: between these lies the largest disparity of a picture, as shares of its
    width. fill: what is painted where the right view shows what the picture does not: another
    picture (`texture`), or the farther of the two surfaces beside it continued (`edge`). sharpen:
    values that hang between two surfaces take the nearest one that does not.

    Raises `UsageError` for shares that are no range within 0..1, or an unknown fill.
    """

    least: float = option(0.05, "least largest disparity, share of the width")
    largest: float = option(0.25, "greatest largest disparity, share of the width")
    fill: str = option("texture", "what is painted where the picture shows nothing")
    sharpen: bool = option(True, "no values between two surfaces")

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.largest < 1:
            raise UsageError(
                "is no range of largest disparities", field="least, largest",
                value=f"{self.least}, {self.largest}", expected="0 < least <= largest < 1",
            )  # fmt: skip
        if self.fill not in FILLS:
            raise unknown_name("fill", self.fill, list(FILLS))


def right_view(
    left: UInt8[np.ndarray, "h w 3"], disparity: Float32[np.ndarray, "h w"]
) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
    """What a right camera sees of the picture, and the disparity of each of its pixels: NaN where
    the picture has nothing for it (black there).

    disparity: pixels, of the picture; NaN pixels are not moved. Two neighbours of a row are one
    surface if their disparities differ by at most a pixel; where several surfaces meet, the nearest
    is seen.
    """
    height, width = disparity.shape
    place = np.arange(width, dtype=np.float32) - disparity
    first, last = place[:, :-1], place[:, 1:]
    with np.errstate(invalid="ignore"):
        whole = np.abs(disparity[:, 1:] - disparity[:, :-1]) <= np.float32(_STEP)
        low = np.ceil(first)
        found = []
        for k in range(3):  # a surface of that slope covers at most three columns of the right view
            inside = whole & (low + k <= last) & (low + k >= 0) & (low + k < width)
            row, column = np.nonzero(inside)
            at = (low + k)[inside].astype(np.intp)
            span = (last - first)[inside]
            share = np.where(span > 0, (at - first[inside]) / np.where(span > 0, span, 1), 0)
            value = disparity[row, column] + share * (
                disparity[row, column + 1] - disparity[row, column]
            )
            found.append((row * width + at, column + share, value))
    cell, source, value = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(value, kind="stable")  # of equal places the last, the nearest, stays
    seen = np.full(height * width, np.nan, np.float32)
    origin = np.zeros(height * width, np.float32)
    seen[cell[order]], origin[cell[order]] = value[order], source[order]
    seen, origin = seen.reshape(height, width), origin.reshape(height, width)
    image = _read(left, origin)
    image[np.isnan(seen)] = 0
    return image, seen


def _read(image: UInt8[np.ndarray, "h w 3"], x: Float32[np.ndarray, "h w"]) -> Array:
    """Each row at the columns x, linear between pixels."""
    low = np.clip(np.floor(x), 0, max(image.shape[1] - 2, 0)).astype(np.intp)
    share = (x - low)[..., None]
    rows = np.arange(image.shape[0])[:, None]
    after = np.minimum(low + 1, image.shape[1] - 1)
    mixed = (1 - share) * image[rows, low] + share * image[rows, after]
    out: Array = np.rint(mixed).astype(np.uint8)
    return out


def seen_by_both(
    disparity: Float32[np.ndarray, "h w"], right: Float32[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Where the right view, read at x - d, shows the picture's pixel x: both pixels it is read
    between are of the same surface. right: what `right_view` gives."""
    width = disparity.shape[1]
    place = np.arange(width, dtype=np.float32) - disparity
    with np.errstate(invalid="ignore"):
        inside = (place >= 0) & (place <= width - 1)
    place = np.where(inside, place, 0)
    rows = np.arange(len(disparity))[:, None]
    both: Array = inside
    for column in (np.floor(place), np.ceil(place)):
        with np.errstate(invalid="ignore"):
            both = both & (np.abs(right[rows, column.astype(np.intp)] - disparity) <= _STEP)
    return both


def pair_of_photo(
    photo: View,
    depth: Depth | RelativeDepth,
    rng: np.random.Generator,
    settings: PhotoSettings | None = None,
    texture: UInt8[np.ndarray, "_h _w 3"] | None = None,
) -> StereoSample:
    """A pair whose left view is the picture. rng: draws the factor. texture: another picture, for
    the fill of that name. Masks: "nonocc", where both views show the same point.

    Raises `InputError` if the depth is not of the picture's size or is the same everywhere,
    `UsageError` if a texture is to be filled in and none is given.
    """
    settings = settings or PhotoSettings()
    if settings.fill == "texture" and texture is None:
        raise UsageError(
            "is missing", field="texture", expected="another picture", remedy="or take fill='edge'"
        )
    if depth.shape != photo.shape:
        raise InputError(
            "differs in size from the picture", field="depth", value=depth.shape,
            expected=str(photo.shape),
        )  # fmt: skip
    share = rng.uniform(settings.least, settings.largest)
    disparity = (plausible_inverse(depth) * np.float32(share * photo.shape[1])).astype(np.float32)
    if settings.sharpen:
        disparity = sharpened(disparity)
    left = photo.rgb8
    right, seen = right_view(left, disparity)
    holes = np.isnan(seen)
    if settings.fill == "edge" or texture is None:
        right = continued(right, seen)
    else:
        painted = _in_colours_of(resize_image(texture, photo.size), left)
        right[holes] = painted[holes]
    masks = {"nonocc": seen_by_both(disparity, seen)}
    return StereoSample(StereoPair(View(left), View(right)), Disparity(disparity), masks)


def plausible_inverse(depth: Depth | RelativeDepth) -> Float32[np.ndarray, "h w"]:
    """Inverse depth in 0..1, 1 at the nearest point, NaN where the depth is unknown.

    Inverse depth known up to scale and shift is only moved if it is negative somewhere; of a depth
    known up to scale and shift the nearest point is taken to be a tenth as far as the farthest.

    Raises `InputError` if nothing is known, or all of it is at one distance.
    """
    values = depth.values
    known = ~np.isnan(values)
    extent = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 0.0)
    if not extent[0] < extent[1]:
        raise InputError(
            "tells nothing near from anything far", field="depth", value=extent[0],
            expected="a map of several distances",
        )  # fmt: skip
    kind = depth.ambiguity if isinstance(depth, RelativeDepth) else "scale"
    if kind == "affine_inverse":
        inverse = values - min(extent[0], 0.0)
    elif kind == "affine":
        share = (values - extent[0]) / (extent[1] - extent[0])
        inverse = 1 / (_NEAREST + (1 - _NEAREST) * share)
    else:
        inverse = 1 / np.where(values > 0, values, np.nan)
    out: Array = (inverse / np.nanmax(inverse)).astype(np.float32)
    return out


def sharpened(disparity: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Values that hang between two surfaces replaced by the nearest one that does not."""
    from scipy.ndimage import distance_transform_edt

    hanging = flying_pixels(disparity, _HANGING)
    if not hanging.any() or not (~hanging & ~np.isnan(disparity)).any():
        return disparity
    doubtful = hanging | np.isnan(disparity)
    nearest = distance_transform_edt(doubtful, return_distances=False, return_indices=True)
    out: Array = np.where(hanging, disparity[tuple(nearest)], disparity)
    return out


def continued(
    image: UInt8[np.ndarray, "h w 3"], disparity: Float32[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its holes (NaN disparity) painted, row by row, in the colour of the pixel to
    the left or right of the hole, whichever is farther away; rows without any stay."""
    known = ~np.isnan(disparity)
    width = image.shape[1]
    columns = np.broadcast_to(np.arange(width), known.shape)
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, width)[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(len(image))[:, None]
    far = [
        np.where(there, disparity[rows, np.clip(side, 0, width - 1)], np.inf)
        for side, there in ((before, before >= 0), (after, after < width))
    ]
    source = np.where(far[0] <= far[1], before, after)
    source = np.where(np.isinf(far[0]) & np.isinf(far[1]), columns, source)
    out: Array = image[rows, np.clip(source, 0, width - 1)]
    return out


def _in_colours_of(image: Array, model: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image with each channel's mean and spread those of the model."""
    given, wanted = image.astype(np.float32), model.astype(np.float32)
    spread = np.maximum(given.std((0, 1)), 1)
    moved = (given - given.mean((0, 1))) / spread * wanted.std((0, 1)) + wanted.mean((0, 1))
    out: Array = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return out


class Photos:
    """Pictures of a folder or glob as samples without truth, read when asked for."""

    def __init__(self, pictures: Path | str) -> None:
        self._files, _ = find_images(pictures)
        self.names = tuple(file.stem for file in self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> MonoSample:
        """The picture of an index. Raises `IndexError`, and `InputError` for one that cannot be
        read."""
        return MonoSample(read_view(self._files[index]), name=self.names[index])


@dataclass(frozen=True)
class FromPhotos:
    """Stereo samples of single pictures: sample i depends on picture i, the seed and i alone.

    photos: gives a `MonoSample` for an index (`Photos`, a data set); it keeps its names and length.
    depth: says how far away what a picture shows is (`fathom.create("depth-anything-v2-small")`,
    any estimator of one view); None takes the samples' own truth. It is asked each time;
    `fathom.data.looks.Kept` around this asks once.

    >>> import numpy as np
    >>> from fathom.core import Depth, MonoSample, View
    >>> from fathom.data.from_photos import FromPhotos
    >>> picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    >>> slope = np.linspace(9, 2, 40 * 60, dtype=np.float32).reshape(40, 60)
    >>> photos = [MonoSample(View(picture), Depth(slope)), MonoSample(View(picture[::-1]))]
    >>> pairs = FromPhotos(photos)
    >>> sample = pairs[0]
    >>> sample.pair.size, 3 <= sample.truth.values.max() <= 15, sample.masks["nonocc"].mean() > 0.8
    ((60, 40), True, True)
    """

    photos: Any
    depth: Callable[[View], Depth | RelativeDepth] | None = None
    settings: PhotoSettings = field(default_factory=PhotoSettings)
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the pictures, where they have any."""
        return tuple(map(str, self.photos.names))

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> StereoSample:
        """The pair of picture `index`.

        Raises `InputError` if the picture's depth is unknown or cannot serve, and what the pictures
        and the estimator raise.
        """
        given: MonoSample = self.photos[index]
        rng = np.random.default_rng([self.seed, index])
        depth = given.truth if self.depth is None else self.depth(given.view)
        if depth is None:
            raise InputError(
                "has no depth", field="truth", value=given.name,
                remedy="give depth=, an estimator that tells it",
            )  # fmt: skip
        texture = None
        if self.settings.fill == "texture":
            other = (index + int(rng.integers(1, max(len(self), 2)))) % len(self)
            texture = self.photos[other].view.rgb8
        made = pair_of_photo(given.view, depth, rng, self.settings, texture)
        return StereoSample(made.pair, made.truth, made.masks, given.name)
