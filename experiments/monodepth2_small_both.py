"""`monodepth2_small.py` from both: fathom train experiments/monodepth2_small_both.py."""

from monodepth2 import from_both
from monodepth2_small import WITH_PAIRS

EXPERIMENT = from_both(WITH_PAIRS)
