"""Moving pixels: warping by a disparity, and upsampling disparities.

Pixel centres are whole numbers and (-0.5, -0.5) is the image's corner, as everywhere in fathom.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Bool, Float


def warp_right(
    right: Float[Tensor, "b c h w"], disparity: Float[Tensor, "b 1 h w"]
) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b 1 h w"]]:
    """The right view seen from the left: out(x, y) = right(x - d(x, y), y), linear between pixels.

    disparity: pixels, x_left - x_right. Returns the warped view and where x - d lies inside the
    image; outside it the border's pixel is repeated. NaN disparities give the border and False.
    """
    width = right.shape[-1]
    at = torch.arange(width, device=right.device, dtype=disparity.dtype) - disparity[:, 0]
    inside = (at >= 0) & (at <= width - 1)
    at = torch.where(torch.isfinite(at), at, torch.zeros_like(at)).clamp(0, width - 1)
    low = at.detach().floor().clamp(max=max(width - 2, 0))
    share = (at - low)[:, None].to(right.dtype)
    first = low.long()[:, None].expand(-1, right.shape[1], -1, -1)
    second = (first + 1).clamp(max=width - 1)
    out = (1 - share) * right.gather(3, first) + share * right.gather(3, second)
    return out, inside[:, None]


def sampled(
    image: Float[Tensor, "b c _h _w"],
    at: Float[Tensor, "b 2 h w"],
    border: Literal["zeros", "repeat"] = "zeros",
) -> Float[Tensor, "b c h w"]:
    """The image at the positions `at` (x and y in its pixels), linear between pixels.

    border: what lies outside, 0 or the border's own values.
    """
    height, width = image.shape[-2:]
    x, y = (2 * at[:, 0] + 1) / width - 1, (2 * at[:, 1] + 1) / height - 1
    grid = torch.stack([x, y], dim=-1)
    padding = "border" if border == "repeat" else "zeros"
    return functional.grid_sample(
        image, grid, mode="bilinear", padding_mode=padding, align_corners=False
    )


def to_size(disparity: Float[Tensor, "b c _h _w"], size: tuple[int, int]) -> Tensor:
    """`disparity` brought to (height, width), linearly; its values stay.

    Outputs are in pixels of the full image whatever their size, so nothing is multiplied.
    """
    if tuple(disparity.shape[-2:]) == tuple(size):
        return disparity
    return functional.interpolate(disparity, size=size, mode="bilinear", align_corners=False)


def convex_upsample(
    disparity: Float[Tensor, "b 1 h w"],
    logits: Float[Tensor, "b k h w"],
    factor: int,
    border: Literal["replicate", "constant"] = "replicate",
) -> Float[Tensor, "b 1 H W"]:
    """`disparity` enlarged by `factor`; each new pixel is a weighted mean of nine old neighbours.

    logits: 9 factor^2 channels; channel (n factor + i) factor + j holds neighbour n (row by row
    from the top left) for the new pixel in row i and column j of the old one; softmax over n gives
    the weights. Teed and Deng, "RAFT", ECCV 2020, section 3.3. Values stay (see `to_size`).
    border: what lies outside, the border's values or, as in the published networks, 0 ("constant").
    """
    batch, _, height, width = disparity.shape
    weights = logits.reshape(batch, 9, factor * factor, height, width).softmax(dim=1).unbind(1)
    framed = functional.pad(disparity, (1, 1, 1, 1), mode=border)
    total = weights[0] * framed[:, :, :height, :width]
    for n in range(1, 9):  # nine small products: a runtime fuses them, the one large it does not
        i, j = divmod(n, 3)
        total = total + weights[n] * framed[:, :, i : i + height, j : j + width]
    return functional.pixel_shuffle(total, factor)
