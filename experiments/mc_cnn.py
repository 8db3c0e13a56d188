"""MC-CNN trained as in the paper, as far as one loop for all nets allows; not run at full length.

    fathom train experiments/mc_cnn.py --data KITTI_FOLDER
    fathom depth left.png right.png --method mc-cnn-fast --weights runs/mc_cnn/best.safetensors

The paper's recipe (Žbontar and LeCun, JMLR 17(65), 2016, section 3 and the authors' main.lua): grey
patches of 9x9 (KITTI) or 11x11 pixels (Middlebury), 128 pairs a batch, half of them matching within
1 px (Middlebury 0.5), half off by 4..10 px (Middlebury 1.5..18, the fast net 1.5..6); hinge with a
margin of 0.2 for the fast net, binary cross entropy for the accurate one; SGD with momentum 0.9,
learning rate 0.002 (fast) or 0.003 (accurate), 14 epochs over all pixels with truth, a tenth of the
rate from the 12th on. Augmentation on KITTI: rotation +-7 degrees, horizontal scale 0.9..1, shear
0.1, brightness, contrast, and a brightness of its own on the right. Published: KITTI 2015 D1-all
4.62 % (fast) and 3.89 % (accurate).

Here every pixel of a crop that has a truth picks its two patches, so a batch holds many pairs,
which are not independent of each other; the right patch lies at a whole disparity, and images are
normalised crop by crop. For the accurate net take `partial(mc_cnn_accurate, "kitti2015")`,
`MatchingLoss("entropy")`, a rate of 0.003, and fewer and smaller crops (128x32): it scores every
disparity of its crop, which takes memory.
"""

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from fathom.data.augment import AugmentSettings, augment
from fathom.layers.matching_loss import margin_loss, match_entropy, pair_scores
from fathom.layers.stereo import StereoOutput
from fathom.nets.stereo.mc_cnn import mc_cnn_fast
from fathom.train import Experiment, Pairs
from fathom.train.pairs import Batch

WIDTH, HEIGHT = 256, 64


@dataclass(frozen=True)
class MatchingLoss:
    """kind: margin (fast) or entropy (accurate). near, far: see `pair_scores`, in pixels."""

    kind: str = "margin"
    near: float = 1.0
    far: tuple[float, float] = (4.0, 10.0)

    def __call__(self, output: StereoOutput, batch: Batch) -> dict[str, Tensor]:
        """The loss under its name."""
        pairs = pair_scores(output.scores, batch.truth, batch.valid, self.near, self.far)
        loss = margin_loss(pairs) if self.kind == "margin" else match_entropy(pairs)
        return {self.kind: loss}


LOOKS = AugmentSettings(
    width=WIDTH, height=HEIGHT, smallest=-0.1, largest=0.1, upside_down=0.0, hide=0.0
)
EXPERIMENT = Experiment(
    net=partial(mc_cnn_fast, "kitti2015"),
    data=Pairs("KITTI"),
    augment=partial(augment, settings=LOOKS),
    loss=MatchingLoss(),
    steps=50_000,
    batch=64,
    crop_width=WIDTH,
    crop_height=HEIGHT,
    divisor=1,
    optimiser="sgd",
    learning_rate=0.002,
    weight_decay=0.0,
    schedule="constant",
    holdout=0.1,
)
