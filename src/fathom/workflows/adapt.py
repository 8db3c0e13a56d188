"""Adapting a model to one's own pairs: check them, hold some back, learn, judge, keep or roll back.

What is decided by and kept is what the user gets: the model's estimator with the old and with the
new weights on the held-back frames (`train.adapt_watch`, `train.adapt_rule`). Nothing is written
where the weights go unless they are better.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.catalog import default_name
from fathom.combine.fit_pairs import Fit
from fathom.core.errors import UsageError
from fathom.core.options import option
from fathom.train.adapt_recipe import Recipe
from fathom.train.adapt_rule import deciding
from fathom.train.packages import check_packages
from fathom.workflows.adapt_anchors import AnchorOptions
from fathom.workflows.adapt_frames import (
    LEAST_HELD,
    FrameOptions,
    Frames,
    find_frames,
    fit_frames,
)
from fathom.workflows.adapt_places import Places
from fathom.workflows.pairs import PairOptions

if TYPE_CHECKING:
    from fathom.core.estimator import StereoMatcher
    from fathom.train.adapt_nets import Needs, Start
    from fathom.train.adapt_rule import Rule
    from fathom.train.adapt_watch import Seen
    from fathom.train.experiment import Experiment
    from fathom.train.loop import TrainResult

Notify = Callable[[str], None]

_LOOKED_AT = 32
"""Pairs of a run whose pixels are remembered; of the others the names."""


@dataclass(frozen=True)
class AdaptOptions:
    """What is adapted and for how long.

    Raises `UsageError` for numbers that no run can have.
    """

    model: str = option(
        "fathom-s", "a shipped model, or a published one whose weights are converted",
        flags=("-m", "--method"), metavar="NAME",
    )  # fmt: skip
    weights: str | None = option(
        None, "weights to begin with instead of the model's own", flags=("--from",), metavar="FILE"
    )
    steps: int = option(400, "batches at most", metavar="N")
    batch: int = option(4, "windows a step", metavar="N")
    crop_width: int = option(512, "pixels of a window at most", metavar="N")
    crop_height: int = option(256, "pixels of a window at most", metavar="N")
    learning_rate: float = option(2e-4, "its peak", metavar="X")
    judge_every: int = option(50, "steps between two looks at the held-back frames", metavar="N")
    most_held: int = option(16, "held-back frames that are looked at, at most", metavar="N")
    patience: int = option(4, "looks in a row without a better one after which it stops")
    least: float = option(0.01, "share by which it must get better for weights to be kept")
    seed: int = option(0, "of order and windows")
    device: str = option("auto", "auto, cpu, cuda or cuda:N", metavar="NAME")
    threads: int | None = option(None, "processor threads (default: as torch decides)", metavar="N")
    resume: bool = option(False, "go on with an interrupted run")

    def __post_init__(self) -> None:
        if self.model == "default":
            object.__setattr__(self, "model", default_name())
        leasts = {"most_held": LEAST_HELD, "judge_every": 1, "steps": 1, "batch": 1, "patience": 1}
        for name, least in leasts.items():
            if getattr(self, name) < least:
                raise UsageError(
                    f"is below {least}", field=name, value=getattr(self, name),
                    expected=f"{least} or more",
                )  # fmt: skip
        if not 0 < self.learning_rate < 1:
            raise UsageError(
                "is no rate", field="learning_rate", value=self.learning_rate,
                expected="above 0, below 1",
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it. kept: whether weights were written. ratio: what the best state is worth
    against the one before (`train.adapt_rule.ratio`). stopped: why the run ended. before, after:
    the watched numbers of the estimator on the held-back frames. frames: name -> (before, after).
    """

    kept: bool
    ratio: float
    stopped: str
    steps: int
    fit: Fit
    held: tuple[str, ...]
    before: dict[str, float]
    after: dict[str, float]
    frames: dict[str, tuple[dict[str, float], dict[str, float]]]
    places: Places
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For the report: plain values."""
        return {
            "format": "fathom-adapt",
            "version": 1,
            "kept": self.kept,
            "weights": str(self.places.weights) if self.kept else None,
            "against_before": self.ratio,
            "decided_by": list(deciding(self.before)),
            "stopped": self.stopped,
            "steps": self.steps,
            "seconds": self.seconds,
            "pairs": {
                "fit": len(self.fit.kept),
                "held_back": list(self.held),
                "left_out": [{"name": n, "why": why} for n, why in self.fit.left_out],
            },
            "before": self.before,
            "after": self.after,
            "frames": [{"name": n, "before": b, "after": a} for n, (b, a) in self.frames.items()],
            **self.settings,
        }


def adapt_files(
    first: str,
    second: str | None,
    out: Path,
    options: AdaptOptions,
    frames: FrameOptions,
    pairs: PairOptions,
    anchors: AnchorOptions,
    recipe: Recipe,
    notify: Notify,
    advance: Callable[[int], Any],
) -> Outcome:
    """Adapts a model to the pairs that the command line names; `out` gets the weights if they are
    better. advance: (count) -> a context that gives what is told each pair's name while they are
    checked.

    Raises as `adapt` does, and `find_frames`.
    """
    check_packages()
    from fathom.train.adapt_nets import Start

    places = Places(out)
    places.check(resume=options.resume)
    Start(options.model, options.weights)()  # what was typed is looked at before the pairs are
    found = find_frames(first, second, frames, pairs, anchors)
    with advance(len(found)) as tell:
        fit = fit_frames(found, frames.check, tell)
    notify(fit.line())
    return adapt(found, fit, places, options, recipe, held=frames.held, notify=notify)


def adapt(
    frames: Frames,
    fit: Fit,
    places: Places,
    options: AdaptOptions,
    recipe: Recipe,
    *,
    held: float = 0.2,
    notify: Notify = lambda line: None,  # noqa: ARG005
) -> Outcome:
    """Adapts a model to frames; see this module.

    Raises `UsageError` for a model that cannot be adapted or settings that no run can have,
    `InputError` for weights or frames that cannot serve, or `patience` batches in a row without a
    finite loss; `ResourceError` for memory, disk, device. The file of weights is not touched then.
    """
    from fathom.train.adapt_nets import Start
    from fathom.train.adapt_rule import Rule
    from fathom.train.batches import parted
    from fathom.train.loop import train

    began, notify = time.monotonic(), _once(notify)
    start = Start(options.model, options.weights)
    places.claim(_made_of(frames, fit, options, recipe))
    needs = start.needs(frames.load(fit.kept[0]).pair)
    if needs.factor > 1:
        notify(f"frames are reduced {needs.factor} times: their range does not fit into the net")
        frames = replace(frames, factor=needs.factor)
    learned, back = (
        [fit.kept[i] for i in part.indices]
        for part in parted(frames.only(fit.kept), held, LEAST_HELD)
    )
    judged = frames.only(back[: options.most_held], to_judge=True)
    notify(f"{len(learned)} pairs to learn from, {len(back)} held back, {len(judged)} looked at")
    rule = Rule(options.least, options.patience)
    experiment = _experiment(
        start, needs, frames.only(learned), judged, places, options, recipe, rule
    )
    result = train(
        experiment, places.training, name=places.weights.stem, resume=options.resume,
        device=options.device, notify=notify,
    )  # fmt: skip
    made = _decided(start, experiment.validation[0], options, places, rule, result, notify)
    outcome = replace(
        _outcome(made, result, fit, judged.names, places, _settings(options, recipe)),
        seconds=time.monotonic() - began,
    )
    standing = places.standing()
    if standing is None or (outcome.kept and outcome.ratio <= standing):
        _written(start, outcome, made.file, _pictures(judged, made))
        return outcome
    notify(f"{places.weights} and its report stay: {standing:.3g} of before, now {made.ratio:.3g}")
    return replace(outcome, kept=False)


def _outcome(
    made: "_Decision",
    result: "TrainResult",
    fit: Fit,
    held: tuple[str, ...],
    places: Places,
    settings: dict[str, Any],
) -> Outcome:
    from fathom.train.adapt_watch import means

    return Outcome(
        made.kept, made.ratio, result.stopped, result.step, fit, held,
        means(made.before), means(made.after),
        {b.name: (b.numbers, a.numbers) for b, a in made.both()},
        places, settings=settings,
    )  # fmt: skip


def _once(notify: Notify) -> Notify:
    """Says only once why a frame is left out: it is met again and again."""
    said: set[str] = set()

    def say(line: str) -> None:
        if line not in said:
            notify(line)
        if "left out " in line:
            said.add(line)

    return say


def _made_of(frames: Frames, fit: Fit, options: AdaptOptions, recipe: Recipe) -> dict[str, Any]:
    """What decides the labels: the pairs by name, some of them to the pixel, the model."""
    from fathom.published.part import digest_of

    weights = options.weights
    if weights is not None and Path(weights).is_file():
        with Path(weights).open("rb") as file:
            weights = digest_of(file)
    looked_at = fit.kept[:: max(1, len(fit.kept) // _LOOKED_AT)]
    pixels = 0
    for index in looked_at:
        pair = frames.load(index).pair
        for view in (pair.left, pair.right):
            pixels = zlib.crc32(view.rgb8.tobytes(), pixels)
    return {
        "model": options.model, "weights": weights, "sure": recipe.sure,
        "pairs": [frames.names[i] for i in fit.kept], "pixels": pixels,
    }  # fmt: skip


def _settings(options: AdaptOptions, recipe: Recipe) -> dict[str, Any]:
    plain = asdict(options)
    model, weights = plain.pop("model"), plain.pop("weights")
    return {"model": model, "start": weights, "options": plain, "recipe": asdict(recipe)}


def _pictures(judged: Frames, made: "_Decision") -> dict[str, Any]:
    """A few held-back frames, before and after."""
    from fathom.train.validate import PICTURES
    from fathom.viz.figure import comparison

    out = {}
    for before, after in made.both()[:PICTURES]:
        sample = judged[judged.names.index(before.name)]
        maps = {"before": before.disparity, "after": after.disparity}
        out[before.name] = comparison(sample.pair, maps, sample.truth)
    return out


def _experiment(
    start: "Start",
    needs: "Needs",
    learned: Frames,
    judged: Frames,
    places: Places,
    options: AdaptOptions,
    recipe: Recipe,
    rule: "Rule",
) -> "Experiment":
    """The run: labels by the unchanged model's consensus, judged by the net alone."""
    from fathom.combine.consensus import Consensus
    from fathom.train.adapt import HELD, Labelled, adapting, taught
    from fathom.train.adapt_watch import Watch

    teacher = Consensus(_estimator(start, None, options))
    labels = taught(learned, teacher, recipe, places.run / "labels", anchored=True)
    sure = taught(judged, teacher, recipe, places.run / "held-labels", anchored=False)
    samples, watch = Labelled(learned, labels), Watch(HELD, judged, sure)
    height, width = judged[0].pair.shape
    experiment = adapting(start, samples, watch, recipe, rule, places.run, needs, options.device)
    return replace(
        experiment, crop_width=_fitting(min(options.crop_width, width), needs.divisor),
        crop_height=_fitting(min(options.crop_height, height), needs.divisor),
        steps=options.steps, batch=options.batch, seed=options.seed,
        learning_rate=options.learning_rate, threads=options.threads,
        warmup=min(20, options.steps),
        patience=8, validate_every=options.judge_every,
        save_every=options.judge_every, log_every=min(20, options.judge_every),
    )  # fmt: skip


def _fitting(size: int, divisor: int) -> int:
    return max(divisor, size // divisor * divisor)


def _estimator(start: "Start", weights: Path | None, options: AdaptOptions) -> "StereoMatcher":
    """The model as the user gets it, with the weights it starts from or with others."""
    from fathom.catalog import create
    from fathom.train.world import chosen_device

    file = start.weights if weights is None else str(weights)
    device = str(chosen_device(options.device))
    return create(start.model, weights=file, device=device, threads=options.threads)


@dataclass(frozen=True, eq=False)
class _Decision:
    """before, after: the frames as the estimator sees them with the old and with the new weights.
    ratio: what the new ones are worth. kept: whether they are better. file: their weights."""

    before: "list[Seen]"
    after: "list[Seen]"
    ratio: float
    kept: bool
    file: Path

    def both(self) -> "list[tuple[Seen, Seen]]":
        """The frames that could be judged before and after: a frame that failed once is no pair."""
        after = {seen.name: seen for seen in self.after}
        return [(seen, after[seen.name]) for seen in self.before if seen.name in after]


def _decided(
    start: "Start",
    watch: Any,
    options: AdaptOptions,
    places: Places,
    rule: "Rule",
    result: "TrainResult",
    notify: Notify,
) -> _Decision:
    """Judges what users would get: by the best weights of the run, or, where the net alone was
    never better, by the last ones: the net is not all of the model. An interrupted run has none.
    They are judged as a file of the form that is kept: that of the training run does not say which
    form of the net (`Kept.settings`) they are of.
    """
    from fathom.train.adapt_rule import ratio
    from fathom.train.adapt_watch import means
    from fathom.train.checkpoint import read_weights
    from fathom.train.record import BEST, WEIGHTS

    before = watch.judged(_estimator(start, None, options), notify)
    best = 1.0 if result.best is None else result.best
    file = result.folder / (BEST if rule.improved(best) else WEIGHTS)
    if file.name == WEIGHTS and result.stopped == "interrupted":
        return _Decision(before, before, best, False, file)
    start.write(places.judged, read_weights(file), {})
    after = watch.judged(_estimator(start, places.judged, options), notify)
    worth = ratio(means(after), means(before))
    kept = rule.improved(worth) and len(after) == len(before)
    return _Decision(before, after, worth, kept, file)


def _written(start: "Start", outcome: Outcome, file: Path, pictures: dict[str, Any]) -> None:
    """The report, and the weights where they are better."""
    from fathom.io.atomic import write_bytes
    from fathom.io.result import write_json
    from fathom.train.checkpoint import read_weights
    from fathom.viz.adapt import adapt_report

    about = outcome.as_dict()
    page = adapt_report(about, pictures)
    if outcome.kept:
        start.write(outcome.places.weights, read_weights(file), {"adapted": about})
    write_json(outcome.places.report, about)
    write_bytes(outcome.places.page, page.encode())
