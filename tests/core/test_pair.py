"""Views and pairs: RGB of one size, read-only, with the rig that fits."""

from dataclasses import replace

import numpy as np
import pytest

from fathom.core import Camera, InputError, StereoPair, StereoRig, View

# These are tests of the checks that fathom itself makes.
pytestmark = pytest.mark.usefixtures("unchecked")

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
RIG = StereoRig.simple(8, 6, 10.0, 0.1)


def test_grey_becomes_rgb_and_data_is_read_only():
    grey = IMAGE[..., 0].copy()
    view = View(grey)
    assert view.image.shape == (6, 8, 3)
    assert (view.image == grey[..., None]).all()
    assert view.size == (8, 6)
    assert view.shape == (6, 8)
    with pytest.raises(ValueError, match="read-only"):
        view.image[0, 0] = 0
    assert (View(grey[..., None]).image == view.image).all()


def test_gray_follows_the_luma_weights():
    pixel = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    assert View(pixel).gray.tolist() == [[76, 150, 29, 255]]
    wide = (pixel.astype(np.uint16) * 257).astype(np.uint16)
    # 14-bit weights: within one of 65535 times 0.299, 0.587 and 0.114.
    assert View(wide).gray.tolist() == [[19596, 38467, 7472, 65535]]


def test_16_bit_is_stretched_to_8():
    ramp = np.linspace(1000, 3000, 48).astype(np.uint16).reshape(6, 8)
    view = View(ramp)
    assert view.gray8.min() == 0
    assert view.gray8.max() == 255
    assert view.rgb8.dtype == np.uint8
    constant = View(np.full((6, 8), 7, dtype=np.uint16))
    assert set(np.unique(constant.gray8)) == {0}


@pytest.mark.parametrize(
    "image",
    [np.zeros((6, 8, 3)), np.zeros((6, 8, 4), np.uint8), np.zeros((0, 8), np.uint8)],
)
def test_view_refuses(image):
    with pytest.raises(InputError):
        View(image)


def test_view_refuses_a_camera_of_another_size():
    with pytest.raises(InputError, match="another image size"):
        View(IMAGE, Camera(9, 6, 10, 10, 4, 3))


def test_pair_refuses_what_does_not_fit():
    pair = StereoPair(View(IMAGE), View(IMAGE), RIG)
    assert pair.size == (8, 6)
    assert isinstance(pair.left, View)
    for right, rig, word in (
        (IMAGE[:, :7], None, "differ in size"),
        (IMAGE.astype(np.uint16), None, "bit depth"),
        (IMAGE, StereoRig.simple(9, 6, 10.0, 0.1), "another image size"),
    ):
        with pytest.raises(InputError, match=word):
            StereoPair(View(IMAGE), View(right), rig)


def test_the_rig_wins_and_a_disagreeing_camera_raises():
    StereoPair(View(IMAGE, RIG.left), View(IMAGE, RIG.right), RIG)
    with pytest.raises(InputError, match="disagrees"):
        StereoPair(View(IMAGE, replace(RIG.left, fx=11)), View(IMAGE), RIG)


def test_mirrored_twice_is_the_pair_itself():
    other = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    pair = StereoPair(View(IMAGE), View(other))
    assert (pair.mirrored().left.image == other[:, ::-1]).all()
    again = pair.mirrored().mirrored()
    assert (again.left.image == IMAGE).all()
    assert (again.right.image == other).all()
