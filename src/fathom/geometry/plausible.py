"""Is this calibration one that two real cameras could have? What is not, in one line each.

Most wrong depths come from a calibration in another unit or for another image size, and both
show: in a baseline of 60 m, in a principal point far from the middle of the image.
"""

import math

import numpy as np

from fathom.core.camera import Camera, StereoCalibration, StereoRig

NEAREST, FARTHEST = 0.002, 10.0
"""Metres between the cameras that nobody need explain; beyond, a unit is suspected."""

_WIDEST, _NARROWEST = 150.0, 1.5  # degrees of horizontal view of a pinhole image
_TURNED = 30.0  # degrees between the cameras
_UNEQUAL = 0.1  # between fx and fy, and between left and right
_UNSCALED = 1.45  # times the image's middle: rectified crops stay below, a resize by 1/2 gives 2


def implausibilities(calibration: StereoRig | StereoCalibration) -> list[str]:
    """What about a calibration no real pair of cameras has, one line each with the likely cause.

    Looked at: the baseline (2 mm .. 10 m), which side the right camera stands on, the angle
    between the cameras, the principal point against the image size (a K that was not scaled with
    the images), the field of view, and focal lengths that differ between x and y or the cameras.
    An empty list means only that nothing is absurd, not that the calibration is good.
    """
    found = implausible_baseline(calibration.baseline, calibration.left.fx)
    if isinstance(calibration, StereoCalibration):
        found += _pose(calibration)
    for side, camera in (("left", calibration.left), ("right", calibration.right)):
        found += _camera(side, camera)
    found += _difference(calibration.left, calibration.right)
    return list(dict.fromkeys(found))


def implausible_baseline(baseline: float, focal: float | None = None) -> list[str]:
    """The line for a baseline in metres outside 2 mm .. 10 m, or nothing.

    focal: pixels, where known: a P[0, 3] that held metres instead of -fx times metres shows.
    """
    if NEAREST <= baseline <= FARTHEST:
        return []
    guesses = []
    if NEAREST <= baseline / 1000 <= FARTHEST:
        guesses.append(f"millimetres read as metres (then it is {baseline / 1000:.4g} m)")
    elif NEAREST <= baseline * 1000 <= FARTHEST:
        guesses.append(f"metres read as millimetres (then it is {baseline * 1000:.4g} m)")
    if focal is not None and baseline < NEAREST and 0.01 <= baseline * focal <= 2:
        guesses.append(f"a P[0,3] that lacks the factor fx (then it is {baseline * focal:.4g} m)")
    cause = f"; likely {' or '.join(guesses)}" if guesses else ""
    return [f"a baseline of {baseline:.4g} m is implausible{cause}"]


def _pose(calibration: StereoCalibration) -> list[str]:
    found = []
    x, y, z = (float(v) for v in calibration.translation)
    if x > 0 and x > max(abs(y), abs(z)):
        found.append(
            f"the right camera stands {x:.4g} m to the left of the left one; likely the cameras "
            "are exchanged, or T is the right camera's place instead of X_right = R X_left + T"
        )
    if abs(z) > max(abs(x), abs(y)):
        found.append(
            f"the right camera stands {abs(z):.4g} m ahead of or behind the left one, more than "
            "beside it; likely another order of axes"
        )
    angle = turn(calibration)
    if angle > _TURNED:
        found.append(f"the cameras are turned against each other by {angle:.0f} degrees")
    return found


def turn(calibration: StereoCalibration) -> float:
    """The angle between the two cameras in degrees."""
    cosine = (float(np.trace(calibration.rotation)) - 1) / 2
    return math.degrees(math.acos(min(1.0, max(-1.0, cosine))))


def _camera(side: str, camera: Camera) -> list[str]:
    found = []
    across = (2 * camera.cx + 1) / camera.width
    down = (2 * camera.cy + 1) / camera.height
    size = f"{camera.width}x{camera.height}"
    place = f"principal point ({camera.cx:.1f}, {camera.cy:.1f})"
    times = math.sqrt(across * down) if min(across, down) > 0 else 0.0
    alike = times > 0 and max(across, down) < 1.25 * min(across, down)
    if alike and not 1 / _UNSCALED < times < _UNSCALED:
        found.append(
            f"the {side} {place} is the middle of an image {times:.2g} times as large as {size}; "
            "likely a K that was not scaled when the images were resized"
        )
    elif not (0 <= across <= 2 and 0 <= down <= 2):
        found.append(f"the {side} {place} lies outside the {size} image")
    if abs(camera.fy / camera.fx - 1) > _UNEQUAL:
        found.append(
            f"the {side} focal lengths differ: fx {camera.fx:.1f}, fy {camera.fy:.1f}; likely "
            "images resized by unequal factors, or a size with width and height exchanged"
        )
    view = field_of_view(camera)[0]
    if camera.model == "pinhole" and not _NARROWEST <= view <= _WIDEST:
        found.append(
            f"the {side} fx of {camera.fx:.4g} px gives a view of {view:.3g} degrees across "
            f"{camera.width} px; likely a focal length in another unit, or of another image size"
        )
    return found


def field_of_view(camera: Camera) -> tuple[float, float]:
    """Degrees seen across and down without distortion; a fisheye is taken as equidistant."""
    angles = []
    for focal, centre, pixels in (
        (camera.fx, camera.cx, camera.width),
        (camera.fy, camera.cy, camera.height),
    ):
        sides = ((centre + 0.5) / focal, (pixels - 0.5 - centre) / focal)
        if camera.model == "pinhole":
            sides = (math.atan(sides[0]), math.atan(sides[1]))
        angles.append(math.degrees(sum(sides)))
    return angles[0], angles[1]


def _difference(left: Camera, right: Camera) -> list[str]:
    # Two resolutions of one sensor differ in focal length as they do in size.
    ratio = right.fx / right.width / (left.fx / left.width)
    if 1 / (1 + _UNEQUAL) < ratio < 1 + _UNEQUAL or left.model != right.model:
        return []
    return [
        f"the two focal lengths differ: fx {left.fx:.1f} left, {right.fx:.1f} right; likely one "
        "of them belongs to another image size or zoom"
    ]
