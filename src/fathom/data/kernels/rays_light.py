"""The light of places that rays met: where rays to sky, lights and mirrors go, and what colour
comes back. Records are those of kernels/rays.py.
"""

from typing import Any

from numba import types

from fathom.classical.kernels.simd import inlined
from fathom.classical.native import kernel
from fathom.data.kernels import layout as at_
from fathom.data.kernels.layout import (
    ALBEDO,
    ALONG_X,
    ALONG_Y,
    BEND_X,
    FAR,
    FLAT,
    LAMP,
    LIGHT,
    NORMAL,
    PLACE,
    RECORD,
    START,
    SURFACE,
)
from fathom.data.kernels.scalar import sqrt
from fathom.data.kernels.shade import beam, filtered, power

_f64, _f32 = types.float64[::1], types.float32[::1]
_i32, _u16 = types.int32[::1], types.uint16[::1]
_int = types.int64
_LIT, _SHINE = 16, 19  # places of the scratch, as kernels/shade.py has them
_HOLLOW = 0.4  # of a step aside, upwards: it must not end below the next triangle of a bowl
_WIDE = 4.0  # a footprint this many times as long as the pixel is wide counts no further
_tables = types.Tuple((_f64, types.int64[::1], _u16))  # type: ignore[no-untyped-call]
_hits = types.Tuple((_i32, _i32))  # type: ignore[no-untyped-call]
_bundle = types.Tuple((_f64, _f64, _f64, _f64))  # type: ignore[no-untyped-call]


@kernel(types.void(_f64, _i32, _i32, _f64, _f32, _f32, _int, _int, _int))
def domed(
    records: Any,
    chosen: Any,
    tiles: Any,
    pattern: Any,
    starts: Any,
    directions: Any,
    number: int,
    each: int,
    count: int,
) -> None:
    """One ray of each chosen record into the half space above it, by the cosine's density.

    tiles: which of the pattern's sets a record takes. pattern: (sets, each, 3) two numbers in 0..1
    and a length, as a share of the way from the camera. The ray ends at t = 1.
    """
    for n in range(count):
        h = chosen[n]
        q, p = RECORD * h, 3 * (each * tiles[h] + number)
        # Duff et al., "Building an orthonormal basis, revisited", JCGT 2017
        nx, ny, nz = records[q + NORMAL], records[q + NORMAL + 1], records[q + NORMAL + 2]
        sign = -1.0 if nz < 0 else 1.0
        a = -1.0 / (sign + nz)
        b = nx * ny * a
        x, y = pattern[p], pattern[p + 1]
        z = sqrt(max(1.0 - x * x - y * y, 0.0))
        reach = pattern[p + 2] * records[q + FAR]
        for k in range(3):
            starts[3 * n + k] = records[q + START + k]
        directions[3 * n] = reach * (x * (1.0 + sign * nx * nx * a) + y * b + z * nx)
        directions[3 * n + 1] = reach * (x * sign * b + y * (sign + ny * ny * a) + z * ny)
        directions[3 * n + 2] = reach * (-x * sign * nx - y * ny + z * nz)


@kernel(types.void(_f64, _i32, _f64, _f64, _f32, _f32, _int))
def aimed(
    records: Any,
    chosen: Any,
    target: Any,
    within: Any,
    starts: Any,
    directions: Any,
    count: int,
) -> None:
    """One ray of each chosen record to a light. target: x, y, z and 1 for a place (the ray ends
    there at t = 1), 0 for a direction. within: where in the pixel's footprint it starts, -0.5..0.5
    along x and y, so that edges of shadows are as smooth as outlines are."""
    for n in range(count):
        q = RECORD * chosen[n]
        wide = high = 0.0
        for k in range(3):
            wide += records[q + ALONG_X + k] * records[q + ALONG_X + k]
            high += records[q + ALONG_Y + k] * records[q + ALONG_Y + k]
        short = _WIDE * sqrt(min(wide, high))
        u = within[0] * min(1.0, short / sqrt(max(wide, 1e-300)))
        v = within[1] * min(1.0, short / sqrt(max(high, 1e-300)))
        lift = 0.0
        for k in range(3):
            moved = u * records[q + ALONG_X + k] + v * records[q + ALONG_Y + k]
            starts[3 * n + k] = moved
            lift += moved * moved
        lift = _HOLLOW * sqrt(lift)
        for k in range(3):
            moved = starts[3 * n + k] + records[q + START + k] + lift * records[q + FLAT + k]
            starts[3 * n + k] = moved
            directions[3 * n + k] = target[k] - (moved if target[3] > 0 else 0.0)


_new = types.Tuple((_f64, _f64, _f64, _f64))  # type: ignore[no-untyped-call]


@kernel(types.void(_f64, _i32, _tables, _f64, _bundle, _f64, _new, _f32, _f64, _int))
def reflected(
    records: Any,
    chosen: Any,
    tables: Any,
    light: Any,
    rays: Any,
    ray: Any,
    new: Any,
    colors: Any,
    out: Any,
    count: int,
) -> None:
    """The mirrored ray of each chosen record, and the colour of the surroundings that are no part
    of the scene, for rays that meet nothing.

    rays: origins, directions, spreads, way; ray: of each record, as float64. new: the same four of
    the mirrored rays.
    """
    _origins, directions, spreads, _travelled = rays
    to_origin, to_direction, to_spread, to_travelled = new
    which = int(light[at_.ENVIRONMENT])
    for n in range(count):
        h = chosen[n]
        q, i = RECORD * h, int(ray[h])
        dot = down = 0.0
        for k in range(3):
            dot += directions[3 * i + k] * records[q + NORMAL + k]
        for k in range(3):
            to_origin[3 * n + k] = records[q + START + k]
            turned = directions[3 * i + k] - 2 * dot * records[q + NORMAL + k]
            to_direction[3 * n + k] = turned
            down += turned * records[q + FLAT + k]
        if down < 0:  # a bent normal must not send it into the surface
            for k in range(3):
                to_direction[3 * n + k] -= 1.02 * down * records[q + FLAT + k]
        for axis in range(2):
            bend, d = q + BEND_X + 3 * axis, 12 * i + 6 + 3 * axis
            change = 0.0
            for k in range(3):
                change += spreads[d + k] * records[q + NORMAL + k]
                change += directions[3 * i + k] * records[bend + k]
            for k in range(3):
                to_spread[12 * n + 3 * axis + k] = records[q + ALONG_X + 3 * axis + k]
                to_spread[12 * n + 6 + 3 * axis + k] = spreads[d + k] - 2 * (
                    dot * records[bend + k] + change * records[q + NORMAL + k])  # fmt: skip
        to_travelled[n] = records[q + FAR]
        mx, my, mz = to_direction[3 * n], to_direction[3 * n + 1], to_direction[3 * n + 2]
        over = 1.0 / sqrt(max(mx * mx + my * my + mz * mz, 1e-300))
        mx, my, mz = mx * over, my * over, mz * over
        fold = 0.5 / (1 + abs(mz))
        filtered(tables, which, mx * fold + 0.25 * (mz > 0), my * fold, 0.006, 0.0, 0.0, 0.006,
                 out)  # fmt: skip
        for k in range(3):
            sky = light[at_.SKY_COLOR + k] + 0.4 * light[at_.SUN_COLOR + k]
            colors[3 * n + k] = out[k] * 1.2 * max(sky, 0.1)


_shares = types.Tuple((_f32, _f32, _f32, _f32))  # type: ignore[no-untyped-call]
_drawn = types.Tuple((_f32, _f32))  # type: ignore[no-untyped-call]


@inlined
def fallen(h, s, q, eye, surfaces, light, records, shares, count, out):  # type: ignore[no-untyped-def]
    """out[16..18] = light that falls on the hit h, out[19..21] = its gloss towards the eye.

    What hides the sky is about as bright as the place itself: of an albedo a and an open share v,
    v / (1 - a (1 - v)) of the sky's light arrives (Stewart and Langer, "Towards accurate recovery
    of shape from shading under diffuse lighting", IEEE TPAMI 1997: the nearby surface's radiance
    stands for that of what hides the sky)."""
    sun, sky, lamps, _mirrors = shares
    up = 0.5 - 0.5 * records[q + NORMAL + 1]
    open_ = sky[h]
    for k in range(3):
        out[3 + k] = records[q + NORMAL + k]
        low, high = light[at_.GROUND_COLOR + k], light[at_.SKY_COLOR + k]
        albedo = min(max(records[q + ALBEDO + k], 0.0), 0.8)
        out[_LIT + k] = (low + up * (high - low)) * open_ / (1 - albedo * (1 - open_))
        out[_SHINE + k] = 0.0
    polish = surfaces[s + at_.SHININESS], int(surfaces[s + at_.POWER])
    if out[3] * light[0] + out[4] * light[1] + out[5] * light[2] > 0:
        beam(light, at_.SUN_COLOR, (light[0], light[1], light[2]), sun[h], polish, eye, out)
    for n in range(int(light[at_.LAMPS])):
        p = LIGHT + LAMP * n
        lx, ly = light[p] - records[q + PLACE], light[p + 1] - records[q + PLACE + 1]
        lz = light[p + 2] - records[q + PLACE + 2]
        square = lx * lx + ly * ly + lz * lz
        near = 1.0 / sqrt(square + 1e-12)
        lx, ly, lz = lx * near, ly * near, lz * near
        if out[3] * lx + out[4] * ly + out[5] * lz > 0:
            fall = lamps[n * count + h] * light[p + 6] / (light[p + 6] + square)
            beam(light, p + 3, (lx, ly, lz), fall, polish, eye, out)


@kernel(types.void(_f64, _f64, _f64, _hits, _f64, _shares, _drawn, _f64, _int))
def lit(
    surfaces: Any,
    light: Any,
    directions: Any,
    hits: Any,
    records: Any,
    shares: Any,
    drawn: Any,
    out: Any,
    count: int,
) -> None:
    """The colour that each hit adds, and what share of the light behind it comes through.

    hits: ray and surface of each. shares: of the sun, of the sky, of each lamp (lamps, count) that
    reaches it, 0..1; what the mirror shows (count, 3). drawn: colours (count, 3) and what comes
    through (count, 3). out: room for 24 numbers.
    """
    ray, which = hits
    mirrors = shares[3]
    colors, through = drawn
    for h in range(count):
        i, s, q = ray[h], SURFACE * which[h], RECORD * h
        for k in range(3):
            through[3 * h + k] = 0.0
        glow = surfaces[s + at_.GLOW]
        if glow > 0:
            for k in range(3):
                colors[3 * h + k] = records[q + ALBEDO + k] * glow
            continue
        dx, dy, dz = directions[3 * i], directions[3 * i + 1], directions[3 * i + 2]
        over = -1.0 / sqrt(dx * dx + dy * dy + dz * dz)
        ex, ey, ez = dx * over, dy * over, dz * over
        fallen(h, s, q, (ex, ey, ez), surfaces, light, records, shares, count, out)
        mirror = surfaces[s + at_.MIRROR]
        fresnel = 0.0
        if mirror > 0:  # Schlick, "An inexpensive BRDF model", 1994
            cosine = out[3] * ex + out[4] * ey + out[5] * ez
            fresnel = mirror + (1 - mirror) * power(max(1 - cosine, 0.0), 5)
        solid = surfaces[s + at_.OPACITY]
        haze = 1 - 1 / (1 + light[at_.HAZE] * records[q + FAR])
        strongest = max(surfaces[s + at_.TINT], surfaces[s + at_.TINT + 1],
                        surfaces[s + at_.TINT + 2], 1e-6)  # fmt: skip
        for k in range(3):
            c = records[q + ALBEDO + k] * out[_LIT + k] * solid + out[_SHINE + k]
            c += fresnel * (mirrors[3 * h + k] - c)
            clear = 0.0
            if solid < 1:
                tint = 0.4 + 0.6 * surfaces[s + at_.TINT + k] / strongest
                clear = (1 - solid) * (1 - fresnel) * tint
            through[3 * h + k] = clear
            colors[3 * h + k] = c + haze * ((1 - clear) * light[at_.HAZE_COLOR + k] - c)


@kernel(types.void(_f32, _i32, _f64, _f32, _int, _int))
def smoothed(values: Any, hit: Any, records: Any, smooth: Any, width: int, height: int) -> None:
    """smooth[h] = mean of the values of hits around it that lie on the same surface.

    hit: which hit a pixel (height, width) shows, -1 none. The window is as large as the pattern of
    directions (4 x 4), so each of its sets counts once (Keller and Heidrich, "Interleaved
    sampling", EGWR 2001).
    """
    for y in range(height):
        for x in range(width):
            h = hit[y * width + x]
            if h < 0:
                continue
            q = RECORD * h
            total, weight = 0.0, 0.0
            for j in range(max(y - 1, 0), min(y + 3, height)):
                for i in range(max(x - 1, 0), min(x + 3, width)):
                    o = hit[j * width + i]
                    if o < 0:
                        continue
                    p = RECORD * o
                    alike = off = 0.0
                    for k in range(3):
                        alike += records[q + NORMAL + k] * records[p + NORMAL + k]
                        off += records[q + FLAT + k] * (
                            records[p + PLACE + k] - records[q + PLACE + k])  # fmt: skip
                    if alike > 0.8 and abs(off) < 0.02 * records[q + FAR]:
                        total, weight = total + values[o], weight + 1.0
            smooth[h] = total / weight
