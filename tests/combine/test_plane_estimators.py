"""Planes asked of any matcher; Bi3D's estimators: what the net is given, what is refused."""

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import fathom
from fathom.combine import bi3d
from fathom.combine.bi3d import Bi3DSelective, Bi3DSteps, moved_right, plane_in
from fathom.combine.planes import AnswersPlanes, NearerThan, plane_of
from fathom.core import (
    Disparity,
    InputError,
    MissingExtraError,
    PlaneProbability,
    ResourceError,
    Source,
    StereoPair,
    StereoRig,
    UsageError,
    View,
)
from fathom.published.store import write_weights

torch.set_num_threads(1)
RIG = StereoRig.simple(300, 200, 400.0, 0.25)  # 5 m = 20 px, 2 m = 50 px


def pair(height=200, width=300, seed=0, rig=RIG):
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), np.uint8)
    return StereoPair(View(images[0]), View(images[1]), rig)


@dataclass(frozen=True)
class Says:
    """A matcher that says the same everywhere."""

    values: float = 22.0
    confidence: float = 0.9
    range: tuple[float, float] | None = (0.0, 63.0)

    def __call__(self, given):
        full = np.full(given.shape, self.values, np.float32)
        return Disparity(full, np.full(given.shape, self.confidence, np.float32), None, self.range)


def test_any_matcher_answers_by_its_disparity_and_confidence():
    found = NearerThan(matcher=Says(), distance=5.0)(pair())
    assert found.disparity == pytest.approx(20) and found.distance == pytest.approx(5)
    assert found.probability[0, 0] == pytest.approx(1 - 0.1**2 / 2)  # 2 px: twice as far as c says
    behind = NearerThan(matcher=Says(), disparity=24.0)(pair(rig=None))
    assert behind.probability[0, 0] == pytest.approx(0.1**2 / 2) and behind.distance is None


def test_a_matcher_that_answers_planes_is_asked_for_them():
    class Answers(Says):
        def plane(self, given, disparity):
            return PlaneProbability(np.full(given.shape, 0.25, np.float32), disparity)

    assert isinstance(Answers(), AnswersPlanes) and not isinstance(Says(), AnswersPlanes)
    found = NearerThan(matcher=Answers(), distance=2.0)(pair())
    assert found.disparity == pytest.approx(50) and found.share_nearer(0.2) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"disparity": 3.0, "distance": 3.0},
        {"disparity": float("nan")},
        {"disparity": float("inf")},
        {"distance": 0.0},
        {"distance": -1.0},
        {"distance": float("inf")},
    ],
)
def test_a_question_about_no_plane(wrong):
    with pytest.raises(UsageError, match=r"a plane is said in one way|is no plane"):
        NearerThan(matcher=Says(), **wrong)


def test_planes_that_this_pair_or_search_cannot_tell():
    with pytest.raises(UsageError, match="there is no calibration"):
        NearerThan(matcher=Says(), distance=5.0)(pair(rig=None))
    with pytest.raises(UsageError, match=r"lies outside the images.*a plane farther away"):
        NearerThan(matcher=Says(), distance=0.1)(pair())
    with pytest.raises(UsageError, match="give a nearer plane"):
        plane_of(pair(), -400.0, None)
    with pytest.raises(UsageError, match=r"0 to 63 px, as searched.*--max-disparity 75"):
        NearerThan(matcher=Says(), disparity=70.0)(pair())
    with pytest.raises(UsageError, match="give a smaller --min-disparity"):
        NearerThan(matcher=Says(), disparity=-5.0)(pair())
    assert NearerThan(matcher=Says(range=None), disparity=70.0)(pair()).share_nearer() == 0


def test_the_true_share_of_a_real_scene(motorcycle):
    from fathom.geometry.resize import crop_pair

    part = crop_pair(motorcycle.pair, 250, 150, 260, 140)
    truth = motorcycle.truth.values[150:290, 250:510]
    found = NearerThan(matcher=fathom.create("sgm", max_disparity=64, threads=1), disparity=40.0)(
        part
    )
    known = np.isfinite(truth)
    assert (found.nearer() == (truth > 40))[known].mean() > 0.92  # sgm's, occluded pixels included


# ---- Bi3D


class Watched:
    """Answers by plane: nearer than those below 30 px; remembers what it was given."""

    def __init__(self, limits):
        self.limits, self.asked = limits, []

    def nearer(self, left, right, planes):
        self.left, self.right = left.clone(), right.clone()
        self.asked.append(planes)
        logits = [torch.full_like(left[:, :1], 4.0 if p < 30 else -4.0) for p in planes[0]]
        return logits, torch.cat(logits, dim=1)

    def selected(self, left, right):
        """Half of the image at 30 px, a quarter nearer and a quarter farther than the range."""
        self.left, self.right = left.clone(), right.clone()
        shape = left[:, :1].shape
        maps = [torch.full(shape, v) for v in (30.0, 0.8, 1.0, 0.0)]
        quarter = shape[-1] // 4
        maps[3][..., -quarter:] = 1.0
        maps[2][..., :quarter] = 0.0
        return torch.cat(maps, dim=1)


@pytest.fixture
def watched(monkeypatch, tmp_path):
    nets = []

    def net(model, held, device, limits, compiled):
        nets.append(Watched(limits))
        return nets[-1]

    monkeypatch.setattr(bi3d, "_net", net)
    write_weights(tmp_path / "w.safetensors", {}, {})
    return nets, {"weights": str(tmp_path / "w.safetensors")}


def test_one_plane_is_one_pass_in_the_authors_frame(watched):
    nets, weights = watched
    given = pair()
    found = NearerThan(matcher=Bi3DSteps(**weights), disparity=24)(given)
    net = nets[0]
    assert net.asked == [[[24]]] and tuple(net.left.shape) == (1, 3, 288, 384)
    for view, tensor in ((given.left, net.left), (given.right, net.right)):
        image = tensor[0].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(image[88:, 84:], view.rgb8)  # room above and at the left
        assert (image[:88] == 127.5).all() and (image[:, :84] == 127.5).all()
    assert found.shape == (200, 300) and found.distance == pytest.approx(100 / 24)
    assert np.allclose(found.probability, 1 / (1 + np.exp(-4)))


@pytest.mark.parametrize(
    ("plane", "asked", "moved"), [(25, 24, 1), (26.5, 24, 2.5), (195, 192, 3), (-2, 0, -2)]
)
def test_other_planes_are_reached_by_moving_the_right_view(watched, plane, asked, moved):
    nets, weights = watched
    given = pair()
    found = Bi3DSteps(**weights).plane(given, plane)
    assert nets[0].asked == [[[asked]]] and found.disparity == plane
    right = nets[0].right[0].permute(1, 2, 0).numpy()[88:, 84:]
    np.testing.assert_allclose(right, moved_right(given.right.rgb8, moved))


def test_moving_is_linear_between_pixels_and_repeats_the_border():
    image = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    assert moved_right(image, 0) is image
    np.testing.assert_array_equal(moved_right(image, 1)[0, :, 0], [0, 0, 3, 6])
    np.testing.assert_array_equal(moved_right(image, -1)[0, :, 0], [3, 6, 9, 9])
    np.testing.assert_allclose(moved_right(image, 0.5)[0, :, 0], [0, 1.5, 4.5, 7.5])


def test_depth_in_steps(watched):
    nets, weights = watched
    steps = fathom.create("bi3d-quantized", planes="12, 5m,40,80cm", **weights)
    found = steps.quantized(pair())
    assert [p.disparity for p in found.planes] == pytest.approx([12, 20, 40, 125])
    assert sorted(nets[0].asked) == [[[12]], [[18, 123]], [[39]]]  # equal moves share a pass
    assert (found.label == 2).all() and found.range == (0, 221)
    disparity = steps(pair())
    assert (disparity.values == 30).all()
    assert (disparity.source[:, :30] == Source.FILLED).all()  # its match lies outside
    assert (disparity.source[:, 30:] == Source.MATCHED).all()
    left_out = Bi3DSteps(planes="12,40", fill=False, confidence=False, **weights)(pair())
    assert np.isnan(left_out.values[:, :20]).all() and left_out.confidence is None


def test_the_planes_where_none_are_asked_for(watched):
    nets, weights = watched
    Bi3DSteps(model="bi3d-quantized", **weights).quantized(pair())
    assert nets[0].asked == [[[24, 36, 54, 96, 144]]]
    Bi3DSteps(**weights).quantized(pair())
    assert nets[1].asked == [[[48]]]


@pytest.mark.parametrize(
    ("word", "plane"),
    [("24", (24, False)), ("24.5px", (24.5, False)), (" 5m", (5, True)), ("80cm", (0.8, True)),
     ("800 mm", (0.8, True)), ("-3", (-3, False))],
)  # fmt: skip
def test_planes_in_words(word, plane):
    assert plane_in(word) == (pytest.approx(plane[0]), plane[1])


@pytest.mark.parametrize("word", ["", "m", "5x", "nan", "infm", "-5m", "0m", "5mm m"])
def test_words_that_are_no_plane(word):
    with pytest.raises(UsageError, match=r"is no plane; expected pixels .* or metres"):
        plane_in(word)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"planes": "24,x"}, "is no plane"),
        ({"model": "bi3d-ternary"}, "unknown model"),
        ({"precision": "fp8"}, "unknown precision"),
        ({"device": "tpu"}, "is no device"),
        ({"memory_limit": 0}, "is out of range"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_parameters_that_cannot_be(wrong, problem):
    with pytest.raises(UsageError, match=problem):
        Bi3DSteps(**wrong)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"planes": "24,24"}, "do not cut the range into steps"),
        ({"planes": "24,48", "max_disparity": 40}, "do not cut the range into steps"),
        ({"planes": "24", "min_disparity": 30}, "do not cut the range into steps"),
        ({"planes": "0.1m"}, "lies outside the images"),
    ],
)
def test_steps_that_cannot_be(watched, parameters, problem):
    with pytest.raises(UsageError, match=problem):
        Bi3DSteps(**parameters, **watched[1])(pair())


def test_a_selected_range_and_what_lies_on_its_sides(watched):
    nets, weights = watched
    given = pair()
    selective = fathom.create("bi3d-selective", min_disparity=13, max_disparity=47, **weights)
    found = selective.select(given)
    assert nets[0].limits == (12, 48)  # whole cells
    assert found.disparity.range == (12, 48)
    assert found.near.disparity == 48 and found.far.distance == pytest.approx(100 / 12)
    assert found.nearer[:, -96:].all() and not found.nearer[:, :-96].any()
    assert found.farther[:, :12].all() and not found.farther[:, 12:].any()
    disparity = selective(given)
    assert (disparity.values[:, :12] == 12).all() and (disparity.values[:, -96:] == 48).all()
    assert (disparity.source[:, -96:] == Source.FILLED).all()
    assert (disparity.confidence[:, -96:] == 0).all()
    assert (disparity.values[:, 12:-96] == 30).all()
    plain = Bi3DSelective(min_disparity=13, max_disparity=47, fill=False, **weights)(given)
    assert np.isnan(plain.values[:, -96:]).all() and np.isnan(plain.values[:, :30]).all()
    assert (plain.values[:, 30:-96] == 30).all()


def test_a_range_in_metres(watched):
    nets, weights = watched
    Bi3DSelective(nearest=2.0, farthest=5.0, **weights).select(pair())  # 50 to 20 px
    assert nets[0].limits == (18, 51)
    Bi3DSelective(farthest=5.0, **weights).select(pair())
    assert nets[1].limits == (18, 192)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"min_disparity": -3}, "is out of range"),
        ({"nearest": 0.0}, "is out of range"),
        ({"nearest": 2.0, "max_disparity": 48}, "said twice"),
        ({"farthest": 9.0, "min_disparity": 12}, "said twice"),
    ],
)
def test_ranges_that_cannot_be(wrong, problem):
    with pytest.raises(UsageError, match=problem):
        Bi3DSelective(**wrong)


def test_ranges_that_this_pair_does_not_have(watched):
    with pytest.raises(UsageError, match="ends before it begins"):
        Bi3DSelective(nearest=5.0, farthest=2.0, **watched[1]).select(pair())
    with pytest.raises(UsageError, match="lies outside the images"):
        Bi3DSelective(max_disparity=400, **watched[1]).select(pair())
    with pytest.raises(UsageError, match="there is no calibration"):
        Bi3DSelective(nearest=2.0, **watched[1]).select(pair(rig=None))


@pytest.mark.parametrize("build", [Bi3DSteps, Bi3DSelective])
def test_too_little_memory_and_no_weights(build, watched, tmp_path):
    with pytest.raises(ResourceError, match="MB of memory"):
        build(memory_limit=10**6, **watched[1])(pair())
    with pytest.raises(InputError, match=r"no\.safetensors"):
        build(weights=str(tmp_path / "no.safetensors"))(pair())


@pytest.mark.parametrize(
    ("width", "planes", "end", "limits"),
    [(160, [24, 36, 54, 96, 144], 159, (0, 159)), (90, [24, 36, 54], 89, (0, 87)),
     (24, [12], 23, (0, 21))],
)  # fmt: skip
def test_without_parameters_narrow_pairs_are_answered(watched, width, planes, end, limits):
    nets, weights = watched
    given = pair(20, width, rig=None)
    found = fathom.create("bi3d-quantized", **weights).quantized(given)
    assert nets[0].asked == [[planes]] and found.range == (0, end)
    fathom.create("bi3d-selective", **weights).select(given)
    assert nets[1].limits == limits


def test_weights_of_another_net_are_refused(tmp_path):
    file = tmp_path / "other.safetensors"
    write_weights(file, {}, {"model": "bi3d"})
    for matcher in (Bi3DSteps(weights=str(file)), Bi3DSelective(weights=str(file))):
        with pytest.raises(InputError, match="holds weights of bi3d, not of bi3d-"):
            matcher(pair(width=150, rig=None))  # said before anything about planes and ranges
    with pytest.raises(InputError, match="holds weights of bi3d, not of bi3d-2d"):
        Bi3DSelective(max_disparity=192, weights=str(file))(pair(width=150, rig=None))


def test_without_torch_the_extra_is_named(monkeypatch, tmp_path):
    write_weights(tmp_path / "w.safetensors", {}, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"fathom-depth\[torch\]"):
        Bi3DSteps(weights=str(tmp_path / "w.safetensors"))(pair())
