"""`monodepth2_small.py` with steps of the camera as short as those of the runs with pairs: a tenth
of the nearest depth, not a quarter. Depth is not learned: README.md.

    fathom train experiments/monodepth2_small_short.py
"""

from dataclasses import replace

from monodepth2_small import EXPERIMENT, learned, validation

EXPERIMENT = replace(
    EXPERIMENT, data=learned, validation=validation(), steps=400, validate_every=200
)
