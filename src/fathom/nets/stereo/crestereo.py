"""CREStereo: `crestereo`.

Li et al., "Practical Stereo Matching via Cascaded Recurrent Network with Adaptive Correlation",
CVPR 2022 (arXiv 2203.11483).

1. Descriptions at 1/4, averaged to 1/8 and 1/16; at 1/16 attention within and between the views.
2. One recurrent unit moves the flow at 1/16, then at 1/8, then at 1/4, looking at nine places in
   the right view: a row of nine and a square of 3x3 by turns, so that rows may be off a little.
3. At 1/16 and 1/8 a convolution shifts each of the nine places for each pixel; descriptions are
   compared in four groups of channels.
4. The authors run the net at half the size first and begin at full size from what it found: two
   stages, here inside the net.

The published tensors, and their numbers up to rounding. What differs: attention between the views,
which does not depend on the flow, runs once instead of at every move; so does the part of the unit
that the context makes up; what is not given out is not enlarged; the right view's descriptions get
a gradient at 1/4, which the port cuts off. The loss is of the disparities alone, as in the paper;
the code asks the flow along y to be 0 as well. As in the original, the flow changes its sign
between the sizes, and the sines of the positions fall by e^-2 from one to the next.

Code: Apache-2.0 (MegEngine, github.com/megvii-research/CREStereo); the tensors' names are those of
its port to torch, github.com/ibaiGorordo/CREStereo-Pytorch, which states no licence of its own.
Weights: no licence is stated. Training data: a mixture, partly for research only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError, unknown_name
from fathom.layers.attention import LinearAttention, position_sines
from fathom.layers.encoder import norm_of, stage, start_encoder
from fathom.layers.gru import MotionEncoder, SeparableGRU
from fathom.layers.resample import convex_upsample, sampled
from fathom.layers.stereo import StereoOutput, require_size
from fathom.published.frame import Frame
from fathom.published.record import Licences, Weights

_CELL, _COARSEST = 4, 16
_GROUPS, _PLACES = 4, 9
_VARIANTS = ("two-stage", "one-stage")
_RANGES = (
    *(("iterations", 2, 1000), ("train_iterations", 2, 1000), ("stages", 1, 2)),
    *(("hidden", 4, 4096), ("heads", 1, 64)),
)


@dataclass(frozen=True)
class CREStereoConfig:
    """The published network's settings.

    iterations, train_iterations: moves of the flow at 1/4; half as many come before at 1/16 and at
    1/8. stages: 2 runs the net at half the size first, 1 does not; in training there is one.
    widths: of the encoder. hidden: channels of the unit's state, half of the descriptions'. heads:
    of the attention.

    Raises `UsageError` for settings that are no net.
    """

    iterations: int = 20
    train_iterations: int = 10
    stages: int = 2
    widths: tuple[int, int, int] = (64, 96, 128)
    hidden: int = 128
    heads: int = 8

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                self._refuse(name, f"{low} to {high}")
        if self.hidden % (2 * self.heads):
            self._refuse("hidden", f"a multiple of {2 * self.heads}, for {self.heads} heads")

    def _refuse(self, name: str, expected: str) -> None:
        raise UsageError("is no net", field=name, value=getattr(self, name), expected=expected)

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return _COARSEST * self.stages


class _Encoder(nn.Sequential):
    """Descriptions at 1/4."""

    def __init__(self, widths: tuple[int, int, int], outputs: int) -> None:
        a, b, c = widths
        super().__init__(
            nn.Conv2d(3, a, 7, 2, 3),
            norm_of("instance", a),
            nn.ReLU(),
            stage(a, a, "instance", 1, project=True),
            stage(a, b, "instance", 2, project=True),
            stage(b, c, "instance", 1, project=True),
            nn.Conv2d(c, outputs, 1),
        )


@dataclass(frozen=True, eq=False)
class _Level:
    """Descriptions of both views (b, c, h, w) at one size, and how far each of the nine places is
    shifted (b, 9, 2, h, w), or None."""

    left: Tensor
    right: Tensor
    shifts: Tensor | None = None

    def matched(self, flow: Float[Tensor, "b 2 h w"], square: bool) -> Float[Tensor, "b k h w"]:
        """Mean products over each group of channels at the nine places around x + flow."""
        height, width = self.left.shape[-2:]
        x = torch.arange(width, device=flow.device, dtype=flow.dtype)
        y = torch.arange(height, device=flow.device, dtype=flow.dtype)
        at = torch.stack([x.expand(height, width), y[:, None].expand(height, width)]) + flow
        window = _window(square)
        if self.shifts is None:
            right = sampled(self.right, at)
            r, s = (1, 1) if square else (0, 4)
            right = functional.pad(right, (s, s, r, r), mode="replicate")
            near = [right[:, :, r + i : r + i + height, s + j : s + j + width] for i, j in window]
        else:
            places = flow.new_tensor([(j, i) for i, j in window])[:, :, None, None]
            each = at[:, None] + (places + self.shifts)
            rows = each.transpose(1, 2).flatten(2, 3)  # all nine below each other
            right = sampled(self.right, rows)
            near = [right[:, :, i * height : (i + 1) * height] for i in range(_PLACES)]
        split = (len(flow), _GROUPS, -1, height, width)
        products = [(self.left * other).reshape(split).mean(dim=2) for other in near]
        return torch.stack(products, dim=2).flatten(1, 2)


class CREStereo(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255, h and w multiples of `config.divisor`.

    In evaluation it gives the disparity at full size; in training, from one stage, those of all
    moves at full size, last first. Values may be negative.

    Raises `InputError` for sizes that it cannot take.
    """

    def __init__(self, config: CREStereoConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or CREStereoConfig()
        channels = 2 * c.hidden
        self.encoder = _Encoder(c.widths, channels)
        self.within = LinearAttention(channels, c.heads)
        self.between = LinearAttention(channels, c.heads)
        self.shift16, self.shift8 = (
            nn.Conv2d(channels, 2 * _PLACES, 3, padding=1) for _ in range(2)
        )
        self.motion = MotionEncoder(_GROUPS * _PLACES, c.hidden // 2, wide=True)
        self.unit = SeparableGRU(c.hidden, c.hidden, c.hidden)
        self.move = _two(c.hidden, 2, 3)
        self.mask = _two(c.hidden, 9 * _CELL**2, 1)
        start_encoder(self.encoder)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        c = self.config
        count, stages = (c.train_iterations, 1) if self.training else (c.iterations, c.stages)
        require_size(left, _COARSEST * stages, 2 * _COARSEST * stages)
        start = None
        if stages == 2:
            start = self.flows(_half(left), _half(right), count)[-1]
        found = self.flows(left, right, count, start)
        return StereoOutput(tuple(flow[:, :1] for flow in reversed(found)))

    def flows(
        self, left: Tensor, right: Tensor, count: int, start: Tensor | None = None
    ) -> list[Float[Tensor, "b 2 h w"]]:
        """Where the right view shows the left pixels, x and y, as what is subtracted, in pixels: of
        every move in training, else of the last. start: such a map of half the size to begin with
        at 1/4; without it, all begins at 1/16 with 0."""
        both = torch.cat([left, right]) / 255 * 2 - 1
        first, second = (t.float() for t in self.encoder(both).chunk(2))
        state, context = first.chunk(2, dim=1)
        state, context = torch.tanh(state), torch.relu(context)
        found: list[Tensor] = []
        flow = start
        if flow is None:
            for side in (_COARSEST // _CELL, 2):
                small = [functional.avg_pool2d(t, side) for t in (first, second, state, context)]
                shift = self.shift8 if side == 2 else self.shift16
                shifts = 2 * (torch.sigmoid(shift(small[0]).float()) - 0.5)
                pair = self.attended(*small[:2]) if side > 2 else (small[0], small[1])
                height, width = small[0].shape[-2:]
                level = _Level(*pair, shifts.reshape(len(shifts), _PLACES, 2, height, width))
                begin = small[0].new_zeros(()) if flow is None else _resized(flow, small[0])
                flow = self.moved(level, begin, (small[2], small[3]), count // 2, side, found)
        assert flow is not None
        flow = _resized(flow, first)
        self.moved(_Level(first, second), flow, (state, context), count, 1, found)
        return found

    def attended(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptions told where they stand, what else is in their view, and in the other."""
        height, width = left.shape[-2:]
        count = left.shape[1] // 4
        frequencies = torch.exp(-2.0 * torch.arange(count, device=left.device))
        sines = position_sines(frequencies, height, width)
        first, second = ((t + sines).flatten(2).transpose(1, 2) for t in (left, right))
        first, second = self.within(first, first), self.within(second, second)
        first = self.between(first, second)
        second = self.between(second, first)
        first, second = (t.transpose(1, 2).reshape(left.shape).float() for t in (first, second))
        return first, second

    def moved(
        self,
        level: _Level,
        flow: Tensor,
        told: tuple[Tensor, Tensor],
        count: int,
        times: int,
        found: list[Tensor],
    ) -> Float[Tensor, "b 2 h w"]:
        """The flow, x and y as what is added, after `count` moves at one size, four times as large
        as the level. told: the unit's first state and its context. times: how much larger than that
        the image is. What is to be given out is appended to `found`."""
        state, context = told
        prepared = self.unit.prepare(context)
        flow = flow.expand(len(state), 2, *state.shape[-2:])
        larger = flow
        for i in range(count):
            flow = flow.detach()
            matched = level.matched(flow, square=i % 2 == 1)
            state = self.unit(state, prepared, self.motion(matched, flow))
            flow = flow + self.move(state).float()
            last = i == count - 1
            if not self.training and not last:
                continue
            logits = 0.25 * self.mask(state).float()
            both = (
                convex_upsample(_CELL * t, logits, _CELL, border="constant")
                for t in flow.chunk(2, dim=1)
            )
            larger = torch.cat(list(both), dim=1)
            if self.training or (last and times == 1):
                height, width = larger.shape[-2:]
                full = larger if times == 1 else _linear(larger, (times * height, times * width))
                found.append(-times * full)
        return larger


def _two(hidden: int, outputs: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(hidden, 2 * hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * hidden, outputs, side, padding=side // 2),
    )


def _window(square: bool) -> list[tuple[int, int]]:
    """(y, x) of the nine places, row by row."""
    if square:
        return [(y, x) for y in range(-1, 2) for x in range(-1, 2)]
    return [(0, x) for x in range(-4, 5)]


def _linear(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Corner pixels on corner pixels, as in the original."""
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=True)


def _half(image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    return _linear(image, (height // 2, width // 2))


def _resized(flow: Tensor, other: Tensor) -> Tensor:
    """Minus the flow, at the size of `other`, which is half its own, and in its pixels; see the
    module on the sign."""
    height, width = other.shape[-2:]
    return -0.5 * _linear(flow, (height, width))


_NAMES = tuple(
    pair.split()
    for pair in """
    fnet.conv1. encoder.0.
    fnet.layer1. encoder.3.
    fnet.layer2. encoder.4.
    fnet.layer3. encoder.5.
    fnet.conv2. encoder.6.
    self_att_fn.layers.0. within.
    cross_att_fn.layers.0. between.
    conv_offset_16. shift16.
    conv_offset_8. shift8.
    update_block.encoder.convc1. motion.matched.0.
    update_block.encoder.convc2. motion.matched.2.
    update_block.encoder.convf1. motion.flow.0.
    update_block.encoder.convf2. motion.flow.2.
    update_block.encoder.conv. motion.both.
    update_block.flow_head.conv1. move.0.
    update_block.flow_head.conv2. move.2.
    update_block.mask. mask.
    """.strip().splitlines()
)
"""Beginnings of the official names and of ours; the recurrent unit is seen to apart."""
_INNER = (
    *((".downsample.", ".skip."), (".q_proj.", ".query."), (".k_proj.", ".key.")),
    *((".v_proj.", ".value."), (".mlp.", ".think."), (".norm1.weight", ".answered.weight")),
    *((".norm1.bias", ".answered.bias"), (".norm2.weight", ".changed.weight")),
    (".norm2.bias", ".changed.bias"),
)
_UNIT = "update_block.gru.conv"
_PARTS = (("1", "along", 0), ("2", "across", 1))


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; names that are not the network's stay as they are.

    Both gates of a unit become one tensor, and what convolves the context one of its own.
    """
    out = {_renamed(k, 0, 1): v for k, v in state.items()}
    for number, part, told in _PARTS:
        names = [f"{_UNIT}{letter}{number}." for letter in "zrq"]
        whole = [n + leaf for n in names for leaf in ("weight", "bias")]
        if not all(n in state for n in whole):
            continue
        for name in whole:
            del out[name]
        weights = [state[n + "weight"] for n in names]
        hidden = len(weights[0])
        inner = [torch.cat([w[:, :hidden], w[:, 2 * hidden :]], dim=1) for w in weights]
        out[f"unit.told.{told}.weight"] = torch.cat([w[:, hidden : 2 * hidden] for w in weights])
        out[f"unit.{part}.gates.weight"] = torch.cat(inner[:2])
        out[f"unit.{part}.candidate.weight"] = inner[2]
        out[f"unit.{part}.gates.bias"] = torch.cat([state[n + "bias"] for n in names[:2]])
        out[f"unit.{part}.candidate.bias"] = state[names[2] + "bias"]
    return out


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    out = {_renamed(k, 1, 0): v for k, v in state.items() if not k.startswith("unit.")}
    for number, part, told in _PARTS:
        contexts = state[f"unit.told.{told}.weight"].chunk(3)
        inner, biases = (
            (*state[f"unit.{part}.gates.{leaf}"].chunk(2), state[f"unit.{part}.candidate.{leaf}"])
            for leaf in ("weight", "bias")
        )
        for i, letter in enumerate("zrq"):
            h, x = inner[i][:, : len(inner[i])], inner[i][:, len(inner[i]) :]
            out[f"{_UNIT}{letter}{number}.weight"] = torch.cat([h, contexts[i], x], dim=1)
            out[f"{_UNIT}{letter}{number}.bias"] = biases[i]
    return out


def _renamed(name: str, given: int, wanted: int) -> str:
    for pair in _NAMES:
        if name.startswith(pair[given]):
            name = pair[wanted] + name[len(pair[given]) :]
            break
    attention = name.startswith(("within.", "between.", "self_att_fn.", "cross_att_fn."))
    for inner in _INNER if attention else _INNER[:1]:
        name = name.replace(inner[given], inner[wanted])
    return name


WEIGHTS = (
    Weights(
        "crestereo-eth3d",
        "crestereo",
        "the authors' weights for any kind of pictures, turned from MegEngine to torch",
        Licences(code="Apache-2.0", data="a mixture, partly research only"),
        "crestereo_eth3d.pth, linked in the readme of github.com/ibaiGorordo/CREStereo-Pytorch, "
        "Google Drive",
    ),
)


FRAMES = {
    "crestereo": Frame(
        builder="crestereo",
        levels=None,
        step=None,
        divisor=32,
        smallest=64,
        place="below",
        border="edge",
        voxel_bytes=0,
        pixel_bytes=1500,
        options=("iterations", "variant"),
    )
}


def crestereo(
    *, iterations: int = 20, variant: Literal["two-stage", "one-stage"] = "two-stage"
) -> CREStereo:
    """The network, untrained. iterations: see `CREStereoConfig`; as in the authors' demo. variant:
    two-stage begins at half the size, as the demo does; one-stage is for smaller disparities."""
    if variant not in _VARIANTS:
        raise unknown_name("variant", variant, list(_VARIANTS))
    return CREStereo(CREStereoConfig(iterations, stages=1 + (variant == "two-stage")))
