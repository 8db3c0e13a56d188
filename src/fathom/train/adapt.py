"""Adapting a net to one's own pairs without truth: the task, the objective, the experiment.

The net learns from what most looks of its own frozen copy agree on (`combine.consensus`), from the
photometric error and edge-aware smoothness where that says nothing (`StereoPhotometric`), and from
anchors such as LiDAR's. Confidence-guided adaptation: Tonioni et al., "Unsupervised Adaptation for
Deep Stereo", ICCV 2017, eq. 1, with the consensus in place of a learned confidence.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.core.estimator import StereoMatcher
from fathom.core.sample import StereoSample
from fathom.data.looks import Kept, KeptEvidence
from fathom.layers.losses import smooth_l1
from fathom.layers.photometric_distance import Distance
from fathom.layers.stereo import StereoOutput
from fathom.nets.adapter import NetMatcher
from fathom.train.adapt_nets import Needs, Start
from fathom.train.adapt_recipe import Recipe
from fathom.train.adapt_rule import Rule
from fathom.train.adapt_watch import Seen, Watch, means
from fathom.train.experiment import Experiment, Judging
from fathom.train.objective import StereoLoss
from fathom.train.pairs import Arrays, Batch, Crop, cut, usable
from fathom.train.self_supervised import StereoPhotometric, Unlabelled
from fathom.train.taught import Taught
from fathom.train.validate import Judged, evaluating
from fathom.train.world import chosen_device

HELD = "held-back"
"""How the scores of the held-back frames are called."""


@dataclass(frozen=True, eq=False)
class AnchoredArrays:
    """plain: as for pairs with truth. anchors: float32 (b, h, w), NaN = none."""

    plain: Arrays
    anchors: Array

    @property
    def names(self) -> tuple[str, ...]:
        """Of the samples."""
        return self.plain.names

    @property
    def failures(self) -> tuple[str, ...]:
        """A line for each sample that was replaced."""
        return self.plain.failures


@dataclass(frozen=True, eq=False)
class AnchoredBatch:
    """plain: images and labels. anchored: the same with the anchors as its truth."""

    plain: Batch
    anchors: Tensor

    @property
    def names(self) -> tuple[str, ...]:
        """Of the samples."""
        return self.plain.names

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What the net is called with."""
        return self.plain.inputs

    def part(self, chosen: slice) -> "AnchoredBatch":
        """A batch of some samples of this one."""
        return AnchoredBatch(self.plain.part(chosen), self.anchors[chosen])


@dataclass(frozen=True)
class Adapting:
    """The task (`fathom.train.experiment.Task`): windows with labels and anchors, judged by
    `Watch`.

    both_views: the net sees each pair mirrored as well. kept: folder for the held-back frames'
    evidence.
    """

    both_views: bool = False
    kept: Path | None = field(default=None, compare=False)

    @property
    def _plain(self) -> Unlabelled:
        return Unlabelled(self.both_views)

    def cut(
        self, experiment: Experiment, sample: Any, name: str, rng: np.random.Generator
    ) -> tuple[Crop, Array]:
        """A window of the sample, and its anchors: its truth where its mask "anchors" is set."""
        sample = usable(sample, labelled=False)
        if experiment.augment is not None:
            sample = usable(experiment.augment(sample, rng), labelled=False)
        experiment = replace(experiment, augment=None)
        again = deepcopy(rng)
        crop = self._plain.cut(experiment, sample, name, rng)
        mask = sample.masks.get("anchors")
        if mask is None or sample.truth is None:
            return crop, np.full_like(crop.truth, np.nan)
        only = replace(sample, truth=sample.truth.with_unknown(~mask))
        size = (experiment.crop_height, experiment.crop_width)
        bare = replace(experiment, evidence=None)
        return crop, cut(bare, only, size, name, again, labelled=False).truth

    def stacked(self, cuts: Sequence[Any], failures: tuple[str, ...]) -> AnchoredArrays:
        """The windows as one batch."""
        plain = self._plain.stacked([crop for crop, _ in cuts], failures)
        return AnchoredArrays(plain, np.stack([anchors for _, anchors in cuts]))

    def to_batch(
        self, arrays: AnchoredArrays, device: torch.device, channels_last: bool
    ) -> AnchoredBatch:
        """The batch as tensors on `device`."""
        plain = self._plain.to_batch(arrays.plain, device, channels_last)
        return AnchoredBatch(plain, torch.from_numpy(arrays.anchors).to(device)[:, None])

    def output(self, given: Any) -> StereoOutput:
        """As `Unlabelled`."""
        return self._plain.output(given)

    def tensors(self, output: StereoOutput) -> tuple[Tensor, ...]:
        """As `Unlabelled`."""
        return self._plain.tensors(output)

    def measured(self, output: StereoOutput, batch: AnchoredBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Against the labels."""
        return self._plain.measured(output, batch.plain)

    def judge(self, name: str, samples: Any) -> Watch:
        """Frames that are watched without anything to compare to."""
        return Watch(name, samples)

    def validate(
        self,
        judge: Watch,
        samples: Any,  # noqa: ARG002  # the watch has them
        judging: Judging,
    ) -> Judged | None:
        """The watched numbers of the net alone."""
        seen = self.seen(judge, judging)
        if seen is None:
            return None
        numbers = judge.scores(seen)
        words = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        failed = len(judge.samples) - len(seen)
        lines = (f"{failed} frames",) if failed else ()
        return Judged(judge.name, numbers, words, len(seen), lines, {})

    def seen(self, watch: Watch, judging: Judging) -> list[Seen] | None:
        """The watched frames as the net alone sees them, whose evidence is made once. Raises as
        `Watch.judged`."""
        net, experiment = judging.net, judging.experiment
        evidence = experiment.evidence
        if evidence is not None and self.kept is not None:
            evidence = KeptEvidence(evidence, self.kept, "held-back frames")
        matcher = NetMatcher(
            net, experiment.divisor, evidence, judging.device, experiment.precision,
            experiment.channels_last,
        )  # fmt: skip
        with evaluating(net):
            return watch.judged(matcher, judging.notify, judging.cancelled)


@dataclass(frozen=True)
class AdaptLoss:
    """The terms of a `Recipe`; their sum is what is minimised.

    labelled: of the labels; its own weights hold among its terms.
    """

    recipe: Recipe = field(default_factory=Recipe)
    labelled: StereoLoss = field(
        default_factory=lambda: StereoLoss(
            weights=(1.0, 0.4), most=20.0, confidence=0.0, scores=0.7
        )
    )

    def __call__(self, output: StereoOutput, batch: AnchoredBatch) -> dict[str, Tensor]:
        """(output, batch) -> {name: term}."""
        recipe, terms = self.recipe, {}
        if recipe.labels and bool(batch.plain.valid.any()):
            for name, value in self.labelled(output, batch.plain).items():
                terms[f"labels: {name}"] = recipe.labels * value
        if recipe.photometric or recipe.smoothness or recipe.consistency:
            photometric = StereoPhotometric(
                distance=Distance("census"),
                weights=(recipe.photometric,),
                smoothness=recipe.smoothness,
                consistency=recipe.consistency if output.right else 0.0,
            )
            terms |= photometric(output._replace(disparities=output.disparities[:1]), batch.plain)
        known = torch.isfinite(batch.anchors)
        if recipe.anchor_weight and bool(known.any()):
            taught = smooth_l1(output.disparities, batch.anchors, known, (1.0, 0.4))
            terms["anchors"] = recipe.anchor_weight * taught
        if not terms:  # nothing to learn from this batch
            terms["nothing"] = 0 * output.disparities[0].sum()
        return terms


@dataclass(frozen=True, eq=False)
class Labelled:
    """Frames with what the consensus teaches, and their anchors.

    frames: pairs; a truth they have is the anchors. labels: of each frame, made once; where there
    are none, that is remembered, too.
    """

    frames: Any
    labels: Any
    unsure: dict[int, InputError] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the frames."""
        return tuple(map(str, self.frames.names))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> StereoSample:
        """Frame `index`: anchors where there are some, what is taught elsewhere. Raises as the
        frames and the labels do."""
        if index in self.unsure:
            raise self.unsure[index]
        try:
            taught: StereoSample = self.labels[index]
        except InputError as error:
            self.unsure[index] = error
            raise
        frame: StereoSample = self.frames[index]
        if frame.truth is None:
            return taught
        return replace(taught, masks={"anchors": frame.truth.known})


def taught(
    frames: Any, teacher: StereoMatcher, recipe: Recipe, folder: Path, *, anchored: bool
) -> Kept:
    """Frames with what `teacher` (a `Consensus`) is sure of as their truth, each asked once and
    kept in `folder`. anchored: a truth of the frame's own goes first."""
    own = Taught(frames, teacher, least=recipe.sure, keep_truth=anchored, hopeless=1.0)
    return Kept(own, folder)


def adapting(
    start: Start,
    samples: Labelled,
    watch: Watch,
    recipe: Recipe,
    rule: Rule,
    folder: Path,
    needs: Needs,
    device: str = "cpu",
) -> Experiment:
    """The experiment that adapts a net; its plain settings can be replaced.

    start: builds it with the weights it begins with. watch: frames held back, on which the net as
    it is gets judged now. folder: of the run. needs: what the net wants of its frames.
    """
    task = Adapting(recipe.both_views, folder / "evidence")
    plain = Experiment(
        net=start,
        data=lambda: samples,
        loss=AdaptLoss(recipe),
        evidence=needs.evidence,
        task=task,
        stop=rule,
        divisor=needs.divisor,
        max_disparity=float(needs.limit),
        ema=0.98,
    )
    place = chosen_device(device)
    before = task.seen(watch, Judging(start().to(place), plain, place))
    known = replace(watch, before=tuple(means(before or []).items()))
    return replace(plain, validation=(known,))
