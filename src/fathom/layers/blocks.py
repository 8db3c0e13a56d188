"""Blocks of convolutional nets."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float


class ConvNorm(nn.Sequential):
    """Convolution, batch normalisation, ReLU unless `last`; size divided by stride, rounded up.

    bias: of the convolution, which the normalisation makes superfluous.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int = 3,
        stride: int = 1,
        *,
        last: bool = False,
        bias: bool = False,
        dilation: int = 1,
    ) -> None:
        border = dilation * (side // 2)
        conv = nn.Conv2d(inputs, outputs, side, stride, border, dilation, bias=bias)
        after: list[nn.Module] = [] if last else [nn.ReLU(inplace=True)]
        super().__init__(conv, nn.BatchNorm2d(outputs), *after)


class Residual(nn.Module):
    """ReLU(x + two 3x3 convolutions of x). He et al., "Deep Residual Learning", CVPR 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvNorm(channels, channels), ConvNorm(channels, channels, last=True)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x: any size."""
        return functional.relu(x + self.body(x))


class UNet(nn.Module):
    """Down to half the size for each further width, and up again with the skips added.

    widths: channels at each size, finest first. Ronneberger et al., "U-Net", MICCAI 2015, with sums
    in place of concatenations, which costs half the convolutions' work on the way up. The input has
    widths[0] channels and a size that 2^(len(widths) - 1) divides; so has the output.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(fine, coarse, stride=2), Residual(coarse))
            for fine, coarse in pairs
        )
        self.narrow = nn.ModuleList(ConvNorm(coarse, fine, 1, last=True) for fine, coarse in pairs)
        self.merge = nn.ModuleList(ConvNorm(fine, fine) for fine, _ in pairs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """x: (b, widths[0], h, w)."""
        sizes = [x]
        for step in self.down:
            sizes.append(step(sizes[-1]))
        out = sizes[-1]
        levels = list(zip(self.narrow, self.merge, sizes[:-1], strict=True))
        for narrow, merge, skip in reversed(levels):
            above = functional.interpolate(narrow(out), scale_factor=2.0, mode="nearest")
            out = merge(functional.relu(above + skip))
        return out
