"""`fathom-s`: semi-global evidence and learned matching, on procedural scenes.

    OMP_WAIT_POLICY=PASSIVE fathom train experiments/fathom_s.py

The weights that ship, but for the judge (`fathom_s_judge.py`): step 1,600 of 3,000 of this (the
best of eight by the real pairs), begun with the weights that shipped before (file in the history:
8a4b766), which came from 1,900 steps on `hard` looks alone after 1,000 of an earlier form of the
net; 2.6 hours in all on two shared cores (2.5 GHz, fp32). As users get it, on 25 real pairs: bad-2
6.10 %, non-occluded 3.43 %, D1 4.77 %, EPE 0.90 px; `sgm` has 6.22, 3.48, 4.93 and 0.91. The curve,
the comparisons and why it cannot be repeated to the bit: README.md here. It begins with what ships
now; `--set start=None` begins untrained.
"""

from recipe import EVIDENCE, HEIGHT, MAX_DISPARITY, WIDTH, held_out, real, scenes

from fathom.nets.stereo.evidence import fathom_s
from fathom.train import Experiment, StereoLoss, Validation

EXPERIMENT = Experiment(
    net=fathom_s,
    start="fathom-s",
    data=lambda: scenes(5000),
    evidence=EVIDENCE,
    loss=StereoLoss(weights=(1.0, 0.4), most=20.0, confidence=0.3, scores=0.7),
    validation=(Validation("real", real), Validation("looks", held_out)),
    steps=3000,
    batch=4,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    max_disparity=float(MAX_DISPARITY),
    learning_rate=8e-4,
    warmup=100,
    ema=0.998,
    workers=1,
    threads=2,
    log_every=50,
    save_every=200,
    validate_every=400,
)
