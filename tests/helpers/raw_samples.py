"""Raw pairs of simulated cameras that look at a rectified pair's scene."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from fathom.core import Camera, StereoCalibration, View
from fathom.geometry.resize import resize_pair
from fathom.io.calibration import write_calibration
from fathom.io.images import write_png

TERMS = (-0.12, 0.03, 0.0005, -0.0004, 0.0)
TURNS = ((0.02, 0.03, -0.015), (-0.01, -0.02, 0.02))


def turned(*vector):
    return cv2.Rodrigues(np.array(vector, dtype=float))[0]


@dataclass
class RawPair:
    """Two raw views and the calibration that made them."""

    calibration: StereoCalibration
    left: View
    right: View

    def write(self, folder: Path, name: str = "") -> Path:
        """left.png, right.png (or left/NAME.png, ...) and rig.json in `folder`."""
        for side in ("left", "right"):
            place = folder / side / f"{name}.png" if name else folder / f"{side}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_png(place, getattr(self, side).image)
        write_calibration(folder / "rig.json", self.calibration)
        return folder


def simulate(pair, *, scale=0.5, quarter=0, right_scale=1.0, turns=TURNS) -> RawPair:
    """The pair as two raw cameras would have seen its scene.

    quarter: both are mounted turned by so many quarters, so that one stands above the other.
    right_scale: size of the right camera's image against the left one's.
    """
    pair = resize_pair(pair, scale)
    roll = np.rint(turned(0, 0, quarter * np.pi / 2))
    views, cameras, rotations = [], [], []
    for side, turn in zip(("left", "right"), turns, strict=True):
        ideal = getattr(pair.rig, side)
        size = ideal.size if quarter % 2 == 0 else ideal.size[::-1]
        shift = (6, -4) if side == "left" else (-5, 7)
        camera = Camera(
            *size,
            ideal.fx * 0.97,
            ideal.fx * 0.98,
            (size[0] - 1) / 2 + shift[0],
            (size[1] - 1) / 2 + shift[1],
            distortion=TERMS,
        )
        if side == "right" and right_scale != 1:
            new = [round(v * right_scale) for v in size]
            camera = camera.scaled(new[0] / size[0], new[1] / size[1], *new)
        rotation = turned(*turn) @ roll  # from the raw frame to the rectified one
        views.append(View(_seen(getattr(pair, side).image, ideal, camera, rotation)))
        cameras.append(camera)
        rotations.append(rotation)
    back = rotations[1].T
    shift = -back @ np.array([pair.rig.baseline, 0, 0])
    return RawPair(StereoCalibration(*cameras, back @ rotations[0], shift), *views)


def drifted(calibration: StereoCalibration, *angles: float) -> StereoCalibration:
    """The calibration of before the right camera turned by these angles (radians)."""
    turn = turned(*angles)
    return replace(
        calibration,
        rotation=turn @ calibration.rotation,
        translation=turn @ calibration.translation,
    )


def _seen(image, ideal, camera, rotation):
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)[:, None]
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
    rays = cv2.undistortPoints(pixels, camera.matrix, np.array(camera.distortion), criteria=stop)
    rays = np.concatenate([rays.reshape(-1, 2), np.ones((u.size, 1))], axis=1) @ rotation.T
    x = (rays[:, 0] / rays[:, 2] * ideal.fx + ideal.cx).reshape(u.shape)
    y = (rays[:, 1] / rays[:, 2] * ideal.fy + ideal.cy).reshape(u.shape)
    return cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
