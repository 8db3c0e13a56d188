"""Several pairs and one matcher: in one go where it can, in their order, the same answers."""

import numpy as np
import pytest

from fathom.combine.many import run_many, same_size
from fathom.core import Disparity, InputError, StereoPair, UsageError, View


def pair(value, height=8, width=12):
    image = np.full((height, width, 3), value, np.uint8)
    return StereoPair(View(image), View(image))


def alone(pair, /):
    return Disparity(np.full(pair.shape, float(pair.left.image[0, 0, 0]), np.float32))


class Batched:
    """Answers the grey of the first pixel; remembers how many pairs came together."""

    def __init__(self):
        self.sizes = []

    def __call__(self, pair, /):
        raise NotImplementedError

    def batch(self, pairs):
        same_size(pairs)
        self.sizes.append(len(pairs))
        return [alone(p) for p in pairs]


def test_pairs_of_one_size_go_together_and_come_back_in_order():
    pairs = [pair(i) for i in range(5)] + [pair(9, width=20)] + [pair(7)]
    matcher = Batched()
    found = list(run_many(matcher, iter(pairs), batch=3))
    assert matcher.sizes == [3, 2, 1, 1]
    assert [f.values[0, 0] for f in found] == [0, 1, 2, 3, 4, 9, 7]
    assert [f.shape for f in found] == [p.shape for p in pairs]


def test_any_other_matcher_is_called_for_each():
    found = run_many(alone, (pair(i) for i in (3, 1)))
    assert [f.values[0, 0] for f in found] == [3, 1]
    assert list(run_many(Batched(), [])) == []


def test_what_is_refused():
    with pytest.raises(UsageError, match="is below 1"):
        run_many(alone, [], batch=0)
    with pytest.raises(InputError, match="differs in size from the first pair"):
        Batched().batch([pair(1), pair(1, width=20)])
