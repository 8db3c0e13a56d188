"""The judge of `sgm-refined` (`nets/stereo/evidence.py`, step 5), the rest of the net as it ships.

    OMP_WAIT_POLICY=PASSIVE fathom train experiments/sgm_refined_judge.py

As `fathom_s_judge.py`, in the same time; with the same steps.
"""

from recipe import judging

from fathom.nets.stereo.evidence import EvidenceConfig

EXPERIMENT = judging("sgm-refined", EvidenceConfig(matching=False))
