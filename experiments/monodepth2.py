"""Monodepth2 as its authors train it, from video alone, on what is at hand. Not run at full length.

    FATHOM_CLIPS=/data/clips fathom train experiments/monodepth2.py          # 12 h of a Titan Xp
    FATHOM_CLIPS=/data/clips fathom train experiments/monodepth2_stereo.py   # from pairs alone
    FATHOM_CLIPS=/data/clips fathom train experiments/monodepth2_both.py     # from both

The paper's recipe (Godard et al., ICCV 2019, section 4 and supplementary material): the 39,810
frames of Zhou's part of KITTI's raw recordings (4,424 to validate on), 640x192, each with the frame
before and the one after; ResNet-18s begun with ImageNet's weights; Adam, 20 epochs of batches of
12, rate 1e-4, a tenth of it for the last 5; half of the samples mirrored, half of them with other
colours; smoothness 1e-3.

Where this differs: the ResNets begin at random, unless `--from` gives weights, and what is sampled
is not shifted by the half pixel of the authors' code (see `fathom.layers.reprojection.seen_after`).
FATHOM_CLIPS names a folder of clips as `fathom.data.clips.read_clip` reads them; without it,
eight rendered sequences of that size serve (made before the first step, in a minute or two), which
is another training than the paper's.
"""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from fathom.core import InputError
from fathom.data.clips import Clip, Moments, read_clip
from fathom.data.scenes import SceneSettings
from fathom.data.scenes.sequence import SequenceSettings, sequence
from fathom.nets.mono.depth_and_motion import DepthAndMotion
from fathom.nets.mono.monodepth2 import Monodepth2, PoseNet
from fathom.train import Experiment, Video, VideoLoss

ROOT = os.environ.get("FATHOM_CLIPS")
WIDTH, HEIGHT = 640, 192
SEQUENCES = 8
NEIGHBOURS = (-1, 1)


def clips() -> list[Clip]:
    """All clips of the folder, or rendered sequences. Raises `InputError` for a folder of none."""
    if ROOT:
        places = [p.parent for p in sorted(Path(ROOT).rglob("calib.json"))]
        if not places:
            raise InputError(
                "holds no clip",
                file=ROOT,
                expected="folders with left/ and calib.json (docs/training.md)",
                remedy="set FATHOM_CLIPS to another folder",
            )
        return [read_clip(place) for place in places]
    scene = SceneSettings(
        width=WIDTH, height=HEIGHT, kinds=("road", "terrain"), night=0.0, glass=0.0, effects=False
    )
    return [sequence(1, SequenceSettings(scene=scene), i) for i in range(SEQUENCES)]


def moments(offsets: tuple[int, ...] = NEIGHBOURS) -> Moments:
    """Every frame with its neighbours."""
    return Moments(clips(), offsets)


def net(offsets: tuple[int, ...] = NEIGHBOURS) -> DepthAndMotion:
    """Both nets, untrained."""
    return DepthAndMotion(Monodepth2(), PoseNet() if offsets else None, offsets)


def from_pairs(video: Experiment) -> Experiment:
    """The same from pairs alone: the right camera's view is the only source, and its motion the
    rig's baseline."""
    return replace(
        from_both(video),
        net=partial(video.net, ()),
        data=partial(video.data, ()),
        validation=tuple(replace(v, data=partial(v.data, ())) for v in video.validation),
    )


def from_both(video: Experiment) -> Experiment:
    """The same from video and pairs: the right camera's view is a source, too."""
    return replace(video, task=replace(video.task, stereo=True))


EXPERIMENT = Experiment(
    net=net,
    data=moments,
    task=Video(),
    loss=VideoLoss(),
    steps=66_350,
    batch=12,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    optimiser="adam",
    weight_decay=0.0,
    learning_rate=1e-4,
    schedule="step",
    warmup=0,
    clip=None,
    workers=4,
    save_every=1000,
    validate_every=5000,
)
