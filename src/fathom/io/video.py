"""Videos written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from fathom.core.arrays import Shaped
from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.io.files import PathLike
from fathom.io.images import quiet
from fathom.io.paths import hidden_name, make_folders, os_errors, remove_folders, resolve

CODECS = {".mkv": "FFV1", ".avi": "FFV1", ".mp4": "mp4v", ".mov": "mp4v"}
"""The codec by the file's suffix. FFV1 is lossless: what compression adds would be matched, too."""


class FrameWriter:
    """A video that grows a frame at a time; `write_video` makes one."""

    def __init__(self, writer: Any, size: tuple[int, int], path: PathLike) -> None:
        self._writer = writer
        self._path = path
        self._shape = (size[1], size[0], 3)
        self.count = 0

    def write(self, image: Shaped[np.ndarray, "h w 3"]) -> None:
        """Append an RGB frame (uint8). Raises `InputError` for another size or type."""
        import cv2

        if image.dtype != np.uint8 or image.shape != self._shape:
            raise InputError(
                "does not fit the video",
                file=self._path,
                field="frame",
                value=f"{image.dtype} {image.shape}",
                expected=f"uint8 {self._shape}",
            )
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR))
        self.count += 1


@contextmanager
def write_video(path: PathLike, size: tuple[int, int], rate: float) -> Iterator[FrameWriter]:
    """A video of frames of `size` (width, height) that appears at `path` when the block ends well.

    rate: frames a second. The suffix chooses the codec: .mkv and .avi are lossless (FFV1), .mp4 and
    .mov small (MPEG-4). On any exception, an interrupt included, what was at `path` stays.

    Raises `UsageError` for another suffix, or a rate or size that is not positive; `ResourceError`
    if the codec is not built in or the file cannot be written in full.
    """
    target = resolve(path)
    codec = CODECS.get(target.suffix.lower())
    if codec is None:
        raise UsageError(
            "is no video fathom writes",
            field="suffix",
            value=target.suffix,
            expected=" or ".join(CODECS),
        )
    if not (np.isfinite(rate) and rate > 0 and min(size) > 0):
        raise UsageError(
            "must be positive", field="rate, size", value=f"{rate} frames a second, {size} pixels"
        )
    with os_errors(path, target):
        made = make_folders(target.parent)
        # The suffix chooses the container as well, so the temporary name must end in it.
        temporary = target.parent / (hidden_name(target.name) + target.suffix)
        try:
            temporary.touch()  # says "permission denied" in the system's words, OpenCV would not
            writer = _opened(str(temporary), codec, size, rate, path)
            frames = FrameWriter(writer, size, path)
            try:
                yield frames
            finally:
                writer.release()
            _require_complete(str(temporary), frames.count, path)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            remove_folders(made)
            raise


def _opened(name: str, codec: str, size: tuple[int, int], rate: float, path: PathLike) -> Any:
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # as in frames.py
    with quiet():
        writer = cv2.VideoWriter(
            name, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), float(rate), size
        )
    if not writer.isOpened():
        raise ResourceError(
            f"this OpenCV cannot write {codec} video of {size[0]}x{size[1]} pixels",
            file=path,
            remedy="choose another suffix (.mkv, .avi, .mp4), or write images",
        )
    return writer


def _require_complete(name: str, count: int, path: PathLike) -> None:
    """OpenCV's writer says nothing when the disk is full, so the frames are counted afterwards."""
    import cv2

    with quiet():
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        found = 0
        while found < count and capture.grab():
            found += 1
        capture.release()
    if found < count or count == 0:
        raise ResourceError(
            f"only {found} of {count} frames could be written",
            file=path,
            remedy="free some space or choose another place",
        )
