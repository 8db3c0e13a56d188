"""What the right camera sees, against a z-buffer written down pixel by pixel; padding."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.geometry.padding import padded
from fathom.geometry.visibility import seen_by_right


def slow(disparity, tolerance=1.5):
    """Each surface covers the two right pixels it falls between."""
    height, width = disparity.shape
    seen = np.zeros(disparity.shape, bool)
    for y in range(height):
        nearest = [-np.inf] * width
        places = {}
        for x in range(width):
            match = np.float32(x) - disparity[y, x]
            if not -0.5 <= match <= width - 0.5:
                continue
            low = int(min(max(np.floor(match), 0), width - 1))
            places[x] = (low, min(low + 1, width - 1))
            for place in places[x]:
                nearest[place] = max(nearest[place], disparity[y, x])
        for x, both in places.items():
            cover = min(nearest[place] for place in both)
            seen[y, x] = cover <= disparity[y, x] + np.float32(tolerance)
    return seen


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 30))
def test_it_is_what_the_z_buffer_says(seed, height, width):
    rng = np.random.default_rng(seed)
    disparity = (rng.random((height, width)) * 12 - 2).astype(np.float32)
    disparity[rng.random(disparity.shape) < 0.1] = np.nan
    np.testing.assert_array_equal(seen_by_right(disparity), slow(disparity))


def test_a_box_hides_as_much_background_as_its_step_is_wide():
    disparity = np.full((300, 100), 4, np.float32)
    disparity[:, 50:70] = 14
    hidden = ~seen_by_right(disparity)
    expected = np.zeros(100, bool)
    expected[:4] = True  # outside the right image
    expected[40:50] = True  # the box lies on columns 36..55 of the right view
    # the last column of the ramp before the box shares a right pixel with what is seen
    assert (hidden[:, 5:40] == expected[5:40]).all()
    assert hidden[:, 41:49].all()
    assert not hidden[:, 50:].any()
    assert hidden[:, :3].all()
    assert abs(int(hidden[0, 5:].sum()) - 10) <= 1


def test_a_thin_near_post_does_not_hide_what_is_seen_beside_it():
    disparity = np.full((2, 100), 5, np.float32)
    disparity[:, 60:63] = 45
    seen = seen_by_right(disparity)
    # the post hides right columns 15..17, which show the background's left columns 20..22
    assert seen[0, 24:].all()
    assert not seen[0, 21]


def test_slanted_surfaces_do_not_hide_themselves():
    x = np.arange(200, dtype=np.float32)
    for slope in (0.5, -0.5):
        surface = np.tile(40 + slope * (x - 100), (3, 1)).astype(np.float32)
        match = x - surface[0]
        inside = (match >= 0) & (match <= 199)
        assert seen_by_right(surface)[:, inside].all()


def test_padding_repeats_the_border():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    wide = padded(image, 4, left=1)
    assert wide.tolist() == [[0, 0, 1, 2], [3, 3, 4, 5], [3, 3, 4, 5], [3, 3, 4, 5]]
    assert padded(image[..., None], 2).shape == (2, 4, 1)
    whole = np.zeros((4, 8), np.float32)
    assert padded(whole, 4) is whole
