"""Bi3D's answers as estimators: single planes, depth in steps, and disparity in a selected range.

The net is in `nets/stereo/bi3d.py`; all of the range at once is what `combine/networks.py` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fathom.classical.checks import in_range
from fathom.classical.memory import check_memory
from fathom.combine import torch_options as common
from fathom.combine.converted import Stamp, checked, file_of
from fathom.combine.networks import extended, frame_of, within
from fathom.combine.planes import plane_of
from fathom.core.arrays import Array, Float32, Shaped
from fathom.core.errors import UsageError, unknown_name
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair
from fathom.core.planes import PlaneProbability, QuantizedDisparity, SelectedDisparity
from fathom.geometry.visibility import seen_by_right

CELL = 3
"""Pixels between two planes that the net can answer without moving the right view."""
CANVAS = 192
"""The largest disparity of such a plane."""
STEPS = {"bi3d-binary": "48", "bi3d-quantized": "24,36,54,96,144"}
"""Planes where none are asked for; the five are the authors' for Scene Flow."""


@dataclass(frozen=True, kw_only=True)
class Bi3DSteps:
    """Bi3D as binary answers: how likely each pixel is nearer than a plane, one pass a plane.

    `plane(pair, disparity)` and `quantized(pair)` give the answers themselves; called as a matcher
    it gives the middle of the interval between two planes in which a pixel most likely lies, so a
    disparity in steps. model: bi3d-binary (one plane unless told otherwise) or bi3d-quantized
    (five, or as many of them as the images can show). Planes that are no multiple of 3 px, or lie
    beyond 192, are reached by moving the right view. Pixels that the right view does not show are
    answered as well; they count as FILLED, and `fill=False` makes them unknown.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "bi3d-binary"
    planes: str | None = option(
        None,
        "where depth is cut, disparities in px or distances in m: 24,36,54 or 5m,10m "
        "(default 48; of bi3d-quantized 24,36,54,96,144, those that the images can show)",
        metavar="LIST",
    )
    max_disparity: int | None = option(
        None,
        "where the nearest step ends (px); default: 192, or 96 px beyond the last plane, at most "
        "the images' width",
    )
    min_disparity: int = option(0, "where the farthest step begins (px)")
    precision: common.Precision = common.precision()
    compile: bool = common.compiled()
    fill: bool = common.filled()
    confidence: bool = option(True, "give P(error <= 1 px) per pixel: small, as steps are coarse")
    threads: int | None = common.threads()
    memory_limit: int | None = common.memory_limit()
    device: str = common.device()
    weights: str | None = common.weights()

    def __post_init__(self) -> None:
        if self.model not in STEPS:
            raise unknown_name("model", str(self.model), list(STEPS))
        common.check_options(self)
        self._planes()

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """The middle of each pixel's step, float32 pixels.

        Raises `InputError` for weights that are not there, truncated or another net's; `UsageError`
        for planes outside the images or the range, or metres without a rig; `ResourceError` if the
        memory needed exceeds `memory_limit`, or the device is not there; `MissingExtraError`
        without torch.
        """
        return _judged(self.quantized(pair).to_disparity(), self.fill, self.confidence)

    def plane(self, pair: StereoPair, disparity: float) -> PlaneProbability:
        """How likely each pixel is nearer than the plane of that disparity in pixels, in one pass.

        Raises as the call.
        """
        at = plane_of(pair, disparity, None)
        return PlaneProbability.seen(self._answers(pair, [at])[0], at, pair.rig)

    def quantized(self, pair: StereoPair) -> QuantizedDisparity:
        """Between which planes each pixel lies, with the answers to all of them.

        Raises as the call.
        """
        _held("bi3d-binary", self.weights)
        asked = self._planes()
        width = pair.size[0]
        if self.planes is None:
            shown = [plane for plane in asked if plane[0] < width]
            asked = shown or [(float(max(_cells(width / 2), CELL)), False)]
        at = sorted(
            plane_of(pair, None, number) if metres else plane_of(pair, number, None)
            for number, metres in asked
        )
        first = float(self.min_disparity)
        last = float(min(max(CANVAS, at[-1] + CANVAS // 2), max(width - 1, at[-1] + 1)))
        if self.max_disparity is not None:
            last = float(self.max_disparity)
        if not first < at[0] or not at[-1] < last or len(set(at)) < len(at):
            raise UsageError(
                "do not cut the range into steps", field="planes",
                value=", ".join(f"{v:g}" for v in at),
                expected=f"different disparities between {first:g} and {last:g} px",
            )  # fmt: skip
        found = self._answers(pair, at)
        pairs = zip(found, at, strict=True)
        planes = tuple(PlaneProbability.seen(answer, v, pair.rig) for answer, v in pairs)
        return QuantizedDisparity.of(planes, (first, last))

    def _planes(self) -> list[tuple[float, bool]]:
        """The planes asked for, each with whether it is in metres. Raises `UsageError` for words
        that say none."""
        return [plane_in(word) for word in (self.planes or STEPS[self.model]).split(",")]

    def _answers(self, pair: StereoPair, planes: Sequence[float]) -> list[Array]:
        """P(nearer) for each plane, (h, w)."""
        held = _held("bi3d-binary", self.weights)
        frame = frame_of("bi3d-binary", "bi3d")
        size = frame.size(*pair.shape)
        if self.device == "cpu":
            check_memory(pair, len(planes), frame.memory(size, len(planes)), self.memory_limit)
        net = _loaded("bi3d-binary", held, self, None)
        inner = within(pair.shape, size, frame)
        found: dict[float, Array] = {}
        for moved, cells in _moves(planes).items():
            right = moved_right(pair.right.rgb8, moved)
            given = [extended(image, size, frame) for image in (pair.left.rgb8, right)]
            asked = [[CELL * cell for cell in cells.values()]]
            out = _run(self, lambda a, b, asked=asked: net.nearer(a, b, asked)[1].sigmoid(), given)
            found |= {plane: out[0, i][inner] for i, plane in enumerate(cells)}
        return [np.ascontiguousarray(found[plane]) for plane in planes]


@dataclass(frozen=True, kw_only=True)
class Bi3DSelective:
    """Bi3D's disparity within a selected range only, at the price of as many planes as that has.

    `select(pair)` says of the other pixels on which side of the range they lie. Called as a matcher
    it gives them the range's nearer end as FILLED without confidence; `fill=False` makes them
    unknown. min_disparity, max_disparity: the range, widened to multiples of 3 px; or nearest,
    farthest: the same in metres, for pairs with a rig.

    Raises `UsageError` for a parameter out of its range, or a range said in both ways.
    """

    max_disparity: int | None = option(
        None, "the near end of the range (px); default: 192, or what narrower images can show"
    )
    min_disparity: int = option(0, "the far end of the range (px), 0 or more")
    nearest: float | None = option(None, "the near end of the range (m)", metavar="M")
    farthest: float | None = option(None, "the far end of the range (m)", metavar="M")
    precision: common.Precision = common.precision()
    compile: bool = common.compiled()
    fill: bool = option(True, "keep values outside the range, and where nothing can be matched")
    confidence: bool = option(True, "give P(error <= 1 px) per pixel")
    threads: int | None = common.threads()
    memory_limit: int | None = common.memory_limit()
    device: str = common.device()
    weights: str | None = common.weights()

    def __post_init__(self) -> None:
        common.check_options(self)
        in_range("min_disparity", self.min_disparity, 0, 10**6, whole=True)
        for name, pixels in (("nearest", self.max_disparity), ("farthest", self.min_disparity)):
            value = getattr(self, name)
            if value is not None:
                in_range(name, value, 1e-6, 1e9)
                if pixels:
                    raise UsageError(
                        "the range's end is said twice", field=name, value=value,
                        expected="metres or pixels",
                    )  # fmt: skip

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels.

        Raises as `Bi3DSteps`.
        """
        found = self.select(pair)
        inside = found.disparity
        if not self.fill:
            return _judged(inside, False, self.confidence)
        first, last = inside.range or (0, 0)
        end = np.where(found.nearer, np.float32(last), np.float32(first))
        outside = found.nearer | found.farther
        known = np.uint8(Source.MATCHED) if inside.source is None else inside.source
        source = np.where(outside, Source.FILLED, known).astype(np.uint8)
        values = np.where(outside, end, inside.values).astype(np.float32)
        return _judged(
            Disparity(values, inside.confidence, source, inside.range), True, self.confidence
        )

    def select(self, pair: StereoPair) -> SelectedDisparity:
        """Disparity within the range, NaN elsewhere, and the answers to the two planes at its ends.

        Raises as `Bi3DSteps`.
        """
        held = _held("bi3d-2d", self.weights)
        first, last = self._range(pair)
        frame = frame_of("bi3d-2d", "bi3d")
        size = frame.size(*pair.shape)
        if self.device == "cpu":
            need = frame.memory(size, last - first)
            check_memory(pair, last - first, need, self.memory_limit)
        net = _loaded("bi3d-2d", held, self, (first, last))
        given = [extended(view.rgb8, size, frame) for view in (pair.left, pair.right)]
        out = _run(self, net.selected, given)
        rows, columns = within(pair.shape, size, frame)
        values, sure, far, near = np.ascontiguousarray(out[0, :, rows, columns])
        inside = (far >= 0.5) & (near < 0.5)
        source = np.where(seen_by_right(values), Source.MATCHED, Source.FILLED).astype(np.uint8)
        disparity = Disparity(values, sure, source, (float(first), float(last)))
        return SelectedDisparity(
            disparity.with_unknown(~inside),
            PlaneProbability.seen(near, last, pair.rig),
            PlaneProbability.seen(far, first, pair.rig),
        )

    def _range(self, pair: StereoPair) -> tuple[int, int]:
        """The range in whole cells. Raises `UsageError` for one that is none in this pair."""
        first: float = self.min_disparity
        last: float = max(min(CANVAS, _cells(pair.size[0] - 1)), CELL)
        if self.max_disparity is not None:
            last = self.max_disparity
        if self.farthest is not None:
            first = max(plane_of(pair, None, self.farthest), 0.0)
        if self.nearest is not None:
            last = plane_of(pair, None, self.nearest)
        if not first < last:
            raise UsageError(
                "ends before it begins", field="range", value=f"{first:g} .. {last:g} px",
                expected="a far end with the smaller disparity",
            )  # fmt: skip
        plane_of(pair, last, None)
        return _cells(first), -_cells(-last)


def plane_in(word: str) -> tuple[float, bool]:
    """A plane in words, and whether it is in metres: "24", "24px", "5m", "80cm", "800mm".

    Raises `UsageError` for any other.
    """
    text = word.strip().lower()
    for unit, scale in (("px", 0.0), ("mm", 1e-3), ("cm", 1e-2), ("m", 1.0), ("", 0.0)):
        if text.endswith(unit):
            try:
                number = float(text.removesuffix(unit))
            except ValueError:
                break
            if np.isfinite(number) and (not scale or number > 0):
                return (number * scale, True) if scale else (number, False)
            break
    raise UsageError(
        "is no plane", field="plane", value=word, expected="pixels (24 or 24px) or metres (5m)"
    )


def moved_right(image: Shaped[np.ndarray, "h w 3"], by: float) -> Shaped[np.ndarray, "h w 3"]:
    """The image moved right by so many pixels, linear between them; its border is repeated."""
    if by == 0:
        return image
    width = image.shape[1]
    at = np.clip(np.arange(width) - by, 0, width - 1)
    low = np.floor(at).astype(int)
    share = (at - low).astype(np.float32)[:, None]
    if not share.any():
        return image[:, low]
    high = np.minimum(low + 1, width - 1)
    out: Float32[np.ndarray, "h w 3"] = (1 - share) * image[:, low] + share * image[:, high]
    return out


def _cells(pixels: float) -> int:
    """The next multiple of `CELL` that is not above."""
    return int(pixels // CELL) * CELL


def _moves(planes: Sequence[float]) -> dict[float, dict[float, int]]:
    """How far the right view has to be moved -> the planes that it serves, each with its cell."""
    found: dict[float, dict[float, int]] = {}
    for plane in sorted(planes):
        cell = int(np.clip(plane // CELL, 0, CANVAS // CELL))
        found.setdefault(round(plane - CELL * cell, 6), {})[plane] = cell
    return found


def _judged(found: Disparity, fill: bool, confidence: bool) -> Disparity:
    """The map with pixels marked FILLED that the right view does not show, or without them."""
    assert found.source is not None
    filled = found.known & ~seen_by_right(found.values)
    source = np.where(filled, Source.FILLED, found.source).astype(np.uint8)
    out = Disparity(found.values, found.confidence if confidence else None, source, found.range)
    return out if fill else out.with_unknown(source == Source.FILLED)


def _run(settings: Any, call: Any, images: Sequence[Array]) -> Array:
    """What the net answers, (1, k, h, w)."""
    from fathom.nets.adapter import run_call, torch_device, torch_threads

    given = [np.ascontiguousarray(image.transpose(2, 0, 1)) for image in images]
    with torch_threads(settings.threads):
        return run_call(call, given, torch_device(settings.device), settings.precision)


def _held(model: str, weights: str | None) -> tuple[str, Stamp]:
    """The file of weights, checked: wrong ones are told before wrong planes."""
    held = file_of(model, weights)
    _check(model, held)
    return held


@lru_cache(maxsize=4)
def _check(model: str, held: tuple[str, Stamp]) -> None:
    checked(held[0], model)  # once, as long as the file stays as it is


def _loaded(
    model: str, held: tuple[str, Stamp], settings: Any, limits: tuple[int, int] | None
) -> Any:
    return _net(model, held, settings.device, limits, settings.compile)


@lru_cache(maxsize=2)
def _net(
    model: str,
    held: tuple[str, Stamp],  # a file that changes is another one
    device: str,
    limits: tuple[int, int] | None,
    compiled: bool,
) -> Any:
    _check(model, held)
    from fathom.nets.adapter import compile_call, load_net, torch_device
    from fathom.nets.stereo.bi3d import bi3d_2d, bi3d_binary

    if limits is None:
        net: Any = bi3d_binary()
    else:
        net = bi3d_2d(min_disparity=limits[0], max_disparity=limits[1])
    net = load_net(net, held[0], torch_device(device))
    if compiled:
        compile_call(net, "nearer" if limits is None else "selected")
    return net
