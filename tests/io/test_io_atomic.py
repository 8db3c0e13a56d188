"""Files and folders appear whole or not at all."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fathom.core import ResourceError
from fathom.io import folder as folder_module
from fathom.io.atomic import (
    atomic_file,
    check_result_folder,
    result_folder,
    write_bytes,
    write_text,
)
from fathom.io.folder import earlier_files
from fathom.io.paths import hidden_name, hidden_prefix

OURS = {"format": "fathom-result", "version": 1}


def listing(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def fill(staging: Path, **files: str) -> None:
    """Write files (a double underscore is a dot) and the result.json that lists them."""
    names = {name.replace("__", ".").replace("_in_", "/"): text for name, text in files.items()}
    for name, text in names.items():
        write_text(staging / name, text)
    write_text(staging / "result.json", json.dumps(OURS | {"files": dict.fromkeys(names, "")}))


def save(target: Path | str, **files: str) -> None:
    with result_folder(target) as staging:
        fill(staging, **files)


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


class TestFile:
    def test_writes_and_replaces(self, tmp_path):
        target = tmp_path / "deep" / "er" / "map ü 深.txt"
        write_text(target, "one\n")
        write_bytes(str(target), b"two")
        assert listing(tmp_path) == {"deep/er/map ü 深.txt": b"two"}

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
    def test_a_failure_leaves_what_was_there(self, tmp_path, error):
        target = tmp_path / "a"
        write_bytes(target, b"old")
        with pytest.raises(error), atomic_file(target) as file:
            file.write(b"half")
            raise error
        assert listing(tmp_path) == {"a": b"old"}

    def test_a_failure_removes_the_folders_it_made(self, tmp_path):
        with pytest.raises(RuntimeError), atomic_file(tmp_path / "x" / "y" / "z"):
            raise RuntimeError
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "full",
        [
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            OSError("131072 requested and 101344 written"),  # numpy's
        ],
    )
    def test_full_disk(self, tmp_path, full):
        target = tmp_path / "a"
        write_bytes(target, b"old")
        with pytest.raises(ResourceError, match="no space left") as caught, atomic_file(target):
            raise full
        assert str(target) in str(caught.value) and "free some space" in str(caught.value)
        assert listing(tmp_path) == {"a": b"old"}

    def test_an_error_about_another_file_keeps_its_name(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="else"), atomic_file(tmp_path / "a"):
            (tmp_path / "elsewhere").read_bytes()

    def test_a_folder_or_a_device_or_a_file_for_a_parent(self, tmp_path):
        with pytest.raises(ResourceError, match="is a directory"):
            write_bytes(tmp_path, b"")
        (tmp_path / "file").touch()
        with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
            write_bytes(tmp_path / "file" / "b", b"")
        with pytest.raises(ResourceError, match="is no regular file"):
            write_bytes("/dev/null", b"")
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
        with pytest.raises(ResourceError, match="no usable path"):
            write_bytes("a\0b", b"")

    def test_a_name_the_disk_refuses(self, tmp_path):
        with pytest.raises(ResourceError, match="too long"):
            write_bytes(tmp_path / ("n" * 300), b"")
        write_bytes(tmp_path / ("n" * 255), b"fits")
        assert list(listing(tmp_path)) == ["n" * 255]

    def test_folders_made_half_way_go_again(self, tmp_path, monkeypatch):
        mkdir = Path.mkdir

        def failing(self, *args, **kwargs):
            if self.name == "b":
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            mkdir(self, *args, **kwargs)

        monkeypatch.setattr(Path, "mkdir", failing)
        with pytest.raises(ResourceError, match=r"permission denied.*choose another place"):
            write_bytes(tmp_path / "a" / "b" / "c", b"")
        assert not list(tmp_path.iterdir())

    def test_follows_links_and_keeps_permissions(self, tmp_path):
        real = tmp_path / "real"
        real.write_bytes(b"")
        real.chmod(0o640)
        (tmp_path / "link").symlink_to(real)
        write_bytes(tmp_path / "link", b"new")
        assert (tmp_path / "link").is_symlink() and real.read_bytes() == b"new"
        assert stat.S_IMODE(real.stat().st_mode) == 0o640

    def test_text_that_is_no_unicode(self, tmp_path):
        write_text(tmp_path / "a", "left\udce4.png")
        assert (tmp_path / "a").read_bytes() == b"left\\udce4.png"


class TestNewFolder:
    def test_appears_whole(self, tmp_path):
        target = tmp_path / "a" / "b"
        with result_folder(target) as staging:
            fill(staging, x__txt="1", sub_in_y="2")
            assert not target.exists() and staging.name.startswith(".b.fathom-")
            assert staging.parent == target.parent
        assert set(listing(tmp_path)) == {"a/b/x.txt", "a/b/sub/y", "a/b/result.json"}

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_a_failure_leaves_nothing(self, tmp_path, error):
        with pytest.raises(error), result_folder(tmp_path / "a" / "b") as staging:
            fill(staging, x="1")
            raise error
        assert not list(tmp_path.iterdir())

    def test_relative_paths_survive_a_change_of_folder(self, tmp_path, monkeypatch):
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path)
        with result_folder("out") as staging:
            fill(staging, x="1")
            monkeypatch.chdir(tmp_path / "other")
        assert set(listing(tmp_path)) == {"out/x", "out/result.json"}

    def test_a_tilde_is_a_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        save("~", x="1")
        assert (tmp_path / "~" / "x").exists()

    def test_long_names(self, tmp_path):
        save(tmp_path / ("n" * 255), x="1")
        assert (tmp_path / ("n" * 255) / "x").exists()
        assert hidden_prefix("m" * 200) != hidden_prefix("m" * 201)

    def test_permissions_are_those_of_mkdir(self, tmp_path):
        save(tmp_path / "a", x="1")
        (tmp_path / "b").mkdir()
        assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


class TestOwnFolder:
    def test_is_exchanged(self, tmp_path):
        target = tmp_path / "out"
        save(target, x="1", old__png="2", sub_in_y="3")
        before = target.stat().st_ino
        target.chmod(0o750)
        save(target, x="new")
        assert set(listing(tmp_path)) == {"out/x", "out/result.json"}
        assert (target / "x").read_text() == "new"
        assert target.stat().st_ino != before
        assert stat.S_IMODE(target.stat().st_mode) == 0o750

    def test_without_the_system_call(self, tmp_path, monkeypatch):
        monkeypatch.setattr(folder_module, "_swap_names", lambda a, b: False)
        target = tmp_path / "out"
        save(target, x="1", y="2")
        save(target, x="new")
        assert set(listing(tmp_path)) == {"out/x", "out/result.json"}

    def test_a_failure_between_the_two_renames_is_undone(self, tmp_path, monkeypatch):
        monkeypatch.setattr(folder_module, "_swap_names", lambda a, b: False)
        target = tmp_path / "out"
        save(target, x="1")
        before = listing(tmp_path)
        rename = Path.rename

        def failing(self, to):
            if to == target and not self.name.endswith("-old"):
                raise KeyboardInterrupt
            return rename(self, to)

        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(KeyboardInterrupt):
            save(target, x="new")
        monkeypatch.undo()
        assert listing(tmp_path) == before

    def test_where_the_system_call_is_not_to_be_had(self, tmp_path, monkeypatch):
        def missing(*_args, **_options):
            raise OSError("no such library")

        monkeypatch.setattr(folder_module.ctypes, "CDLL", missing)
        save(tmp_path / "out", x="1", y="2")
        save(tmp_path / "out", x="new")
        assert set(listing(tmp_path)) == {"out/x", "out/result.json"}

    def test_a_current_folder_that_is_gone(self, tmp_path, monkeypatch):
        save(tmp_path / "out", x="1", y="2")
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        save(tmp_path / "out", x="new")
        monkeypatch.chdir(tmp_path)
        assert set(listing(tmp_path)) == {"out/x", "out/result.json"}

    def test_a_failed_run_changes_nothing(self, tmp_path):
        target = tmp_path / "out"
        save(target, x="1")
        before = listing(tmp_path)
        with pytest.raises(ValueError), result_folder(target) as staging:
            fill(staging, x="2", z="3")
            raise ValueError
        assert listing(tmp_path) == before

    def test_an_empty_folder_is_taken(self, tmp_path):
        (tmp_path / "out").mkdir()
        save(tmp_path / "out", x="1")
        assert set(listing(tmp_path)) == {"out/x", "out/result.json"}

    def test_a_link_to_a_folder_is_followed(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        save(tmp_path / "link", x="1")
        assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "x").exists()
        (tmp_path / "dangling").symlink_to("later")
        save(tmp_path / "dangling", x="1")
        assert (tmp_path / "later" / "x").exists()


class TestSharedFolder:
    @pytest.fixture
    def target(self, tmp_path):
        target = tmp_path / "out"
        save(target, x="1", stale="2", sub_in_y="3")
        (target / "mine.txt").write_text("mine")
        (target / "empty").mkdir()
        return target

    def test_foreign_files_stay_and_stale_ones_go(self, target, tmp_path):
        before = target.stat().st_ino
        save(target, x="new", more_in_z="4")
        assert target.stat().st_ino == before
        files = listing(tmp_path)
        assert set(files) == {"out/x", "out/more/z", "out/mine.txt", "out/result.json"}
        assert files["out/mine.txt"] == b"mine" and files["out/x"] == b"new"
        assert (target / "empty").is_dir() and not (target / "sub").exists()

    def test_an_empty_foreign_folder_stays(self, tmp_path):
        save(tmp_path, x="1")
        (tmp_path / "plans").mkdir()
        save(tmp_path, x="2")
        assert (tmp_path / "plans").is_dir() and (tmp_path / "x").read_text() == "2"

    @pytest.mark.parametrize("after", range(14))
    def test_a_failure_at_any_step_is_undone(self, target, tmp_path, monkeypatch, after):
        before, steps = listing(tmp_path), []
        rename = Path.rename

        def failing(self, to):
            steps.append(to)
            if len(steps) > after:
                raise OSError(errno.EIO, "it broke", str(to))
            return rename(self, to)

        monkeypatch.setattr(Path, "rename", failing)
        done = False
        try:
            save(target, x="new", more_in_z="4")
            done = True
        except ResourceError:
            pass
        monkeypatch.undo()
        # journal, 3 new (2 with an old one: x, result.json), 2 stale: 8 renames
        assert done == (after >= 8)
        if not done:
            assert listing(tmp_path) == before

    def test_the_current_folder_stays_the_same_folder(self, tmp_path, monkeypatch):
        target = tmp_path / "out"
        save(target, x="1")
        monkeypatch.chdir(target)
        before = target.stat().st_ino
        save(".", x="2", y="3")
        assert target.stat().st_ino == before
        assert set(listing(tmp_path)) == {"out/x", "out/y", "out/result.json"}

    def test_a_folder_whose_parent_cannot_be_written(self, tmp_path, monkeypatch):
        target = tmp_path / "out"
        target.mkdir()
        monkeypatch.setattr(folder_module, "_beside", lambda target: False)
        with result_folder(target) as staging:
            assert staging.parent == target
            fill(staging, x="1")
        save(target, y="1")
        assert set(listing(tmp_path)) == {"out/y", "out/result.json"}

    def test_a_foreign_file_of_the_same_name_is_refused(self, target, tmp_path):
        before = listing(tmp_path)
        with pytest.raises(ResourceError, match=r"mine\.txt.*would be overwritten") as caught:
            save(target, mine__txt="ours")
        assert "choose another folder" in str(caught.value)
        assert listing(tmp_path) == before

    def test_a_foreign_result_json_is_refused(self, tmp_path):
        (tmp_path / "result.json").write_text('{"score": 1}')
        with pytest.raises(ResourceError, match=r"result\.json.*would be overwritten"):
            save(tmp_path, x="1")
        assert listing(tmp_path) == {"result.json": b'{"score": 1}'}

    def test_a_file_where_a_subfolder_belongs(self, target, tmp_path):
        before = listing(tmp_path)
        with pytest.raises(ResourceError, match="stands where a folder"):
            save(target, mine__txt_in_x="1")
        assert listing(tmp_path) == before

    def test_a_linked_subfolder_is_not_entered(self, tmp_path):
        elsewhere, target = tmp_path / "elsewhere", tmp_path / "out"
        elsewhere.mkdir()
        (elsewhere / "y").write_text("theirs")
        save(target, x="1", sub_in_y="2")
        (target / "sub" / "y").unlink()
        (target / "sub").rmdir()
        (target / "sub").symlink_to(elsewhere)
        save(target, x="2")
        assert (elsewhere / "y").read_text() == "theirs"
        with pytest.raises(ResourceError):
            save(target, sub_in_y="2")
        assert (elsewhere / "y").read_text() == "theirs"

    def test_a_forged_list_reaches_nothing_outside(self, tmp_path):
        (tmp_path / "victim").write_text("v")
        target = tmp_path / "out"
        target.mkdir()
        names = ["../victim", str(tmp_path / "victim"), "x", 3, "a\\b", ""]
        (target / "result.json").write_text(json.dumps(OURS | {"files": names}))
        assert earlier_files(target) == {"x", "result.json"}
        save(target, x="1")
        assert (tmp_path / "victim").read_text() == "v"

    @pytest.mark.parametrize(
        "text",
        [
            '{"format": "other", "files": ["x"]}',
            "{",
            "[]",
            "3",
            '{"format": "fathom-result"}',
            "[" * 9999,
        ],
    )
    def test_a_broken_list_makes_no_file_ours(self, tmp_path, text):
        (tmp_path / "result.json").write_text(text)
        assert earlier_files(tmp_path) == frozenset()

    def test_an_interrupt_waits_for_the_swap(self, target, tmp_path, monkeypatch):
        rename = Path.rename

        def interrupting(self, to):
            signal.raise_signal(signal.SIGINT)
            return rename(self, to)

        monkeypatch.setattr(Path, "rename", interrupting)
        with pytest.raises(KeyboardInterrupt):
            save(target, x="new")
        monkeypatch.undo()
        assert (target / "x").read_text() == "new" and (target / "result.json").exists()
        assert set(listing(tmp_path)) == {"out/x", "out/mine.txt", "out/result.json"}
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_in_another_thread(self, target):
        errors = []

        def work():
            try:
                save(target, x="thread")
            except BaseException as error:  # noqa: BLE001
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert not errors and (target / "x").read_text() == "thread"


class TestLeftovers:
    def test_of_dead_processes_are_removed_and_of_living_ones_kept(self, tmp_path):
        target = tmp_path / "out"
        dead = tmp_path / f".out.fathom-{dead_process()}-0011aabb"
        living = tmp_path / hidden_name("out")
        other = tmp_path / f".other.fathom-{dead_process()}-0011aabb"
        for left in (dead, living, other):
            left.mkdir()
            (left / "x").write_text("half")
        save(target, x="1")
        assert not dead.exists() and living.exists() and other.exists()

    def test_who_counts_as_alive(self, monkeypatch):
        assert folder_module._alive(os.getpid()) and not folder_module._alive(dead_process())

        def kill(process, number):
            raise PermissionError

        monkeypatch.setattr(os, "kill", kill)
        assert folder_module._alive(1)
        monkeypatch.setattr(os, "kill", None)
        monkeypatch.setattr(os, "name", "nt")
        assert folder_module._alive(1)

    def test_a_result_renamed_aside_comes_back(self, tmp_path):
        target = tmp_path / "out"
        aside = tmp_path / f".out.fathom-{dead_process()}-0011aabb-old"
        save(aside, x="1")
        check_result_folder(target, ["x"])
        assert (target / "x").read_text() == "1" and not aside.exists()
        save(aside, x="older")
        save(target, x="2")
        assert (target / "x").read_text() == "2" and not aside.exists()

    def test_a_killed_swap_is_undone(self, tmp_path):
        """Exactly what a process leaves that dies in the middle of moving files in."""
        target = tmp_path / "out"
        save(target, x="1", y="2")
        (target / "mine").write_text("mine")
        before = listing(target)
        code = f"""
import os, pathlib
from test_io_atomic import save
rename, steps = pathlib.Path.rename, []
def dying(self, to):
    steps.append(to)
    if len(steps) > 4: os._exit(9)
    return rename(self, to)
pathlib.Path.rename = dying
save({str(target)!r}, a="new", x="new")
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, check=False, timeout=60
        )
        assert done.returncode == 9
        assert listing(target) != before
        check_result_folder(target, ["a", "x"])
        assert listing(target) == before
        assert [p.name for p in tmp_path.iterdir()] == ["out"]

    def test_a_forged_journal_reaches_nothing_outside(self, tmp_path):
        (tmp_path / "victim").write_text("v")
        left = tmp_path / "out" / f".out.fathom-{dead_process()}-0011aabb"
        left.mkdir(parents=True)
        (left / ".fathom-journal").write_text('{"new": ["../victim"], "old": []}')
        save(tmp_path / "out", x="1")
        assert (tmp_path / "victim").read_text() == "v" and not left.exists()

    def test_backups_stay_when_undoing_fails(self, tmp_path, monkeypatch):
        target = tmp_path / "out"
        save(target, x="1")
        (target / "mine").write_text("mine")
        rename = Path.rename

        def failing(self, to):
            if self.name == "x" and to.parent == target:
                raise OSError(errno.EIO, "it broke", str(to))
            return rename(self, to)

        def broken(self, to):
            raise OSError(errno.EIO, "it broke", str(to))

        monkeypatch.setattr(Path, "rename", failing)
        monkeypatch.setattr(Path, "replace", broken)
        with pytest.raises(ResourceError), result_folder(target) as staging:
            (staging / "x").write_text("2")
        monkeypatch.undo()
        kept = [p for p in tmp_path.rglob("x") if p.read_text() == "1"]
        assert kept and ".fathom-replaced" in str(kept[0])


class TestCheck:
    def test_creates_nothing(self, tmp_path):
        check_result_folder(tmp_path / "a" / "b", ["x"])
        assert not list(tmp_path.iterdir())

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "f").touch()
        with pytest.raises(ResourceError, match="is a file") as caught:
            check_result_folder(tmp_path / "f", [])
        assert caught.value.exit_code == 4
        with pytest.raises(ResourceError, match="a file stands where"):
            check_result_folder(tmp_path / "f" / "out", [])
        with pytest.raises(ResourceError, match="is a file"), result_folder(tmp_path / "f"):
            pass
        with pytest.raises(ResourceError, match="a file stands"), result_folder(tmp_path / "f/o"):
            pass

    def test_foreign_files(self, tmp_path):
        save(tmp_path / "out", x="1")
        (tmp_path / "out" / "depth.npy").touch()
        (tmp_path / "out" / "dir").mkdir()
        check_result_folder(tmp_path / "out", ["x", "result.json", "y"])
        with pytest.raises(ResourceError, match=r"depth\.npy"):
            check_result_folder(tmp_path / "out", ["x", "depth.npy"])
        with pytest.raises(ResourceError, match="dir"):
            check_result_folder(tmp_path / "out", ["dir"])

    def test_a_place_that_cannot_be_written(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(ResourceError, match="permission denied"):
            check_result_folder(tmp_path / "out", [])

    def test_a_name_that_is_too_long(self, tmp_path):
        with pytest.raises(ResourceError, match="too long"):
            check_result_folder(tmp_path / ("n" * 300), [])
        with pytest.raises(ResourceError, match="too long"), result_folder(tmp_path / ("n" * 300)):
            pass


def test_an_error_while_staging_names_the_place_that_was_asked_for(tmp_path):
    with pytest.raises(ResourceError) as caught, result_folder(tmp_path / "out") as staging:
        (staging / "depth.npy").mkdir()
        write_bytes(staging / "depth.npy", b"x")
    assert caught.value.file == str(tmp_path / "out" / "depth.npy")
    assert not list(tmp_path.iterdir())
