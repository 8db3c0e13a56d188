"""Recurrent updates of a disparity: gated units of several scales, and what they are told."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float


class ConvGRU(nn.Module):
    """A gated recurrent unit whose products are 3x3 convolutions.

    h' = (1 - z) h + z tanh(conv(r h, x) + c_q), with z, r = sigmoid(conv(h, x) + c_zr). Teed and
    Deng, "RAFT", ECCV 2020, eq. 3 to 6; the context c, which does not change from one iteration to
    the next, is added after the convolutions (Lipson et al., "RAFT-Stereo", 3DV 2021). Both gates
    are one convolution.
    """

    def __init__(self, hidden: int, inputs: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(hidden + inputs, 2 * hidden, 3, padding=1)
        self.candidate = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)

    def forward(
        self, h: Float[Tensor, "b n h w"], context: Float[Tensor, "b m h w"], *inputs: Tensor
    ) -> Float[Tensor, "b n h w"]:
        """context: 3 n channels, for z, r and the candidate. inputs: of the size of h."""
        x = torch.cat(inputs, dim=1)
        c_gates, c_candidate = context[:, : 2 * h.shape[1]], context[:, 2 * h.shape[1] :]
        z, r = torch.sigmoid(self.gates(torch.cat([h, x], dim=1)) + c_gates).chunk(2, dim=1)
        q = torch.tanh(self.candidate(torch.cat([r * h, x], dim=1)) + c_candidate)
        return (1 - z) * h + z * q


class MultiScaleGRU(nn.Module):
    """Units at sizes 1, 1/2, 1/4, each told the states beside its own.

    layers: how many run, 1 to 3; all three exist, as in the published networks. motion: channels
    that tell the finest unit what was matched. Lipson et al., 3DV 2021, section 3.4.
    """

    def __init__(self, hidden: int, motion: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.finest = ConvGRU(hidden, motion + hidden * (layers > 1))
        self.middle = ConvGRU(hidden, hidden + hidden * (layers > 2))
        self.coarsest = ConvGRU(hidden, hidden)

    def forward(
        self,
        states: Sequence[Tensor],
        contexts: Sequence[Tensor],
        motion: Tensor | None = None,
        start: int = 0,
    ) -> list[Tensor]:
        """The states after one step of the units from the coarsest to number `start`.

        states, contexts: finest first. motion: what the finest unit is told; needed for start 0.
        """
        units = (self.finest, self.middle, self.coarsest)
        states = list(states)
        for i in reversed(range(start, self.layers)):
            told = [halved(states[i - 1])] if i else [t for t in (motion,) if t is not None]
            if i + 1 < self.layers:
                told.append(resized_like(states[i + 1], states[i]))
            states[i] = units[i](states[i], contexts[i], *told)
        return states


class MotionEncoder(nn.Module):
    """What was matched around the present flow, and that flow: 2 `width` channels, the last two
    being the flow itself. Teed and Deng, "RAFT", ECCV 2020, section 3.3."""

    def __init__(self, matched: int, width: int) -> None:
        super().__init__()
        self.matched = nn.Sequential(
            nn.Conv2d(matched, width, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.flow = nn.Sequential(
            nn.Conv2d(2, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.both = nn.Conv2d(2 * width, 2 * width - 2, 3, padding=1)

    def forward(
        self, matched: Float[Tensor, "b k h w"], flow: Float[Tensor, "b 2 h w"]
    ) -> Float[Tensor, "b n h w"]:
        """matched: channels of the lookup. flow: x and y, in pixels of this size."""
        both = torch.cat([self.matched(matched), self.flow(flow)], dim=1)
        out = functional.relu(self.both(both))
        return torch.cat([out, flow.to(out.dtype)], dim=1)


def halved(x: Float[Tensor, "b c h w"]) -> Tensor:
    """Means of 3x3 at every second pixel; zeros outside count."""
    return functional.avg_pool2d(x, 3, stride=2, padding=1)


def resized_like(x: Float[Tensor, "b c _h _w"], other: Float[Tensor, "b c h w"]) -> Tensor:
    """x at the size of `other`, linearly, corner pixels on corner pixels as in the original."""
    size = other.shape[-2:]
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
