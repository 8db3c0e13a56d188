"""PSMNet with 3-D spatial propagation: Cheng, Wang and Yang, "Learning Depth with Convolutional
Spatial Propagation Network", PAMI 2020, section on stereo matching.

1. PSMNet (see `psmnet.py`) scores disparities at a quarter of the size.
2. Scores are brought to half the size; a small net looks at the last ones and at the left image's
   descriptions, and says how each voxel depends on its 26 neighbours.
3. Along these affinities the scores flow, in space and over disparities (`CSPN3d`), where PSMNet
   only enlarges them linearly; the rest of the way they are enlarged, too.
4. Their softmax's mean is the disparity.

There is no reference of it: the authors published the operator alone. From the paper is the
propagation of score volumes with learned 3x3x3 affinities behind PSMNet's hourglasses. Ours: where
the affinities come from, that the three outputs of training share them, four steps at half the
size. The paper's pyramid pooling by propagation (CSPP, CSPF) is not here. Confidence as psmnet's.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from fathom.core.arrays import Float
from fathom.core.errors import UsageError
from fathom.layers.conv3d import Conv3d, ConvNorm3d
from fathom.layers.propagation import CSPN3d
from fathom.layers.stereo import StereoOutput, require_size
from fathom.layers.volume import enlarged_argmax
from fathom.nets.stereo.psmnet import PSMNet, PSMNetConfig
from fathom.published.frame import MEAN_COLOUR, Frame
from fathom.published.record import Weights


@dataclass(frozen=True)
class PSMNetCSPNConfig:
    """base: the network before it. steps: of the propagation. positive: affinities from 0 to 1 in
    place of -1 to 1. width: of the small net that gives them.

    Raises `UsageError` for sizes below 1.
    """

    base: PSMNetConfig = field(default_factory=PSMNetConfig)
    steps: int = 4
    positive: bool = False
    width: int = 16

    def __post_init__(self) -> None:
        if min(self.steps, self.width) < 1:
            raise UsageError(
                "is no net", field="PSMNetCSPNConfig", value=self, expected="sizes >= 1"
            )


class PSMNetCSPN(nn.Module):
    """left, right (b, 3, h, w), RGB in 0..255; gives disparities at full size: in training of all
    three hourglasses, the last one's first, else the last one's with a confidence.

    Raises `InputError` for sizes that the net cannot take.
    """

    def __init__(self, config: PSMNetCSPNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PSMNetCSPNConfig()
        c = config.width
        self.base = PSMNet(config.base)
        self.look = nn.Conv2d(config.base.width, c, 1)
        self.flow = CSPN3d(config.steps, positive=config.positive)
        self.guide = nn.Sequential(
            ConvNorm3d(c + 1, c), Conv3d(c, self.flow.channels, bias=True, up=True)
        )

    def forward(
        self, left: Float[Tensor, "b 3 h w"], right: Float[Tensor, "b 3 h w"]
    ) -> StereoOutput:
        """See the class."""
        base = self.config.base
        require_size(left, base.divisor, base.smallest)
        seen = self.base.described(left)
        scores = self.base.scored(seen, self.base.described(right))
        if not self.training:
            scores = scores[-1:]
        full = self.spread(torch.cat(scores, dim=1), seen)
        size = (base.max_disparity, left.shape[-2], left.shape[-1])
        read = [
            enlarged_argmax(one, size, align_corners=base.align_corners)
            for one in reversed(full.chunk(full.shape[1], dim=1))
        ]
        confidence = None if self.training else read[0][1]
        return StereoOutput(tuple(disparity for disparity, _ in read), confidence)

    def spread(
        self, scores: Float[Tensor, "b n k h w"], seen: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b n _k _h _w"]:
        """Scores at twice their size, propagated. The affinities follow from the last of them."""
        size = (scores.shape[2] * 2, scores.shape[3] * 2, scores.shape[4] * 2)
        fine = functional.interpolate(
            scores, size=size, mode="trilinear", align_corners=self.config.base.align_corners
        )
        look = self.look(seen)[:, :, None].expand(-1, -1, scores.shape[2], -1, -1)
        guidance = self.guide(torch.cat([scores[:, -1:], look], dim=1))
        out: Tensor = self.flow(fine, guidance)
        return out


WEIGHTS: tuple[Weights, ...] = ()
"""The authors have published none."""
FRAMES = {
    "psmnet-cspn": Frame(
        builder="psmnet_cspn",
        levels=192,
        step=16,
        divisor=16,
        smallest=256,
        place="above",
        border=MEAN_COLOUR,
        voxel_bytes=64,
    )
}
"""As PSMNet, which it is otherwise; the affinities are what takes memory."""


def psmnet_cspn(*, max_disparity: int = 192) -> PSMNetCSPN:
    """The network, untrained; see `PSMNetCSPNConfig`."""
    return PSMNetCSPN(PSMNetCSPNConfig(PSMNetConfig(max_disparity=max_disparity)))
