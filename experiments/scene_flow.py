"""Scene Flow for the recipes of recurrent nets, and what they show of it."""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

from fathom.data.augment import AugmentSettings, augment
from fathom.data.scenes import Scenes, SceneSettings
from fathom.train import Pairs
from fathom.train.experiment import Augment

ROOT = os.environ.get("FATHOM_SCENEFLOW")


@dataclass(frozen=True)
class SceneFlow:
    """Scene Flow where $FATHOM_SCENEFLOW names it, else procedural scenes of this size in pixels:
    a little larger than the crops."""

    width: int
    height: int

    def __call__(self) -> Any:
        """The samples."""
        if ROOT:
            return Pairs(ROOT, "sceneflow")()
        return Scenes(SceneSettings(width=self.width, height=self.height), seed=7)


def looks(width: int, height: int) -> Augment:
    """RAFT-Stereo's augmentation, for crops of that size."""
    settings = AugmentSettings(
        width=width, height=height, smallest=-0.2, largest=0.4, flip=0.0, upside_down=0.0, tilt=1.0
    )
    return partial(augment, settings=settings)
