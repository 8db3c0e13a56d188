"""Which triangle a sample sees: exact for any sample position, so both views show one geometry.

A triangle with the corners v0, v1, v2 in front of a camera meets the ray r where
[v0 v1 v2] b = r, and its barycentric coordinates there are b_i / sum(b), its inverse depth is
sum(b) (Olano and Greer, "Triangle scan conversion using 2D homogeneous coordinates", Graphics
Hardware 1997). Each b_i is linear in the pixel's coordinates: `planes` has these three linear
functions, and as a fourth the key that the nearest surface has most of (the inverse depth).
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.simd import inlined
from fathom.classical.native import kernel
from fathom.data.kernels.layout import CASTS, CX, CY, EVERYTHING, FOCAL, TRANSPARENT

_f64, _f32 = types.float64[::1], types.float32[::1]
_i32, _u8 = types.int32[::1], types.uint8[::1]
_int = types.int64
_SLACK = 1e-9  # neighbours share their edge: a sample on it must belong to one of them
_PLAIN, _BEYOND = 1e-12, 1e9


@kernel(types.void(_f64, _i32, _f64, _f64, _f64, _int))
def project(points: Any, corners: Any, view: Any, planes: Any, boxes: Any, count: int) -> None:
    """The linear functions and the box in the image of each triangle, seen by a camera.

    points: (n, 3), camera frame. corners: (count, 3). view: see layout. planes: (count, 12).
    boxes: (count, 4) least and largest x, least and largest y; empty where nothing is seen.
    """
    focal, cx, cy = view[FOCAL], view[CX], view[CY]
    for t in range(count):
        a, b, c = 3 * corners[3 * t], 3 * corners[3 * t + 1], 3 * corners[3 * t + 2]
        ax, ay, az = points[a], points[a + 1], points[a + 2]
        bx, by, bz = points[b], points[b + 1], points[b + 2]
        gx, gy, gz = points[c], points[c + 1], points[c + 2]
        n0x, n0y, n0z = by * gz - bz * gy, bz * gx - bx * gz, bx * gy - by * gx
        n1x, n1y, n1z = gy * az - gz * ay, gz * ax - gx * az, gx * ay - gy * ax
        n2x, n2y, n2z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        volume = ax * n0x + ay * n0y + az * n0z
        size = (abs(ax) + abs(ay) + abs(az)) * (abs(n0x) + abs(n0y) + abs(n0z))
        near = min(az, bz, gz)
        box, at = 4 * t, 12 * t
        boxes[box] = boxes[box + 2] = 1.0
        boxes[box + 1] = boxes[box + 3] = 0.0
        if abs(volume) <= _PLAIN * size or max(az, bz, gz) <= 0:
            continue  # seen exactly from the side, or behind the camera
        inverse = 1.0 / volume
        planes[at] = n0x * inverse / focal
        planes[at + 1] = n0y * inverse / focal
        planes[at + 2] = n0z * inverse - planes[at] * cx - planes[at + 1] * cy
        planes[at + 3] = n1x * inverse / focal
        planes[at + 4] = n1y * inverse / focal
        planes[at + 5] = n1z * inverse - planes[at + 3] * cx - planes[at + 4] * cy
        planes[at + 6] = n2x * inverse / focal
        planes[at + 7] = n2y * inverse / focal
        planes[at + 8] = n2z * inverse - planes[at + 6] * cx - planes[at + 7] * cy
        for i in range(3):
            planes[at + 9 + i] = planes[at + i] + planes[at + 3 + i] + planes[at + 6 + i]
        if near <= 0:  # it reaches behind the camera: anywhere in the image
            boxes[box] = boxes[box + 2] = -_BEYOND
            boxes[box + 1] = boxes[box + 3] = _BEYOND
            continue
        x0, x1, x2 = focal * ax / az + cx, focal * bx / bz + cx, focal * gx / gz + cx
        y0, y1, y2 = focal * ay / az + cy, focal * by / bz + cy, focal * gy / gz + cy
        boxes[box], boxes[box + 1] = min(x0, x1, x2), max(x0, x1, x2)
        boxes[box + 2], boxes[box + 3] = min(y0, y1, y2), max(y0, y1, y2)


@kernel(types.void(_f64, _i32, _f64, _f64, _int))
def flatten(points: Any, corners: Any, planes: Any, boxes: Any, count: int) -> None:
    """As `project`, for light that comes in parallel: points are (x, y, key) in the shadow map."""
    for t in range(count):
        a, b, c = 3 * corners[3 * t], 3 * corners[3 * t + 1], 3 * corners[3 * t + 2]
        ax, ay, bx, by = points[a], points[a + 1], points[b], points[b + 1]
        gx, gy = points[c], points[c + 1]
        area = (bx - ax) * (gy - ay) - (gx - ax) * (by - ay)
        box, at = 4 * t, 12 * t
        boxes[box] = boxes[box + 2] = 1.0
        boxes[box + 1] = boxes[box + 3] = 0.0
        if abs(area) < _PLAIN:
            continue
        planes[at], planes[at + 1] = (by - gy) / area, (gx - bx) / area
        planes[at + 2] = (bx * gy - gx * by) / area
        planes[at + 3], planes[at + 4] = (gy - ay) / area, (ax - gx) / area
        planes[at + 5] = (gx * ay - ax * gy) / area
        planes[at + 6], planes[at + 7] = (ay - by) / area, (bx - ax) / area
        planes[at + 8] = (ax * by - bx * ay) / area
        for i in range(3):
            planes[at + 9 + i] = (
                planes[at + i] * points[a + 2]
                + planes[at + 3 + i] * points[b + 2]
                + planes[at + 6 + i] * points[c + 2]
            )
        boxes[box], boxes[box + 1] = min(ax, bx, gx), max(ax, bx, gx)
        boxes[box + 2], boxes[box + 3] = min(ay, by, gy), max(ay, by, gy)


@inlined
def is_hole(e0, e1, e2, corners, uv, t, masks, start, size):  # type: ignore[no-untyped-def]
    """True where the mask of the triangle's surface, bilinearly read, says that nothing is."""
    whole = e0 + e1 + e2
    a, b, c = corners[3 * t], corners[3 * t + 1], corners[3 * t + 2]
    u = (e0 * uv[2 * a] + e1 * uv[2 * b] + e2 * uv[2 * c]) / whole
    v = (e0 * uv[2 * a + 1] + e1 * uv[2 * b + 1] + e2 * uv[2 * c + 1]) / whole
    x = min(max(u * size - 0.5, 0.0), size - 1.001)
    y = min(max(v * size - 0.5, 0.0), size - 1.001)
    i, j = int(x), int(y)
    fx, fy = x - i, y - j
    at = start + j * size + i
    top = masks[at] * (1 - fx) + masks[at + 1] * fx
    low = masks[at + size] * (1 - fx) + masks[at + size + 1] * fx
    return top * (1 - fy) + low * fy < 128.0


@inlined
def cut(low, high, slope, value):  # type: ignore[no-untyped-def]
    """The part of the samples low..high where slope * i + value is not negative."""
    if slope > 0:
        first = np.ceil(-value / slope)
        if first > low:
            low = min(first, 2e9)
    elif slope < 0:
        last = np.floor(-value / slope)
        if last < high:
            high = max(last, -2e9)
    elif value < 0:
        high = low - 1
    return low, high


_geometry = types.Tuple((_f64, _f64, _i32, _f64, _i32))  # type: ignore[no-untyped-call]
_surfaces = types.Tuple((_i32, _i32, _u8))  # type: ignore[no-untyped-call]


@kernel(types.void(_geometry, _surfaces, _f64, _f32, _i32, _int, _int, _int, _int))
def raster(
    geometry: Any,
    surfaces: Any,
    samples: Any,
    keys: Any,
    seen: Any,
    width: int,
    height: int,
    count: int,
    layer: int,
) -> None:
    """The nearest triangle of each sample.

    geometry: planes, boxes, corners, uv, surface of each triangle. surfaces: marks of each, mask
    of each (where it starts in the third, -1 none; its side) and the masks. samples: x and y of
    the first sample in pixels, their distance, the largest key (nothing nearer is seen). keys,
    seen: (height, width), to be begun with the least key and -1. layer: 0 opaque surfaces, 1
    transparent ones, 2 those that cast a shadow.
    """
    planes, boxes, corners, uv, surface = geometry
    marks, holes, masks = surfaces
    x_first, y_first, step, limit = samples[0], samples[1], samples[2], samples[3]
    for t in range(count):
        mine = surface[t]
        if layer == EVERYTHING:
            if marks[mine] & CASTS == 0:
                continue
        elif (marks[mine] & TRANSPARENT != 0) != (layer == 1):
            continue
        at, box = 12 * t, 4 * t
        left = max((boxes[box] - x_first) / step - 0.5, 0.0)
        right = min((boxes[box + 1] - x_first) / step + 0.5, width - 1.0)
        top = int(max(np.ceil((boxes[box + 2] - y_first) / step - 0.01), 0.0))
        bottom = int(min(np.floor((boxes[box + 3] - y_first) / step + 0.01), height - 1.0))
        if right < left or bottom < top:
            continue
        key_x, key_y = planes[at + 9] * step, planes[at + 10] * step
        key_0 = planes[at + 9] * x_first + planes[at + 10] * y_first + planes[at + 11]
        start, side = holes[2 * mine], holes[2 * mine + 1]
        for j in range(top, bottom + 1):
            y = y_first + j * step
            low, high = np.ceil(left), np.floor(right)
            for i in range(3):
                e = at + 3 * i
                value = planes[e] * x_first + planes[e + 1] * y + planes[e + 2]
                slack = _SLACK * (abs(planes[e] * width) + abs(planes[e + 1] * height)
                                  + abs(planes[e + 2]))  # fmt: skip
                low, high = cut(low, high, planes[e] * step, value + slack)
            row = j * width
            base = key_0 + key_y * j
            for i in range(int(low), int(high) + 1):
                key = np.float32(base + key_x * i)
                if key > keys[row + i] and key <= limit:
                    if start >= 0:
                        x = x_first + i * step
                        e0 = planes[at] * x + planes[at + 1] * y + planes[at + 2]
                        e1 = planes[at + 3] * x + planes[at + 4] * y + planes[at + 5]
                        e2 = planes[at + 6] * x + planes[at + 7] * y + planes[at + 8]
                        if is_hole(e0, e1, e2, corners, uv, t, masks, start, side):
                            continue
                    keys[row + i] = key
                    seen[row + i] = t


_views = types.Tuple((_f64, _i32))  # type: ignore[no-untyped-call]


@kernel(types.void(_views, _views, _f64, _f32, _u8, _int, _int, _int))
def truth(
    here: Any,
    there: Any,
    view: Any,
    disparity: Any,
    both: Any,
    width: int,
    height: int,
    toward: int,
) -> None:
    """Disparity of each pixel, and whether the other camera sees the same point.

    here, there: planes and the nearest triangle of each pixel, of this and of the other view.
    toward: where the point lies in the other view, x + toward * d: -1 from the left, 1 from the
    right. The other view's surface is evaluated at the very place, not at a pixel.
    """
    planes, seen = here
    others, seen_there = there
    for y in range(height):
        for x in range(width):
            at = y * width + x
            t = 12 * seen[at]
            if t < 0:
                disparity[at] = 0
                both[at] = 0
                continue
            d = view[4] * (planes[t + 9] * x + planes[t + 10] * y + planes[t + 11])
            disparity[at] = np.float32(d)
            place = x + toward * d
            both[at] = 0
            if place < 0 or place > width - 1:
                continue
            other = 12 * seen_there[y * width + int(place + 0.5)]
            if other < 0:
                continue
            d_there = view[4] * (
                others[other + 9] * place + others[other + 10] * y + others[other + 11]
            )
            if abs(d_there - d) <= 0.25:
                both[at] = 1
