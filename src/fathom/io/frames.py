"""Frames of one camera or of two: images, folders, globs and videos, read one at a time.

OpenCV's ffmpeg decodes videos. As with images (io/images.py), a turn that the file asks for (EXIF,
a video's rotation tag) is ignored on purpose: frames stay as the calibration knows them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Shaped
from fathom.core.errors import InputError, UsageError
from fathom.core.pair import View
from fathom.io.files import PathLike, open_input
from fathom.io.guard import image_info
from fathom.io.images import LAYOUTS, Layout, quiet, read_image, split_layout
from fathom.io.pairing import FoundPairs, find_images, find_pairs
from fathom.io.recognise import what_is

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv")
_SLACK = 0.02
"""A container counts its frames from duration and rate, so it may promise this share too many."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame. name: the image's stem, or the video's with a running number.

    file: the image or the video it comes from.
    """

    name: str
    view: View
    file: Path


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of one camera; iterating reads them one at a time, and can be done again.

    source: what was named. files: the images, in order; the one video file if `video`.
    count: how many frames there are, None where a video does not say. size: (width, height) in
    pixels of each. rate: frames a second of a video, None for images. every: only each so many-th.
    """

    source: str
    files: tuple[Path, ...]
    video: bool
    count: int | None
    size: tuple[int, int]
    rate: float | None = None
    every: int = 1

    def __iter__(self) -> Iterator[Frame]:
        """Frame after frame.

        Raises `InputError` for a frame that cannot be read or is of another size than the first,
        and for a video that ends before the frames it promises.
        """
        return _video_frames(self) if self.video else _image_frames(self)


@dataclass(frozen=True, eq=False)
class FramePair:
    """Two frames of one moment; the sizes of the two views may differ.

    left_file, right_file: where they come from; right_file is None where one image holds both.
    """

    name: str
    left: View
    right: View
    left_file: Path
    right_file: Path | None


@dataclass(frozen=True, eq=False)
class PairedFrames:
    """The frames of two cameras; iterating reads a pair at a time, and can be done again.

    count: how many pairs there are, None where a video does not say. rate: frames a second of
    videos, None for images. video: the pairs come from videos. many: more than one pair was asked
    for (a folder, a glob, a video). lonely: images of two folders that have no partner.
    files: every file that is read.
    """

    count: int | None
    rate: float | None
    video: bool
    many: bool
    files: tuple[Path, ...]
    lonely: tuple[Path, ...]
    layout: Layout | None
    _parts: FoundPairs | tuple[Frames, ...]
    _shortest: bool = False

    def __iter__(self) -> Iterator[FramePair]:
        """Pair after pair. Raises `InputError` as `Frames` does, and for a video that ends before
        the other one unless the shortest decides."""
        if isinstance(self._parts, FoundPairs):
            return _image_pairs(self._parts, self.layout)
        return _video_pairs(self._parts, self.layout, self._shortest)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The pairs' names, in order; None for a video, whose frames are not counted yet."""
        if isinstance(self._parts, FoundPairs):
            return tuple(pair.name for pair in self._parts.pairs)
        return None


def open_frames(source: PathLike, *, every: int = 1) -> Frames:
    """The frames of an image, a folder or glob of images, or a video.

    every: 1 for all frames, n for each n-th. Only headers are read here; a video's first frame is
    decoded, so that a missing codec is known at once.

    Raises `InputError` if nothing is there, it is neither image nor video, a codec is missing, or
    images differ in size; `UsageError` for `every` below 1.
    """
    _require_step(every)
    if is_video(source):
        return _open_video(Path(source), every)
    files, _ = find_images(source)
    files = files[::every]
    size = _common_size(files)
    return Frames(str(source), tuple(files), False, len(files), size, None, every)


def paired_frames(
    left: PathLike,
    right: PathLike | None = None,
    layout: Layout | None = None,
    *,
    every: int = 1,
    shortest: bool = False,
) -> PairedFrames:
    """Two images, folders, globs or videos as pairs; or one source whose frames hold both views.

    layout: how one frame holds both, needed where `right` is None. every: 1 for all pairs, n for
    each n-th. shortest: of two videos of unequal length take as many pairs as the shorter one has
    (both must begin at one moment).

    Raises `InputError` for what cannot be read, images that have no partner at all, and videos of
    unequal length; `UsageError` if layout and number of sources contradict each other, a video is
    paired with images, or `every` is below 1.
    """
    _require_step(every)
    _require_layout(right, layout)
    videos = [is_video(source) for source in (left, right) if source is not None]
    if not any(videos):
        found = find_pairs(left, right)
        found = replace(found, pairs=found.pairs[::every])
        files = [f for pair in found.pairs for f in (pair.left, pair.right) if f is not None]
        return PairedFrames(
            len(found.pairs), None, False, found.many, tuple(files), found.lonely, layout, found
        )
    if not all(videos):
        raise UsageError(
            "one is a video and the other is not",
            field="LEFT, RIGHT",
            value=f"{left}, {right}",
            expected="two videos, or two images, folders or globs",
        )
    parts = tuple(_open_video(Path(s), every) for s in (left, right) if s is not None)
    counts = [part.count for part in parts]
    known = [count for count in counts if count is not None]
    if len(parts) == 2 and not shortest and len(known) == 2 and known[0] != known[1]:
        raise _unequal(parts, f"{known[0]} left, {known[1]} right")
    count = min(known) if len(known) == len(parts) else None
    files = [part.files[0] for part in parts]
    return PairedFrames(count, parts[0].rate, True, True, tuple(files), (), layout, parts, shortest)


def is_video(source: PathLike) -> bool:
    """True if `source` is one file that is a video: by its content, else by its name.

    False for whatever is not there or cannot be read; reading it will say why.
    """
    path = Path(source)
    try:
        if not path.is_file():
            return path.suffix.lower() in VIDEO_SUFFIXES and not has_magic(str(source))
        with path.open("rb") as file:
            kind = what_is(file.read(1 << 12))
    except (OSError, ValueError):
        return False
    if kind is not None:
        return "video" in kind.name or kind.name.startswith("a GIF")
    return path.suffix.lower() in VIDEO_SUFFIXES


def _require_step(every: int) -> None:
    if every < 1:
        raise UsageError("is no step", field="every", value=every, expected="1 or more")


def _require_layout(right: PathLike | None, layout: Layout | None) -> None:
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(
            "is no layout fathom knows",
            field="layout",
            value=layout,
            expected=" or ".join(LAYOUTS),
        )
    if right is not None and layout is not None:
        raise UsageError(
            "a layout is for frames that hold both views, and two sources were given",
            field="layout",
            value=layout,
            remedy="leave it out, or give one source",
        )
    if right is None and layout is None:
        raise UsageError(
            "two cameras are needed",
            field="RIGHT",
            remedy="give the right one, or say how one frame holds both: --layout side-by-side",
        )


def _common_size(files: list[Path]) -> tuple[int, int]:
    """The one size of all images, from their headers."""
    first = image_info(files[0])
    size = (first.width, first.height)
    for file in files[1:]:
        info = image_info(file)
        if (info.width, info.height) != size:
            raise _mixed(file, (info.width, info.height), size, files[0])
    return size


def _mixed(file: Path, size: tuple[int, int], first: tuple[int, int], of: Path) -> InputError:
    return InputError(
        "differs in size from the other frames of this camera",
        file=file,
        field="size",
        value=f"{size[0]}x{size[1]}",
        expected=f"{first[0]}x{first[1]} as {of}",
        remedy="take frames of one size, those of the calibration",
    )


def _image_frames(frames: Frames) -> Iterator[Frame]:
    for file in frames.files:
        view = View(read_image(file))
        if view.size != frames.size:
            raise _mixed(file, view.size, frames.size, frames.files[0])
        yield Frame(file.stem, view, file)


def _image_pairs(found: FoundPairs, layout: Layout | None) -> Iterator[FramePair]:
    first: tuple[View, View] | None = None
    for files in found.pairs:
        if files.right is None:
            halves = split_layout(read_image(files.left), layout or "side-by-side")
            left, right = View(halves[0]), View(halves[1])
        else:
            left, right = View(read_image(files.left)), View(read_image(files.right))
        if first is None:
            first = (left, right)
        for view, other, file, of in (
            (left, first[0], files.left, found.pairs[0].left),
            (right, first[1], files.right or files.left, found.pairs[0].right),
        ):
            if view.size != other.size:
                raise _mixed(file, view.size, other.size, of or found.pairs[0].left)
        yield FramePair(files.name, left, right, files.left, files.right)


@contextmanager
def _capture(path: Path) -> Iterator[Any]:
    """OpenCV's reader of a video file, closed at the end."""
    import cv2

    with open_input(path, "video"):
        pass  # missing, empty, a pipe, no permission: said in our words
    # Read by OpenCV when it first uses ffmpeg: what that has to say becomes our one line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with quiet():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if capture.isOpened():
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        yield capture
    finally:
        capture.release()


def _next(capture: Any, wanted: bool) -> tuple[bool, Array | None]:
    """Whether there is a next frame, and it (BGR) if it is wanted: skipping costs less."""
    with quiet():
        if not wanted:
            return bool(capture.grab()), None
        good, image = capture.read()
    return bool(good) and image is not None, image


def _open_video(path: Path, every: int) -> Frames:
    import cv2

    with _capture(path) as capture:
        if not capture.isOpened():
            raise InputError(
                "is no video that can be opened: damaged, or of a format OpenCV's ffmpeg lacks",
                file=path,
                expected="an MP4, MOV, MKV, AVI or WebM video",
                remedy="convert it (ffmpeg -i IN -c:v ffv1 OUT.mkv) or extract its frames as PNG",
            )
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        code = int(capture.get(cv2.CAP_PROP_FOURCC))
        good, image = _next(capture, True)
    if not good or image is None:
        raise InputError(
            "not one frame can be decoded: the video is damaged, or its codec is not built in",
            file=path,
            field="codec",
            value=_fourcc(code),
            remedy="convert it (ffmpeg -i IN -c:v ffv1 OUT.mkv) or extract its frames as PNG",
        )
    total = None if count < 1 else -(-count // every)
    known_rate = rate if np.isfinite(rate) and rate > 0 else None
    height, width = image.shape[:2]
    return Frames(str(path), (path,), True, total, (width, height), known_rate, every)


def _fourcc(code: int) -> str:
    letters = bytes((code >> shift) & 255 for shift in (0, 8, 16, 24))
    return letters.decode("ascii", errors="replace") if letters.strip(b"\0") else "unknown"


def _video_frames(frames: Frames) -> Iterator[Frame]:
    import cv2

    path, index = frames.files[0], 0
    with _capture(path) as capture:
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        while True:
            good, image = _next(capture, index % frames.every == 0)
            if not good:
                break
            if image is not None:
                view = View(_rgb(image))
                if view.size != frames.size:
                    raise _mixed(path, view.size, frames.size, path)
                yield Frame(f"{path.stem}_{index:06d}", view, path)
            index += 1
    if promised - index > max(2, _SLACK * promised):
        raise InputError(
            f"the video ends early: {index} of its {promised} frames can be decoded",
            file=path,
            field="frames",
            remedy=f"record or copy it again, or cut it to its first {index} frames",
        )


def _rgb(image: Array) -> Shaped[np.ndarray, "h w 3"]:
    import cv2

    code = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
    out: Array = cv2.cvtColor(image, code)
    return out


def _video_pairs(
    parts: tuple[Frames, ...], layout: Layout | None, shortest: bool
) -> Iterator[FramePair]:
    if len(parts) == 1:
        for frame in parts[0]:
            halves = split_layout(frame.view.image, layout or "side-by-side")
            yield FramePair(frame.name, View(halves[0]), View(halves[1]), frame.file, None)
        return
    left, right = iter(parts[0]), iter(parts[1])
    done = 0
    while True:
        a, b = next(left, None), next(right, None)
        if a is None or b is None:
            if (a is None) != (b is None) and not shortest:
                raise _unequal(parts, f"{'left' if a is None else 'right'} ends after {done}")
            return
        done += 1
        yield FramePair(a.name, a.view, b.view, a.file, b.file)


def _unequal(parts: tuple[Frames, ...], value: str) -> InputError:
    return InputError(
        "the two videos have unequal numbers of frames, so they may not begin at one moment",
        file=parts[1].files[0],
        field="frames",
        value=value,
        expected=f"as many frames as {parts[0].files[0]}",
        remedy="cut them alike, or use --shortest if both begin at the same moment",
    )
