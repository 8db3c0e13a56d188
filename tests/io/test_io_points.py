"""Points of depth in text and .npy files."""

import numpy as np
import pytest

from fathom.core import Camera, InputError, PointCloud, UsageError
from fathom.io.ply import write_ply
from fathom.io.points import is_points, read_points, read_points_of


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3.5\n4 5 6\n",
        "x,y,depth\n1,2,3.5\n4,5,6\n7,8,0\n",
        "# LiDAR\n1;2;3.5 # near\n\n4;5;6\n9;9;nan\n",
    ],
)
def test_text(tmp_path, text):
    file = tmp_path / "a.csv"
    file.write_text(text)
    found = read_points(file)
    np.testing.assert_allclose(found.pixels, [[1, 2], [4, 5]])
    np.testing.assert_allclose(found.depth, [3.5, 6])
    assert found.sigma is None
    assert is_points(file)


def test_array_with_sigma(tmp_path):
    rows = np.array([[1, 2, 3, 0.1], [4, 5, 6, 0.2]])
    np.save(tmp_path / "a.npy", rows)
    np.save(tmp_path / "map.npy", np.ones((9, 8), np.float32))
    np.testing.assert_allclose(read_points(tmp_path / "a.npy").sigma, [0.1, 0.2], rtol=1e-6)
    assert is_points(tmp_path / "a.npy")
    assert not is_points(tmp_path / "map.npy")
    assert not is_points(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3 4\n", r"shape = \(2, 2\): holds no points; expected x, y"),
        ("1 2 0\n", "holds no point with a depth above 0"),
        ("1 2 3\n1 b 3\n", r"line 2 = '1 b 3': is no point"),
        ("1 2 3\n1 2 3 4\n", r"line 2 = '1 2 3 4': has another number of columns"),
    ],
)
def test_text_that_is_none(tmp_path, text, message):
    file = tmp_path / "a.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_points(file)


def test_arrays_that_are_none(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"it is no .npy array of numbers"):
        read_points(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array([["x", "y", "z"]]))
    with pytest.raises(InputError, match="holds no numbers"):
        read_points(tmp_path / "b.npy")


def test_a_cloud_gives_its_points_where_the_camera_sees_them(tmp_path):
    points = np.array([[0, 0, 2], [0.5, 0.25, 5], [9, 0, 1]], np.float32)  # the last beside it
    write_ply(tmp_path / "c.ply", PointCloud(points))
    found = read_points_of(tmp_path / "c.ply", Camera(20, 10, 10, 10, 9.5, 4.5))
    np.testing.assert_allclose(found.pixels, [[9.5, 4.5], [10.5, 5]])
    np.testing.assert_allclose(found.depth, [2, 5])
    with pytest.raises(UsageError, match="no camera says"):
        read_points_of(tmp_path / "c.ply", None)
    (tmp_path / "a.txt").write_text("1 2 3")
    assert read_points_of(tmp_path / "a.txt", None).depth == 3
