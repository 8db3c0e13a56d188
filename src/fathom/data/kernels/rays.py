"""Where rays meet surfaces, and what is there.

The ray tracer names a triangle in float32; everything here then follows in float64 from the ray and
that triangle: distance, place, texture, normal. Rays carry how they change from pixel to pixel
(Igehy, "Tracing ray differentials", SIGGRAPH 1999), so textures are filtered over the pixel's area
in mirrors, too.

A ray is origin (3) and direction (3), of any length: what is `t` away lies at origin + t direction.
Its spread (12) is the change of the origin along x and along y of the image, then that of the
direction. A record (`RECORD` numbers) is what is known of a place that a ray met.
"""

from typing import Any

from numba import types

from fathom.classical.kernels.simd import inlined
from fathom.classical.native import kernel
from fathom.data.kernels.layout import (
    AIR,
    ALBEDO,
    ALONG_X,
    BEND_X,
    BEND_Y,
    FAR,
    FLAT,
    GLASS,
    NORMAL,
    NOTHING,
    OPAQUE,
    PLACE,
    RECORD,
    START,
    SURFACE,
    TRANSPARENT,
)
from fathom.data.kernels.raster import is_hole
from fathom.data.kernels.scalar import sqrt
from fathom.data.kernels.shade import painted

_f64 = types.float64[::1]
_i32, _u8, _u16 = types.int32[::1], types.uint8[::1], types.uint16[::1]
_int = types.int64
_U, _ALBEDO = 6, 13  # places of the scratch, as kernels/shade.py has them
_PLAIN = 1e-12
_AGAIN, _AWAY = 1e-5, 4e-6  # of the way, of the distance from the origin of all: the next start
_LIFT = 2e-5  # of the distance from the origin of all: rays start so far above their surface


@inlined
def crossed(points, corners, t, origins, directions, i):  # type: ignore[no-untyped-def]
    """Barycentric coordinates of the ray i on triangle t, over its distance: their sum is its
    inverse (as kernels/raster.py has it for pixels). 0 where it is seen from the side."""
    ox, oy, oz = origins[3 * i], origins[3 * i + 1], origins[3 * i + 2]
    dx, dy, dz = directions[3 * i], directions[3 * i + 1], directions[3 * i + 2]
    a, b, c = 3 * corners[3 * t], 3 * corners[3 * t + 1], 3 * corners[3 * t + 2]
    ax, ay, az = points[a] - ox, points[a + 1] - oy, points[a + 2] - oz
    bx, by, bz = points[b] - ox, points[b + 1] - oy, points[b + 2] - oz
    gx, gy, gz = points[c] - ox, points[c + 1] - oy, points[c + 2] - oz
    n0x, n0y, n0z = by * gz - bz * gy, bz * gx - bx * gz, bx * gy - by * gx
    n1x, n1y, n1z = gy * az - gz * ay, gz * ax - gx * az, gx * ay - gy * ax
    n2x, n2y, n2z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    volume = ax * n0x + ay * n0y + az * n0z
    size = (abs(ax) + abs(ay) + abs(az)) * (abs(n0x) + abs(n0y) + abs(n0z))
    if abs(volume) <= _PLAIN * size:
        return 0.0, 0.0, 0.0
    over = 1.0 / volume
    e0 = (n0x * dx + n0y * dy + n0z * dz) * over
    e1 = (n1x * dx + n1y * dy + n1z * dz) * over
    e2 = (n2x * dx + n2y * dy + n2z * dz) * over
    return e0, e1, e2


_place = types.Tuple((_f64, _i32, _f64, _i32))  # type: ignore[no-untyped-call]
_surfaces = types.Tuple((_i32, _i32, _u8))  # type: ignore[no-untyped-call]
_rays = types.Tuple((_f64, _f64))  # type: ignore[no-untyped-call]


@kernel(types.void(_place, _surfaces, _rays, _i32, _f64, _f64, _u8, _int))
def meet(
    geometry: Any,
    surfaces: Any,
    rays: Any,
    triangles: Any,
    distance: Any,
    onward: Any,
    kinds: Any,
    count: int,
) -> None:
    """What each ray met, how far away, and where it goes on if it does.

    geometry: points, corners, uv, surface of each triangle. surfaces: marks, holes and masks, as
    `raster` takes them. rays: origins, directions. triangles: what each met, -1 nothing. distance:
    of that, t; onward: where the ray was and, when done, where it goes on. kinds: see `NOTHING`.
    """
    points, corners, uv, surface = geometry
    marks, holes, masks = surfaces
    origins, directions = rays
    for i in range(count):
        t = triangles[i]
        if t < 0:
            kinds[i] = NOTHING
            continue
        mine = surface[t]
        e0, e1, e2 = crossed(points, corners, t, origins, directions, i)
        whole = e0 + e1 + e2
        kinds[i] = AIR
        way = onward[i]
        if whole > 0:
            way = max(1.0 / whole, way)
            start = holes[2 * mine]
            if start < 0 or not is_hole(
                e0, e1, e2, corners, uv, t, masks, start, holes[2 * mine + 1]
            ):
                kinds[i] = GLASS if marks[mine] & TRANSPARENT != 0 else OPAQUE
        distance[i] = way
        far = size = 0.0
        for k in range(3):
            far = max(far, abs(origins[3 * i + k] + way * directions[3 * i + k]))
            size = max(size, abs(directions[3 * i + k]))
        onward[i] = way * (1 + _AGAIN) + _AWAY * far / max(size, 1e-30)


_mesh = types.Tuple((_f64, _i32, _f64, _f64, _i32))  # type: ignore[no-untyped-call]
_tables = types.Tuple((_f64, types.int64[::1], _u16))  # type: ignore[no-untyped-call]
_hits = types.Tuple((_i32, _i32))  # type: ignore[no-untyped-call]
_bundle = types.Tuple((_f64, _f64, _f64, _f64))  # type: ignore[no-untyped-call]


@inlined
def differential(i, q, k, way, flat, geometry, rays, weights, records):  # type: ignore[no-untyped-def]
    """Change of place and normal along one axis of the image (k = 0, 1) into the record q, and of
    u, v; rays: origins, directions, spreads."""
    points, corners, uv, normals, _ = geometry
    _origins, directions, spreads, _travelled = rays
    t, length = weights
    a, b, c = corners[3 * t], corners[3 * t + 1], corners[3 * t + 2]
    fx, fy, fz = flat
    o, d = 12 * i + 3 * k, 12 * i + 6 + 3 * k
    px, py = spreads[o] + way * spreads[d], spreads[o + 1] + way * spreads[d + 1]
    pz = spreads[o + 2] + way * spreads[d + 2]
    dx, dy, dz = directions[3 * i], directions[3 * i + 1], directions[3 * i + 2]
    slope = dx * fx + dy * fy + dz * fz
    step = 0.0 if slope == 0 else -(px * fx + py * fy + pz * fz) / slope
    px, py, pz = px + step * dx, py + step * dy, pz + step * dz
    u = ALONG_X + 3 * k
    records[q + u], records[q + u + 1], records[q + u + 2] = px, py, pz
    # b_i are linear on the triangle; `flat` is (B - A) x (C - A), `length` its square
    e1x, e1y = points[3 * b] - points[3 * a], points[3 * b + 1] - points[3 * a + 1]
    e1z = points[3 * b + 2] - points[3 * a + 2]
    e2x, e2y = points[3 * c] - points[3 * a], points[3 * c + 1] - points[3 * a + 1]
    e2z = points[3 * c + 2] - points[3 * a + 2]
    over = 1.0 / max(length, 1e-300)
    beta = (
        (py * e2z - pz * e2y) * fx + (pz * e2x - px * e2z) * fy + (px * e2y - py * e2x) * fz
    ) * over
    gamma = (
        (e1y * pz - e1z * py) * fx + (e1z * px - e1x * pz) * fy + (e1x * py - e1y * px) * fz
    ) * over
    alpha = -beta - gamma
    v = BEND_X + 3 * k
    for n in range(3):
        records[q + v + n] = (
            alpha * normals[3 * a + n] + beta * normals[3 * b + n] + gamma * normals[3 * c + n]
        )
    s = alpha * uv[2 * a] + beta * uv[2 * b] + gamma * uv[2 * c]
    w = alpha * uv[2 * a + 1] + beta * uv[2 * b + 1] + gamma * uv[2 * c + 1]
    return s, w


@inlined
def lifted(q, weights, corners, sign, points, normals, records):  # type: ignore[no-untyped-def]
    """Moves the start of rays from the triangle to the smooth surface that its normals tell of, so
    that round things do not shade themselves in facets (Hanika, "Hacking the shadow terminator", in
    Ray Tracing Gems II, 2021). sign: -1 where the normals face away."""
    e0, e1, e2 = weights
    a, b, c = corners
    for k in range(3):
        corner = a if k == 0 else (b if k == 1 else c)
        weight = e0 if k == 0 else (e1 if k == 1 else e2)
        below = 0.0
        for n in range(3):
            away = records[q + PLACE + n] - points[3 * corner + n]
            below += sign * normals[3 * corner + n] * away
        if below < 0:
            for n in range(3):
                records[q + START + n] -= weight * below * sign * normals[3 * corner + n]


@kernel(types.void(_mesh, _tables, _bundle, _hits, _f64, _f64, _f64, _int))
def surfaced(
    geometry: Any,
    tables: Any,
    rays: Any,
    hits: Any,
    distance: Any,
    records: Any,
    out: Any,
    count: int,
) -> None:
    """The record of each hit.

    geometry: points, corners, uv, normals, surface of each triangle. tables: surfaces, textures,
    texels. rays: origins, directions, spreads, way already travelled. hits: ray and triangle of
    each. distance: t of each. out: room for 24 numbers.
    """
    points, corners, uv, normals, surface = geometry
    origins, directions, _spreads, travelled = rays
    ray, triangle = hits
    for h in range(count):
        i, t, q, way = ray[h], triangle[h], RECORD * h, distance[h]
        a, b, c = corners[3 * t], corners[3 * t + 1], corners[3 * t + 2]
        e0, e1, e2 = crossed(points, corners, t, origins, directions, i)
        over = 1.0 / max(e0 + e1 + e2, 1e-300)
        e0, e1, e2 = e0 * over, e1 * over, e2 * over
        x1, y1 = points[3 * b] - points[3 * a], points[3 * b + 1] - points[3 * a + 1]
        z1 = points[3 * b + 2] - points[3 * a + 2]
        x2, y2 = points[3 * c] - points[3 * a], points[3 * c + 1] - points[3 * a + 1]
        z2 = points[3 * c + 2] - points[3 * a + 2]
        fx, fy, fz = y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2
        length = fx * fx + fy * fy + fz * fz
        su, sv = differential(
            i, q, 0, way, (fx, fy, fz), geometry, rays, (t, length), records)  # fmt: skip
        tu, tv = differential(
            i, q, 1, way, (fx, fy, fz), geometry, rays, (t, length), records)  # fmt: skip
        out[_U] = e0 * uv[2 * a] + e1 * uv[2 * b] + e2 * uv[2 * c]
        out[_U + 1] = e0 * uv[2 * a + 1] + e1 * uv[2 * b + 1] + e2 * uv[2 * c + 1]
        out[_U + 2], out[_U + 3], out[_U + 4], out[_U + 5] = su, sv, tu, tv
        painted(SURFACE * surface[t], tables, out)
        square = away = side = far = 0.0
        for k in range(3):
            n = e0 * normals[3 * a + k] + e1 * normals[3 * b + k] + e2 * normals[3 * c + k]
            records[q + NORMAL + k] = n
            square += n * n
            away += n * directions[3 * i + k]
            place = origins[3 * i + k] + way * directions[3 * i + k]
            records[q + PLACE + k] = place
            records[q + ALBEDO + k] = out[_ALBEDO + k]
            far = max(far, abs(place))
        side = fx * directions[3 * i] + fy * directions[3 * i + 1] + fz * directions[3 * i + 2]
        scale = 1.0 / sqrt(max(square, 1e-30))
        if away > 0:
            scale = -scale
        sign = -1.0 if scale < 0 else 1.0
        flat = (-1.0 if side > 0 else 1.0) / sqrt(max(length, 1e-300))
        records[q + FLAT], records[q + FLAT + 1], records[q + FLAT + 2] = (
            fx * flat, fy * flat, fz * flat)  # fmt: skip
        bend_x = bend_y = 0.0
        for k in range(3):
            records[q + NORMAL + k] *= scale
            records[q + BEND_X + k] *= scale
            records[q + BEND_Y + k] *= scale
            bend_x += records[q + BEND_X + k] * records[q + NORMAL + k]
            bend_y += records[q + BEND_Y + k] * records[q + NORMAL + k]
            records[q + START + k] = records[q + PLACE + k] + _LIFT * far * records[q + FLAT + k]
        for k in range(3):
            records[q + BEND_X + k] -= bend_x * records[q + NORMAL + k]
            records[q + BEND_Y + k] -= bend_y * records[q + NORMAL + k]
        lifted(q, (e0, e1, e2), (a, b, c), sign, points, normals, records)
        records[q + FAR] = travelled[i] + way
