"""Attention between two sets of descriptions, its cost growing with their number and not with the
square of it, and sines that tell each description where it stands.

Katharopoulos et al., "Transformers are RNNs", ICML 2020; Sun et al., "LoFTR", CVPR 2021, section
3.2 and its appendix.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float

_LEAST = 1e-6


def linear_attention(
    queries: Float[Tensor, "b q n c"],
    keys: Float[Tensor, "b k n c"],
    values: Float[Tensor, "b k n _v"],
) -> Float[Tensor, "b q n _v"]:
    """Of each query and head n the mean of the values, weighted by phi(query) . phi(key), with
    phi(x) = elu(x) + 1 > 0. Katharopoulos et al., eq. 5 and 7.

    Keys and values are summed up once for all queries. The sums are kept small by dividing the
    values by their number first, as half precision wants it.
    """
    count = values.shape[1]
    q, k = functional.elu(queries) + 1, functional.elu(keys) + 1
    # as matrix products with the heads before the rows
    seen = torch.matmul(k.permute(0, 2, 3, 1), (values / count).permute(0, 2, 1, 3))
    q = q.permute(0, 2, 1, 3)
    total = torch.matmul(q, k.sum(dim=1)[..., None]) + _LEAST
    return (torch.matmul(q, seen) / total * count).permute(0, 2, 1, 3)


class LinearAttention(nn.Module):
    """Descriptions told what others say that are like them: x + what two layers make of x and of
    the normalised answer of `linear_attention` with `heads` heads. Sun et al., figure 4 (b)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.merge = (
            nn.Linear(channels, channels, bias=False) for _ in range(4)
        )
        self.answered = nn.LayerNorm(channels)
        self.think = nn.Sequential(
            nn.Linear(2 * channels, 2 * channels, bias=False),
            nn.ReLU(),
            nn.Linear(2 * channels, channels, bias=False),
        )
        self.changed = nn.LayerNorm(channels)
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, x: Float[Tensor, "b q c"], others: Float[Tensor, "b k c"]) -> Tensor:
        """x as told by `others`; self-attention where these are x itself."""
        asked = ((self.query, x), (self.key, others), (self.value, others))
        found = linear_attention(
            *(layer(t).reshape(*t.shape[:2], self.heads, -1) for layer, t in asked)
        )
        answer = self.answered(self.merge(found.flatten(-2)))
        change: Tensor = self.changed(self.think(torch.cat([x, answer], dim=-1)))
        return x + change


def position_sines(
    frequencies: Float[Tensor, "n"], height: int, width: int
) -> Float[Tensor, "_c height width"]:
    """Four channels for each frequency f (radians a pixel): sin f x, cos f x, sin f y, cos f y; the
    first pixel is number 1. Sun et al., appendix; Carion et al., "DETR", ECCV 2020.
    """
    f = frequencies[:, None, None]
    x = f * torch.arange(1, width + 1, device=f.device)
    y = f * torch.arange(1, height + 1, device=f.device)[:, None]
    waves = (x.sin(), x.cos(), y.sin(), y.cos())
    return torch.stack([w.expand(-1, height, width) for w in waves], dim=1).flatten(0, 1)
