"""RAFT-Stereo: `raft-stereo`, `raft-stereo-realtime`.

Lipson, Teed and Deng, "RAFT-Stereo: Multilevel Recurrent Field Transforms for Stereo Matching",
3DV 2021 (arXiv 2109.07547).

1. Features of both views at 1/4 (or 1/8) of the size; their products along each row are a volume,
   averaged to four scales along the right row.
2. From disparity 0, or that of the last frame, recurrent units at three sizes look around the
   present match in the volume and move it, again and again. No largest disparity is set.
3. Context of the left view steers the units, whose state says how to enlarge the result convexly.

The published tensors, and their numbers up to rounding. What differs: disparities are positive
pixels of the full image; both gates of a unit are one convolution; a lookup gathers ten neighbours
once instead of sampling nine times; without a stored volume (`alt`) rows of it are made anew by
matrix products; only what is given out is enlarged; what a variant does not run has no gradient.

Code: MIT. Weights: no licence of their own is stated. Training data: mostly for research only.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.encoder import (
    Block,
    Norm,
    Trunk,
    UnitContext,
    keep_norms,
    start_encoder,
    with_twins,
    without_twins,
)
from fathom.layers.gru import MotionEncoder, MultiScaleGRU, joined_gates, split_gates
from fathom.layers.resample import convex_upsample
from fathom.layers.rows import row_correlation, volume_bytes
from fathom.layers.stereo import StereoOutput, require_size
from fathom.published.frame import Frame
from fathom.published.record import Licences, Weights

Correlation = Literal["auto", "reg", "alt"]
_NORMS, _CORRELATIONS = ("batch", "instance"), ("auto", "reg", "alt")
_RANGES = (
    *(("downsample", 0, 3), ("layers", 1, 3), ("levels", 1, 6), ("radius", 1, 16)),
    *(("iterations", 1, 1000), ("train_iterations", 1, 1000)),
    *(("hidden", 2, 4096), ("matched", 1, 4096)),
)
_STORED = 1 << 30
"""Bytes of the volume above which `auto` does not keep it."""


@dataclass(frozen=True)
class RaftStereoConfig:
    """The published network's settings.

    downsample: matching at 1/2^downsample of the size. layers: sizes at which units run.
    slow_fast: the coarser ones run more often. shared_backbone: matched features come from the
    context's trunk. context_norm: of that trunk; batch norms stay frozen, in training too.
    levels, radius: of the volume and its lookup. correlation: `reg` keeps the volume, `alt` does
    not, `auto` keeps it up to 1 GiB. iterations, train_iterations: moves of the disparity.
    widths: of the trunk's stages; the last is the coarser stages' too. hidden: channels of a unit.
    matched: channels that are compared.

    Raises `UsageError` for settings that are no net.
    """

    downsample: int = 2
    layers: int = 3
    slow_fast: bool = False
    shared_backbone: bool = False
    context_norm: Norm = "batch"
    levels: int = 4
    radius: int = 4
    correlation: Correlation = "auto"
    iterations: int = 32
    train_iterations: int = 22
    widths: tuple[int, int, int] = (64, 96, 128)
    hidden: int = 128
    matched: int = 256

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                self._refuse(name, f"{low} to {high}")
        for name, known in (("context_norm", _NORMS), ("correlation", _CORRELATIONS)):
            if getattr(self, name) not in known:
                self._refuse(name, " or ".join(known))

    def _refuse(self, name: str, expected: str) -> None:
        raise UsageError("is no net", field=name, value=getattr(self, name), expected=expected)

    @property
    def cell(self) -> int:
        """Pixels of the full image to one where it matches."""
        return 1 << self.downsample

    @property
    def divisor(self) -> int:
        """Images' sizes are brought to multiples of this, as the authors do for every variant."""
        return 32


class RaftStereo(nn.Module):
    """left, right (b, 3, h, w) in 0..255, h and w multiples of `config.cell`; `start`
    (b, 1, h / cell, w / cell): disparities in full pixels to begin with, default 0.

    In evaluation it gives the disparity at full size and the one it was enlarged from, which may
    start the next frame of a video; in training those of all iterations at full size, last first.
    Values may be negative.
    """

    def __init__(self, config: RaftStereoConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or RaftStereoConfig()
        top, norm = c.widths[-1], c.context_norm
        self.trunk = Trunk(c.widths, norm, c.downsample)
        self.context = UnitContext(top, c.hidden, norm, c.layers)
        if c.shared_backbone:
            self.compared = nn.Sequential(
                Block(top, top, "instance"), nn.Conv2d(top, c.matched, 3, padding=1)
            )
        else:
            self.features = nn.Sequential(
                Trunk(c.widths, "instance", c.downsample), nn.Conv2d(top, c.matched, 1)
            )
        half = c.hidden // 2
        self.motion = MotionEncoder(c.levels * (2 * c.radius + 1), half)
        self.units = MultiScaleGRU(c.hidden, 2 * half, c.layers)
        self.move = _two(c.hidden, 2, 3)
        self.mask = _two(c.hidden, 9 * c.cell**2, 1)
        start_encoder(self.trunk, *([] if c.shared_backbone else [self.features]))
        for unused in [self.units.middle, self.units.coarsest][c.layers - 1 :]:
            unused.requires_grad_(False)

    def forward(
        self,
        left: Float[Tensor, "b 3 h w"],
        right: Float[Tensor, "b 3 h w"],
        start: Float[Tensor, "b 1 _h _w"] | None = None,
    ) -> StereoOutput:
        """See the class. Raises `InputError` for another size."""
        c = self.config
        require_size(left, c.cell)
        states, contexts, first, second = self.seen(left / 255 * 2 - 1, right / 255 * 2 - 1)
        size = first.shape[-2:]
        rows = row_correlation(first, second, c.levels, c.radius, stored=self._stored(first))
        flow = first.new_zeros(len(first), 1, *size) if start is None else -start / c.cell
        x, flow = torch.arange(size[1], device=flow.device).float(), flow.float()
        count = c.train_iterations if self.training else c.iterations
        found = []
        for i in range(count):
            flow = flow.detach()
            states = self.updated(states, contexts, rows(x + flow), flow)
            flow = flow + self.move(states[0])[:, :1].float()
            if self.training or i == count - 1:
                found.append(self.enlarged(flow, states[0]))
        found.reverse()
        return StereoOutput(tuple(found) if self.training else (*found, -c.cell * flow))

    def seen(
        self, left: Tensor, right: Tensor
    ) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        """Of images in -1..1: first states and contexts of the units, finest first; both views'
        features to be matched."""
        both = torch.cat([left, right])
        if self.config.shared_backbone:
            trunk = self.trunk(both)
            ours = trunk[: len(left)]
            first, second = self.compared(trunk).chunk(2)
        else:
            ours = self.trunk(left)
            first, second = self.features(both).chunk(2)
        states, contexts = self.context(ours)
        return states, contexts, first, second

    def updated(
        self, states: list[Tensor], contexts: list[Tensor], matched: Tensor, flow: Tensor
    ) -> list[Tensor]:
        """The units' states after one iteration; flow: x at the matching size, in its pixels."""
        if self.config.slow_fast:
            for start in range(self.config.layers - 1, 0, -1):
                states = self.units(states, contexts, start=start)
        motion = self.motion(matched, torch.cat([flow, torch.zeros_like(flow)], dim=1))
        return list(self.units(states, contexts, motion))

    def enlarged(self, flow: Tensor, state: Tensor) -> Tensor:
        """The disparity at full size."""
        cell = self.config.cell
        logits = 0.25 * self.mask(state).float()
        return convex_upsample(-cell * flow, logits, cell, border="constant")

    def train(self, mode: bool = True) -> "RaftStereo":
        """As of any module, but batch norms keep the statistics they came with."""
        super().train(mode)
        keep_norms(self)
        return self

    def _stored(self, features: Tensor) -> bool:
        c = self.config
        if c.correlation != "auto":
            return c.correlation == "reg"
        height, width = features.shape[-2:]
        return len(features) * volume_bytes(height, width, c.levels, c.radius) <= _STORED


def _two(hidden: int, outputs: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(hidden, 2 * hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * hidden, outputs, side, padding=side // 2),
    )


_NAMES = tuple(
    pair.split()
    for pair in """
    cnet.conv1. trunk.0.
    cnet.norm1. trunk.1.
    cnet.layer1. trunk.3.
    cnet.layer2. trunk.4.
    cnet.layer3. trunk.5.
    cnet.layer4. context.coarser.0.
    cnet.layer5. context.coarser.1.
    cnet.outputs08.0. context.heads.0.state.
    cnet.outputs08.1. context.heads.0.context.
    cnet.outputs16.0. context.heads.1.state.
    cnet.outputs16.1. context.heads.1.context.
    cnet.outputs32.0. context.heads.2.state.0.
    cnet.outputs32.1. context.heads.2.context.0.
    context_zqr_convs. context.contexts.
    fnet.conv1. features.0.0.
    fnet.layer1. features.0.3.
    fnet.layer2. features.0.4.
    fnet.layer3. features.0.5.
    fnet.conv2. features.1.
    conv2. compared.
    update_block.encoder.convc1. motion.matched.0.
    update_block.encoder.convc2. motion.matched.2.
    update_block.encoder.convf1. motion.flow.0.
    update_block.encoder.convf2. motion.flow.2.
    update_block.encoder.conv. motion.both.
    update_block.gru08. units.finest.
    update_block.gru16. units.middle.
    update_block.gru32. units.coarsest.
    update_block.flow_head.conv1. move.0.
    update_block.flow_head.conv2. move.2.
    update_block.mask. mask.
    """.strip().splitlines()
)
"""Beginnings of the official names and of ours; gates and skips are seen to apart."""


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; names that are not the network's stay as they are.

    The gates convz and convr of a unit become one tensor; `norm3` of a block, the same memory as
    its `downsample.1`, goes.
    """
    own = joined_gates(without_twins(state))
    return {_renamed(k, 0, 1).replace(".downsample.", ".skip."): v for k, v in own.items()}


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    theirs = {_renamed(k, 1, 0).replace(".skip.", ".downsample."): v for k, v in state.items()}
    return with_twins(split_gates(theirs))


def _renamed(name: str, given: int, wanted: int) -> str:
    for pair in _NAMES:
        if name.startswith(pair[given]):
            return pair[wanted] + name[len(pair[given]) :]
    return name


def config_of(names: Collection[str]) -> RaftStereoConfig:
    """The default network's configuration of which tensors of these names, ours, are."""
    return RaftStereoConfig(
        shared_backbone="compared.1.weight" in names,
        context_norm="batch" if "trunk.1.running_mean" in names else "instance",
    )


_SOURCE = "models.zip, which download_models.sh of github.com/princeton-vl/RAFT-Stereo fetches: "
_SCENE_FLOW = "Scene Flow: research only"


def _published(
    name: str,
    file: str,
    variant: str,
    data: str = _SCENE_FLOW,
    model: str = "raft-stereo",
    **own: str,
) -> Weights:
    licences = Licences(code="MIT", data=data)
    return Weights(name, model, variant, licences, f"{_SOURCE}{file}.pth", settings=own)


WEIGHTS = (
    _published("raft-stereo-sceneflow", "raftstereo-sceneflow", "trained on Scene Flow"),
    _published(
        "raft-stereo-middlebury",
        "raftstereo-middlebury",
        "Scene Flow, then Middlebury 2014: the authors' advice for pictures of any kind",
        f"{_SCENE_FLOW}; Middlebury: no licence stated",
    ),
    _published(
        "raft-stereo-eth3d",
        "raftstereo-eth3d",
        "for the ETH3D benchmark",
        f"{_SCENE_FLOW}; ETH3D: CC-BY-NC-SA-4.0",
    ),
    _published(
        "raft-stereo-rvc",
        "iraftstereo_rvc",
        "iRaftStereo_RVC, by Jiang et al. (arXiv 2210.12785) for the Robust Vision Challenge 2022",
        "a mixture, partly research only",
        context_norm="instance",
    ),
    _published(
        "raft-stereo-realtime",
        "raftstereo-realtime",
        "the fast variant, trained on Scene Flow",
        model="raft-stereo-realtime",
    ),
)


REALTIME = RaftStereoConfig(
    downsample=3, layers=2, slow_fast=True, shared_backbone=True, iterations=7
)


_FRAME = Frame(
    builder="raft_stereo", levels=None, place="centre", pixel_bytes=3000, options=("iterations",)
)
FRAMES = {
    "raft-stereo": _FRAME,
    "raft-stereo-realtime": replace(_FRAME, builder="raft_stereo_realtime", pixel_bytes=800),
}


def raft_stereo(
    *, shared_backbone: bool = False, context_norm: Norm = "batch", iterations: int = 32
) -> RaftStereo:
    """The default network, untrained; the parameters: see `RaftStereoConfig`."""
    return RaftStereo(
        RaftStereoConfig(
            shared_backbone=shared_backbone, context_norm=context_norm, iterations=iterations
        )
    )


def raft_stereo_realtime(*, iterations: int = 7) -> RaftStereo:
    """The fast variant, untrained: 1/8 of the size, two sizes of units."""
    return RaftStereo(replace(REALTIME, iterations=iterations))
