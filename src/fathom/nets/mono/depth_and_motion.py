"""What Monodepth2 trains together: the net of one image's depth and the net of two images' motion.

Godard et al., ICCV 2019, section 3.1; the nets are in `nets/mono/monodepth2.py`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.reprojection import rigid
from fathom.nets.mono.monodepth2 import Monodepth2, PoseCNN, PoseNet


class MotionOutput(NamedTuple):
    """sigmoids: of inverse depth, (b, 1, h_i, w_i), finest first, see `monodepth2.depth_of`.
    motions: T (b, n, 4, 4) with X_neighbour = T X for each neighbour; its translations are in the
    unit of the depth."""

    sigmoids: tuple[Tensor, ...]
    motions: Float[Tensor, "b n 4 4"]


class DepthAndMotion(nn.Module):
    """An image (b, 3, h, w) and its neighbours in time (b, n, 3, h, w), RGB in 0..255, to a
    `MotionOutput`.

    depth: the net of the depth. motion: the net of the motion, None without neighbours. offsets:
    how many frames after the image each neighbour was taken, negative before it. The motion's net
    always sees the earlier frame first; for a neighbour that comes before, its answer is inverted.

    Raises `UsageError` for neighbours without a net of the motion.
    """

    def __init__(
        self,
        depth: Monodepth2,
        motion: PoseNet | PoseCNN | None,
        offsets: tuple[int, ...] = (-1, 1),
    ) -> None:
        super().__init__()
        if offsets and motion is None:
            raise UsageError(
                "need a net of the motion", field="offsets", value=offsets, expected="a PoseNet"
            )
        self.depth = depth
        self.motion = motion
        self.offsets = offsets
        self.config = depth.config

    def forward(
        self, image: Float[Tensor, "b 3 h w"], neighbours: Float[Tensor, "b n 3 h w"]
    ) -> MotionOutput:
        """See the class. Raises `InputError` for a size that the net of the depth does not take."""
        sigmoids = self.depth(image)
        if self.motion is None:
            return MotionOutput(sigmoids, image.new_zeros(len(image), 0, 4, 4))
        first, second = [], []
        for n, offset in enumerate(self.offsets):
            pair = (neighbours[:, n], image) if offset < 0 else (image, neighbours[:, n])
            first.append(pair[0])
            second.append(pair[1])
        turns, shifts = self.motion(torch.cat(first), torch.cat(second))
        motions = [
            rigid(turn, shift, inverse=offset < 0)
            for turn, shift, offset in zip(
                turns.float().chunk(len(self.offsets)),
                shifts.float().chunk(len(self.offsets)),
                self.offsets,
                strict=True,
            )
        ]
        return MotionOutput(sigmoids, torch.stack(motions, dim=1))


def parts(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a trained `DepthAndMotion` as those of its two nets, depth and motion."""
    depth, motion = (
        {k.removeprefix(p): v for k, v in state.items() if k.startswith(p)}
        for p in ("depth.", "motion.")
    )
    return depth, motion
