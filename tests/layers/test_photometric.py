"""Warping and what is measured on it: slow twins, finite differences, scenes with exact truth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core.errors import UsageError
from fathom.data.scenes import SceneSettings, full_scene
from fathom.layers import photometric as ph
from fathom.layers.cues import Cues
from fathom.layers.depth_losses import scale_invariant_gradient
from fathom.layers.losses import edge_aware_smoothness
from fathom.layers.photometric_distance import Distance, Mixed

H, W = 5, 7
ONE, IMAGE = torch.ones(1, 1, 3, 3), torch.ones(1, 3, 3, 3)
NAMED = ("sad", "ssim", "census", "gradient")


def t(values, grad=False):
    return torch.tensor(np.asarray(values), requires_grad=grad)


@pytest.fixture(scope="module")
def case():
    """Both views in 0..255 and both disparities, far from whole pixels; float64, one sample."""
    rng = np.random.default_rng(5)
    views = rng.uniform(0, 255, (2, 1, 3, H, W))
    disparities = rng.integers(0, 3, (2, 1, 1, H, W)) + rng.uniform(0.2, 0.8, (2, 1, 1, H, W))
    return views, disparities


@pytest.fixture(scope="module")
def scene():
    """Views (1, 3, h, w), disparities and masks of what both see (1, 1, h, w), left and right."""
    made = full_scene(
        4,
        SceneSettings(
            width=96, height=64, kinds=("room",), glass=0.0, glossy=0.0, plain=0.0, night=0.0,
            unusual=0.0, effects=False,
        ),
    )  # fmt: skip
    views = [
        torch.from_numpy(v.copy()).permute(2, 0, 1)[None].float() for v in (made.left, made.right)
    ]
    maps = [torch.from_numpy(m.copy())[None, None] for m in (made.disparity, made.disparity_right)]
    seen = [torch.from_numpy(m.copy())[None, None] for m in (made.seen, made.seen_right)]
    return tuple(views), maps, seen


def slow_warp(other, disparity, sign):
    """Pixel by pixel: other(x + sign d), linear, the border repeated; and where that is inside."""
    out, inside = np.zeros(other.shape), np.zeros(disparity.shape, bool)
    for y in range(H):
        for x in range(W):
            at = x + sign * disparity[0, 0, y, x]
            inside[0, 0, y, x] = 0 <= at <= W - 1
            at = min(max(at, 0), W - 1)
            low = min(int(at), W - 2)
            part = at - low
            out[0, :, y, x] = (1 - part) * other[0, :, y, low] + part * other[0, :, y, low + 1]
    return out, inside


def window(image, y, x, radius, mirrored):
    """The (2 radius + 1)^2 pixels around one, beyond the border mirrored or repeated."""
    rows, columns = (
        [abs(i) if mirrored else max(i, 0) for i in range(c - radius, c + radius + 1)]
        for c in (y, x)
    )
    last = (image.shape[1] - 1, image.shape[2] - 1)
    rows, columns = (
        [(2 * m - i if mirrored else m) if i > m else i for i in found]
        for found, m in zip((rows, columns), last, strict=True)
    )
    return image[:, rows][:, :, columns]


def slow_distance(kind, a, b):
    """The distances by their formulas, (3, h, w) in 0..255."""
    a, b = a / 255, b / 255
    out = np.zeros((H, W))
    for y in range(H):
        for x in range(W):
            if kind == "census":
                first, second = (
                    window(255 * i.mean(0, keepdims=True), y, x, 2, False) for i in (a, b)
                )
                first, second = (v - v[0, 2, 2] for v in (first, second))
                e = [v / np.sqrt(0.81 + v * v) for v in (first, second)]
                e = (e[0] - e[1]) ** 2
                out[y, x] = (e / (0.1 + e)).sum() / 24
            elif kind == "gradient":
                e = a - b
                right = e[:, y, x + 1] - e[:, y, x] if x + 1 < W else 0 * e[:, y, x]
                below = e[:, y + 1, x] - e[:, y, x] if y + 1 < H else 0 * e[:, y, x]
                out[y, x] = np.mean(abs(right) + abs(below))
            else:
                out[y, x] = np.abs(a[:, y, x] - b[:, y, x]).mean()
                if kind == "ssim":
                    p, q = (window(i, y, x, 1, True).reshape(3, 9) for i in (a, b))
                    m, n = p.mean(1), q.mean(1)
                    cov = (p * q).mean(1) - m * n
                    above = (2 * m * n + 1e-4) * (2 * cov + 9e-4)
                    below = (m * m + n * n + 1e-4) * (p.var(1) + q.var(1) + 9e-4)
                    alike = np.clip((1 - above / below) / 2, 0, 1).mean()
                    out[y, x] = 0.85 * alike + 0.15 * out[y, x]
    return out


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", NAMED)
def test_the_error_of_a_view_against_its_twin(case, kind, side):
    views, disparities = case
    at, sign = (0, -1) if side == "left" else (1, 1)
    own, other, d = views[at], views[1 - at], disparities[at]
    warped, inside = slow_warp(other, d, sign)
    distance = Distance(kind, radius=2)
    error, seen = ph.photometric_error((t(views[0]), t(views[1])), t(d), distance, side)
    np.testing.assert_allclose(error[0, 0], slow_distance(kind, warped[0], own[0]), atol=1e-12)
    assert np.array_equal(seen, inside) and 0 < inside.mean() < 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_sign_of_the_warp(side):
    """A view moved by three pixels is found again with d = 3 on either side, and not with -3."""
    wide = torch.rand(1, 3, 6, 15, generator=torch.Generator().manual_seed(1)) * 255
    views = wide[..., :12], wide[..., 3:]
    three = torch.full((1, 1, 6, 12), 3.0)
    for disparity, right in ((three, True), (-three, False)):
        error, inside = ph.photometric_error(views, disparity, Distance("sad"), side)
        assert inside.sum() == 6 * 9
        assert bool(ph.weighted_mean(error, inside.float()) < 1e-6) is right


def errors_of(case, name):
    """A scalar of both disparities, and the disparities to take its gradient by."""
    views = t(case[0][0]), t(case[0][1])
    if name in NAMED:
        distance = Distance(name, radius=1)
        return lambda own, _: ph.weighted_mean(*map_of(ph.photometric_error(views, own, distance)))
    if name == "loop":
        distance = Mixed(((0.5, Distance("ssim")), (0.5, Distance("census", radius=1))))
        return lambda own, other: ph.loop_error(views[0], own, other, distance)[0].mean()
    if name == "consistency":
        return lambda own, other: ph.consistency_error(own, other, "right")[0].mean()
    if name == "features":
        weight = torch.rand(4, 3, 3, 3, dtype=torch.float64) / 255
        seen = Distance("features", features=lambda i: torch.conv2d(i, weight, stride=2))
        return lambda own, _: ph.photometric_error(views, own, seen, "right")[0].mean()
    if name == "scale-invariant":
        known = torch.ones(1, 1, H, W, dtype=torch.bool)
        return lambda own, other: (
            scale_invariant_gradient(own, t(case[1][1]), known, (1, 2)) + 0 * other.sum()
        )
    cues = Cues(normals=t(np.random.default_rng(0).normal(size=(1, 3, H, W))))
    return lambda own, _: edge_aware_smoothness(own, views[0], order=2, edge=5.0, cues=cues)


def map_of(found):
    return found[0], found[1].to(found[0].dtype)


@pytest.mark.parametrize(
    "name", [*NAMED, "features", "loop", "consistency", "scale-invariant", "second order"]
)
def test_gradients_against_finite_differences(case, name):
    torch.manual_seed(2)
    maps = [t(d, grad=True) for d in case[1]]
    assert torch.autograd.gradcheck(errors_of(case, name), maps, eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("kind", [*NAMED, "features"])
@pytest.mark.parametrize("side", [0, 1])
def test_the_truth_looks_best(scene, kind, side):
    views, maps, seen = scene
    features = None if kind != "features" else lambda i: torch.nn.functional.avg_pool2d(i, 2)
    distance = Distance(kind, features=features)

    def loss(disparity):
        error, inside = ph.photometric_error(views, disparity, distance, ("left", "right")[side])
        return ph.weighted_mean(error, (inside & seen[side]).float()).item()

    best = loss(maps[side])
    wave = torch.sin(torch.arange(96.0) / 5)
    for wrong in (
        maps[side] + 1,
        maps[side] - 1,
        maps[side] + wave,
        -maps[side],
        maps[side].mean() + 0 * maps[side],
    ):
        assert loss(wrong) > 1.15 * best


def test_views_that_do_not_agree_are_those_that_one_camera_sees(scene):
    _, maps, seen = scene
    for side, name in enumerate(("left", "right")):
        agrees = ph.agreement(maps[side], maps[1 - side], name)
        _, inside = ph.other_disparity(maps[side], maps[1 - side], name)
        assert 0.02 < (~seen[side]).float().mean() < 0.5
        assert (agrees == (seen[side] & inside)).float().mean() > 0.96
    assert not ph.agreement(maps[0] * torch.nan, maps[1]).any()


def test_the_loop_returns_the_image_where_both_maps_are_right(scene):
    views, maps, seen = scene
    distance = Distance("sad")
    error, inside = ph.loop_error(views[0], maps[0], maps[1], distance)
    kept = (inside & seen[0]).float()
    wrong, _ = ph.loop_error(views[0], maps[0], maps[1] + 2, distance)
    assert ph.weighted_mean(error, kept) < 0.5 * ph.weighted_mean(wrong, kept)


def slow_round(own, other, image, sign, pixels, radius):
    """One view's round of the cross-check, pixel by pixel."""
    theirs, inside = slow_warp(other, own, sign)
    agrees = inside & (np.abs(own - theirs) <= pixels)
    out = own.copy()
    for y in range(H):
        for x in range(W):
            if agrees[0, 0, y, x]:
                out[0, 0, y, x] = (own + theirs)[0, 0, y, x] / 2
                continue
            total = weights = 0.0
            for j in range(max(y - radius, 0), min(y + radius + 1, H)):
                for i in range(max(x - radius, 0), min(x + radius + 1, W)):
                    if agrees[0, 0, j, i]:
                        unlike = np.abs(image[0, :, j, i] - image[0, :, y, x]).mean()
                        weight = np.exp(-unlike / 12)
                        total += weight * (own + theirs)[0, 0, j, i] / 2
                        weights += weight
            if weights > 1e-6:
                out[0, 0, y, x] = total / weights
    return out


def test_cross_check_against_its_twin(case):
    views, disparities = case
    left, right = disparities / 2
    views = views / 4
    found = ph.cross_checked(t(left), t(right), (t(views[0]), t(views[1])), 2, 0.5, 1)
    for _ in range(2):
        left, right = (
            slow_round(left, right, views[0], -1, 0.5, 1),
            slow_round(right, left, views[1], 1, 0.5, 1),
        )
    np.testing.assert_allclose(found.left, left, atol=1e-12)
    np.testing.assert_allclose(found.right, right, atol=1e-12)
    assert not np.allclose(left, disparities[0] / 2)


def test_two_maps_correct_each_other(scene):
    views, maps, seen = scene
    generator = torch.Generator().manual_seed(3)
    spoilt = [m.clone() for m in maps]
    places = [torch.rand(m.shape, generator=generator) < 0.3 for m in maps]
    for m, place in zip(spoilt, places, strict=True):
        m[place] += 6 * torch.rand(int(place.sum()), generator=generator) + 2
    found = ph.cross_checked(*spoilt, views)
    both = seen[0] & places[0]
    before, after = ((m - maps[0])[both].abs().mean() for m in (spoilt[0], found.left))
    assert after < 0.3 * before
    agreed = found.left_agrees & seen[0]
    assert agreed.float().mean() > 0.8 * seen[0].float().mean()
    assert (found.left - maps[0])[agreed].abs().mean() < 0.5


def test_cues_make_steps_cheap():
    image, step = torch.zeros(1, 3, 4, 6), torch.zeros(1, 1, 4, 6)
    step[..., 3:] = 5
    classes = (step > 0).double()
    edges = torch.zeros(1, 1, 4, 6)
    edges[..., 2] = 1
    normals = torch.zeros(1, 3, 4, 6)
    normals[:, 2, :, :3], normals[:, 0, :, 3:] = 1, 1
    plain = edge_aware_smoothness(step, image, relative=False)
    assert plain.item() == pytest.approx(1)  # one of five steps across is 5
    costs = {
        "semantic": (Cues(semantic=classes, across=0.25), 0.25),
        "edges": (Cues(edges=edges, sharpness=2.0), np.exp(-2)),
        "normals": (Cues(normals=normals, bend=0.5), np.exp(-0.5 * np.sqrt(2))),
        "two": (Cues(semantic=classes, edges=edges, across=0.25, sharpness=2.0), 0.25 * np.exp(-2)),
        "none": (Cues(trust=step), 1.0),
    }
    for name, (cues, share) in costs.items():
        got = edge_aware_smoothness(step, image, relative=False, cues=cues)
        assert got.item() == pytest.approx(share), name


def test_second_order_lets_slanted_planes_be():
    ramp = torch.arange(6.0).expand(1, 1, 4, 6) * 2
    image = torch.zeros(1, 3, 4, 6)
    assert edge_aware_smoothness(ramp, image, order=2, relative=False) == 0
    kink = (ramp - 5).abs()
    image[..., 3:] = 255  # an edge beside the kink, which lies between columns 2 and 3
    free, edge = (
        edge_aware_smoothness(kink, i, order=2, relative=False)
        for i in (torch.zeros_like(image), image)
    )
    assert free.item() == pytest.approx(1) and edge.item() == pytest.approx(np.exp(-1))


def test_scale_invariant_gradient_against_its_twin_and_blind_to_a_factor():
    rng = np.random.default_rng(1)
    p, y = rng.uniform(1, 9, (2, 2, 1, H, W))
    valid = rng.random((2, 1, H, W)) < 0.8
    want = 0.0
    for h in (1, 2):
        for b in range(2):
            found = []
            for j in range(H - h):
                for i in range(W - h):
                    if valid[b, 0, j, i] and valid[b, 0, j, i + h] and valid[b, 0, j + h, i]:
                        g = [
                            (f[b, 0, v, u] - f[b, 0, j, i]) / (f[b, 0, v, u] + f[b, 0, j, i])
                            for f in (p, y)
                            for v, u in ((j, i + h), (j + h, i))
                        ]
                        found.append(np.hypot(g[0] - g[2], g[1] - g[3]))
            want += np.mean(found) / 2
    y[~valid] = np.nan
    got = scale_invariant_gradient(t(p), t(y), t(valid), (1, 2, 16))
    assert got.item() == pytest.approx(want, rel=1e-9)
    assert scale_invariant_gradient(t(p), t(3 * p), t(valid)).item() < 1e-5


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(NAMED))
def test_distances_are_nothing_for_the_same_and_bounded_else(seed, kind):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.rand(2, 1, 3, 4, 5, generator=generator) * 255
    distance = Distance(kind, radius=1)
    assert distance(a, a).abs().max() < 1e-4
    e = distance(a, b)
    assert e.min() >= 0 and e.max() <= (2 if kind == "gradient" else 1)


def test_a_mean_of_nothing_is_nothing_and_census_minds_no_gain():
    values = torch.full((2, 1, 2, 2), torch.nan, requires_grad=True)
    mean = ph.weighted_mean(values, torch.zeros(2, 1, 2, 2))
    mean.backward()
    assert mean == 0 and not values.grad.any()
    image = torch.rand(1, 3, 8, 8) * 100 + 50
    assert (
        Distance("census")(1.5 * image + 20, image).mean()
        < 0.01
        < Distance("sad")(1.5 * image + 20, image).mean()
    )


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Distance("sadd"), "did you mean sad"),
        (lambda: Distance(alpha=1.5), "alpha"),
        (lambda: Distance("census", radius=0), "radius"),
        (lambda: Distance("features"), "features"),
        (lambda: Distance("sad", features=abs), "features"),
        (lambda: Distance()(torch.zeros(1, 3, 1, 4), torch.zeros(1, 3, 1, 4)), "too small"),
        (lambda: Mixed(()), "parts"),
        (lambda: Mixed(((-1.0, Distance()),)), "parts"),
        (lambda: Cues(across=2.0), "across"),
        (lambda: Cues(sharpness=-1.0), "sharpness"),
        (lambda: edge_aware_smoothness(ONE, IMAGE, order=3), "order"),
        (lambda: scale_invariant_gradient(ONE, ONE, ONE > 0, ()), "spacings"),
        (lambda: ph.cross_checked(ONE, ONE, (IMAGE, IMAGE), 0), "rounds"),
    ],
)  # fmt: skip
def test_what_cannot_be(unchecked, make, match):
    with pytest.raises(UsageError, match=match):
        make()
