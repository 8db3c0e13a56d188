"""From a world to both views: which triangle a pixel shows, its colour, its truth."""

from dataclasses import dataclass, replace

import numpy as np

from fathom.classical.native import Kernel
from fathom.core.arrays import Array, Bool, Float32, Float64, Int32, UInt8
from fathom.data.kernels import layout as at
from fathom.data.kernels.layout import Picture, Seen, Subject, Triangles
from fathom.data.scenes.light import SHADOW_SIDE, aim_shadows, light_of
from fathom.data.scenes.world import World, limit_of

_PROJECT = Kernel("fathom.data.kernels.raster", "project")
_FLATTEN = Kernel("fathom.data.kernels.raster", "flatten")
_RASTER = Kernel("fathom.data.kernels.raster", "raster")
_TRUTH = Kernel("fathom.data.kernels.raster", "truth")
_SHADE = Kernel("fathom.data.kernels.shade", "shade")
KERNELS = (_PROJECT, _FLATTEN, _RASTER, _TRUTH, _SHADE)
"""What is compiled when the first scene is made."""

_OPAQUE, _GLASS = 0, 1
_NOTHING = -1e30


@dataclass(frozen=True, eq=False)
class Rendered:
    """One view: colours linear in light (h, w, 3), exact disparity in pixels (this view's own,
    positive), whether the other camera sees the point, normals in the camera's frame towards the
    camera, and the marks of the nearest surface (see the kernels' layout)."""

    colors: Float32[np.ndarray, "h w 3"]
    disparity: Float32[np.ndarray, "h w"]
    seen_by_both: Bool[np.ndarray, "h w"]
    normals: Float32[np.ndarray, "h w 3"]
    marks: UInt8[np.ndarray, "h w"]


@dataclass(frozen=True, eq=False)
class Soup:
    """All triangles of a world, flat as kernels take them; shifts: (n, 3) between the shots."""

    points: Array
    normals: Float64[np.ndarray, " threen"]
    uv: Float64[np.ndarray, " twon"]
    corners: Int32[np.ndarray, " threem"]
    surface: Int32[np.ndarray, " m"]
    shifts: Array

    @property
    def count(self) -> int:
        return len(self.surface)


@dataclass(frozen=True, eq=False)
class _View:
    """One view's triangles, samples and numbers."""

    numbers: Float64[np.ndarray, " view"]
    planes: Float64[np.ndarray, " twelvem"]
    boxes: Float64[np.ndarray, " fourm"]
    pixels: Seen
    samples: Seen


@dataclass(frozen=True, eq=False)
class Stage:
    """A world lit and ready to be seen: its triangles and its light, in the frame of one camera,
    and the shadow map."""

    soup: Soup
    light: Array
    shadow: Array

    def seen_by(self, rotation: Array, offset: Array) -> "Stage":
        """The same world in the frame of another camera: X' = rotation X + offset. What moves
        between the shots stays where it is."""
        soup, light = self.soup, self.light.copy()
        moved = replace(
            soup,
            points=soup.points @ rotation.T + offset,
            normals=(soup.normals.reshape(-1, 3) @ rotation.T).ravel(),
            shifts=np.zeros_like(soup.shifts),
        )
        light[at.SUN : at.SUN + 3] = rotation @ light[at.SUN : at.SUN + 3]
        rows = light[at.SHADOW_X : at.SHADOW_X + 12].reshape(3, 4)
        rows[:, :3] = rows[:, :3] @ rotation.T
        rows[:, 3] -= rows[:, :3] @ offset
        for n in range(int(light[at.LAMPS])):
            place = slice(at.LIGHT + at.LAMP * n, at.LIGHT + at.LAMP * n + 3)
            light[place] = rotation @ light[place] + offset
        return Stage(moved, light, self.shadow)


def staged(world: World, *, shadows: bool) -> Stage:
    """The world with its light. shadows: whether the sun throws them."""
    soup, tables = soup_of(world), world.tables
    holes = (tables.marks, tables.holes, tables.masks)
    light = light_of(world)
    shadow = _shadows(world, soup, holes, light) if shadows else np.zeros(1, np.float32)
    return Stage(soup, light, shadow)


def render(world: World, *, shadows: bool) -> tuple[Rendered, Rendered]:
    """Left and right view of a world. shadows: whether the sun throws them."""
    return views_of(world, staged(world, shadows=shadows))


def views_of(world: World, stage: Stage) -> tuple[Rendered, Rendered]:
    """Left and right view of a world on its stage.

    Which surface a pixel shows is decided at its centre for the truth, and at 2 x 2 places within
    it for its colour, so outlines are smooth in the image and sharp in the truth.
    """
    soup, light, shadow = stage.soup, stage.light, stage.shadow
    tables = world.tables
    holes = (tables.marks, tables.holes, tables.masks)
    texels = (tables.surfaces, tables.textures, tables.atlas)
    views = [_view(world, soup, holes, side) for side in (0, 1)]
    shaded = [_shaded(world, soup, view, texels, (light, shadow)) for view in views]
    made = []
    for side, toward in ((0, -1), (1, 1)):
        colors, normals, marks, _ = shaded[side]
        height, width = marks.shape
        disparity = np.empty(height * width, np.float32)
        both = np.empty(height * width, np.uint8)
        here = (views[side].planes, shaded[side][3])
        there = (views[1 - side].planes, shaded[1 - side][3])
        _TRUTH(here, there, views[side].numbers, disparity, both, width, height, toward)
        seen = (both.reshape(height, width) > 0) & (marks & at.MOVING == 0)
        shape = (height, width)
        made.append(Rendered(colors, disparity.reshape(shape), seen, normals, marks))
    return made[0], made[1]


def soup_of(world: World) -> Soup:
    """The triangles of all meshes."""
    counts = [len(mesh.points) for mesh in world.meshes]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
    corners = [m.corners + start for m, start in zip(world.meshes, first, strict=True)]
    triangles = [len(mesh.corners) for mesh in world.meshes]
    return Soup(
        np.concatenate([mesh.points for mesh in world.meshes]),
        np.concatenate([mesh.normals for mesh in world.meshes]).ravel(),
        np.concatenate([mesh.uv for mesh in world.meshes]).ravel(),
        np.concatenate(corners).ravel().astype(np.int32),
        np.repeat(np.array(world.surface, np.int32), triangles),
        np.repeat(np.stack(world.moved), counts, axis=0),
    )


def projected(world: World, soup: Soup, side: int) -> tuple[Array, Array, Array]:
    """A view's numbers (see the kernels' layout), its triangles' linear functions and boxes, flat;
    side: 0 left, 1 right."""
    rig = world.frame.rig
    camera = rig.right if side else rig.left
    numbers = np.zeros(at.VIEW)
    shift = rig.baseline if side else 0.0
    numbers[at.FOCAL], numbers[at.CX], numbers[at.CY] = camera.fx, camera.cx, camera.cy
    numbers[at.SHIFT], numbers[at.FB] = shift, camera.fx * rig.baseline
    points = soup.points + soup.shifts if side else soup.points
    points = np.ascontiguousarray(points - np.array([shift, 0.0, 0.0])).ravel()
    planes, boxes = np.zeros(12 * soup.count), np.zeros(4 * soup.count)
    _PROJECT(points, soup.corners, numbers, planes, boxes, soup.count)
    return numbers, planes, boxes


def _view(world: World, soup: Soup, holes: tuple[Array, Array, Array], side: int) -> _View:
    camera = world.frame.rig.right if side else world.frame.rig.left
    numbers, planes, boxes = projected(world, soup, side)
    geometry = (planes, boxes, soup.corners, soup.uv, soup.surface)

    def scan(first: float, step: float, times: int) -> Seen:
        width, height = camera.width * times, camera.height * times
        samples = np.array([first, first, step, limit_of(world.frame)])
        out: list[Array] = []
        for layer in (_OPAQUE, _GLASS):
            keys = np.zeros(width * height, np.float32)
            seen = np.full(width * height, -1, np.int32)
            _RASTER(geometry, holes, samples, keys, seen, width, height, soup.count, layer)
            out += [keys, seen]
        return Seen(*out)

    return _View(numbers, planes, boxes, scan(0.0, 1.0, 1), scan(-0.25, 0.5, 2))


def _shadows(world: World, soup: Soup, holes: tuple[Array, Array, Array], light: Array) -> Array:
    """The shadow map; where it lies is written into `light`."""
    casting = world.tables.marks[soup.surface] & at.CASTS > 0
    if not casting.any():
        return np.zeros(1, np.float32)
    casters = soup.points[soup.corners.reshape(-1, 3)[casting].ravel()]
    aim_shadows(light, world.frame, casters)
    if light[at.SHADOW_SIZE] == 0:
        return np.zeros(1, np.float32)
    rows = light[at.SHADOW_X : at.SHADOW_X + 12].reshape(3, 4)
    points = np.ascontiguousarray(soup.points @ rows[:, :3].T + rows[:, 3]).ravel()
    planes, boxes = np.zeros(12 * soup.count), np.zeros(4 * soup.count)
    _FLATTEN(points, soup.corners, planes, boxes, soup.count)
    geometry = (planes, boxes, soup.corners, soup.uv, soup.surface)
    keys = np.full(SHADOW_SIDE * SHADOW_SIDE, _NOTHING, np.float32)
    seen = np.full(SHADOW_SIDE * SHADOW_SIDE, -1, np.int32)
    samples = np.array([0.0, 0.0, 1.0, -_NOTHING])
    _RASTER(
        geometry, holes, samples, keys, seen, SHADOW_SIDE, SHADOW_SIDE, soup.count, at.EVERYTHING
    )
    return keys


def _shaded(
    world: World,
    soup: Soup,
    view: _View,
    texels: tuple[Array, Array, Array],
    lights: tuple[Array, Array],
) -> tuple[Array, Array, Array, Array]:
    """Colours, normals, marks (h, w) and the nearest triangle (flat) of a view."""
    width, height = world.frame.rig.size
    colors, normals = (np.empty(3 * width * height, np.float32) for _ in range(2))
    marks, front = np.empty(width * height, np.uint8), np.empty(width * height, np.int32)
    triangles = Triangles(view.planes, soup.corners, soup.uv, soup.normals, soup.surface)
    _SHADE(
        Subject(triangles, texels, lights, view.numbers), view.pixels, view.samples,
        world.tables.marks, Picture(colors, normals, marks, front), np.zeros(24), width, height,
    )  # fmt: skip
    shape = (height, width)
    return colors.reshape(*shape, 3), normals.reshape(*shape, 3), marks.reshape(shape), front
