"""The image encoders of RAFT and what came after it: residual blocks with biases and either norm.

Teed and Deng, "RAFT", ECCV 2020, appendix; Lipson et al., "RAFT-Stereo", 3DV 2021.
"""

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "instance"]


class Block(nn.Module):
    """ReLU(skip(x) + y), y being x after two times 3x3 convolution, normalisation and ReLU.

    The first convolution has the stride; the skip is the identity or a normalised 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, norm: Norm, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm1 = norm_of(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm2 = norm_of(norm, outputs)
        same = stride == 1 and inputs == outputs
        self.skip = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), norm_of(norm, outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        y = torch.relu(self.norm2(self.conv2(y)))
        return torch.relu(self.skip(x) + y)


class Trunk(nn.Sequential):
    """A 7x7 convolution and three stages of two blocks: 1/2^downsample of the size."""

    def __init__(self, widths: tuple[int, int, int], norm: Norm, downsample: int) -> None:
        first = widths[0]
        super().__init__(
            nn.Conv2d(3, first, 7, 1 + (downsample > 2), 3),
            norm_of(norm, first),
            nn.ReLU(),
            stage(first, first, norm, 1),
            stage(first, widths[1], norm, 1 + (downsample > 1)),
            stage(widths[1], widths[2], norm, 1 + (downsample > 0)),
        )


def norm_of(kind: Norm, channels: int) -> nn.Module:
    """Batch normalisation, or instance normalisation without weights."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels)


def stage(inputs: int, outputs: int, norm: Norm, stride: int) -> nn.Sequential:
    """Two blocks; the first has the stride."""
    return nn.Sequential(Block(inputs, outputs, norm, stride), Block(outputs, outputs, norm))
