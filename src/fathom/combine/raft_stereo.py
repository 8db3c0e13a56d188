"""RAFT-Stereo as an estimator: `raft-stereo` and `raft-stereo-realtime`.

The network is in `nets/stereo/raft_stereo.py`; `combine/networks.py` fits pairs to it as to any
other. What it has of its own is here: it can start from a map, and chooses how it correlates.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from fathom.classical.checks import in_range
from fathom.classical.memory import check_memory
from fathom.classical.ranges import resolve_range
from fathom.combine import torch_options as common
from fathom.combine.converted import Stamp, checked, file_of
from fathom.combine.flip import FlipConfidence
from fathom.combine.networks import MARGIN, between, extended, frame_of, within
from fathom.core.arrays import Array, Float32
from fathom.core.errors import InputError, unknown_name
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity
from fathom.core.options import option
from fathom.core.pair import StereoPair

_HOME = "raft_stereo"
"""The net's file in `fathom.nets.stereo`."""
_REMEDY = (
    "work in tiles (--tile auto, in Python fathom.Tiled), reduce the images, or take "
    "correlation alt"
)
MODELS = ("raft-stereo", "raft-stereo-realtime")
Correlation = Literal["auto", "reg", "alt"]


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
    correlation: Correlation = option(
        "auto", "reg keeps the correlations, alt makes them anew: slower, less memory for large "
        "images; auto: reg up to 1 GiB",
    )  # fmt: skip
    precision: common.Precision = common.precision()
    compile: bool = common.compiled()
    fill: bool = common.filled()
    confidence: bool = option(True, "give P(error <= 1 px) per pixel, by a second run")
    threads: int | None = common.threads()
    memory_limit: int | None = common.memory_limit()
    device: str = common.device()
    weights: str | None = common.weights()

    def __post_init__(self) -> None:
        for name, known in (("model", MODELS), ("correlation", get_args(Correlation))):
            if getattr(self, name) not in known:
                raise unknown_name(name, str(getattr(self, name)), list(known))
        if self.iterations is not None:
            in_range("iterations", self.iterations, 1, 1000, whole=True)
        common.check_options(self)

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

        return Needs(first, end, memory, MARGIN)

    def found(self, pair: StereoPair, start: Disparity | None) -> Disparity:
        """The map without confidence."""
        held = file_of(self.model, self.weights)
        frame = frame_of(self.model, _HOME)
        size = frame.size(*pair.shape)
        if self.device == "cpu":
            check_memory(pair, None, self._bytes(*pair.shape), self.memory_limit, _REMEDY)
        net = self._net(held)
        from fathom.nets.adapter import run_net, torch_device, torch_threads

        given = [extended(v.rgb8, size, frame) for v in (pair.left, pair.right)]
        inputs = [image.transpose(2, 0, 1) for image in given]
        if start is not None:
            whole = extended(start.values[..., None], size, frame)[..., 0]
            inputs.append(_cells(whole, net.config.cell)[None])
        device = torch_device(self.device)
        with torch_threads(self.threads):
            values, _ = run_net(net, inputs, device, self.precision)
        values = values[within(pair.shape, size, frame)]
        return between(values, self.min_disparity, self.max_disparity, self.fill)

    def _bytes(self, height: int, width: int) -> int:
        """Of memory at the peak: for the features of both views, and the volume on top."""
        frame = frame_of(self.model, _HOME)
        size = frame.size(height, width)
        cell = 8 if self.model.endswith("realtime") else 4
        volume = 12 * (size[0] // cell) * (size[1] // cell) ** 2
        if self.correlation == "alt" or (self.correlation == "auto" and volume > 1 << 30):
            volume = 1 << 28
        return frame.memory(size, None) + volume

    def _net(self, held: tuple[str, Stamp] | None = None) -> Any:
        """The network with its weights."""
        return _loaded(
            self.model,
            held or file_of(self.model, self.weights),
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
    held: tuple[str, Stamp],  # a file that changes is another one
    device: str,
    iterations: int | None,
    correlation: Correlation,
    compiled: bool,
) -> Any:
    header = checked(held[0], model)
    from fathom.nets.adapter import load_net, torch_device
    from fathom.nets.stereo import raft_stereo as nets

    if model == "raft-stereo":
        names = {name.removeprefix("net.") for name in header.shapes}
        config = nets.config_of(names)
    else:
        config = nets.REALTIME
    config = replace(config, iterations=iterations or config.iterations, correlation=correlation)
    net = load_net(nets.RaftStereo(config), held[0], torch_device(device))
    if compiled:
        net.compile()
    return net


def _cells(values: Float32[np.ndarray, "_H _W"], cell: int) -> Float32[np.ndarray, "_h _w"]:
    """Means of what is known in each cell; 0 where nothing is."""
    height, width = values.shape
    blocks = values.reshape(height // cell, cell, width // cell, cell)
    known = np.isfinite(blocks)
    total = np.where(known, blocks, 0).sum(axis=(1, 3))
    out: Array = (total / np.maximum(known.sum(axis=(1, 3)), 1)).astype(np.float32)
    return out
