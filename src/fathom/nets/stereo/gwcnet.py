"""GwcNet: Guo et al., "Group-wise Correlation Stereo Network", CVPR 2019.

1. PSMNet's trunk describes both views at a quarter of the size, without the pyramid.
2. The 320 channels are cut into 40 groups; each gives one likeness of x on the left and x - d on
   the right. `gwcnet` (gc) puts 12 + 12 concatenated channels beside them, `gwcnet-g` does not.
3. Three hourglasses of 3-D convolutions, with 1x1 shortcuts inside, make scores of them.
4. The scores are enlarged to full size; their softmax's mean is the disparity.

As in the authors' code (github.com/xy-guo/GwcNet, MIT; written anew here from its facts) each group
is the mean of its products, images are enlarged with align_corners=False, and only training looks
at the scores before the last. Ours: a confidence, the probability that the softmax gives to within
1 px of its mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.blocks import ConvNorm
from fathom.layers.conv3d import Conv3d, ConvNorm3d, PlainResidual3d, remake
from fathom.layers.remade import remade
from fathom.layers.state import counted, renamed
from fathom.layers.stereo import StereoOutput, imagenet_colours, require_levels, require_size
from fathom.layers.trunk import official_names, stages, start, stem
from fathom.layers.volume import concat_volume, enlarged_argmax, group_correlation
from fathom.nets.backbone import Backbone, BackboneConfig
from fathom.published.frame import MEAN_COLOUR, Frame
from fathom.published.record import Licences, Weights

_CELL = 4


@dataclass(frozen=True)
class GwcNetConfig:
    """max_disparity: disparities below this can be found, in pixels. groups: of the channels that
    are correlated. concat: channels of each view that are concatenated besides, or 0. width: of the
    volume, and the unit of the descriptions'; the paper's is 32. blocks: residual blocks at each
    stage. backbone: an encoder of transformers that describes the views in the trunk's place.
    checkpoint: training makes parts of the volumes again instead of keeping them: the same numbers
    in more time and less memory.

    Raises `UsageError` for a range that the net cannot halve as often as it must, groups that do
    not divide the channels, or sizes below 1.
    """

    max_disparity: int = 192
    groups: int = 40
    concat: int = 12
    width: int = 32
    blocks: tuple[int, int, int, int] = (3, 16, 3, 3)
    backbone: BackboneConfig | None = None
    checkpoint: bool = False

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, self.step)
        least = min(self.width, self.groups, *self.blocks)
        if least < 1 or self.concat < 0 or self.described % self.groups:
            raise UsageError(
                "is no net",
                field="GwcNetConfig",
                value=self,
                expected="sizes >= 1, and groups that divide 10 width",
            )

    @property
    def described(self) -> int:
        """Channels of a view's description."""
        return (2 + 4 + 4) * self.width

    @property
    def step(self) -> int:
        """`max_disparity` must be a multiple of this."""
        return 4 * _CELL

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return 4 * _CELL


class _Features(nn.Module):
    """Descriptions at a quarter of the size: those to correlate, and those to concatenate."""

    def __init__(self, config: GwcNetConfig) -> None:
        super().__init__()
        c = config.width
        self.backbone: Backbone | None = None
        if config.backbone is None:
            self.stem = stem(c)
            self.stages = stages(c, config.blocks)
        self.fuse = ConvNorm(config.described, 4 * c) if config.concat else None
        self.project = nn.Conv2d(4 * c, config.concat, 1, bias=False) if config.concat else None

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.backbone is None:
            x = self.stages[1](self.stages[0](self.stem(image)))
            later = self.stages[2](x)
            both = torch.cat([x, later, self.stages[3](later)], dim=1)
        else:
            both = self.backbone(image)
        if self.fuse is None or self.project is None:
            return both, None
        return both, self.project(self.fuse(both))


class _Hourglass(nn.Module):
    """Down to a quarter of the volume's sizes and up again, with 1x1 shortcuts at both sizes."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.down = ConvNorm3d(c, 2 * c, 2)
        self.inner = ConvNorm3d(2 * c, 2 * c)
        self.deeper = ConvNorm3d(2 * c, 4 * c, 2)
        self.deepest = ConvNorm3d(4 * c, 4 * c)
        self.rise = ConvNorm3d(4 * c, 2 * c, up=True, last=True)
        self.out = ConvNorm3d(2 * c, c, up=True, last=True)
        self.past = ConvNorm3d(c, c, side=1, last=True)
        self.past_inner = ConvNorm3d(2 * c, 2 * c, side=1, last=True)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.inner(self.down(x))
        up = functional.relu_(self.rise(self.deepest(self.deeper(inner))) + self.past_inner(inner))
        return functional.relu_(self.out(up) + self.past(x))


class GwcNet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives disparities at full size: in training of the
    volume before the hourglasses and after each, the last one's first, else the last one's with a
    confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: GwcNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GwcNetConfig()
        c = config.width
        self.features = _Features(config)
        self.enter = nn.Sequential(
            ConvNorm3d(config.groups + 2 * config.concat, c), ConvNorm3d(c, c)
        )
        self.pair = PlainResidual3d(c)
        self.hourglasses = nn.ModuleList(_Hourglass(c) for _ in range(3))
        self.heads = nn.ModuleList(
            nn.Sequential(ConvNorm3d(c, c), Conv3d(c, 1)) for _ in range(1 + 3)
        )
        self.apply(start)
        if config.checkpoint:
            remake(self)
        if config.backbone is not None:  # later: its weights are not to be drawn anew
            self.features.backbone = Backbone(config.backbone, config.described)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor)
        volume = self.pair(self.enter(self.volume(left, right)))
        size = (self.config.max_disparity, *left.shape[-2:])
        scores = [self.heads[0](volume)] if self.training else []
        for i, (hourglass, head) in enumerate(
            zip(self.hourglasses, self.heads[1:], strict=True), start=1
        ):
            volume = hourglass(volume)
            if self.training or i == len(self.hourglasses):
                scores.append(head(volume))
        if not self.training:
            disparity, confidence = enlarged_argmax(scores[-1], size)
            return StereoOutput((disparity,), confidence)
        read = (
            partial(remade, enlarged_argmax, of=self) if self.config.checkpoint else enlarged_argmax
        )
        return StereoOutput(tuple(read(s, size)[0] for s in reversed(scores)))

    def volume(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b _c _k _h _w"]:
        """Likenesses of the groups, then the concatenated channels, at a quarter of all sizes."""
        levels = self.config.max_disparity // _CELL
        ours, ours_beside = self.features(imagenet_colours(left))
        theirs, theirs_beside = self.features(imagenet_colours(right))
        groups = group_correlation(ours, theirs, levels, self.config.groups)
        if ours_beside is None:
            return groups
        return torch.cat([groups, concat_volume(ours_beside, theirs_beside, levels)], dim=1)


_PARTS = {
    "conv1.0.{}": "down.{}",
    "conv2.0.{}": "inner.{}",
    "conv3.0.{}": "deeper.{}",
    "conv4.0.{}": "deepest.{}",
    "conv5.{}": "rise.{}",
    "conv6.{}": "out.{}",
    "redir1.{}": "past.{}",
    "redir2.{}": "past_inner.{}",
}


def _names() -> dict[str, str]:
    """Official module -> ours, for all that have tensors in either variant."""
    pairs = [*official_names(GwcNetConfig().blocks), ("lastconv.0.{}", "fuse.{}")]
    pairs = [("feature_extraction." + a, "features." + b) for a, b in pairs]
    for i in range(2):
        pairs.append((f"dres0.{2 * i}.{{}}", f"enter.{i}.{{}}"))
        pairs.append((f"dres1.{2 * i}.{{}}", f"pair.body.{i}.{{}}"))
    for k in range(3):
        pairs += [(f"dres{k + 2}.{a}", f"hourglasses.{k}.{b}") for a, b in _PARTS.items()]
    pairs += [(f"classif{k}.0.{{}}", f"heads.{k}.0.{{}}") for k in range(4)]
    names = {a.format(n): b.format(n) for a, b in pairs for n in (0, 1)}
    names |= {f"classif{k}.2": f"heads.{k}.1" for k in range(4)}
    return names | {"feature_extraction.lastconv.2": "features.project"}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors of either variant under our names; names that are not the network's
    stay as they are. Normalisations without a count of batches, as torch of 2018 saved them, get 0.
    """
    return counted(renamed(state, _names()))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    return renamed(state, {ours: theirs for theirs, ours in _names().items()})


_SOURCE = "linked in the readme of github.com/xy-guo/GwcNet, Google Drive: "
_SCENE_FLOW = "Scene Flow: research only"

WEIGHTS = (
    Weights(
        "gwcnet-sceneflow",
        "gwcnet",
        "trained on Scene Flow",
        Licences(code="MIT", data=_SCENE_FLOW),
        _SOURCE + "'Scene Flow'",
    ),
    Weights(
        "gwcnet-kitti",
        "gwcnet",
        "Scene Flow, then KITTI 2012 or 2015",
        Licences(code="MIT", data=f"{_SCENE_FLOW}; KITTI: CC-BY-NC-SA-3.0"),
        _SOURCE + "'KITTI 2012/2015'",
    ),
)

_FRAME = Frame(
    builder="gwcnet", levels=192, step=16, divisor=16, smallest=16, place="above",
    border=MEAN_COLOUR, voxel_bytes=22,
)  # fmt: skip
FRAMES = {"gwcnet": _FRAME, "gwcnet-g": replace(_FRAME, builder="gwcnet_g", voxel_bytes=18)}
"""The authors extend images by what becomes 0."""


def gwcnet(*, max_disparity: int = 192, checkpoint: bool = False) -> GwcNet:
    """GwcNet-gc, untrained: correlated groups and concatenated channels; a multiple of 16."""
    return GwcNet(GwcNetConfig(max_disparity, checkpoint=checkpoint))


def gwcnet_g(*, max_disparity: int = 192, checkpoint: bool = False) -> GwcNet:
    """GwcNet-g, untrained: correlated groups alone; max_disparity: a multiple of 16."""
    return GwcNet(GwcNetConfig(max_disparity, concat=0, checkpoint=checkpoint))
