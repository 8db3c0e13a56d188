"""The local matchers: strips, judgement, confidence, settings; the contract suite does the rest."""

import dataclasses
import runpy
from pathlib import Path

import numpy as np
import pytest

from fathom.classical import local, local_match
from fathom.classical.aggregate import bilateral, box, cross_based, guided
from fathom.classical.costs import cost_volume
from fathom.classical.local import NCC, SAD, SSD, ZNCC, CensusLocal
from fathom.classical.local_match import bytes_needed, disagreement, local_winner
from fathom.classical.winner import take_winner
from fathom.core import ResourceError, Source, StereoPair, UsageError, View
from fathom.eval.metrics import bad
from fathom.io.images import read_image

ALL = (SAD, SSD, NCC, ZNCC, CensusLocal)
matchers = pytest.mark.parametrize("matcher", ALL)


def textured(height, width, shift, seed=0, gain=1.0, offset=0.0):
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 120, (height, width + abs(shift), 3)).astype(np.float32)
    left = wide[:, :width] if shift >= 0 else wide[:, -shift:]
    right = wide[:, shift : shift + width] if shift >= 0 else wide[:, :width]
    right = right * gain + offset
    return StereoPair(View(left.astype(np.uint8)), View(np.rint(right).astype(np.uint8)))


@pytest.mark.parametrize("aggregation", ["box", "guided", "bilateral", "cross"])
@pytest.mark.parametrize("cost", ["absolute", "zncc"])
def test_strips_give_what_the_whole_volume_gives(monkeypatch, aggregation, cost):
    monkeypatch.setattr(local_match, "_STRIP_ITEMS", 1)
    pair = textured(90, 30, 3)
    window, first, end = 5, -2, 8
    found = local_winner(pair, cost, first, end, window=window, aggregation=aggregation)
    inner = window if aggregation == "box" else 5 if cost == "zncc" else 1
    volume = cost_volume(pair, cost, first, end, window=inner)
    volume = {
        "box": lambda v: v,
        "guided": lambda v: guided(v, pair.left, window=window, color=False),
        "bilateral": lambda v: bilateral(
            v, pair.left, window=window, gamma_space=window / 2, color=False
        ),
        "cross": lambda v: cross_based(v, pair, arm=window // 2, color=False),
    }[aggregation](volume)
    expected = take_winner(volume)
    np.testing.assert_allclose(found.best, expected.best, rtol=1e-3, atol=1e-3)
    assert (np.abs(found.disparity - expected.disparity) < 0.01).mean() > 0.999
    assert (found.right == expected.right).mean() > 0.999


def test_box_of_a_volume_is_the_matchers_own_window():
    pair = textured(30, 25, 3)
    a = cost_volume(pair, "census-5x5", 0, 6, window=7)
    b = box(cost_volume(pair, "census-5x5", 0, 6), 7)
    np.testing.assert_allclose(a.costs, b.costs, rtol=1e-6)


@matchers
@pytest.mark.parametrize("aggregation", ["box", "guided", "bilateral", "cross"])
def test_a_shift_is_found_with_every_support(matcher, aggregation):
    settings = matcher(max_disparity=16, aggregation=aggregation, window=9)
    out = settings(textured(40, 90, 6))
    assert (np.abs(out.values[6:-6, 26:-6] - 6) <= 1).mean() > 0.98
    assert out.known.all()
    assert out.confidence.shape == out.shape


@matchers
@pytest.mark.parametrize("shift", [0, -5])
def test_an_identical_pair_gives_zero_and_a_shift_its_shift(matcher, shift):
    out = matcher(min_disparity=-12, max_disparity=12, fill=False)(textured(40, 80, shift))
    inner = out.values[8:-8, 20:-20]
    assert np.nanmax(np.abs(inner - shift)) <= 0.5


@pytest.mark.parametrize(
    ("matcher", "gain", "offset"), [(NCC, 2, 0), (ZNCC, 1.5, 40), (CensusLocal, 1.5, 40)]
)
def test_exposure_does_not_matter_to_those_that_say_so(matcher, gain, offset):
    plain = matcher(max_disparity=16)(textured(40, 80, 5))
    changed = matcher(max_disparity=16)(textured(40, 80, 5, gain=gain, offset=offset))
    assert (np.abs(plain.values - changed.values) <= 0.5)[5:-5, 20:-5].mean() > 0.99


def test_small_windows_keep_detail_and_large_ones_are_smooth():
    pair = textured(60, 100, 4, seed=3)
    noisy = pair.right.image + np.random.default_rng(4).normal(0, 25, pair.right.image.shape)
    pair = StereoPair(pair.left, View(np.clip(noisy, 0, 255).astype(np.uint8)))
    wrong = [
        (np.abs(local_winner(pair, "absolute", 0, 16, window=w).disparity - 4) > 1).mean()
        for w in (1, 5, 15)
    ]
    assert wrong[0] > wrong[1] > wrong[2]


def test_bad_share_on_a_real_pair(motorcycle):
    """A third of OpenCV's block matcher's error was reached; a little slack for other machines."""
    out = CensusLocal(max_disparity=80)(motorcycle.pair)
    assert bad(out, motorcycle.truth, 2.0) < 0.08
    known = motorcycle.truth.known
    right = (np.abs(out.values - motorcycle.truth.values) <= 1)[known]
    trust = out.confidence[known]
    # calibrated: what it says and what is so agree within a tenth
    assert trust.mean() == pytest.approx(right.mean(), abs=0.1)
    assert right[trust > 0.9].mean() > 0.9


def test_what_the_views_disagree_on_is_unknown_and_filled():
    pair = textured(40, 90, 6)
    bare = SAD(max_disparity=16, fill=False)(pair)
    filled = SAD(max_disparity=16)(pair)
    found = local_winner(pair, "absolute", 0, 16, window=11, subpixel="equiangular")
    agree = disagreement(found) <= 1
    assert not bare.known[~agree].any()
    assert (filled.source[~bare.known] == Source.FILLED).all()
    assert (bare.confidence[~bare.known] == 0).all()
    everything = SAD(max_disparity=16, fill=False, lr_threshold=1e6, speckle_size=0)(pair)
    strict = SAD(max_disparity=16, fill=False, uniqueness=60.0)(pair)
    assert everything.share_known >= bare.share_known > strict.share_known


def test_memory_is_predicted_and_bounded():
    pair = textured(300, 400, 4)
    need = bytes_needed(pair.shape, 64, 11, "box", False, 1)
    assert 4 * 64 * 300 * 400 / 2 < need < 4 * 64 * 300 * 400 * 4
    SAD(max_disparity=64, threads=1, memory_limit=need)(pair)
    with pytest.raises(ResourceError, match="MB"):
        SAD(max_disparity=64, threads=1, memory_limit=need - 1)(pair)
    # strips: the need grows with the image's maps, not with its volume
    large = textured(1200, 400, 4)
    assert bytes_needed(large.shape, 64, 11, "box", False, 1) < 3 * need


@matchers
@pytest.mark.parametrize(
    "field",
    [
        {"window": 4},
        {"window": 0},
        {"aggregation": "boxes"},
        {"subpixel": "parabel"},
        {"uniqueness": 101},
        {"lr_threshold": float("nan")},
        {"speckle_size": -1},
        {"speckle_range": "far"},
        {"min_disparity": 0.5},
        {"max_disparity": 0},
        {"threads": 0},
        {"memory_limit": 0},
    ],
)
def test_every_setting_is_checked(matcher, field, unchecked):
    with pytest.raises(UsageError) as caught:
        matcher(**field)
    assert next(iter(field)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused(unchecked):
    with pytest.raises(UsageError, match="bits"):
        CensusLocal(bits="3x3")
    pair = textured(10, 20, 2)
    with pytest.raises(UsageError, match="aggregation"):
        local_winner(pair, "absolute", 0, 4, window=3, aggregation="none")
    found = local_winner(pair, "gradient", 0, 4, window=3)
    with pytest.raises(UsageError, match="confidence"):
        local.local_confidence(found, disagreement(found), "gradient")


def test_every_field_has_a_help():
    for matcher in ALL:
        assert all(f.metadata["help"] for f in dataclasses.fields(matcher))


def test_the_example_draws_its_windows(tmp_path, monkeypatch, capsys):
    script = Path(__file__).parents[2] / "examples" / "windows.py"
    monkeypatch.setattr("sys.argv", [str(script), "-o", str(tmp_path / "windows.png")])
    runpy.run_path(str(script), run_name="__main__")
    picture = read_image(tmp_path / "windows.png")
    assert "windows.png" in capsys.readouterr().out
    # five pictures of 741 pixels beside each other
    assert picture.shape[1] >= 5 * 300
    assert picture.std() > 20
