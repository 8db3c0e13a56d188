"""Experiments: impossible settings, files that are none, `--set`, and descriptions."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest
from train_runs import BASE, Endless, Net, many, sample

from fathom.core import InputError, UsageError
from fathom.train import Experiment, Pairs, StereoLoss, Validation
from fathom.train.experiment import Samples
from fathom.train.load import changed, described, differences, load_experiment


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps = 0: no experiment can have this; expected a whole number >= 1"),
        ({"batch": True}, "batch = True"),
        ({"workers": -1}, "workers = -1.*>= 0"),
        ({"threads": 0}, "threads = 0.*>= 1"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"clip": -1.0}, "clip = -1.0"),
        ({"ema": 1.0}, "ema = 1.0.*< 1"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"holdout": 1.0}, "holdout"),
        ({"max_disparity": 0.0}, "max_disparity"),
        ({"crop_width": 18}, r"crop_width = 18.*a multiple of 4 \(divisor\)"),
        ({"warmup": 99}, r"warmup = 99.*at most 12 \(steps\)"),
        ({"precision": "fp16"}, "precision = 'fp16'.*fp32 or bf16.*--set precision="),
        ({"optimiser": "lion"}, "optimiser"),
        ({"schedule": "poly"}, "schedule"),
        ({"validation": (Validation("a", many), Validation("a", many))}, "names that differ"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_impossible_settings(changes, message):
    with pytest.raises(UsageError, match=message):
        replace(BASE, **changes)


@pytest.mark.usefixtures("unchecked")
def test_impossible_validations_and_losses():
    with pytest.raises(UsageError, match="most = 0"):
        Validation("v", many, most=0)
    with pytest.raises(UsageError, match="protocol"):
        Validation("v", many, protocol="fathomm")
    with pytest.raises(UsageError, match="bad-x"):
        Validation("v", many, metrics=("bad-x",))
    with pytest.raises(UsageError, match="unknown loss 'l1'"):
        StereoLoss(kind="l1")
    with pytest.raises(UsageError, match="confidence = -1"):
        StereoLoss(confidence=-1.0)


@pytest.mark.usefixtures("unchecked")
def test_settings_from_words():
    words = ["steps=500", "learning-rate = 3e-4", "clip=none", "precision=bf16", "start=a/b"]
    found = changed(BASE, words)
    assert (found.steps, found.learning_rate, found.clip) == (500, 3e-4, None)
    assert found.precision == "bf16" and found.start == Path("a/b")
    assert changed(BASE, []) == BASE
    for word, on in (("channels_last=False", False), ("channels_last=true", True)):
        assert changed(BASE, [word]).channels_last is on
    for word, message in (
        ("steps", "is no setting; expected name=value"),
        ("stepps=3", "unknown setting 'stepps'; did you mean steps"),
        ("net=x", "unknown setting 'net'"),
        ("steps=many", "steps = 'many': cannot be read; expected a whole number"),
        ("steps=none", "a whole number"),
        ("learning_rate=fast", "expected a number"),
        ("channels_last=no", "expected true or false"),
        ("precision=fp16", "expected fp32 or bf16"),
    ):
        with pytest.raises(UsageError, match=message):
            changed(BASE, [word])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("EXPERIMENT = 3", r"EXPERIMENT = 'int': has no EXPERIMENT; expected EXPERIMENT = Exp"),
        ("x = 1", "has no EXPERIMENT"),
        ("x = 1\ny = x / 0", "line = 2: fails while it runs: ZeroDivisionError"),
        ("def (", "line = 1: fails while it runs: SyntaxError"),
        ("import not_there", "No module named 'not_there'"),
    ],
)
def test_files_that_are_no_experiments(tmp_path, text, message):
    file = tmp_path / "exp.py"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_experiment(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_the_line_is_named_of_a_file_given_by_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("exp.py").write_text("\n\nimport not_there\n")
    with pytest.raises(InputError, match=r"exp\.py: line = 3: fails while it runs"):
        load_experiment(Path("exp.py"))


def test_missing_files_and_files_of_another_kind(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_experiment(tmp_path / "no.py")
    (tmp_path / "exp.txt").write_text("x")
    with pytest.raises(InputError, match="is no Python file"):
        load_experiment(tmp_path / "exp.txt")


@pytest.mark.usefixtures("unchecked")
def test_what_fathom_refuses_inside_a_file_names_the_file(tmp_path):
    file = tmp_path / "exp.py"
    file.write_text(
        "from fathom.train import Experiment\n"
        "EXPERIMENT = Experiment(net=1, data=2, loss=3, steps=0)"
    )
    with pytest.raises(UsageError, match=r"exp\.py: steps = 0"):
        load_experiment(file)


@pytest.mark.usefixtures("unchecked")
def test_files_may_import_their_neighbours(tmp_path):
    (tmp_path / "neighbour_of_exp.py").write_text("STEPS = 7\n")
    (tmp_path / "exp.py").write_text(
        "from neighbour_of_exp import STEPS\n"
        "from fathom.train import Experiment\n"
        "EXPERIMENT = Experiment(net=1, data=2, loss=3, steps=STEPS, warmup=0)"
    )
    assert load_experiment(tmp_path / "exp.py").steps == 7


def test_descriptions_are_json_without_addresses():
    import json

    experiment = replace(
        BASE, net=functools.partial(Net, norm=False), evidence=lambda pair: None, start=Path("w")
    )
    found = described(experiment)
    text = json.dumps(found)
    assert "0x" not in text
    assert found["net"] == {"is": "train_runs.Net", "arguments": [], "norm": False}
    assert found["loss"]["kind"] == "multi-scale" and found["start"] == "w"
    assert found["augment"] == "train_runs.shuffled"
    assert described({"a": object(), 1: (1.5,)}) == {"a": "a builtins.object", "1": ["1.5"]}
    other = described(replace(experiment, net=Net, workers=3, steps=15))
    assert differences(found, other) == ["net", "steps", "workers"]


def test_pairs_from_disk(shared_like):
    found = Pairs(shared_like)()
    assert len(found) == 2 and found[0].truth is not None


@pytest.fixture
def shared_like(tmp_path):
    from fathom.data import write_sample

    for i in range(2):
        write_sample(tmp_path / "set" / f"s{i}", sample(i))
    return tmp_path / "set"


def test_anything_indexed_is_samples():
    assert isinstance(Endless(), Samples) and isinstance([1], Samples)
    assert not isinstance(3, Samples)


def test_public_names():
    import fathom.train

    for name in fathom.train.__all__:
        assert getattr(fathom.train, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Experimint'"):
        _ = fathom.train.Experimint
    assert fathom.train.Experiment is Experiment
