"""Every published net narrowed so that it can be exported in seconds: the same operations in the
same order, with few channels, blocks and iterations."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

import fathom.nets.stereo as home
from fathom.export.published import Published
from fathom.published.frame import Frame

_PSM = {"max_disparity": 32, "width": 8, "blocks": (1, 1, 1, 1), "pools": (8, 4, 2, 1)}
_AANET = {"max_disparity": 48, "width": 8, "blocks": (1, 1, 1), "modules": 2, "deformable": 1}
_ACV = {"max_disparity": 32, "hypotheses": 8, "groups": 4, "described": 4, "blocks": 1}
_PLANES = {"width": 6, "pools": (4, 2), "widths": (8, 12), "canvas": 16}
_BI3D = {"max_disparity": 48, "correcting": 4, "volume_width": 2}
_RAFT = {"widths": (8, 12, 16), "hidden": 16, "matched": 16, "iterations": 2}
_HITNET = {
    "max_disparity": 16,
    "widths": (8, 8, 8, 8, 8),
    "moving": (1,),
    "refining": (8, 8, 8),
    "dilations": ((1,), (2,), (1,)),
}
_GWC = {"max_disparity": 32, "groups": 10, "width": 4, "blocks": (1, 1, 1, 1)}


def _bi3d(home: Any, **settings: Any) -> Any:
    return home.Bi3D(home.Bi3DConfig(**settings, classifying=home.Classifying(**_PLANES)))


def _cspn(home: Any) -> Any:
    return home.PSMNetCSPN(home.PSMNetCSPNConfig(home.PSMNetConfig(**_PSM), width=4))


def _made(kind: str, **settings: Any) -> Callable[[Any], Any]:
    """home -> its net of that name, with its config of those settings."""
    return lambda home: getattr(home, kind)(getattr(home, f"{kind}Config")(**settings))


NETS: Mapping[str, tuple[Callable[[Any], Any], Mapping[str, Any]]] = {
    "psmnet": (_made("PSMNet", **_PSM), {"levels": 32, "smallest": 32}),
    "psmnet-basic": (_made("PSMNet", **_PSM, stacked=False), {"levels": 32, "smallest": 32}),
    "psmnet-cspn": (_cspn, {"levels": 32, "smallest": 32}),
    "gc-net": (_made("GCNet", max_disparity=32, width=8, blocks=1), {"levels": 32}),
    "ssmnet": (_made("SsSMnet", max_disparity=32, width=8, blocks=1), {"levels": 32}),
    "gwcnet": (_made("GwcNet", **_GWC, concat=2), {"levels": 32}),
    "aanet": (_made("AANet", **_AANET), {"levels": 48}),
    "aanet-plus": (_made("AANet", **_AANET, plus=True), {"levels": 48}),
    "aanet-gcnet": (_made("AANetGCNet", max_disparity=32, width=4, blocks=1), {"levels": 32}),
    "hitnet": (_made("HITNet", **_HITNET), {"levels": 16, "divisor": 16}),
    "hitnet-kitti": (_made("HITNet", **_HITNET, levels=2), {"levels": 16, "divisor": 32}),
    "bi3d": (lambda home: _bi3d(home, **_BI3D), {"levels": 48, "divisor": 48, "smallest": 48}),
    "bi3d-2d": (
        lambda home: _bi3d(home, **_BI3D, regularised=False),
        {"levels": 48, "divisor": 12, "smallest": 12},
    ),
    "coex": (
        _made("CoEx", max_disparity=32, widths=(4, 8, 8, 8), described=8, blocks=1),
        {"levels": 32},
    ),
    "fast-acvnet": (_made("FastACVNet", **_ACV), {"levels": 32}),
    "fast-acvnet-plus": (_made("FastACVNet", **_ACV, plus=True), {"levels": 32}),
    "lightstereo": (
        _made("LightStereo", max_disparity=32, aggregation=(1, 1, 1), expansion=2, blocks=1),
        {"levels": 32},
    ),
    "igev": (
        _made(
            "IGEV",
            max_disparity=32,
            iterations=2,
            radius=2,
            hidden=16,
            widths=(8, 12, 16),
            blocks=1,
        ),
        {"levels": 32},
    ),
    "crestereo": (
        _made("CREStereo", iterations=2, stages=2, widths=(8, 12, 16), hidden=16, heads=2),
        {},
    ),
    "raft-stereo": (_made("RaftStereo", **_RAFT), {}),
    "raft-stereo-realtime": (
        _made("RaftStereo", **_RAFT, downsample=3, layers=2, slow_fast=True, shared_backbone=True),
        {},
    ),
}
"""Name -> what makes the net of its module, and how its frame differs."""
ALIKE = {"gwcnet-g": "gwcnet", "hitnet-xl": "hitnet", "lightstereo-m": "lightstereo"}
"""The same operations as another net's."""


def filled(net: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Weights as after some training: no normalisation is the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_mean"):
                value.normal_(0, 0.1, generator=generator)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=generator)
    return net.eval()


def frames() -> dict[str, tuple[str, Frame]]:
    """Name -> module and frame of every net in the files of `fathom.nets.stereo`."""
    found = {}
    for item in pkgutil.iter_modules(home.__path__):
        module = importlib.import_module(f"{home.__name__}.{item.name}")
        for name, frame in getattr(module, "FRAMES", {}).items():
            found[name] = (item.name, frame)
    return found


def subject(name: str) -> Published:
    """The narrow net of that name with random weights, ready to be exported."""
    make, own = NETS[name]
    module, whole = frames()[name]
    frame = replace(whole, **own)
    torch.manual_seed(0)
    net = filled(make(importlib.import_module(f"fathom.nets.stereo.{module}")))
    for head in getattr(getattr(net, "base", net), "heads", ()):
        if isinstance(head, torch.nn.Sequential):  # so large that the softmax would take one level
            head[1].weight.data /= 30
    settings = {"iterations": 2} if "iterations" in frame.options else {}
    return Published(net, name, module, frame, frame.levels, settings)
