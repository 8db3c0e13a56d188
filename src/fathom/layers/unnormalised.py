"""Blocks of nets without normalisation, whose convolutions have biases and (leaky) ReLUs.

As Badki et al., "Bi3D", CVPR 2020, have them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.layers.conv3d import Conv3d, convolved

DILATIONS = (1, 2, 4, 8, 1, 1)
"""Of the blocks of `DilatedCorrection`."""
SLOPE = 0.1


def leaky(x: Tensor) -> Tensor:
    """x where it is positive, a tenth of it elsewhere."""
    return functional.leaky_relu(x, SLOPE)


def start(module: nn.Module) -> None:
    """First weights after He et al., "Delving Deep into Rectifiers", ICCV 2015, without biases:
    nothing else keeps the scale where nothing is normalised."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | Conv3d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class LeakyResidual(nn.Module):
    """x + two convolutions of x, with a leaky ReLU of that slope between."""

    def __init__(self, channels: int, dilation: int, slope: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, dilation, dilation)
        self.second = nn.Conv2d(channels, channels, 3, 1, dilation, dilation)
        self.slope = slope

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x: any size."""
        change: Tensor = self.second(functional.leaky_relu(self.first(x), self.slope))
        return x + change


class EncoderDecoder(nn.Module):
    """Down to half the size for each of `widths`, and up again with the skips concatenated (before
    what comes up); one channel in the end. Ronneberger et al., "U-Net", MICCAI 2015."""

    def __init__(self, inputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        fine = (inputs, *widths[:-1])
        pairs = list(zip(fine, widths, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairs)
        self.deepen = nn.ModuleList(nn.Conv2d(b, b, 3, 1, 1) for _, b in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 4, 2, 1) for a, b in pairs)
        self.merge = nn.ModuleList(nn.Conv2d(2 * a, a, 3, 1, 1) for a, _ in pairs)
        self.last = nn.Conv2d(fine[0], 1, 3, 1, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
        """x: of a size that can be halved so often."""
        skips = []
        for down, deepen in zip(self.down, self.deepen, strict=True):
            skips.append(x)
            x = leaky(deepen(leaky(down(x))))
        rising = list(zip(self.up, self.merge, skips, strict=True))
        for up, merge, skip in reversed(rising):
            x = leaky(merge(torch.cat([skip, leaky(up(x))], dim=1)))
        out: Tensor = self.last(x)
        return out


class DilatedCorrection(nn.Module):
    """A map and what dilated convolutions of it and of the image beside it add to it."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4, c, 3, 1, 1)
        self.blocks = nn.Sequential(*(LeakyResidual(c, d, SLOPE) for d in DILATIONS))
        self.last = nn.Conv2d(c, 1, 3, 1, 1)

    def forward(
        self, values: Float[Tensor, "b 1 h w"], image: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """values, image: of about the same scale."""
        x = leaky(self.enter(torch.cat([values, image], dim=1)))
        change: Tensor = self.last(self.blocks(x))
        return values + change


class VolumeAgreement(nn.Module):
    """A volume of one channel after a 3-D encoder-decoder that sees a view's description at every
    level. After Kendall et al., "GC-Net", ICCV 2017, layers 19 to 37."""

    def __init__(self, features: int, c: int) -> None:
        super().__init__()
        fine = (features + c, 2 * c, 2 * c, 2 * c)
        coarse = (2 * c, 2 * c, 2 * c, 4 * c)
        self.prepare = Conv3d(1, c, bias=True)
        self.enter = nn.ModuleList([Conv3d(fine[0], c, bias=True), Conv3d(c, c, bias=True)])
        self.down = nn.ModuleList(
            Conv3d(a, b, 2, bias=True) for a, b in zip(fine, coarse, strict=True)
        )
        self.inner = nn.ModuleList(
            nn.ModuleList(Conv3d(b, b, bias=True) for _ in range(2)) for b in coarse
        )
        self.up = nn.ModuleList(
            Conv3d(b, a, bias=True, up=True) for a, b in zip((c, *fine[1:]), coarse, strict=True)
        )
        self.last = Conv3d(c, 1, bias=True)

    def forward(
        self, volume: Float[Tensor, "b 1 k h w"], view: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 1 k h w"]:
        """k, h and w: multiples of 16."""
        given = functional.relu_(self.prepare(volume))
        first, second = self.enter
        skips = [functional.relu_(second(functional.relu_(beside(first, given, view))))]
        x = functional.relu_(beside(self.down[0], given, view))
        for i, pair in enumerate(self.inner):
            x = x if i == 0 else functional.relu_(self.down[i](x))
            deep = x
            assert isinstance(pair, nn.Sequential | nn.ModuleList)
            for conv in pair:
                deep = functional.relu_(conv(deep))
            skips.append(deep)
        x = skips.pop()
        for up in reversed(self.up):
            x = functional.relu_(up(x)) + skips.pop()
        out: Tensor = self.last(x)
        return out


def beside(
    conv: nn.Module, volume: Float[Tensor, "b _c k h w"], view: Float[Tensor, "b _v h w"]
) -> Float[Tensor, "b _n _k _h _w"]:
    """The convolution of a view's channels, at every level, and a volume's after them, without
    repeating the view: it adds the same everywhere but at the border, where taps reach outside."""
    assert isinstance(conv, Conv3d)
    # plain numbers: what is exported needs the weights' shapes
    theirs, outputs = int(view.shape[1]), int(conv.weight.shape[0])
    out = convolved(volume, conv.weight[:, theirs:], conv.bias, stride=conv.stride)
    taps = conv.weight[:, :theirs].permute(2, 0, 1, 3, 4).flatten(0, 1)
    seen = functional.conv2d(view, taps, None, conv.stride, 1)
    before, at, behind = torch.split(seen, outputs, dim=1)
    out += (before + at + behind)[:, :, None]
    out[:, :, 0] -= before
    if conv.stride == 1:
        out[:, :, -1] -= behind
    return out
