"""The loop: it learns, survives what is not finite, keeps the best, starts from given weights."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import train_runs
from torch import nn
from train_runs import BASE, Endless, Many, Net, batch_of, forked, run, same, sample, weights

from fathom.core import InputError, ResourceError, UsageError, View
from fathom.layers.state import read_tensors
from fathom.layers.stereo import as_output
from fathom.train import StereoLoss, Validation
from fathom.train.adapt_rule import Rule
from fathom.train.experiment import Judging
from fathom.train.loop import trial
from fathom.train.schedule import Average, learning_rate
from fathom.train.step import culprits
from fathom.train.validate import predict, validate

CPU = torch.device("cpu")


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_it_learns_and_the_log_shows_it(tmp_path):
    result, lines = run(
        tmp_path / "a",
        net=train_runs.plain_net,
        data=lambda: Many(1),
        steps=60,
        ema=None,
        validate_every=60,
        log_every=20,
        validation=(Validation("seen", lambda: Many(1), metrics=("epe",)),),
    )
    scores = [e["numbers"]["epe"] for e in log(tmp_path / "a") if "validation" in e]
    assert scores[-1] < 0.6 * scores[0]
    assert result.scores == {"seen": {"epe": pytest.approx(scores[-1])}}
    words = next(line for line in lines if line.startswith("step 20/60"))
    for part in ("loss", "EPE", "px  bad-2", "samples/s", "left"):
        assert part in words
    entry = log(tmp_path / "a")[1]
    assert set(entry["terms"]) == {"disparity", "confidence"}
    assert entry["loss"] == pytest.approx(sum(entry["terms"].values()))
    assert 0 <= entry["bad_2"] <= 1 and entry["epe"] > 0
    page = (tmp_path / "a" / "log.html").read_text()
    assert page.count("<svg") == 4 and "data:image/png" in page and "seen: epe" in page


def test_a_batch_in_parts_learns_the_same(tmp_path):
    """Steps of SGD with the gradient of each part alone, and their mean."""
    told = {"net": train_runs.plain_net, "batch": 4, "steps": 3, "ema": None}
    told |= {"optimiser": "sgd", "clip": 0.5}
    folders = [tmp_path / "whole", tmp_path / "parts"]
    for folder, parts in zip(folders, (1, 4), strict=True):
        run(folder, parts=parts, **told)
    whole, parts = (train_runs.weights(f) for f in folders)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-5, atol=1e-7)
    for kind in ("epe", "bad_2", "loss"):
        one, other = (log(f)[1][kind] for f in folders)
        assert other == pytest.approx(one, rel=1e-5)


def test_parts_that_do_not_divide_the_batch(tmp_path):
    with pytest.raises(UsageError, match=r"batch = 2: does not divide among parts.*multiple of 3"):
        run(tmp_path / "a", parts=3)


class Pooling(Net):
    """Normalises a mean over the whole image, as PSMNet's pyramid does."""

    def __init__(self) -> None:
        super().__init__()
        self.pooled = nn.BatchNorm2d(4)

    def forward(self, left, right):
        self.pooled(self.first(torch.cat([left, right], 1)).mean((2, 3), keepdim=True))
        return super().forward(left, right)


def test_one_value_a_channel_is_a_clear_line(tmp_path):
    with pytest.raises(UsageError, match=r"batch = 1: .* raise batch, or crop_width") as caught:
        run(tmp_path / "a", net=Pooling, batch=1, steps=1, warmup=0)
    assert "crop_height (now 16x8)" in str(caught.value)


def test_bf16_and_sparse_truth(tmp_path):
    result, _ = run(tmp_path / "a", precision="bf16", data=lambda: Many(7, sparse=True), steps=6)
    assert result.skipped == 0
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "a").values())


@pytest.mark.parametrize("kind", ["smooth-l1", "sequence", "multi-scale"])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_every_loss_and_optimiser(tmp_path, kind, optimiser):
    loss = StereoLoss(kind=kind, smoothness=0.1)
    result, _ = run(
        tmp_path / "a", loss=loss, steps=3, optimiser=optimiser, validation=(), clip=None
    )
    assert result.step == 3 and result.scores == {}


def test_a_sample_that_makes_nan_is_named_skipped_and_changes_nothing(tmp_path):
    data = Many(6, white=(2,))
    result, lines = run(tmp_path / "a", data=lambda: data, augment=None, log_every=1)
    told = [line for line in lines if "no finite loss" in line]
    assert len(told) == result.skipped >= 2
    assert all(line.endswith("skipped: s2") for line in told)  # not its neighbour in the batch
    # Neither the weights nor the running means of the normalisation have seen it.
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "a").values())
    entries = [e for e in log(tmp_path / "a") if "validation" not in e]
    assert entries[-1]["skipped"] == result.skipped
    skipped = [
        e
        for e, f in zip(entries, [None, *entries], strict=False)
        if f and e["skipped"] > f["skipped"]
    ]
    assert all(e["loss"] is None for e in skipped)


def test_too_many_in_a_row_end_the_run_and_keep_what_was_saved(tmp_path):
    def poisoned():
        class Later(Endless):
            def __getitem__(self, index):
                return sample(index, white=index >= 10)

        return Later()

    with pytest.raises(InputError) as caught:
        run(tmp_path / "a", data=poisoned, patience=3, augment=None, validation=())
    text = str(caught.value)
    assert "3 batches in a row" in text and "s14" in text and "\n" not in text
    assert [p.name for p in (tmp_path / "a" / "checkpoints").glob("step*")] == [
        "step-00000004.safetensors"
    ]


def test_a_loss_that_is_nan_for_no_one_s_fault_names_the_batch():
    batch = batch_of([sample(1), sample(2)])
    net = Net()
    assert culprits(net, BASE, batch) == ["s1", "s2"]
    assert net.training
    white = batch_of([sample(1), sample(2, white=True)])
    assert culprits(net, BASE, white) == ["s2"]


def test_failing_samples_are_named_then_counted(tmp_path):
    data = Many(9, broken=(0, 1, 2, 3))
    result, lines = run(tmp_path / "a", data=lambda: data, steps=16, validation=())
    named = [line for line in lines if line.startswith("left out ")]
    assert len(named) == 10 < result.failed
    assert "further samples that cannot be used are counted, not named" in lines
    assert "is damaged" in named[0]


def test_averaged_weights_are_kept_and_the_own_ones_trained_on(tmp_path):
    run(tmp_path / "a", ema=0.5)
    saved = read_tensors(tmp_path / "a" / "checkpoints" / "step-00000012.safetensors")[0]
    mean = {k.removeprefix("ema."): v for k, v in saved.items() if k.startswith("ema.")}
    own = {k.removeprefix("net."): v for k, v in saved.items() if k.startswith("net.")}
    assert same(weights(tmp_path / "a"), mean)
    assert not torch.equal(own["first.weight"], mean["first.weight"])
    assert torch.equal(own["norm.running_mean"], mean["norm.running_mean"])


def test_the_average_against_its_formula():
    net = nn.Linear(1, 1, bias=False)
    average = Average(net, 0.3)
    want = float(net.weight.detach())
    for step in range(5):
        with torch.no_grad():
            net.weight.fill_(step)
        average.update(net, step)
        decay = min(0.3, (1 + step) / (10 + step))
        want = decay * want + (1 - decay) * step
    assert float(average.state["weight"]) == pytest.approx(want)


def test_learning_rates():
    experiment = replace(BASE, steps=10, warmup=2, learning_rate=1.0)
    rates = [learning_rate(experiment, s) for s in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5) and 0 < rates[9] < 0.05
    linear = replace(experiment, schedule="linear")
    assert learning_rate(linear, 6) == 0.5 and learning_rate(linear, 10) == 0
    assert learning_rate(replace(experiment, schedule="constant"), 9) == 1
    step = replace(experiment, schedule="step")  # a tenth in the last quarter
    assert [learning_rate(step, s) for s in (7, 8)] == pytest.approx([1, 0.1])
    assert learning_rate(replace(experiment, warmup=10), 9) == 1


def test_the_best_weights_are_those_of_the_best_score(tmp_path, monkeypatch):
    import fathom.train.task as module

    scores = iter([5.0, 2.0, 3.0])
    real = module.validate

    def scripted(*args):
        judged = real(*args)
        return replace(judged, numbers={"epe": next(scores)})

    monkeypatch.setattr(module, "validate", scripted)
    run(tmp_path / "a")  # validates after 0, 6 and 12
    info = json.loads(read_tensors(tmp_path / "a" / "best.safetensors")[1]["info"])
    assert info["step"] == 6 and info["scores"] == {"seen": {"epe": 2.0}}


def test_from_given_weights(tmp_path):
    run(tmp_path / "a", steps=4, validation=())
    for file in ("weights.safetensors", "checkpoints/step-00000004.safetensors"):
        place = tmp_path / file.replace("/", "-")
        run(place, steps=1, warmup=1, start=tmp_path / "a" / file, learning_rate=1e-12, ema=0.5)
        a, b = weights(tmp_path / "a"), weights(place)
        assert torch.allclose(a["first.weight"], b["first.weight"], atol=1e-6)
    other = tmp_path / "other"
    with pytest.raises(InputError, match="weights of another net"):
        run(other, net=train_runs.plain_net, start=tmp_path / "a" / "weights.safetensors")


def test_a_part_held_out_is_never_trained_on(tmp_path):
    asked = []

    class Watched(Many):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    result, _ = run(tmp_path / "a", data=lambda: Watched(20), holdout=0.3, steps=4)
    assert list(result.scores) == ["held-out", "seen"]
    entry = next(e for e in log(tmp_path / "a") if e.get("validation") == "held-out")
    assert entry["images"] >= 1
    from fathom.train.batches import parted

    held = parted(Many(20), 0.3)[1].indices
    first = asked.index(next(i for i in asked if i not in held))
    assert set(asked[:first]) == set(held)  # the validation before the first step


def test_validation_names_what_it_leaves_out_and_needs_something(tmp_path):
    broken = Validation("b", lambda: Many(3, broken=(1,), blind=(2,)), metrics=("epe",))
    result, lines = run(tmp_path / "a", validation=(broken,), steps=1, warmup=0)
    told = [line for line in lines if line.startswith("validation b: left out")]
    assert len(told) == 4 and "is damaged" in told[0] and "no true disparity" in told[1]
    assert result.scores["b"]["epe"] > 0
    nothing = Validation("n", lambda: Many(2, blind=(0, 1)))
    with pytest.raises(InputError, match=r"validation n = .*: no sample could be judged"):
        run(tmp_path / "b", validation=(nothing,), steps=1, warmup=0)


def test_validation_can_be_limited_and_cancelled():
    net = Net().eval()
    chosen = Validation("v", lambda: Many(5), metrics=("bad-2",), most=2)
    judged = validate(chosen, Many(5), Judging(net, BASE, CPU, print))
    assert judged.images == 2 and set(judged.pictures) == {"s0", "s1"}
    assert judged.headline == judged.numbers["bad-2"]
    assert replace(judged, numbers={"bad-2": math.nan}).headline == math.inf
    assert replace(judged, numbers={}).headline == math.inf
    assert validate(chosen, Many(5), Judging(net, BASE, CPU, print, lambda: True)) is None
    assert not net.training


class Constant(nn.Module):
    """Gives x + y as the disparity, with a hole of NaN and one below zero."""

    def forward(self, left, right, evidence=None):
        _, _, h, w = left.shape
        d = torch.arange(h)[:, None] + torch.arange(w)[None] * 1.0
        d[0, 0] = torch.nan
        d[1:2, 1] = -3
        return (d[None, None] + 0 * left[:, :1],), None


@pytest.mark.parametrize("size", [(20, 40), (21, 37), (1, 3)])
def test_any_size_is_padded_and_cut_back(size):
    pair = sample(0, height=size[0], width=size[1]).pair
    found = predict(Constant().eval(), pair, BASE, CPU)
    want = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.float32)
    assert found.values.shape == size and found.confidence is None
    assert np.isnan(found.values[0, 0]) and (size[0] < 2 or np.isnan(found.values[1, 1]))
    np.testing.assert_array_equal(found.values[0, 1:], want[0, 1:])


def test_predictions_take_evidence_16_bits_and_give_confidence():
    pair = sample(0).pair
    deep = replace(
        pair,
        left=View(pair.left.image.astype(np.uint16) * 257),
        right=View(pair.right.image.astype(np.uint16) * 257),
    )
    found = predict(Net().eval(), deep, replace(BASE, precision="bf16"), CPU)
    assert found.confidence.shape == (20, 40)
    asked = []

    def evidence(given):
        asked.append(given.shape)
        return np.zeros((1, *given.shape), np.float32)

    predict(Constant().eval(), pair, replace(BASE, evidence=evidence, divisor=8, crop_width=8), CPU)
    assert asked == [(20, 40)]


class Deep(Net):
    """With a 3-D convolution, as nets with a volume of scores have."""

    def __init__(self):
        super().__init__(norm=False, dropout=0.0)
        self.third = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, left, right):
        out = super().forward(left, right)
        finest = self.third(out.disparities[0][:, None])[:, 0]
        return out._replace(disparities=(finest, *out.disparities[1:]))


def test_nets_with_3d_convolutions_are_trained_in_channels_last_too(tmp_path):
    done, _ = run(tmp_path / "a", net=Deep, steps=2, warmup=0, validation=(), channels_last=True)
    assert done.stopped == "finished"


def test_a_net_with_a_coarse_first_output_is_told_so():
    class Coarse(Net):
        def forward(self, left, right):
            out = super().forward(left, right)
            return out._replace(disparities=out.disparities[::-1])

    with pytest.raises(InputError, match=r"shape = \(1, 1, 10, 20\).*expected \(1, 1, 20, 40\)"):
        predict(Coarse().eval(), sample(0).pair, BASE, CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": nn.Identity}, "net = .?Identity.?: builds nothing that can be trained"),
        ({"net": lambda: 3}, "net = .?int.?: builds nothing"),
        ({"data": lambda: 3}, "data = .?int.?: gives no samples"),
        ({"data": lambda: []}, "data = 0: holds no sample"),
    ],
)
def test_builders_that_build_the_wrong_thing(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "a", **changes)


def test_folders_are_not_written_over(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="is not empty and holds no training run"):
        run(tmp_path / "mine")
    run(tmp_path / "a", steps=3, validation=())
    with pytest.raises(UsageError, match="already holds a training run; go on with --resume"):
        run(tmp_path / "a")
    with pytest.raises(UsageError, match=r"batch = '4': was trained with another.*expected 2"):
        run(tmp_path / "a", resume=True, batch=4, steps=3, validation=())
    with pytest.raises(UsageError, match=r"net = .*plain_net"):
        run(tmp_path / "a", resume=True, net=train_runs.plain_net, steps=3, validation=())
    run(tmp_path / "b", steps=1, warmup=0, validation=(), stop=Rule(patience=2))
    with pytest.raises(UsageError, match=r"stop.patience = '3': was trained with .*expected 2;"):
        run(tmp_path / "b", resume=True, warmup=1, steps=2, validation=(), stop=Rule(patience=3))
    (tmp_path / "a" / "run.json").write_text("{")
    with pytest.raises(InputError, match="describes no training run"):
        run(tmp_path / "a", resume=True)


def test_more_steps_may_be_asked_for_and_it_is_said(tmp_path):
    run(tmp_path / "a", steps=4, validation=())
    result, lines = run(tmp_path / "a", resume=True, steps=6, warmup=5, workers=1, validation=())
    assert lines[:3] == [
        "steps was changed: what follows is not as in an undisturbed run",
        "warmup was changed: what follows is not as in an undisturbed run",
        "going on after step 4 of 6",
    ]
    assert result.step == 6


def test_resuming_nothing_starts_and_says_so(tmp_path):
    _, lines = run(tmp_path / "a", resume=True, steps=3, validation=())
    assert "holds no run to go on with" in lines[0]
    result, lines = run(tmp_path / "a", resume=True, steps=3, validation=())
    assert lines[0] == "going on after step 3 of 3" and result.stopped == "finished"


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    from fathom.train.record import locked

    def second():
        with pytest.raises(UsageError, match="another process is training"):
            run(tmp_path / "a")

    with locked(tmp_path / "a"):
        assert forked(second) == 0


def test_a_log_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    from pathlib import Path

    real = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name == "log.jsonl" and mode == "a":
            raise OSError(28, "No space left on device")
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ResourceError, match=r"log\.jsonl: cannot be written: No space left"):
        run(tmp_path / "a", validation=())


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="file stands where a folder"):
        run(tmp_path / "file" / "a")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
    ],
)
def test_too_little_memory_is_one_line(tmp_path, error):
    def loss(output, batch):
        raise error

    with pytest.raises(ResourceError, match="batch = '2 samples of 16x8': not enough memory; take"):
        run(tmp_path / "a", loss=loss, validation=())


def test_a_batch_larger_than_the_memory_is_refused_before_a_sample_is_read(tmp_path):
    with pytest.raises(ResourceError, match=r"4096x4096: 268,435\.5 GB or more': .* a smaller"):
        run(
            tmp_path / "a", data=lambda: Many(2, broken=(0, 1)), batch=1_000_000, crop_width=4096,
            crop_height=4096,
        )  # fmt: skip


def test_other_errors_are_not_taken_for_it(tmp_path):
    def loss(output, batch):
        raise RuntimeError("sizes differ")

    with pytest.raises(RuntimeError, match="sizes differ"):
        run(tmp_path / "a", loss=loss, validation=())


def test_a_trial_writes_nothing_and_tells_what_it_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = []
    found = trial(replace(BASE, data=lambda: Many(7, broken=(1, 2, 3))), 3, "cpu", lines.append)
    assert found["samples"] == 7 and found["seconds"] > 0 and math.isfinite(found["loss"])
    assert found["parameters"] == sum(p.numel() for p in Net().parameters())
    assert lines and lines[0].startswith("left out s")
    assert not list(tmp_path.iterdir())
    assert trial(replace(BASE, data=Endless), 1, "cpu", print)["samples"] is None
    nan = replace(BASE, data=lambda: Many(3, white=(0, 1, 2)), augment=None)
    with pytest.raises(InputError, match="loss = nan: is not finite; expected a number; s"):
        trial(nan, 1, "cpu", print)


def test_a_trial_starts_from_given_weights(tmp_path):
    run(tmp_path / "a", steps=3, validation=())
    given = replace(BASE, start=tmp_path / "a" / "weights.safetensors")
    one, two = (trial(e, 1, "cpu", print)["loss"] for e in (given, BASE))
    assert one != two


@pytest.mark.parametrize(
    "given", [torch.ones(1, 1, 2, 2), ((), None), ((torch.ones(2, 2),), None), ((3,), None), 3]
)
def test_what_is_no_output_of_a_stereo_net(given):
    with pytest.raises(InputError, match="is no output of a stereo net"):
        as_output(given)
