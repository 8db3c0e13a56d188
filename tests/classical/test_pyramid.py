"""Coarse-to-fine matching: ranges, regions, seams, accuracy and the memory it promises."""

import numpy as np
import pytest

from fathom.classical import fill, pyramid, sgm
from fathom.classical.memory import predict
from fathom.classical.pyramid import predict_coarse_to_fine, regions, shrinking
from fathom.classical.sgm import SGM
from fathom.core import ResourceError, Source, StereoPair, View
from fathom.geometry.resize import crop_pair


def bad(found, truth):
    known = truth.known
    return float(np.mean(~(np.abs(found.values - truth.values)[known] <= 2)))


def test_coarse_to_fine_is_as_good_as_the_whole_on_motorcycle(motorcycle, monkeypatch):
    monkeypatch.setattr(pyramid, "REGION", (250, 170))
    whole = SGM(coarse_to_fine=False)(motorcycle.pair)
    found = SGM(coarse_to_fine=True)(motorcycle.pair)
    assert bad(found, motorcycle.truth) < bad(whole, motorcycle.truth) + 0.005
    assert found.range == whole.range
    assert found.known.all()
    assert np.mean(np.abs(found.values - whole.values) <= 1) > 0.97


def test_regions_of_the_whole_range_agree_with_the_whole_along_their_seams(motorcycle, monkeypatch):
    monkeypatch.setattr(pyramid, "REGION", (200, 120))
    monkeypatch.setattr(
        sgm, "regions", lambda coarse, *rest: regions(np.full_like(coarse, np.nan), *rest)
    )
    whole = SGM(coarse_to_fine=False, fill=False, max_disparity=64)(motorcycle.pair)
    found = SGM(coarse_to_fine=True, fill=False, max_disparity=64)(motorcycle.pair)
    both = whole.known & found.known
    same = np.abs(whole.values - found.values) <= 1
    seams = np.zeros(same.shape, bool)
    for y in range(120, 500, 120):
        seams[y - 2 : y + 2] = True
    for x in range(200, 741, 200):
        seams[:, x - 2 : x + 2] = True
    assert same[both].mean() > 0.99
    assert same[both & seams].mean() > 0.985
    assert np.mean(whole.known != found.known) < 0.02


@pytest.mark.parametrize("low", [-40, 0, 12])
def test_threads_do_not_matter_and_a_shift_of_the_range_is_found(motorcycle, monkeypatch, low):
    monkeypatch.setattr(pyramid, "REGION", (90, 60))
    base = crop_pair(motorcycle.pair, 200, 150, 260, 130)
    pair = base
    if low < 0:
        pair = StereoPair(base.left, View(np.roll(base.right.image, -low, axis=1)))
    made = [
        SGM(coarse_to_fine=True, min_disparity=low, max_disparity=low + 64, threads=n)(pair)
        for n in (1, 2, 4)
    ]
    for other in made[1:]:
        np.testing.assert_array_equal(other.values, made[0].values)
        np.testing.assert_array_equal(other.confidence, made[0].confidence)
    whole = SGM(coarse_to_fine=False, min_disparity=low, max_disparity=low + 64)(pair)
    inner = np.s_[:, 70:-45]
    matched = (whole.source == Source.MATCHED)[inner] & (made[0].source == Source.MATCHED)[inner]
    assert np.mean((np.abs(whole.values - made[0].values) <= 1)[inner][matched]) > 0.98


def test_regions_cover_the_image_once_and_lie_in_the_range():
    coarse = np.zeros((30, 50), np.float32)
    coarse[:, 25:] = 20
    found = regions(coarse, 120, 2200, 5, 200)
    covered = np.zeros((120, 2200), int)
    for part in found:
        covered[part.top : part.bottom, part.left : part.right] += 1
        assert part.first >= 5
        assert part.first + part.levels <= 200
        assert part.levels >= 1
    assert (covered == 1).all()


def test_a_region_s_range_is_what_the_coarse_map_shows_and_a_margin():
    coarse = np.full((100, 100), 30, np.float32)
    (part,) = regions(coarse, 200, 200, 0, 128)
    assert part.first == 60 - 4 - 8
    assert part.first + part.levels == 60 + 4 + 8 + 1


def test_a_coarse_map_beyond_the_range_or_unknown_still_leaves_something():
    far = np.full((20, 20), 500, np.float32)
    (part,) = regions(far, 40, 40, 0, 16)
    assert (part.first, part.levels) == (15, 1)
    (part,) = regions(np.full((20, 20), np.nan, np.float32), 40, 40, -4, 16)
    assert (part.first, part.levels) == (-4, 20)


def test_12_megapixels_fit_in_a_gigabyte_and_less_is_refused_with_a_number(monkeypatch):
    need = predict_coarse_to_fine(3000, 4000, 256)
    assert need < 10**9 < predict(3000, 4000, 256)
    flat = View(np.zeros((3000, 4000), np.uint8))
    with pytest.raises(ResourceError, match=rf"needs {need / 1e6:.0f} MB .* at most 300 MB"):
        SGM(max_disparity=256, memory_limit=3 * 10**8)(StereoPair(flat, flat))


def test_the_limit_makes_it_go_coarse(motorcycle, monkeypatch):
    went = []
    real = sgm.match_regions
    monkeypatch.setattr(sgm, "match_regions", lambda *a: went.append(1) or real(*a))
    height, width = motorcycle.pair.shape
    whole = predict(height, width, 256)
    monkeypatch.setattr(pyramid, "REGION_BYTES", 10**7)
    SGM(max_disparity=256)(motorcycle.pair)
    assert not went
    assert predict_coarse_to_fine(height, width, 256) < whole
    SGM(max_disparity=256, memory_limit=whole - 1)(motorcycle.pair)
    assert went


def test_images_too_small_to_reduce_are_matched_whole():
    rng = np.random.default_rng(0)
    view = View(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8))
    pair = StereoPair(view, view)
    a, b = (SGM(max_disparity=4, coarse_to_fine=c)(pair) for c in (True, False))
    np.testing.assert_array_equal(a.values, b.values)


def test_the_coarse_pair_is_never_below_the_census_window_nor_above_its_share():
    assert shrinking(500, 741, 128) == 2
    assert shrinking(3000, 4000, 256) == 4
    assert shrinking(20, 30, 16) == 2


def test_strips_fill_as_the_whole_does(motorcycle, monkeypatch):
    whole = SGM()(motorcycle.pair)
    monkeypatch.setattr(fill, "LARGE", 1)
    strips = SGM()(motorcycle.pair)
    np.testing.assert_array_equal(strips.source, whole.source)
    # the slopes that a strip fills with look a little farther than the strip knows
    np.testing.assert_allclose(strips.confidence, whole.confidence, atol=0.01)
    assert np.mean(np.abs(strips.values - whole.values) < 0.01) > 0.999


def test_strips_without_any_match_take_the_rows_next_to_them(motorcycle, monkeypatch):
    image = np.repeat(motorcycle.pair.left.image[:60], 1, axis=0)
    flat = np.full((400, image.shape[1], 3), 99, np.uint8)
    left = View(np.concatenate([image, flat]))
    right = View(np.concatenate([motorcycle.pair.right.image[:60], flat]))
    monkeypatch.setattr(fill, "LARGE", 1)
    found = SGM(max_disparity=64, uniqueness=20)(StereoPair(left, right))
    assert found.known.all()
    assert (found.source != Source.UNKNOWN).all()
