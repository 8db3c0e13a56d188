"""GwcNet trained as its authors did: the recipe; not run at full length here.

    fathom train experiments/gwcnet.py        # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method gwcnet --weights runs/gwcnet/best.safetensors

Guo et al., CVPR 2019, section 4.2, and main.py of their code: Scene Flow (finalpass; 35,454
training pairs), colours normalised by ImageNet's mean and spread, random crops of 512x256, 16 pairs
a batch on 8 GPUs, Adam (0.9, 0.999) at 1e-3, halved after epochs 10, 12 and 14 of 16, smooth L1 of
the four outputs weighted 0.5, 0.5, 0.7 and 1, disparities from 192 px on left out. The paper
reports an end-point error of 0.765 px on Scene Flow's test pairs.

For KITTI: 300 epochs of its training pairs from these weights, 1e-3 for 200 of them, then 1e-4:

    fathom train experiments/gwcnet.py --data KITTI --from runs/gwcnet/best.safetensors \\
        --set steps=3000 --set learning_rate=1e-3

Where it differs: the rate falls by a cosine in place of steps; the mean is taken over each pair's
pixels and then over the pairs; the gradient is not clipped there, nor here. `gwcnet_g` for
`gwcnet` trains the net without concatenated channels.
"""

from dataclasses import replace

from psmnet import EXPERIMENT as PSMNET
from psmnet import ROOT

from fathom.nets.stereo.gwcnet import gwcnet
from fathom.train import Pairs, StereoLoss, Validation

EXPERIMENT = replace(
    PSMNET,  # whose code theirs began with
    net=gwcnet,
    data=Pairs(ROOT, "sceneflow", "train"),
    loss=StereoLoss(weights=(1.0, 0.7, 0.5, 0.5)),
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test"), most=200),),
    steps=35_456,
    batch=16,
    schedule="cosine",
    validate_every=2216,
)
