"""Small valid files of every format, made by other means than the code they test."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 37, 53


def picture(height: int = HEIGHT, width: int = WIDTH, dtype: type = np.uint8) -> np.ndarray:
    """Smooth colours with noise, so that lossy formats stay near and lossless ones do work."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    planes = np.stack([3 * x + y, 2 * y + x, 180 - 2 * x - y], axis=-1) + rng.integers(
        0, 9, (height, width, 3)
    )
    top = np.iinfo(dtype).max
    return (np.clip(planes, 0, 255) * (top // 255)).astype(dtype)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(image: np.ndarray, *extra: bytes, color: int | None = None) -> bytes:
    """A PNG by hand: filter 0, one IDAT; `extra` chunks stand before it."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if color is None else color
    bits = image.dtype.itemsize * 8
    rows = image.astype(image.dtype.newbyteorder(">")).reshape(len(image), -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], bits, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + b"".join(extra)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def by_pillow(image: np.ndarray, kind: str, mode: str | None = None, **options) -> bytes:
    picture = Image.fromarray(image)
    stream = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(stream, kind, **options)
    return stream.getvalue()


def pnm(kind: int, image: np.ndarray, top: int | None = None) -> bytes:
    height, width = image.shape[:2]
    top = int(np.iinfo(image.dtype).max) if top is None else top
    head = f"P{kind}\n# made by hand\n{width} {height}\n" + (
        f"{top}\n" if kind not in (1, 4) else ""
    )
    if kind <= 3:
        return head.encode() + " ".join(str(v) for v in image.ravel()).encode() + b"\n"
    if kind == 4:
        return head.encode() + np.packbits(image.astype(bool), axis=1).tobytes()
    return head.encode() + image.astype(image.dtype.newbyteorder(">")).tobytes()


def tiff(image: np.ndarray, order: str = "<", **tags: int) -> bytes:
    """An uncompressed TIFF of one strip; `tags` (t258=32) replace or add entries."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    data = image.astype(image.dtype.newbyteorder(order)).tobytes()
    entries = {
        256: (4, image.shape[1]),
        257: (4, image.shape[0]),
        258: (3, image.dtype.itemsize * 8),
        259: (3, 1),
        262: (3, 2 if channels == 3 else 1),
        273: (4, 8),
        277: (3, channels),
        278: (4, image.shape[0]),
        279: (4, len(data)),
    }
    for name, value in tags.items():
        tag = int(name[1:])
        entries[tag] = (entries.get(tag, (4, 0))[0], value)
    body = struct.pack(order + "H", len(entries))
    for tag, (kind, value) in sorted(entries.items()):
        packed = struct.pack(
            order + ("I" if kind == 4 else "HH"), *((value,) if kind == 4 else (value, 0))
        )
        body += struct.pack(order + "HHI", tag, kind, 1) + packed
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    return start + data + body + b"\0\0\0\0"


MOTORCYCLE = """cam0=[994.978 0 311.193; 0 994.978 254.877; 0 0 1]
cam1=[994.978 0 342.279; 0 994.978 254.877; 0 0 1]
doffs=31.086
baseline=193.001
width=741
height=497
ndisp=70
isint=0
vmin=8
vmax=61
dyavg=0
dymax=0
"""

KITTI = """P0: 7.215377e+02 0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0
P1: 7.215377e+02 0 6.095593e+02 -3.875744e+02 0 7.215377e+02 1.728540e+02 0 0 0 1 0
P2: 7.215377e+02 0 6.095593e+02 4.485728e+01 0 7.215377e+02 1.728540e+02 2.163791e-01 0 0 1 2.745884e-03
P3: 7.215377e+02 0 6.095593e+02 -3.395242e+02 0 7.215377e+02 1.728540e+02 2.199936e+00 0 0 1 2.729905e-03
R0_rect: 1 0 0 0 1 0 0 0 1
"""  # noqa: E501

KITTI_RAW = """calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_02: 1.392000e+03 5.120000e+02
K_02: 9.597910e+02 0 6.960217e+02 0 9.569251e+02 2.241806e+02 0 0 1
D_02: -3.691481e-01 1.968681e-01 1.353473e-03 5.677587e-04 -6.770705e-02
R_02: 9.999758e-01 -5.267463e-03 -4.552439e-03 5.251945e-03 9.999804e-01 -3.413835e-03 4.570332e-03 3.389843e-03 9.999838e-01
T_02: 5.956621e-02 2.900141e-04 2.577209e-03
S_rect_02: 1.242000e+03 3.750000e+02
P_rect_02: 7.215377e+02 0 6.095593e+02 4.485728e+01 0 7.215377e+02 1.728540e+02 2.163791e-01 0 0 1 2.745884e-03
S_03: 1.392000e+03 5.120000e+02
K_03: 9.037596e+02 0 6.957519e+02 0 9.019653e+02 2.242509e+02 0 0 1
D_03: -3.639558e-01 1.788651e-01 6.029694e-04 -3.922424e-04 -5.382460e-02
R_03: 9.995599e-01 1.699522e-02 -2.431313e-02 -1.704422e-02 9.998531e-01 -1.809756e-03 2.427880e-02 2.223358e-03 9.997028e-01
T_03: -4.731050e-01 5.551470e-03 -5.250882e-03
S_rect_03: 1.242000e+03 3.750000e+02
P_rect_03: 7.215377e+02 0 6.095593e+02 -3.395242e+02 0 7.215377e+02 1.728540e+02 2.199936e+00 0 0 1 2.729905e-03
"""  # noqa: E501

K_TXT = "754.66 0.0 489.37 0.0 754.66 265.16 0.0 0.0 1.0\n0.063\n"


def matrix(name: str, values, rows: int, cols: int) -> str:
    data = ", ".join(repr(float(v)) for v in np.ravel(values))
    return (
        f"{name}: !!opencv-matrix\n   rows: {rows}\n   cols: {cols}\n   dt: d\n"
        f"   data: [ {data} ]\n"
    )


K1 = (535.4, 0, 342.3, 0, 535.4, 235.6, 0, 0, 1)
K2 = (539.4, 0, 327.3, 0, 539.4, 248.9, 0, 0, 1)
D1 = (-0.26, -0.04, 0.0018, -0.0003, 0.25)
D2 = (-0.27, -0.02, 0.0012, 0.0001, 0.12)
ROTATION = (
    1,
    0,
    0,
    0,
    0.999950000416665,
    -0.009999833334166664,
    0,
    0.009999833334166664,
    0.999950000416665,
)
TRANSLATION = (-0.0836, 0.0011, -0.0003)

INTRINSICS = "%YAML:1.0\n---\n" + "".join(
    (matrix("M1", K1, 3, 3), matrix("D1", D1, 1, 5), matrix("M2", K2, 3, 3), matrix("D2", D2, 1, 5))
)
EXTRINSICS = "%YAML:1.0\n---\n" + matrix("R", ROTATION, 3, 3) + matrix("T", TRANSLATION, 3, 1)
RIG = INTRINSICS + "imageSize: [ 640, 480 ]\n" + EXTRINSICS[len("%YAML:1.0\n---\n") :]


def q_matrix(focal=700.0, cx=320.5, cy=240.25, baseline=0.12, doffs=12.5) -> str:
    values = (1, 0, 0, -cx, 0, 1, 0, -cy, 0, 0, 0, focal, 0, 0, 1 / baseline, doffs / baseline)
    return "%YAML:1.0\n---\n" + matrix("Q", values, 4, 4)


RGB_FILE = by_pillow(picture(), "JPEG", quality=90)
