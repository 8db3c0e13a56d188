"""Triangle meshes of things, in metres, about their own origin; y points down.

Every curved surface is a grid of points over (u, v) in 0..1; its normals follow from the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fathom.core.arrays import Array, Float64, Int32
from fathom.data.scenes.noise import Rng, smooth_curve, spectral

Vector = Sequence[float] | Array
"""Three numbers."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """One surface: points (n, 3) and normals (n, 3), uv (n, 2) in 0..1, corners (m, 3) of its
    triangles; extent: length in metres of u and of v; thin: narrower than it is long by far; hole:
    the kind of mask that cuts holes into it, or nothing."""

    points: Float64[np.ndarray, "n 3"]
    normals: Float64[np.ndarray, "n 3"]
    uv: Float64[np.ndarray, "n 2"]
    corners: Int32[np.ndarray, "m 3"]
    extent: tuple[float, float]
    thin: bool = False
    hole: str = ""

    def moved(self, rotation: Array, offset: Array) -> "Mesh":
        """The mesh turned (3, 3) and then shifted (3,)."""
        points = self.points @ rotation.T + offset
        return replace(self, points=points, normals=self.normals @ rotation.T)


def surface(points: Array, *, thin: bool = False, hole: str = "") -> Mesh:
    """The mesh of a grid of points (rows, columns, 3); v runs along rows, u along columns."""
    rows, columns = points.shape[:2]
    du = np.gradient(points, axis=1)
    dv = np.gradient(points, axis=0)
    normals = np.cross(du, dv)
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    normals = normals / np.maximum(length, 1e-12)
    v, u = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    upper, lower = np.stack([a, b, c], -1), np.stack([b, d, c], -1)
    corners = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    wide = float(np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1).max())
    high = float(np.linalg.norm(np.diff(points, axis=0), axis=2).sum(0).max())
    uv = np.stack([u.ravel(), v.ravel()], 1)
    flat = points.reshape(-1, 3).astype(np.float64)
    return Mesh(flat, normals.reshape(-1, 3), uv, corners, (wide, high), thin, hole)


_QUAD_UV = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
_QUAD_CORNERS = np.array([[0, 1, 2], [1, 3, 2]], dtype=np.int32)


def quad(corner: Array, u: Array, v: Array, *, thin: bool = False) -> Mesh:
    """The parallelogram from a corner along the vectors u and v."""
    points = np.stack([corner, corner + u, corner + v, corner + u + v]).astype(np.float64)
    normal = np.array(
        [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
    )
    length = float(np.sqrt(normal @ normal))
    normals = np.repeat(normal[None] / max(length, 1e-12), 4, axis=0)
    extent = (float(np.sqrt(u @ u)), float(np.sqrt(v @ v)))
    return Mesh(points, normals, _QUAD_UV, _QUAD_CORNERS, extent, thin)


def plane(corner: Array, u: Array, v: Array, pieces: int = 1) -> Mesh:
    """A parallelogram cut into pieces x pieces: large ones reach far behind the camera."""
    steps = np.linspace(0, 1, pieces + 1)
    points = corner + steps[None, :, None] * u + steps[:, None, None] * v
    return surface(points)


def box(size: Vector, *, thin: bool = False) -> list[Mesh]:
    """Six sides of a box about the origin; size: its edges along x, y, z."""
    x, y, z = (np.eye(3) * np.asarray(size, dtype=np.float64)[:, None]).copy()
    low = -(x + y + z) / 2
    return [
        quad(low, x, y, thin=thin),
        quad(low + z, x, y, thin=thin),
        quad(low, z, y, thin=thin),
        quad(low + x, z, y, thin=thin),
        quad(low, x, z, thin=thin),
        quad(low + y, x, z, thin=thin),
    ]


def ball(radii: Vector, squareness: float = 1.0, lumps: Array | None = None) -> Mesh:
    """An ellipsoid; squareness below 1 makes it a rounded box, above 1 a star (superquadrics:
    Barr, IEEE CG&A 1981). lumps: a field (n, n) that lifts the surface."""
    rows, columns = 17, 29
    lat = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    lon = np.linspace(-np.pi, np.pi, columns)[None]

    def bent(value: Array) -> Array:
        return np.sign(value) * np.abs(value) ** squareness

    x = bent(np.cos(lat)) * bent(np.cos(lon))
    z = bent(np.cos(lat)) * bent(np.sin(lon))
    y = bent(np.sin(lat)) * np.ones_like(lon)
    points = np.stack([x, y, z], -1) * np.asarray(radii)
    if lumps is not None:
        side = lumps.shape[0]
        j = (np.linspace(0, 1, columns) * side).astype(int) % side  # closed: first = last column
        i = (np.linspace(0.2, 0.8, rows) * (side - 1)).astype(int)
        lift = 1 + (lumps[i][:, j] - 0.5) * np.cos(lat) ** 0.5
        points = points * lift[..., None]
    return surface(points)


def turned(rng: Rng, radius: float, height: float) -> Mesh:
    """A vase, bottle, cone or column: a random profile turned about the y axis."""
    rows, columns = 15, 25
    kind = rng.integers(3)
    if kind == 0:
        profile = 0.65 + 0.35 * smooth_curve(rng, rows, int(rng.integers(3, 7)))
    elif kind == 1:
        profile = np.linspace(rng.uniform(0, 1), rng.uniform(0.2, 1), rows)
    else:
        profile = np.full(rows, 1.0)
    around = np.linspace(0, 2 * np.pi, columns)[None]
    points = np.stack(
        [
            radius * profile[:, None] * np.cos(around),
            np.linspace(-height / 2, height / 2, rows)[:, None] * np.ones_like(around),
            radius * profile[:, None] * np.sin(around),
        ],
        -1,
    )
    return surface(points, thin=height > 12 * radius)


def ring(radius: float, thickness: float) -> Mesh:
    """A torus about the z axis."""
    around = np.linspace(0, 2 * np.pi, 33)[:, None]
    across = np.linspace(0, 2 * np.pi, 11)[None]
    reach = radius + thickness * np.cos(across)
    points = np.stack(
        [reach * np.cos(around), reach * np.sin(around),
         thickness * np.sin(across) * np.ones_like(around)], -1,
    )  # fmt: skip
    return surface(points, thin=thickness < radius / 8)


def tube(path: Array, radius: float, sides: int = 7) -> Mesh:
    """A tube of one radius along points (n, 3)."""
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    helper = np.eye(3)[np.argmin(np.abs(along).max(0))]
    first = np.cross(along, helper)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    second = np.cross(along, first)
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    points = path[:, None] + radius * (
        np.cos(turn)[None, :, None] * first[:, None] + np.sin(turn)[None, :, None] * second[:, None]
    )
    return surface(points, thin=True)


def rod(start: Vector, end: Vector, radius: float) -> Mesh:
    """A straight tube."""
    return tube(np.linspace(start, end, 2), radius)


def wire(rng: Rng, size: float, radius: float) -> Mesh:
    """A bent wire within a cube of side `size`."""
    knots = int(rng.integers(3, 8))
    path = np.stack([smooth_curve(rng, 40, knots) for _ in range(3)], 1) * size / 2
    return tube(path, radius)


def sheet(rng: Rng, width: float, height: float, *, hole: str = "") -> Mesh:
    """Paper or cloth: flat, bent one way, or with folds."""
    n = 13
    v, u = np.mgrid[-0.5 : 0.5 : n * 1j, -0.5 : 0.5 : n * 1j]
    kind = rng.integers(4)
    if kind == 0:
        depth = np.zeros((n, n))
    elif kind == 1:
        angle = rng.uniform(0, np.pi)
        depth = rng.normal(0, 0.7) * (u * np.cos(angle) + v * np.sin(angle)) ** 2
    elif kind == 2:
        depth = rng.normal(0, 0.4, 3) @ np.stack([u * u, v * v, u * v]).reshape(3, -1)
        depth = depth.reshape(n, n)
    else:
        wave = rng.uniform(4, 14)
        depth = rng.uniform(0.03, 0.12) * np.sin(wave * u + rng.uniform(0, 6) + 2 * v)
    points = np.stack([u * width, v * height, depth * max(width, height)], -1)
    return surface(points, hole=hole)


def ground(rng: Rng, width: float, near: float, far: float, rise: float, rows: int = 72) -> Mesh:
    """Hills: heights by noise over x in -width/2..width/2 at z = far, narrower when near; rows
    stand closer together near the camera. rise: height in metres of the hills far away."""
    columns = 64
    v = np.linspace(0, 1, rows)[:, None]
    z = near * (far / near) ** v * np.ones((1, columns))
    reach = width * (0.06 + 0.94 * (z / far))
    x = (np.linspace(-0.5, 0.5, columns)[None]) * reach
    heights = spectral(rng, 128, rng.uniform(1.6, 2.4)).astype(np.float64)
    i = (np.linspace(0, 1, rows) * rng.uniform(30, 120)).astype(np.float64)
    j = np.linspace(0, 1, columns) * rng.uniform(30, 120)
    low_i, low_j = i.astype(int) % 127, j.astype(int) % 127
    fi, fj = (i % 1)[:, None], (j % 1)[None]
    fi, fj = fi * fi * (3 - 2 * fi), fj * fj * (3 - 2 * fj)
    a, b = heights[low_i][:, low_j], heights[low_i][:, low_j + 1]
    c, d = heights[low_i + 1][:, low_j], heights[low_i + 1][:, low_j + 1]
    field = (a * (1 - fj) + b * fj) * (1 - fi) + (c * (1 - fj) + d * fj) * fi
    lift = rise * (0.03 + 0.97 * (z / far)) * (field - 0.35)
    return surface(np.stack([x, -lift, z], -1))


def rotation(rng: Rng, yaw: float = np.pi, pitch: float = np.pi, roll: float = np.pi) -> Array:
    """A random rotation (3, 3): about y, then x, then z, each up to so many radians."""
    a, b, c = (rng.uniform(-1, 1) * limit for limit in (yaw, pitch, roll))
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    out: Array = about_z @ turned_about_x(b) @ about_y
    return out


def turned_about_x(angle: float) -> Array:
    """The rotation (3, 3) about x by so many radians; a camera that looks down has it > 0."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
