"""What `fathom depth` writes of one image: one table of files."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fathom.core.arrays import Array, UInt8
from fathom.core.camera import Camera
from fathom.core.cloud import PointCloud
from fathom.core.maps import Depth, RelativeDepth
from fathom.core.pair import View
from fathom.geometry.consistency import flying_pixels
from fathom.scene.cloud import CloudOptions
from fathom.workflows.outputs import (
    Output,
    cloud_output,
    confidence_output,
    metric_outputs,
    page_outputs,
)

_FULL = 65535
_FLYING = (100.0, 4.0)
"""Inverse depth of the middle surface, and the step from pixel to pixel that hangs in the air:
a jump by 4 % of the inverse depth in the middle of the image's depths."""


@dataclass(frozen=True, eq=False)
class MonoEstimate:
    """Everything that came out of one image, before it is written.

    answer: the model's. depth: metres, its own or aligned; None where nothing gives them. camera:
    None where nothing tells it. cloud: None without either. info: what result.json says.
    """

    view: View
    answer: Depth | RelativeDepth
    depth: Depth | None
    camera: Camera | None
    cloud: PointCloud | None
    info: dict[str, Any]

    @cached_property
    def picture(self) -> Array:
        """The overview, uint8 RGB; drawn once, for its own file and for the report."""
        from fathom.viz.mono import mono_overview

        return mono_overview(self.view, self.answer, self.depth, self.info["title"])

    @property
    def shown(self) -> Depth | RelativeDepth:
        """Metres where there are any, else the relative map."""
        return self.answer if self.depth is None else self.depth


def painted(found: Depth | RelativeDepth) -> UInt8[np.ndarray, "h w 3"]:
    """The map in colours, near is warm."""
    from fathom.viz.mono import map_scale

    ambiguity = found.ambiguity if isinstance(found, RelativeDepth) else None
    return map_scale(found.values, ambiguity).paint(found.values)


def mono_cloud(view: View, depth: Depth, camera: Camera, options: CloudOptions) -> PointCloud:
    """The coloured points of an image, in metres, in the camera's frame.

    A distorted lens is followed: X = Z x, Y = Z y with the direction (x, y, 1) that the pixel looks
    along. Points between two surfaces at a depth edge are left out, as far as options say.
    """
    from fathom.geometry.project import rays

    mask = depth.known.copy()
    if not options.keep_flying and mask.any():
        middle = float(np.median(depth.values[mask]))
        inverse = (_FLYING[0] * middle / depth.values).astype(np.float32)
        mask &= ~flying_pixels(inverse, step=_FLYING[1])
    if options.z_far is not None:
        mask &= np.nan_to_num(depth.values, nan=np.inf) <= options.z_far
    if options.min_confidence > 0 and depth.confidence is not None:
        mask &= depth.confidence >= options.min_confidence
    rows, columns = np.nonzero(mask)
    looks = rays(np.stack([columns, rows], axis=1).astype(np.float64), camera)
    seen = np.isfinite(looks).all(axis=1)
    rows, columns, looks = rows[seen], columns[seen], looks[seen]
    points = (looks * depth.values[rows, columns, None]).astype(np.float32)
    return PointCloud(points, view.rgb8[rows, columns], frame="camera")


def _relative_npy(path: Path, estimate: MonoEstimate) -> dict[str, Any]:
    from fathom.io.maps import write_depth_npy

    write_depth_npy(path, estimate.answer.values)
    return _ambiguity(estimate)


def _relative_png(path: Path, estimate: MonoEstimate) -> dict[str, Any]:
    """Stretched to 16 bits; result.json says how to come back."""
    from fathom.io.images import write_png

    values, known = estimate.answer.values.astype(np.float64), estimate.answer.known
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0, 1)
    step = (high - low) / (_FULL - 1) or 1.0
    steps = np.where(known, 1 + np.rint((np.where(known, values, low) - low) / step), 0)
    write_png(path, steps.astype(np.uint16))
    return {**_ambiguity(estimate), "value": {"of_0": None, "of_1": low, "step": step}}


def _ambiguity(estimate: MonoEstimate) -> dict[str, Any]:
    answer = estimate.answer
    return {"ambiguity": answer.ambiguity if isinstance(answer, RelativeDepth) else None}


def _color_png(path: Path, estimate: MonoEstimate) -> None:
    from fathom.io.images import write_png

    write_png(path, painted(estimate.shown))


def _report(estimate: MonoEstimate) -> str:
    from fathom.viz.mono import mono_report

    return mono_report(
        estimate.view,
        estimate.answer,
        estimate.depth,
        estimate.camera,
        estimate.cloud,
        estimate.info,
        estimate.picture,
    )


def _relative(estimate: MonoEstimate) -> bool:
    return isinstance(estimate.answer, RelativeDepth)


MONO_OUTPUTS: tuple[Output[MonoEstimate], ...] = (
    *metric_outputs(),
    Output(
        "relative.npy",
        "what a relative model says, float32 without a unit, NaN = unknown; see `ambiguity`",
        ("relative", "npy"),
        _relative_npy,
        _relative,
    ),
    Output(
        "relative.png",
        "the same stretched to uint16, 0 = unknown; value = of_1 + step * (stored - 1)",
        ("relative", "png", "png16"),
        _relative_png,
        _relative,
    ),
    confidence_output("confidence of the model, 0..1", lambda e: e.answer.confidence),
    Output("color.png", "the map in colours, near is warm", ("color", "picture"), _color_png),
    cloud_output("camera's frame"),
    *page_outputs("image and maps in one picture", _report),
)
