"""AANet and AANet+: Xu and Zhang, "AANet: Adaptive Aggregation Network for Efficient Stereo
Matching", CVPR 2020.

1. Both views are described at 1/3, 1/6 and 1/12 of the size; their correlation gives three volumes
   (disparities x height x width) in place of one that would have to be convolved in 3-D.
2. Six modules aggregate them: 2-D convolutions within each scale, in the last three modules at
   places that the net chooses (modulated deformable convolution), and sums across the scales.
3. The softmax's mean at 1/3 of the size is the first disparity.
4. At 1/2 and at full size the right view is warped by it, and what does not fit corrects it.
AANet+ has an hourglass net, run twice, for describing and for correcting.

As in the authors' code (github.com/haofeixu/aanet, Apache-2.0, whose readme claims patents and
research use only; written anew here from its facts) volumes hold 192 disparities and no other
number, as their disparities are channels. The warp's positions are normalised by the size less one
and looked up with align_corners=False, so that everything moves by up to half a pixel: that is what
the code does under torch 1.3 and later. Its weights were trained under torch 1.2, which did not
(`align_corners=True`). No confidence of its own: what the corrections do, no distribution tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, product

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.blocks import ConvNorm
from fathom.layers.cross_scale import AcrossScales, Bottleneck, leaky
from fathom.layers.hourglass import DoubleHourglass
from fathom.layers.resample import to_size
from fathom.layers.state import counted, renamed
from fathom.layers.stereo import StereoOutput, imagenet_colours, require_levels, require_size
from fathom.layers.volume import correlation, soft_argmax
from fathom.published.frame import MEAN_COLOUR, Frame
from fathom.published.record import Licences, Weights

_CELL = 3
_SCALES = 3


@dataclass(frozen=True)
class AANetConfig:
    """plus: AANet+ (hourglasses; only the finest scale is supervised). max_disparity: disparities
    below this can be found, in pixels; the volumes' channels. width: the unit of all others; the
    paper's is 32. blocks: of AANet's trunk at each scale; the coarsest are deformable. modules: of
    the aggregation. deformable: how many of these are, the last ones. align_corners: how the warp
    looks positions up.

    Raises `UsageError` for a range that does not suit the scales, or sizes below 1.
    """

    plus: bool = False
    max_disparity: int = 192
    width: int = 32
    blocks: tuple[int, int, int] = (3, 4, 6)
    modules: int = 6
    deformable: int = 3
    align_corners: bool = False

    def __post_init__(self) -> None:
        step = 2 * _CELL << (_SCALES - 1)  # two groups of channels choose their places
        require_levels(self.max_disparity, step)
        even = self.width % 2 == 0 and 0 <= self.deformable <= self.modules
        if not even or min(self.width, self.modules, *self.blocks) < 1:
            raise UsageError(
                "is no net", field="AANetConfig", value=self, expected="sizes >= 1, an even width"
            )

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return 96 if self.plus else 12

    @property
    def levels(self) -> tuple[int, ...]:
        """Disparities of each volume, finest first."""
        return tuple(self.max_disparity // _CELL >> i for i in range(_SCALES))


class _Features(nn.Module):
    """AANet's descriptions: residual stages at three scales, and a pyramid of equal widths."""

    def __init__(self, config: AANetConfig) -> None:
        super().__init__()
        c = config.width
        self.stem = ConvNorm(3, c, 7, _CELL)
        widths = (c, *(4 * c << i for i in range(_SCALES)))
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    Bottleneck(
                        outputs if i else inputs,
                        outputs // 4,
                        outputs,
                        2 if stage and not i else 1,
                        deform=stage == _SCALES - 1,
                    )
                    for i in range(count)
                )
            )
            for stage, ((inputs, outputs), count) in enumerate(
                zip(pairwise(widths), config.blocks, strict=True)
            )
        )
        self.lateral = nn.ModuleList(nn.Conv2d(n, 4 * c, 1) for n in widths[1:])
        self.out = nn.ModuleList(ConvNorm(4 * c, 4 * c, bias=True) for _ in widths[1:])

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image)
        sides: list[Tensor] = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            sides.append(lateral(x))
        for i in reversed(range(len(sides) - 1)):
            above = functional.interpolate(sides[i + 1], size=sides[i].shape[-2:], mode="nearest")
            sides[i] = sides[i] + above
        return [out(side) for out, side in zip(self.out, sides, strict=True)]


class _PlusFeatures(nn.Module):
    """AANet+'s descriptions: the hourglass, and two coarser sizes from its finest."""

    def __init__(self, config: AANetConfig) -> None:
        super().__init__()
        c = config.width
        self.start = nn.Sequential(ConvNorm(3, c), ConvNorm(c, c, 5, _CELL))
        self.glass = DoubleHourglass(c)
        self.coarser = nn.ModuleList(
            nn.ModuleList([ConvNorm(a, b, 3, 2, last=True), ConvNorm(b, b, 1, last=True)])
            for a, b in pairwise(c << i for i in range(_SCALES))
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        out = [self.glass(self.start(image))]
        for steps in self.coarser:
            x = out[-1]
            for step in steps:  # type: ignore[attr-defined]
                x = leaky(step(x))
            out.append(x)
        return out


class _Dilated(nn.Module):
    """Leaky ReLU(x + two dilated 3x3 convolutions of x)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, last=True, dilation=dilation)
        self.second = ConvNorm(channels, channels, last=True, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.second(leaky(self.first(x)))
        return leaky(change + x)


class _Refine(nn.Module):
    """A disparity, enlarged and corrected by what of the right view does not fit the left one.

    Chabra et al., "StereoDRNet", CVPR 2019, section 3.4; AANet+ with the hourglass.
    """

    def __init__(self, config: AANetConfig) -> None:
        super().__init__()
        c = config.width
        self.align_corners = config.align_corners
        self.misfit = ConvNorm(6, c // 2, last=True)
        self.disparity = ConvNorm(1, c // 2, last=True)
        dilations = (1, 2, 4, 8, 1, 1)
        self.body = (
            DoubleHourglass(c)
            if config.plus
            else nn.Sequential(*(_Dilated(c, d) for d in dilations))
        )
        self.change = nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, disparity: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """disparity: in its own pixels, as is what comes back, of the images' size."""
        height, width = left.shape[-2:]
        larger = to_size(disparity, (height, width)) * (width / disparity.shape[-1])
        misfit = _warped(right, larger, self.align_corners) - left
        seen = [self.misfit(torch.cat([misfit, left], dim=1)), self.disparity(larger)]
        change = self.change(self.body(leaky(torch.cat(seen, dim=1))))
        return functional.relu(larger + change)


def _warped(right: Tensor, disparity: Tensor, align_corners: bool) -> Tensor:
    """The right view seen from the left, its border repeated; see the module on align_corners."""
    height, width = right.shape[-2:]
    x = torch.arange(width, device=right.device, dtype=disparity.dtype) - disparity[:, 0]
    y = torch.arange(height, device=right.device, dtype=disparity.dtype)[:, None].expand_as(x)
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    return functional.grid_sample(
        right.to(grid.dtype), grid, "bilinear", "border", align_corners=align_corners
    )


class AANet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives the disparity at full size; in training also
    those at 1/2 and 1/3 of it and, but for AANet+, at 1/6 and 1/12.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: AANetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AANetConfig()
        self.features = _PlusFeatures(config) if config.plus else _Features(config)
        plain = config.modules - config.deformable
        self.aggregate = nn.ModuleList(
            AcrossScales(
                config.levels,
                1 if config.plus and i == config.modules - 1 else _SCALES,
                deform=i >= plain,
            )
            for i in range(config.modules)
        )
        wanted = config.levels[:1] if config.plus else config.levels
        self.heads = nn.ModuleList(nn.Conv2d(k, k, 1) for k in wanted)
        self.refine = nn.ModuleList(_Refine(config) for _ in range(2))

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor)
        views = imagenet_colours(left), imagenet_colours(right)
        found = [soft_argmax(s)[0] for s in self.scored(self.volumes(*views))]
        disparities = list(reversed(found)) if self.training else found[:1]
        halves = [functional.avg_pool2d(view, 2) for view in views]
        for refine, sides in zip(self.refine, (halves, views), strict=True):
            disparities.append(refine(disparities[-1], *sides))
        width = left.shape[-1]
        full = [d * (width / d.shape[-1]) for d in reversed(disparities)]
        return StereoOutput(tuple(full) if self.training else (full[0],))

    def volumes(self, left: Tensor, right: Tensor) -> list[Tensor]:
        """Correlations of both views' descriptions, finest first."""
        sides = zip(self.features(left), self.features(right), self.config.levels, strict=True)
        return [correlation(a, b, k) / a.shape[1] for a, b, k in sides]

    def scored(self, volumes: list[Tensor]) -> list[Tensor]:
        """Scores of each scale's disparities, finest first."""
        for module in self.aggregate:
            volumes = module(volumes)
        return [head(v) for head, v in zip(self.heads, volumes, strict=True)]


def _bottleneck(theirs: str, ours: str) -> dict[str, str]:
    """Of one bottleneck, plain or deformable, with or without a convolution in its skip."""
    return {f"{theirs}.{a}": f"{ours}.{b}" for a, b in _BOTTLENECK.items()}


_BOTTLENECK = {
    "conv1": "first.0",
    "bn1": "first.1",
    "conv2": "conv",
    "conv2.deform_conv": "conv.taps",
    "conv2.offset_conv": "conv.where",
    "bn2": "norm",
    "conv3": "last.0",
    "bn3": "last.1",
    "downsample.0": "skip.0",
    "downsample.1": "skip.1",
}


def _hourglass(theirs: str, ours: str, start: str) -> dict[str, str]:
    """Of one double hourglass; start: what its first convolution is called."""
    parts = {start: "start"}
    for i in range(4):
        parts |= {f"conv{i + 1}a": f"down.{i}"}
        for name, at in (("conv{}b", "again"), ("deconv{}a", "up"), ("deconv{}b", "last")):
            for part, half in (("conv1", "first"), ("conv2", "second")):
                parts[f"{name.format(i + 1)}.{part}"] = f"{at}.{i}.{half}"
    leaves = {"conv": "0", "bn": "1", "deform_conv": "taps", "offset_conv": "where"}
    return {
        f"{theirs}.{a}.{x}": f"{ours}.{b}.{y}" for a, b in parts.items() for x, y in leaves.items()
    }


def _names() -> dict[str, str]:
    """Official module -> ours, for all that have tensors in either variant."""
    config = AANetConfig()
    names: dict[str, str] = {}
    for i in range(2):
        names[f"feature_extractor.conv1.{i}"] = f"features.stem.{i}"
        for k in range(_SCALES):
            names[f"fpn.fpn_convs.{k}.{i}"] = f"features.out.{k}.{i}"
            names[f"fpn.out{k + 1}.{i}"] = f"features.coarser.{k}.0.{i}"
            names[f"fpn.out{k + 1}.{i + 3}"] = f"features.coarser.{k}.1.{i}"
        for n, leaf in enumerate(("conv", "bn")):
            names[f"feature_extractor.conv_start.{i}.{leaf}"] = f"features.start.{i}.{n}"
    for k, count in enumerate(config.blocks):
        names[f"fpn.lateral_convs.{k}"] = f"features.lateral.{k}"
        names[f"aggregation.final_conv.{k}"] = f"heads.{k}"
        for i in range(count):
            place = f"feature_extractor.layer{k + 1}.{i}", f"features.stages.{k}.{i}"
            names |= _bottleneck(*place)
    names |= _hourglass("feature_extractor", "features.glass", "conv_start.2")
    for m in range(config.modules):
        theirs, ours = f"aggregation.fusions.{m}", f"aggregate.{m}"
        for k in range(_SCALES):
            names |= _bottleneck(f"{theirs}.branches.{k}.0", f"{ours}.within.{k}")
            for j, i in product(range(_SCALES), range(2)):
                a, b = f"{theirs}.fuse_layers.{k}.{j}", f"{ours}.across.{k}.{j}"
                names[f"{a}.{i}"] = f"{b}.{i}"
                names |= {f"{a}.{n}.{i}": f"{b}.{n}.{i}" for n in range(_SCALES - 1)}
    for k in range(2):
        theirs, ours = f"refinement.{k}", f"refine.{k}"
        names |= _hourglass(theirs, f"{ours}.body", "conv_start")
        names[f"{theirs}.final_conv"] = f"{ours}.change"
        for i in range(2):
            names[f"{theirs}.conv1.{i}"] = f"{ours}.misfit.{i}"
            names[f"{theirs}.conv2.{i}"] = f"{ours}.disparity.{i}"
        for i in range(6):
            a, b = f"{theirs}.dilated_blocks.{i}", f"{ours}.body.{i}"
            names |= {f"{a}.conv1": f"{b}.first.0", f"{a}.bn1": f"{b}.first.1"}
            names |= {f"{a}.conv2": f"{b}.second.0", f"{a}.bn2": f"{b}.second.1"}
    return names


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors of either variant under our names; names that are not the network's
    stay as they are. Normalisations without a count of batches get 0."""
    return counted(renamed(state, _names()))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    return renamed(state, {ours: theirs for theirs, ours in _names().items()})


_SCENE_FLOW = "Scene Flow: research only"
_KITTI = f"{_SCENE_FLOW}; KITTI: CC-BY-NC-SA-3.0"
_DATA = {
    "sceneflow": ("trained on Scene Flow", _SCENE_FLOW),
    "kitti2012": ("Scene Flow, then KITTI 2012", _KITTI),
    "kitti2015": ("Scene Flow, then KITTI 2015", _KITTI),
}

WEIGHTS = tuple(
    Weights(
        f"{model}-{data}",
        model,
        f"{variant}; under torch 1.2: try align_corners=True",
        Licences("Apache-2.0 (readme: patents, research only)", data=licence),
        f"linked in MODEL_ZOO.md of github.com/haofeixu/aanet, Google Drive: {data}",
    )
    for model in ("aanet", "aanet-plus")
    for data, (variant, licence) in _DATA.items()
)

_FRAME = Frame(
    builder="aanet", levels=192, divisor=48, smallest=48, place="above", border=MEAN_COLOUR,
    pixel_bytes=2000, options=("align_corners",),
)  # fmt: skip
FRAMES = {
    "aanet": _FRAME,
    "aanet-plus": replace(_FRAME, builder="aanet_plus", divisor=96, smallest=96, pixel_bytes=2200),
}
"""The authors extend images by what becomes 0."""


def aanet(*, align_corners: bool = False) -> AANet:
    """AANet, untrained; see `AANetConfig`."""
    return AANet(AANetConfig(align_corners=align_corners))


def aanet_plus(*, align_corners: bool = False) -> AANet:
    """AANet+, untrained; see `AANetConfig`."""
    return AANet(AANetConfig(plus=True, align_corners=align_corners))
