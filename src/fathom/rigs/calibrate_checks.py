"""Which views cannot determine a rig, said before numbers come out that look like one."""

from collections.abc import Sequence

import numpy as np

from fathom.core.arrays import Float64
from fathom.core.camera import StereoCalibration
from fathom.core.errors import InputError
from fathom.rigs.boards import Board
from fathom.rigs.bundle import RefinedRig
from fathom.rigs.calibrate_views import BoardView, DroppedView

FEWEST = 3
"""Views in different poses without which nothing can be determined."""
_UNSURE = 0.05  # one sigma of the focal length, as a share of it, that no use can be made of
_FLAT = 1.05  # nearest over farthest part of a board in every view, below which none is slanted


def require_slants(views: Sequence[BoardView], board: Board) -> None:
    """Refuses boards that all face the camera: they look the same at any focal length.

    Told by the homographies alone, since without slants there is no camera to ask.
    """
    import cv2

    strongest = 1.0
    for view in views:
        for points in (view.left, view.right):
            assert points is not None
            flat = board.points[points.ids, :2]
            homography, _ = cv2.findHomography(flat, points.pixels)
            if np.shape(homography) != (3, 3):
                continue
            scales = flat @ homography[2, :2] + homography[2, 2]
            if scales.min() > 0:
                strongest = max(strongest, float(scales.max() / scales.min()))
    if strongest < _FLAT:
        raise InputError(
            "the board faces the camera in every view, and such views do not determine the focal "
            f"length (its far side looks at most {100 * (strongest - 1):.1f} % smaller)",
            field="views",
            expected="the board at several slants, 20 to 45 degrees to the image",
            remedy="shoot more, with the board tilted about both axes",
        )


def require_order(start: StereoCalibration) -> None:
    """Refuses a rig whose right camera stands to the left of the left one."""
    place = -start.rotation.T @ start.translation
    if place[0] < 0 and abs(place[0]) > abs(place[1]):
        raise InputError(
            f"left and right are exchanged: the right camera stands {-1000 * place[0]:.0f} mm to "
            "the left of the left one",
            field="LEFT, RIGHT",
            remedy="name them the other way round",
        )


def require_sure(fit: RefinedRig, normals: Float64[np.ndarray, "v 3"]) -> None:
    """Refuses views under which the focal length is anyone's guess."""
    camera = fit.calibration.left
    share = fit.sigma("left.fx") / camera.fx
    between = np.degrees(np.arccos(np.clip(normals @ normals.T, -1, 1)))
    if share > _UNSURE:
        raise InputError(
            f"the focal length is {camera.fx:.0f} px +- {100 * share:.0f} %: the views do not "
            f"determine it (the board's slants differ by at most {between.max():.0f} degrees)",
            field="views",
            expected="the board at several slants, 20 to 45 degrees to the image",
            remedy="shoot more, with the board tilted about both axes",
        )


def require_count(kept: Sequence[BoardView], dropped: Sequence[DroppedView], total: int) -> None:
    if len(kept) >= FEWEST:
        return
    codes = [d.code for d in dropped]
    reasons = [
        f"{codes.count(code)} {meaning}"
        for code, meaning in (
            ("not-found", "without the board in either image"),
            ("not-found-left", "without it in the left image"),
            ("not-found-right", "without it in the right image"),
            ("duplicate", "in the same pose as another"),
            ("error", "with a high error"),
            ("rig-pose", "that fit no common rig"),
        )
        if code in codes
    ]
    why = f" ({', '.join(reasons)})" if reasons else ""
    raise InputError(
        f"{len(kept)} of {total} views can be used{why}",
        field="views",
        expected=f"at least {FEWEST} in different poses, better 15",
        remedy="shoot more, with the whole board in both images",
    )
