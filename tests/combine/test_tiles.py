"""Tiles: the same as the whole, in bounded memory, with the same range everywhere, seams seen."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fathom
from fathom.classical.local import SAD, CensusLocal
from fathom.classical.opencv import OpenCVBM
from fathom.combine import pieces
from fathom.combine.flip import FlipConfidence
from fathom.combine.pieces import (
    Part,
    best_size,
    bytes_of,
    check_free,
    grid,
    needs_of,
    part_budget,
    seams,
    shown_of,
)
from fathom.combine.tiles import Progress, Tiled, tile_words
from fathom.core import Disparity, ResourceError, Source, StereoPair, UsageError, View
from fathom.core.estimator import Needs
from fathom.data.samples import motorcycle
from fathom.geometry.resize import crop_pair

LOCAL = ("census", "zncc", "ncc", "ssd", "sad", "opencv-bm")
SMALL = {name: {"speckle_size": 40} for name in LOCAL[:5]} | {
    "opencv-bm": {"speckle_window_size": 40}
}
"""Islands decide how much is shown around a tile: small ones make the tests quick."""


@pytest.fixture(scope="module")
def pair():
    return crop_pair(motorcycle().pair, 220, 170, 280, 110)


def noise(height, width, shift=3, seed=0, dtype=np.uint8):
    """A texture whose right view is shifted by `shift`, with a brighter and nearer block."""
    rng = np.random.default_rng(seed)
    top = 250 if dtype == np.uint8 else 4000
    left = rng.integers(0, top, (height, width, 3)).astype(dtype)
    right = np.roll(left, -shift, axis=1)
    block = np.s_[height // 4 : height // 2, width // 3 : width // 2]
    left[block] = left[block] // 2 + top // 2
    right[:, : width - 6] = np.where(
        np.abs(right[:, : width - 6].astype(int) - left[:, 6:]) < 9, left[:, 6:], right[:, :-6]
    )
    return StereoPair(View(left), View(right))


def agreement(one, other):
    """Share of pixels that differ by at most 0.1 px, or are unknown in both."""
    return ((np.abs(one.values - other.values) <= 0.1) | (~one.known & ~other.known)).mean()


@pytest.mark.parametrize(("name", "fill"), [*((n, True) for n in LOCAL), ("census", False)])
def test_local_matchers_answer_in_tiles_as_for_the_whole(name, fill, pair):
    matcher = fathom.create(name, max_disparity=40, fill=fill, **SMALL.get(name, {}))
    whole = matcher(pair)
    found = Tiled(matcher, size=(128, 64)).run(pair)
    assert len(found.parts) == 6
    assert agreement(found.disparity, whole) >= 0.999
    assert (found.disparity.source == whole.source).mean() >= 0.999
    near = np.abs(found.disparity.confidence - whole.confidence) <= 0.02
    assert near.mean() >= 0.999
    assert found.disparity.range == whole.range
    assert not found.notes


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(20, 80),
    width=st.integers(40, 130),
    tile=st.tuples(st.integers(32, 90), st.integers(32, 90)),
    low=st.integers(-30, 30),
    levels=st.integers(2, 40),
    shift=st.integers(-8, 12),
    kind=st.sampled_from(["sad", "census", "bm"]),
    seed=st.integers(0, 99),
)
def test_any_size_tile_and_range(height, width, tile, low, levels, shift, kind, seed):
    search = {"min_disparity": low, "max_disparity": low + levels}
    matcher = {
        "sad": SAD(window=5, speckle_size=20, **search),
        "census": CensusLocal(window=3, speckle_size=0, aggregation="cross", **search),
        "bm": OpenCVBM(block_size=7, speckle_window_size=12, **search),
    }[kind]
    given_pair = noise(height, width, shift, seed)
    whole = matcher(given_pair)
    found = Tiled(matcher, size=tile).run(given_pair)
    assert agreement(found.disparity, whole) >= 0.999
    assert found.disparity.range == whole.range


def test_less_margin_than_needed_is_seen(pair):
    matcher = fathom.create("census", max_disparity=40, window=21, fill=False)
    bare = Tiled(matcher, size=(48, 32), margin=0).run(pair)
    assert agreement(bare.disparity, matcher(pair)) < 0.999
    assert bare.seams.across > 5 * bare.seams.elsewhere


def test_16_bits_keep_the_brightness_of_the_whole():
    dark = noise(96, 200, dtype=np.uint16)
    image = dark.left.image.copy()
    image[:, 150:] += 50_000  # a bright corner would stretch tiles differently
    bright = StereoPair(View(image), View(np.roll(image, -3, axis=1)))
    matcher = fathom.create("opencv-bm", max_disparity=16, fill=False, confidence=False)
    whole, tiled = matcher(bright), Tiled(matcher, size=(64, 48))(bright)
    np.testing.assert_array_equal(tiled.values, whole.values)
    part = bright.left.with_stretch().part(slice(0, 40), slice(0, 40))
    np.testing.assert_array_equal(part.gray8, bright.left.gray8[:40, :40])
    assert not np.array_equal(View(part.image).gray8, part.gray8)
    assert pair_of_eight_bits().left.with_stretch().stretch is None


def pair_of_eight_bits():
    return noise(40, 60)


@dataclass(frozen=True)
class Recorder:
    """Answers 7 px, plus `step` for each tile asked before; remembers what it was asked."""

    seen: list
    max_disparity: int | None = None
    min_disparity: int = 0
    step: float = 0.0
    stop_at: int = 10**9

    def __call__(self, pair, /):
        if len(self.seen) == self.stop_at:
            self.seen.append(None)
            raise KeyboardInterrupt
        self.seen.append((self.min_disparity, self.max_disparity, pair.size))
        return Disparity(np.full(pair.shape, 7 + self.step * len(self.seen), np.float32))

    def needs(self, pair):
        return Needs(self.min_disparity, self.max_disparity or 40, lambda h, w, n: 50 * h * w, 8)


def test_the_range_of_the_whole_is_searched_in_every_tile():
    seen = []
    wide = noise(100, 900)
    Tiled(Recorder(seen), size=(100, 100))(wide)
    assert len(seen) == 9
    assert {(low, high) for low, high, _ in seen} == {(0, 40)}
    # the first and the last tile lie at the border; the others see to both sides
    assert max(size[0] for *_, size in seen) >= 100 + 2 * (39 + 8)


def test_a_matcher_that_says_nothing_of_itself():
    def plain(pair, /):
        return Disparity(np.full(pair.shape, 5, np.float32))

    given_pair = noise(64, 120)
    needs = needs_of(plain, given_pair)
    assert (needs.first, needs.end) == (0, 64) and needs.memory(10, 10, 1) == 400_000
    found = Tiled(plain, size=(40, 40))(given_pair)
    assert (found.values == 5).all() and found.range is None and found.confidence is None
    assert (found.source == Source.MATCHED).all()


def test_the_flip_check_goes_into_the_tiles(pair):
    matcher = fathom.create("opencv-bm", max_disparity=32)
    assert isinstance(matcher, FlipConfidence)
    whole, found = matcher(pair), Tiled(matcher, size=(128, 96))(pair)
    np.testing.assert_allclose(found.confidence, whole.confidence, atol=1e-3)


def test_a_jump_from_tile_to_tile_is_told():
    tiled = Tiled(Recorder([], step=1.5), size=(50, 50))
    with pytest.warns(UserWarning, match="borders of tiles show: 100.0%"):
        tiled(noise(100, 100))
    found = Tiled(Recorder([], step=1.5), size=(50, 50)).run(noise(100, 100))
    assert found.seams.shows and found.seams.excess == 1 and "larger tiles" in found.notes[0]


def test_seams_count_jumps_at_borders_against_those_beside_them():
    parts = grid((240, 320), (60, 80))
    ramp = np.tile(np.arange(320, dtype=np.float32) * 0.5, (240, 1))
    assert seams(ramp, parts).across == 0 and not seams(ramp, parts).shows
    ramp += 3 * (np.arange(320) // 80).astype(np.float32)
    told = seams(ramp, parts)
    assert told.pairs == 3 * 240 + 3 * 320 and told.across == pytest.approx(720 / 1680)
    assert told.elsewhere == 0 and told.shows
    everywhere = (np.indices((240, 320)).sum(0) % 2 * 5).astype(np.float32)
    assert not seams(everywhere, parts).shows
    assert seams(np.full((240, 320), np.nan, np.float32), parts).pairs == 0
    assert seams(ramp, [Part(0, 240, 0, 320)]).pairs == 0


def test_an_edge_of_the_scene_on_a_border_is_no_seam():
    scene = np.zeros((240, 320), np.float32)
    scene[70:130, 80:] = 9
    assert seams(scene, grid((240, 320), (60, 80))).across > 0.03
    assert not seams(scene, grid((240, 320), (60, 80))).shows
    assert not seams(scene, grid((240, 320), (240, 80))[:2]).shows


def test_any_number_of_threads_gives_the_same_bits():
    large = noise(240, 400, seed=3)
    answers = [
        Tiled(fathom.create("sgm", max_disparity=16, threads=n), memory="14MB").run(large)
        for n in (1, 2, 5)
    ]
    assert len(answers[0].parts) > 1
    for other in answers[1:]:
        assert other.parts == answers[0].parts
        np.testing.assert_array_equal(other.disparity.values, answers[0].disparity.values)
        np.testing.assert_array_equal(other.disparity.confidence, answers[0].disparity.confidence)


@pytest.mark.parametrize("name", [*LOCAL, "sgm", "mrf", "opencv-sgbm"])
def test_tiles_fit_the_memory(name):
    image = View(np.zeros((1500, 2000, 3), np.uint8))
    large = StereoPair(image, image)
    needs = needs_of(fathom.create(name, max_disparity=128), large)
    counts = []
    for budget in (4 * 10**9, 8 * 10**8):
        search, room = (needs.first, needs.end), part_budget(large, budget)

        def need(part, search=search):
            shown = shown_of(part, large.shape, search, needs.margin, shifted=False)
            return needs.memory(*shown.size, 128)

        size = best_size(large.shape, need, room)
        parts = grid(large.shape, size)
        assert max(need(part) for part in parts) <= room
        covered = np.zeros(large.shape, np.uint8)
        for part in parts:
            covered[part.window] += 1
        assert (covered == 1).all()
        counts.append(len(parts))
    assert counts[0] < counts[1] or counts == [1, 1]


def test_the_matcher_s_own_limit_is_the_budget():
    large = noise(240, 400)
    own = {"max_disparity": 16, "memory_limit": 14 * 10**6}
    with pytest.raises(ResourceError, match="--tile auto"):
        fathom.create("sgm", coarse_to_fine=False, **own)(large)
    assert len(Tiled(fathom.create("sgm", **own)).run(large).parts) > 1
    assert len(Tiled(fathom.create("sgm", **own), memory="1GB").run(large).parts) == 1


def test_too_little_memory_is_said_with_what_would_do(pair):
    matcher = fathom.create("sgm", max_disparity=40)
    with pytest.raises(ResourceError, match=r"even the smallest tiles .*--tile 0\.1GB"):
        Tiled(matcher, memory="3MB")(pair)
    with pytest.raises(ResourceError, match="smallest tiles"):
        Tiled(matcher, memory=1)(pair)


def test_memory_that_is_not_free(pair, monkeypatch):
    monkeypatch.setattr(pieces, "available_memory", lambda: 10**6)
    matcher = fathom.create("census", max_disparity=64)
    with pytest.raises(ResourceError, match="which is free"):
        Tiled(matcher, size=(100, 100))(pair)
    monkeypatch.setattr(pieces, "available_memory", lambda: None)
    check_free(matcher, pair, 10**15)
    monkeypatch.setattr(pieces, "available_memory", lambda: 0)
    check_free(OnDevice(), pair, 10**15)


class OnDevice:
    device = "cuda"

    def __call__(self, pair, /):
        raise NotImplementedError


def test_an_interruption_leaves_nothing_behind():
    seen = []
    tiled = Tiled(Recorder(seen, stop_at=2), size=(50, 50))
    with pytest.raises(KeyboardInterrupt):
        tiled(noise(100, 100))
    assert len(seen) == 3
    assert (tiled(noise(100, 100)).values == 7).all()


def test_how_it_goes_is_told_now_and_then(monkeypatch):
    told, now = [], [0.0]
    monkeypatch.setattr("fathom.combine.tiles.time.monotonic", lambda: now[0])
    progress = Progress(4, told.append)
    for seconds in (1, 20, 22, 60):
        now[0] = seconds
        progress.step()
    assert told == ["matching in 4 tiles", "2 of 4 tiles done, about 20 s left"]
    Progress(1, told.append).step()
    assert len(told) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("1.5gib", 15 * 10**8), (7, 7), ("4096", 4096)],
)
def test_amounts_of_memory(text, value):
    assert bytes_of(text) == value


@pytest.mark.parametrize("text", ["", "much", "-1GB", 0, True, "nanGB", "infGB"])
def test_what_is_no_amount(text):
    with pytest.raises(UsageError, match="is no amount of memory"):
        bytes_of(text)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_meant():
    matcher = fathom.create("sad")
    for wrong in ({"size": (31, 100)}, {"size": (100,)}, {"margin": -1}, {"memory": "much"}):
        with pytest.raises(UsageError):
            Tiled(matcher, **wrong)
    assert tile_words("auto") == {}
    assert tile_words("640x480") == {"size": (640, 480)}
    assert tile_words("2GB") == {"memory": 2 * 10**9}
    with pytest.raises(UsageError, match="auto, a size like 1024x768"):
        tile_words("small")
