"""What became of a calibration in a format that cannot carry all of it, in plain lines.

The lines come from reading back what was written, so no format can lose a number in silence.
"""

import math
from dataclasses import replace

import numpy as np

from fathom.core.camera import Camera, StereoCalibration, StereoRig
from fathom.geometry.plausible import turn
from fathom.io.calibration.own import Calibration

_TERMS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "tx", "ty")
_FISHEYE = ("k1", "k2", "k3", "k4")


def differences(original: Calibration, back: Calibration) -> list[str]:
    """What `back` lacks or has otherwise than `original`, one line each; rounding is not named."""
    found = []
    if isinstance(original, StereoRig) != isinstance(back, StereoRig):
        kinds = [
            "rectified" if isinstance(c, StereoRig) else "raw (to be rectified)"
            for c in (original, back)
        ]
        found.append(f"the pair was {kinds[0]} and is read back as {kinds[1]}")
    if isinstance(original, StereoRig) and isinstance(back, StereoRig):
        found += _rig(original, back)
    found += _camera("left", original.left, back.left)
    right = back.right
    if isinstance(original, StereoRig) and isinstance(back, StereoRig):
        right = replace(right, cx=original.right.cx)  # doffs says it better
    found += _camera("right", original.right, right)
    if isinstance(original, StereoCalibration) and isinstance(back, StereoCalibration):
        found += _pose(original, back)
    elif not _same(original.baseline, back.baseline):
        found.append(f"the baseline of {original.baseline:.9g} m became {back.baseline:.9g} m")
    return found


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def _rig(original: StereoRig, back: StereoRig) -> list[str]:
    found = []
    if not math.isclose(original.doffs, back.doffs, rel_tol=1e-9, abs_tol=1e-6):
        found.append(
            f"doffs of {original.doffs:.9g} px became {back.doffs:.9g}: depth from this file will "
            "be wrong unless it is added to the disparities"
        )
    if original.max_disparity != back.max_disparity:
        found.append(f"the largest disparity ({original.max_disparity} px, ndisp) is dropped")
    return found


def _camera(side: str, original: Camera, back: Camera) -> list[str]:
    found = []
    if original.size != back.size:
        found.append(
            f"the {side} camera's image size of {original.width}x{original.height} became "
            f"{back.width}x{back.height}"
        )
    for name in ("fx", "fy", "cx", "cy"):
        old, new = getattr(original, name), getattr(back, name)
        if not _same(old, new):
            found.append(f"the {side} {name} of {old:.9g} px became {new:.9g}")
    if original.model != back.model:
        found.append(f"the {side} camera's model {original.model} became {back.model}")
        return found
    names = _FISHEYE if original.model == "fisheye" else _TERMS
    pairs = zip(names, _padded(original, len(names)), _padded(back, len(names)), strict=True)
    dropped = [f"{name} = {old:.6g}" for name, old, new in pairs if not _same(old, new)]
    if dropped:
        found.append(f"the {side} camera's distortion is dropped: {', '.join(dropped)}")
    return found


def _padded(camera: Camera, length: int) -> list[float]:
    return [*camera.distortion, *[0.0] * (length - len(camera.distortion))]


def _pose(original: StereoCalibration, back: StereoCalibration) -> list[str]:
    found = []
    if np.abs(original.rotation - back.rotation).max() > 1e-8:
        found.append(f"the rotation of {turn(original):.4g} degrees became {turn(back):.4g}")
    if np.abs(original.translation - back.translation).max() > 1e-9:
        old, new = original.translation.tolist(), back.translation.tolist()
        found.append(f"the translation {old} m became {new}")
    return found
