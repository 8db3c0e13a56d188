"""Pairs with lines along their rows: whether two images are rectified, seen at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, UInt8
from fathom.core.errors import UsageError
from fathom.viz.grid import MAX_WIDTH, Panel, grid

_COLORS = ((255, 196, 0), (0, 200, 255), (255, 90, 140), (120, 230, 80))
_WIDEST = MAX_WIDTH - 40
_SEAM = 6


@dataclass(frozen=True, eq=False)
class RowPair:
    """Two images to be compared along their rows; uint8 RGB, of any two sizes.

    label: what stands above them. columns: the lines run along columns, and the images stand above
    each other: a raw pair of cameras that do.
    """

    label: str
    left: UInt8[np.ndarray, "h w 3"]
    right: UInt8[np.ndarray, "a b 3"]
    columns: bool = False


def row_lines(
    pairs: Sequence[RowPair], *, lines: int = 16, title: str = ""
) -> UInt8[np.ndarray, "H W 3"]:
    """Each pair side by side with `lines` equal rows marked through both, one pair over another
    (beside each other where columns are marked).

    Corners of the scene lie on one line in both images where the pair is rectified.
    Raises `UsageError` without a pair, or for fewer than 1 line.
    """
    if not pairs or lines < 1:
        raise UsageError(
            "there is nothing to draw",
            field="pairs, lines",
            value=f"{len(pairs)}, {lines}",
            expected="1 or more",
        )
    # A column of high and of wide pictures would be mostly paper.
    beside = any(pair.columns for pair in pairs)
    panels = [Panel(pair.label, _drawn(pair, lines)) for pair in pairs]
    return grid(panels, len(panels) if beside else 1, title)


def _drawn(pair: RowPair, lines: int) -> Array:
    images: list[Array] = [pair.left, pair.right]
    if pair.columns:
        # Drawn as rows of the transposed images, so that there is one way to draw.
        images = [np.transpose(image, (1, 0, 2)) for image in images]
    height = max(len(image) for image in images)
    scale = min(1.0, _WIDEST / (sum(image.shape[1] for image in images) + _SEAM))
    images = [_sized(image, height, scale) for image in images]
    seam = np.full((len(images[0]), _SEAM, 3), 255, np.uint8)
    sheet = np.concatenate([images[0], seam, images[1]], axis=1)
    thick = max(1, round(len(sheet) / 700))
    for i in range(lines):
        row = round((i + 0.5) / lines * len(sheet))
        sheet[row : row + thick] = _COLORS[i % len(_COLORS)]
    if pair.columns:
        sheet = np.transpose(sheet, (1, 0, 2))
    return np.ascontiguousarray(sheet)


def _sized(image: Array, height: int, scale: float) -> Array:
    """The image padded below to `height`, then reduced by `scale`."""
    import cv2

    padded = np.zeros((height, image.shape[1], 3), np.uint8)
    padded[: len(image)] = image
    if scale == 1:
        return padded
    size = (max(1, round(padded.shape[1] * scale)), max(1, round(height * scale)))
    out: Array = cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
    return out
