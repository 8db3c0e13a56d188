"""The pair check: is this pair fit to be matched, and if not, what is wrong and what to do?"""

from fathom.combine.check_finding import REPORTED, Finding
from fathom.combine.check_geometry import (
    check_content,
    check_identical,
    check_order,
    check_rows,
    check_vertical,
)
from fathom.combine.check_matches import match_views
from fathom.combine.check_rows import fit_rows
from fathom.combine.check_views import (
    Light,
    check_calibration,
    check_flat,
    check_light,
    check_sizes,
    comparable,
)
from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.pair import View

__all__ = ["Finding", "check_pair"]


def check_pair(
    left: View,
    right: View,
    calibration: StereoRig | StereoCalibration | None = None,
    *,
    rectified: bool = True,
) -> list[Finding]:
    """What is wrong with two views as a stereo pair; an empty list if nothing was found.

    left, right: any two views, also of different size or type, of noise or of one colour.
    calibration: the rig of the pair, where one is known. rectified: rows are expected to agree;
    False for a raw pair that is rectified later.

    Findings come with the surest first, those less sure than 0.8 are left out. Codes:
    `size-differs`, `depth-differs`, `too-small`, `flat`, `calibration-size`,
    `baseline-implausible`, `exposure`, `unrelated`, `mirrored`, `rotated`, `identical`,
    `vertical-rig`, `swapped`, `negative-disparity`, `unrectified` (size in pixels of row error)
    and `scale` (size in percent). The same views give the same findings. At most 1.2 megapixels
    of each view are looked at, the size of a row error is given in pixels of the full image.
    """
    found = [*check_sizes(left, right), *check_calibration(left.size, calibration)]
    if not any(finding.code == "too-small" for finding in found):
        lights = Light.of(left), Light.of(right)
        flat = check_flat(*lights)
        found += flat
        if not flat and left.size == right.size:
            found += _check_images(left.size, lights, calibration, rectified)
    sure = [finding for finding in found if finding.certainty >= REPORTED]
    return sorted(sure, key=lambda finding: -finding.certainty)


def _check_images(
    size: tuple[int, int],
    lights: tuple[Light, Light],
    calibration: StereoRig | StereoCalibration | None,
    rectified: bool,
) -> list[Finding]:
    """What is found by matching points of two views of equal `size` (width, height)."""
    images = comparable(*lights)
    matches = match_views(*images, size)
    strange = check_content(*images, matches)
    if any(finding.code != "flat" for finding in strange):
        return strange  # what foreign or turned images differ in has no meaning
    light = check_light(*lights)
    pixel = size[0] / images[0].shape[1]
    for test in (check_identical(matches, pixel), check_vertical(matches)):
        if any(finding.certainty >= REPORTED for finding in test):
            return [*strange, *light, *test]
    doffs = calibration.doffs if isinstance(calibration, StereoRig) else 0.0
    rows = fit_rows(matches, size)
    order = check_order(matches, rows, doffs, size, pixel)
    uneven = check_rows(rows, _remedy(calibration)) if rectified else []
    return [*strange, *light, *order, *uneven]


def _remedy(calibration: StereoRig | StereoCalibration | None) -> str:
    if isinstance(calibration, StereoCalibration):
        return "rectify the pair with this calibration (leave out --rectified), or calibrate again"
    if isinstance(calibration, StereoRig):
        return "rectify the pair; if this calibration did it, calibrate again: the rig has moved"
    return "rectify the pair: give the raw calibration with --calib, or calibrate again"
