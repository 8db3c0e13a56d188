"""Sparse matches between two views that may be anything: what the pair check looks at.

Corners spread over the image (Shi and Tomasi, "Good features to track", CVPR 1994), upright binary
descriptors (Rublee et al., "ORB", ICCV 2011, without its rotation), a linear model of the
displacement found by sampling (Fischler and Bolles, "RANSAC", 1981), a second search along that
model, and a sub-pixel refinement by tracking forward and back (Lucas and Kanade, IJCAI 1981).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from fathom.combine.check_finding import certainty_above
from fathom.core.arrays import Array, Bool, Float32, Float64, Shaped, UInt8

COARSE_PIXELS = (200_000, 450_000)
FINE_PIXELS = 1_200_000
_MARGIN = 18  # half a descriptor's patch, and what its smoothing needs
_CELL = 32
_PER_CELL = 3
_BITS = 256
_NEVER = np.float32(1000)  # a distance no two descriptors have


@dataclass(frozen=True, eq=False)
class Matches:
    """Points seen in both views, in pixels of the full images, and how they were come by.

    left, right: float64 (n, 2), x and y. corners: how many corners the poorer view had.
    rows, columns: how many first matches (before the second search) fit one linear model of the
    vertical, and of the horizontal displacement. vertical: the horizontal one explains clearly
    more, and the points were searched along columns. trust: 0..1, how sure the model is the right
    one; where squares look alike, another may explain nearly as many matches.
    """

    left: Float64[np.ndarray, "n 2"]
    right: Float64[np.ndarray, "n 2"]
    corners: int
    rows: int = 0
    columns: int = 0
    vertical: bool = False
    trust: float = 1.0

    @property
    def disparity(self) -> Float64[np.ndarray, " n"]:
        """x_left - x_right in pixels."""
        out: Array = self.left[:, 0] - self.right[:, 0]
        return out

    @property
    def rise(self) -> Float64[np.ndarray, " n"]:
        """y_right - y_left in pixels; 0 in a rectified pair, positive where the right is lower."""
        out: Array = self.right[:, 1] - self.left[:, 1]
        return out

    def __len__(self) -> int:
        return len(self.left)


def match_views(
    left: UInt8[np.ndarray, "h w"], right: UInt8[np.ndarray, "h w"], size: tuple[int, int]
) -> Matches:
    """The points that both reduced grey images show (`check_views.comparable` makes them).

    size: (width, height) of the full images, in whose pixels the matches are given.
    The same images give the same matches: nothing here is drawn from a global generator.
    """
    coarse = int(np.clip(left.size / 2, *COARSE_PIXELS))
    small = [shrink(image, coarse) for image in (left, right)]
    points, bits = zip(*(_described(image) for image in small), strict=True)
    count = min(len(points[0]), len(points[1]))
    nothing = np.zeros((0, 2))
    if count < 4:
        return Matches(nothing, nothing, count)
    # Bits as -1 and +1: the scalar product of two descriptors is 256 - 2 times their distance.
    distance = (np.float32(_BITS) - bits[0] @ bits[1].T) / 2
    first = _best(distance, np.float32(0.85))
    height, width = small[0].shape
    frame = _Frame((width - 1) / 2, (height - 1) / 2, max(width, height) / 2)
    start = points[0][first[:, 0]], points[1][first[:, 1]]
    columns, rows = (_consensus(frame, *start, axis) for axis in (0, 1))
    vertical = _is_vertical(columns, rows, left, right, start, small)
    axis, fit = (0, columns) if vertical else (1, rows)
    if fit.count < 4:
        return Matches(nothing, nothing, count, rows.count, columns.count, vertical)
    near = _near(frame, fit, points[0], points[1], axis)
    second = _best(np.where(near, distance, _NEVER), np.float32(0.9))
    p, q = points[0][second[:, 0]], points[1][second[:, 1]]
    p, q = _tracked(left, right, _scaled(p, small[0], left), _scaled(q, small[1], right))
    full = (size[0] / left.shape[1], size[1] / left.shape[0])
    moved = _resized(p, full), _resized(q, full)
    return Matches(*moved, count, rows.count, columns.count, vertical, fit.trust)


def reduced(image: Shaped[np.ndarray, "h w 3"]) -> Array:
    """Grey image of the same type with at most `FINE_PIXELS` pixels.

    Not `View.gray`, whose exact rounding costs five times as much on large images.
    """
    import cv2

    return shrink(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY), FINE_PIXELS)


def shrink(image: Shaped[np.ndarray, "h w"], pixels: int) -> Array:
    """`image` made smaller to about `pixels` pixels, if it has more."""
    import cv2

    height, width = image.shape
    factor = (pixels / image.size) ** 0.5
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    # Averaging areas costs six times as much, and only matters where many pixels become one.
    method = cv2.INTER_LINEAR if factor > 0.5 else cv2.INTER_AREA
    out: Array = cv2.resize(image, size, interpolation=method)
    return out


@dataclass(frozen=True)
class _Frame:
    """Coordinates of about -1..1 around the middle of the image, for well conditioned fits."""

    cx: float
    cy: float
    unit: float

    def terms(self, p: Array, q: Array) -> Array:
        """1, x and y of the midpoints between p and q; any shape (..., 2)."""
        mid = (p + q) / 2
        x, y = (mid[..., 0] - self.cx) / self.unit, (mid[..., 1] - self.cy) / self.unit
        return np.stack([np.ones_like(x), x, y], axis=-1)


@dataclass(frozen=True, eq=False)
class _Fit:
    """coefficients: of `_Frame.terms`. count: matches within the tolerance. band: how far from
    the model most of the matches lie that may be right, in pixels. trust: 0..1, how sure it is that
    no other model is right.
    """

    coefficients: Float64[np.ndarray, "3"]
    count: int
    band: float = 2.5
    trust: float = 1.0


def _is_vertical(
    columns: "_Fit",
    rows: "_Fit",
    left: Array,
    right: Array,
    start: tuple[Array, Array],
    small: list[Array],
) -> bool:
    """Whether the points move along columns: one model explains the horizontal shift, none the
    vertical one.

    A scene near one plane is explained well either way at the coarse size; there the points are
    refined first, and compared to a third of a pixel.
    """
    if columns.count < 0.6 * rows.count or columns.count < 12:
        return False
    p, q = _tracked(
        left, right, _scaled(start[0], small[0], left), _scaled(start[1], small[1], right)
    )
    height, width = left.shape
    frame = _Frame((width - 1) / 2, (height - 1) / 2, max(width, height) / 2)
    fine = [_consensus(frame, p, q, axis, tolerance=0.33).count for axis in (0, 1)]
    return fine[0] > 1.1 * fine[1] + 3


def _consensus(
    frame: _Frame,
    p: Float32[np.ndarray, "n 2"],
    q: Float32[np.ndarray, "n 2"],
    axis: int,
    tolerance: float = 1.0,
) -> _Fit:
    """The linear model of the displacement along `axis` that most matches agree with.

    Slopes beyond 0.3 (a roll of 17 degrees) are no stereo pair's. The sample is drawn from a
    generator of its own, so that the check neither depends on nor changes anybody's seed.
    """
    terms = frame.terms(p.astype(np.float64), q.astype(np.float64))
    shift = (q - p)[:, axis].astype(np.float64)
    if len(shift) < 4:
        return _Fit(np.zeros(3), 0)
    # Few matches are often mostly wrong ones, and more samples of them cost little.
    picks = np.random.default_rng(0).integers(0, len(shift), (250 if len(shift) > 200 else 1500, 3))
    picks = picks[np.abs(np.linalg.det(terms[picks])) > 1e-2]
    solved = np.linalg.solve(terms[picks], shift[picks][..., None])[..., 0]
    models = np.vstack([[[np.median(shift), 0.0, 0.0]], solved])
    models = models[(np.abs(models[:, 1:]) < 0.3 * frame.unit).all(axis=1)]
    error = np.abs(terms @ models.T - shift[:, None])
    # Rows of two cameras differ by little: a shift of 20 pixels is worth some 2.5 votes less.
    far = np.sqrt(np.mean((terms @ models.T) ** 2, axis=0)) / 8
    doubt = 2 * np.log1p(far) if axis == 1 else np.zeros(len(models))
    best = int((np.minimum(error / (1.5 * tolerance), 1).sum(axis=0) + doubt).argmin())
    near = error[error[:, best] < 12, best]
    # A lens that bends rows leaves right matches farther from a linear model.
    band = float(np.clip(6 * np.median(near), 2.5, 8)) if len(near) else 2.5
    agree = error < tolerance
    trust = _trust(agree, doubt, best, terms @ (models - models[best]).T)
    return _Fit(models[best], int(agree[:, best].sum()), band, trust)


def _trust(
    agree: Bool[np.ndarray, "n m"],
    doubt: Float64[np.ndarray, " m"],
    best: int,
    apart: Float64[np.ndarray, "n m"],
) -> float:
    """How surely model `best` has more votes than the best of those clearly apart from it.

    agree: which matches agree with which model. Matches that agree with both do not tell. The
    counts scatter as those of rare events do.
    """
    votes = int(agree[:, best].sum())
    rivals = (agree & ~agree[:, [best]]).sum(axis=0) - doubt
    rivals = rivals[np.abs(apart).mean(axis=0) > 3]
    rival = max(0.0, float(rivals.max())) if len(rivals) else 0.0
    return certainty_above(votes - float(doubt[best]), rival, sqrt(votes + rival + 1))


def _near(frame: _Frame, fit: _Fit, p: Array, q: Array, axis: int) -> Bool[np.ndarray, "n m"]:
    """Which corners of the two views may belong together: within the fit's band."""
    c = fit.coefficients / 2
    a = frame.terms(p, p) @ c
    b = frame.terms(q, q) @ c
    gap = (q[:, axis] - b)[None, :] - (p[:, axis] + a)[:, None]
    out: Array = np.abs(gap) < fit.band
    return out


def _described(
    image: UInt8[np.ndarray, "h w"],
) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n 256"]]:
    import cv2

    nothing = np.zeros((0, 2), np.float32), np.zeros((0, _BITS), np.float32)
    spots = _corners(image)
    if len(spots) == 0:
        return nothing
    # An angle of 0 makes them upright: two views of a rig differ by a small roll at most.
    keys: Sequence[cv2.KeyPoint] = [cv2.KeyPoint(x, y, 31.0, 0.0) for x, y in spots.tolist()]
    extractor = cv2.ORB.create(nfeatures=len(spots), nlevels=1, edgeThreshold=16, patchSize=31)
    keys, bits = extractor.compute(image, keys)
    if len(keys) == 0:
        return nothing
    signs = np.unpackbits(np.asarray(bits, np.uint8), axis=1).astype(np.float32) * 2 - 1
    return np.array([key.pt for key in keys], np.float32), signs


def _corners(image: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "n 2"]:
    """The strongest corners of every cell: spread out, so that roll and scale are well seen."""
    import cv2

    height, width = image.shape
    if min(height, width) <= 2 * _MARGIN:
        return np.zeros((0, 2), np.float32)
    strength = cv2.cornerMinEigenVal(image, 5, ksize=3)
    peaks = (strength == cv2.dilate(strength, np.ones((5, 5), np.uint8))) & (strength > 1e-5)
    inside = peaks[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    y, x = (axis + _MARGIN for axis in np.nonzero(inside))
    if len(x) == 0:
        return np.zeros((0, 2), np.float32)
    cell = (y // _CELL) * width + x // _CELL
    order = np.lexsort((-strength[y, x], cell))
    cell = cell[order]
    begins = np.r_[True, cell[1:] != cell[:-1]]
    index = np.arange(len(cell))
    rank = index - np.maximum.accumulate(np.where(begins, index, 0))
    chosen = order[rank < _PER_CELL]
    return np.stack([x[chosen], y[chosen]], axis=1).astype(np.float32)


def _best(distance: Float32[np.ndarray, "n m"], ratio: np.float32) -> Shaped[np.ndarray, "k 2"]:
    """Pairs that are each other's nearest, and clearly nearer than the second."""
    if min(distance.shape) < 2:
        return np.zeros((0, 2), np.int64)
    rows = np.arange(len(distance))
    nearest = distance.argmin(axis=1)
    best = distance[rows, nearest]
    others = distance.copy()
    others[rows, nearest] = _NEVER
    second = np.minimum(others.min(axis=1), np.float32(_BITS / 2))
    mutual = np.ascontiguousarray(distance.T).argmin(axis=1)[nearest] == rows
    keep = mutual & (best < 80) & (best < ratio * second)
    return np.stack([rows[keep], nearest[keep]], axis=1)


def _tracked(
    left: Array, right: Array, p: Float32[np.ndarray, "n 2"], q: Float32[np.ndarray, "n 2"]
) -> tuple[Float32[np.ndarray, "k 2"], Float32[np.ndarray, "k 2"]]:
    """The matches refined to a fraction of a pixel; those that do not return are left out."""
    import cv2

    if len(p) == 0:
        return p, q

    def follow(a: Array, b: Array, points: Array, guess: Array) -> tuple[Array, Array]:
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.02)
        found, status, _ = cv2.calcOpticalFlowPyrLK(
            a,
            b,
            points,
            guess.copy(),
            winSize=(15, 15),
            maxLevel=1,
            criteria=stop,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        return np.asarray(found), np.asarray(status)[:, 0] > 0

    start, guess = p[:, None], q[:, None]
    there, seen = follow(left, right, start, guess)
    back, returned = follow(right, left, there, start)
    kept = seen & returned & (np.abs(back - start).max(axis=(1, 2)) < 0.3)
    kept &= np.abs(there - guess).max(axis=(1, 2)) < 4
    return p[kept], there[kept, 0]


def _scaled(points: Array, source: Array, target: Array) -> Float32[np.ndarray, "n 2"]:
    factors = target.shape[1] / source.shape[1], target.shape[0] / source.shape[0]
    return _resized(points, factors).astype(np.float32)


def _resized(points: Array, factors: tuple[float, float]) -> Float64[np.ndarray, "n 2"]:
    """Pixels of an image resized by `factors`: the corner (-0.5, -0.5) stays where it is."""
    out: Array = (points.astype(np.float64) + 0.5) * np.array(factors) - 0.5
    return out
