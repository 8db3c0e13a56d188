"""ResNet, in torchvision's form and under its names of tensors, which many published nets kept.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float

Depth = Literal[18, 34, 50]
BLOCKS: dict[Depth, tuple[int, ...]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Blocks of each of the four stages."""
WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """ReLU(x + two 3x3 convolutions of x)."""

    widening = 1

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.downsample = shortcut(inputs, inner, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """At `stride` of the size."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        skip = x if self.downsample is None else self.downsample(x)
        return functional.relu(y + skip)


class Bottleneck(nn.Module):
    """ReLU(x + three convolutions of x), the middle one 3x3 and narrower; it has the stride."""

    widening = 4

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = self.widening * inner
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """At `stride` of the size."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        skip = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.bn3(self.conv3(y)) + skip)


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """What brings a block's input to its output's size; None where it has that already."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def residual_stage(
    block: type[BasicBlock] | type[Bottleneck], inputs: int, inner: int, count: int, stride: int
) -> nn.Sequential:
    """`count` blocks, the first one with the stride."""
    outputs = block.widening * inner
    rest = [block(outputs, inner, 1) for _ in range(count - 1)]
    return nn.Sequential(block(inputs, inner, stride), *rest)


class ResNet(nn.Module):
    """images (b, 3 n, h, w) -> features at 1/2, 1/4, ... 1/32 of the size.

    depth: of the network. blocks: of each stage, instead of that depth's. images: how many are
    stacked. classes: of the last layer, which nothing here uses, but published weights have; 0
    leaves it out.
    """

    def __init__(
        self,
        depth: Depth = 18,
        *,
        blocks: Sequence[int] | None = None,
        widths: Sequence[int] = WIDTHS,
        images: int = 1,
        classes: int = 0,
    ) -> None:
        super().__init__()
        block = Bottleneck if depth >= 50 else BasicBlock
        counts = BLOCKS[depth] if blocks is None else tuple(blocks)
        first = widths[0]
        self.conv1 = nn.Conv2d(3 * images, first, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = residual_stage(block, first, widths[0], counts[0], 1)
        self.layer2 = residual_stage(block, block.widening * widths[0], widths[1], counts[1], 2)
        self.layer3 = residual_stage(block, block.widening * widths[1], widths[2], counts[2], 2)
        self.layer4 = residual_stage(block, block.widening * widths[2], widths[3], counts[3], 2)
        if classes:
            self.fc = nn.Linear(block.widening * widths[3], classes)
        self.channels = (first, *(block.widening * w for w in widths))

    def forward(self, images: Float[Tensor, "b c h w"]) -> tuple[Tensor, ...]:
        """Five maps, the largest first."""
        found = [functional.relu(self.bn1(self.conv1(images)))]
        x = functional.max_pool2d(found[0], 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            found.append(x)
        return tuple(found)
