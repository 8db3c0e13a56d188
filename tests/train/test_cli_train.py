"""`fathom train` as it is typed."""

import importlib.util
import json
import os
import shlex
import shutil
import signal

import pytest
import torch
from train_runs import sample

from fathom.cli.main import main
from fathom.data import write_sample

TINY = "experiments/tiny.py"
QUICK = ("--device", "cpu", "--set", "threads=1")


@pytest.fixture
def call(capsys, monkeypatch, request):
    """Calls `fathom train ...` in the repository's root; (exit code, output, what was said)."""
    monkeypatch.chdir(request.config.rootpath)

    def run(*words):
        code = main(["train", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def error(said):
    lines = [line for line in said.splitlines() if "error:" in line]
    assert len(lines) == 1 and "Traceback" not in said
    return lines[0]


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for word in ("examples:", "--resume", "--from FILE", "torchrun", "--data PATH", "--check"):
        assert word in text


def test_the_tiny_experiment_and_going_on(call, tmp_path):
    out = tmp_path / "run"
    code, text, said = call(TINY, "-o", out, *QUICK)
    assert code == 0, said
    assert "motorcycle  bad-2" in text and "finished after step 20; see" in text
    assert (out / "log.html").is_file() and (out / "best.safetensors").is_file()
    code, _, said = call(TINY, "-o", out, *QUICK)
    assert code == 2 and "already holds a training run; go on with --resume" in error(said)
    code, text, said = call(TINY, "-o", out, *QUICK, "--resume", "--set", "steps=25", "--json")
    assert code == 0, said
    assert json.loads(text)["step"] == 25 and "going on after step 20 of 25" in said


def test_the_gap_between_two_validations_is_told(call, tmp_path):
    file = tmp_path / "two.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from tiny import EXPERIMENT as TINY\n"
        "(real,) = TINY.validation\n"
        "both = (real, replace(real, name='scenes', metrics=('epe',), mask='all'))\n"
        "EXPERIMENT = replace(TINY, validation=both, steps=1, warmup=0, validate_every=1)\n"
    )
    shutil.copy(TINY, tmp_path / "tiny.py")
    code, out, _ = call(file, "-o", tmp_path / "run", *QUICK, "--json")
    told = json.loads(out)
    real, scenes = told["scores"]["motorcycle"], told["scores"]["scenes"]
    assert code == 0
    assert told["gaps"] == {"motorcycle less scenes": {"epe": real["epe"] - scenes["epe"]}}


def test_a_check_writes_nothing(call, tmp_path):
    out = tmp_path / "run"
    code, text, said = call(TINY, "--check", "-o", out, *QUICK)
    assert code == 0, said
    assert "parameters" in text and "586" in text and not out.exists()
    code, text, _ = call(TINY, "--check", "--json", *QUICK)
    found = json.loads(text)
    assert found["samples"] == 1 and found["steps"] == 3 and found["hours"] > 0
    assert found["memory_mb"] > 50


def test_fine_tuning_on_own_pairs_with_a_part_held_out(call, tmp_path):
    for i in range(6):
        write_sample(tmp_path / "mine" / f"p{i}", sample(i, height=32, width=64))
    code, _, said = call(TINY, "-o", tmp_path / "a", *QUICK, "--set", "steps=5")
    assert code == 0, said
    words = ("--data", tmp_path / "mine", "--from", tmp_path / "a" / "weights.safetensors")
    words += ("--set", "holdout=0.3", "--set", "steps=5", "-o", tmp_path / "b")
    code, text, said = call(TINY, *words, *QUICK)
    assert code == 0, said
    assert text.startswith("held-out  bad-2")
    info = json.loads((tmp_path / "b" / "run.json").read_text())
    assert info["experiment"]["data"]["root"] == str(tmp_path / "mine")


def test_a_recipe_s_own_validation_need_not_be_there_for_other_data(call, tmp_path):
    for i in range(2):
        write_sample(tmp_path / "mine" / f"p{i}", sample(i, height=32, width=64))
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "import sys\nfrom dataclasses import replace\n"
        "sys.path.insert(0, 'experiments')\n"
        "from tiny import EXPERIMENT as TINY\nfrom fathom.train import Pairs, Validation\n"
        "MISSING = Validation('test', Pairs('not/there', 'sceneflow', 'test'))\n"
        "EXPERIMENT = replace(TINY, validation=(MISSING, *TINY.validation))\n"
    )
    words = ("--set", "steps=2", "--set", "warmup=0", *QUICK)
    code, _, said = call(recipe, "-o", tmp_path / "a", *words)
    assert code == 3 and "does not exist" in error(said)
    code, _, said = call(recipe, "-o", tmp_path / "b", "--data", tmp_path / "mine", *words)
    assert code == 0 and "validation test is left out: not/there: does not exist" in said
    assert "validation after step 0: motorcycle" in said


def test_ctrl_c_is_130_and_says_the_line_to_go_on(call, tmp_path, monkeypatch):
    real = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    code, text, said = call(TINY, "-o", tmp_path / "a b", *QUICK)
    assert code == 130
    assert "interrupted: saved after step 1" in said
    last = text.splitlines()[-1].removeprefix("go on with")
    monkeypatch.undo()
    words = shlex.split(last)
    assert words[:2] == ["fathom", "train"] and words[-1] == "--resume"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("no.py",), 3, "no.py: does not exist"),
        ((TINY, "--set", "stepps=3"), 2, "did you mean steps"),
        ((TINY, "--set", "batch=0"), 2, "batch = 0"),
        ((TINY, "--device", "tpu"), 2, "expected auto, cpu, cuda or cuda:N"),
        ((TINY, "--from", "no.safetensors"), 3, "no.safetensors: does not exist"),
        ((TINY, "--data", "no"), 3, "no: does not exist"),
        ((TINY, "--resum"), 2, "unknown flag --resum; did you mean --resume"),
    ],
)
def test_wrong_words_are_one_line(call, tmp_path, words, code, message):
    found, _, said = call(*words, "-o", tmp_path / "run")
    assert found == code
    assert message in error(said)
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there_is_4(call, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, text, said = call(TINY, "--device", "cuda", "-o", tmp_path / "run", "--json")
    assert code == 4 and "that GPU is not there" in error(said)
    assert json.loads(text)["error"]["field"] == "device"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("module", ["torch", "lightning_fabric"])
def test_without_its_packages_the_extra_is_named(module, call, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == module else real(name, *a)
    )
    code, _, said = call(TINY, "-o", tmp_path / "run")
    assert code == 2
    package = module.replace("_", "-")
    assert f"{package} is not installed; run: pip install 'fathom-depth[train]'" in error(said)
