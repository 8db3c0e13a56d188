"""ZoeDepth's head: depth in metres as the mean of bins that every pixel places anew.

Bhat et al., "ZoeDepth: Zero-shot Transfer by Combining Relative and Metric Depth", 2023, section 3:

1. From the coarsest features of a net for relative depth, an MLP tells every pixel's first bin
   centres c_1 .. c_n ("seed").
2. At each finer level an MLP tells attractors a_k, and every centre moves towards them:
   c += mean_k (a_k - c) / (1 + alpha (a_k - c)^2).
3. At last an MLP over the finest features, the relative depth and the bins' embedding tells a
   probability and a temperature: how likely each bin is follows a binomial law, which has one peak.
4. Depth is sum_i p_i c_i.

The paper and the published settings name alpha = 1000; their code, and that of transformers, takes
300 whatever the settings say. With the published weights it must be 300, so that is the default.
Written from the paper, and held against transformers' head number for number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError

ALPHA = 300.0
_EPS = 1e-4
_TINY = 1e-7


@dataclass(frozen=True)
class BinsConfig:
    """bins: centres a pixel. attractors: of each level, coarse to fine. bottleneck, level, last:
    channels of the coarsest features, of each level's, and of the finest (without the relative
    depth). embedding: of the bins. hidden, projector: inside the seed's MLP, and inside those of
    the embeddings. alpha: see the module. temperature: least and largest.

    Raises `UsageError` for sizes below 1, or temperatures that do not rise from above 0.
    """

    bins: int = 64
    attractors: tuple[int, ...] = (16, 8, 4, 1)
    bottleneck: int = 256
    level: int = 256
    last: int = 32
    embedding: int = 128
    hidden: int = 256
    projector: int = 128
    alpha: float = ALPHA
    temperature: tuple[float, float] = (0.0212, 50.0)

    def __post_init__(self) -> None:
        ends = (self.bottleneck, self.level, self.last, self.embedding)
        sizes = (self.bins, *ends, self.hidden, self.projector, *self.attractors)
        if not self.attractors or min(sizes) < 1 or self.alpha < 0:
            raise UsageError("is no head", field="BinsConfig", value=self, expected="sizes >= 1")
        if not 0 < self.temperature[0] <= self.temperature[1]:
            raise UsageError(
                "is no range", field="temperature", value=self.temperature,
                expected="0 < least <= largest",
            )  # fmt: skip


def attracted(
    centres: Float[Tensor, "b n h w"], attractors: Float[Tensor, "b k h w"], alpha: float = ALPHA
) -> Float[Tensor, "b n h w"]:
    """Every centre moved by the mean of (a_k - c) / (1 + alpha (a_k - c)^2)."""
    moved = torch.zeros_like(centres)
    for k in range(attractors.shape[1]):  # all at once would take k times the memory
        away = attractors[:, k : k + 1] - centres
        moved = moved + away / (1 + alpha * away.square())
    return centres + moved / attractors.shape[1]


def log_binomial(
    probability: Float[Tensor, "b 1 h w"], temperature: Float[Tensor, "b 1 h w"], bins: int
) -> Float[Tensor, "b n h w"]:
    """Of every bin k the share p_k = softmax_k(log B(k; n - 1, probability) / temperature).

    The binomial coefficient is Stirling's, log n! = n log n, as published.
    """
    k = torch.arange(bins, dtype=probability.dtype, device=probability.device)[None, :, None, None]
    most, some = bins - 1 + _TINY, k + _TINY
    coefficient = (
        most * torch.log(torch.tensor(most, dtype=k.dtype, device=k.device))
        - some * torch.log(some)
        - (most - some) * torch.log(most - some + _TINY)
    )
    hit, miss = probability.clamp(_EPS, 1), (1 - probability).clamp(_EPS, 1)
    score = coefficient + k * torch.log(hit) + (bins - 1 - k) * torch.log(miss)
    return torch.softmax(score / temperature, dim=1)


class MetricBins(nn.Module):
    """See the module. All convolutions are 1x1: every pixel is by itself."""

    def __init__(self, config: BinsConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or BinsConfig()
        self.enter = nn.Conv2d(c.bottleneck, c.bottleneck, 1)
        self.seed = _mlp(c.bottleneck, c.hidden, c.bins)
        self.seed_embedding = _mlp(c.bottleneck, c.projector, c.embedding)
        self.embeddings = nn.ModuleList(
            _mlp(c.level, c.projector, c.embedding) for _ in c.attractors
        )
        self.attractors = nn.ModuleList(_mlp(c.embedding, c.embedding, k) for k in c.attractors)
        joined = c.last + 1 + c.embedding
        self.law = nn.Sequential(
            nn.Conv2d(joined, joined // 2, 1), nn.GELU(), nn.Conv2d(joined // 2, 4, 1)
        )

    def forward(
        self,
        bottleneck: Float[Tensor, "b c i j"],
        levels: Sequence[Tensor],
        last: Float[Tensor, "b d h w"],
        relative: Float[Tensor, "b 1 y x"],
    ) -> Float[Tensor, "b 1 h w"]:
        """Depth in metres > 0, of the size of `last`.

        bottleneck: the coarsest features. levels: one map of features for each number of
        attractors, coarse to fine. last: the finest features. relative: the net's relative depth.

        Raises `UsageError` for another number of levels.
        """
        c = self.config
        if len(levels) != len(c.attractors):
            raise UsageError(
                "are not as many as the attractors", field="levels", value=len(levels),
                expected=str(len(c.attractors)),
            )  # fmt: skip
        x = self.enter(bottleneck)
        centres, embedding = functional.softplus(self.seed(x)), self.seed_embedding(x)
        for embed, attract, features in zip(self.embeddings, self.attractors, levels, strict=True):
            own = embed(features)
            pull = functional.softplus(attract(own + _resized(embedding, own)))
            centres = attracted(_resized(centres, own), pull, c.alpha)
            embedding = own
        joined = torch.cat([last, _resized(relative, last), _resized(embedding, last)], dim=1)
        told = functional.softplus(self.law(joined)) + _EPS
        probability = told[:, :1] / (told[:, :1] + told[:, 1:2])
        warmth = told[:, 2:3] / (told[:, 2:3] + told[:, 3:])
        low, high = c.temperature
        shares = log_binomial(probability, (high - low) * warmth + low, c.bins)
        return (shares * _resized(centres, last)).sum(dim=1, keepdim=True)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, outputs, 1))


def _resized(values: Tensor, like: Tensor) -> Tensor:
    if values.shape[-2:] == like.shape[-2:]:
        return values
    return functional.interpolate(values, like.shape[-2:], mode="bilinear", align_corners=True)
