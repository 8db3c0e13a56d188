"""IGEV-Stereo as its authors train it, on what is at hand. Not run at full length.

    FATHOM_SCENEFLOW=/data/sceneflow fathom train experiments/igev.py   # days of large GPUs

The authors' recipe (Xu et al., CVPR 2023, section 4.2, and their code): Scene Flow's
FlyingThings3D, Driving and Monkaa; 200,000 steps of 8 pairs, crops of 736x320; a backbone that was
trained on ImageNet; 22 moves of the disparity while training and 32 afterwards; AdamW, one cycle up
to 2e-4 within 1 % of the steps and linearly down, weight decay 1e-5, gradients clipped at 1, mixed
precision; pairs resized by 2^-0.2 to 2^0.4, saturation 0 to 1.4, the right view jittered in y,
patches of it hidden; batch norms of images frozen. Loss: smooth L1 of the disparity that the moves
begin with, and every move's mean absolute error, weighted by gamma^(N - i), gamma = 0.9^(15 / (N -
1)); truths of 192 px and more are left out.

Where this differs: the backbone begins untrained (weights of ImageNet are not in fathom; `--from`
takes converted ones of IGEV); the mean is taken of each pair first, so that sparse truth counts as
much as dense. FATHOM_SCENEFLOW names the folder of Scene Flow; without it, procedural scenes
serve, which is another training than the authors'.
"""

from dataclasses import replace

from raft_stereo import EXPERIMENT as RAFT_STEREO
from raft_stereo import MOVES
from scene_flow import SceneFlow, looks
from torch import Tensor

from fathom.layers.losses import sequence_loss, smooth_l1
from fathom.layers.stereo import StereoOutput
from fathom.nets.stereo.igev import igev
from fathom.train.pairs import Batch

WIDTH, HEIGHT = 736, 320


def loss(output: StereoOutput, batch: Batch, moves: int = MOVES) -> dict[str, Tensor]:
    """Of the moves, and of what they begin with, which is given last."""
    truth, valid = batch.truth, batch.valid
    gamma = 0.9 ** (15 / (moves - 1))
    return {
        "moves": sequence_loss(output.disparities[:-1], truth, valid, gamma),
        "first": smooth_l1(output.disparities[-1:], truth, valid),
    }


EXPERIMENT = replace(
    RAFT_STEREO,  # but for the following the two recipes are one
    net=igev,
    data=SceneFlow(WIDTH + 64, HEIGHT + 32),
    augment=looks(WIDTH, HEIGHT),
    loss=loss,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    max_disparity=192.0,
)
