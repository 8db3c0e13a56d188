"""The published networks as estimators: any pair and any range become what a net takes.

The nets themselves are in `nets/stereo`, each with a `Frame` that says how it wants its images.
"""

import importlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fathom.classical.checks import in_range
from fathom.classical.memory import check_memory
from fathom.classical.ranges import resolve_range
from fathom.combine import torch_options as common
from fathom.combine.calibration import Calibration
from fathom.combine.converted import Stamp, checked, file_of, require_torch
from fathom.combine.many import same_size
from fathom.core.arrays import Array, Bool, Float32, Shaped
from fathom.core.errors import UsageError, unknown_name
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.geometry.visibility import seen_by_right
from fathom.published.frame import Frame
from fathom.published.store import read_header

OPTIONS = ("iterations", "align_corners", "variant")
"""Parameters that only some nets have: those that `Frame.options` names."""
MARGIN = 96
"""Pixels beyond which the border of a tile hardly matters to a net."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A published net.

    model: its name, which its weights bear. module: its file in `fathom.nets.stereo`. As many
    disparities are searched as published; another range is rounded up to a multiple of what the net
    needs (`Disparity.range` tells), and one that does not begin at 0 is reached by shifting the
    right view; what the images cannot show of it is left out, with a warning. Nets without a range
    find what they find; what lies outside the range asked for is unknown. Every other pixel gets a
    value; those whose match lies outside the right view or behind something nearer count as FILLED,
    and `fill=False` makes them unknown. Confidence, where the net gives a distribution: the
    probability of an error of at most 1 px. iterations: of nets that move the disparity again and
    again. variant: of nets that were published in several forms.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "psmnet"
    module: str = "psmnet"
    max_disparity: int | None = option(
        None, "disparities searched end before this (px); default: as many as published"
    )
    min_disparity: int = option(0, "smallest disparity searched (px), may be negative")
    iterations: int | None = option(None, "how often the disparity is moved; default: as published")
    align_corners: bool = option(
        False,
        "count positions as older torch did: PSMNet's weights of 2018 and AANet's may want it",
    )
    variant: str | None = option(None, "which of the net's published forms; default: the usual one")
    precision: common.Precision = common.precision()
    compile: bool = common.compiled()
    fill: bool = common.filled()
    confidence: bool = option(True, "give P(error <= 1 px) per pixel")
    calibrated: bool = option(
        True, "correct the confidence as `fathom weights calibrate` found for these weights"
    )
    threads: int | None = common.threads()
    memory_limit: int | None = common.memory_limit()
    device: str = common.device()
    weights: str | None = common.weights()

    def __post_init__(self) -> None:
        if self.iterations is not None:
            in_range("iterations", self.iterations, 1, 1000, whole=True)
        common.check_options(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels.

        Raises `InputError` for weights that are not there, truncated or another net's; `UsageError`
        for a range outside the images or more disparities than the net has; `ResourceError` if the
        memory needed exceeds `memory_limit`, or the device is not there; `MissingExtraError`
        without torch.
        """
        return self.batch([pair])[0]

    def batch(self, pairs: Sequence[StereoPair]) -> list[Disparity]:
        """The disparity of each of several pairs of one size, in one forward of the net.

        Takes as many times the memory of one pair. Raises as a call, and `InputError` for pairs of
        different sizes.
        """
        if not pairs:
            return []
        held = file_of(self.model, self.weights)
        frame = frame_of(self.model, self.module)
        pair = same_size(pairs)
        first, levels = self._range(pair, frame)
        self._warn_of_cut(pair, first, levels)
        size = frame.size(*pair.shape)
        if self.device == "cpu":
            need = len(pairs) * frame.memory(size, levels)
            check_memory(pair, levels, need, self.memory_limit)
        net = self._net(levels, held)
        from fathom.nets.adapter import run_batch, torch_device, torch_threads

        inputs = []
        for p in pairs:
            right = _shifted(p.right.rgb8, first if levels is not None else 0)
            images = [extended(image, size, frame) for image in (p.left.rgb8, right)]
            inputs.append([np.ascontiguousarray(image.transpose(2, 0, 1)) for image in images])
        with torch_threads(self.threads):
            answers = run_batch(net, inputs, torch_device(self.device), self.precision)
        inner = within(pair.shape, size, frame)
        calibration = _calibration(held) if self.calibrated else None
        found = []
        for values, confidence in answers:
            sure = None if confidence is None else confidence[inner]
            if sure is not None and calibration is not None:
                sure = calibration(sure)
            found.append(self._judged(values[inner], sure, first, levels))
        return found

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`). A net without a range is taken to find
        what lies in the default one."""
        frame = frame_of(self.model, self.module)
        first, end = resolve_range(pair, self.min_disparity, self.max_disparity)
        most = frame.levels if frame.step is None else None
        if most is None or end - first <= most or self.max_disparity is None:
            first, levels = self._range(pair, frame)
            end = end if levels is None else first + levels

        def memory(height: int, width: int, count: int) -> int:
            return frame.memory(frame.size(height, width), frame.searched(count))

        return Needs(first, end, memory, MARGIN, most)

    def _range(self, pair: StereoPair, frame: Frame) -> tuple[int, int | None]:
        """The first disparity and how many are searched, as many as the net can.

        A pair of width w can only show |d| < w; the rest is left out, but the published number of
        disparities stays whole on a small pair.
        """
        if frame.levels is None:
            return self.min_disparity, None
        asked = self.max_disparity
        if asked is None:
            asked = max(self.min_disparity, 1 - pair.size[0]) + frame.levels
        first, end = resolve_range(pair, self.min_disparity, asked)
        published = first + frame.levels
        if self.max_disparity is not None:
            published = min(published, self.max_disparity)
        return first, frame.searched(max(end, published) - first)

    def _warn_of_cut(self, pair: StereoPair, first: int, levels: int | None) -> None:
        """Warns if less is searched than was asked for."""
        low, end = self.min_disparity, self.max_disparity
        if levels is None or (first == low and (end is None or first + levels >= end)):
            return
        asked = f"{low} .. {end - 1}" if end is not None else f"{low} on"
        warnings.warn(
            f"{self.model}: images {pair.size[0]} px wide cannot show all of the range asked for "
            f"({asked} px): {first} .. {first + levels - 1} px are searched",
            stacklevel=4,
        )

    def _net(self, levels: int | None, held: tuple[str, Stamp] | None = None) -> Any:
        """The network with its weights."""
        chosen = {"iterations": self.iterations, "variant": self.variant}
        own = {name: value for name, value in chosen.items() if value is not None}
        if self.align_corners:
            own["align_corners"] = True
        return _loaded(
            (self.model, self.module),
            held or file_of(self.model, self.weights),
            self.device,
            levels,
            tuple(own.items()),
            self.compile,
        )

    def _judged(
        self, values: Array, sure: Array | None, first: int, levels: int | None
    ) -> Disparity:
        """The map with its sources; what is not finite, below the first disparity that was
        searched, or outside the range asked for where the net has none, is unknown."""
        sure = sure if self.confidence else None
        if levels is None:
            return between(values, first, self.max_disparity, self.fill, sure)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(values) & (values >= 0)
        return judged(
            values + np.float32(first), known, (first, first + levels - 1), self.fill, sure
        )


def frame_of(model: str, module: str) -> Frame:
    """How `model`, a net of `fathom.nets.stereo.<module>`, wants its images.

    Imports the net, so torch. Raises `UsageError` for a model that module does not have,
    `MissingExtraError` without torch.
    """
    require_torch()
    frames: dict[str, Frame] = importlib.import_module(f"fathom.nets.stereo.{module}").FRAMES
    if model not in frames:
        raise unknown_name("model", model, list(frames))
    return frames[model]


@lru_cache(maxsize=8)
def _calibration(held: tuple[str, Stamp]) -> Calibration | None:
    return Calibration.of(read_header(held[0]).about, held[0])


@lru_cache(maxsize=2)
def _loaded(
    named: tuple[str, str],
    held: tuple[str, Stamp],  # a file that changes is another one
    device: str,
    levels: int | None,
    own: tuple[tuple[str, Any], ...],
    compiled: bool,
) -> Any:
    model, module = named
    kept = checked(held[0], model).settings
    from fathom.nets.adapter import load_net, torch_device

    frame = frame_of(model, module)
    for name, value in own:
        if name not in frame.options:
            raise UsageError(
                f"{model} has no such parameter", field=name, value=value, remedy="leave it out"
            )
    builder = getattr(importlib.import_module(f"fathom.nets.stereo.{module}"), frame.builder)
    # what the weights were made with, then what the user says
    settings = {k: v for k, v in kept.items() if k != "max_disparity"} | dict(own)
    if frame.step is not None:
        settings["max_disparity"] = levels
    net = load_net(builder(**settings), held[0], torch_device(device))
    if compiled:
        net.compile()
    return net


def _shifted(image: Shaped[np.ndarray, "h w 3"], by: int) -> Shaped[np.ndarray, "h w 3"]:
    """The image moved right by so many pixels; its border is repeated."""
    if by == 0:
        return image
    width = image.shape[1]
    return image[:, np.clip(np.arange(width) - by, 0, width - 1)]


def extended(
    image: Shaped[np.ndarray, "_h _w c"], size: tuple[int, int], frame: Frame
) -> Float32[np.ndarray, "_H _W c"]:
    """The image in 0..255 with room around it, as `Frame` says."""
    height, width = image.shape[:2]
    top, left = frame.corner((height, width), size)
    if frame.border == "edge":
        room = ((top, size[0] - height - top), (left, size[1] - width - left), (0, 0))
        return np.pad(image, room, mode="edge").astype(np.float32)
    out = np.empty((*size, image.shape[2]), np.float32)
    out[:] = 0.0 if frame.border == "zero" else frame.border
    out[top : top + height, left : left + width] = image
    return out


def within(shape: tuple[int, int], size: tuple[int, int], frame: Frame) -> tuple[slice, slice]:
    """Where an image of that shape lies in the net's map."""
    corner = frame.corner(shape, size)
    rows, columns = (slice(c, c + n) for c, n in zip(corner, shape, strict=True))
    return rows, columns


def between(
    values: Float32[np.ndarray, "h w"],
    first: int,
    end: int | None,
    fill: bool,
    sure: Float32[np.ndarray, "h w"] | None = None,
) -> Disparity:
    """The map of a net without a range: as `judged`, unknown outside first .. end, if given."""
    with np.errstate(invalid="ignore"):
        known = (
            np.isfinite(values) & (values >= first) & (values < (np.inf if end is None else end))
        )
    return judged(values, known, None if end is None else (first, end - 1), fill, sure)


def judged(
    values: Float32[np.ndarray, "h w"],
    known: Bool[np.ndarray, "h w"],
    limits: tuple[float, float] | None,
    fill: bool,
    sure: Float32[np.ndarray, "h w"] | None = None,
) -> Disparity:
    """The map with its sources: FILLED, without `fill` unknown, where the right view shows nothing
    to match. limits: of the search. sure: the confidence."""
    values = np.where(known, values, np.float32(np.nan)).astype(np.float32)
    source = np.where(seen_by_right(values), Source.MATCHED, Source.FILLED).astype(np.uint8)
    source[~known] = Source.UNKNOWN
    confidence = None if sure is None else np.where(known, sure, 0).astype(np.float32)
    found = Disparity(np.ascontiguousarray(values), confidence, source, limits)
    return found if fill else found.with_unknown(source == Source.FILLED)
