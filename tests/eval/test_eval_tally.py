"""Averages over a data set, by hand; and that nothing grows with it."""

import json
import tracemalloc

import numpy as np
import pytest

from fathom.core import Disparity, InputError, StereoPair, StereoSample, UsageError, View
from fathom.eval.protocols import protocol
from fathom.eval.scoring import score
from fathom.eval.tally import Tally

NAN = np.nan


def sample(name, *truth):
    image = View(np.zeros((1, len(truth), 3), np.uint8))
    return StereoSample(
        StereoPair(image, image), Disparity(np.array([truth], np.float32)), name=name
    )


def found(*values):
    return Disparity(np.array([values], np.float32))


A = (found(10, 20, 30, 45), sample("a", 10, 20, 30, 40))  # errors 0 0 0 5
B = (found(11, NAN), sample("b", 10, 20))  # error 1, one unknown


def tally_of(name, *pairs):
    chosen = protocol(name)
    tally = Tally(chosen, "all")
    for estimate, truth in pairs:
        tally.add(score(estimate, truth, chosen, mask="all"))
    return tally


def test_both_means_by_hand():
    t = tally_of("sceneflow", A, B).totals()
    assert (t.images, t.pixels) == (2, 6)
    assert t.known == pytest.approx(5 / 6)
    assert t.of_images["epe"] == pytest.approx((5 / 4 + 1) / 2)
    assert t.of_pixels["epe"] == pytest.approx(6 / 5)
    assert t.of_images["bad-3"] == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert t.of_pixels["bad-3"] == pytest.approx(2 / 6)
    assert t.of_pixels["rms"] == pytest.approx(np.sqrt(26 / 5))
    assert t.worst["epe"] == ("a", pytest.approx(1.25))
    assert t.worst["bad-3"] == ("b", 0.5)
    assert t.published["epe"] == t.of_images["epe"]
    text = str(t)
    assert "mean of images" in text
    assert "over all pixels" not in text


def test_kitti_2015_is_over_all_pixels():
    t = tally_of("kitti-2015", A, B).totals()
    assert t.published["d1"] == t.of_pixels["d1"]
    assert "over all pixels" in str(t)


def test_quantiles_and_areas_are_not_pooled():
    t = tally_of("eth3d", A, B).totals()
    assert "a90" in t.of_images
    assert "a90" not in t.of_pixels


def test_an_image_without_a_number_is_counted_out_and_said():
    nothing = (found(NAN, NAN), sample("c", 10, 20))
    t = tally_of("sceneflow", A, nothing).totals()
    assert t.counted["epe"] == 1
    assert t.counted["bad-1"] == 2
    assert t.of_images["epe"] == pytest.approx(1.25)
    assert "1 of 2 images" in str(t)
    assert t.noted == 1
    assert t.first_note.startswith("c: ")
    assert "(! 1 images: c: " in str(t)
    told = json.loads(json.dumps(t.as_dict(), allow_nan=False))
    assert told["published_mean"] == "images"
    assert told["mean_of_images"]["epe"] == pytest.approx(1.25)
    alone = tally_of("sceneflow", nothing).totals()
    assert np.isnan(alone.of_images["epe"])
    assert alone.as_dict()["over_all_pixels"]["epe"] is None


def test_other_protocols_and_masks_do_not_add_up():
    tally = tally_of("sceneflow", A)
    with pytest.raises(UsageError, match=r"eth3d, all.: cannot be averaged"):
        tally.add(score(*A, "eth3d", mask="all"))
    varied = protocol("sceneflow").varied(disparity_cap=100.0)
    with pytest.raises(UsageError, match="disparity-cap=100"):
        tally.add(score(*A, varied))
    with pytest.raises(InputError, match="no image"):
        Tally(protocol("eth3d")).totals()


def test_memory_does_not_grow_with_the_images():
    chosen = protocol("sceneflow")
    tally = Tally(chosen)
    one = score(*A, chosen)
    tracemalloc.start()
    for _ in range(500):
        tally.add(one)
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(2000):
        tally.add(one)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 20_000
    assert tally.totals().images == 2500
