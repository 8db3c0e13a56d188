"""A pair mended: exchanged views put in order, upright rigs turned, rows brought together."""

from dataclasses import dataclass, replace

import numpy as np

from fathom.combine.check import Examination, examine
from fathom.combine.check_finding import Finding
from fathom.combine.check_fix import RowFix, fit_row_fix
from fathom.core.camera import Camera, StereoRig
from fathom.core.pair import View

ROWS = frozenset({"unrectified", "roll", "scale", "curve"})
"""Codes of findings about rows that disagree."""


@dataclass(frozen=True, eq=False)
class Mended:
    """What became of a pair.

    left, right, rig: the pair as it is now; the very same objects where nothing was done.
    found: the check of the pair as it came. ordered: the views once they were exchanged or turned,
    ahead of the rows. before: their check. after: the check of what is here now. done: what was
    done, a sentence each. turned: degrees by which both images were turned clockwise (0, 90, -90).
    fix: the correction of the rows, None where there was none.
    """

    left: View
    right: View
    rig: StereoRig | None
    found: Examination
    ordered: tuple[View, View]
    before: Examination
    after: Examination
    done: tuple[str, ...] = ()
    turned: int = 0
    fix: RowFix | None = None

    @property
    def remaining(self) -> list[Finding]:
        """What could not be mended, and what to do about it."""
        return self.after.findings


def mend_pair(left: View, right: View, rig: StereoRig | None = None) -> Mended:
    """The pair with everything mended that can be mended from the images alone.

    left, right: any two views. rig: of the rectified pair, where one is known.

    Exchanged views are exchanged back. A pair of cameras above each other is turned by 90 degrees,
    its rig with it. Rows that disagree by a constant, a roll, a magnification or a curve are
    brought together by `RowFix`; a constant and a curve move rows only, so that no disparity
    changes, and the rig stays what it was. Nothing else is touched, and rows that would not agree
    better are left as they are: see `Mended.remaining`.
    """
    found = before = examine(left, right, rig)
    done: list[str] = []
    turned = 0
    for _ in range(2):  # a rig above each other may be exchanged as well
        if "vertical-rig" in before.codes:
            turned = _way(before)
            left, right = (_turned_view(view, turned) for view in (left, right))
            rig = None if rig is None else _turned_rig(rig, turned)
            way = "clockwise" if turned > 0 else "counter-clockwise"
            done.append(f"both images turned by 90 degrees {way}")
        elif "swapped" in before.codes:
            left, right = right, left
            done.append("left and right exchanged")
        else:
            break
        before = examine(left, right, rig)
    ordered = (left, right)
    mended = Mended(left, right, rig, found, ordered, before, before, tuple(done), turned)
    return _rows_mended(mended) if before.codes & ROWS else mended


def _rows_mended(mended: Mended) -> Mended:
    """`mended` with its rows brought together, or as it is if that does not make them better."""
    matches, rows = mended.before.matches, mended.before.rows
    if matches is None or rows is None:
        return mended
    rig = mended.rig
    centre = None if rig is None else (rig.right.cx, rig.right.cy)
    fix = fit_row_fix(matches, mended.left.size, centre)
    if fix is None:
        return mended
    left = View(fix.left_image(mended.left.image)) if fix.moves_left else mended.left
    right = View(fix.right_image(mended.right.image))
    if rig is not None:
        rig = replace(rig, right=replace(rig.right, cy=rig.left.cy))
    after = examine(left, right, rig)
    if after.rows is None or after.rows.total >= 0.8 * rows.total:
        return mended
    said = f"rows brought together: {', '.join(_described(fix))}"
    return replace(
        mended, left=left, right=right, rig=rig, after=after, done=(*mended.done, said), fix=fix
    )


def _described(fix: RowFix) -> list[str]:
    parts = []
    if abs(fix.shift) >= 0.05:
        way = "up" if fix.shift > 0 else "down"
        parts.append(f"right image moved {way} by {abs(fix.shift):.2f} px")
    if fix.roll:
        turn = "counter-clockwise" if fix.roll > 0 else "clockwise"
        parts.append(f"right image turned {turn} by {abs(fix.roll):.2f} degrees")
    if fix.scale:
        zoom = "shrunk" if fix.scale > 0 else "enlarged"
        parts.append(f"right image {zoom} by {100 * abs(fix.scale):.2f} %")
    if any(fix.quadratic) or fix.lens_right:
        parts.append("right image unbent")
    if fix.lens_both:
        parts.append("lens distortion taken out of both images")
    return parts


def _way(seen: Examination) -> int:
    """90 (clockwise) or -90: the turn after which points lie further left in the second view."""
    rise = 0.0 if seen.matches is None else float(np.median(seen.matches.rise))
    return 90 if rise > 0 else -90


def _turned_view(view: View, degrees: int) -> View:
    return View(np.ascontiguousarray(np.rot90(view.image, -degrees // 90)))


def _turned_rig(rig: StereoRig, degrees: int) -> StereoRig:
    """The rig of both images turned clockwise by 90 or -90 degrees; the baseline stays."""
    left, right = (_turned_camera(camera, degrees) for camera in (rig.left, rig.right))
    return StereoRig(left, replace(right, cy=left.cy), rig.baseline)


def _turned_camera(camera: Camera, degrees: int) -> Camera:
    if degrees > 0:  # new x = height - 1 - y, new y = x
        cx, cy = camera.height - 1 - camera.cy, camera.cx
    else:  # new x = y, new y = width - 1 - x
        cx, cy = camera.cy, camera.width - 1 - camera.cx
    return Camera(camera.height, camera.width, camera.fy, camera.fx, cx, cy)
