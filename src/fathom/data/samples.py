"""The real pair that is always at hand."""

import numpy as np

from fathom.core.camera import StereoRig
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample


def motorcycle() -> StereoSample:
    """Middlebury 2014's Motorcycle at a quarter of its size (741 x 500), as scikit-image ships it.

    Rig and true disparity are those that `skimage.data.stereo_motorcycle` documents, for the
    reduced images; the largest disparity is a quarter of the 280 px that Middlebury's calibration
    names. Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth,
    GCPR 2014.
    """
    from skimage import data

    left, right, truth = data.stereo_motorcycle()  # type: ignore[no-untyped-call]
    rig = StereoRig.simple(741, 500, 994.978, 0.193001, cx=311.193, cy=254.877, doffs=31.086)
    rig = StereoRig(rig.left, rig.right, rig.baseline, max_disparity=70)
    values = np.where(np.isfinite(truth), truth, np.nan).astype(np.float32)
    return StereoSample(
        StereoPair(View(left), View(right), rig), Disparity(values), name="motorcycle"
    )
