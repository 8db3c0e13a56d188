"""Machine code of kernels: made once, kept, loaded without numba, and never run when in doubt."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fathom.classical import cache, native
from fathom.classical.kernels import layout
from fathom.classical.native import Kernel, have_compiled, prepare_kernels

MODULE = """
from typing import Any, NamedTuple
import numpy as np
from numba import types
from fathom.classical.native import kernel

@kernel(types.void(types.float64[::1], types.int64))
def scaled(values, factor):
    for i in range(len(values)):
        values[i] *= factor

@kernel(types.void(types.float64[::1]))
def allocating(values):
    values[:] = np.cumsum(values)
"""
SCRIPT = """
import sys, numpy as np
from fathom.classical.native import Kernel, have_compiled, prepare_kernels
sys.path.insert(0, sys.argv[1])
scaled = Kernel("own_kernels", "scaled")
print("before", have_compiled([scaled]))
told = []
prepare_kernels([scaled], lambda name, i, n: told.append((name, i, n)))
print("told", told)
values = np.arange(5.0)
scaled(values, 2)
assert values.tolist() == [0, 2, 4, 6, 8]
scaled.bound(values)(3)
assert values.tolist() == [0, 6, 12, 18, 24]
print("file", scaled.file)
print("numba", "numba" in sys.modules)
"""
TOLD = "[('scaled', 0, 1)]"


def run(folder, home):
    """What SCRIPT prints in a new process that has `home` as its home."""
    (folder / "own_kernels.py").write_text(MODULE)
    keep = {k: os.environ[k] for k in ("PATH", "PYTHONPATH", "VIRTUAL_ENV") if k in os.environ}
    environment = {**keep, "HOME": str(home), "TMPDIR": str(home)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def flipped(data):
    """The same bytes with one bit of the machine code changed."""
    changed = bytearray(data)
    changed[-100] ^= 1
    return bytes(changed)


def test_a_kernel_is_compiled_once_and_a_damaged_file_is_mended(tmp_path):
    first = run(tmp_path, tmp_path)
    assert (first["before"], first["told"], first["numba"]) == ("False", TOLD, "True")
    file = Path(first["file"])
    assert file.is_relative_to(tmp_path / ".cache" / "fathom")
    good = file.read_bytes()
    second = run(tmp_path, tmp_path)
    assert (second["before"], second["told"], second["numba"]) == ("True", "[]", "False")
    for damaged in (b"", b"garbage", good[:-10], flipped(good), good.replace(b"symbol", b"simbol")):
        file.write_bytes(damaged)
        assert run(tmp_path, tmp_path)["told"] == TOLD
        assert file.read_bytes() == good


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path):
    # root may write anywhere, so a file stands where the folder should be.
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = run(tmp_path, blocked)
    assert not Path(found["file"]).is_relative_to(blocked)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Kernels of MODULE, with a cache of their own."""
    (tmp_path / "own_kernels.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_kernels", raising=False)
    monkeypatch.setattr(native, "cache_folder", lambda: tmp_path)
    return lambda name: Kernel("own_kernels", name)


@pytest.mark.parametrize("place", ["nowhere", "a file"])
def test_without_any_place_kernels_still_compile(own, tmp_path, monkeypatch, place):
    blocked = None if place == "nowhere" else tmp_path / "own_kernels.py"
    monkeypatch.setattr(native, "cache_folder", lambda: blocked)
    scaled = own("scaled")
    values = np.arange(3.0)
    scaled(values, 2)
    assert values.tolist() == [0, 2, 4]
    assert not have_compiled([scaled])


def test_code_that_does_not_stand_alone_is_refused(own):
    with pytest.raises(Exception, match=r"calls|cumsum"):
        own("allocating").load()
    assert native._foreign("declare i64 @llvm.smax.i64(i64)\ndeclare i32 @NRT_incref(ptr)") == [
        "NRT_incref"
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        (np.arange(3.0),),
        (np.arange(3.0), 1, 2),
        (np.arange(3), 1),
        (np.arange(6.0)[::2], 1),
        (np.ones((2, 2)), 1),
        ([1.0, 2.0], 1),
    ],
)
def test_arguments_it_was_not_compiled_for_never_reach_the_code(own, arguments):
    with pytest.raises(TypeError):
        own("scaled")(*arguments)


def test_every_kernel_stands_alone():
    prepare_kernels(layout.KERNELS)
    assert have_compiled(layout.KERNELS)
    for kernel in layout.KERNELS:
        kernel.forget()
        assert kernel.load(lambda: pytest.fail("compiled again")) is kernel.load()


def test_the_place_is_the_first_that_can_be_written(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr(cache, "_cache_bases", lambda: [blocked, tmp_path / "second"])
    cache.cache_folder.cache_clear()
    try:
        assert cache.cache_folder().parent == tmp_path / "second"
        monkeypatch.setattr(cache, "_cache_bases", lambda: [blocked])
        cache.cache_folder.cache_clear()
        assert cache.cache_folder() is None
    finally:
        cache.cache_folder.cache_clear()


def test_a_folder_of_another_user_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4242, raising=False)
    monkeypatch.setattr(cache, "_cache_bases", lambda: [tmp_path / "theirs"])
    cache.cache_folder.cache_clear()
    try:
        assert cache.cache_folder() is None
    finally:
        cache.cache_folder.cache_clear()
