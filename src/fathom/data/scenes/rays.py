"""From a world to both views by tracing rays: the same triangles, textures and lights as render.py,
but with what only rays find: soft shadows of sun and lamps, mirrors that show the scene, panes that
tint what lies behind them, corners that the sky's light does not reach.

The truth is that of render.py: the triangle's plane at the pixel's centre. Who is hidden is found
by a ray of the other camera through the very place x - d.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Int32
from fathom.data.kernels import layout as at
from fathom.data.scenes.light import light_of
from fathom.data.scenes.materials import Tables
from fathom.data.scenes.rays_light import KERNELS as _LIGHT_KERNELS
from fathom.data.scenes.rays_light import Lighting, Rays, layered, soft
from fathom.data.scenes.rays_trace import MEET, Met, Shot
from fathom.data.scenes.render import KERNELS as _RENDER_KERNELS
from fathom.data.scenes.render import Rendered, Soup, projected, soup_of
from fathom.data.scenes.world import World, limit_of

KERNELS = (_RENDER_KERNELS[0], MEET, *_LIGHT_KERNELS)
"""What is compiled when the first scene is traced."""
_BAND = 1 << 17  # pixels at a time
_ABOVE, _BELOW = 1, 2  # rows beside a band that its averages look at
_INSIDE = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))
_DEEP = 0.03  # relative step of depth within a pixel that an outline has
_SAME = 0.25  # pixels of disparity by which both views may differ at one place
_SUN_MARKS = 63


@dataclass(frozen=True, eq=False)
class _Eye:
    """One camera: numbers and planes as `projected` gives them, what it takes a picture of."""

    numbers: Array
    planes: Array
    shot: Shot
    size: tuple[int, int]
    near: float

    def rays(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Origins and directions (n, 3) through places of the image, flat; t is the depth."""
        focal = self.numbers[at.FOCAL]
        directions = np.ones((x.size, 3))
        directions[:, 0] = (x - self.numbers[at.CX]) / focal
        directions[:, 1] = (y - self.numbers[at.CY]) / focal
        origins = np.zeros((x.size, 3))
        origins[:, 0] = self.numbers[at.SHIFT]
        return origins, directions

    def spread(self, x: Array, y: Array, tile: Array) -> Rays:
        """The rays with all that they carry."""
        spreads = np.zeros((x.size, 12))
        spreads[:, 6] = spreads[:, 10] = 1 / self.numbers[at.FOCAL]
        return Rays(*self.rays(x, y), spreads, np.zeros(x.size), tile.astype(np.int32))

    def disparity(self, triangle: Array, x: Array, y: Array) -> Array:
        """The exact disparity (n) of triangles at places, float64; 0 where triangle is -1."""
        planes = self.planes.reshape(-1, 12)[:, 9:][triangle]
        found = self.numbers[at.FB] * (planes[:, 0] * x + planes[:, 1] * y + planes[:, 2])
        out: Array = np.where(triangle < 0, 0.0, found)
        return out

    def front(self, x: Array, y: Array) -> Array:
        """The nearest triangle at places of the image, -1 none."""
        return nearest(self.shot.met(*self.rays(x, y), self.near), x.size)


def render_rays(world: World, *, shadows: bool) -> tuple[Rendered, Rendered]:
    """Left and right view of a world, by rays. shadows: whether sun and lamps throw them.

    Each pixel's centre has its truth and colour; where its 2 x 2 samples see something else than
    the centre, their mean is its colour.

    Raises `MissingExtraError` without embreex.
    """
    soup = soup_of(world)
    numbers = light_of(world)
    tables = world.tables
    light = soft(world.rng, numbers, throws=shadows)
    shots = [Shot(soup, tables, moved=False)]
    shots.append(Shot(soup, tables, moved=True) if soup.shifts.any() else shots[0])
    texels = (tables.surfaces, tables.textures, tables.atlas)
    eyes = [_eye(world, soup, shots[side], side) for side in (0, 1)]
    drawn = [_drawn(eye, Lighting(eye.shot, texels, light), tables) for eye in eyes]
    views = []
    for side, toward in ((0, -1), (1, 1)):
        colors, normals, marks, front = drawn[side]
        height, width = marks.shape
        y, x = (grid.ravel() for grid in np.mgrid[:height, :width])
        disparity = eyes[side].disparity(front, x, y)
        seen = _seen(eyes[1 - side], x + toward * disparity, y, disparity) & (front >= 0)
        both = seen.reshape(height, width) & (marks & at.MOVING == 0)
        truth = disparity.astype(np.float32).reshape(height, width)
        views.append(Rendered(colors, truth, both, normals, marks))
    return views[0], views[1]


def nearest(met: Met, count: int) -> Int32[np.ndarray, " n"]:
    """The first triangle that each of `count` rays met, -1 none."""
    out = np.full(count, -1, np.int32)
    first = met.order == 0
    out[met.ray[first]] = met.triangle[first]
    return out


def _eye(world: World, soup: Soup, shot: Shot, side: int) -> _Eye:
    numbers, planes, _ = projected(world, soup, side)
    return _Eye(numbers, planes, shot, world.frame.rig.size, 1 / limit_of(world.frame))


def _seen(other: _Eye, place: Array, y: Array, disparity: Array) -> Bool[np.ndarray, " n"]:
    """Whether the other camera sees, at these places, what has this disparity."""
    seen = np.zeros(place.size, bool)
    inside = np.flatnonzero((place >= 0) & (place <= other.size[0] - 1))
    for start in range(0, inside.size, _BAND):
        some = inside[start : start + _BAND]
        front = other.front(place[some], y[some])
        there = other.disparity(front, place[some], y[some])
        seen[some] = (front >= 0) & (np.abs(there - disparity[some]) <= _SAME)
    return seen


def _drawn(eye: _Eye, lighting: Lighting, tables: Tables) -> tuple[Array, Array, Array, Array]:
    """Colours, normals, marks (h, w) and the nearest triangle (flat) of a view."""
    width, height = eye.size
    colors, normals = (np.zeros((height, width, 3), np.float32) for _ in range(2))
    marks, front = np.zeros((height, width), np.uint8), np.full((height, width), -1, np.int32)
    normals[:] = (0, 0, -1)
    for top, bottom in _bands(width, height):
        first, last = max(top - _ABOVE, 0), min(bottom + _BELOW, height)
        y, x = (grid.ravel() for grid in np.mgrid[first:last, :width])
        rays = eye.spread(x, y, y % 4 * 4 + x % 4)
        met = eye.shot.met(rays.origins, rays.directions, eye.near)
        lit = lighting.lit(rays, met, size=(width, last - first))
        shown = layered(met, lit, np.zeros((x.size, 3), np.float32))
        keep = np.flatnonzero(met.order == 0)
        place = (y[met.ray[keep]], x[met.ray[keep]])
        mine = np.logical_and(place[0] >= top, place[0] < bottom)
        keep, place = keep[mine], (place[0][mine], place[1][mine])
        front[place] = met.triangle[keep]
        normals[place] = lit.records[keep, 3:6]
        surface = eye.shot.place[3][met.triangle[keep]]
        dark = np.where(lit.cut_off[keep] > 0.5, at.SHADOW, 0)
        marks[place] = tables.marks[surface] & _SUN_MARKS | dark
        band = slice((top - first) * width, (bottom - first) * width)
        centre = _signature(met, eye.shot, x.size)[band]
        colors[top:bottom] = _outlined(
            eye, lighting, (x[band], y[band]), centre, shown[band]
        ).reshape(bottom - top, width, 3)
    return colors, normals, marks, front.ravel()


def _bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Rows from and to, few enough for the memory."""
    rows = max(_BAND // width, 8)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)


def _signature(met: Met, shot: Shot, count: int) -> Array:
    """What each ray sees, as three numbers: the opaque surface, its distance, the pane before."""
    out = np.full((count, 3), -1.0)
    surface = shot.place[3][met.triangle]
    glass = shot.holes[0][surface] & at.TRANSPARENT > 0
    solid = ~glass
    out[met.ray[solid], 0] = surface[solid]
    out[met.ray[solid], 1] = met.distance[solid]
    pane = glass & (met.order == 0)
    out[met.ray[pane], 2] = surface[pane]
    return out


def _outlined(
    eye: _Eye, lighting: Lighting, place: tuple[Array, Array], centre: Array, shown: Array
) -> Float32[np.ndarray, "n 3"]:
    """The colours of pixels, with outlines as the mean of 2 x 2 samples. centre: signatures."""
    x, y = place
    mixed = np.zeros(x.size, bool)
    samples = []
    for dx, dy in _INSIDE:
        met = eye.shot.met(*eye.rays(x + dx, y + dy), eye.near)
        seen = _signature(met, eye.shot, x.size)
        step = np.abs(seen[:, 1] - centre[:, 1]) > _DEEP * np.maximum(centre[:, 1], 0)
        mixed |= (seen[:, 0] != centre[:, 0]) | (seen[:, 2] != centre[:, 2]) | step
        samples.append(met)
    chosen = np.flatnonzero(mixed)
    if not chosen.size:
        return shown
    total = np.zeros((chosen.size, 3), np.float32)
    x, y = x[chosen], y[chosen]
    for (dx, dy), met in zip(_INSIDE, samples, strict=True):
        tile = (2 * y + (dy > 0)) % 4 * 4 + (2 * x + (dx > 0)) % 4
        rays = eye.spread(x + dx, y + dy, tile)
        total += lighting.colors(rays, _only(met, mixed), np.zeros_like(total))
    out = shown.copy()
    out[chosen] = total / np.float32(len(_INSIDE))
    return out


def _only(met: Met, wanted: Bool[np.ndarray, " n"]) -> Met:
    """What some of the rays met; they are numbered anew."""
    number = np.cumsum(wanted, dtype=np.int32) - np.int32(1)
    keep = wanted[met.ray]
    return Met(number[met.ray[keep]], met.triangle[keep], met.distance[keep], met.order[keep])
