"""How unlike two images are, pixel by pixel: what photometric losses measure by.

A distance is any function of two images, each (b, 3, h, w), RGB in 0..255, that gives a map
(b, 1, h, w), 0 where both are alike. `Distance` has the usual ones by name, `Mixed` adds several.
Colours are taken as 0..1. The gradient flows into the first image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError, unknown_name
from fathom.layers.resample import to_size

Image = Float[Tensor, "b c h w"]
Map = Float[Tensor, "b 1 h w"]
Kind = Literal["sad", "ssim", "census", "features", "gradient"]
_C1, _C2 = 0.01**2, 0.03**2  # of SSIM, for colours in 0..1
_SOFT = 0.81  # grey values squared: steps far below 0.9 grey values count as none
_TERNARY = 0.1


def ssim_distance(first: Image, second: Image) -> Image:
    """(1 - SSIM) / 2 of each channel, 0..1; colours in 0..1.

    Means and variances are plain means over 3x3 pixels, the border mirrored. Wang et al., "Image
    Quality Assessment", TIP 2004, eq. 13, as Godard et al., "Monodepth2", ICCV 2019, take it.

    Raises `UsageError` for images of less than 2 pixels a side, which cannot be mirrored.
    """
    if min(first.shape[-2:]) < 2:
        raise UsageError(
            "is too small for SSIM",
            field="image",
            value=f"{first.shape[-1]}x{first.shape[-2]}",
            expected="2x2 pixels or more",
        )

    def mean(values: Tensor) -> Tensor:  # sums of shifted images: a third of avg_pool2d's time
        x = functional.pad(values, (1, 1, 1, 1), mode="reflect")
        x = x[..., :-2] + x[..., 1:-1] + x[..., 2:]
        return (x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]) / 9

    m, n = mean(first), mean(second)
    spread = mean(first.square()) - m.square() + mean(second.square()) - n.square()
    common = mean(first * second) - m * n
    above = (2 * m * n + _C1) * (2 * common + _C2)
    below = (m.square() + n.square() + _C1) * (spread + _C2)
    return ((1 - above / below) / 2).clamp(0, 1)


def census_distance(first: Image, second: Image, radius: int = 3) -> Map:
    """Share of a window's pixels that stand otherwise to its middle, softly, 0..1.

    Grey values 0..255; a neighbour's difference t becomes t / sqrt(0.81 + t^2), which is nearly
    -1, 0 or 1, and two such differ by e^2 / (0.1 + e^2). Meister et al., "UnFlow", AAAI 2018,
    section 3.2, who take 7x7 pixels; here the mean over the neighbours, the border repeated.
    """
    size = 2 * radius + 1
    framed = [
        functional.pad(255 * image.mean(dim=1, keepdim=True), (radius,) * 4, mode="replicate")
        for image in (first, second)
    ]
    height, width = first.shape[-2:]
    total = torch.zeros_like(first[:, :1])
    for i in range(size * size):
        y, x = divmod(i, size)
        if (y, x) == (radius, radius):
            continue
        signs = []
        for grey in framed:
            middle = grey[..., radius : radius + height, radius : radius + width]
            t = grey[..., y : y + height, x : x + width] - middle
            signs.append(t / (_SOFT + t.square()).sqrt())
        e = (signs[0] - signs[1]).square()
        total = total + e / (_TERNARY + e)
    return total / (size * size - 1)


def gradient_distance(first: Image, second: Image) -> Map:
    """Mean over the channels of |dx e| + |dy e|, e = first - second; a step from a pixel to its
    right or lower neighbour, none from the last one."""
    e = first - second
    across = functional.pad(e.diff(dim=3).abs(), (0, 1, 0, 0))
    down = functional.pad(e.diff(dim=2).abs(), (0, 0, 0, 1))
    return (across + down).mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class Distance:
    """A distance by name.

    kind: `sad`, the mean absolute difference of the channels; `ssim`, alpha (1 - SSIM) / 2 +
    (1 - alpha) sad (Godard et al., "Monodepth", CVPR 2017, eq. 2); `census`, which minds neither
    gain nor offset; `gradient`, of the images' steps; `features`, the mean absolute difference of
    what `features` makes of both images, (b, 3, h, w) in 0..255 -> (b, c, h', w'), brought to the
    image's size. radius: of the census window in pixels.

    Raises `UsageError` for an unknown kind, an alpha outside 0..1, a radius below 1, or `features`
    missing where they are asked for.
    """

    kind: Kind = "ssim"
    alpha: float = 0.85
    radius: int = 3
    features: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise unknown_name("distance", self.kind, list(get_args(Kind)))
        if not 0 <= self.alpha <= 1:
            raise UsageError("is no share", field="alpha", value=self.alpha, expected="0..1")
        if self.radius < 1:
            raise UsageError("is no radius", field="radius", value=self.radius, expected=">= 1")
        if (self.kind == "features") != (self.features is not None):
            raise UsageError(
                "do not go together",
                field="kind, features",
                value=(self.kind, self.features),
                expected="a function with kind='features', and none otherwise",
            )

    def __call__(self, seen: Image, target: Image) -> Map:
        """seen: what was warped. target: what it should look like; takes no gradient in features.

        Raises `UsageError` for images too small for SSIM.
        """
        if self.features is not None:
            with torch.no_grad():
                wanted = self.features(target)
            e = (self.features(seen) - wanted).abs().mean(dim=1, keepdim=True)
            return to_size(e, (seen.shape[-2], seen.shape[-1]))
        seen, target = seen / 255, target / 255
        if self.kind == "census":
            return census_distance(seen, target, self.radius)
        if self.kind == "gradient":
            return gradient_distance(seen, target)
        sad = (seen - target).abs().mean(dim=1, keepdim=True)
        if self.kind == "sad":
            return sad
        alike = ssim_distance(seen, target).mean(dim=1, keepdim=True)
        return self.alpha * alike + (1 - self.alpha) * sad


@dataclass(frozen=True)
class Mixed:
    """The weighted sum of distances: `Mixed(((0.85, Distance("ssim")), (0.1, ...)))`.

    Raises `UsageError` without parts or for a negative weight.
    """

    parts: tuple[tuple[float, Callable[[Tensor, Tensor], Tensor]], ...]

    def __post_init__(self) -> None:
        if not self.parts or not all(weight >= 0 for weight, _ in self.parts):
            raise UsageError(
                "are no parts of a distance",
                field="parts",
                value=self.parts,
                expected="one or more of (weight >= 0, distance)",
            )

    def __call__(self, seen: Image, target: Image) -> Map:
        """As `Distance`."""
        total = torch.zeros_like(seen[:, :1])
        for weight, distance in self.parts:
            total = total + weight * distance(seen, target)
        return total
