"""`sad`, `ssd`, `ncc`, `zncc`, `census`: local matchers, winner takes all.

Every pixel decides for itself over costs averaged in a window: small windows keep detail and are
noisy, large ones are smooth and lose edges (`examples/windows.py` draws both).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fathom.classical.aggregate import check_window
from fathom.classical.checks import check_search, in_range
from fathom.classical.confidence import with_filled
from fathom.classical.costs import CostName
from fathom.classical.fill import fill_large
from fathom.classical.local_match import (
    AGGREGATIONS,
    Aggregation,
    bytes_needed,
    disagreement,
    local_winner,
    support_reach,
    witnesses,
)
from fathom.classical.native import Notify, prepare_kernels
from fathom.classical.parallel import thread_count
from fathom.classical.ranges import resolve_range
from fathom.classical.refine import remove_speckles, uniqueness
from fathom.classical.refine_subpixel import SUBPIXEL
from fathom.classical.winner import KERNELS, Subpixel, Winner
from fathom.core.arrays import Array, Float32
from fathom.core.errors import unknown_name
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair

WEIGHTS: dict[str, tuple[float, ...]] = {
    "absolute": (5.924, -0.349, -5.716, 0.176, -0.494),
    "squared": (4.353, -0.488, -4.261, 0.014, -0.6),
    "ncc": (4.207, -1.181, -2.566, -0.12, -0.917),
    "zncc": (1.815, 0.655, 0.113, -0.596, -1.0),
    "census": (4.937, 0.765, -4.488, 0.609, -0.547),
}
"""Weights of the layers of `local_match.witnesses`, as `experiments/fit_local_confidence.py`
printed them on Motorcycle and the pairs of shared/data/pairs_gt, with box windows."""
SCALES = {"absolute": 1.0, "squared": 50.0, "ncc": 0.02, "zncc": 0.02, "census": 1.0}
"""Margins are measured in these units, those of the cost."""

_THREADS = 8
"""Of which memory is held to be ready where a pair is cut into tiles, on any machine."""
_LARGEST_ISLAND = 256
"""Larger islands of speckles may be cut off by a tile, in pixels."""
_SUPPORT = "support of a pixel: box, guided (filter), bilateral (slow) or cross(-based regions)"
_CURVE = "curve through the costs: none, parabola, equiangular or symmetric-v"
_HELP: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "max_disparity": (
        None,
        "disparities searched end before this (px); default: from rig or width",
        (),
    ),
    "min_disparity": (0, "smallest disparity searched (px), may be negative", ()),
    "color": (False, "compare colours instead of grey values", ()),
    "uniqueness": (0.0, "percent by which the winner must beat the second best, else unknown", ()),
    "lr_threshold": (
        1.0,
        "largest difference of left and right disparity (px), else unknown",
        (),
    ),
    "speckle_size": (100, "islands of up to so many pixels become unknown; 0: keep", ()),
    "speckle_range": (1.0, "step between neighbours of one island (px)", ()),
    "fill": (True, "fill unknown pixels from their neighbours", ()),
    "confidence": (True, "compute P(error <= 1 px) per pixel", ()),
    "threads": (None, "threads to use; default: all processors", ()),
    "memory_limit": (
        None,
        "largest memory in bytes; default: 80 % of what is available",
        (),
    ),
}


_CENSUS: dict[str, CostName] = {"5x5": "census-5x5", "7x7": "census-7x7", "9x7": "census-9x7"}


def _common(name: str) -> Any:
    default, text, flags = _HELP[name]
    return option(default, text, flags=flags)


def _window(default: int) -> Any:
    return option(
        default, "odd side of the window (px); of cross-based regions: twice an arm", flags=()
    )


@dataclass(frozen=True, kw_only=True)
class SAD:
    """Sums of absolute differences: the plainest matcher; trusts both cameras' exposure.

    Kanade and Okutomi's window matching as Scharstein and Szeliski (IJCV 2002) have it. Left-right
    check on the same costs; speckles removed; unknown pixels filled; confidence = P(error <= 1 px).
    The result is the same for any number of threads.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = _common("max_disparity")
    min_disparity: int = _common("min_disparity")
    window: int = _window(11)
    aggregation: Aggregation = option("box", _SUPPORT)
    color: bool = _common("color")
    subpixel: Subpixel = option("equiangular", _CURVE)
    uniqueness: float = _common("uniqueness")
    lr_threshold: float = _common("lr_threshold")
    speckle_size: int = _common("speckle_size")
    speckle_range: float = _common("speckle_range")
    fill: bool = _common("fill")
    confidence: bool = _common("confidence")
    threads: int | None = _common("threads")
    memory_limit: int | None = _common("memory_limit")

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels; NaN where unknown (never with `fill`
        where anything was matched).

        Raises `UsageError` for a range outside the images, `ResourceError` if the memory needed
        exceeds `memory_limit`.
        """
        return _match(pair, self, "absolute")

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        return _needs(pair, self)


@dataclass(frozen=True, kw_only=True)
class SSD:
    """Sums of squared differences: as `SAD`, large differences counting more.

    All else as `SAD`.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = _common("max_disparity")
    min_disparity: int = _common("min_disparity")
    window: int = _window(11)
    aggregation: Aggregation = option("box", _SUPPORT)
    color: bool = _common("color")
    subpixel: Subpixel = option("parabola", _CURVE)
    uniqueness: float = _common("uniqueness")
    lr_threshold: float = _common("lr_threshold")
    speckle_size: int = _common("speckle_size")
    speckle_range: float = _common("speckle_range")
    fill: bool = _common("fill")
    confidence: bool = _common("confidence")
    threads: int | None = _common("threads")
    memory_limit: int | None = _common("memory_limit")

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """As `SAD.__call__`."""
        return _match(pair, self, "squared")

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        return _needs(pair, self)


@dataclass(frozen=True, kw_only=True)
class NCC:
    """Normalised cross-correlation: does not mind a gain on one side.

    A lone gain; with an offset take `ZNCC`. All else as `SAD`.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = _common("max_disparity")
    min_disparity: int = _common("min_disparity")
    window: int = _window(9)
    aggregation: Aggregation = option("box", _SUPPORT)
    color: bool = _common("color")
    subpixel: Subpixel = option("parabola", _CURVE)
    uniqueness: float = _common("uniqueness")
    lr_threshold: float = _common("lr_threshold")
    speckle_size: int = _common("speckle_size")
    speckle_range: float = _common("speckle_range")
    fill: bool = _common("fill")
    confidence: bool = _common("confidence")
    threads: int | None = _common("threads")
    memory_limit: int | None = _common("memory_limit")

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """As `SAD.__call__`."""
        return _match(pair, self, "ncc")

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        return _needs(pair, self)


@dataclass(frozen=True, kw_only=True)
class ZNCC:
    """Zero-mean normalised cross-correlation: does not mind a gain and an offset on one side.

    All else as `SAD`.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = _common("max_disparity")
    min_disparity: int = _common("min_disparity")
    window: int = _window(9)
    aggregation: Aggregation = option("box", _SUPPORT)
    color: bool = _common("color")
    subpixel: Subpixel = option("parabola", _CURVE)
    uniqueness: float = _common("uniqueness")
    lr_threshold: float = _common("lr_threshold")
    speckle_size: int = _common("speckle_size")
    speckle_range: float = _common("speckle_range")
    fill: bool = _common("fill")
    confidence: bool = _common("confidence")
    threads: int | None = _common("threads")
    memory_limit: int | None = _common("memory_limit")

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """As `SAD.__call__`."""
        return _match(pair, self, "zncc")

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        return _needs(pair, self)


@dataclass(frozen=True, kw_only=True)
class CensusLocal:
    """Census bits over a window: minds no change of exposure that keeps the order of greys.

    Zabih and Woodfill, ECCV 1994. The most accurate of the local methods here. All else as `SAD`.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = _common("max_disparity")
    min_disparity: int = _common("min_disparity")
    window: int = _window(11)
    aggregation: Aggregation = option("box", _SUPPORT)
    bits: Literal["5x5", "7x7", "9x7"] = option(
        "5x5", "pixels compared with the centre: 5x5, 7x7 or 9x7 (width x height)"
    )
    color: bool = _common("color")
    subpixel: Subpixel = option("equiangular", _CURVE)
    uniqueness: float = _common("uniqueness")
    lr_threshold: float = _common("lr_threshold")
    speckle_size: int = _common("speckle_size")
    speckle_range: float = _common("speckle_range")
    fill: bool = _common("fill")
    confidence: bool = _common("confidence")
    threads: int | None = _common("threads")
    memory_limit: int | None = _common("memory_limit")

    def __post_init__(self) -> None:
        _check(self)
        _one_of("bits", self.bits, tuple(_CENSUS))

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """As `SAD.__call__`."""
        return _match(pair, self, _CENSUS[self.bits])

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        return _needs(pair, self)


Local = SAD | SSD | NCC | ZNCC | CensusLocal


def _needs(pair: StereoPair, settings: Local) -> Needs:
    """With so much beside it a tile's answer is the whole's: its windows, an island of speckles
    that reaches into it, and the 7x7 mean of the confidence."""
    first, end = resolve_range(pair, settings.min_disparity, settings.max_disparity)

    def memory(height: int, width: int, levels: int) -> int:
        return bytes_needed(
            (height, width), levels, settings.window, settings.aggregation, settings.color, _THREADS
        )

    reach = support_reach(settings.window, settings.aggregation)
    margin = reach + min(settings.speckle_size, _LARGEST_ISLAND) + 4
    return Needs(first, end, memory, margin, threads=_THREADS, refill=True)


def _match(pair: StereoPair, settings: Local, cost: CostName) -> Disparity:
    """Winner takes all, judged, filled, and with confidence."""
    first, end = resolve_range(pair, settings.min_disparity, settings.max_disparity)
    found = local_winner(
        pair,
        cost,
        first,
        end,
        window=settings.window,
        aggregation=settings.aggregation,
        color=settings.color,
        subpixel=settings.subpixel,
        threads=settings.threads,
        memory_limit=settings.memory_limit,
    )
    difference = disagreement(found)
    out = _judged(found, difference, settings, (first, end - 1))
    if settings.fill:
        out = fill_large(out)
    if not settings.confidence:
        return out
    trust = local_confidence(found, difference, cost)
    return with_filled(out, trust, thread_count(settings.threads))


def prepare(notify: Notify | None = None) -> None:
    """Loads the kernels of the local matchers, compiling those not yet compiled here."""
    prepare_kernels(KERNELS, notify)


def local_confidence(
    found: Winner, difference: Float32[np.ndarray, "h w"], cost: CostName
) -> Float32[np.ndarray, "h w"]:
    """P(|error| <= 1 px) of a local winner, 0..1, before anything is filled.

    difference: `local_match.disagreement`. Fitted for absolute, squared, ncc, zncc and census
    costs with box windows, on pixels that pass the left-right check at 1 px; of others it says too
    much.

    Raises `UsageError` for a cost without constants.
    """
    kind = "census" if cost.startswith("census") else cost
    if kind not in WEIGHTS:
        raise unknown_name("cost with a confidence", str(cost), sorted(WEIGHTS))
    layers = witnesses(found, difference, SCALES[kind])
    score = np.tensordot(np.array(WEIGHTS[kind], np.float32), layers, axes=1)
    out: Array = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
    return out.astype(np.float32, copy=False)


def _judged(
    found: Winner, difference: Array, settings: Local, searched: tuple[int, int]
) -> Disparity:
    """Unknown where the left-right, uniqueness or speckle test fails."""
    known = difference <= np.float32(settings.lr_threshold)
    values = np.where(known, found.disparity, np.float32(np.nan))
    source = np.where(known, np.uint8(Source.MATCHED), np.uint8(Source.UNKNOWN))
    first, last = searched
    out = Disparity(values, None, source, (float(first), float(last)))
    if settings.uniqueness > 0:
        out = uniqueness(out, found.best, found.second, settings.uniqueness)
    return remove_speckles(out, settings.speckle_size, settings.speckle_range)


def _check(settings: Local) -> None:
    check_window(settings.window)
    _one_of("aggregation", settings.aggregation, AGGREGATIONS)
    _one_of("subpixel", settings.subpixel, ("none", *SUBPIXEL))
    in_range("uniqueness", settings.uniqueness, 0, 100)
    in_range("lr_threshold", settings.lr_threshold, 0, 1e6)
    in_range("speckle_size", settings.speckle_size, 0, 10**9, whole=True)
    in_range("speckle_range", settings.speckle_range, 0, 1000)
    check_search(settings)


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown_name(name, str(value), list(known))
