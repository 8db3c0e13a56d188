"""The smallest experiment: a net of a few hundred weights on a part of one real pair.

    fathom train experiments/tiny.py

It takes seconds on one core and shows every part of an experiment file; what it learns is of no
use. Data: Middlebury's Motorcycle, as scikit-image ships it, for training and validation alike.
"""

import torch
from torch import Tensor, nn

from fathom.core import Disparity, StereoSample
from fathom.data.samples import motorcycle
from fathom.geometry.resize import crop_pair
from fathom.layers.stereo import StereoOutput
from fathom.train import Experiment, StereoLoss, Validation


class TinyNet(nn.Module):
    """Two outputs and a confidence from two layers."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(6, channels, 3, stride=2, padding=1)
        self.second = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, left: Tensor, right: Tensor) -> StereoOutput:
        """left, right: (b, 3, h, w) in 0..255."""
        x = torch.cat([left, right], dim=1) / 127.5 - 1
        coarse, doubt = self.second(torch.relu(self.first(x))).chunk(2, dim=1)
        coarse = 20 * nn.functional.softplus(coarse)
        finest, doubt = (
            nn.functional.interpolate(t, scale_factor=2.0, mode="bilinear", align_corners=False)
            for t in (coarse, doubt)
        )
        return StereoOutput((finest, coarse), doubt)


def data() -> list[StereoSample]:
    """One small pair with its true disparity."""
    found = motorcycle()
    x, y, width, height = 250, 150, 256, 160
    truth = found.truth.values[y : y + height, x : x + width]
    pair = crop_pair(found.pair, x, y, width, height)
    return [StereoSample(pair, Disparity(truth), name=found.name)]


EXPERIMENT = Experiment(
    net=TinyNet,
    data=data,
    loss=StereoLoss(weights=(1.0, 0.5)),
    validation=(Validation("motorcycle", data),),
    steps=20,
    batch=2,
    crop_width=64,
    crop_height=32,
    learning_rate=1e-2,
    warmup=5,
    log_every=5,
    save_every=10,
    validate_every=10,
)
