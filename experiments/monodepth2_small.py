"""Depth and motion from video alone, on sequences rendered from procedural scenes.

    fathom train experiments/monodepth2_small.py                     # from video alone
    fathom train experiments/monodepth2_small_stereo.py              # from pairs alone
    fathom train experiments/monodepth2_small_both.py

Monodepth2 as its paper has it (ResNet-18s, minimum over the sources, auto-mask, four sizes at full
size), only narrower: a quarter of the channels, frames 96x64, from random weights. Two sequences of
24 frames; the last six of each are held back, as neighbours, too. Colours are not changed. The
results stand in experiments/README.md.
"""

from dataclasses import replace
from functools import cache, partial

from monodepth2 import EXPERIMENT as PAPER
from torch import nn

from fathom.classical.native import prepare_kernels
from fathom.data.clips import ClipInMemory, Moments
from fathom.data.scenes.render import KERNELS
from fathom.data.scenes.sequence import SequenceSettings, sequence
from fathom.layers.resnet import BLOCKS
from fathom.nets.mono.depth_and_motion import DepthAndMotion
from fathom.nets.mono.monodepth2 import Monodepth2, Monodepth2Config, PoseConfig, PoseNet
from fathom.train import Video, VideoValidation

WIDTH, HEIGHT = 96, 64
SEED = 11
SEQUENCES = (5, 6)
FRAMES, HELD = 24, 6
WIDTHS = (16, 32, 64, 128)
UP = (8, 16, 32, 64, 64)
FAR = 0.25
"""Of the nearest depth, from frame to frame: what video alone needs to tell depths apart."""


@cache
def clips(step: float) -> tuple[ClipInMemory, ...]:
    """The sequences, rendered when first asked for: a second each. step: see `SequenceSettings`."""
    prepare_kernels(KERNELS)
    settings = SequenceSettings(frames=FRAMES, step=step)
    scene = replace(settings.scene, width=WIDTH, height=HEIGHT, kinds=("road", "terrain"))
    return tuple(sequence(SEED, replace(settings, scene=scene), i) for i in SEQUENCES)


def learned(offsets: tuple[int, ...] = (-1, 1), step: float = 0.1) -> Moments:
    """The frames that are trained on."""
    return Moments(clips(step), offsets, end=-HELD)


def held_back(offsets: tuple[int, ...] = (-1, 1), step: float = 0.1) -> Moments:
    """The frames that are not."""
    return Moments(clips(step), offsets, first=-HELD)


def validation(**told: float) -> tuple[VideoValidation, ...]:
    """Judged on both. told: as for `learned`."""
    return (
        VideoValidation("seen", partial(learned, **told)),
        VideoValidation("held-back", partial(held_back, **told)),
    )


def net(offsets: tuple[int, ...] = (-1, 1), scale: float = 0.05) -> DepthAndMotion:
    """Both nets, untrained. scale: of the motion, see `PoseConfig`.

    Inverse depth begins at 1, not at the 5 in the middle of its range, from where nothing could
    come nearer by more than a factor of 2. From video alone the motion has to grow with that:
    5 times the paper's scale.
    """
    depth = Monodepth2(Monodepth2Config(18, BLOCKS[18], WIDTHS, UP, classes=0))
    for head in depth.heads:
        nn.init.constant_(head.conv.bias, -2.2)
    pose = PoseConfig(18, None, WIDTHS, 64, classes=0, scale=scale)
    return DepthAndMotion(depth, PoseNet(pose) if offsets else None, offsets)


EXPERIMENT = replace(
    PAPER,
    net=net,
    data=partial(learned, step=FAR),
    task=Video(jitter=0.0),
    validation=validation(step=FAR),
    steps=1800,
    batch=3,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    learning_rate=1e-3,
    schedule="cosine",
    warmup=20,
    channels_last=False,
    threads=1,
    workers=0,
    log_every=25,
    save_every=200,
    validate_every=300,
)

WITH_PAIRS = replace(
    EXPERIMENT,
    net=partial(net, scale=0.01),
    data=learned,
    validation=validation(),
    steps=500,
    learning_rate=2e-3,
    validate_every=100,
)
"""Where pairs give the scale, the paper's scale of the motion, a higher rate and shorter steps of
the camera serve."""
