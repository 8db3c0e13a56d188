"""`mrf`: matching as one energy over the whole image, made small by one of three solvers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fathom.classical import belief, expansion, scanline
from fathom.classical.checks import check_search, in_range
from fathom.classical.confidence import with_filled
from fathom.classical.costs import CostName, cost_volume
from fathom.classical.energy import LARGEST, Solution, Weights, edge_weights, over_rows
from fathom.classical.fill import fill
from fathom.classical.kernels import global_layout as kernels
from fathom.classical.kernels.global_layout import LONGEST
from fathom.classical.memory import check_memory
from fathom.classical.native import have_compiled, prepare_kernels
from fathom.classical.parallel import run_blocks, thread_count
from fathom.classical.ranges import resolve_range
from fathom.core.arrays import Array, Float32, UInt16
from fathom.core.errors import UsageError
from fathom.core.estimator import Needs
from fathom.core.maps import Disparity, Source
from fathom.core.options import option
from fathom.core.pair import StereoPair

Solver = Literal["belief", "expansion", "scanline"]

_SOLVERS = ("belief", "expansion", "scanline")
TRUNCATIONS: dict[CostName, float] = {
    "absolute": 20.0,
    "squared": 400.0,
    "ncc": 1.0,
    "zncc": 1.0,
    "census-5x5": 16.0,
    "census-7x7": 30.0,
    "census-9x7": 40.0,
    "ad-census": 1.2,
    "gradient": 2.0,
    "birchfield-tomasi": 20.0,
}
"""Where the data term of each cost is cut off by default, in the cost's own unit."""
_STEPS = 1000
"""Whole numbers between 0 and the truncated cost."""
_OUTSIDE = 0.5
"""Data term of a match outside the right image, as a share of the truncated cost: less than a
wrong match inside, so that the smoothness carries the disparity on over the left border."""
_FAR = 4.0
_FORGOTTEN = 96
"""Pixels beyond which a tile's border hardly matters."""
_THREADS = 8
"""Of which memory is held to be ready where a pair is cut into tiles, on any machine."""


@dataclass(frozen=True, eq=False)
class MrfSolution:
    """disparity: what `MRF` answers. energies: of the left view, in units of the cost, the start
    first and the answer last; they never rise. For the scanline solver there is only one."""

    disparity: Disparity
    energies: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class MRF:
    """Global matching: E(D) = sum of data terms + lambda * sum over neighbours of min(|step|, T).

    The data term is a truncated matching cost, the neighbours are the four beside a pixel, and
    lambda falls where the image has an edge. Solvers: `belief`, hierarchical belief propagation
    (the default: a few seconds a megapixel); `expansion`, alpha-expansion by graph cuts from there
    on (the least energy, many times slower); `scanline`, dynamic programming, exact for each row
    and blind between them, with `ordering` also one-to-one and in order. Both views are solved, and
    what disagrees becomes unknown, to be filled from the background along the row.

    Takes about 20 bytes of memory a pixel and disparity. The result is the same for any number of
    threads. The defaults were chosen on the Motorcycle pair.

    Raises `UsageError` for a parameter out of its range.
    """

    max_disparity: int | None = option(
        None, "disparities searched end before this (px); default: from rig or width"
    )
    min_disparity: int = option(0, "smallest disparity searched (px), may be negative")
    solver: Solver = option(
        "belief", "belief (propagation), expansion (graph cuts) or scanline (dynamic programming)"
    )
    cost: CostName = option("census-9x7", "matching cost of the data term")
    data_truncation: float | None = option(
        None, "largest data term, in the cost's unit; default: by cost (40 bits of census-9x7)"
    )
    smoothness: float | None = option(
        None, "lambda, cost of a step of 1 px; default: 0.6 of the largest data term"
    )
    truncation: int = option(
        6, f"step (px) beyond which jumps cost no more, 1..{LONGEST}; 1: Potts"
    )
    gradient: float = option(
        16.0, "image step (of 255) at which lambda is halved; 0: lambda is constant"
    )
    sweeps: int = option(5, "rounds of messages on each grid, or of expansions of every label")
    levels: int = option(5, "belief: number of grids, each half the size of the one before")
    ordering: bool = option(
        True, "scanline: matches are one-to-one and in order; else lambda along the row"
    )
    occlusion: float | None = option(
        None,
        "scanline with ordering: cost of a pixel left out; default: 0.6 of the largest data term",
    )
    lr_threshold: float = option(
        1.0, "largest difference of left and right disparity (px), else unknown"
    )
    fill: bool = option(True, "fill unknown pixels from their neighbours")
    confidence: bool = option(True, "compute P(error <= 1 px) per pixel")
    threads: int | None = option(None, "threads to use; default: all processors")
    memory_limit: int | None = option(
        None, "largest memory in bytes; default: 80 % of what is available"
    )

    def __post_init__(self) -> None:
        _among("solver", self.solver, _SOLVERS)
        _among("cost", self.cost, tuple(TRUNCATIONS))
        for name in ("data_truncation", "occlusion"):
            if getattr(self, name) is not None:
                in_range(name, getattr(self, name), 1e-6, 1e6)
        if self.smoothness is not None:
            in_range("smoothness", self.smoothness, 0, 1e6)
        in_range("truncation", self.truncation, 1, LONGEST, whole=True)
        in_range("gradient", self.gradient, 0, 1e6)
        in_range("sweeps", self.sweeps, 1, 1000, whole=True)
        in_range("levels", self.levels, 1, 20, whole=True)
        in_range("lr_threshold", self.lr_threshold, 0, 1e6)
        check_search(self)

    def __call__(self, pair: StereoPair, /) -> Disparity:
        """Disparity of the left view, float32 pixels; NaN where unknown (never with `fill`).

        Raises `UsageError` for a range outside the images, `ResourceError` if the memory needed
        exceeds `memory_limit`.
        """
        return self.solve(pair).disparity

    def needs(self, pair: StereoPair) -> Needs:
        """What tiles of a pair must know (see `Needs`)."""
        first, end = resolve_range(pair, self.min_disparity, self.max_disparity)

        def memory(height: int, width: int, levels: int) -> int:
            return bytes_needed(height, width, levels, self.solver, _THREADS)

        return Needs(first, end, memory, _FORGOTTEN, threads=_THREADS, refill=True)

    def solve(self, pair: StereoPair) -> MrfSolution:
        """The disparity together with the energies of the left view, as they fell.

        Raises as `__call__`.
        """
        evidence = mrf_evidence(pair, self)
        return MrfSolution(self.judge(evidence), evidence.energies)

    def judge(self, evidence: "MrfEvidence") -> Disparity:
        """The answer that the evidence gives: checked, filled, and with its confidence."""
        first, last = evidence.range
        values = np.clip(evidence.disparity, first, last)
        with np.errstate(invalid="ignore"):
            known = evidence.difference <= np.float32(self.lr_threshold)
        values = np.where(known, values, np.float32(np.nan))
        source = np.where(known, np.uint8(Source.MATCHED), np.uint8(Source.UNKNOWN))
        found = Disparity(values, None, source, (float(first), float(last)))
        if self.fill:
            found = fill(found)
        if self.confidence:
            found = with_filled(found, evidence.confidence(), thread_count(self.threads))
        return found


@dataclass(frozen=True, eq=False)
class MrfEvidence:
    """What the solver found before anything was judged.

    disparity: float32 (h, w) pixels, NaN where the solver left a pixel out. share: uint16 (h, w)
    data term of the winner in thousandths of the truncated cost. margin: uint16 (h, w) in the same
    unit, see `Solution`. difference: float32 (h, w) |d - d_right(x - d)| in pixels, NaN where
    there is no match or it leaves the right image. energies: see `MrfSolution`. range: first and
    last disparity searched.
    """

    disparity: Float32[np.ndarray, "h w"]
    share: UInt16[np.ndarray, "h w"]
    margin: UInt16[np.ndarray, "h w"]
    difference: Float32[np.ndarray, "h w"]
    energies: tuple[float, ...]
    range: tuple[int, int]
    solver: str

    def witnesses(self) -> Float32[np.ndarray, "n h w"]:
        """What the confidence is made of, one layer each.

        1, log(1 + margin in fortieths of the truncated cost), min(left-right difference, 4 px) (4
        where it is unknown), log2(1 + distance to the 7x7 mean, at most 4 px), data term of the
        winner as a share of the truncated cost.
        """
        import cv2

        out = np.empty((5, *self.disparity.shape), np.float32)
        out[0] = 1
        np.log1p(self.margin * np.float32(40 / _STEPS), out=out[1])
        out[2] = np.minimum(np.nan_to_num(self.difference, nan=_FAR), _FAR)
        flat = np.nan_to_num(self.disparity, nan=float(self.range[0]))
        np.log2(1 + np.minimum(np.abs(flat - cv2.blur(flat, (7, 7))), _FAR), out=out[3])
        out[4] = self.share * np.float32(1 / _STEPS)
        return out

    def confidence(self) -> Float32[np.ndarray, "h w"]:
        """P(|error| <= 1 px) of `disparity`, 0..1: a logistic function of the witnesses, with
        weights fitted by experiments/fit_mrf_confidence.py for each solver."""
        score = np.tensordot(np.array(WEIGHTS[self.solver], np.float32), self.witnesses(), axes=1)
        out: Array = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
        return out.astype(np.float32, copy=False)


WEIGHTS = {
    "belief": (0.551, 0.611, -0.82, -0.811, -1.018),
    "expansion": (1.013, 0.631, -0.56, -0.683, -2.908),
    "scanline": (-0.141, 0.912, -0.568, -1.08, -2.173),
}
"""Weights of the layers of `MrfEvidence.witnesses`, as the experiment printed them."""


def mrf_evidence(pair: StereoPair, settings: MRF | None = None) -> MrfEvidence:
    """Both views solved and compared, for what builds on it.

    Raises as `MRF.__call__`.
    """
    settings = MRF() if settings is None else settings
    problem = _Problem(pair, settings)
    left, right = problem.solve_both()
    disparity = _disparity(left, problem.first)
    other = _disparity(right, problem.first)[:, ::-1]
    return MrfEvidence(
        disparity,
        problem.shares(left),
        np.minimum(np.rint(left.margin * (_STEPS / problem.most)), 65535).astype(np.uint16),
        _difference(disparity, other),
        tuple(value / problem.scale for value in left.energies),
        (problem.first, problem.end - 1),
        settings.solver,
    )


def bytes_needed(height: int, width: int, labels: int, solver: Solver, threads: int) -> int:
    """Memory in bytes that matching a pair takes at its peak, images excluded."""
    cells = height * width * labels
    # the cost volume with as much again to make it of, beside the data terms
    costs = 10 * cells
    if solver == "belief":
        solving = 4 * cells + belief.bytes_needed(height, width, labels)
    elif solver == "expansion":
        cuts = 2 * expansion.bytes_needed(height, width)
        solving = 4 * cells + max(cuts, belief.bytes_needed(height, width, labels))
    else:
        solving = 4 * cells + scanline.bytes_needed(height, width, labels, threads)
    return max(costs, solving) + 100 * height * width


def kernels_compiled() -> bool:
    """True if `MRF` will find its compiled kernels in the cache; fast, without importing numba."""
    return have_compiled(kernels.KERNELS)


def prepare(notify: Callable[[str, int, int], None] | None = None) -> None:
    """Loads the kernels of `MRF`, compiling those that this machine has not compiled yet."""
    prepare_kernels(kernels.KERNELS, notify)


class _Problem:
    """The terms of both views in whole numbers, and the solver that was asked for."""

    def __init__(self, pair: StereoPair, settings: MRF) -> None:
        self.pair, self.settings = pair, settings
        self.threads = thread_count(settings.threads)
        self.first, self.end = resolve_range(pair, settings.min_disparity, settings.max_disparity)
        height, width = pair.shape
        labels = self.end - self.first
        need = bytes_needed(height, width, labels, settings.solver, self.threads)
        check_memory(pair, labels, need, settings.memory_limit)
        given = settings.data_truncation
        self.largest = TRUNCATIONS[settings.cost] if given is None else float(given)
        lam = 0.6 * self.largest if settings.smoothness is None else float(settings.smoothness)
        # one whole number is a thousandth of the largest data term, or more where sums of
        # smoothness terms would leave 16 bits
        room = (LARGEST - 8 * LONGEST) / (self.largest + 4 * lam * settings.truncation)
        self.scale = min(_STEPS / self.largest, room)
        self.smoothness = round(lam * self.scale)
        self.most = max(1.0, self.largest * self.scale)
        self.outside = round(_OUTSIDE * self.largest * self.scale)
        self.shape = kernels.Shape(height, width, labels, labels, settings.truncation)
        self.data = self._data()

    def solve_both(self) -> tuple[Solution, Solution]:
        """The left view, and the right one as the mirrored pair's left view."""
        right = np.empty_like(self.data)
        flat = self.data.reshape(-1)

        def part(top: int, bottom: int) -> None:
            kernels.mirror(
                flat, right.reshape(-1), self.shape, self.first, self.outside, top, bottom
            )

        over_rows(part, self.shape.height, self.threads)
        volumes = (self.data, right)
        grays = (self.pair.left.gray8, np.ascontiguousarray(self.pair.right.gray8[:, ::-1]))
        weights = [edge_weights(g, self.smoothness, self.settings.gradient) for g in grays]
        starts: list[Array | None] = [None, None]
        if self.settings.solver == "expansion":
            # the same energy in a fifth of the time as from the labels of least data cost
            starts = [self._beliefs(v, w, 3).labels for v, w in zip(volumes, weights, strict=True)]
        out: list[Solution | None] = [None, None]

        def solve(i: int) -> None:
            out[i] = self._solve(volumes[i], weights[i], starts[i])

        # graph cuts keep one thread busy each; the other solvers share out the rows themselves
        run_blocks(solve, 2, self.threads if self.settings.solver == "expansion" else 1)
        assert out[0] is not None
        assert out[1] is not None
        return out[0], out[1]

    def shares(self, solution: Solution) -> UInt16[np.ndarray, "h w"]:
        """Data terms of the labels, in thousandths of the largest."""
        places = np.maximum(solution.labels, 0).astype(np.int64)[..., None]
        terms = np.take_along_axis(self.data, places, axis=2)[..., 0]
        out: Array = np.rint(np.minimum(terms / self.most, 1) * _STEPS).astype(np.uint16)
        return out

    def _beliefs(self, data: Array, weights: Weights, sweeps: int) -> Solution:
        return belief.belief_propagation(
            data,
            weights,
            self.settings.truncation,
            sweeps=sweeps,
            levels=self.settings.levels,
            threads=self.threads,
        )

    def _solve(self, data: Array, weights: Weights, start: Array | None) -> Solution:
        chosen = self.settings
        if chosen.solver == "belief":
            return self._beliefs(data, weights, chosen.sweeps)
        if chosen.solver == "expansion":
            return expansion.alpha_expansion(
                data, weights, chosen.truncation, sweeps=chosen.sweeps, start=start
            )
        occlusion = None
        if chosen.ordering:
            given = 0.6 * self.largest if chosen.occlusion is None else chosen.occlusion
            occlusion = min(max(1, round(given * self.scale)), 32000)
        return scanline.scanline_optimum(
            data, weights, chosen.truncation, occlusion=occlusion, threads=self.threads
        )

    def _data(self) -> Array:
        costs = cost_volume(
            self.pair, self.settings.cost, self.first, self.end, threads=self.threads
        ).costs
        flat = np.ascontiguousarray(costs).reshape(-1)
        out = np.empty(flat.size, np.uint16)
        constants = np.array([self.largest, self.scale], np.float32)
        block = 1 << 20

        def part(i: int) -> None:
            last = min((i + 1) * block, flat.size)
            kernels.quantise(flat, constants, out, self.outside, i * block, last)

        run_blocks(part, -(-flat.size // block), self.threads)
        return out.reshape(costs.shape)


def _disparity(solution: Solution, first: int) -> Array:
    values = solution.labels + solution.offsets + np.float32(first)
    return np.where(solution.labels >= 0, values, np.float32(np.nan)).astype(np.float32)


def _difference(left: Array, right: Array) -> Array:
    """|d - d_right(x - d)|, NaN where there is no match or it leaves the right image."""
    width = left.shape[1]
    match = np.arange(width) - np.rint(np.nan_to_num(left)).astype(np.int64)
    inside = (match >= 0) & (match < width)
    other = np.take_along_axis(right, np.clip(match, 0, width - 1), axis=1)
    return np.where(inside, np.abs(left - other), np.float32(np.nan)).astype(np.float32)


def _among(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(
            "is not among what there is", field=name, value=value, expected=" or ".join(known)
        )
