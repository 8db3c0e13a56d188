"""Masks that cut outlines and holes into sheets: 255 is matter, 0 is air."""

from collections.abc import Callable

import numpy as np

from fathom.core.arrays import Array, UInt8
from fathom.data.scenes.noise import Rng, log_uniform, spectral

SIDE = 128
"""Side of every mask in texels."""


def mask(rng: Rng, kind: str) -> UInt8[np.ndarray, "side side"]:
    """A mask of one of the `MASKS`; its edges are smooth, so that they lie between texels."""
    import cv2

    drawn = MASKS[kind](rng)
    out: Array = cv2.GaussianBlur(drawn, (0, 0), 0.8)
    return out


def _empty() -> Array:
    return np.zeros((SIDE, SIDE), np.uint8)


def _polygon(rng: Rng) -> Array:
    import cv2

    corners = int(rng.integers(3, 10))
    turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(0.3, 1, corners) * SIDE / 2
    points = np.stack([np.cos(turn) * reach, np.sin(turn) * reach], 1) + SIDE / 2
    return cv2.fillPoly(_empty(), [points.astype(np.int32)], 255)


def _disc(rng: Rng) -> Array:
    import cv2

    drawn = cv2.circle(_empty(), (SIDE // 2, SIDE // 2), SIDE // 2 - 2, 255, -1)
    if rng.random() < 0.4:
        cv2.circle(drawn, (SIDE // 2, SIDE // 2), int(rng.integers(8, SIDE // 2 - 6)), 0, -1)
    return drawn


def _blob(rng: Rng) -> Array:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    field = spectral(rng, SIDE, rng.uniform(1.2, 2.2)) - 0.6 * (x * x + y * y) ** 1.5
    out: Array = np.where(field > rng.uniform(0.0, 0.3), 255, 0).astype(np.uint8)
    return out


def _pierced(rng: Rng) -> Array:
    import cv2

    drawn = np.full((SIDE, SIDE), 255, np.uint8)
    for _ in range(int(rng.integers(1, 12))):
        x, y = rng.integers(0, SIDE, 2).tolist()
        size = int(rng.integers(4, SIDE // 5))
        if rng.random() < 0.5:
            cv2.circle(drawn, (x, y), size, 0, -1)
        else:
            other = (x + 2 * size, y + int(rng.integers(4, 2 * size)))
            cv2.rectangle(drawn, (x, y), other, 0, -1)
    return drawn


def _leaves(rng: Rng) -> Array:
    import cv2

    drawn = _empty()
    count = round(log_uniform(rng, 15, 140))
    size = SIDE / count**0.5
    for _ in range(count):
        where = np.clip(rng.normal(SIDE / 2, SIDE / 5, 2), 8, SIDE - 8).astype(int).tolist()
        axes = (
            max(2, int(size * rng.uniform(0.4, 0.9))),
            max(1, int(size * rng.uniform(0.1, 0.4))),
        )
        cv2.ellipse(drawn, where, axes, rng.uniform(0, 180), 0, 360, 255, -1)
    return drawn


def _net(rng: Rng) -> Array:
    drawn = _empty()
    step = int(rng.integers(8, 28))
    wide = int(rng.integers(2, 5))
    index = np.arange(SIDE)
    drawn[index % step < wide] = 255
    if rng.random() < 0.8:
        drawn[:, index % step < wide] = 255
    drawn[:3] = drawn[-3:] = drawn[:, :3] = drawn[:, -3:] = 255
    return drawn


MASKS: dict[str, Callable[[Rng], Array]] = {
    "polygon": _polygon,
    "disc": _disc,
    "blob": _blob,
    "pierced": _pierced,
    "leaves": _leaves,
    "net": _net,
}
