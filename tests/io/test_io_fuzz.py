"""Whatever is done to a file, a reader gives a value or one FathomError, and takes no gigabytes."""

import resource

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from io_samples import (
    K_TXT,
    KITTI,
    KITTI_RAW,
    MOTORCYCLE,
    RIG,
    by_pillow,
    picture,
    png,
    pnm,
    q_matrix,
    tiff,
)

from fathom.core import FathomError, PointCloud
from fathom.io.calibration import read_calibration
from fathom.io.guard import image_info
from fathom.io.images import read_image
from fathom.io.maps import read_depth_npy, read_disparity, write_depth_npy
from fathom.io.pfm import read_pfm, write_pfm
from fathom.io.ply import read_ply, write_ply

SMALL = picture(9, 13)
IMAGES = [
    png(SMALL),
    png(picture(9, 13, np.uint16)[..., 0]),
    by_pillow(SMALL, "PNG", mode="P"),
    by_pillow(SMALL, "JPEG"),
    by_pillow(SMALL, "JPEG", progressive=True),
    by_pillow(SMALL, "BMP"),
    by_pillow(SMALL, "WEBP"),
    by_pillow(SMALL, "WEBP", lossless=True),
    tiff(SMALL),
    by_pillow(SMALL, "TIFF", compression="tiff_lzw"),
    pnm(3, SMALL),
    pnm(6, SMALL),
]
CALIBRATIONS = [text.encode() for text in (MOTORCYCLE, KITTI, KITTI_RAW, K_TXT, RIG, q_matrix())]
CALIBRATIONS += [
    b'<?xml version="1.0"?><opencv_storage><Q type_id="opencv-matrix"><rows>1</rows><cols>2</cols>'
    b"<dt>d</dt><data>1. 2.</data></Q><size>3 4</size></opencv_storage>",
    b'{"Q": {"type_id": "opencv-matrix", "rows": 1, "cols": 2, "dt": "d", "data": [1.0, 2.0]}}',
]


@st.composite
def mutated(draw, originals):
    """One of `originals` with bytes changed, inserted, removed, repeated or cut off."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["set", "huge", "insert", "delete", "cut", "repeat"]))
        if kind == "set":
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "huge":
            data[place : place + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", b"9999"])
            )
        elif kind == "insert":
            data[place:place] = draw(
                st.binary(max_size=8) | st.sampled_from([b"nan", b"1e999", b"-"])
            )
        elif kind == "delete":
            del data[place : place + draw(st.integers(1, 40))]
        elif kind == "cut":
            del data[place:]
        else:
            data[place:place] = data[place : place + 64]
    return bytes(data)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "file"


@pytest.fixture(scope="module", autouse=True)
def memory():
    """The whole module stays within some hundred megabytes more than it began with."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024


bounded = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def survives(read, path, data, **options):
    path.write_bytes(data)
    try:
        return read(path, **options)
    except FathomError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        return None


@bounded
@given(data=mutated(IMAGES))
def test_images(place, data):
    info = survives(image_info, place, data, max_pixels=1_000_000)
    image = survives(read_image, place, data, max_pixels=1_000_000)
    if image is not None:
        assert image.shape == (info.height, info.width, 3)


@bounded
@given(data=mutated(CALIBRATIONS), size=st.sampled_from([None, (640, 480), (1392, 512)]))
def test_calibrations(place, data, size):
    survives(read_calibration, place, data, image_size=size, unit=None)


@pytest.fixture(scope="module")
def maps(place):
    values = np.array([[1, 2.5, np.nan], [4, 5, 6]], dtype=np.float32)
    write_pfm(place, values)
    pfm = place.read_bytes()
    write_depth_npy(place, values)
    return [pfm, place.read_bytes(), png(SMALL[..., 0].astype(np.uint16))]


@bounded
@given(data=st.data())
def test_maps(place, maps, data):
    changed = data.draw(mutated(maps))
    for read in (read_pfm, read_depth_npy, read_disparity):
        survives(read, place, changed)


@bounded
@given(data=st.data())
def test_clouds(place, data):
    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    write_ply(place, PointCloud(points, points.astype(np.uint8)))
    text = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
    text += b"property float z\nend_header\n1 2 3\n"
    survives(read_ply, place, data.draw(mutated([place.read_bytes(), text])))


def test_a_false_chunk_length_costs_nothing(place):
    """A decoder alone takes gigabytes for a PNG of a few kilobytes with a false chunk length."""
    data = png(picture())
    start = data.index(b"IDAT") - 4
    for length in (0x7FFFFFFF, 0x7FFFFFF0, 0xFFFFFFFF, len(data)):
        changed = data[:start] + length.to_bytes(4, "big") + data[start + 4 :]
        assert survives(read_image, place, changed) is None
