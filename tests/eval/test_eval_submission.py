"""`eval.submission`: where files lie in an archive; `submission_check`: what is wrong with one."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fathom.core import InputError, UsageError
from fathom.eval.submission import (
    BENCHMARKS,
    benchmark,
    check_method,
    middlebury_names,
    places,
    recognise,
)
from fathom.eval.submission_check import validate
from fathom.io.images import write_png
from fathom.io.maps import write_disparity_pfm
from fathom.io.pfm import write_pfm

KITTI = (375, 1242)
GOOD = np.full((6, 40), 5.0, np.float32)
GOOD[0] = 7


@pytest.fixture
def twelve(monkeypatch) -> None:
    """KITTI with a dozen images: decoding all 200 takes seconds."""
    short = tuple(
        replace(b, groups={k: v[:12] for k, v in b.groups.items()}) if "kitti" in b.name else b
        for b in BENCHMARKS
    )
    monkeypatch.setattr("fathom.eval.submission.BENCHMARKS", short)


def test_counts_are_those_of_the_benchmarks():
    counts = {b.name: {k: len(set(v)) for k, v in b.groups.items()} for b in BENCHMARKS}
    assert counts == {
        "kitti-2012": {"testing": 195},
        "kitti-2015": {"testing": 200},
        "middlebury-v3": {"training": 15, "test": 15},
        "eth3d": {"training": 27, "test": 20},
    }


def test_places_in_the_archives():
    first = places(benchmark("kitti-2012"), ["testing"])
    assert (first[0].map, first[-1].map) == ("000000_10.png", "000194_10.png")
    first = places(benchmark("kitti-2015"), ["testing"])
    assert (first[0].map, first[-1].map) == ("disp_0/000000_10.png", "disp_0/000199_10.png")
    one = places(benchmark("eth3d"), ["test"])[0]
    assert one.map == "low_res_two_view/lakeside_1l.pfm"
    assert one.time == "low_res_two_view/lakeside_1l.txt"
    one = places(benchmark("middlebury-v3"), ["training"], method="SGM_x", resolution="H")[0]
    assert one.map == "trainingH/Adirondack/disp0SGM_x.pfm"
    assert one.sparse == "trainingH/Adirondack/disp0SGM_x_s.pfm"
    assert one.time == "trainingH/Adirondack/timeSGM_x.txt"


def test_names_that_cannot_be():
    with pytest.raises(UsageError, match="did you mean eth3d"):
        benchmark("ethd")
    with pytest.raises(UsageError, match="unknown split"):
        places(benchmark("eth3d"), ["testing"])
    with pytest.raises(UsageError, match="no resolution"):
        places(benchmark("middlebury-v3"), ["test"], method="x", resolution="")
    for wrong in ("", "a b", "a/b", "sgm_s", "x" * 41, "_x", "a__b", "ü"):
        with pytest.raises(UsageError, match="no name for a method"):
            check_method(wrong)
    for right in ("SGM", "opencv-sgbm", "A_b", "RAFT+x"):
        check_method(right)


def test_archives_are_recognised_by_the_names_inside():
    assert recognise(["disp_0/000000_10.png"]) == "kitti-2015"
    assert recognise(["readme", "000000_10.png"]) == "kitti-2012"
    assert recognise(["low_res_two_view/x.pfm"]) == "eth3d"
    assert recognise(["testQ/Plants/timeX.txt"]) == "middlebury-v3"
    assert recognise(["x.png"]) is None
    names = ["trainingH/Pipes/disp0A_s.pfm", "testQ/Plants/timeB_s.txt"]
    assert middlebury_names(names) == ({"H", "Q"}, {"A", "B_s"})


def eth3d(folder: Path, splits=("training", "test")) -> Path:
    """A whole and right ETH3D submission, as a folder."""
    for place in places(benchmark("eth3d"), splits):
        write_disparity_pfm(folder / place.map, GOOD)
        (folder / place.time).write_text("runtime 0.25\n")
    return folder


def middlebury(folder: Path, splits=("training",), method="SGM", values=GOOD) -> Path:
    for place in places(benchmark("middlebury-v3"), splits, method=method, resolution="Q"):
        unknown = bool(np.isnan(values).any())
        write_disparity_pfm(folder / (place.sparse if unknown else place.map), values)
        (folder / place.time).write_text("1.5")
    return folder


def kitti(folder: Path, year: int, values: int = 256 * 20) -> Path:
    stored = np.full(KITTI, values, np.uint16)
    stored[0, :9] = 0
    stored[1] += 100
    first = None
    for place in places(benchmark(f"kitti-{year}"), ["testing"]):
        target = folder / place.map
        if first is None:
            write_png(target, stored)
            first = target.read_bytes()
        target.write_bytes(first)
    return folder


def packed(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return target


def messages(path: Path, **more) -> str:
    return "\n".join(str(p) for p in validate(path, **more).problems)


def test_right_archives_are_ready(tmp_path):
    verdict = validate(packed(eth3d(tmp_path / "e"), tmp_path / "e.zip"))
    assert verdict.problems == [] and verdict.maps == 47 and verdict.known == 1
    assert verdict.splits == ("training", "test")
    verdict = validate(packed(middlebury(tmp_path / "m"), tmp_path / "m.zip"))
    assert verdict.problems == [] and verdict.maps == 15 and verdict.splits == ("training",)


@pytest.mark.parametrize("year", [2012, 2015])
def test_right_kitti_archives_are_ready(tmp_path, year, twelve):
    verdict = validate(kitti(tmp_path / "k", year))
    assert verdict.problems == [] and verdict.benchmark == f"kitti-{year}"
    assert verdict.known == pytest.approx(1 - 9 / (KITTI[0] * KITTI[1]))
    assert verdict.as_dict()["errors"] == 0


def test_missing_and_extra_files(tmp_path):
    folder = eth3d(tmp_path / "e")
    inside = folder / "low_res_two_view"
    (inside / "tunnel_1l.pfm").rename(inside / "Tunnel_1L.pfm")
    (inside / "facade_1s.txt").unlink()
    (inside / "more.pfm").write_text("x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/._x").write_text("x")
    found = messages(folder)
    assert "tunnel_1l.pfm: is missing; there is low_res_two_view/Tunnel_1L.pfm" in found
    assert "facade_1s.txt: is missing" in found
    assert "more.pfm: is not asked for; leave it out" in found
    assert "__MACOSX/._x: is a leftover of the system" in found


def test_a_folder_too_many_is_named(tmp_path):
    eth3d(tmp_path / "z/results")
    with pytest.raises(InputError, match=r"pack what is inside results/"):
        validate(packed(tmp_path / "z", tmp_path / "z.zip"))
    with pytest.raises(InputError, match="looks like no archive"):
        validate(packed(tmp_path / "z/results/low_res_two_view", tmp_path / "y.zip"))


def test_only_the_test_split_is_warned_of(tmp_path):
    verdict = validate(eth3d(tmp_path / "e", ("test",)))
    assert not verdict.errors and "no results for training" in str(verdict.problems[0])


def test_values_and_types_of_pfm(tmp_path):
    folder = eth3d(tmp_path / "e", ("training",))
    inside = folder / "low_res_two_view"
    values = GOOD.copy()
    values[1, 1] = np.nan
    write_pfm(inside / "electro_1l.pfm", values)
    write_pfm(inside / "electro_1s.pfm", np.where(np.isnan(values), -np.inf, GOOD))
    write_pfm(inside / "electro_2l.pfm", np.zeros((6, 40, 3), np.float32))
    write_pfm(inside / "electro_2s.pfm", np.full((6, 40), np.inf, np.float32))
    write_pfm(inside / "electro_3l.pfm", -GOOD)
    write_pfm(inside / "electro_3s.pfm", GOOD * 100)
    write_pfm(inside / "facade_1s.pfm", GOOD / 20)
    write_pfm(inside / "forest_1s.pfm", np.full((6, 40), 5, np.float32))
    (inside / "forest_2s.pfm").write_bytes(b"Pf\n3 3\n-1\nshort")
    values = GOOD.copy()
    values[0, 0] = -1
    write_pfm(inside / "terrace_1s.pfm", values)
    holes = GOOD.copy()
    holes[1] = np.nan
    write_disparity_pfm(inside / "terrace_2s.pfm", holes)
    found = messages(folder)
    for expected in (
        "electro_1l.pfm: has 1 NaN; unknown pixels are +inf",
        "electro_1s.pfm: has -inf",
        "electro_2l.pfm: has three channels",
        "electro_2s.pfm: knows not one pixel",
        "electro_3l.pfm: is negative",
        "electro_3s.pfm: has disparities up to 700 px in an image of 40 px",
        "warning: low_res_two_view/facade_1s.pfm: has a median of 0.25 px: depth, or",
        "warning: low_res_two_view/forest_1s.pfm: is constant (5 px)",
        "forest_2s.pfm: ",
        "warning: low_res_two_view/terrace_1s.pfm: has negative disparities (0.4%)",
    ):
        assert expected in found, expected
    assert "terrace_2s" not in found  # +inf is allowed here


def test_values_and_types_of_kitti(tmp_path, twelve):
    folder = kitti(tmp_path / "k", 2015)
    inside = folder / "disp_0"
    stored = np.full(KITTI, 256 * 20, np.uint16)
    write_png(inside / "000000_10.png", (stored // 256).astype(np.uint8))
    write_png(inside / "000001_10.png", stored[:300])
    write_png(inside / "000002_10.png", np.repeat(stored[..., None], 3, axis=2))
    write_png(inside / "000003_10.png", stored * 0)
    stored[0] = 30
    write_png(inside / "000004_10.png", stored // 256)
    (inside / "000005_10.png").write_bytes(b"GIF89a")
    (inside / "000006_11.png").write_bytes(b"x")
    (folder / "flow").mkdir()
    (folder / "flow/000000_10.png").write_bytes(b"x")
    found = messages(folder)
    for expected in (
        "000000_10.png: has 8 bits; expected 16",
        "000001_10.png: is 1242x300, no size of KITTI's images",
        "000002_10.png: channels x bits = '3 x 16'",
        "000003_10.png: knows not one pixel",
        "warning: disp_0/000004_10.png: has a median of 0.0781 px: stored without the factor 256?",
        "000005_10.png: is no image",
        "000006_11.png: is no frame of the benchmark",
        "warning: flow/000000_10.png: belongs to the scene flow benchmark",
    ):
        assert expected in found, expected


def test_sizes_are_compared_where_the_data_are_there(tmp_path):
    folder = eth3d(tmp_path / "e", ("training",))
    assert messages(folder, image_size=lambda of, place: (40, 6)) == ""
    found = validate(folder, image_size=lambda of, place: (41, 6)).errors
    assert len(found) == 27 and "is 40x6; the image is 41x6" in str(found[0])


def test_middlebury_dense_sparse_and_names(tmp_path):
    holes = GOOD.copy()
    holes[2, 3] = np.nan
    verdict = validate(middlebury(tmp_path / "s", values=holes))
    assert verdict.problems == [] and verdict.known == pytest.approx(1 - 1 / GOOD.size)
    folder = middlebury(tmp_path / "d")
    write_disparity_pfm(folder / "trainingQ/Pipes/disp0SGM.pfm", holes)
    assert "Pipes/disp0SGM.pfm: has 1 unknown pixels; a map named so is dense" in messages(folder)
    both = middlebury(middlebury(tmp_path / "b"), method="Other")
    assert "has 2 method names (Other, SGM); expected one" in messages(both)
    mixed = middlebury(tmp_path / "x")
    (mixed / "trainingQ/Pipes").rename(mixed / "trainingH-")
    (mixed / "trainingH").mkdir()
    (mixed / "trainingH-").rename(mixed / "trainingH/Pipes")
    assert "has 2 resolutions (H, Q)" in messages(mixed)


@pytest.mark.parametrize("text", ["", "fast", "runtime", "runtime -1", "runtime nan", "x" * 2000])
def test_time_files_of_eth3d(tmp_path, text):
    folder = eth3d(tmp_path / "e", ("training",))
    (folder / "low_res_two_view/terrace_1s.txt").write_text(text)
    (one,) = validate(folder).errors
    assert one.file.endswith("terrace_1s.txt") and "expected runtime SECONDS" in one.message


def test_time_files_of_middlebury(tmp_path):
    folder = middlebury(tmp_path / "m")
    (folder / "trainingQ/Piano/timeSGM.txt").write_text("1.5 seconds")
    (one,) = validate(folder).errors
    assert one.message == "says '1.5 seconds'; expected a number of seconds, and nothing else"


def test_what_is_no_archive(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        validate(tmp_path / "none.zip")
    file = tmp_path / "a.zip"
    file.write_bytes(b"7z\xbc\xaf\x27\x1c....")
    with pytest.raises(InputError, match=r"7-Zip's.*unpack it"):
        validate(file)
    file.write_text("hello")
    with pytest.raises(InputError, match="no zip archive"):
        validate(file)
    good = packed(eth3d(tmp_path / "e", ("training",)), file).read_bytes()
    file.write_bytes(good[:-40])
    with pytest.raises(InputError, match="cannot be read"):
        validate(file)
    with pytest.raises(UsageError, match="unknown benchmark"):
        validate(tmp_path / "e", "kitti")


def test_archives_made_to_harm(tmp_path, monkeypatch):
    from fathom.eval import submission_check

    file = packed(eth3d(tmp_path / "e", ("training",)), tmp_path / "a.zip")
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("low_res_two_view/facade_1s.txt", "runtime 1")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("../../evil.pfm", "x")
    found = messages(file)
    assert "facade_1s.txt: is in the archive 2 times" in found
    assert "../../evil.pfm: is not asked for" in found
    monkeypatch.setattr(submission_check, "_MOST_BYTES", 500)
    assert "is far too long for a map" in messages(file)
    monkeypatch.setattr(submission_check, "_MOST_FILES", 5)
    with pytest.raises(InputError, match="far too many files"):
        validate(file)


def test_encrypted_entries_are_named(tmp_path):
    file = packed(eth3d(tmp_path / "e", ("training",)), tmp_path / "a.zip")
    data = bytearray(file.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1  # the flag of the first entry in the central directory
    file.write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        validate(file)
