"""Maps: finite or NaN, read-only, one unit, and metres only with a rig."""

import numpy as np
import pytest

from fathom.core import (
    Depth,
    Disparity,
    InputError,
    MonoSample,
    PointCloud,
    RelativeDepth,
    Source,
    SparseDepth,
    StereoPair,
    StereoRig,
    StereoSample,
    UsageError,
    View,
)

# These are tests of the checks that fathom itself makes.
pytestmark = pytest.mark.usefixtures("unchecked")

VALUES = np.array([[1.0, np.nan, -2.0], [4.0, 5.0, 6.0]], dtype=np.float32)
RIG = StereoRig.simple(3, 2, 10.0, 0.5, doffs=1.0)


def test_disparity_holds_its_layers():
    source = np.full((2, 3), Source.MATCHED, np.uint8)
    source[0, 0] = Source.FILLED
    d = Disparity(VALUES, np.full((2, 3), 0.5, np.float32), source)
    assert d.known.sum() == 5
    assert d.measured.sum() == 4
    assert d.share_known == pytest.approx(5 / 6)
    assert d.shape == (2, 3)
    with pytest.raises(ValueError, match="read-only"):
        d.values[0, 0] = 3


@pytest.mark.parametrize(
    ("layers", "field"),
    [
        ({"values": np.array([[np.inf]])}, "values"),
        ({"values": np.zeros(3)}, "values"),
        ({"values": np.zeros((0, 3))}, "values"),
        ({"values": np.array([["a"]])}, "values"),
        ({"values": VALUES, "confidence": np.full((2, 3), 1.5, np.float32)}, "confidence"),
        ({"values": VALUES, "confidence": np.full((2, 3), np.nan, np.float32)}, "confidence"),
        ({"values": VALUES, "confidence": np.zeros((3, 2), np.float32)}, "confidence"),
        ({"values": VALUES, "source": np.zeros((2, 3))}, "source"),
    ],
)
def test_disparity_refuses(layers, field):
    with pytest.raises(InputError) as caught:
        Disparity(**layers)
    assert caught.value.field == field


def test_to_depth_by_hand():
    source = np.full((2, 3), Source.MATCHED, np.uint8)
    depth = Disparity(VALUES, source=source).to_depth(RIG, sigma_d=0.5)
    assert depth.values[0, 0] == pytest.approx(10 * 0.5 / 2)
    assert np.isnan(depth.values[0, 1])  # unknown
    assert np.isnan(depth.values[0, 2])  # d + doffs = -1: behind infinity
    assert depth.source[0].tolist() == [Source.MATCHED, Source.UNKNOWN, Source.UNKNOWN]
    assert depth.sigma[0, 0] == pytest.approx(2.5**2 * 0.5 / 5)
    assert depth.extent == pytest.approx((5 / 7, 2.5))
    assert Depth(np.full((2, 3), np.nan)).extent is None


def test_to_depth_refuses_to_invent_metres():
    with pytest.raises(UsageError, match="no calibration"):
        Disparity(VALUES).to_depth(None)
    with pytest.raises(InputError, match="another image size"):
        Disparity(VALUES).to_depth(StereoRig.simple(4, 2, 10.0, 0.5))


def test_with_unknown_clears_every_layer():
    d = Disparity(VALUES, np.ones((2, 3), np.float32), np.full((2, 3), 1, np.uint8))
    mask = np.array([[True, False, False], [False, False, True]])
    out = d.with_unknown(mask)
    assert np.isnan(out.values[mask]).all()
    assert (out.confidence[mask] == 0).all()
    assert (out.source[mask] == Source.UNKNOWN).all()
    assert (out.values[1, :2] == VALUES[1, :2]).all()
    assert d.values[0, 0] == 1


def test_depth_and_relative_depth_refuse():
    with pytest.raises(InputError, match="zero or negative"):
        Depth(np.array([[0.0]]))
    with pytest.raises(InputError, match="infinite"):
        Depth(np.array([[np.inf]]))
    with pytest.raises(InputError, match="ambiguity"):
        RelativeDepth(VALUES, "metres")  # type: ignore[arg-type]
    assert RelativeDepth(VALUES, "affine").shape == (2, 3)


def test_sparse_depth_refuses():
    pixels, depth = np.zeros((2, 2)), np.ones(2)
    assert SparseDepth(pixels, depth, depth).depth.dtype == np.float32
    for change in (
        {"pixels": np.zeros((2, 3))},
        {"pixels": np.full((2, 2), np.nan)},
        {"depth": np.ones(3)},
        {"depth": np.array([1.0, 0.0])},
        {"sigma": np.ones(3)},
    ):
        with pytest.raises(InputError):
            SparseDepth(**{"pixels": pixels, "depth": depth, **change})


def test_point_cloud_refuses():
    points = np.zeros((2, 3))
    assert len(PointCloud(points, np.zeros((2, 3), np.uint8))) == 2
    for change in (
        {"points": np.zeros((2, 2))},
        {"points": np.full((2, 3), np.nan)},
        {"colors": np.zeros((2, 3))},
        {"normals": np.zeros((3, 3), np.float32)},
    ):
        with pytest.raises(InputError):
            PointCloud(**{"points": points, **change})


def test_samples_hold_truth_of_their_size():
    image = np.zeros((2, 3, 3), np.uint8)
    pair = StereoPair(View(image), View(image))
    sample = StereoSample(pair, Disparity(VALUES), {"nonocc": np.ones((2, 3), bool)})
    assert sample.masks["nonocc"].all()
    with pytest.raises(InputError, match="truth"):
        StereoSample(pair, Disparity(VALUES.T))
    with pytest.raises(InputError, match="masks"):
        StereoSample(pair, masks={"nonocc": np.ones((2, 3))})
    with pytest.raises(InputError, match="truth"):
        MonoSample(View(image), Depth(np.ones((3, 2))))
