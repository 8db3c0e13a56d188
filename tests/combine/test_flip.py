"""The flip check: confidence from a second look through a mirror."""

import numpy as np

from fathom.combine.flip import FlipConfidence, confidence_of_difference
from fathom.core import Disparity, Source, StereoPair, View

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 40, 3), dtype=np.uint8)
PAIR = StereoPair(View(IMAGE), View(np.roll(IMAGE, -5, axis=1)))


class Fixed:
    """A matcher that answers 5 px, except for a patch where the first look says 9."""

    def __init__(self):
        self.calls = 0

    def __call__(self, pair):
        self.calls += 1
        values = np.full(pair.shape, 5, np.float32)
        source = np.full(pair.shape, Source.MATCHED, np.uint8)
        if self.calls == 1:
            values[4:8, 20:30] = 9
            values[0, 0] = np.nan
            source[0, 0] = Source.UNKNOWN
            source[6:, :18] = Source.FILLED
            values[9:, :18] = 20
        return Disparity(values, source=source)


def test_agreement_is_confident_and_disagreement_is_not():
    matcher = Fixed()
    out = FlipConfidence(matcher)(PAIR)
    assert matcher.calls == 2
    assert out.values[5, 25] == 9
    assert out.confidence[5, 25] < 0.4
    assert out.confidence[1, 25] > 0.9
    assert out.confidence[0, 0] == 0
    assert (out.confidence[8:11, 5:10] < 0.5).all()  # filled, far from what was matched
    assert (out.confidence[1, :5] < 0.7).all()  # the right view does not see these


def test_confidence_falls_with_the_difference():
    difference = np.array([[0, 0.5, 1, 2, 4, 100, np.nan]], np.float32)
    confidence = confidence_of_difference(difference)[0]
    assert (np.diff(confidence[:5]) < 0).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()
