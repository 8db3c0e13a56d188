"""The two live parts of a report: maps with the value under the pointer, and the turning cloud.

Here their data and markup are made; `assets/map_viewer.js` and `assets/cloud_viewer.js` draw.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

import numpy as np

from fathom.core import Camera, Depth, Disparity, PointCloud, Source, StereoPair
from fathom.core.arrays import Array, Float32, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.viz.color import Scale, depth_scale, disparity_scale
from fathom.viz.embed import (
    MAX_MAP_PIXELS,
    MAX_POINTS,
    data_uri,
    encode_cloud,
    encode_map,
    first_view,
    script_json,
    to_base64,
)


@dataclass(frozen=True)
class Inverse:
    """A layer that the viewer computes: value = factor / (value of layer `of` + shift)."""

    of: int
    factor: float
    shift: float


@dataclass(frozen=True, eq=False)
class MapLayer:
    """One map of a viewer.

    values: float32 (h, w), NaN = unknown. scale: its colours. unit, digits: how a value is
    written. bits, law: how it is embedded (`embed.encode_map`). depth: True for metres along z;
    with a camera they give points and distances. sigma: standard deviation (h, w) of the values.
    inverse: computed from another layer instead of embedded.
    """

    name: str
    values: Float32[np.ndarray, "h w"]
    scale: Scale
    unit: str = ""
    digits: int = 2
    bits: int = 16
    law: Literal["linear", "log"] = "linear"
    depth: bool = False
    sigma: Float32[np.ndarray, "h w"] | None = None
    inverse: Inverse | None = None


def stereo_layers(pair: StereoPair, disparity: Disparity, depth: Depth | None) -> list[MapLayer]:
    """Disparity, depth and confidence, as far as they are there.

    Depth that is just Z = fx b / (d + doffs) is not embedded but computed by the viewer.
    """
    layers = [MapLayer("Disparity", disparity.values, disparity_scale(disparity.values), "px")]
    if depth is not None:
        inverse = None
        if pair.rig is not None:
            same = np.array_equal(pair.rig.depth_of(disparity.values), depth.values, equal_nan=True)
            factor = pair.rig.left.fx * pair.rig.baseline
            inverse = Inverse(0, factor, pair.rig.doffs) if same else None
        scale = depth_scale(depth.values)
        layers.append(
            MapLayer(
                "Depth",
                depth.values,
                scale,
                "m",
                digits=3,
                law="log",
                depth=True,
                sigma=depth.sigma,
                inverse=inverse,
            )
        )
    if disparity.confidence is not None:
        layers.append(MapLayer("Confidence", disparity.confidence, Scale(0, 1, "viridis"), bits=8))
    return layers


def map_viewer(
    image: UInt8[np.ndarray, "h w 3"],
    layers: Sequence[MapLayer],
    *,
    source: UInt8[np.ndarray, "_h _w"] | None = None,
    camera: Camera | None = None,
    caption: str = "",
    image_name: str = "Left image",
) -> str:
    """Markup and data of a map viewer over `image`.

    source: codes (`core.Source`) per pixel, shown beside the values. camera: of the image; with a
    depth layer two pinned pixels then have a distance. Images of more than `MAX_MAP_PIXELS` are
    reduced by whole steps (photograph averaged, maps sampled); the caption says so.

    Raises `UsageError` without layers, `InputError` if a map differs in size from the image.
    """
    if not layers:
        raise UsageError("a map viewer needs a map", field="layers", expected="one or more")
    height, width = image.shape[:2]
    for name, array in [(layer.name, layer.values) for layer in layers] + [("source", source)]:
        if array is not None and array.shape != (height, width):
            raise InputError(
                "differs in size from the image",
                field=name,
                value=array.shape,
                expected=str((height, width)),
            )
    step_x, step_y = _steps(width, height)
    columns, rows = width // step_x, height // step_y
    photo = image
    if step_x * step_y > 1:
        import cv2

        whole = image[: rows * step_y, : columns * step_x]
        photo = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)

    blobs: list[str] = []
    described, precision = [], []
    for layer in layers:
        header, note = _layer(layer, (step_x, step_y), blobs, [x.name for x in layers])
        described.append(header)
        precision.append(note)
    codes = None
    if source is not None:
        blobs.append(to_base64(_sampled(source, step_x, step_y).tobytes()))
        codes = {"blob": len(blobs) - 1, "names": {int(s): s.name.lower() for s in Source}}
    rays = None
    if camera is not None and camera.is_ideal():
        rays = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}
    data = {
        "columns": columns,
        "rows": rows,
        "stepX": step_x,
        "stepY": step_y,
        "image": image_name,
        "layers": described,
        "source": codes,
        "camera": rays,
    }
    notes = [caption] if caption else []
    if step_x * step_y > 1:
        notes.append(
            f"Reduced from {width} x {height} to {columns} x {rows} pixels for this page;"
            " x and y are those of the full image."
        )
    notes.append("Precision of the values here: " + ", ".join(precision) + ".")
    alt = f"{image_name}, {width} x {height} pixels"
    return _figure("map-viewer", data, blobs, " ".join(notes), data_uri(photo), alt)


def cloud_viewer(cloud: PointCloud, *, caption: str = "", limit: int = MAX_POINTS) -> str:
    """Markup and data of a 3D view of `cloud`; the caption says how many of its points it holds."""
    if len(cloud) == 0:
        return '<p class="empty">The cloud has no points.</p>'
    encoded = encode_cloud(cloud, limit)
    view = first_view(cloud, encoded.count)
    data = {
        "count": encoded.count,
        "offset": encoded.offset,
        "step": encoded.step,
        "view": asdict(view),
    }
    notes = [caption] if caption else []
    if encoded.count < encoded.total:
        notes.append(f"{encoded.count:,} of {encoded.total:,} points are shown.")
    else:
        notes.append(f"All {encoded.total:,} points are shown.")
    if encoded.left_out:
        notes.append(f"{encoded.left_out:,} points far from all others are left out.")
    notes.append(f"Positions to {_length(encoded.error)}; frame: {cloud.frame}.")
    return _figure("cloud-viewer", data, [encoded.points, encoded.colors], " ".join(notes))


def _layer(
    layer: MapLayer, steps: tuple[int, int], blobs: list[str], names: list[str]
) -> tuple[dict[str, Any], str]:
    """A layer's description for the viewer, its codes added to `blobs`, and its precision."""
    scale = layer.scale
    described: dict[str, Any] = {
        "name": layer.name,
        "unit": layer.unit,
        "digits": layer.digits,
        "depth": layer.depth,
        "scale": {
            "low": scale.low,
            "high": scale.high,
            "law": scale.law,
            "colors": to_base64(np.ascontiguousarray(scale.colors()).tobytes()),
            "ticks": [[round(t.at, 5), t.label] for t in scale.ticks(6)],
        },
    }
    values = _sampled(layer.values, *steps)
    if layer.inverse is not None:
        described["inverse"] = asdict(layer.inverse)
        note = f"{layer.name.lower()} computed from {names[layer.inverse.of].lower()}"
    else:
        encoded = encode_map(values, bits=layer.bits, law=layer.law)
        blobs.append(encoded.data)
        described["map"] = {**encoded.header(), "blob": len(blobs) - 1}
        error = (
            f"{100 * encoded.error:.2g} %"
            if layer.law == "log"
            else f"{encoded.error:.2g} {layer.unit}".strip()
        )
        note = f"{layer.name.lower()} ± {error}"
    if layer.sigma is not None:
        described["sigma"] = _sigma(_sampled(layer.sigma, *steps), values, blobs)
    return described, note


def _sigma(sigma: Array, values: Array, blobs: list[str]) -> dict[str, Any]:
    """How the viewer gets sigma: k Z^2 where that is what it is, else 8 bits a pixel."""
    known = (values > 0) & (sigma > 0)
    if known.any():
        ratio = sigma[known].astype(np.float64) / values[known].astype(np.float64) ** 2
        middle = float(ratio[0])
        if bool((np.abs(ratio - middle) <= 1e-4 * middle).all()):
            return {"factor": middle}
    encoded = encode_map(np.where(sigma > 0, sigma, np.nan), bits=8, law="log")
    blobs.append(encoded.data)
    return {"map": {**encoded.header(), "blob": len(blobs) - 1}}


def _figure(
    kind: str, data: dict[str, Any], blobs: list[str], caption: str, photo: str = "", alt: str = ""
) -> str:
    """A viewer's element: its data in scripts that the browser does not run, and a caption.

    The photograph is an ordinary picture, so that something is there without JavaScript.
    """
    parts = [f'<figure class="viewer {kind}">']
    if photo:
        parts.append(f'<img class="photo" src="{photo}" alt="{escape(alt)}">')
    else:
        parts.append('<noscript><p class="empty">The 3D view needs JavaScript.</p></noscript>')
    parts.append(f'<script type="application/json">{script_json(data)}</script>')
    parts += [f'<script type="text/plain">{blob}</script>' for blob in blobs]
    parts.append(f"<figcaption>{escape(caption)}</figcaption></figure>")
    return "".join(parts)


def _steps(width: int, height: int) -> tuple[int, int]:
    step = max(1, math.ceil(math.sqrt(width * height / MAX_MAP_PIXELS)))
    return min(step, width), min(step, height)


def _sampled(array: Array, step_x: int, step_y: int) -> Array:
    """The middle value of each step_x x step_y block that lies wholly inside."""
    rows, columns = array.shape[0] // step_y, array.shape[1] // step_x
    out: Array = array[step_y // 2 :: step_y, step_x // 2 :: step_x][:rows, :columns]
    return np.ascontiguousarray(out)


def _length(metres: float) -> str:
    return f"{metres:.2g} m" if metres >= 0.1 else f"{1000 * metres:.2g} mm"
