"""Cost volumes over disparities, and what is read from them."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Float


def correlation(
    left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h w"], levels: int
) -> Float[Tensor, "b k h w"]:
    """Channel k at x: sum over channels of left(x) right(x - k); 0 where x - k leaves the image.

    As in Mayer et al., "DispNet", CVPR 2016, section 4.2, with one row of displacements. Each block
    of columns is multiplied with all columns it may match as one matrix, and the band that is
    wanted is cut out by reading the matrix with rows one shorter: a matrix product is what
    processors are best at, and blocks keep the matrices hardly larger than the band.
    """
    batch, channels, height, width = left.shape
    block = -(-levels // 2)  # so that the matches of a block lie in it and the two before it
    extra = -width % block
    count = (width + extra) // block
    size = (batch, channels, height, count, block)
    rows = functional.pad(left, (0, extra)).reshape(size).permute(0, 2, 3, 4, 1)
    framed = functional.pad(right, (2 * block, extra))
    # each block from right to left, so that displacements grow with the column of the product
    turned = framed.reshape(batch, channels, height, count + 2, block).flip(-1)
    columns = torch.cat([turned[:, :, :, 2:], turned[:, :, :, 1:-1], turned[:, :, :, :-2]], dim=-1)
    products = torch.matmul(rows, columns.permute(0, 2, 3, 1, 4))  # (..., block, 3 block)
    # Entry (x, block - 1 - x + k) is displacement k: with rows of one less it stands below
    # (x - 1, block - x + k).
    flat = products.reshape(batch, height, count, 3 * block * block)
    short = flat[..., : block * (3 * block - 1)]
    band = short.reshape(batch, height, count * block, 3 * block - 1)
    return band[:, :, :width, block - 1 : block - 1 + levels].permute(0, 3, 1, 2)


def group_correlation(
    left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h w"], levels: int, groups: int
) -> Float[Tensor, "b _g k h w"]:
    """Group i, level k at x: mean over the group's channels of left(x) right(x - k); 0 where x - k
    leaves the image. The channels are cut into `groups` of equal size, in their order.

    Guo et al., "GwcNet", CVPR 2019, eq. 2.
    """
    batch, channels, height, width = left.shape
    each = channels // groups
    rows, columns = (t.reshape(batch * groups, each, height, width) for t in (left, right))
    found = correlation(rows, columns, levels) / each
    return found.reshape(batch, groups, levels, height, width)


def soft_histogram(
    disparity: Float[Tensor, "b n h w"], weight: Float[Tensor, "b n h w"], levels: int
) -> Float[Tensor, "b k h w"]:
    """Channel k: mean over the n estimates of weight * max(0, 1 - |disparity - k|).

    disparity: in the volume's levels; what lies outside 0..levels - 1 adds nothing.
    """
    steps = torch.arange(levels, device=disparity.device, dtype=disparity.dtype).view(1, -1, 1, 1)
    count = disparity.shape[1]
    total = disparity.new_zeros(())
    for i in range(count):
        near = functional.relu(1 - (disparity[:, i : i + 1] - steps).abs())
        total = total + near * (weight[:, i : i + 1] / count)
    return total


def peak_disparity(
    logits: Float[Tensor, "b k h w"], radius: int = 2
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    """The mean level around the highest logit, weighted by the softmax over 2 radius + 1 levels,
    and the share of the whole softmax that these levels have, 0..1.

    A mean over all levels would lie between two surfaces where both are likely. Tulyakov et al.,
    "PDS", NeurIPS 2018, eq. 3.
    """
    levels = logits.shape[1]
    best = _first_highest(logits.detach())
    near = best + torch.arange(-radius, radius + 1, device=logits.device).view(1, -1, 1, 1)
    inside = (near >= 0) & (near < levels)
    near = near.clamp(0, levels - 1)
    chosen = logits.gather(1, near)
    chosen = torch.where(inside, chosen, torch.full_like(chosen, -1e4))
    weights = chosen.softmax(dim=1)
    mass = (chosen.logsumexp(dim=1, keepdim=True) - logits.logsumexp(dim=1, keepdim=True)).exp()
    return (weights * near.to(weights.dtype)).sum(dim=1, keepdim=True), mass


def _first_highest(logits: Float[Tensor, "b k h w"]) -> Tensor:
    """The argmax over the levels (b, 1, h, w), int64. Two reductions: as an argmax, which OpenVINO
    sorts for, it was the dearest single step of `fathom-s` in 8 bits."""
    levels = logits.shape[1]
    numbers = torch.arange(levels, device=logits.device).view(1, -1, 1, 1)
    highest = logits >= logits.amax(dim=1, keepdim=True)
    return torch.where(highest, numbers, levels - 1).amin(dim=1, keepdim=True)


def concat_volume(
    left: Float[Tensor, "b c h w"],
    right: Float[Tensor, "b c h w"],
    levels: int,
    *,
    both: bool = True,
) -> Float[Tensor, "b _m k h w"]:
    """Level k at x: the channels of left(x), then those of right(x - k).

    Where x - k leaves the image the right view's are 0, and if `both` the left view's too. Kendall
    et al., "GC-Net", ICCV 2017, section 3.2. The channels of a voxel lie together in memory. All
    levels are read from one row repeated: in copies of length p, row k of length p - 1 begins k
    further back.
    """
    batch, channels, height, width = left.shape
    row = width + levels - 1  # the zeros that follow a copy precede the next one
    copies = functional.pad(right.permute(0, 2, 3, 1), (0, 0, 0, levels))[:, :, None]
    copies = copies.expand(-1, -1, levels, -1, -1).reshape(batch, height, -1, channels)
    shifted = copies[:, :, : levels * row].reshape(batch, height, levels, row, channels)
    theirs = shifted[:, :, :, :width].transpose(1, 2)
    ours = left.permute(0, 2, 3, 1)[:, None].expand(-1, levels, -1, -1, -1)
    if both:
        at = torch.arange(width, device=left.device)
        inside = at >= torch.arange(levels, device=left.device)[:, None]
        ours = ours * inside[:, None, :, None].to(left.dtype)
    return torch.cat([ours, theirs], dim=-1).permute(0, 4, 1, 2, 3)


def soft_argmax(
    scores: Float[Tensor, "b k h w"],
) -> tuple[Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
    """The mean level under the softmax of the scores, and the logit of the probability that they
    give to within 1 level of it. Kendall et al., "GC-Net", ICCV 2017, eq. 1, for scores = -costs.
    """
    p = scores.float().softmax(dim=1)
    steps = torch.arange(scores.shape[1], device=scores.device, dtype=p.dtype)
    if torch.is_autocast_enabled(p.device.type):  # bfloat16 holds 100 to half a pixel only
        with torch.autocast(p.device.type, enabled=False):
            mean = torch.einsum("bkhw,k->bhw", p, steps)[:, None]
    else:
        mean = torch.einsum("bkhw,k->bhw", p, steps)[:, None]
    return mean, torch.logit(mass_near(p.detach(), mean.detach()), eps=1e-4)


def enlarged_argmax(
    scores: Float[Tensor, "b 1 k h w"], size: tuple[int, int, int], *, align_corners: bool = False
) -> tuple[Float[Tensor, "b 1 _h _w"], Float[Tensor, "b 1 _h _w"]]:
    """`soft_argmax` of scores that were brought to (levels, height, width), linearly.

    Chang and Chen, "PSMNet", CVPR 2018, section 3.5.
    """
    full = functional.interpolate(
        scores.float(), size=size, mode="trilinear", align_corners=align_corners
    )
    return soft_argmax(full[:, 0])


def mass_near(
    probabilities: Float[Tensor, "b k h w"], level: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """The probability of level - 1 .. level + 1; each is spread evenly over k - 1/2 .. k + 1/2."""
    levels = probabilities.shape[1]
    near = level.floor().long() + torch.arange(-1, 3, device=level.device).view(1, -1, 1, 1)
    share = (1.5 - (near - level).abs()).clamp(0, 1)
    inside = (near >= 0) & (near < levels)
    chosen = probabilities.gather(1, near.clamp(0, levels - 1))
    return (chosen * share * inside).sum(dim=1, keepdim=True)


def top_argmax(
    scores: Float[Tensor, "b k h w"], count: int, levels: Tensor | None = None
) -> Float[Tensor, "b 1 h w"]:
    """The mean level under the softmax of the `count` highest scores alone: the likelier of two
    surfaces is met, where a mean over all levels would lie between them.

    levels: (b, k, h, w), what each score stands for; default 0, 1, 2, ... Bangunharcana et al.,
    "CoEx", IROS 2021, section III-D.
    """
    best, at = scores.topk(count, dim=1)
    values = at.to(best.dtype) if levels is None else levels.gather(1, at)
    return (best.softmax(dim=1) * values).sum(dim=1, keepdim=True)


def spread_logit(
    scores: Float[Tensor, "b k h w"],
    level: Float[Tensor, "b 1 h w"],
    step: float,
    levels: Tensor | None = None,
) -> Float[Tensor, "b 1 h w"]:
    """The logit of the probability that the softmax of the scores gives to an error of at most 1 px
    of `level`, where levels lie `step` pixels apart.

    A mean of m + f levels needs a variance of f (1 - f) at least, said in whole levels; what the
    distribution has beyond that is taken for the spread s^2 of Laplace's law, as in
    `fathom.core.uncertainty`: P(|e| <= 1) = 1 - exp(-sqrt(2) / s). levels: as in `top_argmax`.
    """
    p = scores.detach().float().softmax(dim=1)
    level = level.detach()
    if levels is None:
        levels = torch.arange(scores.shape[1], device=p.device, dtype=p.dtype).view(1, -1, 1, 1)
    variance = (p * (levels - level).square()).sum(dim=1, keepdim=True)
    between = level - level.floor()
    beyond = (variance - between * (1 - between)).clamp(min=1e-6)
    ratio = math.sqrt(2) / (step * beyond.sqrt())
    return torch.logit(-torch.expm1(-ratio), eps=1e-4)
