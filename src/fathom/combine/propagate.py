"""Spatial propagation as an estimator: a map made dense, or better, from what is known for sure.

`spn` and `cspn` (see `classical/propagate.py` and `nets/mono/cspn.py`) take an image and a map of
it: disparity, depth, or depth at single pixels. Values that are known for sure are kept bit for
bit; all others are made anew from them.

Without weights nothing is learned: affinities follow the image's edges, and disparities, which are
linear over planes, are what is spread (of depth: its inverse). With weights the network of the
papers answers: it sees the image and the kept values, in the unit that it was trained on; the
authors' weights are for depth in metres.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from fathom.classical.checks import in_range
from fathom.classical.confidence import with_filled
from fathom.classical.parallel import thread_count
from fathom.classical.propagate import COLOUR, diffused, edge_affinities, swept
from fathom.combine.converted import Stamp, checked, file_of
from fathom.combine.engines import check_engine
from fathom.core.arrays import Array
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.estimator import StereoMatcher
from fathom.core.maps import Depth, Disparity, Source, SparseDepth
from fathom.core.options import option
from fathom.core.pair import StereoPair, View

Method = Literal["cspn", "spn"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True, kw_only=True)
class Refiner:
    """Cheng et al., ECCV 2018 (cspn), or Liu et al., NeurIPS 2017 (spn), around any map.

    method: `spn` sweeps over the image once from each side; `cspn` lets all pixels hear of their
    eight neighbours again and again, without weights from what the map has (filled values, too) and
    from such sweeps where it has nothing. Kept is every measured value whose confidence, where the
    map has one, is at least `sure`; hints are kept before all. Everything else counts as
    FILLED afterwards, and its confidence as that of filled pixels.

    Raises `UsageError` for a parameter out of its range.
    """

    method: Method = "cspn"
    sure: float = option(
        0.5, "values less certain than this (0..1) are made anew, where a confidence is given"
    )
    steps: int = option(24, "how often pixels hear of their neighbours (cspn without weights)")
    colour: float = option(
        COLOUR, "difference of colours, of 255, at which affinities fall e times (without weights)"
    )
    reinsert: bool = option(
        True,
        "put the kept values themselves back while it propagates (with weights; the authors' code "
        "puts back what its net first gives there)",
    )
    positive: bool = option(False, "with weights of cspn: affinities from 0 to 1, not from -1")
    threads: int | None = option(None, "processor threads; default: all")
    device: str = option("cpu", "cpu, cuda, cuda:N or mps (with weights)")
    weights: str | None = option(
        None, "file of weights (.safetensors), or a name they are kept as; default: edges alone"
    )

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", str(self.method), list(METHODS))
        in_range("sure", self.sure, 0, 1)
        in_range("steps", self.steps, 1, 10_000, whole=True)
        in_range("colour", self.colour, 0.1, 1000)
        thread_count(self.threads)
        check_engine(self.device, None)
        if self.weights is None:
            if self.device != "cpu":
                raise UsageError(
                    "is of use with weights only", field="device", value=self.device, expected="cpu"
                )
            if self.positive or not self.reinsert:
                name = "positive" if self.positive else "reinsert"
                raise UsageError(
                    "is of use with weights only", field=name, value=getattr(self, name),
                    remedy="leave it out, or give weights",
                )  # fmt: skip
        if self.positive and self.method == "spn":
            raise UsageError("is of cspn alone", field="positive", value=True)

    def __call__(
        self,
        view: View | StereoPair,
        given: Disparity | Depth | SparseDepth | None = None,
        hints: Disparity | Depth | SparseDepth | None = None,
    ) -> Disparity | Depth:
        """The same map dense; depth at single pixels becomes a `Depth`.

        view: the image that the map is of. hints: further values of the same kind, all kept; those
        of the map at their pixels give way.

        Raises `UsageError` for a pair, which a matcher wants. Raises `InputError` if the map is of
        another size, of another kind than the hints, if a pixel lies outside the image, or if
        nothing is known for sure; with weights also as `fathom.create`'s networks.
        """
        if given is None or isinstance(view, StereoPair):
            raise UsageError(
                f"{self.method} matches no pairs: it wants an image and a map of it",
                field="method",
                value=self.method,
                remedy="choose a stereo method; its map can then go to: fathom refine",
            )
        base, keep = _as_map(given, view)
        if base.confidence is not None:
            keep = keep & (base.confidence >= self.sure)
        values, source = base.values.copy(), _source_of(base)
        if hints is not None:
            more, here = _as_map(hints, view)
            if type(more) is not type(base):
                raise InputError(
                    "is of another kind than the map",
                    field="hints",
                    value=type(hints).__name__,
                    expected=type(given).__name__,
                )
            values[here] = more.values[here]
            source[here] = Source.SPARSE
            keep = keep | here
        if not keep.any():
            raise InputError(
                "nothing in the map is known for sure", field="sure", value=self.sure,
                remedy="lower it, or give hints",
            )  # fmt: skip
        deep = isinstance(base, Depth)
        spread = self._by_net if self.weights is not None else self._by_edges
        found = spread(view, values, keep, deep)
        source = np.where(keep, source, np.uint8(Source.FILLED))
        source[np.isnan(found)] = Source.UNKNOWN
        if isinstance(base, Depth):
            return Depth(found, source=source)
        out = Disparity(found, None, source, base.range)
        return out if base.confidence is None else self._trusted(out, base.confidence, keep)

    def _by_edges(self, view: View, values: Array, keep: Array, deep: bool) -> Array:
        """Every value from the kept ones, along the image's edges."""
        image = view.rgb8
        with np.errstate(divide="ignore"):
            flat = np.nan_to_num(1 / values if deep else values).astype(np.float32)
        known = np.isfinite(values) if self.method == "cspn" else keep
        found = flat if known.all() else swept(flat, keep, image, self.colour)
        if self.method == "cspn":
            found = np.where(known, flat, found)
            weights = edge_affinities(image, self.colour)
            found = diffused(found, weights, keep, self.steps, thread_count(self.threads))
        if deep:
            found = 1 / found
        return np.where(keep, values, found)

    def _by_net(self, view: View, values: Array, keep: Array, deep: bool) -> Array:
        """What the network says; depths that are not positive are unknown."""
        assert self.weights is not None
        file, stamp = file_of(self.method, self.weights)
        net = _loaded(self.method, file, stamp, self.device, self.positive, self.reinsert)
        from fathom.nets.adapter import run_net, torch_device, torch_threads
        from fathom.nets.mono.cspn import SMALLEST, Completion

        height, width = view.shape
        room = ((0, max(0, SMALLEST - height)), (0, max(0, SMALLEST - width)))
        colours = np.pad(view.rgb8, (*room, (0, 0)), mode="edge").transpose(2, 0, 1)
        held = np.pad(np.where(keep, values, np.float32(0)), room)[None]
        with torch_threads(self.threads):
            found, _ = run_net(Completion(net), [colours, held], torch_device(self.device))
        found = found[:height, :width]
        known = np.isfinite(found) & ((found > 0) | (not deep))
        found = np.where(known, found, np.float32(np.nan))
        return np.where(keep, values, found) if self.reinsert else found

    def _trusted(self, found: Disparity, before: Array, keep: Array) -> Disparity:
        """With a confidence: the old one where kept (1 where a hint was), else that of filling."""
        hinted = found.source == Source.SPARSE
        trust = np.where(hinted, np.float32(1), before)
        return with_filled(found, np.where(keep, trust, 0), thread_count(self.threads))


@dataclass(frozen=True)
class Propagated:
    """A matcher whose map is refined: `Propagated(fathom.create("sgm"), Refiner())`.

    What the matcher was not sure of is made anew; see `Refiner`. Of use around matchers that leave
    much unknown (`fill=False`). Without weights it does not know that what only one camera sees
    lies in the background, as `classical.fill` does: there a matcher's own filling is better.
    """

    matcher: StereoMatcher
    refiner: Refiner = Refiner()

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, dense. Raises as the matcher, and as the refiner."""
        found = self.refiner(pair.left, self.matcher(pair))
        assert isinstance(found, Disparity)
        return found


def _as_map(given: Disparity | Depth | SparseDepth, view: View) -> tuple[Disparity | Depth, Array]:
    """A map of the view's size, and where it was measured."""
    if isinstance(given, SparseDepth):
        drawn = _drawn(given, view)
        return drawn, np.asarray(drawn.known)
    if given.shape != view.shape:
        raise InputError(
            "is not of the image's size", field="map", value=given.shape, expected=str(view.shape)
        )
    return given, np.asarray(given.measured)


def _drawn(points: SparseDepth, view: View) -> Depth:
    """The depths at the nearest pixels; of several at one pixel the nearest to the camera."""
    height, width = view.shape
    at = np.rint(points.pixels).astype(np.int64)
    inside = (at >= 0).all(axis=1) & (at[:, 0] < width) & (at[:, 1] < height)
    if not inside.all():
        wrong = points.pixels[np.flatnonzero(~inside)[0]]
        raise InputError(
            "lies outside the image",
            field="pixel",
            value=f"({wrong[0]:g}, {wrong[1]:g})",
            expected=f"0..{width - 1}, 0..{height - 1}",
        )
    values = np.full((height, width), np.inf, np.float32)
    np.minimum.at(values, (at[:, 1], at[:, 0]), points.depth)
    known = np.isfinite(values)
    source = np.where(known, np.uint8(Source.SPARSE), np.uint8(Source.UNKNOWN))
    return Depth(np.where(known, values, np.float32(np.nan)), source=source)


def _source_of(given: Disparity | Depth) -> Array:
    if given.source is not None:
        return np.array(given.source)
    return np.where(given.known, np.uint8(Source.MATCHED), np.uint8(Source.UNKNOWN))


@lru_cache(maxsize=1)
def _loaded(
    method: str,
    file: str,
    stamp: Stamp,  # noqa: ARG001  # a file that changes is another one
    device: str,
    positive: bool,
    reinsert: bool,
) -> Any:
    head = checked(file, method)
    from fathom.nets.adapter import load_net, torch_device
    from fathom.nets.mono import cspn as nets

    if method == "spn":
        net = nets.spn(reinsert=reinsert)
    else:
        positive = positive or bool(head.settings.get("positive", False))
        net = nets.cspn(positive=positive, reinsert=reinsert)
    return load_net(net, file, torch_device(device))
