"""ROS camera_info: pairs of files, P[0,3], raw or rectified, and what is wrong with them."""

import cv2
import numpy as np
import pytest

from fathom.core import InputError, StereoCalibration, StereoRig
from fathom.geometry.rectify import rectify
from fathom.io.calibration import find_calibration, read_calibration

K = (700.0, 0, 320.5, 0, 701.0, 239.25, 0, 0, 1)
D = (-0.2, 0.05, 0.001, -0.0005, 0.01)
UNIT = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)


def info(k=K, d=D, r=UNIT, p=None, model="plumb_bob", size=(640, 480), shift=0.0):
    p = (k[0], 0, k[2], shift, 0, k[4], k[5], 0, 0, 0, 1, 0) if p is None else p

    def block(name, rows, cols, values):
        data = ", ".join(repr(float(v)) for v in values)
        return f"{name}:\n  rows: {rows}\n  cols: {cols}\n  data: [{data}]\n"

    return (
        f"image_width: {size[0]}\nimage_height: {size[1]}\ncamera_name: narrow_stereo\n"
        + block("camera_matrix", 3, 3, k)
        + f"distortion_model: {model}\n"
        + block("distortion_coefficients", 1, len(d), d)
        + block("rectification_matrix", 3, 3, r)
        + block("projection_matrix", 3, 4, p)
    )


IDEAL = {"d": (0.0,) * 5}


@pytest.fixture
def read(tmp_path):
    def run(left, right, **options):
        (tmp_path / "left.yaml").write_text(left)
        (tmp_path / "right.yaml").write_text(right)
        return read_calibration(f"{tmp_path}/left.yaml,{tmp_path}/right.yaml", **options)

    return run


def refused(read, left, right, match, **options):
    with pytest.raises(InputError, match=match) as caught:
        read(left, right, **options)
    assert "\n" not in str(caught.value) and ".yaml" in str(caught.value)


class TestValues:
    def test_rectified(self, read):
        rig = read(info(**IDEAL), info(**IDEAL, shift=-84.0))
        assert isinstance(rig, StereoRig) and rig.baseline == 0.12  # 84 / 700
        assert (rig.left.fx, rig.left.fy, rig.left.cx, rig.left.cy) == (700, 701, 320.5, 239.25)
        assert rig.size == (640, 480) and rig.doffs == 0

    def test_raw_or_rectified(self, read):
        """K 700, P 500 with a quarter of a turn less a bit: raw by itself, the rig on request."""
        p = (500.0, 0, 310, 0, 0, 500, 230, 0, 0, 0, 1, 0)
        shifted = (500.0, 0, 312, -60, 0, 500, 230, 0, 0, 0, 1, 0)
        turn = (0.96, 0, 0.28, 0, 1, 0, -0.28, 0, 0.96)
        raw = read(info(p=p), info(r=turn, p=shifted))
        assert isinstance(raw, StereoCalibration)
        assert raw.left.fx == 700 and raw.left.distortion == D
        # X_right = R2^T (R1 X_left + (-60/500, 0, 0)), R1 = 1
        np.testing.assert_allclose(raw.rotation, np.reshape(turn, (3, 3)).T)
        np.testing.assert_allclose(raw.translation, [-0.12 * 0.96, 0, -0.12 * 0.28])
        rig = read(info(p=p), info(r=turn, p=shifted), rectified=True)
        assert isinstance(rig, StereoRig) and rig.left.fx == 500
        assert rig.baseline == 0.12 and rig.doffs == 2

    @pytest.mark.parametrize("fisheye", [False, True])
    def test_as_opencv_rectifies(self, read, fisheye):
        """R and P from stereoRectify give back the pose that they were made of."""
        turn, _ = cv2.Rodrigues(np.array([0.02, -0.05, 0.01]))
        place = np.array([[-0.1], [0.004], [0.003]])
        matrix, terms = np.reshape(K, (3, 3)), np.array(D[:4] if fisheye else D)
        work = cv2.fisheye.stereoRectify if fisheye else cv2.stereoRectify
        r1, r2, p1, p2, *_ = work(
            *(matrix, terms, matrix, terms, (640, 480), turn, place), flags=cv2.CALIB_ZERO_DISPARITY
        )
        model = "equidistant" if fisheye else "plumb_bob"
        sides = [
            info(d=terms, r=r.ravel(), p=p.ravel(), model=model) for r, p in ((r1, p1), (r2, p2))
        ]
        raw = read(*sides)
        assert raw.left.model == ("fisheye" if fisheye else "pinhole")
        np.testing.assert_allclose(raw.rotation, turn, atol=1e-9)
        np.testing.assert_allclose(raw.translation, place.ravel(), atol=1e-9)
        again = rectify(raw).rig
        assert again.baseline == pytest.approx(read(*sides, rectified=True).baseline)

    def test_messages_and_ost(self, tmp_path):
        """What `topic echo` prints, and the oST text of the calibrator."""

        def message(shift):
            rows = [f"{n}:\n" + "".join(f"- {v}\n" for v in values) for n, values in (
                ("d", [0.0] * 5), ("k", K), ("r", UNIT),
                ("p", (700, 0, 320.5, shift, 0, 701, 239.25, 0, 0, 0, 1, 0)),
            )]  # fmt: skip
            head = "header:\n  stamp:\n    sec: 1\n  frame_id: cam\nheight: 480\nwidth: 640\n"
            return head + "distortion_model: plumb_bob\n" + "".join(rows) + "binning_x: 0\n---\n"

        for side, shift in (("left", 0), ("right", -84)):
            (tmp_path / f"{side}.yaml").write_text(message(shift))
            folder = tmp_path / side
            folder.mkdir()
            (folder / "ost.txt").write_text(
                "# oST version 5.0 parameters\n\n\n[image]\n\nwidth\n640\n\nheight\n480\n\n"
                f"[narrow_stereo/{side}]\n\ncamera matrix\n700.0 0.0 320.5\n0.0 701.0 239.25\n"
                "0.0 0.0 1.0\n\ndistortion\n0.0 0.0 0.0 0.0 0.0\n\nrectification\n1.0 0.0 0.0\n"
                "0.0 1.0 0.0\n0.0 0.0 1.0\n\nprojection\n"
                f"700.0 0.0 320.5 {float(shift)}\n0.0 701.0 239.25 0.0\n0.0 0.0 1.0 0.0\n"
            )
        rig = read_calibration(tmp_path / "left.yaml")
        assert rig.baseline == 0.12
        assert read_calibration(tmp_path / "left" / "ost.txt") == rig
        assert read_calibration(tmp_path / "right" / "ost.txt") == rig


class TestTwoFiles:
    @pytest.mark.parametrize(
        ("left", "right"),
        [
            ("left.yaml", "right.yaml"),
            ("camera_info_left.yaml", "camera_info_right.yaml"),
            ("cam0.yaml", "cam1.yaml"),
            ("left/camera.yaml", "right/camera.yaml"),
        ],
    )
    def test_the_other_one_is_found(self, tmp_path, left, right):
        for name, text in ((left, info(**IDEAL)), (right, info(**IDEAL, shift=-84.0))):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        for given in (left, right):
            assert read_calibration(tmp_path / given).baseline == 0.12
        pair = (tmp_path / left, tmp_path / right)
        assert read_calibration(pair).baseline == 0.12

    def test_beside_an_image(self, tmp_path):
        assert find_calibration(tmp_path / "0.png") is None
        (tmp_path / "left.yaml").write_text(info(**IDEAL))
        assert find_calibration(tmp_path / "0.png") is None
        (tmp_path / "right.yaml").write_text(info(**IDEAL, shift=-84.0))
        assert find_calibration(tmp_path / "0.png") == tmp_path / "left.yaml"
        assert find_calibration(tmp_path / "left" / "0.png") == tmp_path / "left.yaml"

    def test_alone(self, tmp_path):
        (tmp_path / "left.yaml").write_text(info())
        with pytest.raises(InputError, match=r"one camera of two.*left\.yaml,right\.yaml"):
            read_calibration(tmp_path / "left.yaml")
        (tmp_path / "right.yaml").write_text("cam0=1\n")
        with pytest.raises(InputError, match=r"right\.yaml: is no ROS camera_info"):
            read_calibration(tmp_path / "left.yaml")


class TestTraps:
    def test_millimetres(self, read):
        sides = info(**IDEAL), info(**IDEAL, shift=-84_000.0)
        refused(read, *sides, r"120.*implausible.*millimetres read as metres.*name the unit")
        assert read(*sides, unit="mm").baseline == pytest.approx(0.12)

    def test_sixty_metres_and_a_tenth_of_a_millimetre(self, read):
        refused(read, info(**IDEAL), info(**IDEAL, shift=-42_000.0), "60 m is implausible")
        refused(read, info(**IDEAL), info(**IDEAL, shift=-0.07), "0.0001 m is implausible")

    def test_without_the_factor_fx(self, read):
        text = r"P\[0,3\] that lacks the factor fx \(then it is 0\.12 m\)"
        refused(read, info(**IDEAL), info(**IDEAL, shift=-0.12), text)

    def test_sign_and_order(self, read):
        refused(read, info(**IDEAL), info(**IDEAL, shift=84.0), "to the left of the left one.*sign")
        refused(read, info(**IDEAL, shift=-84.0), info(**IDEAL), "order left, right")

    def test_calibrated_one_by_one(self, read):
        refused(read, info(), info(), r"P\[0,3\] = 0.0: is 0.*stereo camera")

    def test_another_size(self, read):
        sides = info(**IDEAL), info(**IDEAL, shift=-84.0)
        refused(read, *sides, "2 times that size", image_size=(1280, 960))

    def test_one_above_the_other(self, read):
        p = (700, 0, 320.5, 0, 0, 701, 239.25, -84.12, 0, 0, 1, 0)
        raw = read(info(), info(p=p))
        np.testing.assert_allclose(raw.translation, [0, -0.12, 0])
        refused(read, info(**IDEAL), info(**IDEAL, p=p), "one camera stands above the other")

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"model": "omni"}, "distortion_model = 'omni': is a model without a counterpart"),
            ({"d": (1.0, 2.0, 3.0)}, "D: has 3 terms"),
            ({"r": (2.0, 0, 0, 0, 1, 0, 0, 0, 1)}, "R .*is not a rotation"),
            ({"r": (float("nan"), *UNIT[1:])}, "R .*is not a rotation"),
            ({"k": (-700.0, *K[1:])}, r"K\.fx = -700"),
            ({"size": (0, 480)}, "image_width"),
            ({"p": (1.0, 2.0)}, "projection_matrix.data: has 2 numbers; expected 12"),
            ({"p": (700, 0, 320, float("inf"), 0, 700, 240, 0, 0, 0, 1, 0)}, "not finite"),
        ],
    )
    def test_wrong_values(self, read, changes, match):
        settings = {"shift": -84.0, **changes}
        refused(read, info(), info(**settings), match)

    def test_missing_values(self, read):
        text = info().replace("rectification_matrix", "x")
        refused(read, text, info(), r"left\.yaml: rectification_matrix: is missing")
