"""Cameras and rigs: everything fathom knows about where pixels look.

Pixels: (0, 0) is the centre of the top-left pixel. Camera frame: x right, y down, z forward.
Lengths are metres.
"""

import importlib
import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from fathom.core.arrays import Float32, Float64, Num, frozen
from fathom.core.errors import InputError

CameraModel = Literal["pinhole", "fisheye"]
_MODELS = ("pinhole", "fisheye")
_PINHOLE_TERMS = (0, 4, 5, 8, 12, 14)


def _positive(name: str, value: float, unit: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            "is not a positive number", field=name, value=value, expected=f"a number of {unit} > 0"
        )


def _finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise InputError("is not finite", field=name, value=value, expected="a finite number")


@dataclass(frozen=True)
class Camera:
    """One camera.

    width, height: image size in pixels. fx, fy: focal lengths in pixels. cx, cy: principal point
    in pixels. model: `pinhole` (Brown-Conrady distortion in OpenCV's order k1 k2 p1 p2 k3 ...) or
    `fisheye` (Kannala-Brandt equidistant, k1..k4). An empty distortion means an ideal lens.

    Raises `InputError` for sizes that are not positive whole numbers, focal lengths that are not
    positive, a principal point that is not finite, or a number of distortion terms the model does
    not have.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: CameraModel = "pinhole"
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if int(value) != value or value < 1:
                raise InputError("is not a positive whole number", field=name, value=value)
            object.__setattr__(self, name, int(value))
        for name in ("fx", "fy"):
            _positive(name, getattr(self, name), "pixels")
        for name in ("cx", "cy"):
            _finite(name, getattr(self, name))
        if self.model not in _MODELS:
            raise InputError(
                "is no camera model fathom knows",
                field="model",
                value=self.model,
                expected=" or ".join(_MODELS),
            )
        terms = tuple(float(v) for v in self.distortion)
        allowed = _PINHOLE_TERMS if self.model == "pinhole" else (0, 4)
        if len(terms) not in allowed:
            raise InputError(
                f"has {len(terms)} terms",
                field="distortion",
                expected=f"one of {allowed} for the {self.model} model",
            )
        for i, term in enumerate(terms):
            _finite(f"distortion[{i}]", term)
        object.__setattr__(self, "distortion", terms)
        for name in ("fx", "fy", "cx", "cy"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    @property
    def matrix(self) -> Float64[np.ndarray, "3 3"]:
        """K, the 3x3 matrix from camera coordinates to homogeneous pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def is_ideal(self) -> bool:
        """True if pixels are a plain perspective image: pinhole and no distortion."""
        return self.model == "pinhole" and not any(self.distortion)

    def scaled(self, sx: float, sy: float, width: int, height: int) -> "Camera":
        """The camera of this image resized by (sx, sy) to (width, height).

        The corner of the top-left pixel, (-0.5, -0.5), stays where it is: c' = s (c + 0.5) - 0.5.
        """
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=sx * (self.cx + 0.5) - 0.5,
            cy=sy * (self.cy + 0.5) - 0.5,
        )

    def cropped(self, x: int, y: int, width: int, height: int) -> "Camera":
        """The camera of the window whose top-left pixel is (x, y)."""
        return replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)


@dataclass(frozen=True, eq=False)
class StereoCalibration:
    """A raw pair of cameras and where they stand to each other.

    rotation (3, 3) and translation (3,) in metres take a point from the left camera's frame to
    the right one's: X_right = rotation @ X_left + translation. A right camera that stands to the
    right of the left one has a negative translation[0].

    Raises `InputError` if the rotation is not orthonormal (to 1e-3) or the translation is zero
    or not finite.
    """

    left: Camera
    right: Camera
    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]

    def __post_init__(self) -> None:
        rotation = np.array(self.rotation, dtype=np.float64)
        translation = np.array(self.translation, dtype=np.float64).reshape(-1)
        if rotation.shape != (3, 3) or not np.isfinite(rotation).all():
            raise InputError(
                "is not a finite 3x3 matrix", field="rotation", value=rotation.tolist()
            )
        error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
        if error > 1e-3 or np.linalg.det(rotation) < 0:
            raise InputError(
                "is not a rotation",
                field="rotation",
                value=f"|R R^T - 1| = {error:.3g}, det {np.linalg.det(rotation):.3g}",
                expected="an orthonormal matrix with determinant +1",
            )
        if translation.shape != (3,) or not np.isfinite(translation).all():
            raise InputError(
                "is not three finite numbers", field="translation", value=translation.tolist()
            )
        if not np.linalg.norm(translation) > 0:
            raise InputError(
                "the cameras stand on the same spot (baseline 0)",
                field="translation",
                value=translation.tolist(),
                expected="a distance between the cameras in metres",
            )
        object.__setattr__(self, "rotation", frozen(rotation))
        object.__setattr__(self, "translation", frozen(translation))

    @property
    def baseline(self) -> float:
        """Distance of the two cameras in metres."""
        return float(np.linalg.norm(self.translation))

    def rectify(
        self, crop: Literal["valid", "all"] = "valid", size: tuple[int, int] | None = None
    ) -> Any:
        """The rectified rig and the maps that make its images: `fathom.rectify(self, ...)`, which
        explains the parameters and returns a `fathom.Rectification`.

        It is looked up when it is called: the nouns stand below the geometry and import none of it.
        """
        return importlib.import_module("fathom.geometry.rectify").rectify(
            self, crop=crop, size=size
        )


@dataclass(frozen=True)
class StereoRig:
    """A rectified pair of cameras: rows agree, and the right camera stands at +x.

    left, right: ideal pinhole cameras of equal size, focal length and cy. baseline: metres.
    max_disparity: the largest disparity in pixels that the calibration file names for its scene
    (Middlebury's ndisp), or None.

    Raises `InputError` if a camera is not ideal, the cameras disagree in what rectification makes
    equal, or the baseline is not a positive number.
    """

    left: Camera
    right: Camera
    baseline: float
    max_disparity: int | None = field(default=None)

    def __post_init__(self) -> None:
        _positive("baseline", self.baseline, "metres")
        object.__setattr__(self, "baseline", float(self.baseline))
        for side, camera in (("left", self.left), ("right", self.right)):
            if not camera.is_ideal():
                raise InputError(
                    "has lens distortion, a rectified rig has none",
                    field=f"{side} camera",
                    remedy="rectify the calibration first",
                )
        for name, tolerance in (("width", 0.0), ("height", 0.0), ("fx", 1e-3), ("fy", 1e-3)):
            a, b = getattr(self.left, name), getattr(self.right, name)
            if abs(a - b) > tolerance * abs(a):
                raise InputError(
                    "differs between the cameras of a rectified rig",
                    field=name,
                    value=f"{a} left, {b} right",
                    expected="equal values",
                )
        if abs(self.left.cy - self.right.cy) > 0.5:
            raise InputError(
                "differs between the cameras, so rows do not agree",
                field="cy",
                value=f"{self.left.cy} left, {self.right.cy} right",
                expected="equal values in a rectified rig",
            )
        if self.max_disparity is not None and self.max_disparity < 1:
            raise InputError(
                "is below 1 pixel", field="max_disparity", value=self.max_disparity, expected=">= 1"
            )

    @classmethod
    def simple(
        cls,
        width: int,
        height: int,
        focal: float,
        baseline: float,
        *,
        cx: float | None = None,
        cy: float | None = None,
        doffs: float = 0.0,
    ) -> "StereoRig":
        """A rig of one focal length (pixels) and a baseline (metres).

        Without cx, cy the principal point is the middle of the image.
        """
        cx = (width - 1) / 2 if cx is None else cx
        cy = (height - 1) / 2 if cy is None else cy
        left = Camera(width, height, focal, focal, cx, cy)
        return cls(left, replace(left, cx=cx + doffs), baseline)

    @property
    def doffs(self) -> float:
        """cx_right - cx_left in pixels: the disparity of a point at infinity is -doffs."""
        return self.right.cx - self.left.cx

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of both images in pixels."""
        return self.left.size

    def depth_of(self, disparity: Num[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
        """Depth in metres of disparities in pixels: Z = fx b / (d + doffs).

        NaN where d is unknown or d + doffs is not positive (behind infinity). Scharstein et al.,
        GCPR 2014, and Middlebury's calibration page.
        """
        shifted = np.asarray(disparity, dtype=np.float32) + np.float32(self.doffs)
        ahead = shifted > 0
        out = np.full(shifted.shape, np.nan, dtype=np.float32)
        with np.errstate(over="ignore"):
            np.divide(np.float32(self.left.fx * self.baseline), shifted, out=out, where=ahead)
        out[~np.isfinite(out)] = np.nan
        return out

    def disparity_of(self, depth: Num[np.ndarray, "..."]) -> Float32[np.ndarray, "..."]:
        """Disparity in pixels of depths in metres: d = fx b / Z - doffs; NaN where Z <= 0."""
        z = np.asarray(depth, dtype=np.float32)
        out = np.full(z.shape, np.nan, dtype=np.float32)
        np.divide(np.float32(self.left.fx * self.baseline), z, out=out, where=z > 0)
        return (out - np.float32(self.doffs)).astype(np.float32)

    def scaled(self, sx: float, sy: float, width: int, height: int) -> "StereoRig":
        """The rig of both images resized by (sx, sy) to (width, height)."""
        limit = None if self.max_disparity is None else max(1, math.ceil(self.max_disparity * sx))
        return replace(
            self,
            left=self.left.scaled(sx, sy, width, height),
            right=self.right.scaled(sx, sy, width, height),
            max_disparity=limit,
        )

    def cropped(self, x: int, y: int, width: int, height: int) -> "StereoRig":
        """The rig of the same window (top-left pixel (x, y)) cut out of both images."""
        return replace(
            self,
            left=self.left.cropped(x, y, width, height),
            right=self.right.cropped(x, y, width, height),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for result.json; lengths in metres, the rest in pixels."""
        return {
            "width": self.left.width,
            "height": self.left.height,
            "fx": self.left.fx,
            "fy": self.left.fy,
            "cx": self.left.cx,
            "cy": self.left.cy,
            "cx_right": self.right.cx,
            "cy_right": self.right.cy,
            "doffs": self.doffs,
            "baseline_m": self.baseline,
            "max_disparity": self.max_disparity,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "StereoRig":
        """The rig that `as_dict` described. Raises `InputError` for a missing or bad number."""
        try:
            numbers = {k: float(values[k]) for k in ("fx", "fy", "cx", "cy", "baseline_m")}
            width, height = int(values["width"]), int(values["height"])
            cx_right = float(values.get("cx_right", numbers["cx"] + float(values.get("doffs", 0))))
            cy_right = float(values.get("cy_right", numbers["cy"]))
            limit = values.get("max_disparity")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the rig lacks a number: {error}", field="rig") from error
        left = Camera(width, height, numbers["fx"], numbers["fy"], numbers["cx"], numbers["cy"])
        right = replace(left, cx=cx_right, cy=cy_right)
        return cls(left, right, numbers["baseline_m"], None if limit is None else int(limit))
