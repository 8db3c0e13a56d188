"""Recurrent updates of a disparity: gated units of several scales, and what they are told."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float


class ConvGRU(nn.Module):
    """A gated recurrent unit whose products are convolutions, 3x3 or of another (height, width).

    h' = (1 - z) h + z tanh(conv(r h, x) + c_q), with z, r = sigmoid(conv(h, x) + c_zr). Teed and
    Deng, "RAFT", ECCV 2020, eq. 3 to 6; the context c, which does not change from one iteration to
    the next, is added after the convolutions (Lipson et al., "RAFT-Stereo", 3DV 2021). Both gates
    are one convolution.
    """

    def __init__(self, hidden: int, inputs: int, sides: tuple[int, int] = (3, 3)) -> None:
        super().__init__()
        border = (sides[0] // 2, sides[1] // 2)
        self.gates = nn.Conv2d(hidden + inputs, 2 * hidden, sides, padding=border)
        self.candidate = nn.Conv2d(hidden + inputs, hidden, sides, padding=border)

    def forward(
        self, h: Float[Tensor, "b n h w"], context: Float[Tensor, "b m h w"], *inputs: Tensor
    ) -> Float[Tensor, "b n h w"]:
        """context: 3 n channels, for z, r and the candidate. inputs: of the size of h."""
        x = torch.cat(inputs, dim=1)
        c_gates, c_candidate = context[:, : 2 * h.shape[1]], context[:, 2 * h.shape[1] :]
        z, r = torch.sigmoid(self.gates(torch.cat([h, x], dim=1)) + c_gates).chunk(2, dim=1)
        q = torch.tanh(self.candidate(torch.cat([r * h, x], dim=1)) + c_candidate)
        return (1 - z) * h + z * q


class SeparableGRU(nn.Module):
    """Two units one after the other that see 1x5 and 5x1 pixels: as wide as 5x5 at less than half
    the work. Teed and Deng, "RAFT", ECCV 2020, appendix.

    context: channels of what does not change from one step to the next. The published unit
    convolves it at every step; here `prepare` does so once, and each step adds the result.
    """

    def __init__(self, hidden: int, context: int, inputs: int) -> None:
        super().__init__()
        row, column = (1, 5), (5, 1)
        self.along, self.across = (ConvGRU(hidden, inputs, sides) for sides in (row, column))
        self.told = nn.ModuleList(
            nn.Conv2d(
                context, 3 * hidden, sides, padding=(sides[0] // 2, sides[1] // 2), bias=False
            )
            for sides in (row, column)
        )

    def prepare(self, context: Float[Tensor, "b m h w"]) -> tuple[Tensor, Tensor]:
        """What the context adds to the units' sums."""
        return self.told[0](context), self.told[1](context)

    def forward(
        self, h: Float[Tensor, "b n h w"], prepared: tuple[Tensor, Tensor], *inputs: Tensor
    ) -> Float[Tensor, "b n h w"]:
        """The state after one step; prepared: as `prepare` gave it."""
        out: Tensor = self.across(self.along(h, prepared[0], *inputs), prepared[1], *inputs)
        return out


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
    """What was matched around the present flow, and that flow: 2 `width` channels, the last ones
    being the flow itself. Teed and Deng, "RAFT", ECCV 2020, section 3.3.

    components: of the flow: x and y, or a disparity alone. wide: with RAFT's widths inside, up to
    4 `width`, instead of RAFT-Stereo's.
    """

    def __init__(
        self, matched: int, width: int, *, components: int = 2, wide: bool = False
    ) -> None:
        super().__init__()
        first, second, entry = (4, 3, 2) if wide else (1, 1, 1)
        self.matched = nn.Sequential(
            nn.Conv2d(matched, first * width, 1),
            nn.ReLU(),
            nn.Conv2d(first * width, second * width, 3, padding=1),
            nn.ReLU(),
        )
        self.flow = nn.Sequential(
            nn.Conv2d(components, entry * width, 7, padding=3),
            nn.ReLU(),
            nn.Conv2d(entry * width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.both = nn.Conv2d((second + 1) * width, 2 * width - components, 3, padding=1)

    def forward(
        self, matched: Float[Tensor, "b k h w"], flow: Float[Tensor, "b m h w"]
    ) -> Float[Tensor, "b n h w"]:
        """matched: channels of the lookup. flow: its components, in pixels of this size."""
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


def joined_gates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With both gates of each unit, `convz` and `convr` in the authors' code, as one tensor; a gate
    without the other stays."""
    out = {}
    for name, values in state.items():
        z, r = (name.replace(".convr.", ".convz."), name.replace(".convz.", ".convr."))
        if z == r or z not in state or r not in state:
            out[name.replace(".convq.", ".candidate.")] = values
        elif name == z:
            out[name.replace(".convz.", ".gates.")] = torch.cat([values, state[r]])
    return out


def split_gates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`joined_gates` undone."""
    out = {}
    for name, values in state.items():
        if ".gates." in name:
            for letter, part in zip("zr", values.chunk(2), strict=True):
                out[name.replace(".gates.", f".conv{letter}.")] = part
        else:
            out[name.replace(".candidate.", ".convq.")] = values
    return out
