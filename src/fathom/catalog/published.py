"""The published stereo networks, whose weights are their authors' and must be converted."""

from collections.abc import Mapping
from types import MappingProxyType

from fathom.catalog.record import Entry, Parameter

_OWN: Mapping[str, Parameter] = MappingProxyType(
    {"iterations": None, "align_corners": False, "variant": None}
)
"""What only some published nets have, with the value it has for all others."""


_BI3D = "Apache-2.0; weights: NVIDIA Source Code License, non-commercial"
_AANET = "Apache-2.0; weights: not stated; its authors claim patents, research only"


def _network(
    name: str,
    module: str,
    summary: str,
    *,
    licence: str = "Apache-2.0; weights: not stated",
    own: tuple[str, ...] = (),
    confidence: bool = True,
) -> Entry:
    """A published net of the file `fathom/nets/stereo/<module>.py`. own: parameters of `_OWN` that
    it has. confidence: whether it gives a distribution over disparities."""
    hidden = tuple(item for item in _OWN.items() if item[0] not in own)
    # the mirror's confidence, which stands in, is calibrated as it is
    hidden += () if confidence else (("calibrated", True),)
    return Entry(
        name,
        "fathom.combine.networks:Network",
        "stereo",
        summary,
        extra="torch",
        licence=licence,
        weights=name,
        confidence=confidence,
        preset=(("model", name), ("module", module), *hidden),
        converted=True,
    )


NETWORKS = (
    _network(
        "psmnet",
        "psmnet",
        "PSMNet (CVPR 2018): pyramid pooling and stacked 3-D hourglasses; its authors' weights",
        own=("align_corners",),
    ),
    _network(
        "psmnet-basic",
        "psmnet",
        "PSMNet with plain 3-D convolutions: the paper's baseline; weights of your own training",
        licence="Apache-2.0",
        own=("align_corners",),
    ),
    _network(
        "psmnet-cspn",
        "psmnet_cspn",
        "PSMNet whose scores propagate in 3-D (PAMI 2020): weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "gc-net",
        "gc_net",
        "GC-Net (ICCV 2017): the first 3-D net with soft argmin; weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "ssmnet",
        "ssmnet",
        "SsSMnet (2017): learns without truth, from the very pairs; weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "gwcnet",
        "gwcnet",
        "GwcNet (CVPR 2019): channels compared in groups, 3-D hourglasses; its authors' weights",
    ),
    _network(
        "gwcnet-g",
        "gwcnet",
        "GwcNet without concatenated channels: weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "aanet",
        "aanet",
        "AANet (CVPR 2020): 2-D convolutions that choose their places; its authors' weights",
        licence=_AANET,
        own=("align_corners",),
        confidence=False,
    ),
    _network(
        "aanet-plus",
        "aanet",
        "AANet+: the same with hourglasses: better, and hardly slower; its authors' weights",
        licence=_AANET,
        own=("align_corners",),
        confidence=False,
    ),
    _network(
        "aanet-gcnet",
        "aanet_gcnet",
        "GC-Net as AANet's authors rebuilt it, without biases: weights of your own training",
        licence="Apache-2.0",
    ),
    _network(
        "hitnet",
        "hitnet",
        "HITNet (CVPR 2021): slanted tiles moved and refined, no volume kept; converted weights",
        confidence=False,
    ),
    _network(
        "hitnet-xl",
        "hitnet",
        "HITNet-XL: the same with more channels: the authors' large net for Scene Flow",
        confidence=False,
    ),
    _network(
        "hitnet-kitti",
        "hitnet",
        "HITNet with five levels, as for KITTI: tiles compete; weights of your own training",
        licence="Apache-2.0",
        confidence=False,
    ),
    _network(
        "bi3d",
        "bi3d",
        "Bi3D (CVPR 2020): sums binary answers to planes, 3-D regularised; its authors' weights",
        licence=_BI3D,
    ),
    _network(
        "bi3d-2d",
        "bi3d",
        "Bi3D without the 3-D net: its authors' weights",
        licence=_BI3D,
    ),
    Entry(
        "bi3d-binary",
        "fathom.combine.bi3d:Bi3DSteps",
        "stereo",
        "Bi3D's single answer: nearer than this plane? One pass; see fathom nearer",
        extra="torch",
        licence=_BI3D,
        weights="bi3d-binary",
        converted=True,
        preset=(("model", "bi3d-binary"),),
    ),
    Entry(
        "bi3d-quantized",
        "fathom.combine.bi3d:Bi3DSteps",
        "stereo",
        "Bi3D's depth in steps between a few planes, one pass each; weights of bi3d-binary",
        extra="torch",
        licence=_BI3D,
        weights="bi3d-binary",
        converted=True,
        preset=(("model", "bi3d-quantized"),),
    ),
    Entry(
        "bi3d-selective",
        "fathom.combine.bi3d:Bi3DSelective",
        "stereo",
        "Bi3D within a selected range, nearer or farther elsewhere; weights of bi3d-2d",
        extra="torch",
        licence=_BI3D,
        weights="bi3d-2d",
        converted=True,
    ),
    _network(
        "coex",
        "coex",
        "CoEx (IROS 2021): light, its volume gated by the image's features; its authors' weights",
        own=("variant",),
    ),
    _network(
        "fast-acvnet",
        "fast_acvnet",
        "Fast-ACVNet (TPAMI 2023): attention picks 24 disparities a pixel; its authors' weights",
    ),
    _network(
        "fast-acvnet-plus",
        "fast_acvnet",
        "Fast-ACVNet+: the same with attention from a quarter of the size; its authors' weights",
    ),
    _network(
        "lightstereo",
        "lightstereo",
        "LightStereo-S (ICRA 2025): disparities as channels, 2-D nets do; its authors' weights",
    ),
    _network(
        "lightstereo-m",
        "lightstereo",
        "LightStereo-M: the same with more blocks; its authors' weights",
    ),
    Entry(
        "raft-stereo",
        "fathom.combine.raft_stereo:RaftStereo",
        "stereo",
        "RAFT-Stereo (3DV 2021): recurrent updates, no largest disparity; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="raft-stereo",
        converted=True,
        preset=(("model", "raft-stereo"),),
    ),
    Entry(
        "raft-stereo-realtime",
        "fathom.combine.raft_stereo:RaftStereo",
        "stereo",
        "RAFT-Stereo's fast variant: an eighth of the size, seven updates; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="raft-stereo-realtime",
        converted=True,
        preset=(("model", "raft-stereo-realtime"),),
    ),
    _network(
        "igev",
        "igev",
        "IGEV-Stereo (CVPR 2023): a volume's answer, then recurrent updates; its authors' weights",
        own=("iterations",),
    ),
    _network(
        "crestereo",
        "crestereo",
        "CREStereo (CVPR 2022): a cascade of updates from half the size on; minds rows less",
        own=("iterations", "variant"),
        confidence=False,
    ),
    Entry(
        "mc-cnn-fast",
        "fathom.combine.mc_cnn:MCCNN",
        "stereo",
        "MC-CNN (JMLR 2016): learned patches, then semi-global matching; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="mc-cnn-fast",
        converted=True,
        preset=(("model", "mc-cnn-fast"),),
    ),
    Entry(
        "mc-cnn-accurate",
        "fathom.combine.mc_cnn:MCCNN",
        "stereo",
        "MC-CNN with its decision network: minutes a pair without a GPU; its authors' weights",
        extra="torch",
        licence="Apache-2.0; weights: not stated",
        weights="mc-cnn-accurate",
        converted=True,
        preset=(("model", "mc-cnn-accurate"),),
    ),
)
