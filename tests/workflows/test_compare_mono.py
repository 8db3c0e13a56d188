"""Mono against stereo: models whose errors are known, what aligns and fails, what is told."""

import csv
import json
import re
from array import array
from dataclasses import dataclass, replace

import numpy as np
import one_image
import pytest

from fathom import catalog
from fathom.catalog import Entry
from fathom.core import (
    Depth,
    Disparity,
    InputError,
    MonoSample,
    RelativeDepth,
    ResourceError,
    StereoPair,
    StereoRig,
    StereoSample,
    UsageError,
    View,
)
from fathom.eval.similarity import picture_similarity, structural_similarity
from fathom.eval.windows import region_rows, worst_windows
from fathom.io.images import read_image, write_png
from fathom.io.maps import write_depth_npy, write_disparity_pfm
from fathom.io.pairing import find_pairs
from fathom.viz.compare_mono_figure import FigureMap, boxed, mono_figure
from fathom.workflows.compare_inputs import clips_of
from fathom.workflows.compare_methods import methods_of
from fathom.workflows.compare_mono import CompareMonoOptions, compare_mono
from fathom.workflows.compare_mono_align import anchor_of_stereo, anchor_of_truth, placed
from fathom.workflows.compare_mono_frames import (
    Frames,
    TruthFiles,
    frame_of,
    frames_of_datasets,
    frames_of_files,
)
from fathom.workflows.compare_mono_judge import MonoTotals, headline, judge_placed
from fathom.workflows.compare_mono_summary import mono_summary
from fathom.workflows.compare_properties import by_group, properties
from fathom.workflows.depth import Listener
from fathom.workflows.pairs import PairOptions

H, W = 48, 96
RIG = StereoRig.simple(W, H, 90.0, 0.2)
BAND = np.s_[16:32, 64:80]
"""Where the biased model is wrong: as large as a box of such an image."""
NAN = np.float32(np.nan)


def true_disparity() -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    d = 4 + 3 * rows / H + 2 * np.sin(columns / 9)
    d[8:30, 20:44] += 6
    return d.astype(np.float32)


D = true_disparity()
Z = RIG.depth_of(D)


@dataclass(frozen=True, kw_only=True)
class Fake:
    """A model of one view whose error is known; it knows the truth of images of this size."""

    kind: str = "inverse"
    weights: str | None = None

    def __call__(self, view):
        d, z = D[: view.shape[0], : view.shape[1]], Z[: view.shape[0], : view.shape[1]]
        if self.kind == "inverse":
            return RelativeDepth(2.5 * d - 7, "affine_inverse")
        if self.kind == "affine":
            return RelativeDepth((z - 1) / 3, "affine")
        if self.kind == "scale":
            return RelativeDepth(7 * z, "scale")
        if self.kind == "metric":
            return Depth(np.float32(1.1) * z)
        if self.kind == "biased":
            wrong = z.copy()
            wrong[BAND] *= np.float32(1.6)
            return Depth(wrong)
        if self.kind == "small":
            return Depth(z[1:])
        if self.kind == "weightless":
            raise ResourceError("its weights are not here", remedy="give weights=FOLDER")
        if self.kind == "greedy":
            raise MemoryError
        if self.kind == "torch":
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        if self.kind == "broken":
            raise RuntimeError("a fault")
        noise = np.random.default_rng(0).uniform(0, 1, d.shape)
        return RelativeDepth(noise.astype(np.float32), "affine_inverse")


KINDS = {
    "inverse": "affine_inverse", "affine": "affine", "scale": "scale", "metric": None,
    "biased": None, "garbage": "affine_inverse", "small": None, "weightless": None,
    "greedy": None, "torch": None, "broken": None,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A stereo matcher that is off by some pixels, and knows nothing of what lies at the left."""

    off: float = 0.0
    max_disparity: int | None = None
    min_disparity: int | None = None

    def __call__(self, pair):
        values = D[: pair.shape[0], : pair.shape[1]] + np.float32(self.off)
        if pair.shape != (H, W):  # the strip that warms up
            values = np.full(pair.shape, 5, np.float32)
        values[:, :8] = NAN
        return Disparity(values)


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    mine = [
        Entry(k, f"{__name__}:Fake", "mono", "a fake", ambiguity=a, preset=(("kind", k),))
        for k, a in KINDS.items()
    ]
    toy = Entry("toy", f"{__name__}:Toy", "stereo", "a toy")
    monkeypatch.setattr(catalog, "ENTRIES", (*catalog.ENTRIES, *mine, toy))


def image(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (H, W, 3)).astype(np.uint8)


def sample(rig=RIG, name="one", masks=None):
    pair = StereoPair(View(image()), View(image(1)), rig)
    return StereoSample(pair, Disparity(D), masks or {}, name)


def frames(*made):
    return Frames({"format": "test"}, [f.name for f in made], lambda i: made[i])


def judged(kind, frame, **how):
    found = Fake(kind=kind)(frame.view)
    at = placed(found, frame, anchor_of_truth(frame), **how)
    return judge_placed("mono", at, frame, frame.regions(), 2.0, 0.5, None)


def value(verdict, quantity, name):
    return verdict.scores[quantity][0].values[name]


def test_what_was_known_up_to_an_ambiguity_is_right_once_aligned():
    frame = frame_of(sample())
    for kind, domain in (
        ("inverse", "inverse depth to the truth, least squares"),
        ("affine", "shift in depth to the truth, least squares"),
        ("scale", "scale to the truth, ratio of medians"),
    ):
        verdict = judged(kind, frame)
        assert domain in verdict.placed.how and verdict.placed.fit
        assert value(verdict, "depth", "abs-rel") < 1e-5, kind
        assert value(verdict, "depth", "delta-1") == 1
        assert value(verdict, "disparity", "epe") < 1e-3
        assert value(verdict, "depth", "silog") < 0.01
        assert len(verdict.similarity) == 4
        assert all(s.score > 0.9999 for s in verdict.similarity.values()), kind
        assert verdict.boxes == ()
    metric = judged("metric", frame)
    assert metric.placed.how == "not aligned: metres of the model"
    assert value(metric, "depth", "abs-rel") == pytest.approx(0.1, abs=1e-5)
    # Common pictures forgive the 10 %, the common protocol does not.
    assert metric.similarity["depth 8-bit"].score > 0.9999
    assert metric.similarity["depth"].score < 0.995
    aligned = judged("metric", frame, align_metric=True)
    assert aligned.placed.how.startswith("scale to the truth")
    assert value(aligned, "depth", "abs-rel") < 1e-5


def test_the_two_similarities_have_their_ranges():
    other = (0.5 * Z + 0.3).astype(np.float32)
    ours, picture = structural_similarity(other, Z), picture_similarity(other, Z)
    assert ours.data_range == pytest.approx(float(Z.max() - Z.min()))
    assert picture.data_range == 255 and picture.score > 0.999 > ours.score
    codes = [np.rint(255 * (m - m.min()) / (m.max() - m.min())) for m in (D, Z)]
    by_hand = structural_similarity(*(c.astype(np.float32) for c in codes), data_range=255)
    assert picture_similarity(D, Z).score == pytest.approx(by_hand.score, abs=1e-6)
    assert picture_similarity(np.zeros_like(Z), Z).score < 0.5
    with pytest.raises(InputError, match="constant or unknown"):
        picture_similarity(Z, np.ones_like(Z))


def test_the_box_of_a_biased_region_holds_it():
    verdict = judged("biased", frame_of(sample()))
    box = verdict.boxes[0]
    assert (box.x, box.y, box.width) == (64, 16, 16)
    assert box.bad == 1 and len(verdict.boxes) == 1
    rows = {row.name: row for row in verdict.regions["depth"]}
    assert rows["all"].pixels == H * W and rows["all"].error == pytest.approx(
        0.6 * 256 / (H * W), rel=1e-4
    )
    drawn = boxed(np.zeros((H, W, 3), np.uint8), [(64, 16, 16, 16, 1.0)])
    lit = np.argwhere(drawn.any(axis=2))
    assert (lit.min(axis=0) == (16, 64)).all() and (lit.max(axis=0) == (31, 79)).all()


def test_windows_and_regions_count_unknown_pixels():
    error = np.zeros((20, 40), np.float32)
    error[4:8, 30:34] = NAN
    error[10, 3] = 1000  # one wild pixel weighs no more than an unknown one
    judged_at = np.ones((20, 40), bool)
    judged_at[4:8, 31] = False
    boxes = worst_windows(error, judged_at, 0.5, count=2, side=4)
    assert (boxes[0].x, boxes[0].y) == (30, 4)
    assert boxes[0].bad == 1 and len(boxes) == 2
    assert worst_windows(np.zeros((20, 40), np.float32), judged_at, 0.5) == ()
    rows = region_rows(error, judged_at, {"top": np.arange(20)[:, None].repeat(40, 1) < 8}, 0.5)
    assert rows[1].pixels == 8 * 40 - 4 and rows[1].bad == pytest.approx(12 / 316)
    assert rows[1].error == 0 and rows[0].error == pytest.approx(1000 / (796 - 12))
    for wrong in ({"count": 0}, {"side": 0}):
        with pytest.raises(UsageError, match="is below 1"):
            worst_windows(error, judged_at, 0.5, **wrong)
    with pytest.raises(UsageError, match="is not positive"):
        worst_windows(error, judged_at, 0.0)
    with pytest.raises(InputError, match="region top"):
        region_rows(error, judged_at, {"top": judged_at[1:]}, 0.5)


def test_without_a_calibration_it_is_compared_in_disparity():
    frame = frame_of(sample(rig=None))
    for kind, words in (
        ("inverse", "inverse depth to the truth"),
        ("metric", "inverse depth to the truth"),
        ("scale", "inverse depth to the truth"),
        ("affine", "disparity at infinity taken as 0"),
    ):
        verdict = judged(kind, frame)
        assert words in verdict.placed.how and verdict.placed.depth is None
        assert set(verdict.scores) == {"disparity"} and verdict.judged_in == "disparity"
        assert value(verdict, "disparity", "epe") < 0.01, kind


def test_a_depth_without_a_rig_is_truth_enough():
    frame = frame_of(MonoSample(View(image()), Depth(Z), {}, "one"))
    assert {"near", "far", "edges", "textureless"} <= set(frame.regions())
    step = np.where(np.arange(W) < 50, np.float32(1), np.float32(2))[None].repeat(H, 0)
    two = frame_of(MonoSample(View(image()), Depth(step), {}, "two planes"))
    assert two.edge_share() == pytest.approx(8 / W)
    for kind in ("inverse", "affine", "scale"):
        verdict = judged(kind, frame)
        assert value(verdict, "depth", "abs-rel") < 1e-5 and set(verdict.scores) == {"depth"}
    # A stereo map is then an inverse depth of unknown scale and shift.
    at = placed(Disparity(D), frame, anchor_of_truth(frame))
    assert "scale and shift in inverse depth" in at.how
    np.testing.assert_allclose(at.depth.values, Z, rtol=1e-4)
    with pytest.raises(InputError, match="without a calibration a stereo map is none"):
        anchor_of_stereo("toy", Disparity(D), frame)


def test_alignment_to_stereo_uses_no_truth():
    for rig in (RIG, None):
        frame = frame_of(sample(rig))
        anchor = anchor_of_stereo("toy", Toy(off=2.0)(frame.pair), frame)
        at = placed(Fake(kind="inverse")(frame.view), frame, anchor)
        assert "to toy, RANSAC and Huber" in at.how
        np.testing.assert_allclose(at.disparity.values, D + 2, atol=0.01)
    odd = RelativeDepth(-D, "affine_inverse")
    assert "negative" in placed(odd, frame, anchor_of_truth(frame)).note
    blank = frame_of(StereoSample(sample().pair, None, {}, "no truth"))
    with pytest.raises(InputError, match="nothing to align it to"):
        placed(odd, blank, anchor_of_truth(blank))
    with pytest.raises(InputError, match="differs in size from the view"):
        placed(Fake(kind="small")(frame.view), frame, None)


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_comparison_writes_everything(tmp_path):
    shiny = np.zeros((H, W), bool)
    shiny[:12] = True
    one = frame_of(sample(masks={"transparent": shiny}))
    options = CompareMonoOptions(
        mono=("garbage", "inverse:weights=some/folder", "metric", "weightless", "greedy", "torch"),
        stereo=("toy:off=0.5",),
    )
    lines = []
    done = compare_mono(frames(one), tmp_path / "out", options, Listener(warn=lines.append))
    out = tmp_path / "out"
    assert done.exit_code == 1
    info = json.loads((out / "result.json").read_text())
    assert [f["method"] for f in info["failures"]] == ["weightless", "greedy", "torch"]
    assert "not enough memory" in info["failures"][2]["error"]
    assert "one, weightless: its weights are not here" in lines[0]
    rows = info["scores"]["depth"]["all"]
    errors = {label: row["values"]["abs-rel"] for label, row in rows.items()}
    assert max(errors, key=errors.get) == "garbage" and errors["inverse"] < 1e-5
    assert rows["toy:off=0.5"]["known"] == pytest.approx(1 - 8 / W)
    assert info["methods"]["toy:off=0.5"]["aligned"] == "not aligned: pixels of the pair"
    assert set(info["ssim"]["garbage"]) == {
        "depth", "depth 8-bit", "disparity", "disparity 8-bit",
    }  # fmt: skip
    assert info["methods"]["inverse"]["parameters"]["weights"] == "some/folder"
    table = {row["name"]: row for row in info["properties"]}
    assert table["transparent"]["values"]["metric"] == pytest.approx(0.1, abs=1e-4)
    assert "no frame has a mask" in table["reflective"]["why"]
    assert table["fine detail"]["values"]["inverse"] > 0.99
    text = " ".join(info["summary"])
    assert "On the one frame, inverse has the lowest abs-rel: 0.000" in text
    assert "Mono against stereo: inverse has" in text
    assert "weightless answered on no frame: its weights are not here" in text
    assert "metric: not aligned: metres of the model" in text
    scores = read_csv(out / "scores.csv")
    assert {(r["method"], r["quantity"], r["mask"]) for r in scores} >= {
        ("metric", "depth", "all"), ("metric", "disparity", "nonocc"),
    }  # fmt: skip
    assert {r["region"] for r in read_csv(out / "regions.csv")} >= {"all", "near", "transparent"}
    html = (out / "report.html").read_text()
    for words in ("not measured: no frame has a mask of reflective", "scale and shift in inverse",
                  "range of the truth", "compare-viewer", "weights are not here"):  # fmt: skip
        assert words in html, words
    assert read_image(out / "worst.jpg").shape[1] > 3 * W


def test_every_failure_ends_with_the_first(tmp_path):
    options = CompareMonoOptions(mono=("weightless",), stereo=("toy",))
    single = frame_of(MonoSample(View(image()), Depth(Z), {}, "one"))
    lines = []
    with pytest.raises(UsageError, match="is a single view"):
        compare_mono(frames(single), tmp_path / "out", options, Listener(warn=lines.append))
    assert len(lines) == 2 and not (tmp_path / "out").exists()
    with pytest.raises(RuntimeError, match="a fault"):
        broken = CompareMonoOptions(mono=("broken",))
        compare_mono(frames(single), tmp_path / "out", broken)


def test_without_truth_maps_are_aligned_to_stereo_and_shown(tmp_path):
    blank = frame_of(StereoSample(sample().pair, None, {}, "no truth"))
    options = CompareMonoOptions(mono=("inverse",), stereo=("toy",), align="stereo", pictures=1)
    done = compare_mono(frames(blank), tmp_path / "out", options)
    assert done.exit_code == 0 and done.info["scores"] == {}
    assert done.info["summary"][0].startswith("There is no truth")
    assert "RANSAC" in done.info["methods"]["inverse"]["aligned"]


def test_what_can_be_aligned_to_nothing_is_refused_before_it_runs(tmp_path, monkeypatch):
    blank = frame_of(StereoSample(sample().pair, None, {}, "no truth"))
    loose = frame_of(StereoSample(sample(None).pair, None, {}, "no truth and no rig"))
    ran, run = [], Fake.__call__
    monkeypatch.setattr(Fake, "__call__", lambda m, view: ran.append(m.kind) or run(m, view))
    for frame, kind, metric in ((blank, "inverse", False), (loose, "metric", False),
                                (blank, "metric", True)):  # fmt: skip
        options = CompareMonoOptions(mono=(kind,), align_metric=metric)
        with pytest.raises(InputError, match="is relative, and there is nothing to align it to"):
            compare_mono(frames(frame), tmp_path / "out", options)
    assert not ran
    options = CompareMonoOptions(mono=("metric", "inverse"), pictures=0)
    done = compare_mono(frames(blank), tmp_path / "out", options)
    assert done.exit_code == 1 and set(ran) == {"metric"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pictures": 101}, "pictures = 101: is out of range"),
        ({"limit": 0}, "limit = 0"),
        ({"threshold": 0.0}, "threshold = 0.0"),
        ({"align": "nothing"}, "expected truth or stereo"),
        ({"mono": ()}, "names no method"),
        ({"align": "stereo"}, "no stereo method to align to"),
    ],
)
def test_wrong_options(changes, message, unchecked):
    with pytest.raises(UsageError, match=message):
        CompareMonoOptions(**{"mono": ("inverse",), **changes})


def test_methods_have_their_task_and_their_weights():
    (found,) = methods_of(["inverse:weights=a/b"], "mono")
    assert dict(found.parameters) == {"weights": "a/b"}
    with pytest.raises(UsageError, match="is a method of mono, not of stereo"):
        methods_of(["inverse"])
    with pytest.raises(UsageError, match="is a method of stereo, not of mono"):
        methods_of(["toy"], "mono")
    with pytest.raises(UsageError) as caught:
        methods_of(["nosuch"], "mono")
    assert not {"census", "sgm", "default"} & set(re.findall(r"[\w-]+", str(caught.value)))
    with pytest.raises(UsageError, match="unknown parameter of toy: 'weights'"):
        methods_of(["toy:weights=x"])


def series(task, errors, **more):
    totals = MonoTotals(task, 2.0)
    totals.done = len(errors)
    for i in range(len(errors)):
        totals.numbers.begin()
        for name, values in {"depth abs-rel": errors, **more}.items():
            totals.numbers.put(name, values[i])
    return totals


def test_properties_are_measured_or_say_why_not():
    totals = {
        "steady": series("mono", [0.1, 0.1, 0.1, 0.1], seconds=[1, 1, 5, 1]),
        "fickle": series("mono", [0.4, 0.1, 0.2, 0.1], seconds=[2, 2, 2, 2]),
    }
    shares, groups = [0.5, 0.1, 0.4, 0.2], ["a", "b", "a", "b"]
    table = {row.name: row for row in properties(totals, shares, groups)}
    assert table["complex scenes"].values == pytest.approx({"steady": 0.1, "fickle": 0.3})
    assert "2 of 4 frames" in table["complex scenes"].text
    times = table["complex scenes: times the rest"].values
    assert times == pytest.approx({"steady": 1, "fickle": 3})
    assert table["speed"].values == {"steady": 1, "fickle": 2}
    assert table["transfer"].values == pytest.approx({"steady": 1, "fickle": 3})
    assert by_group(totals, groups)["a"]["values"]["fickle"] == pytest.approx(0.3)
    few = {row.name: row for row in properties(totals, [0.1, 0.2, np.nan, np.nan], [""] * 4)}
    assert "it takes 3 frames" in few["complex scenes"].why
    assert "two or more data sets" in few["transfer"].why
    assert few["fine detail"].values == {"steady": None, "fickle": None}
    blind = {"a": MonoTotals("mono", 2.0)}
    assert headline(blind) is None and by_group(blind, ["x", "y"]) == {}
    assert all(r.why for r in properties(blind, [], []) if r.name != "speed")


def test_the_summary_tells_noise_and_strengths():
    rng = np.random.default_rng(0)
    noise = list(rng.uniform(0.1, 0.2, 12))
    totals = {
        "mono": series("mono", [v + 0.1 for v in noise]),
        "stereo": series("stereo", noise),
    }
    for label, near, flat in (("mono", 0.3, 0.1), ("stereo", 0.05, 0.4)):
        for name, error in (("all", 0.15), ("near", near), ("textureless", flat)):
            totals[label]._regions["depth", name] = [12, 1000, 1000 * error, 10, 1000]
            key = f"depth region {name}"
            totals[label].numbers._numbers[key] = array("d", [error] * 12)
    text = " ".join(mono_summary(totals, {"other": "no weights"}))
    assert "Over 12 frames (mean of frames), stereo has the lowest abs-rel" in text
    assert "bootstrap over frames" in text
    assert "mono is better in textureless (0.1 against 0.4)" in text
    assert "stereo is better in near (0.05 against 0.3)" in text
    assert "stereo: strong in near (0.05); weak in textureless (0.4), against 0.15" in text
    assert "other answered on no frame: no weights." in text


@pytest.fixture
def files(tmp_path):
    for side, seed in (("left", 0), ("right", 1)):
        write_png(tmp_path / f"{side}.png", image(seed))
    write_disparity_pfm(tmp_path / "truth.pfm", D)
    write_depth_npy(tmp_path / "depth.npy", Z)
    return tmp_path


def test_models_of_whole_videos_see_a_sequence_together(monkeypatch, tmp_path):
    one_image.use(monkeypatch, clip=True)
    grey = [one_image.scene(code=code) for code in (1, 2, 3, 7, 4)]
    made = [MonoSample(View(g), Depth(one_image.depth_of(g[..., 0] / 255)), {}, str(i))
            for i, g in enumerate(grey)]  # fmt: skip
    names, load = (
        ["a1", "a2", "a3", "b1", "b2"],
        lambda i: frame_of(replace(made[i], name=names[i])),
    )
    assert clips_of(["a1", "b"]) == ["", ""] and clips_of(names) == ["a#", "a#", "a#", "b#", "b#"]
    clip = Frames({"format": "images"}, names, load, clips=clips_of(names))
    options = CompareMonoOptions(mono=("seer",), clip=2, pictures=0)
    done = compare_mono(clip, tmp_path / "out", options)
    # b1 and b2 fail together, for the model refuses b1; a3 is of another sequence
    assert one_image.CALLS == [2, 2] and done.info["samples"] == 3
    assert [f["sample"] for f in done.info["failures"]] == ["b1", "b2"]
    assert any("2 frames of a sequence" in note for note in done.info["notes"])
    one_image.CALLS.clear()
    compare_mono(clip, tmp_path / "one", CompareMonoOptions(mono=("seer",), clip=1, pictures=0))
    assert one_image.CALLS == []
    with pytest.raises(UsageError, match="clip = 0"):
        CompareMonoOptions(mono=("seer",), clip=0)


def test_truths_of_ones_own(files, unchecked):
    found = find_pairs(files / "left.png", files / "right.png")
    metres = PairOptions(focal=90.0, baseline=0.2)
    for name, kind in (("truth.pfm", "disparity"), ("depth.npy", "depth")):
        frame = frames_of_files(found, TruthFiles([files / name], kind), metres).load(0)
        np.testing.assert_allclose(frame.disparity.values, D, rtol=1e-4)
        np.testing.assert_allclose(frame.depth.values, Z, rtol=1e-4)
        assert frame.view.camera is not None and "occluded" in frame.regions()
        half = PairOptions(focal=90.0, baseline=0.2, scale=0.5)
        small = frames_of_files(found, TruthFiles([files / name], kind), half).load(0)
        assert small.depth.shape == (H // 2, W // 2)
        assert np.nanmedian(small.disparity.values) == pytest.approx(np.median(D) / 2, rel=0.1)
    frame = frames_of_files(found, TruthFiles([files / "depth.npy"], "depth"), PairOptions()).load(
        0
    )
    assert frame.disparity is None and "no calibration" in frame.notes[-1]
    alone = find_pairs(files / "left.png", None)
    frame = frames_of_files(alone, TruthFiles([files / "depth.npy"], "depth"), PairOptions()).load(
        0
    )
    assert frame.pair is None and frame.depth.shape == (H, W)
    assert not frames_of_files(alone, TruthFiles(), PairOptions()).load(0).has_truth
    with pytest.raises(UsageError, match="a single view has no disparity"):
        frames_of_files(alone, TruthFiles([files / "truth.pfm"]), PairOptions())
    for wrong in ({"kind": "height"}, {"encoding": "tiff"}):
        with pytest.raises(UsageError, match="is not known"):
            TruthFiles(**wrong)


def test_several_data_sets_are_groups(files):
    for name in ("a", "b"):
        (files / f"{name}.csv").write_text("left,depth,name\nleft.png,depth.npy,x/one\n")
    roots = [files / "a.csv", files / "b.csv"]
    both = frames_of_datasets(roots, None, None, {})
    assert list(both.names) == ["a/x/one", "b/x/one"]
    assert [both.load(i).group for i in range(2)] == ["a", "b"]
    rows = "left.png,depth.npy,x/one\nleft.png,depth.npy,y/one\n"
    (files / "c.csv").write_text(f"left,depth,name\n{rows}")
    folders = frames_of_datasets([files / "c.csv"], None, None, {})
    assert [folders.load(i).group for i in range(2)] == ["x", "y"]


def test_figures_need_maps_of_the_views_size():
    picture = mono_figure("t", image(), [FigureMap(k, Z) for k in "abcd"], None)
    assert picture.dtype == np.uint8 and picture.shape[0] > 2 * H
    with pytest.raises(UsageError, match="nothing to compare"):
        mono_figure("t", image(), [])
    with pytest.raises(InputError, match="differs in size"):
        mono_figure("t", image(), [FigureMap("a", Z[1:])])
