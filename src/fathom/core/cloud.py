"""Points in space."""

from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Float32, UInt8, frozen
from fathom.core.errors import InputError


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in metres: x right, y down, z forward, in the frame that `frame` names.

    points: float32 (n, 3), finite. colors: uint8 (n, 3) RGB. normals: float32 (n, 3), unit length.
    frame: for example "left camera".

    Raises `InputError` for other shapes, or points that are not finite.
    """

    points: Float32[np.ndarray, "n 3"]
    colors: UInt8[np.ndarray, "n 3"] | None = None
    normals: Float32[np.ndarray, "n 3"] | None = None
    frame: str = "left camera"

    def __post_init__(self) -> None:
        points = np.ascontiguousarray(self.points, dtype=np.float32)
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(
                "has a wrong shape", field="points", value=points.shape, expected="(n, 3)"
            )
        if not np.isfinite(points).all():
            raise InputError("holds values that are not finite", field="points")
        object.__setattr__(self, "points", frozen(points))
        for name, dtype in (("colors", np.uint8), ("normals", np.float32)):
            layer = getattr(self, name)
            if layer is None:
                continue
            layer = np.ascontiguousarray(layer)
            if layer.shape != points.shape or layer.dtype != dtype:
                raise InputError(
                    "does not fit the points",
                    field=name,
                    value=f"{layer.dtype} {layer.shape}",
                    expected=f"{np.dtype(dtype)} {points.shape}",
                )
            object.__setattr__(self, name, frozen(layer))

    def __len__(self) -> int:
        return len(self.points)
