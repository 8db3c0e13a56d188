"""Things: each a list of meshes about its own origin, about `size` metres large."""

import itertools
from collections.abc import Callable

import numpy as np

from fathom.data.scenes.meshes import (
    Mesh,
    ball,
    box,
    ring,
    rod,
    rotation,
    sheet,
    surface,
    tube,
    turned,
    wire,
)
from fathom.data.scenes.noise import Rng, smooth_curve, spectral

Thing = list[Mesh]


def _box(rng: Rng, size: float) -> Thing:
    return box(size * np.exp(rng.normal(0, 0.45, 3)) * 0.7)


def _ball(rng: Rng, size: float) -> Thing:
    squareness = float(rng.choice([1.0, 1.0, 0.25, 0.5, 1.6]))
    lumps = spectral(rng, 32, rng.uniform(1.5, 2.4)) if rng.random() < 0.4 else None
    if lumps is not None:
        lumps = lumps * np.float32(rng.uniform(0.3, 1.0))
    return [ball(size / 2 * np.exp(rng.normal(0, 0.3, 3)), squareness, lumps)]


def _vase(rng: Rng, size: float) -> Thing:
    return [turned(rng, size * rng.uniform(0.15, 0.45), size * rng.uniform(0.7, 1.3))]


def _sheet(rng: Rng, size: float) -> Thing:
    ratio = np.exp(rng.normal(0, 0.4))
    hole = str(rng.choice(["", "", "polygon", "blob", "pierced", "disc"]))
    return [sheet(rng, size * ratio**0.5, size / ratio**0.5, hole=hole)]


def _leaves(rng: Rng, size: float) -> Thing:
    """A bush: cards of leaves that cross each other."""
    made = []
    for _ in range(int(rng.integers(2, 6))):
        card = sheet(rng, size * rng.uniform(0.5, 1), size * rng.uniform(0.5, 1), hole="leaves")
        made.append(card.moved(rotation(rng, 1.2, 0.6, 3), rng.normal(0, 0.2, 3) * size))
    return made


def _tree(rng: Rng, size: float) -> Thing:
    trunk = rod([0, 0, 0], [rng.normal(0, 0.05) * size, size, 0], size * rng.uniform(0.02, 0.06))
    return [trunk, *_leaves(rng, size * 0.8)]


def _ring(rng: Rng, size: float) -> Thing:
    return [ring(size / 2, size * float(rng.choice([0.02, 0.04, 0.08, 0.16])))]


def _wheel(rng: Rng, size: float) -> Thing:
    spokes = int(rng.integers(3, 13))
    turns = np.arange(spokes) * (2 * np.pi / spokes)
    made = [ring(size / 2, size * rng.uniform(0.015, 0.06))]
    ends = np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1) * size / 2
    return made + [rod([0, 0, 0], end, size * 0.01) for end in ends]


def _wires(rng: Rng, size: float) -> Thing:
    thickness = size * rng.uniform(0.004, 0.015)
    return [wire(rng, size, thickness) for _ in range(int(rng.integers(1, 4)))]


def _spring(rng: Rng, size: float) -> Thing:
    turns = rng.uniform(3, 9)
    t = np.linspace(0, 1, 90)
    reach = size * rng.uniform(0.1, 0.3)
    path = np.stack([reach * np.cos(2 * np.pi * turns * t), size * (t - 0.5),
                     reach * np.sin(2 * np.pi * turns * t)], 1)  # fmt: skip
    return [tube(path, size * rng.uniform(0.008, 0.03), 6)]


def _pole(rng: Rng, size: float) -> Thing:
    radius = size * rng.uniform(0.006, 0.03)
    made = [rod([0, -size, 0], [0, size, 0], radius)]
    if rng.random() < 0.5:
        sign = sheet(rng, size * 0.5, size * 0.5, hole=str(rng.choice(["", "disc", "polygon"])))
        made.append(sign.moved(np.eye(3), np.array([0, -size, -2 * radius])))
    return made


def _fence(rng: Rng, size: float) -> Thing:
    count = int(rng.integers(4, 16))
    radius = size * rng.uniform(0.004, 0.018)
    half = size / 2
    high = size * rng.uniform(0.3, 0.8)
    made = [rod([-half, y, 0], [half, y, 0], radius) for y in (-high / 2, high / 2)]
    places = np.linspace(-half, half, count)
    return made + [rod([x, -high * 0.6, 0], [x, high * 0.6, 0], radius) for x in places]


def _ladder(rng: Rng, size: float) -> Thing:
    radius, half = size * rng.uniform(0.01, 0.025), size * rng.uniform(0.1, 0.2)
    made = [rod([x, -size / 2, 0], [x, size / 2, 0], radius) for x in (-half, half)]
    rungs = np.linspace(-0.45, 0.45, int(rng.integers(4, 11))) * size
    return made + [rod([-half, y, 0], [half, y, 0], radius) for y in rungs]


def _net(rng: Rng, size: float) -> Thing:
    return [sheet(rng, size, size * rng.uniform(0.5, 1.2), hole="net")]


def _table(rng: Rng, size: float) -> Thing:
    wide, deep, high = size, size * rng.uniform(0.5, 1), size * rng.uniform(0.4, 0.9)
    leg = size * rng.uniform(0.015, 0.05)
    top = [m.moved(np.eye(3), np.array([0, -high / 2, 0])) for m in box((wide, leg, deep))]
    made = list(top)
    for x in (-0.46, 0.46):
        for z in (-0.46, 0.46):
            made.append(rod([x * wide, -high / 2, z * deep], [x * wide, high / 2, z * deep], leg))
    return made


def _chair(rng: Rng, size: float) -> Thing:
    made = _table(rng, size * 0.6)
    back = size * rng.uniform(0.3, 0.6)
    for x in np.linspace(-0.27, 0.27, int(rng.integers(2, 7))):
        made.append(rod([x * size, -0.2 * size, 0.25 * size], [x * size, -0.2 * size - back,
                    0.3 * size], size * 0.012))  # fmt: skip
    return made


def _shelf(rng: Rng, size: float) -> Thing:
    """Boards with books between them."""
    made: Thing = []
    levels, thick = int(rng.integers(2, 5)), size * 0.02
    for level in range(levels + 1):
        y = (level / levels - 0.5) * size
        made += [m.moved(np.eye(3), np.array([0, y, 0])) for m in box((size, thick, size * 0.3))]
    for level in range(levels):
        low, x = ((level + 1) / levels - 0.5) * size - thick / 2, -size / 2
        while x < size * 0.4:
            wide, high = size * rng.uniform(0.02, 0.09), size / levels * rng.uniform(0.5, 0.85)
            book = box((wide, high, size * 0.2))
            made += [m.moved(np.eye(3), np.array([x + wide / 2, low - high / 2, 0])) for m in book]
            x += wide + size * (rng.uniform(0, 0.02) if rng.random() < 0.8 else 0.15)
    return made


def _stairs(rng: Rng, size: float) -> Thing:
    steps = int(rng.integers(3, 8))
    edge = size / steps
    points = [[i * edge - size / 2, size / 2] for i in range(steps + 1)]
    zigzag = [p for i, (z, y) in enumerate(points) for p in ([z, y - i * edge],
              [z, y - min(i + 1, steps) * edge])]  # fmt: skip
    profile = np.array(zigzag[: 2 * steps + 1])
    made = []
    for (z0, y0), (z1, y1) in itertools.pairwise(profile):
        left, right = [-size * 0.5, 0, 0], [size * 0.5, 0, 0]
        row0 = np.array([left, right]) + np.array([0, y0, z0])
        row1 = np.array([left, right]) + np.array([0, y1, z1])
        made.append(surface(np.stack([row0, row1])))
    return made


def _column(rng: Rng, size: float) -> Thing:
    """A corrugated or twisted column: many small curved surfaces side by side."""
    n = 49
    around = np.linspace(0, 2 * np.pi, n)[None]
    y = np.linspace(-1, 1, 13)[:, None]
    flutes = int(rng.integers(4, 12))
    reach = 1 + rng.uniform(0.05, 0.25) * np.cos(flutes * around + rng.uniform(-2, 2) * y)
    reach = reach * (1 + 0.2 * smooth_curve(rng, 13, 4)[:, None]) * size * rng.uniform(0.15, 0.3)
    points = np.stack([reach * np.cos(around), y * size * 0.6 * np.ones_like(around),
                       reach * np.sin(around)], -1)  # fmt: skip
    return [surface(points)]


def _heap(rng: Rng, size: float) -> Thing:
    """Several small things close together."""
    made: Thing = []
    for _ in range(int(rng.integers(3, 8))):
        small = (_box if rng.random() < 0.6 else _ball)(rng, size * rng.uniform(0.2, 0.4))
        turn, place = rotation(rng), rng.normal(0, 0.25, 3) * size
        made += [mesh.moved(turn, place) for mesh in small]
    return made


SHAPES: dict[str, tuple[float, bool, Callable[[Rng, float], Thing]]] = {
    "box": (3.0, True, _box),
    "ball": (2.5, True, _ball),
    "vase": (1.5, True, _vase),
    "sheet": (3.0, False, _sheet),
    "bush": (1.0, True, _leaves),
    "tree": (0.6, True, _tree),
    "ring": (0.6, False, _ring),
    "wheel": (0.5, True, _wheel),
    "wires": (0.9, False, _wires),
    "spring": (0.4, False, _spring),
    "pole": (1.2, True, _pole),
    "fence": (0.7, True, _fence),
    "ladder": (0.4, True, _ladder),
    "net": (0.4, False, _net),
    "table": (0.7, True, _table),
    "chair": (0.7, True, _chair),
    "shelf": (0.4, True, _shelf),
    "stairs": (0.3, True, _stairs),
    "column": (0.7, True, _column),
    "heap": (0.8, True, _heap),
}
"""Name -> how often it is taken, whether it stands on the ground, and what makes it."""
