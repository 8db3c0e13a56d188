"""Aggregation of cost volumes of several scales by 2-D convolutions over disparities as channels.

Xu and Zhang, "AANet", CVPR 2020, sections 3.1 and 3.2.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from fathom.layers.blocks import ConvNorm
from fathom.layers.deform import DeformConv
from fathom.layers.resample import to_size


def leaky(x: Tensor) -> Tensor:
    """ReLU that keeps a fifth of what is negative."""
    return functional.leaky_relu(x, 0.2)


class Bottleneck(nn.Module):
    """ReLU(skip(x) + 1x1, 3x3 and 1x1 convolutions of x), the middle one plain or deformable."""

    def __init__(
        self, inputs: int, middle: int, outputs: int, stride: int = 1, *, deform: bool = False
    ) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, middle, 1)
        self.conv = (
            DeformConv(middle, middle, stride)
            if deform
            else nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        )
        self.norm = nn.BatchNorm2d(middle)
        self.last = ConvNorm(middle, outputs, 1, last=True)
        same = stride == 1 and inputs == outputs
        self.skip = None if same else ConvNorm(inputs, outputs, 1, stride, last=True)

    def forward(self, x: Tensor) -> Tensor:
        change = self.last(functional.relu(self.norm(self.conv(self.first(x)))))
        return functional.relu(change + (x if self.skip is None else self.skip(x)))


class _Down(nn.Sequential):
    """Half the size for each further 3x3 convolution, leaky ReLUs between them."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(*(ConvNorm(a, b, 3, 2, last=True) for a, b in pairwise(widths)))

    def forward(self, x: Tensor) -> Tensor:
        for i, step in enumerate(self):
            x = step(leaky(x) if i else x)
        return x


class AcrossScales(nn.Module):
    """A bottleneck within each volume, then sums of all: coarser ones enlarged, finer ones halved.

    outputs: how many scales are wanted. Section 3.1 and 3.2 of the paper; the sums are HRNet's.
    """

    def __init__(self, levels: tuple[int, ...], outputs: int, *, deform: bool) -> None:
        super().__init__()
        self.within = nn.ModuleList(Bottleneck(k, k, k, deform=deform) for k in levels)
        self.across = nn.ModuleList(
            nn.ModuleList(_path(levels, source, target) for source in range(len(levels)))
            for target in range(outputs)
        )

    def forward(self, volumes: list[Tensor]) -> list[Tensor]:
        volumes = [block(v) for block, v in zip(self.within, volumes, strict=True)]
        out = []
        for target, paths in enumerate(self.across):
            size = (volumes[target].shape[-2], volumes[target].shape[-1])
            total = volumes[target]
            for source, volume in enumerate(volumes):
                if source != target:
                    part = paths[source](volume)  # type: ignore[index]
                    total = total + (to_size(part, size) if source > target else part)
            out.append(leaky(total))
        return out


def _path(levels: tuple[int, ...], source: int, target: int) -> nn.Module:
    """From the volume of one scale to what is added at another, but for enlarging."""
    if source == target:
        return nn.Identity()
    if source > target:
        return ConvNorm(levels[source], levels[target], 1, last=True)
    return _Down((*(levels[source],) * (target - source), levels[target]))
