"""Losses of tile hypotheses: HITNet's, on the disparities of whole tiles, slants and confidences.

Tankovich et al., "HITNet", CVPR 2021, section 4. `valid` says where the truth is known, as in
`fathom.layers.losses`; means are taken as there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Bool, Float
from fathom.core.errors import UsageError
from fathom.layers.losses import errors, masked_mean
from fathom.layers.stereo import StereoOutput
from fathom.layers.tiles import expanded, repeated

Map = Float[Tensor, "b 1 h w"]
Mask = Bool[Tensor, "b 1 h w"]
_BESIDE = 1.5  # pixels from the truth within which a disparity is no wrong one


class LevelCosts(NamedTuple):
    """Costs (b, k, h, w) of a tile's disparities 0 .. k - 1, in pixels of which `scale` make one of
    the full image's width and height each."""

    costs: Tensor
    scale: int


class Tiles(NamedTuple):
    """Planes (b, 3, h, w) (see `fathom.layers.tiles`) of `side` x `side` pixels, each of which is
    scale x scale pixels of the full image. sure: a logit-like number (b, 1, h, w) to choose between
    hypotheses, or None. alone: whether no other hypothesis competes with this one anywhere."""

    planes: Tensor
    side: int
    scale: int
    sure: Tensor | None
    alone: bool


class TileTrace(NamedTuple):
    """All that `TileLoss` judges: the `StereoOutput.inner` of a net of tiles."""

    costs: tuple[LevelCosts, ...]
    tiles: tuple[Tiles, ...]


@runtime_checkable
class _Taught(Protocol):
    """What a `fathom.train` batch has of it."""

    @property
    def truth(self) -> Tensor: ...

    @property
    def valid(self) -> Tensor: ...


@dataclass(frozen=True)
class TileLoss:
    """HITNet's loss of a `StereoOutput` with a `TileTrace`.

    shape, width: of the robust loss (its alpha and c). reach: errors of competing hypotheses count
    up to this (A); None: all as they are. slant: tiles nearer than this to the truth are taught
    their slants (B). sure, unsure: a hypothesis nearer than the first should be sure, one farther
    than the second should not (C1, C2). wrong: how many of the best wrong disparities are pushed
    away at the start. All distances in pixels. The defaults are those for Scene Flow; KITTI's are
    `shape` 0.8, `width` 0.5 and `wrong` 3.

    Raises `UsageError` for numbers that are not positive.
    """

    shape: float = 0.9
    width: float = 0.1
    reach: float | None = 1.0
    slant: float = 1.0
    sure: float = 1.0
    unsure: float = 1.5
    wrong: int = 1

    def __post_init__(self) -> None:
        for name in ("shape", "width", "slant", "sure", "unsure", "wrong"):
            if not getattr(self, name) > 0:
                raise UsageError(
                    "is not positive", field=name, value=getattr(self, name), expected="> 0"
                )

    def __call__(self, output: StereoOutput, batch: _Taught) -> Mapping[str, Tensor]:
        """The terms by name; their sum is what is minimised.

        Raises `UsageError` if the net gave no trace: in evaluation mode, or not of this kind.
        """
        trace = output.inner
        if not isinstance(trace, TileTrace):
            raise UsageError(
                "gives no tiles", field="the net's output", value=type(trace).__name__,
                expected="a TileTrace, as HITNet gives in training mode",
            )  # fmt: skip
        truth, valid = batch.truth, batch.valid
        zero = truth.new_zeros(())
        terms = dict.fromkeys(("start", "disparity", "slant", "confidence"), zero)
        for costs, scale in trace.costs:
            coarse = reduced(truth, valid, truth.shape[-1] // costs.shape[-1])
            terms["start"] = terms["start"] + start_loss(
                costs.float(), coarse[0] / scale, coarse[1], self.wrong
            )
        slants, known = fitted_slants(truth, valid)
        for tiles in trace.tiles:
            points = tiles.side * tiles.scale
            planes = tiles.planes.float()
            off = errors(expanded(planes, points, 1 / tiles.scale) * tiles.scale, truth, valid)
            reach = None if tiles.alone else self.reach
            lost = robust(
                off.abs() if reach is None else off.abs().clamp(max=reach), self.shape, self.width
            )
            terms["disparity"] = terms["disparity"] + masked_mean(lost, valid)
            near = valid & known & (off.detach().abs() < self.slant)
            terms["slant"] = terms["slant"] + slant_loss(
                repeated(planes[:, 1:], points), slants, near, valid
            )
            if tiles.sure is not None:
                sure = repeated(tiles.sure.float(), points)
                terms["confidence"] = terms["confidence"] + choice_loss(
                    sure, off, valid, self.sure, self.unsure
                )
        return terms


def start_loss(
    costs: Float[Tensor, "b k h w"], truth: Map, valid: Mask, wrong: int = 1
) -> Float[Tensor, ""]:
    """Mean of cost(truth) + max(0, 1 - cost(w)), w being the cheapest disparity that is more than
    1.5 levels off, or the mean over the `wrong` cheapest ones. HITNet, section 4.1.

    truth: in levels, linear between them; tiles whose truth is none of them do not count.
    """
    levels = costs.shape[1]
    plain = torch.where(valid, truth, torch.zeros_like(truth))
    inside = valid & (plain >= 0) & (plain <= levels - 1)
    plain = plain.clamp(0, levels - 1)
    low = plain.floor()
    share = plain - low
    pair = [costs.gather(1, (low.long() + i).clamp(max=levels - 1)) for i in (0, 1)]
    right = (1 - share) * pair[0] + share * pair[1]
    steps = torch.arange(levels, device=costs.device, dtype=plain.dtype).view(1, -1, 1, 1)
    far = (steps - plain).abs() > _BESIDE
    others = torch.where(far, costs, torch.full_like(costs, torch.inf))
    cheapest = others.topk(min(wrong, levels), dim=1, largest=False).values
    hinge = functional.relu(1 - cheapest).mean(dim=1, keepdim=True)
    return masked_mean(right + hinge, inside)


def robust(x: Tensor, shape: float, width: float) -> Tensor:
    """|a - 2| / a ((x^2 / c^2 / |a - 2| + 1)^(a / 2) - 1) for a = shape, c = width: parabola within
    c, beyond it the steeper the larger a. Barron, "A General and Adaptive Robust Loss Function",
    CVPR 2019, eq. 1, for 0 < a < 2."""
    b = abs(shape - 2)
    return (b / shape) * (((x / width).square() / b + 1) ** (shape / 2) - 1)


def slant_loss(
    slants: Float[Tensor, "b 2 h w"], truth: Float[Tensor, "b 2 h w"], near: Mask, valid: Mask
) -> Float[Tensor, ""]:
    """Mean over the valid pixels of the absolute error of both slants, 0 where not `near`."""
    zero = torch.zeros_like(slants)
    off = torch.where(near, slants, zero) - torch.where(near, truth, zero)
    return masked_mean(off.abs().sum(dim=1, keepdim=True), valid)


def choice_loss(sure: Map, off: Map, valid: Mask, near: float, far: float) -> Float[Tensor, ""]:
    """Mean of max(0, 1 - sure) where the error is below `near` and max(0, sure) where it is above
    `far`. Nothing flows into the error. HITNet, section 4.2."""
    size = off.detach().abs()
    zero = torch.zeros_like(sure)
    good = torch.where(size < near, functional.relu(1 - sure), zero)
    return masked_mean(good + torch.where(size > far, functional.relu(sure), zero), valid)


def reduced(truth: Map, valid: Mask, cell: int) -> tuple[Tensor, Tensor]:
    """The largest valid truth of each cell x cell pixels, and where there is one."""
    lowest = torch.full_like(truth, -torch.inf)
    most = functional.max_pool2d(torch.where(valid, truth, lowest), cell)
    known = torch.isfinite(most)
    return torch.where(known, most, torch.zeros_like(most)), known


@torch.no_grad()
def fitted_slants(
    truth: Map, valid: Mask, radius: int = 4, spread: float = 4.0, near: float = 1.0
) -> tuple[Float[Tensor, "b 2 h w"], Mask]:
    """What the truth gains from pixel to pixel in x and y, and where that is known: the slants of
    a plane fitted to the window of 2 radius + 1 pixels around each.

    Twice by least squares: to what differs from the middle by at most `spread`, then to what lies
    within `near` of that plane. The paper fits "robustly" in 9 x 9 pixels and does not say how.
    """
    plain = torch.where(valid, truth, torch.zeros_like(truth))
    fit = torch.zeros_like(plain).expand(-1, 3, -1, -1)
    known = valid
    for most in (spread, near):
        fit, known = _fitted(plain, valid, fit, radius, most)
    return fit[:, 1:], known & valid


def _fitted(
    truth: Tensor, valid: Tensor, plane: Tensor, radius: int, most: float
) -> tuple[Tensor, Tensor]:
    """Planes through what lies within `most` of the given ones, relative to the middle's truth."""
    height, width = truth.shape[-2:]
    room = (radius,) * 4
    framed, framed_valid = functional.pad(truth, room), functional.pad(valid, room)
    x = torch.arange(-radius, radius + 1, device=truth.device, dtype=truth.dtype).view(1, -1, 1, 1)
    sums = truth.new_zeros((9, *truth.shape))
    for y in range(-radius, radius + 1):  # a row of the window at a time
        rows = slice(radius + y, radius + y + height)
        row = framed[:, 0, rows].unfold(2, width, 1).transpose(1, 2)
        row_valid = framed_valid[:, 0, rows].unfold(2, width, 1).transpose(1, 2)
        gain = row - truth
        off = gain - (plane[:, :1] + x * plane[:, 1:2] + y * plane[:, 2:])
        w = (row_valid & (off.abs() <= most)).to(truth.dtype)
        n, sx, sd = (t.sum(dim=1, keepdim=True) for t in (w, x * w, w * gain))
        sxx, sxd = (t.sum(dim=1, keepdim=True) for t in (x * x * w, x * w * gain))
        sums += torch.stack([n, sx, y * n, sxx, y * sx, y * y * n, sd, sxd, y * sd])
    n, sx, sy, sxx, sxy, syy, sd, sxd, syd = sums
    count = n.clamp(min=1)
    cxx, cxy, cyy = sxx - sx * sx / count, sxy - sx * sy / count, syy - sy * sy / count
    cxd, cyd = sxd - sx * sd / count, syd - sy * sd / count
    area = cxx * cyy - cxy * cxy
    known = area > 0.5  # of whole pixels: 0 where they lie on one line, else 1 / 3 n or more
    area = torch.where(known, area, torch.ones_like(area))
    a, b = (cxd * cyy - cyd * cxy) / area, (cyd * cxx - cxd * cxy) / area
    return torch.cat([(sd - a * sx - b * sy) / count, a, b], dim=1), known
