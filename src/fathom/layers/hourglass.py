"""An hourglass of 2-D convolutions, run twice, whose coarsest sizes are reached deformably."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from fathom.layers.blocks import ConvNorm
from fathom.layers.deform import DeformConv


class _Join(nn.Module):
    """To half or twice the size, and one convolution together with what was there before."""

    def __init__(self, inputs: int, outputs: int, *, up: bool = False, deform: bool = False):
        super().__init__()
        self.first = _up(inputs, outputs) if up else ConvNorm(inputs, outputs, 3, 2)
        self.second = DeformConv(2 * outputs, outputs) if deform else ConvNorm(2 * outputs, outputs)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        out: Tensor = self.second(torch.cat([self.first(x), before], dim=1))
        return out


def _up(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class DoubleHourglass(nn.Module):
    """Twice down to a sixteenth of the size and up again, each step with what was there before.

    After Zhang et al., "GA-Net", CVPR 2019; the two coarsest sizes are reached deformably.
    """

    def __init__(self, c: int) -> None:
        super().__init__()
        widths = tuple(c * n // 2 for n in (2, 3, 4, 6, 8))
        steps = list(enumerate(pairwise(widths)))
        self.start = DeformConv(c, c)
        self.down = nn.ModuleList(
            DeformConv(a, b, 2) if i > 1 else ConvNorm(a, b, 3, 2) for i, (a, b) in steps
        )
        self.up = nn.ModuleList(_Join(b, a, up=True) for _, (a, b) in steps)
        self.again = nn.ModuleList(_Join(a, b, deform=i > 1) for i, (a, b) in steps)
        self.last = nn.ModuleList(_Join(b, a, up=True) for _, (a, b) in steps)

    def forward(self, x: Tensor) -> Tensor:
        """x: (b, c, h, w), of sizes that 16 divides."""
        held = [self.start(x)]
        for down in self.down:
            held.append(down(held[-1]))
        held = _risen(held, self.up)
        for i, again in enumerate(self.again):
            held[i + 1] = again(held[i], held[i + 1])
        return _risen(held, self.last)[0]


def _risen(held: list[Tensor], steps: nn.ModuleList) -> list[Tensor]:
    """From the coarsest size, which stays, to the finest."""
    out = list(held)
    for i in reversed(range(len(steps))):
        out[i] = steps[i](out[i + 1], out[i])
    return out
