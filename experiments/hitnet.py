"""HITNet trained for Scene Flow; not run at full length here.

    fathom train experiments/hitnet.py        # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method hitnet --weights runs/hitnet/best.safetensors

Tankovich et al., CVPR 2021, section 4, and TinyHITNet's training script: Scene Flow (finalpass),
crops of 960x320, 8 pairs a batch, Adam, 2,000,000 steps at 4e-4, a quarter of it from 1,000,000 on,
a tenth from 1,300,000 and a fortieth from 1,400,000. The loss (`fathom.layers.tile_losses`) is the
sum of four terms over all levels: the start's costs at the truth and at the best wrong disparity,
the robust error of all hypotheses' planes, their slants where they are near, and the confidences
among which hypotheses are chosen. TinyHITNet reports an end-point error of 0.549 px for its
`hitnet`, and 0.376 px for `hitnet-xl` with the authors' converted weights.

The rate is constant here; for its falls train 1,000,000 steps, and then go on from the weights:

    fathom train experiments/hitnet.py --set steps=1000000
    fathom train experiments/hitnet.py --from runs/hitnet/best.safetensors --set steps=300000 \\
        --set learning_rate=1e-4

`hitnet_xl` for `hitnet` trains the large net. For KITTI `hitnet_kitti` with
`TileLoss(shape=0.8, width=0.5, wrong=3)`, crops of 1152x320, 4 pairs, `max_disparity=256`, 400,000
steps, then 8,000 at a quarter and 2,000 at a tenth of the rate.

Where it differs: means are taken of each pair first, so that sparse truth counts as much as dense;
true slants come from planes fitted while training, twice by least squares.
"""

import os

from fathom.layers.tile_losses import TileLoss
from fathom.nets.stereo.hitnet import hitnet
from fathom.train import Experiment, Pairs, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")
FINAL = (("images", "finalpass"),)

EXPERIMENT = Experiment(
    net=hitnet,
    data=Pairs(ROOT, "sceneflow", "train", FINAL),
    loss=TileLoss(),
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test", FINAL), most=200),),
    steps=2_000_000,
    batch=8,
    crop_width=960,
    crop_height=320,
    divisor=64,
    max_disparity=320.0,
    optimiser="adam",
    learning_rate=4e-4,
    weight_decay=0.0,
    schedule="constant",
    warmup=0,
    clip=None,
    workers=8,
    save_every=1000,
    validate_every=20_000,
)
