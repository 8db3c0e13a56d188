"""Small sets of pairs with truth: a texture shifted by a whole number of pixels."""

from pathlib import Path

import numpy as np

from fathom.core import Disparity, StereoPair, StereoSample, View
from fathom.data import write_sample

SHIFT = 4
SIZE = (24, 40)


def sample(seed: int, name: str, shift: int = SHIFT, size: tuple[int, int] = SIZE) -> StereoSample:
    """A pair whose true disparity is `shift` everywhere; nonocc leaves the first columns out."""
    height, width = size
    texture = np.random.default_rng(seed).integers(0, 255, (height, width + shift), np.uint8)
    left, right = texture[:, :width], texture[:, shift:]
    truth = np.full(size, shift, np.float32)
    nonocc = np.zeros(size, np.bool_)
    nonocc[:, shift:] = True
    return StereoSample(
        StereoPair(View(left), View(right)), Disparity(truth), {"nonocc": nonocc}, name
    )


def write_set(root: Path, count: int = 4) -> Path:
    """A folder in fathom's own layout: s0, s1, ..."""
    for i in range(count):
        write_sample(root / f"s{i}", sample(i, f"s{i}"))
    return root
