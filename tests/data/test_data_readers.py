"""Every reader on its own layout: what comes out is what was laid out, pixel by pixel."""

from pathlib import Path

import data_layouts as layouts
import numpy as np
import pytest

from fathom.core import InputError, MonoSample, StereoSample, UsageError
from fathom.data.registry import names, open_dataset, reader, readers, recognise

LAYOUTS = {builder.__name__.replace("_", "-"): builder for builder in layouts.ALL}


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_comes_out_is_what_was_laid_out(name: str, tmp_path: Path) -> None:
    laid = LAYOUTS[name](tmp_path)
    dataset = open_dataset(laid.name, tmp_path, laid.split, **laid.options)
    assert list(dataset.names) == laid.names
    assert len(dataset) == len(laid.names)
    last_venus = laid.name == "middlebury-2001"
    sample = dataset["venus"] if last_venus else dataset[0]
    assert sample.name == ("venus" if last_venus else laid.names[0])
    assert sample.truth is not None
    _same(sample.truth.values, laid.truth, laid.tolerance)
    for mask, expected in laid.masks.items():
        np.testing.assert_array_equal(sample.masks[mask], expected, err_msg=mask)
    if isinstance(sample, StereoSample):
        assert reader(laid.name).kind == "stereo"
        assert sample.pair.left.image[0, 0].tolist() != sample.pair.right.image[0, 0].tolist()
        rig = sample.pair.rig
        if laid.rig is None:
            assert rig is None
        else:
            assert rig is not None
            np.testing.assert_allclose((rig.left.fx, rig.baseline, rig.doffs), laid.rig, rtol=1e-6)
    else:
        assert isinstance(sample, MonoSample)
        assert reader(laid.name).kind == "mono"
        assert laid.rig is not None and sample.view.camera is not None
        np.testing.assert_allclose(sample.view.camera.fx, laid.rig[0], rtol=1e-6)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_is_recognised(name: str, tmp_path: Path) -> None:
    laid = LAYOUTS[name](tmp_path)
    found = recognise(tmp_path)
    if laid.recognised:
        assert found == [laid.name]
    assert open_dataset(found[0], tmp_path).names


@pytest.mark.parametrize("name", sorted(set(names()) - {"manifest"}))
def test_a_wrong_folder_says_what_was_expected(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.txt").write_text("sand")
    with pytest.raises(InputError) as caught:
        open_dataset(name, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert f"does not look like {name}" in message
    assert "holiday" in message
    assert " ".join(reader(name).layout.splitlines()[0].split()) in message


def test_a_wrong_folder_that_is_another_data_set(tmp_path: Path) -> None:
    layouts.kitti_2015(tmp_path)
    with pytest.raises(InputError, match="it looks like kitti-2015: take that name"):
        open_dataset("eth3d", tmp_path)


def test_every_reader_has_a_layout_here() -> None:
    # Spring has tests of its own (it needs h5py), the manifest a file of its own.
    assert set(LAYOUTS) | {"spring", "manifest"} == set(names())


@pytest.mark.parametrize("found", readers(), ids=lambda r: r.name)
def test_what_the_registry_says(found) -> None:
    assert found.summary and found.terms and found.source and "ROOT" in found.layout
    assert len(found.summary) < 100
    assert len(set(found.splits)) == len(found.splits) >= 1
    assert found.options()  # has defaults for all


@pytest.mark.parametrize(
    ("name", "split", "options", "match"),
    [
        ("kitti-2016", None, {}, "did you mean kitti-2015 or kitti-2012"),
        ("kitti-2015", "train", {}, "split = 'train': is no split of kitti-2015; expected train"),
        ("kitti-2015", None, {"trut": "noc"}, "unknown option of kitti-2015: 'trut'; did you mean"),
        ("kitti-2015", None, {"truth": "both"}, "truth = 'both': is no choice; expected occ or"),
        ("eth3d", None, {"truth": "noc"}, "truth = 'noc': eth3d has no options"),
    ],
)
def test_wrong_requests(name, split, options, match, tmp_path: Path) -> None:
    layouts.kitti_2015(tmp_path)
    with pytest.raises(UsageError, match=match):
        open_dataset(name, tmp_path, split, **options)


def test_unnamed_data_sets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_dataset(None, tmp_path / "nowhere")
    with pytest.raises(UsageError, match="looks like no data set fathom knows"):
        open_dataset(None, tmp_path)
    layouts.kitti_2015(tmp_path)
    assert open_dataset(None, tmp_path).format == "kitti-2015"
    layouts.eth3d(tmp_path)
    with pytest.raises(UsageError, match=r"looks like eth3d and kitti-2015; say which"):
        open_dataset(None, tmp_path)
    (tmp_path / "picture.png").write_bytes(b"")
    with pytest.raises(UsageError, match="looks like no data set"):
        open_dataset(None, tmp_path / "picture.png")
