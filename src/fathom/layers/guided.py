"""What CoEx made of a light stereo net, and Fast-ACVNet and IGEV-Stereo took over: features of an
image ladder that gate the channels of a volume, an hourglass so gated, superpixels to enlarge by.

Bangunharcana et al., "Correlate-and-Excite", IROS 2021. Activations are leaky, of slope 0.01. Each
block has beside it a function that gives the official names of its tensors.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.layers.blocks import ConvNorm
from fathom.layers.conv3d import Conv3d, ConvNorm3d
from fathom.layers.resample import convex_upsample

Norm = Literal["batch", "instance", "none"]
_SLOPE = 0.01


class LeakyConv(nn.Sequential):
    """Convolution, normalisation, leaky ReLU of that slope; size divided by stride, rounded up.

    up: the transposed convolution of side 4 that doubles the size instead.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int = 3,
        stride: int = 1,
        *,
        up: bool = False,
        norm: Norm = "batch",
        slope: float = _SLOPE,
    ) -> None:
        conv = (
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
            if up
            else nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
        )
        norms = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
        after: list[nn.Module] = [norms[norm](outputs)] if norm != "none" else []
        super().__init__(conv, *after, nn.LeakyReLU(slope, inplace=True))


class Rise(nn.Module):
    """Coarse features brought to twice their size and mixed with finer ones: `outputs` channels.

    kept: channels of the finer ones, and of the coarse ones when they have been enlarged. before:
    whether the finer ones stand before the coarse ones.
    """

    def __init__(
        self,
        inputs: int,
        kept: int,
        outputs: int,
        *,
        norm: Norm = "batch",
        slope: float = _SLOPE,
        before: bool = False,
    ) -> None:
        super().__init__()
        self.up = LeakyConv(inputs, kept, up=True, norm=norm, slope=slope)
        self.mix = LeakyConv(2 * kept, outputs, norm=norm, slope=slope)
        self.before = before

    def forward(
        self, coarse: Float[Tensor, "b i h w"], fine: Float[Tensor, "b k H W"]
    ) -> Float[Tensor, "b o H W"]:
        """fine: of twice the size of `coarse`."""
        both = [self.up(coarse), fine]
        out: Tensor = self.mix(torch.cat(both[::-1] if self.before else both, dim=1))
        return out


class Ladder(nn.Module):
    """Features of a backbone at 1/4, 1/8, ... told what coarser ones know: of twice their channels,
    but for the coarsest, which stay.

    channels: of the backbone at these sizes, finest first.
    """

    def __init__(self, channels: Sequence[int], norm: Norm = "batch") -> None:
        super().__init__()
        made = []
        for i, (fine, coarse) in enumerate(pairwise(channels)):
            told = coarse if i == len(channels) - 2 else 2 * coarse
            made.append(Rise(told, fine, 2 * fine, norm=norm))
        self.rises = nn.ModuleList(made)
        self.last = LeakyConv(2 * channels[0], 2 * channels[0], norm=norm)
        self.apply(start_fan_out)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """features: finest first; so is what it gives."""
        found = [features[-1]]
        finer = features[: len(self.rises)]
        for rise, fine in zip(list(self.rises)[::-1], finer[::-1], strict=True):
            found.append(rise(found[-1], fine))
        found[-1] = self.last(found[-1])
        return found[::-1]


class Excite(nn.Module):
    """A volume whose channels are multiplied by 0..1, as the image's features say at each pixel.

    Bangunharcana et al., section III-C ("guided cost volume excitation").
    """

    def __init__(self, channels: int, guide: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            LeakyConv(guide, guide // 2, 1), nn.Conv2d(guide // 2, channels, 1)
        )
        self.apply(start_fan_out)

    def forward(
        self, volume: Float[Tensor, "b c k h w"], features: Float[Tensor, "b g h w"]
    ) -> Float[Tensor, "b c k h w"]:
        """features: `guide` channels of the volume's height and width."""
        gate = torch.sigmoid(self.gate(features))
        return volume * gate[:, :, None]


class GuidedHourglass(nn.Module):
    """A volume halved once for each guide and brought back, each size gated by features of its own:
    on the way down, and on the way up where it has met the skip.

    widths: channels of the volume given, then of each smaller one. guides: channels of the features
    at each smaller size. outputs: channels of what it gives, without normalisation. tail: 0, or
    channels at full size, normalised, of which a last convolution makes the outputs.
    """

    def __init__(
        self, widths: Sequence[int], guides: Sequence[int], outputs: int = 1, tail: int = 0
    ) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(_conv3(a, b, stride=2), _conv3(b, b)) for a, b in pairs
        )
        self.gates = nn.ModuleList(Excite(b, g) for (_, b), g in zip(pairs, guides, strict=True))
        self.up = nn.ModuleList(_conv3(b, a, side=4, up=True) for a, b in pairs[1:])
        self.merge = nn.ModuleList(
            nn.Sequential(_conv3(2 * a, a, side=1), _conv3(a, a), _conv3(a, a))
            for a, _ in pairs[1:]
        )
        self.regates = nn.ModuleList(
            Excite(a, g) for (a, _), g in zip(pairs[1:], guides[:-1], strict=True)
        )
        first = widths[1]
        self.last: nn.Module
        self.spare: nn.Module | None = None
        if tail:
            self.last = nn.Sequential(_conv3(first, tail, side=4, up=True), Conv3d(tail, outputs))
        else:
            self.last = Conv3d(first, outputs, side=4, up=True)
            self.spare = never_used(nn.BatchNorm3d(outputs))

    def forward(
        self, volume: Float[Tensor, "b c k h w"], features: Sequence[Tensor]
    ) -> Float[Tensor, "b o k h w"]:
        """volume: its three sizes are multiples of 2^(number of guides). features: finest first,
        the first at half the volume's size."""
        sizes = []
        for down, gate, guide in zip(self.down, self.gates, features, strict=True):
            volume = gate(down(volume), guide)
            sizes.append(volume)
        for i in reversed(range(len(self.up))):
            both = torch.cat([self.up[i](volume), sizes[i]], dim=1)
            volume = self.regates[i](self.merge[i](both), features[i])
        out: Tensor = self.last(volume)
        return out


class Superpixels(nn.Module):
    """Nine logits for each pixel of the image: how much of each of the nine cells around it, each a
    quarter of the size, it takes.

    fine, coarse: channels of the features at 1/2 and 1/4; width: of what becomes of the latter.
    """

    def __init__(self, coarse: int, fine: int, width: int) -> None:
        super().__init__()
        self.enter = two_convs(coarse, width)
        self.rise = Rise(width, fine, 2 * fine)
        self.last = nn.ConvTranspose2d(2 * fine, 9, 4, 2, 1)

    def forward(
        self, coarse: Float[Tensor, "b c h w"], fine: Float[Tensor, "b f h2 w2"]
    ) -> Float[Tensor, "b 9 h4 w4"]:
        """coarse, fine: features at 1/4 and 1/2."""
        out: Tensor = self.last(self.rise(self.enter(coarse), fine))
        return out


def superpixels_enlarged(
    coarse: Float[Tensor, "b 1 h w"], logits: Float[Tensor, "b 9 h4 w4"]
) -> Float[Tensor, "b 1 h4 w4"]:
    """A disparity at a quarter of the size, in its pixels, at full size and in full pixels: each is
    a weighted mean of the nine old ones around it (row by row; 0 outside).

    Yang et al., "Superpixel Segmentation with Fully Convolutional Networks", CVPR 2020, eq. 3.
    """
    weights = functional.pixel_unshuffle(logits.float(), 4)
    return convex_upsample(coarse * 4, weights, 4, border="constant")


def two_convs(
    inputs: int, outputs: int, stride: int = 1, width: int | None = None
) -> nn.Sequential:
    """Two 3x3 convolutions, leaky ReLU after the first and ReLU after the second. width: channels
    between them, default `outputs`."""
    between = outputs if width is None else width
    return nn.Sequential(LeakyConv(inputs, between, stride=stride), ConvNorm(between, outputs))


def never_used(module: nn.Module) -> nn.Module:
    """A module that the official net has and never runs: its tensors have a place, and take no
    gradient."""
    return module.requires_grad_(False)


def start_fan_out(module: nn.Module) -> None:
    """First weights as the authors set them: normal, variance 2 / (side^dimensions outputs);
    transposed convolutions keep torch's."""
    plain = isinstance(module, nn.Conv2d) or (isinstance(module, Conv3d) and not module.up)
    if plain:
        weight: Tensor = module.weight  # type: ignore[assignment]
        fan = weight.shape[0] * math.prod(weight.shape[2:])
        nn.init.normal_(weight, 0, math.sqrt(2 / fan))


def leaky_names(theirs: str, ours: str) -> dict[str, str]:
    """Of `LeakyConv`, and of a normalised convolution of volumes."""
    return {f"{theirs}.conv": f"{ours}.0", f"{theirs}.bn": f"{ours}.1"}


def two_names(theirs: str, ours: str) -> dict[str, str]:
    """Of `two_convs`."""
    rest = {f"{theirs}.{i + 1}": f"{ours}.1.{i}" for i in range(2)}
    return leaky_names(f"{theirs}.0", f"{ours}.0") | rest


def rise_names(theirs: str, ours: str) -> dict[str, str]:
    """Of `Rise`."""
    up = leaky_names(f"{theirs}.conv1", f"{ours}.up")
    return up | leaky_names(f"{theirs}.conv2", f"{ours}.mix")


def ladder_names(theirs: str, ours: str) -> dict[str, str]:
    """Of `Ladder` from 1/4 to 1/32."""
    names = leaky_names(f"{theirs}.conv4", f"{ours}.last")
    for i, sizes in enumerate(("8_4", "16_8", "32_16")):
        names |= rise_names(f"{theirs}.deconv{sizes}", f"{ours}.rises.{i}")
    return names


def excite_names(theirs: str, ours: str) -> dict[str, str]:
    """Of `Excite`."""
    first = leaky_names(f"{theirs}.im_att.0", f"{ours}.gate.0")
    return first | {f"{theirs}.im_att.1": f"{ours}.gate.1"}


def superpixel_names(theirs: str, ours: str) -> dict[str, str]:
    """Of `Superpixels`."""
    both = two_names(f"{theirs}_4", f"{ours}.enter") | rise_names(f"{theirs}_2", f"{ours}.rise")
    return both | {f"{theirs}.0": f"{ours}.last"}


def hourglass_names(theirs: str, ours: str, sizes: Sequence[int]) -> dict[str, str]:
    """Of `GuidedHourglass` without a tail, in Fast-ACVNet and IGEV-Stereo. sizes: what each smaller
    volume's image size divides the image's by: (8, 16, 32)."""
    names = {f"{theirs}.conv1_up.conv": f"{ours}.last", f"{theirs}.conv1_up.bn": f"{ours}.spare"}
    several = len(sizes) > 2
    for i, size in enumerate(sizes):
        for k in range(2):
            names |= leaky_names(f"{theirs}.conv{i + 1}.{k}", f"{ours}.down.{i}.{k}")
        names |= excite_names(f"{theirs}.feature_att_{size}", f"{ours}.gates.{i}")
        if i + 1 == len(sizes):
            break
        names |= excite_names(f"{theirs}.feature_att_up_{size}", f"{ours}.regates.{i}")
        names |= leaky_names(f"{theirs}.conv{i + 2}_up", f"{ours}.up.{i}")
        merge = f"agg_{len(sizes) - 2 - i}" if several else "agg"
        for k in range(3):
            names |= leaky_names(f"{theirs}.{merge}.{k}", f"{ours}.merge.{i}.{k}")
    return names


def _conv3(inputs: int, outputs: int, stride: int = 1, **how: bool | int) -> ConvNorm3d:
    return ConvNorm3d(inputs, outputs, stride, slope=_SLOPE, **how)  # type: ignore[arg-type]
