"""`SGM` as a matcher: accuracy, options, metamorphic relations, bad input."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from classical_twins import unchecked
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fathom.classical import sgm
from fathom.classical.sgm import SGM, kernels_compiled, prepare, sgm_evidence
from fathom.core import (
    Disparity,
    FathomError,
    InputError,
    ResourceError,
    Source,
    StereoPair,
    UsageError,
    View,
)


def shares(found, truth):
    """Share of known truth that is off by more than 2 px or unknown."""
    known = truth.known
    error = np.abs(found.values[known] - truth.values[known])
    return float(np.mean(~(error <= 2)))


def crop(pair, rows=slice(150, 290), columns=slice(200, 440)):
    left, right = (View(v.image[rows, columns]) for v in (pair.left, pair.right))
    return StereoPair(left, right)


@pytest.fixture(scope="module")
def small(motorcycle):
    return crop(motorcycle.pair)


def test_motorcycle_is_matched_better_than_asked(motorcycle):
    found = SGM()(motorcycle.pair)
    assert shares(found, motorcycle.truth) < 0.07  # issue 2 asks for 0.11
    assert found.values.dtype == np.float32
    assert found.shape == motorcycle.pair.shape
    assert found.range[0] == 0
    assert found.known.all()
    assert set(np.unique(found.source)) == {Source.MATCHED, Source.FILLED}


def test_the_default_uses_8_paths_at_full_resolution(motorcycle, monkeypatch):
    asked = []
    real = sgm.semiglobal

    def spy(*arguments, more_global):
        asked.append((arguments[0].shape, arguments[7], more_global))
        return real(*arguments, more_global=more_global)

    monkeypatch.setattr(sgm, "semiglobal", spy)
    SGM()(motorcycle.pair)
    assert asked == [(motorcycle.pair.shape, 8, False)]


@pytest.mark.parametrize(("paths", "most"), [(4, 0.075), (16, 0.07)])
def test_4_and_16_paths_are_not_far_from_8(motorcycle, paths, most):
    assert shares(SGM(paths=paths)(motorcycle.pair), motorcycle.truth) < most


def test_confidence_is_the_chance_of_being_within_a_pixel(motorcycle):
    found = SGM()(motorcycle.pair)
    known = motorcycle.truth.known
    right = np.abs(found.values - motorcycle.truth.values) <= 1
    matched = known & (found.source == Source.MATCHED)
    assert found.confidence[matched].mean() == pytest.approx(right[matched].mean(), abs=0.03)
    for low, high in ((0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):
        part = matched & (found.confidence >= low) & (found.confidence < high)
        assert right[part].mean() == pytest.approx(found.confidence[part].mean(), abs=0.1)
    filled = known & (found.source == Source.FILLED)
    assert found.confidence[filled].mean() == pytest.approx(right[filled].mean(), abs=0.1)
    doubtful = filled & (found.confidence < 0.3)
    assert right[doubtful].mean() < right[filled & ~doubtful].mean() - 0.2


def test_options_leave_out_what_they_say(small):
    whole = SGM()(small)
    bare = SGM(fill=False, confidence=False)(small)
    assert bare.confidence is None
    unknown = np.isnan(bare.values)
    assert unknown.any()
    np.testing.assert_array_equal(bare.source == Source.UNKNOWN, unknown)
    np.testing.assert_array_equal(whole.source == Source.FILLED, unknown)
    np.testing.assert_array_equal(whole.values[~unknown], bare.values[~unknown])
    holes = SGM(fill=False)(small)
    assert (holes.confidence[unknown] == 0).all()


def test_threads_do_not_change_anything(small):
    results = [SGM(threads=n)(small) for n in (1, 2, 4)]
    for other in results[1:]:
        np.testing.assert_array_equal(other.values, results[0].values)
        np.testing.assert_array_equal(other.confidence, results[0].confidence)
        np.testing.assert_array_equal(other.source, results[0].source)


def test_inputs_are_left_alone_and_repeats_agree(small):
    before = small.left.image.copy()
    first, second = SGM()(small), SGM()(small)
    np.testing.assert_array_equal(small.left.image, before)
    np.testing.assert_array_equal(first.values, second.values)


def test_an_image_matched_with_itself_has_disparity_0(small):
    found = SGM(min_disparity=-16, max_disparity=48)(StereoPair(small.left, small.left))
    assert np.mean(np.abs(found.values) < 0.5) > 0.999


@pytest.mark.parametrize("shift", [7, -9])
def test_shifting_the_right_image_adds_to_the_disparity(small, shift):
    moved = View(np.roll(small.right.image, -shift, axis=1))
    plain = SGM(fill=False, min_disparity=-4, max_disparity=76)(small)
    other = SGM(fill=False, min_disparity=-4 + shift, max_disparity=76 + shift)(
        StereoPair(small.left, moved)
    )
    inner = np.s_[:, 96:-20]
    both = plain.known[inner] & other.known[inner]
    assert both.mean() > 0.5
    assert np.mean(np.abs(other.values - plain.values - shift)[inner][both] < 0.5) > 0.995


def test_gain_and_offset_on_one_side_change_nothing_much(small):
    darker = View((small.right.image * 0.6 + 10).astype(np.uint8))
    plain, other = SGM()(small), SGM()(StereoPair(small.left, darker))
    assert np.mean(np.abs(plain.values - other.values) <= 1) > 0.96


def test_16_bit_images_give_the_same_as_8_bit(small):
    wide = StereoPair(*(View(v.image.astype(np.uint16) * 257) for v in (small.left, small.right)))
    plain, other = SGM(p2_gradient=0)(small), SGM(p2_gradient=0)(wide)
    # rounding of grey differs by half a step of 8 bits, the order of pixels hardly
    assert np.mean(np.abs(plain.values - other.values) <= 1) > 0.97


def test_constant_images_are_answered():
    flat = View(np.full((20, 40, 3), 7, np.uint8))
    found = SGM()(StereoPair(flat, flat))
    assert found.shape == (20, 40)
    assert np.isfinite(found.values).all() or np.isnan(found.values).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (6, 9), (7, 8)])
def test_images_below_the_census_window_are_refused(size):
    view = View(np.zeros((*size, 3), np.uint8))
    with pytest.raises(InputError, match="at least 9x7"):
        SGM()(StereoPair(view, view))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p1", 0),
        ("p1", 2.5),
        ("p2", 5),
        ("p2", 191),
        ("p2_gradient", -1),
        ("p2_gradient", float("nan")),
        ("paths", 5),
        ("coarse_to_fine", "yes"),
        ("uniqueness", 101),
        ("lr_threshold", -1),
        ("speckle_size", -1),
        ("speckle_range", -0.5),
        ("min_disparity", 0.5),
        ("max_disparity", 0),
        ("max_disparity", "many"),
        ("max_disparity", True),
        ("threads", 0),
        ("memory_limit", 0),
    ],
)
def test_parameters_out_of_range_are_usage_errors(name, value):
    with pytest.raises(UsageError) as caught:
        unchecked(SGM, **{name: value})
    assert caught.value.field == name
    assert "\n" not in str(caught.value)


def test_a_range_beyond_the_image_is_a_usage_error(small):
    with pytest.raises(UsageError, match="outside an image 240 pixels wide"):
        SGM(min_disparity=240, max_disparity=300)(small)


def test_too_much_memory_is_refused_with_both_numbers(small):
    with pytest.raises(ResourceError, match=r"needs \d+ MB of memory; expected at most 1 MB"):
        SGM(memory_limit=1_000_000)(small)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 50),
    seed=st.integers(0, 1000),
    options=st.fixed_dictionaries(
        {},
        optional={
            "min_disparity": st.integers(-80, 80),
            "max_disparity": st.integers(-80, 300),
            "p1": st.integers(-1, 200),
            "p2": st.integers(0, 200),
            "p2_gradient": st.floats(0, 300),
            "paths": st.sampled_from([4, 8, 16]),
            "coarse_to_fine": st.sampled_from([None, False, True]),
            "uniqueness": st.floats(0, 100),
            "lr_threshold": st.floats(0, 10),
            "speckle_size": st.integers(0, 300),
            "speckle_range": st.floats(0, 10),
            "fill": st.booleans(),
            "confidence": st.booleans(),
            "threads": st.integers(1, 4),
        },
    ),
)
# the 3x3 median moves a match out of the right image here
@example(height=8, width=9, seed=0, options={"max_disparity": 2})
def test_any_input_gives_an_answer_or_one_line(height, width, seed, options):
    rng = np.random.default_rng(seed)
    views = [View(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for _ in range(2)]
    try:
        found = SGM(**options)(StereoPair(*views))
    except FathomError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(found, Disparity)
    first, last = found.range
    known = found.values[found.known]
    assert ((known >= first) & (known <= last)).all()
    matched = found.source == Source.MATCHED
    x = np.broadcast_to(np.arange(width), matched.shape)[matched] - found.values[matched]
    assert ((x >= -0.5) & (x <= width - 0.5)).all()
    if options.get("fill", True) and matched.any():
        assert found.known.all()


def test_evidence_is_raw_and_complete(small):
    evidence = sgm_evidence(small, SGM(min_disparity=-3, max_disparity=61, paths=4))
    assert evidence.range == (-3, 60)
    assert evidence.paths == 4
    assert np.isfinite(evidence.disparity).all()
    assert evidence.confidence().shape == small.shape
    x = np.arange(small.size[0]) - np.floor(evidence.disparity + np.float32(0.5))
    outside = (x < 0) | (x >= small.size[0])
    np.testing.assert_array_equal(np.isnan(evidence.difference), outside)


def test_fields_are_documented_for_the_command_line():
    assert all(f.metadata.get("help") for f in dataclasses.fields(SGM))


def test_prepare_is_silent_once_the_kernels_are_there():
    prepare()
    told = []
    prepare(lambda name, i, n: told.append((name, i, n)))
    assert told == []
    assert kernels_compiled()


def test_importing_the_matcher_does_not_import_numba_or_opencv():
    code = (
        "import sys, fathom.classical.sgm, fathom.classical.opencv, fathom.classical.ranges\n"
        "fathom.classical.sgm.kernels_compiled()\n"
        "assert not {'numba', 'cv2', 'torch'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
