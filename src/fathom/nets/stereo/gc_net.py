"""GC-Net: Kendall et al., "End-to-End Learning of Geometry and Context for Deep Stereo Regression",
ICCV 2017.

1. A residual net describes both views at half the size.
2. The descriptions of x on the left and x - d on the right are concatenated for all d.
3. A 3-D net of five sizes, with its skips added, makes costs of them at full size.
4. The mean of softmax(-costs) is the disparity: the soft argmin, which the paper introduced.

The authors published no code. The tensors are those of zyf12389/GC-Net (no licence stated; written
anew here from its facts), which differs from the paper: convolutions have biases, each size's
block has a convolution of its own to get there beside that of the chain, and the left
half of the volume is kept where x - d leaves the image. Ours: any size and batch, and a confidence,
the probability that the softmax gives to within 1 px of its mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.blocks import ConvNorm
from fathom.layers.conv3d import Conv3d, ConvNorm3d, remake
from fathom.layers.state import counted, renamed
from fathom.layers.stereo import StereoOutput, require_levels, require_size
from fathom.layers.volume import concat_volume, soft_argmax
from fathom.published.frame import Frame
from fathom.published.record import Weights

_CELL = 2
_SIZES = 5  # of the 3-D net: the volume's, and four times the half


@dataclass(frozen=True)
class GCNetConfig:
    """max_disparity: disparities below this can be found, in pixels. width: of the descriptions;
    the paper's is 32. blocks: residual ones of each view. checkpoint: training makes parts of the
    volumes again instead of keeping them: the same numbers in more time and less memory.

    Raises `UsageError` for a range that the net cannot halve as often as it must, or sizes below 1.
    """

    max_disparity: int = 192
    width: int = 32
    blocks: int = 8
    checkpoint: bool = False

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, self.step)
        if min(self.width, self.blocks) < 1:
            raise UsageError("is no net", field="GCNetConfig", value=self, expected="sizes >= 1")

    @property
    def step(self) -> int:
        """`max_disparity` must be a multiple of this."""
        return _CELL << (_SIZES - 1)

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return self.step

    @property
    def smallest(self) -> int:
        """Images must not be smaller than this on either side, in pixels."""
        return self.step


class _Block(nn.Module):
    """ReLU(x + two convolutions of x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, bias=True)
        self.second = ConvNorm(channels, channels, last=True, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.second(self.first(x)) + x)


def _conv(inputs: int, outputs: int, stride: int = 1) -> ConvNorm3d:
    return ConvNorm3d(inputs, outputs, stride, bias=True)


def _three(inputs: int, outputs: int) -> nn.Sequential:
    """To half the size, and two more."""
    return nn.Sequential(
        _conv(inputs, outputs, 2), _conv(outputs, outputs), _conv(outputs, outputs)
    )


class GCNet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives the disparity at full size and, in evaluation,
    a confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: GCNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GCNetConfig()
        c = config.width
        self.features = nn.Sequential(
            ConvNorm(3, c, 5, 2, bias=True),
            *(_Block(c) for _ in range(config.blocks)),
            nn.Conv2d(c, c, 3, padding=1),
        )
        widths = (2 * c, 2 * c, 2 * c, 2 * c, 4 * c)
        self.full = nn.Sequential(_conv(2 * c, c), _conv(c, c))
        self.chain = nn.ModuleList(_conv(2 * c, 2 * c, 2) for _ in range(_SIZES - 2))
        self.sides = nn.ModuleList(_three(a, b) for a, b in pairwise(widths))
        self.rise = nn.ModuleList(
            ConvNorm3d(a, b, up=True, last=True, bias=True)
            for a, b in pairwise((4 * c, 2 * c, 2 * c, 2 * c, c))
        )
        self.cost = Conv3d(c, 1, bias=True, up=True)
        if config.checkpoint:
            remake(self)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor, self.config.smallest)
        costs = self.costs(self.described(left), self.described(right))
        disparity, confidence = soft_argmax(-costs[:, 0])
        return StereoOutput((disparity,), None if self.training else confidence)

    def described(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c _h _w"]:
        """Descriptions at half the size."""
        out: Tensor = self.features(image / 127.5 - 1)
        return out

    def costs(
        self, left: Float[Tensor, "b c h w"], right: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b 1 _k _h _w"]:
        """Costs of all disparities at full size, from the views' descriptions."""
        x = concat_volume(left, right, self.config.max_disparity // _CELL, both=False)
        skips = [self.sides[0](x)]
        coarse = x
        for step, side in zip(self.chain, self.sides[1:], strict=True):
            coarse = step(coarse)
            skips.append(side(coarse))
        full = self.full[0](x)
        del x, coarse  # the largest of all: gone before more of its size is made
        skips.insert(0, self.full[1](full))
        del full
        out = skips.pop()
        for rise in self.rise:
            out = functional.relu_(rise(out).add_(skips.pop()))
        costs: Tensor = self.cost(out)
        return costs


def _names(blocks: int) -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    pairs = [("{}0", "features.0.{}")]
    for i in range(blocks):
        theirs, ours = f"res_block.{i}", f"features.{i + 1}"
        pairs += [(f"{theirs}.{{}}1", f"{ours}.first.{{}}")]
        pairs += [(f"{theirs}.{{}}2", f"{ours}.second.{{}}")]
    for i in range(_SIZES - 1):
        pairs += [(f"block_3d_{i + 1}.0.{{}}{k + 1}", f"sides.{i}.{k}.{{}}") for k in range(3)]
    flat = {a.format(kind): b.format(n) for a, b in pairs for n, kind in enumerate(("conv", "bn"))}
    ours_3d = ["full.0", "full.1", "chain.0", "chain.1", "chain.2"]
    for i, ours in enumerate(ours_3d):
        flat |= {f"conv3d_{i + 1}": f"{ours}.0", f"bn3d_{i + 1}": f"{ours}.1"}
    for i in range(_SIZES - 1):
        flat |= {f"deconv{i + 1}": f"rise.{i}.0", f"debn{i + 1}": f"rise.{i}.1"}
    return flat | {"conv1": f"features.{blocks + 1}", "deconv5": "cost"}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of zyf12389/GC-Net under our names; names that are not the network's stay as they
    are. Normalisations without a count of batches, as torch 0.3 saved them, get 0."""
    return counted(renamed(state, _names(GCNetConfig().blocks)))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under the names of zyf12389/GC-Net: `convert` undone."""
    names = _names(GCNetConfig().blocks)
    return renamed(state, {ours: theirs for theirs, ours in names.items()})


WEIGHTS: tuple[Weights, ...] = ()
"""Neither the authors nor zyf12389/GC-Net published any; who trained that code converts theirs."""


FRAMES = {"gc-net": Frame(builder="gc_net", levels=192, step=32, divisor=32, voxel_bytes=64)}


def gc_net(*, max_disparity: int = 192, checkpoint: bool = False) -> GCNet:
    """The network, untrained; max_disparity: a multiple of 32. checkpoint: see `GCNetConfig`."""
    return GCNet(GCNetConfig(max_disparity, checkpoint=checkpoint))
