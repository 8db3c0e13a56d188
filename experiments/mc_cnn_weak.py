"""MC-CNN's towers trained without any disparity label, against the supervised hinge.

    fathom train experiments/mc_cnn_weak.py                # contrastive with dynamic programming
    python experiments/mc_cnn_weak.py runs/weak [SEED]     # all rows of the table in README.md

Tulyakov, Ivanov and Fleuret, ICCV 2017 (`fathom.layers.weak_matching`). The paper: batches of 300
lines of KITTI or Middlebury, Adam with 1e-4, a margin of 0.2, 100,000 batches at most. Here: 32
procedural scenes of 192x96, crops of 24 whole rows, 32 disparities, towers of 32 maps (`FULL`: the
published 64), and for every loss the same steps, crops, rate and first weights. What is judged is
the raw winner of the cosines, before any aggregation. See docs/training.md.
"""

import sys
from dataclasses import replace
from functools import partial

from mc_cnn import MatchingLoss
from small_scenes import LEVELS, TRAINED, WIDTH, compare, judged, small, unlabelled

from fathom.layers.weak_matching import WeakMatchingLoss
from fathom.nets.stereo.mc_cnn import MCCNN, MCCNNConfig, mc_cnn_fast
from fathom.train.self_supervised import Unlabelled

EXPERIMENT = replace(
    small(
        partial(MCCNN, MCCNNConfig(4, 32, max_disparity=LEVELS)),
        WeakMatchingLoss(("contrastive-dp",), LEVELS),
        (judged("bad-3", "bad-2"),),
        steps=100,
        crop=(WIDTH, 24),
    ),
    data=unlabelled,
    task=Unlabelled(both_views=False),
    divisor=1,
    optimiser="adam",
    weight_decay=0.0,
    warmup=10,
)
FULL = replace(
    EXPERIMENT,
    net=partial(mc_cnn_fast, "kitti2015"),
    loss=WeakMatchingLoss(("contrastive-dp",), 228),
    steps=100_000,
    batch=10,
    crop_width=480,
    crop_height=30,
    max_disparity=228,
    learning_rate=1e-4,
)
"""The paper's size, for pairs of one's own in place of the scenes. Not run."""
WEAK = (
    ("multi-instance",),
    ("contrastive",),
    ("multi-instance", "contrastive"),
    ("contrastive-dp",),
)
RUNS = {
    " and ".join(kinds): replace(EXPERIMENT, loss=WeakMatchingLoss(kinds, LEVELS)) for kinds in WEAK
} | {"triplet hinge (labels)": replace(EXPERIMENT, data=TRAINED, task=None, loss=MatchingLoss())}

if __name__ == "__main__":
    compare(RUNS, *sys.argv[1:])
