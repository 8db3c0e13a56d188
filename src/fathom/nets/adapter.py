"""Stereo nets in torch as estimators: on a GPU, or with weights that the user trained."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError, ResourceError, UsageError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair, View
from fathom.geometry.padding import padded, padded_layers
from fathom.io.files import PathLike
from fathom.layers.state import load_state, read_tensors
from fathom.layers.stereo import as_output
from fathom.nets.shipped import net_of_weights

Precision = Literal["fp32", "bf16"]
Evidence = Callable[[StereoPair], Array]
"""What a net wants beside the images: float32 (c, h', w') made from a pair."""


@dataclass(frozen=True, eq=False)
class NetMatcher:
    """A stereo net (see `fathom.layers.stereo.StereoNet`) as an estimator of pairs of any size.

    net: on `device`, in evaluation mode. divisor: sizes the net takes are multiples of this: pairs
    are extended at the right and bottom by their border. evidence: its third input, made from the
    pair as it is, in 8 bits, and extended like it. precision: bf16 = autocast. channels_last:
    memory order of the inputs.

    Negative and not finite values become NaN.
    """

    net: nn.Module
    divisor: int = 32
    evidence: Evidence | None = None
    device: torch.device | str = "cpu"
    precision: Precision = "fp32"
    channels_last: bool = False

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view in pixels, with a confidence where the net has one.

        Raises `InputError` if the net's first output is not of the images' size, `ResourceError`
        if the device has too little memory.
        """
        height, width = pair.shape
        plain = [v.rgb8 for v in (pair.left, pair.right)]
        inputs = [padded(image, self.divisor).transpose(2, 0, 1) for image in plain]
        if self.evidence is not None:
            made = self.evidence(StereoPair(View(plain[0]), View(plain[1])))
            inputs.append(padded_layers(made, inputs[0].shape[1:]))
        device = torch.device(self.device)
        values, confidence = run_net(
            self.net, inputs, device, self.precision, channels_last=self.channels_last
        )
        values = values[:height, :width]
        with np.errstate(invalid="ignore"):
            values = np.where(np.isfinite(values) & (values >= 0), values, np.float32(np.nan))
        if confidence is None:
            return Disparity(values)
        confidence = np.ascontiguousarray(confidence[:height, :width])
        return Disparity(values, np.nan_to_num(confidence, nan=0.0))


def run_net(
    net: nn.Module,
    inputs: Sequence[Array],
    device: torch.device,
    precision: Precision = "fp32",
    *,
    channels_last: bool = False,
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"] | None]:
    """The net's finest disparity (pixels) and its confidence (0..1) of one pair.

    inputs: left, right, and what else it wants, each (c, h, w); the first one's size is a multiple
    of what the net needs.

    Raises `InputError` if the disparity is not of the images' size, `ResourceError` if the device
    has too little memory.
    """
    return run_batch(net, [inputs], device, precision, channels_last=channels_last)[0]


def run_batch(
    net: nn.Module,
    batch: Sequence[Sequence[Array]],
    device: torch.device,
    precision: Precision = "fp32",
    *,
    channels_last: bool = False,
) -> list[tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"] | None]]:
    """`run_net` of several pairs of one size in one forward: its answer for each, in their order.

    batch: the inputs of each pair. Takes as many times the memory of one pair.

    Raises as `run_net`.
    """
    tensors = [
        torch.cat([_tensor(values, device) for values in column])
        for column in zip(*batch, strict=True)
    ]
    if channels_last:
        tensors = [t.contiguous(memory_format=torch.channels_last) for t in tensors]
    with _running(device, precision):
        output = as_output(net(*tensors))
    finest = output.disparities[0]
    wanted = (len(batch), 1, *tensors[0].shape[-2:])
    if tuple(finest.shape) != wanted:
        raise InputError(
            "the net's first disparity is not of the images' size",
            field="shape",
            value=tuple(finest.shape),
            expected=str(wanted),
        )
    values = finest[:, 0].cpu().numpy()
    if output.confidence is None:
        return [(v, None) for v in values]
    sure = torch.sigmoid(output.confidence)[:, 0].cpu().numpy()
    return list(zip(values, sure, strict=True))


def run_call(
    call: Callable[..., torch.Tensor],
    inputs: Sequence[Array],
    device: torch.device,
    precision: Precision = "fp32",
) -> Array:
    """What a method of a net gives, as float32, for nets that answer other things than disparity.

    inputs: each (c, h, w); the call gets them with a batch axis before.

    Raises `ResourceError` if the device has too little memory.
    """
    tensors = [_tensor(values, device) for values in inputs]
    with _running(device, precision):
        out: Array = call(*tensors).float().cpu().numpy()
    return out


@contextmanager
def _running(device: torch.device, precision: Precision) -> Iterator[None]:
    """While open a net can be called; too little memory is said in one line."""
    try:
        with torch.inference_mode(), autocast(device, precision), _exact(device):
            yield
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            "has too little memory for this pair",
            field="device",
            value=str(device),
            remedy="reduce the images, or use another device",
        ) from error


@dataclass(frozen=True, eq=False)
class TorchModel:
    """A net with the call of `fathom.runtime`'s models: named arrays in, named arrays out.

    inputs: names of what the net takes, in its order. threads: of torch; None leaves them as they
    are.
    """

    net: nn.Module
    device: torch.device
    inputs: tuple[str, ...] = ("left", "right", "evidence")
    precision: Precision = "fp32"
    threads: int | None = None

    def __call__(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """`disparity` and `confidence`, (1, 1, h, w) float32, of inputs (1, c, h, w).

        Raises as `run_net`, and `InputError` if the net has no confidence.
        """
        with torch_threads(self.threads):
            values, confidence = run_net(
                self.net, [arrays[name][0] for name in self.inputs], self.device, self.precision
            )
        if confidence is None:
            raise InputError("gives no confidence", field="net", value=type(self.net).__name__)
        return {"disparity": values[None, None], "confidence": confidence[None, None]}


def load_net(net: nn.Module, weights: PathLike, device: torch.device) -> nn.Module:
    """The net with the weights of a safetensors file, on `device`, in evaluation mode.

    Of a checkpoint of `fathom train` the averaged weights are taken, if it has them.

    Raises `InputError` if the file is missing, truncated or of another net, `MissingExtraError`
    without safetensors.
    """
    load_state(net, _weights(weights), weights)
    return net.to(device).eval()


def evidence_model(
    weights: PathLike,
    device: str,
    threads: int | None = None,
    precision: Precision | None = None,
) -> tuple[TorchModel, bool, int, int]:
    """The net of `fathom-s` or `sgm-refined` (of any widths) that a safetensors file holds.
    precision: None is fp32.

    Gives the model, whether it looks at the right view (`fathom-s`), the divisor of sizes, and the
    end of the disparities it finds.

    Raises `InputError` if the file is missing, truncated or of another net, `UsageError` and
    `ResourceError` as `torch_device`, `MissingExtraError` without safetensors.
    """
    place = torch_device(device)
    net = net_of_weights(_weights(weights), weights).to(place)
    config = net.config
    model = TorchModel(net, place, precision=precision or "fp32", threads=threads)
    return model, config.matching, config.divisor, config.max_disparity


def _weights(path: PathLike) -> dict[str, torch.Tensor]:
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != "fathom-checkpoint":
        return tensors
    parts = [
        {name.removeprefix(p): v for name, v in tensors.items() if name.startswith(p)}
        for p in ("net.", "ema.")
    ]
    return {**parts[0], **parts[1]}


def compile_call(net: nn.Module, name: str) -> None:
    """Lets torch.compile make the net's method of that name faster."""
    setattr(net, name, torch.compile(getattr(net, name)))


def torch_device(name: str) -> torch.device:
    """`cpu`, `cuda`, `cuda:N` or `mps` as torch's.

    Raises `UsageError` for another name, `ResourceError` if the device is not there.
    """
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (
        number and not (kind == "cuda" and number.isdecimal())
    ):
        raise UsageError(
            "is no device", field="device", value=name, expected="cpu, cuda, cuda:N or mps"
        )
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise ResourceError(
                "is not there",
                field="device",
                value=name,
                expected=f"one of {count} CUDA devices"
                if count
                else "a CUDA device and its driver",
                remedy="use --device cpu" if not count else None,
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ResourceError("is not there", field="device", value=name, remedy="use --device cpu")
    return torch.device(name)


def autocast(device: torch.device, precision: Precision) -> Any:
    """The context in which a net runs."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, torch.bfloat16)


@contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """The same bits every time, and no TF32, whose 10 bits move disparities visibly."""
    if device.type != "cuda":
        yield
        return
    matrices = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matrices


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """While open torch uses so many threads; None leaves it as it is."""
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)


def _tensor(values: Array, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)[None]
