"""AANet trained as its authors did: the recipe; not run at full length here.

    fathom train experiments/aanet.py        # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method aanet --weights runs/aanet/best.safetensors

Xu and Zhang, CVPR 2020, section 4, and scripts/aanet_train.sh of their code: Scene Flow (finalpass;
35,454 training pairs), colours normalised by ImageNet's mean and spread, random crops of 576x288,
64 pairs a batch on 4 GPUs, Adam at 1e-3 with a weight decay of 1e-4, halved after epochs 20, 30,
40, 50 and 60 of 64, smooth L1 of the five outputs weighted 1, 1, 1, 2/3 and 1/3 from the finest on,
disparities from 192 px on left out. The paper reports an end-point error of 0.87 px on Scene Flow's
test pairs; for AANet+ the model zoo says 0.72.

For KITTI: 1000 epochs of both years' training pairs from these weights, crops of 960x336, 32 pairs
a batch, halved after 400, 600, 800 and 900; then one year's alone at 1e-4 with the finest output:

    fathom train experiments/aanet.py --data KITTI --from runs/aanet/best.safetensors \\
        --set steps=12000 --set crop_width=960 --set crop_height=336 --set batch=32

Where it differs: the rate falls by a cosine in place of steps; what chooses the places of the
deformable convolutions learns at the full rate, theirs at a tenth of it; without their second term
on KITTI, smooth L1 to GA-Net's answers where the truth is unknown; the mean is taken over each
pair's pixels and then over the pairs. `aanet_plus` for `aanet`, with a divisor of 96 and crops of
1152x288, trains AANet+; it has three outputs, each of weight 1.
"""

import os

from fathom.nets.stereo.aanet import aanet
from fathom.train import Experiment, Pairs, StereoLoss, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")

EXPERIMENT = Experiment(
    net=aanet,
    data=Pairs(ROOT, "sceneflow", "train"),
    loss=StereoLoss(weights=(1.0, 1.0, 1.0, 2 / 3, 1 / 3)),
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test"), most=200),),
    steps=35_456,
    batch=64,
    crop_width=576,
    crop_height=288,
    divisor=12,
    max_disparity=192.0,
    optimiser="adam",
    learning_rate=1e-3,
    weight_decay=1e-4,
    schedule="cosine",
    warmup=0,
    clip=None,
    workers=8,
    save_every=500,
    validate_every=2770,
)
