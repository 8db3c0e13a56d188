"""Depth from one image: files to relative maps or metres, pictures, clouds and reports."""

import inspect
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from fathom.catalog import create, entry, parameters, settings
from fathom.core.errors import FathomError, InputError, UsageError
from fathom.core.maps import Depth, RelativeDepth
from fathom.core.mono import AnswersMany, MonoAnswer
from fathom.core.options import option
from fathom.core.pair import View
from fathom.io.pairing import PairFiles
from fathom.scene.cloud import CloudOptions
from fathom.workflows.depth import SILENT, Listener, versions
from fathom.workflows.mono_anchors import Aligned, AlignOptions, aligned, anchors_of
from fathom.workflows.mono_camera import NO_CAMERA, CameraOptions, with_model_focal
from fathom.workflows.mono_clock import Clock
from fathom.workflows.mono_load import LoadedImage, load_image
from fathom.workflows.mono_outputs import MONO_OUTPUTS, MonoEstimate, mono_cloud
from fathom.workflows.outputs import chosen_of, file_names, write_outputs

_DOUBTFUL = 0.5
"""Median residual, as a share of the depth, from which on metres are warned of."""
MEANING = {
    None: "metres along the optical axis",
    "scale": "Z = s v: depth up to a factor",
    "affine": "Z = s v + t: depth up to scale and shift",
    "affine_inverse": "1 / Z = s v + t: inverse depth up to scale and shift, large is near",
}


@dataclass(frozen=True)
class MonoOptions:
    """How images become depth. parameters: of the method alone, by name.

    Raises `UsageError` for values out of range.
    """

    method: str = option(
        "default",
        "how to estimate; `fathom models` lists the methods",
        flags=("-m", "--model", "--algorithm"),
        metavar="NAME",
    )
    weights: str | None = option(
        None,
        "the model's weights: a folder or file (default: what the hub's cache holds)",
        metavar="PATH",
    )
    device: str = option("cpu", "where the method runs", metavar="NAME")
    threads: int | None = option(None, "processor threads (default: all)", metavar="N")
    batch: int = option(1, "images that go through the model together", metavar="N")
    confidence: bool = option(True, "keep the model's confidence, where it has one")
    min_confidence: float = option(
        0.0, "make pixels less certain than this (0..1) unknown", metavar="P"
    )
    z_far: float | None = option(
        None, "leave points farther than this, in metres, out of the cloud", metavar="M"
    )
    save: tuple[str, ...] | None = option(
        None,
        "write only these, for example depth.npy,cloud.ply or npy,ply (default all)",
        metavar="LIST",
    )
    overwrite: bool = option(
        False, "make everything anew; otherwise images of a folder that are done stay as they are"
    )
    steady: bool = option(
        False, "frames of one video: hold scale and shift steady from frame to frame"
    )
    smooth: bool = option(False, "frames of one video: smooth along the optical flow")
    every: int = option(1, "take only each so many-th frame of a video", metavar="N")
    cloud_frame: int = option(
        0,
        "of a video, the frame whose cloud is written, counted from 0 in those taken",
        metavar="N",
    )
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("every", 1), ("cloud_frame", 0)):
            if getattr(self, name) < least:
                raise UsageError(
                    f"is below {least}", field=name.replace("_", "-"), value=getattr(self, name),
                    expected=f"{least} or more",
                )  # fmt: skip
        self.cloud()

    def cloud(self) -> CloudOptions:
        """The part of the options that concerns the cloud. Raises `UsageError` if out of range."""
        return CloudOptions(z_far=self.z_far, min_confidence=self.min_confidence)

    def estimator(self) -> Any:
        """The estimator. Raises `UsageError` for a bad name or value, or a method of another
        task."""
        if entry(self.method).task != "mono":
            raise UsageError(
                "does not see one image alone", field="method", value=self.method,
                remedy="`fathom models` lists what does",
            )  # fmt: skip
        own = dict(self.parameters)
        if "batch" in parameters(self.method):
            own.setdefault("batch", self.batch)
        return create(
            self.method,
            weights=self.weights,
            device=self.device,
            threads=self.threads,
            confidence=self.confidence,
            **own,
        )


@dataclass(frozen=True)
class Job:
    """Everything that stays the same over the images of one run."""

    options: MonoOptions
    camera: CameraOptions
    align: AlignOptions

    def asked(self, file: Path, anchors: Path | None, estimator: Any) -> dict[str, Any]:
        """What decides an image's result: files by size and time of change, the weights that are
        there now among them, and all options."""
        kept = asdict(self.options)
        for name in ("batch", "overwrite", "threads", "cloud_frame"):
            kept.pop(name)
        return {
            "image": stamp(file),
            "anchors": None if anchors is None else stamp(anchors),
            "weights": _weights_now(estimator),
            "options": {**kept, **asdict(self.camera), **asdict(self.align)},
        }


def depth_of_image(
    files: PairFiles, out: Path, job: Job, listener: Listener = SILENT
) -> dict[str, Any]:
    """One image from file to a result folder; returns what its result.json says.

    listener is told how the camera was found and what was fitted, and warned of what limits the
    result. The folder appears whole or not at all.

    Raises `UsageError`, `InputError` or `ResourceError`, before anything is written.
    """
    require_writable(files, out, job)
    loaded = load_image(files.left, files.name, job.camera)
    estimator = job.options.estimator()
    clock, anchors = Clock(), job.align.file_of(files.name, 0, 1)
    require_prompt(estimator, job)
    answer = clock.timed(estimator, 1, lambda: answer_of(estimator, loaded, job, anchors))
    seconds = {"load": clock.loading, "estimate": clock.answering}
    return finish(loaded, answer, seconds, out, job, estimator, anchors, listener)


def is_prompted(estimator: Any) -> bool:
    """Whether the model wants metric depth beside the image (Prompt Depth Anything): then --align
    is its prompt, and not what its answer is fitted to."""
    return "prompt" in inspect.signature(type(estimator).__call__).parameters


def require_prompt(estimator: Any, job: Job) -> None:
    """Raises `UsageError` for a model that wants a prompt where none is given; before its weights
    are loaded."""
    if is_prompted(estimator) and not job.align.wanted:
        raise UsageError(
            f"{entry(job.options.method).name} refines depth that is already there, and none was "
            "given", field="align", remedy="give --align FILE, or take a method without a prompt, "
            "for example depth-anything-v2-metric-indoor-small",
        )  # fmt: skip


def answer_of(estimator: Any, loaded: LoadedImage, job: Job, anchors: Path | None) -> MonoAnswer:
    """What the model says of one image; with its prompt, where it wants one. Raises as the model
    and `mono_anchors.anchors_of`."""
    if not (is_prompted(estimator) and job.align.wanted):
        return answers_of(estimator, [loaded.view], [loaded.file])[0]
    prompt, _ = anchors_of(loaded.view.size, loaded.found, job.align, anchors)
    return answers_of(lambda view: estimator(view, prompt), [loaded.view], [loaded.file])[0]


def answers_of(estimator: Any, views: Sequence[View], files: Sequence[Path]) -> list[MonoAnswer]:
    """What the model says of some views, at once where it can. Errors that name no file name the
    first one. Raises `InputError` for an answer that does not fit its view."""
    if not views:
        return []
    try:
        if isinstance(estimator, AnswersMany):
            found = list(estimator.answers(views))
        else:
            found = [MonoAnswer(estimator(view)) for view in views]
        for view, answer in zip(views, found, strict=True):
            if answer.map.shape != view.shape:
                raise InputError(
                    "differs in size from the image", field="the model's answer",
                    value=answer.map.shape, expected=str(view.shape),
                )  # fmt: skip
    except FathomError as error:
        error.file = error.file or str(files[0])
        raise
    return found


def estimate_of(
    loaded: LoadedImage,
    answer: MonoAnswer,
    job: Job,
    estimator: Any,
    anchors: Path | None,
    listener: Listener,
) -> MonoEstimate:
    """Camera, metres and cloud of what the model said: everything before writing.

    Raises `InputError` where the model knows not one pixel, or anchors do not determine the scale.
    """
    if not answer.map.known.any():
        raise InputError(
            "the model knows not one pixel of it", file=loaded.file,
            remedy="are the weights whole? fetch them again, or take another method",
        )  # fmt: skip
    options = job.options
    found = with_model_focal(loaded.found, loaded.view, answer.focal) if not loaded.panorama else (
        loaded.found
    )  # fmt: skip
    result = _certain(answer.map, options.min_confidence)
    fit: Aligned | None = None
    if job.align.wanted and not is_prompted(estimator):
        fit = aligned(result, found, job.align, anchors)
        listener.tell(f"aligned to {fit.how}: {fit.fit}")
        loaded = replace(loaded, notes=(*loaded.notes, *_doubts(fit)))
    depth = fit.depth if fit is not None else result if isinstance(result, Depth) else None
    warnings = list(loaded.notes)
    missing = missing_of(loaded, depth, found.camera is None)
    cloud = None
    if depth is not None and found.camera is not None:
        listener.tell(f"intrinsics: {found.how} (fx {found.camera.fx:.1f} px)")
        cloud = mono_cloud(loaded.view, depth, found.camera, options.cloud())
    if not result.known.any():
        warnings.append("the model knows no pixel so surely (--min-confidence)")
    for warning in warnings:
        listener.warn(warning)
    for line in missing:
        listener.tell(line)
    chosen = entry(options.method)
    ambiguity = result.ambiguity if isinstance(result, RelativeDepth) else None
    info = {
        "format": "fathom-result",
        "version": 1,
        "kind": "mono",
        "title": f"{loaded.name}: {chosen.name}",
        "inputs": {"image": str(loaded.file)},
        "size": {"width": loaded.view.size[0], "height": loaded.view.size[1], "unit": "pixels"},
        "camera": found.as_dict(),
        "method": {"name": chosen.name, "licence": chosen.licence, **settings(estimator)},
        "answer": {"ambiguity": ambiguity, "meaning": MEANING[ambiguity]},
        "alignment": None if fit is None else fit.as_dict(),
        "prompt": None if anchors is None or fit is not None else str(anchors),
        "result": describe(result, depth),
        "notes": [*warnings, *missing],
        "seconds": {},
        "versions": mono_versions(),
    }
    return MonoEstimate(loaded.view, result, depth, found.camera, cloud, info)


def _doubts(fit: Aligned) -> list[str]:
    """What speaks against the anchors, or the map."""
    if fit.fit.residual <= _DOUBTFUL:
        return []
    return [
        f"half of the anchors are missed by {fit.fit.residual:.0%} and more: the metres may be "
        "wrong; check the anchors and --align-kind, or take --robust ransac"
    ]


def describe(answer: Depth | RelativeDepth, depth: Depth | None) -> dict[str, Any]:
    """Shares and ranges, with their units in the names."""
    known = answer.values[answer.known]
    low, high = (float(known.min()), float(known.max())) if known.size else (None, None)
    extent = None if depth is None else depth.extent
    relative = isinstance(answer, RelativeDepth)
    return {
        "share_known": answer.share_known,
        "relative": {"min": low, "max": high} if relative else None,
        "depth_m": None if extent is None else {"nearest": extent[0], "farthest": extent[1]},
    }


def mono_versions() -> dict[str, str]:
    """`depth.versions` and those of the libraries that hold the models."""
    found = versions()
    for package in ("torch", "transformers", "diffusers"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def finish(
    loaded: LoadedImage,
    answer: MonoAnswer,
    seconds: dict[str, float],
    out: Path,
    job: Job,
    estimator: Any,
    anchors: Path | None,
    listener: Listener,
) -> dict[str, Any]:
    """From the model's answer to the folder; gives what its result.json says. seconds: what
    loading and the answer took. Raises as `estimate_of`, and `ResourceError` for a folder that
    cannot be written.
    """
    from fathom.io.folder import result_folder

    start = time.perf_counter()
    estimate = estimate_of(loaded, answer, job, estimator, anchors, listener)
    estimate.info["seconds"] = {**seconds, "convert": time.perf_counter() - start}
    estimate.info["asked"] = job.asked(loaded.file, anchors, estimator)
    start = time.perf_counter()
    with result_folder(out) as staging:
        info = write_outputs(staging, estimate, chosen_of(MONO_OUTPUTS, job.options.save))
    info["seconds"]["write"] = time.perf_counter() - start
    return {**info, "folder": str(out)}


def _certain(found: Depth | RelativeDepth, least: float) -> Depth | RelativeDepth:
    if least <= 0 or found.confidence is None:
        return found
    unsure = found.confidence < least
    return replace(found, values=np.where(unsure, np.float32(np.nan), found.values))


def missing_of(loaded: LoadedImage, depth: Depth | None, no_camera: bool) -> list[str]:
    """What there is not, and what would give it."""
    if depth is None:
        return [
            "no metres: this model knows depth up to an unknown scale only; align it with --align "
            "FILE, --known-size or --ground, or take a metric model"
        ]
    if no_camera and not loaded.panorama:
        return [f"no cloud: nothing tells the focal length; {NO_CAMERA}"]
    return []


def require_writable(files: PairFiles, out: Path, job: Job) -> None:
    """Raises what writing the result would raise, before any work."""
    from fathom.io.elsewhere import require_elsewhere
    from fathom.io.folder import check_result_folder

    require_elsewhere(out, (files.left, job.camera.calib))
    check_result_folder(out, file_names(chosen_of(MONO_OUTPUTS, job.options.save)))


def _weights_now(estimator: Any) -> Any:
    """Which weights the estimator would run with: of the hub's repositories the commit, of folders
    and files what they hold now. None for one that has none, or does not find them."""

    def stamped(said: Any) -> Any:
        if not isinstance(said, dict) or "path" not in said:
            return {k: stamped(v) for k, v in said.items()} if isinstance(said, dict) else said
        place = Path(said["path"])
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        return {**said, "files": [stamp(file) for file in files]}

    if hasattr(estimator, "weights_used"):
        with suppress(FathomError):
            return stamped(estimator.weights_used())
    return None


def stamp(file: Path) -> dict[str, Any]:
    """A file by its name, size and time of change."""
    try:
        status = file.stat()
    except OSError:
        return {"file": str(file)}
    return {"file": str(file), "bytes": status.st_size, "changed_ns": status.st_mtime_ns}
