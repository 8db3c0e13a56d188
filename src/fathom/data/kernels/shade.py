"""The colour of each pixel: textures filtered over the pixel's area, light, shadow, gloss, glass.

Where all samples of a pixel see the same surface, the pixel is shaded once; elsewhere each sample
is, and the mean is the pixel's. Everything but gloss depends on the place in the world alone, so
both views see the same colour at the same point.
"""

from typing import Any

import numpy as np
from numba import types

from fathom.classical.kernels.simd import inlined
from fathom.classical.kernels.views import named
from fathom.classical.native import kernel
from fathom.data.kernels import layout as at_
from fathom.data.kernels.layout import LAMP, LIGHT, SURFACE, Picture, Seen, Subject, Triangles
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
def located(x, y, t, triangles, view, out):  # type: ignore[no-untyped-def]
    """out[3..5] = normal towards the camera, out[6..11] = u, v and their change along x and y,
    out[12] = depth, of triangle t at the pixel (x, y)."""
    planes, corners, uv, normals, _ = triangles
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
def beam(light, at, way, strength, polish, eye, out):  # type: ignore[no-untyped-def]
    """Adds light of the colour light[at..at + 2] from the direction `way` to the diffuse and the
    glossy sum (Blinn, "Models of light reflection", SIGGRAPH 1977). polish: shininess and power of
    the surface. eye: direction towards it."""
    lx, ly, lz = way
    ex, ey, ez = eye
    shine, exponent = polish
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
def lighted(s, place, eye, surfaces, lights, out):  # type: ignore[no-untyped-def]
    """out[16..18] = light that falls on a place in the world, out[19..21] = its gloss towards the
    eye; returns the share of the sun that something cuts off."""
    light, shadow = lights
    wx, wy, wz = place
    up = 0.5 - 0.5 * out[4]
    for i in range(3):
        low, high = light[at_.GROUND_COLOR + i], light[at_.SKY_COLOR + i]
        out[_LIT + i] = low + up * (high - low)
        out[_SHINE + i] = 0.0
    polish = surfaces[s + at_.SHININESS], int(surfaces[s + at_.POWER])
    dark = 0.0
    sx, sy, sz = light[0], light[1], light[2]
    if out[3] * sx + out[4] * sy + out[5] * sz > 0:
        lit = sunlit(light, shadow, wx, wy, wz, out[3], out[4], out[5])
        dark = 1.0 - lit
        beam(light, at_.SUN_COLOR, (sx, sy, sz), lit, polish, eye, out)
    for n in range(int(light[at_.LAMPS])):
        q = LIGHT + LAMP * n
        dx, dy, dz = light[q] - wx, light[q + 1] - wy, light[q + 2] - wz
        square = dx * dx + dy * dy + dz * dz
        over = 1.0 / sqrt(square + 1e-12)
        dx, dy, dz = dx * over, dy * over, dz * over
        if out[3] * dx + out[4] * dy + out[5] * dz > 0:
            fall = light[q + 6] / (light[q + 6] + square)
            beam(light, q + 3, (dx, dy, dz), fall, polish, eye, out)
    return dark


@inlined
def colored(x, y, t, subject, out):  # type: ignore[no-untyped-def]
    """out[0..2] = colour of triangle t at the pixel (x, y); out[3..5] its normal, towards the
    camera; returns the share of the sun that is cut off by something else."""
    triangles, tables, lights, view = subject
    surfaces, light = tables[0], lights[0]
    located(x, y, t, triangles, view, out)
    s = SURFACE * triangles.surface[t]
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
        place = rx * z + view[at_.SHIFT], ry * z, z
        dark = lighted(s, place, (ex, ey, ez), surfaces, lights, out)
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


@inlined
def through(x, y, t, g, subject, out):  # type: ignore[no-untyped-def]
    """out[0..2] = colour of a sample with glass (g, -1: none) before the opaque triangle t;
    out[3..5] the normal of the nearest surface; returns the share of the sun cut off there."""
    surfaces = subject.tables[0]
    r = gr = b = dark = 0.0
    out[3], out[4], out[5] = 0.0, 0.0, -1.0
    for layer in range(2):  # one loop: the compiler then makes the code of `colored` once
        i = t if layer == 0 else g
        if i < 0:
            continue
        dark = colored(x, y, i, subject, out)
        opacity = SURFACE * subject.triangles.surface[i] + at_.OPACITY
        solid = surfaces[opacity] if layer == 1 else 1.0
        r, gr, b = r + solid * (out[0] - r), gr + solid * (out[1] - gr), b + solid * (out[2] - b)
    out[0], out[1], out[2] = r, gr, b
    return dark


@inlined
def seen_at(seen, place):  # type: ignore[no-untyped-def]
    """The opaque triangle that a sample sees, and the glass before it; -1 where there is none."""
    t, g = seen.triangles[place], seen.glass[place]
    if g >= 0 and seen.glass_keys[place] <= seen.keys[place]:
        g = -1
    return t, g


@inlined
def uniform(x, y, width, centres, fine, surface):  # type: ignore[no-untyped-def]
    """True if the pixel's four samples see what its centre sees."""
    at = y * width + x
    t, g, key = centres.triangles[at], centres.glass[at], centres.keys[at]
    same = True
    for n in range(4):
        s = (2 * y + (n >> 1)) * 2 * width + 2 * x + (n & 1)
        ft, fg = fine.triangles[s], fine.glass[s]
        if (
            (ft < 0) != (t < 0)
            or (fg < 0) != (g < 0)
            or (t >= 0 and (surface[ft] != surface[t] or abs(fine.keys[s] - key) > _DEEP * key))
            or (g >= 0 and (surface[fg] != surface[g]))
        ):
            same = False
    return same


@inlined
def noted(at, nearest, mark, picture, out):  # type: ignore[no-untyped-def]
    """Writes what a pixel's centre alone decides: nearest triangle, marks and normal."""
    picture.front[at] = nearest
    picture.marks[at] = mark
    for i in range(3):
        picture.normals[3 * at + i] = out[3 + i]


_triangles = named(Triangles, [_f64, _i32, _f64, _f64, _i32])
_tables = types.Tuple((_f64, types.int64[::1], _u16))  # type: ignore[no-untyped-call]
_lights = types.Tuple((_f64, _f32))  # type: ignore[no-untyped-call]
_seen = named(Seen, [_f32, _i32, _f32, _i32])


@kernel(
    types.void(
        named(Subject, [_triangles, _tables, _lights, _f64]),
        _seen,
        _seen,
        _i32,
        named(Picture, [_f32, _f32, _u8, _i32]),
        _f64,
        _int,
        _int,
    )
)
def shade(
    subject: Any,
    centres: Any,
    fine: Any,
    marks: Any,
    picture: Any,
    out: Any,
    width: int,
    height: int,
) -> None:
    """Colours, normals, marks and nearest triangle of each pixel.

    centres: what the pixels' centres see; fine: the same of 2 x 2 samples a pixel. marks: of each
    surface. out: room for 24 numbers.
    """
    surface = subject.triangles.surface
    for y in range(height):
        for x in range(width):
            at = y * width + x
            t, g = seen_at(centres, at)
            nearest = t if g < 0 else g
            px, py = x + 0.0, y + 0.0
            r = b = gr = weight = 0.0
            for n in range(5):  # the centre, then, where it does not speak for all, the samples
                dark = through(px, py, t, g, subject, out)
                if n == 0:
                    mark = 0
                    if nearest >= 0:
                        mark = (marks[surface[nearest]] & 63) | (128 if dark > 0.5 else 0)
                    noted(at, nearest, mark, picture, out)
                    if uniform(x, y, width, centres, fine, surface):
                        r, gr, b, weight = out[0], out[1], out[2], 1.0
                        break
                else:
                    r, gr, b, weight = r + out[0], gr + out[1], b + out[2], weight + 1.0
                if n < 4:
                    i, j = 2 * x + (n & 1), 2 * y + (n >> 1)
                    px, py = 0.5 * i - 0.25, 0.5 * j - 0.25
                    t, g = seen_at(fine, j * 2 * width + i)
            scale = 1.0 / weight
            c, colors = 3 * at, picture.colors
            colors[c], colors[c + 1], colors[c + 2] = r * scale, gr * scale, b * scale
