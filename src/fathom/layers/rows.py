"""Correlation of all pixels of a row with all of the same row in the other view, and its lookup."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Float

_BLOCK = 1 << 24
"""Entries of the volume that are made at once where it is not kept: 64 MB."""


@dataclass(frozen=True, eq=False)
class RowCorrelation:
    """Features of both views as rows; called with positions in the right view it gives what the
    left pixels have in common with the pixels around these, at several scales.

    left, right: features (b, h, w, c) and (b, h, c, w'). Level i has pixels 2^i wide, means of
    their parts. `radius` pixels of a level are looked up on both sides. volume: the padded levels
    (b, h, w, w'_i + 4 radius + 3), or None to compute them anew at each call, block by block: less
    memory, and the same numbers. Lipson et al., "RAFT-Stereo", 3DV 2021, sections 3.2 and 3.3.
    """

    left: Tensor
    right: Tensor
    levels: int
    radius: int
    volume: tuple[Tensor, ...] | None

    def __call__(self, x: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b k h w"]:
        """x: positions in the right row, in pixels. Channel i (2 r + 1) + j is the correlation at
        x / 2^i + j - r of level i, linear between pixels, 0 outside the image."""
        at = x[:, 0]
        if self.volume is not None:
            return _channels_first(self._looked_up(self.volume, at))
        batch, height, width, _ = self.left.shape
        rows = max(1, _BLOCK // (batch * width * self.right.shape[-1]))
        parts = []
        for start in range(0, height, rows):
            part = slice(start, start + rows)
            made = _levels(self.left[:, part], self.right[:, part], self.levels, self.radius)
            parts.append(self._looked_up(made, at[:, part]))
        return _channels_first(torch.cat(parts, dim=1))

    def _looked_up(self, volume: tuple[Tensor, ...], at: Tensor) -> Tensor:
        return torch.cat(
            [around(level, at / 2**i, self.radius) for i, level in enumerate(volume)], dim=-1
        )


def row_correlation(
    left: Float[Tensor, "b c h w"],
    right: Float[Tensor, "b c h _w"],
    levels: int,
    radius: int,
    *,
    stored: bool = True,
    scaled: bool = True,
) -> RowCorrelation:
    """The products of all features of a row divided by sqrt(c); in float32 whatever comes.

    stored: keep the volume (h w w' floats and as much again for the coarser levels) or make it
    anew at each lookup. scaled: False leaves out the division.
    """
    rows = left.float() / (math.sqrt(left.shape[1]) if scaled else 1.0)
    rows = rows.permute(0, 2, 3, 1).contiguous()
    columns = right.float().permute(0, 2, 1, 3).contiguous()
    volume = _levels(rows, columns, levels, radius) if stored else None
    return RowCorrelation(rows, columns, levels, radius, volume)


def volume_bytes(height: int, width: int, levels: int, radius: int) -> int:
    """Bytes of the stored volume for features of that size, batch 1."""
    return 4 * height * width * sum((width >> i) + 4 * radius + 3 for i in range(levels))


def _channels_first(found: Tensor) -> Tensor:
    """(b, h, w, k) as (b, k, h, w), copied: convolutions round less in that order of memory."""
    return found.permute(0, 3, 1, 2).contiguous()


def _levels(left: Tensor, right: Tensor, count: int, radius: int) -> tuple[Tensor, ...]:
    """The volume at each scale, with as many zeros on both sides as a lookup can see."""
    with torch.autocast(left.device.type, enabled=False):
        return pyramid(torch.matmul(left, right), count, radius)


def pyramid(volume: Float[Tensor, "*s n"], count: int, radius: int) -> tuple[Tensor, ...]:
    """The volume and coarser ones along its last axis, means of pairs of the one before, with as
    many zeros on both sides as `around` can see."""
    room = (2 * radius + 1, 2 * radius + 2)
    made = [functional.pad(volume, room)]
    for _ in range(count - 1):
        pairs = volume.shape[-1] // 2
        volume = (volume[..., 0 : 2 * pairs : 2] + volume[..., 1 : 2 * pairs : 2]) * 0.5
        made.append(functional.pad(volume, room))
    return tuple(made)


def around(
    level: Float[Tensor, "b *c h w _n"], at: Float[Tensor, "b h w"], radius: int
) -> Float[Tensor, "b *c h w _m"]:
    """A level of a `pyramid` at `at` - r .. `at` + r, linear between its entries, 0 outside; with
    or without an axis of channels, which all are looked up at the same places.

    All these positions lie equally far between two entries, so 2 r + 2 neighbours serve them all.
    """
    width = level.shape[-1] - 4 * radius - 3
    # beyond these bounds everything that is seen is 0; not a number is nowhere
    at = torch.nan_to_num(at, nan=-math.inf).clamp(-radius - 1, width + radius)
    low = at.floor()
    steps = torch.arange(radius + 1, 3 * radius + 3, device=at.device)
    index, share = low.long()[..., None] + steps, (at - low)[..., None]
    if level.ndim > index.ndim:
        index = index[:, None].expand(-1, level.shape[1], -1, -1, -1)
        share = share[:, None]
    near = level.gather(-1, index)
    return near[..., :-1] * (1 - share) + near[..., 1:] * share
