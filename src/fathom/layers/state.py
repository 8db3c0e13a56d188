"""Weights in safetensors files: read with care, loaded strictly."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fathom.core.errors import InputError, MissingExtraError
from fathom.io.files import PathLike, read_bytes

_LONGEST = 1 << 33


def read_tensors(path: PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; nothing in it is executed.

    Raises `InputError` if the file is missing, truncated or no safetensors file,
    `MissingExtraError` if safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise MissingExtraError("safetensors", "torch") from error
    data = read_bytes(path, "file of weights", _LONGEST)
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(
            "is truncated or no safetensors file",
            file=path,
            field="size",
            value=f"{len(data)} bytes",
            expected="weights as safetensors",
            remedy="copy or make the file again",
        ) from error
    return tensors, {str(k): str(v) for k, v in metadata.items()}


def load_state(net: nn.Module, state: Mapping[str, Tensor], file: PathLike) -> None:
    """Copies `state` into the net: every name and shape must be the net's own.

    Raises `InputError` naming the first tensor that is missing, unknown or of another shape.
    """
    own: dict[str, Any] = dict(net.state_dict())
    for name, wanted in own.items():
        if name not in state:
            raise _other(file, name, "is missing", f"a tensor of {_shape(wanted)}")
        if state[name].shape != wanted.shape:
            raise _other(file, name, f"is of shape {_shape(state[name])}", _shape(wanted))
    for name in state:
        if name not in own:
            raise _other(file, name, "is no part of this net", f"{len(own)} tensors")
    net.load_state_dict(dict(state), strict=True)


def _shape(values: Tensor) -> str:
    return "x".join(map(str, values.shape)) or "a number"


def _other(file: PathLike, name: str, problem: str, expected: str) -> InputError:
    return InputError(
        f"{problem}: weights of another net",
        file=file,
        field=name,
        expected=expected,
        remedy="give weights of this net, or the settings they were trained with",
    )


def renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """The same tensors with their modules called otherwise: `names` has module -> module, and the
    last part of a tensor's name stays. Modules that are not in `names` keep theirs; the net itself
    is called ""."""
    parts = ((name.rpartition("."), values) for name, values in state.items())
    found = ((names.get(module, module), leaf, values) for (module, _, leaf), values in parts)
    return {f"{m}.{leaf}" if m else leaf: values for m, leaf, values in found}


def counted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """With a count of batches, 0, for each batch normalisation that has none, as of torch 0.3."""
    out = dict(state)
    for name in state:
        module, dot, leaf = name.rpartition(".")
        if leaf == "running_mean":
            out.setdefault(f"{module}{dot}num_batches_tracked", torch.tensor(0))
    return out
