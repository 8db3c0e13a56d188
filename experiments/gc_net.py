"""GC-Net trained as in its paper: the recipe; not run at full length here.

    fathom train experiments/gc_net.py        # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method gc-net --weights runs/gc_net/best.safetensors

Kendall et al., ICCV 2017, section 4: Scene Flow, colours in -1..1, random crops of 512x256, one
pair a batch, RMSProp at a constant 1e-3, the mean absolute error, 192 disparities, about 150,000
steps; for KITTI 50,000 more from these weights at 1e-4:

    fathom train experiments/gc_net.py --data KITTI --from runs/gc_net/best.safetensors \\
        --set steps=50000 --set learning_rate=1e-4

The tensors are those of zyf12389/GC-Net, whose alpha of 0.9 the optimiser has.
"""

import os

from fathom.nets.stereo.gc_net import gc_net
from fathom.train import Experiment, Pairs, StereoLoss, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")

EXPERIMENT = Experiment(
    net=gc_net,
    data=Pairs(ROOT, "sceneflow", "train"),
    loss=StereoLoss(kind="sequence"),  # of one output: the mean absolute error
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test"), most=200),),
    steps=150_000,
    batch=1,
    crop_width=512,
    crop_height=256,
    divisor=32,
    max_disparity=192.0,
    optimiser="rmsprop",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule="constant",
    warmup=0,
    clip=None,
    workers=4,
    save_every=1000,
    validate_every=10_000,
)
