"""Fast-ACVNet trained as its authors did: the recipe's second half; not run at full length here.

    fathom train experiments/fast_acvnet_attention.py        # reads $FATHOM_SCENEFLOW
    fathom train experiments/fast_acvnet.py --from runs/fast_acvnet_attention/best.safetensors
    fathom depth left.png right.png --method fast-acvnet --weights runs/fast_acvnet/best.safetensors

Xu et al., TPAMI 2023, and main_sceneflow.py of their code: Scene Flow (35,454 training pairs),
random crops of 512x256, 20 pairs a batch, Adam (0.9, 0.999) at 1e-3, 24 epochs of the attention
alone and 24 of the whole net, in each the rate halved after 10, 15, 18 and 21 of them. Smooth L1 of
the answer (1), of the attention's own disparity (0.5) and of both at a quarter of the size (0.3
each). Their readme gives an end-point error of 0.59 px on Scene Flow's test pairs for Fast-ACVNet+.

Where it differs: their backbone begins as trained on ImageNet (timm's mobilenetv2_100), ours anew;
the rate falls evenly; small outputs are held against the mean of each cell's truth where that is
one surface, where they take its nearest pixel; the mean is taken over each pair's pixels and then
over the pairs. `fast_acvnet_plus` for `fast_acvnet`, in both files, trains Fast-ACVNet+.
"""

import os

from fathom.nets.stereo.fast_acvnet import fast_acvnet
from fathom.train import Experiment, Pairs, StereoLoss, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")

EXPERIMENT = Experiment(
    net=fast_acvnet,
    data=Pairs(ROOT, "sceneflow", "train"),
    loss=StereoLoss("multi-scale", weights=(1.0, 0.5, 0.3, 0.3)),
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test"), most=200),),
    steps=42_528,
    batch=20,
    crop_width=512,
    crop_height=256,
    divisor=32,
    max_disparity=192.0,
    optimiser="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule="linear",
    warmup=0,
    clip=None,
    workers=8,
    save_every=500,
    validate_every=1772,
)
