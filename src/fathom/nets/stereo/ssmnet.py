"""SsSMnet: Zhong, Dai and Li, "Self-Supervised Learning for Stereo Matching with Self-Improving
Ability", 2017 (arXiv 1709.00930): a net made to learn from pairs without truth.

1. A residual net describes both views at half the size.
2. The descriptions of x on the left and x - d on the right are concatenated for all d; and those of
   x on the right and x + d on the left: the cross feature volumes of both views.
3. A 3-D net, the same for both, goes down to small sizes and up again, where at each size a
   residual block brings in what was there before (a residual top-down module).
4. The mean of softmax(-costs) is the disparity, of both views in training.

Its losses (photometric in both directions, second-order smoothness, loop consistency, far rather
than near) are `fathom.train.StereoPhotometric`'s; `experiments/ssmnet.py` puts them together. There
is no public code. From the paper are the steps above, 32 channels at half the size and the losses;
ours are the numbers of blocks and sizes and the lateral blocks' form. In evaluation the left view
alone, with a confidence as GC-Net's.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.blocks import ConvNorm, Residual
from fathom.layers.conv3d import Conv3d, ConvNorm3d, PlainResidual3d
from fathom.layers.stereo import StereoOutput, require_levels, require_size
from fathom.layers.volume import concat_volume, soft_argmax
from fathom.published.frame import Frame
from fathom.published.record import Weights

_CELL = 2


@dataclass(frozen=True)
class SsSMnetConfig:
    """max_disparity: disparities below this can be found, in pixels. width: of the descriptions;
    the paper's is 32. blocks: residual ones of each view. sizes: of the 3-D net, the volume's
    included.

    Raises `UsageError` for a range that the net cannot halve as often as it must, or numbers
    below 1.
    """

    max_disparity: int = 192
    width: int = 32
    blocks: int = 8
    sizes: int = 5

    def __post_init__(self) -> None:
        if min(self.width, self.blocks, self.sizes) < 1:
            raise UsageError("is no net", field="SsSMnetConfig", value=self, expected="sizes >= 1")
        require_levels(self.max_disparity, self.divisor)

    @property
    def divisor(self) -> int:
        """Images' sizes and `max_disparity` must be multiples of this."""
        return _CELL << (self.sizes - 1)


class SsSMnet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives the disparity at full size, and the right
    view's as well (`StereoOutput.right`) in training, else a confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: SsSMnetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SsSMnetConfig()
        c = config.width
        self.features = nn.Sequential(
            ConvNorm(3, c, 5, 2),
            *(Residual(c) for _ in range(config.blocks)),
            nn.Conv2d(c, c, 3, padding=1),
        )
        widths = (c, *(2 * c,) * (config.sizes - 2), 4 * c)[: config.sizes]
        self.enter = nn.Sequential(ConvNorm3d(2 * c, c), ConvNorm3d(c, c))
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm3d(a, b, 2), PlainResidual3d(b)) for a, b in pairwise(widths)
        )
        self.lateral = nn.ModuleList(PlainResidual3d(a) for a in widths[:-1])
        self.rise = nn.ModuleList(ConvNorm3d(b, a, up=True, last=True) for a, b in pairwise(widths))
        self.cost = Conv3d(widths[0], 1, bias=True, up=True)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor, self.config.divisor)
        ours, theirs = self.described(left), self.described(right)
        if not self.training:
            disparity, confidence = soft_argmax(-self.costs(ours, theirs)[:, 0])
            return StereoOutput((disparity,), confidence)
        # Mirrored, the right view is a left one.
        both = torch.cat([ours, theirs.flip(3)]), torch.cat([theirs, ours.flip(3)])
        disparity, _ = soft_argmax(-self.costs(*both)[:, 0])
        first, second = disparity.chunk(2)
        return StereoOutput((first,), right=(second.flip(3),))

    def described(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        """Descriptions at half the size."""
        out: Tensor = self.features(image / 127.5 - 1)
        return out

    def costs(
        self, own: Float[Tensor, "b c h w"], other: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 1 _k _h _w"]:
        """Costs of all disparities at full size, from the views' descriptions."""
        held = [self.enter(concat_volume(own, other, self.config.max_disparity // _CELL))]
        for down in self.down:
            held.append(down(held[-1]))
        out = held.pop()
        for rise, lateral in reversed(list(zip(self.rise, self.lateral, strict=True))):
            out = functional.relu_(rise(out) + lateral(held.pop()))
        costs: Tensor = self.cost(out)
        return costs


WEIGHTS: tuple[Weights, ...] = ()
"""The authors have published none."""
FRAMES = {"ssmnet": Frame(builder="ssmnet", levels=192, step=32, divisor=32, voxel_bytes=68)}


def ssmnet(*, max_disparity: int = 192) -> SsSMnet:
    """The network, untrained; max_disparity: a multiple of 32."""
    return SsSMnet(SsSMnetConfig(max_disparity))
