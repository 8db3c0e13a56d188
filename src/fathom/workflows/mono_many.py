"""Depth from one image for every image of a folder: in batches, resumable, a bad one stops none."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fathom.core.errors import FathomError, ResourceError
from fathom.core.mono import MonoAnswer
from fathom.io.pairing import PairFiles
from fathom.workflows.depth import SILENT, BatchResult, Failure, Listener
from fathom.workflows.depth_mono import (
    Job,
    answer_of,
    answers_of,
    finish,
    is_prompted,
    require_prompt,
    require_writable,
)
from fathom.workflows.mono_clock import Clock
from fathom.workflows.mono_load import LoadedImage, load_image
from fathom.workflows.outputs import RESULT


def depth_of_images(
    images: Sequence[PairFiles],
    out: Path,
    job: Job,
    listener: Listener = SILENT,
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> BatchResult:
    """Every image into its own folder below `out`; a bad image does not stop the others.

    What an earlier run with the same options and files has done stays (unless `overwrite`), also
    when that run was interrupted. advance is called with a name before its turn. Failures are
    returned, not raised.

    Raises `UsageError` for several images and anchors of one, or none for a model that wants a
    prompt; `InputError` for no anchors at all.
    """
    if len(images) > 1:
        job.align.require_many("give a folder with anchors of each image")
    batch = _Batch(out, job, listener)
    kept = 0
    for index, one in enumerate(images):
        advance(one.name)
        try:
            anchors = job.align.file_of(one.name, index, len(images))
            earlier = None if job.options.overwrite else batch.earlier(one, anchors)
            if earlier is None:
                require_writable(one, out / one.name, job)
                batch.add(load_image(one.left, one.name, job.camera), anchors)
            else:
                kept += 1
                batch.done.append({**earlier, "folder": str(out / one.name)})
        except FathomError as error:
            batch.failed.append(Failure(one.name, error))
        except MemoryError:
            batch.failed.append(Failure(one.name, _no_memory(one.left)))
    batch.flush()
    if batch.clock.images:
        listener.tell(batch.clock.told("image"))
    if kept:
        listener.tell(f"{kept} of {len(images)} images were done already in {out}/ (--overwrite)")
    return BatchResult(tuple(batch.done), tuple(batch.failed))


class _Batch:
    """Images of one size that wait to go through the model together."""

    def __init__(self, out: Path, job: Job, listener: Listener) -> None:
        self.done: list[dict[str, Any]] = []
        self.failed: list[Failure] = []
        self._out, self._job, self._listener = out, job, listener
        self._estimator = job.options.estimator()
        self._waiting: list[tuple[LoadedImage, Path | None]] = []
        self._heard: set[str] = set()
        self.clock = Clock()
        require_prompt(self._estimator, job)

    def earlier(self, files: PairFiles, anchors: Path | None) -> dict[str, Any] | None:
        """result.json of the same work done before, with all its files; None for anything else."""
        from fathom.io.result import to_json

        folder = self._out / files.name
        with suppress(OSError, ValueError, KeyError, TypeError):
            info = json.loads((folder / RESULT).read_text(encoding="utf-8"))
            asked = self._job.asked(files.left, anchors, self._estimator)
            same = to_json(info["asked"]) == to_json(asked)
            if same and all((folder / name).exists() for name in info["files"]):
                found: dict[str, Any] = info
                return found
        return None

    def add(self, loaded: LoadedImage, anchors: Path | None) -> None:
        """One more image; the model runs when there are enough, or the size changes."""
        if self._waiting and self._waiting[0][0].view.size != loaded.view.size:
            self.flush()
        self._waiting.append((loaded, anchors))
        if len(self._waiting) == self._job.options.batch:
            self.flush()

    def flush(self) -> None:
        """Runs the model on what waits, and writes each result."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        before = self.clock.answering, self.clock.loading
        found = self._timed(waiting)
        estimate, loading = self.clock.answering - before[0], self.clock.loading - before[1]
        for (loaded, anchors), answer in zip(waiting, found, strict=True):
            # the model is loaded for the first of all
            seconds = {"load": loading, "estimate": estimate / len(waiting)}
            loading = 0.0
            if isinstance(answer, FathomError):
                self.failed.append(Failure(loaded.name, answer))
                continue
            named = self._listener.named(loaded.name, self._heard)
            place = self._out / loaded.name
            try:
                info = finish(
                    loaded, answer, seconds, place, self._job, self._estimator, anchors, named
                )
                self.done.append(info)
            except FathomError as error:
                self.failed.append(Failure(loaded.name, error))
            except MemoryError:
                self.failed.append(Failure(loaded.name, _no_memory(loaded.file)))

    def _timed(
        self, waiting: Sequence[tuple[LoadedImage, Path | None]]
    ) -> Sequence[MonoAnswer | FathomError]:
        """Their answers, or for each why there is no model that could answer."""
        try:
            return self.clock.timed(self._estimator, len(waiting), lambda: self._answers(waiting))
        except FathomError as error:
            return [error] * len(waiting)
        except MemoryError:
            return [_no_memory(loaded.file) for loaded, _ in waiting]

    def _answers(
        self, waiting: Sequence[tuple[LoadedImage, Path | None]]
    ) -> list[MonoAnswer | FathomError]:
        """Together, or, if that fails, one by one: the fault may be one image's."""
        if len(waiting) > 1 and not is_prompted(self._estimator):
            images = [loaded for loaded, _ in waiting]
            with suppress(FathomError, MemoryError):
                views, files = [i.view for i in images], [i.file for i in images]
                return [*answers_of(self._estimator, views, files)]
        return [self._alone(loaded, anchors) for loaded, anchors in waiting]

    def _alone(self, loaded: LoadedImage, anchors: Path | None) -> MonoAnswer | FathomError:
        try:
            return answer_of(self._estimator, loaded, self._job, anchors)
        except FathomError as error:
            return error
        except MemoryError:
            return _no_memory(loaded.file)


def _no_memory(file: Path) -> ResourceError:
    return ResourceError("not enough memory", file=file, remedy="try a smaller --size")
