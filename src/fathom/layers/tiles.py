"""Tiles of slanted planes: what HITNet matches, moves and refines.

Tankovich et al., "HITNet", CVPR 2021, section 3. An image is cut into tiles of n x n pixels; a tile
holds a plane (b, 3, h / n, w / n): the disparity at its middle, in pixels, and what it gains from
one pixel to the next in x and in y.
"""

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.layers.exporting import exporting


def expanded(
    plane: Float[Tensor, "b 3 h w"], side: int, step: float = 1.0
) -> Float[Tensor, "b 1 _h _w"]:
    """The plane's disparity at side x side points of each tile, `step` pixels from one to the next
    around its middle. HITNet, eq. 5."""
    batch, _, height, width = plane.shape
    at = (torch.arange(side, device=plane.device, dtype=plane.dtype) - (side - 1) / 2) * step
    level, slant_x, slant_y = plane[:, :, :, None, :, None].unbind(1)
    out = level + slant_x * at + slant_y * at[:, None, None]
    return out.reshape(batch, 1, height * side, width * side)


def cut(
    tiles: Float[Tensor, "b c h w"], step: float, scale: float = 1.0
) -> Float[Tensor, "b c _h _w"]:
    """Each tile cut into 2 x 2 with their middles on its plane, `step` pixels from one to the next;
    what it holds besides its disparity is repeated. scale: of disparities, 2 where the image
    becomes twice as large as well."""
    middles = expanded(tiles[:, :3], 2, step)
    return torch.cat([middles * scale if scale != 1 else middles, repeated(tiles[:, 1:], 2)], dim=1)


def repeated(x: Float[Tensor, "b c h w"], times: int) -> Float[Tensor, "b c _h _w"]:
    """Every value times x times."""
    batch, channels, height, width = x.shape
    wide = x[:, :, :, None, :, None].expand(-1, -1, -1, times, -1, times)
    return wide.reshape(batch, channels, height * times, width * times)


def tile_costs(
    left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h _w"], first: int, count: int
) -> Float[Tensor, "b h w _d"]:
    """At x: sums over the channels of |left(x) - right(4 x + 1 - d)| for `count` disparities d from
    `first` on.

    left: of tiles four pixels wide; right: of such tiles beginning at every pixel, the one before
    the image's first included, so that 4 x + 1 is where tile x itself lies. Columns outside are the
    border's. HITNet, section 3.2. One channel after the other, so that nothing larger than the
    answer is made.
    """
    return _turned_costs(left, right, first, count).flip(2)


def _turned_costs(left: Tensor, right: Tensor, first: int, count: int) -> Tensor:
    """`tile_costs` from right to left: all disparities of a tile are one window over the row read
    backwards, and that window is a view."""
    width = left.shape[-1]
    turned = functional.pad(right, (max(first + count - 2, 0), 0, 0, 0), mode="replicate").flip(-1)
    # tile w - 1 - x of the turned row matches column 2 + 4 x + d
    turned = turned[..., 2 + first :]
    rows = left.flip(-1)[..., None]
    costs = _distance(rows[:, 0], _windows(turned[:, 0], count, width))
    for i in range(1, left.shape[1]):
        costs = costs + _distance(rows[:, i], _windows(turned[:, i], count, width))
    return costs


def _windows(rows: Tensor, count: int, width: int) -> Tensor:
    """Of rows (b, h, w) the `count` values from every fourth on, (b, h, width, count)."""
    if exporting():  # ONNX knows no such view of a row of any length
        starts = 4 * torch.arange(width, device=rows.device)[:, None]
        return rows[..., starts + torch.arange(count, device=rows.device)]
    return rows.unfold(2, count, 4)[:, :, :width]


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """|a - b|; in training the differences are made again for the gradient and not kept."""
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        from torch.utils.checkpoint import checkpoint

        out: Tensor = checkpoint(_plain_distance, a, b, use_reentrant=False)
        return out
    return _plain_distance(a, b)


def _plain_distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs_()


def best_tiles(
    left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h _w"], levels: int, block: int = 64
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    """The least of `tile_costs` over 0 .. levels - 1, and its disparity; of equal ones the first.

    block: disparities that are compared at once; no more than their costs are in memory.
    """
    low, at = _turned_costs(left, right, 0, min(block, levels)).min(dim=-1)
    for first in range(block, levels, block):
        costs = _turned_costs(left, right, first, min(block, levels - first))
        cost, index = costs.min(dim=-1)
        at = torch.where(cost < low, index + first, at)
        low = torch.minimum(cost, low)
    return low.flip(-1)[:, None], at.flip(-1)[:, None].to(low.dtype)


def plane_costs(
    left: Float[Tensor, "b c h w"],
    right: Float[Tensor, "b c h w"],
    disparity: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, "b 4 h w"]:
    """Sum over channels of |left|, and of |left(x) - right(x - d)| for disparities one pixel less
    than given, as given, and one pixel more.

    right is linear between pixels and its border's outside. HITNet, section 3.3. The three
    positions lie equally far between pixels, so four columns serve them all; two at a time are
    kept.
    """
    width = right.shape[-1]
    at = torch.arange(width, device=right.device, dtype=disparity.dtype) - disparity
    low = at.detach().floor()
    share = at - low
    column = low.long()

    def shifted(by: int) -> Tensor:
        index = (column + by).clamp(0, width - 1).expand(-1, right.shape[1], -1, -1)
        return right.gather(3, index)

    found = [left.abs().sum(dim=1, keepdim=True)]
    after = shifted(2)
    for by in (1, 0, -1):
        before = shifted(by)
        between = before + share * (after - before)
        found.append((left - between).abs().sum(dim=1, keepdim=True))
        after = before
    return torch.cat(found, dim=1)


def folded(x: Float[Tensor, "b c h w"], side: int) -> Float[Tensor, "b _n _h _w"]:
    """The pixels of each tile as channels: channel (i side + j) c + n holds channel n of the
    tile's pixel in row i and column j."""
    batch, channels, height, width = x.shape
    tiled = x.reshape(batch, channels, height // side, side, width // side, side)
    out = tiled.permute(0, 3, 5, 1, 2, 4)
    return out.reshape(batch, side * side * channels, height // side, width // side)
