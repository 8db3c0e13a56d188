"""Windows of a clip: every frame is covered, and what two windows share counts once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.core import UsageError
from fathom.nets.mono.windows import Window, clip_size, joined, least_memory, ramp, windows


@st.composite
def cuts(draw):
    length = draw(st.integers(1, 40))
    return draw(st.integers(1, 120)), length, draw(st.integers(0, length - 1))


@settings(deadline=None, max_examples=40)
@given(cuts())
def test_every_frame_is_in_a_window_and_neighbours_share_the_overlap(cut):
    frames, length, overlap = cut
    found = windows(*cut)
    assert found[0].first == 0
    assert found[0].shared == 0
    assert found[-1].end == frames
    assert max(w.length for w in found) == min(length, frames)
    for before, after in pairwise(found):
        assert before.end - after.first == after.shared == overlap
        assert before.length == length
        assert after.length > overlap


@settings(deadline=None, max_examples=40)
@given(cuts())
def test_the_windows_shares_of_a_frame_sum_to_one(cut):
    """The k-th window answers 1 for itself and 0 for the others: what comes out are the shares."""
    found = windows(*cut)
    everything = None
    for k, window in enumerate(found):
        answer = np.zeros((window.length, len(found)))
        answer[:, k] = 1
        weights = ramp(window.shared)[:, None]
        everything = (
            answer if everything is None
            else joined(everything, answer, window.shared, weights, np.concatenate)
        )  # fmt: skip
    assert everything.shape == (cut[0], len(found))
    np.testing.assert_allclose(everything.sum(axis=1), 1, atol=1e-6)
    assert (everything >= 0).all()
    for k, window in enumerate(found):
        outside = np.r_[0 : window.first, window.end : cut[0]]
        assert (everything[outside, k] == 0).all()


def test_the_authors_windows():
    assert windows(110, 110, 25) == (Window(0, 110, 0),)
    assert windows(111, 110, 25) == (Window(0, 110, 0), Window(85, 111, 25))
    assert windows(195, 110, 25) == (Window(0, 110, 0), Window(85, 195, 25))
    assert [w.first for w in windows(196, 110, 25)] == [0, 85, 170]
    np.testing.assert_allclose(ramp(5), [0, 0.25, 0.5, 0.75, 1])
    both = joined(np.zeros((3, 1)), np.ones((4, 1)), 3, ramp(3)[:, None], np.concatenate)
    np.testing.assert_allclose(both[:, 0], [0, 0.5, 1, 1])


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ((0, 5, 1), "frames = 0"),
        ((5, 0, 0), "window = 0"),
        ((9, 5, 5), r"0\.\.4"),
        ((9, 5, -1), "overlap = -1"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(cut, message):
    with pytest.raises(UsageError, match=message):
        windows(*cut)


@pytest.mark.parametrize(
    ("height", "width", "longest", "size"),
    [
        (576, 1024, 1024, (576, 1024)),
        (1080, 1920, 1024, (576, 1024)),
        (375, 1242, 1024, (320, 1024)),
        (480, 640, 1024, (512, 640)),
        (480, 640, 320, (256, 320)),
        (16, 4000, 1024, (64, 1024)),
        (1, 1, 1024, (64, 64)),
    ],
)
def test_sizes_are_multiples_of_64_within_the_longest(height, width, longest, size):
    assert clip_size(height, width, longest) == size


def test_memory_does_not_grow_with_the_clip_but_for_the_answers():
    """110 frames at 1024x576 in half precision: 128 x 72 latent pixels of 320 channels."""
    size, channels = (576, 1024), (320, 128)
    one = least_memory(size, 110, 110, 8, channels, 2)
    assert one == 110 * 128 * 72 * 8 * 320 * 2 + 110 * 576 * 1024 * 4
    long = least_memory(size, 1100, 110, 8, channels, 2)
    assert long - one == 990 * 576 * 1024 * 4
    assert least_memory(size, 110, 55, 8, channels, 2) < one
    assert least_memory(size, 110, 1, 8, channels, 2) > least_memory(size, 110, 1, 4, channels, 2)
