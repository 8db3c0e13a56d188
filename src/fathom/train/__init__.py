"""Training of stereo nets: settings, one visible loop, checkpoints that survive anything.

`Experiment`, `Validation` and `Pairs` are plain settings; torch is imported by the rest.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fathom.train.experiment import Experiment, Pairs, Validation
    from fathom.train.loop import TrainResult, train
    from fathom.train.objective import StereoLoss
    from fathom.train.self_supervised import StereoPhotometric, Unlabelled
    from fathom.train.taught import Taught, UnlabelledPairs
    from fathom.train.video import Video
    from fathom.train.video_loss import VideoLoss
    from fathom.train.video_validate import VideoValidation

__all__ = [
    "Experiment",
    "Pairs",
    "StereoLoss",
    "StereoPhotometric",
    "Taught",
    "TrainResult",
    "Unlabelled",
    "UnlabelledPairs",
    "Validation",
    "Video",
    "VideoLoss",
    "VideoValidation",
    "train",
]
_HOMES = {
    "Experiment": "experiment",
    "Pairs": "experiment",
    "StereoLoss": "objective",
    "StereoPhotometric": "self_supervised",
    "Taught": "taught",
    "TrainResult": "loop",
    "Unlabelled": "self_supervised",
    "UnlabelledPairs": "taught",
    "Validation": "experiment",
    "Video": "video",
    "VideoLoss": "video_loss",
    "VideoValidation": "video_validate",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    """The public names, resolved when they are first used."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'fathom.train' has no attribute {name!r}")
    return getattr(importlib.import_module(f"fathom.train.{_HOMES[name]}"), name)
