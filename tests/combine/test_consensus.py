"""What several looks of a pair agree on."""

import numpy as np
import pytest

from fathom.combine.consensus import Consensus, smoothed
from fathom.core import Disparity, StereoPair, UsageError, View

SIZE = (40, 64)


def pair_of(value=100):
    image = np.full((*SIZE, 3), value, np.uint8)
    image[:, 30:34] = 0
    return StereoPair(View(image), View(image))


class Sharp:
    """3 px everywhere by both views, but 9 px in the lower half if the edge is smoothed away."""

    def __call__(self, pair):
        sharp = pair.left.rgb8.min() < 20
        values = np.full(pair.shape, 3.0, np.float32)
        values[pair.shape[0] // 2 :] = 3.0 if sharp else 9.0
        return Disparity(values)


def test_what_every_look_says_is_sure_and_the_border_unknown():
    found = Consensus(Sharp(), looks=((0.0, 1), (0.5, 1)))(pair_of())
    assert np.isnan(found.values[:, :3]).all()  # no match inside the right view
    assert (found.values[:, 3:] == 3).all() and (found.confidence[:, 3:] == 1).all()
    assert (found.confidence[:, :3] == 0).all()


def test_looks_that_differ_lower_the_confidence_and_are_not_mixed():
    found = Consensus(Sharp(), looks=((0.0, 1), (0.5, 1), (6.0, 1)))(pair_of())
    assert (found.values[:, 9:] == 3).all()
    assert (found.confidence[:20, 9:] == 1).all()
    np.testing.assert_allclose(found.confidence[20:, 9:], 2 / 3, rtol=1e-6)


def test_a_reduced_look_counts_in_pixels_of_the_whole_pair():
    class Share:
        def __call__(self, pair):
            return Disparity(np.full(pair.shape, pair.shape[1] / 16, np.float32))

    large = StereoPair(*(View(np.zeros((64, 128, 3), np.uint8)) for _ in range(2)))
    found = Consensus(Share(), looks=((0.0, 2),))(large)
    assert (found.values[:, 10:] == 8).all()


def test_views_that_contradict_each_other_say_nothing():
    class Torn:
        def __call__(self, pair):
            first = float(pair.left.rgb8[0, 0, 0])
            return Disparity(np.full(pair.shape, 3.0 if first == 100 else 8.0, np.float32))

    left, right = pair_of(100).left, pair_of(90).right
    found = Consensus(Torn(), looks=((0.0, 1),))(StereoPair(left, right))
    assert np.isnan(found.values).all() and (found.confidence == 0).all()


def test_no_smoothing_is_the_pair_itself():
    pair = pair_of()
    assert smoothed(pair, 0) is pair and smoothed(pair, 2).left.rgb8.min() > 0


@pytest.mark.parametrize("looks", [(), ((-1.0, 1),), ((0.0, 0),)])
def test_impossible_looks(looks):
    with pytest.raises(UsageError, match="are no looks"):
        Consensus(Sharp(), looks)
