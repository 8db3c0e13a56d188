"""RAFT-Stereo as its authors train it, on what is at hand. Not run at full length.

    FATHOM_SCENEFLOW=/data/sceneflow fathom train experiments/raft_stereo.py   # days of large GPUs

The paper's recipe (Lipson et al., 3DV 2021, section 4, and the authors' readme): Scene Flow's
FlyingThings3D, Driving and Monkaa; 200,000 steps of 8 pairs, crops of 720x320; 22 moves of the
disparity while training and 32 afterwards; AdamW, one cycle up to 2e-4 within 1 % of the steps and
linearly down, weight decay 1e-5, gradients clipped at 1, mixed precision; pairs resized by 2^-0.2
to 2^0.4, saturation 0 to 1.4, the right view jittered in y, patches of it hidden; batch norms
frozen. Loss: every move's mean absolute error, weighted by gamma^(N - i), gamma = 0.9^(15 / (N -
1)); truths of 700 px and more are left out. For Middlebury 4,000 further steps of 2 pairs, crops of
1000x384, rate 2e-5.

Where this differs: crops are 704x320, for ours are multiples of 32; the mean is taken of each pair
first, so that sparse truth counts as much as dense. For the realtime variant take
`raft_stereo_realtime`. FATHOM_SCENEFLOW names the folder of Scene Flow; without it, procedural
scenes serve, which is another training than the paper's.
"""

from scene_flow import SceneFlow, looks

from fathom.nets.stereo.raft_stereo import raft_stereo
from fathom.train import Experiment, StereoLoss

WIDTH, HEIGHT = 704, 320
MOVES = 22  # RaftStereoConfig.train_iterations
EXPERIMENT = Experiment(
    net=raft_stereo,
    data=SceneFlow(WIDTH + 64, HEIGHT + 32),
    augment=looks(WIDTH, HEIGHT),
    loss=StereoLoss(kind="sequence", gamma=0.9 ** (15 / (MOVES - 1)), confidence=0.0),
    steps=200_000,
    batch=8,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    max_disparity=700.0,
    learning_rate=2e-4,
    weight_decay=1e-5,
    schedule="linear",
    warmup=2000,
    clip=1.0,
    precision="bf16",
    workers=4,
    save_every=1000,
    validate_every=10_000,
)
