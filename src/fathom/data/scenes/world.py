"""One scene's geometry: the rig, the background, the things in it, and what they are made of."""

import math
from dataclasses import dataclass, field

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, StereoRig
from fathom.data.kernels import layout as at
from fathom.data.scenes.materials import Material, Tables
from fathom.data.scenes.meshes import Mesh, rotation, turned_about_x
from fathom.data.scenes.noise import Rng, log_uniform, one_of
from fathom.data.scenes.settings import SceneSettings
from fathom.data.scenes.shapes import SHAPES

_INFINITE = 2000.0  # times the nearest depth: the sky's distance, less than 0.3 px of disparity


@dataclass(frozen=True)
class Frame:
    """What the composition is measured by: pixels, metres, and the tilt of the camera.

    rig: both cameras. largest: disparity in pixels of what is nearest. farthest: disparity of the
    background. near, far: their depths in metres. tilt: rotation (3, 3) from the upright world
    into the camera.
    """

    rig: StereoRig
    largest: float
    farthest: float
    tilt: Array

    @property
    def near(self) -> float:
        """Least depth in metres."""
        return self.rig.left.fx * self.rig.baseline / self.largest

    @property
    def far(self) -> float:
        """Depth of the background in metres."""
        return self.rig.left.fx * self.rig.baseline / max(self.farthest, 0.02)

    def point(self, x: float, y: float, depth: float) -> Array:
        """The point (3,) in the camera's frame that pixel (x, y) shows at a depth in metres."""
        camera = self.rig.left
        ray = np.array([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, 1.0])
        return ray * depth

    def floor(self, share: float) -> float:
        """Height in metres of the camera over a floor whose disparity is `share` of the largest
        at the lowest row of the image."""
        camera = self.rig.left
        below = math.atan((camera.height - camera.cy) / camera.fy)
        pitch = math.asin(float(np.clip(-self.tilt[1, 2], -1, 1)))
        depth = self.near / share
        return depth * max(math.sin(below + pitch), 0.12) / math.cos(below)


@dataclass(eq=False)
class World:
    """Collects the surfaces of a scene. moved: what each mesh moves between the shots, metres."""

    rng: Rng
    settings: SceneSettings
    frame: Frame
    tables: Tables
    meshes: list[Mesh] = field(default_factory=list)
    surface: list[int] = field(default_factory=list)
    moved: list[Array] = field(default_factory=list)
    kind: str = ""
    is_night: bool = False
    has_motion: bool = False

    def add(
        self, mesh: Mesh, material: Material, marks: int = 0, shift: Array | None = None
    ) -> None:
        """A mesh in the camera's frame."""
        self.meshes.append(mesh)
        self.surface.append(self.tables.add_surface(mesh, material, marks))
        self.moved.append(np.zeros(3) if shift is None else shift)

    def upright(self, mesh: Mesh, material: Material, marks: int = 0) -> None:
        """A mesh in the upright world, seen by the tilted camera."""
        self.add(mesh.moved(self.frame.tilt, np.zeros(3)), material, marks)

    def pixels_per_metre(self, depth: float) -> float:
        """Pixels a metre at a depth in metres."""
        return self.frame.rig.left.fx / depth


def frame_of(rng: Rng, settings: SceneSettings, kind: str) -> Frame:
    """A rig and a range of disparities by chance."""
    width, height = settings.width, settings.height
    share = log_uniform(rng, settings.near, settings.nearest)
    if rng.random() < settings.unusual:
        share = (
            log_uniform(rng, settings.near / 3, settings.near)
            if rng.random() < 0.45
            else log_uniform(rng, settings.nearest, settings.nearest * 2.3)
        )
    largest = width * share
    focal = width * log_uniform(rng, 0.55, 1.5)
    baseline = log_uniform(rng, 0.05, 0.6)
    cx, cy = (width - 1) / 2 + rng.normal(0, 0.02) * width, (height - 1) / 2
    left = Camera(width, height, focal, focal, cx, cy + rng.normal(0, 0.03) * height)
    rig = StereoRig(left, left, baseline, max(1, math.ceil(_LIMIT * largest)))
    ratio = {"room": (2.0, 9.0), "studio": (1.4, 5.0), "abyss": (3.0, 60.0)}
    low, high = ratio.get(kind, (20.0, 200.0))
    # cameras mostly look a little down; now and then anywhere
    down = turned_about_x(math.radians(rng.uniform(-3, 11)))
    tilt = rotation(rng, 0.0, 0.0, math.radians(4)) @ down
    if kind == "studio" or rng.random() < 0.15:
        tilt = rotation(rng, 0.0, math.radians(20), math.radians(12))
    return Frame(rig, largest, largest / log_uniform(rng, low, high), tilt)


_LIMIT = 1.3
"""What is nearer than this many times the largest disparity is cut off."""


def limit_of(frame: Frame) -> float:
    """The largest inverse depth that is seen."""
    return _LIMIT / frame.near


def add_thing(world: World, position: Array | None, depth: float, pixels: float) -> None:
    """One thing by chance. position: where it stands in the upright world, metres; without it the
    thing floats somewhere in the view. pixels: about how large it is in the image."""
    rng, frame = world.rng, world.frame
    names = {n: w for n, (w, stands, _) in SHAPES.items() if position is None or stands}
    name = one_of(rng, names)
    size = min(pixels / world.pixels_per_metre(depth), 0.9 * depth)
    meshes = SHAPES[name][2](rng, size)
    if position is None:
        camera = frame.rig.left
        x = rng.uniform(-0.05, 1.1) * camera.width
        place = frame.point(x, rng.uniform(-0.05, 1.05) * camera.height, depth)
        turn = rotation(rng) if rng.random() < 0.7 else frame.tilt @ rotation(rng, 0.7, 0, 0)
    else:
        lowest = max(float(mesh.points[:, 1].max()) for mesh in meshes)
        place = frame.tilt @ (position - np.array([0.0, lowest, 0.0]))
        turn = frame.tilt @ rotation(rng, math.pi, 0, 0)
    role = "nature" if name in ("bush", "tree") else "any"
    scale = world.pixels_per_metre(depth)
    count = 1 if rng.random() < 0.6 else int(rng.integers(2, 4))
    materials = [world.tables.material(role, pixels, scale) for _ in range(count)]
    shift, marks = None, at.CASTS
    if world.has_motion and rng.random() < 0.4:
        shift, marks = rng.normal(0, 2.5 / scale, 3) * (1, 0.4, 1), at.CASTS | at.MOVING
    for i, mesh in enumerate(meshes):
        world.add(mesh.moved(turn, place), materials[i % count], marks, shift)


def fill(world: World, floor: float | None, spots: Array | None = None) -> None:
    """The things of a scene: some stand on the floor (a height in metres below the camera, or on
    spots (n, 3) of the upright world), the others float; one is as near as the frame says."""
    rng, frame, settings = world.rng, world.frame, world.settings
    count = int(rng.integers(settings.least_objects, settings.most_objects + 1))
    standing = rng.uniform(0.2, 0.9) if floor is not None or spots is not None else 0.0
    span = frame.largest - frame.farthest
    largest = 0.55 * settings.width
    for i in range(count):
        d = frame.farthest + span * (0.95 if i == 0 else rng.random() ** rng.uniform(1.0, 2.2))
        depth = frame.rig.left.fx * frame.rig.baseline / d
        pixels = log_uniform(rng, 0.05 * settings.width, largest) * (0.4 + 0.6 * d / frame.largest)
        position = None
        if i > 0 and rng.random() < standing:
            if spots is not None:
                position = spots[int(rng.integers(len(spots)))]
                depth = max(float(position[2]), frame.near)
            elif floor is not None:
                reach = settings.width / frame.rig.left.fx * depth
                position = np.array([rng.uniform(-0.6, 0.6) * reach, floor, depth])
        add_thing(world, position, depth, pixels)


def sky_distance(frame: Frame) -> float:
    """Where the sky is, metres."""
    return frame.near * _INFINITE
