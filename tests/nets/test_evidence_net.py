"""The net behind `fathom-s` and `sgm-refined`: sizes, what it may look at, and that it learns."""

import learning
import net_checks
import numpy as np
import pytest
import torch

from fathom.core import InputError, UsageError
from fathom.layers.losses import confidence_loss
from fathom.nets.stereo.evidence import EvidenceConfig, EvidenceNet, fathom_s, sgm_refined
from fathom.train import StereoLoss
from fathom.train.load import load_experiment
from fathom.train.pairs import Batch

torch.set_num_threads(1)
NARROW = EvidenceConfig(levels=8, features=8, widths=(12, 16), detail=12)
HEIGHT, WIDTH = 32, 64
LOSS = StereoLoss(weights=(1.0, 0.4), confidence=0.3, scores=0.7)


def built(config=NARROW):
    torch.manual_seed(0)
    return EvidenceNet(config)


def scene(seed):
    """A slanted wall with a box before it; evidence that is right to half a pixel at most pixels,
    wrong at a tenth and unsure of itself there. Left, right, evidence, truth."""
    rng = np.random.default_rng(seed)
    x = np.arange(WIDTH)
    wall = np.broadcast_to(4 + rng.uniform(2, 6) * x / WIDTH, (HEIGHT, WIDTH))
    box = np.zeros((HEIGHT, WIDTH), bool)
    box[8:24, 20:44] = True
    truth = np.where(box, rng.uniform(14, 22), wall).astype(np.float32)
    right = rng.integers(0, 255, (3, HEIGHT, WIDTH)).astype(np.float32)
    place = np.clip(np.rint(x - truth).astype(int), 0, WIDTH - 1)
    left = np.take_along_axis(right, np.broadcast_to(place, (3, HEIGHT, WIDTH)), axis=2)
    wrong = rng.random(truth.shape) < 0.1
    found = np.where(
        wrong, rng.uniform(0, 31, truth.shape), truth + rng.normal(0, 0.3, truth.shape)
    )
    sure = np.where(wrong, 0.2, 0.9)
    filled = np.where(wrong, wall, found)
    parts = [found, sure, np.where(wrong, 0.1, 0.9), sure, filled, np.where(wrong, 0.3, 0.9)]
    evidence = np.stack(parts).astype(np.float32)
    return left, right, evidence, truth[None]


def batch(seeds=(1, 2, 3, 4)):
    left, right, evidence, truth = (
        torch.from_numpy(np.stack(v)) for v in zip(*map(scene, seeds), strict=True)
    )
    return Batch(left, right, truth, torch.isfinite(truth), evidence, tuple(map(str, seeds)))


@pytest.mark.parametrize("build", [fathom_s, sgm_refined])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 160), (96, 64)])
def test_sizes_of_everything_it_gives(build, height, width):
    net = build().eval()
    images = torch.rand(2, 1, 3, height, width) * 255
    with torch.no_grad():
        out = net(images[0], images[1], torch.rand(1, 6, height, width))
    assert [tuple(d.shape) for d in out.disparities] == [(1, 1, height, width)] * 2
    assert out.confidence.shape == (1, 1, height, width)
    assert out.scores.shape == (1, 48, height // 4, width // 4)
    assert all(bool(torch.isfinite(t).all()) for t in (*out.disparities, *out[1:3]))


def test_the_builders_and_what_they_say_of_themselves():
    first, second = fathom_s(), sgm_refined()
    assert (first.config.divisor, first.config.max_disparity) == (32, 192)
    assert NARROW.divisor == 8 and NARROW.max_disparity == 32
    assert second.config.matching is False and not hasattr(second, "descriptor")
    count = sum(p.numel() for p in first.parameters())
    assert 0.5e6 < count < 2.5e6  # 4 bytes each: 10 MB at most


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"widths": (8, 0)}, {"detail": -1}])
def test_a_config_that_is_no_net(wrong):
    with pytest.raises(UsageError, match="is no net"):
        EvidenceConfig(**wrong)


def test_the_same_bits_again_and_nothing_left_of_what_came_before():
    net, given = built().eval(), batch()
    with torch.no_grad():
        first = net(*given.inputs)
        net(*batch((7, 8)).inputs)
        second = net(*given.inputs)
    for a, b in zip(
        (*first.disparities, *first[1:3]), (*second.disparities, *second[1:3]), strict=True
    ):
        assert torch.equal(a, b)


def test_a_batch_of_two_is_two_of_one():
    net, given = built().eval(), batch((1, 2))
    with torch.no_grad():
        both = net(*given.inputs)
        for i in range(2):
            one = net(*(t[i : i + 1] for t in given.inputs))
            for a, b in zip(
                (*both.disparities, *both[1:3]), (*one.disparities, *one[1:3]), strict=True
            ):
                torch.testing.assert_close(a[i : i + 1], b, atol=1e-4, rtol=1e-5)


def test_the_refiner_does_not_look_at_the_right_view_and_the_matcher_does():
    given = batch((1,))
    left, right, evidence = given.inputs
    for matching in (False, True):
        net = built(EvidenceConfig(matching, 8, 8, (12, 16), 12)).eval()
        with torch.no_grad():
            same = torch.equal(
                net(left, right, evidence).disparities[0],
                net(left, 255 - right, evidence).disparities[0],
            )
        assert same is not matching


def test_the_classical_value_stands_where_it_is_much_surer_than_the_net_s_own():
    """Judged 0.5 and 0.88: the classical one is kept where its own word is over 0.7."""
    net, given = built().eval(), batch((1,))
    left, right, evidence = given.inputs
    evidence = evidence.clone()
    evidence[:, 5] = torch.where(torch.arange(WIDTH) < WIDTH // 2, 0.71, 0.69)
    filled = evidence[:, 4:5]
    with torch.no_grad():
        net.judge.out.weight.zero_()
        net.judge.out.bias.copy_(torch.tensor([0.0, 2.0]).repeat_interleave(4))
        out = net(left, right, evidence)
    kept = out.disparities[0] == filled
    assert bool(kept[..., : WIDTH // 2].all()) and not bool(kept[..., WIDTH // 2 :].any())
    assert torch.equal(out.confidence, 2.0 * (torch.arange(WIDTH) < WIDTH // 2).expand_as(filled))
    assert not out.others


def test_both_are_judged_in_training():
    net, given = built(), batch()
    out = net(*given.inputs)
    ((classical, sure),) = out.others
    assert torch.equal(classical, given.evidence[:, 4:5]) and sure.shape == out.confidence.shape
    judged = ((out.disparities[0], out.confidence), (classical, sure))
    terms = [confidence_loss(c, d, given.truth, given.valid) for d, c in judged]
    assert not torch.equal(*terms)
    told = StereoLoss(confidence=0.5)(out, given)["confidence"]
    torch.testing.assert_close(told, 0.25 * (terms[0] + terms[1]))


def test_every_weight_is_reached():
    net, given = built(), batch()
    assert set(LOSS(net(*given.inputs), given)) == {"disparity", "confidence", "scores"}
    assert net_checks.silent(net, LOSS, given) == []


def test_the_confidence_s_loss_does_not_pull_at_the_disparity():
    """Else a net could be sure more often by being bad on purpose where it is bad anyway."""
    net, given = built(), batch()
    out = net(*given.inputs)
    finest = out.disparities[0]
    finest.retain_grad()
    loss = confidence_loss(out.confidence, finest, given.truth, given.valid)
    loss.backward(retain_graph=True)
    assert finest.grad is None
    StereoLoss(confidence=0.0)(out, given)["disparity"].backward()
    assert bool(finest.grad.any())  # so the check above can fail


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_evidence_that_is_sure_of_nothing_or_everything(value):
    net, given = built(), batch((1,))
    evidence = torch.zeros_like(given.evidence)
    evidence[:, 1:] = value
    out = net(given.left, given.right, evidence)
    loss = sum(StereoLoss(scores=0.5)(out, given).values())
    loss.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters())
    far = net(given.left, given.right, evidence + 500 * torch.eye(6)[[0, 4]].sum(0)[:, None, None])
    assert bool(torch.isfinite(far.disparities[0]).all())


def test_evidence_of_another_making_is_told(unchecked):
    left, right, evidence = batch((1,)).inputs
    with pytest.raises(
        InputError, match=r"evidence = 4: has another number of channels; expected 6"
    ):
        built()(left, right, evidence[:, :4])


def test_it_learns_four_scenes_and_the_check_would_notice_if_not():
    bugs = ({"sign": -1.0}, {"shift": 4.0})
    learning.assert_learns(built, batch(), LOSS, steps=40, bugs=bugs)


@pytest.mark.parametrize("name", ["fathom_s_judge", "sgm_refined_judge"])
def test_of_the_shipped_nets_the_judge_alone_can_learn(name):
    experiment = load_experiment(net_checks.EXPERIMENTS / f"{name}.py")
    net = experiment.net().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    noise = torch.Generator().manual_seed(0)
    left, right = torch.rand(2, 2, 3, 32, 64, generator=noise) * 255
    evidence = torch.rand(2, 6, 32, 64, generator=noise)
    truth = torch.rand(2, 1, 32, 64, generator=noise) * 4
    given = Batch(left, right, truth, truth > 0, evidence, ("a", "b"))
    step = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    sum(experiment.loss(net(*given.inputs), given).values()).backward()
    step.step()
    moved = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    # means of batches, too: they move without a gradient
    assert moved == {k for k in before if k.startswith("judge.")}
    assert not net.eval()(*given.inputs).others
