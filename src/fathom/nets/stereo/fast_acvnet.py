"""Fast-ACVNet and Fast-ACVNet+: Xu et al., "Accurate and Efficient Stereo Matching via Attention
Concatenation Volume", TPAMI 2023.

1. Light features (as CoEx's) and a small correlation volume that a guided hourglass works on: at
   1/8 in `fast-acvnet`, at 1/4 in `fast-acvnet-plus`.
2. It names the 24 likeliest disparities of each pixel and how likely each is. In `fast-acvnet` the
   enlarged volume is first told by four neighbours, each as far as it explains the pixel.
3. Only there both views' descriptions are concatenated, weighted by that attention.
4. A second guided hourglass; the mean over the best two is the answer; superpixels enlarge it.

Written anew from the facts; the authors' code is github.com/gangweiX/Fast-ACVNet, MIT. Both views
go through the backbone as one batch, which in training changes the statistics of its normalisations
a little. The 24 are those of the highest scores, the authors take the highest probabilities: the
same where none is rounded to 0. A range too small for 24 takes what there is. Ours: a confidence,
from the spread of the 24.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float, Shaped
from fathom.core.errors import UsageError
from fathom.layers.conv3d import ConvNorm3d
from fathom.layers.guided import (
    Excite,
    GuidedHourglass,
    Ladder,
    LeakyConv,
    Superpixels,
    excite_names,
    hourglass_names,
    ladder_names,
    leaky_names,
    never_used,
    superpixel_names,
    superpixels_enlarged,
    two_convs,
    two_names,
)
from fathom.layers.mobilenet import MobileNetV2, timm_names
from fathom.layers.resample import sampled, to_size
from fathom.layers.state import renamed
from fathom.layers.stereo import StereoOutput, imagenet_colours, require_levels, require_size
from fathom.layers.volume import (
    group_correlation,
    soft_argmax,
    spread_logit,
    top_argmax,
)
from fathom.published.frame import MEAN_COLOUR, Frame
from fathom.published.record import Licences, Weights

_CELL = 4
_LEAST = 1e-5  # added to lengths before anything is divided by them, as the authors do
_SLOPE = 0.01
_NEIGHBOURS = ((0, 0), (1, 1), (2, 2), (2, 0), (0, 2))
"""Row and column, in a frame of one pixel, of those that tell a pixel what they have."""
_QUARTER, _HALF, _WIDTH = 48, 32, 24


@dataclass(frozen=True)
class FastACVNetConfig:
    """plus: Fast-ACVNet+. max_disparity: disparities below this can be found, in pixels; a multiple
    of 32. attention_only: the answer is that of the first hourglass, as in the first half of the
    authors' training. hypotheses: disparities of a pixel that are looked at again. groups: of the
    correlation at 1/8. described: channels of each view in the concatenation. blocks: at most so
    many in each run of the backbone's.

    Raises `UsageError` for a range that the net cannot halve as often as it must, or sizes below 1.
    """

    plus: bool = False
    max_disparity: int = 192
    attention_only: bool = False
    hypotheses: int = 24
    groups: int = 12
    described: int = 16
    blocks: int = 4

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, 32)
        if min(self.groups, self.described, self.blocks) < 1 or self.hypotheses % 4:
            raise UsageError(
                "is no net",
                field="FastACVNetConfig",
                value=self,
                expected="sizes >= 1, hypotheses a multiple of 4",
            )


class _CoarseAttention(nn.Module):
    """Fast-ACVNet's: scores of disparities at 1/4, from a volume at 1/8 and from neighbours."""

    def __init__(self, config: FastACVNetConfig, channels: list[int]) -> None:
        super().__init__()
        g = config.groups
        self.levels, self.groups = config.max_disparity // (2 * _CELL), g
        self.patch = nn.Conv3d(g, g, (1, 3, 3), padding=(0, 1, 1), groups=g, bias=False)
        self.gate = Excite(g, channels[1])
        self.hourglass = GuidedHourglass((g, 2 * g, 4 * g), channels[2:], tail=g)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.full((1,), 2.0))

    def forward(
        self, left: list[Tensor], right: list[Tensor], stems: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "b 1 k h w"]:
        """left, right: features at 1/4 to 1/32. stems: shallow ones at 1/4."""
        scores = self.hourglass(self.gate(self.matched(left[1], right[1]), left[1]), left[2:])
        scores = functional.interpolate(scores, scale_factor=2.0, mode="trilinear")[:, 0]
        return self.told(scores, stems)[:, None]

    def matched(self, left: Tensor, right: Tensor) -> Float[Tensor, "b g k h w"]:
        """The cosine of each group of channels, smoothed over 3x3 pixels."""
        batch, channels, height, width = left.shape
        size = (batch * self.groups, channels // self.groups, height, width)
        ours, theirs = (_unit(t.reshape(size)).reshape(left.shape) for t in (left, right))
        volume = group_correlation(ours, theirs, self.levels, self.groups)
        flat = volume.transpose(1, 2).flatten(0, 1)  # a plain 2-D convolution of each level
        weight = self.patch.weight[:, :, 0]
        out = functional.conv2d(flat, weight, padding=1, groups=self.groups)
        return out.reshape(batch, self.levels, self.groups, height, width).transpose(1, 2)

    def told(self, scores: Tensor, stems: tuple[Tensor, Tensor]) -> Float[Tensor, "b k h w"]:
        """Scores as neighbours have them, each by how well its disparity explains this pixel and by
        how sure it is. Xu et al., section 3.3 ("volume attention propagation")."""
        p = scores.softmax(dim=1)
        mean, _ = soft_argmax(scores)
        steps = torch.arange(scores.shape[1], device=p.device, dtype=p.dtype).view(1, -1, 1, 1)
        variance = (p * (steps - mean).square()).sum(dim=1, keepdim=True)
        sure = torch.cat(neighbours(torch.sigmoid(self.beta + self.gamma * variance)), dim=1)
        left, right = stems
        theirs = moved(right, torch.cat(neighbours(mean), dim=1))
        like = (left[:, :, None] * theirs).mean(dim=1)
        share = (like * sure).softmax(dim=1)
        total = torch.zeros_like(scores)
        for i, near in enumerate(neighbours(scores)):
            total = total + near * share[:, i : i + 1]
        return total


class _FineAttention(nn.Module):
    """Fast-ACVNet+'s: scores of disparities from the cosine of descriptions at 1/4."""

    def __init__(self, config: FastACVNetConfig, channels: list[int]) -> None:
        super().__init__()
        self.levels = config.max_disparity // _CELL
        self.describe = nn.Sequential(
            LeakyConv(channels[0], _QUARTER), nn.Conv2d(_QUARTER, _QUARTER, 1)
        )
        self.enter = ConvNorm3d(1, 8, slope=_SLOPE)
        self.gate = Excite(8, channels[0])
        self.hourglass = GuidedHourglass((8, 16, 32, 48), channels[1:])

    def forward(
        self, left: list[Tensor], right: list[Tensor], _stems: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "b 1 k h w"]:
        """left, right: features at 1/4 to 1/32."""
        ours, theirs = (_unit(self.describe(f[0])) for f in (left, right))
        volume = self.enter(group_correlation(ours, theirs, self.levels, 1))
        out: Tensor = self.hourglass(self.gate(volume, left[0]), left[1:])
        return out


class FastACVNet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255, sizes multiples of 32; gives the disparity at full
    size with a confidence. In training the answer and the attention's own disparity, each at full
    size, and then both at a quarter of it; with `attention_only` the latter's two.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: FastACVNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FastACVNetConfig()
        image, c = MobileNetV2.CHANNELS, config.described
        self.backbone = MobileNetV2(blocks=config.blocks)
        self.ladder = Ladder(image[1:])
        self.at_half = two_convs(3, _HALF, 2)
        self.at_quarter = two_convs(_HALF, _QUARTER, 2)
        eighth = 0 if config.plus else 32
        self.at_eighth = two_convs(_QUARTER, eighth, 2, _QUARTER) if eighth else None
        at4 = 2 * image[1] + _QUARTER
        channels = [at4, 2 * image[2] + eighth, 2 * image[3], image[4]]
        made = _FineAttention if config.plus else _CoarseAttention
        self.attention = made(config, channels)
        self.describe = nn.Sequential(
            LeakyConv(at4, 2 * c), nn.Conv2d(2 * c, c, 3, padding=1, bias=False)
        )
        self.enter = ConvNorm3d(2 * c, c, slope=_SLOPE)
        self.gate = Excite(c, at4)
        self.hourglass = GuidedHourglass((c, 2 * c, 4 * c), channels[1:3])
        self.superpixels = Superpixels(at4, _HALF, _WIDTH)
        if config.attention_only:
            for part in (self.describe, self.enter, self.gate, self.hourglass):
                never_used(part)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, 32)
        features, half, stems = self.seen(torch.cat([left, right]))
        ours, theirs = ([f.chunk(2)[i] for f in features] for i in (0, 1))
        attention = self.attention(ours, theirs, stems.chunk(2))[:, 0]
        count = min(self.config.hypotheses, attention.shape[1])
        chosen = attention.detach().topk(count, dim=1).indices.sort(dim=1).values
        levels = chosen.to(attention.dtype)
        logits = self.superpixels(ours[0], half.chunk(2)[0])
        said = attention.gather(1, chosen)
        coarse = [(said.softmax(dim=1) * levels).sum(dim=1, keepdim=True)]
        scores = said
        if not self.config.attention_only:
            p = attention.softmax(dim=1).gather(1, chosen)
            scores = self.scored(ours, theirs[0], chosen, p)
            coarse.insert(0, top_argmax(scores.float(), 2, levels))
        if self.training:
            full = [superpixels_enlarged(d, logits) for d in coarse]
            return StereoOutput((*full, *(d * _CELL for d in coarse)))
        sure = spread_logit(scores, coarse[0], _CELL, levels)
        disparity = superpixels_enlarged(coarse[0], logits)
        return StereoOutput((disparity,), to_size(sure, (left.shape[-2], left.shape[-1])))

    def seen(self, images: Float[Tensor, "b 3 h w"]) -> tuple[list[Tensor], Tensor, Tensor]:
        """Features of both views, one after the other, at 1/4 to 1/32; shallow ones at 1/2, 1/4."""
        images = imagenet_colours(images)
        features = self.ladder(self.backbone(images)[1:])
        half = self.at_half(images)
        quarter = self.at_quarter(half)
        features[0] = torch.cat([features[0], quarter], dim=1)
        if self.at_eighth is not None:
            features[1] = torch.cat([features[1], self.at_eighth(quarter)], dim=1)
        return features, half, quarter

    def scored(
        self, ours: list[Tensor], theirs: Tensor, chosen: Tensor, weight: Tensor
    ) -> Float[Tensor, "b k h w"]:
        """Scores of the chosen disparities. weight: how likely the attention holds each."""
        left, right = self.describe(torch.cat([ours[0], theirs])).chunk(2)
        both = [left[:, :, None].expand(-1, -1, chosen.shape[1], -1, -1), picked(right, chosen)]
        volume = self.enter(torch.cat(both, dim=1) * weight[:, None])
        out: Tensor = self.hourglass(self.gate(volume, ours[0]), ours[1:3])
        return out[:, 0]


def neighbours(x: Float[Tensor, "b c h w"]) -> list[Tensor]:
    """What the pixel above at the left, the pixel itself, those below at the right and at the left,
    and the one above at the right hold; the border's own repeated outside."""
    height, width = x.shape[-2:]
    framed = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return [framed[:, :, i : i + height, j : j + width] for i, j in _NEIGHBOURS]


def moved(
    right: Float[Tensor, "b c h w"], disparity: Float[Tensor, "b n h w"]
) -> Float[Tensor, "b c n h w"]:
    """The right view as seen from the left under each of n disparities, linear between pixels, 0
    outside."""
    count, height, width = disparity.shape[1:]
    x = torch.arange(width, device=right.device, dtype=right.dtype) - disparity
    y = torch.arange(height, device=right.device, dtype=right.dtype)[:, None].expand_as(x)
    at = torch.stack([x, y], dim=1).flatten(2, 3)  # the n images below each other
    batch, channels = right.shape[:2]
    return sampled(right, at).reshape(batch, channels, count, height, width)


def picked(
    right: Float[Tensor, "b c h w"], disparity: Shaped[Tensor, "b n h w"]
) -> Float[Tensor, "b c n h w"]:
    """As `moved`, for whole disparities."""
    x = torch.arange(right.shape[-1], device=right.device) - disparity
    channels, count = right.shape[1], disparity.shape[1]
    index = x.clamp(min=0)[:, None].expand(-1, channels, -1, -1, -1)
    found: Tensor = right[:, :, None].expand(-1, -1, count, -1, -1).gather(4, index)
    return found * (x >= 0)[:, None].to(right.dtype)


def _unit(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / (length + _LEAST)


def _names(plus: bool) -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    runs = ("block0.0", "block1.0", "block2.0", "block3.0", "block3.1", "block4.0")
    names = {f"feature.{a}": f"backbone.{b}" for a, b in timm_names(runs).items()}
    names |= ladder_names("feature_up", "ladder") | superpixel_names("spx", "superpixels")
    names |= two_names("stem_2", "at_half") | two_names("stem_4", "at_quarter")
    names |= leaky_names("concat_feature.0", "describe.0") | {"concat_feature.1": "describe.1"}
    names |= leaky_names("concat_stem", "enter") | excite_names("concat_feature_att_4", "gate")
    names |= hourglass_names("hourglass", "hourglass", (8, 16))
    inner = "attention.hourglass"
    if plus:
        names |= leaky_names("conv", "attention.describe.0") | {"desc": "attention.describe.1"}
        names |= leaky_names("corr_stem", "attention.enter")
        names |= excite_names("corr_feature_att_4", "attention.gate")
        return names | hourglass_names("hourglass_att", inner, (8, 16, 32))
    names |= two_names("stem_8", "at_eighth") | {"patch": "attention.patch", "": "attention"}
    names |= excite_names("corr_feature_att_8", "attention.gate")
    names |= hourglass_names("hourglass_att", inner, (16, 32))
    names |= leaky_names("hourglass_att.conv1_up_", f"{inner}.last.0")
    return names | {"hourglass_att.conv_final": f"{inner}.last.1"}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors of either variant under our names; names that are not the network's
    stay as they are."""
    return renamed(state, _names(not any(name.startswith("stem_8.") for name in state)))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    names = _names(not any(name.startswith("at_eighth.") for name in state))
    return renamed(state, {ours: theirs for theirs, ours in names.items()})


WEIGHTS = tuple(
    Weights(
        f"{model}-authors",
        model,
        "trained on Scene Flow, or then on KITTI: the names in the folder tell",
        Licences(code="MIT", data="Scene Flow: research only; KITTI: CC-BY-NC-SA-3.0"),
        f"linked in the readme of github.com/gangweiX/Fast-ACVNet, '{title}', Google Drive",
    )
    for model, title in (("fast-acvnet", "Fast-ACVNet"), ("fast-acvnet-plus", "Fast-ACVNet+"))
)

FRAMES = {
    name: Frame(
        builder=name.replace("-", "_"),
        levels=192,
        step=32,
        divisor=32,
        smallest=32,
        place="above",
        border=MEAN_COLOUR,
        voxel_bytes=3,
        pixel_bytes=600,
    )
    for name in ("fast-acvnet", "fast-acvnet-plus")
}


def fast_acvnet(*, max_disparity: int = 192, attention_only: bool = False) -> FastACVNet:
    """Fast-ACVNet, untrained; see `FastACVNetConfig`."""
    return FastACVNet(FastACVNetConfig(False, max_disparity, attention_only))


def fast_acvnet_plus(*, max_disparity: int = 192, attention_only: bool = False) -> FastACVNet:
    """Fast-ACVNet+, untrained; see `FastACVNetConfig`."""
    return FastACVNet(FastACVNetConfig(True, max_disparity, attention_only))
