"""What the pair check concludes from matched points."""

import numpy as np

from fathom.combine.check_finding import Finding, certainty_above, plain
from fathom.combine.check_matches import Matches, match_views, shrink
from fathom.combine.check_rows import Rows
from fathom.core.arrays import Array

_ENOUGH = 12  # points that a statement about signs or rows needs
_RELATED = 0.018  # of the corners; real pairs reach 0.2 and more, foreign images 0.01
_CHANCE = 10  # points that foreign images may agree in by chance, at most
SWAPPED = "swapped"
SWAPPED_SHARE = 0.88  # of the points that moved, from which on the views look exchanged
MOVED = 0.75  # pixels of a matched image that a point has to move to have a direction
_TURNS = (
    ("mirrored", "one image is a mirror image of the other", (slice(None), slice(None, None, -1))),
    ("rotated", "one image stands on its head", (slice(None, None, -1), slice(None, None, -1))),
    (
        "mirrored",
        "one image is upside down and mirrored",
        (slice(None, None, -1), slice(None)),
    ),
)


def check_content(left: Array, right: Array, matches: Matches) -> list[Finding]:
    """`flat` for images without corners; `unrelated`, `mirrored` or `rotated` without matches.

    left, right: the comparable grey images that were matched. Nothing of it is found in a pair
    whose points agree.
    """
    agree = max(matches.rows, matches.columns)
    if matches.corners < _ENOUGH and min(left.shape) >= 100:
        return [
            Finding(
                "flat",
                f"an image shows hardly any texture: {matches.corners} corners were found",
                0.9,
                "give images with more structure, sharper or better lit",
                float(matches.corners),
                "corners",
            )
        ]
    share = agree / max(matches.corners, 1)
    if matches.corners < 5 * _ENOUGH or share >= 0.12 or _returning(matches):
        return []
    small = [shrink(image, 60_000) for image in (left, right)]
    for code, message, turn in _TURNS:
        turned = np.ascontiguousarray(small[1][turn])
        other = match_views(small[0], turned, small[0].shape[::-1])
        if max(other.rows, other.columns) > 3 * max(0.03, share) * other.corners:
            return [Finding(code, message, 0.97, "turn it back and check again")]
    if share >= _RELATED and agree >= _CHANCE:
        return []
    return [
        Finding(
            "unrelated",
            f"the two images hardly agree: {agree} of {matches.corners} points",
            1 - 0.1 * agree / max(_RELATED * matches.corners, _CHANCE),
            "give two views of one scene taken at the same moment",
            share,
            "share of points",
        )
    ]


def _returning(matches: Matches) -> bool:
    """Whether many points were found again along the model and tracked there and back.

    A chessboard's squares look alike, so that hardly one first match is unambiguous (1 % of the
    corners); 15 % come back. Of foreign images at most 0.3 % do.
    """
    return len(matches) >= max(2 * _ENOUGH, 0.08 * matches.corners)


def check_identical(matches: Matches, pixel: float) -> list[Finding]:
    """`identical`: nothing moved between the views. pixel: side of a matched pixel, full pixels."""
    if len(matches) < _ENOUGH or matches.vertical:
        return []
    moved = np.hypot(matches.disparity, matches.rise)
    # JPEG moves points by a third of a pixel; real pairs keep 5 % of theirs below this limit.
    still = float((moved < 0.75 * pixel).mean())
    median = float(np.median(moved))
    return [
        Finding(
            "identical",
            f"the two images are the same: {still:.0%} of {len(matches)} points lie in the same "
            "place",
            certainty_above(still, 0.65, 0.1) if median < 0.4 * pixel else 0.0,
            "give two different views; from one camera, or of a scene too far for this baseline, "
            "there is no depth",
            median,
            "px",
        )
    ]


def check_vertical(matches: Matches) -> list[Finding]:
    """`vertical-rig`: the points move along columns, as between a camera above and one below."""
    if len(matches) < _ENOUGH or not (matches.vertical or _only_rises(matches)):
        return []
    rise = float(np.median(matches.rise))
    if abs(rise) < 2:
        return []
    way = "counter-clockwise" if rise < 0 else "clockwise"
    return [
        Finding(
            "vertical-rig",
            f"points move along columns, by {plain(abs(rise))} px in the middle: one camera stood "
            "above the other",
            0.98,
            f"turn both images by 90 degrees {way}",
            abs(rise),
            "px",
        )
    ]


def _only_rises(matches: Matches) -> bool:
    """Columns agree to a fraction of a pixel, and rows differ by what goes with depth.

    A scene near one plane is explained by a linear model along either axis; but a roll or a
    magnification that moved rows so unevenly would move columns, too.
    """
    columns, rows = (np.percentile(shift, (5, 95)) for shift in (matches.disparity, matches.rise))
    rows_reach, columns_reach = float(np.ptp(rows)), float(np.ptp(columns))
    return float(np.abs(columns).max()) < 0.5 and rows_reach > max(1.0, 4 * columns_reach)


def check_infinity(matches: Matches, doffs: float) -> list[Finding]:
    """`stale-calibration` where points would lie behind infinity: d + doffs < 0.

    Only a rig with doffs can say so: without, `check_order` speaks of negative disparities.
    """
    beyond = matches.disparity + doffs
    share = float((beyond < -1.5).mean()) if len(matches) >= _ENOUGH and abs(doffs) > 1 else 0.0
    far = float(-np.percentile(beyond, 2)) if share else 0.0
    return [
        Finding(
            "stale-calibration",
            f"{share:.0%} of {len(matches)} points would lie behind infinity with this "
            f"calibration, by up to {plain(far)} px: its principal points (doffs "
            f"{plain(doffs)} px) are not those of these images",
            certainty_above(share, 0.17, 0.04),
            "give the calibration of these images; check the sign of doffs, and that neither "
            "image was cropped alone",
            far,
            "px",
        )
    ]


def check_order(
    matches: Matches, rows: Rows | None, doffs: float, size: tuple[int, int], pixel: float
) -> list[Finding]:
    """`swapped`, or `negative-disparity` where only a part of the points lies beyond zero.

    rows: a roll or magnification, that is taken out first. doffs: of the rig, pixels. size:
    (width, height). A point in front of two parallel cameras lies further left in the right
    image; in exchanged images every point lies further right.
    """
    disparity = matches.disparity
    if rows is not None:
        x, y = (matches.right - (np.array(size) - 1) / 2).T
        disparity = disparity + rows.scale * x - np.tan(np.radians(rows.roll)) * y
    ahead = int((disparity > MOVED * pixel).sum())
    behind = int((disparity < -MOVED * pixel).sum())
    signed = ahead + behind
    if signed < _ENOUGH:
        return []
    share = behind / signed
    if share >= SWAPPED_SHARE:
        explained = doffs > 1 and float((disparity + doffs > 0).mean()) > 0.95
        lowest = int(np.floor(np.percentile(disparity, 2)))
        hint = f"; if they are in order, search from --min-disparity {lowest}" if explained else ""
        return [
            Finding(
                SWAPPED,
                f"left and right look exchanged: {share:.0%} of {signed} points lie further right "
                "in the right image",
                (behind - 0.5 * ahead) / (signed + 1) * (0.9 if explained else 1),
                "give the two images in the other order" + hint,
                share,
                "share of points",
            )
        ]
    far = float(np.percentile(disparity[disparity < 0], 10)) if behind else 0.0
    if behind < _ENOUGH or far > -2:
        return []
    return [
        Finding(
            "negative-disparity",
            f"{share:.0%} of {signed} points have a negative disparity, down to {plain(far)} px "
            "(the cameras look towards each other, or the images were cropped)",
            # A chessboard's wrong matches make up to a sixth.
            certainty_above(share, 0.17, 0.04),
            f"search from there: --min-disparity {int(np.floor(far)) - 1}",
            abs(far),
            "px",
        )
    ]
