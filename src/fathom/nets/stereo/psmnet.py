"""PSMNet: Chang and Chen, "Pyramid Stereo Matching Network", CVPR 2018.

1. One net describes both views at a quarter of the size; averages over large cells of the image
   (spatial pyramid pooling) tell each pixel where it is.
2. The descriptions of x on the left and x - d on the right are concatenated for all d.
3. 3-D convolutions, in `psmnet` three hourglasses one after another, make scores of them.
4. The scores are enlarged to full size; their softmax's mean is the disparity.

As in the authors' code (github.com/JiaRenChang/PSMNet, MIT; written anew here from its facts) the
softmax is taken of the scores, where the paper has minus the costs, and the second and the third
hourglass both get the first one's inner features. Images are enlarged with align_corners=False, as
that code does under any newer torch; its readme advises True for weights of 2018, and that their
disparities may want a factor of 1.17. Ours: a confidence, the probability that the softmax gives to
within 1 px of its mean. What images are extended with is the estimator's matter.
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
from fathom.layers.volume import concat_volume, enlarged_argmax
from fathom.published.frame import MEAN_COLOUR, Frame
from fathom.published.record import Licences, Weights

_CELL = 4


@dataclass(frozen=True)
class PSMNetConfig:
    """stacked: the three hourglasses (`psmnet`) or four residual pairs (`psmnet-basic`).
    max_disparity: disparities below this can be found, in pixels. width: of the volume's
    descriptions; the paper's is 32. blocks: residual blocks at each stage. pools: sides of the
    pyramid's cells in pixels of the quarter-size image. align_corners: how images are enlarged.
    checkpoint: training makes parts of the volumes again instead of keeping them: the same numbers
    in more time and less memory.

    Raises `UsageError` for a range that the net cannot halve as often as it must, or sizes below 1.
    """

    stacked: bool = True
    max_disparity: int = 192
    width: int = 32
    blocks: tuple[int, int, int, int] = (3, 16, 3, 3)
    pools: tuple[int, ...] = (64, 32, 16, 8)
    align_corners: bool = False
    checkpoint: bool = False

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, self.step)
        if min(self.width, *self.blocks, *self.pools) < 1:
            raise UsageError("is no net", field="PSMNetConfig", value=self, expected="sizes >= 1")

    @property
    def step(self) -> int:
        """`max_disparity` must be a multiple of this."""
        return _CELL * (4 if self.stacked else 1)

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return 16

    @property
    def smallest(self) -> int:
        """Images must not be smaller than this on either side, in pixels."""
        return _CELL * max(self.pools)


class _Features(nn.Module):
    """Descriptions at a quarter of the size, with the means over large cells beside them."""

    def __init__(self, config: PSMNetConfig) -> None:
        super().__init__()
        c = config.width
        self.stem = stem(c)
        self.stages = stages(c, config.blocks)
        self.pools = config.pools
        self.align_corners = config.align_corners
        self.pyramid = nn.ModuleList(ConvNorm(4 * c, c, 1) for _ in config.pools)
        self.fuse = ConvNorm((2 + 4 + len(config.pools)) * c, 4 * c)
        self.project = nn.Conv2d(4 * c, c, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stages[0](self.stem(image))
        early = self.stages[1](x)
        late = self.stages[3](self.stages[2](early))
        size = late.shape[-2:]
        means = [
            functional.interpolate(
                branch(functional.avg_pool2d(late, side)),
                size=size,
                mode="bilinear",
                align_corners=self.align_corners,
            )
            for side, branch in zip(self.pools, self.pyramid, strict=True)
        ]
        out: Tensor = self.project(self.fuse(torch.cat([early, late, *reversed(means)], dim=1)))
        return out


class _Hourglass(nn.Module):
    """Down to a quarter of the volume's sizes and up again; features of earlier ones may join."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.down = ConvNorm3d(c, 2 * c, 2)
        self.inner = ConvNorm3d(2 * c, 2 * c, last=True)
        self.deeper = ConvNorm3d(2 * c, 2 * c, 2)
        self.deepest = ConvNorm3d(2 * c, 2 * c)
        self.rise = ConvNorm3d(2 * c, 2 * c, up=True, last=True)
        self.out = ConvNorm3d(2 * c, c, up=True, last=True)

    def forward(
        self, x: Tensor, before: Tensor | None, after: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """before, after: inner features of another hourglass, on the way down and up. Gives the
        volume, and its own."""
        inner = self.inner(self.down(x))
        down = functional.relu_(inner if after is None else inner + after)
        rising = self.rise(self.deepest(self.deeper(down)))
        up = functional.relu_(rising + (down if before is None else before))
        return self.out(up), down, up


class PSMNet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives disparities at full size: in training of all
    three hourglasses, the last one's first, else the last one's with a confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: PSMNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PSMNetConfig()
        c = config.width
        self.features = _Features(config)
        self.enter = nn.Sequential(ConvNorm3d(2 * c, c), ConvNorm3d(c, c))
        self.pairs = nn.ModuleList(PlainResidual3d(c) for _ in range(1 if config.stacked else 4))
        self.hourglasses = nn.ModuleList(_Hourglass(c) for _ in range(3 * config.stacked))
        self.heads = nn.ModuleList(
            nn.Sequential(ConvNorm3d(c, c), Conv3d(c, 1)) for _ in range(3 if config.stacked else 1)
        )
        self.apply(start)
        if config.checkpoint:
            remake(self)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor, self.config.smallest)
        scores = self.scored(self.described(left), self.described(right))
        size = (self.config.max_disparity, *left.shape[-2:])
        if not self.training:
            disparity, confidence = self.read(scores[-1], size)
            return StereoOutput((disparity,), confidence)
        read = partial(remade, self.read, of=self) if self.config.checkpoint else self.read
        return StereoOutput(tuple(read(s, size)[0] for s in reversed(scores)))

    def described(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        """Descriptions at a quarter of the size."""
        out: Tensor = self.features(imagenet_colours(image))
        return out

    def scored(self, left: Tensor, right: Tensor) -> list[Float[Tensor, "b 1 _k _h _w"]]:
        """Scores of disparities a quarter as fine, of each head; the last one is the answer."""
        x = self.enter(concat_volume(left, right, self.config.max_disparity // _CELL))
        for pair in self.pairs:
            x = pair(x)
        if not self.config.stacked:
            return [self.heads[0](x)]
        volume, down, up = self.hourglasses[0](x, None, None)
        first_down = down
        scores = [self.heads[0](volume := volume + x)]
        for hourglass, head in zip(self.hourglasses[1:], self.heads[1:], strict=True):
            volume, _, up = hourglass(volume, first_down, up)
            volume = volume + x
            scores.append(head(volume) + scores[-1])
        return scores

    def read(self, scores: Tensor, size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """The disparity and its confidence's logit at full size; size: (disparities, h, w)."""
        return enlarged_argmax(scores, size, align_corners=self.config.align_corners)


_PARTS = ("down.{}", "inner.{}", "deeper.{}", "deepest.{}", "rise.{}", "out.{}")
_THEIRS = ("conv1.0.{}", "conv2.{}", "conv3.0.{}", "conv4.0.{}", "conv5.{}", "conv6.{}")


def _names(stacked: bool) -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    pairs = [*official_names(PSMNetConfig().blocks), ("lastconv.0.{}", "fuse.{}")]
    pairs += [(f"branch{i + 1}.1.{{}}", f"pyramid.{i}.{{}}") for i in range(4)]
    pairs = [("feature_extraction." + a, "features." + b) for a, b in pairs]
    pairs += [(f"dres0.{2 * i}.{{}}", f"enter.{i}.{{}}") for i in range(2)]
    for k in range(1 if stacked else 4):
        pairs += [(f"dres{k + 1}.{2 * i}.{{}}", f"pairs.{k}.body.{i}.{{}}") for i in range(2)]
    heads = ["classif1", "classif2", "classif3"] if stacked else ["classify"]
    for k, head in enumerate(heads):
        pairs.append((f"{head}.0.{{}}", f"heads.{k}.0.{{}}"))
        if stacked:
            both = zip(_THEIRS, _PARTS, strict=True)
            pairs += [(f"dres{k + 2}.{a}", f"hourglasses.{k}.{b}") for a, b in both]
    names = {a.format(n): b.format(n) for a, b in pairs for n in (0, 1)}
    names |= {f"{head}.2": f"heads.{k}.1" for k, head in enumerate(heads)}
    return names | {"feature_extraction.lastconv.2": "features.project"}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors of either variant under our names; names that are not the network's
    stay as they are. Normalisations without a count of batches, as torch of 2018 saved them, get 0.
    """
    stacked = not any(name.startswith("classify.") for name in state)
    return counted(renamed(state, _names(stacked)))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    stacked = any(name.startswith("hourglasses.") for name in state)
    return renamed(state, {ours: theirs for theirs, ours in _names(stacked).items()})


_SOURCE = "linked in the readme of github.com/JiaRenChang/PSMNet, Google Drive: "
_SCENE_FLOW = "Scene Flow: research only"
_KITTI = f"{_SCENE_FLOW}; KITTI: CC-BY-NC-SA-3.0"


def _published(name: str, variant: str, data: str, link: str) -> Weights:
    return Weights(name, "psmnet", variant, Licences(code="MIT", data=data), _SOURCE + link)


WEIGHTS = (
    _published(
        "psmnet-sceneflow",
        "trained on Scene Flow under torch 1.8 in 2021",
        _SCENE_FLOW,
        "'Scene Flow (torch 1.8.1)'",
    ),
    _published(
        "psmnet-sceneflow-2018",
        "trained on Scene Flow under torch 0.4: try align_corners=True",
        _SCENE_FLOW,
        "'Scene Flow'",
    ),
    _published(
        "psmnet-kitti2015",
        "Scene Flow, then KITTI 2015, under torch 0.4: try align_corners=True",
        _KITTI,
        "'KITTI 2015'",
    ),
    _published(
        "psmnet-kitti2012",
        "Scene Flow, then KITTI 2012, under torch 0.4: try align_corners=True",
        _KITTI,
        "'KITTI 2012'",
    ),
)


_FRAME = Frame(
    builder="psmnet", levels=192, step=16, divisor=16, smallest=256, place="above",
    border=MEAN_COLOUR, voxel_bytes=16, options=("align_corners",),
)  # fmt: skip
FRAMES = {
    "psmnet": _FRAME,
    "psmnet-basic": replace(_FRAME, builder="psmnet_basic", step=4, voxel_bytes=12),
}
"""The authors extend images by what becomes 0, and none below 256 px."""


def psmnet(
    *, max_disparity: int = 192, align_corners: bool = False, checkpoint: bool = False
) -> PSMNet:
    """The network with stacked hourglasses, untrained; see `PSMNetConfig`."""
    return PSMNet(
        PSMNetConfig(True, max_disparity, align_corners=align_corners, checkpoint=checkpoint)
    )


def psmnet_basic(
    *, max_disparity: int = 192, align_corners: bool = False, checkpoint: bool = False
) -> PSMNet:
    """The network with residual pairs, untrained; see `PSMNetConfig`."""
    return PSMNet(
        PSMNetConfig(False, max_disparity, align_corners=align_corners, checkpoint=checkpoint)
    )
