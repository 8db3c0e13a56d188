"""Training of stereo nets: settings, one visible loop, checkpoints that survive anything.

`Experiment`, `Validation` and `Pairs` are plain settings; torch is imported by the rest.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fathom.train.experiment import Experiment, Pairs, Validation
    from fathom.train.loop import TrainResult, train
    from fathom.train.objective import StereoLoss
    from fathom.train.taught import Taught, UnlabelledPairs

__all__ = [
    "Experiment",
    "Pairs",
    "StereoLoss",
    "Taught",
    "TrainResult",
    "UnlabelledPairs",
    "Validation",
    "train",
]
_HOMES = {
    "Experiment": "experiment",
    "Pairs": "experiment",
    "StereoLoss": "objective",
    "Taught": "taught",
    "TrainResult": "loop",
    "UnlabelledPairs": "taught",
    "Validation": "experiment",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    """The public names, resolved when they are first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'fathom.train' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fathom.train.{_HOMES[name]}"), name)
