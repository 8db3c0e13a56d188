"""Depth from one view: guesses, CutMix, the losses' regions, alignment, the loop."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from train_runs import Many

from fathom.core import Depth, InputError, MonoSample, RelativeDepth, UsageError, View
from fathom.layers.depth_losses import affine_invariant, gradient_matching
from fathom.layers.mono import MonoOutput, as_mono_output, feature_alignment
from fathom.train import Experiment, train
from fathom.train.checkpoint import read_weights
from fathom.train.experiment import Judging
from fathom.train.guessed import GUESSED, Blend, GuessedViews, relative_teacher
from fathom.train.judge_views import ViewJudge, judge_views
from fathom.train.pseudo import OneView, Strong, ViewBatch, ViewCrop, ViewLoss, mixed

torch.set_num_threads(1)
H, W = 12, 16


def view(seed, labelled=True, value=None):
    """A random picture whose green says how near: depth 2 .. 10."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (H, W, 3), dtype=np.uint8)
    if value is not None:
        image[...] = value
    truth = Depth(1 / (0.1 + image[..., 1] / np.float32(640))) if labelled else None
    return MonoSample(View(image), truth, name=f"v{seed}")


def guess(seed):
    made = view(seed)
    return replace(made, masks={GUESSED: np.ones((H, W), bool)})


class Linear(nn.Module):
    """Inverse depth from each pixel's colours, which is what there is to learn; its features are
    the colours in other directions."""

    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(3, 1, 1)
        self.features = nn.Conv2d(3, 4, 1)

    def forward(self, image):
        return MonoOutput(self.map(image / 255), self.features(image / 255))


def views():
    return [view(i) for i in range(6)]


BASE = Experiment(
    net=Linear, data=views, loss=ViewLoss(), task=OneView(), steps=30, batch=4, crop_width=W,
    crop_height=H, divisor=4, learning_rate=5e-2, warmup=0, threads=1, log_every=30,
    save_every=30, validate_every=30, channels_last=False,
    validation=(ViewJudge("seen", views),),
)  # fmt: skip


def cut(sample, seed=0, task=None, **changes):
    task = task or OneView(flip=0.0)
    return task.cut(replace(BASE, **changes), sample, "name", np.random.default_rng(seed))


# Guesses


def test_a_guess_is_the_teacher_s_answer_up_to_scale_and_shift():
    def teacher(v):
        return RelativeDepth(v.image[..., 1].astype(np.float32) - 77, "affine_inverse")

    plain = [view(1, labelled=False), view(2)]
    found = GuessedViews(plain, teacher)[0]
    assert len(GuessedViews(plain, teacher)) == 2 and found.masks[GUESSED].all()
    inverse, green = 1 / found.truth.values, plain[0].view.image[..., 1]
    slope, shift = np.polyfit(green.ravel(), inverse.ravel(), 1)
    np.testing.assert_allclose(inverse, slope * green + shift, rtol=1e-4)
    assert (
        slope > 0 and inverse.min() == pytest.approx(1 / 11) and inverse.max() == pytest.approx(1)
    )
    metric = GuessedViews(plain, lambda v: plain[1].truth)[1]
    np.testing.assert_array_equal(metric.truth.values, plain[1].truth.values)
    flat = RelativeDepth(np.ones((H, W), np.float32), "affine_inverse")
    for wrong in (flat, replace(flat, ambiguity="affine")):
        with pytest.raises(InputError, match="cannot teach"):
            GuessedViews(plain, lambda v, wrong=wrong: wrong)[0]


def test_a_net_as_a_teacher():
    net = Linear()
    answer = relative_teacher(net)(view(3).view)
    assert answer.ambiguity == "affine_inverse"
    image = torch.from_numpy(view(3).view.image.copy()).permute(2, 0, 1)[None].float()
    np.testing.assert_allclose(answer.values, net(image).map[0, 0].detach().numpy(), rtol=1e-5)


def test_a_blend_keeps_its_shares_and_shows_all():
    blend = Blend((list("ab"), list("uvwxyz")), (1, 2), seed=3)
    seen = [blend[i] for i in range(12)]
    assert all(s in "ab" for s in seen[::3]) and set(seen[::3]) == set("ab")
    assert sorted(s for s in seen if s not in "ab")[:6] != list("uuvvww")
    assert {s for s in seen[:9] if s not in "ab"} == set("uvwxyz")
    assert seen == [Blend((list("ab"), list("uvwxyz")), (1, 2), seed=3)[i] for i in range(12)]
    for shares in ((1,), (1, 0)):
        with pytest.raises(UsageError, match="do not fit the sets"):
            Blend(("ab", "cd"), shares)
    with pytest.raises(UsageError, match="holds no sample"):
        Blend(("ab", ""), (1, 1))


# Cutting and mixing


def test_a_window_and_its_target():
    sample = view(4)
    whole = cut(sample)
    np.testing.assert_array_equal(whole.image, sample.view.image)
    np.testing.assert_allclose(whole.target, 1 / sample.truth.values)
    assert not whole.guessed and whole.box is None
    metres = cut(sample, task=OneView(target="depth", flip=1.0, farthest=5.0))
    assert metres.target.max() == 5
    np.testing.assert_allclose(metres.target, np.minimum(sample.truth.values, 5)[:, ::-1])
    small = cut(sample, crop_width=8, crop_height=4)
    assert small.image.shape == (4, 8, 3) and small.target.shape == (4, 8)
    darker = cut(sample, augment=lambda s, rng: replace(s, view=View(s.view.image // 2)))
    np.testing.assert_array_equal(darker.image, sample.view.image // 2)


def test_what_cannot_be_cut():
    for wrong in (Many(1)[0], view(1, labelled=False)):
        with pytest.raises(InputError, match="is no view with a truth"):
            cut(wrong)
    with pytest.raises(InputError, match="is smaller than the window"):
        cut(view(1), crop_width=W + 4)


def test_only_guesses_are_disturbed_and_each_kind_can_be_left_out():
    kinds = {"color": Strong(1, 0, 0), "blur": Strong(0, 1, 0), "none": Strong(0, 0, 0)}
    for name, strong in kinds.items():
        task = OneView(strong, flip=0.0)
        np.testing.assert_array_equal(cut(view(1), task=task).image, view(1).view.image)
        images = [cut(guess(1), seed, task).image for seed in range(4)]
        same = [np.array_equal(image, view(1).view.image) for image in images]
        assert all(same) if name == "none" else not all(same)
        np.testing.assert_allclose(cut(guess(1), task=task).target, 1 / view(1).truth.values)
    boxes = [Strong(cutmix=0.5).box(np.random.default_rng(i), (H, W)) for i in range(200)]
    assert 70 < sum(b is not None for b in boxes) < 130
    areas = [np.zeros((H, W))[b].size / (H * W) for b in boxes if b is not None]
    assert 0 <= min(areas) < 0.1 and 0.7 < max(areas) <= 1
    with pytest.raises(UsageError, match="is no share"):
        Strong(cutmix=1.5)


def crop(value, guessed=True, box=None):
    image = np.full((4, 6, 3), value, np.uint8)
    return ViewCrop(image, np.full((4, 6), value, np.float32), guessed, box, str(value))


def test_cutmix_joins_picture_and_guess_alike_and_leaves_the_truth_alone():
    box = (slice(1, 3), slice(2, 5))
    crops = [crop(9, guessed=False), crop(1, box=box), crop(2), crop(3, box=box)]
    out = mixed(crops)
    for image, target, pasted in out:
        np.testing.assert_array_equal(image[..., 0], target)  # the same pixels of both
        inside = np.zeros((4, 6), bool)
        inside[box] = True
        assert not pasted[~inside].any()
    values = [sorted(set(np.unique(t).tolist())) for _, t, _ in out]
    assert values == [[9], [1, 2], [2], [1, 3]]
    assert [p.sum() for *_, p in out] == [0, 6, 0, 6]
    assert out[1][1][1, 2] == 2 and out[1][1][0, 0] == 1 and out[3][1][2, 4] == 1
    np.testing.assert_array_equal(crops[1].target, 1)  # the crop itself stays
    alone = mixed([crop(9, guessed=False), crop(1, box=box)])
    assert not alone[1][2].any() and (alone[1][1] == 1).all()


# The objective


def batch(guessed=(False, True), pasted=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    count = len(guessed)
    image = 255 * torch.rand(count, 3, H, W, generator=generator)
    target = torch.rand(count, 1, H, W, generator=generator)
    region = torch.zeros(count, 1, H, W, dtype=torch.bool)
    if pasted is not None:
        region[1, 0, : pasted[0], : pasted[1]] = True
    valid = torch.ones_like(region)
    return ViewBatch(image, target, valid, torch.tensor(guessed), region, tuple("ab")[:count])


def test_inside_and_outside_have_a_scale_and_shift_of_their_own():
    given = batch(pasted=(6, 8))
    answer = given.target.clone()
    answer[0] = 3 * answer[0] + 5
    answer[1] = torch.where(given.pasted[1], 2 * answer[1] - 1, 7 * answer[1])
    terms = ViewLoss()(MonoOutput(answer), given)
    assert terms["truth"].item() < 1e-5 and terms["guesses"].item() < 1e-5
    whole = replace(given, pasted=torch.zeros_like(given.pasted))
    assert ViewLoss()(MonoOutput(answer), whole)["guesses"].item() > 0.1


def test_regions_count_by_their_area_and_terms_by_their_weights():
    given, answer = batch(pasted=(6, 8)), batch(seed=5).target
    region = given.pasted[1:]
    parts = [affine_invariant(answer[1:], given.target[1:], r).item() for r in (region, ~region)]
    share = 6 * 8 / (H * W)
    terms = ViewLoss(guesses=0.5, gradients=2.0)(MonoOutput(answer), given)
    assert terms["guesses"].item() == pytest.approx(
        0.5 * (share * parts[0] + (1 - share) * parts[1]), rel=1e-5
    )
    truth = affine_invariant(answer[:1], given.target[:1], given.valid[:1])
    assert terms["truth"].item() == pytest.approx(truth.item(), rel=1e-5)
    first = gradient_matching(answer[:1], given.target[:1], given.valid[:1]).item()
    inner, outer = (
        gradient_matching(answer[1:], given.target[1:], r).item() for r in (region, ~region)
    )
    wanted = (first + share * inner + (1 - share) * outer) / 2
    assert terms["gradients"].item() == pytest.approx(2 * wanted, rel=1e-5)
    assert set(ViewLoss(guesses=0.0)(MonoOutput(answer), given)) == {"truth"}
    only = given.where(torch.tensor([False, True]))
    assert only.names == ("b",) and set(ViewLoss()(MonoOutput(answer[1:]), only)) == {"guesses"}
    assert given.part(slice(1, 2)).names == ("b",)


def test_the_tenth_with_the_largest_residuals_does_not_count():
    given = batch((False, True))
    answer = given.target.clone()
    answer[:, 0, 0, :16] += 50
    plain, dropped = (ViewLoss(drop=d)(MonoOutput(answer), given) for d in (0.0, 0.1))
    wanted = affine_invariant(answer[1:], given.target[1:], given.valid[1:], 0.1)
    assert dropped["guesses"].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert dropped["guesses"] < plain["guesses"] and dropped["truth"] == plain["truth"]


@pytest.mark.parametrize("kind", ["trimmed", "l1", "silog"])
def test_the_other_kinds(kind):
    given = batch((False,))
    loss = ViewLoss(kind=kind)
    exact = loss(MonoOutput(given.target.clone()), given)["truth"].item()
    scaled = loss(MonoOutput(4 * given.target + 1), given)["truth"].item()
    assert exact < 1e-3
    assert (scaled < 1e-3) is (kind == "trimmed")


def test_alignment_to_a_frozen_encoder():
    given = batch(guessed=(False, True))
    reference = Linear()

    def build():
        return reference

    student = Linear()
    loss = ViewLoss(alignment=2.0, reference=build, margin=1.0)
    out = student(given.image)
    found = loss(out, given)["alignment"]
    wanted = feature_alignment(out.features[1:], reference(given.image).features[1:], 1.0)
    assert found.item() == pytest.approx(2 * wanted.item(), rel=1e-5)
    found.backward()
    assert student.features.weight.grad.any()
    assert all(p.grad is None and not p.requires_grad for p in reference.parameters())
    truths = MonoOutput(out.map[:1], out.features[:1])
    assert "alignment" not in loss(truths, given.where(~given.guessed))
    with pytest.raises(InputError, match="gives no features"):
        loss(MonoOutput(out.map), given)
    with pytest.raises(UsageError, match="reference: is missing"):
        ViewLoss(alignment=1.0)


def test_places_that_are_alike_enough_are_left_alone():
    frozen = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])[None, :, None]
    angle = torch.tensor([0.1, 0.8, 2.0])
    mine = torch.stack([angle.cos(), angle.sin()])[None, :, None].requires_grad_()
    loss = feature_alignment(mine, frozen)
    assert loss.item() == pytest.approx(1 - np.cos([0.8, 2.0]).mean(), rel=1e-5)
    loss.backward()
    assert mine.grad[0, :, 0].any(0).tolist() == [False, True, True]
    assert feature_alignment(frozen, frozen).item() == 0
    with pytest.raises(UsageError, match="is no cosine"):
        feature_alignment(frozen, frozen, 1.5)


@pytest.mark.parametrize("wrong", [{"guesses": -1.0}, {"kind": "l2"}])
def test_objectives_that_cannot_be(wrong):
    with pytest.raises(UsageError):
        ViewLoss(**wrong)


def test_what_is_no_output():
    plain = torch.zeros(1, 1, 2, 2)
    assert as_mono_output(plain).features is None
    assert as_mono_output((plain.double(), plain)).map.dtype == torch.float32
    for wrong in ((), (plain[0],), (plain, "no"), None):
        with pytest.raises(InputError, match="is no output of a net for one view"):
            as_mono_output(wrong)


# The loop


def blended():
    return Blend((views(), [guess(i) for i in range(10, 16)]), (1, 1))


@dataclass(frozen=True)
class Broken:
    """One view that has no truth among others."""

    names: ClassVar[tuple[str, ...]] = ("a", "b", "c")

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return view(index, labelled=index != 1)


def test_the_loop_learns_from_truth_and_guesses_and_says_how_well(tmp_path):
    lines: list[str] = []
    given = replace(BASE, data=blended, task=OneView(Strong()), holdout=0.0)
    ended = train(given, tmp_path / "a", device="cpu", notify=lines.append)
    told = next(line for line in lines if line.startswith("validation after step 0"))
    first = float(told.split("abs-rel ")[1].split()[0])
    assert ended.scores["seen"]["abs-rel"] < 0.5 * first and "EPE" not in " ".join(lines)
    ended = train(
        replace(BASE, data=Broken, steps=3, holdout=0.4), tmp_path / "b", device="cpu",
        notify=lines.append,
    )  # fmt: skip
    assert "held-out" in ended.scores and "left out" in " ".join(lines)


def test_parts_of_a_net_learn_at_rates_of_their_own(tmp_path):
    def moved(rates, name):
        slow = replace(BASE, steps=1, warmup=0, validation=(), rates=rates, loss=both)
        train(slow, tmp_path / name, device="cpu")
        torch.manual_seed(slow.seed)
        start = Linear().state_dict()
        end = read_weights(tmp_path / name / "weights.safetensors")
        return [(end[f"{p}.weight"] - start[f"{p}.weight"]).abs().mean().item() for p in parts]

    def both(output, batch):
        return {"map": output.map.mean(), "features": output.features.mean()}

    parts = ("map", "features")
    plain, slow = moved((), "a"), moved((("features", 0.1),), "b")
    assert slow[0] == plain[0] and slow[1] == pytest.approx(0.1 * plain[1], rel=1e-2)
    with pytest.raises(UsageError, match=r"begins no name.*features, map"):
        moved((("feet", 0.1),), "c")


def test_judging_depth_as_it_is_or_fitted():
    class Metres(nn.Module):
        def forward(self, image):
            return 3 / (0.1 + image[:, 1:2] / 640)

    def numbers(**told):
        judge = ViewJudge("j", views, target="depth", **told)
        return judge_views(judge, views(), Judging(Metres(), BASE, torch.device("cpu"))).numbers

    assert numbers()["abs-rel"] < 1e-3
    assert numbers(fitted=False)["abs-rel"] == pytest.approx(2, rel=1e-3)
    told = ViewJudge("j", views)
    with pytest.raises(InputError, match="no sample could be judged"):
        blind = [view(1, labelled=False)]
        judge_views(told, blind, Judging(Linear(), BASE, torch.device("cpu")))
    over = Judging(Linear(), BASE, torch.device("cpu"), cancelled=lambda: True)
    assert judge_views(told, views(), over) is None
