"""What nets that see one view give while they are trained, and losses between their features."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import InputError, UsageError

_AXES = 4


class MonoOutput(NamedTuple):
    """map: (b, 1, h, w), of the image's size: inverse depth up to scale and shift, depth in metres,
    or what else the experiment teaches. features: (b, c, h', w'), how the net's encoder describes
    the image, or None."""

    map: Tensor
    features: Tensor | None = None


def as_mono_output(given: Any) -> MonoOutput:
    """What a net gave, as a `MonoOutput` in float32; a map alone will do.

    Raises `InputError` for anything else.
    """
    parts = (given,) if isinstance(given, Tensor) else given
    if isinstance(parts, tuple) and 1 <= len(parts) <= len(MonoOutput._fields):
        out = MonoOutput(*parts)
        maps = [t for t in out if t is not None]
        if all(isinstance(t, Tensor) and t.ndim == _AXES for t in (out.map, *maps)):
            features = None if out.features is None else out.features.float()
            return MonoOutput(out.map.float(), features)
    raise InputError(
        "is no output of a net for one view", field="the net's output", value=type(given).__name__,
        expected="a MonoOutput: a map (b, 1, h, w), and features (b, c, h', w') or None",
    )  # fmt: skip


def feature_alignment(
    features: Float[Tensor, "b c h w"], frozen: Float[Tensor, "b c h w"], margin: float = 0.85
) -> Float[Tensor, ""]:
    """1 - the mean cosine of two descriptions of the same places, over those where it is at most
    `margin`; 0 where there is none. Nothing flows back into `frozen`.

    Yang et al., "Depth Anything", CVPR 2024, section 3.3: the frozen encoder describes the parts of
    one object alike, whose depths may differ, so places that are alike enough are left alone.

    Raises `UsageError` for a margin that no cosine can have.
    """
    if not -1 < margin <= 1:
        raise UsageError("is no cosine", field="margin", value=margin, expected="-1 < margin <= 1")
    alike = functional.cosine_similarity(features, frozen.detach(), dim=1)
    apart = alike <= margin
    kept = torch.where(apart, 1 - alike, torch.zeros_like(alike))
    return kept.sum() / apart.sum().clamp(min=1)
