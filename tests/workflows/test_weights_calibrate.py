"""`fathom weights calibrate`: what it finds, writes and refuses."""

import json

import numpy as np
import pytest
import torch

import fathom
from fathom.cli.main import main
from fathom.core import Disparity, InputError, StereoPair, StereoSample, UsageError, View
from fathom.nets.stereo.gc_net import gc_net
from fathom.published.store import read_header, read_weights, write_weights
from fathom.workflows import weights_calibrate
from fathom.workflows.weights_calibrate import CalibrateOptions, calibrate_weights

torch.set_num_threads(1)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    tensors = {k: v.numpy() for k, v in gc_net(max_disparity=32).state_dict().items()}
    path = tmp_path / "gc.safetensors"
    write_weights(path, tensors, {"model": "gc-net", "name": "mine"})
    return path


def samples(count):
    """Pairs whose truth is what the net says on two pixels of three, and far off elsewhere."""
    for seed in range(count):
        images = np.random.default_rng(seed).integers(0, 256, (2, 40, 72, 3), np.uint8)
        yield StereoSample(StereoPair(View(images[0]), View(images[1])), None, name=f"pair {seed}")


@pytest.fixture
def pairs(monkeypatch, weights):
    matcher = fathom.create("gc-net", weights=str(weights))
    made = []
    for sample in samples(2):
        found = matcher(sample.pair)
        right = np.random.default_rng(9).random(found.shape) < 2 / 3
        truth = Disparity(np.where(right, found.values, found.values + 9).astype(np.float32))
        made.append(StereoSample(sample.pair, truth, name=sample.name))
    monkeypatch.setattr(weights_calibrate, "_samples", lambda options: iter(made))
    return made


def test_said_becomes_true_and_is_kept_in_the_file(weights, pairs):
    before = read_weights(weights)[0]
    said = []
    done = calibrate_weights(str(weights), None, said.append)
    assert said == ["1 of 2: pair 0", "2 of 2: pair 1"]
    assert done.pairs == 2 and done.held_out and done.right == pytest.approx(2 / 3, abs=0.02)
    assert done.after < 0.03 < done.before
    after, kept = read_weights(weights)
    assert kept.about["name"] == "mine" and kept.about["calibration"]["scale"] == done.scale
    assert all(np.array_equal(after[k], v) for k, v in before.items())
    plain, true = (
        fathom.create("gc-net", weights=str(weights), calibrated=c)(pairs[0].pair)
        for c in (False, True)
    )
    np.testing.assert_array_equal(plain.values, true.values)
    assert true.confidence.mean() == pytest.approx(2 / 3, abs=0.03)
    assert abs(plain.confidence.mean() - 2 / 3) > 0.05
    again = calibrate_weights(str(weights))
    assert again.scale == pytest.approx(done.scale) and again.before == pytest.approx(done.before)


def test_on_the_command_line(weights, pairs, capsys):
    assert main(["weights", "calibrate", str(weights), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 2
    assert main(["weights", "calibrate", str(weights)]) == 0
    assert "calibration error" in capsys.readouterr().out


def test_the_pair_that_is_always_there_and_pairs_without_truth(weights, tmp_path):
    assert [s.name for s in weights_calibrate._samples(CalibrateOptions())] == ["motorcycle"]
    with pytest.raises(InputError, match="does not exist"):
        calibrate_weights(str(weights), CalibrateOptions(data=str(tmp_path / "none")))


def test_nets_without_a_distribution_and_files_that_do_not_tell(weights, tmp_path):
    with pytest.raises(UsageError, match="has no distribution to calibrate"):
        calibrate_weights(str(weights), CalibrateOptions(model="raft-stereo"))
    bare = tmp_path / "bare.safetensors"
    write_weights(bare, read_weights(weights)[0], {})
    with pytest.raises(InputError, match="does not say which net"):
        calibrate_weights(str(bare))
    with pytest.raises(InputError, match="weights are not here"):
        calibrate_weights("gc-net-not-kept", CalibrateOptions(model="gc-net"))
    with pytest.raises(UsageError, match="is no number of pairs"):
        CalibrateOptions(most=0)
    assert "calibration" not in read_header(weights).about
