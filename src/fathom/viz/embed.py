"""Numbers inside an HTML file: maps and clouds as base64 text, pictures as data URIs.

Nothing is compressed beyond quantisation, so that any browser with typed arrays can read it back;
`assets/*.js` hold the decoders, the tests their twins. All numbers are little-endian.
"""

import base64
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fathom.core import PointCloud
from fathom.core.arrays import Array, Num, UInt8
from fathom.core.errors import UsageError

Picture = np.ndarray | bytes
"""A picture to show: uint8 RGB (h, w, 3), or the bytes of a PNG or JPEG file."""

MAX_MAP_PIXELS = 1_000_000
"""Maps beyond this are reduced by whole steps before they are embedded."""
MAX_POINTS = 150_000
"""Clouds beyond this are thinned before they are embedded."""
_JPEG_QUALITY = 88
_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_BOX_MARGIN = 8.0  # the robust box of a cloud is widened by this much before points are left out


@dataclass(frozen=True)
class Encoded:
    """A map in few bytes: value = offset + step * code ("linear"), or exp of that ("log").

    The largest code of `bits` (8 or 16) means unknown. data: the codes row by row, base64.
    error: the largest difference of a decoded value from its original; relative to the value
    for "log".
    """

    bits: int
    law: str
    offset: float
    step: float
    error: float
    data: str

    def header(self) -> dict[str, Any]:
        """What a decoder has to know besides the data."""
        return {"bits": self.bits, "law": self.law, "offset": self.offset, "step": self.step}


def encode_map(
    values: Num[np.ndarray, "h w"], *, bits: int = 16, law: Literal["linear", "log"] = "linear"
) -> Encoded:
    """`values` in 8 or 16 bits a pixel, NaN kept; "log" wants values > 0.

    Codes are spread evenly over the range of the values (of their logarithms for "log"), so the
    error is at most half a step. Raises `UsageError` for other bits, or values <= 0 with "log".
    """
    if bits not in (8, 16):
        raise UsageError("is no width of a code", field="bits", value=bits, expected="8 or 16")
    unknown = 2**bits - 1
    known = ~np.isnan(values)
    numbers = values.astype(np.float64)
    if law == "log":
        if bool((numbers <= 0).any()):
            raise UsageError(
                "holds numbers without a logarithm", field="values", expected="numbers > 0"
            )
        numbers = np.log(numbers)
    if known.any():
        low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    else:
        low = high = 0.0
    step = (high - low) / (unknown - 1) or 1.0
    codes = np.rint((numbers - low) * (1 / step))
    np.copyto(codes, unknown, where=~known)
    packed = codes.astype("<u2" if bits == 16 else "u1")
    error = math.expm1(step / 2) if law == "log" else step / 2
    return Encoded(bits, law, low, step, error if high > low else 0.0, to_base64(packed.tobytes()))


@dataclass(frozen=True)
class EncodedCloud:
    """A cloud in nine bytes a point: position = offset + step * int16 (x, y, z); RGB uint8.

    count points are embedded, of `total`; `left_out` of the total lie so far from the others that
    they were left out. error: largest difference of a coordinate in metres.
    """

    count: int
    total: int
    left_out: int
    offset: tuple[float, float, float]
    step: float
    error: float
    points: str
    colors: str


def encode_cloud(cloud: PointCloud, limit: int = MAX_POINTS) -> EncodedCloud:
    """The points of `cloud` on a grid of 65535 steps over their box, at most `limit` of them.

    Thinning draws one point of each run of neighbours, with a fixed seed: the same cloud gives the
    same file, and there is neither the pattern of an even stride nor the holes of a plain draw.
    Points without colour become light grey.
    """
    total = len(cloud)
    low, high = robust_box(cloud.points)
    reach = _BOX_MARGIN * (float((high - low).max()) or 1.0) / 2
    centre = (low + high) / 2
    near: Array = np.ones(total, dtype=np.bool_)
    for axis in range(3):  # three passes are several times faster than one `all` over rows of 3
        near &= np.abs(cloud.points[:, axis] - np.float32(centre[axis])) <= np.float32(reach)
    chosen = np.flatnonzero(near)
    if len(chosen) > limit:
        starts = np.arange(limit + 1) * len(chosen) // limit
        draw = np.random.default_rng(0).random(limit)
        chosen = chosen[starts[:-1] + (draw * np.diff(starts)).astype(np.int64)]
    offsets = cloud.points[chosen].astype(np.float64) - centre
    step = (float(np.abs(offsets).max(initial=0)) or 1.0) / 32767
    codes = np.rint(offsets * (1 / step)).astype("<i2")
    if cloud.colors is None:
        colors: Array = np.full((len(chosen), 3), 200, dtype=np.uint8)
    else:
        colors = cloud.colors[chosen]
    return EncodedCloud(
        len(chosen),
        total,
        total - int(np.count_nonzero(near)),
        (float(centre[0]), float(centre[1]), float(centre[2])),
        step,
        step / 2,
        to_base64(codes.tobytes()),
        to_base64(np.ascontiguousarray(colors).tobytes()),
    )


@dataclass(frozen=True)
class FirstView:
    """Where the 3D view starts. eye, target: metres in the cloud's frame. fov: degrees, vertical.

    spacing: the distance of neighbouring points in metres, times their z where `perspective`.
    """

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float
    spacing: float
    perspective: bool


def first_view(cloud: PointCloud, shown: int) -> FirstView:
    """A view that shows most of the cloud large, whatever a few outliers do.

    shown: how many of its points are drawn; fewer have to be drawn larger to leave no holes.

    A cloud that lies before its camera (all z > 0) is seen from a little behind, above and beside
    that camera; any other from outside its robust box.
    """
    points = np.asarray(cloud.points[:: max(1, len(cloud) // 20_000)], dtype=np.float64)
    low, high = robust_box(points)
    size = float((high - low).max()) or 1.0
    if len(points) and low[2] > 0:
        rays = points[:, :2] / np.maximum(points[:, 2:], 1e-9)
        left_top, right_bottom = np.percentile(rays, (2, 98), axis=0)
        middle = (left_top + right_bottom) / 2
        depth = float(np.median(points[:, 2]))
        target = np.array([middle[0] * depth, middle[1] * depth, depth])
        eye = np.array([-0.12, -0.16, -0.12]) * depth
        opening = float(np.clip(right_bottom[1] - left_top[1], 0.2, 2.0))
        fov = math.degrees(2 * math.atan(opening * 0.6))
        area = float(np.prod(np.maximum(right_bottom - left_top, 1e-3)))
        return FirstView(_triple(eye), _triple(target), fov, math.sqrt(area / max(shown, 1)), True)
    target = (low + high) / 2
    eye = target + np.array([-0.5, -0.7, -1.4]) * size
    return FirstView(_triple(eye), _triple(target), 45.0, size / math.sqrt(max(shown, 1)), False)


def robust_box(points: Num[np.ndarray, "n 3"]) -> tuple[Array, Array]:
    """The corners (low, high) of the box between the 1st and 99th percentile of each axis."""
    if len(points) == 0:
        return np.zeros(3), np.ones(3)
    sample = np.asarray(points[:: max(1, len(points) // 20_000)], dtype=np.float64)
    low, high = np.percentile(sample, (1, 99), axis=0)
    return low, high


def data_uri(picture: Picture) -> str:
    """A picture as the text that an `<img>` can show: JPEG for arrays, files as they are.

    Raises `UsageError` for bytes that are neither PNG nor JPEG.
    """
    if isinstance(picture, bytes):
        kind = next((v for k, v in _MAGIC.items() if picture.startswith(k)), None)
        if kind is None:
            raise UsageError("is no PNG or JPEG file", field="picture", value=picture[:8].hex())
        return f"data:{kind};base64,{to_base64(picture)}"
    return f"data:image/jpeg;base64,{to_base64(_jpeg(picture))}"


def script_json(value: Any) -> str:
    """JSON that may stand inside a `<script>`: no text in it can end the element.

    Numbers that JSON lacks (NaN, infinity) raise `ValueError`: a viewer could not read them.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def to_base64(data: bytes) -> str:
    """Bytes as ASCII text."""
    return base64.b64encode(data).decode("ascii")


def _jpeg(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    import cv2

    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    return data.tobytes()


def _triple(vector: Array) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])
