"""CoEx: Bangunharcana et al., "Correlate-and-Excite: Real-Time Stereo Matching via Guided Cost
Volume Excitation", IROS 2021.

1. A small backbone made for recognition (MobileNetV2) describes both views at 1/4 to 1/32.
2. The descriptions' cosine is the volume: one number for a pixel and disparity, at 1/4.
3. A 3-D hourglass works on it; the left view's features gate its channels at every size.
4. The mean over the best two disparities alone is the answer; learned superpixels enlarge it.

Written anew from the facts; the authors' code (github.com/antabangun/coex) is GPL-3.0, and so are
weights kept in it if anything is. It calls the stem's convolution and normalisation and no
activation; under timm from 0.6 on, which its environment names, that normalisation ends in ReLU6,
under the timm of 2021 it does not. The tensors are the same; `variant` chooses. Which of the
two the published weights want could not be tried here. Ours: a confidence, from the spread of the
whole distribution about the answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError, unknown_name
from fathom.layers.conv3d import ConvNorm3d
from fathom.layers.guided import (
    Excite,
    GuidedHourglass,
    Ladder,
    LeakyConv,
    Superpixels,
    excite_names,
    ladder_names,
    leaky_names,
    never_used,
    start_fan_out,
    superpixel_names,
    superpixels_enlarged,
    two_convs,
    two_names,
)
from fathom.layers.mobilenet import MobileNetV2, timm_names
from fathom.layers.resample import to_size
from fathom.layers.state import renamed
from fathom.layers.stereo import StereoOutput, imagenet_colours, require_levels, require_size
from fathom.layers.volume import correlation, spread_logit, top_argmax
from fathom.published.frame import MEAN_COLOUR, Frame
from fathom.published.record import Licences, Weights

_CELL = 4
Variant = Literal["plain-stem", "active-stem"]
"""Whether the stem ends in its normalisation (timm 0.5) or in ReLU6 (timm 0.6)."""


@dataclass(frozen=True)
class CoExConfig:
    """max_disparity: disparities below this can be found, in pixels; a multiple of 32. variant: of
    the stem, see above. best: how many disparities the answer is the mean of. widths: channels of
    the volume at 1/4, 1/8, 1/16 and 1/32. described: of a description. blocks: at most so many in
    each run of the backbone's.

    Raises `UsageError` for a range that the net cannot halve as often as it must, or sizes below 1.
    """

    max_disparity: int = 192
    variant: Variant = "plain-stem"
    best: int = 2
    widths: tuple[int, int, int, int] = (8, 16, 32, 48)
    described: int = 48
    blocks: int = 4

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, 32)
        if self.variant not in get_args(Variant):
            raise unknown_name("variant", str(self.variant), list(get_args(Variant)))
        if min(self.best, *self.widths, self.described, self.blocks) < 1:
            raise UsageError("is no net", field="CoExConfig", value=self, expected="sizes >= 1")


class CoEx(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255, sizes multiples of 32; gives the disparity at full
    size, in training with the one at a quarter of it, else with a confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: CoExConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CoExConfig()
        image = MobileNetV2.CHANNELS
        self.backbone = MobileNetV2(active=config.variant == "active-stem", blocks=config.blocks)
        self.ladder = Ladder(image[1:])
        self.at_half = two_convs(3, 32, 2)
        self.at_quarter = two_convs(32, 48, 2)
        at4 = 2 * image[1] + 48
        self.describe = nn.Sequential(
            LeakyConv(at4, config.described), nn.Conv2d(config.described, config.described, 1)
        )
        widths = config.widths
        self.enter = ConvNorm3d(1, widths[0], slope=0.01)
        self.gate = Excite(widths[0], at4)
        self.hourglass = GuidedHourglass(widths, (2 * image[2], 2 * image[3], image[4]))
        self.spare = never_used(_finest(widths[0], 2 * image[1]))
        self.superpixels = Superpixels(at4, 32, 24)
        for part in (self.enter, self.hourglass):
            part.apply(start_fan_out)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, 32)
        features, half = self.seen(torch.cat([left, right]))
        ours = [f.chunk(2)[0] for f in features]
        scores = self.scored(self.matched(*self.describe(features[0]).chunk(2)), ours)[:, 0]
        coarse = top_argmax(scores.float(), self.config.best)
        disparity = superpixels_enlarged(coarse, self.superpixels(ours[0], half.chunk(2)[0]))
        if self.training:
            return StereoOutput((disparity, coarse * _CELL))
        sure = spread_logit(scores, coarse, _CELL)
        return StereoOutput((disparity,), to_size(sure, (left.shape[-2], left.shape[-1])))

    def seen(self, images: Float[Tensor, "b 3 h w"]) -> tuple[list[Tensor], Tensor]:
        """Features of both views, one after the other, at 1/4 to 1/32; and those at 1/2."""
        images = imagenet_colours(images)
        features = self.ladder(self.backbone(images)[1:])
        half = self.at_half(images)
        features[0] = torch.cat([features[0], self.at_quarter(half)], dim=1)
        return features, half

    def matched(self, left: Tensor, right: Tensor) -> Float[Tensor, "b 1 k h w"]:
        """The cosine of the descriptions for each disparity."""
        levels = self.config.max_disparity // _CELL
        left, right = (functional.normalize(t, dim=1) for t in (left, right))
        # the new axis before the turn: OpenVINO 2026.4 reads a turned volume of one channel wrongly
        return correlation(left, right, levels).permute(0, 2, 3, 1)[:, None].permute(0, 1, 4, 2, 3)

    def scored(self, volume: Tensor, features: list[Tensor]) -> Float[Tensor, "b 1 k h w"]:
        """Scores of disparities a quarter as fine."""
        out: Tensor = self.hourglass(self.gate(self.enter(volume), features[0]), features[1:])
        return out


def _finest(width: int, guide: int) -> nn.ModuleDict:
    """What the authors made for the hourglass's way up at 1/4, where they then stop before it."""
    return nn.ModuleDict(
        {
            "merge": nn.Sequential(
                ConvNorm3d(2 * width, width, side=1), *(ConvNorm3d(width, width) for _ in range(2))
            ),
            "gate": Excite(width, guide),
        }
    )


def _names() -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    runs = ("block0.0", "block1.0", "block2.0", "block3.0", "block3.1", "block4.0")
    names = {f"feature.{a}": f"backbone.{b}" for a, b in timm_names(runs).items()}
    names |= ladder_names("up", "ladder") | superpixel_names("spx", "superpixels")
    names |= two_names("stem_2", "at_half") | two_names("stem_4", "at_quarter")
    names |= leaky_names("cost_volume.conv", "describe.0")
    names["cost_volume.desc"] = "describe.1"
    aggregation = leaky_names("conv_stem", "enter") | excite_names("channelAttStem", "gate")
    for i in range(3):
        glass = f"hourglass.{{}}.{i - 1}" if i else "spare.{}"
        up = {"conv_up.0.conv": "hourglass.last", "conv_up.0.bn": "hourglass.spare"}
        aggregation |= leaky_names(f"conv_up.{i}", glass.format("up")) if i else up
        for k in range(2):
            aggregation |= leaky_names(f"conv_down.{i}.{k}", f"hourglass.down.{i}.{k}")
            aggregation |= leaky_names(f"conv_agg.{i}.{k}", f"{glass.format('merge')}.{k + 1}")
        aggregation |= leaky_names(f"conv_skip.{i}", f"{glass.format('merge')}.0")
        aggregation |= excite_names(f"channelAttDown.{i}", f"hourglass.gates.{i}")
        aggregation |= excite_names(f"channelAtt.{i}", glass.format("regates" if i else "gate"))
    return names | {f"cost_agg.{a}": b for a, b in aggregation.items()}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; names that are not the network's stay as they are."""
    return renamed(state, _names())


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    return renamed(state, {ours: theirs for theirs, ours in _names().items()})


_SOURCE = "github.com/antabangun/coex: "
_SCENE_FLOW = "Scene Flow: research only"


WEIGHTS = (
    Weights(
        "coex-sceneflow",
        "coex",
        "trained on Scene Flow for 20 epochs; whether its stem is active was not tried",
        Licences(code="GPL-3.0-only", data=_SCENE_FLOW),
        _SOURCE + "'SceneFlow Pre-trained Weights' in the readme, Dropbox",
    ),
    Weights(
        "coex-kitti",
        "coex",
        "Scene Flow, then KITTI 2012 and 2015; whether its stem is active was not tried",
        Licences(code="GPL-3.0-only", data=f"{_SCENE_FLOW}; KITTI: CC-BY-NC-SA-3.0"),
        _SOURCE + "logs/stereo/CoEx/version_0/checkpoints/last.ckpt, by the readme",
    ),
)

FRAMES = {
    "coex": Frame(
        builder="coex",
        levels=192,
        step=32,
        divisor=32,
        smallest=32,
        place="below",
        border=MEAN_COLOUR,
        voxel_bytes=5,
        pixel_bytes=300,
        options=("variant",),
    ),
}


def coex(*, max_disparity: int = 192, variant: Variant = "plain-stem") -> CoEx:
    """The network, untrained; see `CoExConfig`."""
    return CoEx(CoExConfig(max_disparity, variant))
