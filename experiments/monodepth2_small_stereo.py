"""`monodepth2_small.py` from pairs alone: fathom train experiments/monodepth2_small_stereo.py."""

from monodepth2 import from_pairs
from monodepth2_small import WITH_PAIRS

EXPERIMENT = from_pairs(WITH_PAIRS)
