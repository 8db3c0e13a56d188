"""The nets behind the shipped models, built and loaded strictly: by name, or from their weights."""

from collections.abc import Callable, Mapping

from torch import Tensor

from fathom.core.errors import InputError, unknown_name
from fathom.io.files import PathLike
from fathom.layers.state import load_state, read_tensors
from fathom.nets.stereo.evidence import EvidenceConfig, EvidenceNet, fathom_s, sgm_refined
from fathom.weights import WEIGHTS, shipped

BUILDERS: dict[str, Callable[[], EvidenceNet]] = {"fathom-s": fathom_s, "sgm-refined": sgm_refined}
"""Name in the catalog -> its net, untrained."""


def net_of(name: str, weights: PathLike | None = None) -> EvidenceNet:
    """The net of that name with its shipped weights, or with those of a file; for inference.

    Raises `UsageError` with close matches for an unknown name, `InputError` for weights that are
    missing, truncated, of another hash or another net's, `MissingExtraError` without safetensors.
    """
    if name not in BUILDERS:
        raise unknown_name("learned model", name, list(BUILDERS))
    file = shipped(name).file(WEIGHTS) if weights is None else weights
    tensors, _ = read_tensors(file)
    net = BUILDERS[name]()
    load_state(net, tensors, file)
    return net.eval()


def net_of_weights(tensors: Mapping[str, Tensor], file: PathLike) -> EvidenceNet:
    """The net that these weights belong to, of whatever widths, loaded strictly; for inference.

    file: where they came from, for errors. Raises `InputError` if they are no such net's.
    """
    net = EvidenceNet(_config(tensors, file))
    load_state(net, tensors, file)
    return net.eval()


def _config(tensors: Mapping[str, Tensor], file: PathLike) -> EvidenceConfig:
    """The sizes that the weights' own shapes tell."""

    def size(name: str, axis: int) -> int:
        if name not in tensors or tensors[name].ndim <= axis:
            raise InputError(
                "is missing: weights of no net that fathom knows",
                file=file,
                field=name,
                expected=f"weights of {' or '.join(BUILDERS)}",
                remedy="give weights that `fathom train` made of one of these",
            )
        return int(tensors[name].shape[axis])

    widths = [size("enter.0.weight", 0)]
    while (name := f"unet.down.{len(widths) - 1}.0.0.weight") in tensors:
        widths.append(size(name, 0))
    return EvidenceConfig(
        matching="descriptor.weight" in tensors,
        levels=size("scores.weight", 0),
        features=size("tower.0.0.weight", 0),
        widths=tuple(widths),
        detail=size("decide.weight", 1),
    )
