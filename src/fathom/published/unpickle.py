"""Foreign files of weights: what kind of file it is, and its tensors, read without running it.

A checkpoint in torch's format is a pickle, and a pickle is a program. It is opened with
weights_only, in a process of its own without network (`child`), which hands back plain tensors.
"""

import json
import os
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from fathom.core.arrays import Array
from fathom.core.errors import InputError, MissingExtraError, ResourceError
from fathom.io.files import PathLike, open_input
from fathom.published.part import digest_of
from fathom.published.store import FORMAT, LARGEST, read_weights
from fathom.published.torch7 import is_torch7, read_networks

SECONDS = 600.0
"""A file whose tensors take longer than this to read is given up."""
_HEAD = 512
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LINE = 1 << 16
_WEIGHTS = (".pth", ".pt", ".pkl", ".tar", ".ckpt", ".bin", ".safetensors", ".t7")
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")
_EXPECTED = "the authors' weights: a state_dict as torch.save or safetensors writes it"


@dataclass(frozen=True)
class Foreign:
    """The tensors of a foreign file. wrapper: keys they were found under, "" for none. sha256,
    bytes: of the file. metadata: of a safetensors file."""

    tensors: dict[str, Tensor]
    wrapper: str
    sha256: str
    bytes: int
    metadata: dict[str, str]


def read_foreign(path: PathLike, seconds: float = SECONDS) -> Foreign:
    """The tensors in a file that somebody published; nothing in it is executed.

    Raises `InputError` if it is missing, truncated, no weights at all, or holds code, or if it is
    of fathom's form and not what its own digest says; `ResourceError` if it does not fit into
    memory or no process can be started, `MissingExtraError` without safetensors.
    """
    with open_input(path, "file of weights") as (file, size):
        if size > LARGEST:
            raise InputError(
                "is too long", file=path, field="size", value=f"{size} bytes",
                expected=f"at most {LARGEST} bytes",
            )  # fmt: skip
        kind = kind_of(file, path)
        file.seek(0)
        digest = digest_of(file)
        file.seek(0)
        if kind == "safetensors":
            from fathom.layers.state import read_tensors

            tensors, metadata = read_tensors(path)
            if metadata.get("format") == FORMAT:
                read_weights(path)  # one that damage has reached must not get a new digest
            return Foreign(tensors, "", digest, size, metadata)
        if kind == "torch7":
            arrays = read_networks(file.read(), path)
            return Foreign({k: _tensor(v) for k, v in arrays.items()}, "", digest, size, {})
        wrapper, tensors = _opened_apart(file, path, seconds)
    return Foreign(tensors, wrapper, digest, size, {})


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))


def kind_of(file: BinaryIO, path: PathLike) -> str:
    """`torch`, `safetensors` or `torch7`.

    Raises `InputError` saying what the file is instead: a web page, an archive to unpack, a Git LFS
    pointer, a program, ...
    """
    head = file.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(file, path)
    if head.startswith(_LEGACY):
        return "torch"
    if head[:1] == b"\x80" and 2 <= head[1] <= 5:
        raise _other(
            path, "is a plain pickle, which runs as a program when it is opened",
            "ask for a plain state_dict",
        )  # fmt: skip
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < LARGEST:
        return "safetensors"
    if is_torch7(head):
        return "torch7"
    text = head.lstrip()[:15].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise _other(path, "is a web page, not weights", "download it again with a browser")
    if head.startswith(b"version https://git-lfs"):
        raise _other(path, "is a Git LFS pointer, not the weights themselves", "run: git lfs pull")
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh")) or head[257:262] == b"ustar":
        raise _other(path, "is an archive", "unpack it and give the file of weights in it")
    raise _other(path, "is no file of weights, or its beginning is damaged", "download it again")


def _zip_kind(file: BinaryIO, path: PathLike) -> str:
    """torch's files are zip archives of their own kind."""
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise _other(
            path, "is truncated: the end of the archive is missing", "download it again"
        ) from error
    tops = {name.partition("/")[2] for name in names}
    if "constants.pkl" in tops:
        raise _other(
            path, "is a TorchScript program, not weights", "give the checkpoint it was made from"
        )
    if "data.pkl" in tops:
        return "torch"
    inside = [name for name in names if name.lower().endswith(_WEIGHTS)][:6]
    problem = f"is an archive, with {', '.join(inside)} in it" if inside else "is an archive"
    raise _other(path, problem, "unpack it and give the file of weights in it")


def _opened_apart(file: BinaryIO, path: PathLike, seconds: float) -> tuple[str, dict[str, Tensor]]:
    """Wrapper and tensors, as the child process found them."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise MissingExtraError("safetensors", "torch") from error
    told, data = _run(file, path, seconds)
    if "refused" in told:
        raise _refused(path, told["refused"], told["text"])
    try:
        return told["wrapper"], load(data)
    except (SafetensorError, KeyError) as error:
        raise _broken(path, "its tensors did not arrive whole") from error


def _run(file: BinaryIO, path: PathLike, seconds: float) -> tuple[dict[str, str], bytes]:
    script = Path(__file__).with_name("child.py")
    modules = json.dumps([os.path.realpath(p) for p in sys.path if p])
    environment = {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
    try:
        process = subprocess.Popen(  # noqa: S603 - this Python with our own script
            [sys.executable, "-I", str(script), modules],
            stdin=file.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment, "OMP_NUM_THREADS": "1"}, close_fds=True,
        )  # fmt: skip
    except OSError as error:
        raise ResourceError(
            f"no process can be started to open it in: {error.strerror}", file=path
        ) from error
    try:
        answer, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise _broken(path, f"its tensors could not be read in {seconds:g} s") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    line, found, data = answer.partition(b"\n")
    told = None
    with suppress(ValueError):
        told = json.loads(line) if found and len(line) < _LINE else None
    if not isinstance(told, dict):
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["no word"]
        raise _broken(path, f"the process that read it ended with {process.returncode}: {last[0]}")
    return {str(k): str(v) for k, v in told.items()}, data


def _refused(path: PathLike, kind: str, text: str) -> InputError:
    again = "download it again, and compare its sha256 with the authors'"
    if kind == "code":
        return InputError(
            "holds more than tensors: opening it would run code",
            file=path,
            field="names",
            value=text,
            expected=_EXPECTED,
            remedy="ask for a plain state_dict",
        )
    found = {
        "torchscript": ("is a TorchScript program, not weights", "give the checkpoint"),
        "kind": (f"holds a {text}, not a dictionary of tensors", again),
        "keys": (f"has no tensors under its keys ({text})", "give the file of weights"),
        "tensor": (f"holds a tensor that is sparse, quantised or complex ({text})", again),
        "memory": ("asks for far more memory than it is long: damaged or hostile", again),
    }.get(kind)
    return _broken(path, text) if found is None else _other(path, *found)


def _broken(path: PathLike, why: str) -> InputError:
    return InputError(
        f"is truncated or damaged ({why})", file=path, expected=_EXPECTED,
        remedy="download it again, and compare its sha256 with the authors'",
    )  # fmt: skip


def _other(path: PathLike, problem: str, remedy: str) -> InputError:
    return InputError(problem, file=path, expected=_EXPECTED, remedy=remedy)
