"""RAFT-Stereo as an estimator: `raft-stereo` and `raft-stereo-realtime`.

The network is in `nets/stereo/raft_stereo.py`; here it takes pairs of any size.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from fathom.classical.checks import check_search, in_range
from fathom.classical.memory import available_memory
from fathom.classical.ranges import resolve_range
from fathom.combine.converted import Stamp, checked, file_of
from fathom.combine.engines import check_engine
from fathom.combine.flip import FlipConfidence
from fathom.core.arrays import Array, Float32, Shaped
from fathom.core.errors import InputError, ResourceError, unknown_name
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.geometry.visibility import seen_by_right

_DIVISOR = 32
_MARGIN = 96
"""Pixels beyond which the border of a tile hardly matters."""
_BYTES = {"raft-stereo": 3000, "raft-stereo-realtime": 800}
"""Memory a pixel for the features of both views, in bytes; the volume comes on top."""
MODELS = tuple(_BYTES)
_CORRELATIONS = ("auto", "reg", "alt")


@dataclass(frozen=True, kw_only=True)
class RaftStereo:
    """Lipson, Teed and Deng, 3DV 2021: recurrent units that move the disparity again and again.

    model: `raft-stereo` (also with the shared backbone, and iRaftStereo_RVC: the weights tell), or
    `raft-stereo-realtime`. It has no range: whatever it finds comes out, but values below
    `min_disparity`, or from `max_disparity` on where that is given, are unknown. Every other pixel
    gets a value; those whose match lies outside the right view or behind something nearer count as
    FILLED, and `fill=False` makes them unknown. Confidence comes from a second run through a mirror
    (`FlipConfidence`) and doubles the time. Images are extended on all sides by their border to
    multiples of 32, as the authors do.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "raft-stereo"
    max_disparity: int | None = option(
        None, "values from here on are unknown (px); default: all are kept, the net has no range"
    )
    min_disparity: int = option(0, "values below this are unknown (px), may be negative")
    iterations: int | None = option(
        None, "how often the disparity is moved; default: as published, 32 or 7 (realtime)"
    )
    correlation: Literal["auto", "reg", "alt"] = option(
        "auto", "reg keeps the correlations, alt makes them anew: slower, less memory for large "
        "images; auto: reg up to 1 GiB",
    )  # fmt: skip
    precision: Literal["fp32", "bf16"] = option("fp32", "bf16 = autocast")
    compile: bool = option(False, "let torch.compile make it faster; the first pair takes minutes")
    fill: bool = option(True, "keep values where the right view shows nothing to match")
    confidence: bool = option(True, "give P(error <= 1 px) per pixel, by a second run")
    threads: int | None = option(None, "torch's threads; default: as torch decides")
    memory_limit: int | None = option(
        None, "largest memory in bytes; default: 80 % of what is available"
    )
    device: str = option("cpu", "cpu, cuda, cuda:N or mps")
    weights: str | None = option(None, "file of weights (.safetensors), or a name they are kept as")

    def __post_init__(self) -> None:
        choices = {"model": MODELS, "correlation": _CORRELATIONS, "precision": ("fp32", "bf16")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise unknown_name(name, str(getattr(self, name)), list(known))
        if self.iterations is not None:
            in_range("iterations", self.iterations, 1, 1000, whole=True)
        check_search(self)
        check_engine(self.device, None)

    def __call__(self, pair: StereoPair, /, start: Disparity | None = None) -> Disparity:
        """Disparity of the left view, float32 pixels.

        start: where to begin, best the map of a video's last frame (then few iterations do); what
        is unknown in it begins at 0. The run through the mirror for the confidence begins at 0.

        Raises `InputError` for weights that are not there, truncated or another net's, or a start
        of another size; `ResourceError` if the memory needed exceeds `memory_limit`, or the device
        is not there; `MissingExtraError` without torch.
        """
        if start is not None and start.shape != pair.shape:
            raise InputError(
                "is not of the pair's size",
                field="start",
                value=start.shape,
                expected=str(pair.shape),
            )
        plain = _Started(replace(self, confidence=False), pair, start)
        return FlipConfidence(plain)(pair) if self.confidence else plain(pair)

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`). The net has no range: in tiles it is taken
        to find what lies in the default one."""
        first, end = resolve_range(pair, self.min_disparity, self.max_disparity)

        def memory(height: int, width: int, levels: int) -> int:  # noqa: ARG001
            return self._bytes(height, width)

        return Needs(first, end, memory, _MARGIN)

    def found(self, pair: StereoPair, start: Disparity | None) -> Disparity:
        """The map without confidence."""
        self._check_memory(pair)
        net = self._net()
        from fathom.nets.adapter import run_net, torch_device, torch_threads

        inputs = [_extended(v.rgb8).transpose(2, 0, 1) for v in (pair.left, pair.right)]
        if start is not None:
            cell = net.config.cell
            inputs.append(_cells(_extended(start.values), cell)[None])
        device = torch_device(self.device)
        with torch_threads(self.threads):
            values, _ = run_net(net, inputs, device, self.precision)
        return self._judged(_inner(values, pair.shape))

    def _judged(self, values: Array) -> Disparity:
        """The map with its sources; what lies outside the range, or is not finite, is unknown."""
        end = np.inf if self.max_disparity is None else self.max_disparity
        with np.errstate(invalid="ignore"):
            known = np.isfinite(values) & (values >= self.min_disparity) & (values < end)
        values = np.where(known, values, np.float32(np.nan))
        source = np.where(seen_by_right(values), Source.MATCHED, Source.FILLED).astype(np.uint8)
        source[~known] = Source.UNKNOWN
        found = Disparity(
            values,
            source=source,
            range=None if self.max_disparity is None else (self.min_disparity, int(end) - 1),
        )
        return found if self.fill else found.with_unknown(source == Source.FILLED)

    def _check_memory(self, pair: StereoPair) -> None:
        """Before anything is allocated; on the CPU only, a GPU says itself what it lacks."""
        width, height = pair.size
        need = self._bytes(height, width)
        limit = self.memory_limit
        if limit is None and (free := available_memory()) is not None:
            limit = free * 8 // 10
        if self.device == "cpu" and limit is not None and need > limit:
            raise ResourceError(
                f"{self.model} on {width}x{height} needs {need / 1e6:.0f} MB of memory",
                expected=f"at most {limit / 1e6:.0f} MB",
                remedy="work in tiles (--tile auto, in Python fathom.Tiled), reduce the images, "
                "or take correlation alt",
            )

    def _bytes(self, height: int, width: int) -> int:
        height, width = (-(-n // _DIVISOR) * _DIVISOR for n in (height, width))
        cell = 8 if self.model.endswith("realtime") else 4
        volume = 12 * (height // cell) * (width // cell) ** 2
        if self.correlation == "alt" or (self.correlation == "auto" and volume > 1 << 30):
            volume = 1 << 28
        return _BYTES[self.model] * height * width + volume

    def _net(self) -> Any:
        """The network with its weights."""
        file, stamp = file_of(self.model, self.weights)
        return _loaded(
            self.model,
            file,
            stamp,
            self.device,
            self.iterations,
            self.correlation,
            self.compile,
        )


@dataclass(frozen=True, eq=False)
class _Started:
    """The matcher, which begins at `start` for `pair` and at 0 for any other."""

    matcher: RaftStereo
    pair: StereoPair
    start: Disparity | None

    def __call__(self, pair: StereoPair, /) -> Disparity:
        return self.matcher.found(pair, self.start if pair is self.pair else None)


@lru_cache(maxsize=2)
def _loaded(
    model: str,
    file: str,
    stamp: Stamp,  # noqa: ARG001  # a file that changes is another one
    device: str,
    iterations: int | None,
    correlation: Literal["auto", "reg", "alt"],
    compiled: bool,
) -> Any:
    header = checked(file, model)
    from fathom.nets.adapter import load_net, torch_device
    from fathom.nets.stereo import raft_stereo as nets

    if model == "raft-stereo":
        names = {name.removeprefix("net.") for name in header.shapes}
        config = nets.config_of(names)
    else:
        config = nets.REALTIME
    config = replace(config, iterations=iterations or config.iterations, correlation=correlation)
    net = load_net(nets.RaftStereo(config), file, torch_device(device))
    if compiled:
        net.compile()
    return net


def _extended(values: Shaped[np.ndarray, "_h _w *c"]) -> Array:
    """Repeated on all sides to multiples of 32, the odd row and column below and at the right."""
    room = [((-n % _DIVISOR) // 2, -n % _DIVISOR - (-n % _DIVISOR) // 2) for n in values.shape[:2]]
    out: Array = np.pad(values, (*room, *((0, 0),) * (values.ndim - 2)), mode="edge")
    return out


def _inner(values: Float32[np.ndarray, "_H _W"], shape: tuple[int, int]) -> Array:
    """What `_extended` was made of."""
    top, left = ((-n % _DIVISOR) // 2 for n in shape)
    return np.ascontiguousarray(values[top : top + shape[0], left : left + shape[1]])


def _cells(values: Float32[np.ndarray, "_H _W"], cell: int) -> Float32[np.ndarray, "_h _w"]:
    """Means of what is known in each cell; 0 where nothing is."""
    height, width = values.shape
    blocks = values.reshape(height // cell, cell, width // cell, cell)
    known = np.isfinite(blocks)
    total = np.where(known, blocks, 0).sum(axis=(1, 3))
    out: Array = (total / np.maximum(known.sum(axis=(1, 3)), 1)).astype(np.float32)
    return out
