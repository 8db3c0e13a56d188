"""Depth of the frames of one video: held steady, smoothed, in one range of colours.

The model's answers are kept as they come, so that a run that was interrupted goes on where it was;
what is made of them (holding, metres, colours, the video) is quick and made in one go at the end.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fathom.catalog import entry, settings
from fathom.combine.steady import SMOOTH_SHARE, Hold, flow_between, held, smoothed
from fathom.core.arrays import Array
from fathom.core.camera import Camera
from fathom.core.cloud import PointCloud
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, RelativeDepth
from fathom.eval.temporal import FlickerMeter
from fathom.io.frames import Frames, open_frames
from fathom.workflows.depth import SILENT, Listener
from fathom.workflows.depth_mono import (
    MEANING,
    Job,
    describe,
    is_prompted,
    missing_of,
    mono_versions,
    require_prompt,
)
from fathom.workflows.mono_anchors import AlignOptions, aligned
from fathom.workflows.mono_camera import FoundCamera, with_model_focal
from fathom.workflows.mono_clock import Clock
from fathom.workflows.mono_kept import (
    answer_all,
    answer_file,
    loaded_frame,
    read_answer,
    tags_of,
)
from fathom.workflows.mono_load import LoadedImage
from fathom.workflows.mono_outputs import mono_cloud
from fathom.workflows.mono_paint import PICTURE, VIDEO, Painted

KEPT = ".fathom-answers"
CLIP_FILES = {
    "maps/NAME.npy": "each frame's map: metres, or relative in the unit of the first frame",
    "depth.mp4": VIDEO,
    "color/NAME.png": PICTURE,
    "cloud.ply": "coloured points of one frame (--cloud-frame), metres, camera's frame",
    "report.html": "flicker before and after, some frames, what was held in each",
}
_SAMPLES = 4000
_DEFINITION = (
    "Mean second difference over time |d_t - (d_t-1 + d_t+1) / 2| of the maps, as a share of their "
    "spread (2nd to 98th percentile, mean over the frames). 0 is no flicker; what moves adds to it."
)


@dataclass
class _Measures:
    """What is added up over the frames of one series of maps."""

    meter: FlickerMeter = field(default_factory=FlickerMeter)
    spreads: list[float] = field(default_factory=list)

    def add(self, values: Array) -> None:
        self.meter.add(values)
        known = values[np.isfinite(values)]
        if known.size:
            low, high = np.percentile(known[:: max(1, known.size // _SAMPLES)], (2, 98))
            self.spreads.append(float(high - low))

    @property
    def value(self) -> float | None:
        """Flicker over spread; None where it is not to be had."""
        spread = float(np.mean(self.spreads)) if self.spreads else 0.0
        found = self.meter.value / spread if spread > 0 else float("nan")
        return found if np.isfinite(found) else None


def is_clip(source: str, method: str, job: Job) -> bool:
    """Whether the source is treated as one video: it is one, or holding or smoothing is wanted, or
    the method sees a video as a whole and there are several images."""
    from fathom.io.frames import is_video
    from fathom.io.pairing import find_images

    if job.options.steady or job.options.smooth:
        return True
    if is_video(source) and not _gif(source):
        return True
    return entry(method).clip and find_images(source)[1]


def depth_of_clip(
    source: str,
    out: Path,
    job: Job,
    listener: Listener = SILENT,
) -> dict[str, Any]:
    """The frames of a folder, glob or video to the folder `out`; gives what its result.json says.

    listener is told how far it is. An interrupt keeps the model's answers so far; the same command
    goes on with them.

    Raises `UsageError`, `InputError` or `ResourceError`.
    """
    from fathom.io.elsewhere import require_elsewhere
    from fathom.io.folder import check_result_folder, result_folder

    estimator = job.options.estimator()
    require_prompt(estimator, job)
    _check_align(job.align, job, prompted=is_prompted(estimator))
    if _gif(source):
        raise InputError(
            "is a GIF", file=source, expected="a video, or a folder of images",
            remedy="convert it (ffmpeg -i IN.gif -c:v ffv1 OUT.mkv)",
        )  # fmt: skip
    frames = open_frames(source, every=job.options.every)
    require_elsewhere(out, (*frames.files[:1], job.camera.calib))
    check_result_folder(out, ("depth.mp4", "cloud.ply", "report.html", "result.json"))
    if frames.count is not None and job.options.cloud_frame >= frames.count:
        raise UsageError(
            "is beyond the last frame", field="cloud-frame", value=job.options.cloud_frame,
            expected=f"0 to {frames.count - 1}",
        )  # fmt: skip
    kept, clock = out / KEPT, Clock()
    names = answer_all(frames, kept, estimator, job, listener, clock)
    if clock.images:
        listener.tell(clock.told("frame"))
    seconds = {"load": clock.loading, "estimate": clock.answering}
    start = time.perf_counter()
    with result_folder(out) as staging:
        clip = _Clip(frames, names, kept, job, estimator, listener)
        info = clip.write(staging, seconds)
    seconds["write"] = time.perf_counter() - start
    shutil.rmtree(kept, ignore_errors=True)
    return {**info, "folder": str(out)}


class _Clip:
    """The second pass: every frame in order, from the model's answer to what is written."""

    def __init__(
        self, frames: Frames, names: list[str], kept: Path, job: Job, estimator: Any,
        listener: Listener,
    ) -> None:  # fmt: skip
        self._frames, self._names, self._kept, self._job = frames, names, kept, job
        self._estimator, self._listener = estimator, listener
        self._before, self._after = _Measures(), _Measures()
        self._rows: list[dict[str, Any]] = []
        self._samples: list[Array] = []
        self._notes: list[str] = []
        self._fit: dict[str, Any] | None = None
        self._line: Callable[[Depth | RelativeDepth], Depth] | None = None
        self._cloud: PointCloud | None = None

    def write(self, folder: Path, seconds: dict[str, float]) -> dict[str, Any]:
        """All files of the clip, result.json last."""
        from fathom.io.atomic import write_text
        from fathom.io.folder import RESULT
        from fathom.io.maps import write_depth_npy
        from fathom.io.ply import write_ply
        from fathom.io.result import write_json
        from fathom.viz.mono import clip_report

        shape: tuple[int, int] | None = None
        found, metric, ambiguity = FoundCamera(None, "none", ""), False, None
        for name, answer, shown, camera in self._maps():
            shape, found = shown.shape, camera if found.camera is None else found
            metric = isinstance(shown, Depth)
            ambiguity = answer.ambiguity if isinstance(answer, RelativeDepth) else None
            write_depth_npy(folder / "maps" / f"{name}.npy", shown.values)
        assert shape is not None  # open_frames refuses what has no frame
        content = CLIP_FILES["maps/NAME.npy"]
        files: dict[str, dict[str, Any]] = {
            f"maps/{name}.npy": {"content": content} for name in self._names
        }
        scale = self._scale(None if metric else ambiguity)
        painted = Painted(self._frames, self._names, folder, scale)
        more, pictures = painted.write(self._listener)
        files.update(more)
        chosen, align = entry(self._job.options.method), self._job.align
        if self._job.options.cloud_frame >= len(self._names):
            self._note(f"no cloud: the clip has {len(self._names)} frames (--cloud-frame)")
        if self._cloud is not None:
            write_ply(folder / "cloud.ply", self._cloud)
            files["cloud.ply"] = {
                "content": CLIP_FILES["cloud.ply"], "points": len(self._cloud),
                "frame": self._names[self._job.options.cloud_frame],
            }  # fmt: skip
        info = {
            "format": "fathom-result",
            "version": 1,
            "kind": "mono-clip",
            "title": f"{Path(self._frames.source).name or self._frames.source}: {chosen.name}",
            "inputs": {"frames": self._frames.source, "count": len(self._names),
                       "video": self._frames.video, "rate": self._frames.rate},
            "size": {"width": shape[1], "height": shape[0], "unit": "pixels"},
            "camera": found.as_dict(),
            "method": {"name": chosen.name, "licence": chosen.licence,
                       **settings(self._estimator)},
            "answer": {"ambiguity": ambiguity, "meaning": MEANING[ambiguity]},
            "alignment": self._fit,
            "prompt": str(align.align) if align.align and is_prompted(self._estimator) else None,
            "temporal": {"steady": self._job.options.steady, "smooth": self._job.options.smooth,
                         "smooth_share": SMOOTH_SHARE if self._job.options.smooth else None},
            "flicker": {"before": self._before.value, "after": self._after.value,
                        "definition": _DEFINITION},
            "colors": {"low": scale.low, "high": scale.high, "law": scale.law,
                       "unit": "m" if metric else None},
            "frames": self._rows,
            "notes": self._notes,
            "seconds": seconds,
            "versions": mono_versions(),
        }  # fmt: skip
        write_text(folder / "report.html", clip_report(info, pictures))
        files["report.html"] = {"content": CLIP_FILES["report.html"]}
        info["files"] = files
        write_json(folder / RESULT, info)
        return info

    def _maps(
        self,
    ) -> Iterator[tuple[str, Depth | RelativeDepth, Depth | RelativeDepth, FoundCamera]]:
        """Name, the model's answer, what is written, and the camera, frame after frame."""
        options, before = self._job.options, None
        tags = tags_of(self._frames)
        for index, frame in enumerate(self._frames):
            answer = read_answer(answer_file(self._kept, index))
            loaded = loaded_frame(frame, self._frames, tags, self._job)
            for note in loaded.notes:
                self._note(note)
            camera = loaded.found
            if not loaded.panorama:
                camera = with_model_focal(camera, frame.view, answer.focal)
            self._before.add(answer.map.values)
            row: dict[str, Any] = {"name": self._names[index]}
            shown, before = self._steadied(answer.map, frame.view.gray8, before, row)
            if not (options.steady or options.smooth):
                before = None
            shown = self._metres(shown, camera, index, row)
            if index == options.cloud_frame:
                self._take_cloud(loaded, shown, camera.camera)
            self._after.add(shown.values)
            extent = describe(shown, shown if isinstance(shown, Depth) else None)
            row.update(extent["relative"] or extent["depth_m"] or {})
            self._rows.append(row)
            known = shown.values[shown.known]
            self._samples.append(known[:: max(1, known.size // _SAMPLES)])
            yield self._names[index], answer.map, shown, camera

    def _take_cloud(
        self, loaded: LoadedImage, shown: Depth | RelativeDepth, camera: Camera | None
    ) -> None:
        """The cloud of this frame, or a note of what it lacks."""
        depth = shown if isinstance(shown, Depth) else None
        for line in missing_of(loaded, depth, camera is None):
            self._note(line)
        if depth is not None and camera is not None:
            self._cloud = mono_cloud(loaded.view, depth, camera, self._job.options.cloud())

    def _steadied(
        self, answer: Depth | RelativeDepth, gray: Array, before: Hold | None, row: dict[str, Any]
    ) -> tuple[Depth | RelativeDepth, Hold]:
        """The map held and smoothed as the options say; what the next frame needs."""
        options = self._job.options
        if options.steady:
            found, hold, flow = held(answer, gray, before)
            row.update(motion=hold.motion, scale=hold.line.scale, shift=hold.line.shift)
        else:
            found, hold = answer, Hold(answer.values, gray)
            there = options.smooth and before is not None
            flow = flow_between(before.gray, gray) if there and before is not None else None
        if options.smooth and before is not None and flow is not None and hold.motion != "cut":
            found = smoothed(found, before, flow)
            hold = replace(hold, values=found.values)
        return found, hold

    def _metres(
        self, shown: Depth | RelativeDepth, camera: FoundCamera, index: int, row: dict[str, Any]
    ) -> Depth | RelativeDepth:
        """Aligned to metres: each frame by itself, or all by the first fit if they are steady."""
        align = self._job.align
        if not align.wanted or is_prompted(self._estimator):
            return shown  # a prompted model has had its anchors
        if self._line is not None:
            return self._line(shown)
        name, count = self._names[index], len(self._names)
        done = aligned(shown, camera, align, align.file_of(name, index, count))
        row.update(anchors=done.fit.anchors, median_residual=done.fit.residual)
        if self._fit is None:
            self._fit = {"of_frame": name, **done.as_dict()}
            self._listener.tell(f"{name}: aligned to {done.how}: {done.fit}")
        if self._job.options.steady:
            self._fit["for"] = "all frames"
            scatter = np.float32(max(1.4826 * done.fit.residual, 1e-4))

            def apply(other: Depth | RelativeDepth) -> Depth:
                metres = done.fit.metres(other.values)
                return Depth(metres, scatter * metres)

            self._line = apply
        return done.depth

    def _scale(self, ambiguity: str | None) -> Any:
        from fathom.viz.mono import map_scale

        every = np.concatenate(self._samples) if self._samples else np.zeros(0, np.float32)
        return map_scale(every, ambiguity)

    def _note(self, line: str) -> None:
        if line not in self._notes:
            self._notes.append(line)
            self._listener.warn(line)


def _check_align(align: AlignOptions, job: Job, *, prompted: bool) -> None:
    """Refuses what a clip cannot be aligned by, or a model of it be prompted with."""
    each = "give a folder with anchors of each frame"
    held_too = f"hold its scale over all frames with --steady, or {each}"
    steady = job.options.steady and not prompted
    align.require_many(each if prompted else held_too, one_serves=steady)
    if align.local is not None and job.options.steady:
        raise UsageError(
            "follows each frame's own anchors, and --steady takes the first frame's for all",
            field="local", remedy="leave one of them out",
        )  # fmt: skip


def _gif(source: str) -> bool:
    try:
        with Path(source).open("rb") as file:
            return file.read(4) == b"GIF8"
    except OSError:
        return False
