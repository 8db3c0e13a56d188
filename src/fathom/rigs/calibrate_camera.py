"""One camera from views of a board: intrinsics, and where the board stood in each view.

Pinhole cameras start from Zhang's closed form (PAMI 2000), as cv2.calibrateCamera has it. Fisheye
cameras start from the focal length, of a range of them, under which an equidistant lens without
further terms explains the views best: OpenCV's own start is known to fail on wide lenses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array, Float64
from fathom.core.camera import Camera, CameraModel
from fathom.core.errors import InputError
from fathom.geometry.project import project, rays
from fathom.rigs.board_circles import centroid_shift
from fathom.rigs.board_detect import BoardPoints
from fathom.rigs.boards import Board
from fathom.rigs.bundle import Bundle, BundleOptions, Observations, bundle_adjust
from fathom.rigs.triangulate import PosedCamera

CIRCLE_ROUNDS = 3
"""How often the centroids of circles are set right and the fit is made again."""
_FOCALS = np.geomspace(0.15, 1.6, 14)
"""Focal lengths of fisheye cameras to begin with, in image widths (a half circle is 1 / pi)."""


@dataclass(frozen=True, eq=False)
class CalibratedCamera:
    """A camera, and per view the pose of the board and its error.

    rotations (v, 3, 3), translations (v, 3): board to camera, metres. errors: (v,) RMS of the
    distance between projected and seen points, pixels, what circles shift included.
    """

    camera: Camera
    rotations: Float64[np.ndarray, "v 3 3"]
    translations: Float64[np.ndarray, "v 3"]
    errors: Float64[np.ndarray, " v"]


def calibrate_camera(
    boards: Sequence[Float64[np.ndarray, "_ 3"]],
    pixels: Sequence[Float64[np.ndarray, "_ 2"]],
    size: tuple[int, int],
    model: CameraModel = "pinhole",
    terms: int = 5,
) -> CalibratedCamera:
    """The camera that explains all views best (least squares of the distances in pixels).

    boards: per view the seen points in the board's frame, metres. pixels: where they were seen.
    size: (width, height) of the images. terms: distortion terms of a pinhole camera, 4, 5 or 8; a
    fisheye one has 4.

    Raises `InputError` if the views do not determine a camera.
    """
    if model == "fisheye":
        return _fisheye(boards, pixels, size)
    return _pinhole(boards, pixels, size, terms)


def calibrate_on(
    board: Board,
    seen: Sequence[BoardPoints],
    size: tuple[int, int],
    model: CameraModel = "pinhole",
    terms: int = 5,
) -> CalibratedCamera:
    """`calibrate_camera` on views of one board; of circles the centroids seen are set right.

    The shift of a centroid (`centroid_shift`) needs the camera, and the camera the shift, so they
    take turns, three times: each makes what is left of the bias some fifty times smaller.
    """
    objects = [board.points[points.ids] for points in seen]
    found = calibrate_camera(objects, [points.pixels for points in seen], size, model, terms)
    for _ in range(CIRCLE_ROUNDS if board.radius else 0):
        pixels = [
            points.pixels - centroid_shift(found.camera, board, points.ids, turn, shift)
            for points, turn, shift in zip(seen, found.rotations, found.translations, strict=True)
        ]
        if model == "fisheye":
            found = _adjusted(found, objects, pixels, ("focal", "center", "distortion"))
        else:
            found = calibrate_camera(objects, pixels, size, model, terms)
    return found


def board_pose(
    camera: Camera, board: Float64[np.ndarray, "n 3"], pixels: Float64[np.ndarray, "n 2"]
) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]] | None:
    """Board to camera (rotation, translation in metres); None if it cannot be found."""
    import cv2

    looks = rays(pixels, camera)
    known = np.isfinite(looks).all(axis=1)
    if known.sum() < 4:
        return None
    seen, flat = np.ascontiguousarray(board[known]), looks[known, :2].copy()
    try:
        good, vector, shift = cv2.solvePnP(seen, flat, np.eye(3), None)
    except cv2.error:
        return None
    if not (good and np.isfinite(shift).all() and shift[2, 0] > 0):
        return None
    return np.asarray(cv2.Rodrigues(vector)[0]), np.asarray(shift, np.float64).ravel()


def _pinhole(
    boards: Sequence[Array], pixels: Sequence[Array], size: tuple[int, int], terms: int
) -> CalibratedCamera:
    import cv2

    flags = {4: cv2.CALIB_FIX_K3, 5: 0, 8: cv2.CALIB_RATIONAL_MODEL}[terms]
    objects = [board.astype(np.float32)[:, None] for board in boards]
    images = [seen.astype(np.float32)[:, None] for seen in pixels]
    try:
        _, matrix, found, turns, shifts, *_ = cv2.calibrateCamera(
            objects, images, size, None, None, flags=flags
        )
    except cv2.error as error:
        raise _undetermined() from error
    kept = tuple(float(v) for v in np.asarray(found).ravel()[:terms])
    fx, fy, cx, cy = (float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not np.isfinite([fx, fy, cx, cy, *kept]).all() or min(fx, fy) <= 0:
        raise _undetermined()
    camera = Camera(size[0], size[1], fx, fy, cx, cy, "pinhole", kept)
    rotations = np.stack([np.asarray(cv2.Rodrigues(turn)[0]) for turn in turns])
    translations = np.stack([np.asarray(shift, np.float64).ravel() for shift in shifts])
    return _with_errors(camera, rotations, translations, boards, pixels)


def _fisheye(
    boards: Sequence[Array], pixels: Sequence[Array], size: tuple[int, int]
) -> CalibratedCamera:
    width, height = size
    best, lowest = None, np.inf
    for focal in _FOCALS * width:
        camera = Camera(
            *size, focal, focal, (width - 1) / 2, (height - 1) / 2, "fisheye", (0.0,) * 4
        )
        poses = [board_pose(camera, b, p) for b, p in zip(boards, pixels, strict=True)]
        if any(pose is None for pose in poses):
            continue
        known = [pose for pose in poses if pose is not None]
        turns = np.stack([pose[0] for pose in known])
        shifts = np.stack([pose[1] for pose in known])
        started = _with_errors(camera, turns, shifts, boards, pixels)
        error = float(np.median(started.errors))
        if np.isfinite(error) and error < lowest:
            best, lowest = started, error
    if best is None:
        raise _undetermined()
    # One kind of unknown after the other: all at once from a rough start may leave the valley.
    for refine in (("focal",), ("focal", "k1"), ("focal", "center", "distortion")):
        best = _adjusted(best, boards, pixels, refine)
    return best


def _adjusted(
    start: CalibratedCamera,
    boards: Sequence[Array],
    pixels: Sequence[Array],
    refine: tuple[str, ...],
) -> CalibratedCamera:
    counts = [len(board) for board in boards]
    total = sum(counts)
    view = np.repeat(np.arange(len(boards)), counts)
    seen = Observations(
        view, np.zeros(total, dtype=np.int64), np.arange(total), np.concatenate(list(pixels))
    )
    mount = PosedCamera(start.camera, np.eye(3), np.zeros(3))
    bundle = Bundle((mount,), start.rotations, start.translations, np.concatenate(list(boards)))
    options = BundleOptions(refine=refine, poses=True, points=False)
    done = bundle_adjust(bundle, seen, options).bundle
    camera = done.cameras[0].camera
    return _with_errors(camera, done.rotations, done.translations, boards, pixels)


def _with_errors(
    camera: Camera,
    rotations: Array,
    translations: Array,
    boards: Sequence[Array],
    pixels: Sequence[Array],
) -> CalibratedCamera:
    errors = []
    for turn, shift, board, seen in zip(rotations, translations, boards, pixels, strict=True):
        gaps = project(board @ turn.T + shift, camera) - seen
        errors.append(float(np.sqrt(np.mean(np.sum(gaps**2, axis=1)))))
    return CalibratedCamera(camera, rotations, translations, np.array(errors))


def _undetermined() -> InputError:
    return InputError(
        "the views do not determine a camera",
        field="views",
        expected="the board at several slants (20 to 45 degrees) and places",
        remedy="shoot more, with the board tilted about both axes; check --columns and --rows",
    )
