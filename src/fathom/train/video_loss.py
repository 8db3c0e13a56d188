"""What Monodepth2 minimises: the frames, seen from each other's place by depth and motion."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.errors import UsageError
from fathom.layers.losses import edge_aware_smoothness
from fathom.layers.photometric_distance import Distance
from fathom.layers.reprojection import least_error, seen_after
from fathom.layers.resample import to_size
from fathom.nets.mono.depth_and_motion import MotionOutput
from fathom.nets.mono.monodepth2 import depth_of
from fathom.train.video import FrameBatch

Views = tuple[Tensor, Tensor, Tensor]
"""An image (b, 3, h, w), its sources (b, n, 3, h, w), and the intrinsics (b, 3, 3)."""
_LARGE = 1 << 20
"""Numbers of the sources from which on errors are made once more for the gradient: what SSIM would
keep of each size is some 25 times as much."""


@dataclass(frozen=True)
class VideoLoss:
    """Mean over the net's sizes of: the least photometric error over the sources at full size, and
    `smoothness` / 2^s times the edge-aware smoothness of the inverse depth, divided by its mean, at
    size s. Godard et al., ICCV 2019, eq. 3 to 7.

    distance: between a warped source and the image. minimum: over the sources; else their mean.
    automask: pixels that the sources fit better as they are do not count. full_size: inverse depth
    is enlarged before it warps; else every size is judged at its own. noise: see `least_error`.

    Raises `UsageError` for weights below 0.
    """

    distance: Callable[[Tensor, Tensor], Tensor] = field(default_factory=Distance)
    smoothness: float = 1e-3
    minimum: bool = True
    automask: bool = True
    full_size: bool = True
    noise: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("smoothness", "noise"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    "is no weight", field=name, value=getattr(self, name), expected="0 or more"
                )

    def __call__(self, output: MotionOutput, batch: FrameBatch) -> dict[str, Tensor]:
        """The terms by name; their sum is what is minimised."""
        motions = torch.cat([output.motions, batch.fixed], dim=1)
        views = (batch.image, batch.sources, batch.intrinsics)
        still = self._still(views) if self.full_size else None
        photometric = smoothness = batch.image.new_zeros(())
        for s, sigmoid in enumerate(output.sigmoids):
            size = (sigmoid.shape[-2], sigmoid.shape[-1])
            small = _reduced(views, size)
            steps = edge_aware_smoothness(sigmoid, small[0])
            smoothness = smoothness + self.smoothness / 2**s * steps
            if self.full_size:
                whole = to_size(sigmoid, (batch.image.shape[-2], batch.image.shape[-1]))
                error = self._photometric(whole, motions, views, still)
            else:
                error = self._photometric(sigmoid, motions, small, self._still(small))
            photometric = photometric + error
        count = len(output.sigmoids)
        return {"photometric": photometric / count, "smoothness": smoothness / count}

    def _still(self, views: Views) -> Tensor | None:
        """The errors (b, n, h, w) of the sources as they are."""
        if not self.automask:
            return None
        with torch.no_grad():
            return self._errors(views[1], views[0])

    def _errors(self, sources: Tensor, image: Tensor) -> Tensor:
        """Of sources (b, n, 3, h, w) against the image; their mean, if no minimum is taken."""
        wanted = image[:, None].expand_as(sources).flatten(0, 1)
        found = self.distance(sources.flatten(0, 1), wanted)
        found = found.reshape(*sources.shape[:2], *image.shape[-2:])
        return found if self.minimum else found.mean(dim=1, keepdim=True)

    def _photometric(
        self, sigmoid: Tensor, motions: Tensor, views: Views, still: Tensor | None
    ) -> Tensor:
        image, sources, intrinsics = views
        depth = depth_of(sigmoid)
        if sources.numel() >= _LARGE:
            errors = self._sparing(depth, motions, views)
        else:
            seen = [
                seen_after(sources[:, n], depth, intrinsics, motions[:, n])[0]
                for n in range(sources.shape[1])
            ]
            errors = self._errors(torch.stack(seen, dim=1), image)
        return least_error(errors, still, self.noise)[0].mean()

    def _sparing(self, depth: Tensor, motions: Tensor, views: Views) -> Tensor:
        """The warped sources' errors, one source after the other and once more for the gradient:
        more time, less memory."""
        from torch.utils.checkpoint import checkpoint

        image, sources, intrinsics = views

        def error(source: Tensor, motion: Tensor) -> Tensor:
            return self.distance(seen_after(source, depth, intrinsics, motion)[0], image)

        found = [
            checkpoint(error, sources[:, n], motions[:, n], use_reentrant=False)
            for n in range(sources.shape[1])
        ]
        errors = torch.cat(found, dim=1)
        return errors if self.minimum else errors.mean(dim=1, keepdim=True)


def _reduced(views: Views, size: tuple[int, int]) -> Views:
    """Image, sources and intrinsics at (height, width)."""
    image, sources, intrinsics = views
    old = image.shape[-2:]
    if old == size:
        return views
    small = functional.interpolate(image, size, mode="area")
    others = functional.interpolate(sources.flatten(0, 1), size, mode="area")
    y, x = (new / before for new, before in zip(size, old, strict=True))
    # The corner of the top-left pixel stays where it is, see `Camera.scaled`.
    scale = intrinsics.new_tensor([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return small, others.reshape(*sources.shape[:3], *size), scale @ intrinsics
