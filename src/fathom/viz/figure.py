"""Figures that set several pictures or several methods side by side."""

from collections.abc import Mapping, Sequence

import numpy as np

from fathom.core import Depth, Disparity, Source, StereoPair
from fathom.core.arrays import Bool, UInt8
from fathom.core.errors import InputError, UsageError
from fathom.viz.color import UNKNOWN, Scale, disparity_scale
from fathom.viz.grid import ABSENT, Panel, grid


def comparison(
    pair: StereoPair,
    maps: Mapping[str, Disparity],
    truth: Disparity | None = None,
    *,
    captions: Mapping[str, str] | None = None,
    error_limit: float = 4.0,
    title: str = "",
) -> UInt8[np.ndarray, "H W 3"]:
    """Disparities of several methods on one colour scale; with truth also their error maps.

    With truth the left image stands over the truth, and each method over its absolute error in
    pixels, clipped at `error_limit`; unknown and filled pixels as in `overview`. captions: a few
    words after a method's name, for example its score.

    Raises `UsageError` without maps, `InputError` if a map differs in size from the pair.
    """
    if not maps:
        raise UsageError("there is nothing to compare", field="maps", expected="one map or more")
    for name, disparity in (*maps.items(), *([("truth", truth)] if truth else [])):
        require_shape(name, disparity.shape, pair.shape)
    reference = truth.values if truth else np.stack([m.values for m in maps.values()])
    scale, errors = disparity_scale(reference), Scale(0, error_limit, "error")
    columns = min(len(maps), 3)
    items = list(maps.items())
    panels: list[Panel] = []
    for start in range(0, len(items), columns):
        row = items[start : start + columns]
        blank = [Panel("")] * (columns - len(row))
        # Only the last column carries bars: the scale is the same for all, and a bar in a row that
        # is not full would set the columns behind it apart.
        bars = [i == columns - 1 for i in range(len(row))]
        panels.append(Panel("") if start else Panel("Left image", pair.left.rgb8))
        for (name, disparity), bar in zip(row, bars, strict=True):
            label = f"{name}  {(captions or {}).get(name, '')}".strip()
            panels.append(_disparity_panel(label, disparity, scale, bar))
        panels += blank
        if truth is None:
            continue
        panels.append(
            Panel("") if start else _disparity_panel("True disparity", truth, scale, False)
        )
        for (name, disparity), bar in zip(row, bars, strict=True):
            panels.append(_error_panel(name, disparity, truth, errors, bar))
        panels += blank
    legend = [(UNKNOWN, "unknown")]
    if truth is not None:
        legend.append((ABSENT, "no ground truth"))
    return grid(panels, columns + 1, title, legend)


def side_by_side(
    images: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    labels: Sequence[str],
    columns: int = 2,
    title: str = "",
) -> UInt8[np.ndarray, "H W 3"]:
    """Pictures of any sizes in a grid, each with its label above.

    Raises `UsageError` without images, or for another number of labels than images.
    """
    if not images or len(images) != len(labels):
        raise UsageError(
            "a grid needs as many labels as images",
            field="labels",
            value=len(labels),
            expected=f"{len(images)}, and at least 1",
        )
    panels = [Panel(label, image) for label, image in zip(labels, images, strict=True)]
    return grid(panels, columns, title)


def _disparity_panel(label: str, disparity: Disparity, scale: Scale, bar: bool) -> Panel:
    return Panel(
        label, values=disparity.values, scale=scale, unit="px", bar=bar, pale=filled(disparity)
    )


def _error_panel(
    name: str, disparity: Disparity, truth: Disparity, scale: Scale, bar: bool
) -> Panel:
    return Panel(
        f"{name}: error in pixels",
        values=np.abs(disparity.values - truth.values),
        scale=scale,
        unit="px",
        bar=bar,
        absent=~truth.known,
    )


def filled(values: Disparity | Depth) -> Bool[np.ndarray, "h w"] | None:
    """True where a value was filled in from its neighbours; None if the map does not say."""
    return None if values.source is None else values.known & (values.source == Source.FILLED)


def require_shape(name: str, shape: tuple[int, int], expected: tuple[int, int]) -> None:
    """Raises `InputError` if a map differs in size from its pair."""
    if shape != expected:
        raise InputError(
            "differs in size from the pair", field=name, value=shape, expected=str(expected)
        )
