"""From a raw pair of cameras to a rectified rig: rows agree, distortion is gone.

Both cameras are turned by half of their relative rotation, then together, by the least angle, until
the baseline is the x axis (Bouguet's method; Fusiello et al., "A compact algorithm for
rectification of stereo pairs", MVA 2000, turn to the baseline in the same way). The new focal
length comes from the field of view that the cameras really have (geometry/window.py), not from
OpenCV's stereoRectify: that one may turn images by 180 degrees and lets its result depend on the
length of the distortion (opencv issues 10791, 11131, 18313), and the fisheye one is unstable.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fathom.core.arrays import Array, Bool, Float32, Float64, Shaped
from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.core.pair import StereoPair, View
from fathom.geometry.project import project, rays
from fathom.geometry.window import Crop, Eye, choose_window, undistort_map

__all__ = ["Crop", "Rectification", "Side", "exchange", "rectify", "remap"]

Side = Literal["left", "right"]

_WIDEST = 60.0
"""Degrees between the cameras beyond which no useful common image is left."""

LARGEST = 200_000_000
"""Pixels of a rectified image: more than any image that is read."""

FIELD = 120.0
"""Degrees of view that a rectified image shows at most. Towards 180 degrees a flat image stretches
without end; at 120 a fisheye's middle keeps about its resolution."""


@dataclass(frozen=True, eq=False)
class Rectification:
    """A rig, and where each of its pixels lies in the raw images.

    left_map, right_map: float32 (h, w, 2), raw x and y of every rectified pixel; (-100, -100)
    where the camera did not see it. left_mask, right_mask: bool (h, w), true where it did.
    calibration: the raw cameras. left_rotation, right_rotation: (3, 3), from a raw camera's frame
    to its rectified one. turned: degrees, clockwise, by which both images were turned because
    their cameras stand above each other: 0, 90 or -90. notes: what a user should know.
    """

    rig: StereoRig
    left_map: Float32[np.ndarray, "h w 2"]
    right_map: Float32[np.ndarray, "h w 2"]
    left_mask: Bool[np.ndarray, "h w"]
    right_mask: Bool[np.ndarray, "h w"]
    calibration: StereoCalibration
    left_rotation: Float64[np.ndarray, "3 3"]
    right_rotation: Float64[np.ndarray, "3 3"]
    turned: int = 0
    notes: tuple[str, ...] = ()

    def __call__(self, left: View, right: View) -> StereoPair:
        """The rectified pair of two raw views (cubic interpolation, black where not seen).

        Raises `InputError` for a view of another size than its camera.
        """
        views = []
        for side, view in (("left", left), ("right", right)):
            raw: Camera = getattr(self.calibration, side)
            if view.size != raw.size:
                raise InputError(
                    "the calibration is for another image size",
                    field=f"{side} view",
                    value=f"{view.size[0]}x{view.size[1]}",
                    expected=f"{raw.width}x{raw.height}",
                )
            image = remap(view.image, getattr(self, f"{side}_map"))
            image[~getattr(self, f"{side}_mask")] = 0
            views.append(View(image))
        return StereoPair(views[0], views[1], self.rig)

    @property
    def field(self) -> tuple[float, float]:
        """Degrees that the rectified images show across and down."""
        camera = self.rig.left
        x = np.arctan((np.array([-0.5, camera.width - 0.5]) - camera.cx) / camera.fx)
        y = np.arctan((np.array([-0.5, camera.height - 0.5]) - camera.cy) / camera.fy)
        return float(np.degrees(x[1] - x[0])), float(np.degrees(y[1] - y[0]))

    def points(self, pixels: Float64[np.ndarray, "n 2"], side: Side) -> Float64[np.ndarray, "n 2"]:
        """Where raw pixels of one camera lie in its rectified image; NaN where they cannot."""
        turn = self.left_rotation if side == "left" else self.right_rotation
        directions = rays(pixels, getattr(self.calibration, side)) @ turn.T
        known = np.isfinite(directions).all(axis=1)
        out = np.full((len(pixels), 2), np.nan)
        out[known] = project(directions[known], getattr(self.rig, side))
        return out

    def turn_back(self, values: Shaped[np.ndarray, "h w *rest"]) -> Shaped[np.ndarray, "a b *rest"]:
        """A map or image of the rectified left view, turned upright as the raw camera saw it.

        Depth along z stays what it is. A disparity is then one along columns.
        """
        return np.ascontiguousarray(np.rot90(values, self.turned // 90))


def remap(image: Shaped[np.ndarray, "h w 3"], grid: Float32[np.ndarray, "a b 2"]) -> Array:
    """`image` sampled at the pixels of `grid` (x, y), cubic, its border continued; same type."""
    import cv2

    out: Array = cv2.remap(
        image, grid[..., 0], grid[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return out


def rectify(
    calibration: StereoCalibration,
    *,
    crop: Crop = "valid",
    size: tuple[int, int] | None = None,
    field: float = FIELD,
) -> Rectification:
    """The rectified rig of two raw cameras, and the maps that make its images.

    crop: "valid" (each pixel was seen by both cameras) or "all" (every raw pixel is kept, within
    `field`; the masks tell which pixels were seen). size: (width, height) of the rectified images,
    by default the left camera's (exchanged where the images are turned). field: the widest view in
    degrees, across and down, half of it to each side, that the images may show.

    Images keep their orientation, except where one camera stands above the other: then both are
    turned by 90 degrees so that rows can be matched (`turned`). The two cameras may differ in size,
    focal length and model; the rectified ones share focal length and principal point (doffs = 0).

    Raises `InputError` if the cameras are exchanged, stand behind each other, or look apart so far
    that no common image remains; `UsageError` for a crop, size or field that cannot be.
    """
    _require_options(crop, size, field)
    turns = _rotations(calibration)
    if size is None:
        width, height = calibration.left.size
        size = (height, width) if turns.turned else (width, height)
    eyes = (Eye(calibration.left, turns.left), Eye(calibration.right, turns.right))
    window = choose_window(eyes, crop, size, field)
    camera = Camera(*size, window.focal, window.focal, window.cx, window.cy)
    rig = StereoRig(camera, camera, calibration.baseline)
    (left_map, left_mask), (right_map, right_mask) = (undistort_map(eye, camera) for eye in eyes)
    return Rectification(
        rig,
        left_map,
        right_map,
        left_mask,
        right_mask,
        calibration,
        turns.left,
        turns.right,
        turns.turned,
        (*turns.notes, *window.notes),
    )


def exchange(calibration: StereoCalibration) -> StereoCalibration:
    """The same two cameras with left and right exchanged: X_left = R^T X_right - R^T T."""
    back = calibration.rotation.T
    return StereoCalibration(
        calibration.right, calibration.left, back, -back @ calibration.translation
    )


@dataclass(frozen=True, eq=False)
class _Turns:
    """The rotations from the raw frames to the rectified ones, and what they mean."""

    left: Float64[np.ndarray, "3 3"]
    right: Float64[np.ndarray, "3 3"]
    turned: int
    notes: tuple[str, ...]


def _rotations(calibration: StereoCalibration) -> _Turns:
    # The constructor allows 1e-3 of error, which rows would show: the nearest rotation has none.
    u, _, vt = np.linalg.svd(calibration.rotation)
    rotation = u @ vt
    # A right camera mounted on its side or head is set upright as the left one first: only what
    # is left of the roll may be shared by the two.
    roll = np.degrees(np.arctan2(rotation[1, 0] - rotation[0, 1], rotation[0, 0] + rotation[1, 1]))
    upright = _quarter(-round(roll / 90))
    rotation, shift = upright @ rotation, upright @ calibration.translation
    axis, angle = _axis_angle(rotation)
    if np.degrees(angle) > _WIDEST:
        raise InputError(
            f"the cameras are turned against each other by {np.degrees(angle):.0f} degrees",
            field="rotation",
            expected=f"at most {_WIDEST:.0f} degrees",
            remedy="check the rotation and its order (X_right = R X_left + T)",
        )
    half = _rotation(axis, angle / 2)
    baseline = -half.T @ shift  # from the left camera to the right one, between the two frames
    quarters = _quarters(baseline)
    turn = _quarter(quarters)
    x = turn @ baseline / np.linalg.norm(baseline)
    level = _rotation(*_axis_to_x(x)) @ turn
    notes = []
    if quarters:
        way = "clockwise" if quarters > 0 else "counter-clockwise"
        notes.append(
            "the cameras stand above each other, so both images are turned by 90 degrees "
            f"{way} to be matched along rows, and so are all results"
        )
    if round(roll / 90):
        notes.append(
            f"the right camera is mounted {abs(90 * round(roll / 90))} degrees turned against the "
            "left one; its image is turned as the left one is"
        )
    return _Turns(level @ half, level @ half.T @ upright, 90 * quarters, tuple(notes))


def _quarters(baseline: Float64[np.ndarray, "3"]) -> int:
    """Quarter turns, clockwise, that bring the right camera to the right of the left one."""
    x, y, z = baseline
    if abs(z) > max(abs(x), abs(y)):
        raise InputError(
            "one camera stands behind the other, more than beside it",
            field="translation",
            value=[float(round(v, 6)) for v in -baseline],
            expected="cameras side by side or above each other",
            remedy="check the translation and its order of axes (x right, y down, z forward)",
        )
    if abs(y) > abs(x):
        return -1 if y > 0 else 1
    if x < 0:
        raise InputError(
            "the right camera stands to the left of the left one",
            field="translation",
            expected="a negative first component (X_right = R X_left + T)",
            remedy="exchange left and right in images and calibration alike (fathom rectify "
            "--exchange), or, if T is the right camera's place, give -R T instead of it",
        )
    return 0


def _quarter(turns: int) -> Float64[np.ndarray, "3 3"]:
    """The rotation about z that turns an image clockwise by `turns` quarters: x to y, y to -x."""
    one = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    return np.linalg.matrix_power(one, turns % 4)


def _axis_angle(rotation: Float64[np.ndarray, "3 3"]) -> tuple[Float64[np.ndarray, "3"], float]:
    """Unit axis and angle in radians (0..pi) of a rotation; any axis for no rotation."""
    twice = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine, cosine = float(np.linalg.norm(twice)) / 2, (float(np.trace(rotation)) - 1) / 2
    axis = twice / (2 * sine) if sine > 1e-12 else np.array([1.0, 0, 0])
    return axis, float(np.arctan2(sine, cosine))


def _axis_to_x(direction: Float64[np.ndarray, "3"]) -> tuple[Float64[np.ndarray, "3"], float]:
    """Axis and angle of the least rotation that takes a unit vector to the x axis."""
    cross = np.array([0.0, direction[2], -direction[1]])
    sine = float(np.linalg.norm(cross))
    axis = cross / sine if sine > 0 else np.array([0.0, 0, 1])
    return axis, float(np.arctan2(sine, direction[0]))


def _rotation(axis: Float64[np.ndarray, "3"], angle: float) -> Float64[np.ndarray, "3 3"]:
    """Rodrigues' formula: the rotation by `angle` radians about a unit axis."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    out: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return out


def _require_options(crop: str, size: tuple[int, int] | None, field: float) -> None:
    if crop not in ("valid", "all"):
        raise UsageError("is no crop", field="crop", value=crop, expected="valid or all")
    if size is not None and not (len(size) == 2 and min(size) >= 2):
        raise UsageError(
            "is no image size", field="size", value=size, expected="width and height, 2 or more"
        )
    if size is not None and size[0] * size[1] > LARGEST:
        raise UsageError(
            "is too large",
            field="size",
            value=f"{size[0]}x{size[1]}",
            expected=f"at most {LARGEST // 1_000_000} megapixels",
        )
    if not 1 <= field <= 170:
        raise UsageError(
            "is no field of view", field="field", value=field, expected="1 to 170 degrees"
        )
