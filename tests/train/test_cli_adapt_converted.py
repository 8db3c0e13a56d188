"""`fathom adapt` on a published network whose weights were converted, and what comes of it used."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import fathom
from fathom.cli.main import main
from fathom.data import write_sample
from fathom.data.scenes import Scenes, SceneSettings
from fathom.nets.stereo.coex import coex, unconvert
from fathom.published.store import read_header, read_weights, write_weights
from fathom.train.load import load_experiment
from fathom.workflows.scenes import WriteOptions

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SCENES = Scenes(SceneSettings(width=64, height=32, effects=False), 5, 8)
QUICK = (
    *("--steps", "24", "--judge-every", "24", "--batch", "2", "--crop-width", "64"),
    *("--crop-height", "32", "--threads", "1", "--device", "cpu", "--held", "0.4"),
    *("--learning-rate", "0.003", "--labels", "0", "--no-check"),
)


@pytest.fixture
def converted(tmp_path):
    """Weights as a user has them: the authors' file, converted. That the net's stem is the active
    one only the file's settings tell; its tensors are the same."""
    official, file = tmp_path / "official.ckpt", tmp_path / "mine.safetensors"
    torch.manual_seed(0)
    state = {f"stereo.{k}": v for k, v in unconvert(coex().state_dict()).items()}
    torch.save({"state_dict": state}, official)
    assert main(["weights", "convert", str(official), "--model", "coex", "-o", str(file)]) == 0
    tensors, kept = read_weights(file)
    write_weights(file, tensors, {**kept.about, "settings": {"variant": "active-stem"}})
    return file


def test_a_converted_net_is_adapted_kept_and_used(converted, tmp_path):
    out, result = tmp_path / "adapted.safetensors", tmp_path / "result"
    for i in range(8):
        write_sample(tmp_path / "known" / f"{i:03d}", SCENES[i])
    words = ("--model", "coex", "--weights", str(converted), "-o", str(out), *QUICK)
    assert main(["adapt", str(tmp_path / "known"), *words]) == 0
    report = json.loads(out.with_suffix(".json").read_text())
    assert report["kept"] and report["after"]["epe"] < 0.9 * report["before"]["epe"]
    was, now = (read_header(file).about for file in (converted, out))
    for name in ("model", "settings", "licences"):
        assert now[name] == was[name]
    # what the held-back frames were judged by is what is used
    held = report["frames"][0]
    sample = SCENES[int(held["name"][-3:])]
    found = fathom.create("coex", weights=str(out))(sample.pair)
    error = np.abs(np.nan_to_num(found.values) - sample.truth.values).mean()
    assert error == pytest.approx(held["after"]["epe"], rel=1e-4)
    pair = [str(tmp_path / "known" / "000" / f"{side}.png") for side in ("left", "right")]
    use = ("--method", "coex", "--weights", str(out), "-o", str(result))
    assert main(["depth", *pair, *use]) == 0
    told = json.loads((result / "result.json").read_text())["method"]
    assert told["name"] == "coex" and told["weights"] == str(out)


def test_the_experiment_is_the_published_net_on_the_scenes_that_its_command_writes():
    short, full = (load_experiment(EXPERIMENTS / f"{n}.py") for n in ("coex_scenes", "coex"))
    written = WriteOptions(count=360, size="320x192", seed=5, clean=True)
    assert short.data() == Scenes(written.settings, written.seed, written.count)
    assert (short.net, short.loss) == (full.net, full.loss)
    for name in ("optimiser", "learning_rate", "weight_decay", "divisor", "max_disparity"):
        assert getattr(short, name) == getattr(full, name)
