"""ZED's conf, DepthAI's and stereodemo's JSON, fathom's own, KITTI's raw file without a rig."""

import json

import cv2
import numpy as np
import pytest
from io_samples import EXTRINSICS, INTRINSICS, KITTI_RAW

from fathom.core import InputError, StereoCalibration, StereoRig, UsageError
from fathom.io.calibration import find_calibration, read_calibration, write_calibration
from fathom.io.calibration.fields import read_json
from fathom.io.calibration.pose import from_rotation_vector, to_rotation_vector

ZED = """[LEFT_CAM_2K]
fx=1400.0
fy=1401.0
cx=1100.0
cy=620.0
k1=-0.17
k2=0.025
p1=0.0002
p2=0.0001
k3=-0.003

[RIGHT_CAM_2K]
fx=1402
fy=1403
cx=1101
cy=621
k1=-0.18
k2=0.026

[LEFT_CAM_HD]
fx=700
fy=700.5
cx=640
cy=360
k1=-0.17
k2=0.025

[RIGHT_CAM_HD]
fx=701
fy=701.5
cx=641
cy=361
k1=-0.18
k2=0.026

[STEREO]
Baseline=119.9
TY=0.5
TZ=-0.25
CV_2K=0.006
CV_HD=0.006
RX_2K=0.002
RX_HD=0.002
RZ_2K=-0.001
RZ_HD=-0.001
"""


@pytest.fixture
def read(tmp_path):
    def run(text, name="file", **options):
        (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(text))
        return read_calibration(tmp_path / name, **options)

    return run


def refused(read, text, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        read(text, **options)
    assert "/file" in str(caught.value) and "\n" not in str(caught.value)


class TestZed:
    def test_values(self, read):
        raw = read(ZED, image_size=(1280, 720))
        assert isinstance(raw, StereoCalibration)
        assert raw.left.size == (1280, 720)
        assert (raw.left.fx, raw.left.fy, raw.right.cx) == (700, 700.5, 641)
        assert raw.left.distortion == (-0.17, 0.025, 0, 0, 0)
        # The right camera stands at +x: T = (-Baseline, TY, TZ) in millimetres.
        np.testing.assert_allclose(raw.translation, [-0.1199, 0.0005, -0.00025], rtol=1e-12)
        expected, _ = cv2.Rodrigues(np.array([0.002, 0.006, -0.001]))
        np.testing.assert_allclose(raw.rotation, expected, atol=1e-14)
        big = read(ZED, image_size=(2208, 1242))
        assert big.left.fx == 1400 and big.left.distortion[4] == -0.003

    def test_eight_terms_and_fisheye(self, read):
        names = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
        lens = "".join(f"{k} = {i}\n" for i, k in enumerate(names, 1))
        text = f"{ZED}\n[LEFT_DISTO]\n{lens}\n[RIGHT_DISTO]\n{lens}"
        assert read(text, image_size=(1280, 720)).left.distortion == (1, 2, 3, 4, 5, 6, 7, 8)
        lens = "k1=1\nk2=2\nk3=3\nk4=4\n"
        text = f"{ZED}\n[LEFT_DISTO]\n{lens}\n[RIGHT_DISTO]\n{lens}"
        eye = read(text, image_size=(1280, 720)).right
        assert eye.model == "fisheye" and eye.distortion == (1, 2, 3, 4)

    def test_wrong_values(self, read):
        hd = {"image_size": (1280, 720)}
        refused(read, ZED, "several resolutions.*2208x1242, 1280x720")
        refused(read, ZED, "'640x480': is not among the resolutions", image_size=(640, 480))
        refused(read, ZED.replace("[STEREO]", "[X]"), r"\[STEREO\]: is missing", **hd)
        refused(read, ZED.replace("Baseline", "B"), r"STEREO\.Baseline: is missing", **hd)
        refused(read, ZED.replace("fx=700\n", ""), r"LEFT_CAM_HD\.fx: is missing", **hd)
        refused(read, ZED.replace("fx=700\n", "fx=0\n"), r"LEFT_CAM_HD\.fx = 0", **hd)
        refused(read, ZED.replace("0.006", "nan"), "RX CV RZ", **hd)
        refused(read, ZED.replace("119.9", "nan"), "not finite", **hd)
        refused(read, ZED.replace("[RIGHT_CAM_", "[R_"), "no resolution of both", **hd)

    def test_a_file_in_metres(self, read):
        text = ZED.replace("119.9", "0.1199").replace("=0.5\nTZ=-0.25", "=0.0005\nTZ=0")
        refused(read, text, r"0\.0001199 m is implausible.*0\.1199 m", image_size=(1280, 720))
        raw = read(text, image_size=(1280, 720), unit="m")
        assert raw.translation[0] == pytest.approx(-0.1199)

    @pytest.mark.parametrize("seed", range(5))
    def test_rotation_vectors(self, seed):
        vector = np.random.default_rng(seed).uniform(-1.7, 1.7, size=3)  # shorter than pi
        expected, _ = cv2.Rodrigues(vector)
        np.testing.assert_allclose(from_rotation_vector(vector), expected, atol=1e-14)
        np.testing.assert_allclose(to_rotation_vector(expected), vector, atol=1e-12)
        assert not to_rotation_vector(np.eye(3)).any()


def camera(fx=800.0, target=-1, x=0.0, kind=0, terms=14):
    place = {"x": x, "y": 0.0, "z": 0.0}
    turn = np.eye(3).tolist() if target >= 0 else np.zeros((3, 3)).tolist()
    pose = {"rotationMatrix": turn, "translation": place, "specTranslation": place}
    return {
        "cameraType": kind,
        "distortionCoeff": [0.1 * i for i in range(terms)],
        "extrinsics": {**pose, "toCameraSocket": target},
        "height": 800,
        "intrinsicMatrix": [[fx, 0, 640.0], [0, fx, 400.0], [0, 0, 1]],
        "width": 1280,
    }


def oak(**changes):
    """An OAK-D: left (1) points to right (2), right to colour (0), in centimetres."""
    cameras = {0: camera(1000.0), 1: camera(800.0, 2, -7.5), 2: camera(801.0, 0, 3.75)}
    cameras |= changes.pop("cameras", {})
    stereo = {"leftCameraSocket": 1, "rightCameraSocket": 2}
    root = {"cameraData": [[k, v] for k, v in cameras.items()], "version": 7}
    return {**root, "stereoRectificationData": stereo, **changes}


class TestDepthAi:
    def test_values(self, read):
        raw = read(oak())
        assert raw.left.size == (1280, 800) and (raw.left.fx, raw.right.fx) == (800, 801)
        assert len(raw.left.distortion) == 14 and raw.left.distortion[1] == 0.1
        np.testing.assert_allclose(raw.translation, [-0.075, 0, 0])  # 7.5 cm

    def test_along_the_chain_and_backwards(self, read):
        raw = read(oak(), cameras=(1, 0))  # -7.5 + 3.75 cm
        np.testing.assert_allclose(raw.translation, [-0.0375, 0, 0])
        raw = read(oak(), cameras=(0, 2))  # against the arrow
        np.testing.assert_allclose(raw.translation, [-0.0375, 0, 0])

    def test_fisheye(self, read):
        eyes = {1: camera(500.0, 2, -7.5, 1), 2: camera(500.0, kind=1)}
        raw = read(oak(cameras=eyes))
        assert raw.left.model == "fisheye" and len(raw.left.distortion) == 4

    def test_wrong_values(self, read):
        wrong = [
            ({"cameras": {1: camera(800.0, 2, -7.5, 3)}}, "'radial division': is a camera model"),
            ({"cameras": {1: camera(800.0, 2, -7.5, "x")}}, "cameraType = 'x'"),
            ({"cameras": {1: camera(800.0, 2, -7.5, terms=3)}}, "has 3 terms"),
            ({"cameras": {1: camera(800.0, -1)}}, "no extrinsics connect the cameras 1 and 2"),
            ({"cameras": {1: camera(800.0, 2, -7500.0)}}, "75 m is implausible.*name the unit"),
            ({"cameras": {1: {}}}, r"camera 1\.cameraType: is missing"),
            ({"cameraData": []}, "camera 1: is missing; expected one of the sockets none"),
            ({"cameraData": 5}, "camera 1: is missing"),
        ]
        for changes, match in wrong:
            refused(read, oak(**changes), match)
        broken = camera(800.0, 2, -7.5)
        broken["extrinsics"]["rotationMatrix"] = np.zeros((3, 3)).tolist()
        refused(read, oak(cameras={1: broken}), "is no pose")
        refused(read, oak(), "1280x800.*1/2 of that size", image_size=(640, 400))
        assert read(oak(cameras={1: camera(800.0, 2, -75.0)}), unit="mm").baseline == 0.075


DEMO = {
    "width": 640,
    "height": 480,
    "fx": 451.0,
    "fy": 452.0,
    "cx0": 320.0,
    "cx1": 331.0,
    "cy": 240.0,
    "baseline_meters": 0.075,
    "depth_range": [0.5, 20.0],
    "left_image_rect_normalized": [0, 0, 1, 1],
}


def test_stereodemo(read):
    rig = read(DEMO)
    assert isinstance(rig, StereoRig) and rig.baseline == 0.075 and rig.doffs == 11
    assert (rig.left.fx, rig.left.fy, rig.left.cy, rig.size) == (451, 452, 240, (640, 480))
    refused(read, {**DEMO, "baseline_meters": 75}, "75 m is implausible.*0.075 m")
    assert read({**DEMO, "baseline_meters": 75}, unit="mm").baseline == pytest.approx(0.075)
    refused(read, {**DEMO, "fx": "wide"}, "fx = 'wide': is no number")
    refused(read, {**DEMO, "width": True}, "width")
    refused(read, {**DEMO, "cx1": None}, "cx1: is missing")
    refused(read, DEMO, "640x480", image_size=(320, 240))


OWN = {
    "format": "fathom calibration",
    "version": 1,
    "kind": "raw",
    "left": {"width": 64, "height": 48, "fx": 70, "fy": 71, "cx": 32, "cy": 24},
    "right": {
        **{"width": 64, "height": 48, "fx": 70, "fy": 71, "cx": 32, "cy": 24, "model": "fisheye"},
        "distortion": [0.1, 0, 0, 0],
    },
    "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "translation_m": [-0.1, 0, 0],
}


def test_json_that_is_no_object():
    for text in ("[1]", "{", "1", "[" * 100_000):
        with pytest.raises(InputError, match=r"holds no JSON object|is broken JSON"):
            read_json(text)


class TestOwn:
    def test_values(self, read):
        raw = read(OWN)
        assert raw.left.model == "pinhole" and raw.right.distortion == (0.1, 0, 0, 0)
        assert raw.baseline == 0.1 and raw.left.size == (64, 48)

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"version": 2}, "version = 2: is of another version.*newer"),
            ({"kind": "other"}, "kind = 'other'"),
            ({"left": None}, "left: is missing"),
            ({"left": 5}, r"left\.width: is missing"),
            ({"left": {**OWN["left"], "model": "omni"}}, r"left\.model = 'omni'"),
            ({"left": {**OWN["left"], "fx": -1}}, "fx = -1"),
            ({"left": {**OWN["left"], "width": 0.5}}, r"left\.width"),
            ({"left": {**OWN["left"], "distortion": 3}}, r"left\.distortion = 3: is no list"),
            ({"rotation": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}, "rotation"),
            ({"translation_m": [0, 0]}, "translation_m: has 2 numbers"),
            ({"kind": "rectified"}, "baseline_m: is missing"),
        ],
    )
    def test_wrong_values(self, read, changes, match):
        refused(read, {**OWN, **changes}, match)

    def test_size_and_unit(self, read):
        refused(read, OWN, "64x48.*2 times", image_size=(128, 96))
        with pytest.raises(UsageError, match="which is in m"):
            read(OWN, unit="mm")

    def test_the_rig_of_a_result(self, read):
        rig = StereoRig.simple(640, 480, 700, 0.12, doffs=3)
        assert read({"rig": rig.as_dict(), "files": []}) == rig
        plain = {"fx": 700, "fy": 700, "cx": 319.5, "cy": 239.5, "doffs": 3, "baseline_m": 0.12}
        assert read(plain, image_size=(640, 480)) == rig
        refused(read, plain, "states no image size")
        refused(read, {**plain, "fy": None}, "fy: is missing", image_size=(640, 480))

    def test_uncertainty(self, read, tmp_path):
        from fathom.io.calibration import read_uncertainty

        for value, match in (({"a": -1}, "a = -1"), ([1], "is no object"), ({"a": "x"}, "number")):
            read({**OWN, "uncertainty": value})
            with pytest.raises(InputError, match=match):
                read_uncertainty(tmp_path / "file")


class TestBeside:
    def test_fathoms_own(self, tmp_path):
        """calibrate's file is taken; a file that only has its name is not, nor is a picture."""
        for content in (b"{}", b"\x89PNG\r\n\x1a\n", b""):
            (tmp_path / "calibration.json").write_bytes(content)
            assert find_calibration(tmp_path / "0.png") is None
        write_calibration(tmp_path / "calibration.json", StereoRig.simple(64, 48, 70, 0.1))
        assert find_calibration(tmp_path / "0.png") == tmp_path / "calibration.json"
        assert find_calibration(tmp_path / "left" / "0.png") == tmp_path / "calibration.json"

    def test_zed(self, tmp_path):
        (tmp_path / "SN12.conf").write_text(ZED)
        assert find_calibration(tmp_path / "0.png") == tmp_path / "SN12.conf"


class TestKittiRaw:
    def test_without_a_rig(self, read):
        """Raw cameras alone are a raw calibration, whatever size is asked for."""
        lines = [line for line in KITTI_RAW.splitlines() if "rect" not in line]
        raw = read("\n".join(lines))
        assert isinstance(raw, StereoCalibration) and raw.left.size == (1392, 512)
        assert raw.left.fx == 959.7910
        refused(read, "\n".join(lines), "1392x512", image_size=(1242, 375))

    def test_beside_a_drive(self, tmp_path):
        drive = tmp_path / "2011_09_26" / "2011_09_26_drive_0001_sync" / "image_02" / "data"
        drive.mkdir(parents=True)
        assert find_calibration(drive / "0.png") is None
        (tmp_path / "2011_09_26" / "calib_cam_to_cam.txt").write_text(KITTI_RAW)
        found = find_calibration(drive / "0.png")
        assert found == tmp_path / "2011_09_26" / "calib_cam_to_cam.txt"

    def test_of_a_rig_both_pairs_are_written(self, tmp_path):
        rig = StereoRig.simple(1242, 375, 721.5377, 0.54)
        write_calibration(tmp_path / "calib.txt", rig, format="kitti")
        for pair in ((0, 1), (2, 3)):
            back = read_calibration(tmp_path / "calib.txt", image_size=rig.size, cameras=pair)
            assert back.baseline == pytest.approx(0.54)


class TestOpenCvPair:
    def test_intrinsics_and_extrinsics(self, tmp_path):
        (tmp_path / "a.yml").write_text(INTRINSICS)
        (tmp_path / "b.yml").write_text(EXTRINSICS)
        for words in ("a.yml,b.yml", "b.yml,a.yml"):
            both = ",".join(str(tmp_path / word) for word in words.split(","))
            raw = read_calibration(both, image_size=(640, 480))
            assert raw.baseline == pytest.approx(0.0836, abs=1e-4)

    def test_beside_an_image(self, tmp_path):
        (tmp_path / "intrinsics.yml").write_text(INTRINSICS)
        assert find_calibration(tmp_path / "0.png") is None
        (tmp_path / "extrinsics.yml").write_text(EXTRINSICS)
        assert find_calibration(tmp_path / "0.png") == tmp_path / "intrinsics.yml"

    def test_opencv_itself_reads_what_is_written(self, tmp_path):
        rig = StereoRig.simple(640, 480, 700, 0.12, doffs=3)
        for name in ("c.yml", "c.xml"):
            write_calibration(tmp_path / name, rig)
            storage = cv2.FileStorage(str(tmp_path / name), cv2.FILE_STORAGE_READ)
            assert storage.getNode("image_width").real() == 640
            q = storage.getNode("Q").mat()
            depth = cv2.reprojectImageTo3D(np.full((2, 2), 39, np.float32), q)[0, 0, 2]
            assert depth == pytest.approx(700 * 0.12 / 42)
            assert storage.getNode("P2").mat()[0, 3] == pytest.approx(-84)
            storage.release()
