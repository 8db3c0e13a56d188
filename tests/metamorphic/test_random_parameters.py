"""Random parameters: an answer or a one-line error, never a crash, a hang or a differing repeat.

OpenCV's code can end the whole process, so a crash here is a crash of the test run. 200 sets of
each matcher are tests; 2,000 are run by `python tests/metamorphic/test_random_parameters.py`.
"""

import time

import numpy as np
import pytest

from fathom.classical.opencv import OpenCVBM, OpenCVSGBM
from fathom.classical.sgm import SGM
from fathom.core import Disparity, FathomError, StereoPair, View

LONGEST = 20.0
"""Seconds one match of these small pairs may take on a machine in use."""


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


def sometimes(rng, options):
    """A random part of `options`, each made only when chosen."""
    return {name: make() for name, make in options.items() if rng.random() < 0.5}


def shared_options(rng):
    return {
        "min_disparity": lambda: whole(rng, -40, 40),
        "max_disparity": lambda: whole(rng, -20, 120),
        "fill": lambda: bool(rng.integers(2)),
        "threads": lambda: whole(rng, 1, 4),
    }


def sgm_options(rng):
    return sometimes(
        rng,
        shared_options(rng)
        | {
            "confidence": lambda: bool(rng.integers(2)),
            "p1": lambda: whole(rng, 1, 190),
            "p2": lambda: whole(rng, 1, 200),
            "p2_gradient": lambda: real(rng, 0, 300),
            "paths": lambda: int(rng.choice([4, 8, 16])),
            "uniqueness": lambda: real(rng, 0, 110),
            "lr_threshold": lambda: real(rng, 0, 20),
            "speckle_size": lambda: whole(rng, 0, 500),
            "speckle_range": lambda: real(rng, 0, 20),
            "coarse_to_fine": lambda: rng.choice([None, True, False]),
            "memory_limit": lambda: whole(rng, 10**5, 10**8),
        },
    )


def opencv_options(rng, kind):
    """Every field that `kind` documents with its limits, and a little beyond them."""
    made = shared_options(rng)
    del made["threads"]
    for field in kind.__dataclass_fields__.values():
        if "low" in field.metadata:
            low, high = field.metadata["low"], min(field.metadata["high"], 400)
            made[field.name] = lambda low=low, high=high: whole(rng, low - 1, high + 1)
    if "mode" in kind.__dataclass_fields__:
        made["mode"] = lambda: str(rng.choice(["sgbm", "hh", "3way", "hh4"]))
    return sometimes(rng, made)


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
        options = sgm_options(rng) if kind is SGM else opencv_options(rng, kind)
        pair = random_pair(rng)
        start = time.perf_counter()
        first, second = outcome(kind, options, pair), outcome(kind, options, pair)
        assert time.perf_counter() - start < LONGEST, options
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


KINDS = pytest.mark.parametrize("kind", [SGM, OpenCVSGBM, OpenCVBM])


@KINDS
def test_200_random_parameter_sets(kind, unchecked):
    run(kind, 200, seed=1)


if __name__ == "__main__":
    for each in (SGM, OpenCVSGBM, OpenCVBM):
        run(each, 2000, seed=2)
        print(each.__name__, "2,000 sets: well")
