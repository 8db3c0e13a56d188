"""CREStereo as its authors train it, on what is at hand. Not run at full length.

    FATHOM_SCENEFLOW=/data/sceneflow fathom train experiments/crestereo.py   # days of large GPUs

The authors' recipe (Li et al., CVPR 2022, section 4, and their code): their own 200,000 rendered
pairs with Scene Flow, Sintel, Middlebury, Falling Things, KITTI, InStereo2K and others; 600 epochs
of 500 steps of 2 pairs on each of 8 GPUs, crops of 512x384, 10 moves of the disparity at 1/4 and 5
each at 1/16 and 1/8; Adam, its rate rising to 4e-4 in the first 2 % of the steps, constant up to 60
% and falling linearly to a twentieth at the end; colours, contrast and gamma of each view changed,
the right one rolled by up to 0.1 degrees and shifted by up to 2 rows in half of the pairs, sizes of
0.6 to 1, the right view hidden in places. Loss: every move's mean absolute error, weighted by
0.8^(N - i) over all N moves of all sizes (0.9 in the paper); truths of 256 px and more are left
out.

Where this differs: the rate falls linearly from the warm-up on; the mean is taken of each pair
first, so that sparse truth counts as much as dense; the flow along y is not asked to be 0; the
gradient is clipped. FATHOM_SCENEFLOW names the folder of Scene Flow; without it, procedural scenes
serve, which is another training than the authors'.
"""

from functools import partial

from scene_flow import SceneFlow

from fathom.data.augment import AugmentSettings, augment
from fathom.nets.stereo.crestereo import crestereo
from fathom.train import Experiment, StereoLoss

WIDTH, HEIGHT = 512, 384
LOOKS = AugmentSettings(
    width=WIDTH,
    height=HEIGHT,
    smallest=-0.74,  # 2^-0.74 = 0.6
    largest=0.0,
    stretch=0.0,
    flip=0.0,
    upside_down=0.0,
    uneven=1.0,
    tilt=0.5,
)
EXPERIMENT = Experiment(
    net=crestereo,
    data=SceneFlow(WIDTH + 128, HEIGHT + 96),
    augment=partial(augment, settings=LOOKS),
    loss=StereoLoss(kind="sequence", gamma=0.8, confidence=0.0),
    steps=300_000,
    batch=16,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    divisor=16,
    max_disparity=256.0,
    optimiser="adam",
    learning_rate=4e-4,
    weight_decay=0.0,
    schedule="linear",
    warmup=6000,
    clip=1.0,
    workers=8,
    save_every=1000,
    validate_every=10_000,
)
