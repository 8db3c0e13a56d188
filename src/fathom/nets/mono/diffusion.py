"""What the nets that run through diffusers share: opening their folders and running them.

diffusers takes seconds to import, so it is imported inside the functions.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from fathom.core.errors import FathomError, InputError, ResourceError

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_TENSORS = "*.safetensors"
_HALF = ".fp16"


def read_json(file: Path, what: str) -> dict[str, Any]:
    """A configuration file of a model. what: whose it should be, for the message.

    Raises `InputError` if it is not there, or holds no JSON object.
    """
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"is not there, so the folder is not {what}", file=file,
            expected="a copy of its repository of the hub, or what `save_pretrained` wrote",
        ) from error  # fmt: skip
    except ValueError as error:
        raise InputError("is no JSON", file=file, remedy="copy the model again") from error
    if not isinstance(found, dict):
        raise InputError("is no JSON object", file=file, remedy="copy the model again")
    return found


def variant_of(folder: Path, precision: Precision) -> str | None:
    """ "fp16" where a net's folder has its weights in half precision, and those are asked for or
    all there are; None otherwise."""
    half = [_HALF in path.name for path in folder.glob(_TENSORS)]
    return "fp16" if half and (all(half) or (any(half) and precision == "fp16")) else None


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """While open, models may be loaded from the folder: without bars and remarks of the libraries,
    and what goes wrong is an `InputError`, or a `ResourceError` for want of memory."""
    try:
        with _quiet():
            yield
    except FathomError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _no_memory(str(folder), "weights") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            f"cannot be opened: {reason}", file=folder,
            expected="the files of the model, whole, its weights as safetensors",
            remedy="copy the model again",
        ) from error  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """The libraries' bars and warnings off while open, afterwards as they were."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    modules: tuple[Any, ...] = (ours, theirs)
    kept = [(m, m.get_verbosity(), m.is_progress_bar_enabled()) for m in modules]
    for module, _, _ in kept:
        module.set_verbosity_error()
        module.disable_progress_bar()
    try:
        yield
    finally:
        for module, level, bar in kept:
            module.set_verbosity(level)
            if bar:
                module.enable_progress_bar()


@contextmanager
def running(device: torch.device) -> Iterator[None]:
    """While open, nets may be called: the same bits each time, no gradients, and too little memory
    is said in one line (`ResourceError`)."""
    try:
        with torch.inference_mode(), _exact(device):
            yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _no_memory(str(device), "device") from error
    except RuntimeError as error:
        # the CPU's allocator has no exception of its own
        if "allocate memory" not in str(error):
            raise
        raise _no_memory(str(device), "device") from error


@contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """The same bits every time on a GPU, and no TF32 in its convolutions."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield


def _no_memory(value: str, field: str) -> ResourceError:
    return ResourceError(
        "has too little memory for this", field=field, value=value,
        remedy="give a smaller size, batch, window or chunk, half precision, or another device",
    )  # fmt: skip
