"""The task without truth, and what its objective is made of."""

from dataclasses import replace

import learning
import numpy as np
import pytest
import torch
import train_runs
from train_runs import BASE, Many, run

from fathom.core import UsageError, View
from fathom.layers import photometric as ph
from fathom.layers.cues import Cues
from fathom.layers.losses import smooth_l1
from fathom.layers.photometric_distance import Distance
from fathom.layers.stereo import StereoOutput
from fathom.train import StereoPhotometric, Unlabelled
from fathom.train.batches import Batches

PLAIN = StereoPhotometric(Distance("sad"), hidden=1.0, smoothness=0.0)
ALL = StereoPhotometric(
    Distance("sad"), smoothness=0.1, order=2, consistency=0.1, loop=0.2, far=0.3, cross_check=0.1,
    gradients=0.1, anchors=1.0,
)  # fmt: skip


def blind() -> Many:
    return Many(5, blind=tuple(range(5)))


def half() -> Many:
    return Many(5, blind=(0, 1, 2), sparse=True)


@pytest.fixture(scope="module")
def given():
    """A batch and an output near its truth, both views, two sizes."""
    batch = learning.batch(16, 32, 12)
    left = batch.truth + 0.3
    right = batch.truth + 0.6
    small = [torch.nn.functional.avg_pool2d(d, 2) for d in (left, right)]
    return StereoOutput((left, small[0]), right=(right, small[1])), batch


def evidence(pair):
    """The left view's mean, and the sum of both views' first pixels."""
    views = [v.image.astype(np.float32) for v in (pair.left, pair.right)]
    first = np.full(pair.shape, views[0][0, 0, 0] - views[1][0, 0, 0])
    return np.stack([views[0].mean(axis=2), first])


class Seeing(torch.nn.Module):
    """Repeats what it was given: the left view's red, and its evidence's sum."""

    def __init__(self):
        super().__init__()
        self.share = torch.nn.Parameter(torch.ones(()))

    def forward(self, left, right, *known):
        scores = None if not known else known[0] * self.share
        return StereoOutput((left[:, :1] * self.share,), right[:, :1], scores)


def test_pairs_without_truth_are_learned_from_and_judged_where_there_is_one(tmp_path):
    done, lines = run(tmp_path / "a", data=blind, loss=PLAIN, task=Unlabelled(), steps=2, warmup=0)
    assert (done.step, done.failed, done.skipped) == (2, 0, 0)
    assert set(done.scores) == {"seen"}
    assert not any("EPE" in line for line in lines if line.startswith("step"))
    mixed, lines = run(tmp_path / "b", data=half, loss=ALL, task=Unlabelled(), steps=2, warmup=0)
    assert mixed.failed == 0 and any("EPE" in line for line in lines)
    plain, lines = run(tmp_path / "c", data=half, steps=2, warmup=0, validation=())
    assert plain.failed > 0 and any("has no true disparity" in line for line in lines)


def test_the_net_sees_the_mirrored_pair_and_its_answer_is_turned_back():
    task = Unlabelled()
    experiment = replace(BASE, data=blind, task=task, evidence=evidence, augment=None)
    arrays = Batches(experiment, blind())[0]
    batch = task.to_batch(arrays, torch.device("cpu"), channels_last=False)
    assert batch.evidence.shape == (2, 2, 2, 8, 16)
    one = batch.part(slice(1, 2))
    for some in (batch, one):
        output = task.output(Seeing()(*some.inputs))
        assert torch.equal(output.disparities[0], some.left[:, :1])
        assert torch.equal(output.right[0], some.right[:, :1])  # mirrored, and back
        assert torch.equal(output.confidence, some.right[:, :1])
        torch.testing.assert_close(output.scores[:, 0], some.left.mean(dim=1))
        assert len(task.tensors(output)) == 3
    own, mirrored = batch.evidence.unbind(1)
    torch.testing.assert_close(mirrored[:, 0].flip(2), batch.right.mean(dim=1))
    corner = batch.right[:, 0, 0, -1] - batch.left[:, 0, 0, -1]
    torch.testing.assert_close(mirrored[:, 1, 0, 0], corner)
    assert not torch.equal(own, mirrored)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_view_of_one_colour_is_left_out_by_name(tmp_path, side):
    plain = train_runs.sample(0)
    flat = replace(plain.pair, **{side: View(np.full((*plain.pair.shape, 3), 9, np.uint8))})
    samples = [replace(plain, pair=flat), plain]
    chosen = {"task": Unlabelled(), "steps": 2, "warmup": 0, "validation": ()}
    done, lines = run(tmp_path, data=lambda: samples, loss=PLAIN, **chosen)
    assert done.failed and done.step == 2
    assert any(f"{side} = '9, 9, 9': is of one colour, which teaches" in line for line in lines)


def test_one_view_alone_is_as_without_a_task():
    task = Unlabelled(both_views=False)
    experiment = replace(BASE, task=task, evidence=evidence)
    arrays = Batches(experiment, train_runs.many())[0]
    plain = Batches(replace(experiment, task=None), train_runs.many())[0]
    assert np.array_equal(arrays.evidence, plain.evidence)
    batch = task.to_batch(arrays, torch.device("cpu"), channels_last=False)
    assert len(batch.inputs) == 3 and batch.inputs[0].shape[0] == 2
    output = task.output(Seeing()(*batch.inputs))
    assert output.right == () and output.disparities[0].shape[0] == 2


def test_the_terms_are_those_of_the_layers(given):
    output, batch = given
    views = (batch.left, batch.right)
    terms = ALL(output, batch)
    assert set(terms) == {
        *("photometric", "smoothness", "consistency", "loop", "far", "cross_check", "gradients"),
        "anchors",
    }
    sides = [("left", *finest(output)), ("right", *finest(output)[::-1])]
    wanted = {"photometric": [], "loop": [], "consistency": []}
    for side, own, other in sides:
        doubt = torch.where(ph.agreement(own, other, side), 1.0, 0.1)
        for coarse in (own, small_of(output, side)):
            error, inside = ph.photometric_error(views, coarse, Distance("sad"), side)
            wanted["photometric"].append(2 * ph.weighted_mean(error, inside * doubt))
        image = views[side == "right"]
        error, inside = ph.loop_error(image, own, other, Distance("sad"), side)
        wanted["loop"].append(0.2 * ph.weighted_mean(error, inside.float()))
        error, inside = ph.consistency_error(own, other, side)
        wanted["consistency"].append(0.1 * ph.weighted_mean(error, inside.float()))
    for name, values in wanted.items():
        assert terms[name].item() == pytest.approx(torch.stack(values).mean().item(), rel=1e-5), (
            name
        )
    truth = smooth_l1(output.disparities, batch.truth, batch.valid)
    assert terms["anchors"].item() == pytest.approx(truth.item())
    mean = torch.stack(finest(output)).mean() / 32
    assert terms["far"].item() == pytest.approx(0.3 * mean.item(), rel=1e-5)


def finest(output):
    return output.disparities[0], output.right[0]


def small_of(output, side):
    coarse = (output.disparities if side == "left" else output.right)[1]
    return torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")


def test_left_alone_and_weights_of_outputs(given):
    output, batch = given
    alone = StereoOutput(output.disparities)
    assert set(PLAIN(alone, batch)) == {"photometric"}
    first = PLAIN(StereoOutput(output.disparities[:1]), batch)["photometric"]
    both = replace(PLAIN, weights=(1.0, 0.0))(alone, batch)["photometric"]
    assert both.item() == pytest.approx(first.item())
    with pytest.raises(UsageError, match=r"consistency.* need the right view's"):
        replace(PLAIN, consistency=1.0)(alone, batch)


def test_cues_weigh_errors_and_steps(given):
    output, batch = given
    views = (batch.left, batch.right)
    trust = (torch.arange(32.0) >= 20).expand(4, 1, 16, 32).float()
    loss = replace(PLAIN, cues=lambda image: Cues(trust=trust, edges=torch.ones_like(image[:, :1])))
    left = StereoOutput(output.disparities[:1])
    error, inside = ph.photometric_error(views, left.disparities[0], Distance("sad"))
    want = ph.weighted_mean(error, inside * trust)
    assert loss(left, batch)["photometric"].item() == pytest.approx(want.item())
    plain, cheap = (
        replace(given_, smoothness=1.0)(left, batch)["smoothness"] for given_ in (PLAIN, loss)
    )
    assert cheap.item() == pytest.approx(np.exp(-10) * plain.item(), rel=1e-3)


def test_truth_is_never_looked_at_without_anchors(given):
    output, batch = given
    spoilt = replace(batch, truth=batch.truth * torch.nan)
    for loss in (PLAIN, replace(ALL, anchors=0.0)):
        assert {k: v.item() for k, v in loss(output, spoilt).items()} == {
            k: v.item() for k, v in loss(output, batch).items()
        }
    unknown = replace(spoilt, valid=torch.zeros_like(batch.valid))
    assert "anchors" not in ALL(output, unknown)


@pytest.mark.parametrize(
    "wrong",
    [
        {"smoothness": -1.0},
        {"anchors": float("nan")},
        {"hidden": 2.0},
        {"order": 3},
        {"weights": ()},
    ],
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        StereoPhotometric(**wrong)
