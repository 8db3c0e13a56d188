"""The pair check: is this pair fit to be matched, and if not, what is wrong and what to do?"""

from dataclasses import dataclass, replace

from fathom.combine.check_finding import REPORTED, Finding
from fathom.combine.check_geometry import (
    check_content,
    check_identical,
    check_infinity,
    check_order,
    check_vertical,
)
from fathom.combine.check_matches import Matches, match_views
from fathom.combine.check_rows import Rows, fit_rows
from fathom.combine.check_uneven import check_rows, check_stale
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

__all__ = ["Examination", "Finding", "check_pair", "examine"]


@dataclass(frozen=True, eq=False)
class Examination:
    """What the pair check found, and what it looked at.

    findings: as `check_pair` gives them. matches: the points seen in both views, in pixels, or
    None where none were looked for. rows: how the rows disagree, or None where too few points tell.
    """

    findings: list[Finding]
    matches: Matches | None = None
    rows: Rows | None = None

    @property
    def codes(self) -> frozenset[str]:
        """The codes of all findings."""
        return frozenset(finding.code for finding in self.findings)

    @property
    def row_error(self) -> float | None:
        """Root mean square in pixels of the row differences of the points that agree with the
        model of the rows, its own noise left out; None where too few points tell."""
        return None if self.rows is None else self.rows.total


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
    `calibration-implausible`, `baseline-implausible`, `stale-calibration` (px), `exposure`,
    `unrelated`, `mirrored`, `rotated`, `identical`, `vertical-rig`, `swapped`,
    `negative-disparity`, and for rows that disagree `unrectified` (px), with `roll` (degrees),
    `scale` (%) and `curve` (px) told apart. The same views give the same findings. At most 1.2
    megapixels of each view are looked at, the size of a row error is given in pixels of the full
    image.
    """
    return examine(left, right, calibration, rectified=rectified).findings


def examine(
    left: View,
    right: View,
    calibration: StereoRig | StereoCalibration | None = None,
    *,
    rectified: bool = True,
) -> Examination:
    """As `check_pair`, with the points and the model of the rows that the findings rest on."""
    found = [*check_sizes(left, right), *check_calibration(left.size, calibration)]
    seen = Examination([])
    if not any(finding.code == "too-small" for finding in found):
        lights = Light.of(left), Light.of(right)
        flat = check_flat(*lights)
        found += flat
        if not flat and left.size == right.size:
            seen = _examine_images(left.size, lights, calibration, rectified)
            found += seen.findings
    sure = [finding for finding in found if finding.certainty >= REPORTED]
    return replace(seen, findings=sorted(sure, key=lambda finding: -finding.certainty))


def _examine_images(
    size: tuple[int, int],
    lights: tuple[Light, Light],
    calibration: StereoRig | StereoCalibration | None,
    rectified: bool,
) -> Examination:
    """What is found by matching points of two views of equal `size` (width, height)."""
    images = comparable(*lights)
    matches = match_views(*images, size)
    strange = check_content(*images, matches)
    if any(finding.code != "flat" for finding in strange):
        return Examination(strange)  # what foreign or turned images differ in has no meaning
    light = check_light(*lights)
    pixel = size[0] / images[0].shape[1]
    for test in (check_identical(matches, pixel), check_vertical(matches)):
        if any(finding.certainty >= REPORTED for finding in test):
            return Examination([*strange, *light, *test], matches)
    rig = calibration if isinstance(calibration, StereoRig) else None
    rows = fit_rows(matches, size)
    order = check_order(matches, rows, 0.0 if rig is None else rig.doffs, size, pixel)
    uneven = check_rows(rows, _remedy(calibration)) if rectified else []
    stale = check_stale(uneven, rows) if rig is not None else []
    if rig is not None and not any(f.certainty >= REPORTED for f in (*order, *stale)):
        stale += check_infinity(matches, rig.doffs)
    moved = [weighed(finding, matches) for finding in (*uneven, *stale)]
    return Examination([*strange, *light, *order, *moved], matches, rows)


def weighed(finding: Finding, matches: Matches) -> Finding:
    """A finding that rests on a model of the rows: it is no surer than the model."""
    return replace(finding, certainty=finding.certainty * min(1.0, matches.trust / 0.95))


def _remedy(calibration: StereoRig | StereoCalibration | None) -> str:
    if isinstance(calibration, StereoCalibration):
        return "rectify the pair with this calibration (leave out --rectified), or calibrate again"
    if isinstance(calibration, StereoRig):
        return "rectify the pair; if this calibration did it, calibrate again: the rig has moved"
    return "rectify the pair: give the raw calibration with --calib, or calibrate again"
