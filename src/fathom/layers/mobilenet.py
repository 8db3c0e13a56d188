"""MobileNetV2 as a source of features: what several light stereo nets have in front.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018. The tensors are
those of timm's `mobilenetv2_100` (version 0.5.4), which the authors of these nets took pretrained.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from fathom.core.arrays import Float

_STEM = 32
_STAGES = (
    ((16, 1, 1),),
    ((24, 2, 2),),
    ((32, 3, 2),),
    ((64, 4, 2), (96, 3, 1)),
    ((160, 3, 2),),
)  # channels, blocks and the first block's stride; a stage ends where the size is halved next
_EXPANSION = 6


class InvertedResidual(nn.Module):
    """1x1 convolution to `expansion` times the channels, 3x3 of each channel by itself, 1x1 to
    `outputs` without activation; plus x where the shapes agree. An expansion of 1 saves the first.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        wide = inputs * expansion
        self.widen = _conv(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.apart = _conv(wide, wide, 3, stride, groups=wide)
        self.narrow = _conv(wide, outputs, 1, active=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _c _h _w"]:
        """x: any size; it is divided by the stride, rounded up."""
        out: Tensor = self.narrow(self.apart(self.widen(x)))
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """Features of 16, 24, 32, 96 and 160 channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.

    active: ReLU6 after the stem's normalisation, as MobileNetV2 has it; False leaves it out.
    blocks: keep so many of each run of blocks at most, for small nets that only tests use.
    """

    CHANNELS = (16, 24, 32, 96, 160)

    def __init__(self, *, active: bool = True, blocks: int = 4) -> None:
        super().__init__()
        self.stem = _conv(3, _STEM, 3, 2, active=active)
        self.stages = nn.ModuleList()
        inputs, expansion = _STEM, 1
        for runs in _STAGES:
            made = []
            for outputs, count, stride in runs:
                for i in range(min(count, blocks)):
                    at = stride if i == 0 else 1
                    made.append(InvertedResidual(inputs, outputs, at, expansion))
                    inputs, expansion = outputs, _EXPANSION
            self.stages.append(nn.Sequential(*made))
        self.apply(start_mobile)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """image: normalised by ImageNet's mean and spread. The features, finest first."""
        x = self.stem(image)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


def start_mobile(module: nn.Module) -> None:
    """First weights as timm sets them: normal, variance 2 / (side^2 outputs / groups)."""
    if isinstance(module, nn.Conv2d):
        fan = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0, math.sqrt(2 / fan))


def timm_names(runs: Sequence[str], stem: Sequence[str] = ("conv_stem", "bn1")) -> dict[str, str]:
    """timm's module -> ours, for all of `MobileNetV2` that have tensors.

    runs: what the official net calls each of the six runs of blocks; in it timm counts the blocks.
    stem: the convolution and its normalisation.
    """
    names = {theirs: f"stem.{i}" for i, theirs in enumerate(stem)}
    told = iter(runs)
    for stage, parts in enumerate(_STAGES):
        at = 0
        for _, count, _ in parts:
            run = next(told)
            for i in range(count):
                names |= _block_names(f"{run}.{i}", f"stages.{stage}.{at}", stage == 0)
                at += 1
    return names


def _block_names(theirs: str, ours: str, first: bool) -> dict[str, str]:
    convs = ("conv_dw", "conv_pw") if first else ("conv_pw", "conv_dw", "conv_pwl")
    parts = ("widen", "apart", "narrow")[-len(convs) :]
    names = {}
    for i, (conv, part) in enumerate(zip(convs, parts, strict=True), 1):
        names[f"{theirs}.{conv}"] = f"{ours}.{part}.0"
        names[f"{theirs}.bn{i}"] = f"{ours}.{part}.1"
    return names


def _conv(
    inputs: int, outputs: int, side: int, stride: int = 1, *, groups: int = 1, active: bool = True
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)
    after: list[nn.Module] = [nn.ReLU6(inplace=True)] if active else []
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *after)
