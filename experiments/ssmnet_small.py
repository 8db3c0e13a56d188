"""SsSMnet, narrow, on 24 small procedural scenes without their truth: minutes of one core.

    fathom train experiments/ssmnet_small.py
    fathom train experiments/ssmnet_shown.py    # then goes on with pairs it has never seen

The truth of the scenes is read for the line of progress and for validation alone. What came out
stands in experiments/README.md under "Learning without labels".
"""

from dataclasses import replace
from functools import partial

from ssmnet import EXPERIMENT as FULL

from fathom.core import StereoSample
from fathom.data.scenes import Scenes, SceneSettings
from fathom.nets.stereo.ssmnet import SsSMnet, SsSMnetConfig
from fathom.train import Validation

SETTINGS = SceneSettings(
    width=96, height=48, kinds=("room", "studio"), least_objects=3, most_objects=8, near=0.06,
    nearest=0.12, unusual=0.0, night=0.0, glossy=0.0, glass=0.0, plain=0.0,
)  # fmt: skip


def scenes(seed: int, count: int) -> list[StereoSample]:
    """So many scenes, made once; their disparities lie below 16 px."""
    made = Scenes(SETTINGS, seed=seed)
    return [made[i] for i in range(count)]


def net() -> SsSMnet:
    """The net with 6 channels, 1 block, 3 sizes and 16 disparities."""
    return SsSMnet(SsSMnetConfig(max_disparity=16, width=6, blocks=1, sizes=3))


SHOWN = Validation("shown", partial(scenes, 8, 4), metrics=("epe", "bad-2"))
OTHER = Validation("other", partial(scenes, 9, 8), metrics=("epe", "bad-2"))

EXPERIMENT = replace(
    FULL,
    net=net,
    data=partial(scenes, 7, 24),
    validation=(OTHER, SHOWN),
    steps=600,
    batch=1,
    crop_width=96,
    crop_height=48,
    divisor=8,
    max_disparity=16.0,
    optimiser="adam",
    learning_rate=3e-3,
    schedule="cosine",
    warmup=20,
    threads=1,
    workers=0,
    save_every=100,
    validate_every=200,
)
