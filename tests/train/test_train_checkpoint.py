"""Checkpoints: whole or not there, and any damage is found."""

import resource

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from fathom.core.errors import FathomError, InputError, ResourceError
from fathom.train import checkpoint as module
from fathom.train.checkpoint import (
    Checkpoint,
    newest,
    optimiser_tensors,
    read_checkpoint,
    read_weights,
    restore_optimiser,
    save_checkpoint,
    save_weights,
)


def some(step, size=10):
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "net.weight": torch.randn(3, size, generator=generator),
        "net.half": torch.randn(4, generator=generator).to(torch.bfloat16),
        "net.count": torch.tensor(step),
        "ema.weight": torch.randn(3, size, generator=generator),
    }
    return Checkpoint(step, tensors, {"best": 0.1, "scores": {"a": {"epe": 1.5}}})


def test_round_trip_bit_for_bit(tmp_path):
    path = save_checkpoint(tmp_path, some(7), keep=2)
    assert path.name == "step-00000007.safetensors"
    back = read_checkpoint(path)
    assert back.step == 7
    assert back.info == {"step": 7, "best": 0.1, "scores": {"a": {"epe": 1.5}}}
    for name, value in some(7).tensors.items():
        assert back.tensors[name].dtype == value.dtype
        assert torch.equal(back.tensors[name], value)


def test_only_the_newest_are_kept_and_other_files_left_alone(tmp_path):
    (tmp_path / "step-notes.txt").write_text("mine")
    for step in (1, 2, 10, 3, 11):
        save_checkpoint(tmp_path, some(step), keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000010.safetensors",
        "step-00000011.safetensors",
        "step-notes.txt",
    ]
    assert newest(tmp_path, print).step == 11


@settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_any_flipped_bit_and_any_cut_is_found(tmp_path, data):
    path = save_checkpoint(tmp_path, some(3), keep=1)
    whole = path.read_bytes()
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        found = read_checkpoint(path)
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        # White space and key order of the header are not content.
        assert found.step == 3
        assert all(torch.equal(found.tensors[k], v) for k, v in some(3).tensors.items())


def test_the_newest_whole_one_is_found_and_damaged_ones_named(tmp_path):
    assert newest(tmp_path, print) is None
    assert newest(tmp_path / "not there", print) is None
    paths = [save_checkpoint(tmp_path, some(step), keep=5) for step in (1, 2, 3)]
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    data = bytearray(paths[1].read_bytes())
    data[-1] ^= 1
    paths[1].write_bytes(data)
    said = []
    assert newest(tmp_path, said.append).step == 1
    assert len(said) == 2 and "step-00000003" in said[0] and "truncated" in said[0]
    assert "step-00000002" in said[1] and "other content than was written" in said[1]


def test_other_safetensors_are_no_checkpoints(tmp_path):
    save_weights(tmp_path / "w.safetensors", {"a": torch.ones(2)}, {"step": 3})
    with pytest.raises(InputError, match="is no checkpoint; expected fathom-checkpoint"):
        read_checkpoint(tmp_path / "w.safetensors")


def test_a_full_disk_loses_nothing_that_was_saved(tmp_path):
    """The system refuses to let files grow beyond a limit, in the middle of the write."""
    first = save_checkpoint(tmp_path, some(1), keep=1)
    before = first.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(ResourceError, match=r"step-00000002.*cannot be written"):
            save_checkpoint(tmp_path, some(2, size=10_000), keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == [first.name]
    assert first.read_bytes() == before


def test_a_disk_that_lies_is_caught_before_the_old_one_goes(tmp_path, monkeypatch):
    first = save_checkpoint(tmp_path, some(1), keep=1)
    real = module.write_bytes
    monkeypatch.setattr(module, "write_bytes", lambda path, data: real(path, data[:-7]))
    with pytest.raises(ResourceError, match="did not read back as it was written"):
        save_checkpoint(tmp_path, some(2), keep=1)
    assert [p.name for p in tmp_path.iterdir()] == [first.name]


def test_weights_from_a_checkpoint_are_the_averaged_ones(tmp_path):
    path = save_checkpoint(tmp_path, some(1), keep=1)
    found = read_weights(path)
    assert set(found) == {"weight", "half", "count"}
    assert torch.equal(found["weight"], some(1).tensors["ema.weight"])
    assert torch.equal(found["half"], some(1).tensors["net.half"])
    save_weights(tmp_path / "w.safetensors", found, {})
    assert set(read_weights(tmp_path / "w.safetensors")) == set(found)


@pytest.mark.parametrize(
    "kind", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop]
)
def test_the_optimiser_goes_on_as_if_nothing_had_happened(kind):
    def made():
        torch.manual_seed(0)
        net = nn.Conv2d(3, 2, 3).to(memory_format=torch.channels_last)
        extra = {"momentum": 0.9} if kind is torch.optim.SGD else {}
        return net, kind(net.parameters(), 0.1, **extra)

    def step(net, optimiser, seed):
        torch.manual_seed(seed)
        optimiser.zero_grad()
        net(torch.randn(1, 3, 5, 5)).square().sum().backward()
        optimiser.step()

    net, optimiser = made()
    for seed in range(3):
        step(net, optimiser, seed)
    saved = {k: v.clone() for k, v in optimiser_tensors(optimiser).items()}
    other, fresh = made()
    other.load_state_dict(net.state_dict())
    restore_optimiser(fresh, saved)
    for n, o in ((net, optimiser), (other, fresh)):
        step(n, o, 9)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    state = fresh.state[other.weight]
    assert all(
        v.stride() == other.weight.stride() for v in state.values() if v.shape == other.weight.shape
    )


def test_a_folder_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FathomError, match="file stands where a folder"):
        save_checkpoint(tmp_path / "file", some(1), keep=1)
