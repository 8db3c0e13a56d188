"""Opens one foreign file of weights, alone: run as a script by `unpickle`, never imported by it.

A pickle is a program. torch's weights_only lets it name nothing but tensors; should a hostile file
get past that, this process has no network, starts no other, writes no file and has little more
memory than the file is long. It answers on standard output with one line of JSON and then the
tensors as safetensors, and imports nothing of fathom.
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import re
import struct
import sys
from pathlib import Path
from typing import Any

WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "network",
    "net", "module", "weights", "params_ema", "params",
)  # fmt: skip
"""Keys under which a checkpoint holds its weights, in the order they are looked for."""
_DEEPEST = 3
_SPARE = 1 << 30
_DENIED = {  # numbers of system calls that make a connection or start a program
    "x86_64": (41, 42, 49, 50, 53, 57, 58, 59, 101, 322, 425),
    "aarch64": (198, 199, 200, 201, 203, 117, 221, 281, 425),
}
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_EVENTS = ("socket.", "subprocess.", "os.", "shutil.", "ctypes.", "webbrowser.", "urllib.", "pty.")
_HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk")


def main() -> None:
    """Reads the file that is standard input; `argv[1]` is where modules are found, as JSON."""
    sys.path[:] = json.loads(sys.argv[1])
    sys.dont_write_bytecode = True
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get into the answer
    import torch
    from safetensors.torch import save

    torch.set_num_threads(1)
    with open(0, "rb", closefd=False) as file:
        file.seek(0)  # whoever opened it has read in it
        confine(os.fstat(0).st_size)
        try:
            state, wrapper = weights_in(_load(torch, file))
            tensors = {name: _plain(torch, name, value) for name, value in state.items()}
            told: dict[str, Any] = {"wrapper": wrapper}
            data = save(tensors)
        except Exception as error:  # noqa: BLE001 - whatever a hostile file brings about
            told, data = refusal(error), b""
    answer.write(json.dumps(told).encode() + b"\n")
    answer.write(data)
    answer.flush()
    os._exit(0)


def _load(torch: Any, file: Any) -> Any:
    import numpy as np

    # What checkpoints hold beside tensors: the loss as a numpy number, the settings of the run.
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(c)) for c in "?bhilqBHILQefd"}
    names: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, *kinds]
    names += [argparse.Namespace, (_dictionary, "collections.defaultdict"), list, dict, int, float]
    with torch.serialization.safe_globals(names):
        return torch.load(file, map_location="cpu", weights_only=True)


def _dictionary(*_: Any) -> dict[Any, Any]:
    """Stands for a defaultdict, into which weights_only puts nothing."""
    return {}


class NoWeightsError(Exception):
    """What was found holds no weights; `kind` and `text` say what instead."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def weights_in(loaded: Any) -> tuple[dict[str, Any], str]:
    """The tensors by name, and the keys they were under ("model.state_dict", "" for none).

    Raises `NoWeightsError` if there are none.
    """
    path: list[str] = []
    for _ in range(_DEEPEST):
        if not isinstance(loaded, dict):
            raise NoWeightsError("kind", type(loaded).__name__)
        inner = [k for k in WRAPPERS if isinstance(loaded.get(k), dict) and loaded[k]]
        if not inner:
            break
        path.append(inner[0])
        loaded = loaded[inner[0]]
    found = {str(k): v for k, v in loaded.items() if _is_tensor(v)}
    if not found:
        raise NoWeightsError("keys", ", ".join(sorted(map(str, loaded))[:8]) or "nothing")
    return found, ".".join(path)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "layout") and hasattr(value, "is_quantized")


def _plain(torch: Any, name: str, value: Any) -> Any:
    """A tensor with memory of its own, of a type that our files hold."""
    value = value.detach()
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
        raise NoWeightsError("tensor", name)
    if value.dtype == torch.bfloat16:
        value = value.float()
    return value.clone(memory_format=torch.contiguous_format)


def refusal(error: Exception) -> dict[str, str]:
    """What is told of an error: its kind and the one word or line that matters."""
    text = str(error)
    named = re.search(
        r"(?:GLOBAL|unrecognized function|but got) ([\w.<> ']+?)(?: was| whose|$)", text
    )
    if isinstance(error, NoWeightsError):
        kind, text = error.kind, error.text
    elif isinstance(error, MemoryError) or "allocate" in text or "not enough memory" in text:
        kind = "memory"
    elif "TorchScript" in text:
        kind = "torchscript"
    elif named and ("Unsupported" in text or "unsupported" in text or "Can only" in text):
        kind, text = "code", named[1].strip()
    elif "Trying to call reduce" in text:
        kind, text = "code", text.rsplit(" ", 1)[-1]
    else:
        kind, text = "format", text.rpartition("WeightsUnpickler error:")[2]
    return {"refused": kind, "text": " ".join(text.split())[:300]}


def confine(size: int) -> None:
    """From here on this process gets nowhere, as far as the operating system can see to it.

    size: of the file in bytes; memory is limited to a few times of it.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
            resource.setrlimit(what, (0, 0))
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + 4 * size + _SPARE
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    with contextlib.suppress(OSError, AttributeError):
        _filter_system_calls()
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's own doors, on systems whose calls are not filtered."""
    if event == "open":
        mode, flags = arguments[1], arguments[2]
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
        if set(str(mode or "")) & set("wax+") or (isinstance(flags, int) and flags & writes):
            raise PermissionError("no file is written here")
    elif event.startswith(_EVENTS) and event not in _HARMLESS:
        raise PermissionError(f"{event} is not done here")


def _filter_system_calls() -> None:
    """Linux: a seccomp filter (BPF) that answers EPERM to the calls in `_DENIED`."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _DENIED:
        return
    refuse, allow = 0x00050001, 0x7FFF0000  # SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW
    load, equal, above, done = 0x20, 0x15, 0x35, 0x06  # BPF: ld [k], jeq, jge, ret
    program = [(load, 0, 0, 4), (equal, 1, 0, _ARCHITECTURE[machine]), (done, 0, 0, refuse)]
    program += [(load, 0, 0, 0), (above, 0, 1, 0x40000000), (done, 0, 0, refuse)]
    for number in _DENIED[machine]:
        program += [(equal, 0, 1, number), (done, 0, 0, refuse)]
    program.append((done, 0, 0, allow))
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    memory = ctypes.create_string_buffer(code)
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(memory))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if prctl(22, 2, ctypes.c_char_p(header), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    main()
