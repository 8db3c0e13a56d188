"""Cost volumes over disparities, and what is read from them."""

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Float


def correlation(
    left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h w"], levels: int
) -> Float[Tensor, "b k h w"]:
    """Channel k at x: sum over channels of left(x) right(x - k); 0 where x - k leaves the image.

    As in Mayer et al., "DispNet", CVPR 2016, section 4.2, with one row of displacements. All
    products of a row are made as one matrix and the band that is wanted is cut out by reading the
    matrix with rows one longer: a matrix product is what processors are best at.
    """
    batch, channels, height, width = left.shape
    framed = functional.pad(right, (levels - 1, 0))
    rows = left.permute(0, 2, 3, 1)
    columns = framed.permute(0, 2, 1, 3)
    products = torch.matmul(rows, columns)  # (b, h, w, levels - 1 + w)
    # Entry (x, x + j) is displacement levels - 1 - j. With two more columns a row is levels + 1 + w
    # long, so a stride of one more follows the diagonal.
    long = functional.pad(products, (0, 2)).reshape(batch, height, width * (levels + 1 + width))
    long = functional.pad(long, (0, width))
    band = long.reshape(batch, height, width, levels + 2 + width)[..., :levels]
    return band.flip(-1).permute(0, 3, 1, 2)


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


def peak_disparity(logits: Float[Tensor, "b k h w"], radius: int = 2) -> Float[Tensor, "b 1 h w"]:
    """The mean level around the highest logit, weighted by the softmax over 2 radius + 1 levels.

    In levels. A mean over all levels would lie between two surfaces where both are likely. Tulyakov
    et al., "PDS", NeurIPS 2018, eq. 3.
    """
    levels = logits.shape[1]
    best = logits.argmax(dim=1, keepdim=True)
    near = best + torch.arange(-radius, radius + 1, device=logits.device).view(1, -1, 1, 1)
    inside = (near >= 0) & (near < levels)
    near = near.clamp(0, levels - 1)
    chosen = logits.gather(1, near)
    weights = torch.where(inside, chosen, torch.full_like(chosen, -1e4)).softmax(dim=1)
    return (weights * near.to(weights.dtype)).sum(dim=1, keepdim=True)
