"""The camera of one image, from files of one camera or of two."""

import json

import pytest

from fathom.core import InputError, StereoRig
from fathom.io.calibration.middlebury import write_middlebury
from fathom.io.calibration.single import find_camera_file, read_camera

SIZE = (640, 480)
ROS = """image_width: 640
image_height: 480
camera_matrix:
  rows: 3
  cols: 3
  data: [500.0, 0.0, 320.0, 0.0, 501.0, 240.0, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [0.1, -0.2, 0.0, 0.0, 0.0]
"""
OPENCV = """%YAML:1.0
---
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 500., 0., 320., 0., 501., 240., 0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ 0.1, -0.2, 0., 0., 0. ]
"""
JSON = {"fx": 500, "fy": 501, "cx": 320, "cy": 240, "distortion": [0.1, -0.2, 0, 0, 0]}


@pytest.mark.parametrize(
    ("text", "lens"),
    [
        (ROS, True),
        (OPENCV, True),
        (json.dumps(JSON | {"width": 640, "height": 480}), True),
        ("500 0 320 0 501 240 0 0 1", False),
        ("[[500, 0, 320],\n [0, 501, 240],\n [0, 0, 1]]", False),
    ],
)
def test_files_of_one_camera(tmp_path, text, lens):
    file = tmp_path / "camera.txt"
    file.write_text(text)
    camera, rig = read_camera(file, SIZE)
    assert (camera.size, camera.fx, camera.fy) == (SIZE, 500, 501)
    assert (camera.cx, camera.cy) == (320, 240)
    assert camera.distortion == ((0.1, -0.2, 0, 0, 0) if lens else ())
    assert rig is None


def test_the_left_camera_of_a_rig(tmp_path):
    rig = StereoRig.simple(640, 480, 500, 0.1)
    write_middlebury(tmp_path / "calib.txt", rig)
    camera, found = read_camera(tmp_path / "calib.txt", SIZE)
    assert camera == found.left
    assert camera.fx == 500
    assert find_camera_file(tmp_path / "a.png") == tmp_path / "calib.txt"


def test_a_file_beside_the_image(tmp_path):
    assert find_camera_file(tmp_path / "a.png") is None
    (tmp_path / "camera.json").write_text(json.dumps(JSON))
    assert find_camera_file(tmp_path / "a.png") == tmp_path / "camera.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROS.replace("640", "320"), r"image size = '320x480': is for another image size"),
        ("{broken", "is broken JSON"),
        (json.dumps(JSON | {"fx": "long"}), "holds values that are no numbers"),
        ("500 1 320 0 501 240 0 0 1", "is no camera matrix"),
        ("nothing here", "is no calibration fathom reads"),
    ],
)
def test_what_is_no_camera(tmp_path, text, message):
    file = tmp_path / "camera.json"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_camera(file, SIZE)
