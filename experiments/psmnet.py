"""PSMNet trained as its authors did: the recipe; not run at full length here.

    fathom train experiments/psmnet.py        # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method psmnet --weights runs/psmnet/best.safetensors

Chang and Chen, CVPR 2018, section 4.1, and main.py of their code: Scene Flow (cleanpass; 35,454
training pairs), colours normalised by ImageNet's mean and spread, no augmentation but random crops
of 512x256, 12 pairs a batch on 4 GPUs, Adam (0.9, 0.999) at a constant 1e-3 for 10 epochs, smooth
L1 of the three outputs weighted 0.5, 0.7 and 1, disparities from 192 px on left out. The paper
reports an end-point error of 1.09 px on Scene Flow's test pairs.

For KITTI: 300 epochs of its training pairs from these weights, 1e-3 for 200 of them, then 1e-4:

    fathom train experiments/psmnet.py --data KITTI --from runs/psmnet/best.safetensors \\
        --set steps=4000 --set learning_rate=1e-3

Where it differs: the mean is taken over each pair's pixels and then over the pairs; the gradient is
not clipped there, nor here. `psmnet_basic` for `psmnet` trains the baseline.
"""

import os

from fathom.nets.stereo.psmnet import psmnet
from fathom.train import Experiment, Pairs, StereoLoss, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")
CLEAN = (("images", "cleanpass"),)

EXPERIMENT = Experiment(
    net=psmnet,
    data=Pairs(ROOT, "sceneflow", "train", CLEAN),
    loss=StereoLoss(weights=(1.0, 0.7, 0.5)),
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test", CLEAN), most=200),),
    steps=29_550,
    batch=12,
    crop_width=512,
    crop_height=256,
    divisor=16,
    max_disparity=192.0,
    optimiser="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule="constant",
    warmup=0,
    clip=None,
    workers=8,
    save_every=500,
    validate_every=2955,
)
