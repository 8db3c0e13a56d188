"""Foreign files: read where they are plain tensors, refused in one line where they are not."""

import argparse
import collections
import io
import os
import pickle
import pickletools
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.core.errors import InputError, MissingExtraError, ResourceError
from fathom.published import child, unpickle
from fathom.published.unpickle import kind_of, read_foreign

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(3)}


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (os.system, (f"touch {self.mark}",))


def saved(value: object, **options) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def opened(data: bytes):
    """What the child process would make of it, in this one; weights_only stays on."""
    return child.weights_in(child._load(torch, io.BytesIO(data)))


def refusal(data: bytes) -> dict[str, str]:
    with pytest.raises(Exception) as caught:
        opened(data)
    return child.refusal(caught.value)


def checkpoint(**more) -> dict:
    """What training scripts write beside the weights."""
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    return {
        "state_dict": STATE,
        "epoch": 3,
        "loss": torch.tensor(0.25),
        "best": np.float64(0.3),
        "worst": np.float32(2),
        "args": argparse.Namespace(lr=1e-3, names=["a"]),
        "optimizer": optimiser.state_dict(),
        "seen": collections.defaultdict(list, a=[1]),
        **more,
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("value", "wrapper"),
    [
        (STATE, ""),
        (collections.OrderedDict(STATE), ""),
        (checkpoint(), "state_dict"),
        ({"model": {"state_dict": STATE, "epoch": 1}}, "model.state_dict"),
        ({"params_ema": STATE}, "params_ema"),
    ],
)
def test_weights_are_found_under_the_known_wrappers(
    value: object, wrapper: str, zipped: bool
) -> None:
    data = saved(value, _use_new_zipfile_serialization=zipped)
    found, path = opened(data)
    assert path == wrapper
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in STATE.items()}


def test_files_of_python_2_are_read() -> None:
    data = saved(checkpoint(), _use_new_zipfile_serialization=False)
    found, path = opened(as_python_2(data))
    assert path == "state_dict"
    assert found["a.weight"].tolist() == STATE["a.weight"].tolist()


def as_python_2(data: bytes) -> bytes:
    """The same pickles with the byte strings of Python 2; the tensors' bytes follow them."""
    out, file = b"", io.BytesIO(data)
    while data[file.tell() : file.tell() + 1] == b"\x80":
        start = file.tell()
        operations = [(o.name, v, p) for o, v, p in pickletools.genops(file)]
        ends = [p for _, _, p in operations[1:]] + [file.tell()]
        for (name, value, position), end in zip(operations, ends, strict=True):
            short = name == "BINUNICODE" and len(value.encode()) < 256
            text = value.encode() if short else b""
            out += b"U" + bytes([len(text)]) + text if short else data[position:end]
        assert operations[0][2] == start
    return out + data[file.tell() :]


def test_what_is_not_weights_is_named(tmp_path: Path) -> None:
    assert refusal(saved([1, 2])) == {"refused": "kind", "text": "list"}
    assert refusal(saved({"a": 1, "b": 2})) == {"refused": "keys", "text": "a, b"}
    assert refusal(saved(torch.nn.Linear(2, 2)))["refused"] == "code"
    assert "Linear" in refusal(saved(torch.nn.Linear(2, 2)))["text"]
    mark = tmp_path / "owned"
    told = refusal(saved({"state_dict": STATE, "x": Hostile(mark)}))
    assert told["refused"] == "code" and told["text"].endswith(".system")
    assert not mark.exists()


def test_a_damaged_file_says_what_is_missing() -> None:
    data = saved(STATE, _use_new_zipfile_serialization=False)
    assert refusal(data[:-8])["refused"] == "format"
    assert refusal(data[:200])["refused"] == "format"
    assert child.refusal(RuntimeError("DefaultCPUAllocator: can't allocate memory"))["refused"] == (
        "memory"
    )
    assert child.refusal(MemoryError())["refused"] == "memory"
    assert child.refusal(RuntimeError("weights_only=True with TorchScript archives"))[
        "refused"
    ] == ("torchscript")


@pytest.mark.parametrize(
    "value",
    [torch.ones(2, dtype=torch.complex64), torch.eye(2).to_sparse(), torch.ones(2).to("meta")],
)
def test_strange_tensors_are_named(value: torch.Tensor) -> None:
    with pytest.raises(child.NoWeightsError) as caught:
        child._plain(torch, "a", value)
    assert child.refusal(caught.value) == {"refused": "tensor", "text": "a"}


def test_tensors_get_memory_of_their_own() -> None:
    shared = torch.arange(12.0)
    view = child._plain(torch, "a", shared[::2].reshape(2, 3).T)
    assert view.is_contiguous() and view.tolist() == shared[::2].reshape(2, 3).T.tolist()
    assert view.untyped_storage().nbytes() == 24
    half = child._plain(torch, "a", torch.ones(1, dtype=torch.bfloat16))
    assert half.dtype == torch.float32


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\n<!DOCTYPE html><html>Quota exceeded", "is a web page"),
        (b"<html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x1f\x8b\x08", "is an archive"),
        (bytes(257) + b"ustar", "is an archive"),
        (b"PK\x03\x04" + bytes(50), "is truncated"),
        (pickle.dumps({"a": 1}), "plain pickle"),
        (b"\x00\x01\x02", "no file of weights"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path: Path, head: bytes, said: str) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(head)
    with pytest.raises(InputError, match=said):
        read_foreign(path)


def test_archives_say_what_is_in_them(tmp_path: Path) -> None:
    path = tmp_path / "models.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("models/eth3d.pth", b"x")
        archive.writestr("models/readme.txt", b"x")
    with pytest.raises(InputError, match=r"with models/eth3d\.pth in it"):
        read_foreign(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/constants.pkl", b"x")
    with pytest.raises(InputError, match="TorchScript program"), path.open("rb") as file:
        kind_of(file, path)


def test_a_real_file_is_opened_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(saved(checkpoint(), _use_new_zipfile_serialization=False))
    found = read_foreign(path)
    assert {k: v.tolist() for k, v in found.tensors.items()} == {
        k: v.tolist() for k, v in STATE.items()
    }
    assert (found.wrapper, found.bytes, len(found.sha256)) == (
        "state_dict", path.stat().st_size, 64,
    )  # fmt: skip


def test_code_and_bombs_get_nowhere(tmp_path: Path) -> None:
    path, mark = tmp_path / "a.pth", tmp_path / "owned"
    path.write_bytes(saved({"state_dict": STATE, "x": Hostile(mark)}))
    with pytest.raises(InputError, match="opening it would run code") as caught:
        read_foreign(path)
    assert not mark.exists() and "\n" not in str(caught.value) and "system" in str(caught.value)
    path.write_bytes(saved({"a": torch.zeros(1).expand(10**12)}))
    with pytest.raises(InputError, match="asks for far more memory"):
        read_foreign(path)


def test_safetensors_need_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "a.safetensors"
    save_file(STATE, path, metadata={"b": "c"})
    monkeypatch.setattr(subprocess, "Popen", None)
    found = read_foreign(path)
    assert found.tensors["a.weight"].tolist() == STATE["a.weight"].tolist()
    assert (found.wrapper, found.metadata) == ("", {"b": "c"})


def test_nobody_is_waited_for_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(saved(STATE))
    with pytest.raises(InputError, match=r"could not be read in 0\.05 s"):
        read_foreign(path, seconds=0.05)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("raise SystemExit(3)", "ended with 3: no word"),
        ("import os; os.abort()", "ended with -6"),
        ("print('[1]')", "ended with 0"),
        ("print('x' * 100000)", "ended with 0"),
        ("print('{\"wrapper\": \"\"}'); print('no tensors')", "did not arrive whole"),
    ],
)
def test_whatever_the_other_process_does_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    (tmp_path / "child.py").write_text(script)
    (tmp_path / "a.pth").write_bytes(saved(STATE))
    monkeypatch.setattr(unpickle, "__file__", str(tmp_path / "unpickle.py"))
    with pytest.raises(InputError, match=said):
        read_foreign(tmp_path / "a.pth")


def test_no_process_to_open_it_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pth").write_bytes(saved(STATE))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(ResourceError, match="no process can be started"):
        read_foreign(tmp_path / "a.pth")


def test_too_long_a_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickle, "LARGEST", 10)
    (tmp_path / "a.pth").write_bytes(saved(STATE))
    with pytest.raises(InputError, match="is too long"):
        read_foreign(tmp_path / "a.pth")


def test_without_safetensors_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pth").write_bytes(saved(STATE))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match=r"fathom-depth\[torch\]"):
        read_foreign(tmp_path / "a.pth")


CONFINED = """
import os, socket, subprocess, sys
sys.path.insert(0, {folder!r})
import child
child.confine(1000)
def barred(job):
    try:
        job()
    except (PermissionError, OSError, MemoryError):
        return True
    return False
assert barred(lambda: socket.create_connection(("127.0.0.1", {port}), 1))
assert barred(lambda: subprocess.run(["true"]))
assert barred(lambda: os.system("true"))
assert barred(lambda: open({target!r}, "w"))
assert barred(lambda: os.open({target!r}, os.O_CREAT | os.O_WRONLY))
assert barred(lambda: os.remove({target!r} + "-other"))
assert barred(lambda: bytearray(1 << 36))
assert open({here!r}).read()
print("confined")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what is tested here is Linux's")
@pytest.mark.parametrize("hooks", [True, False], ids=["all", "system-calls-alone"])
def test_the_process_has_no_network_and_writes_nothing(tmp_path: Path, hooks: bool) -> None:
    other = tmp_path / "target-other"
    other.write_text("")
    text = CONFINED.format(
        folder=str(Path(child.__file__).parent), port=9, target=str(tmp_path / "target"),
        here=__file__,
    )  # fmt: skip
    if not hooks:
        # Python's own hooks away: the kernel alone must hold network and programs.
        text = text.replace("child.confine(", "sys.addaudithook = lambda _: None; child.confine(")
        text = text.replace('assert barred(lambda: os.system("true"))', "")
        text = text.replace('assert barred(lambda: os.remove({target!r} + "-other"))', "")
        lines = [line for line in text.splitlines() if "os.remove" not in line]
        # an empty file can still be made, but nothing can be written into one
        lines = [
            line.replace('"w"))', '"w").write("x" * 100000))') if '"w"' in line else line
            for line in lines
            if "O_CREAT" not in line and "os.system" not in line
        ]
        text = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + "\n".join(lines)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "confined\n", done.stderr
