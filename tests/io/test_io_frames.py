"""Frames of one camera or two: images, folders, globs and videos."""

import re

import cv2
import numpy as np
import pytest

from fathom.core import InputError, UsageError
from fathom.io.frames import is_video, open_frames, paired_frames
from fathom.io.images import write_png
from fathom.io.video import write_video


def picture(number, width=64, height=48):
    """A frame that tells its number and which side is which."""
    image = np.full((height, width, 3), 10 * number % 250, np.uint8)
    image[:, : width // 2, 0] = 200
    return image


def film(path, count=6, size=(64, 48), start=0):
    with write_video(path, size, 12.5) as writer:
        for i in range(count):
            writer.write(picture(start + i, *size))
    return path


def photos(folder, *names, size=(64, 48)):
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        write_png(folder / name, picture(i, *size))
    return folder


def test_an_image_is_one_frame(tmp_path):
    photos(tmp_path, "a.png")
    frames = open_frames(tmp_path / "a.png")
    assert (frames.count, frames.size, frames.video, frames.rate) == (1, (64, 48), False, None)
    (frame,) = frames
    assert frame.name == "a"
    assert frame.file == tmp_path / "a.png"
    assert (frame.view.image == picture(0)).all()


def test_folders_and_globs_come_sorted_and_can_be_read_twice(tmp_path):
    photos(tmp_path / "v", "b.png", "a.png", "c.png")
    (tmp_path / "v" / "notes.txt").write_text("no frame")
    for source in (tmp_path / "v", f"{tmp_path}/v/*.png"):
        frames = open_frames(source)
        assert frames.count == 3
        for _ in range(2):
            assert [frame.name for frame in frames] == ["a", "b", "c"]
    assert [frame.name for frame in open_frames(tmp_path / "v", every=2)] == ["a", "c"]


def test_frames_are_read_when_they_are_asked_for(tmp_path, monkeypatch):
    photos(tmp_path / "v", "a.png", "b.png")
    from fathom.io import frames as module

    read = []
    plain = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path: read.append(path.name) or plain(path))
    each = iter(open_frames(tmp_path / "v"))
    assert read == []
    next(each)
    assert read == ["a.png"]


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mp4", ".mov"])
def test_a_video(tmp_path, suffix):
    frames = open_frames(film(tmp_path / f"clip{suffix}"))
    assert (frames.count, frames.size, frames.video) == (6, (64, 48), True)
    assert frames.rate == pytest.approx(12.5)
    for _ in range(2):
        images = [frame.view.image for frame in frames]
        assert len(images) == 6
    assert [frame.name for frame in frames][:2] == ["clip_000000", "clip_000001"]
    exact = 0 if suffix in (".mkv", ".avi") else 12
    for i, image in enumerate(images):
        assert np.abs(image.astype(int) - picture(i)).mean() <= exact
    fewer = open_frames(tmp_path / f"clip{suffix}", every=4)
    assert fewer.count == 2
    assert [frame.name for frame in fewer] == ["clip_000000", "clip_000004"]


def test_a_video_is_told_by_its_content(tmp_path):
    film(tmp_path / "clip.mkv")
    (tmp_path / "clip.mkv").rename(tmp_path / "clip.png")
    assert is_video(tmp_path / "clip.png")
    photos(tmp_path, "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    assert not is_video(tmp_path / "photo.mp4")
    assert open_frames(tmp_path / "photo.mp4").count == 1
    assert not is_video(tmp_path)
    assert is_video(tmp_path / "absent.mp4")
    assert not is_video("\0")


def test_a_turn_tag_is_ignored(tmp_path):
    from PIL import Image

    photos(tmp_path, "a.png")
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(picture(1)).save(tmp_path / "turned.jpg", exif=tags)
    frames = open_frames(tmp_path / "turned.jpg")
    assert frames.size == (64, 48)
    assert next(iter(frames)).view.size == (64, 48)
    from fathom.io.frames import _capture

    with _capture(film(tmp_path / "clip.mp4")) as capture:
        assert capture.get(cv2.CAP_PROP_ORIENTATION_AUTO) == 0


def refuses(error, words, call):
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert re.search(words, str(caught.value)), str(caught.value)
    return caught.value


def test_mixed_sizes_are_named(tmp_path):
    photos(tmp_path / "v", "a.png", "b.png")
    photos(tmp_path / "v", "c.png", size=(32, 48))
    words = r"c\.png.*32x48.*expected 64x48 as .*a\.png"
    refuses(InputError, words, lambda: open_frames(tmp_path / "v"))
    # Only between opening and reading: the file was replaced.
    (tmp_path / "v" / "c.png").unlink()
    frames = open_frames(tmp_path / "v")
    write_png(tmp_path / "v" / "b.png", picture(0, 32, 48))
    refuses(InputError, r"b\.png.*32x48", lambda: list(frames))


def test_a_video_that_ends_early_is_named(tmp_path, capfd):
    film(tmp_path / "clip.avi", 40, (320, 240))
    data = (tmp_path / "clip.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 3])
    frames = open_frames(tmp_path / "cut.avi")
    seen = []
    refuses(
        InputError,
        r"cut\.avi.*ends early: \d+ of its 40 frames",
        lambda: seen.extend(frame.name for frame in frames),
    )
    assert 1 <= len(seen) < 40
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.mp4", b"", "empty"),
        ("a.mp4", bytes(range(256)) * 40, "no video that can be opened"),
        ("a.mp4", b"\0\0\0\x18ftypisom" + bytes(4000), "no video that can be opened"),
        ("a.txt", b"words", "no image"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, capfd, name, data, words):
    (tmp_path / name).write_bytes(data)
    refuses(InputError, words, lambda: open_frames(tmp_path / name))
    assert capfd.readouterr().err == ""


def test_a_missing_codec_is_named(tmp_path, monkeypatch):
    film(tmp_path / "clip.avi")
    # The container is sound, but no decoder answers to this code.
    data = (tmp_path / "clip.avi").read_bytes().replace(b"FFV1", b"ZZZZ")
    (tmp_path / "odd.avi").write_bytes(data)
    error = refuses(InputError, "codec|opened", lambda: open_frames(tmp_path / "odd.avi"))
    assert "convert it" in str(error)
    # Where OpenCV opens the file all the same, the first frame tells.
    from fathom.io import frames as module

    monkeypatch.setattr(module, "_next", lambda capture, wanted: (False, None))
    refuses(
        InputError, "codec = '(?i:ffv1)'.*not one frame", lambda: open_frames(tmp_path / "clip.avi")
    )


def test_missing_things_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for source, words in (
        (tmp_path / "none.png", "does not exist"),
        (tmp_path / "none.mp4", "does not exist"),
        (tmp_path / "empty", "no image"),
        (f"{tmp_path}/*.png", "no file fits"),
    ):
        refuses(InputError, words, lambda source=source: open_frames(source))
    refuses(UsageError, "every", lambda: open_frames(tmp_path, every=0))
    refuses(UsageError, "every", lambda: paired_frames(tmp_path, tmp_path, every=0))


def test_two_folders_are_paired(tmp_path):
    photos(tmp_path / "l", "1.png", "2.png", "3.png")
    photos(tmp_path / "r", "2.png", "3.png", size=(32, 48))
    pairs = paired_frames(tmp_path / "l", tmp_path / "r")
    assert (pairs.count, pairs.video, pairs.many) == (2, False, True)
    assert [path.name for path in pairs.lonely] == ["1.png"]
    assert pairs.names == ("2", "3")
    for pair in pairs:
        assert pair.left.size == (64, 48)
        assert pair.right.size == (32, 48)
        assert pair.right_file is not None
    assert [pair.name for pair in paired_frames(tmp_path / "l", tmp_path / "r", every=2)] == ["2"]


def test_two_images_are_a_pair(tmp_path):
    photos(tmp_path, "a.png", "b.png")
    pairs = paired_frames(tmp_path / "a.png", tmp_path / "b.png")
    assert not pairs.many
    (pair,) = pairs
    assert (pair.right.image == picture(1)).all()


@pytest.mark.parametrize("video", [False, True])
def test_one_source_holds_both_views(tmp_path, video):
    make = (lambda: film(tmp_path / "a.mkv"), lambda: photos(tmp_path / "b", "a.png", "b.png"))
    source = make[0 if video else 1]()
    pairs = paired_frames(source, None, "side-by-side")
    assert pairs.many
    first = next(iter(pairs))
    assert first.right_file is None
    assert (first.left.image == picture(0)[:, :32]).all()
    assert (first.right.image == picture(0)[:, 32:]).all()
    over = next(iter(paired_frames(source, None, "over-under-swapped")))
    assert over.left.size == (64, 24)


def test_two_videos_go_together(tmp_path):
    left, right = film(tmp_path / "l.mkv", 6), film(tmp_path / "r.avi", 6, start=5)
    pairs = paired_frames(left, right)
    assert (pairs.count, pairs.video, pairs.names) == (6, True, None)
    assert pairs.rate == pytest.approx(12.5)
    found = list(pairs)
    assert len(found) == 6
    assert (found[2].left.image == picture(2)).all()
    assert (found[2].right.image == picture(7)).all()
    assert [p.name for p in paired_frames(left, right, every=3)] == ["l_000000", "l_000003"]


def test_videos_of_unequal_length_are_named(tmp_path, monkeypatch):
    left, right = film(tmp_path / "l.mkv", 6), film(tmp_path / "r.mkv", 4)
    words = r"r\.mkv.*6 left, 4 right.*--shortest"
    refuses(InputError, words, lambda: paired_frames(left, right))
    pairs = paired_frames(left, right, shortest=True)
    assert pairs.count == 4
    assert len(list(pairs)) == 4
    # Containers that do not count their frames: it shows when one ends.
    plain = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda *a: Uncounted(plain(*a)))
    uncounted = paired_frames(left, right)
    assert uncounted.count is None
    refuses(InputError, "right ends after 4", lambda: list(uncounted))


class Uncounted:
    """A capture that does not know how many frames there are."""

    def __init__(self, capture):
        self.capture = capture

    def get(self, what):
        return 0.0 if what == cv2.CAP_PROP_FRAME_COUNT else self.capture.get(what)

    def __getattr__(self, name):
        return getattr(self.capture, name)


def test_pairs_that_change_size_are_named(tmp_path):
    photos(tmp_path / "l", "1.png", "2.png")
    photos(tmp_path / "r", "1.png", "2.png")
    write_png(tmp_path / "r" / "2.png", picture(0, 32, 48))
    pairs = paired_frames(tmp_path / "l", tmp_path / "r")
    refuses(InputError, r"r/2\.png.*32x48.*64x48", lambda: list(pairs))


@pytest.mark.usefixtures("unchecked")
def test_sources_that_contradict_each_other(tmp_path):
    photos(tmp_path, "a.png", "b.png")
    film(tmp_path / "a.mkv")
    a, b, v = (tmp_path / n for n in ("a.png", "b.png", "a.mkv"))
    for arguments, words in (
        ((a, b, "side-by-side"), "two sources"),
        ((a, None, None), "two cameras are needed"),
        ((a, None, "askew"), "layout"),
        ((a, v, None), "one is a video"),
    ):
        refuses(UsageError, words, lambda arguments=arguments: paired_frames(*arguments))
