"""What surfaces are made of: texture, colour, gloss, glass; and the tables kernels read."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from fathom.core.arrays import Array, Float64, Int32, UInt8, UInt16
from fathom.data.kernels import layout as at
from fathom.data.scenes.masks import SIDE, mask
from fathom.data.scenes.meshes import Mesh
from fathom.data.scenes.noise import Rng, log_uniform, one_of
from fathom.data.scenes.settings import SceneSettings
from fathom.data.scenes.textures import KINDS, REPEATING, color, packed, texture

_NATURE = {"leaves": 2.0, "noise": 2.0, "clouds": 0.6, "camouflage": 1.0, "cells": 1.0,
           "photo": 2.0, "grain": 1.0, "speckle": 0.7}  # fmt: skip
_FLOOR = {"wood": 1.0, "planks": 2.0, "tiles": 1.5, "checks": 0.7, "cells": 1.0, "noise": 2.0,
          "weave": 0.7, "marble": 0.7, "speckle": 0.8, "photo": 1.0, "grain": 0.8}  # fmt: skip
_WALL = {"noise": 2.0, "bricks": 1.5, "clouds": 1.0, "shapes": 1.5, "photo": 2.5, "stripes": 0.5,
         "tiles": 0.5, "windows": 0.4, "grain": 1.0, "leaves": 1.0, "gradient": 0.5, "text": 0.4,
         "hexagons": 0.2}  # fmt: skip
_FRONT = {"windows": 4.0, "bricks": 1.5, "noise": 0.7, "photo": 0.5, "tiles": 0.5}
ROLES = {"any": KINDS, "nature": _NATURE, "floor": _FLOOR, "wall": _WALL, "front": _FRONT}
"""Kinds of texture by what the surface is part of."""


@dataclass(frozen=True)
class Material:
    """A texture by its place in the table, and numbers of the surface row (see layout).

    per_metre: textures a metre; turn: radians by which it lies on the surface.
    """

    texture: int
    side: int
    per_metre: float
    turn: float
    tint: tuple[float, float, float]
    contrast: float = 1.0
    stain: int = 0
    stain_strength: float = 0.0
    shininess: float = 0.0
    power: int = 1
    mirror: float = 0.0
    opacity: float = 1.0
    glow: float = 0.0
    marks: int = 0


@dataclass(eq=False)
class Tables:
    """Collects textures, masks and surfaces of one scene."""

    settings: SceneSettings
    rng: Rng
    _texels: list[Array] = field(default_factory=list)
    _textures: list[int] = field(default_factory=list)
    _kinds: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    _sides: list[int] = field(default_factory=list)
    _size: int = 0
    _masks: list[Array] = field(default_factory=list)
    _rows: list[Array] = field(default_factory=list)
    _marks: list[int] = field(default_factory=list)
    _holes: list[int] = field(default_factory=list)

    def add_texture(self, side: int, kind: str, kinds: Iterable[str] = ()) -> int:
        """Makes a texture, or takes one again that is there; its number. kinds: those that would
        do as well (making a texture costs more than all its pixels)."""
        known = self._kinds.setdefault((side, kind), [])
        alike = [n for k in kinds for n in self._kinds.get((side, k), [])]
        if known and self.rng.random() < 0.7:
            return known[int(self.rng.integers(len(known)))]
        if len(alike) > 3 and self.rng.random() < 0.55:
            return alike[int(self.rng.integers(len(alike)))]
        texels = packed(texture(self.rng, side, kind, self.settings.photos))
        self._texels.append(texels)
        self._textures += [self._size, side]
        self._sides.append(side)
        self._size += texels.size
        known.append(len(self._sides) - 1)
        return len(self._sides) - 1

    def add_surface(self, mesh: Mesh, material: Material, marks: int = 0) -> int:
        """The number of a surface of that mesh; marks: bits beside the material's own."""
        rng, row = self.rng, np.zeros(at.SURFACE)
        cosine, sine = math.cos(material.turn), math.sin(material.turn)
        wide, high = (length * material.per_metre for length in mesh.extent)
        row[at.TEXTURE : at.T_OFFSET + 1] = (
            material.texture, wide * cosine, -high * sine, wide * sine, high * cosine,
            rng.random(), rng.random(),
        )  # fmt: skip
        row[at.TINT : at.TINT + 3] = material.tint
        row[at.STAIN], row[at.STAIN_STRENGTH] = material.stain, material.stain_strength
        row[at.STAIN_SCALE] = rng.uniform(0.07, 0.3)
        row[at.SHININESS], row[at.POWER] = material.shininess, material.power
        row[at.MIRROR], row[at.OPACITY] = material.mirror, material.opacity
        row[at.GLOW], row[at.CONTRAST] = material.glow, material.contrast
        row[at.SHIFT_S], row[at.SHIFT_T] = rng.random(2)
        self._rows.append(row)
        self._marks.append(material.marks | marks | (at.THIN if mesh.thin else 0))
        start = -1
        if mesh.hole:
            start = len(self._masks) * SIDE * SIDE
            self._masks.append(mask(rng, mesh.hole).ravel())
        self._holes += [start, SIDE]
        return len(self._rows) - 1

    def material(self, role: str, pixels: float, pixels_per_metre: float) -> Material:
        """A material by chance. pixels: how large the surface is in the image; pixels_per_metre:
        there, so that a texel is about a pixel large."""
        rng, settings = self.rng, self.settings
        kind = one_of(rng, ROLES[role])
        plain = role == "any" and rng.random() < settings.plain
        side = 256 if role != "any" or pixels > settings.width / 3 else 128
        if kind in ("text", "photo") and pixels > 60:
            side = 256
        number = self.add_texture(side, kind, ROLES[role])
        density = log_uniform(rng, 0.4, 1.5) * (1.5 if kind in REPEATING else 1.0)
        turn = 0.0 if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
        tint = 0.35 + 0.65 * color(rng) if rng.random() < 0.4 else np.ones(3) * rng.uniform(0.6, 1)
        contrast, stain = 1.0, 0.0
        if plain:
            contrast = float(rng.choice([0.0, 0.03, 0.08, 0.15]))
            tint = 1.4 * color(rng)
        elif rng.random() < 0.5 or role != "any":
            stain = rng.uniform(0.2, 0.8)
        shine, power, mirror, opacity = self._gloss() if role in ("any", "floor") else (0, 1, 0, 1)
        marks = at.PLAIN if contrast < 0.1 else 0
        if mirror > 0.08 or shine > 0.5:
            marks |= at.REFLECTIVE
        if opacity < 1:
            marks |= at.TRANSPARENT
        stain_texture = self.add_texture(128, "clouds") if stain > 0 else 0
        return Material(
            number, side, density * pixels_per_metre / side, turn,
            (float(tint[0]), float(tint[1]), float(tint[2])), contrast, stain_texture, stain,
            shine, power, mirror, opacity, 0.0, marks,
        )  # fmt: skip

    def glowing(self, kind: str, side: int, per_metre: float, bright: float) -> Material:
        """A material that is seen as it is: skies and lamps."""
        number = self.add_texture(side, kind)
        return Material(number, side, per_metre, 0.0, (1.0, 1.0, 1.0), glow=bright, marks=at.SKY)

    def _gloss(self) -> tuple[float, int, float, float]:
        rng = self.rng
        if rng.random() < self.settings.glass:
            return 0.6, 64, 0.08, float(rng.uniform(0.1, 0.5))
        if rng.random() >= self.settings.glossy:
            return 0.0, 1, 0.0, 1.0
        mirror = float(rng.choice([0.0, 0.04, 0.06, 0.15, 0.5]))
        return float(rng.uniform(0.1, 1.0)), int(rng.choice([8, 24, 64, 160])), mirror, 1.0

    @property
    def surfaces(self) -> Float64[np.ndarray, " n"]:
        """All surface rows."""
        return np.concatenate(self._rows)

    @property
    def marks(self) -> Int32[np.ndarray, " n"]:
        """The marks of each surface."""
        return np.array(self._marks, np.int32)

    @property
    def holes(self) -> Int32[np.ndarray, " n"]:
        """Start (-1: none) and side of each surface's mask."""
        return np.array(self._holes, np.int32)

    @property
    def masks(self) -> UInt8[np.ndarray, " n"]:
        """All masks."""
        return np.concatenate(self._masks) if self._masks else np.zeros(1, np.uint8)

    @property
    def textures(self) -> Array:
        """Start and side of each texture, int64."""
        return np.array(self._textures, np.int64)

    @property
    def atlas(self) -> UInt16[np.ndarray, " n"]:
        """The texels of all textures."""
        return np.concatenate(self._texels)
