"""`fathom-s`: semi-global evidence and learned matching, on procedural scenes.

    OMP_WAIT_POLICY=PASSIVE fathom train experiments/fathom_s.py

The weights that ship: 1,900 steps of this after 1,000 of an earlier form of the net, 1.5 hours on
two shared cores (2.5 GHz, fp32). On 25 real pairs bad-2 6.39 %, non-occluded 3.66 %, EPE 0.92 px;
`sgm` has 6.22, 3.48 and 0.91. The curve, the comparisons and why it cannot be repeated to the bit:
README.md here.
"""

from recipe import EVIDENCE, HEIGHT, MAX_DISPARITY, WIDTH, real, scenes

from fathom.nets.stereo.evidence import fathom_s
from fathom.train import Experiment, StereoLoss, Validation

EXPERIMENT = Experiment(
    net=fathom_s,
    data=lambda: scenes(6000),
    evidence=EVIDENCE,
    loss=StereoLoss(weights=(1.0, 0.4), most=20.0, confidence=0.3, scores=0.7),
    validation=(Validation("real", real),),
    steps=3000,
    batch=4,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    max_disparity=float(MAX_DISPARITY),
    learning_rate=1.2e-3,
    warmup=100,
    ema=0.998,
    workers=1,
    threads=2,
    log_every=50,
    save_every=250,
    validate_every=1000,
)
