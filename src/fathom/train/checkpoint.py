"""Checkpoints: written whole, verified by reading them back, found again after anything.

A checkpoint is one safetensors file. Its tensors are weights, averaged weights and the optimiser's
state; its metadata holds the rest as JSON and a SHA-256 over both, so that a file which a full disk
or a crash left damaged is told from a whole one without a second file. Nothing in it is executed.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fathom import weights
from fathom.core.errors import InputError, ResourceError
from fathom.io.atomic import write_bytes
from fathom.layers.state import read_tensors

FORMAT = "fathom-checkpoint"
WEIGHTS_FORMAT = "fathom-weights"
_NAME = re.compile(r"step-(\d+)\.safetensors")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """step: batches done. tensors: by name. info: everything else, as JSON values."""

    step: int
    tensors: Mapping[str, Tensor]
    info: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Writes `step-N.safetensors`, reads it back, and only then removes all but `keep` newest.

    Raises `ResourceError` if it cannot be written (a full disk) or does not read back as written;
    the earlier ones are still there then.
    """
    info = json.dumps({"step": checkpoint.step, **checkpoint.info}, allow_nan=False)
    plain = {k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()}
    metadata = {"format": FORMAT, "version": "1", "info": info, "sha256": _digest(plain, info)}
    path = folder / f"step-{checkpoint.step:08d}.safetensors"
    write_bytes(path, _bytes(plain, metadata))
    try:
        read_checkpoint(path)
    except InputError as error:
        with suppress(OSError):
            path.unlink()
        raise ResourceError(
            "did not read back as it was written: the disk is failing or full",
            file=path,
            remedy="the earlier checkpoints are kept; free some space and go on with --resume",
        ) from error
    for old in _found(folder)[keep:]:
        with suppress(OSError):
            old.unlink()
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint, verified.

    Raises `InputError` if the file is missing, truncated, no checkpoint, or its content is not
    what was written.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise InputError(
            "is no checkpoint",
            file=path,
            field="format",
            value=metadata.get("format"),
            expected=FORMAT,
        )
    if _digest(tensors, metadata.get("info", "")) != metadata.get("sha256"):
        raise InputError(
            "holds other content than was written",
            file=path,
            field="sha256",
            expected=metadata.get("sha256"),
            remedy="remove it: the one before it will be taken",
        )
    info = json.loads(metadata["info"])
    return Checkpoint(int(info["step"]), tensors, info)


def newest(folder: Path, notify: Callable[[str], None]) -> Checkpoint | None:
    """The newest complete checkpoint, or None. A line to `notify` for each damaged one."""
    for path in _found(folder):
        try:
            return read_checkpoint(path)
        except InputError as error:
            notify(f"passed over: {error}")
    return None


def _found(folder: Path) -> list[Path]:
    named = [(int(m[1]), p) for p in folder.glob("step-*") if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(named, reverse=True)]


def save_weights(path: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Weights alone, whole or not at all, with `about` (JSON values) in the metadata."""
    plain = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    metadata = {"format": WEIGHTS_FORMAT, "info": json.dumps(about, allow_nan=False)}
    write_bytes(path, _bytes(plain, metadata))


def read_weights(start: Path | str) -> dict[str, Tensor]:
    """The weights in a safetensors file; of a checkpoint the averaged ones, if it has them.

    start: the file, or the name of a shipped model.

    Raises `InputError` as `read_tensors` does.
    """
    tensors, metadata = read_tensors(weights_file(start))
    if metadata.get("format") != FORMAT:
        return tensors
    averaged = part(tensors, "ema.")
    return {**part(tensors, "net."), **averaged}


def weights_file(start: Path | str) -> Path:
    """The file that `start` names: itself, or the weights of the shipped model of that name.

    Raises `InputError` if neither is there, or the shipped file's hash is not that of its record.
    """
    path = Path(start)
    if path.exists() or path.name != str(path) or path.suffix:
        return path
    if path.name in weights.NAMES:
        return weights.shipped(path.name).file(weights.WEIGHTS)
    raise InputError(
        "does not exist",
        file=path,
        expected=f"a safetensors file, or a shipped model: {' or '.join(weights.NAMES)}",
    )


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as tensors `optimiser.INDEX.NAME`; its settings are not in it."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{index}.{name}": value
        for index, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimiser_tensors` gave, each in the memory layout of its parameter."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in part(tensors, "optimiser.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    for parameter in parameters:
        own = optimiser.state.get(parameter, {})
        for key, value in own.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                own[key] = torch.empty_like(parameter).copy_(value)


def _bytes(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> bytes:
    from safetensors.torch import save

    data: bytes = save(dict(tensors), metadata)
    return data


def _digest(tensors: Mapping[str, Tensor], info: str) -> str:
    found = hashlib.sha256(info.encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
