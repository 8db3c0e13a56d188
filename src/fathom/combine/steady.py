"""Holding the maps of a video steady: one scale and shift over time, and smoothing along the flow.

A model that sees single frames gives each its own scale and shift, or at least a slightly other
one: the video flickers. Where camera and scene stand still, the true map does not change, so each
frame is fitted to the frame before it, as it was held (`held`). Where the camera moves, everything
changes a little and rightly so: then the pixels that the optical flow connects are fitted, and the
correction leaks away, so that jitter from frame to frame is taken out and a slow change stays.
All are pure functions; `Hold` is what one frame hands to the next.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Float64, UInt8
from fathom.core.maps import Depth, RelativeDepth

Motion = Literal["first", "static", "moving", "cut", "unsure"]
_FLOW_SIDE = 448  # the flow is sought in frames reduced to this side: it need not be sharp
_STILL = 0.4  # pixels of the reduced frame that count as no motion
_STATIC_SHARE = 0.25  # of the pixels, from which on the camera is taken to stand
_CUT_SHARE = 0.15  # of pixels with a consistent flow, below which the scene has changed
_LEAK = 0.1  # of a moving camera's correction that is let go with each frame
_MOST = 20_000
_ROUNDS = 20
_HUBER = 1.345
SMOOTH_SHARE = 0.5
"""Weight of the frame before in `smoothed`."""


@dataclass(frozen=True, eq=False)
class Flow:
    """From each pixel of the frame now to where it was before.

    offset: float32 (h, w, 2), x and y in pixels. good: bool (h, w), the flow back agrees.
    still: bool (h, w), good, and nothing moved or changed.
    """

    offset: Float32[np.ndarray, "h w 2"]
    good: Bool[np.ndarray, "h w"]
    still: Bool[np.ndarray, "h w"]


class Line(NamedTuple):
    """y = scale v + shift."""

    scale: float
    shift: float

    def __call__(self, values: Array) -> Array:
        out: Array = (values.astype(np.float64) * self.scale + self.shift).astype(np.float32)
        return out


SAME = Line(1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Hold:
    """A frame that was held. values: float32 (h, w), in the unit of the first frame. gray: the
    frame, uint8. line: what the model's values were multiplied and shifted by. motion: what was
    seen between it and the frame before."""

    values: Float32[np.ndarray, "h w"]
    gray: UInt8[np.ndarray, "h w"]
    line: Line = SAME
    motion: Motion = "first"


def flow_between(before: UInt8[np.ndarray, "h w"], now: UInt8[np.ndarray, "h w"]) -> Flow:
    """Dense flow of frame `now` back to frame `before`, checked forward and backward.

    OpenCV's dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
    ECCV 2016) on frames reduced to 448 pixels. A pixel is good if both flows cancel:
    |w + w'|^2 < 0.01 (|w|^2 + |w'|^2) + 0.5 (Sundaram et al., ECCV 2010, eq. 5).
    """
    import cv2

    height, width = now.shape
    factor = min(1.0, _FLOW_SIDE / max(height, width))
    small = (max(16, round(width * factor)), max(16, round(height * factor)))
    first, second = (_resized(frame, small) for frame in (before, now))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    back = np.asarray(search.calc(second, first, np.zeros((*small[::-1], 2), np.float32)))
    forth = np.asarray(search.calc(first, second, np.zeros((*small[::-1], 2), np.float32)))
    returned = _read_at(forth, back)
    cancel = ((back + returned) ** 2).sum(axis=-1)
    length = (back**2).sum(axis=-1) + (returned**2).sum(axis=-1)
    good = (cancel < 0.01 * length + 0.5) & _inside(back)
    change = np.abs(first.astype(np.int16) - second.astype(np.int16))
    limit = 3 * max(2.0, float(np.median(change)))
    still = good & ((back**2).sum(axis=-1) < _STILL**2) & (change <= limit)
    offset = cv2.resize(back, (width, height), interpolation=cv2.INTER_LINEAR)
    offset = offset * np.array([width / small[0], height / small[1]], np.float32)
    masks = (
        cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        for mask in (good, still)
    )
    flow_good, flow_still = masks
    return Flow(offset.astype(np.float32), flow_good & _inside(offset), flow_still)


def warped(values: Float32[np.ndarray, "h w"], flow: Flow) -> Float32[np.ndarray, "h w"]:
    """The map of the frame before, as seen in the frame now; NaN where the flow is not good."""
    moved = _read_at(values[..., None], flow.offset)[..., 0]
    return np.where(flow.good, moved, np.float32(np.nan)).astype(np.float32)


def held(
    answer: RelativeDepth | Depth, gray: UInt8[np.ndarray, "h w"], before: Hold | None
) -> tuple[RelativeDepth | Depth, Hold, Flow | None]:
    """The frame's map in the unit of the frames before it, what to hand on, and the flow.

    answer: what the model says; a `Depth` and one known up to scale are multiplied only. before:
    None for the first frame, which stays as it is. A cut (hardly any flow is consistent) begins
    anew. Where nothing can be fitted the last correction stays ("unsure").
    """
    if before is None or before.gray.shape != gray.shape:
        return answer, Hold(answer.values, gray), None
    flow = flow_between(before.gray, gray)
    if float(flow.good.mean()) < _CUT_SHARE:
        return answer, Hold(answer.values, gray, SAME, "cut"), flow
    only_scale = isinstance(answer, Depth) or answer.ambiguity == "scale"
    standing = float(flow.still.mean()) >= _STATIC_SHARE
    was = before.values if standing else warped(before.values, flow)
    here = flow.still if standing else flow.good
    line = fitted_line(answer.values[here], was[here], only_scale)
    motion: Motion = "static" if standing else "moving"
    if line is None or not 0.05 < line.scale < 20:
        line, motion = before.line, "unsure"
    elif not standing:
        line = Line(line.scale ** (1 - _LEAK), (1 - _LEAK) * line.shift)
    found = _changed(answer, line)
    return found, Hold(found.values, gray, line, motion), flow


def smoothed(
    now: RelativeDepth | Depth, before: Hold, flow: Flow, share: float = SMOOTH_SHARE
) -> RelativeDepth | Depth:
    """The map mixed with the one before it, moved along the flow, where both agree.

    share: weight of the frame before, 0..1. Its map is first brought to the scale (and shift) of
    the one now, so a model's flicker is not mixed in. They agree where the flow is good and the
    difference is at most three robust deviations of all differences: at an edge that the flow
    misses, the map of now stays. What alone comes nearer lags by up to share / (1 - share) frames.
    """
    moved = warped(before.values, flow)
    only_scale = isinstance(now, Depth) or now.ambiguity == "scale"
    line = fitted_line(moved.ravel(), now.values.ravel(), only_scale)
    away = (moved if line is None else line(moved)) - now.values
    known = away[np.isfinite(away)]
    if known.size == 0:
        return now
    middle = float(np.median(known))
    limit = 3 * 1.4826 * float(np.median(np.abs(known - middle)))
    with np.errstate(invalid="ignore"):
        agree = np.abs(away - np.float32(middle)) <= limit
    mixed = np.where(agree, now.values + np.float32(share) * away, now.values)
    return replace(now, values=mixed.astype(np.float32))


def fitted_line(
    values: Float32[np.ndarray, " n"], target: Float32[np.ndarray, " n"], only_scale: bool
) -> Line | None:
    """Scale (and shift) that bring `values` onto `target`, by Huber's law from medians.

    Both NaN where unknown. None for fewer than 20 known pairs, constant values, or a scale that is
    not above 0.
    """
    known = np.isfinite(values) & np.isfinite(target)
    if only_scale:
        known &= (values > 0) & (target > 0)
    at = np.flatnonzero(known)
    if at.size < 20:
        return None
    at = at[np.linspace(0, at.size - 1, min(at.size, _MOST)).astype(int)]
    v, y = values[at].astype(np.float64), target[at].astype(np.float64)
    if only_scale:
        return Line(float(np.exp(np.median(np.log(y) - np.log(v)))), 0.0)
    centre, spread = np.median(v), np.median(np.abs(v - np.median(v)))
    if spread <= 1e-9 * max(float(np.abs(v).max()), 1e-30):
        return None
    scale = float(np.median(np.abs(y - np.median(y))) / spread)
    line = Line(scale, float(np.median(y) - scale * centre))
    for _ in range(_ROUNDS):
        found = _weighted(v, y, line)
        if found is None:
            break
        done = abs(found.scale - line.scale) <= 1e-9 * abs(found.scale)
        line = found
        if done:
            break
    return line if line.scale > 0 else None


def _weighted(
    v: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"], line: Line
) -> Line | None:
    """One step of reweighted least squares; what lies beyond 4 deviations is something else."""
    away = np.abs(y - line.scale * v - line.shift)
    spread = max(1.4826 * float(np.median(away)), 1e-9 * float(np.abs(y).max() + 1e-30))
    weight = np.minimum(1.0, _HUBER * spread / np.maximum(away, 1e-300))
    weight[away > 4 * spread] = 0
    total = weight.sum()
    if total <= 0:
        return None
    centre, level = (weight @ v) / total, (weight @ y) / total
    lean = float(weight @ (v - centre) ** 2)
    if lean <= 0:
        return None
    scale = float((weight * (v - centre)) @ (y - level)) / lean
    return Line(scale, float(level - scale * centre))


def _changed(answer: RelativeDepth | Depth, line: Line) -> RelativeDepth | Depth:
    values = line(answer.values)
    if isinstance(answer, Depth) and answer.sigma is not None:
        return replace(answer, values=values, sigma=line.scale * answer.sigma)
    return replace(answer, values=values)


def _resized(frame: Array, size: tuple[int, int]) -> Array:
    import cv2

    out: Array = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)
    return out


def _read_at(field: Array, offset: Array) -> Array:
    """`field` (h, w, c) read at each pixel plus its offset, between pixels linearly."""
    import cv2

    height, width = offset.shape[:2]
    x = np.arange(width, dtype=np.float32) + offset[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + offset[..., 1]
    out: Array = cv2.remap(
        np.ascontiguousarray(field), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return out.reshape(height, width, -1)


def _inside(offset: Array) -> Array:
    height, width = offset.shape[:2]
    x = np.arange(width) + offset[..., 0]
    y = np.arange(height)[:, None] + offset[..., 1]
    inside: Array = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return inside
