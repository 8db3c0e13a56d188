"""Adaptation's parts: windows with anchors, the objective, what is watched, the early end."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from train_runs import BASE, Many, plain_net, run, sample

from fathom.core import Disparity, InputError, ResourceError, StereoPair, UsageError
from fathom.layers.stereo import StereoOutput
from fathom.train.adapt import Adapting, AdaptLoss, Labelled
from fathom.train.adapt_nets import Start
from fathom.train.adapt_recipe import Recipe
from fathom.train.adapt_watch import Seen, Watch, judge_frame, means
from fathom.train.batches import parted
from fathom.train.load import described
from fathom.workflows.adapt import _Decision, _once


def anchored(index=3):
    """A frame whose labels are 7 px, and whose anchors are its true disparity at some pixels."""
    frame = sample(index)
    truth = np.full(frame.pair.shape, 7.0, np.float32)
    mask = np.random.default_rng(0).random(truth.shape) < 0.2
    truth[mask] = np.arange(truth.size, dtype=np.float32).reshape(truth.shape)[mask] / 10
    return replace(frame, truth=Disparity(truth), masks={"anchors": mask})


def test_anchors_are_cut_from_the_same_window_as_the_labels():
    task = Adapting()
    cuts = [
        task.cut(BASE, s, s.name, np.random.default_rng(i)) for i, s in enumerate([anchored()] * 3)
    ]
    for crop, anchors in cuts:
        known = np.isfinite(anchors)
        assert 0 < known.sum() < known.size / 2
        np.testing.assert_array_equal(crop.truth[known], anchors[known])
        assert (crop.truth[~known] == 7).all()
    plain = task.cut(BASE, sample(1), "s1", np.random.default_rng(0))
    assert np.isnan(plain[1]).all()
    batch = task.to_batch(task.stacked([*cuts, plain], ()), torch.device("cpu"), False)
    assert batch.anchors.shape == (4, 1, 8, 16) and batch.part(slice(3, 4)).names == ("s1",)


def terms(recipe, labelled=True, anchors=True):
    task, one = Adapting(recipe.both_views), anchored()
    if not anchors:
        one = replace(one, masks={})
    if not labelled:
        one = replace(one, truth=None, masks={})
    cut = task.cut(BASE, one, one.name, np.random.default_rng(0))
    batch = task.to_batch(task.stacked([cut], ()), torch.device("cpu"), False)
    torch.manual_seed(0)
    net = plain_net()
    output = task.output(net(*batch.inputs))
    return AdaptLoss(recipe)(output, batch)


def test_each_weight_adds_its_term():
    assert set(terms(Recipe())) == {"labels: disparity", "anchors"}
    assert set(terms(Recipe(anchor_weight=0))) == {"labels: disparity"}
    assert set(terms(Recipe(labels=0), anchors=False)) == {"nothing"}
    found = terms(Recipe(photometric=1, smoothness=0.5, consistency=0.1))
    assert {"photometric", "smoothness", "consistency"} < set(found)
    assert set(terms(Recipe(photometric=1), labelled=False)) == {"photometric"}
    name = "labels: disparity"
    once, twice = (terms(Recipe(labels=w))[name].detach() for w in (1.0, 2.0))
    assert math.isfinite(float(once)) and float(twice) == pytest.approx(2 * float(once))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"photometric": -1.0}, "is no weight"),
        ({"sure": 1.5}, "is no share"),
        ({"labels": 0.0, "anchor_weight": 0.0}, "teach nothing"),
    ],
)
def test_impossible_recipes(wrong, words):
    with pytest.raises(UsageError, match=words):
        Recipe(**wrong)


class Exactly:
    """A matcher that knows the disparity of `train_runs.sample`, from both sides, plus `off`."""

    def __init__(self, off=0.0):
        self.off = off

    def __call__(self, pair):
        for d in range(6):
            a, b = pair.left.rgb8, pair.right.rgb8
            if (a[:, d:] == b[:, : b.shape[1] - d]).all():
                return Disparity(np.full(pair.shape, d + self.off, np.float32))
        raise InputError("is no pair")


def test_what_is_watched_is_small_where_it_is_right():
    right, wrong = (judge_frame(Exactly(off), sample(3), sample(3).truth) for off in (0, 2.5))
    assert right.numbers["epe"] == 0 and wrong.numbers["epe"] == pytest.approx(2.5)
    assert wrong.numbers["bad-2"] == 1 and wrong.numbers["labels"] == 1
    for name in ("inconsistency", "photometric"):
        assert right.numbers[name] < wrong.numbers[name]
    assert "labels" not in judge_frame(Exactly(), replace(sample(3), truth=None)).numbers


def test_a_frame_that_fails_is_named_and_none_at_all_is_an_error():
    said = []
    torn = StereoPair(sample(4).pair.left, sample(5).pair.right)
    frames = [sample(3), replace(sample(4), pair=torn)]
    seen = Watch("held", frames).judged(Exactly(), said.append)
    assert [s.name for s in seen] == ["s3"] and len(said) == 1 and "is no pair" in said[0]
    assert Watch("held", frames).judged(Exactly(), said.append, lambda: True) is None
    with pytest.raises(InputError, match="no held-back frame can be judged"):
        Watch("held", frames[1:]).judged(Exactly(), said.append)
    before = means(seen)
    assert Watch("held", frames, None, tuple(before.items())).scores(seen)["against before"] == 1


def test_a_full_disk_is_no_frame_that_failed():
    class Full:
        names = ("a",)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise ResourceError("cannot be written", file="x")

    with pytest.raises(ResourceError, match="x: cannot be written"):
        Watch("held-back", Full()).judged(Exactly(), print)


def test_a_frame_that_failed_once_is_compared_with_nothing():
    before, after = (
        [Seen(n, {}, Disparity(np.ones((2, 2), np.float32))) for n in names]
        for names in ("abc", "bc")
    )
    found = _Decision(before, after, 1.0, False, Path("weights.safetensors")).both()
    assert [(b.name, a.name) for b, a in found] == [("b", "b"), ("c", "c")]


def test_labels_that_are_nowhere_sure_are_left_out():
    class Unsure:
        def __getitem__(self, index):
            raise InputError("is sure nowhere")

    seen = Watch("held", [sample(3)], Unsure()).judged(Exactly(), print)
    assert "labels" not in seen[0].numbers


def test_few_frames_hold_back_as_many_as_judging_needs():
    few, enough = (parted(Many(9), 1e-9, least)[1].indices for least in (1, 4))
    assert len(few) == 1 and len(enough) == 4 and set(few) < set(enough)
    assert len(parted(Many(3), 0.1, 4)[0]) == 1


def test_labelled_frames_know_their_anchors():
    class Named(list):
        names = ("a", "b")

    frames = Named([sample(1), replace(sample(2), truth=None)])
    found = Labelled(frames, [anchored(1), replace(sample(2), masks={})])
    assert found.names == ("a", "b") and len(found) == 2
    assert found[0].masks["anchors"].all() and not found[1].masks


def test_the_loop_ends_when_the_rule_says_so_and_knows_the_series_again(tmp_path):
    seen = []

    def rule(headlines):
        seen.append(tuple(headlines))
        return "enough" if len(headlines) >= 3 else None

    result, lines = run(tmp_path / "a", stop=rule, validate_every=2)
    assert result.stopped == "enough" and result.step == 4
    assert (
        "stopped after step 4: enough" in lines and (tmp_path / "a/weights.safetensors").is_file()
    )
    assert [len(s) for s in seen] == [2, 3] and seen[1][:2] == seen[0]
    assert result.best == min(seen[1])
    again, _ = run(tmp_path / "a", stop=rule, validate_every=2, resume=True)
    assert again.step == 6 and seen[2][:3] == seen[1]


def test_where_things_lie_makes_no_other_run():
    here, there = (
        described({"task": Adapting(kept=Path(p)), "net": Start("fathom-s", f"{p}/a.safetensors")})
        for p in ("runs", "/home/me/runs")
    )
    assert here == there != described({"task": Adapting(True), "net": Start("fathom-s")})


def test_a_frame_without_labels_is_asked_for_and_named_once():
    asked, said = [], []

    class Unsure:
        def __getitem__(self, index):
            asked.append(index)
            raise InputError("is sure nowhere")

    found = Labelled([sample(1), sample(2)], Unsure())
    for index in (0, 0, 1, 0):
        with pytest.raises(InputError, match="is sure nowhere"):
            found[index]
    assert asked == [0, 1]
    say = _once(said.append)
    for line in ("step 1", "left out a: is sure nowhere", "step 1", "left out a: is sure nowhere"):
        say(line)
    assert said == ["step 1", "left out a: is sure nowhere", "step 1"]


def test_output_of_both_views_is_taken_apart():
    task = Adapting(both_views=True)
    both = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    found = task.output(StereoOutput((both,)))
    assert found.disparities[0].shape[0] == 1 and (found.right[0] == 1).all()
