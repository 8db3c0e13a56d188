"""Calibration files: every format read, every wrong value named."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from io_samples import (
    D1,
    D2,
    EXTRINSICS,
    INTRINSICS,
    K1,
    K2,
    K_TXT,
    KITTI,
    KITTI_RAW,
    MOTORCYCLE,
    RIG,
    ROTATION,
    TRANSLATION,
    matrix,
    picture,
    png,
    q_matrix,
)

from fathom.core import InputError, StereoCalibration, StereoRig, UsageError
from fathom.io.calibration import (
    cameras_of,
    find_calibration,
    read_calibration,
    write_middlebury,
)

VGA = (640, 480)


@pytest.fixture
def read(tmp_path):
    def run(text, name="calib.txt", **options):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(data)
        return read_calibration(tmp_path / name, **options)

    return run


def refused(read, text, *parts, **options):
    name = options.pop("name", "calib.txt")
    with pytest.raises(InputError) as caught:
        read(text, name, **options)
    message = str(caught.value)
    assert name in message and "\n" not in message
    for part in parts:
        assert re.search(part, message), message


class TestMiddlebury:
    def test_values(self, read):
        rig = read(MOTORCYCLE, image_size=(741, 497))
        assert rig.left.size == (741, 497) and rig.left.fx == rig.left.fy == 994.978
        assert (rig.left.cx, rig.left.cy, rig.right.cx) == (311.193, 254.877, 342.279)
        assert rig.doffs == pytest.approx(31.086)
        assert rig.baseline == 0.193001 and rig.max_disparity == 70

    def test_the_millimetre_trap(self, read):
        """Z of the scene's farthest surface, d = 8: 994.978 * 193.001 / (8 + 31.086) mm."""
        rig = read(MOTORCYCLE)
        assert rig.depth_of(np.float32([8]))[0] == pytest.approx(4.91302, abs=1e-4)

    def test_without_doffs_size_or_ndisp(self, read):
        text = "\n".join(MOTORCYCLE.splitlines()[:2]) + "\nbaseline=193.001"
        rig = read(text, image_size=(741, 497))
        assert rig.doffs == pytest.approx(31.086) and rig.max_disparity is None
        refused(read, text, "image size", "states no image size")

    @pytest.mark.parametrize(
        ("old", "new", "parts"),
        [
            ("doffs=31.086", "doffs=nan", ("doffs = nan", "31.086")),
            ("doffs=31.086", "doffs=30.9", ("doffs = 30.9", "disagrees", "31.086")),
            ("doffs=31.086", "doffs=ten", ("doffs = 'ten'", "no number")),
            ("baseline=193.001", "baseline=0", ("baseline = '0'", "millimetres > 0")),
            ("baseline=193.001", "baseline=-5", ("baseline = '-5'",)),
            ("baseline=193.001", "baseline=inf", ("baseline = 'inf'",)),
            ("baseline=193.001", "", ("baseline", "is missing")),
            ("baseline=193.001", "baseline=1_93", ("baseline = '1_93'", "no number")),
            ("cam1=[994.978", "cam1=[1004.978", ("cam1.fx = 1004.978", "994.978", "not rectified")),
            ("cam1=[994.978", "cam1=[-994.978", (r"cam1\.fx = -994.978", "pixels > 0")),
            ("cam0=[994.978 0 311.193", "cam0=[994.978 0 nan", (r"cam0\.cx = nan", "not finite")),
            ("cam0=[994.978 0 ", "cam0=[994.978 ", ("cam0", "8 numbers", "9 numbers")),
            ("254.877; 0 0 1]\ncam1", "254.877; 0 0 2]\ncam1", ("cam0", "no camera matrix")),
            ("cam0=[994.978 0", "cam0=[994.978 9", ("cam0 = 9.0", "skew")),
            ("width=741", "width=0", ("width = '0'", "whole number")),
            ("width=741", "width=74.5", ("width", "whole number")),
            ("width=741\n", "", ("width", "no number")),
            ("ndisp=70", "ndisp=-1", ("ndisp = '-1'",)),
            ("ndisp=70", "ndisp=70\nndisp=80", ("ndisp = '80'", "twice")),
        ],
    )
    def test_wrong_values(self, read, old, new, parts):
        assert MOTORCYCLE.count(old) == 1
        refused(read, MOTORCYCLE.replace(old, new), *parts)

    def test_another_size(self, read):
        refused(
            read, MOTORCYCLE, "741x497", "1482x994", "2 times that size", image_size=(1482, 994)
        )
        refused(
            read, MOTORCYCLE, "1/2 of that size", "scale the calibration", image_size=(371, 249)
        )
        refused(read, MOTORCYCLE, "no plain multiple", image_size=(741, 300))
        refused(read, MOTORCYCLE, "own calibration", image_size=(900, 604))

    def test_another_unit(self, read):
        assert read(MOTORCYCLE, unit="mm").baseline == 0.193001
        with pytest.raises(UsageError, match=r"unit = 'm'.*in mm"):
            read(MOTORCYCLE, unit="m")

    @settings(max_examples=30)
    @given(st.floats(1e-4, 9), st.floats(50, 9000), st.floats(-50, 3000), st.floats(-90, 90))
    def test_round_trip(self, tmp_path_factory, baseline, focal, cx, doffs):
        rig = StereoRig.simple(640, 480, focal, baseline, cx=cx, cy=200.1, doffs=doffs)
        path = tmp_path_factory.getbasetemp() / "round.txt"
        write_middlebury(path, rig)
        assert read_calibration(path) == rig

    def test_round_trip_of_a_disparity_limit(self, read, tmp_path):
        write_middlebury(tmp_path / "b.txt", read(MOTORCYCLE))
        assert read_calibration(tmp_path / "b.txt") == read(MOTORCYCLE)


class TestKitti:
    def test_projections(self, read):
        rig = read(KITTI, image_size=(1242, 375))
        # (44.85728 + 339.5242) / 721.5377
        assert rig.baseline == pytest.approx(0.5327254, abs=1e-6)
        assert rig.left.fx == 721.5377 and rig.doffs == 0 and rig.size == (1242, 375)
        grey = read(KITTI, image_size=(1242, 375), cameras=(0, 1))
        assert grey.baseline == pytest.approx(387.5744 / 721.5377)

    def test_only_grey_cameras(self, read):
        text = "\n".join(KITTI.splitlines()[:2])
        assert read(text, image_size=(1242, 375)).baseline == pytest.approx(0.537150, abs=1e-6)

    def test_raw_or_rectified_by_the_images(self, read):
        rig = read(KITTI_RAW, image_size=(1242, 375), unit="m")
        assert isinstance(rig, StereoRig) and rig.baseline == pytest.approx(0.5327254, abs=1e-6)
        assert read(KITTI_RAW) == rig
        raw = read(KITTI_RAW, image_size=(1392, 512))
        assert isinstance(raw, StereoCalibration)
        assert raw.left.fx == 959.7910 and raw.left.fy == 956.9251 and len(raw.left.distortion) == 5
        assert raw.right.cx == 695.7519
        # The rectified rig was made from this one: same baseline, the right camera at +x.
        assert raw.baseline == pytest.approx(rig.baseline, abs=2e-3)
        assert raw.translation[0] < 0 and abs(raw.translation[1]) < 0.02
        point = np.array([0.3, -0.2, 8.0])  # seen from camera 0
        rotations = [np.array(m).reshape(3, 3) for m in self.numbers("R_02", "R_03")]
        places = [np.array(v) for v in self.numbers("T_02", "T_03")]
        left, right = (r @ point + t for r, t in zip(rotations, places, strict=True))
        np.testing.assert_allclose(raw.rotation @ left + raw.translation, right, atol=1e-5)

    @staticmethod
    def numbers(*names):
        for name in names:
            line = re.search(rf"(?m)^{name}: (.*)$", KITTI_RAW)
            yield [float(v) for v in line[1].split()]

    def test_wrong_values(self, read):
        refused(read, KITTI_RAW, "1242x375", "640x480", image_size=VGA)
        refused(read, KITTI, "image size", "states no image size")
        size = {"image_size": (1242, 375)}
        refused(read, KITTI.replace("P3:", "P4:"), "P3", "is missing", **size)
        refused(read, KITTI, "baseline -0.53", "order left, right", cameras=(3, 2), **size)
        refused(read, KITTI.replace("-3.395242e+02", "nan"), "baseline nan", **size)
        refused(read, KITTI.replace("-3.395242e+02", ""), "P3", "11 numbers", **size)
        refused(read, KITTI.replace("-3.395242e+02", "x"), "P3 = 'x'", "no number", **size)
        raw = {"image_size": (1392, 512)}
        refused(read, KITTI_RAW.replace("K_03", "K_13"), "K_03", "is missing", **raw)
        refused(read, KITTI_RAW.replace("R_03: 9.99", "R_03: 5.99"), "rotation", **raw)
        smaller = KITTI_RAW.replace("S_03: 1.392000e+03", "S_03: 1.390000e+03")
        refused(read, smaller, "1390x512", "1392x512", **raw)
        with pytest.raises(UsageError, match="KITTI calibration, which is in m"):
            read(KITTI, unit="mm", **size)

    @pytest.mark.parametrize(
        ("path", "pair"),
        [
            ("s/image_0/000000.png", (0, 1)),
            ("s/image_00/data/0000.png", (0, 1)),
            ("s/image_1/000000.png", (0, 1)),
            ("s/image_2/000000.png", (2, 3)),
            ("s/image_03/data/0.png", (2, 3)),
            ("s/colored_0/000000_10.png", (2, 3)),
            ("s/left/000000.png", None),
            ("image_0.png", None),
        ],
    )
    def test_cameras_by_folder(self, path, pair):
        assert cameras_of(Path(path)) == pair


class TestKTxt:
    def test_one_line_or_three(self, read):
        for text in (K_TXT, "754.66 0 489.37\n0 754.66 265.16\n0 0 1\n0.063", "# K\n" + K_TXT):
            rig = read(text, image_size=(960, 540))
            assert (rig.left.fx, rig.left.cx, rig.left.cy) == (754.66, 489.37, 265.16)
            assert rig.baseline == 0.063 and rig.doffs == 0
        assert read(K_TXT.replace("0.063", "63"), image_size=VGA, unit="mm").baseline == 0.063

    def test_wrong_values(self, read):
        refused(read, K_TXT, "image size")
        size = {"image_size": (960, 540)}
        refused(read, "\n".join(K_TXT.splitlines()[:1]), "9 numbers, the baseline", **size)
        refused(read, K_TXT + "1 2 3", "13 numbers", **size)
        refused(read, K_TXT.replace("0.063", "0"), "baseline = '0'", "metres > 0", **size)
        refused(read, K_TXT.replace("0.063", "nan"), "baseline = 'nan'", **size)
        refused(read, K_TXT.replace("0.063", "63"), "baseline = '63'", "mm, cm or m", **size)
        refused(
            read, K_TXT.replace("754.66", "0.79").replace("489.37", "0.5"), "normalised", **size
        )


def storage_by_opencv(path: Path, **entries) -> None:
    """What OpenCV itself writes, in the kind of file the name asks for."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in entries.items():
        storage.write(name, value)
    storage.release()


def array(values, *shape):
    return np.array(values, dtype=float).reshape(shape)


class TestOpenCV:
    def check(self, raw, distortion=True):
        assert isinstance(raw, StereoCalibration) and raw.left.size == VGA
        np.testing.assert_allclose(raw.left.matrix, array(K1, 3, 3))
        np.testing.assert_allclose(raw.right.matrix, array(K2, 3, 3))
        np.testing.assert_allclose(raw.rotation, array(ROTATION, 3, 3))
        np.testing.assert_allclose(raw.translation, TRANSLATION)
        if distortion:
            assert raw.left.distortion == D1 and raw.right.distortion == D2

    def test_one_file(self, read):
        self.check(read(RIG, "rig.yml"))
        self.check(read(RIG, "rig.yml", image_size=VGA, unit="m"))

    @pytest.mark.parametrize("suffix", ["yml", "xml", "json"])
    @pytest.mark.parametrize(
        ("k", "d"),
        [
            ("M{}", "D{}"),
            ("K{}", "D{}"),
            ("cameraMatrix{}", "distCoeffs{}"),
            ("camera_matrix_{}", "distortion_coefficients_{}"),
            ("CM{}", "D{}"),
        ],
    )
    def test_as_opencv_writes_it(self, tmp_path, suffix, k, d):
        k = "Camera_Matrix{}" if k == "CM{}" else k
        path = tmp_path / f"rig.{suffix}"
        storage_by_opencv(
            path,
            **{k.format(1): array(K1, 3, 3), d.format(1): array(D1, 5, 1)},
            **{k.format(2): array(K2, 3, 3), d.format(2): array(D2, 1, 5)},
            R=array(ROTATION, 3, 3),
            T=array(TRANSLATION, 3, 1),
            image_width=640,
            image_height=480,
            note="made by a test",
        )
        self.check(read_calibration(path))

    def test_left_and_right_names(self, read):
        text = RIG
        for old, new in (
            ("M1", "left_camera_matrix"),
            ("M2", "right_camera_matrix"),
            ("D1", "left_distortion"),
            ("D2", "right_distortion"),
        ):
            text = text.replace(old + ":", new + ":")
        self.check(read(text, "rig.yml"))

    @pytest.mark.parametrize("given", ["intrinsics.yml", "extrinsics.yml"])
    def test_split(self, tmp_path, given):
        (tmp_path / "intrinsics.yml").write_text(INTRINSICS)
        (tmp_path / "extrinsics.yml").write_text(EXTRINSICS + q_matrix()[len("%YAML:1.0\n---\n") :])
        self.check(read_calibration(tmp_path / given, image_size=VGA))

    def test_split_with_another_suffix(self, tmp_path):
        (tmp_path / "Intrinsics.yaml").write_text(INTRINSICS)
        storage_by_opencv(
            tmp_path / "extrinsics.xml", R=array(ROTATION, 3, 3), T=array(TRANSLATION, 3, 1)
        )
        self.check(read_calibration(tmp_path / "Intrinsics.yaml", image_size=VGA))

    def test_half_of_a_pair(self, read, tmp_path):
        refused(read, INTRINSICS, "not R and T", "extrinsics.yml beside it", name="intrinsics.yml")
        refused(read, EXTRINSICS, "not M1 D1 M2 D2", name="rig.yml", image_size=VGA)
        (tmp_path / "extrinsics.yml").write_text("just text")
        with pytest.raises(InputError, match=r"extrinsics\.yml: R: is missing"):
            read_calibration(tmp_path / "intrinsics.yml", image_size=VGA)

    def test_q(self, read):
        rig = read(q_matrix(), "q.yml", image_size=VGA)
        assert isinstance(rig, StereoRig) and rig.left.fx == 700
        assert (rig.left.cx, rig.left.cy) == (320.5, 240.25)
        assert rig.baseline == pytest.approx(0.12) and rig.doffs == pytest.approx(12.5)
        assert read(q_matrix(baseline=120), "q.yml", image_size=VGA, unit="mm").baseline == (
            pytest.approx(0.12)
        )

    def test_q_of_opencv_itself(self, tmp_path):
        """stereoRectify's Q, P1 and P2 give one rig, and its Z is reprojectImageTo3D's."""
        result = cv2.stereoRectify(
            array(K1, 3, 3),
            np.array(D1),
            array(K2, 3, 3),
            np.array(D2),
            VGA,
            array(ROTATION, 3, 3),
            array(TRANSLATION, 3, 1),
            flags=0,
        )
        p1, p2, q = result[2:5]
        storage_by_opencv(tmp_path / "q.yml", Q=q)
        storage_by_opencv(tmp_path / "p.yml", P1=p1, P2=p2)
        rig = read_calibration(tmp_path / "q.yml", image_size=VGA)
        assert rig.baseline == pytest.approx(np.linalg.norm(TRANSLATION), rel=1e-4)
        other = read_calibration(tmp_path / "p.yml", image_size=VGA)
        assert rig.doffs == pytest.approx(other.doffs) and abs(rig.doffs) > 1
        assert rig.baseline == pytest.approx(other.baseline)
        disparity = np.full((4, 4), 40, np.float32)
        points = cv2.reprojectImageTo3D(disparity, q)
        np.testing.assert_allclose(rig.depth_of(disparity), points[..., 2], rtol=1e-5)

    @pytest.mark.parametrize("count", [4, 5, 8, 12, 14])
    def test_counts_of_distortion(self, read, count):
        text = RIG.replace(matrix("D1", D1, 1, 5), matrix("D1", [0.01] * count, 1, count))
        assert len(read(text, "r.yml").left.distortion) == count

    def test_fisheye_only_where_a_key_says_so(self, read):
        four = [0.1, 0.01, 0.0, 0.002]
        text = RIG.replace(matrix("D1", D1, 1, 5), matrix("D1", four, 4, 1)).replace(
            matrix("D2", D2, 1, 5), matrix("D2", four, 4, 1)
        )
        assert read(text, "r.yml").left.model == "pinhole"
        for key in (
            "fisheye: 1",
            "fisheye_model: 1",
            "camera_model: fisheye",
            'distortion_model: "equidistant"',
        ):
            assert read(f"{text}{key}\n", "r.yml").right.model == "fisheye", key
        for key in ("fisheye_model: 0", "fisheye_model: 0\n...", "camera_model: pinhole"):
            assert read(f"{text}{key}\n", "r.yml").left.model == "pinhole", key
        refused(read, RIG + "fisheye: 1\n", "D1", "5 numbers", "4 terms", name="r.yml")

    def test_json_with_numbers_in_a_text(self, read):
        rows = '"rows": 4, "cols": 4, "data": "1 0 0 -9 0 1 0 -8 0 0 0 700 0 0 10 0"'
        text = f'{{"Q": {{"type_id": "opencv-matrix", {rows}}}, "model": [1, 2]}}'
        assert read(text, "q.json", image_size=VGA).baseline == pytest.approx(0.1)

    def test_plain_yaml_lists(self, read):
        def rows(name, values, n):
            lines = (", ".join(map(str, values[i : i + n])) for i in range(0, len(values), n))
            return f"{name}:\n" + "".join(f"  - [{line}]\n" for line in lines)

        text = "%YAML:1.0\n---\nimage_size: [640, 480]  # w, h\n" + rows("K1", K1, 3)
        text += rows("K2", K2, 3) + rows("R", ROTATION, 3)
        text += "T:\n" + "".join(f"- {v}\n" for v in TRANSLATION) + "k1: 0.5\n"
        self.check(read(text, "rig.yaml"), distortion=False)

    @pytest.mark.parametrize(
        ("old", "new", "parts"),
        [
            ("535.4, 0.0, 342.3", "535.4, 0.0, x", ("M1 = 'x'", "no number")),
            ("535.4, 0.0, 342.3", "535.4, 0.0", ("M1", "8 numbers", "9 numbers")),
            ("535.4, 0.0, 342.3", "-535.4, 0.0, 342.3", (r"M1\.fx = -535.4",)),
            ("535.4, 0.0, 342.3", ".Nan, 0.0, 342.3", ("M1", "no number")),
            ("-0.26, -0.04", "nan, -0.04", ("D1", "not finite")),
            ("data: [ -0.0836,", "data: [ nan,", ("T|translation",)),
            ("data: [ -0.0836,", "data: [ -83.6,", ("T = '83.6'", "mm, cm or m")),
            ("data: [ -0.0836, 0.0011, -0.0003 ]", "data: [ 0, 0, 0 ]", ("baseline 0",)),
            ("T: !!", "U: !!", ("R", "not R and T")),
            (
                "R: !!opencv-matrix\n   rows: 3",
                "R: !!opencv-matrix\n   rows: 2",
                ("R", "9 numbers"),
            ),
            ("R: !!opencv-matrix\n   rows: 3", "R: !!opencv-matrix\n   rows: a", ("R", "no size")),
            ("[ 640, 480 ]", "[ 640, 0 ]", ("imageSize", "whole number")),
        ],
    )
    def test_wrong_values(self, read, old, new, parts):
        assert old in RIG
        refused(read, RIG.replace(old, new, 1), *parts, name="rig.yml")

    def test_more_wrong_values(self, read):
        refused(read, RIG, "640x480", "1280x960", name="r.yml", image_size=(1280, 960))
        refused(read, RIG.replace("imageSize", "x"), "image size", name="r.yml")
        refused(read, RIG.replace(matrix("M2", K2, 3, 3), ""), "M2", "is missing", name="r.yml")
        wrong = RIG.replace(matrix("R", ROTATION, 3, 3), matrix("R", [1, 2, 3], 3, 1))
        refused(read, wrong, r"R = \(3, 1\)", "wrong shape", name="r.yml")
        wrong = RIG.replace(matrix("T", TRANSLATION, 3, 1), "T: left\n")
        refused(read, wrong, "T = 'left'", "wrong shape", name="r.yml")
        wrong = RIG.replace(matrix("D1", D1, 1, 5), matrix("D1", [0.1] * 3, 1, 3))
        refused(read, wrong, "D1", "3 numbers", "4 or 5 or 8", name="r.yml")
        wrong = RIG.replace("data: [ 535.4", "data: !!binary |\n  Zm9v [")
        refused(read, wrong, "M1", "BASE64", name="r.yml")
        wrong = RIG.replace("rows: 3\n   cols: 3", "rows: 99999\n   cols: 99999")
        refused(read, wrong, "M1", "too large", name="r.yml")
        one = "%YAML:1.0\n---\nimage_width: 640\nimage_height: 480\n" + matrix(
            "camera_matrix", K1, 3, 3
        )
        refused(read, one, "holds no stereo rig", "M1 D1 M2 D2 R T", name="r.yml")

    def test_wrong_q(self, read):
        size = {"image_size": VGA, "name": "q.yml"}
        refused(read, q_matrix(baseline=-0.12), r"Q\[3,2\]", "-1/Tx > 0", **size)
        refused(read, q_matrix(focal=-700), "reprojection matrix", **size)
        refused(read, q_matrix(baseline=120), "Q = '120'", "mm, cm or m", **size)
        flipped = "%YAML:1.0\n" + matrix(
            "Q", [1, 0, 0, -320, 0, -1, 0, 240, 0, 0, 0, 500, 0, 0, 9, 0], 4, 4
        )
        refused(read, flipped, "reprojection matrix", **size)
        p = "%YAML:1.0\n" + matrix("P1", [700, 0, 320, 0, 0, 700, 240, 0, 0, 0, 1, 0], 3, 4)
        above = matrix("P2", [700, 0, 320, 0, 0, 700, 240, -70, 0, 0, 1, 0], 3, 4)
        refused(read, p + above, "below the left camera", **size)
        behind = matrix("P2", [700, 0, 320, 70, 0, 700, 240, 0, 0, 0, 1, 0], 3, 4)
        refused(read, p + behind, r"P2\[0,3\] = 70", "baseline", **size)

    def test_broken_xml_and_json(self, read):
        refused(read, "<opencv_storage><M1>", "broken XML", name="r.xml")
        bomb = '<!DOCTYPE a [<!ENTITY b "bbb">]><opencv_storage>&b;</opencv_storage>'
        refused(read, bomb, "XML entities", name="r.xml")
        refused(read, '{"M1": {"type_id": "opencv-matrix",', "broken JSON", name="r.json")
        refused(read, '{"opencv-matrix": 1}', "holds no stereo rig", name="r.json", image_size=VGA)
        refused(read, '{"a": "opencv-matrix", "M1": [[1, [2]]]}', "r.json", name="r.json")

    def test_chessboard_sample(self, shared):
        folder = shared / "data" / "calibration" / "opencv_chessboards"
        with pytest.raises(InputError, match="not R and T"):
            read_calibration(folder / "intrinsics.yml", image_size=VGA)
        with pytest.raises(InputError, match="holds no stereo rig"):
            read_calibration(folder / "left_intrinsics.yml", image_size=VGA)


class TestSniff:
    def test_no_calibration(self, read):
        known = "Middlebury.*KITTI.*OpenCV.*K.txt"
        refused(read, png(picture()), "it is a PNG image", known, name="calib.png")
        refused(read, b"\x00\x01binary", "a binary file", name="a.bin")
        refused(read, b"PK\x03\x04" + bytes(30), "zip archive", name="a.zip")
        refused(read, b"", "is empty", name="a.txt")
        refused(read, "hello\nworld", "no calibration fathom reads", known, name="a.txt")
        refused(read, '{"fx": 1}', known, name="a.json")
        refused(read, "camera_matrix:\n  rows: 3\ndistortion_model: plumb_bob\n", "ROS camera_info")
        refused(read, "cam0:\n  camera_model: pinhole\n", r"cam0\.intrinsics")
        refused(read, "[LEFT_CAM_HD]\nfx=700\n", r"\[LEFT_CAM_")
        refused(read, b"x" * (1 << 23), "too long")

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"none\.txt: does not exist; expected a calibration"):
            read_calibration(tmp_path / "none.txt")

    def test_encodings(self, read):
        expected = read(MOTORCYCLE)
        for data in (
            MOTORCYCLE.encode("utf-8-sig"),
            MOTORCYCLE.encode("utf-16"),
            MOTORCYCLE.replace("\n", "\r\n").encode(),
            ("# caméra\n" + MOTORCYCLE).encode("latin-1"),
        ):
            assert read(data) == expected

    @pytest.mark.parametrize(
        ("image", "calibration", "found"),
        [
            ("a/im0.png", "a/calib.txt", True),
            ("a/l.png", "a/K.txt", True),
            ("a/l.png", "a/calib.yml", True),
            ("a/left/1.png", "a/calib.txt", True),
            ("00/image_2/1.png", "00/calib.txt", True),
            ("00/cam0/1.png", "00/calib.txt", True),
            ("a/holiday/1.png", "a/calib.txt", False),
            ("a/left/1.png", "a/K.txt", False),
            ("a/l.png", "a/notes.txt", False),
        ],
    )
    def test_find(self, tmp_path, monkeypatch, image, calibration, found):
        for name in (image, calibration):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        expected = tmp_path / calibration if found else None
        assert find_calibration(tmp_path / image) == expected
        monkeypatch.chdir((tmp_path / image).parent)
        assert find_calibration(Path(Path(image).name)) == expected
