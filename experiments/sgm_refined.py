"""`sgm-refined`: semi-global matching mended by a net that sees the left view and the evidence.

    OMP_WAIT_POLICY=PASSIVE fathom train experiments/sgm_refined.py

The weights that ship, but for the judge (`sgm_refined_judge.py`): 500 steps of this, 9 minutes on
two shared cores (2.5 GHz, fp32, seed 0). It starts from the shipped `fathom-s`, less what that has
for the right view (learned matching, the two residuals of the warped view). As users get it, on 25
real pairs: bad-2 6.09 %, non-occluded 3.42 %, D1 4.76 %, EPE 0.91 px; `sgm` has 6.22, 3.48, 4.93
and 0.91. 900 steps more changed nothing on real pairs: README.md here. `python experiments/ship.py`
put them into the package.
"""

from dataclasses import replace
from pathlib import Path

import torch
from fathom_s import EXPERIMENT as FATHOM_S
from recipe import HOME

from fathom.layers.state import read_tensors
from fathom.nets.stereo.evidence import fathom_s, sgm_refined
from fathom.train.checkpoint import save_weights
from fathom.weights import shipped


def start() -> Path:
    """The weights of `fathom-s` that `sgm-refined` has, too, as a file."""
    given, about = read_tensors(shipped("fathom-s").file("weights.safetensors"))
    levels = fathom_s().config.levels
    wanted = sgm_refined().state_dict()
    left = {name: given[name] for name in wanted}
    # the last inputs of the first layer are the learned correlation's
    left["enter.0.weight"] = left["enter.0.weight"][:, :-levels]
    # of the last step's eleven values a pixel, four places each, the last two are the residuals
    detail = left["detail.0.0.weight"]
    left["detail.0.0.weight"] = torch.cat([detail[:, : 4 * 9], detail[:, 4 * 11 :]], dim=1)
    path = HOME / "sgm-refined-start.safetensors"
    save_weights(path, {k: v.contiguous() for k, v in left.items()}, {"from": "fathom-s", **about})
    return path


EXPERIMENT = replace(
    FATHOM_S,
    net=sgm_refined,
    start=start(),
    steps=500,
    learning_rate=6e-4,
    warmup=50,
    ema=0.99,
    save_every=100,
    validate_every=250,
)
