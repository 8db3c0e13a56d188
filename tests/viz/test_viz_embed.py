"""What is embedded in a page reads back as the numbers that went in: the decoders' twins."""

import base64
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fathom.core import PointCloud, UsageError
from fathom.viz.embed import (
    Encoded,
    data_uri,
    encode_cloud,
    encode_map,
    first_view,
    script_json,
)


def decode_map(encoded: Encoded, shape: tuple[int, int]) -> np.ndarray:
    """The twin of decodeMap in assets/map_viewer.js, one number at a time."""
    raw = base64.b64decode(encoded.data)
    width = encoded.bits // 8
    values = []
    for i in range(0, len(raw), width):
        code = int.from_bytes(raw[i : i + width], "little")
        number = encoded.offset + encoded.step * code
        if code == 2**encoded.bits - 1:
            number = math.nan
        elif encoded.law == "log":
            number = math.exp(number)
        values.append(number)
    return np.array(values).reshape(shape)


MAPS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-1000, 1000, width=32) | st.just(np.nan),
)


@given(MAPS, st.sampled_from([8, 16]))
def test_a_linear_map_reads_back_within_its_stated_error(values: np.ndarray, bits: int):
    encoded = encode_map(values, bits=bits)
    back = decode_map(encoded, values.shape)
    assert np.array_equal(np.isnan(back), np.isnan(values))
    known = ~np.isnan(values)
    if known.any():
        span = float(values[known].max()) - float(values[known].min())
        assert encoded.error <= span / (2**bits - 2) / 2 + 1e-12
        assert np.abs(back[known] - values[known]).max() <= encoded.error + 1e-9


@given(MAPS, st.sampled_from([8, 16]))
def test_a_log_map_reads_back_within_its_stated_share(values: np.ndarray, bits: int):
    values = np.abs(values) + np.float32(1e-3)
    encoded = encode_map(values, bits=bits, law="log")
    back = decode_map(encoded, values.shape)
    known = ~np.isnan(values)
    assert np.array_equal(np.isnan(back), ~known)
    if known.any():
        assert np.abs(back[known] / values[known] - 1).max() <= encoded.error + 1e-9


def test_codes_by_hand():
    encoded = encode_map(np.array([[0, 127, 254, np.nan]], dtype=np.float32), bits=8)
    assert list(base64.b64decode(encoded.data)) == [0, 127, 254, 255]
    assert (encoded.offset, encoded.step, encoded.error) == (0, 1, 0.5)


def test_what_cannot_be_encoded_is_refused():
    values = np.zeros((1, 1), dtype=np.float32)
    with pytest.raises(UsageError, match="8 or 16"):
        encode_map(values, bits=12)
    with pytest.raises(UsageError, match="> 0"):
        encode_map(values, law="log")


def decode_cloud(cloud: PointCloud, limit: int) -> tuple[np.ndarray, np.ndarray]:
    encoded = encode_cloud(cloud, limit)
    codes = np.frombuffer(base64.b64decode(encoded.points), "<i2").reshape(-1, 3)
    colors = np.frombuffer(base64.b64decode(encoded.colors), np.uint8).reshape(-1, 3)
    return codes * encoded.step + np.array(encoded.offset), colors


def test_a_cloud_reads_back_with_its_colours():
    rng = np.random.default_rng(1)
    points = rng.normal((0, 0, 5), 1, (500, 3)).astype(np.float32)
    colors = rng.integers(0, 255, (500, 3), dtype=np.uint8)
    cloud = PointCloud(points, colors)
    back, back_colors = decode_cloud(cloud, 1000)
    encoded = encode_cloud(cloud, 1000)
    assert (encoded.count, encoded.total, encoded.left_out) == (500, 500, 0)
    assert np.abs(back - points).max() <= encoded.error * (1 + 1e-6)
    assert encoded.error < 1e-3
    assert np.array_equal(back_colors, colors)


def test_a_far_outlier_is_left_out_and_does_not_coarsen_the_rest():
    points = np.random.default_rng(1).normal((0, 0, 5), 1, (500, 3)).astype(np.float32)
    points[7] = (0, 0, 1e6)
    encoded = encode_cloud(PointCloud(points), 1000)
    assert (encoded.count, encoded.total, encoded.left_out) == (499, 500, 1)
    assert encoded.error < 1e-3
    assert set(base64.b64decode(encoded.colors)) == {200}


@given(st.integers(1, 300), st.integers(1, 300))
def test_thinning_keeps_just_so_many_points_of_the_cloud_and_repeats(count: int, limit: int):
    points = np.stack([np.arange(count)] * 3, axis=1).astype(np.float32)
    cloud = PointCloud(points)
    encoded = encode_cloud(cloud, limit)
    assert encoded == encode_cloud(cloud, limit)
    assert encoded.count == min(count, limit)
    back, _ = decode_cloud(cloud, limit)
    chosen = np.rint(back[:, 0]).astype(int)
    assert len(set(chosen)) == encoded.count
    assert np.abs(back[:, 0] - chosen).max() <= encoded.error + 1e-6


def test_the_first_view_stands_behind_the_camera_and_looks_at_the_scene():
    rng = np.random.default_rng(2)
    depth = rng.uniform(2, 5, 2000)
    rays = rng.uniform(-0.4, 0.4, (2000, 2))
    points = np.column_stack([rays[:, 0] * depth, rays[:, 1] * depth, depth]).astype(np.float32)
    points[:3] = (900, 0, 1000)
    view = first_view(PointCloud(points), 2000)
    assert view.perspective
    assert view.eye[1] < 0  # y points down
    assert view.eye[2] < 0
    assert view.target == pytest.approx((0, 0, 3.5), abs=0.3)
    assert 40 < view.fov < 60
    # 2000 points over 0.8 x 0.8 units of x / z and y / z
    assert view.spacing == pytest.approx(math.sqrt(0.64 / 2000), rel=0.1)


def test_the_first_view_of_a_cloud_around_the_origin_or_of_one_point():
    around = np.random.default_rng(3).normal(0, 1, (500, 3)).astype(np.float32)
    view = first_view(PointCloud(around), 500)
    assert not view.perspective
    assert np.linalg.norm(np.subtract(view.eye, view.target)) > 2
    one = first_view(PointCloud(np.array([[0, 0, 2]], dtype=np.float32)), 1)
    assert all(math.isfinite(v) for v in (*one.eye, *one.target, one.fov, one.spacing))


def test_json_in_a_script_cannot_end_it():
    text = script_json({"name": "</script><!--&"})
    assert "<" not in text
    assert ">" not in text
    assert json.loads(text) == {"name": "</script><!--&"}
    with pytest.raises(ValueError, match="JSON"):
        script_json(math.nan)


def test_pictures_become_data_uris():
    image = np.full((8, 8, 3), (200, 30, 40), dtype=np.uint8)
    head, data = data_uri(image).split(",")
    assert head == "data:image/jpeg;base64"
    import cv2

    back = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back[0, 0].astype(int) - (40, 30, 200)).max() < 8  # OpenCV's BGR
    png = cv2.imencode(".png", image)[1].tobytes()
    assert data_uri(png).startswith("data:image/png;base64,")
    with pytest.raises(UsageError, match="PNG or JPEG"):
        data_uri(b"GIF89a")
