"""Rectifying images, folders and videos, from a calibration or from matches alone."""

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.camera import StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.options import option
from fathom.core.pair import View
from fathom.geometry.plausible import implausibilities
from fathom.geometry.rectify import FIELD, LARGEST, Rectification, exchange, rectify
from fathom.io.frames import FramePair, PairedFrames, paired_frames
from fathom.workflows.depth import versions
from fathom.workflows.pairs import PairOptions, find_and_read_calibration
from fathom.workflows.rectify_rows import RowMeter, Warp, choose, uncalibrated_warp

PICTURE, OWN, PLAIN = "rows.png", "calibration.json", "calib.txt"
MASKS = ("mask_left.png", "mask_right.png")
CONTENTS = {
    PICTURE: "rows before and after, with lines through both images",
    OWN: "the rig of the rectified images, in fathom's format",
    PLAIN: "the rig of the rectified images, in Middlebury's format",
    **dict.fromkeys(MASKS, "255 where the camera saw the pixel, else 0"),
}
"""What the files beside the images hold."""
_SAMPLES = 6


@dataclass(frozen=True)
class RectifyOptions:
    """How images are rectified, beyond what `PairOptions` says of reading them."""

    size: str | None = option(
        None, "size of the rectified images in pixels (default: the left camera's)", metavar="WxH"
    )
    field: float = option(
        FIELD, "widest view in degrees that the images may show (fisheyes see more)", metavar="DEG"
    )
    exchange: bool = option(
        False, "the cameras are exchanged in calibration and images: exchange both"
    )
    uncalibrated: bool = option(
        False, "without calibration, from matches alone: rows agree, metres stay unknown"
    )
    every: int = option(1, "take only each so many-th pair or frame", metavar="N")
    shortest: bool = option(
        False, "of two videos of unequal length take as much as the shorter one has"
    )
    images: bool = option(False, "write a video's frames as PNG instead of a video")

    def pixels(self) -> tuple[int, int] | None:
        """`size` as (width, height). Raises `UsageError` for what is no size."""
        if self.size is None:
            return None
        parts = self.size.lower().replace("×", "x").split("x")
        numbers = [int(part) for part in parts if part.strip().isdecimal() and len(part) < 9]
        if len(parts) != 2 or len(numbers) != 2 or min(numbers) < 2:
            raise UsageError(
                "is no image size", field="size", value=self.size, expected="for example 1280x720"
            )
        if numbers[0] * numbers[1] > LARGEST:
            raise UsageError(
                "is too large",
                field="size",
                value=self.size,
                expected=f"at most {LARGEST // 1_000_000} megapixels",
            )
        return numbers[0], numbers[1]


@dataclass(frozen=True, eq=False)
class _Job:
    """What is rectified, how, and into which files."""

    frames: PairedFrames
    warp: Warp
    calibration: StereoRig | StereoCalibration | None
    calibration_file: Path | None
    exchange: bool
    names: tuple[str, ...]
    video: bool
    notes: list[str] = field(default_factory=list)

    @property
    def rig(self) -> StereoRig | None:
        return self.warp.rig

    def pairs(self) -> Iterator[tuple[FramePair, View, View]]:
        """Each pair with its views in the order of the cameras."""
        for pair in self.frames:
            views = (pair.left, pair.right)
            left, right = views[::-1] if self.exchange else views
            yield pair, left, right

    def places(self, name: str) -> tuple[str, str]:
        """The two files of a pair of images, below the result folder."""
        if not self.frames.many:
            return "left.png", "right.png"
        return f"left/{name}.png", f"right/{name}.png"


def open_pairs(
    left: str | Path, right: str | Path | None, pair_options: PairOptions, options: RectifyOptions
) -> PairedFrames:
    """The pairs that two arguments and the options name; raises as `paired_frames` does."""
    return paired_frames(
        left, right, pair_options.layout, every=options.every, shortest=options.shortest
    )


def rectify_files(
    frames: PairedFrames,
    out: Path,
    pair_options: PairOptions,
    options: RectifyOptions,
    notify: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    advance: Callable[[str], None] = lambda name: None,  # noqa: ARG005
) -> dict[str, Any]:
    """Rectifies pairs of images or videos (`open_pairs`) into the folder `out`.

    Written are left.png and right.png (left/NAME.png and right/NAME.png for many, left.mkv and
    right.mkv for videos), the calibration of the result (calibration.json, and calib.txt in
    Middlebury's format) where one is known, masks of what was seen where not every pixel was, a
    picture with row lines before and after, and result.json, which is also returned. All appear
    together at the end. A job over many images that was interrupted goes on where it stopped when
    it is started again.

    notify is told what a user should know, advance the name of each pair before its turn.

    Raises `UsageError`, `InputError` or `ResourceError`; nothing has been written then.
    """
    from fathom.io.elsewhere import require_elsewhere
    from fathom.io.folder import check_result_folder, result_folder

    require_elsewhere(out, frames.files, always=True)
    require_elsewhere(out, [pair_options.calib])
    job = _prepare(frames, pair_options, options, notify)
    check_result_folder(out, _planned(job))
    for note in job.notes:
        notify(note)
    meter = RowMeter(job.warp, choose(frames.count, _SAMPLES))
    with result_folder(out) as staging:
        if job.video:
            count = _write_videos(job, staging, meter, advance)
        else:
            partial = _partial(out, job, pair_options, options)
            count = _write_images(job, partial, meter, notify, advance)
        info = _describe(job, meter, count)
        for line in info["notes"][len(job.notes) :]:
            notify(line)
        _write_rest(job, staging, meter)
        if not job.video:
            _take_over(partial, staging)
        _write_result(staging, info)
    _remove_partials(out)
    return {**info, "folder": str(out)}


def _prepare(
    frames: PairedFrames,
    pair_options: PairOptions,
    options: RectifyOptions,
    notify: Callable[[str], None],
) -> _Job:
    size = options.pixels()
    first = next(iter(frames), None)
    if first is None:
        raise InputError("holds no frame", file=frames.files[0])
    names = frames.names or ()
    video = frames.video and not options.images
    notes = [f"{path}: has no partner, and is left out" for path in frames.lonely]
    if options.uncalibrated:
        if pair_options.calib is not None or options.exchange:
            raise UsageError(
                "is done without a calibration",
                field="uncalibrated",
                remedy="leave --calib and --exchange out, or --uncalibrated",
            )
        warp = uncalibrated_warp(frames, size, notify)
        return _Job(frames, warp, None, None, False, names, video, [*notes, *warp.notes])
    calibration, file = _raw_calibration(first, pair_options, options.exchange)
    from fathom.io.files import in_file

    with in_file(file):
        try:
            rectification = rectify(
                calibration, crop=pair_options.crop, size=size, field=options.field
            )
        except InputError as error:
            if options.exchange and error.field == "translation":
                error.remedy = "the file has its cameras in order: leave --exchange out"
            raise
    _require_size(first, rectification, file, options.exchange)
    notes += [f"{file}: {line}" for line in implausibilities(calibration)]
    warp = Warp.of(rectification)
    return _Job(
        frames, warp, calibration, file, options.exchange, names, video, [*notes, *warp.notes]
    )


def _raw_calibration(
    first: FramePair, options: PairOptions, exchanged: bool
) -> tuple[StereoCalibration, Path]:
    calibration, file = find_and_read_calibration(
        first.left.size, first.left_file, options, any_size=True
    )
    if calibration is None or file is None:
        raise UsageError(
            "no calibration is given, and none lies beside the left image",
            field="calib",
            remedy="give --calib FILE; or --uncalibrated, which leaves metres unknown",
        )
    if isinstance(calibration, StereoRig):
        raise InputError(
            "describes images that are rectified already",
            file=file,
            expected="a raw calibration: two cameras, distortion, rotation and translation",
            remedy="use the images as they are; if their rows do not agree: --recalibrate",
        )
    return (exchange(calibration) if exchanged else calibration), file


def _require_size(
    first: FramePair, rectification: Rectification, file: Path, exchanged: bool
) -> None:
    views = (first.right, first.left) if exchanged else (first.left, first.right)
    cameras = rectification.calibration.left, rectification.calibration.right
    for side, view, camera in zip(("left", "right"), views, cameras, strict=True):
        if view.size != camera.size:
            raise InputError(
                "is for another image size",
                file=file,
                field=f"{side} camera",
                value=f"{camera.width}x{camera.height}",
                expected=f"{view.size[0]}x{view.size[1]} as the {side} images",
                remedy="calibrate at this size, or give the images as they were calibrated",
            )


def _planned(job: _Job) -> list[str]:
    """Every file that may be written."""
    from fathom.io.folder import RESULT

    names = [PICTURE, *MASKS, RESULT]
    if job.rig is not None:
        names += [OWN, PLAIN]
    if job.video:
        return [*names, "left.mkv", "right.mkv"]
    return names + [place for name in job.names for place in job.places(name)]


def _write_videos(job: _Job, staging: Path, meter: RowMeter, advance: Callable[[str], None]) -> int:
    from fathom.io.video import write_video

    size, rate, count = job.warp.size, job.frames.rate or 30.0, 0
    with (
        write_video(staging / "left.mkv", size, rate) as left,
        write_video(staging / "right.mkv", size, rate) as right,
    ):
        for pair, *views in job.pairs():
            advance(pair.name)
            meter.look(count, *views)
            images = job.warp(*views)
            left.write(images[0])
            right.write(images[1])
            count += 1
    return count


def _write_images(
    job: _Job,
    partial: Path,
    meter: RowMeter,
    notify: Callable[[str], None],
    advance: Callable[[str], None],
) -> int:
    from fathom.io.images import write_png

    count = kept = 0
    try:
        with ThreadPoolExecutor(max_workers=2) as pool:
            for pair, *views in job.pairs():
                advance(pair.name)
                meter.look(count, *views)
                places = [partial / place for place in job.places(pair.name)]
                if all(place.is_file() for place in places):
                    kept += 1
                else:
                    # One image at a time would leave the disk idle while the other is packed.
                    list(pool.map(write_png, places, job.warp(*views)))
                count += 1
    except BaseException as error:
        if count and job.frames.many and not isinstance(error, InputError):
            notify(f"{count} pairs are kept: the same command goes on from there")
        else:
            _remove(partial)
        raise
    if kept:
        notify(f"{kept} of {count} pairs were there from an interrupted run")
    return count


def _partial(out: Path, job: _Job, pair_options: PairOptions, options: RectifyOptions) -> Path:
    """The hidden folder of an unfinished job: the same for the same job over the same files."""
    from fathom.io.paths import hidden_prefix, resolve

    target = resolve(out)
    stats = [file.stat() for file in job.frames.files]
    parts = [
        [[str(f), s.st_size, s.st_mtime_ns] for f, s in zip(job.frames.files, stats, strict=True)],
        [pair_options.crop, pair_options.layout, options.size, options.field, options.every],
        [options.exchange, options.uncalibrated, job.warp.fingerprint()],
    ]
    digest = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]
    return target.parent / f"{hidden_prefix(target.name)}partial-{digest}"


def _remove_partials(out: Path) -> None:
    """What interrupted runs with other settings left for this result is of no more use."""
    from fathom.io.paths import hidden_prefix, resolve

    target = resolve(out)
    for folder in target.parent.iterdir():
        if folder.name.startswith(f"{hidden_prefix(target.name)}partial-"):
            _remove(folder)


def _take_over(partial: Path, staging: Path) -> None:
    """Moves the images of a finished job into the folder that becomes the result."""
    for file in sorted(partial.rglob("*.png")):
        place = staging / file.relative_to(partial)
        place.parent.mkdir(exist_ok=True)
        file.rename(place)
    _remove(partial)


def _remove(partial: Path) -> None:
    import shutil

    shutil.rmtree(partial, ignore_errors=True)


def _describe(job: _Job, meter: RowMeter, count: int) -> dict[str, Any]:
    rows = meter.result()
    first = job.frames.files
    return {
        "format": "fathom-result",
        "version": 1,
        "kind": "rectified images",
        "title": "rectified pairs" if job.frames.many else "rectified pair",
        "inputs": {
            "left": str(first[0]),
            "right": str(first[1]) if len(first) > 1 and job.frames.layout is None else None,
            "layout": job.frames.layout,
            "calibration": None if job.calibration_file is None else str(job.calibration_file),
            "exchanged": job.exchange,
        },
        "pairs": count,
        "size": {"width": job.warp.size[0], "height": job.warp.size[1], "unit": "pixels"},
        "rig": None if job.rig is None else job.rig.as_dict(),
        "metric": job.rig is not None,
        "turned": job.warp.turned,
        "field_of_view_deg": job.warp.field,
        "share_seen": [float(mask.mean()) for mask in job.warp.masks],
        "rows": rows.as_dict(),
        "notes": [*job.notes, *rows.notes],
        "versions": versions(),
    }


def _write_rest(job: _Job, staging: Path, meter: RowMeter) -> None:
    """What stands beside the images."""
    from fathom.io.calibration import write_calibration, write_middlebury
    from fathom.io.images import write_png

    write_png(staging / PICTURE, meter.picture())
    if job.rig is not None:
        write_calibration(staging / OWN, job.rig)
        write_middlebury(staging / PLAIN, job.rig)
    if not all(mask.all() for mask in job.warp.masks):
        for name, mask in zip(MASKS, job.warp.masks, strict=True):
            write_png(staging / name, (mask * np.uint8(255)).astype(np.uint8))


def _write_result(staging: Path, info: dict[str, Any]) -> None:
    """result.json, which comes last and lists every file."""
    from fathom.io.folder import RESULT
    from fathom.io.result import write_json

    found = sorted(p.relative_to(staging).as_posix() for p in staging.rglob("*") if p.is_file())
    info["files"] = {name: {"content": CONTENTS.get(name, "rectified")} for name in found}
    write_json(staging / RESULT, info)
