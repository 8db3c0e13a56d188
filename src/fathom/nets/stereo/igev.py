"""IGEV-Stereo: `igev`.

Xu et al., "Iterative Geometry Encoding Volume for Stereo Matching", CVPR 2023 (arXiv 2303.06615).

1. Light features of both views (MobileNetV2 and a way up) compared in eight groups of channels at
   1/4; a 3-D hourglass, gated by the left view's features, makes of it a volume that knows more.
2. The mean of its distribution over disparities is where recurrent units at three sizes begin.
3. They look around the present disparity in that volume and in the plain products of each row, at
   two scales, and move it, again and again.
4. Their state and shallow features of the image say how to enlarge the result: superpixels.

The published tensors, and their numbers up to rounding. What differs: both views go through the
features as one batch; both gates of a unit are one convolution; a lookup gathers ten neighbours
once instead of sampling nine times; only what is given out is enlarged; what is never run takes no
gradient. Ours: a confidence, from the spread of the first distribution about the answer.

Code: MIT (github.com/gangweiX/IGEV). Weights: no licence of their own is stated. Training data:
mostly for research only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.conv3d import Conv3d, ConvNorm3d
from fathom.layers.encoder import (
    Trunk,
    UnitContext,
    keep_norms,
    start_encoder,
    with_twins,
    without_twins,
)
from fathom.layers.gru import MotionEncoder, MultiScaleGRU, joined_gates, split_gates
from fathom.layers.guided import (
    Excite,
    GuidedHourglass,
    Ladder,
    LeakyConv,
    Rise,
    excite_names,
    hourglass_names,
    ladder_names,
    leaky_names,
    rise_names,
    superpixels_enlarged,
)
from fathom.layers.mobilenet import MobileNetV2, timm_names
from fathom.layers.resample import to_size
from fathom.layers.rows import RowCorrelation, around, pyramid, row_correlation
from fathom.layers.state import renamed
from fathom.layers.stereo import StereoOutput, require_levels, require_size
from fathom.layers.volume import group_correlation, soft_argmax, spread_logit
from fathom.published.frame import Frame
from fathom.published.record import Licences, Weights

_CELL, _GROUPS, _STEP = 4, 8, 32
_HALF, _QUARTER, _WIDTH = 32, 48, 24
_SLOPE = 0.01
_RANGES = (
    *(("iterations", 1, 1000), ("train_iterations", 1, 1000), ("levels", 1, 4)),
    *(("radius", 1, 16), ("hidden", 2, 4096), ("blocks", 1, 4)),
)


@dataclass(frozen=True)
class IGEVConfig:
    """max_disparity: the first distribution and the volume end before it, in pixels; a multiple of
    32. iterations, train_iterations: moves of the disparity. levels, radius: of the lookups.
    hidden: channels of a unit. widths: of the context's trunk. blocks: at most so many in each run
    of the backbone's.

    Raises `UsageError` for settings that are no net.
    """

    max_disparity: int = 192
    iterations: int = 32
    train_iterations: int = 22
    levels: int = 2
    radius: int = 4
    hidden: int = 128
    widths: tuple[int, int, int] = (64, 96, 128)
    blocks: int = 4

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, _STEP)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError("is no net", field=name, value=value, expected=f"{low} to {high}")


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the units look: a volume of `c` channels over disparities and one of products over the
    right row, each with its coarser levels (see `pyramid`)."""

    geometry: tuple[Tensor, ...]
    products: RowCorrelation

    def __call__(self, disparity: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b k h w"]:
        """disparity: in pixels of the volumes' size. Level by level, of the volume each channel's
        places, then those of the products."""
        at, radius = disparity[:, 0], self.products.radius
        x = torch.arange(at.shape[-1], device=at.device, dtype=at.dtype)
        rows = self.products((x - at)[:, None]).chunk(len(self.geometry), dim=1)
        found = []
        for i, level in enumerate(self.geometry):
            near = around(level, at / 2**i, radius)
            found += [near.permute(0, 1, 4, 2, 3).flatten(1, 2), rows[i]]
        return torch.cat(found, dim=1)


class IGEV(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255, sizes multiples of 32.

    In evaluation it gives the disparity at full size with a confidence; in training those of all
    moves, last first, and at the end the one they began with, all at full size. Values may be
    negative.

    Raises `InputError` for sizes that it cannot take.
    """

    def __init__(self, config: IGEVConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or IGEVConfig()
        image = MobileNetV2.CHANNELS
        self.backbone = MobileNetV2(blocks=c.blocks)
        self.ladder = Ladder(image[1:], "instance")
        self.at_half = _two_convs(3, _HALF, 2)
        self.at_quarter = _two_convs(_HALF, _QUARTER, 2)
        at4 = 2 * image[1] + _QUARTER
        self.describe = nn.Sequential(LeakyConv(at4, at4, norm="instance"), nn.Conv2d(at4, at4, 1))
        self.enter = ConvNorm3d(_GROUPS, _GROUPS, slope=_SLOPE)
        self.gate = Excite(_GROUPS, at4)
        widths = tuple(_GROUPS * n for n in (1, 2, 4, 6))
        self.hourglass = GuidedHourglass(
            widths, (2 * image[2], 2 * image[3], image[4]), outputs=_GROUPS
        )
        self.score = Conv3d(_GROUPS, 1)
        self.first_enter = _two_convs(at4, _WIDTH)
        self.first_rise = Rise(_WIDTH, _HALF, 2 * _HALF, norm="instance")
        self.first_last = nn.ConvTranspose2d(2 * _HALF, 9, 4, 2, 1)
        self.trunk = Trunk(c.widths, "batch", 2)
        self.context = UnitContext(c.widths[-1], c.hidden, "batch", 3)
        places = c.levels * (2 * c.radius + 1) * (_GROUPS + 1)
        self.motion = MotionEncoder(places, c.hidden // 2, components=1)
        self.units = MultiScaleGRU(c.hidden, 2 * (c.hidden // 2), 3)
        self.move = nn.Sequential(
            nn.Conv2d(c.hidden, 2 * c.hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * c.hidden, 1, 3, padding=1),
        )
        self.mask = nn.Sequential(nn.Conv2d(c.hidden, _HALF, 3, padding=1), nn.ReLU())
        self.rise = Rise(_HALF, _HALF, 2 * _HALF)
        self.last = nn.ConvTranspose2d(2 * _HALF, 9, 4, 2, 1)
        start_encoder(self.trunk)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, _STEP)
        c = self.config
        both = torch.cat([left, right]) / 255 * 2 - 1
        features, half = self.seen(both)
        half = half[: len(left)]
        ours = [f[: len(left)] for f in features]
        first, second = self.describe(features[0]).chunk(2)
        volume = self.volume(first, second, ours)
        scores = self.score(volume).float()[:, 0]
        begin, _ = soft_argmax(scores)
        states, contexts = self.context(self.trunk(both[: len(left)]))
        places = _Places(
            pyramid(volume.float().permute(0, 1, 3, 4, 2), c.levels, c.radius),
            row_correlation(first, second, c.levels, c.radius, scaled=False),
        )
        disparity, found = begin, []
        count = c.train_iterations if self.training else c.iterations
        for i in range(count):
            disparity = disparity.detach()
            motion = self.motion(places(disparity), disparity)
            states = self.units(states, contexts, motion)
            disparity = disparity + self.move(states[0]).float()
            if self.training or i == count - 1:
                logits = self.last(self.rise(self.mask(states[0]), half))
                found.append(superpixels_enlarged(disparity, logits))
        found.reverse()
        if self.training:
            logits = self.first_last(self.first_rise(self.first_enter(ours[0]), half))
            return StereoOutput((*found, superpixels_enlarged(begin, logits)))
        sure = spread_logit(scores, disparity, _CELL)
        return StereoOutput(tuple(found), to_size(sure, (left.shape[-2], left.shape[-1])))

    def seen(self, images: Float[Tensor, "b 3 h w"]) -> tuple[list[Tensor], Tensor]:
        """Of images in -1..1, features at 1/4 to 1/32, and shallow ones at 1/2."""
        features = self.ladder(self.backbone(images)[1:])
        half = self.at_half(images)
        features[0] = torch.cat([features[0], self.at_quarter(half)], dim=1)
        return features, half

    def volume(
        self, left: Tensor, right: Tensor, features: list[Tensor]
    ) -> Float[Tensor, "b c k h w"]:
        """The geometry encoding volume over disparities a quarter as fine."""
        levels = self.config.max_disparity // _CELL
        plain = group_correlation(left, right, levels, _GROUPS)
        out: Tensor = self.hourglass(self.gate(self.enter(plain), features[0]), features[1:])
        return out

    def train(self, mode: bool = True) -> "IGEV":
        """As of any module, but batch norms of images keep the statistics they came with."""
        super().train(mode)
        keep_norms(self)
        return self


def _two_convs(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3x3 convolutions normalised by instance, leaky ReLU after the first, ReLU at the end."""
    return nn.Sequential(
        LeakyConv(inputs, outputs, stride=stride, norm="instance"),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.InstanceNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _two_names(theirs: str, ours: str) -> dict[str, str]:
    return leaky_names(f"{theirs}.0", f"{ours}.0") | {f"{theirs}.1": f"{ours}.1"}


_PARTS = """
    desc describe.1
    classifier score
    spx.0 first_last
    spx_gru.0 last
    cnet.conv1 trunk.0
    cnet.norm1 trunk.1
    update_block.encoder.convc1 motion.matched.0
    update_block.encoder.convc2 motion.matched.2
    update_block.encoder.convd1 motion.flow.0
    update_block.encoder.convd2 motion.flow.2
    update_block.encoder.conv motion.both
    update_block.disp_head.conv1 move.0
    update_block.disp_head.conv2 move.2
    update_block.mask_feat_4.0 mask.0
    """


def _names() -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    names = dict(pair.split() for pair in _PARTS.strip().splitlines())
    runs = ("block0.0", "block1.0", "block2.0", "block3.0", "block3.1", "block4.0")
    names |= {f"feature.{a}": f"backbone.{b}" for a, b in timm_names(runs).items()}
    names |= ladder_names("feature", "ladder") | leaky_names("conv", "describe.0")
    names |= _two_names("stem_2", "at_half") | _two_names("stem_4", "at_quarter")
    names |= _two_names("spx_4", "first_enter") | rise_names("spx_2", "first_rise")
    names |= rise_names("spx_2_gru", "rise") | leaky_names("corr_stem", "enter")
    guided = excite_names("corr_feature_att", "gate")
    guided |= hourglass_names("cost_agg", "hourglass", (8, 16, 32))
    names |= {a.replace(".im_att.", ".feat_att."): b for a, b in guided.items()}
    for size, unit in (("04", "finest"), ("08", "middle"), ("16", "coarsest")):
        for part in ("gates", "candidate"):
            names[f"update_block.gru{size}.{part}"] = f"units.{unit}.{part}"
    return names | _context_names()


def _context_names() -> dict[str, str]:
    """Of the trunk's blocks, and of the units' contexts."""
    names = {f"context_zqr_convs.{k}": f"context.contexts.{k}" for k in range(3)}
    blocks = {f"layer{n + 1}.{i}": f"trunk.{n + 3}.{i}" for n in range(3) for i in range(2)}
    for n in range(2):
        blocks |= {f"layer{n + 4}.{i}": f"context.coarser.{n}.{i}" for i in range(2)}
    parts = ("state", "context")
    for scale, size in enumerate(("outputs04", "outputs08")):
        for i, part in enumerate(parts):
            head = f"context.heads.{scale}.{part}"
            blocks[f"{size}.{i}.0"] = f"{head}.0"
            names[f"cnet.{size}.{i}.1"] = f"{head}.1"
    names |= {f"cnet.outputs16.{i}": f"context.heads.2.{part}.0" for i, part in enumerate(parts)}
    inner = [(n, n) for n in ("conv1", "conv2", "norm1", "norm2")]
    inner += [(f"downsample.{i}", f"skip.{i}") for i in range(2)]
    return names | {f"cnet.{a}.{x}": f"{b}.{y}" for a, b in blocks.items() for x, y in inner}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; names that are not the network's stay as they are.

    The gates convz and convr of a unit become one tensor; `norm3` of a block, the same memory as
    its `downsample.1`, goes.
    """
    return renamed(joined_gates(without_twins(state)), _names())


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    theirs = renamed(state, {ours: theirs for theirs, ours in _names().items()})
    return with_twins(split_gates(theirs))


_SOURCE = "linked in the readme of github.com/gangweiX/IGEV, Google Drive: "
_SCENE_FLOW = "Scene Flow: research only"


WEIGHTS = (
    Weights(
        "igev-sceneflow",
        "igev",
        "trained on Scene Flow",
        Licences(code="MIT", data=_SCENE_FLOW),
        f"{_SOURCE}sceneflow/sceneflow.pth",
    ),
)

FRAMES = {
    "igev": Frame(
        builder="igev",
        levels=192,
        step=32,
        divisor=32,
        smallest=64,
        place="centre",
        border="edge",
        voxel_bytes=4,
        pixel_bytes=2500,
        options=("iterations",),
    )
}


def igev(*, max_disparity: int = 192, iterations: int = 32) -> IGEV:
    """The network, untrained; see `IGEVConfig`."""
    return IGEV(IGEVConfig(max_disparity, iterations))
