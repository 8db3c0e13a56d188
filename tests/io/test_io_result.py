"""A result folder read back, and strict JSON."""

import json
from pathlib import Path

import numpy as np
import pytest

from fathom.core import InputError, Source, StereoRig
from fathom.io.maps import (
    write_confidence_png,
    write_depth_npy,
    write_depth_png,
    write_disparity_pfm,
    write_disparity_png,
    write_source_png,
)
from fathom.io.result import read_result, to_json, write_json

RIG = StereoRig.simple(4, 3, 100.0, 0.1, doffs=2.5)
VALUES = np.array([[1, 2, 3, np.nan], [4.5, 5, -6, 7], [8, 9, 10.1, 11]], dtype=np.float32)
CONFIDENCE = np.float32(np.arange(12).reshape(3, 4) / 15)
SOURCE = np.array([[1, 1, 2, 0], [1, 2, 1, 1], [1, 1, 1, 1]], dtype=np.uint8)
DEPTH = RIG.depth_of(VALUES)
INFO = {"format": "fathom-result", "version": 1, "rig": RIG.as_dict(), "files": {}}


def save(folder: Path, info=INFO, **changes) -> None:
    write_json(folder / "result.json", info | changes)
    write_disparity_pfm(folder / "disparity.pfm", VALUES)
    write_confidence_png(folder / "confidence.png", CONFIDENCE)
    write_source_png(folder / "source.png", SOURCE)
    write_depth_npy(folder / "depth.npy", DEPTH)


def test_round_trip(tmp_path):
    save(tmp_path)
    result = read_result(tmp_path)
    np.testing.assert_array_equal(result.disparity.values, VALUES)
    np.testing.assert_allclose(result.disparity.confidence, CONFIDENCE, atol=0.5 / 65535)
    np.testing.assert_array_equal(result.disparity.source, SOURCE)
    np.testing.assert_array_equal(result.depth.values, DEPTH)
    assert result.rig == RIG and result.info == json.loads((tmp_path / "result.json").read_text())
    assert (result.depth.source[np.isnan(DEPTH)] == Source.UNKNOWN).all()


def test_png_only(tmp_path):
    write_json(tmp_path / "result.json", INFO | {"rig": None})
    write_disparity_png(tmp_path / "disparity.png", VALUES)
    write_depth_png(tmp_path / "depth.png", DEPTH)
    result = read_result(str(tmp_path))
    assert result.rig is None and result.disparity.confidence is None
    known = VALUES > 0
    assert np.abs(result.disparity.values - VALUES)[known].max() <= 0.5 / 256
    assert np.nanmax(np.abs(result.depth.values - DEPTH)) <= 0.0005


def test_without_metres(tmp_path):
    save(tmp_path, rig=None)
    (tmp_path / "depth.npy").unlink()
    assert read_result(tmp_path).depth is None


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"format": "other"}, "format = 'other'.*fathom-result"),
        ({"version": 2}, "version = 2.*newer"),
        ({"version": "1"}, "version"),
        ({"rig": 7}, "rig = 7"),
        ({"rig": {"fx": 1}}, r"result\.json: rig.*lacks a number"),
        ({"rig": RIG.as_dict() | {"fx": -1}}, r"result\.json: fx = -1"),
    ],
)
def test_wrong_result_json(tmp_path, changes, match):
    save(tmp_path, **changes)
    with pytest.raises(InputError, match=match):
        read_result(tmp_path)


def test_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_result(tmp_path / "none")
    with pytest.raises(InputError, match="is no fathom result"):
        read_result(tmp_path)
    for text in ("{", "[1]", "[" * 99999):
        (tmp_path / "result.json").write_text(text)
        with pytest.raises(InputError, match=r"broken JSON|not from fathom"):
            read_result(tmp_path)
    write_json(tmp_path / "result.json", INFO)
    with pytest.raises(InputError, match="holds no disparity"):
        read_result(tmp_path)


def test_files_that_do_not_fit(tmp_path):
    save(tmp_path)
    write_confidence_png(tmp_path / "confidence.png", CONFIDENCE[:2])
    with pytest.raises(InputError, match=r"confidence = \(2, 4\)"):
        read_result(tmp_path)
    save(tmp_path)
    write_depth_npy(tmp_path / "depth.npy", DEPTH[:, :2])
    with pytest.raises(InputError, match=r"depth = \(3, 2\)"):
        read_result(tmp_path)


def test_json_is_strict_and_keeps_its_order(tmp_path):
    content = {
        "z": np.float32(1.5),
        "a": [float("nan"), np.inf, -np.inf, np.float64("nan")],
        "array": np.array([[1, 2]]),
        "path": Path("a") / "b",
        "source": Source.FILLED,
        3: (True, None, np.bool_(False), np.int64(7)),
        "name": "\udce4 ü",
    }
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="ascii")
    assert text == to_json(content) + "\n"
    assert text.endswith("}\n") and '\n  "z": 1.5' in text
    read = json.loads(text, parse_constant=pytest.fail)
    assert list(read) == ["z", "a", "array", "path", "source", "3", "name"]
    assert read == {
        "z": 1.5,
        "a": [None] * 4,
        "array": [[1, 2]],
        "path": "a/b",
        "source": 2,
        "3": [True, None, False, 7],
        "name": "\udce4 ü",
    }
