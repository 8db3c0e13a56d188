"""The shipped models as estimators: `fathom-s` and `sgm-refined`.

Census semi-global matching gives its evidence (`classical.channels`), a small net corrects it,
fills what only one camera saw and says how sure it is (`nets/stereo/evidence.py`). The net runs as
an exported file without torch, or in torch on a GPU. What is around it here makes it an estimator
of any pair: other ranges than the net's, any size, sources, no disparity outside the range.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from fathom.classical import sgm
from fathom.classical.channels import evidence_channels
from fathom.classical.checks import check_search, in_range
from fathom.classical.engine import SMALLEST_SIZE
from fathom.classical.fill import fill
from fathom.classical.memory import check_memory
from fathom.classical.memory import predict as predict_sgm
from fathom.classical.parallel import thread_count
from fathom.classical.pyramid import predict_coarse_to_fine
from fathom.classical.sgm import LARGEST, SGM, SgmEvidence, sgm_evidence
from fathom.combine.engines import Engine, Later, check_engine, engine, file_used, limits_of
from fathom.combine.enlarge import enlarged, laplace_scaled
from fathom.combine.search import Search, search_of
from fathom.combine.strips import OVERLAP, Strip, predict, run_strips, strips_of
from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError, UsageError
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.pair import StereoPair
from fathom.geometry.padding import padded, padded_layers
from fathom.geometry.resize import resize_image
from fathom.geometry.visibility import seen_by_right
from fathom.weights import NAMES

_AGREES = 1.0
"""Semi-global matching confirms the net where both differ by at most so many pixels."""
_RUNTIME_BYTES = 150 * 10**6
"""What the runtime takes beside the net's own maps; counted where memory is asked for tiles."""
_MAP_BYTES = 96
"""Bytes a pixel of the images, evidence and maps that are held beside the net."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A shipped model (model: `fathom-s` or `sgm-refined`).

    Every pixel gets an answer; what it is worth stands in `source` and `confidence` = P(error <=
    1 px). Where semi-global matching is much surer than the net, its value stands.
    MATCHED: inside the range, seen by both cameras as far as the map itself tells, and either
    confirmed by semi-global matching (same disparity within 1 px, left-right check passed) or at
    least `sure`. FILLED: all else, which the net concludes from what is around. `fill=False` makes
    these unknown. A disparity outside the range asked for (so every negative one, where the
    minimum is 0) is unknown, or with `fill` the end of the range, and FILLED.

    The nets find 192 disparities. For a wider range the pair is reduced by the least whole factor
    that fits; the map is then enlarged along the edges of the image, and takes the value of
    semi-global matching at full size wherever both agree. Without a range, pairs up to 1400 px
    wide are searched up to 192 px at most. Large pairs go through the net in strips of rows that
    overlap.

    The same pair gives the same bits. The number of threads does not matter as far as the runtime's
    sums do not depend on it (with OpenVINO and ONNX Runtime they did not).

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "fathom-s"
    max_disparity: int | None = field(
        default=None,
        metadata={"help": "disparities searched end before this (px); default: from rig or width"},
    )
    min_disparity: int = field(
        default=0, metadata={"help": "smallest disparity searched (px), may be negative"}
    )
    sure: float = field(
        default=0.5,
        metadata={
            "help": "a value less certain than this (0..1), and not confirmed by semi-global "
            "matching, counts as filled"
        },
    )
    shrink: int | None = field(
        default=None,
        metadata={
            "help": "reduce the pair by this whole factor for the net; default: 1, or what the "
            "range needs"
        },
    )
    fill: bool = field(default=True, metadata={"help": "keep what the net fills in"})
    confidence: bool = field(default=True, metadata={"help": "give P(error <= 1 px) per pixel"})
    threads: int | None = field(
        default=None, metadata={"help": "threads to use; default: all processors"}
    )
    memory_limit: int | None = field(
        default=None,
        metadata={"help": "largest memory in bytes; default: 80 % of what is available"},
    )
    device: str = field(
        default="cpu", metadata={"help": "cpu (no torch needed), cuda, cuda:N or mps"}
    )
    precision: str | None = field(
        default=None,
        metadata={
            "help": "fp32, bf16 (of processors that have it, or in torch) or int8 (OpenVINO); "
            "default: the fastest of this CPU, and fp32 in torch"
        },
    )
    weights: str | None = field(
        default=None,
        metadata={"help": "a file instead of the shipped one: .safetensors, .onnx or .xml"},
    )

    def __post_init__(self) -> None:
        if self.model not in NAMES:
            raise UsageError(
                "is no shipped model", field="model", value=self.model, expected=" or ".join(NAMES)
            )
        check_search(self)
        in_range("sure", self.sure, 0, 1)
        if self.shrink is not None:
            in_range("shrink", self.shrink, 1, 64, whole=True)
        check_engine(self.device, self.weights, self.precision)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels; NaN where unknown (never with `fill`).

        Raises `InputError` for images smaller than the census window and for a file of weights that
        is missing, truncated, of another hash or another net; `UsageError` for a range outside the
        images; `ResourceError` if the memory needed exceeds `memory_limit`, or the device is not
        there; `MissingExtraError` without a runtime (or torch, where it is needed).
        """
        later = Later(self._engine)
        plan = self._planned(pair, later)
        prepared = Later(lambda: _prepare(later.get(), plan))
        work = _Reduced.of(pair, plan)
        settings = self._sgm(plan.search.base, plan.search.levels)
        evidence = sgm_evidence(work.pair, settings)
        channels = padded_layers(evidence_channels(evidence, settings), plan.shape)
        prepared.get()
        values, sure = _answer(later.get(), work, channels, plan)
        if plan.search.factor > 1:
            found = self._enlarged(pair, work, (values, sure), plan.search)
        else:
            height, width = pair.shape
            values, sure = values[:height, :width], sure[:height, :width]
            agreeing = _agreeing(_smooth(evidence), evidence, values, _AGREES)
            found = _Found(values, sure, sure, agreeing)
        return self._judged(found, plan.search)

    def warm(self, pair: StereoPair | None = None) -> None:
        """Starts in the background what the first answer waits for: for a pair like this, or what
        every pair needs. What goes wrong is kept for the call itself.
        """

        def load() -> None:
            ready = self._engine()
            if pair is not None:
                _prepare(ready, self._plan(pair, ready.divisor, ready.max_disparity))

        Later(load)

    def weights_used(self) -> dict[str, str]:
        """Which file of weights a call runs, and its SHA-256. Raises as a call."""
        return file_used(self.model, self.device, self.weights, self.precision)

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        limits = limits_of(self.model, self.weights)
        ready = None if limits else self._engine()
        divisor, most = limits or (ready.divisor, ready.max_disparity)  # type: ignore[union-attr]
        search = search_of(pair, self.min_disparity, self.max_disparity, self.shrink, most)

        def memory(height: int, width: int, levels: int) -> int:
            factor = self.shrink or -(-levels // most)
            tall, wide = (-(-n // (divisor * factor)) * divisor for n in (height, width))
            strips = strips_of(tall, wide, divisor)
            # in tiles of any size: plain up to a gigabyte, coarse to fine from there on
            plain = min(predict_sgm(height, width, levels), LARGEST)
            matching = max(plain, predict_coarse_to_fine(height, width, levels))
            held = _MAP_BYTES * tall * wide * factor**2
            # sums of the matching are kept for the next tile while the net runs
            return matching + predict(strips, wide) + held + _RUNTIME_BYTES

        end = search.last + 1
        return Needs(search.first, end, memory, OVERLAP, most if self.shrink is None else None)

    def _engine(self) -> Engine:
        return engine(self.model, self.device, self.weights, self.threads, self.precision)

    def _planned(self, pair: StereoPair, later: Later) -> "_Plan":
        _check_size(pair)
        limits = limits_of(self.model, self.weights)
        if limits is None:
            ready = later.get()
            limits = ready.divisor, ready.max_disparity
        plan = self._plan(pair, *limits)
        need = predict(plan.strips, plan.shape[1] + plan.beside) + _maps(plan.search, plan.shape)
        check_memory(pair, plan.search.last + 1 - plan.search.first, need, self.memory_limit)
        return plan

    def _plan(self, pair: StereoPair, divisor: int, end: int) -> "_Plan":
        search = search_of(pair, self.min_disparity, self.max_disparity, self.shrink, end)
        multiple = divisor * search.factor
        height, width = ((n + -n % multiple) // search.factor for n in pair.shape)
        beside = -(min(0, search.base) // divisor) * divisor
        limit = self.memory_limit and max(1, self.memory_limit - _maps(search, (height, width)))
        strips = strips_of(height, width + beside, divisor, limit)
        return _Plan(search, divisor, (height, width), beside, tuple(strips))

    def _sgm(self, first: int, levels: int) -> SGM:
        return SGM(
            min_disparity=first,
            max_disparity=first + levels,
            threads=self.threads,
            memory_limit=self.memory_limit,
        )

    def _enlarged(
        self, pair: StereoPair, work: "_Reduced", small: tuple[Array, Array], search: Search
    ) -> "_Found":
        """The map at the pair's size, with semi-global matching's values where both agree."""
        height, width = pair.shape
        factor, threads = search.factor, thread_count(self.threads)
        values, sure = enlarged(*small, work.left, work.large, threads)
        values = values[:height, :width] * np.float32(factor)
        sure = sure[:height, :width]
        evidence = sgm_evidence(pair, self._sgm(search.first, search.last + 1 - search.first))
        exact = _smooth(evidence)
        agreeing = _agreeing(exact, evidence, values, _AGREES * factor)
        confidence = laplace_scaled(sure, factor)
        exactly = sure * evidence.confidence(self.threads)
        confidence = np.where(agreeing, np.maximum(confidence, exactly), confidence)
        return _Found(np.where(agreeing, exact, values), confidence, sure, agreeing)

    def _judged(self, found: "_Found", search: Search) -> Disparity:
        """What may come out, with where it comes from."""
        values, confidence = found.values, np.clip(found.confidence, 0, 1)
        first, last = np.float32(search.first), np.float32(search.last)
        finite = np.isfinite(values)
        inside = finite & (values >= first) & (values <= last)
        matched = seen_by_right(np.where(inside, values, np.float32(np.nan)))
        matched &= found.agreeing | (found.sure >= np.float32(self.sure))
        kept = inside if self.fill else matched
        unknown = np.float32(np.nan)
        if self.fill:
            values = np.where(finite, np.clip(values, first, last), unknown)
            confidence = np.where(np.abs(values - found.values) <= 1, confidence, np.float32(0))
            kept = finite
        known = np.where(kept, values, unknown).astype(np.float32)
        confidence = np.where(kept, confidence, np.float32(0)).astype(np.float32)
        codes = np.where(kept, np.uint8(Source.FILLED), np.uint8(Source.UNKNOWN))
        source = np.where(matched, np.uint8(Source.MATCHED), codes)
        limits = (float(search.first), float(search.last))
        out = Disparity(known, confidence if self.confidence else None, source, limits)
        return fill(out, thread_count(self.threads)) if self.fill and not finite.all() else out


class _Plan(NamedTuple):
    """search: what is searched. divisor: of the net's sizes. shape: (height, width) of the reduced
    and extended pair. beside: columns that the net sees in front of it. strips: of its rows."""

    search: Search
    divisor: int
    shape: tuple[int, int]
    beside: int
    strips: tuple[Strip, ...]


class _Found(NamedTuple):
    """values: pixels. confidence: P(error <= 1 px). sure: what the net itself says. agreeing: where
    semi-global matching says the same."""

    values: Float32[np.ndarray, "h w"]
    confidence: Float32[np.ndarray, "h w"]
    sure: Float32[np.ndarray, "h w"]
    agreeing: Bool[np.ndarray, "h w"]


@dataclass(frozen=True, eq=False)
class _Reduced:
    """pair: what is matched: the pair, reduced, without what was added to it. left, right: what the
    net sees, in 8 bits: reduced, and extended to its sizes. large: the extended left view before it
    was reduced."""

    pair: StereoPair
    left: Array
    right: Array
    large: Array

    @staticmethod
    def of(pair: StereoPair, plan: _Plan) -> "_Reduced":
        """The pair reduced by the plan's factor, and extended by its border."""
        factor = plan.search.factor
        views = [
            replace(v, image=padded(v.image, plan.divisor * factor), camera=None)
            for v in (pair.left, pair.right)
        ]
        large = views[0].rgb8
        if factor > 1:
            size = plan.shape[1], plan.shape[0]
            views = [replace(v, image=resize_image(v.image, size)) for v in views]
        # matching wants at least the census window
        least = SMALLEST_SIZE[::-1]
        height, width = (
            max(-(-n // factor), few) for n, few in zip(pair.shape, least, strict=True)
        )
        own = [replace(v, image=v.image[:height, :width]) for v in views]
        return _Reduced(StereoPair(own[0], own[1]), views[0].rgb8, views[1].rgb8, large)


def _answer(
    ready: Engine, work: _Reduced, evidence: Float32[np.ndarray, "c h w"], plan: _Plan
) -> tuple[Array, Array]:
    """The net's disparities, counted from 0 again, and how sure it is of them.

    The net finds disparities from 0 on: for another base the right view is shifted by it. Where
    that would push it out of the image (a negative base), columns in front make room.
    """
    base, beside, width = plan.search.base, plan.beside, plan.shape[1]
    left, right = work.left, work.right
    if base != 0:
        columns = np.arange(width + beside)
        own = np.clip(columns - beside, 0, width - 1)
        left, evidence = left[:, own], evidence[..., own]
        right = right[:, np.clip(columns - beside - base, 0, width - 1)]
    values, sure = run_strips(ready.model, ready.inputs, left, right, evidence, plan.strips)
    values, sure = (np.ascontiguousarray(a[:, beside:]) for a in (values, sure))
    values += np.float32(base)
    return values, np.nan_to_num(sure, nan=0.0)


def _smooth(evidence: SgmEvidence) -> Array:
    """The winners' disparities as `SGM` takes them."""
    import cv2

    out: Array = cv2.medianBlur(np.ascontiguousarray(evidence.disparity), 3)
    return out


def _agreeing(exact: Array, evidence: SgmEvidence, values: Array, least: float) -> Array:
    """Where `values` are those of semi-global matching (`exact`), which passes its own check."""
    found: Array = evidence.difference <= np.float32(_AGREES)
    found &= np.abs(exact - values) <= np.float32(least)
    return found


def _maps(search: Search, shape: tuple[int, int]) -> int:
    """Bytes of what is held beside the net."""
    return _MAP_BYTES * shape[0] * shape[1] * search.factor**2


def _prepare(ready: Engine, plan: _Plan) -> None:
    strip = plan.strips[0]
    ready.prepare(strip.bottom - strip.top, plan.shape[1] + plan.beside)


def _check_size(pair: StereoPair) -> None:
    width, height = pair.size
    if width < SMALLEST_SIZE[0] or height < SMALLEST_SIZE[1]:
        raise InputError(
            "is too small to be matched",
            field="image size",
            value=f"{width}x{height}",
            expected=f"at least {SMALLEST_SIZE[0]}x{SMALLEST_SIZE[1]}",
        )


def prepare(notify: Callable[[str, int, int], None] | None = None) -> None:
    """Loads the kernels of semi-global matching, as `fathom.classical.sgm.prepare` does."""
    sgm.prepare(notify)
