"""Where a method fails: regions of an image, computed from the image and its truth.

Each function gives a bool mask of the left view. Regions overlap and do not cover the image. The
thresholds are for 8-bit grey and for disparities in pixels, and stand in the docstrings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fathom.classical.parallel import run_blocks, thread_count
from fathom.core.arrays import Array, Bool, Float32, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.sample import StereoSample
from fathom.eval.boundaries import depth_edges, window_extremes
from fathom.eval.metrics import require_same_size

Mask = Bool[np.ndarray, "h w"]
Map = Float32[np.ndarray, "h w"]
Grey = UInt8[np.ndarray, "h w"]
COMPUTED = (
    *("edges", "textureless", "repetitive", "bright", "dark"),
    *("thin", "occluded", "near", "far"),
)
FROM_MASKS = ("reflective", "transparent", "moving", "shadow")
_WINDOW = 7
_BAND_PIXELS = 1 << 16
_PEAK = np.float32(1e-3)
"""By how much a correlation must exceed its neighbours: a ramp is like itself at every shift."""


def regions(sample: StereoSample) -> dict[str, Array]:
    """All regions of a sample by name: those computed, and those its masks tell of.

    Raises `InputError` if the sample has no truth.
    """
    if sample.truth is None:
        raise InputError("has no truth to find regions by", field=f"sample {sample.name}".strip())
    truth, grey = sample.truth.values, sample.pair.left.gray8
    near, far = near_and_far(truth)
    nonocc = sample.masks.get("nonocc")
    hidden = occluded(truth) if nonocc is None else ~nonocc & ~np.isnan(truth)
    found: dict[str, Array] = {
        "edges": depth_edges(truth, 2.0, 9),
        "textureless": textureless(grey),
        "repetitive": repetitive(grey),
        "bright": bright(grey),
        "dark": dark(grey),
        "thin": thin(truth),
        "occluded": hidden,
        "near": near,
        "far": far,
    }
    return found | {name: sample.masks[name] for name in FROM_MASKS if name in sample.masks}


def textureless(grey: Grey, side: int = 3, threshold: float = 4.0) -> Mask:
    """Windows of side x side whose mean squared horizontal gradient is below `threshold`.

    Scharstein and Szeliski, IJCV 2002, section 5.1 (eval_textureless_width 3, _thresh 4.0).
    """
    import cv2

    gradient = np.zeros(grey.shape, np.float32)
    gradient[:, 1:] = np.diff(grey.astype(np.float32), axis=1)
    square = gradient * gradient
    if grey.shape[1] > 1:
        square[:, 0] = square[:, 1]
    mean = cv2.blur(square, (side, side), borderType=cv2.BORDER_REPLICATE)
    flat: Array = mean < threshold
    return flat


def repetitive(grey: Grey, first: int = 4, last: int | None = None, alike: float = 0.95) -> Mask:
    """Textured pixels whose 7x7 window is met again along the row, `first`..`last` pixels away.

    Alike: a zero-mean correlation of at least 0.95 at a shift where it has a peak (the neighbouring
    shifts are less alike), to either side. last: None takes an eighth of the width, at most 96.
    Matching costs have more than one minimum there.
    """
    height, width = grey.shape
    last = min(max(width // 8, first + 1), 96) if last is None else last
    found: Array = np.zeros(grey.shape, dtype=np.bool_)
    pad = _WINDOW // 2
    # Bands of rows: what belongs to one stays in the processor's cache, and threads share them.
    band = max(_WINDOW, _BAND_PIXELS // width)

    def do(i: int) -> None:
        top = i * band
        low, high = max(0, top - pad), min(height, top + band + pad)
        again = _met_again(grey[low:high], first, last, np.float32(alike))
        found[top : top + band] = again[top - low : top - low + band]

    run_blocks(do, -(-height // band), thread_count(None))
    found &= ~textureless(grey, _WINDOW)
    return found


def _met_again(grey: Grey, first: int, last: int, alike: np.float32) -> Mask:
    """`repetitive` of some rows; the upper and lower three are not those of the whole image."""
    import cv2

    width, side, pad = grey.shape[1], (_WINDOW, _WINDOW), _WINDOW // 2
    values = grey.astype(np.uint16)  # products and their sums stay whole numbers

    def window_mean(products: Array, out: Array | None = None) -> Array:
        mean: Array = cv2.boxFilter(products, cv2.CV_32F, side, dst=out)
        return mean

    mean = window_mean(values)
    spread = np.maximum(window_mean(values * values) - mean * mean, 0)
    found: Array = np.zeros(values.shape, dtype=np.bool_)
    product, work = np.empty_like(values), np.empty_like(mean)
    ring = np.empty((3, *mean.shape), np.float32)  # the correlations of the last three shifts
    for i, shift in enumerate(range(first - 1, min(last, width - _WINDOW) + 2)):
        size = width - shift
        a, b, here = np.s_[:, shift:], np.s_[:, :size], np.s_[:, :size]
        now = window_mean(np.multiply(values[a], values[b], out=product[here]), ring[i % 3][here])
        now -= np.multiply(mean[a], mean[b], out=work[here])
        scale = np.multiply(spread[a], spread[b], out=work[here])
        scale += np.float32(16)
        now /= np.sqrt(scale, out=scale)
        # Windows that leave either image mix in pixels that the other one does not have.
        now[:, :pad] = now[:, size - pad :] = -1
        if i < 2:
            continue
        # The three share their left ends; the peak is that of the middle shift.
        less, peak, more = (ring[(i + k) % 3][here] for k in (1, 2, 3))
        met = peak >= alike
        if met.any():
            peak = np.subtract(peak, _PEAK, out=work[here])
            met &= peak > less
            met &= peak > more
            found[here] |= met
            found[:, shift - 1 : shift - 1 + size] |= met
    return found


def bright(grey: Grey, level: int = 240) -> Mask:
    """Grey levels of at least 240 of 255: over-exposed, glare, sky."""
    mask: Array = grey >= level
    return mask


def dark(grey: Grey, level: int = 16) -> Mask:
    """Grey levels of at most 16 of 255: noise is most of what is there."""
    mask: Array = grey <= level
    return mask


def thin(truth: Map, width: int = 7, step: float = 2.0) -> Mask:
    """Foreground narrower than `width` pixels that stands out by more than `step` pixels.

    truth: disparity, NaN unknown. What a morphological opening (the smallest, then the largest
    value of a width x width window) takes away: poles, wires, twigs.
    """
    low, _ = window_extremes(truth, width)
    _, opened = window_extremes(np.where(np.isfinite(low), low, np.nan).astype(np.float32), width)
    with np.errstate(invalid="ignore", over="ignore"):
        mask: Array = (truth - opened > step) & np.isfinite(opened)
    return mask


def occluded(truth: Map, tolerance: float = 1.0) -> Mask:
    """Pixels that the right camera cannot see: outside its image, or behind a nearer one.

    truth: disparity of the left view, NaN unknown (not marked). A pixel is hidden if another of
    its row falls on the same pixel of the right image with a disparity larger by more than
    `tolerance`. What is hidden by something without truth is missed.
    """
    height, width = truth.shape
    y, x = np.nonzero(~np.isnan(truth))
    d = truth[y, x]
    target = np.rint(x - d).astype(np.intp)
    inside = (target >= 0) & (target < width)
    nearest = np.full(height * width, -np.inf, np.float32)
    cell = y[inside] * width + target[inside]
    np.maximum.at(nearest, cell, d[inside])
    hidden = ~inside
    hidden[inside] = d[inside] < nearest[cell] - np.float32(tolerance)
    mask = np.zeros(truth.shape, dtype=np.bool_)
    mask[y, x] = hidden
    return mask


def near_and_far(truth: Map, share: float = 0.25) -> tuple[Mask, Mask]:
    """The nearest and the farthest quarter of the pixels with truth (largest, smallest disparity).

    Both are empty if all disparities are equal.

    Raises `UsageError` for a share outside 0..0.5.
    """
    if not 0 < share <= 0.5:
        raise UsageError("is out of range", field="share", value=share, expected="0 < share <= 0.5")
    known = truth[~np.isnan(truth)]
    if known.size == 0:
        nothing = np.zeros(truth.shape, dtype=np.bool_)
        return nothing, nothing
    low, high = np.quantile(known, (share, 1 - share))
    return (truth >= high) & (truth > low), (truth <= low) & (truth < high)


def with_visible(sample: StereoSample) -> StereoSample:
    """The sample with a mask `nonocc` computed from its truth, if it has none.

    Raises `InputError` if the sample has no truth.
    """
    if "nonocc" in sample.masks:
        return sample
    if sample.truth is None:
        raise InputError("has no truth to compute nonocc by", field=f"sample {sample.name}".strip())
    visible = sample.truth.known & ~occluded(sample.truth.values)
    return replace(sample, masks={**sample.masks, "nonocc": visible})


@dataclass(frozen=True)
class RegionError:
    """How a map does in one region.

    name: of the region. pixels: with truth in it; share: of all pixels with truth. bad: share 0..1
    of them that are wrong by more than the threshold or unknown; epe: mean error in pixels of the
    known ones; known: their share. All NaN for an empty region.
    """

    name: str
    pixels: int
    share: float
    bad: float
    epe: float
    known: float


def region_errors(
    estimate: Disparity, truth: Disparity, found: Mapping[str, Array], threshold: float = 2.0
) -> tuple[RegionError, ...]:
    """The error in every region, `all` first. Protocol: all pixels with truth, unknown = wrong.

    Raises `InputError` for maps or regions of different size.
    """
    require_same_size(estimate.shape, truth.shape)
    error = np.abs(estimate.values - truth.values)
    wrong = ~(error <= threshold)
    judged = truth.known
    total = max(int(np.count_nonzero(judged)), 1)
    rows = []
    for name, mask in {"all": judged, **found}.items():
        if mask.shape != judged.shape:
            raise InputError(
                "differs in size from the truth",
                field=f"region {name}",
                value=mask.shape,
                expected=str(judged.shape),
            )
        at = np.flatnonzero(mask & judged)
        errors = error.reshape(-1)[at]
        known = errors[~np.isnan(errors)]
        count = at.size
        nan = float("nan")
        rows.append(
            RegionError(
                name,
                count,
                count / total,
                float(wrong.reshape(-1)[at].mean()) if count else nan,
                float(known.mean(dtype=np.float64)) if known.size else nan,
                known.size / count if count else nan,
            )
        )
    return tuple(rows)


@dataclass(frozen=True)
class Box:
    """A window of the image: top-left pixel x, y, its size, and the share 0..1 that is wrong."""

    x: int
    y: int
    width: int
    height: int
    bad: float


def worst_boxes(
    estimate: Disparity,
    truth: Disparity,
    *,
    threshold: float = 2.0,
    count: int = 3,
    side: int | None = None,
) -> tuple[Box, ...]:
    """Up to `count` square windows with the most wrong pixels, worst first, not overlapping.

    Wrong: off by more than `threshold` pixels or unknown, where there is truth. side: in pixels;
    None takes an eighth of the image's smaller side, at least 16. Windows without a wrong pixel
    are not given. `bad` is of the pixels with truth.

    Raises `InputError` for maps of different size, `UsageError` for a side or count below 1.
    """
    import cv2

    require_same_size(estimate.shape, truth.shape)
    for name, value in (("count", count), ("side", 1 if side is None else side)):
        if value < 1:
            raise UsageError("is below 1", field=name, value=value, expected="1 or more")
    height, width = truth.shape
    side = min(max(16, min(height, width) // 8) if side is None else side, height, width)
    judged = truth.known
    wrong = judged & ~(np.abs(estimate.values - truth.values) <= threshold)
    tables = [cv2.integral(m.astype(np.uint8), sdepth=cv2.CV_64F) for m in (wrong, judged)]
    totals = [
        t[side:, side:] - t[:-side, side:] - t[side:, :-side] + t[:-side, :-side] for t in tables
    ]
    left = totals[0].copy()
    boxes: list[Box] = []
    while len(boxes) < count:
        y, x = (int(i) for i in np.unravel_index(int(left.argmax()), left.shape))
        if left[y, x] <= 0:
            break
        boxes.append(Box(x, y, side, side, float(totals[0][y, x] / totals[1][y, x])))
        left[max(0, y - side + 1) : y + side, max(0, x - side + 1) : x + side] = 0
    return tuple(boxes)
