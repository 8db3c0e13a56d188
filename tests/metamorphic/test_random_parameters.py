"""Random parameters: an answer or a one-line error, never a crash, a hang or a differing repeat.

OpenCV's code can end the whole process, so a crash here is a crash of the test run. Some sets of
each matcher are tests; 2,000 are run by `python tests/metamorphic/test_random_parameters.py`.
"""

import dataclasses
import time
import typing

import numpy as np
import pytest

from fathom import weights
from fathom.catalog import entries
from fathom.classical.local import NCC, SAD, SSD, ZNCC, CensusLocal
from fathom.classical.mrf import MRF
from fathom.classical.opencv import OpenCVBM, OpenCVSGBM
from fathom.classical.sgm import SGM
from fathom.combine.learned import Learned
from fathom.core import Disparity, FathomError, StereoPair, View

LONGEST = 20.0
"""Seconds of processor time that two matches of such small pairs may take: more is a hang."""


def whole(rng, low, high):
    """Mostly inside low..high, now and then outside or no number at all."""
    kind = rng.integers(0, 20)
    if kind == 0:
        return int(rng.choice([-(10**9), -1, 0, 10**9]))
    return int(rng.integers(low, high + 1))


def real(rng, low, high):
    kind = rng.integers(0, 20)
    if kind == 0:
        return float(rng.choice([-1.0, np.nan, np.inf, 1e30]))
    return float(rng.uniform(low, high))


RANGES = {
    "min_disparity": (-40, 40),
    "max_disparity": (-20, 120),
    "threads": (1, 4),
    "memory_limit": (10**5, 10**8),
    "p1": (1, 190),
    "p2": (1, 200),
    "uniqueness": (0, 110),
    "lr_threshold": (0, 20),
    "speckle_size": (0, 500),
    "speckle_range": (0, 20),
    "window": (0, 15),
}
"""Where most values of a field are drawn from; others from 0 to twice the default and a little."""


def value(rng, field, hint):
    """A random value of one field, by its type; now and then one that is out of its range."""
    kinds = [k for k in (typing.get_args(hint) or (hint,)) if k is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return kinds[rng.integers(len(kinds))]
    if typing.get_origin(kinds[0]) is typing.Literal:
        return str(rng.choice(typing.get_args(kinds[0])))
    if len(kinds) < len(typing.get_args(hint)) and rng.random() < 0.2:
        return None
    if kinds == [bool]:
        return bool(rng.integers(2))
    default = field.default if isinstance(field.default, int | float) else 1
    low, high = RANGES.get(field.name, (0, 2 * default + 3))
    if "low" in field.metadata:
        low, high = field.metadata["low"] - 1, min(field.metadata["high"], 400) + 1
    return whole(rng, low, high) if kinds == [int] else real(rng, low, high)


def options_of(rng, kind):
    """About half of the fields of an estimator, drawn anew."""
    hints = typing.get_type_hints(kind)
    drawn = [f for f in dataclasses.fields(kind) if hints[f.name] not in (str, str | None)]
    return {f.name: value(rng, f, hints[f.name]) for f in drawn if rng.random() < 0.5}


def random_pair(rng):
    height, width = int(rng.integers(1, 50)), int(rng.integers(1, 120))
    top = 256 if rng.random() < 0.7 else 65536
    dtype = np.uint8 if top == 256 else np.uint16
    wide = rng.integers(0, top, (height, width + 12, 3)).astype(dtype)
    if rng.random() < 0.1:
        wide[:] = 7
    return StereoPair(View(wide[:, :width]), View(wide[:, 12:]))


def outcome(kind, options, pair):
    """What came: a map, or the line of the error."""
    try:
        return kind(**options)(pair)
    except FathomError as error:
        assert "\n" not in str(error), options
        return str(error)


def run(kind, count, seed):
    rng = np.random.default_rng(seed)
    answers = 0
    for _ in range(count):
        options = options_of(rng, kind)
        pair = random_pair(rng)
        start = time.process_time()
        first, second = outcome(kind, options, pair), outcome(kind, options, pair)
        assert time.process_time() - start < LONGEST, options
        assert type(first) is type(second), options
        if isinstance(first, Disparity):
            answers += 1
            assert first.shape == pair.shape
            np.testing.assert_array_equal(first.values, second.values, err_msg=str(options))
            np.testing.assert_array_equal(first.source, second.source, err_msg=str(options))
            if first.confidence is not None:
                np.testing.assert_array_equal(first.confidence, second.confidence)
        else:
            assert first == second
    assert answers > count // 20


KINDS = [SGM, MRF, SAD, SSD, NCC, ZNCC, CensusLocal, OpenCVSGBM, OpenCVBM]


def test_they_are_all_the_estimators_there_are():
    classical = [e for e in entries() if e.task == "stereo" and ".classical." in e.target]
    assert {e.builder() for e in classical} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_random_parameter_sets(kind, unchecked):
    run(kind, 200 if kind in (SGM, OpenCVSGBM, OpenCVBM) else 60, seed=1)


def test_random_parameter_sets_of_the_shipped_models(tmp_path, monkeypatch, unchecked):
    """A model that hands the evidence through stands in: no net shall wait for 2,000 answers."""
    ship = pytest.importorskip("stand_in_models").ship
    ship(tmp_path, "fathom-s")
    monkeypatch.setattr(weights, "HOME", tmp_path)
    run(Learned, 30, seed=3)


if __name__ == "__main__":
    for each in KINDS:
        start = time.perf_counter()
        run(each, 2000, seed=2)
        print(f"{each.__name__}: 2,000 sets well, {time.perf_counter() - start:.0f} s", flush=True)
