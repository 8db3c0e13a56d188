"""Blocks of nets that convolve cost volumes, and two detours that spare a processor its slow code.

Volumes are (b, c, k, h, w). In float32 torch hands a convolution of a single small volume
(b c k h <= 20480) to code of its own that takes four times as long as oneDNN's; a batch of two goes
to oneDNN whatever its size, and computing such a volume twice takes half the time. Transposed
convolutions of volumes whose channels lie far apart take three times as long as of those whose
channels lie together. `convolved` and `together` see to both; the numbers stay.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.layers.exporting import exporting
from fathom.layers.remade import remade
from fathom.layers.volume import concat_volume

_AT_ONCE = 8  # levels of a volume that is not made as a whole
_SLOW = 20480  # of torch's rule when it takes oneDNN (ConvParams::use_mkldnn)


def together(volume: Float[Tensor, "b c k h w"]) -> Float[Tensor, "b c k h w"]:
    """The same volume with the channels of a voxel beside each other in memory, on a CPU."""
    if volume.device.type != "cpu" or exporting():
        return volume
    return volume.contiguous(memory_format=torch.channels_last_3d)


def convolved(
    x: Float[Tensor, "b c k h w"],
    weight: Float[Tensor, "_o _i _s _s _s"],
    bias: Float[Tensor, "_n"] | None = None,
    *,
    stride: int = 1,
    up: bool = False,
) -> Float[Tensor, "b _n _k _h _w"]:
    """A convolution (of odd sides) with a border of zeros; all three sizes are divided by `stride`,
    rounded up. up: the transposed one of side 3 or 4 instead, which doubles them; its weight is
    (inputs, outputs, ...).
    """
    x = together(x)
    twice = _is_slow(x)
    if twice:
        x = x.expand(2, -1, -1, -1, -1)
    if up:
        out = functional.conv_transpose3d(x, weight, bias, 2, 1, weight.shape[-1] % 2)
    else:
        out = functional.conv3d(x, weight, bias, stride, weight.shape[-1] // 2)
    return out[:1] if twice else out


def _is_slow(x: Tensor) -> bool:
    """Whether torch would not take oneDNN for it. What is exported runs elsewhere."""
    if exporting():
        return False
    if x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    batch, channels, levels, height, _ = x.shape
    return batch == 1 and channels * levels * height <= _SLOW


class Conv3d(nn.Module):
    """`convolved` with weights of its own, with or without a bias; `up` doubles the sizes."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        side: int = 3,
        bias: bool = False,
        up: bool = False,
    ) -> None:
        super().__init__()
        made: Any = nn.ConvTranspose3d if up else nn.Conv3d
        plain = made(inputs, outputs, side, bias=bias)  # for its shapes and how it starts
        self.weight = plain.weight
        self.bias = plain.bias
        self.stride, self.up = stride, up

    def forward(self, x: Float[Tensor, "b c k h w"]) -> Float[Tensor, "b _n _k _h _w"]:
        """x: any size."""
        return convolved(x, self.weight, self.bias, stride=self.stride, up=self.up)


class ConvNorm3d(nn.Sequential):
    """`Conv3d`, batch normalisation, ReLU unless `last`, its slope below 0 being `slope`.

    Without gradients and in evaluation mode the normalisation is multiplied into the weights: a
    volume need not be read and written once more, nor kept twice.
    """

    remade = False
    """Whether training makes what lies between input and output again for the gradient instead of
    keeping it; see `fathom.layers.remade`. `remake` sets it."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        side: int = 3,
        last: bool = False,
        bias: bool = False,
        up: bool = False,
        slope: float = 0.0,
    ) -> None:
        conv = Conv3d(inputs, outputs, stride, side=side, bias=bias, up=up)
        super().__init__(conv, nn.BatchNorm3d(outputs))
        self.last, self.slope = last, slope

    def forward(self, x: Float[Tensor, "b c k h w"]) -> Float[Tensor, "b _n _k _h _w"]:
        """x: any size."""
        return remade(self._whole, x, of=self) if self.remade else self._whole(x)

    def _whole(self, x: Tensor) -> Tensor:
        conv: Any = self[0]
        norm: Any = self[1]
        if self.training or torch.is_grad_enabled():
            return self.normalised(conv(x))
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        offset = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
        axis = (1, -1, 1, 1, 1) if conv.up else (-1, 1, 1, 1, 1)
        weight, bias = conv.weight * scale.view(axis), norm.bias + offset * scale
        return self._bent(convolved(x, weight, bias, stride=conv.stride, up=conv.up))

    def normalised(self, out: Float[Tensor, "b c k h w"]) -> Float[Tensor, "b c k h w"]:
        """What the module makes of `out`, which its convolution gave."""
        return self._bent(self[1](out))

    def _bent(self, out: Tensor) -> Tensor:
        if self.last:
            return out
        return functional.leaky_relu_(out, self.slope) if self.slope else functional.relu_(out)


def remake(net: nn.Module) -> None:
    """Sets `remade` of all `ConvNorm3d` in the net."""
    for module in net.modules():
        if isinstance(module, ConvNorm3d):
            module.remade = True


def concat_convolved(
    layer: ConvNorm3d,
    own: Float[Tensor, "b c h w"],
    other: Float[Tensor, "b c h w"],
    levels: int,
) -> Float[Tensor, "b _n k h w"]:
    """`layer`, of side 3 and stride 1, of `concat_volume(own, other, levels)`: the volume is made
    some levels at a time, and in training made again for the gradient."""
    parts = [
        remade(
            _some_convolved, layer, own, other, (at, min(at + _AT_ONCE, levels), levels), of=layer
        )
        for at in range(0, levels, _AT_ONCE)
    ]
    out = torch.cat(parts, dim=2)
    del parts  # as large as `out`
    return layer.normalised(out)


def _some_convolved(
    layer: ConvNorm3d, own: Tensor, other: Tensor, span: tuple[int, int, int]
) -> Tensor:
    """The convolution at the levels from first to last - 1 of so many."""
    first, last, levels = span
    conv: Any = layer[0]
    # One more level on either side for the taps. Beyond the volume it is 0.
    begin, end = max(first - 1, 0), min(last + 1, levels)
    width = own.shape[3]
    if begin < width:
        # To the left of x = begin all is 0; from there on it is a volume that starts at level 0.
        volume = concat_volume(own[..., begin:], other[..., : width - begin], end - begin)
    else:
        volume = own.new_zeros(len(own), 2 * own.shape[1], end - begin, own.shape[2], 0)
    edges = (width - volume.shape[-1], 0, 0, 0, begin - first + 1, last + 1 - end)
    volume = together(functional.pad(volume, edges))
    return functional.conv3d(volume, conv.weight, conv.bias, 1, (0, 1, 1))


class PlainResidual3d(nn.Module):
    """x + two convolutions of x, without a ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvNorm3d(channels, channels), ConvNorm3d(channels, channels, last=True)
        )

    def forward(self, x: Float[Tensor, "b c k h w"]) -> Float[Tensor, "b c k h w"]:
        """x: any size."""
        change: Tensor = self.body(x)
        return change.add_(x)
