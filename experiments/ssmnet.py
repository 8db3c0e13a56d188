"""SsSMnet trained on pairs without truth: the recipe; not run at full length here.

    fathom train experiments/ssmnet.py        # reads $FATHOM_PAIRS
    fathom train experiments/ssmnet.py --from runs/ssmnet/weights.safetensors -o runs/again
    fathom depth left.png right.png --method ssmnet --weights runs/ssmnet/weights.safetensors

$FATHOM_PAIRS is a folder of rectified pairs (docs/training.md); no truth is read. The second line,
with $FATHOM_PAIRS set to the pairs that are to be matched, goes on learning on these: the paper's
self-improvement. `experiments/ssmnet_small.py` and `ssmnet_shown.py` show it in minutes.

Zhong et al., arXiv 1709.00930: each view is judged by the other one warped to it (SSIM, absolute
difference, difference of gradients), second-order edge-aware smoothness, loop consistency, and a
small weight on the disparities' sum, for far is likelier than near. The paper's weights and
optimiser could not be verified here: the weights below are ours, the rest is GC-Net's recipe.
Nothing is masked as occluded. Volumes are computed again instead of kept: the same numbers in more
time and two fifths of the memory (docs/training.md, "Memory").
"""

import os
from dataclasses import replace
from functools import partial

from gc_net import EXPERIMENT as GC_NET

from fathom.layers.photometric_distance import Distance, Mixed
from fathom.nets.stereo.ssmnet import ssmnet
from fathom.train import StereoPhotometric, Unlabelled, UnlabelledPairs

ROOT = os.environ.get("FATHOM_PAIRS", "pairs")
LOSS = StereoPhotometric(
    distance=Mixed(
        ((0.8, Distance("ssim", alpha=1.0)), (0.15, Distance("sad")), (0.15, Distance("gradient")))
    ),
    hidden=1.0,
    smoothness=0.05,
    order=2,
    loop=0.1,
    far=0.05,
)


def data() -> UnlabelledPairs:
    """The pairs, read when they are asked for."""
    return UnlabelledPairs(ROOT)


EXPERIMENT = replace(
    GC_NET,
    net=partial(ssmnet, checkpoint=True),
    data=data,
    task=Unlabelled(both_views=False),  # the net gives both itself
    loss=LOSS,
    validation=(),
    steps=100_000,
    clip=1.0,
)
