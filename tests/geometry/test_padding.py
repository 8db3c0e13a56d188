"""Borders repeated until sizes fit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fathom.geometry.padding import padded, padded_layers


@given(
    height=st.integers(1, 9), width=st.integers(1, 9), multiple=st.integers(1, 8),
    left=st.integers(0, 5),
)  # fmt: skip
def test_every_pixel_is_the_nearest_one_of_the_image(height, width, multiple, left):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    found = padded(image, multiple, left=left)
    assert found.shape[0] % multiple == found.shape[1] % multiple == 0
    assert found.shape[0] < height + multiple
    assert found.shape[1] < width + left + multiple
    rows = np.minimum(np.arange(found.shape[0]), height - 1)
    columns = np.clip(np.arange(found.shape[1]) - left, 0, width - 1)
    np.testing.assert_array_equal(found, image[np.ix_(rows, columns)])


def test_layers_are_repeated_like_images():
    layers = np.random.default_rng(1).random((4, 5, 7), np.float32)
    found = padded_layers(layers, (8, 9))
    expected = padded(layers.transpose(1, 2, 0)[:, :6], 8)[:, :6]
    np.testing.assert_array_equal(found[..., :6], expected.transpose(2, 0, 1))
    np.testing.assert_array_equal(found[..., 7:], np.repeat(found[..., 6:7], 2, axis=2))
    assert padded_layers(layers, (5, 7)).shape == layers.shape
