"""PLY clouds."""

import struct

import numpy as np
import pytest

from fathom.core import InputError, PointCloud
from fathom.io.ply import read_ply, write_ply

POINTS = np.array([[0.5, -1.25, 2], [1e-3, 7, 30.5], [0, 0, 1]], dtype=np.float32)
COLORS = np.array([[255, 0, 1], [2, 3, 4], [9, 8, 7]], dtype=np.uint8)
NORMALS = np.array([[0, 0, -1], [0, 1, 0], [0.6, 0.8, 0]], dtype=np.float32)


@pytest.mark.parametrize("colors", [None, COLORS])
@pytest.mark.parametrize("normals", [None, NORMALS])
def test_round_trip(tmp_path, colors, normals):
    write_ply(tmp_path / "a.ply", PointCloud(POINTS, colors, normals, frame="left  camera\n2"))
    read = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(read.points, POINTS)
    for got, given in ((read.colors, colors), (read.normals, normals)):
        assert (got is None) == (given is None)
        assert given is None or (got == given).all()
    assert read.frame == "left camera 2"


def test_bytes_by_hand(tmp_path):
    write_ply(tmp_path / "a.ply", PointCloud(POINTS[:1], COLORS[:1]))
    head, _, data = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    assert head.decode().splitlines() == [
        "ply",
        "format binary_little_endian 1.0",
        "comment made by fathom; x right, y down, z forward",
        "comment unit: metre",
        "comment frame: left camera",
        "element vertex 1",
        "property float x",
        "property float y",
        "property float z",
        "property uchar red",
        "property uchar green",
        "property uchar blue",
    ]
    assert data == struct.pack("<fffBBB", 0.5, -1.25, 2, 255, 0, 1)


def test_an_empty_cloud(tmp_path):
    empty = PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    write_ply(tmp_path / "a.ply", empty)
    assert len(read_ply(tmp_path / "a.ply")) == 0


def header(form: str, count: object, *properties: str, after: str = "") -> bytes:
    lines = ["ply", f"format {form} 1.0", "comment a cloud", f"element vertex {count}"]
    lines += [f"property {p}" for p in properties]
    return "\n".join([*lines, *([after] if after else []), "end_header\n"]).encode()


def test_other_orders_types_and_faces(tmp_path):
    properties = ("uchar blue", "double z", "uchar green", "float confidence", "float64 x")
    properties += ("uint8 red", "int16 y", "uchar alpha")
    faces = "element face 1\nproperty list uchar int vertex_indices"
    for form, order in (("binary_little_endian", "<"), ("binary_big_endian", ">")):
        row = struct.pack(order + "BdBfdBhB", 3, 2.5, 2, 0.9, 0.5, 1, -4, 255)
        data = header(form, 1, *properties, after=faces) + row + struct.pack("<Biii", 3, 0, 0, 0)
        (tmp_path / "a.ply").write_bytes(data)
        read = read_ply(tmp_path / "a.ply")
        assert read.points.tolist() == [[0.5, -4, 2.5]] and read.colors.tolist() == [[1, 2, 3]]
        assert read.frame == "unknown" and read.normals is None


def test_ascii(tmp_path):
    data = header(
        "ascii", 2, "float x", "float y", "float z", "uchar red", "uchar green", "uchar blue"
    )
    (tmp_path / "a.ply").write_bytes(
        data.replace(b"\n", b"\r\n") + b"1 2 3 4 5 6\r\n-1e-1 0 9 7 8 9"
    )
    read = read_ply(tmp_path / "a.ply")
    assert read.points.tolist() == np.float32([[1, 2, 3], [-0.1, 0, 9]]).tolist()
    assert read.colors.tolist() == [[4, 5, 6], [7, 8, 9]]


XYZ = ("float x", "float y", "float z")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"obj\n", "is no PLY cloud: it is a text file"),
        (b"ply\nformat ascii 1.0\n", "is no PLY cloud; expected"),
        (b"\x00\x01", "is no PLY cloud; expected"),
        (header("ascii", 5, *XYZ) + b"1 2 3\n", "5 points need 30 bytes, 6 are left"),
        (header("ascii", 2, *XYZ) + b"1 2 3           4\n", "4 numbers where 6 are declared"),
        (header("ascii", 1, *XYZ) + b"1 2 three\n", "no number"),
        (header("ascii", 1, *XYZ) + b"1 2 nan\n", "not finite"),
        (header("binary_little_endian", 10**9, *XYZ) + bytes(12), "12000000000 bytes"),
        (header("binary_little_endian", -1, *XYZ) + bytes(12), "is no number of points"),
        (header("binary_little_endian", "1 2", *XYZ) + bytes(12), "is no number of points"),
        (header("binary_little_endian", 1, "float x", "float y"), "are not x, y and z once each"),
        (header("binary_little_endian", 1, *XYZ, "float x") + bytes(16), "once each"),
        (
            header("binary_little_endian", 1, *XYZ, "list uchar int i") + bytes(99),
            "no plain number",
        ),
        (header("binary_little_endian", 1, *XYZ, "half w") + bytes(99), "no plain number"),
        (header("other", 1, *XYZ) + bytes(12), "lacks a line"),
        (b"ply\nformat ascii 1.0\nend_header\n", "lacks a line"),
        (b"ply\nformat ascii 1.0\nelement face 1\nend_header\n", "does not begin with vertices"),
    ],
)
def test_refused(tmp_path, data, match):
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(InputError, match=match) as caught:
        read_ply(tmp_path / "a.ply")
    assert "a.ply" in str(caught.value)


def test_too_long(tmp_path, monkeypatch):
    from fathom.io import ply

    monkeypatch.setattr(ply, "_MAX_BYTES", 10)
    (tmp_path / "a.ply").write_bytes(header("ascii", 1, *XYZ) + b"1 2 3\n")
    with pytest.raises(InputError, match="is too long"):
        read_ply(tmp_path / "a.ply")


def test_a_library_of_others_reads_it(tmp_path):
    """OpenCV reads what we wrote, as do viewers."""
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(0)
    cloud = PointCloud(
        rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 256, (50, 3)).astype(np.uint8)
    )
    write_ply(tmp_path / "a.ply", cloud)
    if not hasattr(cv2, "loadPointCloud"):
        pytest.skip("this OpenCV reads no clouds")
    vertices = np.asarray(cv2.loadPointCloud(str(tmp_path / "a.ply"))[0]).reshape(-1, 3)
    np.testing.assert_allclose(vertices, cloud.points, atol=1e-6)
