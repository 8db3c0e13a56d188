"""Scores: equal to the definitions, to the benchmarks' own rules, and honest about bad input."""

import json
import math

import numpy as np
import pytest

from fathom.core import (
    Depth,
    Disparity,
    InputError,
    MonoSample,
    RelativeDepth,
    StereoPair,
    StereoRig,
    StereoSample,
    UsageError,
    View,
)
from fathom.eval import boundaries, metrics, sparsification, surfaces
from fathom.eval import depth_metrics as dm
from fathom.eval.interpolation import fill_background
from fathom.eval.protocols import protocol, protocols
from fathom.eval.scoring import score, score_masks, with_mask
from fathom.eval.sigma import sigma_calibration

NAN = np.nan
H, W = 40, 60


def scene(seed=0, shape=(H, W), confidence=True):
    """An estimate with holes, and a sample with masks, holes and a rig."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    truth = (20 + 0.2 * x + 25 * (x > 30) + 0.1 * y).astype(np.float32)
    found = (truth + rng.normal(0, 1, shape) + 15 * (rng.random(shape) < 0.1)).astype(np.float32)
    found[rng.random(shape) < 0.1] = NAN
    truth[rng.random(shape) < 0.1] = NAN
    sure = rng.random(shape).astype(np.float32) if confidence else None
    source = np.where(np.isnan(found), 0, np.where(rng.random(shape) < 0.2, 2, 1)).astype(np.uint8)
    masks = {"nonocc": rng.random(shape) < 0.8, "foreground": x > 30}
    image = rng.integers(0, 255, (*shape, 3)).astype(np.uint8)
    rig = StereoRig.simple(shape[1], shape[0], 500, 0.2, doffs=1.5)
    pair = StereoPair(View(image), View(image), rig)
    return Disparity(found, sure, source), StereoSample(pair, Disparity(truth), masks, "scene")


@pytest.mark.parametrize("mask", ["all", "nonocc", "occluded"])
def test_every_disparity_metric_equals_its_definition(mask):
    found, sample = scene()
    truth = sample.truth
    area = {"all": None, "nonocc": sample.masks["nonocc"], "occluded": ~sample.masks["nonocc"]}[
        mask
    ]
    s = score(found, sample, "fathom", mask=mask)
    assert s.pixels == (truth.known if area is None else truth.known & area).sum()
    assert s.known == pytest.approx(metrics.share_known(found, truth, area))
    errors, sure = sparsification.errors_and_confidence(found, truth, area)
    wrong = (errors > 1).astype(np.float64)
    judged = truth.known if area is None else truth.known & area
    hanging, beside = boundaries.flying(found.values, truth.values)
    doffs = np.float32(1.5)
    expected = {
        "epe": metrics.end_point_error(found, truth, area),
        "rms": metrics.root_mean_square(found, truth, area),
        "d1": metrics.d1(found, truth, area),
        "complete": metrics.completeness(found, truth, area),
        "boundary-f1": boundaries.boundary_f1(found.values + doffs, truth.values + doffs, area),
        "flying": (hanging & judged).sum() / (beside & judged & found.known).sum(),
        "planarity": surfaces.surface_noise(found.values, truth.values, area),
        "auc-1": sparsification.sparsification_auc(wrong, sure),
        "ause-1": sparsification.ause(wrong, sure),
        "ece": sparsification.calibration_error(errors <= 1, sure),
    }
    expected |= {f"bad-{k}": metrics.bad(found, truth, k, area) for k in (0.5, 1, 2, 3, 4)}
    expected |= {f"a{p}": metrics.error_quantile(found, truth, p, area) for p in (50, 90, 95, 99)}
    assert set(expected) == set(s.values)
    for name, value in expected.items():
        assert s.values[name] == pytest.approx(value, rel=1e-5, nan_ok=True), name
    varied = protocol("fathom").varied(metrics=("auc-epe", "ause-epe"))
    areas = score(found, sample, varied, mask=mask).values
    assert areas["auc-epe"] == pytest.approx(sparsification.sparsification_auc(errors, sure))
    assert areas["ause-epe"] == pytest.approx(sparsification.ause(errors, sure))


def test_every_depth_metric_equals_its_definition():
    found, sample = scene()
    rig = sample.pair.rig
    depth = found.to_depth(rig, sigma_d=1.0)
    s = score(depth, sample, "fathom-depth")
    judged = sample.truth.known
    z, true = depth.values[judged], sample.truth.to_depth(rig).values[judged]
    expected = {
        "mae": dm.mean_absolute_error,
        "mse": dm.mean_square_error,
        "rmse": dm.root_mean_square_error,
        "abs-rel": dm.abs_rel,
        "sq-rel": dm.sq_rel,
        "rmse-log": dm.rmse_log,
        "log10": dm.log10,
        "silog": dm.silog,
    }
    for name, definition in expected.items():
        assert s.values[name] == pytest.approx(definition(z, true), rel=1e-4), name
    for p in (1, 2, 3):
        assert s.values[f"delta-{p}"] == pytest.approx(dm.delta(z, true, p))
    sigma = depth.sigma[judged].astype(float)
    told = sigma_calibration(z.astype(float) - true, sigma)
    assert s.values["sigma-rms"] == pytest.approx(told.rms, rel=1e-4)
    for k in (1, 2, 3):
        assert s.values[f"sigma-{k}"] == pytest.approx(told.within[k - 1], abs=1e-3)
    # the same numbers from the disparity itself, but for the sigma it does not have
    again = score(found, sample, "fathom-depth")
    assert again.values["abs-rel"] == pytest.approx(s.values["abs-rel"])
    assert "sigma-rms" not in again.values


def test_every_protocol_scores_something():
    found, sample = scene()
    whole = scene(shape=(480, 640))
    for p in protocols():
        estimate, truth = whole if p.crop is not None and p.crop.size else (found, sample)
        for s in score_masks(estimate, truth, p):
            assert s.protocol is p
            assert p.name in str(s)
            assert s.mask in str(s)
            assert "known" in str(s)
            for number in s:
                assert p.name in str(number)
                assert f"{s.known:.1%} known" in str(number)
            assert json.loads(json.dumps(s.as_dict(), allow_nan=False))["protocol"] == p.name
            assert list(s.row())[:3] == ["sample", "protocol", "mask"]


def test_middlebury_v3_as_its_evaldisp_counts():
    found, sample = scene()
    rig = StereoRig(sample.pair.rig.left, sample.pair.rig.right, 0.2, max_disparity=45)
    pair = StereoPair(sample.pair.left, sample.pair.right, rig)
    half = Disparity(found.values[::2, ::2] / 2)
    bigger = StereoRig.simple(W, H, 500, 0.2)
    for estimate, scale in ((found, 1), (half, 2)):
        the_rig = rig if scale == 1 else bigger
        the_pair = StereoPair(pair.left, pair.right, the_rig)
        s = score(estimate, StereoSample(the_pair, sample.truth, sample.masks), "middlebury-v3")
        bad = invalid = n = 0
        total = 0.0
        for y in range(H):
            for x in range(W):
                true = sample.truth.values[y, x]
                if np.isnan(true) or not sample.masks["nonocc"][y, x]:
                    continue
                n += 1
                d = scale * float(estimate.values[y // scale, x // scale])
                if math.isnan(d):
                    invalid += 1
                    continue
                d = max(0.0, min(45.0 if scale == 1 else 1e9, d))
                total += abs(d - true)
                bad += abs(d - true) > 2
        assert s.mask == "nonocc"
        assert s.values["bad-2"] == pytest.approx((bad + invalid) / n)
        assert s.values["epe"] == pytest.approx(total / (n - invalid), rel=1e-5)
        assert s.known == pytest.approx(1 - invalid / n)


def test_kitti_2015_as_its_devkit_counts():
    found, sample = scene()
    filled = fill_background(found.values)
    wrong = {"background": [0, 0], "foreground": [0, 0], "all": [0, 0]}
    for y in range(H):
        for x in range(W):
            true = sample.truth.values[y, x]
            if np.isnan(true):
                continue
            error = abs(float(filled[y, x]) - float(true))
            bad = error > 3 and error / abs(true) > 0.05
            for name in ("all", "foreground" if x > 30 else "background"):
                wrong[name][0] += bad
                wrong[name][1] += 1
    for name, (bad, n) in wrong.items():
        s = score(found, sample, "kitti-2015", mask=name)
        assert s.values["d1"] == pytest.approx(bad / n)
        assert s.known < 0.95  # of what was submitted, not of what was filled
    both = score(found, sample, "kitti-2015", mask="nonocc+foreground")
    assert both.pixels < score(found, sample, "kitti-2015", mask="foreground").pixels


def test_eth3d_leaves_unknown_pixels_out_and_nothing_is_the_worst():
    found, sample = scene()
    area = sample.masks["nonocc"] & found.known
    s = score(found, sample, "eth3d")
    assert s.values["bad-1"] == pytest.approx(metrics.bad(found, sample.truth, 1, area))
    nothing = Disparity(np.full((H, W), NAN, np.float32))
    worst = score(nothing, sample, "eth3d")
    assert worst.values["bad-1"] == 1
    assert np.isnan(worst.values["epe"])


def test_sceneflow_leaves_large_disparities_out():
    truth = Disparity(np.array([[10, 191.5, 192, 300]], np.float32))
    found = Disparity(np.array([[11, 191.5, 0, 0]], np.float32))
    s = score(found, truth, "sceneflow")
    assert s.pixels == 2
    assert s.values["epe"] == pytest.approx(0.5)


def test_kitti_eigen_garg_as_monodepth2_does():
    rng = np.random.default_rng(3)
    true = rng.uniform(1, 100, (375, 1242)).astype(np.float32)
    true[rng.random(true.shape) < 0.9] = NAN
    found = (0.03 * true * rng.uniform(0.8, 1.3, true.shape)).astype(np.float32)
    found = np.where(np.isnan(found), 1, found).astype(np.float32)
    sample = MonoSample(View(np.zeros((375, 1242, 3), np.uint8)), Depth(true), name="kitti")
    chosen = protocol("kitti-eigen-garg").varied(alignment="median")
    s = score(RelativeDepth(found, "scale"), sample, chosen)
    window = np.zeros(true.shape, bool)
    window[153:371, 44:1197] = True
    use = (true > 1e-3) & (true < 80) & window
    z = np.clip(found[use] * (np.median(true[use]) / np.median(found[use])), 1e-3, 80)
    assert s.pixels == use.sum()
    assert s.values["abs-rel"] == pytest.approx(
        np.mean(np.abs(z - true[use]) / true[use]), rel=1e-4
    )
    assert s.alignment.scale == pytest.approx(np.median(true[use]) / np.median(found[use]))
    assert "aligned by median" in str(s)
    assert "alignment=median" in str(s["rmse"])


def test_affine_invariant_takes_the_space_that_the_estimate_names():
    _, sample = scene()
    true = sample.truth.to_depth(sample.pair.rig).values
    whole = np.where(np.isnan(true), 3, true).astype(np.float32)
    for values, ambiguity, name in (
        (2 * whole + 1, "affine", "depth"),
        (5 / whole + 2, "affine_inverse", "inverse-depth"),
        (9 * whole, "scale", "median"),
    ):
        s = score(RelativeDepth(values.astype(np.float32), ambiguity), sample, "affine-invariant")
        assert s.alignment.name == name
        assert s.values["abs-rel"] == pytest.approx(0, abs=1e-4)
        assert s.values["delta-1"] == 1
    fixed = protocol("affine-invariant").varied(alignment="inverse-depth")
    assert score(Depth(whole), sample, fixed).values["abs-rel"] == pytest.approx(0, abs=1e-4)
    # a disparity is relative inverse depth even where no rig is known
    estimate = Disparity((3 / whole - 1).astype(np.float32))
    alone = MonoSample(sample.pair.left, Depth(true))
    assert score(estimate, alone, fixed).values["abs-rel"] == pytest.approx(0, abs=1e-4)
    turned = score(RelativeDepth(values=-whole, ambiguity="affine"), sample, "affine-invariant")
    assert "negative" in turned.notes[0]


def test_an_estimate_that_knows_nothing():
    _, sample = scene()
    nothing = Disparity(np.full((H, W), NAN, np.float32))
    for name in ("fathom", "middlebury-v3", "kitti-2012", "sceneflow", "fathom-depth"):
        s = score(nothing, sample, name)
        assert s.known == 0
        assert "knows none" in s.notes[0]
        headline = next(iter(s.values.values()))
        assert headline == 1 or np.isnan(headline)
        assert json.dumps(s.as_dict(), allow_nan=False)
    relative = RelativeDepth(np.full((H, W), NAN, np.float32), "affine")
    assert score(relative, sample, "affine-invariant").values["delta-1"] == 0


def test_another_unit_is_called_out():
    found, sample = scene()
    s = score(Disparity(found.values * np.float32(256)), sample, "fathom")
    assert "divide by 256" in s.notes[0]
    assert "(! " in str(s)
    clipped = score(Disparity(-found.values), sample, "middlebury-v3", mask="all")
    assert "sign" in clipped.notes[0]
    assert score(found, sample, "fathom").notes == ()
    metres = sample.truth.to_depth(sample.pair.rig)
    s = score(Depth(metres.values * np.float32(1000)), sample, "fathom-depth")
    assert "millimetres" in s.notes[0]


def test_without_confidence_those_metrics_are_missing():
    found, sample = scene(confidence=False)
    s = score(found, sample, "fathom")
    assert "ece" not in s.values
    with pytest.raises(UsageError, match="metric of fathom: 'ece'"):
        s["ece"]
    assert float(s["bad-2"]) == s.values["bad-2"]


def test_what_cannot_be_judged():
    found, sample = scene()
    truth = sample.truth
    with pytest.raises(UsageError, match="did you mean eth3d"):
        score(found, truth, "ethd")
    with pytest.raises(InputError, match=r"'59x40': differs in size.*60x40"):
        score(Disparity(found.values[:, 1:]), truth, "fathom")
    with pytest.raises(InputError, match=r"expected 60x40 or 30x20 or 15x10"):
        score(Disparity(found.values[:, 1:]), truth, "middlebury-v3", mask="all")
    with pytest.raises(InputError, match=r"no mask 'nonocc' .it has: none.*with_visible"):
        score(found, truth, "middlebury-v3")
    with pytest.raises(UsageError, match="unknown mask 'nonoc'"):
        score(found, sample, "middlebury-v3", mask="nonoc")
    blind = StereoSample(sample.pair, Disparity(np.full((H, W), NAN, np.float32)))
    with pytest.raises(InputError, match="leaves no pixel to judge under fathom"):
        score(found, blind, "fathom")
    with pytest.raises(InputError, match="no mask of middlebury-v3 leaves a pixel"):
        score_masks(found, blind, "middlebury-v3")
    with pytest.raises(InputError, match="has no truth"):
        score(found, StereoSample(sample.pair), "fathom")
    with pytest.raises(UsageError, match="known up to 'affine' only"):
        score(RelativeDepth(found.values, "affine"), sample, "fathom-depth")
    with pytest.raises(UsageError, match="aligns by median"):
        median = protocol("fathom-depth").varied(alignment="median")
        score(RelativeDepth(found.values, "affine_inverse"), sample, median)
    with pytest.raises(UsageError, match="the estimate is a Depth"):
        score(found.to_depth(sample.pair.rig), sample, "fathom")
    with pytest.raises(UsageError, match="the truth is a depth"):
        score(found, truth.to_depth(sample.pair.rig), "fathom")
    with pytest.raises(UsageError, match="no calibration"):
        score(found, MonoSample(sample.pair.left, truth.to_depth(sample.pair.rig)), "fathom-depth")


def test_masks_may_be_given_by_their_opposite_and_disc_is_computed():
    found, sample = scene()
    bare = StereoSample(sample.pair, sample.truth)
    opposite = with_mask(bare, "occluded", ~sample.masks["nonocc"])
    assert score(found, opposite, "middlebury-v2").pixels == score(found, sample, "eth3d").pixels
    disc = score(found, bare, "middlebury-v2", mask="disc")
    edges = boundaries.depth_edges(sample.truth.values, 2, 9)
    assert disc.pixels == edges.sum()
    both = score(found, sample, "middlebury-v2", mask="disc")
    assert both.pixels == (edges & sample.masks["nonocc"]).sum()
    own = with_mask(sample, "disc", np.eye(H, W) > 0)
    assert score(found, own, "middlebury-v2", mask="disc").pixels <= H


def test_the_real_pair(motorcycle):
    truth = motorcycle.truth
    s = score(truth, motorcycle, "fathom")
    assert s.values["bad-0.5"] == 0
    assert s.values["epe"] == 0
    assert s.known == 1
    assert s.sample == "motorcycle"


@pytest.mark.shared
def test_real_pairs_of_other_data_sets(shared):
    """Tsukuba with its own nonocc mask, and KITTI's LiDAR, which knows 3 % of the pixels."""
    import fathom

    folder = shared / "data" / "pairs_gt"
    for home, name in (
        (folder / "middlebury_2001_2003" / "tsukuba", "middlebury-v2"),
        (next(p.parent for p in (folder / "kitti_lidar").rglob("disp_left.npy")), "kitti-2015"),
    ):
        pair = StereoPair(fathom.read_view(home / "left.png"), fathom.read_view(home / "right.png"))
        truth = Disparity(np.load(home / "disp_left.npy").astype(np.float32))
        nonocc = fathom.read_view(home / "nonocc.png").gray > 0 if name == "middlebury-v2" else None
        sample = StereoSample(pair, truth, {} if nonocc is None else {"nonocc": nonocc}, home.name)
        found = fathom.create("opencv-sgbm", confidence=False)(pair)
        scores = score_masks(found, sample, name)
        assert all(s.notes == () for s in scores)
        by_mask = {s.mask: s for s in scores}
        assert next(iter(by_mask["all"].values.values())) < 0.25
        if nonocc is not None:
            assert set(by_mask) == {"nonocc", "all", "disc"}
            assert by_mask["nonocc"].values["bad-1"] < by_mask["disc"].values["bad-1"]
