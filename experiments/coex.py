"""CoEx trained as its authors did: the recipe; not run at full length here.

    fathom train experiments/coex.py          # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method coex --weights runs/coex/best.safetensors

Bangunharcana et al., IROS 2021, and configs/stereo/cfg_coex.yaml of their code: Scene Flow
(finalpass; 35,454 training pairs), random crops of 576x288, 8 pairs a batch, Adam (0.9, 0.999) at
1e-3 for 7 of 10 epochs, smooth L1 of the disparity and, weighted 0.3, of that at a quarter of the
size, enlarged, both over 1.3; gradients longer than 0.1 are shortened. The paper reports an
end-point error of 0.69 px on Scene Flow's test pairs; their readme 0.596 for 15 + 5 epochs. The
last three epochs, at a tenth of the rate:

    fathom train experiments/coex.py --from runs/coex/best.safetensors \\
        --set steps=13296 --set learning_rate=1e-4

Where it differs: their backbone begins as trained on ImageNet (timm's mobilenetv2_100), ours anew;
they average the last weights; the mean is taken over each pair's pixels and then over the pairs.
"""

import os

from fathom.nets.stereo.coex import coex
from fathom.train import Experiment, Pairs, StereoLoss, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")

EXPERIMENT = Experiment(
    net=coex,
    data=Pairs(ROOT, "sceneflow", "train"),
    loss=StereoLoss(weights=(1 / 1.3, 0.3 / 1.3)),
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test"), most=200),),
    steps=31_024,
    batch=8,
    crop_width=576,
    crop_height=288,
    divisor=32,
    max_disparity=192.0,
    optimiser="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule="constant",
    warmup=0,
    clip=0.1,
    workers=8,
    save_every=500,
    validate_every=4432,
)
