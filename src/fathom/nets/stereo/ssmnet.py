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

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.blocks import ConvNorm, Residual
from fathom.layers.conv3d import (
    Conv3d,
    ConvNorm3d,
    PlainResidual3d,
    concat_convolved,
    remake,
)
from fathom.layers.remade import remade
from fathom.layers.stereo import StereoOutput, require_levels, require_size
from fathom.layers.volume import concat_volume, soft_argmax
from fathom.published.frame import Frame
from fathom.published.record import Weights

T = TypeVar("T")
_CELL = 2
_ROWS = 16  # of costs at full size, whose softmax is taken at once


@dataclass(frozen=True)
class SsSMnetConfig:
    """max_disparity: disparities below this can be found, in pixels. width: of the descriptions;
    the paper's is 32. blocks: residual ones of each view. sizes: of the 3-D net, the volume's
    included. checkpoint: training computes volumes again instead of keeping them: the same numbers
    in more time and less memory. apart: training convolves one view's volume after the other's,
    each normalised by itself, as the descriptions are: half the memory, other numbers.

    Raises `UsageError` for a range that the net cannot halve as often as it must, or numbers
    below 1.
    """

    max_disparity: int = 192
    width: int = 32
    blocks: int = 8
    sizes: int = 5
    checkpoint: bool = False
    apart: bool = False

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
        if config.checkpoint:
            remake(self)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor, self.config.divisor)
        if not self.training:
            costs = self.costs(self.described(left), self.described(right))
            disparity, confidence = soft_argmax(-costs[:, 0])
            return StereoOutput((disparity,), confidence)
        ours, theirs = (self._run(self.described, view) for view in (left, right))
        # Mirrored, the right view is a left one.
        views = (ours, theirs), (theirs.flip(3), ours.flip(3))
        if self.config.apart:
            first, second = (self._taught(*view) for view in views)
        else:
            first, second = self._taught(*map(torch.cat, zip(*views, strict=True))).chunk(2)
        return StereoOutput((first,), right=(second.flip(3),))

    def described(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        """Descriptions at half the size."""
        out: Tensor = self.features(image / 127.5 - 1)
        return out

    def costs(
        self, own: Float[Tensor, "b c h w"], other: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 1 _k _h _w"]:
        """Costs of all disparities at full size, from the views' descriptions."""
        fine = self.enter(concat_volume(own, other, self.config.max_disparity // _CELL))
        return self._ended(fine, self._below(fine, 0))

    def _run(self, function: Callable[..., T], *given: object) -> T:
        return remade(function, *given, of=self) if self.config.checkpoint else function(*given)

    def _taught(self, own: Tensor, other: Tensor) -> Tensor:
        """The mean disparity of the costs, for training. The three steps are large: with
        `checkpoint` nothing in them is kept but the volume between them."""
        if not self.config.checkpoint:
            return _mean(self.costs(own, other)[:, 0])
        fine = self._run(self._entered, own, other)
        return self._run(self._read, fine, self._run(self._below, fine, 0))

    def _entered(self, own: Tensor, other: Tensor) -> Tensor:
        """`enter` of the volume, which is never there as a whole."""
        first: Any = self.enter[0]
        levels = self.config.max_disparity // _CELL
        out: Tensor = self.enter[1](concat_convolved(first, own, other, levels))
        return out

    def _below(self, fine: Tensor, i: int) -> Tensor | None:
        """What the sizes below the i-th make of its volume; None if there are none."""
        if i == len(self.down):
            return None
        x = self.down[i](fine)
        return self._joined(x, self._below(x, i + 1), i + 1)

    def _joined(self, fine: Tensor, below: Tensor | None, i: int) -> Tensor:
        """The i-th size's volume with what those below say."""
        if below is None:
            return fine
        out: Tensor = self.rise[i](below)
        return functional.relu_(out.add_(self.lateral[i](fine)))

    def _ended(self, fine: Tensor, below: Tensor | None) -> Tensor:
        """Costs of the finest volume and of what the sizes below make of it."""
        costs: Tensor = self.cost(self._joined(fine, below, 0))
        return costs

    def _read(self, fine: Tensor, below: Tensor | None) -> Tensor:
        """The mean disparity of `_ended`, some rows at once."""
        rows = torch.split(self._ended(fine, below)[:, 0], _ROWS, dim=2)
        return torch.cat([self._run(_mean, part) for part in rows], dim=2)


def _mean(costs: Tensor) -> Tensor:
    return soft_argmax(-costs)[0]


WEIGHTS: tuple[Weights, ...] = ()
"""The authors have published none."""
FRAMES = {"ssmnet": Frame(builder="ssmnet", levels=192, step=32, divisor=32, voxel_bytes=68)}


def ssmnet(*, max_disparity: int = 192, checkpoint: bool = False, apart: bool = False) -> SsSMnet:
    """The network, untrained; max_disparity: a multiple of 32. The rest: `SsSMnetConfig`."""
    return SsSMnet(SsSMnetConfig(max_disparity, checkpoint=checkpoint, apart=apart))
