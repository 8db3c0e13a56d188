"""fathom's own layout: written, read back, and refused."""

import json
from pathlib import Path

import data_layouts as layouts
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom.core import (
    Disparity,
    InputError,
    ResourceError,
    StereoPair,
    StereoRig,
    StereoSample,
    UsageError,
    View,
)
from fathom.data import open_dataset, read_sample, write_sample
from fathom.data.readers.fathom_folder import read_meta


def _sample(*, rig: StereoRig | None = None, deep: bool = False) -> StereoSample:
    left, right = layouts.rgb(1), layouts.rgb(2)
    if deep:
        left, right = left.astype(np.uint16) * 257, right.astype(np.uint16) * 200
    masks = {"nonocc": layouts.disparity() > 3, "thin": layouts.disparity() < 3}
    pair = StereoPair(View(left), View(right), rig)
    return StereoSample(pair, Disparity(layouts.disparity()), masks, "s")


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.floats(10, 5000),
    st.floats(-20, 300),
    st.floats(1e-3, 10),
    st.none() | st.integers(1, 900),
    st.booleans(),
)
def test_what_is_written_is_read_back(tmp_path_factory, focal, doffs, baseline, limit, deep):
    rig = StereoRig.simple(layouts.WIDTH, layouts.HEIGHT, focal, baseline, doffs=doffs)
    rig = StereoRig(rig.left, rig.right, rig.baseline, limit)
    sample = _sample(rig=rig, deep=deep)
    folder = tmp_path_factory.mktemp("written") / "a" / "s"
    write_sample(folder, sample, {"seed": 3})
    back = read_sample(folder)
    np.testing.assert_array_equal(back.pair.left.image, sample.pair.left.image)
    np.testing.assert_array_equal(back.pair.right.image, sample.pair.right.image)
    np.testing.assert_array_equal(back.truth.values, sample.truth.values)
    assert {n: m.tolist() for n, m in back.masks.items()} == {
        n: m.tolist() for n, m in sample.masks.items()
    }
    assert back.name == "s" and read_meta(folder) == {"seed": 3}
    assert back.pair.rig.left == rig.left and back.pair.rig.baseline == rig.baseline
    assert back.pair.rig.doffs == pytest.approx(rig.doffs)
    assert back.pair.rig.max_disparity == limit
    assert open_dataset("fathom-folder", folder.parents[1])["a/s"].name == "a/s"
    assert open_dataset("fathom-folder", folder)[0].name == "s"


def test_the_least_a_sample_has(tmp_path: Path) -> None:
    pair = _sample().pair
    write_sample(tmp_path / "s", StereoSample(pair))
    back = read_sample(tmp_path / "s", "mine")
    assert back.truth is None and not back.masks and back.pair.rig is None
    assert back.name == "mine" and read_meta(tmp_path / "s") == {}


def test_samples_are_not_overwritten(tmp_path: Path) -> None:
    write_sample(tmp_path / "s", _sample())
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*.png")}
    with pytest.raises(ResourceError, match="is there already, and samples are not overwritten"):
        write_sample(tmp_path / "s", _sample(deep=True))
    assert before == {p: p.read_bytes() for p in (tmp_path / "s").rglob("*.png")}


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\\b"])
def test_masks_that_are_no_file_names(name: str, tmp_path: Path) -> None:
    sample = _sample()
    bad = StereoSample(sample.pair, None, {name: sample.masks["thin"]})
    with pytest.raises(UsageError, match="is no name for a mask"):
        write_sample(tmp_path / "s", bad)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("calibration", "match"),
    [
        ("{", "calib.json: is no JSON"),
        ("[1]", "calib.json: is no JSON object"),
        ({"fx": "f"}, "fx = 'f': is no number"),
        ({"width": 7}, "width, height = '7x32': is for another image size"),
        ({"baseline_m": -1}, "baseline = -1.0: is not a positive number"),
    ],
)
def test_wrong_calibrations(calibration, match, tmp_path: Path) -> None:
    layouts.fathom_folder(tmp_path)
    file = tmp_path / "street/0001/calib.json"
    if isinstance(calibration, dict):
        calibration = json.dumps({**json.loads(file.read_text()), **calibration})
    file.write_text(calibration)
    with pytest.raises(InputError, match=match):
        open_dataset("fathom-folder", tmp_path)[0]


@pytest.mark.parametrize("name", ["fx", "cx", "doffs", "baseline_m"])
def test_an_unknown_number_gives_no_rig(name: str, tmp_path: Path) -> None:
    layouts.fathom_folder(tmp_path)
    file = tmp_path / "street/0001/calib.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, name: None}))
    assert open_dataset("fathom-folder", tmp_path)[0].pair.rig is None
    del values[name]
    file.write_text(json.dumps(values))
    assert open_dataset("fathom-folder", tmp_path)[0].pair.rig is None


def test_the_shared_pairs(shared: Path) -> None:
    dataset = open_dataset(None, shared / "data/pairs_gt")
    assert dataset.format == "fathom-folder" and len(dataset) == 24
    cones = dataset["middlebury_2001_2003/cones"]
    assert cones.pair.rig is not None or cones.truth.share_known > 0.8
    assert "nonocc" in cones.masks
    rgbd = open_dataset(None, shared / "data/rgbd/tum_fr1_rpy")
    assert rgbd.format == "tum-rgbd" and len(rgbd) == 40
    assert 0.3 < float(np.nanmedian(rgbd[0].truth.values)) < 5
