"""Opening files, and naming them in errors."""

import os

import pytest

from fathom.core import Camera, InputError, ResourceError
from fathom.io.files import in_file, open_input, read_bytes


def test_missing_folder_empty(tmp_path):
    (tmp_path / "empty").touch()
    for name, problem in (
        ("missing", "does not exist"),
        ("empty/below", "does not exist"),
        ("n" * 300, "does not exist"),
        ("", "is a folder"),
        ("empty", r"is empty \(0 bytes\)"),
    ):
        with pytest.raises(InputError, match=problem) as caught, open_input(tmp_path / name):
            pass
        assert str(tmp_path) in str(caught.value)
    with pytest.raises(InputError, match="no file name"), open_input("a\0b"):
        pass


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"), open_input(tmp_path / "pipe"):
        pass
    with pytest.raises(InputError, match="no regular file"), open_input("/dev/zero"):
        pass


def test_permission_and_memory(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(ResourceError, match="does not fit"), open_input(tmp_path / "a"):
        raise MemoryError
    with pytest.raises(ResourceError, match="cannot be read"), open_input(tmp_path / "a"):
        raise OSError(5, "Input/output error")

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    denied = "cannot be read: permission denied"
    with pytest.raises(ResourceError, match=denied), open_input(tmp_path / "a"):
        pass


def test_too_long(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", "note", 5) == b"12345"
    with pytest.raises(InputError, match="a note of at most 4 bytes"):
        read_bytes(tmp_path / "a", "note", 4)


def test_in_file_names_the_file_once():
    with pytest.raises(InputError, match=r"^calib.txt: fx = -1"), in_file("calib.txt"):
        Camera(4, 3, -1, 1, 0, 0)
    with pytest.raises(InputError, match=r"^inner: no"), in_file("outer"):
        raise InputError("no", file="inner")
