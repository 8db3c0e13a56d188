"""What few points of each pair say when those of all pairs are put together."""

from dataclasses import replace

import numpy as np
import pytest

from fathom.combine.check import Examination
from fathom.combine.check_folder import check_folder, lean
from fathom.combine.check_matches import Matches

SIZE = (128, 64)


def seen(seed, count=6, rise=0.0, sign=1, roll=0.0):
    """What is seen of a small pair: `count` points of 20 corners, 2 to 9 px apart."""
    rng = np.random.default_rng(seed)
    left = rng.uniform((20, 20), (108, 44), (count, 2))
    up = rise + roll * (left[:, 0] - 64) + rng.normal(0, 0.1, count)
    right = left + np.stack([-sign * rng.uniform(2, 9, count), up], axis=1)
    return Examination([], Matches(left, right, 20, count, count // 2))


def codes(pairs):
    return [None if f is None else f.code for f in check_folder(pairs, SIZE)]


def test_good_pairs_have_no_finding():
    assert codes([seen(i, count=i % 8) for i in range(12)]) == [None] * 12
    assert check_folder([], SIZE) == [] and codes([seen(0)]) == [None]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"sign": -1}, "swapped"),
        ({"rise": 2.0}, "unrectified"),
        ({"rise": -6.0}, "unrectified"),
        ({"roll": 0.05}, "unrectified"),
        ({"count": 0}, "unrelated"),
    ],
)
def test_pairs_too_poor_to_be_judged_alone_are_judged_together(wrong, code):
    bad = [seen(i, **{"count": 2 + i % 5, **wrong}) for i in range(12)]
    found = check_folder(bad, SIZE)
    assert [f.code for f in found] == [code] * 12
    assert "12 pairs together: " in found[0].message and found[0].remedy


def test_a_pair_whose_own_points_say_otherwise_is_no_part_of_it():
    assert codes([*(seen(i, rise=6.0) for i in range(9)), seen(9)]) == ["unrectified"] * 9 + [None]
    assert codes([*(seen(i, sign=-1) for i in range(9)), seen(9)]) == ["swapped"] * 9 + [None]


def test_a_few_wrong_pairs_among_good_ones_are_told_by_a_handful_of_points():
    some = [seen(0, sign=-1), seen(1, rise=4.0), seen(2, count=2, sign=-1)]
    assert codes([*some, *(seen(i) for i in range(3, 12))])[:4] == [
        "swapped", "unrectified", None, None,
    ]  # fmt: skip


def test_of_many_points_some_are_kept():
    rich = seen(0, count=1000)
    assert 200 <= len(lean(rich).matches) < 400 and len(lean(seen(1)).matches) == 6
    assert len(lean(replace(rich, matches=None)).matches) == 0
    assert codes([lean(rich)] * 3) == [None] * 3
