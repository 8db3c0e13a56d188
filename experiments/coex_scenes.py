"""CoEx on a few hundred procedural scenes: a published net that knows something, within minutes.

    fathom scenes -n 360 -o plain --size 320x192 --seed 5 --clean
    fathom train experiments/coex_scenes.py --data plain       # 9 processor minutes

The net is the published one, whole; loss and optimiser are those of `coex.py`. Scenes are clean: no
noise, no blur, both cameras alike. Without --data the same scenes are rendered anew each time they
are asked for. What it is for: `fathom adapt` on a converted network (`experiments/README.md`),
where no weights of the authors' can be had.
"""

from dataclasses import replace

from coex import EXPERIMENT as published

from fathom.data.scenes import Scenes, SceneSettings

EXPERIMENT = replace(
    published,
    data=lambda: Scenes(SceneSettings(width=320, height=192, effects=False), 5, 360),
    validation=(),
    holdout=0.03,
    steps=600,
    batch=2,
    crop_width=256,
    crop_height=128,
    schedule="cosine",
    warmup=20,
    clip=1.0,
    threads=1,
    workers=0,
    save_every=200,
    validate_every=200,
)
