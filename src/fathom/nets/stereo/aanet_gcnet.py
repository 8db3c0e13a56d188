"""GC-Net as the authors of AANet rebuilt it (haofeixu/aanet, nets/feature.py and aggregation.py,
feature and aggregation "gcnet"): Kendall et al., "End-to-End Learning of Geometry and Context for
Deep Stereo Regression", ICCV 2017; Xu and Zhang, "AANet", CVPR 2020, section 4.2, compares with it.

1. A residual net describes both views at half the size.
2. The descriptions of x on the left and x - d on the right are concatenated for all d.
3. A 3-D net of five sizes, with its skips added, makes costs of them at full size.
4. The mean of softmax(-costs) is the disparity.

Beside `gc_net.py`: no biases, no ReLU after a residual sum, one chain of convolutions to all sizes,
and each skip is added after the ReLU. The last transposed convolution gives 2 n - 1 values for n,
so that the largest disparity is one less, and the last row and column are missing; the authors
stretch the map to the image's size, which moves everything by up to a pixel, where ours repeats the
map's edge. Ours besides: a confidence, as in `gc_net.py`. The origin is Apache-2.0 (its readme
claims patents and research use only); written anew here from its facts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.blocks import ConvNorm
from fathom.layers.conv3d import Conv3d, ConvNorm3d
from fathom.layers.state import counted, renamed
from fathom.layers.stereo import StereoOutput, imagenet_colours, require_levels, require_size
from fathom.layers.trunk import PlainResidual
from fathom.layers.volume import concat_volume, soft_argmax
from fathom.published.frame import MEAN_COLOUR, Frame
from fathom.published.record import Weights

_CELL = 2
_HALVES = 4  # sizes of the 3-D net beside the volume's


@dataclass(frozen=True)
class AANetGCNetConfig:
    """max_disparity: disparities below this less one can be found, in pixels. width: of the
    descriptions; the paper's is 32. blocks: residual ones of each view.

    Raises `UsageError` for a range that the net cannot halve as often as it must, or sizes below 1.
    """

    max_disparity: int = 192
    width: int = 32
    blocks: int = 8

    def __post_init__(self) -> None:
        require_levels(self.max_disparity, self.divisor)
        if min(self.width, self.blocks) < 1:
            raise UsageError(
                "is no net", field="AANetGCNetConfig", value=self, expected="sizes >= 1"
            )

    @property
    def divisor(self) -> int:
        """`max_disparity` and images' sizes must be multiples of this."""
        return _CELL << _HALVES


class AANetGCNet(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives the disparity at full size and, in evaluation,
    a confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: AANetGCNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or AANetGCNetConfig()
        c = config.width
        self.features = nn.Sequential(
            ConvNorm(3, c, 5, 2),
            *(PlainResidual(c, c, 1, 1) for _ in range(config.blocks)),
            nn.Conv2d(c, c, 3, padding=1, bias=False),
        )
        widths = (2 * c, 2 * c, 2 * c, 2 * c, 4 * c)
        self.full = nn.Sequential(ConvNorm3d(2 * c, c), ConvNorm3d(c, c))
        self.chain = nn.ModuleList(ConvNorm3d(a, b, 2) for a, b in pairwise(widths))
        self.sides = nn.ModuleList(
            nn.Sequential(ConvNorm3d(n, n), ConvNorm3d(n, n)) for n in widths[1:]
        )
        risen = (*reversed(widths[1:]), c)
        self.rise = nn.ModuleList(ConvNorm3d(a, b, up=True) for a, b in pairwise(risen))
        self.cost = Conv3d(c, 1, up=True)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor)
        views = [self.features(imagenet_colours(view)) for view in (left, right)]
        costs = self.costs(concat_volume(views[0], views[1], self.config.max_disparity // _CELL))
        found = (
            functional.pad(t, (0, 1, 0, 1), mode="replicate") for t in soft_argmax(-costs[:, 0])
        )
        disparity, confidence = found
        return StereoOutput((disparity,), None if self.training else confidence)

    def costs(self, volume: Float[Tensor, "b c k h w"]) -> Float[Tensor, "b 1 _k _h _w"]:
        """Costs of disparities 0, 1, ..., 2 k - 2 for all but the last row and column."""
        skips, x = [self.full(volume)], volume
        for step, side in zip(self.chain, self.sides, strict=True):
            x = step(x)
            skips.append(side(x))
        del volume, x
        out = skips.pop()
        for rise in self.rise:
            out = rise(out) + skips.pop()
        # without output padding, as theirs: one less on each axis
        costs: Tensor = self.cost(out)[..., :-1, :-1, :-1]
        return costs


def _names() -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    theirs, ours = "feature_extractor.conv2", "features"
    pairs = [("feature_extractor.conv1", "features.0")]
    for i in range(AANetGCNetConfig().blocks):
        pairs.append((f"{theirs}.{i}.conv1.0", f"{ours}.{i + 1}.first"))
        pairs.append((f"{theirs}.{i}.conv2", f"{ours}.{i + 1}.second"))
    pairs += [(f"aggregation.conv1.{k}", f"full.{k}") for k in range(2)]
    for i in range(_HALVES):
        pairs.append((f"aggregation.conv{i + 2}a", f"chain.{i}"))
        pairs += [(f"aggregation.conv{i + 2}b.{k}", f"sides.{i}.{k}") for k in range(2)]
        pairs.append((f"aggregation.trans_conv{i + 1}", f"rise.{i}"))
    names = {f"{a}.{n}": f"{b}.{n}" for a, b in pairs for n in range(2)}
    last = f"features.{AANetGCNetConfig().blocks + 1}"
    return names | {"feature_extractor.conv3": last, "aggregation.trans_conv5": "cost"}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; names that are not the network's stay as they are.
    Normalisations without a count of batches get 0."""
    return counted(renamed(state, _names()))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    return renamed(state, {ours: theirs for theirs, ours in _names().items()})


WEIGHTS: tuple[Weights, ...] = ()
"""None were published: the model zoo has this net with AANet's aggregation alone (GC-Net-AA)."""


FRAMES = {
    "aanet-gcnet": Frame(
        builder="aanet_gcnet", levels=192, step=32, place="above", border=MEAN_COLOUR,
        voxel_bytes=64,
    )
}  # fmt: skip
"""The authors extend images by what becomes 0, above and at the right."""


def aanet_gcnet(*, max_disparity: int = 192) -> AANetGCNet:
    """The network, untrained; max_disparity: a multiple of 32."""
    return AANetGCNet(AANetGCNetConfig(max_disparity))
