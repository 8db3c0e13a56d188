"""GwcNet with DINOv2 in the place of its trunk, frozen, as FoundationStereo has a frozen encoder.

    fathom train experiments/gwcnet_dinov2.py --data PAIRS --set holdout=0.1

PAIRS is a list or a data set with a truth; without --data it is Scene Flow in $FATHOM_SCENEFLOW.
$DINOV2 is a folder with `facebook/dinov2-small` or another encoder of transformers as the hub has
it (config.json, model.safetensors); nothing is downloaded. `frozen=False` trains it with the rest.
Not trained: there are no such weights where this was written; one step of 4 pairs of 512x256 with a
random encoder of that size is in docs/training.md (Memory). A tiny random encoder goes through the
same lines in tests/nets/test_backbone.py.
"""

import os
from dataclasses import replace
from functools import partial

from gwcnet import EXPERIMENT as GWCNET

from fathom.nets.backbone import BackboneConfig
from fathom.nets.stereo.gwcnet import GwcNet, GwcNetConfig

BACKBONE = BackboneConfig(folder=os.environ.get("DINOV2", "dinov2-small"))


def built(backbone: BackboneConfig) -> GwcNet:
    """GwcNet on that encoder."""
    return GwcNet(GwcNetConfig(backbone=backbone, checkpoint=True))


EXPERIMENT = replace(
    GWCNET,
    net=partial(built, BACKBONE),
    # pairs of one's own are judged by those held out of them
    validation=GWCNET.validation if "FATHOM_SCENEFLOW" in os.environ else (),
)
