"""The usual loss of a stereo net, as settings."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fathom.core.errors import UsageError, unknown_name
from fathom.layers.losses import (
    confidence_loss,
    edge_aware_smoothness,
    multi_scale_loss,
    score_loss,
    sequence_loss,
    smooth_l1,
)
from fathom.layers.stereo import StereoOutput
from fathom.train.batches import Batch

KINDS = ("smooth-l1", "sequence", "multi-scale")


@dataclass(frozen=True)
class StereoLoss:
    """The terms of `fathom.layers.losses` with their weights.

    kind: how the disparities are judged. weights: of the outputs, finest first (the last is
    repeated). beta: of Huber's law, in pixels. most: bound of the smooth L1 of one pixel. gamma: of
    the sequence loss. confidence, smoothness, scores: weights of these terms; 0 leaves them out.

    Raises `UsageError` for an unknown kind or negative weights.
    """

    kind: Literal["smooth-l1", "sequence", "multi-scale"] = "smooth-l1"
    weights: tuple[float, ...] = (1.0,)
    beta: float = 1.0
    most: float = math.inf
    gamma: float = 0.9
    confidence: float = 0.1
    smoothness: float = 0.0
    scores: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("loss", self.kind, list(KINDS))
        for name in ("confidence", "smoothness", "scores"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    "is no weight", field=name, value=getattr(self, name), expected="0 or more"
                )

    def __call__(self, output: StereoOutput, batch: Batch) -> dict[str, Tensor]:
        """The terms by name; their sum is what is minimised."""
        truth, valid = batch.truth, batch.valid
        finest = output.disparities[0]
        terms = {}
        if self.kind == "sequence":
            terms["disparity"] = sequence_loss(output.disparities, truth, valid, self.gamma)
        elif self.kind == "smooth-l1":
            terms["disparity"] = smooth_l1(
                output.disparities, truth, valid, self.weights, self.beta, self.most
            )
        else:
            terms["disparity"] = multi_scale_loss(
                output.disparities, truth, valid, self.weights, self.beta
            )
        if self.confidence and output.confidence is not None:
            loss = confidence_loss(output.confidence, finest, truth, valid)
            terms["confidence"] = self.confidence * loss
        if self.scores and output.scores is not None:
            terms["scores"] = self.scores * score_loss(output.scores, truth, valid)
        if self.smoothness:
            terms["smoothness"] = self.smoothness * edge_aware_smoothness(finest, batch.left)
        return terms
