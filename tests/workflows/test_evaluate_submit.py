"""`workflows.evaluate_submit`: archives of maps, checked before they appear."""

import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from fathom.core import InputError, UsageError
from fathom.eval.submission import BENCHMARKS, Benchmark
from fathom.eval.submission_check import validate
from fathom.io.images import write_png
from fathom.io.maps import write_disparity_pfm
from fathom.workflows.evaluate import PredictOptions, predict
from fathom.workflows.evaluate_maps import open_maps
from fathom.workflows.evaluate_pairs import pairs_of
from fathom.workflows.evaluate_read import MapOptions
from fathom.workflows.evaluate_submit import SubmitOptions, size_reader, submit
from fathom.workflows.pairs import PairOptions

sys.path.insert(0, str(Path(__file__).parent))
from tiny_sets import sample

QUICK = {"method": "sad", "max_disparity": 8, "threads": 1}
PLAIN = MapOptions()


@pytest.fixture
def few(monkeypatch) -> dict[str, Benchmark]:
    """The benchmarks with two samples a split: their whole lists would take too long."""
    from dataclasses import replace

    small = tuple(replace(b, groups={k: v[:2] for k, v in b.groups.items()}) for b in BENCHMARKS)
    monkeypatch.setattr("fathom.eval.submission.BENCHMARKS", small)
    return {b.name: b for b in small}


def maps(folder: Path, names, values) -> Path:
    for name in names:
        write_disparity_pfm(folder / f"{name}.pfm", values)
    return folder


def pictures(folder: Path, names: tuple[str, str], seed: int, size) -> None:
    pair = sample(seed, "", size=size).pair
    for name, view in zip(names, (pair.left, pair.right), strict=True):
        write_png(folder / name, view.image)


def scenes(root: Path, folders, size=(24, 40)) -> Path:
    for number, folder in enumerate(folders):
        pictures(root / folder, ("im0.png", "im1.png"), number, size)
    return root


def test_from_predictions_to_eth3d(tmp_path, few):
    groups = few["eth3d"].groups
    root = scenes(
        tmp_path / "eth", [f"two_view_{split}/{n}" for split in groups for n in groups[split]]
    )
    outs = []
    for split in groups:
        pairs = pairs_of(str(root), None, "eth3d", split, {}, PairOptions())
        predict(pairs, tmp_path / split, PredictOptions(**QUICK))
        outs.append(open_maps([str(tmp_path / split)], PLAIN))
    out = tmp_path / "eth3d.zip"
    result = submit("eth3d", outs, out, SubmitOptions())
    assert result.verdict.maps == 4 and result.verdict.sizes and not result.verdict.errors
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == sorted(
            f"low_res_two_view/{n}.{e}" for s in groups for n in groups[s] for e in ("pfm", "txt")
        )
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
        text = archive.read(f"low_res_two_view/{groups['test'][0]}.txt").decode()
        assert text.startswith("runtime ") and float(text.split()[1]) > 0
    again = tmp_path / "again.zip"
    submit("eth3d", outs, again, SubmitOptions())
    assert again.read_bytes() == out.read_bytes()
    assert not validate(out, image_size=size_reader(root)).problems


def test_middlebury_is_dense_or_sparse_as_its_maps_are(tmp_path, few):
    names = few["middlebury-v3"].groups["training"]
    values = np.full((6, 40), 5, np.float32)
    values[0] = 6
    source = open_maps([str(maps(tmp_path / "m", names, values))], PLAIN)
    options = SubmitOptions(name="Mine", resolution="H", runtime=0.5)
    result = submit("middlebury-v3", [source], tmp_path / "m.zip", options)
    assert not result.sparse and result.seconds == 0.5
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        assert "trainingH/Adirondack/disp0Mine.pfm" in archive.namelist()
        assert archive.read("trainingH/Adirondack/timeMine.txt") == b"0.5\n"
    values[3, 3] = np.nan
    maps(tmp_path / "m", names[:1], values)
    result = submit("middlebury-v3", [source], tmp_path / "m.zip", options)
    assert result.sparse
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        assert "trainingH/Adirondack/disp0Mine_s.pfm" in archive.namelist()
        assert "trainingH/Adirondack/disp0Mine.pfm" not in archive.namelist()


def test_the_resolution_is_that_of_the_predictions(tmp_path, few):
    names = few["middlebury-v3"].groups["training"]
    root = scenes(tmp_path / "M", [f"trainingH/{n}" for n in names])
    own = {"resolution": "H"}
    pairs = pairs_of(str(root), None, "middlebury-v3", "training", own, PairOptions())
    predict(pairs, tmp_path / "o", PredictOptions(**QUICK))
    result = submit(
        "middlebury-v3",
        [open_maps([str(tmp_path / "o")], PLAIN)],
        tmp_path / "m.zip",
        SubmitOptions(),
    )
    assert result.verdict.sizes and result.verdict.splits == ("training",)
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        assert "trainingH/Adirondack/disp0sad.pfm" in archive.namelist()


@pytest.mark.parametrize("year", [2012, 2015])
def test_kitti_s_numbers(tmp_path, few, year):
    names = few[f"kitti-{year}"].groups["testing"]
    values = np.full((375, 1242), 20.0, np.float32)
    values[0, :5] = [np.nan, 0.0, 0.001, 300.0, 255.99]
    source = open_maps([str(maps(tmp_path / "m", names, values))], PLAIN)
    out = tmp_path / "k.zip"
    result = submit(f"kitti-{year}", [source], out, SubmitOptions())
    assert result.clipped == 2 * 3 and result.seconds is None
    inside = names[0] + ".png" if year == 2012 else f"disp_0/{names[0]}.png"
    with zipfile.ZipFile(out) as archive:
        assert len(archive.namelist()) == 2
        data = np.frombuffer(archive.read(inside), np.uint8)
    stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16 and stored[0, :6].tolist() == [0, 1, 1, 65535, 65533, 5120]


def test_maps_of_another_split_or_data_set_are_refused(tmp_path, few):
    for split in ("training", "testing"):
        for side in (2, 3):
            pictures(
                tmp_path / f"K/{split}/image_{side}", ("000000_10.png",) * 2, side, (375, 1242)
            )
    (tmp_path / "K/training/disp_occ_0").mkdir()
    write_png(
        tmp_path / "K/training/disp_occ_0/000000_10.png", np.full((375, 1242), 999, np.uint16)
    )
    pairs = pairs_of(str(tmp_path / "K"), None, "kitti-2015", "training", {}, PairOptions())
    predict(pairs, tmp_path / "o", PredictOptions(method="opencv-bm", confidence=False))
    source = open_maps([str(tmp_path / "o")], PLAIN)
    with pytest.raises(UsageError, match=r"split = 'training'.*--split testing"):
        submit("kitti-2015", [source], tmp_path / "k.zip", SubmitOptions())
    with pytest.raises(UsageError, match="of another data set than eth3d"):
        submit("eth3d", [source], tmp_path / "k.zip", SubmitOptions())
    assert not (tmp_path / "k.zip").exists()


def test_what_is_missing_is_named(tmp_path, few):
    names = few["eth3d"].groups["training"]
    values = np.full((6, 40), 5, np.float32)
    source = open_maps([str(maps(tmp_path / "m", names, values))], PLAIN)
    with pytest.raises(UsageError, match="--runtime"):
        submit("eth3d", [source], tmp_path / "e.zip", SubmitOptions())
    with pytest.raises(UsageError, match="no resolution"):
        submit("middlebury-v3", [source], tmp_path / "e.zip", SubmitOptions(name="x"))
    with pytest.raises(UsageError, match="unknown benchmark"):
        submit("eth", [source], tmp_path / "e.zip", SubmitOptions())
    maps(tmp_path / "one", names[:1], values)
    source = open_maps([str(tmp_path / "one")], PLAIN)
    with pytest.raises(InputError, match="1 of 2 maps are missing"):
        submit("eth3d", [source], tmp_path / "e.zip", SubmitOptions(runtime=1.0))
    with pytest.raises(UsageError, match="is no time"):
        SubmitOptions(runtime=0.0)


def test_an_archive_with_errors_does_not_appear(tmp_path, few):
    names = few["eth3d"].groups["training"]
    source = open_maps([str(maps(tmp_path / "m", names, np.full((6, 40), -5, np.float32)))], PLAIN)
    out = tmp_path / "e.zip"
    out.write_text("the one from yesterday")
    with pytest.raises(InputError, match=r"would be refused: .*is negative.*and 1 more.*nothing"):
        submit("eth3d", [source], out, SubmitOptions(runtime=1.0))
    assert out.read_text() == "the one from yesterday"
    assert not list(tmp_path.glob(".e.zip*"))


def test_depth_is_no_disparity(tmp_path, few):
    names = few["eth3d"].groups["training"]
    maps(tmp_path / "m", names, np.full((6, 40), 5, np.float32))
    reading = MapOptions(kind="depth")
    with pytest.raises(UsageError, match="stereo take disparities"):
        submit(
            "eth3d",
            [open_maps([str(tmp_path / "m")], reading)],
            tmp_path / "e.zip",
            SubmitOptions(runtime=1.0),
        )


def test_no_data_no_sizes():
    assert size_reader(None) is None
