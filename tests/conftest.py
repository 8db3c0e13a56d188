"""What every test may ask for: the Motorcycle pair, and the folder of shared real pairs."""

import os
from pathlib import Path

import numpy as np
import pytest

from fathom.core import Disparity, StereoPair, StereoRig, StereoSample, View

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_folder() -> Path | None:
    """FATHOM_SHARED, or `shared` beside the project; None where neither is there."""
    named = os.environ.get("FATHOM_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    return folder if (folder / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pairs; the test skips where it is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("needs the real pairs: set FATHOM_SHARED or put `shared` beside the project")
    return folder


@pytest.fixture(scope="session")
def motorcycle() -> StereoSample:
    """Middlebury 2014 Motorcycle at quarter size, as scikit-image ships it (500 x 741)."""
    from skimage import data

    left, right, truth = data.stereo_motorcycle()
    rig = StereoRig.simple(741, 500, 994.978, 0.193001, cx=311.193, cy=254.877, doffs=31.086)
    values = np.where(np.isfinite(truth), truth, np.nan).astype(np.float32)
    return StereoSample(
        StereoPair(View(left), View(right), rig), Disparity(values), name="motorcycle"
    )
