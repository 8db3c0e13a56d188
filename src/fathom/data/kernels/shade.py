"""The colour of each pixel: textures filtered over the pixel's area, light, shadow, gloss, glass.

Where all samples of a pixel see the same surface, the pixel is shaded once; elsewhere each sample
is, and the mean is the pixel's. Everything but gloss depends on the place in the world alone, so
both views see the same colour at the same point.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.simd import inlined
from fathom.classical.native import kernel
from fathom.data.kernels import layout as at_
from fathom.data.kernels.layout import LAMP, LIGHT, SURFACE
from fathom.data.kernels.scalar import sqrt

_f64, _f32 = types.float64[::1], types.float32[::1]
_i32, _u8, _u16 = types.int32[::1], types.uint8[::1], types.uint16[::1]
_int = types.int64
_FULL = 1.0 / 65535.0
_TAPS = 4  # along the longer side of a pixel's footprint
_DEEP = 0.03  # relative step of depth between samples that one surface's edge has


@inlined
def texel_row(atlas, start, side, s, t, weight, out):  # type: ignore[no-untyped-def]
    """Adds the bilinear colour at (s, t) texels of one level, times weight, to out[0..2]."""
    i, j = int(np.floor(s)), int(np.floor(t))
    fs, ft = s - i, t - j
    wrap = side - 1
    i0, i1, j0, j1 = i & wrap, (i + 1) & wrap, j & wrap, (j + 1) & wrap
    a, b = start + 3 * (j0 * side + i0), start + 3 * (j0 * side + i1)
    c, d = start + 3 * (j1 * side + i0), start + 3 * (j1 * side + i1)
    wa, wb = weight * (1 - fs) * (1 - ft), weight * fs * (1 - ft)
    wc, wd = weight * (1 - fs) * ft, weight * fs * ft
    for k in range(3):
        out[k] += (
            wa * atlas[a + k] + wb * atlas[b + k] + wc * atlas[c + k] + wd * atlas[d + k]
        ) * _FULL


@inlined
def level_of(footprint, side):  # type: ignore[no-untyped-def]
    """Level and the share of the next one for a footprint in texels of the finest level."""
    level, share = 0, 0.0
    while footprint > 2.0 and side > 1:
        footprint *= 0.5
        side >>= 1
        level += 1
    if footprint > 1.0 and side > 1:
        share = footprint - 1.0
    return level, share


@inlined
def tap(atlas, start, side, s, t, level, share, weight, out):  # type: ignore[no-untyped-def]
    """Adds the colour at (s, t), in textures' sides, between two levels."""
    for _ in range(level):
        start += 3 * side * side
        side >>= 1
    texel_row(atlas, start, side, s * side - 0.5, t * side - 0.5, weight * (1 - share), out)
    if share > 0:
        start += 3 * side * side
        side >>= 1
        texel_row(atlas, start, side, s * side - 0.5, t * side - 0.5, weight * share, out)


@inlined
def filtered(tables, which, s, t, s_x, t_x, s_y, t_y, out):  # type: ignore[no-untyped-def]
    """out[0..2] = the texture's colour over a pixel: (s, t) and their change along x and y.

    Up to four taps along the longer axis of the footprint keep slanted ground sharp (anisotropic
    filtering of mip maps, Williams, "Pyramidal parametrics", SIGGRAPH 1983)."""
    _surfaces, textures, atlas = tables
    start, side = textures[2 * which], textures[2 * which + 1]
    along_x = (s_x * s_x + t_x * t_x) * side * side
    along_y = (s_y * s_y + t_y * t_y) * side * side
    long, short = sqrt(max(along_x, along_y)), sqrt(min(along_x, along_y))
    taps = 1
    if long > 1.0 and long > short:
        taps = int(min(np.ceil(long / max(short, 1.0)), _TAPS))
    level, share = level_of(max(short, long / taps), side)
    ds, dt = (s_x, t_x) if along_x > along_y else (s_y, t_y)
    out[0] = out[1] = out[2] = 0.0
    for n in range(taps):
        off = (n + 0.5) / taps - 0.5
        tap(atlas, start, side, s + off * ds, t + off * dt, level, share, 1.0 / taps, out)


@inlined
def sunlit(light, shadow, x, y, z, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Share of the sun that reaches a point, 0..1: four comparisons, blended."""
    size = int(light[at_.SHADOW_SIZE])
    if size == 0:
        return 1.0
    lift = light[at_.SHADOW_BIAS]
    x, y, z = x + nx * lift, y + ny * lift, z + nz * lift
    r = at_.SHADOW_X
    u = light[r] * x + light[r + 1] * y + light[r + 2] * z + light[r + 3]
    r = at_.SHADOW_Y
    v = light[r] * x + light[r + 1] * y + light[r + 2] * z + light[r + 3]
    r = at_.SHADOW_Z
    key = light[r] * x + light[r + 1] * y + light[r + 2] * z + light[r + 3]
    if not (1 <= u < size - 2 and 1 <= v < size - 2):
        return 1.0
    i, j = int(u), int(v)
    fu, fv = u - i, v - j
    at = j * size + i
    a = 1.0 if shadow[at] <= key else 0.0
    b = 1.0 if shadow[at + 1] <= key else 0.0
    c = 1.0 if shadow[at + size] <= key else 0.0
    d = 1.0 if shadow[at + size + 1] <= key else 0.0
    return (a * (1 - fu) + b * fu) * (1 - fv) + (c * (1 - fu) + d * fu) * fv


@inlined
def power(base, exponent):  # type: ignore[no-untyped-def]
    """base ** exponent for a whole exponent."""
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


# Places in the scratch that the functions below share: colour and normal, then what is inside.
_U, _Z, _ALBEDO, _LIT, _SHINE = 6, 12, 13, 16, 19
SCRATCH = 24


@inlined
def located(x, y, t, geometry, view, out):  # type: ignore[no-untyped-def]
    """out[3..5] = normal towards the camera, out[6..11] = u, v and their change along x and y,
    out[12] = depth, of triangle t at the pixel (x, y)."""
    planes, corners, uv, normals, _ = geometry
    p = 12 * t
    e0 = planes[p] * x + planes[p + 1] * y + planes[p + 2]
    e1 = planes[p + 3] * x + planes[p + 4] * y + planes[p + 5]
    e2 = planes[p + 6] * x + planes[p + 7] * y + planes[p + 8]
    z = 1.0 / (e0 + e1 + e2)
    a, b, c = corners[3 * t], corners[3 * t + 1], corners[3 * t + 2]
    for i in range(2):
        ka, kb, kc = uv[2 * a + i], uv[2 * b + i], uv[2 * c + i]
        value = (e0 * ka + e1 * kb + e2 * kc) * z
        out[_U + i] = value
        for axis in range(2):
            k = p + axis
            slope = planes[k] * ka + planes[k + 3] * kb + planes[k + 6] * kc
            out[_U + 2 + 2 * axis + i] = (slope - value * planes[k + 9]) * z
    out[_Z] = z
    square = away = 0.0
    for i in range(3):
        n = e0 * normals[3 * a + i] + e1 * normals[3 * b + i] + e2 * normals[3 * c + i]
        out[3 + i] = n
        square += n * n
    rx, ry = (x - view[at_.CX]) / view[at_.FOCAL], (y - view[at_.CY]) / view[at_.FOCAL]
    away = out[3] * rx + out[4] * ry + out[5]
    scale = 1.0 / sqrt(max(square, 1e-30))
    if away > 0:
        scale = -scale
    for i in range(3):
        out[3 + i] *= scale


@inlined
def painted(s, tables, out):  # type: ignore[no-untyped-def]
    """out[13..15] = albedo: the texture at (u, v), the stain over it, the tint."""
    surfaces, textures, atlas = tables
    su, sv = surfaces[s + at_.U_TO_S], surfaces[s + at_.V_TO_S]
    tu, tv = surfaces[s + at_.U_TO_T], surfaces[s + at_.V_TO_T]
    ts, tt = su * out[_U] + sv * out[_U + 1], tu * out[_U] + tv * out[_U + 1]
    sx, tx = su * out[_U + 2] + sv * out[_U + 3], tu * out[_U + 2] + tv * out[_U + 3]
    sy, ty = su * out[_U + 4] + sv * out[_U + 5], tu * out[_U + 4] + tv * out[_U + 5]
    which = int(surfaces[s + at_.TEXTURE])
    s0, t0 = surfaces[s + at_.S_OFFSET], surfaces[s + at_.T_OFFSET]
    filtered(tables, which, ts + s0, tt + t0, sx, tx, sy, ty, out)
    keep = surfaces[s + at_.CONTRAST]
    for i in range(3):
        out[_ALBEDO + i] = (out[i] * keep + 0.5 * (1 - keep)) * surfaces[s + at_.TINT + i]
    strength = surfaces[s + at_.STAIN_STRENGTH]
    if strength > 0:
        k, stain = surfaces[s + at_.STAIN_SCALE], int(surfaces[s + at_.STAIN])
        start, side = textures[2 * stain], textures[2 * stain + 1]
        level, _ = level_of(sqrt(max(sx * sx + tx * tx, sy * sy + ty * ty)) * k * side, side)
        s1, t1 = surfaces[s + at_.SHIFT_S], surfaces[s + at_.SHIFT_T]
        out[0] = out[1] = out[2] = 0.0
        tap(atlas, start, side, ts * k + s1, tt * k + t1, level, 0.0, 1.0, out)
        dark = 1 - strength + strength * 2 * (out[0] + out[1] + out[2]) / 3
        for i in range(3):
            out[_ALBEDO + i] *= dark


@inlined
def beam(light, at, lx, ly, lz, strength, shine, exponent, ex, ey, ez, out):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Adds light of the colour light[at..at + 2] from the direction (lx, ly, lz) to the diffuse
    and the glossy sum (Blinn, "Models of light reflection", SIGGRAPH 1977)."""
    facing = out[3] * lx + out[4] * ly + out[5] * lz
    hx, hy, hz = lx + ex, ly + ey, lz + ez
    gloss = 0.0
    if shine > 0:
        size = sqrt(hx * hx + hy * hy + hz * hz + 1e-12)
        half = max((out[3] * hx + out[4] * hy + out[5] * hz) / size, 0.0)
        gloss = shine * strength * power(half, exponent)
    for i in range(3):
        out[_LIT + i] += facing * strength * light[at + i]
        out[_SHINE + i] += gloss * light[at + i]


@inlined
def lighted(s, wx, wy, wz, ex, ey, ez, surfaces, lights, out):  # type: ignore[no-untyped-def]
    """out[16..18] = light that falls on the point (wx, wy, wz), out[19..21] = its gloss; returns
    the share of the sun that something cuts off."""
    light, shadow = lights
    up = 0.5 - 0.5 * out[4]
    for i in range(3):
        low, high = light[at_.GROUND_COLOR + i], light[at_.SKY_COLOR + i]
        out[_LIT + i] = low + up * (high - low)
        out[_SHINE + i] = 0.0
    shine, exponent = surfaces[s + at_.SHININESS], int(surfaces[s + at_.POWER])
    dark = 0.0
    if out[3] * light[0] + out[4] * light[1] + out[5] * light[2] > 0:
        lit = sunlit(light, shadow, wx, wy, wz, out[3], out[4], out[5])
        dark = 1.0 - lit
        beam(light, at_.SUN_COLOR, light[0], light[1], light[2], lit, shine, exponent, ex, ey, ez,
             out)  # fmt: skip
    for n in range(int(light[at_.LAMPS])):
        q = LIGHT + LAMP * n
        dx, dy, dz = light[q] - wx, light[q + 1] - wy, light[q + 2] - wz
        square = dx * dx + dy * dy + dz * dz
        over = 1.0 / sqrt(square + 1e-12)
        dx, dy, dz = dx * over, dy * over, dz * over
        if out[3] * dx + out[4] * dy + out[5] * dz > 0:
            fall = light[q + 6] / (light[q + 6] + square)
            beam(light, q + 3, dx, dy, dz, fall, shine, exponent, ex, ey, ez, out)
    return dark


@inlined
def colored(x, y, t, geometry, tables, lights, view, out):  # type: ignore[no-untyped-def]
    """out[0..2] = colour of triangle t at the pixel (x, y); out[3..5] its normal, towards the
    camera; returns the share of the sun that is cut off by something else."""
    surfaces = tables[0]
    light = lights[0]
    located(x, y, t, geometry, view, out)
    s = SURFACE * geometry[4][t]
    painted(s, tables, out)
    glow = surfaces[s + at_.GLOW]
    dark = 0.0
    if glow > 0:
        for i in range(3):
            out[i] = out[_ALBEDO + i] * glow
    else:
        rx, ry = (x - view[at_.CX]) / view[at_.FOCAL], (y - view[at_.CY]) / view[at_.FOCAL]
        z = out[_Z]
        near = 1.0 / sqrt(rx * rx + ry * ry + 1.0)
        ex, ey, ez = -rx * near, -ry * near, -near  # towards the camera
        # lamps and sun stand in the left camera's frame
        wx, wy = rx * z + view[at_.SHIFT], ry * z
        dark = lighted(s, wx, wy, z, ex, ey, ez, surfaces, lights, out)
        for i in range(3):
            out[_ALBEDO + i] = out[_ALBEDO + i] * out[_LIT + i] + out[_SHINE + i]
        mirror = surfaces[s + at_.MIRROR]
        if mirror > 0:  # Schlick, "An inexpensive BRDF model", 1994
            cosine = out[3] * ex + out[4] * ey + out[5] * ez
            fresnel = mirror + (1 - mirror) * power(max(1 - cosine, 0.0), 5)
            mx, my = 2 * cosine * out[3] - ex, 2 * cosine * out[4] - ey
            mz = 2 * cosine * out[5] - ez
            fold = 0.5 / (1 + abs(mz))
            which = int(light[at_.ENVIRONMENT])
            filtered(tables, which, mx * fold + 0.25 * (mz > 0), my * fold, 0.006, 0.0, 0.0, 0.006,
                     out)  # fmt: skip
            bright = 1.2 * max(light[at_.SKY_COLOR] + 0.4 * light[at_.SUN_COLOR], 0.1)
            for i in range(3):
                out[_ALBEDO + i] += fresnel * (out[i] * bright - out[_ALBEDO + i])
        haze = 1 - 1 / (1 + light[at_.HAZE] * z)
        for i in range(3):
            c = out[_ALBEDO + i]
            out[i] = c + haze * (light[at_.HAZE_COLOR + i] - c)
    return dark


_geometry = types.Tuple((_f64, _i32, _f64, _f64, _i32))  # type: ignore[no-untyped-call]
_tables = types.Tuple((_f64, types.int64[::1], _u16))  # type: ignore[no-untyped-call]
_lights = types.Tuple((_f64, _f32))  # type: ignore[no-untyped-call]
_buffers = types.Tuple((_f32, _i32, _f32, _i32))  # type: ignore[no-untyped-call]
_results = types.Tuple((_f32, _f32, _u8, _i32))  # type: ignore[no-untyped-call]


@inlined
def through(x, y, t, g, geometry, tables, lights, view, out):  # type: ignore[no-untyped-def]
    """out[0..2] = colour of a sample with glass (g, -1: none) before the opaque triangle t;
    out[3..5] the normal of the nearest surface; returns the share of the sun cut off there."""
    r = gr = b = dark = 0.0
    out[3], out[4], out[5] = 0.0, 0.0, -1.0
    for layer in range(2):  # one loop: the compiler then makes the code of `colored` once
        i = t if layer == 0 else g
        if i < 0:
            continue
        dark = colored(x, y, i, geometry, tables, lights, view, out)
        solid = tables[0][SURFACE * geometry[4][i] + at_.OPACITY] if layer == 1 else 1.0
        r, gr, b = r + solid * (out[0] - r), gr + solid * (out[1] - gr), b + solid * (out[2] - b)
    out[0], out[1], out[2] = r, gr, b
    return dark


@inlined
def uniform(x, y, width, key, buffers, fine, surface):  # type: ignore[no-untyped-def]
    """True if the pixel's four samples see what its centre sees."""
    keys, seen, _glass_keys, glass_seen = buffers
    fine_keys, fine_seen, _fine_glass_keys, fine_glass = fine
    t, g = seen[key], glass_seen[key]
    same = True
    for n in range(4):
        s = (2 * y + (n >> 1)) * 2 * width + 2 * x + (n & 1)
        ft, fg = fine_seen[s], fine_glass[s]
        if (
            (ft < 0) != (t < 0)
            or (fg < 0) != (g < 0)
            or (
                t >= 0
                and (surface[ft] != surface[t] or abs(fine_keys[s] - keys[key]) > _DEEP * keys[key])
            )
            or (g >= 0 and (surface[fg] != surface[g]))
        ):
            same = False
    return same


@kernel(
    types.void(
        _geometry, _tables, _lights, _f64, _buffers, _buffers, _i32, _results, _f64, _int, _int
    )
)
def shade(  # noqa: PLR0917  # a kernel takes everything from outside
    geometry: Any,
    tables: Any,
    lights: Any,
    view: Any,
    buffers: Any,
    fine: Any,
    marks: Any,
    results: Any,
    out: Any,
    width: int,
    height: int,
) -> None:
    """Colours (linear), normals, marks and nearest triangle of each pixel.

    geometry: planes, corners, uv, normals, surface of each triangle. tables: surfaces, textures
    (start and side of each), their texels. lights: see layout; shadow map. buffers: keys and
    triangles of opaque and transparent surfaces at the pixels' centres; fine: the same for 2 x 2
    samples a pixel. marks: of each surface. results: colours (h, w, 3), normals (h, w, 3), marks
    and triangles (h, w). out: room for 24 numbers.
    """
    colors, normals, marked, front = results
    surface = geometry[4]
    for y in range(height):
        for x in range(width):
            at = y * width + x
            keys, seen, glass_keys, glass_seen = buffers
            t, g = seen[at], glass_seen[at]
            if g >= 0 and glass_keys[at] <= keys[at]:
                g = -1
            nearest = t if g < 0 else g
            px, py = x + 0.0, y + 0.0
            r = b = gr = weight = 0.0
            for n in range(5):  # the centre, then, where it does not speak for all, the samples
                dark = through(px, py, t, g, geometry, tables, lights, view, out)
                if n == 0:
                    front[at] = nearest
                    marked[at] = 0
                    if nearest >= 0:
                        marked[at] = (marks[surface[nearest]] & 63) | (128 if dark > 0.5 else 0)
                    normals[3 * at], normals[3 * at + 1], normals[3 * at + 2] = (
                        out[3], out[4], out[5])  # fmt: skip
                    if uniform(x, y, width, at, buffers, fine, surface):
                        r, gr, b, weight = out[0], out[1], out[2], 1.0
                        break
                else:
                    r, gr, b, weight = r + out[0], gr + out[1], b + out[2], weight + 1.0
                if n < 4:
                    i, j = 2 * x + (n & 1), 2 * y + (n >> 1)
                    px, py = 0.5 * i - 0.25, 0.5 * j - 0.25
                    keys, seen, glass_keys, glass_seen = fine
                    place = j * 2 * width + i
                    t, g = seen[place], glass_seen[place]
                    if g >= 0 and glass_keys[place] <= keys[place]:
                        g = -1
            scale = 1.0 / weight
            colors[3 * at], colors[3 * at + 1], colors[3 * at + 2] = (
                r * scale,
                gr * scale,
                b * scale,
            )
