"""LightStereo: Guo et al., "LightStereo: Channel Boost Is All You Need for Efficient 2D Cost
Aggregation", ICRA 2025.

1. MobileNetV2 with a pyramid on the way back describes both views at a quarter of the size.
2. Their correlation is a flat volume: disparities are its channels, and 2-D convolutions do.
3. Inverted residuals widen these channels; strips of the left view's features (7, 11, 21 pixels
   long, along rows and columns) say how much each disparity counts at each pixel.
4. The mean under a softmax is the disparity; learned superpixels enlarge it.

Written anew from the facts; the authors' code is part of OpenStereo (github.com/XiandaGuo/
OpenStereo), which states no licence for it. The range is fixed: disparities are channels. Both
views go through the backbone as one batch, which in training changes the statistics of its
normalisations a little. Ours: a confidence, from the spread of the distribution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.guided import LeakyConv, Rise, superpixels_enlarged, two_convs
from fathom.layers.mobilenet import InvertedResidual, MobileNetV2, timm_names
from fathom.layers.resample import to_size
from fathom.layers.state import renamed
from fathom.layers.stereo import StereoOutput, imagenet_colours, require_levels, require_size
from fathom.layers.volume import correlation, soft_argmax, spread_logit
from fathom.published.frame import Frame
from fathom.published.record import Licences, Weights

_CELL = 4
_SLOPE = 0.2
_STRIPS = (7, 11, 21)


@dataclass(frozen=True)
class LightStereoConfig:
    """aggregation: residual blocks at 1/4, 1/8 and 1/16 (published: 1 2 4 for S, 4 8 14 for M).
    expansion: of these blocks. max_disparity: disparities below this can be found, in pixels; the
    volume has a quarter as many channels. blocks: at most so many in each run of the backbone's.

    Raises `UsageError` for a range that is no multiple of 4, or sizes below 1.
    """

    aggregation: tuple[int, int, int] = (1, 2, 4)
    expansion: int = 4
    max_disparity: int = 192
    blocks: int = 4

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, _CELL)
        if min(*self.aggregation, self.expansion, self.blocks) < 1:
            raise UsageError(
                "is no net", field="LightStereoConfig", value=self, expected="sizes >= 1"
            )


class _Features(nn.Module):
    """Descriptions at 1/4, and features at 1/8, 1/16 and 1/32, coarse to fine."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.backbone = MobileNetV2(blocks=blocks)
        channels = MobileNetV2.CHANNELS[1:]
        self.rises = nn.ModuleList(
            Rise(coarse, fine, fine, slope=_SLOPE, before=True)
            for fine, coarse in pairwise(channels)
        )
        finest = channels[0]
        self.last = nn.Sequential(
            nn.Conv2d(finest, finest, 3, padding=1, padding_mode="replicate", bias=False),
            nn.InstanceNorm2d(finest),
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = self.backbone(images)[1:]
        for i in reversed(range(len(self.rises))):
            found[i] = self.rises[i](found[i + 1], found[i])
        found[0] = self.last(found[0])
        return found


class _Strips(nn.Module):
    """A volume multiplied by what strips of the features say for each channel and pixel."""

    def __init__(self, channels: int, guide: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(guide, channels, 1)
        self.strips = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, (1, n), padding=(0, n // 2), groups=channels),
                nn.Conv2d(channels, channels, (n, 1), padding=(n // 2, 0), groups=channels),
            )
            for n in _STRIPS
        )
        self.last = nn.Conv2d(channels, channels, 1)

    def forward(self, volume: Tensor, features: Tensor) -> Tensor:
        x = self.enter(features)
        total = x
        for strip in self.strips:
            total = total + strip(x)
        out: Tensor = self.last(total) * volume
        return out


class _Aggregation(nn.Module):
    """A flat volume at 1/4, 1/8 and 1/16, with twice the channels each time, and back."""

    def __init__(self, config: LightStereoConfig) -> None:
        super().__init__()
        c, guides = config.max_disparity // _CELL, MobileNetV2.CHANNELS[1:4]
        widths = (c, 2 * c, 4 * c)
        made = zip((c, c, 2 * c), widths, config.aggregation, strict=True)
        self.down = nn.ModuleList(
            nn.Sequential(
                *(
                    InvertedResidual(
                        a if k == 0 else b, b, 2 if i and k == 0 else 1, config.expansion
                    )
                    for k in range(count)
                )
            )
            for i, (a, b, count) in enumerate(made)
        )
        self.guides = nn.ModuleList(_Strips(w, g) for w, g in zip(widths, guides, strict=True))
        self.skips = nn.ModuleList(InvertedResidual(w, w, 1, config.expansion) for w in widths[:2])
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(2 * w, w, 3, 2, 1, 1, bias=False), nn.BatchNorm2d(w))
            for w in widths[:2]
        )

    def forward(self, volume: Tensor, features: Sequence[Tensor]) -> Tensor:
        sizes = []
        for down, guide, told in zip(self.down, self.guides, features, strict=True):
            volume = guide(down(volume), told)
            sizes.append(volume)
        for i in (1, 0):
            volume = functional.relu(self.up[i](volume) + self.skips[i](sizes[i]))
        return volume


class _Enlarge(nn.Module):
    """Superpixels: nine logits for each pixel, from the descriptions and the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(
            LeakyConv(channels, 24, norm="instance"),
            nn.Conv2d(24, 24, 3, padding=1, bias=False),
            nn.InstanceNorm2d(24),
            nn.ReLU(inplace=True),
        )
        self.stem = two_convs(3, 16, 2)
        self.rise = Rise(24, 16, 16, slope=_SLOPE, before=True)
        self.last = nn.ConvTranspose2d(16, 9, 4, 2, 1, bias=False)

    def forward(self, described: Tensor, image: Tensor) -> Tensor:
        out: Tensor = self.last(self.rise(self.enter(described), self.stem(image)))
        return out


class LightStereo(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255, sizes multiples of 32; gives the disparity at full
    size, in training with the one at a quarter of it, else with a confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: LightStereoConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LightStereoConfig()
        self.features = _Features(config.blocks)
        self.aggregation = _Aggregation(config)
        self.superpixels = _Enlarge(MobileNetV2.CHANNELS[1])

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, 32)
        images = imagenet_colours(torch.cat([left, right]))
        features = self.features(images)
        ours = [f.chunk(2)[0] for f in features]
        scores = self.aggregation(self.matched(*features[0].chunk(2)), ours[:3])
        coarse, _ = soft_argmax(scores)
        disparity = superpixels_enlarged(coarse, self.superpixels(ours[0], images.chunk(2)[0]))
        if self.training:
            return StereoOutput((disparity, coarse * _CELL))
        sure = spread_logit(scores, coarse, _CELL)
        return StereoOutput((disparity,), to_size(sure, (left.shape[-2], left.shape[-1])))

    def matched(self, left: Tensor, right: Tensor) -> Float[Tensor, "b k h w"]:
        """The mean product of the descriptions for each disparity."""
        return correlation(left, right, self.config.max_disparity // _CELL) / left.shape[1]


_RESIDUAL = (("pwconv", "widen"), ("dwconv", "apart"), ("pwliner", "narrow"))


def _names(aggregation: Sequence[int]) -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    runs = ("block0", "block1", "block2", "block3.3", "block3.4", "block4")
    names = {f"backbone.{a}": f"features.backbone.{b}" for a, b in timm_names(runs).items()}
    names["backbone.out_conv.block.0"] = "features.last.0"
    rises = [(f"backbone.fpn_layer{i + 2}", f"features.rises.{i}") for i in range(3)]
    for theirs, ours in (*rises, ("refine_2", "superpixels.rise")):
        for k in range(2):
            names[f"{theirs}.deconv.block.{k}"] = f"{ours}.up.{k}"
            names[f"{theirs}.conv.block.{k}"] = f"{ours}.mix.{k}"
    names |= {f"stem_2.{i}.block.{k}": f"superpixels.stem.{i}.{k}" for i in (0, 1) for k in (0, 1)}
    names |= {"refine_1.0.block.0": "superpixels.enter.0.0"}
    names |= {"refine_1.1.block.0": "superpixels.enter.1", "refine_3.block.0": "superpixels.last"}
    residuals = [(f"conv0.{k}", f"down.0.{k}") for k in range(aggregation[0])]
    for i in (1, 2):
        residuals.append((f"conv{2 * i - 1}", f"down.{i}.0"))
        residuals += [(f"conv{2 * i}.{k}", f"down.{i}.{k + 1}") for k in range(aggregation[i] - 1)]
        residuals.append((f"redir{i}", f"skips.{i - 1}"))
    pairs = [
        (f"{a}.{theirs}.{k}", f"{b}.{ours}.{k}")
        for a, b in residuals
        for theirs, ours in _RESIDUAL
        for k in range(2)
    ]
    pairs += [(f"conv{6 - i}.{k}", f"up.{i}.{k}") for i in range(2) for k in range(2)]
    for i in range(3):
        pairs += [
            (f"att{2 * i}.conv0", f"guides.{i}.enter"),
            (f"att{2 * i}.conv3", f"guides.{i}.last"),
        ]
        pairs += [
            (f"att{2 * i}.conv{n}_{k + 1}", f"guides.{i}.strips.{n}.{k}")
            for n in range(len(_STRIPS))
            for k in range(2)
        ]
    return names | {f"cost_agg.{a}": f"aggregation.{b}" for a, b in pairs}


def _blocks(state: Mapping[str, Tensor], where: str) -> list[int]:
    """How many modules that are told apart by their number there are at the three places."""
    places = [where.format(i, 2 * i) for i in range(3)]
    return [len({n[len(p) :].split(".")[0] for n in state if n.startswith(p)}) for p in places]


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors of any variant under our names; names that are not the network's stay
    as they are."""
    first, *rest = _blocks(state, "cost_agg.conv{1}.")
    return renamed(state, _names((first, *(n + 1 for n in rest))))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    names = _names(_blocks(state, "aggregation.down.{0}."))
    return renamed(state, {ours: theirs for theirs, ours in names.items()})


WEIGHTS = tuple(
    Weights(
        f"lightstereo-{size}-authors",
        model,
        f"{size.upper()}, trained on Scene Flow, or then on KITTI: the names in the folder tell",
        Licences(data="Scene Flow: research only; KITTI: CC-BY-NC-SA-3.0"),
        "linked in docs/1.model_zoo.md of github.com/XiandaGuo/OpenStereo, Google Drive",
    )
    for size, model in (("s", "lightstereo"), ("m", "lightstereo-m"))
)

_FRAME = Frame(
    builder="lightstereo",
    levels=192,
    divisor=32,
    smallest=32,
    place="above",
    border="edge",
    pixel_bytes=500,
)
FRAMES = {"lightstereo": _FRAME, "lightstereo-m": replace(_FRAME, builder="lightstereo_m")}


def lightstereo() -> LightStereo:
    """The small network (S), untrained; see `LightStereoConfig`."""
    return LightStereo()


def lightstereo_m() -> LightStereo:
    """The middle one (M), untrained; see `LightStereoConfig`."""
    return LightStereo(LightStereoConfig((4, 8, 14)))
