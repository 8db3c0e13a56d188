"""Triangles before rays: who is hit first, behind holes and glass, and what reaches a light.

Embree (through embreex) finds the triangle in float32; our kernels then work out the place in
float64, see kernels/rays.py.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from fathom.classical.native import Kernel
from fathom.core.arrays import Array, Bool, Float32, Float64, Int32
from fathom.core.errors import MissingExtraError
from fathom.data.kernels import layout as at
from fathom.data.scenes.materials import Tables
from fathom.data.scenes.render import Soup

MEET = Kernel("fathom.data.kernels.rays", "meet")
_STEPS = 64  # holes and panes in a row that a ray is followed through
_PANES = 6  # that are seen one behind the other
_SAME = 1e-4  # of the way: two panes of one surface that near are one, met on a shared edge


def embree() -> tuple[Any, Any]:
    """Embree's classes for a scene and for its triangles.

    Raises `MissingExtraError` without embreex.
    """
    try:
        scenes = importlib.import_module("embreex.rtcore_scene")
        meshes = importlib.import_module("embreex.mesh_construction")
    except ImportError as error:
        raise MissingExtraError("embreex (for ray-traced scenes)", "scenes") from error
    return scenes.EmbreeScene, meshes.TriangleMesh


class Bodies:
    """Some triangles of a soup, ready for rays. numbers: which, of all."""

    def __init__(self, points: Array, corners: Array, numbers: Int32[np.ndarray, " k"]) -> None:
        self.numbers = numbers
        self._scene: Any = None
        if len(numbers):
            make, mesh = embree()
            self._scene = make(robust=True)
            mesh(self._scene, points, corners[numbers])

    def __bool__(self) -> bool:
        return self._scene is not None

    def first(
        self, origins: Float32[np.ndarray, "n 3"], directions: Float32[np.ndarray, "n 3"]
    ) -> Int32[np.ndarray, " n"]:
        """The number of the triangle that each ray meets first, -1: none."""
        if self._scene is None or not len(origins):
            return np.full(len(origins), -1, np.int32)
        hit = self._scene.run(origins, directions)
        out: Array = np.where(hit < 0, np.int32(-1), self.numbers[hit])
        return out

    def blocked(
        self,
        origins: Float32[np.ndarray, "n 3"],
        directions: Float32[np.ndarray, "k 3"],
        reach: float,
    ) -> Bool[np.ndarray, " n"]:
        """Whether anything lies on each ray before t = reach. One direction may serve all."""
        if self._scene is None or not len(origins):
            return np.zeros(len(origins), bool)
        out: Array = self._scene.run(origins, directions, dists=reach, query="OCCLUDED") >= 0
        return out


@dataclass(frozen=True, eq=False)
class Met:
    """What rays met, front to back: ray, triangle, distance and order (0 is nearest) of each
    surface that is seen, the opaque one last."""

    ray: Int32[np.ndarray, " m"]
    triangle: Int32[np.ndarray, " m"]
    distance: Float64[np.ndarray, " m"]
    order: Int32[np.ndarray, " m"]


class Shot:
    """All that is there at one moment: the triangles, and who throws shadows."""

    def __init__(self, soup: Soup, tables: Tables, moved: bool) -> None:
        points = soup.points + soup.shifts if moved else soup.points
        corners = soup.corners.reshape(-1, 3)
        single = points.astype(np.float32)
        self.place = (np.ascontiguousarray(points).ravel(), soup.corners, soup.uv, soup.surface)
        self.mesh = (*self.place[:3], soup.normals, soup.surface)
        self.holes = (tables.marks, tables.holes, tables.masks)
        self.opacity = tables.surfaces.reshape(-1, at.SURFACE)[:, at.OPACITY]
        marks = tables.marks[soup.surface]
        pierced = (tables.holes.reshape(-1, 2)[soup.surface, 0] >= 0) | (marks & at.TRANSPARENT > 0)

        def bodies(chosen: Array) -> Bodies:
            return Bodies(single, corners, np.flatnonzero(chosen).astype(np.int32))

        self.all = bodies(np.ones(soup.count, bool))
        self.hiding = bodies(~pierced & (marks & at.SKY == 0))
        casting = marks & at.CASTS > 0
        self.solid, self.pierced = bodies(casting & ~pierced), bodies(casting & pierced)

    def met(
        self,
        origins: Float64[np.ndarray, "n 3"],
        directions: Float64[np.ndarray, "n 3"],
        start: float,
    ) -> Met:
        """The surfaces that are seen along each ray from t = start on, through holes and glass."""
        count = len(origins)
        panes, last = np.zeros(count, np.int32), np.full(count, -1, np.int32)
        before = np.full(count, -1.0)
        found = []
        for rays, triangle, distance, kind in self._walk(self.all, origins, directions, start):
            seen = kind == at.OPAQUE
            pane = kind == at.GLASS
            if pane.any():
                mine = self.place[3][triangle]
                again = (last[rays] == mine) & (distance - before[rays] <= _SAME * distance)
                pane &= ~again & (panes[rays] < _PANES)
                last[rays[pane]], before[rays[pane]] = mine[pane], distance[pane]
                seen |= pane
            found.append((rays[seen], triangle[seen], distance[seen], panes[rays[seen]]))
            panes[rays[pane]] += 1
        parts = [np.concatenate(part) for part in zip(*found, strict=True)]
        return Met(parts[0].astype(np.int32), parts[1], parts[2], parts[3])

    def reaching(
        self,
        origins: Float32[np.ndarray, "n 3"],
        directions: Float32[np.ndarray, "n 3"],
        reach: float,
    ) -> Float32[np.ndarray, " n"]:
        """The share of light that comes along each ray from t = reach."""
        share = np.where(self.solid.blocked(origins, directions, reach), 0, 1).astype(np.float32)
        if not self.pierced:
            return share
        free = np.flatnonzero(share > 0)
        free = free[self.pierced.blocked(origins[free], directions[free], reach)]
        far, along = (values[free].astype(np.float64) for values in (origins, directions))
        for rays, triangle, distance, kind in self._walk(self.pierced, far, along, 0.0):
            within = distance < reach
            share[free[rays[within & (kind == at.OPAQUE)]]] = 0
            pane = within & (kind == at.GLASS)
            passing = 1 - self.opacity[self.place[3][triangle[pane]]]
            share[free[rays[pane]]] *= passing.astype(np.float32)
        return share

    def _walk(self, bodies: Bodies, origins: Array, directions: Array, start: float) -> Any:
        """Step by step what rays meet: which rays, triangle, distance and kind of each."""
        rays = np.arange(len(origins))
        onward = np.full(len(origins), start)
        far, along = np.ascontiguousarray(origins), np.ascontiguousarray(directions)
        for _ in range(_STEPS):
            begin = (far + along * onward[:, None]).astype(np.float32)
            triangle = bodies.first(begin, along.astype(np.float32))
            distance, kind = np.zeros(len(rays)), np.zeros(len(rays), np.uint8)
            MEET(self.place, self.holes, (far.ravel(), along.ravel()), triangle, distance, onward,
                 kind, len(rays))  # fmt: skip
            yield rays, triangle, distance, kind
            on = (kind == at.AIR) | (kind == at.GLASS)
            if not on.any():
                return
            rays, onward, far, along = rays[on], onward[on], far[on], along[on]
