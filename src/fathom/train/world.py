"""The processes that train together, the device each of them uses, and the precision: Lightning
Fabric's, behind the few words that the loop needs.

Started by torchrun (`torchrun --nproc-per-node 2 -m fathom train ...`), which tells each process
its place by environment variables; alone otherwise. Nothing else has to be configured.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, distributed, nn

from fathom.core.errors import ResourceError, UsageError
from fathom.train.packages import check_packages

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DEVICES = ("auto", "cpu", "cuda")
_PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}


@dataclass(frozen=True)
class World:
    """This process's place. fabric: Lightning's, launched."""

    fabric: "Fabric"

    @property
    def rank(self) -> int:
        """The number of this process among `size`."""
        return self.fabric.global_rank

    @property
    def size(self) -> int:
        """How many processes train together."""
        return self.fabric.world_size

    @property
    def device(self) -> torch.device:
        """What this process computes on."""
        return self.fabric.device

    def autocast(self) -> Any:
        """The context in which the net runs."""
        return self.fabric.autocast()

    def accumulating(self, net: nn.Module, *, last: bool) -> Any:
        """The context of one part of a batch: the processes meet in the last one alone. net: as
        `wrapped` gave it."""
        return nullcontext() if last or self.size == 1 else cast(Any, net).no_sync()

    def backward(self, loss: Tensor) -> None:
        """The gradients, averaged over the processes."""
        self.fabric.backward(loss)

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        found: Any = self.fabric.all_reduce(values, reduce_op="sum")
        return cast(Tensor, found)

    def same(self, value: Any) -> Any:
        """The first process's value, in every process."""
        return self.fabric.broadcast(value)

    def gathered(self, value: list[str]) -> list[str]:
        """Everybody's lists behind each other."""
        return [x for rank in range(self.size) for x in self.fabric.broadcast(value, src=rank)]

    def wait(self) -> None:
        """Until everybody is here."""
        self.fabric.barrier()

    def wrapped(self, net: nn.Module) -> nn.Module:
        """The net whose gradients are averaged over the processes while they are computed.

        By the strategy alone: the wrapper that `Fabric.setup` puts around a net refuses the frozen
        classes in which nets answer, and turns their bfloat16 into float32.
        """
        if self.size > 1 and self.device.type == "cuda":
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return self.fabric.strategy.setup_module(net)


@contextmanager
def joined(device: str, precision: Literal["fp32", "bf16"] = "fp32") -> Iterator[World]:
    """This process's place, until the block ends.

    device: `auto` takes a GPU where there is one. precision: of the net's forward pass; bf16 is
    autocast.

    Raises `UsageError` for an unknown device or torchrun's variables without sense,
    `ResourceError` if the GPU that was asked for is not there, `MissingExtraError` without
    Lightning Fabric.
    """
    check_packages()
    rank, size, local = (_number(n, d) for n, d in _VARIABLES.items())
    here = _number("LOCAL_WORLD_SIZE", size)
    if not 0 <= rank < size:
        raise UsageError(
            "does not fit WORLD_SIZE", field="RANK", value=rank, expected=f"0..{size - 1}"
        )
    place = chosen_device(device, local)
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    with _quiet():
        fabric = Fabric(
            accelerator=place.type,
            devices=here if size > 1 else ([place.index] if place.type == "cuda" else 1),
            num_nodes=max(size // here, 1),
            strategy="auto" if size == 1 else _together(place),
            # Named, for otherwise Fabric would take a cluster's job for its own.
            plugins=LightningEnvironment() if size == 1 else TorchElasticEnvironment(),
            precision=_PRECISIONS[precision],
        )
        fabric.launch()
    try:
        yield World(fabric)
    finally:
        if size > 1:
            distributed.destroy_process_group()


def _together(place: torch.device) -> Any:
    """Gradients averaged among the processes."""
    from lightning_fabric.strategies.ddp import DDPStrategy

    return DDPStrategy(
        # Flags and names travel as tensors of the processor, gradients as those of the device.
        process_group_backend="cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo",
        timeout=timedelta(hours=6),  # the others wait while the first one validates
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """While open, Fabric does not tell what it was told."""
    loggers = [logging.getLogger(name) for name in ("lightning_fabric", "lightning_utilities")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


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
