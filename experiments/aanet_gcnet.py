"""GC-Net as AANet's authors rebuilt it, by AANet's recipe; not run at full length here.

    fathom train experiments/aanet_gcnet.py        # reads $FATHOM_SCENEFLOW
    fathom depth left.png right.png --method aanet-gcnet --weights runs/aanet_gcnet/best.safetensors

What differs from `aanet.py`, one training script of theirs for all their nets: one output, of
weight 1, and a divisor of 32. On Scene Flow their model zoo reports 0.98 px for GC-Net with AANet's
aggregation, which this is not; the GC-Net of the first paper is `gc_net.py`.
"""

from dataclasses import replace

from aanet import EXPERIMENT as AANET

from fathom.nets.stereo.aanet_gcnet import aanet_gcnet
from fathom.train import StereoLoss

EXPERIMENT = replace(AANET, net=aanet_gcnet, loss=StereoLoss(weights=(1.0,)), divisor=32)
