"""Learning to match from pairs without truth: the task and its objective.

    Experiment(net=..., data=lambda: UnlabelledPairs("walks"), task=Unlabelled(),
               loss=StereoPhotometric(), ...)

`Unlabelled` takes pairs with or without truth and, unless the net itself gives the right view's
disparities (`StereoOutput.right`), runs it on the mirrored pairs too. Where there is a truth it
shows in the line of progress, and teaches only if the objective has `anchors`. Validation is that
of pairs with truth. Augmentation must not change one view alone (`uneven`, `statistics`, `tilt` and
`hide` of 0): the loss would blame the disparity.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fathom.core.errors import InputError, UsageError
from fathom.core.pair import StereoPair, View
from fathom.layers.cues import Cues
from fathom.layers.depth_losses import scale_invariant_gradient
from fathom.layers.losses import edge_aware_smoothness, masked_mean, smooth_l1
from fathom.layers.photometric import (
    Side,
    agreement,
    consistency_error,
    cross_checked,
    loop_error,
    photometric_error,
    weighted_mean,
)
from fathom.layers.photometric_distance import Distance
from fathom.layers.resample import to_size
from fathom.layers.stereo import StereoOutput
from fathom.train.experiment import Experiment, Judging, Validation
from fathom.train.pairs import Arrays, Batch, Crop, cut, made_evidence, usable
from fathom.train.task import Matching
from fathom.train.validate import Judged

SIDES: tuple[Side, Side] = ("left", "right")
_PLAIN = Matching()


@dataclass(frozen=True)
class Unlabelled:
    """Stereo matching on pairs that need no truth; see `fathom.train.experiment.Task`.

    both_views: the net sees each pair mirrored as well, which gives the right view's disparities at
    twice the work and memory. False: for nets that give them themselves, or for a loss that needs
    none. What is held out (`holdout`) is judged against its truth.
    """

    both_views: bool = True

    def cut(self, experiment: Experiment, sample: Any, name: str, rng: np.random.Generator) -> Crop:
        """A window of the augmented sample. Raises `InputError` for what is no pair, or a view of
        one colour."""
        sample = usable(sample, labelled=False)
        for view, side in zip((sample.pair.left, sample.pair.right), SIDES, strict=True):
            require_texture(view, side)
        if experiment.augment is not None:
            sample = usable(experiment.augment(sample, rng), labelled=False)
        size = (experiment.crop_height, experiment.crop_width)
        crop = cut(experiment, sample, size, name, rng, labelled=False)
        if not self.both_views or crop.evidence is None:
            return crop
        mirrored = StereoPair(View(crop.right[:, ::-1]), View(crop.left[:, ::-1]))
        both = np.stack([crop.evidence, made_evidence(experiment, mirrored)])
        return replace(crop, evidence=both)

    def stacked(self, cuts: Sequence[Crop], failures: tuple[str, ...]) -> Arrays:
        """The windows as one batch."""
        return _PLAIN.stacked(cuts, failures)

    def to_batch(self, arrays: Arrays, device: torch.device, channels_last: bool) -> Batch:
        """The batch as tensors on `device`."""
        plain = _PLAIN.to_batch(arrays, device, channels_last)
        return replace(plain, both_views=self.both_views)

    def output(self, given: Any) -> StereoOutput:
        """What the net gave; of mirrored pairs, as the right view's disparities."""
        found = _PLAIN.output(given)
        if not self.both_views:
            return found
        half = found.disparities[0].shape[0] // 2
        sure, scores = (None if t is None else t[:half] for t in (found.confidence, found.scores))
        right = tuple(d[half:].flip(3) for d in found.disparities)
        return StereoOutput(tuple(d[:half] for d in found.disparities), sure, scores, None, right)

    def tensors(self, output: StereoOutput) -> tuple[Tensor, ...]:
        """The disparities of both views, and the confidence where there is one."""
        return (*_PLAIN.tensors(output), *output.right)

    def measured(self, output: StereoOutput, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Of the finest left disparity where there is a truth."""
        return _PLAIN.measured(output, batch)

    def judge(self, name: str, samples: Any) -> Validation:
        """Against the samples' own truth, by the default protocol."""
        return _PLAIN.judge(name, samples)

    def validate(self, judge: Validation, samples: Any, judging: Judging) -> Judged | None:
        """As for pairs with truth."""
        return _PLAIN.validate(judge, samples, judging)


def require_texture(view: View, field: str) -> None:
    """Raises `InputError` for a view of one colour: everything looks like everything in it."""
    if bool((view.image == view.image[:1, :1]).all()):
        raise InputError(
            "is of one colour, which teaches nothing",
            field=field,
            value=", ".join(map(str, view.image[0, 0])),
            expected="an image",
            remedy="take it out of the folder",
        )


_WEIGHTS = ("smoothness", "consistency", "loop", "far", "cross_check", "gradients", "anchors")
_NEED_BOTH = ("consistency", "loop", "cross_check", "gradients")


@dataclass(frozen=True)
class StereoPhotometric:
    """The terms of `fathom.layers.photometric` with their weights; each is the mean of both views
    where the net gives both.

    distance: between a warped view and its target. weights: of the outputs' photometric errors,
    finest first (the last is repeated). hidden: weight of pixels where both views' maps contradict
    each other, which hides what only one camera sees; 1 believes all, 0 none of them. smoothness,
    order, edge: of the edge-aware smoothness of the finest disparity. consistency: of |d - d'| in
    pixels. loop: of the error after warping there and back. far: of the mean disparity as a share
    of the width (Zhong et al. 2017: rather too far than too near). cross_check: of the smooth L1 to
    what both maps make of each other in `rounds` rounds; gradients: of the scale-invariant
    gradients against the same. anchors: of the smooth L1 to the truth where there is some, such as
    LiDAR's. cues: makes a view's `Cues` of its image (b, 3, h, w), 0..255. A weight of 0 leaves a
    term out.

    Raises `UsageError` for a negative weight, a `hidden` outside 0..1, another order than 1 and 2.
    """

    distance: Callable[[Tensor, Tensor], Tensor] = field(default_factory=Distance)
    weights: tuple[float, ...] = (1.0,)
    hidden: float = 0.1
    smoothness: float = 0.1
    order: int = 1
    edge: float = 10.0
    consistency: float = 0.0
    loop: float = 0.0
    far: float = 0.0
    cross_check: float = 0.0
    rounds: int = 3
    gradients: float = 0.0
    anchors: float = 0.0
    cues: Callable[[Tensor], Cues] | None = None

    def __post_init__(self) -> None:
        for name in _WEIGHTS:
            if not getattr(self, name) >= 0:
                raise UsageError(
                    "is no weight", field=name, value=getattr(self, name), expected="0 or more"
                )
        if not 0 <= self.hidden <= 1:
            raise UsageError("is no share", field="hidden", value=self.hidden, expected="0..1")
        if self.order not in (1, 2):
            raise UsageError("is no order", field="order", value=self.order, expected="1 or 2")
        if not self.weights:
            raise UsageError("is empty", field="weights", expected="a weight for each output")

    def __call__(self, output: StereoOutput, batch: Batch) -> dict[str, Tensor]:
        """The terms by name; their sum is what is minimised.

        Raises `UsageError` if a term needs the right view's disparities and there are none.
        """
        views = [output.disparities, output.right] if output.right else [output.disparities]
        if not output.right and (asked := [n for n in _NEED_BOTH if getattr(self, n)]):
            raise UsageError(
                "need the right view's disparities",
                field=", ".join(asked),
                expected="a net that gives them, or task=Unlabelled(both_views=True)",
            )
        images = (batch.left, batch.right)
        known = [None if self.cues is None else self.cues(image) for image in images]
        finest = [outputs[0] for outputs in views]
        terms: dict[str, list[Tensor]] = {"photometric": []}
        for i, outputs in enumerate(views):
            side, cues = SIDES[i], known[i]
            other = finest[1 - SIDES.index(side)] if output.right else None
            terms["photometric"].append(self._photometric(outputs, other, images, side, cues))
            for name, value in self._of_view(outputs[0], other, images, side, cues).items():
                terms.setdefault(name, []).append(getattr(self, name) * value)
        if self.cross_check or self.gradients:
            self._cross_checked(finest, images, terms)
        found = {name: torch.stack(values).mean() for name, values in terms.items()}
        if self.anchors and bool(batch.valid.any()):
            taught = smooth_l1(output.disparities, batch.truth, batch.valid, self.weights)
            found["anchors"] = self.anchors * taught
        return found

    def _photometric(
        self,
        outputs: Sequence[Tensor],
        other: Tensor | None,
        images: tuple[Tensor, Tensor],
        side: Side,
        cues: Cues | None,
    ) -> Tensor:
        """One view's photometric errors, over all outputs."""
        target = images[SIDES.index(side)]
        doubt = torch.ones_like(target[:, :1])
        if other is not None and self.hidden < 1:
            agrees = agreement(outputs[0], other, side)
            doubt = torch.where(agrees, doubt, self.hidden * doubt)
        if cues is not None and cues.trust is not None:
            doubt = doubt * cues.trust
        total = target.new_zeros(())
        for i, coarse in enumerate(outputs):
            disparity = to_size(coarse, (target.shape[-2], target.shape[-1]))
            error, inside = photometric_error(images, disparity, self.distance, side)
            weight = self.weights[min(i, len(self.weights) - 1)]
            total = total + weight * weighted_mean(error, inside * doubt)
        return total

    def _of_view(
        self,
        own: Tensor,
        other: Tensor | None,
        images: tuple[Tensor, Tensor],
        side: Side,
        cues: Cues | None,
    ) -> dict[str, Tensor]:
        """The terms that speak of one view's finest disparity, before they are weighted."""
        image, found = images[SIDES.index(side)], {}
        if self.smoothness:
            found["smoothness"] = edge_aware_smoothness(
                own, image, order=self.order, edge=self.edge, cues=cues
            )
        if self.far:
            found["far"] = own.abs().mean() / own.shape[-1]
        if other is None:
            return found
        if self.consistency:
            found["consistency"] = masked_mean(*consistency_error(own, other, side))
        if self.loop:
            found["loop"] = masked_mean(*loop_error(image, own, other, self.distance, side))
        return found

    def _cross_checked(
        self,
        finest: Sequence[Tensor],
        images: tuple[Tensor, Tensor],
        terms: dict[str, list[Tensor]],
    ) -> None:
        """Adds the terms that compare both maps with what they make of each other."""
        checked = cross_checked(finest[0].detach(), finest[1].detach(), images, self.rounds)
        agreed = (checked.left_agrees, checked.right_agrees)
        for own, target, sure in zip(finest, checked[:2], agreed, strict=True):
            if self.cross_check:
                e = functional.smooth_l1_loss(own, target, reduction="none")
                terms.setdefault("cross_check", []).append(self.cross_check * masked_mean(e, sure))
            if self.gradients:
                unlike = scale_invariant_gradient(own, target, sure)
                terms.setdefault("gradients", []).append(self.gradients * unlike)
