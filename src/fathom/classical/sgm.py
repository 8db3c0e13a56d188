"""`sgm`: census semi-global matching, checked, filled and with confidence."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from fathom.classical.checks import check_search, in_range
from fathom.classical.confidence import sgm_confidence, with_filled
from fathom.classical.engine import LARGEST_P2, SMALLEST_SIZE, Match, penalties, semiglobal
from fathom.classical.fill import LARGE, fill_large
from fathom.classical.kernels.layout import KERNELS
from fathom.classical.memory import check_memory, predict
from fathom.classical.native import have_compiled, prepare_kernels
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.pyramid import (
    Grays,
    match_regions,
    predict_coarse_to_fine,
    regions,
    shrinking,
)
from fathom.classical.ranges import resolve_range
from fathom.core.arrays import Array, Float32, UInt16
from fathom.core.errors import InputError, UsageError
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.pair import StereoPair, View
from fathom.geometry.resize import resize_image

LARGEST = 10**9
"""From so many bytes on a pair is matched coarse to fine unless told otherwise."""
_STRIP = 128
_FORGOTTEN = 64
"""Pixels after which a path has mostly forgotten where it began."""


@dataclass(frozen=True, kw_only=True)
class SGM:
    """Semi-global matching of census bits (Hirschmueller, PAMI 2008).

    Census 9x7 and Hamming distance; 8 paths; P2 falls with the image gradient; equiangular
    sub-pixel on the costs of a window, which does not lean to whole pixels; left-right check on the
    same costs; 3x3 median; speckles removed; unknown pixels filled from the background along the
    row; confidence = P(error <= 1 px). P1, P2, its gradient, the speckle size and the constants of
    sub-pixel, filling and confidence were chosen on the Motorcycle pair and the 24 pairs of
    shared/data/pairs_gt.

    Takes 2 bytes of memory a pixel and disparity; where that is more than 1 GB, the pair is matched
    coarse to fine (see `pyramid`) in a few hundred MB and the size of some maps. The result is the
    same for any number of threads.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = field(
        default=None,
        metadata={"help": "disparities searched end before this (px); default: from rig or width"},
    )
    min_disparity: int = field(
        default=0, metadata={"help": "smallest disparity searched (px), may be negative"}
    )
    p1: int = field(
        default=25, metadata={"help": "cost of a disparity step of 1 px along a path (census bits)"}
    )
    p2: int = field(
        default=190, metadata={"help": f"cost of a larger jump along a path, p1..{LARGEST_P2}"}
    )
    p2_gradient: float = field(
        default=16.0,
        metadata={"help": "image step (of 255) at which P2 is halved; 0: P2 is constant"},
    )
    paths: Literal[4, 8, 16] = field(
        default=8, metadata={"help": "directions: 4, 8 with diagonals, 16 with knight moves"}
    )
    mgm: bool = field(
        default=False,
        metadata={
            "help": "More Global Matching: each path hands on what two neighbours say; about four "
            "times slower, and on the pairs tried no better after checks and filling"
        },
    )
    uniqueness: float = field(
        default=4.0,
        metadata={"help": "percent by which the winner must beat the second best, else unknown"},
    )
    lr_threshold: float = field(
        default=1.0,
        metadata={"help": "largest difference of left and right disparity (px), else unknown"},
    )
    speckle_size: int = field(
        default=50, metadata={"help": "islands of up to so many pixels become unknown; 0: keep"}
    )
    speckle_range: float = field(
        default=2.0, metadata={"help": "step between neighbours of one island (px)"}
    )
    fill: bool = field(default=True, metadata={"help": "fill unknown pixels from their neighbours"})
    confidence: bool = field(default=True, metadata={"help": "compute P(error <= 1 px) per pixel"})
    threads: int | None = field(
        default=None, metadata={"help": "threads to use; default: all processors"}
    )
    memory_limit: int | None = field(
        default=None,
        metadata={"help": "largest memory in bytes; default: 80 % of what is available"},
    )
    coarse_to_fine: bool | None = field(
        default=None,
        metadata={
            "help": "match at reduced size first, then region by region; default: where the whole "
            "would take more than 1 GB or memory_limit"
        },
    )

    def __post_init__(self) -> None:
        in_range("p1", self.p1, 1, LARGEST_P2, whole=True)
        in_range("p2", self.p2, self.p1, LARGEST_P2, whole=True)
        in_range("p2_gradient", self.p2_gradient, 0, 1e6)
        if self.paths not in (4, 8, 16):
            raise UsageError(
                "is no number of paths", field="paths", value=self.paths, expected="4, 8 or 16"
            )
        if self.mgm and self.paths == 16:
            raise UsageError(
                "More Global Matching has no such traversals",
                field="paths",
                value=self.paths,
                expected="4 or 8 with mgm",
            )
        if self.coarse_to_fine not in (None, False, True):
            raise UsageError(
                "is no choice",
                field="coarse_to_fine",
                value=self.coarse_to_fine,
                expected="True, False or None",
            )
        in_range("uniqueness", self.uniqueness, 0, 100)
        in_range("lr_threshold", self.lr_threshold, 0, 1e6)
        in_range("speckle_size", self.speckle_size, 0, 10**9, whole=True)
        in_range("speckle_range", self.speckle_range, 0, 1000)
        check_search(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels; NaN where unknown (never with `fill`).

        Raises `InputError` for images smaller than the census window, `UsageError` for a range
        outside the images, `ResourceError` if the memory needed exceeds `memory_limit`.
        """
        return self.judged(sgm_evidence(pair, self))

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`); a tile is not matched coarse to fine."""
        first, end = resolve_range(pair, self.min_disparity, self.max_disparity)

        def memory(height: int, width: int, levels: int) -> int:
            return predict(height, width, levels, mgm=self.mgm)

        margin = max(_FORGOTTEN, min(self.speckle_size, 256) + 16)
        inside = () if self.coarse_to_fine is not None else (("coarse_to_fine", False),)
        return Needs(first, end, memory, margin, refill=True, inside=inside)

    def judged(self, evidence: "SgmEvidence") -> Disparity:
        """What a call makes of the evidence: smoothed, tested, filled, with confidence."""
        found: list[Any] = [None, None]

        def judge(i: int) -> None:
            if i == 0:
                found[0] = self.tested(evidence)
            elif self.confidence:
                found[1] = evidence.confidence(self.threads)

        self.side_by_side(evidence, judge)
        judged: Disparity = found[0]
        if not self.confidence:
            return judged
        return with_filled(judged, found[1], thread_count(self.threads))

    def side_by_side(self, evidence: "SgmEvidence", part: Callable[[int], None]) -> None:
        """part(0) and part(1) at once, one after the other for a large pair: both at once would
        hold twice the memory, which counts there only."""
        small = evidence.disparity.size <= LARGE
        run_blocks(part, 2, thread_count(self.threads) if small else 1)

    def tested(self, evidence: "SgmEvidence") -> Disparity:
        """Smoothed, tested and filled, without confidence."""
        import cv2

        smooth = cv2.medianBlur(np.ascontiguousarray(evidence.disparity), 3)
        known = self._trusted(evidence, smooth)
        first, last = evidence.range
        values = np.where(known, np.clip(smooth, first, last), np.float32(np.nan))
        source = np.where(known, np.uint8(Source.MATCHED), np.uint8(Source.UNKNOWN))
        found = Disparity(values, None, source, (float(first), float(last)))
        if not self.fill:
            return found
        return fill_large(found, thread_count(self.threads))

    def _trusted(self, evidence: "SgmEvidence", disparity: Array) -> Array:
        """True where the match passes the left-right, uniqueness and speckle tests."""
        import cv2

        width = disparity.shape[1]
        match = np.arange(width, dtype=np.float32) - disparity
        known: Array = evidence.difference <= np.float32(self.lr_threshold)
        known &= (match >= -0.5) & (match <= width - 0.5)
        if self.uniqueness > 0:
            known &= evidence.margin >= evidence.best * np.float32(self.uniqueness / 100)
        if self.speckle_size > 0:
            # OpenCV's filter takes 16-bit integers: as many steps a pixel as fit
            scale = min(16, 32000 // max(abs(v) for v in (*evidence.range, 1)))
            lowest = -(2**15)
            steps = np.where(known, np.rint(disparity * scale), lowest).astype(np.int16)
            cv2.filterSpeckles(steps, lowest, self.speckle_size, self.speckle_range * scale)
            known &= steps != lowest
        return known


@dataclass(frozen=True, eq=False)
class SgmEvidence:
    """What semi-global matching found before anything was judged, for what builds on it.

    disparity: float32 (h, w) pixels. best: uint16 (h, w) sum of the winner's path costs. margin:
    uint16 (h, w) what the best other disparity (no neighbour of the winner) costs more.
    difference: float32 (h, w) |d - d_right(x - d)| in pixels, NaN where the match leaves the right
    image. range: first and last disparity searched. paths: 4 or 8.
    """

    disparity: Float32[np.ndarray, "h w"]
    best: UInt16[np.ndarray, "h w"]
    margin: UInt16[np.ndarray, "h w"]
    difference: Float32[np.ndarray, "h w"]
    range: tuple[int, int]
    paths: int

    def confidence(self, threads: int | None = None) -> Float32[np.ndarray, "h w"]:
        """P(|error| <= 1 px) of `disparity`, 0..1."""
        return sgm_confidence(
            self.disparity,
            self.margin,
            self.best,
            self.difference,
            self.paths,
            thread_count(threads),
        )


def sgm_evidence(pair: StereoPair, settings: SGM | None = None) -> SgmEvidence:
    """The matching core of `SGM` alone: disparity, margin and left-right difference.

    settings: range, penalties, paths, threads and memory are taken from it.

    Raises as `SGM.__call__`.
    """
    settings = SGM() if settings is None else settings
    width, height = pair.size
    if width < SMALLEST_SIZE[0] or height < SMALLEST_SIZE[1]:
        raise InputError(
            "is too small to be matched",
            field="image size",
            value=f"{width}x{height}",
            expected=f"at least {SMALLEST_SIZE[0]}x{SMALLEST_SIZE[1]}",
        )
    first, end = resolve_range(pair, settings.min_disparity, settings.max_disparity)
    levels = end - first
    need = predict(height, width, levels, mgm=settings.mgm)
    reduced = _goes_coarse(settings, need, (width, height), levels)
    if reduced:
        need = predict_coarse_to_fine(height, width, levels, mgm=settings.mgm)
    check_memory(pair, levels, need, settings.memory_limit)
    grays = _grays(pair, thread_count(settings.threads))

    def match(part: Grays, low: int, count: int) -> Match:
        return semiglobal(
            part.left.astype(np.uint16),
            part.right.astype(np.uint16),
            part.steps,
            low,
            count,
            settings.p1,
            penalties(settings.p1, settings.p2, settings.p2_gradient),
            settings.paths,
            thread_count(settings.threads),
            more_global=settings.mgm,
        )

    if reduced:
        coarse = _coarse_map(pair, settings, first, end)
        found = match_regions(grays, regions(coarse, height, width, first, end), match)
    else:
        found = match(grays, first, levels)
    return SgmEvidence(*found, range=(first, end - 1), paths=settings.paths)


def _goes_coarse(settings: SGM, need: int, size: tuple[int, int], levels: int) -> bool:
    """Whether to match coarse to fine: as told, or where the whole would take too much memory."""
    factor = shrinking(size[1], size[0], levels)
    if min(size[0] // SMALLEST_SIZE[0], size[1] // SMALLEST_SIZE[1]) < factor:
        return False
    if settings.coarse_to_fine is not None:
        return settings.coarse_to_fine
    return need > min(LARGEST, settings.memory_limit or LARGEST)


def _coarse_map(pair: StereoPair, settings: SGM, first: int, end: int) -> Array:
    """Disparity of the reduced pair, complete, in pixels of its own."""
    width, height = pair.size
    factor = shrinking(height, width, end - first)
    size = (width // factor, height // factor)
    left, right = (View(resize_image(v.image, size)) for v in (pair.left, pair.right))
    small = StereoPair(left, right)
    whole = replace(
        settings,
        min_disparity=first // factor,
        max_disparity=-(-end // factor),
        speckle_size=settings.speckle_size // factor,
        fill=True,
        confidence=False,
        coarse_to_fine=False,
        memory_limit=None,
    )
    found: Array = whole(small).values
    return found


def _grays(pair: StereoPair, threads: int) -> Grays:
    """Grey images, made in strips: whole ones in between would take several times their size."""
    images = pair.left.image, pair.right.image
    grays = [np.empty(image.shape[:2], image.dtype) for image in images]
    strips = -(-len(grays[0]) // _STRIP)

    def strip(i: int) -> None:
        side, rows = i // strips, slice(i % strips * _STRIP, (i % strips + 1) * _STRIP)
        grays[side][rows] = View(images[side][rows]).gray

    run_blocks(strip, 2 * strips, threads)
    steps = grays[0] if grays[0].dtype == np.uint8 else pair.left.gray8
    return Grays(grays[0], grays[1], steps)


def kernels_compiled() -> bool:
    """True if `SGM` will find its compiled kernels in the cache; fast, without importing numba."""
    return have_compiled(KERNELS)


def prepare(notify: Callable[[str, int, int], None] | None = None) -> None:
    """Loads the kernels of `SGM`, compiling those that this machine has not compiled yet.

    notify(name, index, count) is called before each compilation, and not at all when everything
    comes from the cache. Compiling takes a few seconds, once a machine.
    """
    prepare_kernels(KERNELS, notify)
