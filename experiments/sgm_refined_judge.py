"""The judge of `sgm-refined` (`nets/stereo/evidence.py`, step 5), the rest of the net as it ships.

    OMP_WAIT_POLICY=PASSIVE fathom train experiments/sgm_refined_judge.py

As `fathom_s_judge.py`, in the same time; with the same steps.
"""

from dataclasses import replace
from functools import partial

from fathom_s_judge import EXPERIMENT as FATHOM_S_JUDGE
from recipe import JudgeOnly

from fathom.nets.stereo.evidence import EvidenceConfig

EXPERIMENT = replace(
    FATHOM_S_JUDGE,
    net=partial(JudgeOnly, EvidenceConfig(matching=False)),
    start="sgm-refined",
)
