"""Bi3D: Badki et al., "Bi3D: Stereo Depth Estimation via Binary Classifications", CVPR 2020.

1. One net describes both views at a third of the size, with averages over large cells beside.
2. For a plane of disparity d the right view's description is moved by d and laid beside the left's;
   a 2-D encoder-decoder says of each pixel whether it is nearer than the plane. One such answer is
   one pass (`bi3d_binary`); some planes are depth in steps.
3. The sum of the answers of many planes is the disparity, over all of the range or over a part of
   it (`bi3d_2d`); in `bi3d` 3-D convolutions let the planes agree first.
4. A small net corrects answers or disparity along the image's edges.

As in the authors' code (github.com/NVlabs/Bi3D, NVIDIA Source Code License; written anew from its
facts) planes lie 3 px apart, so that descriptions move by whole pixels, on a canvas 64 columns
wider than the image, and the first plane's answers do not pass the 3-D net. Ours: planes are
answered a few at a time; what the left view adds to the 3-D net's convolutions is worked out once
for all planes; a confidence, from the answers 1 px before and behind the disparity. In training the
disparity is not clamped, and `bi3d_binary` draws planes from torch's generator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.plane_answers import CELL, Classifying, PlaneAnswers
from fathom.layers.planes import answers_at, mean_of_steps, share_nearer
from fathom.layers.resample import to_size
from fathom.layers.state import renamed
from fathom.layers.stereo import StereoOutput, require_size
from fathom.layers.unnormalised import (
    DILATIONS,
    DilatedCorrection,
    VolumeAgreement,
    leaky,
    start,
)
from fathom.published.frame import Frame
from fathom.published.record import Licences, Weights


@dataclass(frozen=True)
class Bi3DConfig:
    """min_disparity, max_disparity: of the first and the last plane, in pixels. regularised: with
    the 3-D net. correcting: width of the net that corrects. volume_width: of the 3-D net.

    Raises `UsageError` for a range that is not made of whole steps within the canvas.
    """

    min_disparity: int = 0
    max_disparity: int = 192
    regularised: bool = True
    correcting: int = 32
    volume_width: int = 16
    classifying: Classifying = field(default_factory=Classifying)

    def __post_init__(self) -> None:
        first, last = self.min_disparity, self.max_disparity
        most = self.classifying.farthest()
        if first % CELL or not 0 <= first < last:
            raise UsageError(
                "does not suit this net", field="min_disparity", value=first,
                expected=f"a multiple of {CELL}, from 0 and below max_disparity = {last}",
            )  # fmt: skip
        if (last - first) % self.step or last > most:
            raise UsageError(
                "does not suit this net", field="max_disparity", value=last,
                expected=f"{first} and a multiple of {self.step}, {most} at most",
            )  # fmt: skip
        if min(self.correcting, self.volume_width) < 1:
            raise UsageError("is no net", field="Bi3DConfig", value=self, expected="sizes >= 1")

    @property
    def step(self) -> int:
        """The range must be a multiple of this."""
        return CELL * (16 if self.regularised else 1)

    @property
    def divisor(self) -> int:
        """Images' sizes must be multiples of this."""
        return max(self.classifying.divisor, self.step)

    @property
    def planes(self) -> range:
        """The planes, in cells."""
        return range(self.min_disparity // CELL, self.max_disparity // CELL + 1)

    @property
    def levels(self) -> int:
        """Disparities that the range has."""
        return self.max_disparity - self.min_disparity + 1


@dataclass(frozen=True)
class Bi3DBinaryConfig:
    """planes: disparities, in pixels, that cut the range when the whole net is called.
    max_disparity: where the range ends. drawn: planes of each pair in training. detail, correcting:
    widths of the full-size net. Raises `UsageError` for planes it cannot test.
    """

    planes: tuple[int, ...] = (12, 21, 30, 39, 48)
    max_disparity: int = 192
    drawn: int = 4
    detail: int = 16
    correcting: int = 8
    classifying: Classifying = field(default_factory=Classifying)

    def __post_init__(self) -> None:
        most = self.classifying.farthest()
        if not CELL < self.max_disparity <= most:
            raise UsageError(
                "does not suit this net", field="max_disparity", value=self.max_disparity,
                expected=f"above {CELL}, {most} at most",
            )  # fmt: skip
        check_planes(self.planes, most)
        if min(self.drawn, self.detail, self.correcting) < 1:
            raise UsageError(
                "is no net", field="Bi3DBinaryConfig", value=self, expected="sizes >= 1"
            )


def check_planes(planes: Sequence[int], most: int) -> None:
    """Passes if the net can test these disparities. Raises `UsageError` otherwise."""
    rising = list(planes) == sorted(set(planes))
    if not planes or not rising or any(p % CELL or not 0 <= p <= most for p in planes):
        raise UsageError(
            "cannot be tested by this net", field="planes", value=tuple(planes),
            expected=f"rising multiples of {CELL} in 0 .. {most} px",
        )  # fmt: skip


class Reading(NamedTuple):
    """What `Bi3D` reads from its planes: disparity and confidence's logit (b, 1, h, w), the
    disparity before the correction, and logits (b, k, h, w) of being nearer than each plane."""

    disparity: Tensor
    confidence: Tensor
    uncorrected: Tensor
    nearer: Tensor


class Bi3D(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives the disparity at full size with a confidence,
    in training the one before the correction besides, and inner = (logits of the planes' answers,
    the planes' disparities).

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: Bi3DConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or Bi3DConfig()
        self.answers = PlaneAnswers(config.classifying)
        width = config.classifying.width
        self.agreement = VolumeAgreement(width, config.volume_width) if config.regularised else None
        self.correction = DilatedCorrection(config.correcting)
        self.apply(start)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        require_size(left, self.config.divisor, self.config.classifying.smallest)
        logits = self.answered(left, right)
        found = self.read(logits[-1], left)
        if not self.training:
            return StereoOutput((found.disparity,), found.confidence)
        planes = logits[0].new_tensor([CELL * p for p in self.config.planes]).view(1, -1, 1, 1)
        taught = tuple((answers, planes) for answers in logits)
        return StereoOutput((found.disparity, found.uncorrected), inner=taught)

    def answered(self, left: Tensor, right: Tensor) -> list[Float[Tensor, "b _k _h _w"]]:
        """Logits of being nearer than each plane, at a third of the size: the classifier's, then
        those the 3-D net makes of them."""
        planes = [list(self.config.planes)] * left.shape[0]
        first, second = self.answers.described(_signed(left), _signed(right))
        logits = self.answers(first, second, planes)
        if self.agreement is None:
            return [logits]
        better = self.agreement(logits[:, None, 1:], first)[:, 0]
        return [logits, torch.cat([logits[:, :1], better], dim=1)]

    def read(self, logits: Tensor, left: Tensor) -> Reading:
        """What the answers say at full size."""
        c = self.config
        full = to_size(logits.float(), (left.shape[-2], left.shape[-1]))
        share = share_nearer(full, CELL)
        both = (share, self.correction(share, _signed(left)))
        plain, better = (n * c.levels + (c.min_disparity - 0.5) for n in both)
        if self.training:
            return Reading(better, torch.zeros_like(better), plain, full)
        disparity = better.clamp(c.min_disparity - 0.5, c.max_disparity + 0.5)
        level = (disparity - c.min_disparity) / CELL
        farther, nearer = (answers_at(full, level + s / CELL).sigmoid() for s in (-1, 1))
        return Reading(disparity, torch.logit(farther - nearer, eps=1e-4), plain, full)

    def selected(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b 4 h w"]:
        """What there is to know of a part of the range: disparity, its confidence, and the
        probabilities of being nearer than the first plane and than the last one."""
        require_size(left, self.config.divisor, self.config.classifying.smallest)
        found = self.read(self.answered(left, right)[-1], left)
        chances = (found.confidence, found.nearer[:, :1], found.nearer[:, -1:])
        return torch.cat([found.disparity, *(logits.sigmoid() for logits in chances)], dim=1)


class Bi3DBinary(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives the mean disparity that the answers to the
    config's planes say, in training to some drawn at random, with inner = (logits of the answers,
    the planes' disparities) before and after the correction. `nearer` has the answers themselves.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: Bi3DBinaryConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or Bi3DBinaryConfig()
        self.answers = PlaneAnswers(config.classifying)
        self.detail = nn.ModuleList(
            nn.Conv2d(3 if i == 0 else config.detail, config.detail, 3, 1, 1) for i in range(2)
        )
        self.describe = nn.Conv2d(config.detail, config.detail, 1, bias=False)
        self.correct = nn.Conv2d(1 + config.detail, config.correcting, 3, 1, 1)
        self.last = nn.Conv2d(config.correcting, 1, 3, 1, 1, bias=False)
        self.apply(start)

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        c = self.config
        planes = [list(c.planes)] * left.shape[0]
        if self.training:
            count = (c.max_disparity - 1) // CELL
            drawn = torch.rand(left.shape[0], count).argsort(dim=1)[:, : c.drawn]
            planes = (CELL * (drawn + 1)).sort(dim=1).values.tolist()
        coarse, fine = self.nearer(left, right, planes)
        at = fine.new_tensor(planes)[..., None, None]
        mean = mean_of_steps(fine.float().sigmoid(), at, 0, c.max_disparity)
        inner = ((coarse, at), (fine, at)) if self.training else None
        return StereoOutput((mean,), inner=inner)

    def nearer(
        self,
        left: Float[Tensor, "b 3 h w"],
        right: Float[Tensor, "b 3 h w"],
        planes: Sequence[Sequence[int]],
    ) -> tuple[Float[Tensor, "b _k _h _w"], Float[Tensor, "b _k h w"]]:
        """Logits of being nearer than each plane: at a third of the size, and corrected at full
        size. planes: of each sample, disparities in pixels, multiples of `CELL`."""
        require_size(left, self.config.classifying.divisor, self.config.classifying.smallest)
        given = _signed(left)
        cells = [[p // CELL for p in own] for own in planes]
        coarse = self.answers(*self.answers.described(given, _signed(right)), cells)
        x = given
        for conv in self.detail:
            x = torch.relu(conv(x))
        # what the image adds is the same for every plane
        weight, bias = self.correct.weight, self.correct.bias
        image = functional.conv2d(self.describe(x), weight[:, 1:], bias, 1, 1)
        full = to_size(coarse, (left.shape[-2], left.shape[-1]))
        fine = [
            self.last(leaky(image + functional.conv2d(logits, weight[:, :1], None, 1, 1)))
            for logits in torch.split(full, 1, dim=1)
        ]
        return coarse, torch.cat(fine, dim=1)


def _signed(image: Tensor) -> Tensor:
    return image / 127.5 - 1


def _names() -> dict[str, str]:
    """Official module -> ours, for all that have tensors."""
    pairs = [(f"featnet.firstconv.{i}.0", f"features.stem.{2 * i}") for i in range(3)]
    for i in range(2):
        for a, b in (("conv1", "first"), ("conv2", "second")):
            pairs.append((f"featnet.layer1.{i}.{a}.0", f"features.blocks.{i}.{b}"))
    pairs += [(f"featnet.branch{i + 1}.1.0", f"features.pyramid.{i}") for i in range(4)]
    pairs += [("featnet.lastconv.0.0", "features.fuse"), ("featnet.lastconv.1", "features.project")]
    for i in range(5):
        pairs += [
            (f"segnet.{a.format(i + 1)}.0", f"classifier.{b}.{i}")
            for a, b in (("conv{}", "down"), ("conv{}_1", "deepen"))
        ]
        pairs += [
            (f"segnet.{a.format(i + 1)}.0", f"classifier.{b}.{i}")
            for a, b in (("deconv{}", "up"), ("deconv{}_1", "merge"))
        ]
    names = {a: "answers." + b for a, b in [*pairs, ("segnet.last_conv", "classifier.last")]}
    names |= {f"featnethr.conv1.{i}.0": f"detail.{i}" for i in range(2)}
    names |= {"featnethr.conv1.2": "describe"}
    names |= {"refinenet.conv1.0.0": "correct", "refinenet.classif1": "last"}
    names |= {"refinenet.conv2d_feature.0": "correction.enter"}
    names |= {"refinenet.conv2d_out": "correction.last"}
    for i in range(len(DILATIONS)):
        for a, b in (("conv1", "first"), ("conv2", "second")):
            theirs = f"refinenet.residual_astrous_blocks.{i}.{a}.0"
            names[theirs] = f"correction.blocks.{i}.{b}"
    volume = ["enter.0", "enter.1"]
    for i in range(4):
        volume += [f"down.{i}", f"inner.{i}.0", f"inner.{i}.1"]
    volume += [f"up.{i}" for i in (3, 2, 1, 0)]
    names |= {f"refinenet3d.layer3d.l{19 + i}.0": f"agreement.{v}" for i, v in enumerate(volume)}
    names |= {"refinenet3d.layer3d.l37": "agreement.last"}
    return names | {"refinenet3d.conf_preprocess.0": "agreement.prepare"}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors of any of the nets under our names; names that are not theirs stay as
    they are."""
    return renamed(state, _names())


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under their official names: `convert` undone."""
    return renamed(state, {ours: theirs for theirs, ours in _names().items()})


FRAMES = {
    "bi3d": Frame(
        builder="bi3d", levels=192, step=48, divisor=96, smallest=192, place="above-left",
        border=(127.5, 127.5, 127.5), pixel_bytes=900, voxel_bytes=10,
    ),
    "bi3d-2d": Frame(
        builder="bi3d_2d", levels=192, step=3, divisor=96, smallest=192, place="above-left",
        border=(127.5, 127.5, 127.5), pixel_bytes=900, voxel_bytes=4,
    ),
    "bi3d-binary": Frame(
        builder="bi3d_binary", levels=None, divisor=96, smallest=192, place="above-left",
        border=(127.5, 127.5, 127.5), pixel_bytes=1000, voxel_bytes=24,
    ),
}  # fmt: skip


def _published(model: str, data: str, file: str, variant: str) -> Weights:
    terms = {"sf": "Scene Flow: research only"}
    terms["kitti15"] = f"{terms['sf']}; KITTI: CC-BY-NC-SA-3.0"
    trained = {"sf": "Scene Flow", "kitti15": "Scene Flow, then KITTI 2015"}[data]
    licences = Licences(code="NVIDIA Source Code License (non-commercial)", data=terms[data])
    source = (
        "linked in the readme of github.com/NVlabs/Bi3D, Google Drive, one archive: "
        f"model_weights/{data}_{file}.pth.tar"
    )
    name = f"{model}-{ {'sf': 'sceneflow', 'kitti15': 'kitti2015'}[data] }"
    return Weights(name, model, f"{variant}, trained on {trained}", licences, source)


WEIGHTS = tuple(
    _published(model, data, file, variant)
    for model, file, variant in (
        ("bi3d", "continuous_depth_conf_reg", "all of the range, with the 3-D net"),
        ("bi3d-2d", "continuous_depth_no_conf_reg", "all of the range or a part, without it"),
        ("bi3d-binary", "binary_depth", "single planes and depth in steps"),
    )
    for data in ("sf", "kitti15")
)


def bi3d(*, max_disparity: int = 192) -> Bi3D:
    """The network with planes from 0 to `max_disparity` that 3-D convolutions let agree, untrained.

    Raises `UsageError` as `Bi3DConfig`.
    """
    return Bi3D(Bi3DConfig(0, max_disparity, classifying=_wide(max_disparity)))


def bi3d_2d(*, max_disparity: int = 192, min_disparity: int = 0) -> Bi3D:
    """The network without them, with planes from `min_disparity` to `max_disparity`, untrained.

    Raises `UsageError` as `Bi3DConfig`.
    """
    config = Bi3DConfig(min_disparity, max_disparity, False, classifying=_wide(max_disparity))
    return Bi3D(config)


def bi3d_binary(*, max_disparity: int = 192) -> Bi3DBinary:
    """The network for single planes, untrained.

    Raises `UsageError` as `Bi3DBinaryConfig`.
    """
    config = Bi3DBinaryConfig(max_disparity=max_disparity, classifying=_wide(max_disparity))
    return Bi3DBinary(config)


def _wide(max_disparity: int) -> Classifying:
    """The published canvas, or a wider one for planes that would leave it."""
    plain = Classifying()
    unit = 2 ** len(plain.widths)
    return replace(plain, canvas=max(plain.canvas, -(-max_disparity // (CELL * unit)) * unit))
