"""The model's answers to the frames of a clip, kept as they come for a run that is interrupted."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fathom.catalog import entry
from fathom.core.errors import FathomError
from fathom.core.maps import Depth, RelativeDepth
from fathom.core.mono import MonoAnswer
from fathom.io.frames import Frame, Frames
from fathom.io.photo import PhotoTags, read_tags
from fathom.workflows.depth import Listener
from fathom.workflows.depth_mono import Job, answer_of, answers_of, is_prompted, stamp
from fathom.workflows.evaluate import Progress
from fathom.workflows.mono_clock import Clock
from fathom.workflows.mono_load import LoadedImage, image_with_camera

_EVERY = 50


def answer_all(
    frames: Frames, kept: Path, estimator: Any, job: Job, listener: Listener, clock: Clock
) -> list[str]:
    """The model's answer of every frame in a file each, in the folder `kept`; gives the frames'
    names. Answers that lie there from the same work are taken. clock: is told what the others took.

    Raises what the model raises. An interrupt leaves the answers so far, and says so.
    """
    try:
        return _answer_all(frames, kept, estimator, job, listener, clock)
    except (KeyboardInterrupt, FathomError):
        there = len(list(kept.glob("*.npz")))
        if there:
            listener.tell(
                f"{there} answers are kept in {kept}/; the same command goes on with them"
            )
        else:
            shutil.rmtree(kept, ignore_errors=True)
            if kept.parent.is_dir() and not any(kept.parent.iterdir()):
                kept.parent.rmdir()
        raise


def _answer_all(
    frames: Frames, kept: Path, estimator: Any, job: Job, listener: Listener, clock: Clock
) -> list[str]:
    from fathom.io.result import to_json, write_json

    answers_to = _answering(frames, estimator, job)
    prompted, given = is_prompted(estimator), job.align.align
    prompts = sorted(given.iterdir()) if prompted and given is not None else []
    asked = to_json({"files": [job.asked(file, None, estimator) for file in frames.files],
                     "prompts": [stamp(file) for file in prompts]})  # fmt: skip
    book = kept / "asked.json"
    if kept.is_dir() and (job.options.overwrite or _text(book) != asked):
        shutil.rmtree(kept)
    if not book.exists():
        write_json(book, json.loads(asked))
    there = len(list(kept.glob("*.npz")))
    if there:
        listener.tell(f"{there} frames were answered by the run before (--overwrite)")
    names: list[str] = []
    whole = entry(job.options.method).clip
    size = 1 << 30 if whole else job.options.batch
    waiting: list[tuple[int, Frame]] = []

    progress = None if frames.count is None else Progress(frames.count, listener.tell)

    def flush() -> None:
        lacking = any(not answer_file(kept, i).exists() for i, _ in waiting)
        found = clock.timed(estimator, len(waiting), lambda: answers_to(waiting)) if lacking else []
        for (index, _), answer in zip(waiting, found, strict=lacking):
            write_answer(answer_file(kept, index), answer)
        waiting.clear()

    for index, frame in enumerate(frames):
        names.append(frame.name)
        if progress is not None:
            progress.step()
        elif index % _EVERY == _EVERY - 1:
            listener.tell(f"{index + 1} frames")
        if whole or not answer_file(kept, index).exists():
            waiting.append((index, frame))
        if len(waiting) >= size:
            flush()
    flush()
    return _unique(names)


def _answering(
    frames: Frames, estimator: Any, job: Job
) -> Callable[[Sequence[tuple[int, Frame]]], list[MonoAnswer]]:
    """What answers some frames with their numbers: at once, or each with its own prompt."""
    if not is_prompted(estimator):
        return lambda some: answers_of(
            estimator, [frame.view for _, frame in some], [frame.file for _, frame in some]
        )
    tags = tags_of(frames)

    def one(index: int, frame: Frame) -> MonoAnswer:
        prompt = job.align.file_of(frame.name, index, frames.count or 0)
        return answer_of(estimator, loaded_frame(frame, frames, tags, job), job, prompt)

    return lambda some: [one(index, frame) for index, frame in some]


def tags_of(frames: Frames) -> PhotoTags:
    """What the first image says of its camera, and so of all; nothing for a video."""
    return PhotoTags() if frames.video else read_tags(frames.files[0])


def loaded_frame(frame: Frame, frames: Frames, tags: PhotoTags, job: Job) -> LoadedImage:
    """A frame with its camera; all frames are of one, and stay as they lie in their files. tags:
    by `tags_of`. Raises as `image_with_camera`."""
    return image_with_camera(
        frame.view, frame.file, frame.name, tags, job.camera, video=frames.video
    )


def answer_file(kept: Path, index: int) -> Path:
    """Where the answer to the index-th frame lies."""
    return kept / f"{index:06d}.npz"


def _unique(names: list[str]) -> list[str]:
    """Names of images may repeat (a.png, a.jpg): then they get their number."""
    if len(set(names)) == len(names):
        return names
    return [f"{name}_{index:06d}" for index, name in enumerate(names)]


def write_answer(path: Path, answer: MonoAnswer) -> None:
    """One answer as a .npz file, whole or not at all."""
    from fathom.io.atomic import atomic_file

    found = answer.map
    layers: dict[str, Any] = {"values": found.values}
    for name in ("confidence", "sigma"):
        if getattr(found, name, None) is not None:
            layers[name] = getattr(found, name)
    ambiguity = found.ambiguity if isinstance(found, RelativeDepth) else ""
    with atomic_file(path) as file:
        np.savez(file, ambiguity=ambiguity, focal=answer.focal or 0.0, **layers)


def read_answer(path: Path) -> MonoAnswer:
    """What `write_answer` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        values, ambiguity = stored["values"], str(stored["ambiguity"])
        confidence, sigma = stored.get("confidence"), stored.get("sigma")
        focal = float(stored["focal"]) or None
    if ambiguity:
        return MonoAnswer(RelativeDepth(values, ambiguity, confidence), focal)  # type: ignore[arg-type]
    return MonoAnswer(Depth(values, sigma, confidence), focal)


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").rstrip("\n")
    except (OSError, ValueError):
        return None
