"""Procedural textures: square pictures of many kinds, with the coarser levels kernels read."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fathom.core.arrays import Array, Float32, UInt16
from fathom.data.scenes.noise import Rng, contrasted, log_uniform, one_of, spectral
from fathom.data.scenes.patterns import PATTERNS
from fathom.data.scenes.photos import free_photos, photo, photos_of

KINDS = {
    "noise": 1.6, "clouds": 0.8, "grain": 0.8, "brushed": 0.6, "marble": 0.7, "camouflage": 0.6,
    "leaves": 1.2, "shapes": 1.0, "photo": 2.6, "gradient": 0.3, "cells": 0.5, "speckle": 0.5,
    "bricks": 0.5, "checks": 0.35, "stripes": 0.4, "dots": 0.4, "wood": 0.6, "text": 0.7,
    "windows": 0.5, "plaid": 0.4, "weave": 0.35, "rings": 0.25, "planks": 0.4, "tiles": 0.4,
    "scratches": 0.4, "hexagons": 0.25, "barcode": 0.25,
}  # fmt: skip
"""Kinds and how often each is taken. Photographs include the user's."""
REPEATING = ("bricks", "checks", "stripes", "dots", "weave", "tiles", "windows", "hexagons",
             "plaid")  # fmt: skip
"""Those that repeat themselves."""


def texture(
    rng: Rng, side: int, kind: str | None = None, photos: Path | None = None
) -> Float32[np.ndarray, "side side 3"]:
    """A square colour picture in 0..1, display values. kind: one of `KINDS`, default by chance."""
    kind = kind or one_of(rng, KINDS)
    if kind == "photo":
        found = _photo(rng, side, photos)
        if found is not None:
            return found
        kind = "leaves"
    made = _GRAY[kind](rng, side) if kind in _GRAY else PATTERNS[kind](rng, side)
    if made.ndim == 2:
        return _toned(rng, made)
    out: Array = np.clip(made, 0, 1).astype(np.float32)
    return out


def packed(picture: Float32[np.ndarray, "side side 3"]) -> UInt16[np.ndarray, " n"]:
    """All levels of a texture, finest first, linear in light (the square of display values), as
    the kernels take them. side: a power of two."""
    import cv2

    level: Array = np.ascontiguousarray(picture * picture, dtype=np.float32)
    levels = []
    while True:
        levels.append((level * np.float32(65535) + np.float32(0.5)).astype(np.uint16).ravel())
        side = level.shape[0] // 2
        if side == 0:
            return np.concatenate(levels)
        level = cv2.resize(level, (side, side), interpolation=cv2.INTER_AREA)


def color(rng: Rng) -> Array:
    """A colour (3,) in 0..1: most that there are in the world are dull."""
    value = rng.uniform(0.05, 1.0)
    vividness = rng.beta(1.1, 2.8)
    hue = rng.random() * 6
    wheel = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    out: Array = (value * (1 - vividness + vividness * wheel)).astype(np.float32)
    return out


def _toned(rng: Rng, gray: Array) -> Array:
    """Colours for a grey picture: along a ramp of two to five colours."""
    count = int(rng.choice([2, 2, 2, 3, 4, 5]))
    stops = np.stack([color(rng) for _ in range(count)])
    if np.ptp(stops.mean(1)) < 0.25:  # too alike: only two of them apart in brightness
        stops[0] *= np.float32(0.35)
        stops[-1] = 1 - (1 - stops[-1]) * np.float32(0.5)
    stops = np.clip(stops, 0, 1)
    table = np.empty((256, 3), np.float32)
    places = np.linspace(0, 1, count)
    for channel in range(3):
        table[:, channel] = np.interp(np.linspace(0, 1, 256), places, stops[:, channel])
    levels = (np.clip(gray, 0, 1) * np.float32(255)).astype(np.uint8)
    out: Array = table.take(levels, axis=0)
    return out


def _photo(rng: Rng, side: int, photos: Path | None) -> Array | None:
    import cv2

    own, free = photos_of(photos), free_photos()
    listed = own if own and (not free or rng.random() < 0.7) else free
    if not listed:
        return None
    picture = photo(listed[int(rng.integers(len(listed)))])
    if picture is None:
        return None
    height, width = picture.shape[:2]
    most = min(height, width)
    edge = int(min(most, max(16, side * math.exp(rng.uniform(-1.0, 0.7)))))
    x, y = int(rng.integers(width - edge + 1)), int(rng.integers(height - edge + 1))
    piece = picture[y : y + edge, x : x + edge]
    method = cv2.INTER_AREA if edge > side else cv2.INTER_CUBIC
    made = cv2.resize(piece, (side, side), interpolation=method).astype(np.float32) / 255
    made = np.rot90(made, int(rng.integers(4)))
    if rng.random() < 0.2:
        made = made[..., rng.permutation(3)]
    made = made * rng.uniform(0.6, 1.4, 3).astype(np.float32) + np.float32(rng.uniform(-0.1, 0.1))
    if rng.random() < 0.1:
        made = 1 - made
    out: Array = np.clip(made, 0, 1).astype(np.float32)
    return out


def _noise(rng: Rng, side: int) -> Array:
    low = log_uniform(rng, 1, side / 6) if rng.random() < 0.4 else 1.0
    return spectral(rng, side, rng.uniform(0.6, 1.6), low)


def _clouds(rng: Rng, side: int) -> Array:
    return spectral(rng, side, rng.uniform(1.6, 2.4))


def _grain(rng: Rng, side: int) -> Array:
    return np.float32(0.5) + (spectral(rng, side, rng.uniform(0.0, 0.5)) - np.float32(0.5)) * (
        np.float32(rng.uniform(0.3, 1.0))
    )


def _brushed(rng: Rng, side: int) -> Array:
    made = spectral(rng, side, rng.uniform(0.7, 1.3), 1.0, log_uniform(rng, 3, 14))
    return made if rng.random() < 0.5 else np.ascontiguousarray(made.T)


def _marble(rng: Rng, side: int) -> Array:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    twist = spectral(rng, side, 1.7) * np.float32(rng.uniform(2, 8))
    n, m = (int(v) for v in rng.integers(0, 6, 2))
    waves = np.sin(np.float32(2 * np.pi) * (n * x + max(m, 1) * y) + 2 * twist)
    out: Array = np.float32(0.5) + np.float32(0.5) * waves
    return out if rng.random() < 0.5 else np.abs(2 * out - 1)


def _camouflage(rng: Rng, side: int) -> Array:
    steps = int(rng.integers(2, 8))
    field = spectral(rng, side, rng.uniform(1.1, 2.0), log_uniform(rng, 1, 6))
    levels = rng.random(steps + 1).astype(np.float32)
    out: Array = levels[(field * np.float32(steps)).astype(np.uint8)]
    return out


def _gradient(rng: Rng, side: int) -> Array:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    angle = rng.uniform(0, 2 * np.pi)
    wave = np.cos(2 * np.pi * x) * np.cos(angle) + np.cos(2 * np.pi * y) * np.sin(angle)
    return contrasted(wave.astype(np.float32))


def _speckle(rng: Rng, side: int) -> Array:
    field = spectral(rng, side, rng.uniform(-0.3, 0.4))
    limit = rng.uniform(0.55, 0.85)
    out: Array = np.clip((field - np.float32(limit)) * 12, 0, 1)
    return np.float32(0.2) + np.float32(0.8) * out if rng.random() < 0.5 else 1 - out


_GRAY: dict[str, Callable[[Rng, int], Array]] = {
    "noise": _noise,
    "clouds": _clouds,
    "grain": _grain,
    "brushed": _brushed,
    "marble": _marble,
    "camouflage": _camouflage,
    "gradient": _gradient,
    "speckle": _speckle,
}
