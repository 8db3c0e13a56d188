"""Images, maps and layers extended by their border."""

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


def padded_layers(
    values: Shaped[np.ndarray, "c _h _w"], shape: tuple[int, int]
) -> Shaped[np.ndarray, "c _H _W"]:
    """Layers repeated at the right and bottom until they have (height, width) `shape`.

    Evidence is extended like this, after matching: matched with repeated borders, whole paths of
    semi-global matching run through pixels that no camera saw, and a third of its values change.
    """
    room = [(0, wanted - n) for wanted, n in zip(shape, values.shape[1:], strict=True)]
    out: Array = np.pad(values, ((0, 0), *room), mode="edge")
    return out
