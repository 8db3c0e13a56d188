"""Fusion of stereo and depth from one image: the gate, what is kept, confidence, sparse points."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

import fathom
from fathom import catalog
from fathom.catalog.record import Entry
from fathom.combine.fuse import Aligned, Fused, FuseSettings, _Points, _sure, fuse
from fathom.core import (
    Depth,
    Disparity,
    InputError,
    RelativeDepth,
    Source,
    SparseDepth,
    StereoPair,
    StereoRig,
    UsageError,
    View,
)
from fathom.data.scenes import SceneSettings, scene

SEEDS = (1, 2, 4)  # with plain walls, and much that one camera alone sees


@dataclass(frozen=True, eq=False)
class Case:
    pair: StereoPair
    truth: np.ndarray
    stereo: Disparity


@pytest.fixture(scope="module")
def cases():
    matcher = fathom.create("sgm")
    samples = [scene(seed, SceneSettings(width=320, height=192)) for seed in SEEDS]
    return [Case(s.pair, s.truth.values, matcher(s.pair)) for s in samples]


def smooth(rng, shape, width):
    found = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), width)
    return found / found.std()


def model(kind, case, seed=0, ambiguity="affine_inverse"):
    """A monocular model of known faults: the truth, bent over the image, with noise, in a scale and
    shift of its own; or garbage."""
    rng, t = np.random.default_rng(seed), case.truth
    spread = t.std()

    def bias():
        return smooth(rng, t.shape, 32)

    values = {
        "good": lambda: t + 0.05 * spread * (bias() + 0.4 * smooth(rng, t.shape, 0.5)),
        "bent": lambda: t + 0.6 * spread * smooth(rng, t.shape, 12),
        "noise": lambda: rng.standard_normal(t.shape),
        "waves": lambda: smooth(rng, t.shape, 30),
        "upside down": lambda: -t,
        "another scene": lambda: t[::-1, ::-1],
        "constant": lambda: np.ones(t.shape),
    }[kind]()
    if ambiguity == "affine_inverse":
        return RelativeDepth((0.013 * values + 0.2).astype(np.float32), "affine_inverse")
    z = 1 / np.maximum(values, 2.0)  # a depth net does not tell the sky
    if ambiguity is None:
        return Depth((7 * z).astype(np.float32))
    shift = 0.3 if ambiguity == "affine" else 0.0
    return RelativeDepth((5 * z + shift).astype(np.float32), ambiguity)


def scores(disparity, case):
    error = np.abs(disparity.values - case.truth)
    return float(error.mean()), float((error > 2).mean())


def test_a_good_model_makes_stereo_better(cases):
    before, after = [], []
    for case in cases:
        found, fusion = fuse(case.stereo, model("good", case), rig=case.pair.rig)
        assert fusion.mono < fusion.stereo and fusion.monocular > 0.01
        before.append(scores(case.stereo, case))
        after.append(scores(found, case))
    before, after = np.array(before), np.array(after)
    assert (after <= before + 1e-3).all()
    assert (after.mean(axis=0) < 0.9 * before.mean(axis=0)).all()


def test_mixing_a_bent_model_in_makes_stereo_worse_and_the_gate_does_not(cases):
    """The control: both maps everywhere, half and half, aligned in the same way."""
    before, gated, mixed = [], [], []
    for case in cases:
        bent = model("bent", case)
        aligned, _ = Aligned(case.stereo, bent, None, 0.0, 0.0)(_sure(case.stereo, 0.5))
        half = Disparity((0.5 * case.stereo.values + 0.5 * aligned).astype(np.float32))
        found, _ = fuse(case.stereo, bent, rig=case.pair.rig)
        for out, into in ((case.stereo, before), (found, gated), (half, mixed)):
            into.append(scores(out, case))
    before, gated, mixed = (np.mean(v, axis=0) for v in (before, gated, mixed))
    assert (mixed > 1.2 * before).all()
    assert (gated <= before + 1e-3).all()


@pytest.mark.parametrize(
    "kind", ["bent", "noise", "waves", "upside down", "another scene", "constant"]
)
def test_garbage_does_no_harm(cases, kind):
    for case in cases:
        found, fusion = fuse(case.stereo, model(kind, case), rig=case.pair.rig)
        before, after = scores(case.stereo, case), scores(found, case)
        assert after[0] <= before[0] + 0.005 and after[1] <= before[1] + 0.001, str(fusion)


def test_what_is_sure_stays_and_every_source_is_told(cases):
    for case in cases:
        found, fusion = fuse(case.stereo, model("good", case))
        sure = (case.stereo.source == Source.MATCHED) & (case.stereo.confidence >= 0.5)
        for layer in ("values", "confidence", "source"):
            np.testing.assert_array_equal(
                getattr(found, layer)[sure], getattr(case.stereo, layer)[sure]
            )
        filled = found.source == Source.MONOCULAR
        assert filled.mean() == pytest.approx(fusion.monocular) and found.known.all()
        rest = ~filled
        np.testing.assert_array_equal(found.values[rest], case.stereo.values[rest])
        np.testing.assert_array_equal(found.source[rest], case.stereo.source[rest])


def test_confidence_of_filled_pixels_is_about_what_is_so(cases):
    said, so = [], []
    for case in cases:
        found, _ = fuse(case.stereo, model("good", case))
        filled = found.source == Source.MONOCULAR
        said.append(found.confidence[filled])
        so.append(np.abs(found.values - case.truth)[filled] <= 1)
    assert np.concatenate(said).mean() == pytest.approx(np.concatenate(so).mean(), abs=0.15)


@pytest.mark.parametrize("ambiguity", ["scale", "affine", None])
def test_every_kind_of_model_is_brought_to_disparity(cases, ambiguity):
    case = cases[0]
    found, fusion = fuse(case.stereo, model("good", case, ambiguity=ambiguity), rig=case.pair.rig)
    assert fusion.monocular > 0.01
    assert scores(found, case)[0] < scores(case.stereo, case)[0]


def test_an_unfilled_map_and_one_without_confidence(cases):
    case = cases[0]
    bare = Disparity(np.where(case.stereo.source == Source.FILLED, np.nan, case.stereo.values))
    found, _ = fuse(bare, model("good", case))
    assert found.known.all() and found.confidence is None
    assert set(np.unique(found.source)) <= {Source.MATCHED, Source.FILLED, Source.MONOCULAR}
    np.testing.assert_array_equal(found.values[bare.known], bare.values[bare.known])


def test_stereo_alone_where_nothing_can_be_aligned(cases):
    case = cases[0]
    flat, fusion = fuse(case.stereo, model("constant", case))
    assert "shift open" in str(fusion) and fusion.fit is None and fusion.monocular == 0
    told = fusion.as_dict()
    assert "shift open" in told["refused"] and told["error_on_hidden_squares_px"] is None
    np.testing.assert_array_equal(flat.values, case.stereo.values)
    little = case.stereo.with_unknown(np.arange(case.truth.size).reshape(case.truth.shape) > 100)
    _, fusion = fuse(little, model("good", case))
    assert "too few to align to" in str(fusion)
    whole = Disparity(case.truth)
    same, fusion = fuse(whole, model("good", case))
    assert "no pixel is without a sure match" in fusion.refused
    np.testing.assert_array_equal(same.values, whole.values)
    hidden = np.zeros(case.truth.shape, bool)
    hidden[:, ::2] = True  # nothing left in one colour of the board is no matter, in both it is
    assert fuse(whole.with_unknown(hidden), model("good", case))[1].fit is not None


def points(case, count=400, sigma=0.01, only=None, seed=3):
    """Sparse depth with the truth's metres."""
    rng = np.random.default_rng(seed)
    metres = case.pair.rig.depth_of(case.truth)
    good = np.isfinite(metres) & (metres < 200) & (True if only is None else only)
    rows, columns = np.nonzero(good)
    some = rng.choice(len(rows), min(count, len(rows)), replace=False)
    z = metres[rows[some], columns[some]]
    pixels = np.stack([columns[some], rows[some]], axis=1).astype(np.float32)
    return SparseDepth(pixels, z, np.maximum(sigma * z, 1e-3).astype(np.float32))


def test_points_give_the_value_where_they_are_surer(cases):
    case = cases[0]
    holes = case.stereo.source == Source.FILLED
    given = points(case, 300, 0.001, only=holes)
    found, fusion = fuse(case.stereo, model("noise", case), rig=case.pair.rig, sparse=given)
    x, y = given.pixels.astype(int).T
    assert (found.source[y, x] == Source.SPARSE).mean() > 0.95 and fusion.sparse > 0
    assert f"{fusion.sparse:.1%} of the pixels from the points" in str(fusion)
    assert np.abs(found.values - case.truth)[y, x].max() < 0.1
    assert (found.confidence[found.source == Source.SPARSE] > 0.9).all()
    sure = (case.stereo.source == Source.MATCHED) & (case.stereo.confidence >= 0.5)
    np.testing.assert_array_equal(found.values[sure], case.stereo.values[sure])
    assert scores(found, case)[0] < scores(case.stereo, case)[0]
    # radar, which is good to a third of the distance, is hardly ever surer than what is there
    vague = points(case, 300, 0.33, only=holes)
    found, fusion = fuse(case.stereo, model("noise", case), rig=case.pair.rig, sparse=vague)
    assert fusion.sparse < 0.02
    assert scores(found, case)[0] <= scores(case.stereo, case)[0] + 0.01


def test_points_anchor_the_alignment(cases):
    """Stereo sees the left half alone; the model is bent on the right; points there tell."""
    case = cases[1]
    width = case.truth.shape[1]
    right = np.broadcast_to(np.arange(width) > width // 2, case.truth.shape)
    half = Disparity(case.truth).with_unknown(right)
    bend = np.maximum(0, np.linspace(-1, 1, width, dtype=np.float32)) * 8
    bent = RelativeDepth((0.02 * (case.truth + bend) + 1).astype(np.float32), "affine_inverse")

    def off(sparse):
        near = _Points.of(sparse, case.pair.rig, case.truth.shape)
        values, _ = Aligned(half, bent, near, case.pair.rig.doffs, 0.1)(~right)
        return float(np.abs(values - case.truth)[right].mean())

    assert off(points(case, 400, 0.001, only=right)) < 0.7 * off(None)


def test_points_need_a_calibration_and_sizes_must_agree(cases):
    case = cases[0]
    mono = model("good", case)
    with pytest.raises(UsageError, match=r"are in metres.*calib=FILE"):
        fuse(case.stereo, mono, sparse=points(case, 5))
    with pytest.raises(InputError, match="differs in size from the stereo map"):
        fuse(case.stereo, RelativeDepth(np.ones((4, 5), np.float32), "scale"))
    with pytest.raises(InputError, match="for another image size"):
        fuse(case.stereo, mono, rig=StereoRig.simple(9, 9, 5.0, 1.0))


@pytest.mark.parametrize("wrong", [{"sure": 1.5}, {"local": -1.0}, {"margin": 2.0}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(UsageError, match="is out of range"):
        FuseSettings(**wrong)


@dataclass(frozen=True)
class FakeMono:
    """Knows the truth of the first case by its size."""

    weights: str | None = None
    truth = None

    def __call__(self, view, /):
        return RelativeDepth((0.01 * FakeMono.truth + 1).astype(np.float32), "affine_inverse")


def test_the_catalog_s_entry_builds_both_by_name(cases, monkeypatch):
    case = cases[0]
    fake = Entry("fake-mono", f"{__name__}:FakeMono", "mono", "for tests")
    monkeypatch.setattr(catalog, "ENTRIES", (*catalog.ENTRIES, fake))
    monkeypatch.setattr(FakeMono, "truth", case.truth)
    matcher = fathom.create("mono+stereo", mono="fake-mono", max_disparity=80)
    found = matcher(case.pair)
    assert (found.source == Source.MONOCULAR).any() and found.confidence is not None
    assert scores(found, case)[0] < scores(case.stereo, case)[0]
    part = fathom.create("mono+stereo", mono="fake-mono", fill=False, confidence=False)(case.pair)
    assert part.confidence is None and not (part.source == Source.FILLED).any()
    assert isinstance(matcher.fused, Fused)
    assert matcher(case.pair, sparse=points(case, 50)).shape == case.truth.shape
    for wrong in ({"stereo": "fake-mono"}, {"mono": "sgm"}, {"stereo": "mono+stereo"}):
        with pytest.raises(UsageError, match="is of another kind"):
            fathom.create("mono+stereo", **wrong)
    for name, word, other in (("mono", "depth-anything-v2-smal", "small"), ("mono", "census", "")):
        with pytest.raises(UsageError) as caught:
            fathom.create("mono+stereo", **{name: word[:-1]})
        assert "unknown method" in str(caught.value) and other in str(caught.value)
        assert "census?" not in str(caught.value)  # a matcher is no model of one view


def test_points_of_a_file(cases, tmp_path, monkeypatch):
    case = cases[0]
    fake = Entry("fake-mono", f"{__name__}:FakeMono", "mono", "for tests")
    monkeypatch.setattr(catalog, "ENTRIES", (*catalog.ENTRIES, fake))
    monkeypatch.setattr(FakeMono, "truth", case.truth)
    given = points(case, 50)
    rows = np.column_stack([given.pixels, given.depth, np.full(50, 0.01, np.float32)])
    np.savetxt(tmp_path / "lidar.txt", rows)
    made = fathom.create(
        "mono+stereo", mono="fake-mono", max_disparity=80, points=str(tmp_path / "lidar.txt")
    )
    sparse = SparseDepth(given.pixels, given.depth, rows[:, 3])
    found = made(case.pair)
    np.testing.assert_array_equal(found.values, made(case.pair, sparse=sparse).values)
    assert (found.source == Source.SPARSE).any()
    with pytest.raises(UsageError, match=r"rig|calibration"):
        made(StereoPair(case.pair.left, case.pair.right))


def test_fill_can_be_left_out(cases):
    case = cases[0]
    fused = Fused(lambda _: case.stereo, lambda _: model("noise", case), fill=False)
    found = fused(StereoPair(View(case.pair.left.image), View(case.pair.right.image)))
    unknown = case.stereo.source == Source.FILLED
    np.testing.assert_array_equal(~found.known, unknown)
