"""The second of the two steps of judging: files against a truth, under named protocols.

One sample is read, scored and forgotten after the other; only sums and names are kept.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.maps import Depth, Disparity
from fathom.core.options import option
from fathom.core.sample import MonoSample, StereoSample
from fathom.data.dataset import Dataset
from fathom.eval.masks import find_mask, has_mask
from fathom.eval.protocol import Protocol, check_mask
from fathom.eval.protocols import protocol, protocols
from fathom.eval.regions import with_visible
from fathom.eval.scores import Scores
from fathom.eval.scoring import score_masks
from fathom.eval.tally import Tally, Totals
from fathom.io.atomic import atomic_file
from fathom.workflows.evaluate import Notify, Progress, spread
from fathom.workflows.evaluate_maps import Maps
from fathom.workflows.evaluate_read import Estimate, Kind, MapFile, read_map

Missing = Literal["error", "skip", "unknown"]
Align = Literal["none", "median", "depth", "inverse-depth", "as-predicted"]
_SHOWN = 5


@dataclass(frozen=True)
class ScoreOptions:
    """What is computed. protocol None: the data set's own, or fathom's."""

    protocol: tuple[str, ...] | None = option(
        None,
        "one or more, for example kitti-2015,fathom (`fathom eval protocols`); default: the data "
        "set's own, else fathom (fathom-depth for single views)",
        metavar="LIST",
    )
    mask: tuple[str, ...] | None = option(
        None,
        "judge these masks: all, nonocc, occluded, foreground, background, disc, or terms joined "
        "by + ; default: those of the protocol that the data set has",
        metavar="LIST",
    )
    metrics: tuple[str, ...] | None = option(
        None, "only these, for example bad-2,epe; default: the protocol's", metavar="LIST"
    )
    align: Align | None = option(None, "fit the estimate to the truth first, other than protocol")
    cap: float | None = option(None, "leave out truths of this disparity and more", metavar="PX")
    compute_nonocc: bool = option(
        False, "compute the mask nonocc from a dense truth where the data set has none"
    )
    missing: Missing = option(
        "error",
        "samples without a map: an error, left out (skip), or judged as a map that knows nothing",
    )
    partial: bool = option(False, "leave samples without a map out, and say so (--missing skip)")
    limit: int | None = option(None, "N samples, evenly spread over all", metavar="N")

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(
                "is no number of samples", field="limit", value=self.limit, expected="1 or more"
            )
        if self.missing not in ("error", "skip", "unknown"):
            raise UsageError(
                "is no way to count missing maps",
                field="missing",
                value=self.missing,
                expected="error, skip or unknown",
            )
        for mask in self.mask or ():
            check_mask(mask)

    def chosen(self, format: str, kind: str) -> tuple[Protocol, ...]:
        """The protocols for a data set of that format; kind: stereo or mono.

        Raises `UsageError` for an unknown protocol, metric, or change that says nothing.
        """
        names = self.protocol
        if not names:
            known = [p.name for p in protocols() if p.name == _OWN.get(format, format)]
            names = tuple(known) or ("fathom" if kind == "stereo" else "fathom-depth",)
        changes: dict[str, Any] = {}
        if self.metrics:
            changes["metrics"] = self.metrics
        if self.mask:
            changes["masks"] = self.mask
        if self.align is not None:
            changes["alignment"] = self.align
        if self.cap is not None:
            changes["disparity_cap"] = self.cap
        return tuple(protocol(name).varied(**changes) for name in dict.fromkeys(names))

    @property
    def rule(self) -> Missing:
        """How missing maps count."""
        return "skip" if self.partial else self.missing


_OWN = {
    "flyingthings3d": "sceneflow",
    "monkaa": "sceneflow",
    "driving": "sceneflow",
    "nyu-v2": "nyuv2-eigen",
}
"""Protocols of data sets that are not called as they are."""


@dataclass(frozen=True)
class ScoreReport:
    """What came out.

    title: what was judged. truth: by which data set. totals: for each protocol and mask. samples:
    of the data set that were asked for; missing: those without a map, and how they counted;
    failed: sample -> error; empty: samples in which the masks left no pixel; unused: maps of no
    sample; read_as: how files were taken, and how many; seconds: mean time of making a map, None
    if it is not known. info: of the maps' making.
    """

    title: str
    truth: str
    totals: tuple[Totals, ...]
    samples: int
    missing: tuple[str, ...] = ()
    missing_rule: Missing = "error"
    failed: tuple[tuple[str, FathomError], ...] = ()
    empty: tuple[str, ...] = ()
    unused: int = 0
    read_as: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 if every map that is there could be scored, 1 otherwise."""
        return 1 if self.failed else 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "title": self.title,
            "truth": self.truth,
            "samples": self.samples,
            "scores": [totals.as_dict() for totals in self.totals],
            "missing": {"count_as": self.missing_rule, "samples": list(self.missing)},
            "failed": [{"sample": name, "error": str(error)} for name, error in self.failed],
            "without_judged_pixels": list(self.empty),
            "maps_of_no_sample": self.unused,
            "read_as": self.read_as,
            "seconds_per_map": self.seconds,
            "made": self.info,
        }


def score_maps(
    maps: Maps,
    truth: Dataset[Any],
    options: ScoreOptions,
    kind: Literal["stereo", "mono"] = "stereo",
    notify: Notify = lambda _: None,
    table: Path | None = None,
) -> ScoreReport:
    """Score every sample of a data set by its map.

    kind: of the data set's samples. notify: gets a line of progress now and then, and each sample
    that could not be scored. table: a csv file with a row a sample, protocol and mask, written
    whole at the end. Memory does not grow with the number of samples, but for their names.

    Raises `InputError` if maps are missing (unless the options allow it) or not one sample could
    be scored, `UsageError` for what is wrong with every sample (an unknown protocol, a disparity
    under a protocol of depth without a rig).
    """
    chosen = options.chosen(truth.format, kind)
    indices = spread(len(truth), options.limit)
    missing = tuple(_without_map(maps, (truth.names[i] for i in indices)))
    if missing and options.rule == "error":
        raise InputError(
            f"{len(missing)} of {len(indices)} samples have no map",
            file=maps.title,
            field="missing",
            value=_few(missing),
            expected="a map for each, named as the sample",
            remedy="make them (samples.jsonl says why one failed), or --partial to leave them out, "
            "or --missing unknown to count them",
        )
    if len(missing) == len(indices) and options.rule == "skip":
        raise InputError(
            "not one map belongs to a sample",
            file=maps.title,
            field="sample",
            value=truth.names[0],
            expected="maps named as the samples are, or a list (csv: name, disparity)",
        )
    with _rows_to(table, chosen) as write:
        run = _Run(maps, options, chosen, "disparity" if kind == "stereo" else "depth", write)
        progress = Progress(len(indices), notify)
        for i in indices:
            before = len(run.failed)
            run.take(truth.names[i], lambda i=i: truth.load(i))  # type: ignore[misc]
            for name, error in run.failed[before:][: _SHOWN if before < _SHOWN else 0]:
                notify(f"failed: {name}: {error}")
            progress.step(len(run.failed))
        totals = run.totals()
        if not totals:
            first = run.failed[0][1] if run.failed else None
            raise first or InputError(
                "leaves no pixel to judge in any sample",
                field="mask",
                value=", ".join(options.mask or chosen[0].masks),
            )
    unused = 0 if maps.names is None else len(set(maps.names) - set(truth.names))
    return ScoreReport(
        maps.title,
        f"{truth.format}, {truth.split}",
        totals,
        len(indices),
        missing,
        options.rule,
        tuple(run.failed),
        tuple(run.empty),
        unused,
        dict(run.read_as),
        run.mean_seconds,
        maps.info,
    )


def _without_map(maps: Maps, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            found = maps.find(name)
        except InputError:
            continue  # two maps fit: said when it is the sample's turn
        if found is None:
            yield name


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


class _Run:
    """The sums of one scoring."""

    def __init__(
        self,
        maps: Maps,
        options: ScoreOptions,
        chosen: tuple[Protocol, ...],
        default: Kind,
        write: Callable[[Scores, float | None], None],
    ) -> None:
        self._maps, self._options, self._chosen = maps, options, chosen
        self._default, self._write = default, write
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._seconds = [0.0, 0]
        self.failed: list[tuple[str, FathomError]] = []
        self.empty: list[str] = []
        self.read_as: Counter[str] = Counter()

    def take(self, name: str, load: Callable[[], StereoSample | MonoSample]) -> None:
        """One sample: read, scored, added up; an error is kept under its name."""
        try:
            file = self._maps.find(name)
            if file is None and self._options.rule == "skip":
                return
            sample = load()
            if self._options.compute_nonocc and isinstance(sample, StereoSample):
                sample = sample if has_mask("nonocc", sample.masks) else with_visible(sample)
            estimate = self._estimate(file, sample)
            scores = [s for p in self._chosen for s in self._scored(estimate, sample, p)]
        except InputError as error:
            self.failed.append((name, error))
            return
        except UsageError as error:
            error.file = error.file or f"sample {name}"
            raise
        if not scores:
            self.empty.append(name)
        seconds = None if file is None else file.seconds
        if seconds is not None:
            self._seconds = [self._seconds[0] + seconds, self._seconds[1] + 1]
        for one in (replace(s, sample=name) for s in scores):
            key = (one.protocol.name, one.mask)
            self._tallies.setdefault(key, Tally(one.protocol, one.mask)).add(one)
            self._write(one, seconds)

    def _estimate(self, file: MapFile | None, sample: StereoSample | MonoSample) -> Estimate:
        if file is not None:
            estimate, how = read_map(file, self._default)
            self.read_as[how] += 1
            return estimate
        if isinstance(sample, StereoSample):
            return Disparity(np.full(sample.pair.shape, np.nan, np.float32))
        return Depth(np.full(sample.view.shape, np.nan, np.float32))

    def _scored(
        self, estimate: Estimate, sample: StereoSample | MonoSample, chosen: Protocol
    ) -> tuple[Scores, ...]:
        if sample.truth is None:
            raise InputError(
                "has no truth to judge by",
                field="sample",
                value=sample.name,
                remedy="score on a split with public truth",
            )
        for mask in self._options.mask or ():
            find_mask(mask, sample.masks, sample.truth.values)  # raises where the sample has none
        try:
            return score_masks(estimate, sample, chosen)
        except InputError as error:
            if "pixel to judge" in error.problem:
                return ()  # no car in this image: nothing is wrong with it
            raise

    def totals(self) -> tuple[Totals, ...]:
        """Of each protocol and mask that judged something, in the order they were asked for."""
        wanted = [(p.name, mask) for p in self._chosen for mask in p.masks]
        return tuple(self._tallies[key].totals() for key in wanted if key in self._tallies)

    @property
    def mean_seconds(self) -> float | None:
        """Mean time of making a map, where it is known."""
        return self._seconds[0] / self._seconds[1] if self._seconds[1] else None


@contextmanager
def _rows_to(
    path: Path | None, chosen: tuple[Protocol, ...]
) -> Iterator[Callable[[Scores, float | None], None]]:
    """Writes a row for each `Scores` to a csv file that appears at the end; None writes nothing."""
    if path is None:
        yield lambda scores, seconds: None  # noqa: ARG005
        return
    metrics = list(dict.fromkeys(m for p in chosen for m in p.metrics))
    columns = ["sample", "protocol", "mask", "pixels", "known", *metrics, "seconds", "notes"]
    with atomic_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()

        def write(scores: Scores, seconds: float | None) -> None:
            row = {k: "" if v is None else v for k, v in scores.row().items()}
            row["seconds"] = "" if seconds is None else seconds
            row["notes"] = "; ".join(scores.notes)
            writer.writerow(row)

        try:
            yield write
        finally:
            text.detach()
