"""Monodepth2: Godard et al., "Digging into Self-Supervised Monocular Depth Estimation", ICCV 2019.

1. A ResNet describes the image at five sizes.
2. Going up again, nearest-neighbour enlargement, skips and reflection-padded convolutions with ELU
   give a sigmoid at four sizes: inverse depth between 1 / 100 and 1 / 0.1.
3. In training a second ResNet sees two frames and tells the camera's motion between them; what the
   other frames show, seen from this one's place, is all the supervision there is.

As in the authors' code (github.com/nianticlabs/monodepth2, licence: non-commercial use only;
written anew here from its facts): images are in 0..1, less 0.45, over 0.225; the ResNet's
classifier is kept, though nothing uses it, so that the tensors are the published ones. Depth is up
to a scale; trained with stereo pairs, 5.4 times it is metres (a baseline of 0.54 m was called 0.1).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.resnet import BLOCKS, WIDTHS, Depth, ResNet
from fathom.layers.stereo import require_size
from fathom.published.record import Licences, Setting, Weights

DIVISOR = 32
STEREO_SCALE = 5.4
NEAREST, FARTHEST = 0.1, 100.0
_MEAN, _STD = 0.45, 0.225
_SCALES = 4
_CLASSES = 1000


@dataclass(frozen=True)
class Monodepth2Config:
    """depth: of the ResNet, 18 or 50. blocks, widths: of its stages. up: channels of the decoder at
    full, 1/2, ... 1/16 of the size. classes: of the unused classifier; 0 leaves it out.

    Raises `UsageError` for sizes below 1 or another ResNet.
    """

    depth: Depth = 18
    blocks: tuple[int, ...] = BLOCKS[18]
    widths: tuple[int, ...] = WIDTHS
    up: tuple[int, ...] = (16, 32, 64, 128, 256)
    classes: int = _CLASSES

    def __post_init__(self) -> None:
        if self.depth not in get_args(Depth):
            raise UsageError(
                "is no ResNet", field="depth", value=self.depth, expected=str(get_args(Depth))
            )
        if min(*self.blocks, *self.widths, *self.up) < 1:
            raise UsageError("is no net", field="Monodepth2Config", value=self, expected=">= 1")

    @property
    def divisor(self) -> int:
        """Sizes the net takes are multiples of this."""
        return DIVISOR


class _Reflected(nn.Module):
    """A 3x3 convolution of the image continued by its mirror."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        out: Tensor = self.conv(functional.pad(x, (1, 1, 1, 1), mode="reflect"))
        return out


class _Up(nn.Module):
    """To twice the size, joined with what the way down saw there."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.before = _Reflected(inputs, outputs)
        self.after = _Reflected(outputs + skip, outputs)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = functional.interpolate(functional.elu(self.before(x)), scale_factor=2.0, mode="nearest")
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return functional.elu(self.after(x))


class Monodepth2(nn.Module):
    """image (b, 3, h, w), RGB in 0..255, sides multiples of 32, gives sigmoids (b, 1, h_i, w_i) at
    1, 1/2, 1/4 and 1/8 of the size, finest first; in evaluation only the first."""

    def __init__(self, config: Monodepth2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or Monodepth2Config()
        self.encoder = ResNet(
            config.depth, blocks=config.blocks, widths=config.widths, classes=config.classes
        )
        down, up = self.encoder.channels, config.up
        steps = []
        for i in range(4, -1, -1):
            inputs = down[-1] if i == 4 else up[i + 1]
            steps.append(_Up(inputs, down[i - 1] if i else 0, up[i]))
        self.up = nn.ModuleList(steps)
        self.heads = nn.ModuleList(_Reflected(up[i], 1) for i in range(_SCALES))

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Tensor, ...]:
        """See the class. Raises `InputError` for a size it does not take."""
        require_size(image, DIVISOR, 2 * DIVISOR)
        features = self.encoder(normalised(image))
        x, found = features[-1], []
        for i, step in zip(range(4, -1, -1), self.up, strict=True):
            x = step(x, features[i - 1] if i else None)
            if i < _SCALES and (self.training or i == 0):
                found.append(torch.sigmoid(self.heads[i](x)))
        return tuple(reversed(found))


@dataclass(frozen=True)
class PoseConfig:
    """Of the net of the motion. depth, blocks, widths, classes: of its ResNet as in
    `Monodepth2Config`. inner: channels of the layers after it. scale: what their answer is
    multiplied by, so that motions are small from the start.

    Raises `UsageError` for sizes below 1, another ResNet or a scale that is not above 0.
    """

    depth: Depth = 18
    blocks: tuple[int, ...] | None = None
    widths: tuple[int, ...] = WIDTHS
    inner: int = 256
    classes: int = _CLASSES
    scale: float = 0.01

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise UsageError("is no scale", field="scale", value=self.scale, expected="> 0")
        # the same ResNet as the depth's, and refused alike
        blocks = self.blocks or BLOCKS.get(self.depth, ())
        Monodepth2Config(self.depth, blocks, self.widths, (self.inner,))


class PoseNet(nn.Module):
    """Two frames (b, 3, h, w) in 0..255 -> how the camera moved from the first to the second:
    axis-angle and translation, each (b, 3), both 0.01 (`scale`) of what the last layer says."""

    def __init__(self, config: PoseConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PoseConfig()
        self.encoder = ResNet(
            config.depth,
            images=2,
            blocks=config.blocks,
            widths=config.widths,
            classes=config.classes,
        )
        inner = config.inner
        self.squeeze = nn.Conv2d(self.encoder.channels[-1], inner, 1)
        self.first = nn.Conv2d(inner, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, inner, 3, padding=1)
        self.last = nn.Conv2d(inner, 12, 1)

    def forward(
        self, first: Float[Tensor, "b 3 h w"], second: Float[Tensor, "b 3 h w"]
    ) -> tuple[Tensor, Tensor]:
        """See the class. Of the two motions that the authors' last layer tells, the first."""
        x = self.encoder(normalised(torch.cat([first, second], dim=1)))[-1]
        x = functional.relu(self.squeeze(x))
        x = functional.relu(self.second(functional.relu(self.first(x))))
        motion = self.config.scale * self.last(x).mean(dim=(2, 3))
        return motion[:, :3], motion[:, 3:6]


class PoseCNN(nn.Module):
    """The same from seven plain convolutions of stride 2, as in earlier work."""

    sizes = ((6, 16, 7), (16, 32, 5), (32, 64, 3), (64, 128, 3), (128, 256, 3), (256, 256, 3))

    def __init__(self) -> None:
        super().__init__()
        layers = (*self.sizes, (256, 256, 3))
        self.net = nn.ModuleList(nn.Conv2d(i, o, k, 2, k // 2) for i, o, k in layers)
        self.last = nn.Conv2d(256, 6, 1)

    def forward(
        self, first: Float[Tensor, "b 3 h w"], second: Float[Tensor, "b 3 h w"]
    ) -> tuple[Tensor, Tensor]:
        """Axis-angle and translation, each (b, 3); the images are only brought to 0..1."""
        x = torch.cat([first, second], dim=1) / 255
        for layer in self.net:
            x = functional.relu(layer(x))
        motion = 0.01 * self.last(x).mean(dim=(2, 3))
        return motion[:, :3], motion[:, 3:]


def normalised(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Images in 0..255 as the ResNets want them."""
    return (images / 255 - _MEAN) / _STD


def depth_of(sigmoid: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Depth between 0.1 and 100, up to a scale, of the net's sigmoids."""
    return 1 / (1 / FARTHEST + (1 / NEAREST - 1 / FARTHEST) * sigmoid)


def _names(names: Mapping[str, Tensor]) -> dict[str, str]:
    """Official prefix -> ours. The authors' files, encoder.pth, depth.pth, pose_encoder.pth and
    pose.pth, are told apart by their stem: `encoder.encoder.conv1.weight`."""
    if any(n.startswith(("pose.pose_conv.", "net.", "last.")) for n in names) and not any(
        n.startswith(("pose_encoder.", "encoder.")) for n in names
    ):
        return {f"pose.net.{i}.": f"net.{i}." for i in range(7)} | {"pose.pose_conv.": "last."}
    if any(n.startswith(("pose_encoder.", "squeeze.")) for n in names):
        parts = ("squeeze", "first", "second", "last")
        steps = {f"pose.net.{i}.": f"{part}." for i, part in enumerate(parts)}
        return {"pose_encoder.encoder.": "encoder.", **steps}
    found = {"encoder.encoder.": "encoder."}
    for i in range(5):
        for k, part in enumerate(("before", "after")):
            found[f"depth.decoder.{2 * i + k}.conv."] = f"up.{i}.{part}."
    return found | {f"depth.decoder.{10 + i}.": f"heads.{i}." for i in range(_SCALES)}


IGNORED = ("encoder.height", "encoder.width", "encoder.use_stereo")
"""What encoder.pth tells beside its tensors."""


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors, each file's under its stem, under our names. What encoder.pth says
    besides (height, width, use_stereo) is left out."""
    names = _names(state)
    return {_renamed(k, names): v for k, v in state.items() if k not in IGNORED}


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    names = {ours: theirs for theirs, ours in _names(state).items()}
    return {_renamed(k, names): v for k, v in state.items()}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


_LICENCES = Licences(
    code="Monodepth2 licence: non-commercial", weights="not stated", data="KITTI: CC-BY-NC-SA-3.0"
)
_SOURCE = "linked in the readme of github.com/nianticlabs/monodepth2: "
_SIZES: tuple[tuple[int, int], ...] = ((640, 192), (1024, 320))


def _published(kind: str, told: str, size: tuple[int, int], **settings: Setting) -> Weights:
    own = {"width": size[0], "height": size[1], **settings}
    name = f"{kind}_{size[0]}x{size[1]}"
    return Weights(
        "monodepth2-" + name.replace("_", "-").replace("+", "-and-"), "monodepth2", told,
        _LICENCES, _SOURCE + name, settings=MappingProxyType(own),
    )  # fmt: skip


WEIGHTS = (
    *(w for size in _SIZES for w in (
        _published("mono", "ResNet-18, KITTI's video alone: depth up to a scale", size),
        _published("stereo", "ResNet-18, KITTI's pairs: can be metric", size, stereo=True),
        _published("mono+stereo", "ResNet-18, both: can be metric", size, stereo=True),
    )),
    _published("mono_resnet50", "ResNet-50, video alone", _SIZES[0], depth=50),
)  # fmt: skip


def monodepth2(
    *,
    depth: Depth = 18,
    stereo: bool = False,  # noqa: ARG001
    width: int = 640,  # noqa: ARG001
    height: int = 192,  # noqa: ARG001
) -> Monodepth2:
    """The depth net, untrained. depth: of its ResNet, 18 or 50. stereo: whether the weights were
    trained with pairs; width, height: the images' size they were trained on. These three change
    what the estimator does with the net, not the net."""
    return Monodepth2(Monodepth2Config(depth, BLOCKS.get(depth, ())))


def monodepth2_pose(*, depth: Depth = 18) -> PoseNet:
    """The net of the camera's motion (pose_encoder.pth and pose.pth), untrained."""
    return PoseNet(PoseConfig(depth))


def monodepth2_posecnn() -> PoseCNN:
    """The net of seven convolutions for the motion (pose.pth alone), untrained."""
    return PoseCNN()


def sigmoids(net: Monodepth2) -> Callable[..., Tensor]:
    """The net as a call with any number of images (1, 3, h, w) of one size: (n, h, w)."""

    def call(*images: Tensor) -> Tensor:
        finest: Tensor = net(torch.cat(images))[0]
        return finest[:, 0]

    return call


def motion(net: PoseNet | PoseCNN) -> Callable[..., Tensor]:
    """The net as a call with two images (1, 3, h, w): axis-angle and translation, (6,)."""

    def call(first: Tensor, second: Tensor) -> Tensor:
        return torch.cat(net(first, second), dim=1)[0]

    return call
