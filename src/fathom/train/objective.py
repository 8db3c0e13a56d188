"""The usual loss of a stereo net, as settings."""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fathom.core.errors import UsageError, unknown_name
from fathom.layers.losses import (
    ErrorLaw,
    confidence_loss,
    edge_aware_smoothness,
    law_loss,
    multi_scale_loss,
    reduce_truth,
    score_loss,
    sequence_loss,
    trust_weights,
)
from fathom.layers.matching_loss import margin_loss, pair_scores
from fathom.layers.stereo import StereoOutput
from fathom.train.pairs import Batch

KINDS = ("smooth-l1", "sequence", "multi-scale")


@dataclass(frozen=True)
class StereoLoss:
    """The terms of `fathom.layers.losses` with their weights.

    kind: how the disparities are judged. weights: of the outputs, finest first (the last is
    repeated). beta: of Huber's law, in pixels. gamma: of the sequence loss. confidence, smoothness,
    scores, triplet: weights of these terms; 0 leaves them out. triplet: the hinge between the
    scores at a right and at a wrong disparity, `triplet_far` levels of the scores away.

    Of smooth-l1 alone: most: bound of what one pixel costs; log, threshold, softness: see
    `ErrorLaw`. trusted: pixels weigh by what the net says of its own confidence; least_trust: less
    sure ones not at all.

    Raises `UsageError` for an unknown kind, negative weights, options of another kind, or what
    `ErrorLaw` refuses.
    """

    kind: Literal["smooth-l1", "sequence", "multi-scale"] = "smooth-l1"
    weights: tuple[float, ...] = (1.0,)
    beta: float = 1.0
    most: float = math.inf
    gamma: float = 0.9
    confidence: float = 0.1
    smoothness: float = 0.0
    scores: float = 0.0
    log: bool = False
    threshold: float = 0.0
    softness: float = 0.0
    trusted: bool = False
    least_trust: float = 0.0
    triplet: float = 0.0
    triplet_far: tuple[float, float] = (4.0, 10.0)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("loss", self.kind, list(KINDS))
        for name in ("confidence", "smoothness", "scores", "triplet"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    "is no weight", field=name, value=getattr(self, name), expected="0 or more"
                )
        self._law()
        asked = [n for n in ("log", "threshold", "trusted") if getattr(self, n)]
        if asked and self.kind != "smooth-l1":
            raise UsageError(
                "is an option of another kind",
                field=", ".join(asked),
                value=self.kind,
                expected="kind='smooth-l1'",
            )

    def _law(self) -> ErrorLaw:
        return ErrorLaw(self.beta, self.most, self.log, self.threshold, self.softness)

    def __call__(self, output: StereoOutput, batch: Batch) -> dict[str, Tensor]:
        """The terms by name; their sum is what is minimised.

        Raises `UsageError` if pixels are to be trusted and the net gives no confidence.
        """
        truth, valid = batch.truth, batch.valid
        finest = output.disparities[0]
        terms = {}
        if self.kind == "sequence":
            terms["disparity"] = sequence_loss(output.disparities, truth, valid, self.gamma)
        elif self.kind == "smooth-l1":
            terms["disparity"] = law_loss(
                output.disparities, truth, valid, self.weights, self._law(), self._trust(output)
            )
        else:
            terms["disparity"] = multi_scale_loss(
                output.disparities, truth, valid, self.weights, self.beta
            )
        if self.confidence and output.confidence is not None:
            judged = ((finest, output.confidence), *output.others)
            losses = [confidence_loss(sure, values, truth, valid) for values, sure in judged]
            terms["confidence"] = self.confidence * sum(losses[1:], losses[0]) / len(losses)
        if self.scores and output.scores is not None:
            terms["scores"] = self.scores * score_loss(output.scores, truth, valid)
        if self.triplet and output.scores is not None:
            terms["triplet"] = self.triplet * self._hinge(output.scores, truth, valid)
        if self.smoothness:
            terms["smoothness"] = self.smoothness * edge_aware_smoothness(finest, batch.left)
        return terms

    def _trust(self, output: StereoOutput) -> Tensor | None:
        if not self.trusted:
            return None
        if output.confidence is None:
            raise UsageError(
                "needs a net that gives a confidence", field="trusted", value=True, expected="False"
            )
        return trust_weights(output.confidence, self.least_trust)

    def _hinge(self, scores: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """`margin_loss` in the scores' own size and levels."""
        small, known = reduce_truth(truth, valid, (scores.shape[-2], scores.shape[-1]))
        step = truth.shape[-1] // scores.shape[-1]
        return margin_loss(pair_scores(scores, small / step, known, far=self.triplet_far))
