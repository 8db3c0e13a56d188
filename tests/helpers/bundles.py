"""Simulated scenes and boards with known truth, for the tests of bundle adjustment."""

from dataclasses import replace

import cv2
import numpy as np

from fathom.core import Camera, StereoCalibration
from fathom.geometry.project import project
from fathom.rigs.bundle import Bundle, Observations
from fathom.rigs.triangulate import PosedCamera

LEFT = Camera(640, 480, 520, 525, 310, 250, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0))
RIGHT = Camera(640, 480, 530, 528, 330, 235, distortion=(-0.18, 0.04, -0.001, 0.002, 0.0))
RAW = StereoCalibration(
    LEFT, RIGHT, cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))[0], np.array([-0.12, 0.004, -0.003])
)
ROUGH = StereoCalibration(
    *(replace(c, fx=500, fy=500, cx=320, cy=240, distortion=(0,) * 5) for c in (LEFT, RIGHT)),
    np.eye(3),
    np.array([-0.1, 0, 0]),
)


def rotation(*vector):
    return cv2.Rodrigues(np.array(vector, dtype=float))[0]


def disturbed(pixels, rng, noise, outliers):
    out = pixels + rng.normal(size=pixels.shape) * noise
    wrong = rng.random(len(out)) < outliers
    out[wrong] += rng.normal(size=(int(wrong.sum()), 2)) * 15
    return out


def board_views(rng, views=20, noise=0.2, outliers=0.0, calibration=RAW, grid=(9, 6)):
    """Boards, left and right pixels of views in which both cameras see the whole board."""
    columns, rows = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]))
    flat = np.stack([columns, rows], axis=-1).reshape(-1, 2) * 0.03
    board = np.concatenate([flat - flat.mean(axis=0), np.zeros((len(flat), 1))], axis=1)
    left, right = [], []
    while len(left) < views:
        turn = rotation(*(rng.normal(size=3) * [0.4, 0.4, 0.3]))
        place = [rng.uniform(-0.15, 0.2), rng.uniform(-0.12, 0.12), rng.uniform(0.45, 0.9)]
        points = board @ turn.T + place
        a = project(points, calibration.left)
        b = project(points @ calibration.rotation.T + calibration.translation, calibration.right)
        if all(((q >= 0) & (q < [640, 480])).all() for q in (a, b)):
            left.append(disturbed(a, rng, noise, outliers))
            right.append(disturbed(b, rng, noise, outliers))
    return [board] * views, left, right


def scene(rng, points=60, frames=4, noise=0.4, outliers=0.0, wrong=0.02, stereo=False):
    """True bundle, disturbed start and observations of a camera (or pair) that moves sideways.

    The start has the true length of what the gauge holds.
    """
    camera = Camera(640, 480, 500, 500, 320, 240)
    space = np.stack(
        [rng.uniform(-1.5, 2, points), rng.uniform(-1.2, 1.2, points), rng.uniform(4, 8, points)], 1
    )
    turns = [rotation(*(rng.normal(size=3) * 0.03 * (k > 0))) for k in range(frames)]
    places = [np.array([0.3 * k, *(rng.normal(size=2) * 0.1 * (k > 0))]) for k in range(frames)]
    cameras = (PosedCamera(camera, np.eye(3), np.zeros(3)),)
    if stereo:
        cameras += (PosedCamera(camera, rotation(0.01, 0.02, -0.01), np.array([-0.2, 0.01, 0])),)
    shifts = np.stack([-r @ c for r, c in zip(turns, places, strict=True)])
    true = Bundle(cameras, np.stack(turns), shifts, space)
    seen = observed(true, rng, noise, outliers)
    shaken = [
        rotation(*(rng.normal(size=3) * wrong * 0.3 * (i > 0))) @ r for i, r in enumerate(turns)
    ]
    spots = [c + rng.normal(size=3) * wrong * (i > 0) for i, c in enumerate(places)]
    if (
        not stereo and frames > 1
    ):  # the gauge holds the distance to the farthest frame: it must be true
        spots[-1] *= np.linalg.norm(places[-1]) / np.linalg.norm(spots[-1])
    start = Bundle(
        cameras,
        np.stack(shaken),
        np.stack([-r @ c for r, c in zip(shaken, spots, strict=True)]),
        space + rng.normal(size=space.shape) * wrong * 3,
    )
    return true, start, seen


def observed(bundle, rng, noise, outliers=0.0):
    """All points in all cameras at all frames."""
    index = [(f, c) for f in range(len(bundle.rotations)) for c in range(len(bundle.cameras))]
    count = len(bundle.points)
    pixels = []
    for f, c in index:
        view = bundle.camera_at(f, c)
        exact = project(bundle.points @ view.rotation.T + view.translation, view.camera)
        pixels.append(disturbed(exact, rng, noise, outliers))
    frame, camera = (np.repeat([i[k] for i in index], count) for k in (0, 1))
    return Observations(
        frame, camera, np.tile(np.arange(count), len(index)), np.concatenate(pixels)
    )
