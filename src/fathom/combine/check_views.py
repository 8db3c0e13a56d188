"""What the pair check sees without matching: sizes, types, calibration, light."""

from dataclasses import dataclass

import numpy as np

from fathom.combine.check_finding import Finding, certainty_above, plain
from fathom.combine.check_matches import reduced
from fathom.core.arrays import Array, Float64, UInt8
from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.pair import View
from fathom.geometry.plausible import FARTHEST, implausibilities, implausible_baseline

SMALLEST = 32


@dataclass(frozen=True, eq=False)
class Light:
    """A view reduced to grey, and the distribution of its grey values.

    gray: of the view's type. levels: float64 (100,), the percentiles 0.5, 1.5 ... 99.5.
    full: the largest value the type holds.
    """

    gray: Array
    levels: Float64[np.ndarray, "100"]
    full: int

    @classmethod
    def of(cls, view: View) -> "Light":
        """The light of one view."""
        gray = reduced(view.image)
        count = np.bincount(gray.ravel())
        share = (np.cumsum(count) - count / 2) / gray.size
        seen = count > 0
        levels = np.interp(np.arange(0.005, 1, 0.01), share[seen], np.flatnonzero(seen))
        return cls(gray, levels, int(np.iinfo(gray.dtype).max))

    @property
    def span(self) -> float:
        """Between the darkest and the lightest half percent, in grey levels."""
        return float(self.levels[-1] - self.levels[0])

    @property
    def is_flat(self) -> bool:
        """Less than four grey levels (of 256) or sixteen (of 65536) between dark and light."""
        return self.span < (4 if self.full == 255 else 16)


def comparable(
    left: Light, right: Light
) -> tuple[UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "h w"]]:
    """Both views in 8 bits: the left one stretched, the right one with the same distribution.

    So a different exposure or gamma does not hinder the matching of points.
    """
    import cv2

    bright = np.clip((left.levels - left.levels[0]) * (255 / max(left.span, 1)), 0, 255)
    images: list[Array] = []
    for light in (left, right):
        table = np.interp(np.arange(light.full + 1), *_rising(light.levels, bright))
        table = np.rint(table).astype(np.uint8)
        images.append(cv2.LUT(light.gray, table) if light.full == 255 else table[light.gray])
    return images[0], images[1]


def _rising(levels: Array, targets: Array) -> tuple[Array, Array]:
    """Equal levels (a black or white border) folded into one, as interpolation needs."""
    unique, first, count = np.unique(levels, return_index=True, return_counts=True)
    return unique, np.add.reduceat(targets, first) / count


def check_sizes(left: View, right: View) -> list[Finding]:
    """`size-differs`, `depth-differs` and `too-small`."""
    found = []
    if left.size != right.size:
        found.append(
            Finding(
                "size-differs",
                f"the left image has {_wxh(left.size)} pixels, the right one {_wxh(right.size)}",
                1.0,
                "give two images of equal size; resize or crop neither alone unless its "
                "calibration goes along",
            )
        )
    bits = [8 * view.image.dtype.itemsize for view in (left, right)]
    if bits[0] != bits[1]:
        found.append(
            Finding(
                "depth-differs",
                f"the left image has {bits[0]} bits a channel, the right one {bits[1]}",
                1.0,
                "save both images with the same bit depth",
            )
        )
    least = min(*left.size, *right.size)
    if least < SMALLEST:
        found.append(
            Finding(
                "too-small",
                f"an image is only {least} pixels wide or high, too little to match or to check",
                1.0,
                f"give images of at least {SMALLEST} pixels, better some hundred",
                float(least),
                "px",
            )
        )
    return found


def check_calibration(
    size: tuple[int, int], calibration: StereoRig | StereoCalibration | None
) -> list[Finding]:
    """`calibration-size`, `calibration-implausible` and `baseline-implausible`."""
    if calibration is None:
        return []
    found = []
    differing = [c.size for c in (calibration.left, calibration.right) if c.size != size]
    if differing:
        theirs = differing[0]
        factors = size[0] / theirs[0], size[1] / theirs[1]
        times = factors[0] if abs(factors[0] / factors[1] - 1) < 0.01 else None
        message = f"the calibration is for {_wxh(theirs)} pixels, the images have {_wxh(size)}"
        remedy = "give the calibration of these images, uncropped and of this size"
        if times is not None:
            message += f", {plain(times)} times the calibration's size"
            remedy = (
                f"multiply fx, fy, cx, cy and doffs of the calibration by {plain(times)} "
                "(the baseline stays), or give the images in the size that was calibrated"
            )
        found.append(Finding("calibration-size", message, 1.0, remedy, times, "x" if times else ""))
    return [*found, *_implausible(calibration)]


def _implausible(calibration: StereoRig | StereoCalibration) -> list[Finding]:
    """What no two real cameras have: geometry/plausible.py knows, one line each."""
    baseline = calibration.baseline
    about_baseline = implausible_baseline(baseline, calibration.left.fx)
    found = []
    for line in implausibilities(calibration):
        if line not in about_baseline:
            remedy = "give the calibration of these images, scaled when they were resized"
            found.append(Finding("calibration-implausible", line, 0.85, remedy))
            continue
        far = baseline > FARTHEST
        way, unit = ("far", "mm") if far else ("near", "m")
        found.append(
            Finding(
                "baseline-implausible",
                f"the calibration says the cameras stand {plain(baseline)} m apart, "
                f"implausibly {way}",
                0.9,
                f"check the unit of the calibration's lengths; if they are {unit}: --unit {unit}",
                baseline,
                "m",
            )
        )
    return found


def check_light(left: Light, right: Light) -> list[Finding]:
    """`exposure`: how far apart the grey values of the two views are.

    Reported are one and a half times the brightness or contrast, and a sixth of the pixels clipped
    in one view only. On the Motorcycle pair a gain of 0.6 costs OpenCV's SGBM a third more bad
    pixels (census matchers hardly any), and a gain of 2, which clips 40 %, more than doubles
    those of both; real pairs of one exposure differ by less than 1.15.
    """
    if left.full != right.full:
        return []
    mean = [max(float(light.levels.mean()), 0.5) for light in (left, right)]
    contrast = [max(float(light.levels.std()), 0.5) for light in (left, right)]
    measure, kind = (mean, "bright")
    if _ratio(contrast) > _ratio(mean):
        measure, kind = (contrast, "rich in contrast")
    times = _ratio(measure)
    certainty = certainty_above(float(np.log(times)), float(np.log(1.42)), 0.07)
    # Two dark images of a few grey levels differ by rounding and noise.
    if left.full == 255 and float(np.abs(left.levels - right.levels).mean()) < 4:
        certainty = 0.0
    clipped = [float((light.levels >= 0.99 * light.full).mean()) for light in (left, right)]
    certainty = max(certainty, certainty_above(abs(clipped[0] - clipped[1]), 0.13, 0.03))
    more, less = ("right", "left") if measure[1] > measure[0] else ("left", "right")
    return [
        Finding(
            "exposure",
            f"the {more} image is {plain(times)} times as {kind} as the {less} one "
            f"(clipped to white: {clipped[0]:.0%} left, {clipped[1]:.0%} right)",
            certainty,
            "lock exposure, gain and white balance of both cameras to the same values",
            times,
            "x",
        )
    ]


def check_flat(left: Light, right: Light) -> list[Finding]:
    """`flat`: an image without content."""
    sides = [s for s, light in (("left", left), ("right", right)) if light.is_flat]
    if not sides:
        return []
    spans = [plain(light.span) for light in (left, right) if light.is_flat]
    subject = "both images are" if len(sides) == 2 else f"the {sides[0]} image is"
    return [
        Finding(
            "flat",
            f"{subject} one even tone: {' and '.join(spans)} grey levels from dark to light",
            1.0,
            "check that lens caps, exposure and files are right",
            float(min(light.span for light in (left, right))),
            "grey levels",
        )
    ]


def _ratio(two: list[float]) -> float:
    return max(two) / min(two)


def _wxh(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
