"""Videos appear whole or not at all."""

import cv2
import numpy as np
import pytest

from fathom.core import InputError, ResourceError, UsageError
from fathom.io.frames import open_frames
from fathom.io.video import write_video


def image(value=0):
    return np.full((48, 64, 3), value, np.uint8)


def test_lossless_there_and_back(tmp_path):
    frames = [np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8) for i in range(4)]
    with write_video(tmp_path / "new" / "a.mkv", (64, 48), 30) as writer:
        for frame in frames:
            writer.write(frame)
    assert writer.count == 4
    found = open_frames(tmp_path / "new" / "a.mkv")
    assert found.rate == pytest.approx(30)
    for a, b in zip(frames, found, strict=True):
        assert (a == b.view.image).all()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.mkv"]


def test_an_error_leaves_what_was_there(tmp_path):
    (tmp_path / "a.mkv").write_bytes(b"before")
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), write_video(tmp_path / "a.mkv", (64, 48), 30) as writer:
            writer.write(image())
            raise error
    assert (tmp_path / "a.mkv").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]
    with pytest.raises(ValueError, match="x"), write_video(tmp_path / "sub" / "a.mkv", (64, 48), 1):
        raise ValueError("x")
    assert not (tmp_path / "sub").exists()


def test_a_frame_that_does_not_fit(tmp_path):
    for wrong in (image()[:40], image().astype(np.uint16)):
        with (
            pytest.raises(InputError, match="does not fit the video"),
            write_video(tmp_path / "a.mkv", (64, 48), 30) as writer,
        ):
            writer.write(wrong)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="suffix"), write_video(tmp_path / "a.gif", (64, 48), 30):
        pass
    for size, rate in (((64, 48), 0.0), ((64, 48), float("nan")), ((0, 48), 30)):
        with (
            pytest.raises(UsageError, match="positive"),
            write_video(tmp_path / "a.mkv", size, rate),
        ):
            pass
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError), write_video(tmp_path / "file" / "a.mkv", (64, 48), 30):
        pass
    with (
        pytest.raises(ResourceError, match="0 of 0"),
        write_video(tmp_path / "a.mkv", (64, 48), 30),
    ):
        pass
    monkeypatch.setattr("fathom.io.video.CODECS", {".mkv": "QQQQ"})
    with (
        pytest.raises(ResourceError, match="cannot write QQQQ"),
        write_video(tmp_path / "a.mkv", (64, 48), 30),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_noticed(tmp_path, monkeypatch):
    # OpenCV's writer says nothing when it cannot write: here it swallows every second frame.
    plain = cv2.VideoWriter

    class Lossy:
        fourcc = staticmethod(plain.fourcc)

        def __init__(self, *arguments):
            self.writer, self.count = plain(*arguments), 0

        def write(self, frame):
            self.count += 1
            if self.count % 2:
                self.writer.write(frame)

        def __getattr__(self, name):
            return getattr(self.writer, name)

    monkeypatch.setattr(cv2, "VideoWriter", Lossy)
    with (
        pytest.raises(ResourceError, match="only 2 of 4 frames"),
        write_video(tmp_path / "a.mkv", (64, 48), 30) as writer,
    ):
        for _ in range(4):
            writer.write(image())
    assert not list(tmp_path.iterdir())
