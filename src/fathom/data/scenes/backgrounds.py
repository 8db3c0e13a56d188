"""Structured backgrounds; each adds its surfaces and then the things in it."""

import math
from collections.abc import Callable

import numpy as np

from fathom.core.arrays import Array
from fathom.data.kernels import layout as at
from fathom.data.scenes.meshes import box, ground, plane, quad, rod, rotation, sheet
from fathom.data.scenes.noise import log_uniform, one_of
from fathom.data.scenes.world import World, fill, sky_distance

_SKIES = {"clouds": 4.0, "gradient": 2.0, "noise": 0.7, "leaves": 0.6, "photo": 0.8}


def _vector(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z], dtype=np.float64)


def add_sky(world: World, *, patterned: bool = False) -> None:
    """What is seen where nothing else is: a plane so far away that its disparity is about 0."""
    distance = sky_distance(world.frame)
    reach = distance * 3
    kind = one_of(world.rng, _SKIES) if not patterned else one_of(
        world.rng, {"leaves": 1, "photo": 1, "noise": 1, "shapes": 1, "cells": 0.5})  # fmt: skip
    bright = 0.06 if world.is_night else float(world.rng.uniform(0.5, 1.0))
    per_metre = log_uniform(world.rng, 1.0, 4.0) / distance
    material = world.tables.glowing(kind, 256, per_metre, bright)
    mesh = plane(_vector(-reach, -reach, distance), _vector(2 * reach, 0, 0),
                 _vector(0, 2 * reach, 0))  # fmt: skip
    world.add(mesh, material)


def room(world: World) -> None:
    """Floor, walls, a ceiling; pictures on the walls; furniture."""
    rng, frame, tables = world.rng, world.frame, world.tables
    add_sky(world)
    yaw = rotation(rng, math.radians(40), 0, 0)
    floor = frame.floor(rng.uniform(0.35, 0.95))
    top = -floor * rng.uniform(0.6, 1.8)
    far, half = frame.far, frame.rig.left.width / frame.rig.left.fx / 2
    side = half * frame.far * rng.uniform(0.45, 1.3, 2) + 0.3 * frame.near
    x0, x1, z0 = -side[0], side[1], -0.5 * far
    scale = world.pixels_per_metre(0.6 * far)
    wide, deep, high = _vector(x1 - x0, 0, 0), _vector(0, 0, far - z0), _vector(0, floor - top, 0)
    walls = [tables.material("wall", 500, scale) for _ in range(int(rng.integers(1, 4)))]
    parts = [
        (plane(_vector(x0, floor, z0), wide, deep, 2), tables.material("floor", 500, scale)),
        (plane(_vector(x0, top, far), wide, high), walls[0]),
        (plane(_vector(x0, top, z0), deep, high, 2), walls[-1]),
        (plane(_vector(x1, top, z0), deep, high, 2), walls[len(walls) // 2]),
    ]
    if rng.random() < 0.7:
        parts.append((plane(_vector(x0, top, z0), wide, deep, 2), walls[0]))
    for mesh, material in parts:
        world.upright(mesh.moved(yaw, np.zeros(3)), material)
    for _ in range(int(rng.integers(0, 6))):  # pictures, doors, windows
        size = rng.uniform(0.08, 0.4) * (wide + high)
        place = _vector(
            rng.uniform(x0, x1 - size[0]), rng.uniform(top, floor - size[1]), far * 0.99
        )
        frame_mesh = quad(place, _vector(size[0], 0, 0), _vector(0, size[1], 0))
        world.upright(frame_mesh.moved(yaw, np.zeros(3)), tables.material("any", 150, scale))
    fill(world, floor)


def road(world: World) -> None:
    """Ground to the horizon, lane marks, rows of houses, poles and wires along the street."""
    rng, frame, tables = world.rng, world.frame, world.tables
    add_sky(world)
    yaw = rotation(rng, math.radians(15), 0, 0)
    floor = frame.floor(rng.uniform(0.3, 0.95))
    far = floor * 300
    scale = world.pixels_per_metre(frame.near * 3)
    asphalt = tables.material("nature" if rng.random() < 0.4 else "floor", 500, scale)
    reach = 200 * floor
    world.upright(
        plane(_vector(-reach, floor, -5 * floor), _vector(2 * reach, 0, 0), _vector(0, 0, far), 6)
        .moved(yaw, np.zeros(3)), asphalt)  # fmt: skip
    half = floor * rng.uniform(1.5, 4)
    paint = tables.material("any", 60, scale)
    for lane in (-half, 0.0, half):
        dash = 0.0 if lane == 0 and rng.random() < 0.7 else far
        starts = [-floor] if dash else np.arange(1, 24) * floor * 1.6
        for start in starts:
            mark = quad(_vector(lane, floor * 0.998, start), _vector(0.1 * floor, 0, 0),
                        _vector(0, 0, dash or 0.8 * floor))  # fmt: skip
            world.upright(mark.moved(yaw, np.zeros(3)), paint)
    for side in (-1, 1):
        if rng.random() < 0.75:
            _houses(world, yaw, side, floor, half * rng.uniform(1.3, 3))
        if rng.random() < 0.6:
            _poles(world, yaw, side * half * 1.15, floor)
    fill(world, floor)


def _houses(world: World, yaw: Array, side: int, floor: float, away: float) -> None:
    rng, z = world.rng, world.frame.near * world.rng.uniform(1.0, 3.0)
    while z < 40 * floor:
        size = floor * rng.uniform(2, 8, 3)
        depth = z + size[2] / 2
        material = world.tables.material("front", 200, world.pixels_per_metre(depth))
        centre = _vector(side * (away + size[0] / 2), floor - size[1] / 2, depth)
        for mesh in box(size):
            world.upright(mesh.moved(np.eye(3), centre).moved(yaw, np.zeros(3)), material, at.CASTS)
        z += size[2] * rng.uniform(1.0, 1.6)


def _poles(world: World, yaw: Array, x: float, floor: float) -> None:
    rng = world.rng
    material = world.tables.material("any", 60, world.pixels_per_metre(5 * floor))
    high, step = floor * rng.uniform(2, 5), floor * rng.uniform(3, 7)
    radius = floor * rng.uniform(0.03, 0.08)
    for i in range(1, 9):
        mesh = rod([x, floor, i * step], [x, floor - high, i * step], radius)
        world.upright(mesh.moved(yaw, np.zeros(3)), material, at.CASTS)
    for level in rng.uniform(0.8, 1.0, int(rng.integers(0, 4))):
        line = rod([x, floor - high * level, step], [x, floor - high * level, 9 * step], radius / 4)
        world.upright(line.moved(yaw, np.zeros(3)), material, at.CASTS)


def terrain(world: World) -> None:
    """Hills to the horizon; things stand on them."""
    rng, frame, tables = world.rng, world.frame, world.tables
    add_sky(world)
    floor = frame.floor(rng.uniform(0.3, 0.8))
    far = frame.near * log_uniform(rng, 15, 120)
    half = frame.rig.left.width / frame.rig.left.fx
    hills = ground(rng, 2.2 * half * far, 0.25 * floor, far, far * rng.uniform(0.03, 0.25))
    hills = hills.moved(np.eye(3), _vector(0, floor, 0))
    scale = world.pixels_per_metre(frame.near * 2.5)
    world.upright(hills, tables.material("nature", 500, scale), at.CASTS)
    z = hills.points[:, 2]
    inside = (z > 1.1 * frame.near) & (z < 0.5 * far)
    inside &= np.abs(hills.points[:, 0]) < 0.6 * half * z
    fill(world, None, hills.points[inside] if inside.any() else None)


def studio(world: World) -> None:
    """One large wall, slanted or bent, and maybe a table top before it."""
    rng, frame, tables = world.rng, world.frame, world.tables
    add_sky(world)
    half = frame.rig.left.width / frame.rig.left.fx
    scale = world.pixels_per_metre(frame.far)
    wall = sheet(rng, 6 * half * frame.far, 5 * half * frame.far)
    turn = rotation(rng, math.radians(35), math.radians(25), math.pi)
    place = frame.point(frame.rig.left.cx, frame.rig.left.cy, frame.far)
    world.add(wall.moved(turn, place), tables.material("wall", 500, scale))
    floor = None
    if rng.random() < 0.5:
        floor = frame.floor(rng.uniform(0.4, 0.95))
        reach = 6 * half * frame.far
        top = plane(_vector(-reach, floor, -0.3 * frame.far), _vector(2 * reach, 0, 0),
                    _vector(0, 0, 4 * frame.far), 2)  # fmt: skip
        world.upright(top, tables.material("floor", 500, scale))
    fill(world, floor)


def abyss(world: World) -> None:
    """A far pattern, large slanted boards, and things that float."""
    rng, frame, tables = world.rng, world.frame, world.tables
    add_sky(world, patterned=True)
    width = frame.rig.left.width
    for _ in range(int(rng.integers(1, 5))):
        depth = frame.far * rng.uniform(0.5, 1.0)
        scale = world.pixels_per_metre(depth)
        size = width * rng.uniform(0.6, 2.0) / scale
        board = sheet(rng, size, size * rng.uniform(0.4, 1))
        x, y = rng.uniform(0, 1, 2) * frame.rig.size
        place = frame.point(float(x), float(y), depth)
        turn = rotation(rng, math.radians(50), math.radians(50), math.pi)
        world.add(board.moved(turn, place), tables.material("wall", 400, scale), at.CASTS)
    fill(world, None)


BACKGROUNDS: dict[str, Callable[[World], None]] = {
    "room": room,
    "road": road,
    "terrain": terrain,
    "studio": studio,
    "abyss": abyss,
}
