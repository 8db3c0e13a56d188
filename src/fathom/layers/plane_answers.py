"""The net that answers planes: it describes two views, and says what is nearer than a plane.

Badki et al., "Bi3D: Stereo Depth Estimation via Binary Classifications", CVPR 2020, section 3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.planes import plane_sweep
from fathom.layers.resample import to_size
from fathom.layers.unnormalised import EncoderDecoder, LeakyResidual

CELL = 3
"""Pixels of a described cell, and of disparity between two planes."""
_AT_ONCE = 4  # planes: more of them cost memory and save no time


@dataclass(frozen=True)
class Classifying:
    """The net that describes, and the one that answers.

    width: of a description. pools: sides in cells of what is averaged. widths: of the answering
    net's encoder, each at half the size of the one before. canvas: cells that are added for moving.
    """

    width: int = 32
    pools: tuple[int, ...] = (64, 32, 16, 8)
    widths: tuple[int, ...] = (128, 256, 512, 512, 512)
    canvas: int = 64

    def __post_init__(self) -> None:
        if min(self.width, self.canvas, *self.pools, *self.widths) < 1 or not self.widths:
            raise UsageError("is no net", field="Classifying", value=self, expected="sizes >= 1")
        if self.canvas % 2 ** len(self.widths):
            raise UsageError(
                "cannot be halved as often as the net does", field="canvas", value=self.canvas,
                expected=f"a multiple of {2 ** len(self.widths)}",
            )  # fmt: skip

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return CELL << len(self.widths)

    @property
    def smallest(self) -> int:
        """Images must not be smaller than this on either side, in pixels."""
        return CELL * max(self.pools)

    def farthest(self) -> int:
        """The largest disparity that a plane can have."""
        return CELL * self.canvas


class _Features(nn.Module):
    """Descriptions at a third of the size, with the means over large cells beside them."""

    def __init__(self, config: Classifying) -> None:
        super().__init__()
        c, count = config.width, len(config.pools)
        first = nn.Conv2d(3, c, 3, CELL, 1)
        second, third = (nn.Conv2d(c, c, 3, 1, 1) for _ in range(2))
        self.stem = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third, nn.ReLU())
        self.blocks = nn.Sequential(*(LeakyResidual(c, 2, 0.0) for _ in range(2)))
        self.pyramid = nn.ModuleList(nn.Conv2d(c, c, 1) for _ in config.pools)
        self.fuse = nn.Conv2d((1 + count) * c, 2 * c, 3, 1, 1)
        self.project = nn.Conv2d(2 * c, c, 1, bias=False)
        self.pools = config.pools

    def forward(self, image: Tensor) -> Tensor:
        x = self.blocks(self.stem(image))
        size = (x.shape[-2], x.shape[-1])
        means = [
            to_size(torch.relu(branch(functional.avg_pool2d(x, side))), size)
            for side, branch in zip(self.pools, self.pyramid, strict=True)
        ]
        out: Tensor = self.project(torch.relu(self.fuse(torch.cat([x, *reversed(means)], dim=1))))
        return out


class PlaneAnswers(nn.Module):
    """Describes both views and answers planes."""

    def __init__(self, config: Classifying) -> None:
        super().__init__()
        self.features = _Features(config)
        self.classifier = EncoderDecoder(2 * config.width, config.widths)
        self.canvas = config.canvas

    def described(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptions of views in -1 .. 1."""
        first, second = self.features(torch.cat([left, right])).chunk(2)
        return first, second

    def forward(
        self, left: Tensor, right: Tensor, planes: Sequence[Sequence[int]]
    ) -> Float[Tensor, "b _k _h _w"]:
        """Logits of "nearer" for descriptions and the planes of each sample, in cells."""
        at_once = len(planes[0]) if torch.is_grad_enabled() else _AT_ONCE
        width = left.shape[-1]
        found = []
        for i in range(0, len(planes[0]), at_once):
            some = [own[i : i + at_once] for own in planes]
            laid = plane_sweep(left, right, some, self.canvas)
            logits = self.classifier(laid.flatten(0, 1))[..., :width]
            found.append(logits.unflatten(0, (-1, len(some[0]))).squeeze(2))
        return torch.cat(found, dim=1)
