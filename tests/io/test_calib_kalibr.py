"""Kalibr's camchain, and the small YAML parser under it."""

import numpy as np
import pytest

from fathom.core import InputError, StereoCalibration, StereoRig
from fathom.io.calibration import find_calibration, read_calibration
from fathom.io.calibration.plain_yaml import read_yaml

CHAIN = """cam0:
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [-0.28, 0.07, 0.0002,
    1.8e-05]
  distortion_model: radtan
  intrinsics: [458.0, 457.0, 367.0, 248.0]
  resolution: [752, 480]
  rostopic: /cam0/image_raw
cam1:
  T_cn_cnm1:
  - [0.96, 0.0, 0.28, -0.11]
  - [0.0, 1.0, 0.0, 0.001]
  - [-0.28, 0.0, 0.96, 0.002]
  - [0.0, 0.0, 0.0, 1.0]
  camera_model: pinhole
  distortion_coeffs: [-0.27, 0.06, 0.0, 0.0]
  distortion_model: radtan
  intrinsics: [457.5, 456.0, 379.0, 255.0]
  resolution: [752, 480]
"""


@pytest.fixture
def read(tmp_path):
    def run(text=CHAIN, **options):
        (tmp_path / "camchain.yaml").write_text(text)
        return read_calibration(tmp_path / "camchain.yaml", **options)

    return run


def refused(read, text, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        read(text, **options)
    assert "camchain.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_values(read, tmp_path):
    raw = read()
    assert isinstance(raw, StereoCalibration)
    assert (raw.left.fx, raw.left.fy, raw.left.cx, raw.left.cy) == (458, 457, 367, 248)
    assert raw.left.size == (752, 480)
    assert raw.left.distortion == (-0.28, 0.07, 0.0002, 1.8e-05)
    assert raw.right.cx == 379
    np.testing.assert_array_equal(raw.rotation[0], [0.96, 0, 0.28])
    np.testing.assert_array_equal(raw.translation, [-0.11, 0.001, 0.002])
    assert find_calibration(tmp_path / "x.png") == tmp_path / "camchain.yaml"


def test_a_chain_of_three(read):
    """cam2 stands 0.1 m right of cam1; from 0 to 2 the two steps multiply."""
    third = CHAIN[CHAIN.index("cam1:") :].replace("cam1:", "cam2:")
    third = third.replace("[0.96, 0.0, 0.28, -0.11]", "[1.0, 0.0, 0.0, -0.1]")
    third = third.replace("[-0.28, 0.0, 0.96, 0.002]", "[0.0, 0.0, 1.0, 0.0]")
    raw = read(CHAIN + third, cameras=(0, 2))
    np.testing.assert_allclose(raw.translation, [-0.21, 0.002, 0.002])
    raw = read(CHAIN + third, cameras=(1, 2))
    np.testing.assert_allclose(raw.translation, [-0.1, 0.001, 0], atol=1e-15)
    back = read(CHAIN, cameras=(1, 0))
    np.testing.assert_allclose(back.rotation, read().rotation.T)
    assert back.translation[0] > 0


def test_a_gap_in_the_chain(read):
    third = CHAIN[CHAIN.index("cam1:") :].replace("cam1:", "cam3:")
    for cameras in ((0, 3), (0, 900), (-1, 0)):
        refused(read, CHAIN + third, r"cam(2|900|-1): is missing", cameras=cameras)


def test_poses_to_the_imu(read):
    """T_cam_imu of both: X_1 = T1 T0^-1 X_0."""
    head, tail = CHAIN.split("cam1:")
    head += (
        "  T_cam_imu:\n  - [1, 0, 0, 0.5]\n  - [0, 1, 0, 0]\n  - [0, 0, 1, 0]\n  - [0, 0, 0, 1]\n"
    )
    tail = tail.replace("T_cn_cnm1", "T_cam_imu")
    raw = read(head + "cam1:" + tail)
    np.testing.assert_allclose(raw.translation, [-0.11 - 0.96 * 0.5, 0.001, 0.002 + 0.28 * 0.5])


def test_fisheye_none_and_rectified(read):
    assert read(CHAIN.replace("radtan", "equidistant")).left.model == "fisheye"
    ideal = CHAIN.replace("radtan", "none").replace("[0.96, 0.0, 0.28, -0.11]", "[1, 0, 0, -0.11]")
    ideal = ideal.replace("[-0.28, 0.0, 0.96, 0.002]", "[0, 0, 1, 0]").replace("0.001]", "0]")
    assert isinstance(read(ideal), StereoCalibration)  # two focal lengths are still to be merged
    ideal = ideal.replace("[457.5, 456.0, 379.0, 255.0]", "[458, 457, 369, 248]")
    rig = read(ideal)
    assert isinstance(rig, StereoRig) and rig.baseline == 0.11 and rig.doffs == 2


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (
            "camera_model: pinhole",
            "camera_model: omni",
            r"cam0\.camera_model = 'omni': is a camera",
        ),
        ("camera_model: pinhole", "camera_model: ds", "'ds'.*pinhole-radtan"),
        ("camera_model: pinhole", "camera_model: eucm", "'eucm'"),
        ("distortion_model: radtan", "distortion_model: fov", r"distortion_model = 'fov'"),
        ("T_cn_cnm1", "T_cn", r"cam1\.T_cn_cnm1: is missing"),
        ("[0.0, 0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 2.0]", "is no pose"),
        ("[0.96, 0.0, 0.28, -0.11]", "[0.96, 0.0, 0.28]", "has 15 numbers; expected 16"),
        ("[0.96, 0.0, 0.28, -0.11]", "[9, 0.0, 0.28, -0.11]", "rotation"),
        ("[0.96, 0.0, 0.28, -0.11]", "[0.96, 0.0, 0.28, -110]", "110 m is implausible"),
        ("[0.96, 0.0, 0.28, -0.11]", "[0.96, 0.0, 0.28, .inf]", "is no pose"),
        ("resolution: [752, 480]", "resolution: [752.5, 480]", r"cam0\.resolution = 752\.5"),
        (
            "intrinsics: [458.0, 457.0",
            "intrinsics: [x, 457.0",
            r"cam0\.intrinsics = 'x'.*no number",
        ),
        ("cam1:", "cam7:", "cam1: is missing"),
        ("cam0:", "\tcam0:", "a tab in the indentation"),
        ("    1.8e-05]", "    1.8e-05", "unclosed bracket|missing comma"),
    ],
)
def test_wrong_values(read, old, new, match):
    assert old in CHAIN
    refused(read, CHAIN.replace(old, new), match)


def test_another_size_and_unit(read):
    refused(read, CHAIN, "752x480.*1504x960", image_size=(1504, 960))
    sizeless = CHAIN.replace("  resolution: [752, 480]\n", "")
    refused(read, sizeless, "states no image size")
    assert read(sizeless, image_size=(752, 480)).left.size == (752, 480)
    in_mm = CHAIN.replace("-0.11]", "-110.0]").replace("0.001]", "1]").replace("0.002]", "2]")
    np.testing.assert_allclose(read(in_mm, unit="mm").translation, [-0.11, 0.001, 0.002])


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("a: 1", {"a": 1}),
            ("a: 'x: y'  # note", {"a": "x: y"}),
            ('"a b": -1.5e-3', {"a b": -0.0015}),
            ("a:\n- 1\n- 2.5\nb: ~", {"a": [1, 2.5], "b": None}),
            ("a:\n  - - 1\n    - 2\n  - [3, 4]", {"a": [[1, 2], [3, 4]]}),
            ("a:\n  - n: x\n    v: 1\n  - n: y", {"a": [{"n": "x", "v": 1}, {"n": "y"}]}),
            ("a: {x: 1, y: [2, 3]}", {"a": {"x": 1, "y": [2, 3]}}),
            ("a: [1,\n  2,\n3]\nb: true", {"a": [1, 2, 3], "b": True}),
            ("%YAML 1.0\n---\na: 1\n---\na: 2", {"a": 1}),
            ("a: &id1 [1, 2]\nb: *id1", {"a": [1, 2], "b": [1, 2]}),
            ("a: !!float 2", {"a": 2}),
            ("t: /cam0/image_raw\nd: 2020-01-01", {"t": "/cam0/image_raw", "d": "2020-01-01"}),
            ("a:\nb:\n  c:\n", {"a": None, "b": {"c": None}}),
        ],
    )
    def test_values(self, text, value):
        assert read_yaml(text) == value

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("", "holds no YAML"),
            ("- 1\n- 2", "holds no YAML mapping"),
            ("just words", "line 1 = 'just words'"),
            ("a: 1\n   b: 2", "line 2 .*indented too far"),
            ("  a: 1\nb: 2", "line 2"),
            ("a: [1, 2", "line 1.*bracket"),
            ("a: [1, 2]]", "line 1.*behind a bracket"),
            ("a: [1 [2]]", "missing comma"),
            ("a: {b}", "key without a value"),
            ("a: [, 1]", "out of place"),
            ("a: " + "[" * 40 + "]" * 40, "bracket"),
            ("\n".join(f"{' ' * i}k:" for i in range(40)), "nested too deep"),
        ],
    )
    def test_what_it_does_not_know(self, text, match):
        with pytest.raises(InputError, match=match):
            read_yaml(text)
