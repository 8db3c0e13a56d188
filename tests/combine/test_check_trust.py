"""The model of the rows is no surer than the matches that speak for it and not for another."""

import numpy as np
import pytest

from fathom.combine.check_matches import _consensus, _Frame, _trust

FRAME = _Frame(320.0, 240.0, 320.0)


def matches(rises, seed=0):
    """Points whose rows differ by `rises`."""
    rng = np.random.default_rng(seed)
    p = rng.uniform((20, 20), (620, 460), (len(rises), 2)).astype(np.float32)
    q = p + np.stack([rng.uniform(-40, 0, len(rises)), np.asarray(rises)], 1).astype(np.float32)
    return p, q


def test_votes_counted_by_hand():
    # Ten for the best, six for the rival, two of them for both: 10 against 4 over sqrt(15).
    agree = np.zeros((14, 2), bool)
    agree[:10, 0] = True
    agree[8:14, 1] = True
    apart = np.stack([np.zeros(14), np.full(14, 20.0)], 1)
    sure = _trust(agree, np.zeros(2), 0, apart)
    assert sure == pytest.approx(0.9393, abs=1e-4)  # Phi(6 / sqrt(15))
    assert _trust(agree, np.zeros(2), 0, apart / 20) > 0.99  # no rival: nearly the same model


def test_a_pattern_that_repeats_is_no_certainty():
    noise = np.random.default_rng(1).uniform(-100, 100, 40).tolist()
    assert _consensus(FRAME, *matches([1.0] * 9 + [23.0] * 9 + noise), 1).trust < 0.8
    assert _consensus(FRAME, *matches([1.0] * 60 + [23.0] * 9 + noise), 1).trust > 0.95


def test_of_two_equal_models_the_smaller_shift():
    fit = _consensus(FRAME, *matches([2.0] * 10 + [24.0] * 11), 1)
    assert abs(fit.coefficients[0] - 2) < 1
