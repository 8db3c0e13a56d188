"""COLMAP's text model: lenses in cameras.txt, poses in rigs.txt or images.txt beside it.

https://colmap.github.io/format.html and cameras.html : poses take points of the world (or of the
rig) to the camera, quaternions w x y z. Its pixel centres lie at (0.5, 0.5), so its principal point
is ours plus half a pixel. A reconstruction has no unit: its lengths are taken as metres.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, CameraModel, StereoCalibration
from fathom.core.errors import InputError
from fathom.io.calibration.own import Calibration
from fathom.io.calibration.pose import (
    average,
    from_quaternion,
    metric,
    rectified_or_raw,
    to_quaternion,
)
from fathom.io.calibration.text import Unit, camera_of, number, terms_of, whole, wrong_size

HALF = 0.5
"""Pixels from our origin, the centre of the top-left pixel, to COLMAP's, its corner."""

_MODELS: dict[str, tuple[int, int, CameraModel]] = {  # focal lengths, terms, model
    "SIMPLE_PINHOLE": (1, 0, "pinhole"),
    "PINHOLE": (2, 0, "pinhole"),
    "SIMPLE_RADIAL": (1, 1, "pinhole"),
    "RADIAL": (1, 2, "pinhole"),
    "OPENCV": (2, 4, "pinhole"),
    "FULL_OPENCV": (2, 8, "pinhole"),
    "OPENCV_FISHEYE": (2, 4, "fisheye"),
    "SIMPLE_RADIAL_FISHEYE": (1, 1, "fisheye"),
    "RADIAL_FISHEYE": (1, 2, "fisheye"),
}
_SIDE = re.compile(r"left|right|im(?:age)?_?0?[0-3]|cam_?0?[0-3]|(?<![a-z])[lr](?![a-z])", re.I)
_ID = re.compile(r"[0-9]{1,9}")
_SPREAD = 0.02  # of the baseline, and radians: more, and the two images are not of one rig

Image = tuple[int, str, Array, Array]
"""(camera, name, rotation and translation from the world to it)."""


def is_colmap(text: str) -> bool:
    """True if a line is `CAMERA_ID MODEL WIDTH HEIGHT PARAMS`."""
    return re.search(r"(?m)^\s*\d+\s+[A-Z][A-Z_]{2,40}\s+\d+\s+\d+\s+[-+.\deE]", text) is not None


def has_images(text: str) -> bool:
    """True if the text is an images.txt: a line ends in an image's name."""
    return bool(_images(text))


def parse_colmap(
    text: str,
    poses: Mapping[str, str],
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    cameras: tuple[int, int] | None = None,
) -> Calibration:
    """The pair of cameras.txt. poses: the texts of `rigs.txt` and `images.txt`, those there are.

    rigs.txt states the pose; from images.txt it is the mean over the images that belong together
    by name. cameras: the ids (left, right); without it the two there are, and left is the one that
    sees the other to its right. unit: of the model's lengths, default metres.

    Raises `InputError` (without the file's name) for missing or wrong values, another image size,
    a camera model without a counterpart here, or no pose.
    """
    table = _cameras(text)
    found = _from_rigs(poses.get("rigs.txt", ""), cameras)
    found = found or _from_images(poses.get("images.txt", ""), cameras)
    if found is None:
        raise InputError(
            "holds the lenses but not where the two cameras stand",
            field="pose",
            expected="rigs.txt or images.txt beside it, with both cameras",
            remedy="export the model as text, and name the cameras if it has more than two",
        )
    (left, right), rotation, place = found
    if cameras is None and place[0] > 0:
        left, right, rotation, place = right, left, rotation.T, -rotation.T @ place
    models = [_model(table, i) for i in (left, right)]
    if image_size is not None and models[0].size != image_size:
        raise wrong_size(models[0].size, image_size)
    return rectified_or_raw(metric(models[0], models[1], rotation, place, unit, "baseline"))


def _rows(text: str) -> list[list[str]]:
    lines = (line.strip() for line in text.splitlines())
    return [line.split() for line in lines if line and not line.startswith("#")]


def _cameras(text: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in _rows(text) if len(row) >= 4}


def _model(table: Mapping[str, list[str]], index: int) -> Camera:
    name = f"camera {index}"
    row = table.get(str(index))
    if row is None:
        raise InputError("is missing", field=name, expected=f"one of {', '.join(table) or 'none'}")
    if row[0] not in _MODELS:
        raise InputError(
            "is a camera model without a counterpart here",
            field=f"{name} model",
            value=row[0],
            expected=", ".join(_MODELS),
            remedy="undistort the images with COLMAP first",
        )
    focals, many, model = _MODELS[row[0]]
    if len(row) != 3 + focals + 2 + many:
        raise InputError(
            f"has {len(row) - 3} parameters",
            field=name,
            expected=f"{focals + 2 + many} for {row[0]}",
        )
    size = whole(row[1], f"{name} width"), whole(row[2], f"{name} height")
    values = [number(word, name) for word in row[3:]]
    fx, fy = values[0], values[focals - 1]
    cx, cy = (v - HALF for v in values[focals : focals + 2])
    terms = values[focals + 2 :]
    if terms:
        terms += [0.0] * (max(4, many) - many)
    matrix = (fx, 0, cx, 0, fy, cy, 0, 0, 1)
    return camera_of(matrix, size, name, distortion=tuple(terms), model=model)


def _pose(words: list[str], name: str) -> tuple[Array, Array]:
    values = [number(word, name) for word in words]
    if not np.isfinite(values).all() or not any(values[:4]):
        raise InputError(
            "is no pose", field=name, value=" ".join(words), expected="qw qx qy qz x y z"
        )
    with np.errstate(all="ignore"):
        return from_quaternion(*values[:4]), np.array(values[4:7])


Found = tuple[tuple[int, int], Array, Array]
"""(left, right), rotation and translation from the left camera to the right one."""


def _from_rigs(text: str, cameras: tuple[int, int] | None) -> Found | None:
    """The first rig that has both cameras: RIG_ID N TYPE ID [TYPE ID HAS_POSE qw .. tz] ..."""
    for row in _rows(text):
        if len(row) < 4 or not _ID.fullmatch(row[3]):
            continue
        poses: dict[int, tuple[Array, Array]] = {int(row[3]): (np.eye(3), np.zeros(3))}
        rest = row[4:]
        while len(rest) >= 3 and _ID.fullmatch(rest[1]):
            sensor, there = rest[:2], rest[2] == "1"
            words, rest = (rest[3:10], rest[10:]) if there else ([], rest[3:])
            if there and len(words) == 7 and sensor[0] in ("CAMERA", "0"):
                poses[int(sensor[1])] = _pose(words, "rigs.txt")
        pair = cameras or (tuple(poses) if len(poses) == 2 else None)
        if pair is not None and all(i in poses for i in pair):
            (r0, t0), (r1, t1) = poses[pair[0]], poses[pair[1]]
            rotation = r1 @ r0.T
            return (pair[0], pair[1]), rotation, t1 - rotation @ t0
    return None


def _images(text: str) -> list[Image]:
    """IMAGE_ID qw qx qy qz tx ty tz CAMERA_ID NAME; a line of points follows each."""
    images: list[Image] = []
    for line in text.splitlines():
        row = line.split(maxsplit=9)
        # A line of points has numbers where an image has its name.
        if len(row) < 10 or not (_ID.fullmatch(row[0]) and _ID.fullmatch(row[8])):
            continue
        if re.fullmatch(r"[-+.\deE\s]+", row[9]):
            continue
        images.append((int(row[8]), row[9].strip(), *_pose(row[1:8], "images.txt")))
    return images


def _from_images(text: str, cameras: tuple[int, int] | None) -> Found | None:
    images = _images(text)
    ids = sorted({image[0] for image in images})
    if cameras is None and len(ids) == 1 and len(images) == 2:
        pairs, ids = [(images[0], images[1])], [ids[0], ids[0]]
    elif cameras is None and len(ids) != 2:
        return None
    else:
        ids = list(cameras or ids)
        lefts, rights = ([i for i in images if i[0] == camera] for camera in ids)
        pairs = _partners(lefts, rights)
    if not pairs:
        return None
    rotations = [right[2] @ left[2].T for left, right in pairs]
    places = [r[3] - turn @ le[3] for (le, r), turn in zip(pairs, rotations, strict=True)]
    rotation, place = rotations[0], places[0]
    if len(pairs) > 1:
        rotation, place = average(rotations), np.mean(places, axis=0)
        length = float(np.linalg.norm(place))
        off = max(float(np.linalg.norm(p - place)) for p in places)
        turned = max(float(np.abs(r - rotation).max()) for r in rotations)
        if not (off <= _SPREAD * length and turned <= _SPREAD):
            raise InputError(
                f"the {len(pairs)} pairs of images do not agree on one pose of the two cameras",
                field="images.txt",
                value=f"off by up to {off:.3g} of a baseline of {length:.3g}",
                expected=f"at most {_SPREAD:.0%}",
                remedy="reconstruct with a fixed rig, and give rigs.txt",
            )
    return (ids[0], ids[1]), rotation, place


def _partners(lefts: list[Image], rights: list[Image]) -> list[tuple[Image, Image]]:
    if len(lefts) == len(rights) == 1:
        return [(lefts[0], rights[0])]

    def key(image: Image) -> str:
        return _SIDE.sub("*", PurePosixPath(image[1]).name)

    by_key = {key(image): image for image in rights}
    return [(image, by_key[key(image)]) for image in lefts if key(image) in by_key]


def colmap_texts(calibration: Calibration) -> tuple[str, str]:
    """cameras.txt and images.txt (left.png at the origin, right.png).

    FULL_OPENCV has eight terms of distortion; the rest is left out.
    """
    rotation, place = np.eye(3), np.zeros(3)
    if isinstance(calibration, StereoCalibration):
        rotation, place = calibration.rotation, calibration.translation
    else:
        place[0] = -calibration.baseline
    cameras = ["#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"]
    for i, camera in enumerate((calibration.left, calibration.right), 1):
        name, many = "PINHOLE", 0
        if camera.model == "fisheye":
            name, many = "OPENCV_FISHEYE", 4
        elif not camera.is_ideal():
            name, many = ("OPENCV", 4) if len(camera.distortion) == 4 else ("FULL_OPENCV", 8)
        values = [camera.fx, camera.fy, camera.cx + HALF, camera.cy + HALF, *terms_of(camera, many)]
        words = " ".join(repr(float(v)) for v in values)
        cameras.append(f"{i} {name} {camera.width} {camera.height} {words}")
    images = ["#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "#   POINTS2D[]"]
    poses = ((np.eye(3), np.zeros(3)), (rotation, place))
    for i, (side, (turn, shift)) in enumerate(zip(("left", "right"), poses, strict=True), 1):
        words = " ".join(repr(float(v)) for v in (*to_quaternion(turn), *shift))
        images += [f"{i} {words} {i} {side}.png", ""]
    return "\n".join(cameras) + "\n", "\n".join(images) + "\n"
