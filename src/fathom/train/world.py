"""The processes that train together, and the device each of them uses.

Started by torchrun (`torchrun --nproc-per-node 2 -m fathom train ...`), which tells each process
its place by environment variables; alone otherwise. Nothing else has to be configured.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from fathom.core.errors import ResourceError, UsageError

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class World:
    """rank: of this process among `size`. device: what it computes on."""

    rank: int
    size: int
    device: torch.device

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def same(self, value: Any) -> Any:
        """The first process's value, in every process."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def gathered(self, value: list[str]) -> list[str]:
        """Everybody's lists behind each other."""
        if self.size == 1:
            return value
        boxes: list[Any] = [None] * self.size
        distributed.all_gather_object(boxes, value)
        return [item for box in boxes for item in box]

    def wait(self) -> None:
        """Until everybody is here."""
        if self.size > 1:
            distributed.barrier()

    def wrapped(self, net: nn.Module) -> nn.Module:
        """The net whose gradients are averaged over the processes while they are computed."""
        if self.size == 1:
            return net
        if self.device.type == "cuda":
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return nn.parallel.DistributedDataParallel(net)


@contextmanager
def joined(device: str) -> Iterator[World]:
    """This process's place, until the block ends.

    device: `auto` takes a GPU where there is one.

    Raises `UsageError` for an unknown device or torchrun's variables without sense,
    `ResourceError` if the GPU that was asked for is not there.
    """
    rank, size, local = (_number(n, d) for n, d in _VARIABLES.items())
    if not 0 <= rank < size:
        raise UsageError(
            "does not fit WORLD_SIZE", field="RANK", value=rank, expected=f"0..{size - 1}"
        )
    world = World(rank, size, chosen_device(device, local))
    if size == 1:
        yield world
        return
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
    # Flags and names travel as tensors of the processor, gradients as those of the device.
    backend = "cpu:gloo,cuda:nccl" if world.device.type == "cuda" else "gloo"
    # The others wait while the first one validates.
    distributed.init_process_group(backend, timeout=timedelta(hours=6))
    try:
        yield world
    finally:
        distributed.destroy_process_group()


_VARIABLES = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(
            "is no number", field=name, value=text, remedy="unset it, or start with torchrun"
        ) from error


def chosen_device(device: str, local: int = 0) -> torch.device:
    """`auto`, `cpu`, `cuda` (the GPU of this process's number) or `cuda:N` as torch's.

    Raises `UsageError` and `ResourceError` as `joined`.
    """
    kind, _, number = device.partition(":")
    if kind not in DEVICES or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(
            "is no device", field="device", value=device, expected="auto, cpu, cuda or cuda:N"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not count):
        return torch.device("cpu")
    index = int(number) if number else local
    if index >= count:
        built = "" if torch.version.cuda else " (this torch is a CPU build)"
        raise ResourceError(
            f"that GPU is not there: torch sees {count}{built}",
            field="device",
            value=device,
            expected="a GPU, and a CUDA build of torch",
            remedy="take --device cpu",
        )
    return torch.device("cuda", index)
