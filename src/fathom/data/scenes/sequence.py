"""A camera moving through a scene: frames with exact depth, pose and intrinsics.

The scene is the one that `full_scene` makes of the seed and the index; the camera (both of the rig)
leaves its place along a smooth path, forward and turning. Nothing in the scene moves.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.errors import UsageError
from fathom.core.options import option
from fathom.data.clips import ClipInMemory
from fathom.data.kernels import layout as at
from fathom.data.scenes.camera import developed
from fathom.data.scenes.meshes import turned_about_x
from fathom.data.scenes.noise import Rng, smooth_curve, source
from fathom.data.scenes.render import Rendered, staged, views_of
from fathom.data.scenes.sample import built
from fathom.data.scenes.settings import SceneSettings
from fathom.data.scenes.world import World

_STILL = SceneSettings(
    width=160, height=96, kinds=("room", "road", "terrain"), night=0.0, glossy=0.0, glass=0.0,
    plain=0.05, unusual=0.0, effects=False,
)  # fmt: skip
_SECONDS = 8
"""Frames from one bend of the path to the next, about."""


@dataclass(frozen=True)
class SequenceSettings:
    """A camera's way through a scene.

    scene: of what kind and size it is; by default without what self-supervision cannot explain
    (mirrors, glass, nights, faults of the camera), 160x96.

    Raises `UsageError` for fewer than 2 frames, steps that are not above 0, shares outside 0..1,
    or scenes traced by rays, which have no sequences.
    """

    scene: SceneSettings = field(default_factory=lambda: _STILL)
    frames: int = option(24, "frames of a sequence")
    step: float = option(0.06, "metres from frame to frame, as share of the nearest depth")
    aside: float = option(0.6, "share of a step that is sideways at most; a quarter of it is up")
    turn: float = option(1.0, "degrees from frame to frame by which the camera turns at most")

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise UsageError(
                "is no sequence", field="frames", value=self.frames, expected="2 or more"
            )
        if not 0 < self.step < math.inf:
            raise UsageError("is no step", field="step", value=self.step, expected="> 0")
        if not 0 <= self.aside <= 1 or not 0 <= self.turn <= 90:
            raise UsageError(
                "is no way of a camera",
                field="aside, turn",
                value=f"{self.aside}, {self.turn}",
                expected="a share 0..1, and 0..90 degrees",
            )
        if self.scene.renderer != "raster":
            raise UsageError(
                "has no sequences",
                field="renderer",
                value=self.scene.renderer,
                expected="raster",
            )


def sequence(seed: int, settings: SequenceSettings | None = None, index: int = 0) -> ClipInMemory:
    """The sequence of a seed and an index, whole numbers >= 0: the same numbers give the same bits.

    Its first frame is where the scene's cameras stand; poses are camera to world in metres, the
    world being the first left camera's frame. The sky has no depth. All frames have one exposure.

    >>> from fathom.data.scenes import SceneSettings
    >>> small = SceneSettings(width=64, height=32, effects=False)
    >>> clip = sequence(1, SequenceSettings(scene=small, frames=2))
    >>> clip.left.shape, clip.poses.shape
    ((2, 32, 64, 3), (2, 4, 4))

    Raises as `full_scene`.
    """
    settings = settings or SequenceSettings()
    world, shadows = built(seed, settings.scene, index)
    stage = staged(world, shadows=shadows)
    poses = path(source(seed, index, 2), settings, world.frame.near)
    views: list[tuple[Rendered, Rendered]] = []
    for pose in poses:
        turned = pose[:3, :3].T
        views.append(views_of(world, stage.seen_by(turned, -turned @ pose[:3, 3])))
    count = len(poses)
    # One picture of all frames has one exposure.
    tall = [np.concatenate([view[side].colors for view in views]) for side in (0, 1)]
    left, right = developed(
        source(seed, index, 1), *tall, effects=settings.scene.effects, is_night=world.is_night
    )
    rig = world.frame.rig
    depths = np.stack([_depth(view[0], world) for view in views])
    name = f"sequence-{seed}-{index:06d}"
    shape = (count, rig.left.height, rig.left.width, 3)
    return ClipInMemory(
        name, rig.left, left.reshape(shape), right.reshape(shape), rig.baseline, poses, depths
    )


def path(rng: Rng, settings: SequenceSettings, near: float) -> Float64[np.ndarray, "n 4 4"]:
    """Camera to world of each frame; the first one is the identity. near: the nearest depth in
    metres, which steps are shares of."""
    count = settings.frames
    knots = 2 + count // _SECONDS
    aside, up, yaw, pitch = (smooth_curve(rng, count, knots) for _ in range(4))
    yaw, pitch = (math.radians(settings.turn) * a * s for a, s in ((yaw, 1.0), (pitch, 0.25)))
    poses = np.tile(np.eye(4), (count, 1, 1))
    for i in range(1, count):
        before = poses[i - 1]
        across = settings.aside * np.array([aside[i], 0.25 * up[i]])
        forward = math.sqrt(1 - float(across @ across))
        way = settings.step * near * np.array([*across, forward])
        poses[i, :3, 3] = before[:3, 3] + before[:3, :3] @ way
        poses[i, :3, :3] = (
            before[:3, :3] @ _about_y(float(yaw[i])) @ turned_about_x(float(pitch[i]))
        )
    return poses


def _about_y(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _depth(view: Rendered, world: World) -> Array:
    rig = world.frame.rig
    depth = rig.depth_of(view.disparity)
    out: Array = np.where(view.marks & at.SKY > 0, np.float32(np.nan), depth)
    return out
