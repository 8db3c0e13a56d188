"""Matched points of two views that may stand anywhere to each other: SIFT and ORB.

D. Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004 (SIFT and the ratio
test); E. Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Float64, Shaped, UInt8, frozen
from fathom.core.errors import InputError, UsageError, unknown_name
from fathom.core.pair import View

Method = Literal["sift", "orb"]
_PIXELS = 3_000_000  # SIFT keeps some 30 float images of twice the size: 1.5 GB at 3 megapixels
_ORB_SCALE = 1.2  # between the levels of its pyramid
_CELLS = 16  # along the longer side
_BLOCK = 4096  # descriptors compared at a time
_SMALLEST = 16  # pixels of a side; a descriptor covers as many
_FEW = 8  # what a fundamental matrix needs


@dataclass(frozen=True, eq=False)
class Matches:
    """The same points in two views.

    left, right: float64 (n, 2), x and y in pixels. score: (n,), 0..1; 1 minus the ratio of the
    best descriptor distance to the second best, so higher is less ambiguous.

    Raises `InputError` for other shapes or pixels that are not finite.
    """

    left: Float64[np.ndarray, "n 2"]
    right: Float64[np.ndarray, "n 2"]
    score: Float64[np.ndarray, " n"]

    def __post_init__(self) -> None:
        for name, shape in (
            ("left", (len(self.left), 2)),
            ("right", (len(self.left), 2)),
            ("score", (len(self.left),)),
        ):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != shape:
                raise InputError(
                    "has a wrong shape", field=name, value=values.shape, expected=str(shape)
                )
            if not np.isfinite(values).all():
                raise InputError("holds values that are not finite", field=name)
            object.__setattr__(self, name, frozen(values))

    def __len__(self) -> int:
        return len(self.left)

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

    def take(self, kept: Shaped[np.ndarray, " k"]) -> "Matches":
        """The matches of a mask or of indices."""
        return Matches(self.left[kept], self.right[kept], self.score[kept])


def match_features(
    left: View,
    right: View,
    *,
    method: Method = "sift",
    limit: int = 4000,
    ratio: float = 0.8,
    least: int = _FEW,
) -> Matches:
    """Points that two views share: each other's best, clearly better than the second best.

    method: `sift` finds more and stands larger changes of scale; `orb` is several times faster.
    limit: features per view; the strongest of every cell of a grid are taken, so that they cover
    the image. ratio: best distance over second best, below which a match counts (Lowe 2004,
    section 7.1). least: fewer matches than this are an error.

    Images of more than 3 megapixels are matched at that size, at the precision of its pixels.
    16-bit images are stretched to 8 bits (`View.gray8`). The same images give the same matches,
    best score first. Wrong matches remain: what uses them must be robust.

    Raises `UsageError` for an unknown method or numbers out of range, `InputError` if a view has
    hardly any features or the two hardly agree.
    """
    if method not in ("sift", "orb"):
        raise unknown_name("feature method", method, ["sift", "orb"])
    if limit < _FEW:
        raise UsageError("is too few", field="limit", value=limit, expected=f">= {_FEW} features")
    if not 0 < ratio <= 1:
        raise UsageError("is out of range", field="ratio", value=ratio, expected="0 < ratio <= 1")
    small = [_shrunk(view.gray8) for view in (left, right)]
    found = [_features(image, method, limit) for image in small]
    for side, (points, _) in zip(("left", "right"), found, strict=True):
        if len(points) < max(least, 2):
            raise InputError(
                f"shows {len(points)} features in a {method.upper()} search",
                field=f"{side} image",
                expected=f"at least {max(least, 2)}",
                remedy="give an image with more structure, sharper or better lit",
            )
    (p, a), (q, b) = found
    pairs, score = _agreeing(a, b, ratio)
    p, q = p[pairs[:, 0]], q[pairs[:, 1]]
    if method == "orb":
        q = _tracked(small, p, q)
    p, q = _enlarged(p, small[0], left.shape), _enlarged(q, small[1], right.shape)
    matches = _distinct(Matches(p, q, score))
    if len(matches) < least:
        raise InputError(
            f"only {len(matches)} of {min(len(a), len(b))} features match between the images",
            field="matches",
            expected=f"at least {least}",
            remedy="give two views of one scene from nearby places",
        )
    return matches


def _features(
    image: UInt8[np.ndarray, "h w"], method: Method, limit: int
) -> tuple[Float64[np.ndarray, "n 2"], Float32[np.ndarray, "n k"]]:
    """Pixels and unit descriptors; none in an image too small for them."""
    import cv2

    if min(image.shape) < _SMALLEST:  # OpenCV's SIFT does not come back from one pixel
        return np.zeros((0, 2)), np.zeros((0, 1), np.float32)
    detector: Any
    if method == "sift":
        # Without the precise upscale OpenCV's positions are a quarter of a pixel off.
        detector = cv2.SIFT.create(contrastThreshold=0.02, enable_precise_upscale=True)
    else:
        detector = cv2.ORB.create(max(3 * limit, 2000), _ORB_SCALE, fastThreshold=7)
    keys = detector.detect(image, None)
    kept = _spread(keys, image.shape, limit)
    keys, described = detector.compute(image, [keys[i] for i in kept])
    if len(keys) == 0:
        return np.zeros((0, 2)), np.zeros((0, 1), np.float32)
    points = np.array([key.pt for key in keys], np.float64)
    if method == "orb":
        # OpenCV multiplies a level's pixels by its scale, and forgets that (-0.5, -0.5) stays.
        octave = np.array([[key.octave] for key in keys])
        points += (np.float64(_ORB_SCALE) ** octave - 1) / 2
    return points, _unit(np.asarray(described), method)


def _enlarged(points: Array, small: Array, shape: tuple[int, int]) -> Float64[np.ndarray, "n 2"]:
    """Pixels of the full image of `shape`; the corner (-0.5, -0.5) stays where it is."""
    factors = np.array(shape[::-1]) / np.array(small.shape[::-1])
    out: Array = (points + 0.5) * factors - 0.5
    return out


def _tracked(images: list[Array], p: Array, q: Array) -> Float64[np.ndarray, "n 2"]:
    """ORB's whole pixels made finer: q moved to where the patch around p fits best.

    B. Lucas and T. Kanade, IJCAI 1981. A point that strays by over 2 pixels, or does not lead back
    (patches turned against each other), stays where it was.
    """
    import cv2

    if len(p) == 0:
        return q
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 0.01)

    def follow(a: Array, b: Array, points: Array, guess: Array) -> tuple[Array, Array]:
        there, seen, _ = cv2.calcOpticalFlowPyrLK(
            a,
            b,
            points,
            guess.copy(),
            winSize=(15, 15),
            maxLevel=0,
            criteria=stop,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        return np.asarray(there), np.asarray(seen)[:, 0] > 0

    start, guess = (x.astype(np.float32)[:, None] for x in (p, q))
    there, seen = follow(images[0], images[1], start, guess)
    back, returned = follow(images[1], images[0], there, start)
    good = seen & returned & (np.abs(there - guess).max(axis=(1, 2)) < 2)
    good &= np.abs(back - start).max(axis=(1, 2)) < 0.3
    return np.where(good[:, None], there[:, 0].astype(np.float64), q)


def _shrunk(grey: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "a b"]:
    import cv2

    factor = (_PIXELS / grey.size) ** 0.5
    if factor >= 1:
        return np.ascontiguousarray(grey)
    size = max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _spread(keys: Any, shape: tuple[int, int], limit: int) -> Array:
    """Indices of up to `limit` keypoints: the best of every cell, then the second best, ..."""
    if len(keys) == 0:
        return np.zeros(0, np.intp)
    points = np.array([key.pt for key in keys])
    strength = np.array([key.response for key in keys])
    side = max(shape) / _CELLS
    cell = (points[:, 1] // side).astype(np.intp) * 1000 + (points[:, 0] // side).astype(np.intp)
    # Ties by place: OpenCV's own order depends on its threads.
    order = np.lexsort((points[:, 0], points[:, 1], -strength, cell))
    begins = np.r_[True, np.diff(cell[order]) != 0]
    index = np.arange(len(order))
    rank = index - np.maximum.accumulate(np.where(begins, index, 0))
    best = np.lexsort((points[order, 0], points[order, 1], -strength[order], rank))
    return np.asarray(order[best[:limit]])


def _unit(described: Array, method: Method) -> Float32[np.ndarray, "n k"]:
    """Descriptors of length 1, whose scalar product tells their distance.

    SIFT's are compared by the square root of their parts (R. Arandjelovic and A. Zisserman, "Three
    things everyone should know to improve object retrieval", CVPR 2012); ORB's bits become -1, 1.
    """
    if method == "orb":
        signs = np.unpackbits(described.astype(np.uint8), axis=1).astype(np.float32) * 2 - 1
        return signs / np.float32(np.sqrt(signs.shape[1]))
    values = described.astype(np.float32)
    total = np.maximum(values.sum(axis=1, keepdims=True), np.float32(1e-6))
    return np.asarray(np.sqrt(values / total))


def _agreeing(
    a: Float32[np.ndarray, "n k"], b: Float32[np.ndarray, "m k"], ratio: float
) -> tuple[Shaped[np.ndarray, "p 2"], Float64[np.ndarray, " p"]]:
    """Index pairs that are each other's nearest and pass the ratio test both ways, and scores."""
    (nearest, first, second), (back, _, other) = _two_nearest(a, b), _two_nearest(b, a)
    mutual = back[nearest] == np.arange(len(a))
    share = first / np.maximum(np.minimum(second, other[nearest]), 1e-9)
    kept = np.nonzero(mutual & (share < ratio))[0]
    kept = kept[np.argsort(share[kept], kind="stable")]
    return np.stack([kept, nearest[kept]], axis=1), 1 - share[kept].astype(np.float64)


def _two_nearest(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """Of every row of a: the nearest row of b, its distance and that of the second nearest."""
    nearest, first, second = [], [], []
    for start in range(0, len(a), _BLOCK):
        closeness = a[start : start + _BLOCK] @ b.T
        rows = np.arange(len(closeness))
        best = closeness.argmax(axis=1)
        first.append(closeness[rows, best])
        closeness[rows, best] = -np.inf
        second.append(closeness.max(axis=1))
        nearest.append(best)
    # Unit vectors: |a - b|^2 = 2 - 2 a.b
    distances = [np.sqrt(np.maximum(2 - 2 * np.concatenate(c), 0)) for c in (first, second)]
    return np.concatenate(nearest), distances[0], distances[1]


def _distinct(matches: Matches) -> Matches:
    """Without the repetitions of one point: SIFT describes a corner once a direction."""
    place = np.rint(np.concatenate([matches.left, matches.right], axis=1) * 2).astype(np.int64)
    _, first = np.unique(place, axis=0, return_index=True)
    return matches.take(np.sort(first))


def within(matches: Matches, size: tuple[int, int], margin: float = 0.0) -> Bool[np.ndarray, " n"]:
    """True where both points lie inside images of `size` (width, height), `margin` pixels in."""
    high = np.array(size) - 0.5 - margin
    points = np.stack([matches.left, matches.right])
    inside = (points >= margin - 0.5) & (points <= high)
    return np.asarray(inside.all(axis=(0, 2)))
