"""Depth from one view, taught by truth and by a teacher's guesses: the task and its objective.

    Experiment(net=..., data=lambda: Blend((labelled, GuessedViews(unlabelled, teacher)), (1, 2)),
               task=OneView(Strong()), loss=ViewLoss(), ...)

Yang et al., "Depth Anything", CVPR 2024 (V1), and "Depth Anything V2", NeurIPS 2024. The teacher
sees a view as it is; what it says is `guessed`, and such views are disturbed before the student
sees them. With CutMix two of them are joined, picture and guess alike, and the loss is taken inside
and outside the rectangle by itself, for each has a scale and a shift of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.sample import MonoSample
from fathom.data.augment_color import blurred, colored
from fathom.layers.depth_losses import (
    affine_invariant,
    gradient_matching,
    scale_and_shift_invariant,
    silog,
)
from fathom.layers.losses import masked_mean
from fathom.layers.mono import MonoOutput, as_mono_output, feature_alignment
from fathom.train.experiment import Experiment, Judging
from fathom.train.guessed import GUESSED
from fathom.train.judge_views import ViewJudge, judge_views
from fathom.train.validate import Judged

Target = Literal["inverse", "depth"]
KINDS = ("affine", "trimmed", "l1", "silog")


@dataclass(frozen=True)
class Strong:
    """How guessed views are disturbed. color, blur, cutmix: shares of the views.

    Yang et al. 2024 (V1), section 3.2: colour jitter and Gaussian blur, and CutMix with probability
    0.5.

    Raises `UsageError` for a share outside 0..1.
    """

    color: float = 1.0
    blur: float = 0.5
    cutmix: float = 0.5

    def __post_init__(self) -> None:
        for name in ("color", "blur", "cutmix"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(
                    "is no share", field=name, value=getattr(self, name), expected="0..1"
                )

    def disturbed(self, image: Array, rng: np.random.Generator) -> Array:
        """The image in other colours, and blurred."""
        if rng.random() < self.color:
            image, _ = colored(image, image[:1, :1], rng, change=True, spread=False, uneven=False)
        if rng.random() < self.blur:
            image = blurred(image, rng.uniform(0.1, 2.0))
        return image

    def box(self, rng: np.random.Generator, size: tuple[int, int]) -> tuple[slice, slice] | None:
        """The rectangle of a CutMix in an image of (height, width), or None. Its share of the area
        is uniform in 0..1 and its centre anywhere (Yun et al., "CutMix", ICCV 2019, eq. 2)."""
        if rng.random() >= self.cutmix:
            return None
        side = np.sqrt(rng.random())
        found = []
        for length in size:
            middle, half = rng.random() * length, side * length / 2
            first, last = (round(min(max(middle + s * half, 0), length)) for s in (-1, 1))
            found.append(slice(first, last))
        return found[0], found[1]


@dataclass(frozen=True, eq=False)
class ViewCrop:
    """One place of a batch: image uint8 (h, w, 3), target float32 (h, w), NaN = not taught, and
    where another guessed view is to be pasted."""

    image: Array
    target: Array
    guessed: bool
    box: tuple[slice, slice] | None
    name: str


@dataclass(frozen=True, eq=False)
class ViewArrays:
    """A batch as numpy arrays; pasted: bool (b, h, w), inside the rectangles of CutMix."""

    image: Array
    target: Array
    guessed: Array
    pasted: Array
    names: tuple[str, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ViewBatch:
    """A batch on the device. image: float32 (b, 3, h, w), 0..255. target: (b, 1, h, w), 0 where not
    `valid`. guessed: bool (b,). pasted: bool (b, 1, h, w)."""

    image: Tensor
    target: Tensor
    valid: Tensor
    guessed: Tensor
    pasted: Tensor
    names: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the net is called with."""
        return (self.image,)

    def part(self, chosen: slice) -> "ViewBatch":
        """A batch of some samples of this one."""
        image, target, valid = self.image[chosen], self.target[chosen], self.valid[chosen]
        guessed, pasted = self.guessed[chosen], self.pasted[chosen]
        return ViewBatch(image, target, valid, guessed, pasted, self.names[chosen])

    def where(self, chosen: Tensor) -> "ViewBatch":
        """The samples that a mask (b,) chooses."""
        names = tuple(n for n, c in zip(self.names, chosen.tolist(), strict=True) if c)
        at = chosen.nonzero()[:, 0].to(self.image.device)
        image, target, valid = self.image[at], self.target[at], self.valid[at]
        return ViewBatch(image, target, valid, self.guessed[at], self.pasted[at], names)


def mixed(crops: Sequence[ViewCrop]) -> list[tuple[Array, Array, Array]]:
    """Image, target and where it was pasted, of each place of a batch: into the rectangle of a
    guessed view comes what the next guessed one has there, picture and guess. With one guessed view
    alone nothing is pasted."""
    out = []
    guessed = [i for i, c in enumerate(crops) if c.guessed]
    for i, crop in enumerate(crops):
        image, target = crop.image, crop.target
        pasted = np.zeros(target.shape, np.bool_)
        if crop.guessed and crop.box is not None and len(guessed) > 1:
            other = crops[guessed[(guessed.index(i) + 1) % len(guessed)]]
            image, target = image.copy(), target.copy()
            image[crop.box], target[crop.box] = other.image[crop.box], other.target[crop.box]
            pasted[crop.box] = True
        out.append((image, target, pasted))
    return out


@dataclass(frozen=True)
class OneView:
    """Depth from one view; see `fathom.train.experiment.Task`.

    strong: how guessed views are disturbed; None: not at all. target: `inverse` teaches 1 / depth,
    `depth` metres. flip: share that is mirrored. Truths at or beyond `farthest` metres are taught
    as that.
    """

    strong: Strong | None = None
    target: Target = "inverse"
    flip: float = 0.5
    farthest: float = 200.0

    def cut(
        self, experiment: Experiment, sample: Any, name: str, rng: np.random.Generator
    ) -> ViewCrop:
        """A window at random, mirrored or not. Raises `InputError` for what is no view with a
        truth, or smaller than the window."""
        if not isinstance(sample, MonoSample) or sample.truth is None:
            raise InputError(
                "is no view with a truth", field="sample", value=type(sample).__name__,
                expected="a MonoSample with depth",
            )  # fmt: skip
        if experiment.augment is not None:
            sample = experiment.augment(sample, rng)  # type: ignore[arg-type]
        size = (experiment.crop_height, experiment.crop_width)
        room = tuple(have - want for have, want in zip(sample.view.shape, size, strict=True))
        if min(room) < 0:
            raise InputError(
                "is smaller than the window", field="view", value=sample.view.shape,
                expected=f"{size} or more",
            )  # fmt: skip
        top, left = (int(rng.integers(r + 1)) for r in room)
        window = (slice(top, top + size[0]), slice(left, left + size[1]))
        image, depth = sample.view.rgb8[window], sample.truth.values[window]
        if rng.random() < self.flip:
            image, depth = image[:, ::-1], depth[:, ::-1]
        depth = np.minimum(depth, np.float32(self.farthest))
        guessed, box = GUESSED in sample.masks, None
        if guessed and self.strong is not None:
            image = self.strong.disturbed(np.ascontiguousarray(image), rng)
            box = self.strong.box(rng, size)
        target = 1 / depth if self.target == "inverse" else depth
        return ViewCrop(image, target.astype(np.float32), guessed, box, name)

    def stacked(self, cuts: Sequence[ViewCrop], failures: tuple[str, ...]) -> ViewArrays:
        """The windows as one batch, those with a rectangle mixed."""
        images, targets, pasted = (np.stack(v) for v in zip(*mixed(cuts), strict=True))
        guessed = np.array([c.guessed for c in cuts])
        return ViewArrays(images, targets, guessed, pasted, tuple(c.name for c in cuts), failures)

    def to_batch(self, arrays: ViewArrays, device: torch.device, channels_last: bool) -> ViewBatch:
        """The batch as tensors on `device`."""
        order = torch.channels_last if channels_last else torch.contiguous_format
        image = torch.from_numpy(arrays.image).to(device).permute(0, 3, 1, 2).to(torch.float32)
        target = torch.from_numpy(arrays.target).to(device)[:, None]
        valid = torch.isfinite(target)
        return ViewBatch(
            image.contiguous(memory_format=order),
            torch.where(valid, target, torch.zeros_like(target)),
            valid,
            torch.from_numpy(arrays.guessed).to(device),
            torch.from_numpy(arrays.pasted).to(device)[:, None],
            arrays.names,
        )

    def output(self, given: Any) -> MonoOutput:
        """As `fathom.layers.mono.as_mono_output`."""
        return as_mono_output(given)

    def tensors(self, output: MonoOutput) -> tuple[Tensor, ...]:
        """The map, and the features where there are some."""
        return (output.map,) if output.features is None else (output.map, output.features)

    def measured(
        self,
        output: MonoOutput,  # noqa: ARG002
        batch: ViewBatch,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Nothing: a relative map has no error in pixels."""
        zero = batch.image.new_zeros(())
        return zero, zero, zero

    def judge(self, name: str, samples: Any) -> ViewJudge:
        """Against the samples' own truth, scale and shift fitted unless depth is taught."""
        return ViewJudge(name, lambda: samples, target=self.target)

    def validate(self, judge: ViewJudge, samples: Any, judging: Judging) -> Judged | None:
        """As `fathom.train.judge_views.judge_views`."""
        return judge_views(judge, samples, judging)


@dataclass(frozen=True)
class ViewLoss:
    """The terms with their weights; 0 leaves one out.

    kind: of the truth and the guesses alike: `affine` (Depth Anything's), `trimmed` (MiDaS'), `l1`
    or `silog`. guesses: weight of the guessed views. drop: share of a guess's pixels, those of the
    largest residuals, that do not count (V2: 0.1; `affine` alone). gradients: weight of the
    gradient matching (V2: 2; MiDaS 0.5). alignment: weight of the guessed views' features against
    those of `reference`, a frozen encoder: (b, 3, h, w) in 0..255 -> a `MonoOutput` with features.
    It is built once a process. margin: of the alignment.

    Raises `UsageError` for an unknown kind, negative weights, or an alignment without a reference.
    """

    kind: str = "affine"
    guesses: float = 1.0
    drop: float = 0.0
    gradients: float = 0.0
    alignment: float = 0.0
    margin: float = 0.85
    reference: Callable[[], nn.Module] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown_name("loss", self.kind, list(KINDS))
        for name in ("guesses", "gradients", "alignment"):
            if not getattr(self, name) >= 0:
                raise UsageError(
                    "is no weight", field=name, value=getattr(self, name), expected="0 or more"
                )
        if self.alignment and self.reference is None:
            raise UsageError("is missing", field="reference", expected="a frozen encoder")

    def __call__(self, output: MonoOutput, batch: ViewBatch) -> dict[str, Tensor]:
        """The terms by name; their sum is what is minimised. Each of truth and guesses is the mean
        over its own views."""
        terms = {}
        for name, mine, weight in (
            ("truth", ~batch.guessed, 1.0), ("guesses", batch.guessed, self.guesses),
        ):  # fmt: skip
            if bool(mine.any()) and weight:
                law = partial(self._plain, guessed=name == "guesses")
                terms[name] = weight * _by_regions(law, output.map[mine], batch.where(mine))
        if self.gradients:
            matched = _by_regions(gradient_matching, output.map, batch)
            terms["gradients"] = self.gradients * matched
        if self.alignment and bool(batch.guessed.any()):
            terms["alignment"] = self.alignment * self._aligned(output, batch)
        return terms

    def _plain(self, found: Tensor, target: Tensor, valid: Tensor, *, guessed: bool) -> Tensor:
        if self.kind == "affine":
            return affine_invariant(found, target, valid, self.drop if guessed else 0.0)
        if self.kind == "trimmed":
            return scale_and_shift_invariant(found, target, valid, "robust")
        if self.kind == "silog":
            return silog(found, target, valid, variance_focus=0.85)
        return masked_mean((found - target).abs(), valid)

    def _aligned(self, output: MonoOutput, batch: ViewBatch) -> Tensor:
        if output.features is None or self.reference is None:
            raise InputError(
                "gives no features", field="net", expected="a MonoOutput with features",
                remedy="or take alignment=0",
            )  # fmt: skip
        frozen = _frozen(self.reference, str(batch.image.device))
        with torch.no_grad():
            wanted = as_mono_output(frozen(batch.image[batch.guessed])).features
        assert wanted is not None
        return feature_alignment(output.features[batch.guessed], wanted, self.margin)


def _by_regions(law: Callable[..., Tensor], found: Tensor, batch: ViewBatch) -> Tensor:
    """The mean over the views of a loss that is taken inside and outside the rectangles of CutMix
    apart, each counting by its share of the view's valid pixels."""
    total = found.new_zeros(())
    for i in range(len(found)):
        one = slice(i, i + 1)
        valid, pasted = batch.valid[one], batch.pasted[one]
        for region in (valid & pasted, valid & ~pasted):
            count = region.sum()
            if int(count) > 1:
                share = count / valid.sum()
                total = total + share * law(found[one], batch.target[one], region)
    return total / len(found)


@lru_cache(maxsize=2)
def _frozen(build: Callable[[], nn.Module], device: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # a random one is the same whenever it is built
        torch.manual_seed(0)
        net = build()
    return net.to(device).eval().requires_grad_(False)
