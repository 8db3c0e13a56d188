"""`fathom compare --mono ... --stereo ...`: depth from one view against stereo, on the same frames.

Every method's answer is brought to disparity and depth of the frame (`compare_mono_align`), judged
(`compare_mono_judge`), added up, and shown. A method that cannot be built or fails on a frame has
its line in the report and stops no other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fathom.catalog import create, entry
from fathom.core.errors import FathomError, ResourceError, UsageError
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import View
from fathom.io.folder import check_result_folder, earlier_files, interrupts_deferred, result_folder
from fathom.viz.compare_mono import ShownFrame, compare_mono_report
from fathom.workflows.compare import MAX_PICTURES, PICTURE_BYTES, Compared
from fathom.workflows.compare_gallery import Gallery
from fathom.workflows.compare_methods import Method, clocked, methods_of, warm
from fathom.workflows.compare_mono_align import (
    AlignTo,
    Anchor,
    Answer,
    anchor_of_stereo,
    anchor_of_truth,
    placed,
    require_anchor,
)
from fathom.workflows.compare_mono_clips import ClipAnswers
from fathom.workflows.compare_mono_frames import Frame, Frames
from fathom.workflows.compare_mono_judge import MonoTotals, MonoVerdict, headline, judge_placed
from fathom.workflows.compare_mono_show import badness, shown_frame
from fathom.workflows.compare_mono_tables import MonoTables, mono_info
from fathom.workflows.compare_properties import by_group, properties
from fathom.workflows.csv_files import CsvFiles
from fathom.workflows.depth import SILENT, Listener, limits, warm_up

FILES = {
    "report.html": "tables, maps beside each other, worst places; open it in a browser",
    "scores.csv": "a line for each frame, method, quantity and mask",
    "regions.csv": "a line for each frame, method, quantity and region",
    "worst.jpg": "the maps of the worst frame beside each other",
    "result.json": "all of it for programs",
}
_WARM = 64  # side of the view that loads a model before anything is timed
_MOST_NOTES = 50


@dataclass(frozen=True)
class CompareMonoOptions:
    """What is compared and how it is judged."""

    mono: tuple[str, ...] = option(
        (),
        "methods for one view, each with parameters of its own if wanted: "
        "depth-anything-v2-small:weights=FOLDER",
        metavar="LIST",
    )
    stereo: tuple[str, ...] = option(
        (), "stereo methods to compare with, given likewise: sgm,opencv-sgbm:mode=hh",
        metavar="LIST",
    )  # fmt: skip
    align: AlignTo = option(
        "truth",
        "what relative depths are fitted to: the truth of each frame (least squares), or the first "
        "stereo method's map (RANSAC; no truth is used)",
    )
    align_metric: bool = option(False, "fit the scale of metric models to the same, too")
    threshold: float = option(
        2.0, "disparities off by more than this many pixels are bad", metavar="PX"
    )
    pictures: int = option(
        6, "show so many frames: the worst, the best and some in the middle", metavar="N"
    )
    limit: int | None = option(None, "take N frames, evenly spread over all", metavar="N")
    clip: int = option(
        100,
        "frames of a sequence that a model of whole videos sees together; 1 = each frame alone",
        metavar="N",
    )
    max_disparity: int | None = option(
        None,
        "stereo methods search below this disparity in pixels (default: from the rig or the width)",
        flags=("--max-disp", "--num-disparities"),
        metavar="N",
    )
    min_disparity: int | None = option(
        None, "stereo methods search from this disparity in pixels (default 0)",
        flags=("--min-disp",), metavar="N",
    )  # fmt: skip
    fill: bool = option(True, "fill unknown pixels of stereo methods")
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")

    def __post_init__(self) -> None:
        checks = (
            ("pictures", 0 <= self.pictures <= MAX_PICTURES, f"0 to {MAX_PICTURES}"),
            ("limit", self.limit is None or self.limit >= 1, "1 or more"),
            ("clip", self.clip >= 1, "1 or more"),
            ("threshold", self.threshold > 0, "above 0"),
            ("align", self.align in ("truth", "stereo"), "truth or stereo"),
        )
        for name, good, expected in checks:
            if not good:
                value = getattr(self, name)
                raise UsageError("is out of range", field=name, value=value, expected=expected)
        if not self.mono:
            raise UsageError(
                "names no method", field="mono", expected="for example depth-anything-v2-small",
                remedy="stereo methods alone are compared by --methods",
            )  # fmt: skip
        if self.align == "stereo" and not self.stereo:
            raise UsageError(
                "there is no stereo method to align to", field="align", value=self.align,
                remedy="give --stereo NAME",
            )  # fmt: skip

    def common(self) -> dict[str, Any]:
        """What every method is built with; a confidence only where it weighs an alignment."""
        names = ("max_disparity", "min_disparity", "fill", "threads")
        return {n: getattr(self, n) for n in names} | {"confidence": self.align == "stereo"}


def compare_mono(
    frames: Frames,
    out: Path,
    options: CompareMonoOptions,
    listener: Listener = SILENT,
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> Compared:
    """Runs every method on every frame and writes report, tables and result.json to `out`.

    advance is called with a frame's name before its turn. What fails is named, and the rest goes
    on: the exit code says so. Ctrl-C ends it as in `compare`.

    Raises `UsageError` for unknown methods or parameters, `ResourceError` if `out` cannot be
    written, and the first failure if no frame could be done at all.
    """
    job = _Job(options, listener)
    check_result_folder(out, FILES)
    earlier = bool(earlier_files(out)) if out.is_dir() else False
    job.build()
    with result_folder(out) as staging:
        interrupted = False
        with CsvFiles() as files:
            tables = MonoTables(files, staging, options.threshold)
            try:
                job.run(frames, tables, advance)
            except KeyboardInterrupt:
                if earlier or not job.names:
                    raise
                interrupted = True
        if not job.names:
            raise job.failures[0][2]
        return Compared(_write(staging, job, frames, interrupted), interrupted)


class _Job:
    """The state of one comparison."""

    def __init__(self, options: CompareMonoOptions, listener: Listener) -> None:
        self.options, self.listener = options, listener
        found: list[Method] = []
        # Stereo goes first: its map may be what the others are aligned to.
        for task, texts in (("stereo", options.stereo), ("mono", options.mono)):
            for method in methods_of(texts, task) if texts else ():  # type: ignore[arg-type]
                found.append(method)
        self.methods = _labelled(found)
        self.estimators: dict[str, Callable[..., Answer]] = {}
        self.totals = {
            label: MonoTotals(entry(m.name).task, options.threshold)
            for label, m in self.methods.items()
        }
        self.gallery: Gallery[ShownFrame] = Gallery(options.pictures)
        self.failures: list[tuple[str, str, FathomError]] = []
        self.notes: dict[str, int] = {}
        self.noted_first: dict[str, str] = {}
        self.names: list[str] = []
        self.groups: list[str] = []
        self.edge_shares: list[float] = []
        self.with_truth = 0
        self.warmed: set[str] = set()

    def build(self) -> None:
        """Every method that can be built; the others are named."""
        for label, method in self.methods.items():
            try:
                warm_up(method.name, self.listener)
                self.estimators[label] = _created(method, self.options)
            except FathomError as error:
                self.failed("", label, error)
        if not self.estimators:
            raise self.failures[0][2]

    def run(self, frames: Frames, tables: MonoTables, advance: Callable[[str], None]) -> None:
        """All frames, one after the other."""
        for name, error in frames.failed:
            self.failed(name, "", error)
        indices = list(frames.limited(self.options.limit))
        self.clips = ClipAnswers(frames, indices, self.options.clip)
        for index in indices:
            name = frames.names[index]
            advance(name)
            try:
                frame = frames.load(index)
                found = frame.regions()
            except FathomError as error:
                self.failed(name, "", error)
                continue
            except MemoryError:
                self.failed(name, "", ResourceError("not enough memory to read it"))
                continue
            self._frame(index, frame, found, tables)
        for label, count in self.clips.together.items():
            if count > 1:
                self._note("all", f"{label}: sees up to {count} frames of a sequence together")

    def _frame(
        self, index: int, frame: Frame, found: Mapping[str, Any], tables: MonoTables
    ) -> None:
        name = self.clips.name(index)
        for note in frame.notes:
            self._note(name, note)
        verdicts: dict[str, MonoVerdict] = {}
        anchor = anchor_of_truth(frame) if self.options.align == "truth" else None
        for label in self.estimators:
            try:
                verdict, answer = self._verdict(label, index, frame, found, anchor)
                if anchor is None and isinstance(answer, Disparity):
                    anchor = anchor_of_stereo(label, answer, frame)
            except FathomError as error:
                self.failed(name, label, error)
            except (MemoryError, RuntimeError) as error:
                if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
                    raise
                self.failed(name, label, ResourceError("not enough memory"))
            else:
                verdicts[label] = verdict
        if not verdicts:
            return
        # From here on an interruption would leave half a frame in the sums: it waits for the end.
        with interrupts_deferred():
            for label, totals in self.totals.items():
                totals.add(verdicts.get(label))
            tables.add(name, verdicts)
            self.names.append(name)
            self.groups.append(frame.group)
            self.edge_shares.append(frame.edge_share())
            self.with_truth += frame.has_truth
        room = PICTURE_BYTES // max(self.options.pictures, 1)
        self.gallery.offer(
            len(self.names) - 1,
            badness(verdicts),
            lambda: shown_frame(name, frame, verdicts, found, room),
        )

    def _verdict(
        self,
        label: str,
        index: int,
        frame: Frame,
        found: Mapping[str, Any],
        anchor: Anchor | None,
    ) -> tuple[MonoVerdict, Answer]:
        name = self.clips.name(index)
        estimator, task = self.estimators[label], self.totals[label].task
        if task == "stereo" and frame.pair is None:
            raise UsageError("is a single view, and a stereo method needs a pair", field="frame")
        inputs = frame.pair if task == "stereo" else frame.view
        known = entry(self.methods[label].name)
        metric = self.options.align_metric
        if task == "mono":
            require_anchor(known.ambiguity, frame, anchor, align_metric=metric)
        if label not in self.warmed:
            self.warmed.add(label)
            _warm(estimator, frame, task)
        if known.clip:
            answer, seconds, memory = self.clips.answer(label, estimator, frame.view, index)
        else:
            answer, seconds, memory = clocked(estimator, inputs)
        if isinstance(answer, Disparity):
            for note in limits(answer):
                self._note(name, f"{label}: {note}")
        at = placed(answer, frame, anchor, align_metric=metric)
        if at.note:
            self._note(name, f"{label}: {at.note}")
        threshold = self.options.threshold
        return judge_placed(task, at, frame, found, threshold, seconds, memory), answer

    def _note(self, name: str, note: str) -> None:
        if note in self.notes or len(self.notes) < _MOST_NOTES:
            self.notes[note] = self.notes.get(note, 0) + 1
            self.noted_first.setdefault(note, name)

    def failed(self, name: str, label: str, error: FathomError) -> None:
        """Names what failed."""
        self.failures.append((name, label, error))
        self.listener.warn(f"{', '.join(part for part in (name, label) if part)}: {error}")


def _labelled(methods: Sequence[Method]) -> dict[str, Method]:
    """The methods by their labels, without the folder of weights where that leaves all different:
    a path is no name to read in a table."""
    short = [
        ":".join(p for p in m.label.split(":") if p.split("=")[0].strip() != "weights")
        for m in methods
    ]
    labels = [s if short.count(s) == 1 else m.label for s, m in zip(short, methods, strict=True)]
    return dict(zip(labels, methods, strict=True))


def _created(method: Method, options: CompareMonoOptions) -> Callable[..., Answer]:
    common = options.common()
    if entry(method.name).task == "mono":
        common = {"threads": options.threads, "confidence": False}
    made: Callable[..., Answer] = create(method.name, **common, **method.parameters)
    return made


def _warm(estimator: Callable[..., Any], frame: Frame, task: str) -> None:
    """One call on a small part, so that loading is not timed; what fails there fails again."""
    if task == "stereo":
        assert frame.pair is not None
        warm(estimator, frame.pair)
        return
    try:
        estimator(View(frame.view.image[:_WARM, :_WARM], stretch=frame.view.stretch))
    except (FathomError, MemoryError, RuntimeError):
        return


def _write(folder: Path, job: _Job, frames: Frames, interrupted: bool) -> dict[str, Any]:
    from fathom.io.atomic import write_bytes, write_text
    from fathom.io.result import write_json

    nowhere = {label: "" for label, t in job.totals.items() if not t.done}
    for _, label, error in job.failures:
        if label in nowhere:
            nowhere[label] = nowhere[label] or str(error)
    threshold = job.options.threshold
    info = mono_info(job.totals, job.methods, job.estimators, threshold, nowhere)
    done = {label: t for label, t in job.totals.items() if t.done}
    chosen = headline(done)
    seen, kept = job.gallery.seen, []
    for rank, one in job.gallery.ranked():
        place = "the only frame" if seen == 1 else f"{rank} of {seen}, 1 = worst"
        kept.append(replace(one.picture, title=f"{one.picture.title} ({place})"))
    info |= {
        "properties": [row.as_dict() for row in properties(done, job.edge_shares, job.groups)],
        "groups": by_group(done, job.groups),
        "headline": None if chosen is None else chosen[1].name,
        "source": frames.source,
        "options": asdict(job.options),
        "samples": len(job.names),
        "asked_for": min(len(frames), job.options.limit or len(frames)),
        "with_truth": job.with_truth,
        "interrupted": interrupted,
        "failures": [
            {"sample": name, "method": label, "error": str(error)}
            for name, label, error in job.failures
        ],
        "notes": [
            f"{job.noted_first[note] if count == 1 else f'{count} frames'}: {note}"
            for note, count in job.notes.items()
        ],
        "shown": [one.title for one in kept],
    }
    html = compare_mono_report(info, kept)
    write_text(folder / "report.html", html)
    names = [name for name in FILES if name != "result.json" and (kept or name != "worst.jpg")]
    if kept:
        write_bytes(folder / "worst.jpg", kept[0].figure)
    info["report_bytes"] = len(html.encode("utf-8", errors="replace"))
    info["files"] = {name: {"content": FILES[name]} for name in names}
    write_json(folder / "result.json", info)
    return info
