"""A stereo net that learns from single pictures: LightStereo on pairs made from a folder of photos.

    FATHOM_PHOTOS=~/Pictures fathom train experiments/from_photos.py
    fathom depth left.png right.png --method lightstereo --weights runs/from_photos/best.safetensors

A net for one view (--method's weights must be there: `fathom weights download`) says how far away
everything is; `fathom.data.from_photos` makes a right view of it, and the disparity is exact for
that pair. Watson et al., ECCV 2020, trained PSMNet so on 570,000 pictures for 250,000 steps of 2.
Each picture's pair is made once and kept; what cameras do to views differs every time. Never run at
length: judged on the real pairs that `recipe.real` finds.
"""

import os
from dataclasses import replace
from functools import partial
from typing import Any

from lightstereo import EXPERIMENT as LIGHTSTEREO
from recipe import HEIGHT, HOME, WIDTH, real

from fathom.catalog import create
from fathom.data.augment import AugmentSettings, augment
from fathom.data.from_photos import FromPhotos, Photos
from fathom.data.looks import Kept
from fathom.train import Validation

PHOTOS = os.environ.get("FATHOM_PHOTOS", "photos")
TEACHER = "depth-anything-v2-small"
LOOKS = AugmentSettings(width=WIDTH, height=HEIGHT, uneven=1.0, blur=0.5, noise=0.5, hide=0.2)


def data() -> Any:
    """A pair of each picture."""
    return Kept(FromPhotos(Photos(PHOTOS), create(TEACHER)), HOME / "photos-1")


EXPERIMENT = replace(
    LIGHTSTEREO,
    data=data,
    augment=partial(augment, settings=LOOKS),
    validation=(Validation("real", real),),
    steps=100_000,
    batch=4,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    validate_every=5000,
)
