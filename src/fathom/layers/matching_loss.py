"""Losses of nets that say how well two patches match: one that does against one that does not.

Žbontar and LeCun, JMLR 17(65), 2016, section 3. They cut pairs of patches out of the images; here a
net has scored all disparities of a crop, and every pixel with a truth picks two of them. That is
the same loss for the same patches, many pixels at a time.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Bool, Float
from fathom.core.errors import UsageError
from fathom.layers.losses import masked_mean

Map = Float[Tensor, "b 1 h w"]
Mask = Bool[Tensor, "b 1 h w"]


class PairScores(NamedTuple):
    """Scores at the right and at a wrong disparity of each pixel, and where there are both."""

    right: Map
    wrong: Map
    usable: Mask


def pair_scores(
    scores: Float[Tensor, "b k h w"],
    truth: Map,
    valid: Mask,
    near: float = 0.5,
    far: tuple[float, float] = (4.0, 10.0),
) -> PairScores:
    """The scores of truth + U(-near, near) and of truth +- U(far), to whole disparities.

    scores: of the disparities 0 .. k - 1, more is better. near, far: pixels; drawn by torch's
    generator. A wrong disparity that cannot be, because it is none of the scored ones or its match
    lies outside the right image, is drawn on the other side of the truth; where that cannot be
    either, or the right one cannot, the pixel is not usable.

    Raises `UsageError` unless 0 <= near < far[0] <= far[1].
    """
    if not 0 <= near < far[0] <= far[1]:
        raise UsageError(
            "are no ranges of right and wrong disparities",
            field="near, far",
            value=(near, *far),
            expected="0 <= near < far[0] <= far[1]",
        )
    plain = torch.where(valid, truth, torch.zeros_like(truth))
    column = torch.arange(truth.shape[-1], device=truth.device)

    def possible(level: Tensor) -> Tensor:
        return (level >= 0) & (level < scores.shape[1]) & (level <= column)

    draw = torch.rand((3, *truth.shape), device=truth.device)
    right = torch.round(plain + near * (2 * draw[0] - 1)).long()
    away = far[0] + (far[1] - far[0]) * draw[1]
    away = torch.where(draw[2] < 0.5, -away, away)
    first, second = (torch.round(plain + s * away).long() for s in (1, -1))
    wrong = torch.where(possible(first), first, second)
    usable = valid & possible(right) & possible(wrong)
    picked = [scores.gather(1, level.clamp(0, scores.shape[1] - 1)) for level in (right, wrong)]
    return PairScores(picked[0], picked[1], usable)


def margin_loss(pairs: PairScores, margin: float = 0.2) -> Float[Tensor, ""]:
    """Mean of max(0, margin + wrong - right): the hinge of section 3.2."""
    return masked_mean(functional.relu(margin + pairs.wrong - pairs.right), pairs.usable)


def match_entropy(pairs: PairScores) -> Float[Tensor, ""]:
    """Mean binary cross entropy of the scores as logits of a match: section 3.4."""
    lost = functional.softplus(-pairs.right) + functional.softplus(pairs.wrong)
    return masked_mean(lost / 2, pairs.usable)
