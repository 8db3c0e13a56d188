"""What is known of an image besides its colours, as weights of the losses that need no truth."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fathom.core.arrays import Float
from fathom.core.errors import UsageError


@dataclass(frozen=True, eq=False)
class Cues:
    """Maps of one view, all optional, of the images' size.

    semantic: (b, 1, h, w), a number for each class; a step of the disparity from one class to
    another costs `across` times as much. normals: (b, 3, h, w), unit vectors; a step costs
    exp(-bend |n - n'|) times as much, so that a surface may bend where the normals do. edges:
    (b, 1, h, w), 0..1 (0 no edge); a step costs exp(-sharpness * edge), the larger of both pixels'.
    trust: (b, 1, h, w), 0 or more: how much a pixel's photometric error counts (0 for sky, glass, a
    dynamic object).

    Raises `UsageError` for `across` outside 0..1, or a negative `bend` or `sharpness`.
    """

    semantic: Tensor | None = None
    normals: Tensor | None = None
    edges: Tensor | None = None
    trust: Tensor | None = None
    across: float = 0.0
    bend: float = 1.0
    sharpness: float = 10.0

    def __post_init__(self) -> None:
        most = {"across": 1.0, "bend": math.inf, "sharpness": math.inf}
        for name, largest in most.items():
            value = getattr(self, name)
            if not 0 <= value <= largest:
                raise UsageError(
                    "is out of range", field=name, value=value, expected=f"0..{largest:g}"
                )

    def step_weights(self, axis: int) -> Float[Tensor, "b 1 _h _w"] | None:
        """What a step between neighbours along `axis` (2 down, 3 across) costs; one row or column
        less than the maps have. None without a map that says something about it."""
        parts = []
        if self.semantic is not None:
            same = self.semantic.diff(dim=axis) == 0
            parts.append(torch.where(same, 1.0, self.across))
        if self.normals is not None:
            turn = self.normals.diff(dim=axis).square().sum(dim=1, keepdim=True)
            parts.append(torch.exp(-self.bend * turn.clamp(min=1e-12).sqrt()))
        if self.edges is not None:
            count = self.edges.shape[axis] - 1
            first, second = (self.edges.narrow(axis, i, count) for i in (0, 1))
            parts.append(torch.exp(-self.sharpness * torch.maximum(first, second)))
        return math.prod(parts[1:], start=parts[0]) if parts else None
