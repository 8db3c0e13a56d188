"""LightStereo-S trained as its authors did: the recipe; not run at full length here.

    fathom train experiments/lightstereo.py   # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method lightstereo --weights runs/lightstereo/best.safetensors

Guo et al., ICRA 2025, and cfgs/lightstereo/lightstereo_s_sceneflow.yaml of OpenStereo: Scene Flow
(finalpass; 35,454 training pairs), random crops of 736x320, 24 pairs a batch on each GPU, 90 epochs
of AdamW (weight decay 1e-5), the rate rising to 2.4e-3 over the first hundredth and then falling as
a cosine, smooth L1 of the disparity and, weighted 0.3, of that at a quarter of the size, enlarged.
Their model zoo gives an end-point error of 0.73 px on Scene Flow's test pairs (0.62 for M).

Where it differs: the steps are those of one GPU; their backbone begins as trained on ImageNet
(timm's mobilenetv2_100), ours anew; they cut each number of the gradient at 0.1, here its length is
bounded; the mean is taken over each pair's pixels and then over the pairs; they train in half
precision (`--set precision=bf16`). `lightstereo_m` for `lightstereo` trains M.
"""

import os

from fathom.nets.stereo.lightstereo import lightstereo
from fathom.train import Experiment, Pairs, StereoLoss, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")

EXPERIMENT = Experiment(
    net=lightstereo,
    data=Pairs(ROOT, "sceneflow", "train"),
    loss=StereoLoss(weights=(1.0, 0.3)),
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test"), most=200),),
    steps=132_930,
    batch=24,
    crop_width=736,
    crop_height=320,
    divisor=32,
    max_disparity=192.0,
    optimiser="adamw",
    learning_rate=2.4e-3,
    weight_decay=1e-5,
    schedule="cosine",
    warmup=1329,
    clip=1.0,
    workers=8,
    save_every=500,
    validate_every=4431,
)
