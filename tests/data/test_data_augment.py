"""Augmentation: the truth stays exact under every kind, each kind can be switched off."""

from dataclasses import replace

import numpy as np
import pytest

from fathom.core import InputError, UsageError
from fathom.core.maps import Disparity
from fathom.core.pair import StereoPair, View
from fathom.core.sample import StereoSample
from fathom.data import augment as module
from fathom.data.augment import AugmentSettings, RightTruth, augment
from fathom.data.scenes import SceneSettings, full_scene

OFF = dict.fromkeys(module._SHARES, 0.0)
CALM = SceneSettings(width=224, height=144, kinds=("studio",), effects=False, glossy=0, glass=0,
                     night=0, least_objects=3, most_objects=5)  # fmt: skip


@pytest.fixture(scope="module")
def scene():
    return full_scene(4, CALM)


def residual(sample: StereoSample, off: float = 0.0, rows: float = 0.0, roll: float = 0.0) -> float:
    """Mean difference of the views where both see the point, in grey levels, with the truth moved
    by `off` pixels; rows, roll: where the right view was shifted and turned."""
    import cv2

    d = sample.truth.values + np.float32(off)
    height, width = d.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    there = y + rows + np.float32(roll) * (x - d - (width - 1) / 2)
    right = sample.pair.right.image.astype(np.float32)
    warped = cv2.remap(right, x - d, there.astype(np.float32), cv2.INTER_LINEAR)
    steep = cv2.dilate(
        (np.abs(cv2.Laplacian(d, cv2.CV_32F)) > 0.5).astype(np.uint8), np.ones((7, 7))
    )
    use = sample.masks["nonocc"] & (steep == 0)
    use[:3], use[-3:], use[:, -3:] = False, False, False
    assert use.mean() > 0.3
    return float(np.abs(sample.pair.left.image - warped).mean(2)[use].mean())


def is_exact(sample: StereoSample, margin: float = 0.85, **place: float) -> bool:
    """True if the views agree best where the truth says, to a quarter of a pixel."""
    here = residual(sample, **place)
    return all(here < margin * residual(sample, off, **place) for off in (-0.25, 0.25))


def right_of(scene) -> RightTruth:
    return RightTruth(Disparity(scene.disparity_right), {"nonocc": scene.seen_right})


def test_the_scene_itself_is_exact(scene) -> None:
    assert is_exact(scene.sample)


def test_nothing_is_done_when_all_is_switched_off(scene) -> None:
    out = augment(scene.sample, np.random.default_rng(0), AugmentSettings(**OFF), right_of(scene))
    assert np.array_equal(out.pair.left.image, scene.left)
    assert np.array_equal(out.pair.right.image, scene.right)
    assert np.array_equal(out.truth.values, scene.disparity)


@pytest.mark.parametrize("name", module._SHARES)
def test_each_kind_changes_something_and_keeps_the_truth(scene, name: str) -> None:
    settings = AugmentSettings(**{**OFF, name: 1.0}, roll=0.0, shift=0.4, most_patch=60)
    out = augment(scene.sample, np.random.default_rng(3), settings, right_of(scene))
    if name == "uneven":  # says only that the others differ between the views
        assert np.array_equal(out.pair.left.image, scene.left)
        return
    views = zip(module._images(out), module._images(scene.sample), strict=True)
    same = out.pair.size == scene.sample.pair.size and all(np.array_equal(*v) for v in views)
    assert not same
    if name != "noise":
        assert is_exact(out, margin=0.96)
    assert out.pair.rig is not None and out.pair.rig.size == out.pair.size


def test_the_same_chance_gives_the_same_sample(scene) -> None:
    first, second = (augment(scene.sample, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.pair.right.image, second.pair.right.image)
    assert np.array_equal(first.truth.values, second.truth.values)


def test_mirrored_by_hand() -> None:
    left = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    right = left + 100
    pair = StereoPair(View(left), View(right))
    truth = Disparity(np.full((2, 4), 1.0, np.float32))
    right_map = np.arange(8, dtype=np.float32).reshape(2, 4)
    out = module.mirrored(StereoSample(pair, truth, {}, "a"), RightTruth(Disparity(right_map), {}))
    assert np.array_equal(out.pair.left.image, right[:, ::-1])
    assert np.array_equal(out.pair.right.image, left[:, ::-1])
    assert np.array_equal(out.truth.values, right_map[:, ::-1])


def test_mirroring_a_scene_keeps_every_mask(scene) -> None:
    """What the right view sees of glass, thin things and the sky is known, so no mask is lost."""
    rich = full_scene(4, replace(CALM, width=96, height=64, glass=0.5, glossy=0.5, motion=1.0), 1)
    out = augment(
        rich.sample, np.random.default_rng(0), AugmentSettings(**{**OFF, "flip": 1.0}),
        rich.right_truth,
    )  # fmt: skip
    assert np.array_equal(out.pair.left.image, rich.right[:, ::-1])
    assert np.array_equal(out.truth.values, rich.disparity_right[:, ::-1])
    assert set(out.masks) == set(rich.masks) and out.masks["moving"].any()
    for name, mask in out.masks.items():
        assert np.array_equal(mask, rich.masks_right[name][:, ::-1])
    assert np.array_equal(out.masks["nonocc"], rich.seen_right[:, ::-1])
    # where both views see one place they tell the same of it, but for the edges of its surface
    y, x = np.nonzero(rich.seen)
    there = np.rint(x - rich.disparity[y, x]).astype(int)
    for name in ("transparent", "reflective", "thin", "sky"):
        assert (rich.masks[name][y, x] == rich.masks_right[name][y, there]).mean() > 0.97


def test_mirrored_rig_gives_the_same_depth(scene) -> None:
    out = module.mirrored(scene.sample, right_of(scene))
    rig = out.pair.rig
    assert rig.doffs == pytest.approx(scene.rig.doffs)
    assert rig.left.cx == pytest.approx(scene.rig.left.width - 1 - scene.rig.right.cx)
    assert is_exact(out)


def test_resized_carries_truth_and_rig(scene) -> None:
    out = module.resized(scene.sample, (448, 144))
    assert out.pair.size == (448, 144)
    assert is_exact(out)
    middle = out.truth.values[::7, ::14]
    before = scene.disparity[::7, ::7]
    assert np.median(np.abs(middle - 2 * before[: middle.shape[0], : middle.shape[1]])) < 0.1
    depth = scene.rig.depth_of(scene.disparity)
    assert np.median(out.pair.rig.depth_of(out.truth.values)) == pytest.approx(
        float(np.median(depth)), rel=0.02
    )


def test_resizing_keeps_edges_of_the_truth_sharp_and_planes_exact() -> None:
    """A ramp is interpolated to the pixel's own place; a step is never bridged."""
    ramp = np.tile(np.arange(8, dtype=np.float32) * 0.5, (4, 1))
    out = module._resized_truth(ramp, (16, 4))
    places = (np.arange(16) + 0.5) / 2 - 0.5
    assert np.allclose(out[0, 1:-1], places[1:-1])  # (x / 2) times the ratio 2
    step = np.where(np.arange(8) < 4, 1, 20).astype(np.float32)[None].repeat(4, 0)
    assert set(module._resized_truth(step, (16, 8)).ravel().tolist()) == {2.0, 40.0}
    holed = step.copy()
    holed[:, 2] = np.nan
    again = module._resized_truth(holed, (16, 4))
    assert np.isnan(again[0, 4:6]).all() and not np.isnan(again[0, :4]).any()


def test_crop_moves_the_principal_point_and_drops_what_left_the_right_view(scene) -> None:
    out = module.cropped(scene.sample, 60, 20, 100, 80)
    assert out.pair.rig.left.cx == pytest.approx(scene.rig.left.cx - 60)
    assert out.pair.rig.left.cy == pytest.approx(scene.rig.left.cy - 20)
    gone = np.arange(100)[None] - out.truth.values < 0
    assert gone.any() and not out.masks["nonocc"][gone].any()


def test_an_enlarged_crop_of_a_small_sample_fits(scene) -> None:
    settings = AugmentSettings(**OFF, width=300, height=200)
    out = augment(scene.sample, np.random.default_rng(0), settings)
    assert out.pair.size == (300, 200) and is_exact(out)


def test_tilted_truth_says_where_the_point_now_is(scene) -> None:
    roll = np.radians(1.0)
    out = module.tilted(scene.sample, 1.5, roll)
    assert is_exact(out, margin=0.92, rows=1.5, roll=float(roll))
    changed = out.truth.values - scene.disparity
    # turned about the middle: rows above move one way, those below the other (1 degree, 70 rows)
    assert changed[0].mean() == pytest.approx(-changed[-1].mean(), abs=0.1)
    assert abs(changed[0].mean()) == pytest.approx(np.sin(roll) * 71.5, rel=0.1)


def test_hidden_places_are_no_longer_seen_by_both(scene) -> None:
    out = module.hidden(scene.sample, np.random.default_rng(2), (60, 50))
    new = scene.masks["nonocc"] & ~out.masks["nonocc"]
    painted = (out.pair.right.image != scene.right).any(2)
    assert painted.any() and new.any()
    y, x = np.nonzero(new)
    there = np.rint(x - scene.disparity[new]).astype(int)
    assert painted[y, there].mean() > 0.95
    assert np.array_equal(out.truth.values, scene.disparity)
    colors = out.pair.right.image[painted]
    assert np.ptp(colors, axis=0).max() == 0


def test_uneven_colours_differ_between_the_views(scene) -> None:
    same = AugmentSettings(**{**OFF, "color": 1.0})
    other = AugmentSettings(**{**OFF, "color": 1.0, "uneven": 1.0})
    gaps = []
    for settings in (same, other):
        out = augment(scene.sample, np.random.default_rng(5), settings)
        gaps.append(abs(float(out.pair.left.image.mean()) - float(out.pair.right.image.mean())))
    assert gaps[1] > gaps[0] + 3


def test_sixteen_bits_and_samples_without_truth(scene) -> None:
    views = [View(image.astype(np.uint16) * 257) for image in (scene.left, scene.right)]
    sample = StereoSample(StereoPair(*views), None, {}, "a")
    every = AugmentSettings(**dict.fromkeys(OFF, 1.0), width=64, height=48)
    out = augment(sample, np.random.default_rng(0), every)
    assert out.truth is None and out.pair.left.image.dtype == np.uint16
    assert out.pair.size == (64, 48)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hide": 1.5},
        {"flip": -0.1},
        {"width": 100},
        {"width": 0, "height": 10},
        {"smallest": 0.5, "largest": 0.1},
        {"least_patch": 100, "most_patch": 50},
        {"stretch": 5.0},
        {"roll": 90.0},
    ],
)
def test_wrong_settings(wrong) -> None:
    with pytest.raises(UsageError):
        AugmentSettings(**wrong)


def test_a_right_truth_of_another_size(scene) -> None:
    right = RightTruth(Disparity(np.ones((3, 4), np.float32)), {})
    with pytest.raises(InputError, match="right truth"):
        augment(scene.sample, np.random.default_rng(0), None, right)
