"""OpenCV's matchers behind their guard."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from classical_twins import unchecked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom.classical import memory
from fathom.classical.opencv import OpenCVBM, OpenCVSGBM
from fathom.core import (
    FathomError,
    InputError,
    ResourceError,
    Source,
    StereoPair,
    UsageError,
    View,
)

MODES = ("sgbm", "hh", "3way", "hh4")
ALL = [OpenCVBM(), *(OpenCVSGBM(mode=mode) for mode in MODES)]
KINDS = (OpenCVBM, OpenCVSGBM)


def noise(height, width, shift=3, seed=0):
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return StereoPair(View(left), View(np.roll(left, -shift, axis=1)))


@pytest.mark.parametrize(("matcher", "limit"), [(OpenCVBM(), 0.12), (OpenCVSGBM(), 0.09)])
def test_motorcycle(motorcycle, matcher, limit):
    found = matcher(motorcycle.pair)
    known = motorcycle.truth.known
    assert found.known.all()
    assert np.mean(np.abs(found.values - motorcycle.truth.values)[known] > 2) < limit
    assert found.confidence is None
    holes = dataclasses.replace(matcher, fill=False)(motorcycle.pair)
    matched = found.source == Source.MATCHED
    np.testing.assert_array_equal(holes.known, matched)
    np.testing.assert_array_equal(holes.values[matched], found.values[matched])


@pytest.mark.parametrize("matcher", ALL, ids=str)
@pytest.mark.parametrize("shift", [3, -5])
def test_a_shift_is_found_up_to_the_borders(matcher, shift):
    matcher = dataclasses.replace(matcher, min_disparity=-8, max_disparity=24, fill=False)
    found = matcher(noise(40, 90, shift))
    inner = found.values[8:-8, 12:-12]
    assert np.mean(np.abs(inner - shift) <= 0.5) > 0.9
    assert found.range == (-8, 23)


@pytest.mark.parametrize("matcher", ALL, ids=str)
@pytest.mark.parametrize(("height", "width"), [(15, 17), (15, 15), (16, 40)])
def test_narrow_images_give_the_same_every_time(matcher, height, width):
    pair = noise(height, width)
    first = matcher(pair)
    for _ in range(5):
        np.testing.assert_array_equal(matcher(pair).values, first.values)


def test_the_killers_of_the_native_code_are_stopped_or_made_to_work():
    # uniquenessRatio=100 divides by zero, a minimum beyond the width and a range wider than the
    # image kill or fail OpenCV itself; in a process of its own, should a guard break
    code = """
import numpy as np
from fathom.classical.opencv import OpenCVBM, OpenCVSGBM
from fathom.core import FathomError, StereoPair, View
view = View(np.random.default_rng(0).integers(0, 256, (50, 100, 3), dtype=np.uint8))
pair = StereoPair(view, view)
modes = ("sgbm", "hh", "3way", "hh4")
for kind, extra in ((OpenCVBM, {}), *((OpenCVSGBM, {"mode": mode}) for mode in modes)):
    for options in (
        {"uniqueness_ratio": 100}, {"min_disparity": 200, "max_disparity": 216},
        {"max_disparity": 128}, {"max_disparity": 500},
        {"min_disparity": -300, "max_disparity": -90},
        {"block_size": 4}, {"block_size": 51, "max_disparity": 16}, {"max_disparity": 7},
        {"min_disparity": -99, "max_disparity": 100}, {"min_disparity": 99},
    ):
        try:
            print("answer", kind(**extra, **options)(pair).shape)
        except FathomError as error:
            print("refused", error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 50
    assert sum(line.startswith("answer") for line in lines) >= 25


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 70),
    mode=st.sampled_from(["bm", *MODES]),
    first=st.integers(-90, 90),
    count=st.integers(0, 120),
    block=st.integers(1, 25),
    uniqueness=st.integers(0, 101),
    check=st.integers(-2, 5),
    cap=st.integers(0, 64),
    speckle=st.integers(0, 50),
)
def test_any_input_gives_an_answer_or_one_line(
    height, width, mode, first, count, block, uniqueness, check, cap, speckle
):
    options = {
        "min_disparity": first,
        "max_disparity": first + count,
        "block_size": block,
        "uniqueness_ratio": uniqueness,
        "disp12_max_diff": check,
        "pre_filter_cap": cap,
        "speckle_window_size": speckle,
    }
    try:
        matcher = OpenCVBM(**options) if mode == "bm" else OpenCVSGBM(mode=mode, **options)
        pair = noise(height, width)
        found = matcher(pair)
    except FathomError as error:
        assert "\n" not in str(error)
        return
    np.testing.assert_array_equal(matcher(pair).values, found.values)
    matched = found.source == Source.MATCHED
    values = found.values[matched]
    x = np.broadcast_to(np.arange(width), matched.shape)[matched] - values
    assert ((x >= 0) & (x <= width - 1)).all()
    assert ((values >= found.range[0]) & (values <= found.range[1])).all()
    assert found.known.all() or not found.known.any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("uniqueness_ratio", 100),
        ("uniqueness_ratio", -1),
        ("block_size", 4),
        ("block_size", 999),
        ("block_size", 3.0),
        ("max_disparity", 0),
        ("max_disparity", 5000),
        ("min_disparity", -5000),
        ("speckle_window_size", -1),
        ("speckle_range", -1),
        ("disp12_max_diff", -2),
        ("pre_filter_cap", 0),
    ],
)
def test_parameters_out_of_range_are_usage_errors(kind, name, value):
    with pytest.raises(UsageError) as caught:
        unchecked(kind, **{name: value})
    assert caught.value.field == name


def test_parameters_of_one_matcher():
    with pytest.raises(UsageError, match="mode = 'best'"):
        unchecked(OpenCVSGBM, mode="best")
    with pytest.raises(UsageError, match="p2 = 72: is not above p1"):
        OpenCVSGBM(p2=72)
    with pytest.raises(UsageError, match="texture_threshold"):
        OpenCVBM(texture_threshold=-1)
    with pytest.raises(UsageError, match="pre_filter_size"):
        OpenCVBM(pre_filter_size=8)


def test_images_below_the_block_are_input_errors():
    with pytest.raises(InputError, match=r"20x9.*block of 15 px.*; take a smaller block_size"):
        OpenCVBM()(noise(9, 20))
    with pytest.raises(InputError, match="at least 5x5"):
        OpenCVSGBM()(noise(4, 20))


def test_a_range_opencv_cannot_store_is_refused():
    with pytest.raises(UsageError, match="OpenCV's matchers end at 2000 px"):
        OpenCVSGBM(min_disparity=1999)(noise(5, 2100))


def test_volumes_beyond_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000)
    with pytest.raises(ResourceError, match="needs 3 MB of memory"):
        OpenCVSGBM(mode="hh4")(noise(60, 100))
    assert OpenCVSGBM(mode="3way")(noise(60, 100)).known.any()


def test_16_bit_images_are_stretched(motorcycle):
    views = [View(v.image[200:300, 200:400]) for v in (motorcycle.pair.left, motorcycle.pair.right)]
    wide = StereoPair(*(View(v.image.astype(np.uint16) * 16) for v in views))
    a, b = OpenCVSGBM()(StereoPair(*views)), OpenCVSGBM()(wide)
    assert np.mean(np.abs(a.values - b.values) <= 1) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_documented_for_the_command_line(kind):
    assert all(f.metadata.get("help") for f in dataclasses.fields(kind))
