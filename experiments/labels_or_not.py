"""One small net, the same scenes and steps: with labels, without, and under other laws of error.

    python experiments/labels_or_not.py gap runs/gap [SEED]     # smooth L1 against photometric
    python experiments/labels_or_not.py laws runs/laws [SEED]   # other laws of error
    fathom train experiments/labels_or_not.py                   # the photometric one alone

A net of 98,000 weights, 32 scenes of `small_scenes.py`, crops of 128x64, two a step. Without labels
the samples carry no truth at all, and the net sees each crop mirrored as well, so a step takes
twice the work. Table: README.md, "Learning without labels".
"""

import sys
from dataclasses import replace

import torch
from small_scenes import LEVELS, compare, judged, small, unlabelled
from torch import Tensor, nn
from torch.nn import functional

from fathom.layers.blocks import ConvNorm, Residual, UNet
from fathom.layers.stereo import StereoOutput, imagenet_colours
from fathom.layers.volume import correlation, enlarged_argmax
from fathom.train import StereoLoss
from fathom.train.self_supervised import StereoPhotometric, Unlabelled


class Small(nn.Module):
    """Correlation of 16 features at half the size, what a small U-net adds to it, and the mean of
    the softmax; 98,000 weights. Gives a confidence and scores 2 pixels apart."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvNorm(3, width, stride=2), Residual(width), nn.Conv2d(width, width, 3, padding=1)
        )
        self.enter = ConvNorm(width + LEVELS // 2, 2 * width)
        self.aggregate = UNet((2 * width, 2 * width, 2 * width))
        self.leave = nn.Conv2d(2 * width, LEVELS // 2, 3, padding=1)

    def forward(self, left: Tensor, right: Tensor) -> StereoOutput:
        """left, right: (b, 3, h, w) in 0..255, sizes multiples of 8."""
        views = [self.features(imagenet_colours(image)) for image in (left, right)]
        alike = correlation(*(functional.normalize(v, dim=1) for v in views), LEVELS // 2)
        seen = torch.cat([alike, views[0]], dim=1)
        scores = 10 * alike + self.leave(self.aggregate(self.enter(seen)))
        disparity, sure = enlarged_argmax(scores[:, None], (LEVELS, *left.shape[-2:]))
        return StereoOutput((disparity,), sure, scores)


LABELS = small(
    Small,
    StereoLoss(confidence=0.0),
    (judged("epe", "bad-2"), replace(judged("epe", "bad-2", mask="all"), name="all")),
    steps=300,
    crop=(128, 64),
)
EXPERIMENT = replace(
    LABELS,
    data=unlabelled,
    task=Unlabelled(),
    loss=StereoPhotometric(smoothness=0.02),
)
TABLES = {
    "gap": {"labels": LABELS, "photometric": EXPERIMENT},
    "laws": {
        "confidence-weighted": replace(LABELS, loss=replace(LABELS.loss, trusted=True)),
        "threshold 1 px": replace(LABELS, loss=replace(LABELS.loss, threshold=1.0, softness=0.25)),
        "triplet hinge beside it": replace(LABELS, loss=replace(LABELS.loss, triplet=1.0)),
        "log": replace(LABELS, loss=replace(LABELS.loss, log=True, beta=0.1)),
    },
}

if __name__ == "__main__":
    compare(TABLES[sys.argv[1]], *sys.argv[2:])
