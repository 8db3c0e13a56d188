"""Relative depth becomes metres: exact laws, wrong anchors, what cannot be determined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import Camera, Depth, InputError, RelativeDepth, Source, SparseDepth, UsageError
from fathom.geometry.align import align
from fathom.geometry.anchors import ground_anchors, object_anchors

HEIGHT, WIDTH = 60, 90


def scene(seed=0):
    """Depth in metres, 2 to 20, smooth with a box."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    z = 20 - 0.2 * y - 0.05 * x + rng.uniform(-0.3, 0.3)
    z[20:40, 30:60] = 4 + 0.02 * x[20:40, 30:60]
    return z.astype(np.float32)


def relative(z, ambiguity, scale, shift):
    """Values v such that Z (or 1 / Z) = scale v + shift."""
    target = 1 / z if ambiguity == "affine_inverse" else z
    return RelativeDepth(((target - shift) / scale).astype(np.float32), ambiguity)


def some(z, count, seed=1, wrong=0.0, noise=0.0):
    """Anchors at random pixels; a share of them belongs to something else."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, WIDTH, count), rng.integers(0, HEIGHT, count)
    depth = z[y, x] * np.exp(noise * rng.standard_normal(count))
    bad = np.arange(count) < wrong * count
    depth = np.where(bad, rng.uniform(0.5, 60, count), depth)
    return SparseDepth(np.stack([x, y], 1).astype(np.float32), depth.astype(np.float32))


AMBIGUITIES = ["scale", "affine", "affine_inverse"]


@pytest.mark.parametrize("robust", ["ransac", "huber", "none"])
@given(st.sampled_from(AMBIGUITIES), st.floats(0.01, 50), st.floats(-0.03, 0.03))
@settings(max_examples=25, deadline=None)
def test_the_law_is_found(robust, ambiguity, scale, shift):
    z = scene()
    shift = 0.0 if ambiguity == "scale" else shift
    found, fit = align(relative(z, ambiguity, scale, shift), some(z, 40), robust=robust)
    np.testing.assert_allclose(found.values, z, rtol=2e-3)
    assert fit.scale == pytest.approx(scale, rel=2e-3) and fit.anchors == 40
    assert fit.shift == pytest.approx(shift, abs=2e-3)
    assert fit.residual < 1e-3 and fit.reach[0] < fit.reach[1]


@pytest.mark.parametrize("ambiguity", AMBIGUITIES)
def test_wrong_anchors_do_no_harm(ambiguity):
    z = scene()
    shift = 0.0 if ambiguity == "scale" else 0.01
    anchors = some(z, 200, wrong=0.4, noise=0.01)
    found, fit = align(relative(z, ambiguity, 3, shift), anchors)
    assert np.median(np.abs(found.values / z - 1)) < 0.01
    assert 100 <= fit.inliers <= 140
    if ambiguity == "scale":
        spoiled, _ = align(relative(z, ambiguity, 3, shift), anchors, robust="none")
        assert np.median(np.abs(spoiled.values / z - 1)) > 0.3
    else:
        with pytest.raises(InputError, match=r"contradict the map|do not determine"):
            align(relative(z, ambiguity, 3, shift), anchors, robust="none")


def test_a_dense_map_weighs_by_its_confidence():
    z = scene()
    stereo, sure = z.copy(), np.ones_like(z)
    stereo[:, :50] *= 3  # most of it wrong, and known to be
    sure[:, :50] = 0
    found, fit = align(relative(z, "affine_inverse", 2, 0.01), Depth(stereo, confidence=sure))
    np.testing.assert_allclose(found.values, z, rtol=1e-3)
    assert fit.anchors == HEIGHT * (WIDTH - 50)
    assert (found.source == Source.MONOCULAR).all()


def test_filled_pixels_and_those_outside_the_mask_are_no_anchors():
    z = scene()
    wrong = z.copy()
    wrong[:30] *= 2
    source = np.full(z.shape, Source.MATCHED, np.uint8)
    source[:30] = Source.FILLED
    rel = relative(z, "scale", 5, 0)
    assert align(rel, Depth(wrong, source=source))[1].scale == pytest.approx(5, rel=1e-4)
    mask = np.zeros(z.shape, bool)
    mask[30:] = True
    assert align(rel, Depth(wrong), mask=mask)[1].scale == pytest.approx(5, rel=1e-4)
    assert align(rel, Depth(wrong), robust="none")[1].scale > 6


def test_metric_depth_is_taken_to_be_right_up_to_a_scale():
    z = scene()
    found, fit = align(Depth(z / 1.3), some(z, 9))
    assert fit.ambiguity == "scale" and fit.scale == pytest.approx(1.3, rel=1e-4)
    np.testing.assert_allclose(found.values, z, rtol=1e-4)


def test_anchors_at_one_depth_leave_the_shift_open():
    z = scene()
    x = np.linspace(31, 59, 12)
    flat = SparseDepth(
        np.stack([x, np.full(12, 30)], 1).astype(np.float32),
        z[30, x.astype(int)].astype(np.float32),
    )
    with pytest.raises(InputError, match="all lie at one relative depth"):
        level = relative(np.where(z < 6, np.float32(5), z), "affine", 2, 0.1)
        align(level, flat)
    assert align(relative(z, "scale", 2, 0), flat)[1].scale == pytest.approx(2, rel=0.05)


def test_noise_that_hides_the_scale_is_refused():
    z = scene()
    anchors = some(z, 6, wrong=1.0)
    with pytest.raises(InputError, match=r"do not determine the scale|contradict the map"):
        align(relative(z, "affine", 1, 0), anchors, robust="none")


def test_anchors_at_one_distance_all_over_the_map_are_refused():
    z = scene()
    flat = SparseDepth(some(z, 50).pixels, np.full(50, 3.0, np.float32))
    with pytest.raises(InputError, match="'3 m': are all at one distance, where the map sees sev"):
        align(relative(z, "affine_inverse", 1, 0), flat)


def test_a_map_the_wrong_way_round_is_refused():
    z = scene()
    with pytest.raises(InputError, match="contradict the map"):
        align(RelativeDepth(z, "affine_inverse"), some(z, 50), robust="none")


@pytest.mark.parametrize("count", [0, 1])
def test_too_few(count):
    with pytest.raises(InputError, match="are too few"):
        align(relative(scene(), "affine", 1, 0), some(scene(), count))
    outside = SparseDepth(np.array([[-5, 3], [200, 3]], np.float32), np.ones(2, np.float32))
    with pytest.raises(InputError, match="are too few"):
        align(relative(scene(), "affine", 1, 0), outside)


def test_other_sizes_and_unknown_fits(unchecked):
    z = scene()
    with pytest.raises(InputError, match="differ in size"):
        align(relative(z, "scale", 1, 0), Depth(z[1:]))
    with pytest.raises(UsageError, match="unknown fit"):
        align(relative(z, "scale", 1, 0), Depth(z), robust="lmeds")
    with pytest.raises(InputError, match="is no share of the width"):
        align(relative(z, "scale", 1, 0), Depth(z), local=0)


def test_a_correction_that_changes_over_the_image():
    z = scene()
    bent = z * np.linspace(0.8, 1.2, WIDTH, dtype=np.float32)  # the map's error grows to the right
    rel = RelativeDepth(bent, "scale")
    anchors = some(z, 400)
    plain, _ = align(rel, anchors)
    local, _ = align(rel, anchors, local=0.1)
    error = [np.mean(np.abs(found.values / z - 1)) for found in (plain, local)]
    assert error[0] > 0.08 and error[1] < 0.3 * error[0]
    # anchors in one half: the other keeps the global fit
    mask = np.zeros(z.shape, bool)
    mask[:, :40] = True
    left, half = (align(rel, anchors, local=share, mask=mask)[0] for share in (0.05, None))
    np.testing.assert_allclose(left.values[:, -10:], half.values[:, -10:], rtol=1e-3)


def test_what_would_lie_behind_infinity_is_unknown():
    z = scene()
    rel = relative(z, "affine_inverse", 1, 0.05)
    values = rel.values.copy()
    values[0, 0] = -1  # 1 / Z = -0.95
    values[0, 1] = np.nan
    found, _ = align(RelativeDepth(values, "affine_inverse"), some(z, 60))
    assert np.isnan(found.values[0, :2]).all() and (found.source[0, :2] == 0).all()
    assert found.known.sum() == z.size - 2


def test_sigma_follows_the_scatter():
    z = scene()
    found, fit = align(relative(z, "scale", 1, 0), some(z, 500, noise=0.05))
    assert fit.residual == pytest.approx(0.05 / 1.4826, rel=0.2)
    assert np.median(found.sigma / found.values) == pytest.approx(0.05, rel=0.2)
    again, _ = align(relative(z, "scale", 1, 0), some(z, 500, noise=0.05))
    np.testing.assert_array_equal(found.values, again.values)


CAMERA = Camera(90, 60, 80.0, 80.0, 44.5, 29.5)


def test_an_object_of_known_size():
    found = object_anchors(CAMERA, (20, 10, 40, 50), width=0.5)
    assert found.depth == pytest.approx(80 * 0.5 / 20)
    x, y = found.pixels.T
    assert x.min() >= 25 and x.max() <= 34 and y.min() >= 20 and y.max() <= 39
    both = object_anchors(CAMERA, (20, 10, 40, 50), width=0.5, height=1.2)
    assert both.depth == pytest.approx((2.0 + 80 * 1.2 / 40) / 2)


def test_the_ground_below_a_camera():
    found = ground_anchors(CAMERA, 1.5)
    x, y = found.pixels.T
    assert found.depth == pytest.approx(1.5 * 80 / (y - 29.5), rel=1e-5)
    assert y.min() >= 40 and x.min() >= 22 and x.max() < 68
    # turned down by 10 degrees, the ray of the image's centre hits at h / sin(10)
    mask = np.zeros((60, 90), bool)
    mask[29:31, 44] = True
    down = ground_anchors(CAMERA, 1.5, pitch=10, mask=mask)
    assert down.depth.mean() == pytest.approx(1.5 / np.sin(np.radians(10)), rel=0.01)


def test_ground_makes_metres():
    """A plane seen by a camera at 1.5 m, up to an affine law of inverse depth."""
    y = np.arange(60)[:, None] * np.ones(90)
    inverse = np.maximum((y - 29.5) / 80 / 1.5, 1e-3)
    rel = RelativeDepth((inverse * 7 + 3).astype(np.float32), "affine_inverse")
    found, _ = align(rel, ground_anchors(CAMERA, 1.5))
    np.testing.assert_allclose(found.values[40:], 1 / inverse[40:], rtol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: object_anchors(CAMERA, (20, 10, 20, 50), width=1.0),
        lambda: object_anchors(CAMERA, (20, 10, 95, 50), width=1.0),
        lambda: object_anchors(CAMERA, (20, 10, 40, 50)),
        lambda: object_anchors(CAMERA, (20, 10, 40, 50), width=-1.0),
        lambda: ground_anchors(CAMERA, 0.0),
        lambda: ground_anchors(CAMERA, 1.0, pitch=90.0),
    ],
)
def test_sizes_boxes_and_heights_that_cannot_be(wrong):
    with pytest.raises(UsageError):
        wrong()


def test_no_ground_in_sight():
    sky = np.zeros((60, 90), bool)
    sky[:20] = True
    with pytest.raises(InputError, match="shows no ground"):
        ground_anchors(CAMERA, 1.5, mask=sky)
    with pytest.raises(InputError, match="differs in size"):
        ground_anchors(CAMERA, 1.5, mask=sky[1:])
