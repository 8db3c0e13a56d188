"""Drawn textures: bricks, checks, stripes, dots, wood, text, leaves, and so on.

A grey picture (side, side) in 0..1 is coloured by the caller; some come with colours of their own.
"""

import string
from collections.abc import Callable

import numpy as np

from fathom.core.arrays import Array
from fathom.data.scenes.noise import Rng, log_uniform, spectral


def _places(side: int) -> tuple[Array, Array]:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    return x, y


def _count(rng: Rng, low: int, high: int) -> int:
    return round(log_uniform(rng, low, high))


def _bricks(rng: Rng, side: int) -> Array:
    """Rows of bricks with mortar; each brick has a brightness of its own, or all the same."""
    x, y = _places(side)
    rows = 2 * _count(rng, 2, 9)
    columns = max(1, round(rows / rng.uniform(1.5, 3.5)))
    row = np.floor(y * rows)
    along = (x * columns + 0.5 * (row % 2)) % columns
    fx, fy = along % 1, (y * rows) % 1
    gap = rng.uniform(0.03, 0.12)
    gap_x = gap * columns / rows
    tone = rng.uniform(0.35, 0.9, (rows, columns)).astype(np.float32)
    if rng.random() < 0.4:
        tone[:] = 0.7
    face = tone[row.astype(int), along.astype(int) % columns]
    face = face * (np.float32(0.8) + np.float32(0.4) * spectral(rng, side, rng.uniform(0.5, 1.2)))
    joint = (fx < gap_x) | (fx > 1 - gap_x) | (fy < gap) | (fy > 1 - gap)
    return np.where(joint, np.float32(rng.uniform(0, 1)), face)


def _tiles(rng: Rng, side: int) -> Array:
    x, y = _places(side)
    n = _count(rng, 2, 14)
    fx, fy = (x * n) % 1, (y * n) % 1
    gap = rng.uniform(0.02, 0.08)
    tone = 0.7 + rng.uniform(0, 0.25) * rng.standard_normal((n, n))
    face = tone[(y * n).astype(int) % n, (x * n).astype(int) % n].astype(np.float32)
    return np.where((fx < gap) | (fy < gap), np.float32(rng.uniform(0, 0.4)), face)


def _checks(rng: Rng, side: int) -> Array:
    x, y = _places(side)
    n, m = 2 * _count(rng, 1, 20), 2 * _count(rng, 1, 20)
    if rng.random() < 0.7:
        m = n
    board = (np.floor(x * n) + np.floor(y * m)) % 2
    out: Array = (0.15 + 0.7 * board).astype(np.float32)
    return out


def _stripes(rng: Rng, side: int) -> Array:
    x, y = _places(side)
    n = _count(rng, 2, 50)
    m = int(rng.integers(0, n + 1)) if rng.random() < 0.4 else 0
    if rng.random() < 0.4:
        x, y = y, x
    wave = np.sin(np.float32(2 * np.pi) * (n * x + m * y))
    if rng.random() < 0.6:
        wave = np.clip(wave * 6, -1, 1)
    out: Array = (0.5 + 0.5 * wave).astype(np.float32)
    return out


def _dots(rng: Rng, side: int) -> Array:
    x, y = _places(side)
    n = _count(rng, 3, 32)
    row = np.floor(y * n)
    shift = 0.5 * (row % 2) if n % 2 == 0 and rng.random() < 0.5 else 0
    fx, fy = (x * n + shift) % 1 - 0.5, (y * n) % 1 - 0.5
    radius = rng.uniform(0.15, 0.42)
    edge = np.clip((radius - np.sqrt(fx * fx + fy * fy)) * side / n, 0, 1)
    return (0.1 + 0.8 * edge).astype(np.float32)


def _hexagons(rng: Rng, side: int) -> Array:
    """Distance to a lattice of three directions."""
    x, y = _places(side)
    n = 2 * _count(rng, 2, 10)
    waves = [np.cos(2 * np.pi * n * x), np.cos(2 * np.pi * n * (x / 2 + y)),
             np.cos(2 * np.pi * n * (x / 2 - y))]  # fmt: skip
    field = waves[0] + waves[1] + waves[2]
    return np.clip(0.5 + field * rng.uniform(0.2, 1.5), 0, 1).astype(np.float32)


def _plaid(rng: Rng, side: int) -> Array:
    bands = []
    for _ in range(2):
        cuts = np.sort(rng.integers(0, side, int(rng.integers(3, 12))))
        tones = rng.random(len(cuts) + 1).astype(np.float32)
        bands.append(tones[np.searchsorted(cuts, np.arange(side), side="right")])
    return (0.5 * (bands[0][:, None] + bands[1][None])).astype(np.float32)


def _weave(rng: Rng, side: int) -> Array:
    x, y = _places(side)
    n = 2 * _count(rng, 6, 32)
    over = (np.floor(x * n) + np.floor(y * n)) % 2
    thread = np.where(over > 0, np.abs(np.sin(np.pi * n * x)), np.abs(np.sin(np.pi * n * y)))
    tone = np.where(over > 0, rng.uniform(0.5, 1), rng.uniform(0.3, 1))
    out: Array = (thread * tone).astype(np.float32)
    return out


def _rings(rng: Rng, side: int) -> Array:
    x, y = _places(side)
    cx, cy = rng.uniform(0.2, 0.8, 2)
    wave = np.sin(2 * np.pi * _count(rng, 4, 30) * np.sqrt((x - cx) ** 2 + (y - cy) ** 2))
    out: Array = (0.5 + 0.5 * wave).astype(np.float32)
    return out


def _wood(rng: Rng, side: int) -> Array:
    """Rings of a tree, cut along: distance from an axis, bent by noise that is long in y."""
    x, _ = _places(side)
    bend = spectral(rng, side, 1.8, 1.0, rng.uniform(0.25, 0.6))
    rings = np.sin(2 * np.pi * (_count(rng, 3, 14) * x + bend * rng.uniform(0.5, 3)))
    fibre = spectral(rng, side, 0.6, 1.0, 0.1)
    return np.clip(0.5 + 0.3 * rings + 0.5 * (fibre - 0.5), 0, 1).astype(np.float32)


def _planks(rng: Rng, side: int) -> Array:
    wood = _wood(rng, side)
    n = int(rng.integers(2, 9))
    x, y = _places(side)
    tone = rng.uniform(0.6, 1.1, n).astype(np.float32)[(x * n).astype(int) % n]
    shift = rng.integers(0, side, n)[(np.arange(side) * n // side) % n]
    rows = (np.arange(side)[:, None] + shift[None]) % side
    made = wood[rows, np.arange(side)[None]] * tone
    gap = ((x * n) % 1 < 0.03) | ((y + shift[None] / side) % 1 < 0.008)
    return np.where(gap, np.float32(0.05), made).astype(np.float32)


def _cells(rng: Rng, side: int) -> Array:
    """Stones: each texel by its nearest seed, dark along the joints."""
    import cv2

    seeds = np.full((side, side), 255, np.uint8)
    count = _count(rng, 12, 300)
    seeds[rng.integers(0, side, count), rng.integers(0, side, count)] = 0
    distance, label = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    tone = rng.uniform(0.2, 1, count + 2).astype(np.float32)[label % (count + 2)]
    scale = side / count**0.5
    joint = cv2.morphologyEx(label.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    shape = np.clip(1.2 - distance / scale * rng.uniform(0, 1.5), 0, 1)
    return np.where(joint, np.float32(0.05), tone * shape).astype(np.float32)


def _colors(rng: Rng, count: int) -> Array:
    grey = rng.random((count, 1))
    out: Array = np.clip(grey + rng.uniform(0, 0.35) * rng.standard_normal((count, 3)), 0, 1)
    return out


def _leaves(rng: Rng, side: int) -> Array:
    """Things before things, sizes by a power law: the statistics of photographs (Lee, Mumford
    and Huang, "Occlusion models for natural images", IJCV 2001)."""
    import cv2

    picture = np.full((side, side, 3), float(rng.random()), np.float32)
    count = int(rng.integers(120, 320))
    colors = _colors(rng, count)
    sizes = np.sort(side * 0.012 * (1 + rng.pareto(1.4, count)))[::-1]
    corners = int(rng.choice([0, 0, 3, 4, 5]))
    centres = rng.random((count, 2)) * side
    for centre, size, tone in zip(centres, np.minimum(sizes, side * 0.35), colors, strict=True):
        angle, flat = rng.uniform(0, 360), rng.uniform(0.25, 1)
        middle = (int(centre[0]), int(centre[1]))
        if corners == 0:
            axes = (max(1, int(size)), max(1, int(size * flat)))
            cv2.ellipse(picture, middle, axes, angle, 0, 360, tone.tolist(), -1, cv2.LINE_AA)
        else:
            turn = np.deg2rad(angle) + np.arange(corners) * (2 * np.pi / corners)
            points = np.stack([np.cos(turn), flat * np.sin(turn)], 1) * size + centre
            cv2.fillPoly(picture, [points.astype(np.int32)], tone.tolist(), cv2.LINE_AA)
    return picture


def _shapes(rng: Rng, side: int) -> Array:
    """A poster: blocks, discs and lines over a ground with grain."""
    import cv2

    ground = spectral(rng, side, rng.uniform(0.8, 2)) * np.float32(rng.uniform(0, 0.5))
    picture = np.ascontiguousarray(_colors(rng, 1)[0].astype(np.float32) + ground[..., None] - 0.2)
    for tone in _colors(rng, int(rng.integers(6, 40))):
        a, b = rng.integers(0, side, (2, 2)).tolist()
        kind = rng.integers(4)
        if kind == 0:
            size = rng.integers(3, side // 3, 2)
            cv2.rectangle(picture, a, (a[0] + int(size[0]), a[1] + int(size[1])), tone.tolist(), -1)
        elif kind == 1:
            cv2.circle(picture, a, int(rng.integers(2, side // 7)), tone.tolist(), -1, cv2.LINE_AA)
        elif kind == 2:
            cv2.line(picture, a, b, tone.tolist(), int(rng.integers(1, 9)), cv2.LINE_AA)
        else:
            edge = int(rng.integers(2, side // 8))
            cv2.circle(picture, a, edge, tone.tolist(), int(rng.integers(1, 5)), cv2.LINE_AA)
    return picture


def _text(rng: Rng, side: int) -> Array:
    """Lines of random letters, as on a page, a sign or a label."""
    import cv2

    page = np.zeros((side, side), np.uint8)
    size = log_uniform(rng, 0.3, 2.0)
    letters = np.array(list(string.ascii_letters + string.digits + "   .,:-"))
    step = max(8, int(size * rng.uniform(24, 36)))
    font = int(rng.integers(0, 5))
    for y in range(step, side + step, step):
        line = "".join(rng.choice(letters, max(2, int(side / (size * 14)))))
        where = (int(rng.integers(-8, 20)), y)
        thick = max(1, round(size * rng.uniform(0.8, 2)))
        cv2.putText(page, line, where, font, size, 255, thick, cv2.LINE_AA)
    ink = page.astype(np.float32) * np.float32(rng.uniform(0.6, 1) / 255)
    paper = np.float32(0.15) * spectral(rng, side, 1.5)
    return 1 - paper - ink if rng.random() < 0.7 else paper + ink


def _windows(rng: Rng, side: int) -> Array:
    """The front of a house: a grid of windows, each lit or not."""
    x, y = _places(side)
    n, m = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    fx, fy = (x * n) % 1, (y * m) % 1
    left, top = rng.uniform(0.1, 0.3, 2)
    inside = (fx > left) & (fx < 1 - left) & (fy > top) & (fy < 1 - top)
    bars = inside & ((np.abs(fx - 0.5) < 0.03) | (np.abs(fy - 0.5) < 0.03))
    glass = rng.uniform(0, 0.5, (m, n)).astype(np.float32)
    glass[rng.random((m, n)) < 0.15] = 0.95
    wall = 0.65 + 0.25 * (spectral(rng, side, rng.uniform(0.4, 1.2)) - 0.5)
    made = np.where(inside, glass[(y * m).astype(int) % m, (x * n).astype(int) % n], wall)
    return np.where(bars, np.float32(rng.random()), made).astype(np.float32)


def _scratches(rng: Rng, side: int) -> Array:
    import cv2

    picture = 0.4 + 0.3 * spectral(rng, side, rng.uniform(0.5, 1.5))
    picture = np.ascontiguousarray(picture, dtype=np.float32)
    for _ in range(_count(rng, 20, 200)):
        start = rng.integers(0, side, 2)
        end = start + rng.normal(0, side / 6, 2).astype(int)
        tone = float(rng.random())
        cv2.line(picture, start.tolist(), end.tolist(), tone, int(rng.integers(1, 3)), cv2.LINE_AA)
    return picture


def _barcode(rng: Rng, side: int) -> Array:
    """Bars of random width: fine, but no two places alike."""
    widths = rng.integers(1, _count(rng, 3, 24), side)
    bars = (np.repeat(np.arange(side), widths)[:side] % 2).astype(np.float32)
    made = np.broadcast_to(bars[None], (side, side))
    return np.ascontiguousarray(made if rng.random() < 0.6 else made.T)


PATTERNS: dict[str, Callable[[Rng, int], Array]] = {
    "bricks": _bricks,
    "tiles": _tiles,
    "checks": _checks,
    "stripes": _stripes,
    "dots": _dots,
    "hexagons": _hexagons,
    "plaid": _plaid,
    "weave": _weave,
    "rings": _rings,
    "wood": _wood,
    "planks": _planks,
    "cells": _cells,
    "leaves": _leaves,
    "shapes": _shapes,
    "text": _text,
    "windows": _windows,
    "scratches": _scratches,
    "barcode": _barcode,
}
