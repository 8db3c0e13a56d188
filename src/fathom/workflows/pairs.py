"""Reading a pair: two images (or one that holds both), a calibration, and what was done to them."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from fathom.core.arrays import Bool
from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.core.pair import StereoPair, View
from fathom.geometry.opencv_rig import opencv_rig
from fathom.geometry.rectify import Crop, rectify
from fathom.geometry.resize import nearest_indices, resize_pair

Layout = Literal["side-by-side", "side-by-side-swapped", "over-under", "over-under-swapped"]
LAYOUTS = ("side-by-side", "side-by-side-swapped", "over-under", "over-under-swapped")
Unit = Literal["m", "cm", "mm"]

_log = logging.getLogger("fathom")


@dataclass(frozen=True)
class PairOptions:
    """How a pair is read."""

    calib: Path | str | None = option(
        None,
        "calibration file of any format (or two: left.yaml,right.yaml); default: one beside them",
        flags=("--calibration", "--intrinsic_file"),
        metavar="FILE",
    )
    focal: float | None = option(
        None, "focal length of the rectified pair in pixels, instead of a file", metavar="PX"
    )
    baseline: float | None = option(
        None, "distance of the cameras in metres, instead of a file", metavar="M"
    )
    layout: Layout | None = option(None, "how one image holds both views")
    rectified: bool = option(
        False, "the images are rectified already, even if the calibration is raw"
    )
    scale: float = option(
        1.0,
        "resize both images (and the calibration) first; results have the new size",
        metavar="S",
    )
    unit: Unit | None = option(
        None,
        "unit of lengths in calibration formats that state none (default m)",
        flags=("--calib-unit",),
    )
    crop: Crop = option(
        "valid",
        "what a rectified pair shows: `valid`, only what both cameras saw; `all`, every raw pixel",
    )

    def __post_init__(self) -> None:
        if (self.focal is None) != (self.baseline is None):
            missing = "baseline" if self.baseline is None else "focal"
            raise UsageError(
                "focal length and baseline belong together",
                field=missing,
                expected="both (pixels and metres), or neither",
            )
        if self.focal is not None and self.calib is not None:
            raise UsageError(
                "metres come from a calibration file or from numbers, not from both",
                field="focal",
                remedy="give either --calib, or --focal and --baseline",
            )
        if self.layout is not None and self.layout not in LAYOUTS:
            raise UsageError(
                "is no layout fathom knows",
                field="layout",
                value=self.layout,
                expected=" or ".join(LAYOUTS),
            )
        if self.crop not in ("valid", "all"):
            raise UsageError("is no crop", field="crop", value=self.crop, expected="valid or all")
        if self.unit not in (None, "m", "cm", "mm"):
            raise UsageError(
                "is no unit fathom knows", field="unit", value=self.unit, expected="m, cm or mm"
            )


@dataclass(frozen=True, eq=False)
class LoadedPair:
    """A pair that is ready to be matched, and how it came to be.

    changed: the pair differs from the files (rectified, scaled or split). turned: degrees by which
    both images were turned clockwise (0, 90, -90), because their cameras stand above each other.
    unseen: bool (h, w), the pixels of the left view that no camera saw; None if there are none.
    notes: what a user should know, one sentence each.
    """

    pair: StereoPair
    calibration: StereoRig | StereoCalibration | None = None
    calibration_file: Path | None = None
    rectified_here: bool = False
    changed: bool = False
    turned: int = 0
    unseen: Bool[np.ndarray, "h w"] | None = None
    notes: tuple[str, ...] = ()


def read_pair(
    left: str | Path,
    right: str | Path | None = None,
    *,
    calib: str | Path | None = None,
    focal: float | None = None,
    baseline: float | None = None,
    layout: Layout | None = None,
    rectified: bool = False,
    scale: float = 1.0,
    unit: Unit | None = None,
    crop: Crop = "valid",
) -> StereoPair:
    """The rectified pair in two files, with its rig where a calibration is known.

    left, right: image files; right is None if one image holds both views (`layout`).
    calib: a calibration file in any format that fathom reads; without it, a `calib.txt` (or the
    like) beside the left image is taken. A raw calibration (distortion, rotation) rectifies the
    images, and the logger "fathom" says so, unless `rectified` declares it done. crop: "valid" or
    "all", as in `fathom.rectify`. Cameras above each other: the images are turned by 90 degrees.
    focal, baseline: pixels and metres, instead of a file. scale: resizes images and rig.
    unit: of lengths in calibration formats that do not state one (default metres).

    Raises `InputError` for an image or a calibration that cannot serve, `UsageError` for options
    that contradict each other.
    """
    options = PairOptions(calib, focal, baseline, layout, rectified, scale, unit, crop)
    loaded = load_pair(Path(left), None if right is None else Path(right), options)
    for note in loaded.notes:
        _log.warning(note)
    return loaded.pair


def read_views(left: Path, right: Path | None, layout: Layout | None) -> tuple[View, View]:
    """The two views as they are in the files, of any size.

    Raises `UsageError` if there is one image and no layout, or two and a layout.
    """
    from fathom.io.images import read_image, read_view, split_layout

    if right is not None:
        if layout is not None:
            raise UsageError(
                "a layout is for one image that holds both views, and two were given",
                field="layout",
                value=layout,
                remedy="leave it out, or give one image",
            )
        return read_view(left), read_view(right)
    if layout is None:
        raise UsageError(
            "a stereo method needs two images",
            field="RIGHT",
            remedy="give the right image, or say how one image holds both: --layout side-by-side",
        )
    halves = split_layout(read_image(left), layout)
    return View(halves[0]), View(halves[1])


def load_pair(left: Path, right: Path | None, options: PairOptions) -> LoadedPair:
    """As `read_pair`, with everything that is worth knowing about how the pair came to be."""
    views = read_views(left, right, options.layout)
    return pair_of_views(*views, left, right, options)


def pair_of_views(
    left: View, right: View, left_file: Path, right_file: Path | None, options: PairOptions
) -> LoadedPair:
    """The pair of two views that were read from these files, calibrated as `options` say."""
    if left.image.dtype != right.image.dtype:
        raise InputError(
            "the two images differ in bit depth",
            file=right_file,
            field="type",
            value=right.image.dtype,
            expected=f"{left.image.dtype} as {left_file}",
        )
    calibration, file = find_and_read_calibration(left.size, left_file, options)
    # Only a raw calibration makes one size of two, and only if it is for these two.
    raw = isinstance(calibration, StereoCalibration) and not options.rectified
    if left.size != right.size and not (raw and _unequal(calibration)):
        raise InputError(
            "the two images differ in size",
            file=right_file,
            field="size",
            value=f"{right.size[0]}x{right.size[1]}",
            expected=f"{left.size[0]}x{left.size[1]} as {left_file}",
        )
    loaded = _calibrated(left, right, calibration, file, options)
    if options.focal is not None:
        note = "the principal point is taken to be the middle of the image (no calibration file)"
        loaded = replace(loaded, notes=(*loaded.notes, note))
    if options.scale != 1:
        loaded = _scaled(loaded, options.scale)
    return replace(loaded, changed=loaded.changed or options.layout is not None)


def find_and_read_calibration(
    size: tuple[int, int], left_file: Path, options: PairOptions, *, any_size: bool = False
) -> tuple[StereoRig | StereoCalibration | None, Path | None]:
    """The calibration of images of `size` (width, height) that lie at `left_file`, and its file.

    any_size: a calibration that states another size is no error; whoever asks will judge it.
    Raises `InputError` for a file that is no calibration, or (unless any_size) of another size.
    """
    from fathom.io.calibration import cameras_of, find_calibration, read_calibration

    if options.focal is not None and options.baseline is not None:
        return StereoRig.simple(*size, options.focal, options.baseline), None
    file = find_calibration(left_file) if options.calib is None else Path(options.calib)
    if file is None:
        return None, None

    def read(image_size: tuple[int, int] | None) -> StereoRig | StereoCalibration:
        return read_calibration(
            file,
            image_size=image_size,
            unit=options.unit,
            cameras=cameras_of(left_file),
            rectified=options.rectified,
        )

    try:
        return read(size), file
    except InputError as error:
        if not any_size or error.field != "image size":
            raise
        return read(None), file


def _unequal(calibration: StereoRig | StereoCalibration | None) -> bool:
    return calibration is not None and calibration.left.size != calibration.right.size


def _calibrated(
    left: View,
    right: View,
    calibration: StereoRig | StereoCalibration | None,
    file: Path | None,
    options: PairOptions,
) -> LoadedPair:
    if not isinstance(calibration, StereoCalibration):
        return LoadedPair(StereoPair(left, right, calibration), calibration, file)
    from fathom.io.files import in_file

    with in_file(file or "calibration"):
        if options.rectified:
            note = (
                "the calibration is raw and the images were declared rectified: focal length and "
                "principal point are those of OpenCV's stereoRectify (all pixels valid)"
            )
            pair = StereoPair(left, right, opencv_rig(calibration))
            return LoadedPair(pair, calibration, file, notes=(note,))
        rectification = rectify(calibration, crop=options.crop)
        pair = rectification(left, right)
    unseen = ~rectification.left_mask
    return LoadedPair(
        pair,
        calibration,
        file,
        rectified_here=True,
        changed=True,
        turned=rectification.turned,
        unseen=unseen if unseen.any() else None,
        notes=(f"{file}: raw calibration, so the pair was rectified first", *rectification.notes),
    )


def _scaled(loaded: LoadedPair, scale: float) -> LoadedPair:
    pair, unseen = resize_pair(loaded.pair, scale), loaded.unseen
    if unseen is not None:
        rows, columns = (
            nearest_indices(old, new) for old, new in zip(unseen.shape, pair.shape, strict=True)
        )
        unseen = unseen[np.ix_(rows, columns)]
    return replace(loaded, pair=pair, unseen=unseen, changed=True)
