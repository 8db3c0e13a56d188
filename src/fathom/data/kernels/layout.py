"""What the kernels and their callers agree on: the columns of flat tables, and what
`shade` takes."""

from typing import Any, NamedTuple

SURFACE = 28
"""Numbers a surface: what stands where is named below."""
TEXTURE, U_TO_S, V_TO_S, U_TO_T, V_TO_T, S_OFFSET, T_OFFSET = range(7)
TINT = 7  # 3 numbers
STAIN, STAIN_SCALE, STAIN_STRENGTH = 10, 11, 12  # a second texture that breaks repetition
SHININESS, POWER, MIRROR, OPACITY, GLOW = 13, 14, 15, 16, 17
SHIFT_S, SHIFT_T = 18, 19  # of the stain
CONTRAST = 20  # how much of the texture is left: 0 is plain

LIGHT = 40
"""Numbers of the light; lamps follow, `LAMP` numbers each."""
SUN, SUN_COLOR, SKY_COLOR, GROUND_COLOR = 0, 3, 6, 9  # 3 each
ENVIRONMENT, HAZE, HAZE_COLOR, LAMPS = 12, 13, 14, 17
SHADOW_X, SHADOW_Y, SHADOW_Z = 18, 22, 26  # world -> shadow map, 4 numbers a row
SHADOW_SIZE, SHADOW_BIAS = 30, 31
LAMP = 7  # position, colour, squared reach

VIEW = 8
"""Numbers of a view."""
FOCAL, CX, CY, SHIFT, FB = range(5)

# Bits of a pixel's marks; the first seven are a surface's own.
REFLECTIVE, TRANSPARENT, THIN, SKY, MOVING, PLAIN, CASTS, SHADOW = (1 << i for i in range(8))
EVERYTHING = 2

RECORD = 32
"""Numbers a record: what is known of a place that a ray met."""
PLACE, NORMAL, ALBEDO, START, FLAT = 0, 3, 6, 9, 12  # 3 each; FLAT: the triangle's own normal
ALONG_X, ALONG_Y, BEND_X, BEND_Y = 15, 18, 21, 24  # of place and normal along the image's x and y
FAR = 27  # distance from the camera along the ray's whole way, in lengths of its direction
NOTHING, AIR, GLASS, OPAQUE = range(4)
"""What a ray met."""


class Triangles(NamedTuple):
    """planes: (n, 12) see kernels/raster.py. corners: (n, 3) points. uv, normals: of each point.
    surface: (n,) of each triangle."""

    planes: Any
    corners: Any
    uv: Any
    normals: Any
    surface: Any


class Subject(NamedTuple):
    """What `shade` colours. tables: surfaces, textures (start and side of each), their texels.
    lights: as above, and the shadow map. view: as above."""

    triangles: Triangles
    tables: Any
    lights: Any
    view: Any


class Seen(NamedTuple):
    """What samples see: keys and triangles of the nearest opaque surface, then those of the nearest
    transparent one; triangles are -1 where there is none."""

    keys: Any
    triangles: Any
    glass_keys: Any
    glass: Any


class Picture(NamedTuple):
    """Results of `shade`: colours (h, w, 3) linear in light, normals (h, w, 3), marks and the
    nearest triangle (h, w)."""

    colors: Any
    normals: Any
    marks: Any
    front: Any
