"""`workflows.evaluate_score`: files of any program against a truth."""

import csv
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fathom.core import (
    Depth,
    Disparity,
    InputError,
    MonoSample,
    RelativeDepth,
    ResourceError,
    StereoRig,
    StereoSample,
    UsageError,
    View,
)
from fathom.data import open_dataset
from fathom.data.dataset import Dataset
from fathom.eval.scoring import score, score_masks
from fathom.io.images import write_png
from fathom.io.maps import (
    read_disparity_pfm,
    write_confidence_png,
    write_depth_npy,
    write_depth_png,
    write_disparity_pfm,
    write_disparity_png,
    write_source_png,
)
from fathom.workflows.evaluate import PredictOptions, predict
from fathom.workflows.evaluate_maps import Maps, open_maps
from fathom.workflows.evaluate_pairs import pairs_of
from fathom.workflows.evaluate_read import MapFile, MapOptions, number, read_map
from fathom.workflows.evaluate_score import ScoreOptions, score_maps
from fathom.workflows.pairs import PairOptions

sys.path.insert(0, str(Path(__file__).parent))
from tiny_sets import SHIFT, SIZE, sample, write_set

PLAIN = MapOptions()


@pytest.fixture
def root(tmp_path) -> Path:
    return write_set(tmp_path / "set", 3)


@pytest.fixture
def truth(root) -> Dataset:
    return open_dataset(None, root)


def off(by: float) -> np.ndarray:
    """The truth of the tiny samples, `by` px off."""
    return np.full(SIZE, SHIFT + by, np.float32)


def write_all(folder: Path, by=(0.0, 1.5, 3.0)) -> Path:
    for i, error in enumerate(by):
        write_disparity_pfm(folder / f"s{i}.pfm", off(error))
    return folder


def run(places, truth, kind="stereo", reading=PLAIN, table=None, **options):
    maps = open_maps([str(p) for p in places], reading)
    return score_maps(maps, truth, ScoreOptions(**options), kind, table=table)


def only(report, mask="all"):
    (found,) = [t for t in report.totals if t.mask == mask]
    return found


def test_numbers_are_those_of_the_pure_functions(tmp_path, truth):
    report = run([write_all(tmp_path / "maps")], truth)
    totals = only(report)
    assert totals.protocol.name == "fathom" and report.samples == totals.images == 3
    assert totals.of_images["epe"] == pytest.approx(1.5)
    assert totals.of_images["bad-1"] == pytest.approx(2 / 3)
    assert totals.of_images["bad-2"] == pytest.approx(1 / 3)
    assert totals.known == 1.0 and report.read_as == {"PFM": 3} and report.exit_code == 0
    by_hand = [
        score(Disparity(off(e)), s, "fathom", mask="nonocc")["epe"].value
        for e, s in zip((0.0, 1.5, 3.0), truth, strict=True)
    ]
    assert only(report, "nonocc").of_images["epe"] == pytest.approx(np.mean(by_hand))


def test_predictions_of_the_first_step_bring_confidence_source_and_time(tmp_path, root, truth):
    pairs = pairs_of(str(root), None, None, None, {}, PairOptions())
    made = PredictOptions(method="sad", max_disparity=8, threads=1)
    predict(pairs, tmp_path / "out", made)
    report = run([tmp_path / "out"], truth)
    totals = only(report)
    assert report.title == "sad" and report.seconds is not None and report.seconds > 0
    assert "ece" in totals.of_images and totals.of_images["complete"] < 1
    disparity = made.matcher()(truth[0].pair)
    expected = next(s for s in score_masks(disparity, truth[0], "fathom") if s.mask == "all")
    one = only(run([tmp_path / "out"], truth.take(1)))
    assert one.of_images["bad-1"] == expected.values["bad-1"]
    assert one.of_images["ece"] == pytest.approx(expected.values["ece"], abs=1e-4)
    assert one.of_images["complete"] == expected.values["complete"]
    assert run([tmp_path / "out"], truth.take(1)).unused == 2


@pytest.mark.parametrize(
    "layout",
    ["{0}.pfm", "deep/er/{0}.pfm", "{0}_disp.pfm", "disp_{0}.pfm", "{0}/disp0SGM.pfm"],
)
def test_maps_are_found_by_sample_names(tmp_path, truth, layout):
    for i in range(3):
        write_disparity_pfm(tmp_path / "m" / layout.format(f"s{i}"), off(i))
    assert only(run([tmp_path / "m"], truth)).of_images["epe"] == pytest.approx(1.0)


def test_names_with_folders_fit_flat_files(tmp_path):
    dataset = Dataset("x", tmp_path, "all", ["a/0001", "b/0001"], lambda i: sample(i, ""))
    for name, by in (("a_0001", 0.0), ("b_0001", 2.0)):
        write_disparity_pfm(tmp_path / "m" / f"{name}.pfm", off(by))
    assert only(run([tmp_path / "m"], dataset)).of_images["epe"] == pytest.approx(1.0)
    for name in ("c/0001", "d/0001"):
        write_disparity_pfm(tmp_path / "n" / f"{name}.pfm", off(0))
    report_maps = open_maps([str(tmp_path / "n")], PLAIN)
    with pytest.raises(InputError, match=r"fits more than one map.*write a list"):
        report_maps.find("a/0001")


def test_one_of_several_endings_is_taken_and_results_of_fathom_depth_are_known(tmp_path, truth):
    write_disparity_png(tmp_path / "m/s0.png", off(2))
    write_disparity_pfm(tmp_path / "m/s0.pfm", off(0))
    folder = tmp_path / "m/s1"
    write_disparity_pfm(folder / "disparity.pfm", off(0))
    write_disparity_png(folder / "disparity.png", off(5))
    write_confidence_png(folder / "confidence.png", np.ones(SIZE, np.float32))
    write_source_png(folder / "source.png", np.full(SIZE, 2, np.uint8))
    write_png(folder / "overview.png", np.zeros((4, 4, 3), np.uint8))
    (folder / "result.json").write_text("{}")
    write_disparity_pfm(tmp_path / "m/s2.pfm", off(0))
    totals = only(run([tmp_path / "m"], truth))
    assert totals.of_images["epe"] == 0
    assert totals.of_images["complete"] == pytest.approx(2 / 3)  # s1 is filled throughout


def test_single_files(tmp_path, truth):
    write_all(tmp_path / "m")
    files = [tmp_path / "m" / f"s{i}.pfm" for i in range(3)]
    assert only(run(files, truth)).images == 3
    assert only(run(files[1:2], truth, partial=True)).of_images["epe"] == pytest.approx(1.5)


def encodings(folder: Path) -> dict[str, MapOptions]:
    """The same map in every encoding: file name -> what has to be said about it."""
    from PIL import Image

    values = off(0)
    values[0, :5] = np.nan
    filled = np.where(np.isnan(values), -1, values)
    write_disparity_pfm(folder / "a.pfm", values)
    write_depth_npy(folder / "b.npy", values)
    write_disparity_png(folder / "c.png", values)
    Image.fromarray(values).save(folder / "d.tiff")
    np.save(folder / "e.npy", (filled * 16).astype(np.int16))
    np.save(folder / "f.npy", -values[None])
    write_png(folder / "g.png", np.where(np.isnan(values), 0, values * 10).astype(np.uint8))
    write_png(folder / "h.png", np.where(np.isnan(values), 0, values * 100).astype(np.uint16))
    Image.fromarray(np.where(np.isnan(values), 0, values * 64).astype(np.uint16)).save(
        folder / "i.tif"
    )
    return {
        "a.pfm": PLAIN,
        "b.npy": PLAIN,
        "c.png": PLAIN,
        "d.tiff": PLAIN,
        "e.npy": MapOptions(scale="1/16", unknown="-16"),
        "f.npy": MapOptions(scale="-1"),
        "g.png": MapOptions(encoding="uint8", scale="0.1"),
        "h.png": MapOptions(encoding="uint16", scale="1/100"),
        "i.tif": MapOptions(scale="1/64", unknown="0"),
    }


def test_every_encoding_gives_the_same_map(tmp_path):
    for name, options in encodings(tmp_path).items():
        estimate, how = read_map(MapFile(tmp_path / name, options), "disparity")
        assert isinstance(estimate, Disparity) and how
        assert np.isnan(estimate.values[0, :5]).all(), name
        np.testing.assert_allclose(estimate.values[1:], SHIFT, rtol=1e-6, err_msg=name)
    _, how = read_map(MapFile(tmp_path / "c.png", PLAIN), "disparity")
    assert how == "PNG of 16 bits x 1/256"


def test_depth_and_relative_depth(tmp_path):
    write_depth_png(tmp_path / "z.png", np.full(SIZE, 2.5, np.float32))
    estimate, how = read_map(MapFile(tmp_path / "z.png", PLAIN), "depth")
    assert isinstance(estimate, Depth) and estimate.values[0, 0] == 2.5 and "1/1000" in how
    np.save(tmp_path / "r.npy", np.full(SIZE, -0.25))
    relative = MapOptions(kind="affine_inverse")
    estimate, _ = read_map(MapFile(tmp_path / "r.npy", relative), "disparity")
    assert isinstance(estimate, RelativeDepth) and estimate.values[0, 0] == -0.25
    estimate, _ = read_map(MapFile(tmp_path / "r.npy", MapOptions(kind="depth")), "disparity")
    assert isinstance(estimate, Depth) and not estimate.known.any()
    with pytest.raises(InputError, match="not said"):
        read_map(MapFile(tmp_path / "z.png", relative), "disparity")


def test_affine_depth_is_aligned_and_the_table_says_so(tmp_path):
    depth = np.linspace(1, 9, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    view = View(np.zeros((*SIZE, 3), np.uint8))
    dataset = Dataset("x", tmp_path, "all", ["v"], lambda i: MonoSample(view, Depth(depth), {}, ""))
    np.save(tmp_path / "v.npy", 3 / depth + 0.5)
    (tmp_path / "m.csv").write_text("name,map,kind\nv,v.npy,affine_inverse\n")
    report = run([tmp_path / "m.csv"], dataset, "mono", protocol=("affine-invariant",))
    assert only(report).of_images["abs-rel"] < 1e-4
    with pytest.raises(UsageError, match=r"sample v: .*does not align"):
        run([tmp_path / "m.csv"], dataset, "mono")  # fathom-depth aligns nothing
    report = run([tmp_path / "m.csv"], dataset, "mono", align="inverse-depth")
    assert only(report).protocol.name == "fathom-depth, alignment=inverse-depth"


def test_a_list_says_what_names_cannot(tmp_path, truth):
    np.save(tmp_path / "x.npy", off(0) * 16)
    write_disparity_pfm(tmp_path / "y.pfm", off(1))
    write_source_png(tmp_path / "src.png", np.full(SIZE, 2, np.uint8))
    np.save(tmp_path / "conf.npy", np.full(SIZE, 0.5, np.float32))
    listed = tmp_path / "maps.csv"
    listed.write_text(
        "name;disparity;scale;source;confidence;seconds\n"
        "s0;x.npy;1/16;src.png;conf.npy;2\ns1;y.pfm;;;;4\ns2;y.pfm;;;;\n"
    )
    report = run([listed], truth)
    assert report.title == "maps" and report.seconds == 3.0
    assert only(report).of_images["epe"] == pytest.approx(2 / 3)
    assert only(report).of_images["complete"] == pytest.approx(2 / 3)
    lines = tmp_path / "maps.jsonl"
    lines.write_text(
        '{"name": "s0", "map": "y.pfm", "kind": "disparity"}\n'
        '{"name": "s1", "disparity": "y.pfm", "seconds": 1}\n{"name": "s2", "map": "y.pfm"}\n'
    )
    assert only(run([lines], truth)).of_images["epe"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n \n", "no line"),
        ("name,disp\ns0,x\n", r"line 2 = 'disp'.*no column.*disparity"),
        ("name,seconds\ns0,1\n", "names no sample or no map"),
        ("disparity,seconds\nx,1\n", "names no sample or no map"),
        ("name,disparity\ns0,x,y\n", "another number of cells"),
        ("name,disparity\ns0,x\ns0,y\n", "more than once"),
        ("name,disparity,scale\ns0,x,zero\n", r"line 2, scale = 'zero'"),
        ("name,map,kind\ns0,x,metres\n", r"line 2, kind = 'metres'"),
        ("{bad\n", "line 1: is no JSON"),
        ('{"name": "s0", "map": "x"}\n[1]\n', "line 2: is no JSON object"),
    ],
)
def test_lists_that_cannot_be_read(tmp_path, text, message, unchecked):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        open_maps([str(tmp_path / "m.csv")], PLAIN)


def test_missing_maps(tmp_path, truth):
    folder = write_all(tmp_path / "m", (0.0, 1.5))
    with pytest.raises(InputError, match=r"missing = 's2': 1 of 3 samples have no map"):
        run([folder], truth)
    left_out = run([folder], truth, partial=True)
    assert left_out.missing == ("s2",) and only(left_out).images == 2
    assert only(left_out).of_images["bad-1"] == 0.5 and left_out.exit_code == 0
    counted = run([folder], truth, missing="unknown")
    assert only(counted).images == 3 and only(counted).known == pytest.approx(2 / 3)
    assert only(counted).of_images["bad-1"] == pytest.approx(2 / 3)  # one wrong, one unknown
    assert only(counted).counted["epe"] == 2
    assert counted.as_dict()["missing"] == {"count_as": "unknown", "samples": ["s2"]}
    write_disparity_pfm(tmp_path / "other/zzz.pfm", off(0))
    with pytest.raises(InputError, match="not one map belongs to a sample"):
        run([tmp_path / "other"], truth, partial=True)


def test_a_missing_map_of_single_views_counts_as_nothing_known(tmp_path):
    depth, view = np.full(SIZE, 2, np.float32), View(np.zeros((*SIZE, 3), np.uint8))
    dataset = Dataset(
        "x", tmp_path, "all", ["a", "b"], lambda i: MonoSample(view, Depth(depth), {}, "")
    )
    np.save(tmp_path / "a.npy", depth)
    report = run([tmp_path], dataset, "mono", missing="unknown")
    assert only(report).of_images["delta-1"] == 0.5


def test_a_failed_prediction_is_a_missing_map(tmp_path, root, truth):
    pairs = pairs_of(str(root), None, None, None, {}, PairOptions())

    def load(index):
        if index == 0:
            raise InputError("is torn", file="left.png")
        return pairs.load(index)

    made = PredictOptions(method="sad", max_disparity=8, threads=1)
    predict(replace(pairs, load=load), tmp_path / "o", made)
    with pytest.raises(InputError, match=r"1 of 3 samples have no map.*samples.jsonl says why"):
        run([tmp_path / "o"], truth)
    assert only(run([tmp_path / "o"], truth, partial=True)).images == 2
    counted = run([tmp_path / "o"], truth, missing="unknown")
    assert counted.missing == ("s0",) and only(counted).known == pytest.approx(2 / 3)


def test_bad_maps_are_named_and_the_rest_is_scored(tmp_path, truth):
    write_all(tmp_path / "m")
    write_disparity_pfm(tmp_path / "m/s1.pfm", np.zeros((5, 7), np.float32))
    (tmp_path / "m/s2.pfm").write_bytes(b"Pf\n9 9\n-1\n")
    report = run([tmp_path / "m"], truth)
    assert only(report).images == 1 and report.exit_code == 1
    assert [n for n, _ in report.failed] == ["s1", "s2"]
    assert "differs in size" in str(report.failed[0][1])
    assert report.as_dict()["failed"][1]["sample"] == "s2"
    (tmp_path / "m/s0.pfm").unlink()
    write_png(tmp_path / "m/s0.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(InputError, match="looks like a picture"):  # not one is left
        run([tmp_path / "m"], truth)


def test_all_unknown_nan_and_wrong_units_are_called_out(tmp_path, truth):
    nothing = np.full(SIZE, np.nan, np.float32)
    for i in range(3):
        write_disparity_pfm(tmp_path / "u" / f"s{i}.pfm", nothing)
        np.save(tmp_path / f"s{i}.npy", off(0) * 256)
    totals = only(run([tmp_path / "u"], truth))
    assert totals.known == 0 and totals.of_images["bad-2"] == 1
    assert totals.noted == 3 and "knows none" in totals.first_note
    assert np.isnan(totals.of_images["epe"])
    names = [str(tmp_path / f"s{i}.npy") for i in range(3)]
    totals = only(run(names, truth))
    assert totals.noted == 3 and "KITTI's PNG factor 256" in totals.first_note
    assert only(run(names, truth, reading=MapOptions(scale="1/256"))).noted == 0


def test_masks_metrics_and_caps(tmp_path, truth):
    folder = write_all(tmp_path / "m")
    report = run([folder], truth, mask=("nonocc",), metrics=("bad-1.2",))
    (totals,) = report.totals
    assert totals.mask == "nonocc" and dict(totals.of_images) == {"bad-1.2": pytest.approx(2 / 3)}
    with pytest.raises(InputError, match="no mask 'foreground'"):
        run([folder], truth, mask=("foreground",))
    with pytest.raises(UsageError, match="unknown mask"):
        ScoreOptions(mask=("nocc",))
    with pytest.raises(UsageError, match="unknown metric"):
        run([folder], truth, metrics=("badd",))
    assert only(run([folder], truth, cap=5.0)).protocol.name == "fathom, disparity-cap=5"
    with pytest.raises(InputError, match="leaves no pixel to judge in any sample"):
        run([folder], truth, cap=2.0)
    with pytest.raises(UsageError, match="kitti-2015"):
        run([folder], truth, protocol=("kiti-2015",))


def test_an_image_in_which_a_mask_is_empty_is_no_failure(tmp_path):
    def load(i):
        one = sample(i, "")
        foreground = np.zeros(SIZE, np.bool_)
        foreground[:3] = i == 0
        return StereoSample(one.pair, one.truth, {"foreground": foreground}, "")

    dataset = Dataset("kitti-2015", tmp_path, "training", ["s0", "s1"], load)
    report = run([write_all(tmp_path / "m", (4.0, 0.0))], dataset, mask=("foreground",))
    assert report.empty == ("s1",) and report.exit_code == 0
    (totals,) = report.totals
    assert totals.protocol.name == "kitti-2015" and totals.images == 1


def test_nonocc_is_computed_when_asked_for(tmp_path):
    one = sample(0, "")
    bare = StereoSample(one.pair, one.truth, {}, "")
    dataset = Dataset("x", tmp_path, "all", ["s0"], lambda i: bare)
    folder = write_all(tmp_path / "m", (0.0,))
    assert [t.mask for t in run([folder], dataset).totals] == ["all"]
    masks = [t.mask for t in run([folder], dataset, compute_nonocc=True).totals]
    assert "nonocc" in masks


def test_a_split_without_truth(tmp_path):
    pair = sample(0, "").pair
    dataset = Dataset("x", tmp_path, "test", ["s0"], lambda i: StereoSample(pair, None, {}, ""))
    with pytest.raises(InputError, match="public truth"):
        run([write_all(tmp_path / "m", (0.0,))], dataset)


def test_disparities_become_metres_where_there_is_a_rig(tmp_path):
    one = sample(0, "")
    rig = StereoRig.simple(SIZE[1], SIZE[0], 100.0, 0.1)
    pair = type(one.pair)(one.pair.left, one.pair.right, rig)
    dataset = Dataset("x", tmp_path, "all", ["s0"], lambda i: StereoSample(pair, one.truth, {}, ""))
    report = run([write_all(tmp_path / "m", (0.0,))], dataset, protocol=("fathom", "fathom-depth"))
    assert {t.protocol.name for t in report.totals} == {"fathom", "fathom-depth"}
    rigless = Dataset("x", tmp_path, "all", ["s0"], lambda i: one)
    with pytest.raises(UsageError, match="sample s0: there is no calibration"):
        run([tmp_path / "m"], rigless, protocol=("fathom-depth",))


def test_the_table_of_rows_is_whole_or_not_there(tmp_path, truth):
    table = tmp_path / "rows.csv"
    run([write_all(tmp_path / "m")], truth, table=table, protocol=("fathom", "kitti-2015"))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(r["sample"], r["protocol"]) for r in rows} >= {("s2", "fathom"), ("s0", "kitti-2015")}
    one = next(r for r in rows if (r["sample"], r["mask"]) == ("s1", "all"))
    assert float(one["epe"]) == 1.5 and one["seconds"] == "" and one["pixels"] == str(24 * 40)
    before = table.read_text()
    write_disparity_pfm(tmp_path / "m/s0.pfm", np.zeros((5, 7), np.float32))
    for i in (1, 2):
        (tmp_path / f"m/s{i}.pfm").write_bytes(b"junk")
    with pytest.raises(InputError):
        run([tmp_path / "m"], truth, table=table)
    assert table.read_text() == before
    assert not list(tmp_path.glob(".rows*"))


def test_a_table_where_nothing_can_be_written(tmp_path, truth):
    (tmp_path / "dir").mkdir()
    with pytest.raises(ResourceError):
        run([write_all(tmp_path / "m")], truth, table=tmp_path / "dir")


def test_places_that_hold_nothing(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        open_maps([str(tmp_path / "none")], PLAIN)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no map"):
        open_maps([str(tmp_path / "empty")], PLAIN)
    with pytest.raises(UsageError, match=r"one folder or list.*fathom compare"):
        open_maps([str(tmp_path / "empty"), str(tmp_path)], PLAIN)


def test_files_that_are_no_maps(tmp_path):
    from PIL import Image

    np.save(tmp_path / "a.npy", np.zeros((2, 3, 3), np.float32))
    np.save(tmp_path / "b.npy", np.array([["x"]]))
    (tmp_path / "c.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{")
    np.save(tmp_path / "d.npy", np.array([{}]), allow_pickle=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "e.tiff")
    (tmp_path / "f.tiff").write_bytes(b"II*\x00\x08\x00\x00\x00broken")
    page = Image.fromarray(np.ones((4, 4), np.float32))
    page.save(tmp_path / "g.tiff", save_all=True, append_images=[page])
    (tmp_path / "g.pfm").write_text("hello, this is text")
    for name, message in {
        "a.npy": "no map of numbers",
        "b.npy": "no map of numbers",
        "c.npy": "damaged|truncated|fit",
        "d.npy": "objects",
        "e.tiff": "looks like a picture",
        "f.tiff": "cannot be read",
        "g.tiff": "a TIFF of 2 pages",
        "g.pfm": "no PFM",
        "none.pfm": "does not exist",
    }.items():
        with pytest.raises(InputError, match=message):
            read_map(MapFile(tmp_path / name, PLAIN), "disparity")


def test_a_tiff_too_large_is_an_input_error(tmp_path, monkeypatch):
    from PIL import Image

    Image.fromarray(off(0)).save(tmp_path / "a.tiff")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9)
    with pytest.raises(InputError, match="cannot be read"):
        read_map(MapFile(tmp_path / "a.tiff", PLAIN), "disparity")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**9)
    monkeypatch.setattr("fathom.workflows.evaluate_read.MAX_VALUES", 9)
    with pytest.raises(InputError, match="impossible size"):
        read_map(MapFile(tmp_path / "a.tiff", PLAIN), "disparity")


def test_options_that_say_nothing(unchecked):
    for wrong in ({"kind": "metres"}, {"encoding": "jpg"}, {"encoding": "uint16"}, {"scale": "x"}):
        with pytest.raises(UsageError):
            MapOptions(**wrong)
    with pytest.raises(UsageError, match="unknown"):
        MapOptions(unknown="a")
    for wrong in ({"limit": 0}, {"missing": "maybe"}):
        with pytest.raises(UsageError):
            ScoreOptions(**wrong)
    assert number("1/4", "x") == 0.25 and number("0", "x", zero=True) == 0
    with pytest.raises(UsageError):
        number("1/0", "x")


def test_each_data_set_has_its_protocol():
    def name(format, kind="stereo"):
        return ScoreOptions().chosen(format, kind)[0].name

    assert name("kitti-2015") == "kitti-2015" and name("monkaa") == "sceneflow"
    assert name("fathom-folder") == "fathom" and name("scannet", "mono") == "fathom-depth"


def test_memory_does_not_grow_with_the_samples(tmp_path):
    size = (96, 128)
    write_disparity_pfm(tmp_path / "one.pfm", np.full(size, SHIFT, np.float32))
    file = MapFile(tmp_path / "one.pfm", PLAIN)

    def peak(count: int) -> int:
        names = [f"s{i}" for i in range(count)]
        dataset = Dataset("x", tmp_path, "all", names, lambda i: sample(0, "", size=size))
        maps = Maps("same", {}, lambda name: file)
        tracemalloc.start()
        options = ScoreOptions(protocol=("sceneflow",))
        score_maps(maps, dataset, options, table=tmp_path / "rows.csv")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(5)  # what is imported and cached once
    assert peak(60) - peak(10) < 50 * 4000  # names and the like; a map has 49,152 bytes


def test_shared_pairs_and_the_reference_rows(shared, tmp_path):
    root = shared / "data/pairs_gt/middlebury_2005_2006_third"
    pairs = pairs_of(str(root), None, None, None, {}, PairOptions())
    predict(pairs, tmp_path / "o", PredictOptions(method="sgm", max_disparity=80, limit=1))
    dataset = open_dataset(None, root)
    report = run([tmp_path / "o"], dataset, partial=True)
    assert 0.005 < only(report, "nonocc").of_images["bad-2"] < 0.1
    assert read_disparity_pfm(tmp_path / "o/disparity/Aloe.pfm").shape == dataset["Aloe"].pair.shape
