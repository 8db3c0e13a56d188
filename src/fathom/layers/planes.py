"""Depth as answers to "is this pixel nearer than the plane?": sweeping planes, reading, the loss.

Badki et al., "Bi3D: Stereo Depth Estimation via Binary Classifications", CVPR 2020, section 3.
Logits are of P(the pixel's disparity > the plane's); planes are fronto-parallel, so a plane is its
disparity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Bool, Float
from fathom.core.errors import InputError, UsageError
from fathom.layers.losses import masked_mean, smooth_l1
from fathom.layers.stereo import StereoOutput

_AT_ONCE = 8


def plane_sweep(
    left: Float[Tensor, "b c h w"],
    right: Float[Tensor, "b c h w"],
    planes: Sequence[Sequence[int]],
    canvas: int,
) -> Float[Tensor, "b _n _m h _w"]:
    """The channels of left(x), then those of right(x - plane), for the planes of each sample.

    planes: in columns, 0 .. canvas, as many for each sample. canvas: columns that are added at the
    right, so that nothing is cut off by moving; 0 where there is nothing.
    """
    ours = functional.pad(left, (0, canvas))
    count = len(planes[0])
    moved = [
        functional.pad(right[i], (plane, canvas - plane))
        for i, own in enumerate(planes)
        for plane in own
    ]
    theirs = torch.stack(moved).reshape(-1, count, *moved[0].shape)
    return torch.cat([ours[:, None].expand(-1, count, -1, -1, -1), theirs], dim=2)


def share_nearer(logits: Float[Tensor, "b k h w"], steps: int) -> Float[Tensor, "b 1 h w"]:
    """The mean answer, 0..1, of k planes and of steps - 1 more between any two, whose logits are
    linear between theirs: how far along the planes' range the pixel lies.

    The paper's eq. 5, with planes one pixel of disparity apart.
    """
    planes = logits.shape[1]
    total = logits[:, -1:].sigmoid()
    for i in range(0, planes - 1, _AT_ONCE):  # all at once would take several times the memory
        few = logits[:, i : i + _AT_ONCE + 1]
        lower, rise = few[:, :-1], few.diff(dim=1)
        for step in range(steps):
            between = torch.sigmoid(lower + (step / steps) * rise)
            total = total + between.sum(dim=1, keepdim=True)
    return total / ((planes - 1) * steps + 1)


def answers_at(
    logits: Float[Tensor, "b k h w"], level: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """The logit of a plane at `level` (0 .. k - 1, any number), linear between the planes; outside
    it is that of the nearest plane."""
    last = logits.shape[1] - 1
    at = level.clamp(0, last)
    low = at.detach().floor().clamp(max=max(last - 1, 0))
    share = at - low
    first = low.long()
    above = (first + 1).clamp(max=last)
    return (1 - share) * logits.gather(1, first) + share * logits.gather(1, above)


def mean_of_steps(
    nearer: Float[Tensor, "b k h w"], planes: Float[Tensor, "b k 1 1"], first: float, last: float
) -> Float[Tensor, "b 1 h w"]:
    """The mean disparity of a pixel that lies nearer than the planes with these probabilities.

    The planes, in rising order, cut first .. last into intervals; a pixel is taken to lie in the
    middle of its interval.
    """
    ends = [planes.new_full(planes[:, :1].shape, end) for end in (first, last)]
    middles = torch.cat([ends[0], planes, ends[1]], dim=1)
    middles = (middles[:, 1:] + middles[:, :-1]) / 2
    return middles[:, :1] + (nearer * middles.diff(dim=1)).sum(dim=1, keepdim=True)


def plane_loss(
    logits: Float[Tensor, "b k _h _w"],
    planes: Float[Tensor, "#b k 1 1"],
    truth: Float[Tensor, "b 1 h w"],
    valid: Bool[Tensor, "b 1 h w"],
) -> Float[Tensor, ""]:
    """Binary cross entropy of the answers against truth > plane, mean over the planes and pixels.

    The paper's eq. 3. Coarse answers are enlarged to the truth's size first. planes: disparities in
    pixels of the full image.
    """
    size = (truth.shape[-2], truth.shape[-1])
    if tuple(logits.shape[-2:]) != size:
        logits = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    plain = torch.where(valid, truth, torch.zeros_like(truth))
    nearer = (plain > planes).to(logits.dtype)
    loss = functional.binary_cross_entropy_with_logits(logits, nearer, reduction="none")
    return masked_mean(loss.mean(dim=1, keepdim=True), valid)


@dataclass(frozen=True)
class PlaneLoss:
    """Bi3D's loss: of the planes' answers, and of what the disparity becomes of them.

    planes: weight of `plane_loss`, of every set of answers in the output's `inner` = ((logits,
    planes), ...). disparity: weight of the outputs' smooth L1, 0 for nets that answer planes only.
    outputs: weights of the disparities, the corrected one first.

    Raises `UsageError` for negative weights.
    """

    planes: float = 1.0
    disparity: float = 1.0
    outputs: tuple[float, ...] = (1.0, 0.5)

    def __post_init__(self) -> None:
        for name in ("planes", "disparity"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    "is no weight", field=name, value=getattr(self, name), expected="0 or more"
                )

    def __call__(self, output: StereoOutput, batch: Any) -> dict[str, Tensor]:
        """The terms by name; their sum is what is minimised. batch: with `truth` and `valid`.

        Raises `InputError` for an output without answers.
        """
        if not output.inner:
            raise InputError(
                "holds no answers to planes", field="inner", expected="a net of Bi3D in training"
            )
        terms = [
            plane_loss(logits.float(), planes, batch.truth, batch.valid)
            for logits, planes in output.inner
        ]
        found = {"planes": self.planes * torch.stack(terms).mean()}
        if self.disparity:
            loss = smooth_l1(output.disparities, batch.truth, batch.valid, self.outputs)
            found["disparity"] = self.disparity * loss
        return found
