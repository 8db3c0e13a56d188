"""The published nets that convolve cost volumes, as estimators: `psmnet`, `psmnet-basic`, `gc-net`.

The nets themselves are in `nets/stereo`; here any pair and any range become what they take.
"""

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from fathom.classical.checks import check_search
from fathom.classical.memory import check_memory
from fathom.classical.ranges import resolve_range
from fathom.combine.converted import Stamp, checked, file_of
from fathom.combine.engines import check_engine
from fathom.core.arrays import Array, Float32, Shaped
from fathom.core.errors import UsageError, unknown_name
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.geometry.visibility import seen_by_right

PUBLISHED_LEVELS = 192
"""Disparities that all of them were trained for."""
_MEAN = (123.675, 116.28, 103.53)
"""What PSMNet subtracts, in 0..255: the authors extend images by what becomes 0."""


@dataclass(frozen=True)
class _Kind:
    """module, builder: of the net. step, divisor, smallest: see the nets' configs. mean: whether
    images are extended above and at the right by `_MEAN`, as PSMNet's authors do, or below and at
    the right by their border. voxel_bytes: memory for a pixel and disparity at full size.
    """

    module: str
    builder: str
    step: int
    divisor: int
    smallest: int
    mean: bool
    voxel_bytes: int


_KINDS = {
    "psmnet": _Kind("psmnet", "psmnet", 16, 16, 256, True, 16),
    "psmnet-basic": _Kind("psmnet", "psmnet_basic", 4, 16, 256, True, 12),
    "gc-net": _Kind("gc_net", "gc_net", 32, 32, 32, False, 64),
}
MODELS = tuple(_KINDS)


@dataclass(frozen=True, kw_only=True)
class VolumeNet:
    """A net that concatenates descriptions of both views for every disparity and convolves in 3-D.

    model: Chang and Chen, CVPR 2018 (psmnet: stacked hourglasses; psmnet-basic), or Kendall et al.,
    ICCV 2017 (gc-net). 192 disparities are searched as published; another range is rounded up to a
    multiple of what the net needs (`Disparity.range` tells), and one that does not begin at 0 is
    reached by shifting the right view. Every pixel gets a value; those whose match lies outside the
    right view or behind something nearer count as FILLED, and `fill=False` makes them unknown.
    Confidence: the probability that the net's own distribution gives to within 1 px of its mean.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "psmnet"
    max_disparity: int | None = option(
        None,
        "disparities searched end before this (px); default: 192 from the smallest, as trained",
    )
    min_disparity: int = option(0, "smallest disparity searched (px), may be negative")
    align_corners: bool = option(
        False, "how PSMNet enlarges: its weights of 2018, trained under torch 0.4, may want it"
    )
    precision: Literal["fp32", "bf16"] = option("fp32", "bf16 = autocast")
    compile: bool = option(False, "let torch.compile make it faster; the first pair takes minutes")
    fill: bool = option(True, "keep values where the right view shows nothing to match")
    confidence: bool = option(True, "give P(error <= 1 px) per pixel")
    threads: int | None = option(None, "torch's threads; default: as torch decides")
    memory_limit: int | None = option(
        None, "largest memory in bytes; default: 80 % of what is available"
    )
    device: str = option("cpu", "cpu, cuda, cuda:N or mps")
    weights: str | None = option(None, "file of weights (.safetensors), or a name they are kept as")

    def __post_init__(self) -> None:
        if self.model not in _KINDS:
            raise unknown_name("model", str(self.model), list(MODELS))
        if self.precision not in ("fp32", "bf16"):
            raise unknown_name("precision", str(self.precision), ["fp32", "bf16"])
        if self.align_corners and not self.model.startswith("psmnet"):
            raise UsageError(
                f"{self.model} enlarges nothing", field="align_corners", value=True,
                remedy="leave it out",
            )  # fmt: skip
        check_search(self)
        check_engine(self.device, None)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels.

        Raises `InputError` for weights that are not there, truncated or another net's; `UsageError`
        for a range outside the images; `ResourceError` if the memory needed exceeds `memory_limit`,
        or the device is not there; `MissingExtraError` without torch.
        """
        first, levels = self._range(pair)
        kind = _KINDS[self.model]
        height, width = pair.shape
        size = (_up(height, kind), _up(width, kind))
        if self.device == "cpu":
            need = kind.voxel_bytes * levels * size[0] * size[1]
            check_memory(pair, levels, need, self.memory_limit)
        net = self._net(levels)
        from fathom.nets.adapter import TorchModel, torch_device

        model = TorchModel(
            net,
            torch_device(self.device),
            ("left", "right"),
            precision=self.precision,
            threads=self.threads,
        )
        top = size[0] - height if kind.mean else 0
        right = _shifted(pair.right.rgb8, first)
        images = {"left": pair.left.rgb8, "right": right}
        given = {
            name: np.ascontiguousarray(_extended(image, size, kind).transpose(2, 0, 1))[None]
            for name, image in images.items()
        }
        out = {k: v[0, 0, top : top + height, :width] for k, v in model(given).items()}
        return self._judged(out["disparity"], out["confidence"], first, levels)

    def _range(self, pair: StereoPair) -> tuple[int, int]:
        """The first disparity and how many are searched, as many as the net can."""
        first = self.min_disparity
        end = first + PUBLISHED_LEVELS if self.max_disparity is None else self.max_disparity
        # only its checks: the published range stays whole on a small pair
        resolve_range(pair, first, end)
        step = _KINDS[self.model].step
        return first, -(-(end - first) // step) * step

    def _net(self, levels: int) -> Any:
        """The network with its weights."""
        file, stamp = file_of(self.model, self.weights)
        return _loaded(
            self.model, file, stamp, self.device, levels, self.align_corners, self.compile
        )

    def _judged(self, values: Array, sure: Array, first: int, levels: int) -> Disparity:
        """The map with its sources; what is not finite is unknown."""
        known = np.isfinite(values)
        values = np.where(known, values + np.float32(first), np.float32(np.nan))
        seen = seen_by_right(values)
        source = np.where(seen, Source.MATCHED, Source.FILLED).astype(np.uint8)
        source[~known] = Source.UNKNOWN
        found = Disparity(
            np.ascontiguousarray(values, dtype=np.float32),
            np.where(known, sure, 0).astype(np.float32) if self.confidence else None,
            source,
            (first, first + levels - 1),
        )
        return found if self.fill else found.with_unknown(source == Source.FILLED)


@lru_cache(maxsize=2)
def _loaded(
    model: str,
    file: str,
    stamp: Stamp,  # noqa: ARG001  # a file that changes is another one
    device: str,
    levels: int,
    align_corners: bool,
    compiled: bool,
) -> Any:
    checked(file, model)
    from fathom.nets.adapter import load_net, torch_device

    kind = _KINDS[model]
    builder = getattr(importlib.import_module(f"fathom.nets.stereo.{kind.module}"), kind.builder)
    own = {"align_corners": True} if align_corners else {}
    net = load_net(builder(max_disparity=levels, **own), file, torch_device(device))
    if compiled:
        net.compile()
    return net


def _up(size: int, kind: _Kind) -> int:
    """The next size that the net takes."""
    return max(-(-size // kind.divisor) * kind.divisor, kind.smallest)


def _shifted(image: Shaped[np.ndarray, "h w 3"], by: int) -> Shaped[np.ndarray, "h w 3"]:
    """The image moved right by so many pixels; its border is repeated."""
    if by == 0:
        return image
    width = image.shape[1]
    return image[:, np.clip(np.arange(width) - by, 0, width - 1)]


def _extended(
    image: Shaped[np.ndarray, "_h _w 3"], size: tuple[int, int], kind: _Kind
) -> Float32[np.ndarray, "_H _W 3"]:
    """The image in 0..255 with room around it, as `_Kind` says."""
    height, width = image.shape[:2]
    room = (size[0] - height, size[1] - width)
    if not kind.mean:
        framed = np.pad(image, ((0, room[0]), (0, room[1]), (0, 0)), mode="edge")
        return framed.astype(np.float32)
    out = np.empty((*size, 3), np.float32)
    out[:] = _MEAN
    out[room[0] :, :width] = image
    return out
