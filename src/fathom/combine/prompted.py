"""Prompt Depth Anything: a view and coarse depth of it, as a phone's LiDAR gives, to fine depth.

Lin et al., "Prompting Depth Anything for 4K Resolution Accurate Metric Depth Estimation",
CVPR 2025.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fathom.combine.converted import require_torch
from fathom.combine.mono import as_map, check_choices, held_of, load
from fathom.core.arrays import Float32
from fathom.core.errors import InputError, UsageError
from fathom.core.maps import Depth, SparseDepth
from fathom.core.options import option
from fathom.core.pair import View
from fathom.published.hub import origin_of

GRID = (192, 256)
"""Rows and columns of the LiDAR maps that the nets were trained with."""
_APART = 1e-6


@dataclass(frozen=True)
class PromptedMono:
    """Prompt Depth Anything as an estimator of a view and a prompt.

    model, hub: set by the catalog's entry. Other parameters as in `Mono`. A `Depth` map goes to the
    net as it is, of whatever size, with what is unknown taken from the nearest known value; points
    (`SparseDepth`) are put onto a grid of 192 rows first, the nearest point of the scene winning.

    Raises `UsageError` for a parameter out of its range.
    """

    model: str = "prompt-depth-anything-small"
    hub: str = "depth-anything/prompt-depth-anything-vits-hf"
    size: int | None = option(
        None, "pixels of the shorter side that the net sees; default: as it was made"
    )
    position: Literal["official", "transformers"] = option(
        "official", "whose way to enlarge the position embedding for other sizes than 518x518"
    )
    precision: Literal["fp32", "fp16", "bf16"] = option("fp32", "fp16 and bf16 = autocast")
    device: str = option("cpu", "cpu, cuda, cuda:N or mps")
    weights: str | None = option(None, "folder, or owner/name@revision in the hub's cache")

    def __post_init__(self) -> None:
        check_choices(self.precision, self.device, 1)

    def weights_used(self) -> dict[str, str]:
        """Where they are, by `origin_of`. Raises `InputError` if they are not there."""
        return origin_of(Path(held_of(self.model, self.weights, self.hub)[0]))

    def prepare(self) -> None:
        """Loads libraries and weights, which the first call would do. Raises as a call."""
        self._net()

    def _net(self) -> Any:
        require_torch()
        place = held_of(self.model, self.weights, self.hub)
        return load(place, self.model, "prompt_depth_anything", self.device, self.position)

    def __call__(self, view: View, prompt: Depth | SparseDepth | None = None, /) -> Depth:
        """Depth in metres of the view's size.

        prompt: depth of the same view: a map of any size that covers it, or points at its pixels.

        Raises `UsageError` without a prompt, `InputError` for a prompt without depth in the view,
        and as `Mono`'s call.
        """
        if prompt is None:
            raise UsageError(
                f"{self.model} refines depth that is already there, and none was given",
                field="prompt",
                expected="--align FILE, or a Depth map or SparseDepth as second argument",
                remedy="for an image alone take depth-anything-v2-metric-indoor-small",
            )  # fmt: skip
        coarse = prompt_map(prompt, view.shape)
        net = self._net()
        from fathom.nets.mono.pretrained import run_pretrained

        made = run_pretrained(
            net, [view.rgb8], size=self.size, precision=self.precision, prompts=coarse[None, None]
        )
        found = as_map(made[0].values, None)
        assert isinstance(found, Depth)
        return found


def prompt_map(prompt: Depth | SparseDepth, shape: tuple[int, int]) -> Float32[np.ndarray, "_h _w"]:
    """The prompt as a map in metres without gaps. shape: of the view, in which points lie.

    Raises `InputError` if it holds no depth (in the view).
    """
    values = prompt.values if isinstance(prompt, Depth) else _gridded(prompt, shape)
    known = np.isfinite(values)
    if not known.any():
        raise InputError(
            "holds no depth in this view", field="prompt", expected="metres at its pixels"
        )
    if not known.all():
        from scipy.ndimage import distance_transform_edt

        rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
        values = values[rows, columns]
    values = values.astype(np.float32)
    if values.min() == values.max():
        # the net divides by their range
        values[0, 0] += np.float32(max(_APART, abs(float(values[0, 0])) * _APART))
    return values


def _gridded(points: SparseDepth, shape: tuple[int, int]) -> Float32[np.ndarray, "_h _w"]:
    """Points on a grid of at most `GRID`'s rows, of the view's proportions; NaN between them."""
    height, width = shape
    rows = min(GRID[0], height)
    columns = max(1, min(width, round(rows * width / height)))
    x, y = points.pixels[:, 0] + 0.5, points.pixels[:, 1] + 0.5
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column = (x[inside] * columns / width).astype(np.int64)
    row = (y[inside] * rows / height).astype(np.int64)
    grid = np.full((rows, columns), np.inf, np.float32)
    np.minimum.at(grid, (row, column), points.depth[inside])
    grid[np.isinf(grid)] = np.nan
    return grid
