"""What every stereo matcher of the catalog keeps: one suite for all of them."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fathom
from fathom import weights
from fathom.core import FathomError, Source, StereoPair, View
from fathom.data.samples import motorcycle
from fathom.eval.sparsification import calibration_error, errors_and_confidence
from fathom.geometry.resize import crop_pair

# nets of published papers want their authors' weights, which no test can bring
NAMES = [e.name for e in fathom.entries("stereo") if e.weights in ("", *weights.NAMES)]
matchers = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module", autouse=True)
def complete_installation(tmp_path_factory):
    """Where the weights of a shipped model are absent, a model that hands the evidence through
    stands in: all that is around the net is tested all the same."""
    if all(weights.is_shipped(name) for name in weights.NAMES):
        yield
        return
    ship = pytest.importorskip("stand_in_models").ship
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("shipped")
        patch.setattr(weights, "HOME", home)
        for name in weights.NAMES:
            ship(home, name)
        yield


def textured(height, width, shift, seed=0, dtype=np.uint8):
    """A pair of one random texture whose right view is shifted by `shift` pixels."""
    rng = np.random.default_rng(seed)
    top = 255 if dtype == np.uint8 else 65535
    wide = rng.integers(0, top + 1, (height, width + abs(shift), 3)).astype(dtype)
    left = wide[:, :width] if shift >= 0 else wide[:, -shift:]
    right = wide[:, shift : shift + width] if shift >= 0 else wide[:, :width]
    return StereoPair(View(left), View(right))


@pytest.fixture(scope="module")
def pair():
    """A part of the Motorcycle pair, large enough for every matcher and quick."""
    return crop_pair(motorcycle().pair, 250, 150, 300, 120)


@matchers
def test_a_shifted_texture_gives_its_shift(name):
    out = fathom.create(name, max_disparity=32)(textured(60, 160, 7))
    inner = out.values[8:-8, 48:-8]
    assert np.nanmedian(inner) == pytest.approx(7, abs=0.1)
    assert (np.abs(inner - 7) <= 1).mean() > 0.98


@matchers
def test_the_answer_has_the_pair_s_size_and_the_promised_layers(name, pair):
    out = fathom.create(name, max_disparity=64)(pair)
    assert out.shape == pair.shape
    assert out.values.dtype == np.float32
    assert out.confidence.dtype == np.float32
    assert out.source.dtype == np.uint8
    assert np.array_equal(out.source != Source.UNKNOWN, out.known)
    assert out.range == (0, 63)
    assert (out.confidence[~out.known] == 0).all()


@matchers
def test_input_is_untouched_and_a_repeat_is_identical(name, pair):
    before = pair.left.image.copy(), pair.right.image.copy()
    matcher = fathom.create(name, max_disparity=64)
    first, second = matcher(pair), matcher(pair)
    fresh = fathom.create(name, max_disparity=64)(pair)
    assert (pair.left.image == before[0]).all()
    assert (pair.right.image == before[1]).all()
    for other in (second, fresh):
        np.testing.assert_array_equal(first.values, other.values)
        np.testing.assert_array_equal(first.confidence, other.confidence)
        np.testing.assert_array_equal(first.source, other.source)


@matchers
def test_threads_do_not_change_the_answer(name, pair):
    answers = [fathom.create(name, max_disparity=64, threads=n)(pair).values for n in (1, 2, 4)]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


@matchers
def test_fill_knows_every_pixel_and_marks_what_it_filled(name, pair):
    filled = fathom.create(name, max_disparity=64)(pair)
    bare = fathom.create(name, max_disparity=64, fill=False)(pair)
    assert filled.known.all()
    assert not bare.known.all()
    assert not (bare.source == Source.FILLED).any()
    assert (filled.source[~bare.known] == Source.FILLED).all()
    matched = filled.source == Source.MATCHED
    np.testing.assert_array_equal(filled.values[matched], bare.values[matched])


@matchers
def test_confidence_can_be_left_out_and_changes_nothing_else(name, pair):
    with_it = fathom.create(name, max_disparity=64)(pair)
    without = fathom.create(name, max_disparity=64, confidence=False)(pair)
    assert without.confidence is None
    np.testing.assert_array_equal(with_it.values, without.values)


@matchers
def test_confidence_means_something(name, motorcycle):
    out = fathom.create(name)(motorcycle.pair)
    truth = motorcycle.truth
    right = np.abs(out.values - truth.values) <= 1
    sure, unsure = out.confidence > 0.8, out.confidence < 0.4
    assert right[truth.known & sure].mean() > 0.85
    assert right[truth.known & unsure].mean() < right[truth.known & sure].mean() - 0.2
    # What is said is what is so, over all pixels: within a tenth on this pair.
    errors, said = errors_and_confidence(out, truth)
    assert calibration_error(errors <= 1, said) < 0.1


@matchers
def test_a_negative_minimum_is_searched(name):
    out = fathom.create(name, min_disparity=-16, max_disparity=16)(textured(60, 160, -6))
    assert np.nanmedian(out.values[8:-8, 24:-24]) == pytest.approx(-6, abs=0.1)


@matchers
def test_16_bit_gives_what_8_bit_gives(name):
    eight = textured(60, 160, 7)
    wide = StereoPair(*(View(v.image.astype(np.uint16) * 257) for v in (eight.left, eight.right)))
    a = fathom.create(name, max_disparity=32)(eight).values
    b = fathom.create(name, max_disparity=32)(wide).values
    assert (np.abs(a - b) <= 0.5).mean() > 0.97


@matchers
def test_constant_images_give_an_answer_or_a_line(name):
    grey = View(np.full((40, 80, 3), 128, np.uint8))
    out = fathom.create(name, max_disparity=16)(StereoPair(grey, grey))
    assert out.shape == (40, 80)


@matchers
@pytest.mark.parametrize(
    "bad",
    [
        {"max_disparity": 0},
        {"max_disparity": -16},
        {"max_disparity": 16, "min_disparity": 16},
        {"max_disparity": 10**9},
        {"threads": 0},
    ],
)
def test_bad_settings_are_one_line(name, bad):
    with pytest.raises(FathomError) as caught:
        fathom.create(name, **bad)(textured(40, 80, 3))
    assert "\n" not in str(caught.value)


def _settle() -> None:
    """Waits for a model that is still being loaded behind an error: the type checks of its thread
    draw from `random`, and hypothesis takes that for its strategies' doing."""
    for thread in threading.enumerate():
        if thread.name == "fathom-model":
            thread.join()


@matchers
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 60),
    top=st.integers(-20, 80),
    low=st.one_of(st.none(), st.integers(-80, 60)),
    fill=st.booleans(),
    confidence=st.booleans(),
)
def test_any_size_and_range_gives_an_answer_or_a_line(
    name, height, width, top, low, fill, confidence
):
    pair = textured(height, width, 0, seed=3)
    options = {"max_disparity": top, "min_disparity": low, "fill": fill, "confidence": confidence}
    try:
        out = fathom.create(name, **options)(pair)
    except FathomError as error:
        assert "\n" not in str(error)
        return
    finally:
        _settle()
    assert out.shape == (height, width)
    inside = out.values[out.known & (out.source == Source.MATCHED)]
    if inside.size:
        assert inside.min() >= (low or 0) - 1
        assert inside.max() <= top + 1
