"""HITNet: Tankovich et al., "HITNet: Hierarchical Iterative Tile Refinement Network", CVPR 2021.

1. A U-Net describes both views; at each of its sizes tiles of 4 x 4 pixels of the left view are
   compared with the right view at all whole disparities, and the best one starts a hypothesis: a
   plane (disparity, two slants) and 13 numbers that say what the tile looks like.
2. Planes are tried on: the right view is warped by them and by a pixel less and more.
3. Small 2-D nets see what that gave and change planes, from coarse to fine; where a coarser plane
   competes with a new one, the more confident one wins.
4. Three more nets cut the tiles down to pixels, guided by the left view.

The authors published TensorFlow graphs only; tensors, layouts and numbers here are those of
TinyHITNet (github.com/zjjMaiMai/TinyHITNet, no licence stated; written anew from its facts), whose
XL weights were converted from the authors'. As there, `hitnet` and `hitnet-xl` (Scene Flow) start
at the finest size only, `hitnet-kitti` at all five; tiles of 4 x 4 are cut with their quarters half
a pixel from the middle where they lie one pixel from it; and nothing forbids a negative disparity.
Costs of all disparities are kept in training only. No confidence of the result is given: that of a
hypothesis tells which of two is better, and the single-size nets have but one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.state import renamed
from fathom.layers.stereo import StereoOutput, require_levels, require_size
from fathom.layers.tile_losses import LevelCosts, Tiles, TileTrace
from fathom.layers.tiles import best_tiles, cut, expanded, folded, plane_costs, tile_costs
from fathom.published.frame import Frame
from fathom.published.record import Licences, Weights

_SIDE = 4
_EMBEDDED = 16  # channels of a described tile
_HELD = 16  # numbers of a hypothesis: disparity, two slants, 13 that describe it
_DEEP = 5  # sizes of the U-Net


@dataclass(frozen=True)
class HITNetConfig:
    """max_disparity: disparities below this start a hypothesis, in pixels. levels: sizes at which
    hypotheses start and move, the finest ones of the U-Net's five. widths: its channels, finest
    first. moving: dilations of the residual blocks that move hypotheses. refining: channels of the
    three last nets; dilations: of their residual blocks.

    Raises `UsageError` for a range that the levels do not divide, or sizes below 1.
    """

    max_disparity: int = 320
    levels: int = 1
    widths: tuple[int, int, int, int, int] = (16, 16, 24, 24, 32)
    moving: tuple[int, ...] = (1, 1)
    refining: tuple[int, int, int] = (32, 32, 16)
    dilations: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((1, 2, 4, 8, 1, 1),) * 3

    def __post_init__(self) -> None:
        sizes = (*self.widths, *self.refining, *self.moving, *sum(self.dilations, ()))
        if not 1 <= self.levels <= _DEEP or min(sizes) < 1:
            raise UsageError(
                "is no net", field="HITNetConfig", value=self, expected="sizes >= 1, 1 to 5 levels"
            )
        require_levels(self.max_disparity, self.step)

    @property
    def step(self) -> int:
        """`max_disparity` must be a multiple of this."""
        return 1 << (self.levels - 1)

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return max(1 << (_DEEP - 1), _SIDE * self.step)


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)


class _Conv(nn.Sequential):
    """Convolution and leaky ReLU; the size is divided by `stride`."""

    def __init__(self, inputs: int, outputs: int, side: int = 3, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, side, stride, (side - 1) // 2), _leaky())


class _Residual(nn.Module):
    """x + two convolutions of x, before a leaky ReLU."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, dilation, dilation),
            _leaky(),
            nn.Conv2d(channels, channels, 3, 1, dilation, dilation),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.body(x)
        return functional.leaky_relu(x + change, 0.2)


class _Rise(nn.Module):
    """Twice the size, with what was there on the way down."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.enlarge = nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 2, 2), _leaky())
        self.merge = nn.Sequential(
            _Conv(2 * outputs, outputs, 1), _Conv(outputs, outputs), _Conv(outputs, outputs)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        out: Tensor = self.merge(torch.cat([self.enlarge(x), skip], dim=1))
        return out


class _Features(nn.Module):
    """The U-Net: descriptions at 1, 1/2, ... 1/16 of the size, finest first."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        stages = [nn.Sequential(_Conv(3, widths[0]))]
        for i in range(1, _DEEP):
            more = [_Conv(widths[i], widths[i]) for _ in range(3 if i == _DEEP - 1 else 1)]
            stages.append(nn.Sequential(_Conv(widths[i - 1], widths[i], 4, 2), *more))
        self.down = nn.ModuleList(stages)
        self.up = nn.ModuleList(_Rise(widths[i + 1], widths[i]) for i in range(_DEEP - 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        skips = [image]
        for stage in self.down:
            skips.append(stage(skips[-1]))
        found = [skips.pop()]
        for rise in reversed(self.up):
            found.append(rise(found[-1], skips.pop()))
        return tuple(reversed(found))


class _Start(nn.Module):
    """Hypotheses from nothing: flat tiles at the disparity of the least difference.

    inputs: channels of the features; beside: of what is known of a tile besides.
    """

    def __init__(self, inputs: int, beside: int) -> None:
        super().__init__()
        self.tile = nn.Conv2d(inputs, _EMBEDDED, _SIDE)
        self.embed = _Conv(_EMBEDDED, _EMBEDDED, 1)
        self.describe = _Conv(1 + beside, _HELD - 3, 1)

    def forward(
        self, left: Tensor, right: Tensor, beside: Tensor | None, levels: int
    ) -> tuple[Tensor, ...]:
        """The tiles, and in training the costs (b, levels, h, w) of all disparities.

        beside: features of the tiles' size; None: the described tile itself.
        """
        ours, theirs = self.described(left, _SIDE), self.described(right, 1)
        kept: list[Tensor] = []
        if self.training:
            kept.append(tile_costs(ours, theirs, 0, levels).permute(0, 3, 1, 2))
            low, at = kept[0].min(dim=1, keepdim=True)
        else:
            low, at = best_tiles(ours, theirs, levels)
        flat = torch.zeros_like(low).expand(-1, 2, -1, -1)
        held = self.describe(torch.cat([low, ours if beside is None else beside], dim=1))
        return torch.cat([at.to(low.dtype), flat, held], dim=1), *kept

    def described(self, features: Tensor, stride: int) -> Tensor:
        """Each tile, or (stride 1) each that begins at any pixel of a row, from one before the
        first on: the size stays, as TensorFlow pads."""
        if stride == 1:
            features = functional.pad(features, (1, 2, 0, 0))
        tiles = functional.conv2d(features, self.tile.weight, self.tile.bias, (_SIDE, stride))
        out: Tensor = self.embed(functional.leaky_relu(tiles, 0.2))
        return out


class _Move(nn.Module):
    """Changes `count` hypotheses of each tile and says how sure it is of each."""

    def __init__(self, count: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.count = count
        self.tried = _Conv(4 * _SIDE * _SIDE * count, 16 * count, 1)
        self.enter = _Conv(16 * count + _HELD * count, 32)
        self.blocks = nn.Sequential(*(_Residual(32, d) for d in dilations))
        self.leave = nn.Conv2d(32, (_HELD + 1) * count, 3, 1, 1)

    def forward(
        self, hypotheses: Sequence[Tensor], left: Tensor, right: Tensor
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """left, right: features of the pixels that the tiles are made of."""
        costs = [
            folded(plane_costs(left, right, expanded(h[:, :3], _SIDE)), _SIDE) for h in hypotheses
        ]
        tried = self.tried(torch.cat(costs, dim=1))
        out = self.leave(self.blocks(self.enter(torch.cat([*hypotheses, tried], dim=1))))
        changes = out[:, : _HELD * self.count].split(_HELD, dim=1)
        moved = [h + change for h, change in zip(hypotheses, changes, strict=True)]
        return moved, out[:, _HELD * self.count :].split(1, dim=1)


class _Refine(nn.Module):
    """Changes one hypothesis of each tile, seeing the left view only."""

    def __init__(self, features: int, width: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.narrow = _Conv(features + _HELD, width, 1)
        self.enter = _Conv(width, width)
        self.blocks = nn.Sequential(*(_Residual(width, d) for d in dilations))
        self.leave = nn.Conv2d(width, _HELD, 3, 1, 1)

    def forward(self, tiles: Tensor, features: Tensor) -> Tensor:
        x = self.enter(self.narrow(torch.cat([features, tiles], dim=1)))
        change: Tensor = self.leave(self.blocks(x))
        return tiles + change


class HITNet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives the disparity at full size, in training those
    of all steps, too, the last one first, and as `inner` the `TileTrace` that `TileLoss` judges.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: HITNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or HITNetConfig()
        widths, levels = config.widths, range(config.levels)
        # what is known of a tile besides has its size: the features two levels coarser
        beside = [*widths[2:], _EMBEDDED, _EMBEDDED]
        self.features = _Features(widths)
        self.starts = nn.ModuleList(_Start(widths[i], beside[i]) for i in levels)
        self.moves = nn.ModuleList(
            _Move(1 if i == config.levels - 1 else 2, config.moving) for i in levels
        )
        self.refines = nn.ModuleList(
            _Refine(widths[2 - i], config.refining[i], config.dilations[i]) for i in range(3)
        )
        for name, module in self.named_modules():
            # the spread of what passes is kept, so that tiles differ from the start; what changes
            # hypotheses keeps torch's smaller weights
            if isinstance(module, nn.Conv2d) and not name.endswith("leave"):
                nn.init.kaiming_normal_(module.weight, a=0.2, nonlinearity="leaky_relu")

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor)
        last = self.config.levels - 1
        ours = self.features(left / 127.5 - 1)
        theirs = self.features(right / 127.5 - 1)[: last + 1]
        tiles, trace = self.moved(last, None, ours, theirs[last])
        for i in reversed(range(last)):
            tiles, seen = self.moved(i, tiles, ours, theirs[i])
            trace = TileTrace(trace.costs + seen.costs, trace.tiles + seen.tiles)
        del theirs
        found: list[Tensor] = []
        for i, refine in enumerate(self.refines):
            tiles = refine(tiles if i == 0 else cut(tiles, 1.0), ours[2 - i])
            found.append(tiles[:, :1])
            trace = trace._replace(
                tiles=(*trace.tiles, Tiles(tiles[:, :3], _SIDE >> i, 1, None, True))
            )
        if not self.training:
            return StereoOutput((found[-1],))
        return StereoOutput(tuple(reversed(found)), inner=trace)

    def moved(
        self, level: int, before: Tensor | None, ours: Sequence[Tensor], theirs: Tensor
    ) -> tuple[Tensor, TileTrace]:
        """The tiles of one level, from those of the coarser one; and what the loss wants of it."""
        scale = 1 << level
        beside = ours[level + 2] if level + 2 < _DEEP else None
        levels = self.config.max_disparity // scale
        new, *costs = self.starts[level](ours[level], theirs, beside, levels)
        given = [new]
        if before is not None:  # the image is twice as large: tiles keep their side
            given.append(cut(before, _SIDE / 2, 2.0))
        moved, sure = self.moves[level](given, ours[level], theirs)
        alone = len(moved) == 1 and self.config.levels == 1
        trace = TileTrace(
            tuple(LevelCosts(c, scale) for c in costs),
            tuple(
                Tiles(t[:, :3], _SIDE, scale, s, alone) for t, s in zip(moved, sure, strict=True)
            ),
        )
        if len(moved) == 1:
            return moved[0], trace
        return torch.where(sure[0] > sure[1], moved[0], moved[1]), trace


def _names(kitti: bool) -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    net = "feature_extractor."
    names = {}
    for k in range(_DEEP):
        for i in range(4 if k == _DEEP - 1 else 2):
            names[f"{net}down_{k}.{2 * i}"] = f"features.down.{k}.{i}.0"
    for k in range(_DEEP - 1):
        names[f"{net}up_{k}.up_conv.0"] = f"features.up.{k}.enlarge.0"
        for i in range(3):
            names[f"{net}up_{k}.merge_conv.{2 * i}"] = f"features.up.{k}.merge.{i}.0"
    parts = [(f"refine.{i}" if kitti else f"refine_l{i}", f"refines.{i}") for i in range(3)]
    if kitti:
        for i in range(_DEEP):
            theirs, level = f"level.{i}", _DEEP - 1 - i
            names[f"{theirs}.init.conv_reduce"] = f"starts.{level}.tile"
            names[f"{theirs}.init.conv_em.1"] = f"starts.{level}.embed.0"
            names[f"{theirs}.init.conv_hyp.0"] = f"starts.{level}.describe.0"
            parts.append((f"{theirs}.prop", f"moves.{level}"))
    else:
        names["init_layer_0.conv_em"] = "starts.0.tile"
        names["init_layer_0.relu_conv.1"] = "starts.0.embed.0"
        names["init_layer_0.tile_feautre.0"] = "starts.0.describe.0"  # spelt so there
        parts.append(("prop_layer_0", "moves.0"))
    for theirs, ours in parts:
        if ours.startswith("moves"):
            names[f"{theirs}.conv_neighbors.0"] = f"{ours}.tried.0"
        else:
            names[f"{theirs}.conv1x1.0"] = f"{ours}.narrow.0"
        names[f"{theirs}.conv1.0"] = f"{ours}.enter.0"
        names[f"{theirs}.convn"] = f"{ours}.leave"
        for j in range(6):
            for n in (0, 2):
                names[f"{theirs}.res_block.{j}.conv.{n}"] = f"{ours}.blocks.{j}.body.{n}"
    return names


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published tensors of any variant under our names; names that are not the network's stay
    as they are."""
    return renamed(state, _names(any(name.startswith("level.") for name in state)))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their published names: `convert` undone."""
    names = _names(any(name.startswith("starts.1.") for name in state))
    return renamed(state, {ours: theirs for theirs, ours in names.items()})


_SOURCE = "linked in the readme of github.com/zjjMaiMai/TinyHITNet: "
_SCENE_FLOW = "Scene Flow: research only"

WEIGHTS = (
    Weights(
        "hitnet-sceneflow",
        "hitnet",
        "trained on Scene Flow (finalpass) by TinyHITNet",
        Licences(data=_SCENE_FLOW),
        _SOURCE + "hitnet_sf_finalpass.ckpt",
    ),
    Weights(
        "hitnet-xl-sceneflow",
        "hitnet-xl",
        "the authors' for Scene Flow (finalpass), converted by TinyHITNet",
        Licences(data=_SCENE_FLOW),
        _SOURCE + "hitnet_xl_sf_finalpass_from_tf.ckpt",
    ),
)

_GREY = (127.5, 127.5, 127.5)  # zeros, once colours are in -1..1
FRAMES = {
    "hitnet": Frame(
        builder="hitnet", levels=320, step=1, divisor=64, border=_GREY, pixel_bytes=1100
    ),
    "hitnet-xl": Frame(
        builder="hitnet_xl", levels=320, step=1, divisor=64, border=_GREY, pixel_bytes=1900
    ),
    "hitnet-kitti": Frame(
        builder="hitnet_kitti", levels=256, step=16, divisor=64, border=_GREY, pixel_bytes=1400
    ),
}


def hitnet(*, max_disparity: int = 320) -> HITNet:
    """The small network for Scene Flow, untrained; see `HITNetConfig`."""
    return HITNet(HITNetConfig(max_disparity))


def hitnet_xl(*, max_disparity: int = 320) -> HITNet:
    """The large network for Scene Flow, untrained; see `HITNetConfig`."""
    return HITNet(HITNetConfig(max_disparity, widths=(32, 40, 48, 56, 64), refining=(64, 64, 64)))


def hitnet_kitti(*, max_disparity: int = 256) -> HITNet:
    """The network for KITTI with five levels, untrained; see `HITNetConfig`."""
    dilations = ((1, 3, 1, 1), (1, 3, 1, 1), (1, 1))
    return HITNet(HITNetConfig(max_disparity, levels=5, dilations=dilations))
