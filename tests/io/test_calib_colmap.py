"""COLMAP's text model: half a pixel, poses from rigs.txt or images.txt, models it maps."""

import numpy as np
import pytest

from fathom.core import InputError, StereoCalibration, StereoRig
from fathom.io.calibration import read_calibration

CAMERAS = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
1 OPENCV 640 480 700 701 320 240 -0.2 0.05 0.001 -0.0005
2 OPENCV 640 480 702 703 322 241 -0.21 0.06 0 0
"""
# 3-4-5 about y: cos 0.8 sin 0.6, so the half angle has w = sqrt(0.9), y = sqrt(0.1)
W, Y = 0.9**0.5, 0.1**0.5
IMAGES = f"""# Image list
1 1 0 0 0 0.5 0 0 1 left/0001.png
100.5 200.5 -1 101 201 3 7 8 9 1
2 {W!r} 0 {Y!r} 0 0.28 0 -0.3 2 right/0001.png

"""
RIGS = f"# Rig calib list\n1 2 CAMERA 1 CAMERA 2 1 {W!r} 0 {Y!r} 0 -0.12 0 0\n"


@pytest.fixture
def read(tmp_path):
    def run(lenses=CAMERAS, images=None, rigs=None, **options):
        for name, text in (("cameras", lenses), ("images", images), ("rigs", rigs)):
            (tmp_path / f"{name}.txt").unlink(missing_ok=True)
            if text is not None:
                (tmp_path / f"{name}.txt").write_text(text)
        return read_calibration(tmp_path / "cameras.txt", **options)

    return run


def refused(read, match, *texts, **options):
    with pytest.raises(InputError, match=match) as caught:
        read(*texts, **options)
    assert ".txt" in str(caught.value) and "\n" not in str(caught.value)


TURN = [[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]]


def test_the_half_pixel(read):
    """COLMAP's (320, 240) counts from the corner: from the first pixel's centre it is 319.5."""
    raw = read(CAMERAS, IMAGES)
    assert (raw.left.cx, raw.left.cy) == (319.5, 239.5)
    assert (raw.left.fx, raw.left.fy) == (700, 701)
    assert raw.left.distortion == (-0.2, 0.05, 0.001, -0.0005)


def test_pose_from_images(read):
    """R = R2 R1^T, T = t2 - R t1 = (0.28 - 0.8 * 0.5, 0, -0.3 + 0.6 * 0.5)."""
    raw = read(CAMERAS, IMAGES)
    assert isinstance(raw, StereoCalibration)
    np.testing.assert_allclose(raw.rotation, TURN, atol=1e-12)
    np.testing.assert_allclose(raw.translation, [-0.12, 0, 0], atol=1e-12)


def test_pose_from_rigs_comes_first(read):
    raw = read(CAMERAS, IMAGES.replace("0.28", "0.18"), RIGS)
    np.testing.assert_allclose(raw.translation, [-0.12, 0, 0], atol=1e-12)
    np.testing.assert_allclose(raw.rotation, TURN, atol=1e-12)


def test_left_is_the_one_that_stands_left(read):
    swapped = RIGS.replace(" -0.12 0 0", " 0.12 0 0")
    raw = read(CAMERAS, None, swapped)
    assert raw.left.fx == 702 and raw.translation[0] < 0
    np.testing.assert_allclose(raw.rotation, np.transpose(TURN), atol=1e-12)
    assert read(CAMERAS, None, swapped, cameras=(1, 2)).translation[0] > 0


def test_many_images_are_averaged(read):
    rows = []
    for i, x in enumerate((-0.1199, -0.12, -0.1201)):
        rows += [f"{2 * i + 1} 1 0 0 0 0 0 0 1 left_{i}.png", ""]
        rows += [f"{2 * i + 2} 1 0 0 0 {x} 0 0 2 right_{i}.png", ""]
    raw = read(CAMERAS, "\n".join(rows))
    np.testing.assert_allclose(raw.translation, [-0.12, 0, 0], atol=1e-9)
    rows[2] = rows[2].replace("-0.1199", "-0.15")
    refused(read, "3 pairs of images do not agree on one pose", CAMERAS, "\n".join(rows))


def test_one_camera_for_both_images(read):
    one = CAMERAS.splitlines()[2]
    images = IMAGES.replace(" 2 right", " 1 right")
    raw = read(one, images)
    assert raw.left == raw.right


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("SIMPLE_PINHOLE 640 480 700 320 240", (700, 700, ())),
        ("PINHOLE 640 480 700 701 320 240", (700, 701, ())),
        ("SIMPLE_RADIAL 640 480 700 320 240 -0.1", (700, 700, (-0.1, 0, 0, 0))),
        ("RADIAL 640 480 700 320 240 -0.1 0.2", (700, 700, (-0.1, 0.2, 0, 0))),
        (
            "FULL_OPENCV 640 480 700 701 320 240 1 2 3 4 5 6 7 8",
            (700, 701, (1, 2, 3, 4, 5, 6, 7, 8)),
        ),
        ("OPENCV_FISHEYE 640 480 700 701 320 240 1 2 3 4", (700, 701, (1, 2, 3, 4))),
        ("SIMPLE_RADIAL_FISHEYE 640 480 700 320 240 0.1", (700, 700, (0.1, 0, 0, 0))),
        ("RADIAL_FISHEYE 640 480 700 320 240 0.1 0.2", (700, 700, (0.1, 0.2, 0, 0))),
    ],
)
def test_models(read, line, values):
    camera = read(f"1 {line}\n2 {line}\n", None, RIGS).left
    assert (camera.fx, camera.fy, camera.distortion) == values
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert camera.model == ("fisheye" if "FISHEYE" in line else "pinhole")


def test_rectified(read):
    line = "PINHOLE 640 480 700 700 320 240"
    rig = read(f"1 {line}\n2 {line}\n", None, "1 2 CAMERA 1 CAMERA 2 1 1 0 0 0 -0.12 0 0\n")
    assert isinstance(rig, StereoRig) and rig.baseline == 0.12 and rig.doffs == 0


def test_wrong_values(read):
    refused(read, "lenses but not where the two cameras stand.*rigs.txt", CAMERAS)
    refused(read, "lenses but not where", CAMERAS, IMAGES, cameras=(1, 5))
    for model in ("FOV", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE"):
        text = CAMERAS.replace("2 OPENCV", f"2 {model}")
        refused(read, f"camera 2 model = '{model}': is a camera model without", text, IMAGES)
    refused(read, "has 7 parameters; expected 8", CAMERAS.replace(" -0.0005", ""), IMAGES)
    refused(read, "camera 2: is missing", CAMERAS[: CAMERAS.index("\n2 ") + 1], IMAGES)
    refused(read, "no number", CAMERAS.replace("0.001", "x"), IMAGES)
    refused(read, r"camera 1\.fx", CAMERAS.replace("700", "-700"), IMAGES)
    refused(read, "2 times that size", CAMERAS, IMAGES, image_size=(1280, 960))
    refused(read, "is no pose", CAMERAS, IMAGES.replace("1 1 0 0 0 0.5", "1 0 0 0 0 0.5"))
    far = RIGS.replace("-0.12 0 0", "-120 0 0")
    refused(read, "120 m is implausible.*name the unit", CAMERAS, None, far)
    assert read(CAMERAS, None, far, unit="mm").baseline == pytest.approx(0.12)


def test_two_files_by_name(read, tmp_path):
    read(CAMERAS, IMAGES, RIGS)
    raw = read(CAMERAS, IMAGES)
    for words in ("cameras.txt,images.txt", "images.txt,cameras.txt"):
        both = ",".join(str(tmp_path / word) for word in words.split(","))
        np.testing.assert_allclose(read_calibration(both).translation, raw.translation)
    (tmp_path / "r.txt").write_text(RIGS)
    assert read_calibration((tmp_path / "cameras.txt", tmp_path / "r.txt")).left.fx == 700
