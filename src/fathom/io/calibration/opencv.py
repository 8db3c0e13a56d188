"""OpenCV's calibrations: a raw rig (M1 D1 M2 D2 R T), in one file or split in two, or a
rectified one (Q, or P1 and P2).

https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html : X_right = R X_left + T; Q holds f, cx, cy
and -1/Tx, where Tx is the right camera's P2[0, 3] / f, negative.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fathom.core.arrays import Array
from fathom.core.camera import Camera, CameraModel, StereoCalibration, StereoRig
from fathom.core.errors import InputError, UsageError
from fathom.io.calibration.storage import Storage, is_storage, read_storage, storage_text
from fathom.io.calibration.text import (
    Unit,
    agreed_size,
    camera_of,
    length_in_metres,
    one_model,
    plus_to,
    read_text,
    whole,
)
from fathom.io.files import PathLike, in_file

Known = Mapping[str, tuple[str, Array | str]]
"""Our name -> (the file's name, value)."""

_PINHOLE_TERMS = (4, 5, 8, 12, 14)
_MATRIX = ("m", "k", "cameramatrix", "cammatrix", "mtx", "intrinsic", "intrinsics")
_TERMS = ("d", "distcoeffs", "distcoeff", "distortion", "distortioncoefficients", "dist")
_SIDES = {"1": ("1", "l", "left"), "2": ("2", "r", "right")}
_SUFFIXES = (".yml", ".yaml", ".xml", ".json")


def parse_opencv(
    text: str,
    path: PathLike,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
    rectified: bool = False,
    more: str | None = None,
) -> StereoRig | StereoCalibration:
    """The raw calibration of M1 D1 M2 D2 R T (other usual names are known), or the rectified rig
    of P1 and P2 or of Q where the file holds nothing raw, or `rectified` says that the images are
    those that it describes.

    Where the file is one half of intrinsics.yml and extrinsics.yml, the other is looked for beside
    it, unless its text is given as `more`. Lengths are metres unless `unit` says otherwise. Four
    terms of distortion are k1 k2 p1 p2 unless a key of the file says fisheye.

    Raises `InputError` (naming `path` or the other half) for missing or wrong entries.
    """
    with in_file(path):
        known = _known(read_storage(text))
        if more is not None:
            known = {**_known(read_storage(more)), **known}
    cameras, pose = "M1" in known, "R" in known and "T" in known
    projected = "Q" in known or "P1" in known
    # extrinsics.yml holds a Q too, but one for images that are still to be rectified.
    if pose and not cameras:
        known = {**_other_half(path, "M1"), **known}
    elif cameras and not pose and not projected:
        known = {**_other_half(path, "R"), **known}
    with in_file(path):
        raw = "M1" in known and "R" in known and "T" in known
        both = "P1" in known and "P2" in known
        if not (raw or both or "Q" in known):
            found = ", ".join(sorted(name for name, _ in known.values())) or "no known entry"
            raise InputError(
                "holds no stereo rig",
                field="entries",
                value=found,
                expected="M1 D1 M2 D2 R T (raw), or Q (rectified)",
            )
        size = agreed_size(_stated_size(known), image_size)
        if raw and not (rectified and projected):
            return _raw(known, size, unit)
        if both:
            return _from_projections(known, size, unit)
        return _from_q(_sized(known, "Q", (4, 4)), size, unit)


def _names() -> dict[str, str]:
    names = {"r": "R", "rotation": "R", "rotationmatrix": "R", "t": "T", "translation": "T"}
    names |= {"translationvector": "T", "q": "Q", "disptodepth": "Q", "p1": "P1", "p2": "P2"}
    names |= {"imagesize": "size", "size": "size", "resolution": "size"}
    names |= {"imagewidth": "width", "width": "width", "imageheight": "height", "height": "height"}
    for ours, stems in (("M", _MATRIX), ("D", _TERMS)):
        for number, sides in _SIDES.items():
            names |= {stem + side: ours + number for stem in stems for side in sides}
            names |= {sides[2] + stem: ours + number for stem in stems}
    return names


def _known(storage: Storage) -> Known:
    names = _names()
    known: dict[str, tuple[str, Array | str]] = {}
    for key, value in storage.items():
        plain = re.sub(r"[\W_]", "", key.lower())
        ours = names.get(plain)
        if ours in ("M1", "M2") and isinstance(value, str):
            continue  # a single k1 is a term of distortion
        if ours is not None and ours not in known:
            known[ours] = key, value
        if "fisheye" in plain or "model" in plain:
            known["fisheye"] = key, "yes" if _says_fisheye(plain, value) else ""
    return known


def _says_fisheye(plain: str, value: Array | str) -> bool:
    if isinstance(value, str):
        text = value.strip().lower()
        if "fisheye" in plain:
            return text not in ("", "0", "0.0", "0.", "false", "no")
        return text in ("fisheye", "equidistant", "kannalabrandt", "kannala-brandt")
    return False


def _other_half(path: PathLike, needed: str) -> Known:
    """The entries of the file that belongs to this one: intrinsics to extrinsics, or back."""
    here = Path(path)
    words = ("extrinsic", "intrinsic") if needed == "M1" else ("intrinsic", "extrinsic")
    name = here.stem.lower().replace(*words)
    for suffix in (here.suffix, *_SUFFIXES):
        other = here.with_name(name + suffix)
        if name != here.stem.lower() and other.is_file():
            text = read_text(other)
            with in_file(other):
                known = _known(read_storage(text)) if is_storage(text) else {}
                if needed not in known:
                    raise InputError("is missing", field=needed, expected=f"it beside {here.name}")
                return known
    has, lacks = ("R and T", "M1 D1 M2 D2") if needed == "M1" else ("the cameras", "R and T")
    raise InputError(
        f"holds {has} but not {lacks}",
        file=path,
        field=needed,
        expected=f"{name}{here.suffix} beside it" if name != here.stem.lower() else lacks,
        remedy="put both into one file, or name them intrinsics.yml and extrinsics.yml",
    )


def _stated_size(known: Known) -> tuple[int, int] | None:
    if "size" in known:
        key, value = known["size"]
        if isinstance(value, np.ndarray) and value.size == 2:
            width, height = (whole(repr(float(v)), key) for v in value.ravel())
            return width, height
    if "width" in known and "height" in known:
        width, height = (whole(str(known[n][1]), known[n][0]) for n in ("width", "height"))
        return width, height
    return None


def _sized(known: Known, name: str, shape: tuple[int, ...]) -> Array:
    """The entry as an array of `shape`, whatever its own arrangement."""
    if name not in known:
        raise InputError("is missing", field=name, expected=f"a matrix of {shape}")
    key, value = known[name]
    if not isinstance(value, np.ndarray) or value.size != math.prod(shape):
        raise InputError(
            "has a wrong shape",
            field=key,
            value=value.shape if isinstance(value, np.ndarray) else value,
            expected=str(shape),
        )
    return value.reshape(shape)


def _camera(known: Known, side: str, size: tuple[int, int]) -> Camera:
    model: CameraModel = "fisheye" if known.get("fisheye", ("", ""))[1] == "yes" else "pinhole"
    matrix = _sized(known, f"M{side}", (3, 3))
    name, value = known.get(f"D{side}", (f"D{side}", np.zeros(0)))
    allowed = (4,) if model == "fisheye" else _PINHOLE_TERMS
    if not isinstance(value, np.ndarray) or value.size not in (0, *allowed):
        raise InputError(
            f"has {value.size if isinstance(value, np.ndarray) else 'no'} numbers",
            field=name,
            expected=f"{' or '.join(map(str, allowed))} terms for the {model} model",
        )
    terms = tuple(float(v) for v in value.ravel())
    if not all(map(math.isfinite, terms)):
        raise InputError("is not finite", field=name, value=terms, expected="finite numbers")
    label = known[f"M{side}"][0]
    return camera_of(matrix.ravel().tolist(), size, label, distortion=terms, model=model)


def _raw(known: Known, size: tuple[int, int], unit: Unit | None) -> StereoCalibration:
    left, right = _camera(known, "1", size), _camera(known, "2", size)
    rotation, translation = _sized(known, "R", (3, 3)), _sized(known, "T", (3,))
    with np.errstate(all="ignore"):
        length = float(np.linalg.norm(translation))
        metres = length_in_metres(length, unit, known["T"][0])
        scaled = translation * (metres / length) if length > 0 else translation
        return StereoCalibration(left, right, rotation, scaled)


def _from_q(q: Array, size: tuple[int, int], unit: Unit | None) -> StereoRig:
    focal, inverse = float(q[2, 3]), float(q[3, 2])
    plain = np.zeros((4, 4))
    plain[0, 0] = plain[1, 1] = 1
    plain[:2, 3], plain[2, 3], plain[3, 2:] = q[:2, 3], focal, q[3, 2:]
    if not (np.isfinite(q).all() and np.allclose(q, plain, atol=1e-9) and focal > 0):
        raise InputError(
            "is no reprojection matrix of a rectified pair",
            field="Q",
            value=q.tolist(),
            expected="1 0 0 -cx, 0 1 0 -cy, 0 0 0 f, 0 0 1/baseline doffs/baseline",
        )
    if not inverse > 0:
        raise InputError(
            "gives a baseline that is not positive",
            field="Q[3,2]",
            value=inverse,
            expected="-1/Tx > 0, the right camera standing to the right (Tx < 0)",
        )
    left = camera_of([focal, 0, -q[0, 3], 0, focal, -q[1, 3], 0, 0, 1], size, "Q")
    # Z = f / (Q32 d + Q33) = f b / (d + doffs), so doffs = Q33 / Q32.
    cx_right = left.cx + float(q[3, 3]) / inverse
    right = Camera(*size, focal, focal, cx_right, left.cy)
    return StereoRig(left, right, length_in_metres(1 / inverse, unit, "Q"))


def _from_projections(known: Known, size: tuple[int, int], unit: Unit | None) -> StereoRig:
    p1, p2 = _sized(known, "P1", (3, 4)), _sized(known, "P2", (3, 4))
    left = camera_of(p1[:, :3].ravel().tolist(), size, "P1")
    right = camera_of(p2[:, :3].ravel().tolist(), size, "P2")
    if abs(p2[1, 3]) > abs(p2[0, 3]):
        raise InputError(
            "stands below the left camera",
            field="P2",
            value=p2[:, 3].tolist(),
            expected="a right camera at +x",
            remedy="turn both images by a quarter",
        )
    baseline = float(p1[0, 3] - p2[0, 3]) / left.fx
    if not baseline > 0:
        raise InputError(
            "gives a baseline that is not positive",
            field="P2[0,3]",
            value=float(p2[0, 3]),
            expected="-fx times the baseline",
        )
    return StereoRig(left, right, length_in_metres(baseline, unit, "P2"))


def opencv_halves(calibration: StereoRig | StereoCalibration, xml: bool = False) -> tuple[str, str]:
    """`opencv_text` of a raw pair in two files: intrinsics (M1 D1 M2 D2) and extrinsics (R T).

    Raises `UsageError` for a rectified rig, which has no halves, and as `opencv_text` does.
    """
    if isinstance(calibration, StereoRig):
        raise UsageError(
            "two files hold raw cameras, and this calibration is rectified",
            field="format",
            remedy="write one file, calib.yml",
        )
    entries = _raw_entries(calibration)
    pose = {name: entries.pop(name) for name in ("R", "T")}
    return storage_text(entries, xml), storage_text(pose, xml)


def _raw_entries(calibration: StereoCalibration) -> dict[str, Array | int]:
    """The entries of a raw pair by name."""
    left, right = calibration.left, calibration.right
    entries: dict[str, Array | int] = {"image_width": left.width, "image_height": left.height}
    if one_model(calibration, "OpenCV") == "fisheye":
        entries["fisheye"] = 1
    for side, camera in (("1", left), ("2", right)):
        terms = camera.distortion or (0.0,) * (4 if camera.model == "fisheye" else 5)
        entries[f"M{side}"] = camera.matrix
        entries[f"D{side}"] = np.array([terms])
    entries["R"] = np.array(calibration.rotation)
    entries["T"] = np.array(calibration.translation).reshape(3, 1)
    return entries


def opencv_text(calibration: StereoRig | StereoCalibration, xml: bool = False) -> str:
    """FileStorage YAML (or XML): M1 D1 M2 D2 R T of a raw pair, P1 P2 Q of a rectified one.

    Raises `UsageError` if one camera is a fisheye and the other is not: the file has one model.
    """
    if isinstance(calibration, StereoCalibration):
        return storage_text(_raw_entries(calibration), xml)
    left, right = calibration.left, calibration.right
    entries: dict[str, Array | int] = {"image_width": left.width, "image_height": left.height}
    p1, p2 = (np.hstack([camera.matrix, np.zeros((3, 1))]) for camera in (left, right))
    p2[0, 3] = -plus_to(0, left.fx, calibration.baseline)
    q = np.eye(4)
    q[:2, 3], q[2] = (-left.cx, -left.cy), (0, 0, 0, left.fx)
    q[3] = 0, 0, 1 / calibration.baseline, calibration.doffs / calibration.baseline
    return storage_text({**entries, "P1": p1, "P2": p2, "Q": q}, xml)
