"""The judge of `fathom-s` (`nets/stereo/evidence.py`, step 5), the rest of the net as it ships.

    OMP_WAIT_POLICY=PASSIVE fathom train experiments/fathom_s_judge.py

It learns what the net's own value and the classical one are worth, P(error <= 1 px) of each; the
disparities do not change but by the choice between them. The judge that ships: 1,000 steps in 0.2
hours on two cores with AMX (bf16), begun untrained, the rest of the net as it shipped before. The
area under the sparsification curve fell from 0.64 to 0.60 of the left-right check's with errors
over 1 px, from 0.58 to 0.51 over 2 px: README.md here.
"""

from dataclasses import replace
from functools import partial

from fathom_s import EXPERIMENT as FATHOM_S
from recipe import JudgeOnly, scenes

from fathom.nets.stereo.evidence import EvidenceConfig
from fathom.train import StereoLoss

EXPERIMENT = replace(
    FATHOM_S,
    net=partial(JudgeOnly, EvidenceConfig()),
    data=lambda: scenes(6000),
    loss=StereoLoss(confidence=1.0),
    steps=1000,
    learning_rate=3e-3,
    warmup=50,
    precision="bf16",
    ema=0.99,
    save_every=250,
    validate_every=500,
)
