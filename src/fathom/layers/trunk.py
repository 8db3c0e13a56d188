"""The image trunk of PSMNet, which GwcNet has too, and the names of its tensors.

Chang and Chen, "Pyramid Stereo Matching Network", CVPR 2018, table 1.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from fathom.layers.blocks import ConvNorm
from fathom.layers.conv3d import Conv3d


class PlainResidual(nn.Module):
    """x + two convolutions of x, without a ReLU after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride, dilation=dilation)
        self.second = ConvNorm(outputs, outputs, last=True, dilation=dilation)
        same = stride == 1 and inputs == outputs
        self.skip = None if same else ConvNorm(inputs, outputs, 1, stride, last=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: any size."""
        change: Tensor = self.second(self.first(x))
        return change + (x if self.skip is None else self.skip(x))


def stem(width: int) -> nn.Sequential:
    """Three convolutions of an image, to half its size."""
    return nn.Sequential(
        ConvNorm(3, width, stride=2), ConvNorm(width, width), ConvNorm(width, width)
    )


def stages(width: int, blocks: Sequence[int]) -> nn.ModuleList:
    """What follows the stem: four stages of so many residual blocks, of 1, 2, 4 and 4 times its
    width. The second halves the size, the fourth is dilated."""
    made = zip((1, 1, 2, 4), (1, 2, 4, 4), blocks, strict=True)
    return nn.ModuleList(
        nn.Sequential(
            *(
                PlainResidual(
                    width * (inputs if i == 0 else outputs),
                    width * outputs,
                    2 if (stage, i) == (1, 0) else 1,
                    2 if stage == 3 else 1,
                )
                for i in range(count)
            )
        )
        for stage, (inputs, outputs, count) in enumerate(made)
    )


def start(module: nn.Module) -> None:
    """First weights as these authors set them; transposed convolutions keep torch's."""
    if isinstance(module, nn.Conv2d) or (isinstance(module, Conv3d) and not module.up):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def official_names(blocks: Sequence[int]) -> list[tuple[str, str]]:
    """Modules of the trunk as PSMNet's authors call them, and as `stem` and `stages` have them;
    "{}" stands for 0 (convolution) and 1 (normalisation)."""
    pairs = [(f"firstconv.{2 * i}.{{}}", f"stem.{i}.{{}}") for i in range(3)]
    for stage, count in enumerate(blocks):
        for i in range(count):
            theirs, ours = f"layer{stage + 1}.{i}", f"stages.{stage}.{i}"
            pairs.append((f"{theirs}.conv1.0.{{}}", f"{ours}.first.{{}}"))
            pairs.append((f"{theirs}.conv2.{{}}", f"{ours}.second.{{}}"))
            pairs.append((f"{theirs}.downsample.{{}}", f"{ours}.skip.{{}}"))
    return pairs
