"""A list of one's own: every column, every unit, and errors that name the line."""

import json
from pathlib import Path

import numpy as np
import pytest
from data_layouts import HEIGHT, NAN, WIDTH, calib_txt, disparity, npy, pfm, png, rgb, text, u16

from fathom.core import InputError, MonoSample, StereoSample
from fathom.data.manifest import read_manifest
from fathom.data.registry import open_dataset, recognise


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """a.png and b.png, the truth in many encodings, masks and a calibration."""
    for i, name in enumerate(("a", "b")):
        png(tmp_path / f"{name}.png", rgb(i))
    d = disparity()
    pfm(tmp_path / "d.pfm", np.where(np.isnan(d), np.inf, d))
    npy(tmp_path / "d.npy", d)
    npy(tmp_path / "raft.npy", -d)
    npy(tmp_path / "zero.npy", np.nan_to_num(d, nan=0))
    png(tmp_path / "kitti.png", u16(d, 256))
    png(tmp_path / "cre.png", u16(d, 32))
    png(tmp_path / "grey.png", np.nan_to_num(d * 4, nan=0).astype(np.uint8))
    packed = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    packed[..., 0] = np.nan_to_num(d, nan=0) // 4
    packed[..., 1] = (np.nan_to_num(d, nan=0) % 4) * 64
    png(tmp_path / "sintel.png", packed)
    png(tmp_path / "mm.png", u16(d, 1000))
    npy(tmp_path / "metres.npy", np.nan_to_num(d, nan=-1))
    mask = np.ones((HEIGHT, WIDTH), np.uint8)
    mask[:, :5] = 0
    png(tmp_path / "mask.png", mask * 255)
    text(tmp_path / "calib.txt", calib_txt())
    return tmp_path


def _open(data: Path, *lines: str):
    text(data / "list.csv", "\n".join(lines) + "\n")
    return open_dataset("manifest", data / "list.csv")


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("d.pfm", ""),
        ("d.npy", ""),
        ("zero.npy", ""),
        ("raft.npy", "-1,"),
        ("kitti.png", ""),
        ("kitti.png", "1/256,uint16"),
        ("cre.png", "1/32,"),
        ("cre.png", "0.03125,uint16"),
        ("grey.png", "1/4,uint8"),
    ],
)
def test_disparity_in_every_encoding(file: str, more: str, data: Path) -> None:
    scale, _, encoding = more.partition(",")
    dataset = _open(
        data, "left,right,disparity,scale,encoding", f"a.png,b.png,{file},{scale},{encoding}"
    )
    sample = dataset["a.png"]
    assert isinstance(sample, StereoSample)
    np.testing.assert_allclose(sample.truth.values, disparity(), equal_nan=True)
    assert sample.pair.rig is None


def test_channels_and_their_unknowns(data: Path) -> None:
    row = "a.png,b.png,sintel.png,"
    sintel = _open(data, "left,right,disparity,encoding", row + "sintel")[0]
    np.testing.assert_array_equal(sintel.truth.values, np.nan_to_num(disparity(), nan=0))
    fsd = _open(data, "left,right,disparity,encoding", row + "fsd")[0]
    r, g = 6 // 4, round(6.25 % 4 * 64)
    assert fsd.truth.values[10, 25] == np.float32((255 * 255 * r + 255 * g) / 1000)


@pytest.mark.parametrize(
    ("file", "scale", "factor"),
    [("mm.png", "", 1), ("mm.png", "0.001", 1), ("mm.png", "1/100", 10), ("metres.npy", "", 1)],
)
def test_depth_of_one_view(file: str, scale: str, factor: float, data: Path) -> None:
    dataset = _open(
        data,
        "left;depth;scale;name;calib",
        f"a.png;{file};{scale};kitchen;calib.txt",
    )
    sample = dataset["kitchen"]
    assert isinstance(sample, MonoSample)
    expected = disparity() * np.float32(factor)
    np.testing.assert_allclose(sample.truth.values, expected, rtol=1e-6, equal_nan=True)
    assert sample.view.camera is not None and sample.view.camera.fx == 100


def test_depth_of_a_pair_becomes_disparity(data: Path) -> None:
    row = "a.png,b.png,mm.png,100,0.2,1.5"
    sample = _open(data, "left,right,depth,focal,baseline,doffs", row)[0]
    expected = 100 * 0.2 / disparity() - 1.5
    np.testing.assert_allclose(sample.truth.values, expected, rtol=1e-5, equal_nan=True)
    assert sample.pair.rig.doffs == pytest.approx(1.5)


def test_masks_and_calibration(data: Path) -> None:
    header = "left,right,disparity,mask,nonocc,calibration"
    sample = _open(data, header, "a.png,b.png,d.pfm,mask.png,mask.png,calib.txt")[0]
    assert np.isnan(sample.truth.values[:, :5]).all()
    assert not sample.masks["valid"][:, :5].any() and sample.masks["nonocc"][:, 5:].all()
    assert sample.pair.rig.baseline == 0.193001


def test_json_lines_comments_and_blank_lines(data: Path) -> None:
    rows = [
        "# pairs of the kitchen",
        "",
        json.dumps({"left": "a.png", "right": "b.png", "disparity": "d.pfm", "name": "one"}),
        json.dumps({"left": "a.png", "right": "b.png", "disp": None, "name": "two"}),
    ]
    text(data / "list.jsonl", "\n".join(rows))
    assert recognise(data / "list.jsonl") == ["manifest"]
    dataset = open_dataset(None, data / "list.jsonl")
    assert list(dataset.names) == ["one", "two"]
    assert dataset["one"].truth is not None and dataset["two"].truth is None


def test_a_missing_file_is_named_with_its_line(data: Path) -> None:
    dataset = _open(
        data, "left,right,disparity", "# first", "a.png,b.png,d.pfm", "a.png,gone.png,d.pfm"
    )
    assert dataset[0].truth is not None
    with pytest.raises(InputError, match=r"list\.csv line 4: .*gone\.png: does not exist"):
        dataset[1]


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ([""], "holds no line"),
        (["left,right"], "holds a header and no row"),
        (["left,rigth", "a,b"], r"line 1 = 'rigth': is no column of a manifest; did you mean righ"),
        (["left,right", "a.png"], r"line 2 = 1: has another number of cells than the header"),
        (["left,right", ",b.png"], r"line 2: names no left image"),
        (["left,right", "a,b", "a,"], r"line 3: mixes pairs and single views"),
        (["left,depth", "a,"], r"line 2: is no sample; expected `right` \(a pair\), or `depth`"),
        (["left,disparity", "a,d"], r"line 2: is no sample"),
        (["left,right,disparity,depth", "a,b,c,d"], "line 2: names two truths"),
        (["left,right,focal", "a,b,3"], "line 2: names half a rig"),
        (["left,right,depth", "a,b,d"], "line 2: has depth and no rig"),
        (["left,right,scale", "a,b,1/0"], r"line 2, scale = '1/0': is no number"),
        (["left,right,scale", "a,b,x"], r"line 2, scale = 'x': is no number"),
        (["left,right,encoding", "a,b,png"], r"line 2, encoding = 'png': is no encoding; expected"),
        (['{"left": 1', '{"a"'], "line 1: is no JSON"),
        (['{"left": "a", "right": "b"}', "[1]"], "line 2: is no JSON object"),
    ],
)
def test_what_is_wrong_in_a_list(lines, match, tmp_path: Path) -> None:
    text(tmp_path / "list.csv", "\n".join(lines) + " ")
    with pytest.raises(InputError, match=match) as caught:
        read_manifest(tmp_path / "list.csv")
    assert "\n" not in str(caught.value)


def _matrix(name: str, rows: int, *numbers: float) -> str:
    return (
        f'<{name} type_id="opencv-matrix"><rows>{rows}</rows><cols>{len(numbers) // rows}</cols>'
        f"<dt>d</dt><data>{' '.join(map(str, numbers))}</data></{name}>"
    )


def test_a_raw_calibration_is_no_rig_of_a_pair(data: Path) -> None:
    camera, lens = (100, 0, 20, 0, 100, 15, 0, 0, 1), (0.1, 0, 0, 0, 0)
    parts = [_matrix(f"M{i}", 3, *camera) + _matrix(f"D{i}", 1, *lens) for i in (1, 2)]
    parts += [_matrix("R", 3, 1, 0, 0, 0, 1, 0, 0, 0, 1), _matrix("T", 3, -0.1, 0, 0)]
    head = '<?xml version="1.0"?>\n<opencv_storage>'
    text(data / "raw.xml", head + "".join(parts) + "</opencv_storage>")
    with pytest.raises(InputError, match="is a raw calibration, and the pairs"):
        _open(data, "left,right,calibration", "a.png,b.png,raw.xml")[0]


def test_a_truth_of_another_size(data: Path) -> None:
    """Half-size truth must not pass for truth."""
    npy(data / "half.npy", disparity()[::2, ::2].copy())
    dataset = _open(data, "left,right,disparity", "a.png,b.png,half.npy")
    with pytest.raises(InputError, match=r"line 2: .*half.npy: truth = .*differs in size"):
        dataset[0]
    assert np.isnan(NAN)
