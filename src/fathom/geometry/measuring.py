"""Measuring in a depth map: points, objects and lengths in metres, each with an error bar.

Error bars are one standard deviation. They hold the matching error (`Depth.sigma`), an error of
the rig in pixels of disparity that all pixels share, and the pixel's own width. An error of the
baseline or the focal length is not in them: it scales everything (`fathom budget` says how much).

Of one image there is a camera in place of the rig. Then nothing tells an error but `Depth.sigma`,
which an alignment gives: without it error bars are NaN. It is of the scale and shape of the whole
map, so that it is no smaller for a whole object than for a pixel.
"""

import math
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Bool
from fathom.core.camera import StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, Source
from fathom.geometry.modes import Cluster, clusters
from fathom.geometry.optics import (
    Optics,
    camera_of,
    directions,
    metres_per_pixel,
    ray_of,
    sigma_at,
    sigmas,
    unit_of,
)

Vector = tuple[float, float, float]

RIG_ERROR = 0.1
"""Pixels of disparity by which a calibrated rig is taken to be off, everywhere alike."""
_PIXEL = 1 / math.sqrt(12)  # standard deviation of where in its pixel a point lies
_EDGE = 1.0  # standard deviation in pixels of where a matched object ends
_TOGETHER = 81  # pixels (9x9) whose matching errors go together, as one window sees them all
_SHARED = 0.2
"""Pixels by which all of an object's disparities are wrong together, since matchers lean to whole
pixels: with it, 78 and 94 % of 961 random boxes in real pairs lie within one and two of their error
bars; without it 59 and 84 % (benchmarks/sigma.py --boxes)."""
_LEAST_SHARE = 0.15  # of the measured pixels of a box: what is less is no object of it
_LEAST_PIXELS = 12


@dataclass(frozen=True)
class PointMeasure:
    """What one pixel (x, y) shows. Metres, in the left camera's frame: x right, y down, z forward.

    depth: along the optical axis. distance: from the camera's centre. position: of the point.
    source: how the pixel's depth came about. confidence: P(disparity error <= 1 px), or None.
    """

    pixel: tuple[int, int]
    depth: float
    depth_sigma: float
    distance: float
    distance_sigma: float
    position: Vector
    position_sigma: Vector
    source: str
    confidence: float | None


@dataclass(frozen=True, eq=False)
class ObjectMeasure:
    """The object in a box or mask. Metres, in the left camera's frame.

    box: (x0, y0, x1, y1), x1 and y1 excluded. depth, distance, position: the object's median.
    nearest, farthest: depths that 5 and 95 % of its pixels exceed. width, height: its extent along
    x and y. pixels: bool (h, w), what was taken to be the object. share: of the measured pixels of
    the region. measured: share of the region's pixels that were measured, not filled or unknown.
    cut: sides of the box that the object reaches. others: depths of the other surfaces there.
    """

    box: tuple[int, int, int, int]
    depth: float
    depth_sigma: float
    distance: float
    distance_sigma: float
    position: Vector
    position_sigma: Vector
    nearest: float
    farthest: float
    width: float
    width_sigma: float
    height: float
    height_sigma: float
    pixels: Bool[np.ndarray, "h w"]
    share: float
    measured: float
    cut: tuple[str, ...]
    others: tuple[float, ...]


@dataclass(frozen=True)
class LengthMeasure:
    """The straight distance of two points in metres."""

    first: PointMeasure
    second: PointMeasure
    length: float
    length_sigma: float


def measure_point(
    depth: Depth, rig: Optics, pixel: tuple[int, int], rig_error: float = RIG_ERROR
) -> PointMeasure:
    """Depth, distance and position of what a pixel (x, y) shows. rig_error: pixels of disparity;
    with a camera in place of the rig it is not used.

    Raises `UsageError` for a pixel outside the map, `InputError` for one without a depth, naming
    the nearest one that was measured, or one at which the lens shows no direction.
    """
    _require_inside(pixel, depth.shape)
    x, y = pixel
    z = float(depth.values[y, x])
    if math.isnan(z):
        raise InputError(
            "nothing is known of this pixel",
            field="at",
            value=f"{x},{y}",
            remedy=_offer(nearest_measured(depth, pixel), pixel),
        )
    ray = ray_of(rig, x, y)
    own, common = sigma_at(depth, rig, z, (y, x)), rig_error * metres_per_pixel(rig, z)
    sigma = math.hypot(own, common)
    across = _PIXEL * z / camera_of(rig).fx
    length = float(np.linalg.norm(ray))
    spread = np.hypot(ray * sigma, [across, across, 0])
    own_source = Source.MATCHED if isinstance(rig, StereoRig) else Source.MONOCULAR
    code = own_source if depth.source is None else Source(int(depth.source[y, x]))
    return PointMeasure(
        (x, y),
        z,
        sigma,
        z * length,
        sigma * length,
        _vector(z * ray),
        _vector(spread),
        code.name.lower(),
        None if depth.confidence is None else float(depth.confidence[y, x]),
    )


def measure_length(
    depth: Depth,
    rig: Optics,
    start: tuple[int, int],
    end: tuple[int, int],
    rig_error: float = RIG_ERROR,
) -> LengthMeasure:
    """The straight distance between what two pixels show.

    Each end's matching error and pixel width count along the line; the rig's error moves both ends
    at once and counts as the difference it makes. Raises as `measure_point` does.
    """
    first, second = (measure_point(depth, rig, p, 0.0) for p in (start, end))
    apart = np.subtract(second.position, first.position)
    length = float(np.linalg.norm(apart))
    along = apart / length if length > 0 else np.array([0.0, 0.0, 1.0])
    variance = 0.0
    moved = []
    for point in (first, second):
        ray = ray_of(rig, *point.pixel)
        across = _PIXEL * point.depth / camera_of(rig).fx
        variance += (float(along @ ray) * point.depth_sigma) ** 2
        variance += across**2 * float(along[0] ** 2 + along[1] ** 2)
        moved.append(ray * (rig_error * metres_per_pixel(rig, point.depth)))
    common = float(along @ (moved[1] - moved[0]))
    ends = [measure_point(depth, rig, p, rig_error) for p in (start, end)]
    return LengthMeasure(ends[0], ends[1], length, math.hypot(math.sqrt(variance), common))


def measure_object(
    depth: Depth,
    rig: Optics,
    region: Bool[np.ndarray, "h w"],
    *,
    nearest: bool = True,
    rig_error: float = RIG_ERROR,
) -> ObjectMeasure:
    """Distance and size of the object in a region (bool (h, w)).

    The measured pixels' inverse depths fall into clusters (`geometry.modes`); the object is the
    nearest one with at least 15 % of them, or, with nearest False (the region is a mask drawn
    around the object alone), the largest one. Of it, the largest connected part counts. Filled
    and unknown pixels take no part.

    Raises `UsageError` for a region of another shape or without pixels, `InputError` if fewer than
    12 of its pixels were measured.
    """
    _require_region(region, depth.shape)
    taken = region & depth.measured
    count = int(np.count_nonzero(taken))
    if count < _LEAST_PIXELS:
        raise InputError(
            f"only {count} of its {int(np.count_nonzero(region))} pixels were measured",
            field="region",
            expected=f"{_LEAST_PIXELS} or more",
            remedy="choose a larger or better-textured region",
        )
    inverse = np.zeros(depth.shape, np.float32)
    unit = unit_of(rig, depth.values[taken])
    np.divide(np.float32(unit), depth.values, out=inverse, where=taken)
    found = clusters(inverse[taken])
    chosen = _chosen(found, nearest)
    of_object = taken & (inverse >= chosen.low) & (inverse <= chosen.high)
    of_object = largest_part(of_object)
    others = tuple(
        float(np.median(depth.values[taken & (inverse >= c.low) & (inverse <= c.high)]))
        for c in found
        if c is not chosen and _is_object(c)
    )
    return _object(depth, rig, region, of_object, count, others, rig_error)


def nearest_measured(depth: Depth, pixel: tuple[int, int]) -> tuple[int, int] | None:
    """The measured pixel (x, y) nearest to `pixel`; None if nothing was measured."""
    rows, columns = np.nonzero(depth.measured)
    if rows.size == 0:
        return None
    best = int(np.argmin((rows - pixel[1]) ** 2 + (columns - pixel[0]) ** 2))
    return int(columns[best]), int(rows[best])


def largest_part(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The largest part of `mask` that hangs together; gaps of up to two pixels do not part it."""
    import cv2

    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels = cv2.connectedComponents(closed, connectivity=8)
    sizes = np.bincount(labels[mask])
    sizes[0] = 0
    out: Array = mask & (labels == int(sizes.argmax()))
    return out


def _chosen(found: list[Cluster], nearest: bool) -> Cluster:
    if not nearest:
        return max(found, key=lambda c: c.share)
    significant = [c for c in found if _is_object(c)] or [max(found, key=lambda c: c.share)]
    return max(significant, key=lambda c: c.peak)


def _is_object(cluster: Cluster) -> bool:
    return cluster.share >= _LEAST_SHARE


def _object(
    depth: Depth,
    rig: Optics,
    region: Array,
    pixels: Array,
    count: int,
    others: tuple[float, ...],
    rig_error: float,
) -> ObjectMeasure:
    rows, columns = np.nonzero(pixels)
    values = depth.values[pixels].astype(np.float64)
    z = float(np.median(values))
    own = float(np.median(sigmas(depth, rig)[pixels]))
    step = metres_per_pixel(rig, z)
    shared = 0.0
    if isinstance(rig, StereoRig):
        # The median of n independent normal values has 1.2533 times the error of their mean.
        independent = max(1.0, len(values) / _TOGETHER)
        shared = min(own, _SHARED * step)
        own *= 1.0 if independent == 1 else min(1.0, 1.2533 / math.sqrt(independent))
    sigma = math.hypot(own, shared, rig_error * step)
    camera = camera_of(rig)
    x, y = (directions(camera, columns, rows) * values[:, None])[:, :2].T
    position = np.array([np.median(x), np.median(y), z])
    distance = float(np.linalg.norm(position))
    pixel = z / camera.fx
    edge = math.sqrt(2) * _EDGE * pixel
    width, height = _extent(columns, x) + pixel, _extent(rows, y) + pixel
    middle = position / z
    spread = np.hypot(middle * sigma, [_PIXEL * pixel, _PIXEL * pixel, 0])
    far, near = (float(v) for v in np.percentile(values, (95, 5)))
    inside = np.nonzero(region)
    box = (
        int(inside[1].min()),
        int(inside[0].min()),
        int(inside[1].max()) + 1,
        int(inside[0].max()) + 1,
    )
    return ObjectMeasure(
        box=box,
        depth=z,
        depth_sigma=sigma,
        distance=distance,
        distance_sigma=sigma * distance / z,
        position=_vector(position),
        position_sigma=_vector(spread),
        nearest=near,
        farthest=far,
        width=width,
        width_sigma=math.hypot(edge, width * sigma / z),
        height=height,
        height_sigma=math.hypot(edge, height * sigma / z),
        pixels=pixels,
        share=len(values) / count,
        measured=count / int(np.count_nonzero(region)),
        cut=_cut(rows, columns, box),
        others=others,
    )


def _extent(lines: Array, places: Array) -> float:
    """Reach of `places` (metres) over lines of pixels, each line by its median: one wrong depth
    moves no end. Lines with few pixels are left out."""
    counts = np.bincount(lines)
    full = np.flatnonzero(counts >= max(1.0, 0.05 * float(np.median(counts[counts > 0]))))
    order = np.argsort(lines, kind="stable")
    bounds = np.searchsorted(lines[order], [full[0], full[0] + 1, full[-1], full[-1] + 1])
    ends = [np.median(places[order[a:b]]) for a, b in (bounds[:2], bounds[2:])]
    return float(abs(ends[1] - ends[0]))


def _cut(rows: Array, columns: Array, box: tuple[int, int, int, int]) -> tuple[str, ...]:
    x0, y0, x1, y1 = box
    sides = {
        "left": int(columns.min()) <= x0,
        "top": int(rows.min()) <= y0,
        "right": int(columns.max()) >= x1 - 1,
        "bottom": int(rows.max()) >= y1 - 1,
    }
    return tuple(side for side, reached in sides.items() if reached)


def _vector(values: Array) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _offer(found: tuple[int, int] | None, pixel: tuple[int, int]) -> str:
    if found is None:
        return "not one pixel of this result was measured"
    away = math.dist(found, pixel)
    return f"the nearest measured pixel is {found[0]},{found[1]} ({away:.0f} px away)"


def _require_inside(pixel: tuple[int, int], shape: tuple[int, int]) -> None:
    x, y = pixel
    if not (0 <= x < shape[1] and 0 <= y < shape[0]):
        raise UsageError(
            "lies outside the image",
            field="at",
            value=f"{x},{y}",
            expected=f"x 0..{shape[1] - 1}, y 0..{shape[0] - 1}",
        )


def _require_region(region: Array, shape: tuple[int, int]) -> None:
    if region.shape != shape:
        raise UsageError(
            "differs in size from the result",
            field="mask",
            value=f"{region.shape[1]}x{region.shape[0]}",
            expected=f"{shape[1]}x{shape[0]}",
        )
    if not region.any():
        raise UsageError("selects no pixel", field="region", expected="one pixel or more")
