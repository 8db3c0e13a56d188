"""Weights files: strict, and every damage is one line."""

import builtins

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fathom.core.errors import InputError, MissingExtraError
from fathom.layers.state import load_state, read_tensors, renamed


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(nn.Linear(3, 2).state_dict(), path, {"format": "x"})
    return path


def test_round_trip(file):
    tensors, metadata = read_tensors(file)
    assert metadata == {"format": "x"}
    net = nn.Linear(3, 2)
    load_state(net, tensors, file)
    assert torch.equal(net.weight, tensors["weight"])


def test_missing_truncated_and_foreign_files(file, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_tensors(tmp_path / "no.safetensors")
    data = file.read_bytes()
    for size in (1, 7, 9, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        with pytest.raises(InputError, match=r"w\.safetensors.*truncated or no safetensors"):
            read_tensors(file)
    file.write_bytes(b"PK\x03\x04 this is a zip, as torch.save makes them" * 10)
    with pytest.raises(InputError, match="no safetensors"):
        read_tensors(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("bias"), r"bias: is missing.*expected a tensor of 2"),
        (lambda s: s.update(weight=torch.zeros(2, 4)), r"weight: is of shape 2x4.*expected 2x3"),
        (lambda s: s.update(more=torch.zeros(1)), r"more: is no part of this net"),
    ],
)
def test_weights_of_another_net_change_nothing(file, change, message):
    net = nn.Linear(3, 2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = dict(read_tensors(file)[0])
    change(state)
    with pytest.raises(InputError, match=message):
        load_state(net, state, file)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_without_safetensors_the_extra_is_named(file, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest, **more):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"fathom-depth\[torch\]"):
        read_tensors(file)


def test_the_net_itself_can_be_renamed_too():
    state = {"gamma": torch.ones(1), "part.weight": torch.zeros(1)}
    there = renamed(state, {"": "inner", "part": "other"})
    assert set(there) == {"inner.gamma", "other.weight"}
    assert set(renamed(there, {"inner": "", "other": "part"})) == set(state)
