"""Sun, sky, lamps and haze of a scene, and the map of what the sun does not reach."""

import math

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.data.kernels import layout as at
from fathom.data.scenes.materials import Tables
from fathom.data.scenes.noise import Rng, log_uniform
from fathom.data.scenes.world import Frame, World

SHADOW_SIDE = 512
"""Side of the shadow map in texels."""
_REACH = 14.0  # nearest depths within which things throw shadows


def _tinted(rng: Rng, strength: float, warmth: float) -> Array:
    """Light of a strength, warm (> 0) or cold."""
    color = 1 + warmth * np.array([0.25, 0.0, -0.3]) + rng.normal(0, 0.03, 3)
    out: Array = strength * np.clip(color, 0.05, None)
    return out


def light_of(world: World) -> Float64[np.ndarray, " n"]:
    """The numbers of the light (see layout), without the shadow map's."""
    rng, frame = world.rng, world.frame
    indoor = world.kind in ("room", "studio")
    lamps = int(rng.integers(1, 4)) if world.is_night else int(indoor and rng.random() < 0.7)
    light = np.zeros(at.LIGHT + at.LAMP * lamps)
    height, turn = math.radians(rng.uniform(25, 80)), rng.uniform(-2.2, 2.2)
    toward = np.array([math.cos(height) * math.sin(turn), -math.sin(height),
                       -math.cos(height) * math.cos(turn)])  # fmt: skip
    light[at.SUN : at.SUN + 3] = frame.tilt @ toward
    warmth = rng.normal(0.2, 0.4)
    sun = rng.uniform(0.2, 2.2) if rng.random() < 0.8 else 0.05
    sky = rng.uniform(0.25, 0.8)
    if world.is_night:
        sun, sky = rng.uniform(0, 0.08), log_uniform(rng, 0.01, 0.06)
    light[at.SUN_COLOR : at.SUN_COLOR + 3] = _tinted(rng, sun, warmth)
    light[at.SKY_COLOR : at.SKY_COLOR + 3] = _tinted(rng, sky, -0.5 * warmth)
    light[at.GROUND_COLOR : at.GROUND_COLOR + 3] = _tinted(rng, sky * rng.uniform(0.3, 0.9), 0.2)
    light[at.ENVIRONMENT] = _environment(world.tables)
    if not indoor and rng.random() < 0.35:
        light[at.HAZE] = rng.uniform(0.005, 0.08) / frame.near
        light[at.HAZE_COLOR : at.HAZE_COLOR + 3] = _tinted(rng, sky, -0.1)
    light[at.LAMPS] = lamps
    for n in range(lamps):
        light[at.LIGHT + at.LAMP * n : at.LIGHT + at.LAMP * (n + 1)] = _lamp(world)
    return light


def _environment(tables: Tables) -> int:
    """The texture that mirrors show."""
    return tables.add_texture(128, str(tables.rng.choice(["photo", "clouds", "shapes", "windows"])))


def _lamp(world: World) -> Array:
    rng, frame = world.rng, world.frame
    camera = frame.rig.left
    depth = frame.near * log_uniform(rng, 0.6, 4)
    place = frame.point(rng.uniform(0, camera.width), rng.uniform(-0.5, 0.4) * camera.height, depth)
    strength = rng.uniform(0.8, 3.0) if world.is_night else rng.uniform(0.2, 1.5)
    reach = (frame.near * rng.uniform(0.7, 4)) ** 2
    return np.array([*place, *_tinted(rng, strength, rng.normal(0.5, 0.5)), reach])


def aim_shadows(light: Array, frame: Frame, casters: Array) -> None:
    """Writes into `light` where the shadow map lies, so that it holds the points (n, 3) of what
    throws shadows near enough."""
    near = casters[(casters[:, 2] > 0) & (casters[:, 2] < _REACH * frame.near)]
    if not len(near):
        return
    sun = light[at.SUN : at.SUN + 3]
    across = np.cross(sun, [0.0, 0.0, 1.0] if abs(sun[2]) < 0.9 else [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    down = np.cross(sun, across)
    u, v = near @ across, near @ down
    reach = max(np.ptp(u), np.ptp(v)) * 0.52 + 1e-6
    scale = SHADOW_SIDE / (2 * reach)
    for row, axis, values in ((at.SHADOW_X, across, u), (at.SHADOW_Y, down, v)):
        middle = (values.min() + values.max()) / 2
        light[row : row + 3] = axis * scale
        light[row + 3] = SHADOW_SIDE / 2 - middle * scale
    light[at.SHADOW_Z : at.SHADOW_Z + 3] = sun * scale
    light[at.SHADOW_SIZE], light[at.SHADOW_BIAS] = SHADOW_SIDE, 2.5 / scale
