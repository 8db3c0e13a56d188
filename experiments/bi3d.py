"""Bi3D trained as its paper says: the recipe; not run at full length here.

    fathom train experiments/bi3d.py         # reads $FATHOM_SCENEFLOW
    fathom nearer left.png right.png --disparity 24 --method bi3d-binary \\
        --weights runs/bi3d/best.safetensors

Badki et al., CVPR 2020; their training code is not published. Scene Flow; the answering net on
planes drawn at random for each pair, binary cross entropy of its answers, as here. The continuous
nets are taught the sum over all planes by smooth L1 beside the answers:

    EXPERIMENT = replace(EXPERIMENT, net=bi3d_2d, loss=PlaneLoss())      # or net=bi3d
    fathom train my_bi3d.py --set batch=2

All 65 planes of a pair are held for the gradient there.

Ours, where the paper's settings are not known here: Adam at a constant 1e-4, 64 epochs, 8 pairs a
batch, 4 planes a pair, crops of 384x288 (multiples of 96); smooth L1 weighs 1 after the correction
and 0.5 before it.
"""

from dataclasses import replace

from psmnet import EXPERIMENT as PSMNET

from fathom.layers.planes import PlaneLoss
from fathom.nets.stereo.bi3d import bi3d_binary

EXPERIMENT = replace(
    PSMNET,  # for its data and a constant rate
    net=bi3d_binary,
    loss=PlaneLoss(disparity=0.0),
    steps=283_600,
    batch=8,
    crop_width=384,
    crop_height=288,
    divisor=96,
    learning_rate=1e-4,
    validate_every=4431,
)
