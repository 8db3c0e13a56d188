"""Random calibrations, and a comparison of two that owes nothing to fathom's own."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from fathom.core import Camera, StereoCalibration, StereoRig

SIZES = ((640, 480), (1280, 720), (1242, 375), (2208, 1242))
TERMS = (0, 4, 5, 8, 12, 14)


def rotation(vector) -> np.ndarray:
    """Rodrigues' formula as the textbook has it."""
    vector = np.asarray(vector, dtype=float)
    angle = np.linalg.norm(vector)
    if angle == 0:
        return np.eye(3)
    x, y, z = vector / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def number(low: float, high: float):
    return st.floats(low, high, allow_nan=False, allow_infinity=False, width=64)


def cameras(size, model, many):
    """The arguments of a Camera. Plain values: types are checked with `random`, which hypothesis
    does not want to see inside a strategy."""
    width, height = size
    return st.tuples(
        st.just(width),
        st.just(height),
        number(0.7 * width, 2 * width),
        number(0.97, 1.03),
        number(0.45 * width, 0.55 * width),
        number(0.45 * height, 0.55 * height),
        st.just(model),
        st.tuples(*[number(-0.05, 0.05)] * many),
    )


def camera_of(plain) -> Camera:
    width, height, fx, ratio, *rest = plain
    return Camera(width, height, fx, fx * ratio, *rest)


@st.composite
def raws(draw, models=("pinhole", "fisheye"), sizes=SIZES, second_size=True):
    """The plain values of a raw pair that a person might have: side by side, somewhat turned."""
    model = draw(st.sampled_from(models))
    many = 4 if model == "fisheye" else draw(st.sampled_from(TERMS))
    size = draw(st.sampled_from(sizes))
    other = draw(st.sampled_from([size, (size[0] + 2, size[1] + 4)])) if second_size else size
    left, right = draw(cameras(size, model, many)), draw(cameras(other, model, many))
    # Never exactly parallel: ideal parallel cameras are a rectified rig to some formats.
    turn = draw(st.tuples(number(0.001, 0.08), number(-0.08, 0.08), number(-0.08, 0.08)))
    place = draw(st.tuples(number(0.02, 2), number(-0.05, 0.05), number(-0.05, 0.05)))
    return left, right, turn, place


def raw_of(plain) -> StereoCalibration:
    left, right, turn, (baseline, y, z) = plain
    place = np.array([-1, y, z]) * baseline
    return StereoCalibration(camera_of(left), camera_of(right), rotation(turn), place)


@st.composite
def rigs(draw, sizes=SIZES):
    """The plain values of a rig with all that one may have: doffs, cameras not quite equal."""
    return (
        draw(cameras(draw(st.sampled_from(sizes)), "pinhole", 0)),
        draw(number(-30, 30)),
        draw(st.sampled_from([0.0, 0.25])),
        draw(st.sampled_from([1.0, 1.0004])),
        draw(number(0.01, 3)),
        draw(st.none() | st.integers(1, 500)),
    )


def rig_of(plain) -> StereoRig:
    left, doffs, rise, ratio, baseline, limit = plain
    left = camera_of(left)
    right = replace(left, cx=left.cx + doffs, cy=left.cy + rise, fx=left.fx * ratio)
    return StereoRig(left, right, baseline, limit)


def assert_same(back, expected, tolerance=1e-12):
    """Equal but for rounding of the last digits, whatever holds them."""
    assert type(back) is type(expected)
    for name in ("left", "right"):
        a, b = getattr(back, name), getattr(expected, name)
        assert (a.size, a.model) == (b.size, b.model)
        np.testing.assert_allclose(a.matrix, b.matrix, rtol=tolerance, atol=1e-9 * tolerance)
        longest = max(len(a.distortion), len(b.distortion))
        terms = [np.pad(c.distortion, (0, longest - len(c.distortion))) for c in (a, b)]
        np.testing.assert_allclose(*terms, rtol=tolerance, atol=0)
    np.testing.assert_allclose(back.baseline, expected.baseline, rtol=tolerance)
    if isinstance(expected, StereoCalibration):
        np.testing.assert_allclose(back.rotation, expected.rotation, atol=max(tolerance, 1e-14))
        atol = max(tolerance, 1e-14) * expected.baseline
        np.testing.assert_allclose(back.translation, expected.translation, atol=atol)
    else:
        assert back.max_disparity == expected.max_disparity


def cut(calibration, *, terms=14, second_size=True):
    """A raw pair with at most so many terms of distortion, and one image size for both."""
    left, right = (
        replace(c, distortion=c.distortion[:terms]) for c in (calibration.left, calibration.right)
    )
    if not second_size:
        right = replace(right, width=left.width, height=left.height)
    return replace(calibration, left=left, right=right)
