"""Convolutions that choose where to look: modulated deformable convolution, in plain torch.

Zhu et al., "Deformable ConvNets v2", CVPR 2019, eq. 1. No compiled operator: each tap is one
bilinear lookup and one 1x1 convolution, which runs on every device and can be exported.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float


def deformed(
    x: Float[Tensor, "b c h w"],
    offsets: Float[Tensor, "b _m _h _w"],
    masks: Float[Tensor, "b _k _h _w"],
    weight: Float[Tensor, "_o c _s _s"],
    *,
    stride: int = 1,
    dilation: int = 1,
) -> Float[Tensor, "b _o _h _w"]:
    """out(p) = sum over taps of weight times x where the tap looks, times the tap's mask there.

    The tap in row i and column j of a kernel of odd side s looks at
    stride p + dilation (i - s // 2, j - s // 2) + offset; x is linear between pixels and 0 outside.
    The channels are cut into g groups of equal size, each with offsets and masks of its own:
    offsets: 2 g s^2 channels, dy and dx by turns, tap by tap, group by group; masks: g s^2
    channels. The size of these is the output's.
    """
    batch, channels, height, width = x.shape
    side = int(weight.shape[-1])  # while a graph is made, sizes are no numbers
    taps = side * side
    groups = int(masks.shape[1]) // taps
    rows, columns = masks.shape[-2:]
    offsets = offsets.reshape(batch * groups, taps, 2, rows, columns)
    masks = masks.reshape(batch * groups, taps, 1, rows, columns)
    parts = x.reshape(batch * groups, channels // groups, height, width)
    down = torch.arange(rows, device=x.device, dtype=offsets.dtype)[:, None] * stride
    along = torch.arange(columns, device=x.device, dtype=offsets.dtype) * stride
    total = x.new_zeros(())
    for tap in range(taps):
        i, j = (dilation * (n - side // 2) for n in divmod(tap, side))
        y, at = down + i + offsets[:, tap, 0], along + j + offsets[:, tap, 1]
        grid = torch.stack([(2 * at + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
        seen = functional.grid_sample(parts, grid, "bilinear", "zeros", align_corners=False)
        seen = (seen * masks[:, tap]).reshape(batch, channels, rows, columns)
        row, column = divmod(tap, side)
        total = total + functional.conv2d(seen, weight[:, :, row : row + 1, column : column + 1])
    return total


class DeformConv(nn.Module):
    """`deformed` by what a convolution of the same input says: a 3x3 convolution without bias.

    groups: of the input's channels; each sees its own part of the input when it chooses. A mask
    lies in 0..2, and at the start all are 1 and all offsets 0: an ordinary convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, *, dilation: int = 2, groups: int = 2
    ) -> None:
        super().__init__()
        self.taps = nn.Conv2d(inputs, outputs, 3, bias=False)  # its weights; it is not called
        self.where = nn.Conv2d(inputs, 27 * groups, 3, stride, dilation, dilation, groups=groups)
        nn.init.zeros_(self.where.weight)
        bias = self.where.bias
        if bias is not None:
            nn.init.zeros_(bias)
        self.stride, self.dilation, self.groups = stride, dilation, groups

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _o _h _w"]:
        """x: any size; it is divided by the stride, rounded up."""
        chosen = self.where(x).float()  # positions: bfloat16 knows whole pixels only beyond 128
        offsets, masks = chosen.split([18 * self.groups, 9 * self.groups], dim=1)
        return deformed(
            x.float(),
            offsets,
            2 * torch.sigmoid(masks),
            self.taps.weight,
            stride=self.stride,
            dilation=self.dilation,
        )
