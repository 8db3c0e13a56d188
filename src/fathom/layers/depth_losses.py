"""Losses of nets that see one image: blind to scale, or to scale and shift.

`valid` as in `fathom.layers.losses`: the truth may hold anything elsewhere, every sample counts
alike, and one with too few valid pixels counts with 0.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from fathom.core.arrays import Float
from fathom.core.errors import UsageError, unknown_name
from fathom.layers.losses import Map, Mask, masked_mean

Invariant = Literal["mse", "robust"]
Form = Literal["eigen", "root", "zoedepth"]
_FLAT = 1e-6


def silog(
    depth: Map,
    truth: Map,
    valid: Mask,
    variance_focus: float = 0.5,
    factor: float = 1.0,
    form: Form = "root",
) -> Float[Tensor, ""]:
    """factor * sqrt(mean(g^2) - variance_focus * mean(g)^2) of g = log depth - log truth.

    depth, truth: metres > 0 where valid. variance_focus: 0 = all of a common factor counts, 1 =
    none. form: `eigen` without the root (Eigen et al., "Depth map prediction from a single image",
    NIPS 2014, eq. 4); `root` as Lee et al. (BTS, 2019) and Bhat et al. ("AdaBins", 2021, eq. 4)
    take it; `zoedepth` with the unbiased variance: sqrt(var(g) + (1 - variance_focus) mean(g)^2).
    Depth Anything V2's metric models: root, 0.5 and factor 1; ZoeDepth: zoedepth, 0.85 and 10, over
    all pixels of a batch at once (here every sample counts alike).

    Raises `UsageError` for a focus outside 0..1 or an unknown form.
    """
    if form not in get_args(Form):
        raise unknown_name("form", form, list(get_args(Form)))
    if not 0 <= variance_focus <= 1:
        raise UsageError(
            "is no share", field="variance_focus", value=variance_focus, expected="0..1"
        )
    one = torch.ones_like(depth)
    safe = torch.where(valid, depth, one).clamp(min=1e-6)
    g = safe.log() - torch.where(valid, truth.to(depth.dtype), one).clamp(min=1e-6).log()
    count = valid.sum(dim=(1, 2, 3)).clamp(min=1)
    square, mean = (v.sum(dim=(1, 2, 3)) / count for v in (g.square(), g))
    variance = square - mean.square()
    if form == "zoedepth":
        variance = variance * count / (count - 1).clamp(min=1)
    inside = variance + (1 - variance_focus) * mean.square()
    if form == "eigen":
        return factor * inside.mean()
    # the root has no slope at 0
    return factor * inside.clamp(min=1e-12).sqrt().mean()


def scale_and_shift_invariant(
    prediction: Map, truth: Map, valid: Mask, kind: Invariant = "robust", trim: float = 0.2
) -> Float[Tensor, ""]:
    """Half the mean residual after both were brought to one scale and shift, per sample.

    prediction, truth: inverse depth (or anything affine of it). `mse`: least squares brings the
    prediction to the truth; squared residuals. `robust`: both are centred by their median and
    scaled by their mean distance from it; absolute residuals, of which the share `trim`, the
    largest ones, do not count. Ranftl et al., "Towards robust monocular depth estimation", PAMI
    2022, eq. 3 to 7.

    Raises `UsageError` for an unknown kind or a share that is none.
    """
    if kind not in ("mse", "robust"):
        raise unknown_name("loss", kind, ["mse", "robust"])
    if not 0 <= trim < 1:
        raise UsageError("is no share", field="trim", value=trim, expected="0 or more, below 1")
    total = prediction.new_zeros(())
    for p, y, known in zip(prediction, truth, valid, strict=True):
        if int(known.sum()) < 2:
            continue
        mine, target = p[known], y[known].to(p.dtype)
        if kind == "mse":
            residual = (_fitted(mine, target) - target).square()
        else:
            residual = (_centred(mine) - _centred(target)).abs()
            kept = int((1 - trim) * residual.numel())
            residual = residual.sort().values[: max(kept, 1)]
        total = total + residual.sum() / (2 * target.numel())
    return total / len(prediction)


def affine_invariant(
    prediction: Map, truth: Map, valid: Mask, drop: float = 0.0
) -> Float[Tensor, ""]:
    """Mean |residual| after both were centred by their median and scaled by their mean distance
    from it: Depth Anything's loss, of inverse depth.

    Yang et al., "Depth Anything", CVPR 2024, eq. 1 to 3. drop: the share of a sample's pixels,
    those of the largest residuals, that are left out of the mean: 0.1 where the truth is another
    net's answer (Yang et al., "Depth Anything V2", NeurIPS 2024).

    Raises `UsageError` for a share that is none.
    """
    if not 0 <= drop < 1:
        raise UsageError("is no share", field="drop", value=drop, expected="0 or more, below 1")
    total = prediction.new_zeros(())
    for p, y, known in zip(prediction, truth, valid, strict=True):
        if int(known.sum()) >= 2:
            residual = (_centred(p[known]) - _centred(y[known].to(p.dtype))).abs()
            kept = max(1, round((1 - drop) * residual.numel()))
            total = total + residual.sort().values[:kept].mean()
    return total / len(prediction)


def gradient_matching(
    prediction: Map, truth: Map, valid: Mask, scales: int = 4
) -> Float[Tensor, ""]:
    """Mean |dx R| + |dy R| of the residual R of both maps, centred and scaled as in
    `scale_and_shift_invariant`, summed over `scales` halvings of the size (every second pixel).

    It keeps edges sharp and in place. Ranftl et al., PAMI 2022, eq. 11; Li and Snavely,
    "MegaDepth", CVPR 2018.

    Raises `UsageError` for less than one scale.
    """
    if scales < 1:
        raise UsageError("is no number of scales", field="scales", value=scales, expected=">= 1")
    residual = torch.zeros_like(prediction)
    enough = valid & (valid.sum(dim=(1, 2, 3), keepdim=True) >= 2)
    for i, known in enumerate(enough):
        if known.any():
            mine, target = _centred(prediction[i][known]), _centred(truth[i][known])
            residual[i] = residual[i].masked_scatter(known, mine - target.to(mine.dtype))
    total = prediction.new_zeros(())
    for k in range(scales):
        r, known = residual[..., :: 2**k, :: 2**k], enough[..., :: 2**k, :: 2**k]
        across = known[..., 1:] & known[..., :-1]
        down = known[..., 1:, :] & known[..., :-1, :]
        steps = (
            masked_sum((r[..., 1:] - r[..., :-1]).abs(), across),
            masked_sum((r[..., 1:, :] - r[..., :-1, :]).abs(), down),
        )
        count = known.sum(dim=(1, 2, 3)).clamp(min=1)
        total = total + ((steps[0] + steps[1]) / count).mean()
    return total


def scale_invariant_gradient(
    prediction: Map, truth: Map, valid: Mask, spacings: Sequence[int] = (1, 2, 4, 8, 16)
) -> Float[Tensor, ""]:
    """Mean |g(prediction) - g(truth)| (Euclidean), summed over the spacings h, of the pairs g = (g
    across, g down), g(x) = (f(x + h) - f(x)) / (|f(x + h)| + |f(x)|): blind to a common factor.

    prediction, truth: depth, inverse depth or disparity. A pixel counts where it and both
    neighbours are valid; a spacing that the map does not hold counts with 0. Ummenhofer et al.,
    "DeMoN", CVPR 2017, eq. 6 and 7, who sum over the pixels.

    Raises `UsageError` for a spacing below 1 or none.
    """
    if not spacings or min(spacings) < 1:
        raise UsageError(
            "are no spacings", field="spacings", value=tuple(spacings), expected="pixels >= 1"
        )
    one = torch.ones_like(prediction)
    maps = [torch.where(valid, m.to(prediction.dtype), one) for m in (prediction, truth)]
    total = prediction.new_zeros(())
    for h in spacings:
        if min(prediction.shape[-2:]) <= h:
            continue
        parts = []
        for f in maps:
            here, right, below = f[..., :-h, :-h], f[..., :-h, h:], f[..., h:, :-h]
            around = [(g - here) / (g.abs() + here.abs()).clamp(min=_FLAT) for g in (right, below)]
            parts.append(torch.stack(around))
        known = valid[..., :-h, :-h] & valid[..., :-h, h:] & valid[..., h:, :-h]
        # the root has no slope at 0
        apart = (parts[0] - parts[1]).square().sum(dim=0).clamp(min=_FLAT**2).sqrt()
        total = total + masked_mean(apart, known)
    return total


def masked_sum(values: Map, valid: Mask) -> Float[Tensor, " b"]:
    """Sum over the valid pixels of each sample."""
    return torch.where(valid, values, torch.zeros_like(values)).sum(dim=(1, 2, 3))


def relative_error(depth: Map, truth: Map, valid: Mask) -> Float[Tensor, ""]:
    """Mean |depth - truth| / truth (AbsRel)."""
    safe = torch.where(valid, truth.to(depth.dtype), torch.ones_like(depth))
    return masked_mean((torch.where(valid, depth, safe) - safe).abs() / safe, valid)


def _fitted(values: Tensor, target: Tensor) -> Tensor:
    """scale * values + shift of least squares."""
    v = values - values.mean()
    scale = (v * (target - target.mean())).sum() / v.square().sum().clamp(min=_FLAT)
    return scale * v + target.mean()


def _centred(values: Tensor) -> Tensor:
    """Without its median, divided by the mean distance from it."""
    away = values - values.median()
    return away / away.abs().mean().clamp(min=_FLAT)
