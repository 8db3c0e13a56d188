"""Stereo without truth: one view warped onto the other, and what two disparity maps say of each
other.

Images are (b, 3, h, w), RGB in 0..255; disparities (b, 1, h, w) in pixels, positive in both views:
left pixel x shows what right pixel x - d shows, right pixel x what left pixel x + d shows. `side`
says whose pixels a function speaks of; `own` is that view's, `other` the other's.

    seen_from(other, disparity, side)      -> the other view as this one sees it, inside the image
    other_disparity(own, other, side)      -> the other's disparity of the same points, inside
    agreement(own, other, side)            -> where both maps agree: both cameras see it, and sure
    consistency_error(own, other, side)    -> |d - d'| map, inside the image
    photometric_error(views, disparity, distance, side)  -> error map, inside the image
    loop_error(image, own, other, distance, side)        -> error after there and back, inside
    cross_checked(left, right, views)      -> both maps, corrected by each other over some rounds
    weighted_mean(values, weights)         -> the mean of a map, sample by sample

Distances between images: `fathom.layers.photometric_distance`. Smoothness: `edge_aware_smoothness`
in `fathom.layers.losses`. Weights from other sources: `fathom.layers.cues`. The training objective
made of all this: `fathom.train.self_supervised.StereoPhotometric`.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Bool, Float
from fathom.core.errors import UsageError
from fathom.layers.resample import warp_right

Side = Literal["left", "right"]
Image = Float[Tensor, "b 3 h w"]
Map = Float[Tensor, "b 1 h w"]
Mask = Bool[Tensor, "b 1 h w"]
DistanceOf = Callable[[Tensor, Tensor], Tensor]


def seen_from(
    other: Float[Tensor, "b c h w"], disparity: Map, side: Side = "left"
) -> tuple[Float[Tensor, "b c h w"], Mask]:
    """The other view as this one sees it by its own disparity, and where it does not have to look
    beyond the image's border.

    Garg et al., "Unsupervised CNN for Single View Depth Estimation", ECCV 2016, eq. 1.
    """
    return warp_right(other, disparity if side == "left" else -disparity)


def other_disparity(own: Map, other: Map, side: Side = "left") -> tuple[Map, Mask]:
    """The other map's disparity of what this view's pixels show, and where it is inside."""
    return seen_from(other, own, side)


def consistency_error(own: Map, other: Map, side: Side = "left") -> tuple[Map, Mask]:
    """|d(x) - d'(x -+ d(x))| in pixels, and where it is inside the image.

    Godard et al., "Monodepth", CVPR 2017, eq. 4.
    """
    theirs, inside = other_disparity(own, other, side)
    return (own - theirs).abs(), inside


def agreement(
    own: Map, other: Map, side: Side = "left", pixels: float = 1.0, share: float = 0.05
) -> Mask:
    """Where both maps differ by at most `pixels` + `share` of the disparity: seen by both cameras.

    Occluded pixels look at what hides them, whose disparity is larger. Values that are no numbers
    do not agree. After Meister et al., "UnFlow", AAAI 2018, eq. 3. No gradient.
    """
    with torch.no_grad():
        error, inside = consistency_error(own, other, side)
        return inside & (error <= pixels + share * own.abs())


def photometric_error(
    views: tuple[Image, Image], disparity: Map, distance: DistanceOf, side: Side = "left"
) -> tuple[Map, Mask]:
    """How unlike this view is what the other one shows at its matches, and where these are inside.

    views: left and right. disparity: of the view `side`. distance: of a warped image and its
    target, see `fathom.layers.photometric_distance`.
    """
    target, source = views if side == "left" else views[::-1]
    seen, inside = seen_from(source, disparity, side)
    return distance(seen, target), inside


def loop_error(
    image: Image, own: Map, other: Map, distance: DistanceOf, side: Side = "left"
) -> tuple[Map, Mask]:
    """How unlike itself this view has become after it was warped into the other one, by the other's
    disparity, and back by its own; and where both ways stay inside.

    Zhong et al., "Self-Supervised Learning for Stereo Matching with Self-Improving Ability", 2017
    (loop consistency).
    """
    away: Side = "right" if side == "left" else "left"
    there, inside = seen_from(image, other, away)
    back, returned = seen_from(there, own, side)
    with torch.no_grad():
        kept, _ = seen_from(inside.to(own.dtype), own, side)
    return distance(back, image), returned & (kept > 0.999)


def weighted_mean(values: Map, weights: Map) -> Float[Tensor, ""]:
    """Sum of weight times value over the sum of weights of each sample, then the mean over the
    samples. A sample without weight counts with 0; values of weight 0 may be anything."""
    plain = torch.where(weights > 0, values, torch.zeros_like(values))
    sums = (plain * weights).sum(dim=(1, 2, 3))
    return (sums / weights.sum(dim=(1, 2, 3)).clamp(min=1e-6)).mean()


class CrossChecked(NamedTuple):
    """Both views' corrected disparities, and where they agree in the end."""

    left: Map
    right: Map
    left_agrees: Mask
    right_agrees: Mask


def cross_checked(
    left: Map,
    right: Map,
    views: tuple[Image, Image],
    rounds: int = 3,
    pixels: float = 1.0,
    radius: int = 2,
) -> CrossChecked:
    """Two disparity maps that correct each other. In each round, where they agree to within
    `pixels`, both take the mean of what they say; elsewhere a value is replaced by the mean of the
    agreeing ones around it, (2 radius + 1)^2 pixels, weighted by likeness of colour; without any
    it stays. So what is sure in both spreads, and the next round tests it against the other view.

    What agrees at the end can teach the net that gave the maps. No gradient. The comparison of both
    maps in each round follows Jie et al., "Left-Right Comparative Recurrent Model for Stereo
    Matching", CVPR 2018, who learn the correction.

    Raises `UsageError` for fewer than one round or a radius below 1.
    """
    if rounds < 1 or radius < 1:
        raise UsageError(
            "cannot correct anything",
            field="rounds, radius",
            value=(rounds, radius),
            expected=">= 1",
        )
    with torch.no_grad():
        for _ in range(rounds):
            new_left = _corrected(left, right, views[0], "left", pixels, radius)
            right = _corrected(right, left, views[1], "right", pixels, radius)
            left = new_left
        agrees = (
            agreement(left, right, "left", pixels, 0.0),
            agreement(right, left, "right", pixels, 0.0),
        )
    return CrossChecked(left, right, *agrees)


_COLOUR = 12.0  # grey values by which neighbours of one surface may differ


def _corrected(own: Map, other: Map, image: Image, side: Side, pixels: float, radius: int) -> Map:
    """One round for one view, see `cross_checked`."""
    theirs, inside = other_disparity(own, other, side)
    agrees = inside & ((own - theirs).abs() <= pixels)
    sure = torch.where(agrees, (own + theirs) / 2, torch.zeros_like(own))
    everything = torch.cat([sure, agrees.to(own.dtype), image], dim=1)
    framed = functional.pad(everything, (radius,) * 4)
    height, width = own.shape[-2:]
    total, weights = torch.zeros_like(own), torch.zeros_like(own)
    for i in range((2 * radius + 1) ** 2):
        y, x = divmod(i, 2 * radius + 1)
        near = framed[..., y : y + height, x : x + width]
        unlike = (near[:, 2:] - image).abs().mean(dim=1, keepdim=True)
        weight = near[:, 1:2] * torch.exp(-unlike / _COLOUR)
        total, weights = total + weight * near[:, :1], weights + weight
    filled = torch.where(weights > 1e-6, total / weights.clamp(min=1e-6), own)
    return torch.where(agrees, sure, filled)
