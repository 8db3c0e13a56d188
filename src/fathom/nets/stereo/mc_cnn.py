"""MC-CNN: `mc-cnn-fast`, `mc-cnn-accurate`.

Žbontar and LeCun, "Stereo Matching by Training a Convolutional Neural Network to Compare Image
Patches", JMLR 17(65), 2016.

1. Two towers of plain 3x3 convolutions with the same weights describe the patch around every pixel.
2. fast: the cosine of two descriptions says how well they match. accurate: both go through fully
   connected layers ("decision network") that end in the probability that they do not match.
3. That is a cost for every pixel and disparity, and no disparity yet: cross-based aggregation,
   semi-global matching and refinement follow (`fathom.classical.mc_cnn`).

Where we differ. The decision network's first layer acts on both descriptions side by side, so it is
applied to each once and the halves are added for every disparity: the same numbers for less work.
The fused forms (`fusion`) are for study and were not published: "middle" joins the views after half
of the convolutions, "early" before the first one, as the two-channel network of Zagoruyko and
Komodakis, CVPR 2015.

Origin: jzbontar/mc-cnn (Lua), BSD-2-Clause. The names that `convert` takes are the places of the
layers in its two `nn.Sequential`s, `features.2.weight`, `decision.0.bias`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.io.files import PathLike
from fathom.layers.stereo import StereoOutput
from fathom.layers.volume import correlation
from fathom.published.record import Licences, Weights

Fusion = Literal["late", "middle", "early"]
FUSIONS = ("late", "middle", "early")
Variant = Literal["kitti2012", "kitti2015", "middlebury"]
VARIANTS = ("kitti2012", "kitti2015", "middlebury")

_LUMA = (0.299, 0.587, 0.114)
_NEVER = -1e4
"""Score of a match outside the right image: finite, so that no loss turns into NaN."""
_EPSILON = 1e-5
_FLAT = 1e-3
"""Least standard deviation in grey levels: an image of one colour is divided by this."""
_ITEMS, _DEVICE_ITEMS = 1 << 13, 1 << 16
"""Pairs that the decision network judges at once, on the CPU (13 MB a layer: a third less time than
with 100 MB) and elsewhere."""
_COLUMNS = 32
"""Columns that are judged together: the fewer, the fewer pairs outside the right image."""
_ROW_ITEMS = 1 << 24
"""Entries of the products of rows that are made at once: 64 MB."""


@dataclass(frozen=True)
class MCCNNConfig:
    """layers: 3x3 convolutions a patch goes through. features: their channels. hidden: fully
    connected layers before the last one; 0: the cosine instead. width: their channels. fusion:
    where both views meet. max_disparity: `forward` searches 0 .. max_disparity - 1 pixels.

    Raises `UsageError` for sizes below 1, an unknown fusion, or a cosine of fused views.
    """

    layers: int = 4
    features: int = 64
    hidden: int = 0
    width: int = 384
    fusion: Fusion = "late"
    max_disparity: int = 228

    def __post_init__(self) -> None:
        sizes = (self.layers, self.features, self.width, self.max_disparity)
        if min(sizes) < 1 or self.hidden < 0:
            raise UsageError("is no net", field="MCCNNConfig", value=self, expected="sizes >= 1")
        if self.fusion not in FUSIONS:
            raise unknown_name("fusion", str(self.fusion), list(FUSIONS))
        if self.hidden == 0 and self.fusion != "late":
            raise UsageError(
                "leaves no two descriptions to take the cosine of", field="fusion",
                value=self.fusion, expected="late without a decision network",
            )  # fmt: skip

    @property
    def apart(self) -> int:
        """Convolutions that each view goes through alone."""
        return {"late": self.layers, "middle": self.layers // 2, "early": 0}[self.fusion]


class MCCNN(nn.Module):
    """left, right (b, 3, h, w) in 0..255; gives the disparity of least cost in whole pixels and the
    scores of all disparities, 0 .. max_disparity - 1 (more is better; `_NEVER` where the match lies
    outside the right image). Any size of image serves."""

    def __init__(self, config: MCCNNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MCCNNConfig()
        self.tower = nn.ModuleList(_convolutions(1, config.features, config.apart))
        entering = 2 * (config.features if config.apart else 1)
        self.joint = nn.ModuleList(
            _convolutions(entering, config.features, config.layers - config.apart)
        )
        seen = 2 * config.features if config.fusion == "late" else config.features
        widths = [seen, *[config.width] * config.hidden, 1] if config.hidden else []
        self.decide = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    @property
    def reach(self) -> int:
        """Pixels from the centre of a patch to its border."""
        return self.config.layers

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """Winner and scores, as above; the last columns are as the authors have them (see
        `continued`). In training the cosine's net gives the descriptions of both views as `inner`,
        which `fathom.layers.weak_matching` compares."""
        levels = min(self.config.max_disparity, left.shape[-1])
        views = self.describe(normalised(left)), self.describe(normalised(right))
        raw = continued(self._scored(views, 0, levels).permute(0, 3, 1, 2), self.reach)
        winner = self.costs_of(raw).argmin(dim=1, keepdim=True).to(raw.dtype)
        scores = torch.where(torch.isfinite(raw), raw, _NEVER)
        inner = views if self.training and not self.decide else None
        return StereoOutput((winner,), None, scores, inner)

    def describe(self, image: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b c h w"]:
        """What the tower says of the patch around every pixel of a normalised image; of length 1
        where the cosine follows."""
        features, last = image, len(self.tower) - 1
        for i, convolution in enumerate(self.tower):
            features = convolution(features)
            if i < last or self.decide:
                features = torch.relu(features)
        if self.decide:
            return features
        # Not functional.normalize: the authors' small number stands under the root
        return features * torch.rsqrt(features.square().sum(dim=1, keepdim=True) + _EPSILON)

    def scores(
        self,
        left: Float[Tensor, "b 1 h w"],
        right: Float[Tensor, "b 1 h w"],
        first: int,
        levels: int,
    ) -> Float[Tensor, "b h w k"]:
        """How well x and x - d match, d = first .. first + levels - 1; images as `normalised` gives
        them. A cosine, or the logit of the probability; -inf where x - d lies outside.
        """
        return self._scored((self.describe(left), self.describe(right)), first, levels)

    def _scored(self, views: tuple[Tensor, Tensor], first: int, levels: int) -> Tensor:
        """`scores` of descriptions."""
        if not self.decide:
            found = _cosines(*views, first, levels)
        elif self.joint:
            found = self._judge_fused(*views, first, levels)
        else:
            found = self._judge(*views, first, levels)
        return found.masked_fill_(_outside(found, first), -torch.inf)

    def costs_of(self, scores: Tensor) -> Tensor:
        """The paper's costs of scores: -cosine, or the probability that the patches do not match;
        inf where the score is -inf."""
        if not self.decide:
            return -scores
        return torch.where(torch.isfinite(scores), torch.sigmoid(-scores), torch.inf)

    def _judge(self, left: Tensor, right: Tensor, first: int, levels: int) -> Tensor:
        """Logits by the decision network, its first layer included, block by block of pixels."""
        entry, count = cast(nn.Linear, self.decide[0]), left.shape[1]
        own, other = entry.weight[:, :count], entry.weight[:, count:]
        left, right = (v.permute(0, 2, 3, 1) for v in (left, right))
        height, width = left.shape[1:3]
        items = _ITEMS if left.device.type == "cpu" else _DEVICE_ITEMS
        columns = max(1, min(width, _COLUMNS, items // levels))
        rows = max(1, items // (levels * columns))

        def strip(y: int) -> Tensor:
            lefts = functional.linear(left[:, y : y + rows], own, entry.bias).flip(2)
            windows = _windows(functional.linear(right[:, y : y + rows], other), first, levels)
            blocks = []
            for x in range(0, width, columns):
                # from the last column on: what lies left of the right image need not be judged
                inside = min(levels, max(1, width - x - first))
                part = slice(None), slice(None), slice(x, x + columns)
                entered = lefts[*part, None] + windows[*part, :inside]
                blocks.append(functional.pad(self._decided(entered), (0, levels - inside)))
            return torch.cat(blocks, dim=2).flip(2)

        shape = left.shape[0], height, width, levels
        return _below_each_other(map(strip, range(0, height, rows)), left.new_empty(shape))

    def _judge_fused(self, left: Tensor, right: Tensor, first: int, levels: int) -> Tensor:
        """Logits where convolutions see both views together: once for every disparity."""
        windows = _windows(right.permute(0, 2, 3, 1), first, levels)
        batch, _, height, width = left.shape
        at_once = max(1, 32 * _ITEMS // (batch * height * width))
        found = []
        for start in range(0, levels, at_once):
            shifted = windows[:, :, :, start : start + at_once].flip(2).permute(3, 0, 4, 1, 2)
            both = left.expand(len(shifted), -1, -1, -1, -1), shifted
            features = torch.cat(both, dim=2).flatten(0, 1)
            for convolution in self.joint:
                features = torch.relu(convolution(features))
            told = self._decided(self.decide[0](features.permute(0, 2, 3, 1)))
            found.append(told.reshape(-1, batch, height, width).permute(1, 2, 3, 0))
        return torch.cat(found, dim=3)

    def _decided(self, entered: Tensor) -> Tensor:
        """The decision network from its first layer's sums on. The authors' output is the
        probability of no match, so the logit of a match has the other sign."""
        for layer in self.decide[1:]:
            entered = layer(entered.relu_())  # sums made for this alone
        return -entered[..., 0]


def normalised(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Grey (ITU-R BT.601), each image with mean 0 and (sample) standard deviation 1."""
    weights = image.new_tensor(_LUMA).view(1, 3, 1, 1)
    gray = (image * weights).sum(dim=1, keepdim=True)
    spread, mean = torch.std_mean(gray, dim=(1, 2, 3), keepdim=True)
    return (gray - mean) / spread.clamp(min=_FLAT)


def continued(scores: Float[Tensor, "b k h w"], columns: int) -> Float[Tensor, "b k h w"]:
    """The last columns take the scores of the column before them, where both have one: patches
    there reach over the border, so the authors do not trust them."""
    width = scores.shape[-1]
    if not 0 < columns < width:
        return scores
    kept, last = scores[..., : width - columns], scores[..., width - columns :]
    whole = torch.isfinite(last) & torch.isfinite(kept[..., -1:])
    return torch.cat([kept, torch.where(whole, kept[..., -1:], last)], dim=-1)


def _convolutions(channels: int, features: int, count: int) -> list[nn.Module]:
    entering = [channels, *[features] * (count - 1)][:count]
    return [nn.Conv2d(c, features, 3, padding=1) for c in entering]


def _cosines(left: Tensor, right: Tensor, first: int, levels: int) -> Tensor:
    """Products of descriptions (b, h, w, k), strip by strip of rows."""
    before = max(-first, 0)
    # the right view's column x - first at x, and columns in front for what lies left of the first
    left = functional.pad(left, (before, 0))
    right = functional.pad(right, (max(first, 0), before))[..., : left.shape[-1]]
    width = left.shape[-1]
    rows = max(1, _ROW_ITEMS // (left.shape[0] * width * (width + levels)))
    height = left.shape[2]
    strips = (
        correlation(a, b, levels)[..., before:].permute(0, 2, 3, 1)
        for a, b in ((v[:, :, y : y + rows] for v in (left, right)) for y in range(0, height, rows))
    )
    shape = left.shape[0], height, width - before, levels
    return _below_each_other(strips, left.new_empty(shape))


def _below_each_other(strips: Iterable[Tensor], room: Tensor) -> Tensor:
    """Strips of rows as one; without gradients in `room`, so that the volume is held only once."""
    if torch.is_grad_enabled():
        return torch.cat(list(strips), dim=1)
    top = 0
    for strip in strips:
        room[:, top : top + strip.shape[1]] = strip
        top += strip.shape[1]
    return room


def _windows(values: Float[Tensor, "b h w c"], first: int, levels: int) -> Tensor:
    """values(x - first - k), (b, h, w, k, c), 0 outside, the last column x first: so it is a view
    and takes no memory of its own."""
    width = values.shape[2]
    before, after = max(first + levels - 1, 0), max(-first, 0)
    padded = functional.pad(values.flip(2), (0, 0, after, before))
    start = after + first  # where flipped pixel x - first of x = width - 1 lies
    framed = padded[:, :, start : start + width + levels - 1]
    return framed.unfold(2, levels, 1).transpose(3, 4)


def _outside(scores: Float[Tensor, "b h w k"], first: int) -> Tensor:
    """True where x - d is no column of the right image, (w, k)."""
    width, levels = scores.shape[2:]
    x = torch.arange(width, device=scores.device)[:, None]
    match = x - first - torch.arange(levels, device=scores.device)
    return (match < 0) | (match >= width)


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' names onto ours. A fully connected layer may come as 1x1 convolution.

    Raises `InputError` naming a tensor that is none of MC-CNN's.
    """
    found = {}
    for name, values in state.items():
        part, _, rest = name.partition(".")
        place, _, leaf = rest.partition(".")
        whole = part in ("features", "decision") and place.isdecimal() and int(place) % 2 == 0
        if not whole or leaf not in ("weight", "bias"):
            raise InputError(
                "is no tensor of MC-CNN", field=name,
                expected="features.N or decision.N with an even N, weight or bias",
                remedy="give a checkpoint of mc-cnn-fast or mc-cnn-accurate",
            )  # fmt: skip
        own = "tower" if part == "features" else "decide"
        if part == "decision":
            values = values.flatten(1) if leaf == "weight" else values.flatten()  # noqa: PLW2901
        found[f"{own}.{int(place) // 2}.{leaf}"] = values
    return found


def unconvert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names onto the authors', layers of the decision network as 1x1 convolutions.

    Raises `InputError` for a net of fused views, which the authors have not.
    """
    found = {}
    for name, values in state.items():
        part, place, leaf = name.split(".")
        if part == "joint":
            raise InputError("is no tensor of the authors' net", field=name, expected="late fusion")
        official = "features" if part == "tower" else "decision"
        wide = part == "decide" and leaf == "weight"
        found[f"{official}.{2 * int(place)}.{leaf}"] = values[..., None, None] if wide else values
    return found


def config_of(shapes: Mapping[str, tuple[int, ...]], file: PathLike) -> MCCNNConfig:
    """The net that tensors of these names and shapes are of, in a checkpoint of ours or alone.

    Raises `InputError` if they are of another net.
    """
    own = {name.removeprefix("net."): shape for name, shape in shapes.items()}

    def count(part: str) -> int:
        return sum(name.startswith(f"{part}.") and name.endswith(".weight") for name in own)

    apart, joint, judging = count("tower"), count("joint"), count("decide")
    name = "tower.0.weight" if apart else "joint.0.weight"
    shape, entering = own.get(name, ()), own.get("decide.0.weight", (384, 0))
    if len(shape) != 4 or judging == 1 or len(entering) != 2:
        raise InputError(
            "is missing or of another shape: weights of another net", file=file, field=name,
            expected="weights of mc-cnn-fast or mc-cnn-accurate",
        )  # fmt: skip
    fusion: Fusion = "late" if not joint else "middle" if apart else "early"
    return MCCNNConfig(apart + joint, shape[0], max(0, judging - 1), entering[0], fusion)


_LICENCES = dict.fromkeys(("kitti2012", "kitti2015"), "CC-BY-NC-SA-3.0") | {"middlebury": "unknown"}
_OFFICIAL = {"kitti2012": "kitti", "kitti2015": "kitti2015", "middlebury": "mb"}


def _record(kind: str, official: str, variant: str) -> Weights:
    file = f"net_{_OFFICIAL[variant]}_{official}_-a_train_all.t7"
    return Weights(
        name=f"mc-cnn-{kind}-{variant}",
        model=f"mc-cnn-{kind}",
        variant=f"trained on {variant}",
        licences=Licences(code="BSD-2-Clause", data=_LICENCES[variant]),
        source=f"authors' repository jzbontar/mc-cnn, README, 'Download trained networks': "
        f"{file} (Torch7, text)",
        url=f"https://s3.amazonaws.com/mc-cnn/{file}",  # as that README gives it
        settings={"variant": variant},
    )


WEIGHTS = tuple(
    _record(kind, official, variant)
    for kind, official in (("fast", "fast"), ("accurate", "slow"))
    for variant in VARIANTS
)


def mc_cnn_fast(variant: Variant = "kitti2015", max_disparity: int = 228) -> MCCNN:
    """The towers with the cosine: 4 layers of 64 maps for KITTI, 5 for Middlebury.

    Raises `UsageError` for an unknown variant.
    """
    return MCCNN(MCCNNConfig(_layers(variant), 64, max_disparity=max_disparity))


def mc_cnn_accurate(
    variant: Variant = "kitti2015", max_disparity: int = 228, fusion: Fusion = "late"
) -> MCCNN:
    """The towers with the decision network: 4 layers of 112 maps and 4 of 384 units for KITTI, 5
    and 3 for Middlebury. fusion: other than late is our own study, without published weights.

    Raises `UsageError` for an unknown variant or fusion.
    """
    layers = _layers(variant)
    return MCCNN(MCCNNConfig(layers, 112, 8 - layers, fusion=fusion, max_disparity=max_disparity))


def _layers(variant: str) -> int:
    if variant not in VARIANTS:
        raise unknown_name("variant of mc-cnn", str(variant), list(VARIANTS))
    return 5 if variant == "middlebury" else 4
