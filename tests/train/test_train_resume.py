"""A run that is killed anywhere ends with the bits of an undisturbed one."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import torch
import train_runs
from train_runs import BASE, forked, killed, run, same, weights

from fathom.train.checkpoint import newest, read_checkpoint

POINTS = 9


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "a"
    result, _ = run(folder)
    assert result.stopped == "finished" and result.step == BASE.steps
    return folder


def _watched(folder: Path, kill_at: int, events, steps) -> None:
    """A run that dies at the n-th time it touches the disk or the weights."""

    def counted(real, also=None):
        def call(*args, **kwargs):
            events.value += 1
            if events.value == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            out = real(*args, **kwargs)
            if also is not None:
                also.value += 1
            return out

        return call

    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)
    Path.unlink = counted(Path.unlink)
    torch.optim.AdamW.step = counted(torch.optim.AdamW.step, steps)
    run(folder)


def test_kill_9_anywhere_loses_at_most_one_interval_and_no_bit(undisturbed, tmp_path):
    wanted = weights(undisturbed)
    events, steps = (multiprocessing.Value("i", 0) for _ in range(2))
    assert forked(lambda: _watched(tmp_path / "count", -1, events, steps)) == 0
    total = events.value
    assert total > 3 * BASE.steps and steps.value == BASE.steps
    lost = []
    for kill_at in sorted({1 + i * (total - 1) // (POINTS - 1) for i in range(POINTS)}):
        folder = tmp_path / str(kill_at)
        events.value = steps.value = 0
        assert killed(forked(lambda n=kill_at, f=folder: _watched(f, n, events, steps)))
        found = newest(folder / "checkpoints", lost.append) if folder.exists() else None
        kept = 0 if found is None else found.step
        assert steps.value - kept <= BASE.save_every, kill_at
        result, _ = run(folder, resume=True)
        assert result.step == BASE.steps, kill_at
        assert same(weights(folder), wanted), kill_at
        hidden = [p.name for p in (folder / "checkpoints").iterdir() if p.name.startswith(".")]
        assert not hidden, kill_at
        logged = [e for e in _log(folder) if "validation" not in e]
        assert [e["step"] for e in logged] == list(range(2, BASE.steps + 1, 2)), kill_at
    assert lost == []


def _log(folder):
    import json

    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_best_weights_and_scores_are_the_same_too(undisturbed, tmp_path):
    events, steps = (multiprocessing.Value("i", 0) for _ in range(2))
    folder = tmp_path / "b"
    assert killed(forked(lambda: _watched(folder, 30, events, steps)))
    run(folder, resume=True)
    from fathom.layers.state import read_tensors

    mine, theirs = (read_tensors(f / "best.safetensors")[0] for f in (folder, undisturbed))
    assert same(mine, theirs)
    scores = [[e["numbers"] for e in _log(f) if "validation" in e] for f in (folder, undisturbed)]
    assert scores[0] == scores[1] and len(scores[0]) == 3  # at 0, 6 and 12


def test_ctrl_c_saves_after_the_step_and_says_how_to_go_on(undisturbed, tmp_path, monkeypatch):
    real, calls = torch.optim.AdamW.step, []

    def step(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    before = signal.getsignal(signal.SIGINT)
    result, lines = run(tmp_path / "c")
    assert signal.getsignal(signal.SIGINT) is before
    assert (result.stopped, result.step) == ("interrupted", 5)
    assert "stopping after this step; Ctrl-C again stops at once" in lines
    assert "interrupted: saved after step 5; go on with --resume" in lines
    result, lines = run(tmp_path / "c", resume=True)
    assert lines[0] == "going on after step 5 of 12"
    assert same(weights(tmp_path / "c"), weights(undisturbed))


def test_a_second_ctrl_c_stops_at_once(tmp_path, monkeypatch):
    def step(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "c")


def test_ctrl_c_does_not_wait_for_a_long_validation(tmp_path, monkeypatch):
    from fathom.train import validate

    seen = []
    real = validate.predict

    def slow(*args):
        seen.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        return real(*args)

    monkeypatch.setattr(validate, "predict", slow)
    result, _ = run(tmp_path / "c")
    assert seen == [1]
    assert (result.stopped, result.step) == ("interrupted", 1)


def test_a_damaged_newest_checkpoint_is_passed_over(undisturbed, tmp_path):
    folder = tmp_path / "d"
    run(folder)
    files = sorted((folder / "checkpoints").glob("*.safetensors"))
    assert [f.name for f in files] == ["step-00000008.safetensors", "step-00000012.safetensors"]
    data = bytearray(files[1].read_bytes())
    data[-3] ^= 1
    files[1].write_bytes(data)
    (folder / "weights.safetensors").unlink()
    _, lines = run(folder, resume=True)
    assert "passed over" in lines[0] and "step-00000012" in lines[0]
    assert lines[1] == "going on after step 8 of 12"
    assert same(weights(folder), weights(undisturbed))


def test_neither_workers_nor_a_fresh_process_change_a_bit(undisturbed, tmp_path):
    """As a user has it: processes started anew, loading in two workers, killed from outside."""
    file = tmp_path / "exp.py"
    file.write_text("from train_runs import BASE\n\nEXPERIMENT = BASE\n")
    folder = tmp_path / "e"
    words = [sys.executable, "-m", "fathom", "train", str(file), "-o", str(folder)]
    words += ["--device", "cpu", "--set", "workers=2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(train_runs.__file__).parent)}
    child = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300  # a busy machine starts slowly
    try:
        while not (folder / "checkpoints" / "step-00000004.safetensors").exists():
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        child.kill()
        child.wait()
    assert not (folder / "weights.safetensors").exists()
    done = subprocess.run(
        [*words, "--resume"], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stderr
    assert same(weights(folder), weights(undisturbed))


def test_checkpoints_hold_everything(undisturbed):
    saved = read_checkpoint(undisturbed / "checkpoints" / "step-00000012.safetensors")
    kinds = {name.split(".")[0] for name in saved.tensors}
    assert kinds == {"net", "ema", "optimiser"}
    assert saved.step == 12 and saved.info["skipped"] == 0


def _wide(folder: Path) -> None:
    """Batches longer than a pipe holds: a worker waits until somebody takes them."""

    def data():
        return [train_runs.sample(i, height=128, width=256) for i in range(4)]

    run(folder, data=data, crop_width=256, crop_height=128, steps=10**6, workers=1, validation=())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_kill_9_leaves_no_worker_behind(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            _wide(tmp_path / "a")
        finally:
            os._exit(1)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "a" / "checkpoints").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        workers = [p for p in _processes() if _parent(p) == child]
        assert len(workers) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    deadline = time.monotonic() + 30
    while _parent(workers[0]) is not None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _parent(workers[0]) is None


def _processes() -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal()]


def _parent(process: int) -> int | None:
    """Of a process that runs; None for one that has ended."""
    try:
        state, parent = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in "ZX" else int(parent)
