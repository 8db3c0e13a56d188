"""The first half of Fast-ACVNet's recipe: its attention alone; see experiments/fast_acvnet.py.

    fathom train experiments/fast_acvnet_attention.py        # reads $FATHOM_SCENEFLOW

The second hourglass and what leads to it take no part and keep their first weights. Weights 1 and
0.3 of the attention's disparity at full size and at a quarter of it, as the authors' code has it.
"""

from dataclasses import replace
from functools import partial

from fast_acvnet import EXPERIMENT as WHOLE

from fathom.nets.stereo.fast_acvnet import fast_acvnet
from fathom.train import StereoLoss

EXPERIMENT = replace(
    WHOLE,
    net=partial(fast_acvnet, attention_only=True),
    loss=StereoLoss("multi-scale", weights=(1.0, 0.3)),
)
