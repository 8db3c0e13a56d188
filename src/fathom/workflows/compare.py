"""`fathom compare`: several methods on the same pairs, judged and shown beside each other."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.core.errors import FathomError, ResourceError, UsageError
from fathom.core.options import option
from fathom.eval.protocol import Protocol
from fathom.eval.protocols import protocol
from fathom.io.folder import (
    check_result_folder,
    earlier_files,
    interrupts_deferred,
    result_folder,
)
from fathom.viz.compare_viewer import MAX_SHEET_PIXELS, Sheet, ShownMap, sheet
from fathom.workflows.compare_cases import Cases, Loaded
from fathom.workflows.compare_gallery import Gallery
from fathom.workflows.compare_judge import Verdict, judge, regions_of
from fathom.workflows.compare_methods import Matcher, Method, build, methods_of, timed, warm
from fathom.workflows.compare_tables import Tables, comparison_info
from fathom.workflows.compare_totals import MethodTotals
from fathom.workflows.csv_files import CsvFiles
from fathom.workflows.depth import SILENT, Listener, limits, warm_up

FILES = {
    "report.html": "tables, pictures, where each method fails; open it in a browser",
    "scores.csv": "a line for each sample, method and mask",
    "regions.csv": "a line for each sample, method and region",
    "result.json": "all of it for programs",
}

PICTURE_BYTES = 30_000_000
"""What the pictures of a report may take together; they are reduced to fit."""
MAX_PICTURES = 100
_LEAST_PIXELS = 20_000
_MOST_NOTES = 50
_LIMIT = (
    "many pixels lie at the largest disparity searched, so near objects may be wrong: try a larger "
    "--max-disparity"
)


@dataclass(frozen=True)
class CompareOptions:
    """What is compared and how it is judged."""

    methods: tuple[str, ...] = option(
        ("sgm", "opencv-sgbm", "census"),
        "methods, each with parameters of its own if wanted: sgm,opencv-sgbm:mode=hh "
        "(default sgm,opencv-sgbm,census)",
        flags=("--models", "-m"),
        metavar="LIST",
    )
    protocol: str = option(
        "fathom", "how maps are judged where there is truth (docs/protocols.md)", metavar="NAME"
    )
    threshold: float = option(
        2.0, "in regions and boxes, errors above this many pixels are bad", metavar="PX"
    )
    pictures: int = option(
        6, "show so many pairs: the worst, the best and some in the middle", metavar="N"
    )
    limit: int | None = option(None, "take N pairs, evenly spread over all", metavar="N")
    max_disparity: int | None = option(
        None,
        "search below this disparity in pixels (default: from the rig, or from the width)",
        flags=("--max-disp", "--num-disparities"),
        metavar="N",
    )
    min_disparity: int | None = option(
        None, "search from this disparity in pixels (default 0)", flags=("--min-disp",), metavar="N"
    )
    fill: bool = option(True, "fill unknown pixels")
    confidence: bool = option(
        True, "estimate a confidence for each pixel (methods without one run twice for it)"
    )
    consistency: bool = option(
        True, "judge by consistency, without truth (a second run of each method, not timed)"
    )
    check: bool = option(True, "check pairs of one's own before they are matched")
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")

    def __post_init__(self) -> None:
        if not 0 <= self.pictures <= MAX_PICTURES:
            raise UsageError(
                "is out of range",
                field="pictures",
                value=self.pictures,
                expected=f"0 to {MAX_PICTURES}",
            )
        if self.limit is not None and self.limit < 1:
            raise UsageError(
                "is out of range", field="limit", value=self.limit, expected="1 or more"
            )
        if not self.threshold > 0:
            raise UsageError(
                "is out of range", field="threshold", value=self.threshold, expected="above 0"
            )

    def common(self) -> dict[str, Any]:
        """What every method is built with."""
        names = ("max_disparity", "min_disparity", "fill", "confidence", "threads")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Compared:
    """What came out. info: what result.json says. interrupted: whether it was cut short."""

    info: dict[str, Any]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """130 if interrupted, 1 if a sample or method failed, else 0."""
        return 130 if self.interrupted else 1 if self.info["failures"] else 0


def compare(
    cases: Cases,
    out: Path,
    options: CompareOptions,
    listener: Listener = SILENT,
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> Compared:
    """Runs every method on every sample and writes report, tables and result.json to `out`.

    advance is called with a sample's name before its turn. A sample that cannot be read, and a
    method that fails on one, are named and the rest goes on. Memory does not grow with the number
    of samples but for a few numbers each. Ctrl-C ends it: if at least one sample was done and `out`
    holds no earlier result, the report of those is written; else nothing is.

    Raises `UsageError` for unknown methods, parameters or protocols, `ResourceError` if `out`
    cannot be written, and the first failure if no sample could be done at all.
    """
    rules = protocol(options.protocol)
    job = _Job(methods_of(options.methods), rules, options, listener)
    check_result_folder(out, FILES)
    earlier = bool(earlier_files(out)) if out.is_dir() else False
    for method in job.methods:
        warm_up(method.name, listener)
    with result_folder(out) as staging:
        interrupted = False
        with CsvFiles() as files:
            tables = Tables(files, staging, rules)
            try:
                job.run(cases, tables, advance)
            except KeyboardInterrupt:
                if earlier or not job.done:
                    raise
                interrupted = True
        if not job.done:
            raise job.first_failure()
        return Compared(_write(staging, job, cases, interrupted), interrupted)


class _Job:
    """The state of one comparison."""

    def __init__(
        self,
        methods: tuple[Method, ...],
        rules: Protocol,
        options: CompareOptions,
        listener: Listener,
    ) -> None:
        self.methods, self.rules, self.options, self.listener = methods, rules, options, listener
        common = options.common()
        self.matchers: dict[str, Matcher] = {m.label: build(m, **common) for m in methods}
        right = {**common, "confidence": False}
        self.right: dict[str, Matcher] = {m.label: build(m, **right) for m in methods}
        self.totals = {m.label: MethodTotals(rules) for m in methods}
        self.gallery: Gallery[Sheet] = Gallery(options.pictures)
        self.failures: list[tuple[str, str, FathomError]] = []
        self.notes: dict[str, int] = {}
        self.noted_first: dict[str, str] = {}
        self.names: list[str] = []
        self.warmed = False
        self.with_truth = 0

    @property
    def done(self) -> int:
        """Samples on which at least one method answered."""
        return len(self.names)

    def first_failure(self) -> FathomError:
        """What to say if nothing could be done."""
        return self.failures[0][2]

    def run(self, cases: Cases, tables: "Tables", advance: Callable[[str], None]) -> None:
        """All samples, one after the other."""
        for name, error in cases.failed:
            self._failed(name, "", error)
        for index in cases.limited(self.options.limit):
            name = cases.names[index]
            advance(name)
            try:
                loaded = cases.load(index)
            except FathomError as error:
                self._failed(name, "", error)
                continue
            except MemoryError:
                self._failed(name, "", ResourceError("not enough memory to read it"))
                continue
            self._sample(name, loaded, tables)

    def _sample(self, name: str, loaded: Loaded, tables: "Tables") -> None:
        for note in loaded.notes:
            self._note(name, note)
        found = regions_of(loaded.sample)
        verdicts: dict[str, Verdict] = {}
        for method in self.methods:
            verdict = self._verdict(name, method, loaded, found)
            if verdict is not None:
                verdicts[method.label] = verdict
        if not verdicts:
            return
        picture = _ranked_by(verdicts, self.rules)
        # From here on an interruption would leave half a sample in the sums: it waits for the end.
        with interrupts_deferred():
            for method in self.methods:
                self.totals[method.label].add(verdicts.get(method.label))
            tables.add(name, verdicts)
            self.names.append(name)
            self.with_truth += loaded.sample.truth is not None
        room = PICTURE_BYTES // max(self.options.pictures, 1)
        self.gallery.offer(
            len(self.names) - 1,
            picture,
            lambda: _sheet(name, loaded, verdicts, found, self.rules, room),
        )

    def _verdict(
        self, name: str, method: Method, loaded: Loaded, found: Mapping[str, Any]
    ) -> Verdict | None:
        matcher = self.matchers[method.label]
        right = self.right[method.label] if self.options.consistency else None
        pair = loaded.sample.pair
        try:
            if not self.warmed:
                warm(matcher, pair)
            run = timed(matcher, pair)
            if limits(run.disparity):
                self._note(name, f"{method.label}: {_LIMIT}")
            verdict = judge(run, right, loaded, found, self.rules, self.options.threshold)
        except FathomError as error:
            self._failed(name, method.label, error)
            return None
        except MemoryError:
            self._failed(name, method.label, ResourceError("not enough memory"))
            return None
        finally:
            self.warmed |= method is self.methods[-1]
        return verdict

    def _note(self, name: str, note: str) -> None:
        if note in self.notes or len(self.notes) < _MOST_NOTES:
            self.notes[note] = self.notes.get(note, 0) + 1
            self.noted_first.setdefault(note, name)

    def _failed(self, name: str, label: str, error: FathomError) -> None:
        self.failures.append((name, label, error))
        who = f"{name}, {label}" if label else name
        self.listener.warn(f"{who}: {error}")


def _ranked_by(verdicts: Mapping[str, Verdict], rules: Protocol) -> float:
    """How bad a sample is: the protocol's first metric, else the consistency cost; the mean over
    the methods that answered."""
    sign = -1.0 if rules.measures[0].better == "higher" else 1.0
    values = []
    for verdict in verdicts.values():
        if verdict.scores:
            values.append(sign * verdict.scores[0].values[rules.metrics[0]])
        elif verdict.consistency is not None:
            values.append(verdict.consistency.cost)
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else 0.0


def _sheet(
    name: str,
    loaded: Loaded,
    verdicts: Mapping[str, Verdict],
    found: Mapping[str, Any],
    rules: Protocol,
    room: int,
) -> Sheet:
    """The sample's picture, reduced until it takes at most `room` characters of the page."""
    maps = [_shown(label, verdict, rules) for label, verdict in verdicts.items()]
    sample, pixels = loaded.sample, MAX_SHEET_PIXELS
    while True:
        made = sheet(name, sample.pair.left.rgb8, maps, sample.truth, found, max_pixels=pixels)
        if made.size <= room or pixels <= _LEAST_PIXELS:
            return made
        pixels //= 2


def _shown(label: str, verdict: Verdict, rules: Protocol) -> ShownMap:
    extras = {}
    caption = f"{verdict.disparity.share_known:.1%} known"
    if verdict.scores:
        first = verdict.scores[0]
        shown = rules.measures[0].shown(first.values[rules.metrics[0]])
        caption = f"{rules.metrics[0]} {shown} [{rules.name}, {first.mask}]"
        if verdict.similarity is not None:
            extras["SSIM"] = verdict.similarity.values
            if not math.isnan(verdict.similarity.score):
                caption += f", SSIM {verdict.similarity.score:.3f}"
    elif verdict.consistency is not None:
        caption = f"inconsistency {verdict.consistency.cost:.3f}"
        extras = {
            "Photometric": verdict.consistency.alike,
            "Left-right": verdict.consistency.difference,
        }
    boxes = [(b.x, b.y, b.width, b.height, b.bad) for b in verdict.boxes]
    return ShownMap(label, verdict.disparity, caption, extras, boxes)


def _write(folder: Path, job: _Job, cases: Cases, interrupted: bool) -> dict[str, Any]:
    from fathom.io.atomic import write_text
    from fathom.io.result import write_json
    from fathom.viz.compare import compare_report

    info = comparison_info(
        job.totals,
        {m.label: m for m in job.methods},
        job.matchers,
        job.rules,
        samples=job.done,
        threshold=job.options.threshold,
    )
    sheets = []
    for rank, kept in job.gallery.ranked():
        header = {**kept.picture.header, "title": f"{kept.picture.name} ({_rank(rank, job)})"}
        sheets.append(Sheet(kept.picture.name, header, kept.picture.blobs, kept.picture.photo))
    info |= {
        "source": cases.source,
        "asked_for": min(len(cases), job.options.limit or len(cases)),
        "with_truth": job.with_truth,
        "interrupted": interrupted,
        "options": {**job.options.common(), "consistency": job.options.consistency},
        "failures": [
            {"sample": name, "method": label, "error": str(error)}
            for name, label, error in job.failures
        ],
        "notes": [
            f"{job.noted_first[note] if count == 1 else f'{count} pairs'}: {note}"
            for note, count in job.notes.items()
        ],
        "shown": [one.name for one in sheets],
    }
    html = compare_report(info, sheets)
    write_text(folder / "report.html", html)
    info["report_bytes"] = len(html.encode("utf-8", errors="replace"))
    info["files"] = {name: {"content": FILES[name]} for name in FILES if name != "result.json"}
    write_json(folder / "result.json", info)
    return info


def _rank(rank: int, job: _Job) -> str:
    if job.gallery.seen == 1:
        return "the only pair"
    return f"{rank} of {job.gallery.seen}, 1 = worst"
