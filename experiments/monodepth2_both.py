"""`monodepth2.py` from video and from pairs: fathom train experiments/monodepth2_both.py."""

from monodepth2 import EXPERIMENT, from_both

EXPERIMENT = from_both(EXPERIMENT)
