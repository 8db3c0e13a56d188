"""Images and maps extended by their border."""

import numpy as np

from fathom.core.arrays import Array, Shaped


def padded(
    values: Shaped[np.ndarray, "_h _w *c"], multiple: int, *, left: int = 0
) -> Shaped[np.ndarray, "_H _W *c"]:
    """`values` repeated at the right and bottom until both sizes are multiples of `multiple`.

    left: columns repeated at the left beforehand. Pixel (x, y) comes to (x + left, y).
    """
    height, width = values.shape[:2]
    below, beside = -height % multiple, -(width + left) % multiple
    if not (below or beside or left):
        return values
    room = ((0, below), (left, beside), *((0, 0),) * (values.ndim - 2))
    out: Array = np.pad(values, room, mode="edge")
    return out
