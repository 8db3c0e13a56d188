"""Augmentation for training: another look at the same sample, its truth kept exact.

Order: flips, size and stretch, crop (both views and the truth alike), then what each camera sees:
colour, blur, a right camera that is not quite rectified, patches that hide the right view, noise.
The recipe follows RAFT-Stereo (Lipson et al., 3DV 2021), CREStereo (Li et al., CVPR 2022) and
HSM-Net (Yang et al., CVPR 2019). numpy and OpenCV only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fathom.core.arrays import Array, Bool
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample
from fathom.data.augment_color import blurred, colored, noisy

Rng = np.random.Generator
_SHARES = ("resize", "flip", "upside_down", "color", "uneven", "statistics", "blur", "noise",
           "tilt", "hide")  # fmt: skip
_SMOOTH = 1.0  # pixels by which the truth may differ between neighbours of one surface


@dataclass(frozen=True)
class AugmentSettings:
    """What is done to how many samples; shares are probabilities, and 0 switches a kind off.

    Raises `UsageError` for a share outside 0..1 or a range that is empty.
    """

    width: int | None = option(None, "width of the crop in pixels; default: no crop")
    height: int | None = option(None, "height of the crop in pixels; default: no crop")
    resize: float = option(0.8, "share of samples that are resized and stretched")
    smallest: float = option(-0.2, "least size, as a power of 2")
    largest: float = option(0.4, "greatest size, as a power of 2")
    stretch: float = option(0.2, "width against height, up to so much as a power of 2")
    flip: float = option(0.3, "share that is mirrored, views exchanged (needs the right truth)")
    upside_down: float = option(0.1, "share that is turned upside down")
    color: float = option(0.9, "share whose brightness, contrast, gamma and colours change")
    uneven: float = option(0.3, "share whose two views change differently")
    statistics: float = option(0.3, "share whose channels get another mean and spread each")
    blur: float = option(0.15, "share that is blurred")
    noise: float = option(0.3, "share that gets noise")
    tilt: float = option(0.3, "share whose right view is shifted and rolled a little")
    shift: float = option(2.0, "most rows by which that view is shifted")
    roll: float = option(0.1, "most degrees by which it is rolled")
    hide: float = option(0.5, "share whose right view is hidden in places")
    least_patch: int = option(50, "least side of such a patch in pixels")
    most_patch: int = option(200, "greatest side of such a patch in pixels")

    def __post_init__(self) -> None:
        for name in _SHARES:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError("is no share", field=name, value=value, expected="0..1")
        crop = [value for value in (self.width, self.height) if value is not None]
        if len(crop) == 1 or any(value < 1 for value in crop):
            raise UsageError(
                "is no size of a crop", field="width, height",
                value=f"{self.width}, {self.height}", expected="both or none, 1 or more pixels",
            )  # fmt: skip
        ranges = ((-3, self.smallest, self.largest, 3), (1, self.least_patch, self.most_patch, 1e9))
        if not all(a <= b <= c <= d for a, b, c, d in ranges):
            raise UsageError(
                "is no range", field="smallest..largest, least_patch..most_patch",
                value=f"{self.smallest}..{self.largest}, {self.least_patch}..{self.most_patch}",
                expected="the least first; sizes within 2^-3..2^3",
            )  # fmt: skip
        if not (0 <= self.stretch <= 2 and 0 <= self.shift <= 100 and 0 <= self.roll <= 45):
            raise UsageError(
                "is out of range", field="stretch, shift, roll",
                value=f"{self.stretch}, {self.shift}, {self.roll}",
                expected="stretch 0..2, shift 0..100 rows, roll 0..45 degrees",
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class RightTruth:
    """The right view's own truth, which mirroring needs: disparity (positive, as the left's) and
    masks, bool (h, w)."""

    disparity: Disparity
    masks: Mapping[str, Bool[np.ndarray, "h w"]]


def augment(
    sample: StereoSample,
    rng: Rng,
    settings: AugmentSettings | None = None,
    right: RightTruth | None = None,
) -> StereoSample:
    """Another look at a sample. rng: decides everything. right: lets the sample be mirrored;
    without it (or where its masks lack one of the left's, which is then dropped) no mirroring.

    Masks follow the views; "nonocc" also loses what the right view no longer shows.

    >>> import numpy as np
    >>> from fathom.data.augment import AugmentSettings, augment
    >>> from fathom.data.samples import motorcycle
    >>> crop = AugmentSettings(width=320, height=160)
    >>> augment(motorcycle(), np.random.default_rng(1), crop).pair.size
    (320, 160)

    Raises `InputError` if the right truth does not fit the pair.
    """
    settings = settings or AugmentSettings()
    if right is not None and right.disparity.shape != sample.pair.shape:
        raise InputError(
            "differs in size from the view", field="right truth",
            value=right.disparity.shape, expected=str(sample.pair.shape),
        )  # fmt: skip
    if right is not None and rng.random() < settings.flip:
        sample = mirrored(sample, right)
    if rng.random() < settings.upside_down:
        sample = upside_down(sample)
    sample = _resized(sample, rng, settings)
    sample = _cropped(sample, rng, settings)
    sample = _looks(sample, rng, settings)
    if rng.random() < settings.tilt:
        shift, roll = (rng.uniform(-1, 1) * v for v in (settings.shift, settings.roll))
        sample = tilted(sample, shift, math.radians(roll))
    if rng.random() < settings.hide:
        for _ in range(int(rng.integers(1, 3))):
            size = rng.integers(settings.least_patch, settings.most_patch + 1, 2)
            sample = hidden(sample, rng, (int(size[0]), int(size[1])))
    if rng.random() < settings.noise:
        views = (noisy(image, rng) for image in _images(sample))
        sample = _with_images(sample, *views)
    return sample


def mirrored(sample: StereoSample, right: RightTruth) -> StereoSample:
    """What a mirror shows: each view flipped, the right one now left, its truth the truth."""
    pair, rig = sample.pair, sample.pair.rig
    if rig is not None:
        width = rig.left.width
        left = replace(rig.left, cx=width - 1 - rig.right.cx)
        rig = replace(rig, left=left, right=replace(rig.right, cx=width - 1 - rig.left.cx))
    views = [View(view.image[:, ::-1]) for view in (pair.right, pair.left)]
    masks = {name: mask[:, ::-1] for name, mask in right.masks.items()}
    truth = None if sample.truth is None else Disparity(right.disparity.values[:, ::-1])
    pair = StereoPair(views[0], views[1], rig)
    return StereoSample(pair, truth, masks, sample.name)


def upside_down(sample: StereoSample) -> StereoSample:
    """The sample with its rows in reverse order."""
    rig = sample.pair.rig
    if rig is not None:
        rows = rig.left.height - 1
        rig = replace(rig, left=replace(rig.left, cy=rows - rig.left.cy),
                      right=replace(rig.right, cy=rows - rig.right.cy))  # fmt: skip
    left, right = (View(image[::-1]) for image in _images(sample))
    truth = sample.truth and Disparity(sample.truth.values[::-1])
    masks = {name: mask[::-1] for name, mask in sample.masks.items()}
    return StereoSample(StereoPair(left, right, rig), truth, masks, sample.name)


def resized(sample: StereoSample, size: tuple[int, int]) -> StereoSample:
    """The sample at another (width, height). The truth is interpolated within surfaces and taken
    from the nearest pixel at their edges, so that two surfaces are never mixed."""
    import cv2

    height, width = sample.pair.shape
    if size == (width, height):
        return sample
    sx, sy = size[0] / width, size[1] / height
    method = cv2.INTER_AREA if sx * sy < 1 else cv2.INTER_LINEAR
    left, right = (View(cv2.resize(image, size, interpolation=method)) for image in _images(sample))
    truth = sample.truth and Disparity(_resized_truth(sample.truth.values, size))
    rows = _nearest(height, size[1])
    columns = _nearest(width, size[0])
    masks = {name: mask[rows][:, columns] for name, mask in sample.masks.items()}
    rig: StereoRig | None = sample.pair.rig and sample.pair.rig.scaled(sx, sy, *size)
    return StereoSample(StereoPair(left, right, rig), truth, masks, sample.name)


def tilted(sample: StereoSample, shift: float, roll: float) -> StereoSample:
    """A right view that is not quite rectified: `shift` rows down and turned by `roll` radians
    about its middle. The truth stays x_left - x_right of the views as they now are."""
    import cv2

    height, width = sample.pair.shape
    mx, my = (width - 1) / 2, (height - 1) / 2
    cosine, sine = math.cos(roll), math.sin(roll)
    # x' = m + R (x - m) + shift; OpenCV asks where each new pixel comes from
    y, x = np.mgrid[:height, :width].astype(np.float32)
    dx, dy = x - np.float32(mx), y - np.float32(my + shift)
    from_x = np.float32(mx) + cosine * dx + sine * dy
    from_y = np.float32(my) - sine * dx + cosine * dy
    image = cv2.remap(
        sample.pair.right.image, from_x.astype(np.float32), from_y.astype(np.float32),
        cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    pair = StereoPair(sample.pair.left, View(image), sample.pair.rig)
    if sample.truth is None:
        return replace(sample, pair=pair)
    there_x = x - sample.truth.values - np.float32(mx)
    there_y = y - np.float32(my)
    new_x = np.float32(mx) + cosine * there_x - sine * there_y
    new_y = np.float32(my + shift) + sine * there_x + cosine * there_y
    inside = (new_x >= 0) & (new_x <= width - 1) & (new_y >= 0) & (new_y <= height - 1)
    truth = Disparity((x - new_x).astype(np.float32))
    return replace(sample, pair=pair, truth=truth, masks=_still_seen(sample, inside))


def hidden(sample: StereoSample, rng: Rng, size: tuple[int, int]) -> StereoSample:
    """A patch (width, height) of the right view painted with the view's mean colour: something
    that only the right camera has before it."""
    height, width = sample.pair.shape
    x0 = int(rng.integers(0, max(width - size[0] // 2, 1)))
    y0 = int(rng.integers(0, max(height - size[1] // 2, 1)))
    image = sample.pair.right.image.copy()
    image[y0 : y0 + size[1], x0 : x0 + size[0]] = image.mean((0, 1))
    pair = StereoPair(sample.pair.left, View(image), sample.pair.rig)
    if sample.truth is None:
        return replace(sample, pair=pair)
    y, x = np.mgrid[:height, :width]
    place = np.rint(x - sample.truth.values)
    under = (place >= x0) & (place < x0 + size[0]) & (y >= y0) & (y < y0 + size[1])
    return replace(sample, pair=pair, masks=_still_seen(sample, ~under))


def _still_seen(sample: StereoSample, seen: Array) -> dict[str, Array]:
    masks = dict(sample.masks)
    if "nonocc" in masks:
        masks["nonocc"] = masks["nonocc"] & seen
    return masks


def _resized(sample: StereoSample, rng: Rng, settings: AugmentSettings) -> StereoSample:
    width, height = sample.pair.size
    sx = sy = 1.0
    if rng.random() < settings.resize:
        size = rng.uniform(settings.smallest, settings.largest)
        bend = rng.uniform(-settings.stretch, settings.stretch) / 2
        sx, sy = 2 ** (size + bend), 2 ** (size - bend)
    # a crop must fit in: what is too small is enlarged as far as it needs
    new = [max(round(width * sx), settings.width or 1), max(round(height * sy),
           settings.height or 1)]  # fmt: skip
    return resized(sample, (new[0], new[1]))


def _cropped(sample: StereoSample, rng: Rng, settings: AugmentSettings) -> StereoSample:
    if settings.width is None or settings.height is None:
        return sample
    width, height = sample.pair.size
    x = int(rng.integers(width - settings.width + 1))
    y = int(rng.integers(height - settings.height + 1))
    return cropped(sample, x, y, settings.width, settings.height)


def cropped(sample: StereoSample, x: int, y: int, width: int, height: int) -> StereoSample:
    """The window whose top-left pixel is (x, y); "nonocc" loses what now lies outside the right
    view."""
    window = (slice(y, y + height), slice(x, x + width))
    left, right = (View(np.ascontiguousarray(image[window])) for image in _images(sample))
    rig = sample.pair.rig and sample.pair.rig.cropped(x, y, width, height)
    truth = sample.truth and Disparity(sample.truth.values[window])
    masks = {name: mask[window] for name, mask in sample.masks.items()}
    out = StereoSample(StereoPair(left, right, rig), truth, masks, sample.name)
    if truth is None:
        return out
    place = np.arange(width, dtype=np.float32)[None] - truth.values
    return replace(out, masks=_still_seen(out, (place >= 0) & (place <= width - 1)))


def _looks(sample: StereoSample, rng: Rng, settings: AugmentSettings) -> StereoSample:
    """Colours and blur, of both views alike or of each its own."""
    left, right = _images(sample)
    uneven = bool(rng.random() < settings.uneven)
    change = bool(rng.random() < settings.color)
    spread = bool(rng.random() < settings.statistics)
    if change or spread:
        left, right = colored(left, right, rng, change=change, spread=spread, uneven=uneven)
    if rng.random() < settings.blur:
        strength = rng.uniform(0.3, 1.3)
        left = blurred(left, strength)
        right = blurred(right, strength * rng.uniform(0.5, 1.5) if uneven else strength)
    return _with_images(sample, left, right)


def _images(sample: StereoSample) -> tuple[Array, Array]:
    return sample.pair.left.image, sample.pair.right.image


def _with_images(sample: StereoSample, left: Array, right: Array) -> StereoSample:
    return replace(sample, pair=StereoPair(View(left), View(right), sample.pair.rig))


def _nearest(old: int, new: int) -> Array:
    return np.minimum(((np.arange(new) + 0.5) * (old / new)).astype(np.intp), old - 1)


def _resized_truth(values: Array, size: tuple[int, int]) -> Array:
    height, width = values.shape
    x = np.clip((np.arange(size[0]) + 0.5) * (width / size[0]) - 0.5, 0, width - 1)
    y = np.clip((np.arange(size[1]) + 0.5) * (height / size[1]) - 0.5, 0, height - 1)
    i, j = (
        np.minimum(x.astype(int), max(width - 2, 0)),
        np.minimum(y.astype(int), max(height - 2, 0)),
    )
    fx, fy = (x - i).astype(np.float32)[None], (y - j).astype(np.float32)[:, None]
    i1, j1 = np.minimum(i + 1, width - 1), np.minimum(j + 1, height - 1)
    a, b = values[j][:, i], values[j][:, i1]
    c, d = values[j1][:, i], values[j1][:, i1]
    low = np.minimum(np.minimum(a, b), np.minimum(c, d))
    high = np.maximum(np.maximum(a, b), np.maximum(c, d))
    mixed = (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy
    near = values[_nearest(height, size[1])][:, _nearest(width, size[0])]
    with np.errstate(invalid="ignore"):
        out: Array = np.where(high - low < _SMOOTH, mixed, near)  # NaN compares as false: nearest
    return (out * np.float32(size[0] / width)).astype(np.float32)
