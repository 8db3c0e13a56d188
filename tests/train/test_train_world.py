"""Two processes on the processor do what one does with the whole batch; devices that are absent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import train_runs
from train_runs import run, weights

from fathom.core import ResourceError, UsageError
from fathom.train import world as module
from fathom.train.world import chosen_device, joined

EXPERIMENT = """
from dataclasses import replace
from train_runs import BASE, Many, plain_net

# The confidence is not in the loss: DDP must not wait for its gradient.
from fathom.train import StereoLoss

EXPERIMENT = replace(
    BASE, net=plain_net, optimiser="sgd", steps=3, batch=4, ema=None, save_every=3,
    learning_rate=0.05, warmup=0, schedule="constant", clip=0.5, weight_decay=0.0,
    loss=StereoLoss(confidence=0.0), data=lambda: Many(7, broken=(1,), sparse=True),
)
"""


def test_two_processes_have_the_gradients_of_the_whole_batch(tmp_path):
    """Three steps of SGD: weights are the start less the sum of gradients times the rate."""
    file = tmp_path / "exp.py"
    file.write_text(EXPERIMENT)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words += ["-m", "fathom", "train", str(file), "-o", str(tmp_path / "two"), "--device", "cpu"]
    words += ["--set", "parts=2"]  # each process's pairs one after the other
    environment = {**os.environ, "PYTHONPATH": str(Path(train_runs.__file__).parent)}
    done = subprocess.run(words, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("step 3/3") == 1  # the first process alone speaks
    assert "left out s1: s1.png: is damaged" in done.stderr
    assert "backend" not in done.stderr + done.stdout  # what Fabric tells by itself
    from fathom.train.load import load_experiment

    sys.path.insert(0, str(Path(train_runs.__file__).parent))
    experiment = load_experiment(file)
    from fathom.train import train

    train(experiment, tmp_path / "one", device="cpu")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    start = train_runs.plain_net
    torch.manual_seed(0)
    start = start().state_dict()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(one["first.weight"], start["first.weight"], atol=1e-3)


class _Fabric:
    """A place among so many, on a device that need not be there."""

    def __init__(self, size, device):
        self.global_rank, self.world_size, self.device = 0, size, device


@pytest.mark.parametrize("device", ["gpu", "cpu:1", "cuda:x", "cuda:", ""])
def test_devices_that_are_none(device):
    if device == "cuda:":
        device = "cuda:-1"
    with pytest.raises(UsageError, match="is no device; expected auto, cpu, cuda or cuda:N"):
        chosen_device(device)


def test_a_gpu_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto").type == "cpu"
    with pytest.raises(
        ResourceError, match=r"device = 'cuda': that GPU is not there.*--device cpu"
    ):
        chosen_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device("auto", 1) == chosen_device("cuda", 1) == torch.device("cuda", 1)
    assert chosen_device("cuda:0", 1) == torch.device("cuda", 0)
    with pytest.raises(ResourceError, match="torch sees 2"):
        chosen_device("cuda:2")


def test_a_gpu_without_bfloat16(monkeypatch):
    from dataclasses import replace

    from fathom.train.loop import _check

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    place = module.World(_Fabric(1, torch.device("cuda", 0)))
    with pytest.raises(ResourceError, match="this GPU has no bfloat16"):
        _check(replace(train_runs.BASE, precision="bf16"), place)


def test_torchrun_s_variables_without_sense(monkeypatch):
    monkeypatch.setenv("RANK", "three")
    with pytest.raises(UsageError, match="RANK = 'three': is no number"), joined("cpu"):
        pass
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(UsageError, match=r"RANK = 3: does not fit.*0\.\.0"), joined("cpu"):
        pass


def test_a_batch_that_does_not_divide(tmp_path, monkeypatch):
    from contextlib import contextmanager

    import fathom.train.loop as loop

    @contextmanager
    def three(device, precision):
        yield module.World(_Fabric(3, torch.device("cpu")))

    monkeypatch.setattr(loop, "joined", three)
    with pytest.raises(UsageError, match=r"batch = 2: does not divide.*multiple of 3"):
        run(tmp_path / "a")


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_the_forward_pass_s(precision, kind):
    with joined("cpu", precision) as world:
        net = world.wrapped(torch.nn.Linear(2, 1))
        with world.autocast():
            answer = net(torch.ones(1, 2))
        assert answer.dtype == kind
        world.backward(answer.sum())
        assert net.weight.grad.dtype == torch.float32


def test_a_cluster_s_job_is_not_taken_for_one_s_own(monkeypatch):
    """Fabric by itself would wait for the four tasks of the job."""
    for name, value in {"NTASKS": "4", "JOB_NAME": "x", "PROCID": "2", "LOCALID": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with joined("cpu") as world:
        assert (world.rank, world.size) == (0, 1)


def test_one_process_needs_nobody():
    with joined("cpu") as world:
        assert world.same(3) == 3 and world.gathered(["a"]) == ["a"]
        assert world.summed(torch.ones(2)).tolist() == [1, 1]
        world.wait()
        net = torch.nn.Linear(1, 1)
        assert world.wrapped(net) is net
