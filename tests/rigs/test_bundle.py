"""Bundle adjustment against known truth, its Jacobian and covariance, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from bundles import observed, rotation, scene
from hypothesis import given
from hypothesis import strategies as st

from fathom.core import Camera, InputError, UsageError
from fathom.rigs.bundle import BundleOptions, Observations, bundle_adjust
from fathom.rigs.bundle_covariance import noise_of
from fathom.rigs.bundle_problem import Problem, hat, turn, turn_slope
from fathom.rigs.bundle_start import held_and_moving
from fathom.rigs.triangulate import PosedCamera

numbers = st.floats(-2, 2, allow_nan=False)


def problem_of(start, seen, options):
    poses, _ = held_and_moving(start, options)
    return Problem(start, seen, options.refine, poses, options.points)


def pose_error(true, found):
    """Largest turn (radians) and largest difference of place (metres) of the frames."""
    turns = np.einsum("fij,fkj->fik", found.rotations, true.rotations)
    angle = np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1))
    places = [-np.einsum("fji,fj->fi", b.rotations, b.translations) for b in (true, found)]
    return angle.max(), np.linalg.norm(places[0] - places[1], axis=1).max()


@given(numbers, numbers, numbers)
def test_turns_are_rotations_with_their_slopes(x, y, z):
    vector = np.array([[x, y, z]])
    made = turn(vector)[0]
    np.testing.assert_allclose(made @ made.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(made, rotation(x, y, z), atol=1e-9)
    step = np.array([[1e-6, -2e-6, 3e-6]])
    np.testing.assert_allclose(
        turn(vector + step)[0], turn(step @ turn_slope(vector)[0].T)[0] @ made, atol=1e-10
    )


def test_hat_is_the_cross_product():
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([4.0, -5.0, 6.0])
    np.testing.assert_array_equal(hat(a)[0] @ b, np.cross(a[0], b))


@pytest.mark.parametrize(
    "options",
    [
        BundleOptions(),
        BundleOptions(rig=True, refine=("focal", "cx")),
        BundleOptions(points=False, rig=True, refine=("distortion",)),
        BundleOptions(poses=False, rig=True),
    ],
    ids=["frames", "rig and focal", "known points", "known frames"],
)
@pytest.mark.parametrize("stereo", [False, True])
def test_the_sparse_jacobian_is_that_of_finite_differences(options, stereo):
    _, start, seen = scene(np.random.default_rng(0), points=6, frames=3, stereo=stereo)
    lens = Camera(640, 480, 500, 500, 320, 240, distortion=(-0.1, 0.02, 0.001, 0.001, 0.01))
    start = replace(start, cameras=tuple(replace(c, camera=lens) for c in start.cameras))
    made = problem_of(start, seen, options)
    at = np.random.default_rng(1).normal(size=made.size) * 1e-3
    jacobian = made.sparse(made.linearised(at)[1]).toarray()
    step = 1e-6
    slow = np.stack(
        [
            (made.linearised(at + step * e)[0] - made.linearised(at - step * e)[0]).ravel()
            / (2 * step)
            for e in np.eye(made.size)
        ],
        axis=1,
    )
    np.testing.assert_allclose(jacobian, slow, atol=2e-3, rtol=1e-5)
    assert len(made.names) == made.head


@pytest.mark.parametrize("stereo", [False, True])
def test_without_noise_the_truth_comes_back(stereo):
    true, start, seen = scene(np.random.default_rng(0), noise=0.0, stereo=stereo)
    done = bundle_adjust(start, seen)
    assert done.converged
    assert done.rms_before > 3
    assert done.rms_after < 1e-4
    angle, place = pose_error(true, done.bundle)
    assert angle < 1e-6
    assert place < 1e-5
    np.testing.assert_allclose(done.bundle.points, true.points, atol=1e-4)
    assert "held" in done.gauge or "rig gives the scale" in done.gauge


def test_sigmas_are_right_by_monte_carlo():
    rng = np.random.default_rng(5)
    true, _, _ = scene(rng, points=30, frames=3, noise=0.0)
    ratios, depths = [], []
    for _ in range(25):
        done = bundle_adjust(true, observed(true, rng, 0.4), BundleOptions(loss="linear"))
        turned = np.einsum("fij,fkj->fik", done.bundle.rotations, true.rotations)
        vector = np.stack([turned[:, 2, 1], turned[:, 0, 2], turned[:, 1, 0]], axis=1)
        shift = done.bundle.translations[1] - true.translations[1]
        sigma = [done.sigma(f"frame1.{n}") for n in ("rx", "ry", "rz", "tx", "ty", "tz")]
        ratios.append(np.concatenate([vector[1], shift]) / sigma)
        off = done.bundle.points - true.points
        depths.append(np.einsum("pi,pij,pj->p", off, np.linalg.inv(done.point_covariance), off))
        assert done.noise == pytest.approx(0.4, rel=0.25)
    # 25 draws know a spread to 14 %; 150 draws give 0.89 to 1.03.
    spread = np.sqrt(np.mean(np.square(ratios), axis=0))
    assert (spread > 0.6).all()
    assert (spread < 1.5).all()
    # Chi-squared with 3 degrees; the points of a draw err together, so 25 draws know it to 8 %.
    # 150 draws give 2.74 +- 0.10: a point estimated too far is given a larger covariance, too.
    assert np.mean(depths) == pytest.approx(3, rel=0.3)


def test_a_robust_loss_withstands_what_plain_squares_do_not():
    rng = np.random.default_rng(3)
    true, start, seen = scene(rng, points=100, outliers=0.05, stereo=True)
    errors = {}
    for loss in ("soft_l1", "huber", "linear"):
        done = bundle_adjust(start, seen, BundleOptions(loss=loss, loss_scale=0.8))
        errors[loss] = pose_error(true, done.bundle)
    for loss in ("soft_l1", "huber"):
        assert errors[loss][0] < 0.5 * errors["linear"][0]
        assert errors[loss][1] < 0.5 * errors["linear"][1]


def test_outliers_do_not_enter_the_noise():
    rng = np.random.default_rng(0)
    residuals = rng.normal(size=(5000, 2)) * 0.3
    residuals[:250] += rng.normal(size=(250, 2)) * 20
    told = noise_of(residuals, "soft_l1", 1.0, 100)
    assert told.sigma == pytest.approx(0.3, rel=0.1)
    assert told.variance < 0.3
    assert noise_of(residuals, "linear", 1.0, 100).variance > 10
    clean = residuals[250:]
    for loss in ("huber", "soft_l1", "linear"):
        assert noise_of(clean, loss, 1.0, 10).variance == pytest.approx(0.09, rel=0.1)


def test_the_rig_moves_and_its_length_is_held():
    rng = np.random.default_rng(2)
    true, start, _ = scene(rng, points=80, stereo=True, noise=0.0)
    bent = PosedCamera(
        true.cameras[1].camera, rotation(0.0, 0.03, 0.0), np.array([-0.2, 0.0, 0.01])
    )
    length = np.linalg.norm(true.cameras[1].center)
    bent = replace(bent, translation=bent.translation * length / 0.20025)
    seen = observed(true, rng, 0.1)
    start = replace(start, cameras=(true.cameras[0], bent))
    done = bundle_adjust(start, seen, BundleOptions(rig=True))
    found = done.bundle.cameras[1]
    assert np.linalg.norm(found.center) == pytest.approx(np.linalg.norm(bent.center), rel=1e-9)
    np.testing.assert_allclose(found.rotation, true.cameras[1].rotation, atol=2e-3)
    assert "baseline" in done.gauge
    assert done.sigma("camera1.along1") > 0


def test_a_focal_length_is_found_from_known_points():
    rng = np.random.default_rng(4)
    true, start, _ = scene(rng, noise=0.0)
    seen = observed(true, rng, 0.2)
    off = replace(start.cameras[0].camera, fx=480, fy=515)
    start = replace(start, cameras=(replace(start.cameras[0], camera=off),), points=true.points)
    done = bundle_adjust(start, seen, BundleOptions(refine=("focal",), points=False))
    for name in ("fx", "fy"):
        error = getattr(done.bundle.cameras[0].camera, name) - 500
        assert abs(error) < 4 * done.sigma(f"camera0.{name}")
    assert done.point_covariance is None
    assert "points are known" in done.gauge


def test_progress_is_told(monkeypatch):
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr("time.monotonic", lambda: next(ticks))
    said = []
    bundle_adjust(*scene(np.random.default_rng(0), points=20)[1:], notify=said.append)
    assert said
    assert said[0].startswith("bundle: evaluation 1, rms ")


def test_running_out_of_evaluations_is_told():
    _, start, seen = scene(np.random.default_rng(0), points=20)
    done = bundle_adjust(start, seen, BundleOptions(max_evaluations=2))
    assert not done.converged
    assert done.evaluations <= 2


def refused(change, message, **options):
    _, start, seen = scene(np.random.default_rng(0), points=20)
    with pytest.raises((InputError, UsageError), match=message):
        bundle_adjust(*change(start, seen), BundleOptions(**options))


def only(seen, kept):
    return Observations(seen.frame[kept], seen.camera[kept], seen.point[kept], seen.pixels[kept])


def test_what_cannot_be_adjusted_is_said():
    refused(
        lambda b, o: (b, replace(o, point=o.point + 1)), r"point = .1 to 20.: leaves the bundle"
    )
    refused(
        lambda b, o: (b, only(o, (o.point != 3) | (o.frame == 0))), "1 of 20 points are seen fewer"
    )
    refused(lambda b, o: (b, only(o, (o.frame != 2) | (o.point < 2))), "frame 2 has fewer than 3")
    refused(lambda b, o: (replace(b, points=b.points * [1, 1, -1]), o), "lie behind their camera")
    refused(
        lambda b, o: (
            replace(b, rotations=b.rotations[:2], translations=b.translations[:2],
                    points=b.points[:4]),
            only(o, (o.point < 4) & (o.frame < 2)),
        ),
        "16 numbers cannot determine 17 unknowns",
    )  # fmt: skip
    refused(
        lambda b, o: (
            replace(b, translations=np.zeros((4, 3)), rotations=np.stack([np.eye(3)] * 4)),
            o,
        ),
        "on one spot",
    )
    refused(lambda b, o: (b, o), "names no intrinsic", refine=("zoom",))


def test_an_undetermined_unknown_is_named():
    # One fronto-parallel plane seen once cannot tell the focal length from the distance.
    rng = np.random.default_rng(0)
    true, _, _ = scene(rng, points=30, frames=1)
    flat = replace(true, points=true.points * [1, 1, 0] + [0, 0, 5.0])
    with pytest.raises(InputError, match=r"frame0.tz|camera0.f. *.*is not determined"):
        bundle_adjust(
            flat, observed(flat, rng, 0.0), BundleOptions(points=False, refine=("focal",))
        )
    # A camera that no observation comes from leaves its own numbers open.
    true, _, _ = scene(rng, points=30, frames=2, stereo=True)
    seen = observed(true, rng, 0.1)
    with pytest.raises(InputError, match=r"camera1\.\w+: is not determined"):
        bundle_adjust(true, only(seen, seen.camera == 0), BundleOptions(points=False, rig=True))


def test_points_on_parallel_rays_are_named():
    rng = np.random.default_rng(0)
    true, _, _ = scene(rng, points=30, frames=2)
    far = replace(true, points=np.r_[true.points[:29], [[0.0, 0.0, 1e9]]])
    with pytest.raises(InputError, match="1 of 30 points have rays too parallel"):
        bundle_adjust(far, observed(far, rng, 0.1))


def test_options_check_themselves(unchecked):
    for wrong, message in (
        ({"loss": "cauchy"}, "unknown loss"),
        ({"loss_scale": 0.0}, "loss_scale"),
        ({"max_evaluations": 0}, "max_evaluations"),
        ({"poses": False, "points": False}, "nothing moves"),
    ):
        with pytest.raises(UsageError, match=message):
            BundleOptions(**wrong)


def test_the_parts_check_themselves(unchecked):
    true, _, seen = scene(np.random.default_rng(0), points=5)
    with pytest.raises(InputError, match="cameras: is empty"):
        replace(true, cameras=())
    with pytest.raises(InputError, match="translations"):
        replace(true, translations=np.zeros((2, 3)))
    with pytest.raises(InputError, match="not finite"):
        replace(true, points=true.points * np.nan)
    with pytest.raises(InputError, match="finite pixels"):
        replace(seen, pixels=seen.pixels * np.nan)
    with pytest.raises(InputError, match="whole number"):
        replace(seen, frame=seen.frame * 1.0)
    with pytest.raises(UsageError, match=r"did you mean frame1\.rx"):
        bundle_adjust(*scene(np.random.default_rng(0), points=20)[1:]).sigma("frame1.rX")
