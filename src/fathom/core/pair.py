"""Images: one view, and a rectified pair of them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fathom.core.arrays import Array, Shaped, UInt8, frozen
from fathom.core.camera import Camera, StereoRig
from fathom.core.errors import InputError


@dataclass(frozen=True, eq=False)
class View:
    """One image, and the camera that took it where it is known.

    image: RGB (h, w, 3), uint8 or uint16; a grey (h, w) array is repeated into three channels.
    The array is held as a read-only view. stretch: grey values that become black and white where
    16 bits are brought to 8; None takes this image's own 0.1 and 99.9 percentiles. A part of a
    larger image keeps the larger one's (`part`).

    Raises `InputError` for another shape or type, or a camera of another image size.
    """

    image: Shaped[np.ndarray, "h w *rgb"]
    camera: Camera | None = None
    stretch: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", as_image(self.image))
        if self.camera is not None and self.camera.size != self.size:
            raise InputError(
                "is for another image size",
                field="camera",
                value=_wxh(self.camera.size),
                expected=_wxh(self.size),
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def gray(self) -> Shaped[np.ndarray, "h w"]:
        """Luma of the image in its own type: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded.

        Integer weights of 14 bits, so that the same pixels give the same grey everywhere.
        """
        r, g, b = (self.image[..., i].astype(np.uint32) for i in range(3))
        return ((4899 * r + 9617 * g + 1868 * b + 8192) >> 14).astype(self.image.dtype)

    @property
    def gray8(self) -> UInt8[np.ndarray, "h w"]:
        """`gray` in 8 bits: 16-bit images are stretched as `stretch` says."""
        gray = self.gray
        return gray if gray.dtype == np.uint8 else _stretch(gray, self.stretch or _range16(gray))

    @property
    def rgb8(self) -> UInt8[np.ndarray, "h w 3"]:
        """The colours in 8 bits, stretched as in `gray8`; for pictures and clouds."""
        if self.image.dtype == np.uint8:
            return self.image
        return _stretch(self.image, self.stretch or _range16(self.gray))

    def with_stretch(self) -> "View":
        """The same view with its `stretch` written down; 8-bit views need none."""
        if self.stretch is not None or self.image.dtype == np.uint8:
            return self
        return replace(self, stretch=_range16(self.gray))

    def part(self, rows: slice, columns: slice) -> "View":
        """A window of the view, of the same brightness in 8 bits where `stretch` is written down;
        it carries no camera."""
        return View(self.image[rows, columns], stretch=self.stretch)


@dataclass(frozen=True, eq=False)
class StereoPair:
    """A rectified pair: the same point lies on the same row, further left in the right image.

    left, right: `View`s of equal size and type. rig: the rectified rig, if
    metres are wanted. The rig wins over the views' cameras; a camera that disagrees raises.

    Raises `InputError` if the sizes or types differ, or the rig is for another image size.
    """

    left: View
    right: View
    rig: StereoRig | None = None

    def __post_init__(self) -> None:
        if self.left.size != self.right.size:
            raise InputError(
                "the two images differ in size",
                field="right",
                value=_wxh(self.right.size),
                expected=f"{_wxh(self.left.size)} as the left one",
            )
        if self.left.image.dtype != self.right.image.dtype:
            raise InputError(
                "the two images differ in bit depth",
                field="right",
                value=self.right.image.dtype,
                expected=f"{self.left.image.dtype} as the left one",
            )
        if self.rig is None:
            return
        if self.rig.size != self.left.size:
            raise InputError(
                "the calibration is for another image size",
                field="rig",
                value=_wxh(self.rig.size),
                expected=_wxh(self.left.size),
                remedy="scale the calibration with the images (StereoRig.scaled)",
            )
        for side in ("left", "right"):
            camera, ours = getattr(self, side).camera, getattr(self.rig, side)
            if camera is not None and not _agree(camera, ours):
                raise InputError(
                    "the view's camera disagrees with the rig",
                    field=f"{side}.camera",
                    value=camera,
                    expected=str(ours),
                )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.left.size

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.left.shape

    def mirrored(self) -> "StereoPair":
        """The pair a mirror would show: views exchanged and flipped left to right.

        A matcher run on it gives the right view's disparity, flipped. It carries no rig.
        """
        turned = slice(None), slice(None, None, -1)
        return StereoPair(self.right.part(*turned), self.left.part(*turned))


def as_image(image: Any) -> Array:
    """`image` as a read-only RGB array (h, w, 3) of uint8 or uint16, grey repeated.

    Raises `InputError` for any other shape or type.
    """
    array = np.asarray(image)
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            "is not an image", field="image", value=array.dtype, expected="uint8 or uint16 values"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise InputError(
            "has a wrong shape",
            field="image",
            value=array.shape,
            expected="(height, width, 3) RGB or (height, width) grey",
        )
    return frozen(np.ascontiguousarray(array))


def _agree(a: Camera, b: Camera) -> bool:
    same = np.allclose([a.fx, a.fy, a.cx, a.cy], [b.fx, b.fy, b.cx, b.cy], rtol=1e-6, atol=1e-3)
    return bool(same) and a.model == b.model and a.is_ideal() == b.is_ideal()


def _range16(gray: Array) -> tuple[float, float]:
    low, high = np.percentile(gray, (0.1, 99.9))
    return float(low), float(max(high, low + 1))


def _stretch(values: Array, limits: tuple[float, float]) -> Array:
    low, high = limits
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    out: Array = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return out


def _wxh(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
