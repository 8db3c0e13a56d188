"""CSPN's completion net trained by its authors' recipe, on disparities; not run at full length.

    fathom train experiments/cspn.py          # reads $FATHOM_SCENEFLOW
    fathom weights convert runs/cspn/best.safetensors --model cspn -o mine.safetensors
    fathom refine left.png sparse.pfm --weights mine.safetensors -o dense.pfm

Cheng et al., ECCV 2018, section 5, and train_cspn_nyu.sh of their code: NYU Depth v2, 500 depths an
image drawn anew each time, mean absolute error of the known pixels, SGD with Nesterov momentum 0.9
at 0.01, reduced on plateaus, weight decay 1e-4, 40 epochs, 8 images a batch, crops of 304x228, the
encoder from ImageNet's weights. Their readme reports an RMSE of 0.117 m on NYU's test images.

Where it differs: this loop trains on stereo pairs, so the map is one of disparities, and the 500
values are not drawn from the truth but from what semi-global matching is sure of: as it will be
used, with real outliers. The rate falls by a cosine, and the encoder starts from nothing, for no
other weights come with fathom. `spn` for `cspn` trains SPN's propagation.
"""

import os
import zlib

import numpy as np

import fathom
from fathom.core import Source, StereoPair
from fathom.nets.mono.cspn import Completion, cspn
from fathom.train import Experiment, Pairs, StereoLoss, Validation

ROOT = os.environ.get("FATHOM_SCENEFLOW", "SceneFlow")
CLEAN = (("images", "cleanpass"),)
COUNT, SURE = 500, 0.7


def net() -> Completion:
    """The network, with the hints put back in the propagation."""
    return Completion(cspn(reinsert=True))


def hints(pair: StereoPair) -> np.ndarray:
    """500 disparities that semi-global matching is sure of, 0 elsewhere; (1, h, w) float32. Chance
    comes from the pair's own bytes: the same pair gives the same ones."""
    found = fathom.create("sgm", max_disparity=192, threads=1)(pair)
    assert found.confidence is not None and found.source is not None
    sure = (found.confidence > SURE) & (found.source == Source.MATCHED) & (found.values > 0)
    at = np.flatnonzero(sure)
    rng = np.random.default_rng(zlib.crc32(pair.left.image.tobytes()))
    chosen = rng.choice(at, min(COUNT, len(at)), replace=False)
    out = np.zeros(found.shape, np.float32)
    out.flat[chosen] = found.values.flat[chosen]
    return out[None]


EXPERIMENT = Experiment(
    net=net,
    data=Pairs(ROOT, "sceneflow", "train", CLEAN),
    loss=StereoLoss(kind="sequence", confidence=0.0),
    evidence=hints,
    validation=(Validation("test", Pairs(ROOT, "sceneflow", "test", CLEAN), most=200),),
    steps=177_000,
    batch=8,
    crop_width=320,
    crop_height=224,
    divisor=32,
    max_disparity=192.0,
    optimiser="sgd",
    learning_rate=1e-2,
    weight_decay=1e-4,
    schedule="cosine",
    warmup=0,
    workers=8,
    save_every=1000,
    validate_every=5000,
)
