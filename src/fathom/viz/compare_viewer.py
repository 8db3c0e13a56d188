"""The viewer of a comparison: pictures to step through, methods beside each other at one place.

Here its data and markup are made; `assets/compare_viewer.js` draws. Maps are embedded as codes
whose differences along a row are compressed (zlib), which is exact to the code and smaller than a
picture; errors are computed by the viewer from the map and the truth.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from fathom.core import Disparity, Source
from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import UsageError
from fathom.viz.color import Scale, disparity_scale
from fathom.viz.embed import data_uri, script_json, to_base64
from fathom.viz.figure import require_shape

MAX_SHEET_PIXELS = 700_000
"""Pictures beyond this are reduced by whole steps before they are embedded."""
ERROR_LIMIT = 4.0
"""Errors in pixels from which on the error scale shows its darkest colour."""
DISPARITY_STEP = 0.125
"""Disparities are embedded in steps of so many pixels."""
_UNKNOWN16, _UNKNOWN8 = 65535, 255
_MOST_REGIONS = 16

EXTRA_SCALES: dict[str, tuple[Scale, str]] = {
    "SSIM": (
        Scale(0, 1, "viridis"),
        "similarity of the 7x7 windows of map and truth; bright: like",
    ),
    "Photometric": (
        Scale(-1, 1, "viridis"),
        "correlation of the 5x5 windows of both images at the match; bright: alike",
    ),
    "Left-right": (
        Scale(0, ERROR_LIMIT, "error"),
        "difference in pixels of the left and the right view's map",
    ),
}
"""What a sheet's map can carry besides its disparity: name -> scale and meaning."""


@dataclass(frozen=True, eq=False)
class ShownMap:
    """One method's map on a sheet.

    label: the method. caption: a few words beside it, for example its score. extras: further maps
    (h, w) by a name of `EXTRA_SCALES`. boxes: (x, y, width, height, share wrong) of the worst
    windows, in pixels of the image.
    """

    label: str
    disparity: Disparity
    caption: str = ""
    extras: Mapping[str, Float32[np.ndarray, "_h _w"]] = field(default_factory=dict)
    boxes: Sequence[tuple[int, int, int, int, float]] = ()


@dataclass(frozen=True, eq=False)
class Sheet:
    """One picture, encoded: what the viewer needs and nothing else, so that many can be kept."""

    name: str
    header: dict[str, Any]
    blobs: tuple[str, ...]
    photo: str

    @property
    def size(self) -> int:
        """Characters of the page that it takes."""
        return len(self.photo) + sum(len(blob) for blob in self.blobs)


def sheet(
    name: str,
    image: UInt8[np.ndarray, "h w 3"],
    maps: Sequence[ShownMap],
    truth: Disparity | None = None,
    regions: Mapping[str, Array] | None = None,
    *,
    title: str = "",
    max_pixels: int = MAX_SHEET_PIXELS,
) -> Sheet:
    """The picture of one sample. regions: bool (h, w) by name, which the viewer can single out.

    Images of more than `max_pixels` are reduced by whole steps (photograph averaged, maps sampled).

    Raises `UsageError` without maps, `InputError` if a map differs in size from the image.
    """
    if not maps:
        raise UsageError("there is nothing to compare", field="maps", expected="one map or more")
    height, width = image.shape[:2]
    for shown in maps:
        require_shape(shown.label, shown.disparity.shape, (height, width))
    step = min(max(1, math.ceil(math.sqrt(width * height / max_pixels))), width, height)
    blobs: list[str] = []
    offset = _lowest([truth, *(m.disparity for m in maps)])

    def disparity(of: Disparity) -> int:
        blobs.append(encode_plane(_codes16(_sampled(of.values, step), offset)))
        return len(blobs) - 1

    panes = []
    for shown in maps:
        extras = {}
        for extra, values in shown.extras.items():
            blobs.append(encode_plane(_codes8(_sampled(values, step), EXTRA_SCALES[extra][0])))
            extras[extra] = len(blobs) - 1
        pane = {
            "label": shown.label,
            "caption": shown.caption,
            "map": disparity(shown.disparity),
            "filled": _filled(shown.disparity, step, blobs),
            "extras": extras,
            "boxes": [[*box[:4], round(box[4], 4)] for box in shown.boxes],
        }
        panes.append(pane)
    true = None if truth is None else disparity(truth)
    names = list(regions or {})[:_MOST_REGIONS]
    if names:
        bits = np.zeros(_sampled(image[..., 0], step).shape, np.uint16)
        for i, region in enumerate(names):
            bits |= _sampled((regions or {})[region], step).astype(np.uint16) << np.uint16(i)
        blobs.append(encode_plane(bits))
    shown_values = np.stack([m.disparity.values for m in maps])
    scale = disparity_scale(
        truth.values if truth is not None and truth.known.any() else shown_values
    )
    header = {
        "name": name,
        "title": title,
        "columns": width // step,
        "rows": height // step,
        "step": step,
        "offset": offset,
        "unit": DISPARITY_STEP,
        "scale": _scale(scale),
        "panes": panes,
        "truth": true,
        "regions": {"names": names, "blob": len(blobs) - 1} if names else None,
    }
    return Sheet(name, header, tuple(blobs), data_uri(_photo(image, step)))


def compare_viewer(sheets: Sequence[Sheet], caption: str = "") -> str:
    """Markup and data of the viewer of `sheets`, in their order.

    Without JavaScript the photographs are still there. Raises `UsageError` without sheets.
    """
    if not sheets:
        raise UsageError("there is no picture to show", field="sheets", expected="one or more")
    headers: list[dict[str, Any]] = []
    blobs: list[str] = []
    for one in sheets:
        headers.append({**one.header, "first": len(blobs)})
        blobs += one.blobs
    data = {
        "sheets": headers,
        "error": {**_scale(Scale(0, ERROR_LIMIT, "error")), "limit": ERROR_LIMIT},
        "extras": {
            name: {**_scale(scale), "meaning": meaning, "levels": _UNKNOWN8 - 1}
            for name, (scale, meaning) in EXTRA_SCALES.items()
        },
    }
    photos = "".join(
        f'<img class="photo" src="{one.photo}" alt="{escape(one.name)}, left image">'
        for one in sheets
    )
    scripts = "".join(f'<script type="text/plain">{blob}</script>' for blob in blobs)
    return (
        f'<figure class="viewer compare-viewer">{photos}'
        '<noscript><p class="empty">Maps and errors need JavaScript; the tables do not.</p>'
        f'</noscript><script type="application/json">{script_json(data)}</script>{scripts}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def encode_plane(codes: Array) -> str:
    """uint8 or uint16 codes (h, w) as text: differences along each row, modulo, for uint16 all low
    bytes before all high ones, zlib, base64. `decodePlane` of compare_viewer.js is its inverse."""
    apart = codes.copy()
    apart[:, 1:] -= codes[:, :-1]  # unsigned numbers wrap around, and so does the decoder
    if codes.dtype == np.uint16:
        apart = np.concatenate([apart & 255, apart >> 8]).astype(np.uint8)
    return to_base64(zlib.compress(np.ascontiguousarray(apart).tobytes(), 7))


def _codes16(values: Array, offset: float) -> Array:
    codes = np.rint((values - np.float32(offset)) * np.float32(1 / DISPARITY_STEP))
    out = np.where(np.isnan(codes), np.float32(_UNKNOWN16), np.clip(codes, 0, _UNKNOWN16 - 1))
    return out.astype(np.uint16)


def _codes8(values: Array, scale: Scale) -> Array:
    codes = np.rint(np.clip(scale.positions(values), 0, 1) * np.float32(_UNKNOWN8 - 1))
    return np.where(np.isnan(codes), np.float32(_UNKNOWN8), codes).astype(np.uint8)


def _lowest(maps: Sequence[Disparity | None]) -> float:
    """A whole number of pixels that no disparity lies below."""
    lows = [float(np.nanmin(m.values)) for m in maps if m is not None and m.known.any()]
    return float(math.floor(min(lows))) if lows else 0.0


def _filled(disparity: Disparity, step: int, blobs: list[str]) -> int | None:
    if disparity.source is None:
        return None
    filled = disparity.source == Source.FILLED
    if not filled.any():
        return None
    blobs.append(encode_plane(_sampled(filled, step).astype(np.uint8)))
    return len(blobs) - 1


def _sampled(array: Array, step: int) -> Array:
    """The middle value of each step x step block that lies wholly inside."""
    rows, columns = array.shape[0] // step, array.shape[1] // step
    out: Array = array[step // 2 :: step, step // 2 :: step][:rows, :columns]
    return np.ascontiguousarray(out)


def _photo(image: Array, step: int) -> Array:
    if step == 1:
        return image
    import cv2

    rows, columns = image.shape[0] // step, image.shape[1] // step
    whole = image[: rows * step, : columns * step]
    out: Array = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    return out


def _scale(scale: Scale) -> dict[str, Any]:
    return {
        "low": scale.low,
        "high": scale.high,
        "colors": to_base64(np.ascontiguousarray(scale.colors()).tobytes()),
        "ticks": [[round(t.at, 5), t.label] for t in scale.ticks(6)],
    }
