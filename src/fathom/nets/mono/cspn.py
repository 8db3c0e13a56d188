"""CSPN: Cheng, Wang and Yang, "Depth Estimation via Affinity Learned with Convolutional Spatial
Propagation Network", ECCV 2018; in place of its propagation SPN's, Liu et al., NeurIPS 2017.

1. A ResNet-50 looks at an image, whose fourth channel holds depths at single pixels.
2. A decoder of up-projections (Laina et al., "Deeper Depth Prediction", 3DV 2016) brings its answer
   back to full size; features of the way down join it.
3. Two last layers give a first depth, and the affinities between neighbouring pixels.
4. Depth flows along the affinities: 24 steps of `CSPN2d`, or one sweep from each side (`SPN`).

`cspn` is the network of github.com/XinJCheng/CSPN (no licence stated; written anew from its facts),
with the tensors of the decoder that it has and never uses. As in that code what is put back at
measured pixels during the propagation is the *first* depth there; `reinsert` puts back the
measurement, as the paper has it. Sizes need not be 304x228. Up-projections leave out the products
with the zeros between the pixels: a quarter of the work, the same sums. `spn` is the paper's
comparison with SPN, by that description; no reference of it exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError, unknown_name
from fathom.layers.propagation import SPN, CSPN2d
from fathom.layers.state import counted
from fathom.layers.stereo import StereoOutput, require_size
from fathom.published.record import Licences, Weights

Propagation = Literal["cspn", "spn"]
SMALLEST = 32
"""Images must not be smaller than this on either side, in pixels."""


@dataclass(frozen=True)
class CSPNConfig:
    """propagation: how depth flows. positive: affinities between 0 and 1 ("8sum_abs" in the
    authors' code) in place of -1 and 1 ("8sum"); `cspn` alone has it. steps: of `cspn`. reinsert:
    measured depths are put back in the propagation, and not the first depths at their pixels.
    width: of the first convolution; the paper's is 64. blocks: at each stage of the encoder.

    Raises `UsageError` for another propagation, or sizes below 1.
    """

    propagation: Propagation = "cspn"
    positive: bool = False
    steps: int = 24
    reinsert: bool = False
    width: int = 64
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)

    def __post_init__(self) -> None:
        if self.propagation not in get_args(Propagation):
            raise unknown_name("propagation", str(self.propagation), list(get_args(Propagation)))
        if min(self.steps, self.width, *self.blocks) < 1:
            raise UsageError("is no net", field="CSPNConfig", value=self, expected="sizes >= 1")


class _Bottleneck(nn.Module):
    """ReLU(x + three convolutions of x). He et al., "Deep Residual Learning", CVPR 2016."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        skip = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.bn3(self.conv3(y)) + skip)


def unpooled_conv(x: Float[Tensor, "b c h w"], weight: Tensor, size: tuple[int, int]) -> Tensor:
    """The convolution of x brought to twice its size with zeros between the pixels, cut to `size`.

    Each of the four positions beside a pixel sees its own part of the kernel only, so it is four
    small convolutions of x. Laina et al., 3DV 2016, section 3.3. weight: (outputs, c, s, s) of an
    odd side s > 1.
    """
    half = weight.shape[-1] // 2
    parts = []
    for y in (0, 1):
        for x_ in (0, 1):
            first = ((half + y) % 2, (half + x_) % 2)
            part = weight[:, :, first[0] :: 2, first[1] :: 2]
            before = [(half - p - k) // 2 for p, k in zip((y, x_), first, strict=True)]
            after = [n - 1 - b for n, b in zip(part.shape[-2:], before, strict=True)]
            framed = functional.pad(x, (before[1], after[1], before[0], after[0]))
            parts.append(functional.conv2d(framed, part))
    out = functional.pixel_shuffle(torch.stack(parts, dim=2).flatten(1, 2), 2)
    return out[..., : size[0], : size[1]]


class _Up(nn.Module):
    """To twice the size: ReLU(two convolutions of x + one of x); features of the way down, `skip`
    channels, join between the two."""

    def __init__(self, inputs: int, outputs: int, skip: int = 0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        if skip:
            self.conv1_1 = nn.Conv2d(outputs + skip, outputs, 3, padding=1, bias=False)
            self.bn1_1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.sc_conv1 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.sc_bn1 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, size: tuple[int, int], skip: Tensor | None = None) -> Tensor:
        weight = torch.cat([self.conv1.weight, self.sc_conv1.weight])
        y, short = unpooled_conv(x, weight, size).chunk(2, dim=1)
        y = functional.relu(self.bn1(y))
        if skip is not None:
            y = functional.relu(self.bn1_1(self.conv1_1(torch.cat([y, skip], dim=1))))
        return functional.relu(self.bn2(self.conv2(y)) + self.sc_bn1(short))


class CSPN(nn.Module):
    """image (b, 3, h, w), RGB in 0..255, and hints (b, 1, h, w), metres at single pixels and 0
    elsewhere, give depth (b, 1, h, w) in metres. Nothing keeps it positive.

    Raises `InputError` for images smaller than `SMALLEST`.
    """

    def __init__(self, config: CSPNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CSPNConfig()
        c = config.width
        self.conv1_1 = nn.Conv2d(4, c, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        widths = (c, 2 * c, 4 * c, 8 * c)
        inputs = (c, 4 * c, 8 * c, 16 * c)
        for i, (width, count) in enumerate(zip(widths, config.blocks, strict=True)):
            blocks = [_Bottleneck(inputs[i], width, 2 if i else 1)]
            blocks += [_Bottleneck(4 * width, width, 1) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.conv2 = nn.Conv2d(32 * c, 32 * c, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32 * c)
        self.up = nn.ModuleList(
            [_Up(32 * c, 16 * c), _Up(16 * c, 8 * c, 8 * c), _Up(8 * c, 4 * c, 4 * c)]
        )
        self.up.append(_Up(4 * c, c, c))
        convolves = config.propagation == "cspn"
        self.flow: CSPN2d | SPN = (
            CSPN2d(config.steps, positive=config.positive) if convolves else SPN()
        )
        self.to_depth = nn.Conv2d(c, 1, 3, padding=1, bias=False)
        self.to_affinities = nn.Conv2d(c, self.flow.channels, 3, padding=1, bias=False)
        if convolves:
            self.unused = _unused(c)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], hints: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """See the class."""
        first, guidance = self.described(image, hints)
        kept = hints > 0
        start = torch.where(kept, hints, first) if self.config.reinsert else first
        out: Tensor = self.flow(start, guidance, kept)
        return out

    def described(self, image: Tensor, hints: Tensor) -> tuple[Tensor, Tensor]:
        """The first depth (b, 1, h, w), and the guidance of the propagation."""
        require_size(image, 1, SMALLEST)
        x = torch.cat([image / 255, hints], dim=1)
        y = self.conv1_1(x)
        skips = [y]  # as the authors' code: before it is normalised
        y = functional.max_pool2d(functional.relu(self.bn1(y)), 3, 2, 1)
        for i in range(4):
            y = self.get_submodule(f"layer{i + 1}")(y)
            skips.append(y)
        y = self.bn2(self.conv2(skips.pop()))
        joined = (None, skips[2], skips[1], skips[0])
        for up, at, skip in zip(self.up, reversed(skips), joined, strict=True):
            y = up(y, tuple(at.shape[-2:]), skip)
        size = (image.shape[-2], image.shape[-1])
        weight = torch.cat([self.to_depth.weight, self.to_affinities.weight])
        out = unpooled_conv(y, weight, size)
        return out[:, :1], out[:, 1:]


def _unused(c: int) -> nn.ModuleDict:
    """What the authors' net has besides, and does not run: an older decoder."""
    made: dict[str, nn.Module] = {
        f"up_proj_layer{i + 1}": _Up(16 * c >> i, 8 * c >> i) for i in range(4)
    }
    found = nn.ModuleDict(made | {"conv3": nn.Conv2d(2 * c, 1, 3, bias=False)})
    return found.requires_grad_(False)


class Completion(nn.Module):
    """A net of this module with the call and the answer of a stereo net, for the adapter and the
    training loop. The hints come last; a right view before them is not looked at."""

    def __init__(self, net: CSPN) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, *more: Tensor) -> StereoOutput:
        """image, hints, or left, right, hints; the answer is in the unit of the hints."""
        return StereoOutput((self.net(image, more[-1]),))


_SUM = "post_process_layer.sum_conv.weight"
"""Eight ones, made while the authors' net runs: files saved after that hold them."""
IGNORED = (_SUM,)
_MODULES = {
    **{f"gud_up_proj_layer{i + 1}": f"up.{i}" for i in range(4)},
    **{f"up_proj_layer{i + 1}": f"unused.up_proj_layer{i + 1}" for i in range(4)},
    "gud_up_proj_layer5.conv1": "to_depth",
    "gud_up_proj_layer6.conv1": "to_affinities",
    "conv3": "unused.conv3",
}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors under our names; others stay as they are. `IGNORED` ones are left out,
    and normalisations without a count of batches, as torch 0.3 saved them, get 0."""
    kept = {name: values for name, values in state.items() if name not in IGNORED}
    return counted(_renamed(kept, _MODULES))


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    return _renamed(state, {ours: theirs for theirs, ours in _MODULES.items()})


def _renamed(state: Mapping[str, Tensor], modules: Mapping[str, str]) -> dict[str, Tensor]:
    out = {}
    for name, values in state.items():
        found = next((m for m in modules if name.startswith(m + ".")), None)
        out[name if found is None else modules[found] + name[len(found) :]] = values
    return out


_DATA = Licences(data="NYU Depth v2: not stated")
_SOURCE = "linked in cspn_pytorch/README.md of github.com/XinJCheng/CSPN, Google Drive: "
WEIGHTS = (
    Weights(
        "cspn-nyu",
        "cspn",
        "NYU Depth v2 with 500 depths an image, affinities of both signs",
        _DATA,
        _SOURCE + "'NYU Depth V2 (Fast Unpool, non-pos)'",
    ),
    Weights(
        "cspn-nyu-positive",
        "cspn",
        "the same with positive affinities: give positive=True",
        _DATA,
        _SOURCE + "'NYU Depth V2 (Fast Unpool, pos)'",
        settings={"positive": True},
    ),
)


def cspn(*, positive: bool = False, reinsert: bool = False) -> CSPN:
    """The published network, untrained; see `CSPNConfig`."""
    return CSPN(CSPNConfig(positive=positive, reinsert=reinsert))


def spn(*, reinsert: bool = False) -> CSPN:
    """The same with SPN's propagation, untrained; see `CSPNConfig`."""
    return CSPN(CSPNConfig("spn", reinsert=reinsert))
