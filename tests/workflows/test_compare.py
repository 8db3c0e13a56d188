"""Comparisons: methods as text, what is added up, what is kept, failures, and how they end."""

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest

from fathom import catalog
from fathom.catalog import Entry
from fathom.core import Disparity, InputError, StereoPair, StereoSample, UsageError, View
from fathom.core.options import option
from fathom.eval.protocols import protocol
from fathom.eval.regions import region_errors, regions, with_visible
from fathom.io.images import write_png
from fathom.io.maps import write_disparity_pfm, write_disparity_png
from fathom.io.pairing import find_pairs
from fathom.workflows import compare as module
from fathom.workflows.compare import CompareOptions, compare
from fathom.workflows.compare_cases import (
    Cases,
    Loaded,
    cases_of_files,
    prepared,
    without_unseen,
)
from fathom.workflows.compare_gallery import Gallery
from fathom.workflows.compare_judge import judge, regions_of
from fathom.workflows.compare_methods import Run, methods_of, timed
from fathom.workflows.compare_summary import summary
from fathom.workflows.compare_totals import MethodTotals, difference, ranked
from fathom.workflows.depth import Listener
from fathom.workflows.pairs import PairOptions

SHIFT, H, W = 6, 48, 96
NAN = np.nan


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Answers with a constant; fails or is interrupted where its parameters say so."""

    max_disparity: int | None = None
    value: float = option(float(SHIFT), "pixels")
    half: bool = option(False, "leave the right half unknown")
    fails: bool = option(False, "on dark pairs")
    stops: bool = option(False, "on dark pairs")
    small: bool = option(False, "a map of another size")
    fill: bool = True
    confidence: bool = True

    def __call__(self, pair):
        if pair.left.image.max() < 100 and self.fails:
            raise InputError("is too dark", field="image")
        if pair.left.image.max() < 100 and self.stops:
            raise KeyboardInterrupt
        values = np.full(pair.shape, self.value, np.float32)
        if self.half:
            values[:, pair.shape[1] // 2 :] = NAN
        return Disparity(values[1:] if self.small and pair.shape[0] == H else values)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    entry = Entry("toy", f"{__name__}:Toy", "stereo", "a toy")
    monkeypatch.setattr(catalog, "ENTRIES", (*catalog.ENTRIES, entry))


def sample(name="one", seed=0, bright=255, truth=True):
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, bright, (H, W + SHIFT, 3)).astype(np.uint8)
    values = np.full((H, W), SHIFT, np.float32)
    values[10:20, 40:60] = SHIFT + 8
    pair = StereoPair(View(wide[:, :W]), View(wide[:, SHIFT:]))
    return StereoSample(pair, Disparity(values) if truth else None, {}, name)


def cases(*samples):
    names = [s.name for s in samples]
    return Cases({"format": "test"}, names, lambda i: prepared(Loaded(samples[i])))


def test_methods_are_names_with_parameters():
    found = methods_of(["toy", "toy:value=2:half=yes", "default", "opencv-sgbm:mode=hh"])
    default = catalog.entry("default").name
    assert [m.label for m in found] == [
        "toy", "toy:value=2:half=yes", default, "opencv-sgbm:mode=hh",
    ]  # fmt: skip
    assert dict(found[1].parameters) == {"value": 2.0, "half": True}
    assert dict(found[3].parameters) == {"mode": "hh"}
    assert dict(methods_of(["sgm:p2=90"])[0].parameters) == {"p2": 90}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "names no method"),
        (["toi"], "unknown method 'toi'"),
        (["toy", "toy"], "methods = 'toy': stands twice"),
        (["toy:valu=2"], "did you mean value"),
        (["toy:value"], "has no value"),
        (["toy:value=x"], "value = 'x': is no value of this parameter; expected float"),
        (["toy:half=maybe"], "expected true or false"),
    ],
)
def test_wrong_methods(texts, message):
    with pytest.raises(UsageError, match=message):
        methods_of(texts)


@pytest.mark.parametrize(
    "changes", [{"pictures": -1}, {"pictures": 101}, {"limit": 0}, {"threshold": 0.0}]
)
def test_wrong_options(changes):
    with pytest.raises(UsageError, match=r"is out of range"):
        CompareOptions(**changes)


def test_a_run_is_timed_and_weighed():
    def hungry(pair):
        block = np.ones(20_000_000, np.float64)  # 160 MB
        return Disparity(np.full(pair.shape, block[0], np.float32))

    run = timed(hungry, sample().pair)
    assert run.seconds > 0
    assert run.memory_mb is None or run.memory_mb > 140


def test_a_verdict_has_the_numbers_of_eval():
    one = with_visible(sample())
    found = regions_of(one)
    assert set(found) == set(regions(one))
    loaded = Loaded(one)
    estimate = Toy(half=True)(one.pair)
    verdict = judge(Run(estimate, 1.0, None), Toy(), loaded, found, protocol("fathom"), 2.0)
    assert repr(verdict.regions) == repr(region_errors(estimate, one.truth, found, 2.0))
    wrong = ~(np.abs(estimate.values - one.truth.values) <= 2)
    assert verdict.scores[0].values["bad-2"] == pytest.approx(wrong.mean())
    assert verdict.similarity.data_range == 8
    assert verdict.boxes[0].bad == 1
    assert verdict.consistency.measured == 0.5
    assert verdict.consistency.disagree == 0
    assert verdict.consistency.photometric > 0.9
    other = judge(Run(estimate, 1.0, None), Toy(value=9.0), loaded, found, protocol("fathom"), 2.0)
    assert other.consistency.disagree == 1
    ramp = np.tile(np.linspace(0, 30, W, dtype=np.float32), (H, 1))
    mirror = judge(
        Run(estimate, 1.0, None),
        lambda pair: Disparity(ramp),
        loaded,
        found,
        protocol("fathom"),
        2.0,
    )
    # The right view's map comes mirrored: its column 30 is column W - 1 - 30 of the answer.
    expected = abs(SHIFT - ramp[0, W - 1 - 30])
    assert mirror.consistency.difference[5, 30 + SHIFT] == pytest.approx(expected)
    with pytest.raises(InputError, match="differs in size from the pair"):
        small = Disparity(np.ones((3, 3), np.float32))
        judge(Run(small, 1.0, None), None, loaded, found, protocol("fathom"), 2.0)


def test_what_a_sparse_truth_cannot_tell_is_left_out():
    one = sample()
    sparse = np.where(np.random.default_rng(0).random((H, W)) < 0.1, one.truth.values, NAN)
    thin = StereoSample(one.pair, Disparity(sparse.astype(np.float32)), {}, "sparse")
    loaded = prepared(Loaded(thin))
    assert "nonocc" not in loaded.sample.masks and "too few to tell" in loaded.notes[0]
    assert not {"edges", "thin", "occluded"} & set(regions_of(loaded.sample))
    empty = StereoSample(one.pair, Disparity(np.full((H, W), NAN, np.float32)), {}, "empty")
    loaded = prepared(Loaded(empty))
    assert loaded.sample.truth is None and "knows no pixel" in loaded.notes[0]
    assert regions_of(loaded.sample) == {}


def test_unseen_pixels_are_unknown():
    unseen = np.zeros((2, 2), bool)
    unseen[0, 0] = True
    ones = Disparity(np.ones((2, 2), np.float32))
    assert not without_unseen(ones, unseen).known[0, 0]
    assert without_unseen(ones, None) is ones


def test_differences_have_an_interval_only_of_enough_pairs():
    a = np.array([1.0, 2, 3, 4, 5, 6, NAN])
    apart = difference(a + 1, a)
    assert (apart.mean, apart.samples, apart.low, apart.high, apart.certain) == (1, 6, 1, 1, True)
    noisy = difference(a * 0 + np.array([1, -1, 1, -1, 1, -1, 0.0]), a * 0)
    assert noisy.low < 0 < noisy.high and not noisy.certain
    few = difference(a[:4] + 1, a[:4])
    assert few.low is None and not few.certain
    assert difference(np.array([NAN]), np.array([1.0])) is None


def add(totals, loaded, **toy):
    found = regions_of(loaded.sample)
    run = Run(Toy(**toy)(loaded.sample.pair), 0.5, None)
    verdict = judge(run, Toy(**toy), loaded, found, protocol("fathom"), 2.0)
    totals.add(verdict)


def test_totals_add_up_and_stay_paired():
    totals = {name: MethodTotals(protocol("fathom")) for name in ("good", "bad")}
    loaded = [prepared(Loaded(sample(seed=i))) for i in range(6)]
    for i, one in enumerate(loaded):
        add(totals["good"], one)
        if i == 2:
            totals["bad"].add(None)
        else:
            add(totals["bad"], one, half=True)
    assert (totals["good"].done, totals["bad"].done) == (6, 5)
    series = totals["bad"].series("headline")
    assert np.isnan(series[2]) and np.isfinite(np.delete(series, 2)).all()
    whole = totals["good"].regions()["all"]
    assert (whole.samples, whole.pixels) == (6, 6 * H * W)
    assert whole.bad == pytest.approx(200 / (H * W))
    assert whole.epe == pytest.approx(8 * 200 / (H * W))
    assert totals["bad"].regions()["all"].known == pytest.approx(0.5)
    assert totals["bad"].regions()["all"].epe == pytest.approx(8 * 80 / (H * W / 2))
    assert ranked(totals, "headline") == ["good", "bad"]
    assert ranked(totals, "headline", -1) == ["bad", "good"]
    assert ranked(totals, "nothing") == []
    text = " ".join(summary(totals, protocol("fathom"), 2.0))
    assert "Over 5 pairs (mean of pairs), good has the lowest bad-2: 4.34 % [fathom, all]" in text
    assert "bootstrap over pairs" in text and "within the noise" not in text
    assert "good: best of all in" in text and "bad: worst of all in" in text


def test_the_summary_is_honest_about_noise_and_single_pairs():
    totals = {name: MethodTotals(protocol("fathom")) for name in ("a", "b")}
    one = prepared(Loaded(sample()))
    for t in totals.values():
        add(t, one)
    text = " ".join(summary(totals, protocol("fathom"), 2.0))
    assert "On the one pair" in text and "One pair is too few" in text
    assert "best of all" not in text
    totals = {name: MethodTotals(protocol("fathom")) for name in ("a", "b")}
    add(totals["a"], one)  # wrong on the box, which both views see
    seen = np.where(one.sample.masks["nonocc"], one.sample.truth.values, NAN)
    run = Run(Disparity(seen.astype(np.float32)), 0.5, None)
    found = regions_of(one.sample)
    totals["b"].add(judge(run, None, one, found, protocol("fathom"), 2.0))
    text = " ".join(summary(totals, protocol("fathom"), 2.0))
    assert "a has the lowest bad-2" in text
    assert "Under the mask nonocc b leads with 0.00 %, a has" in text
    assert "mask occluded" not in text
    rng = np.random.default_rng(1)
    totals = {name: MethodTotals(protocol("fathom")) for name in ("a", "b")}
    for t in totals.values():
        for error in rng.uniform(0.1, 0.2, 12):
            t.numbers.begin()
            t.numbers.put("headline", error)
    text = " ".join(summary(totals, protocol("fathom"), 2.0))
    assert "within the noise of these pairs" in text
    nothing = {"a": MethodTotals(protocol("fathom"))}
    assert summary(nothing, protocol("fathom"), 2.0) == [
        "There is neither truth nor consistency to judge by."
    ]


def test_the_gallery_keeps_worst_best_and_middle_and_makes_few():
    made = []
    gallery = Gallery(6)
    values = np.random.default_rng(0).permutation(1000).astype(float)
    for i, value in enumerate(values):
        gallery.offer(i, value, lambda v=value: made.append(v) or v)
    kept = [k.picture for _, k in gallery.ranked()]
    assert kept[:2] == [999, 998] and kept[-2:] == [1, 0]
    assert all(abs(v - 500) < 60 for v in kept[2:4])
    assert [rank for rank, _ in gallery.ranked()][:2] == [1, 2] and gallery.seen == 1000
    assert len(made) < 120
    for size in range(4):
        small = Gallery(size)
        for i, value in enumerate(values[:50]):
            small.offer(i, value, lambda v=value: v)
        assert len(small.ranked()) == size
    assert Gallery(3).ranked() == []


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_comparison_writes_everything(tmp_path):
    one, two = sample("one"), sample('two, "2"', 1)
    names, lines = [], []
    done = compare(
        cases(one, two),
        tmp_path / "out",
        CompareOptions(methods=("toy", "toy:half=1"), pictures=1),
        Listener(lines.append, lines.append),
        names.append,
    )
    assert done.exit_code == 0 and names == ["one", 'two, "2"'] and not lines
    info = json.loads((tmp_path / "out" / "result.json").read_text())
    assert info["samples"] == 2 and info["with_truth"] == 2 and len(info["shown"]) == 1
    assert info["scores"]["all"]["toy"]["values"]["bad-2"] == pytest.approx(200 / (H * W))
    assert info["regions"]["all"]["toy:half=1"]["known"] == pytest.approx(0.5)
    assert info["ssim"]["toy"]["data_range_px"] == 8
    assert set(info["files"]) == {"report.html", "scores.csv", "regions.csv"}
    rows = read_csv(tmp_path / "out" / "scores.csv")
    assert {(r["sample"], r["method"], r["mask"]) for r in rows} >= {("one", "toy", "all")}
    assert len(rows) == 2 * 2 * 3
    by_hand = [float(r["bad-2"]) for r in rows if r["method"] == "toy" and r["mask"] == "all"]
    assert by_hand == pytest.approx([200 / (H * W)] * 2, abs=1e-6)
    found = read_csv(tmp_path / "out" / "regions.csv")
    assert {r["region"] for r in found} >= {"all", "occluded", "near"}
    html = (tmp_path / "out" / "report.html").read_text()
    assert "fathom, mask nonocc" in html and "compare-viewer" in html
    assert len(html.encode()) == info["report_bytes"]


def test_failures_are_named_and_the_rest_goes_on(tmp_path):
    def broken(index):
        if index == 1:
            raise InputError("is damaged", file="two.png")
        return prepared(Loaded([sample("one"), None, sample("three", 2, 90)][index]))

    lines = []
    source = Cases({}, ["one", "two", "three"], broken, (("x.png", InputError("has no partner")),))
    methods = ("toy", "toy:fails=1", "toy:small=1")
    done = compare(
        source, tmp_path / "out", CompareOptions(methods=methods), Listener(warn=lines.append)
    )
    assert done.exit_code == 1
    assert done.info["samples"] == 2
    whos = [(f["sample"], f["method"]) for f in done.info["failures"]]
    assert whos == [
        ("x.png", ""),
        ("one", "toy:small=1"),
        ("two", ""),
        ("three", "toy:fails=1"),
        ("three", "toy:small=1"),
    ]
    assert "three, toy:fails=1: image: is too dark" in lines
    assert done.info["methods"]["toy:small=1"]["samples"] == 0
    assert "different pairs" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(InputError, match="differs in size"):
        options = CompareOptions(methods=("toy:small=1",))
        compare(cases(sample()), tmp_path / "none", options)
    assert not (tmp_path / "none").exists()


def test_an_interruption_leaves_what_is_done_or_what_was(tmp_path):
    many = cases(sample("one"), sample("two", 1, 90), sample("three", 2))
    options = CompareOptions(methods=("toy", "toy:stops=1"))
    done = compare(many, tmp_path / "out", options)
    assert done.exit_code == 130 and done.info["samples"] == 1
    assert "Interrupted: these are the first 1 of 3" in (tmp_path / "out/report.html").read_text()
    before = (tmp_path / "out" / "result.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        compare(many, tmp_path / "out", options)  # never over an earlier result
    assert (tmp_path / "out" / "result.json").read_bytes() == before
    dark = cases(sample("two", 1, 90))
    with pytest.raises(KeyboardInterrupt):
        compare(dark, tmp_path / "other", options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_memory_stays_flat_over_many_samples(tmp_path, monkeypatch):
    made = []
    real = module.sheet
    monkeypatch.setattr(module, "sheet", lambda *a, **k: made.append(1) or real(*a, **k))
    one = sample()
    many = Cases({}, [f"s{i}" for i in range(60)], lambda i: Loaded(one))
    options = CompareOptions(methods=("toy",), pictures=2, consistency=False)
    info = compare(many, tmp_path / "out", options).info
    assert info["samples"] == 60 and len(info["shown"]) == 2 and len(made) <= 10
    assert info["consistency"] == {}


def test_limit_spreads_evenly():
    ten = Cases({}, list("abcdefghij"), lambda i: None)
    assert list(ten.limited(5)) == [0, 2, 4, 6, 8]
    assert list(ten.limited(None)) == list(range(10)) == list(ten.limited(99))


def test_pictures_fit_into_their_room(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PICTURE_BYTES", 4_000)
    monkeypatch.setattr(module, "_LEAST_PIXELS", 100)
    options = CompareOptions(methods=("toy",), pictures=1)
    compare(cases(sample()), tmp_path / "out", options)
    html = (tmp_path / "out" / "report.html").read_text()
    sheets = json.loads(html.split('<script type="application/json">')[1].split("</script>")[0])
    assert sheets["sheets"][0]["step"] > 1


@pytest.fixture
def files(tmp_path):
    one = sample()
    for side in ("left", "right"):
        write_png(tmp_path / f"{side}.png", getattr(one.pair, side).image)
    write_disparity_pfm(tmp_path / "truth.pfm", one.truth.values)
    write_disparity_png(tmp_path / "truth.png", one.truth.values)
    write_png(tmp_path / "truth16.png", (one.truth.values * 16).astype(np.uint16))
    return tmp_path


@pytest.mark.parametrize(
    ("truth", "encoding", "scale"),
    [
        ("truth.pfm", "auto", None),
        ("truth.png", "auto", None),
        ("truth16.png", "uint16", 1 / 16),
        ("truth16.png", "auto", 1 / 16),
    ],
)
def test_pairs_of_ones_own_with_truth(files, truth, encoding, scale):
    found = find_pairs(files / "left.png", files / "right.png")
    mine = cases_of_files(found, [files / truth], PairOptions(), encoding, scale, check=False)
    loaded = mine.load(0)
    np.testing.assert_array_equal(loaded.sample.truth.values, sample().truth.values)
    assert "nonocc" in loaded.sample.masks
    half = cases_of_files(found, [files / truth], PairOptions(scale=0.5), encoding, scale)
    small = half.load(0).sample
    assert small.truth.shape == (H // 2, W // 2)
    assert np.nanmin(small.truth.values) == SHIFT / 2
    without = cases_of_files(found, None, PairOptions()).load(0)
    assert without.sample.truth is None


def test_wrong_truths(files):
    found = find_pairs(files / "left.png", files / "right.png")
    with pytest.raises(UsageError, match="there are 1 pairs and 2 truths"):
        cases_of_files(found, [files / "truth.pfm", files / "truth.png"], PairOptions())
    with pytest.raises(UsageError, match="truth = 'tiff': is no encoding"):
        cases_of_files(found, [files / "truth.pfm"], PairOptions(), "tiff")
    write_disparity_pfm(files / "small.pfm", np.ones((3, 3), np.float32))
    with pytest.raises(InputError, match=r"small\.pfm: truth = \(3, 3\): differs in size"):
        cases_of_files(found, [files / "small.pfm"], PairOptions()).load(0)
    (files / "empty").mkdir()
    with pytest.raises(InputError, match="holds no disparity map"):
        cases_of_files(found, [files / "empty"], PairOptions())


def test_the_pair_check_speaks(tmp_path, motorcycle):
    write_png(tmp_path / "left.png", motorcycle.pair.left.image)
    found = find_pairs(tmp_path / "left.png", tmp_path / "left.png")
    notes = cases_of_files(found, None, PairOptions()).load(0).notes
    assert any("same" in note for note in notes), notes
    assert not cases_of_files(found, None, PairOptions(), check=False).load(0).notes
