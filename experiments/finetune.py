"""Fine-tuning `fathom-s` on one's own pairs: copy this file and change what is below.

    fathom train experiments/finetune.py --data mine.csv -o runs/mine
    fathom depth left.png right.png --method fathom-s --weights runs/mine/best.safetensors

`mine.csv` has a line a pair (docs/datasets.md): left, right, calibration, and `disparity` (pixels)
or `depth` (metres, such as projected LiDAR; 0 = unknown). A few hundred pairs with sparse truth
will do. One pair in five is held out: `held-out` in the log is the score that counts, and the line
at step 0 is what the shipped weights reach on it. If it does not fall, keep the shipped weights.

Each batch also has scenes with exact truth in it: LiDAR sees neither thin things nor the sky, and a
net that is shown nothing else forgets them.
"""

from functools import partial

from fathom.classical.channels import pair_channels
from fathom.classical.sgm import SGM
from fathom.core import StereoPair
from fathom.core.arrays import Array
from fathom.data.augment import AugmentSettings, augment
from fathom.nets.stereo.evidence import fathom_s
from fathom.train import Experiment, Pairs, StereoLoss

WIDTH, HEIGHT = 512, 256


def evidence(pair: StereoPair) -> Array:
    """What semi-global matching finds: the net's third input."""
    return pair_channels(pair, SGM(max_disparity=min(192, pair.size[0] - 1), threads=1))


EXPERIMENT = Experiment(
    net=fathom_s,
    start="fathom-s",
    data=Pairs("mine.csv"),
    holdout=0.2,
    # Mild, for there is little to invent about one's own cameras; no flips of unequal truth.
    augment=partial(
        augment,
        settings=AugmentSettings(
            width=WIDTH, height=HEIGHT, smallest=-0.1, largest=0.3, upside_down=0.0, hide=0.2
        ),
    ),
    evidence=evidence,
    loss=StereoLoss(weights=(1.0, 0.4), most=20.0, confidence=0.3, scores=0.7),
    steps=1000,
    batch=4,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    learning_rate=2e-4,
    warmup=50,
    ema=0.995,
    workers=1,
    log_every=20,
    save_every=100,
    validate_every=200,
)
