"""`monodepth2.py` from pairs alone: fathom train experiments/monodepth2_stereo.py."""

from monodepth2 import EXPERIMENT, from_pairs

EXPERIMENT = from_pairs(EXPERIMENT)
