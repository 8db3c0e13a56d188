"""When adaptation stops, what it keeps, and when it is rolled back: numbers alone."""

import math

import pytest

from fathom.core import UsageError
from fathom.train.adapt_rule import Rule, deciding, ratio

BEFORE = {"labels": 0.2, "inconsistency": 0.4, "left-right": 0.3}


@pytest.mark.parametrize(
    ("ratios", "why"),
    [
        ((), None),
        ((1.0,), None),
        ((1.0, 0.9, 0.8, 0.85, 0.84), None),
        ((1.0, 0.9, 0.8, 0.85, 0.84, 0.81), "no better for 3"),
        ((1.0, 1.01, 1.02, 1.2), "no better for 3"),
        ((1.0, 0.9, 1.6), "diverging: 1.60 times"),
        ((1.0, math.inf), "diverging: no number instead"),
        ((1.0, math.nan), "diverging"),
    ],
)
def test_a_series_of_judgements_ends_where_it_should(ratios, why):
    found = Rule(patience=3)(ratios)
    assert found is None if why is None else why in found


def test_only_a_share_of_improvement_is_kept():
    rule = Rule(least=0.02)
    assert rule.improved(0.98) and rule.improved(0.5)
    assert not rule.improved(0.981) and not rule.improved(1.0) and not rule.improved(math.inf)


def test_the_truth_decides_alone_where_there_is_some():
    before = {"epe": 2.0, "bad-2": 0.3, **BEFORE}
    assert deciding(before) == ("epe", "bad-2")
    right = {"bad-2": 0.3, "inconsistency": 0.9}
    assert ratio({"epe": 1.0, "labels": 0.4, **right}, before) == 0.5
    assert ratio({"epe": 3.0, "labels": 0.1, **right}, before) == 1.5


def test_without_truth_both_numbers_count():
    assert deciding(BEFORE) == ("labels", "inconsistency") and ratio(BEFORE, BEFORE) == 1
    halved = {**BEFORE, "labels": 0.05}
    assert ratio(halved, BEFORE) == pytest.approx(0.5)  # sqrt(1/4 * 1)
    assert ratio({**halved, "left-right": 0.9}, BEFORE) == pytest.approx(0.5)  # only shown


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ({"labels": 0.01, "inconsistency": 0.4001}, BEFORE),
        ({"labels": 0.2001, "inconsistency": 0.1}, BEFORE),
        ({"epe": 1.0, "bad-2": 0.3001}, {"epe": 2.0, "bad-2": 0.3}),
        ({"epe": 1.0, "bad-2": 0.01}, {"epe": 2.0, "bad-2": 0.0}),
        ({"labels": 0.1, "inconsistency": 0.2}, {"labels": 0.0, "inconsistency": 0.4}),
    ],
)
def test_nothing_is_kept_that_is_worse_in_a_number_that_decides(now, before):
    assert ratio(now, before) == 1
    assert not Rule(least=0.0).improved(ratio(now, before))


def test_a_map_that_knows_nothing_is_never_better():
    wrong = {"labels": 0.8, "inconsistency": 0.9}
    assert ratio({"labels": 0.1, "inconsistency": 0.6}, wrong) == 1
    assert ratio({"labels": 0.1, "inconsistency": 0.4}, wrong) < 1


@pytest.mark.parametrize("now", [{}, {"labels": math.nan, "inconsistency": 0.1}, {"labels": 0.1}])
def test_a_number_that_is_none_is_infinitely_bad(now):
    assert ratio(now, BEFORE) == math.inf


def test_a_number_that_was_zero_cannot_fall():
    zero = {"labels": 0.0, "inconsistency": 0.4}
    assert ratio({"labels": 0.0, "inconsistency": 0.2}, zero) == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize("wrong", [{"least": 1.0}, {"patience": 0}, {"diverged": 1.0}])
def test_impossible_rules(wrong):
    with pytest.raises(UsageError, match="is no rule to stop by"):
        Rule(**wrong)
