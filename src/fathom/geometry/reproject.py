"""Pixels to points: back-projection through an ideal camera."""

import numpy as np

from fathom.core.arrays import Bool, Float32
from fathom.core.camera import Camera
from fathom.core.errors import InputError


def back_project(
    depth: Float32[np.ndarray, "h w"],
    camera: Camera,
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> Float32[np.ndarray, "n 3"]:
    """Points in metres (x right, y down, z forward) of the known pixels, row by row.

    depth: metres along z, NaN = unknown. camera: the ideal pinhole camera of the map.
    mask: pixels to take; by default all known ones. X = Z (u - cx) / fx, Y = Z (v - cy) / fy.

    Raises `InputError` if the camera is distorted or of another size.
    """
    if not camera.is_ideal():
        raise InputError(
            "has lens distortion", field="camera", remedy="rectify or undistort the image first"
        )
    if camera.size != (depth.shape[1], depth.shape[0]):
        raise InputError(
            "is for another image size",
            field="camera",
            value=f"{camera.width}x{camera.height}",
            expected=f"{depth.shape[1]}x{depth.shape[0]}",
        )
    taken = ~np.isnan(depth)
    if mask is not None:
        taken &= mask
    v, u = np.nonzero(taken)
    z = depth[v, u]
    x = z * ((u - np.float32(camera.cx)) / np.float32(camera.fx))
    y = z * ((v - np.float32(camera.cy)) / np.float32(camera.fy))
    return np.stack([x, y, z], axis=1).astype(np.float32)
