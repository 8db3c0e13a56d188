"""Losses of stereo nets, as functions of predictions, truth and the mask of its known pixels.

`valid` says where the truth is known; the truth may hold anything, NaN included, elsewhere. A mean
is taken over the valid pixels of each sample and then over the samples, so that every pair counts
alike, sparse or dense, and the mean over processes of equal batches is that of the whole batch.
A sample without a valid pixel counts with 0 and sends no gradient.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Bool, Float
from fathom.core.errors import UsageError
from fathom.layers.cues import Cues
from fathom.layers.resample import to_size
from fathom.layers.volume import soft_histogram

Map = Float[Tensor, "b 1 h w"]
Mask = Bool[Tensor, "b 1 h w"]
_LEAST_LOG_SCALE = -5.0  # a scale of 0.007 px: below it exp(-s) only amplifies noise


def masked_mean(values: Map, valid: Mask) -> Float[Tensor, ""]:
    """Mean over the valid pixels of each sample, then over all samples; 0 where none is valid."""
    zero = torch.zeros_like(values)
    sums = torch.where(valid, values, zero).sum(dim=(1, 2, 3))
    return (sums / valid.sum(dim=(1, 2, 3)).clamp(min=1)).mean()


def errors(disparity: Map, truth: Map, valid: Mask) -> Map:
    """disparity - truth in pixels, 0 (with gradient 0) where not valid.

    Both sides are masked before they are subtracted: the gradient of anything that follows is the
    incoming one times a number, and 0 times NaN would be NaN.
    """
    zero = torch.zeros_like(disparity)
    return torch.where(valid, disparity, zero) - torch.where(valid, truth.to(zero.dtype), zero)


@dataclass(frozen=True)
class ErrorLaw:
    """What a pixel costs: Huber's e^2 / (2 beta) where |e| < beta, else |e| - beta / 2.

    most: bound of it; pixels farther off do not pull at all. log: e is the difference of ln(1 + d)
    and not of d, so that an error counts by its share of the disparity, and large disparities do
    not rule the sum; below 0 that goes on as a line. beta and most are in units of e. threshold: a
    pixel counts only where |d - truth| is beyond so many pixels; softness: the width in pixels of a
    sigmoid for that step, through which gradients flow; 0: the step itself, which sends none.

    Together with the weights of `law_loss` these are the general form of supervised losses,
    C H(.) D(Phi(d), Phi(truth)), of Laga et al., "A Survey on Deep Learning Techniques for
    Stereo-based Depth Estimation", TPAMI 2020 (training, supervised). There the step H judges the
    confidence (`trust_weights`); that of the error is the measure bad-threshold with a slope.

    Raises `UsageError` for a `beta` that is not positive or negative others.
    """

    beta: float = 1.0
    most: float = math.inf
    log: bool = False
    threshold: float = 0.0
    softness: float = 0.0

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise UsageError("is not positive", field="beta", value=self.beta, expected="> 0")
        for name in ("threshold", "softness"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UsageError("is no width", field=name, value=value, expected="pixels >= 0")

    def __call__(self, disparity: Map, truth: Map, valid: Mask) -> Map:
        """Of each pixel; 0, with gradient 0, where not valid."""
        e = off = errors(disparity, truth, valid)
        if self.log:
            zero = torch.zeros_like(disparity)
            held = torch.where(valid, disparity, zero), torch.where(valid, truth.to(zero), zero)
            e = log_disparity(held[0]) - log_disparity(held[1])
        loss = functional.smooth_l1_loss(e, torch.zeros_like(e), reduction="none", beta=self.beta)
        loss = loss.clamp(max=self.most)
        if self.threshold:
            loss = loss * _beyond(off.abs(), self.threshold, self.softness)
        return loss


def log_disparity(disparity: Tensor) -> Tensor:
    """ln(1 + d); d itself below 0, where nets may err: value and slope go on."""
    return torch.where(disparity > 0, torch.log1p(disparity.clamp(min=0)), disparity)


def _beyond(off: Tensor, threshold: float, softness: float) -> Tensor:
    """1 where `off` is beyond the threshold, else 0, or a sigmoid of that width."""
    if softness:
        return torch.sigmoid((off - threshold) / softness)
    return (off > threshold).to(off)


def trust_weights(confidence: Map, least: float = 0.0) -> Map:
    """sigmoid(confidence) where that is at least `least`, else 0, as weights of pixels.

    No gradient flows: to say 0 everywhere would be the cheapest answer. confidence: logits.

    Raises `UsageError` for `least` outside 0 .. 1.
    """
    if not 0 <= least <= 1:
        raise UsageError("is no probability", field="least", value=least, expected="0..1")
    sure = torch.sigmoid(confidence.detach())
    return torch.where(sure >= least, sure, torch.zeros_like(sure))


def law_loss(
    disparities: Sequence[Tensor],
    truth: Map,
    valid: Mask,
    weights: Sequence[float],
    law: ErrorLaw,
    trust: Map | None = None,
) -> Float[Tensor, ""]:
    """Sum over the outputs of weight times the mean of the law times `trust`.

    Coarse outputs are enlarged to the truth's size first (Chang and Chen, "PSMNet", CVPR 2018,
    eq. 2 and 3). weights: of each output, finest first; the last one is repeated. trust: of each
    pixel; the mean is over all valid ones, however little they are trusted.

    Raises `UsageError` without outputs or weights.
    """
    _require(disparities, weights)
    total = truth.new_zeros(())
    for i, disparity in enumerate(disparities):
        loss = law(to_size(disparity, _size(truth)), truth, valid)
        if trust is not None:
            loss = torch.where(valid, trust, torch.zeros_like(trust)) * loss
        total = total + _nth(weights, i) * masked_mean(loss, valid)
    return total


def smooth_l1(
    disparities: Sequence[Tensor],
    truth: Map,
    valid: Mask,
    weights: Sequence[float] = (1.0,),
    beta: float = 1.0,
    most: float = math.inf,
) -> Float[Tensor, ""]:
    """`law_loss` of `ErrorLaw(beta, most)`.

    Raises `UsageError` without outputs or weights, or for a `beta` that is not positive.
    """
    return law_loss(disparities, truth, valid, weights, ErrorLaw(beta, most))


def sequence_loss(
    disparities: Sequence[Tensor], truth: Map, valid: Mask, gamma: float = 0.9
) -> Float[Tensor, ""]:
    """Sum over the iterations i = 1..N of gamma^(N - i) mean |d_i - truth|.

    Lipson et al., "RAFT-Stereo", 3DV 2021, eq. 3. The last iteration comes first here. Their code
    takes gamma^(15 / (N - 1)) for gamma, so that the first iteration weighs the same for any N.

    Raises `UsageError` without outputs, or for a gamma outside 0 < gamma <= 1.
    """
    if not 0 < gamma <= 1:
        raise UsageError("is out of range", field="gamma", value=gamma, expected="0 < gamma <= 1")
    _require(disparities, (1.0,))
    total = truth.new_zeros(())
    for i, disparity in enumerate(disparities):
        e = errors(to_size(disparity, _size(truth)), truth, valid)
        total = total + gamma**i * masked_mean(e.abs(), valid)
    return total


def reduce_truth(
    truth: Map, valid: Mask, size: tuple[int, int], spread: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The truth at a coarser (height, width) that divides its size, and where it is known there.

    Each cell takes the mean of its valid pixels. Cells without any, and cells whose valid pixels
    span more than `spread` pixels of disparity, are unknown: a mean of two surfaces is on neither.
    Values stay in pixels of the full image.

    Raises `UsageError` for a size that does not divide the truth's.
    """
    height, width = _size(truth)
    if height % size[0] or width % size[1]:
        raise UsageError(
            "does not divide the truth's size",
            field="output size",
            value=f"{size[1]}x{size[0]}",
            expected=f"a divisor of {width}x{height}",
        )
    cell = (height // size[0], width // size[1])
    known = valid.to(truth.dtype)
    plain = torch.where(valid, truth, torch.zeros_like(truth))
    count = functional.avg_pool2d(known, cell)
    mean = functional.avg_pool2d(plain, cell) / count.clamp(min=1e-6)
    far = torch.full_like(truth, torch.inf)
    high = functional.max_pool2d(torch.where(valid, truth, -far), cell)
    low = -functional.max_pool2d(-torch.where(valid, truth, far), cell)
    return mean, (count > 0) & (high - low <= spread)


def multi_scale_loss(
    disparities: Sequence[Tensor],
    truth: Map,
    valid: Mask,
    weights: Sequence[float] = (1.0,),
    beta: float = 1.0,
) -> Float[Tensor, ""]:
    """As `smooth_l1`, but each output is judged at its own size against the truth reduced to it.

    Mayer et al., CVPR 2016 (DispNet), section 5, with `reduce_truth` for sparse truth and edges.

    Raises `UsageError` as `smooth_l1` and `reduce_truth` do.
    """
    _require(disparities, weights)
    total = truth.new_zeros(())
    for i, disparity in enumerate(disparities):
        small, known = reduce_truth(truth, valid, _size(disparity))
        total = total + _nth(weights, i) * smooth_l1((disparity,), small, known, beta=beta)
    return total


def edge_aware_smoothness(
    disparity: Map,
    image: Float[Tensor, "b 3 h w"],
    *,
    order: int = 1,
    edge: float = 1.0,
    relative: bool = True,
    cues: Cues | None = None,
) -> Float[Tensor, ""]:
    """Mean of |dx d| exp(-edge |dx I|) + |dy d| exp(-edge |dy I|), needing no truth.

    Godard et al., "Monodepth", CVPR 2017, eq. 3; |dI| is the mean over the channels. image: RGB in
    0..255, taken as 0..1. relative: the disparity is divided by its mean as in "Monodepth2" (ICCV
    2019, eq. 3), so that shrinking everything does not pay. order: 2 takes the disparity's second
    differences, which slanted planes do not have, and of the two steps that each spans the larger
    one of the image. cues: what else makes steps cheap.

    Raises `UsageError` for another order.
    """
    if order not in (1, 2):
        raise UsageError("is no order", field="order", value=order, expected="1 or 2")
    d = disparity
    if relative:
        d = d / d.mean(dim=(2, 3), keepdim=True).clamp(min=1e-3)
    rgb = image / 255
    total = disparity.new_zeros(())
    for axis in (2, 3):
        bend = d.diff(n=order, dim=axis).abs()
        if bend.numel() == 0:
            continue
        weight = torch.exp(-edge * rgb.diff(dim=axis).abs().mean(1, keepdim=True))
        known = None if cues is None else cues.step_weights(axis)
        weight = weight if known is None else weight * known
        if order == 2:
            count = weight.shape[axis] - 1
            weight = torch.minimum(weight.narrow(axis, 0, count), weight.narrow(axis, 1, count))
        total = total + (bend * weight).mean()
    return total


def confidence_loss(
    logits: Map, disparity: Map, truth: Map, valid: Mask, threshold: float = 1.0
) -> Float[Tensor, ""]:
    """Binary cross entropy of sigmoid(logits) against |disparity - truth| <= threshold (pixels).

    Its minimum is the true probability, so the confidence is calibrated on what it is trained on.
    Nothing flows back into the disparity: confidence must not be had by avoiding hard pixels.
    """
    good = errors(disparity.detach(), truth, valid).abs() <= threshold
    plain = torch.where(valid, logits, torch.zeros_like(logits))
    loss = functional.binary_cross_entropy_with_logits(plain, good.to(plain), reduction="none")
    return masked_mean(loss, valid)


def score_loss(scores: Float[Tensor, "b k _h _w"], truth: Map, valid: Mask) -> Float[Tensor, ""]:
    """Cross entropy of the softmax over coarse levels against the histogram of the true disparities
    in each cell.

    Level k is the disparity k s, s = H / h the size of a cell; a pixel counts for both levels next
    to it, by nearness. Where a cell holds two surfaces the target has two peaks. Cells without a
    valid pixel within the levels do not count. Of larger cells every second row and column counts,
    which is a quarter of the work. After Zbontar and LeCun, JMLR 2016 (section 3) and
    Tulyakov et al., "PDS", NeurIPS 2018, eq. 4, with the cell's histogram for their kernel.
    """
    size = truth.shape[-1] // scores.shape[-1]
    every = 2 if size % 2 == 0 else 1
    plain = torch.where(valid, truth, torch.zeros_like(truth))
    cells = [
        functional.pixel_unshuffle(t[..., ::every, ::every], size // every)
        for t in (plain, valid.to(truth.dtype))
    ]
    target = soft_histogram(cells[0] / size, cells[1], scores.shape[1])
    total = target.sum(dim=1, keepdim=True)
    known = total > 0
    target = target / total.clamp(min=1e-6)
    loss = -(target * scores.log_softmax(dim=1)).sum(dim=1, keepdim=True)
    return masked_mean(loss, known)


def laplace_nll(disparity: Map, log_scale: Map, truth: Map, valid: Mask) -> Float[Tensor, ""]:
    """Mean of |e| / b + ln(2 b): minus the log-likelihood of Laplace's law with scale b in pixels.

    log_scale: ln b, held at -5 from below. Ilg et al., "Uncertainty Estimates and Multi-Hypotheses
    Networks for Optical Flow", ECCV 2018, eq. 3. P(|e| <= 1) = 1 - exp(-1 / b).
    """
    s = torch.where(valid, log_scale, torch.zeros_like(log_scale)).clamp(min=_LEAST_LOG_SCALE)
    ln2 = 0.6931471805599453
    return masked_mean(errors(disparity, truth, valid).abs() * torch.exp(-s) + s + ln2, valid)


def measured(disparity: Map, truth: Map, valid: Mask) -> tuple[Tensor, Tensor, Tensor]:
    """Sums over all valid pixels, for a progress line: |error|, errors > 2 px, pixels.

    NaN counts as wrong, and makes the sum of errors NaN.
    """
    e = errors(disparity.detach(), truth, valid).abs()
    return e.sum(), (~(e <= 2) & valid).sum(), valid.sum()


def _size(values: Tensor) -> tuple[int, int]:
    return values.shape[-2], values.shape[-1]


def _nth(weights: Sequence[float], i: int) -> float:
    return weights[min(i, len(weights) - 1)]


def _require(disparities: Sequence[Tensor], weights: Sequence[float]) -> None:
    if not disparities:
        raise UsageError("the net gave no disparity", field="disparities", expected="one or more")
    if not weights:
        raise UsageError("is empty", field="weights", expected="a weight for each output")
