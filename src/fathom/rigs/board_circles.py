"""Finding grids of circles, and where the centre of a circle truly shows.

OpenCV's finder of circle grids expects straight rows. Here blobs are found once in the image; then
their centres, flattened under a few rough lens models, are read as a lattice, and a reading counts
only if one homography takes it to the board.

The centre of a circle's image is not the image of its centre: perspective and distortion shift it
(J. Heikkila and O. Silven, "A four-step camera calibration procedure with implicit image
correction", CVPR 1997; J. Mallon and P. Whelan, "Which pattern? Biasing aspects of planar
calibration patterns and detection methods", Pattern Recognition Letters 28, 2007).
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from fathom.core.arrays import Array, Float64, Num, UInt8
from fathom.core.camera import Camera
from fathom.geometry.project import project_with_derivatives
from fathom.rigs.boards import Board

_FOCALS = (0.32, 0.42, 0.25, 0.6)
"""Focal lengths, in image widths, of the equidistant lenses tried for a grid with bent rows."""
_WIDEST = np.cos(np.radians(78))  # from the middle of the blobs; beyond, a plane shows nothing
_STRAIGHT, _READABLE = 0.12, 0.4  # largest error of a reading, in steps: take it; refuse it
_AROUND = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y)
_RIM = 24
"""Points along a circle's rim; the integral over a smooth closed curve converges exponentially."""


def find_circles(
    image: UInt8[np.ndarray, "h w"], board: Board, *, thorough: bool = True
) -> Float64[np.ndarray, "n 2"] | None:
    """Centroids of a grid's circles in the order of `Board.points`, pixels; None if not seen whole.

    thorough=False reads the blobs only as they are, without undoing a lens.
    """
    count = len(board.points)
    best, least = None, _READABLE
    for lenient in (False, True) if thorough else (False,):
        centres = _blobs(image, lenient)
        if not count <= len(centres) <= 20 * count:
            continue
        for known, flat in _flattened(centres, image.shape, thorough):
            order = _read(flat, board)
            if order is None:
                continue
            error = _misfit(flat[order], board)
            if error < least:
                best, least = centres[known][order], error
            if least < _STRAIGHT:
                return best
        if best is not None:
            break
    return best


def centroid_shift(
    camera: Camera,
    board: Board,
    ids: Num[np.ndarray, " n"],
    rotation: Float64[np.ndarray, "3 3"],
    translation: Float64[np.ndarray, "3"],
) -> Float64[np.ndarray, "n 2"]:
    """How far the centroid of each circle's image lies from the image of its centre, pixels.

    ids: of `board.points`. rotation, translation: board to camera, metres. The centroid is that of
    the area within the rim as the whole lens model shows it, by Green's theorem: with the area
    A = 1/2 (contour integral of x dy - y dx), x0 = 1/(2 A) (that of x^2 dy) and
    y0 = -1/(2 A) (that of y^2 dx). Zero for circles that are not wholly in front of the camera.
    """
    angle = 2 * np.pi * np.arange(_RIM) / _RIM
    zero = np.zeros(_RIM)
    out_of = np.stack([np.cos(angle), np.sin(angle), zero], axis=1) * board.radius
    along = np.stack([-np.sin(angle), np.cos(angle), zero], axis=1) * board.radius
    middles = board.points[np.asarray(ids)]
    rims = (middles[:, None] + out_of).reshape(-1, 3) @ rotation.T + translation
    shown = project_with_derivatives(rims, camera)
    slopes = shown.by_point.reshape(-1, _RIM, 2, 3) @ (along @ rotation.T)[None, :, :, None]
    centre = project_with_derivatives(middles @ rotation.T + translation, camera).pixels
    # Seen from the projected centre, so that no digits are lost in the squares.
    x, y = np.moveaxis(shown.pixels.reshape(-1, _RIM, 2) - centre[:, None], 2, 0)
    dx, dy = np.moveaxis(slopes[..., 0], 2, 0)
    area = 0.5 * (x * dy - y * dx).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.stack([(x * x * dy).sum(axis=1), -(y * y * dx).sum(axis=1)], axis=1)
        shift /= 2 * area[:, None]
    out: Float64[np.ndarray, "n 2"] = np.where(np.isfinite(shift).all(axis=1)[:, None], shift, 0.0)
    return out


def _blobs(image: Array, lenient: bool) -> Array:
    """Centres (n, 2) of dark blobs; lenient: also of thin ones, as circles near a wide lens' rim
    show."""
    import cv2

    parameters = cv2.SimpleBlobDetector.Params()
    parameters.minArea = 5 if lenient else 12
    parameters.maxArea = image.size / 12  # OpenCV's 5000 loses the circles of large images
    parameters.minDistBetweenBlobs = 4
    parameters.minRepeatability = 2
    parameters.filterByInertia = not lenient
    parameters.minConvexity = 0.8 if lenient else 0.95
    found = cv2.SimpleBlobDetector.create(parameters).detect(image)
    return np.array([blob.pt for blob in found], dtype=np.float64).reshape(-1, 2)


def _flattened(
    centres: Array, shape: tuple[int, ...], thorough: bool
) -> Iterator[tuple[Array, Array]]:
    """The blobs as they are, then as a pinhole camera turned to their middle would see them if the
    lens were an equidistant one: which blobs, and where."""
    yield np.arange(len(centres)), centres
    height, width = shape[:2]
    flat = centres - ((width - 1) / 2, (height - 1) / 2)
    radius = np.linalg.norm(flat, axis=1)
    for focal in np.array(_FOCALS if thorough else ()) * width:
        theta = radius / focal
        side = flat * (np.sin(theta) / np.maximum(radius, 1e-9))[:, None]
        looks = np.concatenate([side, np.cos(theta)[:, None]], axis=1)
        ahead = np.median(looks, axis=0)
        ahead /= np.linalg.norm(ahead)
        across = np.cross((0.0, 1.0, 0.0), ahead)
        across /= max(float(np.linalg.norm(across)), 1e-9)
        turned = looks @ np.stack([across, np.cross(ahead, across), ahead], axis=1)
        known = np.flatnonzero((theta < np.pi) & (turned[:, 2] > _WIDEST))
        if len(known):
            yield known, turned[known, :2] / turned[known, 2:] * focal


def _read(flat: Array, board: Board) -> Array | None:
    """Which of the points are the board's, in its order; None if they form no such grid.

    The points get integer coordinates by growing a lattice from the middle; the board's own are
    then looked for among them under every change of the lattice's basis.
    """
    apart = np.linalg.norm(flat - np.median(flat, axis=0), axis=1)
    for start in np.argsort(apart)[:3]:
        cells = _lattice(flat, int(start))
        # A whole row more is another board, of which this one would be any part.
        if 0 <= len(cells) - len(board.points) < min(board.grid):
            order = _matched(cells, flat, board)
            if order is not None:
                return order
    return None


def _lattice(flat: Array, start: int) -> dict[tuple[int, int], int]:
    """Which point sits at which integer place, grown over neighbours from one of them."""
    gaps = flat - flat[start]
    lengths = np.linalg.norm(gaps, axis=1)
    near = np.argsort(lengths)[1:9]
    if len(near) < 2:
        return {}
    u = gaps[near[0]]
    # The two shortest independent steps are a basis of the whole lattice.
    sines = np.abs(u[0] * gaps[near, 1] - u[1] * gaps[near, 0]) / lengths[near] / lengths[near[0]]
    steep = near[sines > 0.35]
    if not len(steep):
        return {}
    cells = {(0, 0): start}
    for place, step in (((1, 0), u), ((0, 1), gaps[steep[0]])):
        cells[place] = int(np.linalg.norm(flat - flat[start] - step, axis=1).argmin())
    failed: dict[tuple[int, int], int] = {}
    while True:
        rim: dict[tuple[int, int], int] = {}
        for i, j in cells:
            for place in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if place not in cells:
                    rim[place] = sum((place[0] + x, place[1] + y) in cells for x, y in _AROUND)
        # The best supported place first; one that failed again only with more support.
        rim = {place: support for place, support in rim.items() if support > failed.get(place, 0)}
        if not rim:
            return cells
        place = max(rim, key=lambda p: (rim[p], -abs(p[0]) - abs(p[1])))
        at, step_length = _predicted(cells, flat, place)
        off = np.linalg.norm(flat - at, axis=1)
        off[list(cells.values())] = np.inf
        if off.min() < 0.4 * step_length:
            cells[place] = int(off.argmin())
        else:
            failed[place] = rim[place]


def _predicted(
    cells: dict[tuple[int, int], int], flat: Array, place: tuple[int, int]
) -> tuple[Array, float]:
    """Where a place of the lattice should lie by those around it, and the shortest step there."""
    import cv2

    known = [(abs(i - place[0]) + abs(j - place[1]), i, j) for i, j in cells]
    near = np.array([(i, j) for _, i, j in sorted(known)[:12]], dtype=np.float64)
    seen = flat[[cells[int(i), int(j)] for i, j in near]]
    local = near - place
    design = np.concatenate([local, np.ones((len(local), 1))], axis=1)
    weight = np.exp(-np.linalg.norm(local, axis=1))[:, None]
    affine = np.linalg.lstsq(design * weight, seen * weight, rcond=None)[0]
    steps = np.linalg.norm(affine[:2], axis=1)
    at = affine[2]
    if len(near) >= 8 and min(np.ptp(local, axis=0)) >= 2:
        homography, _ = cv2.findHomography(local, seen)
        if np.shape(homography) == (3, 3) and abs(homography[2, 2]) > 1e-9:
            at = homography[:2, 2] / homography[2, 2]
    return at, float(steps.min())


def _matched(cells: dict[tuple[int, int], int], flat: Array, board: Board) -> Array | None:
    """The points in the board's order, of the readings that are no mirror image the most upright
    among the straightest."""
    steps = np.rint(board.points[:, :2] / board.square).astype(np.int64)
    if board.kind == "asymmetric-circles":
        steps = np.stack([steps.sum(axis=1) // 2, (steps[:, 0] - steps[:, 1]) // 2], axis=1)
    places = np.array(list(cells))
    low, high = places.min(axis=0), places.max(axis=0)
    best, highest = None, (-np.inf, -np.inf)
    for a, b, c, d in product(range(-2, 3), repeat=4):
        if abs(a * d - b * c) != 1:
            continue
        turned = steps @ np.array([[a, b], [c, d]])
        room = (high - turned.max(axis=0)) - (low - turned.min(axis=0))
        if (room < 0).any():
            continue
        for x, y in product(range(int(room[0]) + 1), range(int(room[1]) + 1)):
            moved = turned - turned.min(axis=0) + low + (x, y)
            found = [cells.get((int(i), int(j)), -1) for i, j in moved]
            if min(found) < 0:
                continue
            order = np.array(found)
            centred = board.points[:, :2] - board.points[:, :2].mean(axis=0)
            linear = np.linalg.lstsq(centred, flat[order] - flat[order].mean(axis=0), rcond=None)[0]
            if np.linalg.det(linear) <= 0:
                continue
            rank = (-round(_misfit(flat[order], board), 2), float(np.trace(linear)))
            if rank > highest:
                best, highest = order, rank
    return best


def _misfit(flat: Array, board: Board) -> float:
    """The largest distance, in steps of the board, to where a homography has its points."""
    import cv2

    wanted = board.points[:, :2] / board.square
    homography, _ = cv2.findHomography(flat, wanted)
    if np.shape(homography) != (3, 3):
        return float("inf")
    made = cv2.perspectiveTransform(flat[:, None], homography)[:, 0]
    return float(np.linalg.norm(made - wanted, axis=1).max())
