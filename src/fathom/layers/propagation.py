"""Spatial propagation: a map flows from pixel to pixel by affinities that a net gives.

Two ways. In lines, as Liu et al., "Learning Affinity via Spatial Propagation Networks", NeurIPS
2017: one sweep over the image from each side, in which a pixel hears of three pixels of the line
before it. By convolution, as Cheng, Wang and Yang, "Depth Estimation via Affinity Learned with
Convolutional Spatial Propagation Network", ECCV 2018, and "Learning Depth with ...", PAMI 2020: all
pixels at once hear of their neighbours (8 in an image, 26 in a volume), again and again.

In both a pixel takes weights w_k of its neighbours' values and 1 - sum w_k of its own first one,
and sum |w_k| <= 1, so what a neighbour passes on never grows; a constant map stays as it is. Where
`kept` is True the first value is put back at every step: measured depths stay, and spread. A map of
several channels shares its weights.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Bool, Float

Offset = tuple[int, ...]
NEAR_2D: tuple[Offset, ...] = tuple(
    (y, x) for y in (1, 0, -1) for x in (1, 0, -1) if (y, x) != (0, 0)
)
"""(dy, dx) of the eight neighbours, in the order of CSPN's guidance."""
NEAR_3D: tuple[Offset, ...] = tuple(o for o in itertools.product((-1, 0, 1), repeat=3) if any(o))
"""(dk, dy, dx) of the 26 neighbours."""


def conv_affinities(
    guidance: Float[Tensor, "b 8 h w"], *, positive: bool = False
) -> Float[Tensor, "b 8 h w"]:
    """Weights of the eight neighbours of each pixel; sum |w| = 1 unless all are 0.

    As in the authors' code channel k is read at the neighbour k itself, and is 0 outside the image.
    positive: |guidance| ("8sum_abs" there, else "8sum"): then no value leaves the range of the
    first map, of which nothing is left after one step.
    """
    near = [n[:, k : k + 1] for k, n in enumerate(_neighbours(guidance, NEAR_2D))]
    return _normalised(torch.cat(near, dim=1), positive)


def conv_affinities_3d(
    guidance: Float[Tensor, "b 26 k h w"], *, positive: bool = False
) -> Float[Tensor, "b 26 k h w"]:
    """Weights of the 26 neighbours of each voxel, from its own 26 channels (PAMI 2020, eq. 3);
    neighbours outside the volume count nothing. positive: as in `conv_affinities`."""
    ones = torch.ones_like(guidance[:1, :1])
    inside = torch.cat(list(_neighbours(ones, NEAR_3D)), dim=1)
    return _normalised(guidance * inside, positive)


def propagated(start: Tensor, weights: Tensor, steps: int, kept: Tensor | None = None) -> Tensor:
    """h <- sum over k of w_k h_k + (1 - sum w_k) h_0, `steps` times.

    start: (b, c, h, w) with weights (b, 8, h, w) of `NEAR_2D`, or (b, c, k, h, w) with weights
    (b, 26, k, h, w) of `NEAR_3D`. kept: True (b, 1, ...) where `start` is put back at every step.
    """
    offsets = NEAR_2D if weights.shape[1] == len(NEAR_2D) else NEAR_3D
    rest = (1 - weights.sum(dim=1, keepdim=True)) * start
    each = weights.chunk(weights.shape[1], dim=1)
    h = start
    for _ in range(steps):
        total = rest
        for weight, near in zip(each, _neighbours(h, offsets), strict=True):
            total = torch.addcmul(total, weight, near)
        h = total if kept is None else torch.where(kept, start, total)
    return h


def line_affinities(guidance: Float[Tensor, "b 12 h w"]) -> Float[Tensor, "b 4 3 h w"]:
    """Weights of the three pixels before each in each direction; sum |w| <= 1.

    Directions: from the left, from the right, from above, from below; the three pixels lie on the
    line before, one up (or left), beside, one down (or right). Where the sum of |guidance| exceeds
    1 the three are divided by it (Liu et al., section 4.1); those outside the image count nothing.
    """
    batch, _, height, width = guidance.shape
    g = guidance.reshape(batch, 4, 3, height, width)
    ones = torch.ones_like(g[:1, 0, :1])
    near = dict(zip(NEAR_2D, _neighbours(ones, NEAR_2D), strict=True))
    before = ((0, -1), (0, 1), (-1, 0), (1, 0))
    inside = [
        torch.cat([near[(y or side, x or side)] for side in (-1, 0, 1)], dim=1) for y, x in before
    ]
    g = g * torch.stack(inside, dim=1)
    return g / g.abs().sum(dim=2, keepdim=True).clamp(min=1)


def swept(
    start: Float[Tensor, "b c h w"],
    weights: Float[Tensor, "b 4 3 h w"],
    kept: Bool[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, "b c h w"]:
    """The map after a sweep from each side: the largest of the four answers, pixel by pixel.

    weights: as `line_affinities` gives them. Liu et al., eq. 1 and section 4.1. Sweeps from
    opposite sides run as one batch.
    """
    if kept is None:
        kept = torch.zeros_like(start[:, :1], dtype=torch.bool)
    across = _sweeps(start, weights[:, :2], kept)
    down = _sweeps(start.mT, weights[:, 2:].mT, kept.mT)
    return torch.maximum(across, down.mT)


def _sweeps(start: Tensor, weights: Tensor, kept: Tensor) -> Tensor:
    """The larger of the sweeps from the left and the right."""
    both = torch.cat([start, start.flip(-1)])
    w = torch.cat([weights[:, 0], weights[:, 1].flip(-1)])
    rest = ((1 - w.sum(dim=1, keepdim=True)) * both).unbind(-1)
    hold = torch.cat([kept, kept.flip(-1)]).unbind(-1)
    columns, lines = both.unbind(-1), w.unbind(-1)
    h = columns[0]
    found = [h]
    for x in range(1, len(columns)):
        above, beside, below = lines[x].chunk(3, dim=1)
        framed = functional.pad(h, (1, 1))
        total = rest[x] + above * framed[..., :-2] + beside * h + below * framed[..., 2:]
        h = torch.where(hold[x], columns[x], total)
        found.append(h)
    right, left = torch.stack(found, dim=-1).chunk(2)
    return torch.maximum(right, left.flip(-1))


class CSPN2d(nn.Module):
    """`propagated` by `conv_affinities`; it has no weights of its own. steps: the authors' 24."""

    channels = len(NEAR_2D)

    def __init__(self, steps: int = 24, *, positive: bool = False) -> None:
        super().__init__()
        self.steps, self.positive = steps, positive

    def forward(
        self,
        start: Float[Tensor, "b c h w"],
        guidance: Float[Tensor, "b 8 h w"],
        kept: Bool[Tensor, "b 1 h w"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """start: the first map. guidance: of any size and sign."""
        weights = conv_affinities(guidance, positive=self.positive)
        return propagated(start, weights, self.steps, kept)


class CSPN3d(nn.Module):
    """The same in a volume, by `conv_affinities_3d`."""

    channels = len(NEAR_3D)

    def __init__(self, steps: int = 4, *, positive: bool = False) -> None:
        super().__init__()
        self.steps, self.positive = steps, positive

    def forward(
        self,
        start: Float[Tensor, "b c k h w"],
        guidance: Float[Tensor, "b 26 k h w"],
        kept: Bool[Tensor, "b 1 k h w"] | None = None,
    ) -> Float[Tensor, "b c k h w"]:
        """start: the first volume. guidance: of any size and sign."""
        weights = conv_affinities_3d(guidance, positive=self.positive)
        return propagated(start, weights, self.steps, kept)


class SPN(nn.Module):
    """`swept` by `line_affinities`; it has no weights of its own. One sweep reaches every pixel."""

    channels = 12

    def forward(
        self,
        start: Float[Tensor, "b c h w"],
        guidance: Float[Tensor, "b 12 h w"],
        kept: Bool[Tensor, "b 1 h w"] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """start: the first map. guidance: of any size and sign."""
        return swept(start, line_affinities(guidance), kept)


def _normalised(gates: Tensor, positive: bool) -> Tensor:
    size = gates.abs()
    total = size.sum(dim=1, keepdim=True)
    # the authors divide by 0 where all are 0; such a pixel keeps its first value here
    return (size if positive else gates) / torch.where(total > 0, total, torch.ones_like(total))


def _neighbours(values: Tensor, offsets: Sequence[Offset]) -> list[Tensor]:
    """`values` as each pixel sees them at each offset; 0 outside."""
    axes = len(offsets[0])
    sizes = values.shape[-axes:]
    framed = functional.pad(values, (1,) * (2 * axes))
    found = []
    for offset in offsets:
        part = [slice(1 + d, 1 + d + n) for d, n in zip(offset, sizes, strict=True)]
        index: tuple[Any, ...] = (..., *part)
        found.append(framed[index])
    return found
