"""Published nets as they are exported: with their weights, one range, and their frame."""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fathom.catalog import Entry
from fathom.combine.converted import checked, file_of
from fathom.combine.networks import extended, frame_of
from fathom.core.arrays import Array
from fathom.core.errors import UsageError
from fathom.core.pair import StereoPair
from fathom.layers.stereo import as_output
from fathom.nets.adapter import load_net
from fathom.published.frame import Frame

_HOMES = {
    "fathom.combine.networks:Network": None,
    "fathom.combine.raft_stereo:RaftStereo": "raft_stereo",
}
"""Estimators of nets that give a disparity in one call -> the net's file, if no preset says it."""
_REASONS = {
    "fathom.combine.mc_cnn:MCCNN": "gives matching costs: semi-global matching and refinement, "
    "which make a disparity of them, are no part of the net",
    "fathom.combine.bi3d:Bi3DSteps": "calls its net as often as there are planes: no graph of a "
    "fixed form does that",
    "fathom.combine.monodepth2:Monodepth2": "sees one image: only nets of pairs are exported",
    "fathom.combine.bi3d:Bi3DSelective": "has planes that every call chooses anew: no graph of a "
    "fixed form has them",
}


@dataclass(frozen=True, eq=False)
class Published:
    """A published net to be exported.

    net: in evaluation mode, on the CPU. model: its name in the catalog. module: its file in
    `fathom.nets.stereo`. frame: how it wants its images. levels: the disparities it searches, None
    for a net without a range. settings: what its builder was called with. about: licence and
    training data, as far as the weights tell.
    """

    net: nn.Module
    model: str
    module: str
    frame: Frame
    levels: int | None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    about: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def inputs_of(self, pair: StereoPair) -> dict[str, Array]:
        """`left` and `right` (1, 3, h, w) of a pair, framed as its estimator does."""
        size = self.frame.size(*pair.shape)
        return {
            name: np.ascontiguousarray(extended(image, size, self.frame).transpose(2, 0, 1)[None])
            for name, image in (("left", pair.left.rgb8), ("right", pair.right.rgb8))
        }

    def answers(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """What the net gives for them in torch: `disparity`, and `confidence` where it has one."""
        with torch.inference_mode():
            found = as_output(self.net(*(torch.from_numpy(inputs[n]) for n in ("left", "right"))))
        out = {"disparity": found.disparities[0].numpy()}
        if found.confidence is not None:
            out["confidence"] = torch.sigmoid(found.confidence).numpy()
        return out

    def notes(self) -> dict[str, str]:
        """What the file says of how the net wants its images."""
        border = self.frame.border
        told = {
            "fathom.divisor": str(self.frame.divisor),
            "fathom.smallest": str(self.frame.smallest),
            "fathom.place": self.frame.place,
            "fathom.border": border if isinstance(border, str) else " ".join(map(str, border)),
        }
        if self.levels is not None:
            told["fathom.max_disparity"] = str(self.levels)
        if "iterations" in self.settings:
            told["fathom.iterations"] = str(self.settings["iterations"])
        return told


class Exported(nn.Module):
    """The net as the graph has it: its finest disparity and, if it has one, its confidence."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, ...]:
        """left, right: as of the net."""
        found = as_output(self.net(left, right))
        finest = found.disparities[0]
        if found.confidence is None:
            return (finest,)
        return finest, torch.sigmoid(found.confidence)


def published(
    entry: Entry,
    weights: str | None = None,
    max_disparity: int | None = None,
    iterations: int | None = None,
) -> Published:
    """The net of an entry with converted weights (a file, or the name they are kept under).

    max_disparity: the one range that the file will have, rounded up as the net needs; default: the
    published one. iterations: of nets that move the disparity again and again.

    Raises `UsageError` for an entry that is no such net, or has not what was asked for;
    `InputError` for weights that are missing, damaged or another net's.
    """
    module = exportable(entry)
    frame = frame_of(entry.name, module)
    levels = _levels(entry.name, frame, max_disparity)
    if iterations is not None and "iterations" not in frame.options:
        raise UsageError(
            f"{entry.name} has no such parameter",
            field="iterations", value=iterations, remedy="leave it out",
        )  # fmt: skip
    file, _ = file_of(entry.weights, weights)
    kept = checked(file, entry.weights)
    settings = {k: v for k, v in kept.settings.items() if k != "max_disparity"}
    if entry.name == "raft-stereo":  # its weights tell, also those of a training, which say nothing
        told = importlib.import_module("fathom.nets.stereo.raft_stereo").config_of(
            {name.removeprefix("net.") for name in kept.shapes}
        )
        settings = {"shared_backbone": told.shared_backbone, "context_norm": told.context_norm}
    if iterations is not None:
        settings["iterations"] = iterations
    if frame.step is not None:
        settings["max_disparity"] = levels
    net = load_net(built(module, frame, settings), file, torch.device("cpu"))
    licences = kept.about.get("licences")
    licences = licences if isinstance(licences, dict) else {}
    about = {"licence": str(licences.get("weights") or entry.licence)}
    about["trained_on"] = str(licences.get("data") or "unknown")
    return Published(net, entry.name, module, frame, levels, settings, about)


def exportable(entry: Entry) -> str:
    """The file of the entry's net. Raises `UsageError` if it has none that can be exported."""
    module = dict(entry.preset).get("module", _HOMES.get(entry.target))
    if entry.target not in _HOMES or not isinstance(module, str):
        raise UsageError(
            f"{entry.name} {_REASONS.get(entry.target, 'is no net')}",
            field="model",
            remedy="export a net that gives a disparity by itself; `fathom models` lists them",
        )
    return module


def built(module: str, frame: Frame, settings: Mapping[str, Any]) -> nn.Module:
    """The net, untrained, in evaluation mode."""
    home = importlib.import_module(f"fathom.nets.stereo.{module}")
    net: nn.Module = getattr(home, frame.builder)(**settings)
    return net.eval()


def _levels(model: str, frame: Frame, wanted: int | None) -> int | None:
    if frame.levels is None and wanted is not None:
        raise UsageError(
            f"{model} has no range", field="max_disparity", value=wanted, remedy="leave it out"
        )
    if wanted is not None and wanted < 1:
        raise UsageError("is too small", field="max_disparity", value=wanted, expected="1 or more")
    return frame.levels if wanted is None else frame.searched(wanted)
