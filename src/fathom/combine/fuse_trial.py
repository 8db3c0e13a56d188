"""Stereo's own filling and an aligned monocular map, tried where the answer is known.

Squares of sure pixels are hidden, in a chessboard and then in its negative, of two sizes: one for
the middling and one for the deepest pixels of the holes. What is put there from outside is compared
with what was hidden.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fathom.classical.fill import fill
from fathom.core.arrays import Array, Bool, Float32
from fathom.core.errors import InputError
from fathom.core.maps import Disparity

MOST = 3.0
"""Errors above this many pixels count as this: a miss is a miss."""
_REGION = 0.08
"""Standard deviation of the window in which errors are averaged, as a share of the width."""
_PRIOR = 0.15
"""The image's mean counts as so much of a window of hidden pixels."""
_STEP = 8
_SMALLEST = 8
_DEPTHS = (0.5, 0.95)
"""Quantiles of the distances from holes' pixels to sure ones; squares are three times as wide."""
_BESIDE, _EDGE = 9, 3.0
"""Where disparity differs by more than 3 px within 9x9 pixels, there is an edge: what is found on
smooth surfaces says nothing of the holes beside edges, so both are kept apart."""
_FEW = 64
"""Hidden pixels of a kind below which nothing is known of it."""
_HOPELESS = 1.5
"""A map that is so many times worse than stereo's filling is better in places by chance alone."""
_WORST = (0.0, MOST, 0.0)
"""What is said in both cases: nothing against stereo, nothing for the monocular map."""
Align = Callable[[Bool[np.ndarray, "h w"]], tuple[Float32[np.ndarray, "h w"], object]]


@dataclass(frozen=True, eq=False)
class Trial:
    """Of every pixel: stereo, mono: expected error of stereo's filling and of the monocular map, in
    pixels, at most `MOST`. trust: P(error <= 1 px) of the monocular map, 0..1. stereo_mean,
    mono_mean: over all hidden pixels."""

    stereo: Float32[np.ndarray, "h w"]
    mono: Float32[np.ndarray, "h w"]
    trust: Float32[np.ndarray, "h w"]
    stereo_mean: float
    mono_mean: float


def trial(base: Disparity, kept: Bool[np.ndarray, "h w"], aligned: Align) -> Trial:
    """base: the filled map. kept: its sure pixels; there must be others. aligned: the monocular
    map, aligned to the given pixels.

    Raises `InputError` if the alignment is refused, or no pixel can be hidden.
    """
    import cv2

    height, width = kept.shape
    depth = cv2.distanceTransform((~kept).astype(np.uint8), cv2.DIST_L2, 3)
    depths = [float(q) for q in np.quantile(depth[~kept], _DEPTHS)]
    largest = max(_SMALLEST, min(height, width) // 3)
    sides = [int(np.clip(3 * d, _SMALLEST, largest)) for d in depths]
    tried = [_hidden(base, kept, aligned, side) for side in dict.fromkeys(sides)]
    rough = _beside_edges(base.values)
    deep = depth > depths[0]
    chosen = np.zeros((3, height, width), np.float32)
    for alike in (rough, ~rough):
        maps = [_expected(errors, held & alike) for errors, held in tried]
        chosen[:, alike] = np.where(deep, maps[-1], maps[0])[:, alike]
    errors, held = tried[-1]
    means = [float(e[held].mean()) for e in errors[:2]]
    return Trial(chosen[0], chosen[1], np.clip(chosen[2], 0, 1), means[0], means[1])


def _beside_edges(values: Float32[np.ndarray, "h w"]) -> Array:
    """True where disparity steps within a few pixels."""
    import cv2

    window = np.ones((_BESIDE, _BESIDE), np.uint8)
    out: Array = cv2.morphologyEx(values, cv2.MORPH_GRADIENT, window) > np.float32(_EDGE)
    return out


def _hidden(
    base: Disparity, kept: Array, aligned: Align, side: int
) -> tuple[Float32[np.ndarray, "3 h w"], Array]:
    """Errors of stereo's filling and of the monocular map, whether the latter is within 1 px, and
    where these were found."""
    rows, columns = np.indices(kept.shape)
    chess = (rows // side + columns // side) % 2 == 0
    errors = np.zeros((3, *kept.shape), np.float32)
    held = np.zeros(kept.shape, bool)
    for hidden in (chess, ~chess):
        rest = kept & ~hidden
        if not rest.any():
            continue
        values, _ = aligned(rest)
        own = fill(Disparity(np.where(rest, base.values, np.float32(np.nan)), range=base.range))
        here = kept & hidden
        off = [np.abs(v - base.values)[here] for v in (own.values, values)]
        off[1] = np.nan_to_num(off[1], nan=MOST)
        errors[0, here], errors[1, here] = (np.minimum(o, MOST) for o in off)
        errors[2, here] = off[1] <= 1
        held |= here
    if not held.any():
        raise InputError("no sure match can be hidden and tried", field="stereo")
    return errors, held


def _expected(errors: Float32[np.ndarray, "3 h w"], held: Bool[np.ndarray, "h w"]) -> Array:
    """What is to be expected of every pixel that is like the `held` ones."""
    if int(held.sum()) < _FEW or errors[1][held].mean() > _HOPELESS * errors[0][held].mean():
        return np.broadcast_to(np.array(_WORST, np.float32)[:, None, None], errors.shape)
    return np.stack([_around(e, held) for e in errors])


def _around(errors: Float32[np.ndarray, "h w"], held: Bool[np.ndarray, "h w"]) -> Array:
    """The errors averaged around every pixel, drawn to their mean where few were found."""
    import cv2

    height, width = errors.shape
    small = (max(1, width // _STEP), max(1, height // _STEP))
    sigma = max(1.0, _REGION * width / _STEP)
    total, mass = (
        cv2.GaussianBlur(
            cv2.resize(a.astype(np.float32), small, interpolation=cv2.INTER_AREA), (0, 0), sigma
        )
        for a in (np.where(held, errors, 0), held)
    )
    mean = np.float32(errors[held].mean())
    found = (total + _PRIOR * mean) / (mass + np.float32(_PRIOR))
    out: Array = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)
    return out
