"""Is this calibration good enough, by which thresholds, and what to shoot next.

The thresholds are fathom's own, of practice: a row error of half a pixel is where block matchers
begin to lose texture, and a share of one sigma in focal length or baseline is the same share in
every depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Bool, Float64, Int32
from fathom.core.camera import Camera, StereoCalibration
from fathom.geometry.project import project, rays
from fathom.geometry.rectify import Side
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.calibrate import RigCalibration
from fathom.rigs.calibrate_fit import SIDES

Level = Literal["good", "usable", "poor"]
LEVELS: tuple[Level, ...] = ("good", "usable", "poor")
CELLS = 8
"""Coverage is counted in so many cells across the image (as many down as make them square)."""
_TILTED = 12.0  # degrees about one axis that count as a tilt


@dataclass(frozen=True)
class Criterion:
    """One measure of a calibration. value in `unit`; good, usable: the thresholds; more: True if
    more is better. level: what it comes to."""

    name: str
    value: float
    unit: str
    good: float
    usable: float
    more: bool = False

    @property
    def level(self) -> Level:
        """`good`, `usable` or `poor`; a value that is not a number is poor."""
        sign = -1 if self.more else 1
        if sign * self.value <= sign * self.good:
            return "good"
        return "usable" if sign * self.value <= sign * self.usable else "poor"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for result.json."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "good": self.good,
            "usable": self.usable,
            "better": "more" if self.more else "less",
            "level": self.level,
        }


@dataclass(frozen=True, eq=False)
class Quality:
    """The judgement. criteria: each measure with its thresholds; advice: what to shoot next, most
    useful first. left, right: int32 (rows, columns), how many points fell into each cell; -1 where
    the other camera does not see what shows there, at the distances of the boards."""

    criteria: tuple[Criterion, ...]
    advice: tuple[str, ...]
    left: Int32[np.ndarray, "r c"]
    right: Int32[np.ndarray, "a b"]

    @property
    def level(self) -> Level:
        """The worst of the criteria's levels."""
        return max((c.level for c in self.criteria), key=LEVELS.index)


def judge(result: RigCalibration) -> Quality:
    """Whether a calibration is good enough, and what to shoot next."""
    cameras = result.calibration.left, result.calibration.right
    cells = [coverage(c, result.seen(s)) for c, s in zip(cameras, SIDES, strict=True)]
    far = max(error.distance for error in result.errors)
    for side, grid in zip(("left", "right"), cells, strict=True):
        common = seen_by_both(result.calibration, side, far, grid.shape)  # type: ignore[arg-type]
        grid[(grid == 0) & ~common] = -1
    wide = max(1.0, cameras[0].width / 1280)
    between = np.degrees(np.arccos(np.clip(result.normals @ result.normals.T, -1, 1)))
    criteria = [
        Criterion("reprojection RMS", result.rms, "px", 0.5 * wide, 1.0 * wide),
        Criterion("row error after rectification", result.rows, "px", 0.5, 1.0),
        Criterion("views kept", len(result.views), "", 10, 6, more=True),
        *(
            Criterion(f"common view covered, {side}", _covered(grid), "%", 70, 40, more=True)
            for side, grid in zip(("left", "right"), cells, strict=True)
        ),
        Criterion("largest angle between boards", float(between.max()), "deg", 30, 15, more=True),
    ]
    if result.refined:
        criteria += [
            Criterion(
                f"focal length, 1 sigma, {side}",
                100 * result.sigma[f"{side}.fx"] / camera.fx,
                "%",
                0.3,
                1.0,
            )
            for side, camera in zip(("left", "right"), cameras, strict=True)
        ]
    share = 100 * result.sigma["baseline_m"] / result.calibration.baseline
    criteria.append(Criterion("baseline, 1 sigma", share, "%", 0.3, 1.0))
    return Quality(tuple(criteria), tuple(_advice(result, cells)), cells[0], cells[1])


def coverage(camera: Camera, seen: Sequence[BoardPoints]) -> Int32[np.ndarray, "r c"]:
    """How many points of all views fell into each cell of the image; `CELLS` across."""
    columns = CELLS
    rows = max(1, round(CELLS * camera.height / camera.width))
    pixels = np.concatenate([points.pixels for points in seen] or [np.zeros((0, 2))])
    x = np.clip((pixels[:, 0] + 0.5) * columns // camera.width, 0, columns - 1).astype(np.int64)
    y = np.clip((pixels[:, 1] + 0.5) * rows // camera.height, 0, rows - 1).astype(np.int64)
    counts = np.zeros((rows, columns), dtype=np.int32)
    np.add.at(counts, (y, x), 1)
    return counts


def seen_by_both(
    calibration: StereoCalibration, side: Side, distance: float, shape: tuple[int, int]
) -> Bool[np.ndarray, "r c"]:
    """Which cells (rows, columns) of one image show what the other camera sees, too, if it stands
    `distance` metres away; the board can be in both images only there."""
    here, there = calibration.left, calibration.right
    rotation, translation = calibration.rotation, calibration.translation
    if side == "right":
        here, there = there, here
        rotation, translation = rotation.T, -rotation.T @ translation
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns] + 0.5
    pixels = np.stack([x.ravel() / columns * here.width, y.ravel() / rows * here.height], axis=1)
    looks = rays(pixels - 0.5, here)
    known = np.isfinite(looks).all(axis=1)
    points = np.where(known[:, None], looks, 1.0)
    points *= distance / np.linalg.norm(points, axis=1, keepdims=True)
    u, v = project(points @ rotation.T + translation, there).T
    with np.errstate(invalid="ignore"):
        inside = (u > 0) & (u < there.width - 1) & (v > 0) & (v < there.height - 1)
    out: Bool[np.ndarray, "r c"] = (known & inside).reshape(shape)
    return out


def tilts(normals: Float64[np.ndarray, "v 3"]) -> Float64[np.ndarray, "v 2"]:
    """Degrees by which each board is turned about the image's vertical and horizontal axis.

    Positive: its right side is farther away; its lower side is farther away.
    """
    facing = normals * np.where(normals[:, 2:] < 0, -1.0, 1.0)
    across = np.degrees(np.arctan2(-facing[:, 0], facing[:, 2]))
    down = np.degrees(np.arctan2(-facing[:, 1], facing[:, 2]))
    return np.stack([across, down], axis=1)


def _advice(result: RigCalibration, cells: Sequence[Int32[np.ndarray, "r c"]]) -> list[str]:
    advice = []
    if len(result.views) < 10:
        advice.append(f"{10 - len(result.views)} more views or more: there are {len(result.views)}")
    for side, grid in zip(("left", "right"), cells, strict=True):
        empty = _empty_regions(grid)
        if empty:
            advice.append(f"the board at the {', '.join(empty)} of the {side} image")
    leans = tilts(result.normals)
    for axis, names in ((0, ("right", "left")), (1, ("lower", "upper"))):
        for sign, name in zip((1, -1), names, strict=True):
            if not (sign * leans[:, axis] >= _TILTED).any():
                advice.append(f"the board tilted by 20 to 45 degrees, its {name} side farther away")
    distances = np.array([error.distance for error in result.errors])
    if distances.max() < 1.4 * distances.min():
        advice.append(
            f"the board nearer than {distances.min():.2f} m and beyond {distances.max():.2f} m"
        )
    if result.refined and "left.p1" in result.sigma and len(result.views) >= 10:
        share = result.sigma["left.fx"] / result.calibration.left.fx
        if share > 0.003:
            advice.append("more strongly tilted views: the focal length is not sure enough")
    return advice


def _covered(grid: Int32[np.ndarray, "r c"]) -> float:
    """Percent of the cells that could have points and do."""
    possible = int((grid >= 0).sum())
    return 100 * int((grid > 0).sum()) / possible if possible else 0.0


def _empty_regions(grid: Int32[np.ndarray, "r c"]) -> list[str]:
    """The ninths of an image that both cameras see and that are mostly without points, in words."""
    rows, columns = grid.shape
    found = []
    for v, y in enumerate(("top", "middle", "bottom")):
        for h, x in enumerate(("left", "centre", "right")):
            part = grid[
                v * rows // 3 : (v + 1) * rows // 3, h * columns // 3 : (h + 1) * columns // 3
            ]
            possible = int((part >= 0).sum())
            if 2 * possible >= part.size and int((part > 0).sum()) < 0.34 * possible:
                found.append("centre" if (y, x) == ("middle", "centre") else f"{y} {x}")
    return [f"{w.split()[1]} edge" if w.startswith("middle") else w for w in found]
