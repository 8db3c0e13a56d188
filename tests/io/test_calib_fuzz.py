"""Every format cut short at every length, and mutated: a calibration or one line, nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_io_fuzz import mutated

from fathom.core import Camera, FathomError, StereoCalibration, StereoRig
from fathom.io.calibration import FORMATS, read_calibration, write_calibration

TERMS = (-0.3, 0.1, 0.001, -0.0002)
RAW = StereoCalibration(
    Camera(672, 376, 500.0, 501.0, 330.5, 190.25, "pinhole", TERMS),
    Camera(672, 376, 502.0, 503.0, 331.5, 189.25, "pinhole", TERMS),
    np.array([[0.96, 0, 0.28], [0, 1, 0], [-0.28, 0, 0.96]]),
    np.array([-0.12, 0.001, 0.002]),
)
RIG = StereoRig.simple(672, 376, 500, 0.12, doffs=3.5)
PATHS = {"ros": "left.yaml,right.yaml", "colmap": "cameras.txt,images.txt"}
FILES = [
    (f.name, kind, i)
    for f in FORMATS
    for kind in f.holds
    for i in range(len(PATHS.get(f.name, "c").split(",")))
]


def written(folder, name, kind):
    """The files of the calibration, and what to call them for reading."""
    files = [folder / word for word in PATHS.get(name, "c").split(",")]
    path = ",".join(map(str, files))
    write_calibration(path, RAW if kind == "raw" else RIG, format=name)
    return files, path


def survives(path, folder):
    try:
        return read_calibration(path, image_size=(672, 376))
    except FathomError as error:
        assert "\n" not in str(error)
        assert str(folder) in str(error), str(error)
        return None


@pytest.mark.parametrize(("name", "kind", "which"), FILES)
def test_cut_short_at_every_length(tmp_path, name, kind, which):
    files, path = written(tmp_path, name, kind)
    whole = files[which].read_bytes()
    read = survives(path, tmp_path)
    assert read is not None
    step = max(1, len(whole) // 110)
    for length in [*range(0, len(whole) - 30, step), *range(max(0, len(whole) - 30), len(whole))]:
        files[which].write_bytes(whole[:length])
        survives(path, tmp_path)


@pytest.mark.parametrize("name", [f.name for f in FORMATS])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_mutated(tmp_path_factory, name, data):
    folder = tmp_path_factory.getbasetemp() / f"mutated-{name}"
    folder.mkdir(exist_ok=True)
    kind = "raw" if data.draw(st.booleans()) and "raw" in held(name) else "rectified"
    files, path = written(folder, name, kind)
    which = data.draw(st.integers(0, len(files) - 1))
    files[which].write_bytes(data.draw(mutated([files[which].read_bytes()])))
    survives(path, folder)


def held(name):
    return next(f.holds for f in FORMATS if f.name == name)


@pytest.mark.parametrize(
    "text",
    [
        "cam0:\n" + "  a:\n" * 5,
        "cam0:\n  intrinsics: " + "[" * 5000,
        "cam0:\n  intrinsics: [" + "1, " * 9000,
        "cam0:\n" + "".join(f"{' ' * i}a{i}:\n" for i in range(1, 3000)) + "  intrinsics: [1]\n",
        "cam0:\n\tcamera_model: pinhole\n",
        "cam0:\n  camera_model: pinhole\n  intrinsics: " + "a" * 200_000 + "\n",
        '{"format": "fathom calibration", "version": 1, "left": ' + "[" * 100_000,
        '{"format": "fathom calibration", "version": 1, "left": {"width": 1' + "0" * 5000 + "}}",
        '{"cameraData": [[NaN, {}], [1e999, {}], ["x", 3], [[], []], 5]}',
        '{"baseline_meters": true, "cx0": null}',
        "1 PINHOLE 640 480 " + "9" * 5000 + " 1 1 1",
        "[LEFT_CAM_HD]\n[RIGHT_CAM_HD]\n[STEREO]\n",
    ],
)  # fmt: skip
def test_absurd_texts(tmp_path, text):
    path = tmp_path / "c"
    path.write_text(text)
    with pytest.raises(FathomError) as caught:
        read_calibration(path, image_size=(640, 480))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1200
