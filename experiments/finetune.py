"""Fine-tuning `fathom-s` on one's own pairs: copy this file and change what stands in capitals.

    fathom train my_finetune.py
    fathom depth left.png right.png --method fathom-s --weights runs/my_finetune/best.safetensors

PAIRS is a list with a line a pair, or a data set's folder (docs/datasets.md): left, right, and
`disparity` (pixels) or `depth` with a calibration (metres, such as projected LiDAR; 0 = unknown). A
few hundred pairs with sparse truth will do. One pair in five is held out and judged against its own
truth: `held-out` in the log is the score that counts, and the one at step 0 is what the shipped
weights reach. If it does not fall, keep the shipped weights.

LiDAR sees no sky, no glass and few thin things, and a net that is taught nothing about them forgets
them. So the shipped model teaches, where it is sure, what the truth leaves open; pairs without any
truth serve like that, too. `--data mine.csv` trains on the truth alone.
"""

from functools import partial
from typing import Any

from fathom.classical.channels import pair_channels
from fathom.classical.sgm import SGM
from fathom.core import StereoPair
from fathom.core.arrays import Array
from fathom.data.augment import AugmentSettings, augment
from fathom.nets.stereo.evidence import fathom_s
from fathom.train import Experiment, Pairs, StereoLoss, Taught

PAIRS = "mine.csv"
WIDTH, HEIGHT = 512, 256  # of a crop: multiples of 32; a smaller one saves memory


def data() -> Any:
    """One's own pairs, what they leave open taught by the shipped model."""
    return Taught(Pairs(PAIRS)(), "fathom-s", least=0.8)


def evidence(pair: StereoPair) -> Array:
    """What semi-global matching finds: the net's third input."""
    return pair_channels(pair, SGM(max_disparity=min(192, pair.size[0] - 1), threads=1))


# Mild: there is little to invent about one's own cameras.
LOOKS = AugmentSettings(
    width=WIDTH, height=HEIGHT, smallest=-0.1, largest=0.3, upside_down=0.0, hide=0.2
)

EXPERIMENT = Experiment(
    net=fathom_s,
    start="fathom-s",
    data=data,
    holdout=0.2,
    augment=partial(augment, settings=LOOKS),
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
