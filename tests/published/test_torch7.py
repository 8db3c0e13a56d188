"""Torch7 files of networks: text and binary, what the layers' shapes become, hostile ones."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fathom.core.errors import InputError
from fathom.published.torch7 import is_torch7, read_networks
from fathom.published.unpickle import read_foreign

BY_HAND = (
    b"3\n1\n1\n"  # a table, the first object, with one pair:
    b"1\n1\n"  # the number 1, and
    b"4\n2\n3\nV 1\n13\nnn.Sequential\n"  # an object of that class, version 1: its fields are
    b"3\n3\n1\n2\n7\nmodules\n"  # a table with the string "modules", and
    b"3\n4\n1\n1\n1\n"  # a table with 1, and
    b"4\n5\n3\nV 1\n9\nnn.Linear\n3\n6\n1\n2\n6\nweight\n"  # a layer with the string "weight", and
    b"4\n7\n3\nV 1\n17\ntorch.FloatTensor\n2\n2 3\n3 1\n2\n"  # 2 x 3, from the second number of
    b"4\n8\n3\nV 1\n18\ntorch.FloatStorage\n7\n9 1 2 3 4 5 -0.5\n"  # seven
)


class Writer:
    """Writes as torch7 does, from what its File.lua and THDiskFile.c say."""

    def __init__(self, binary: bool) -> None:
        self.binary, self.out, self.index = binary, b"", 0

    def numbers(self, kind: str, *values: float) -> None:
        if self.binary:
            self.out += np.array(values, "<" + kind).tobytes()
        elif values:
            shown = "%.9g" if kind == "f4" else "%.17g" if kind == "f8" else "%d"
            self.out += b" ".join((shown % v).encode() for v in values) + b"\n"

    def text(self, text: str) -> None:
        self.numbers("i4", len(text))
        self.out += text.encode() + (b"" if self.binary or not text else b"\n")

    def kind(self, name: str) -> None:
        self.index += 1
        self.numbers("i4", 4)
        self.numbers("i4", self.index)
        self.text("V 1")
        self.text(name)

    def write(self, value: Any) -> None:
        if value is None:
            self.numbers("i4", 0)
        elif isinstance(value, bool):
            self.numbers("i4", 5)
            self.numbers("i4", int(value))
        elif isinstance(value, float | int):
            self.numbers("i4", 1)
            self.numbers("f8", float(value))
        elif isinstance(value, str):
            self.numbers("i4", 2)
            self.text(value)
        elif isinstance(value, np.ndarray):
            self.kind("torch.CudaTensor")
            self.numbers("i4", value.ndim)
            self.numbers("i8", *value.shape)
            self.numbers("i8", *(s // value.itemsize for s in value.strides))
            self.numbers("i8", 1)
            if value.size:
                self.kind("torch.CudaStorage")
                self.numbers("i8", value.size)
                self.numbers("f4", *value.ravel())
            else:
                self.numbers("i4", 0)
        elif isinstance(value, tuple):
            self.kind(value[0])
            self.write(value[1])
        else:
            table = dict(enumerate(value, 1)) if isinstance(value, list) else value
            self.index += 1
            self.numbers("i4", 3)
            self.numbers("i4", self.index)
            self.numbers("i4", len(table))
            for key, item in table.items():
                self.write(key)
                self.write(item)


def written(value: Any, binary: bool = False) -> bytes:
    writer = Writer(binary)
    writer.write(value)
    return writer.out


def network(*layers: tuple[str, dict]) -> tuple[str, dict]:
    empty = np.zeros(0, np.float32)
    return ("nn.Sequential", {"modules": list(layers), "output": empty, "train": False})


CONVOLUTION = np.arange(36, dtype=np.float32).reshape(2, 2, 3, 3) / 7
BIAS = np.array([0.5, -1e-7], np.float32)


def mc_cnn() -> list:
    """As MC-CNN's main.lua saves its accurate net: two networks and the options."""
    relu = ("cudnn.ReLU", {"inplace": True})
    first = ("cudnn.SpatialConvolution", {"weight": CONVOLUTION, "bias": BIAS, "kW": 3, "kH": 3})
    second = (
        "nn.SpatialConvolution1_fw",
        {"weight": CONVOLUTION[0, 0].copy(), "bias": BIAS.reshape(1, 2, 1, 1)},
    )
    options = {"a": "train_all", "lr": 0.002, "gpu": 1, "debug": False, "nothing": ""}
    return [network(first, relu, first), network(second, relu), options]


def test_a_file_written_by_hand() -> None:
    assert is_torch7(BY_HAND)
    found = read_networks(BY_HAND, "a.t7")
    assert list(found) == ["features.0.weight"]
    assert found["features.0.weight"].tolist() == [[1, 2, 3], [4, 5, -0.5]]


@pytest.mark.parametrize("binary", [False, True])
def test_networks_are_read_with_todays_shapes(binary: bool) -> None:
    data = written(mc_cnn(), binary)
    assert is_torch7(data)
    found = read_networks(data, "a.t7")
    assert {k: v.shape for k, v in found.items()} == {
        "features.0.weight": (2, 2, 3, 3), "features.0.bias": (2,),
        "features.2.weight": (2, 2, 3, 3), "features.2.bias": (2,),
        "decision.0.weight": (3, 3, 1, 1), "decision.0.bias": (2,),
    }  # fmt: skip
    assert np.array_equal(found["features.2.weight"], CONVOLUTION)
    assert np.array_equal(found["decision.0.bias"], BIAS)


def test_flat_weights_of_old_convolutions_get_their_sides() -> None:
    flat = {"weight": CONVOLUTION.reshape(2, 18), "nInputPlane": 2, "kW": 3, "kH": 3}
    data = written([network(("nn.SpatialConvolutionMM", flat))])
    assert np.array_equal(read_networks(data, "a")["features.0.weight"], CONVOLUTION)


def test_an_object_that_was_written_is_the_same_later() -> None:
    again = BY_HAND.replace(b"3\n4\n1\n1\n1\n", b"3\n4\n2\n1\n1\n") + b"1\n2\n4\n5\n"
    found = read_networks(again, "a.t7")
    assert list(found) == ["features.0.weight", "features.1.weight"]
    assert np.array_equal(found["features.0.weight"], found["features.1.weight"])


@pytest.mark.parametrize("binary", [False, True])
def test_every_cut_is_one_line(binary: bool) -> None:
    data = written(mc_cnn(), binary)
    for length in range(12, len(data) - 1, 53):
        with pytest.raises(InputError, match=r"a\.t7: is truncated or damaged"):
            read_networks(data[:length], "a.t7")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.replace(b"3\n4\n1\n", b"3\n4\n99999\n"), "more are announced"),
        (lambda d: d.replace(b"3\n4\n1\n", b"3\n4\n-1\n"), "more are announced"),
        (lambda d: d.replace(b"2 3\n3 1\n", b"2 4\n3 1\n"), "reaches beyond its storage"),
        (lambda d: d.replace(b"2 3\n3 1\n", b"2 3\n-3 1\n"), "reaches beyond its storage"),
        (lambda d: d.replace(b"2 3\n3 1\n2\n", b"2 3\n3 1\n0\n"), "reaches beyond its storage"),
        (lambda d: d.replace(b"2 3\n3 1\n", b"90 90\n0 0\n"), "larger than its storage"),
        (lambda d: d.replace(b"9 1 2", b"9 x 2"), "damaged"),
        (lambda d: d.replace(b"torch.FloatStorage", b"torch.OtherStorage"), "damaged"),
        (lambda d: d.replace(b"1\n1\n4\n2\n", b"1\n1\n9\n2\n", 1), "no type of an object"),
        (lambda d: d.replace(b"1\n1\n4\n2\n", b"1\n1\n8\n2\n", 1), "holds Lua code"),
        (lambda d: d.replace(b"modules", b"nodules"), "holds no network"),
        (lambda d: b"3\n1\n1\n" + b"".join(b"1\n1\n3\n%d\n1\n" % i for i in range(2, 200)),
         "without end"),
    ],
)  # fmt: skip
def test_hostile_files_are_one_line(change: Callable[[bytes], bytes], said: str) -> None:
    data = change(BY_HAND)
    assert data != BY_HAND
    with pytest.raises(InputError, match=said) as caught:
        read_networks(data, "a.t7")
    assert "\n" not in str(caught.value)


def test_a_small_file_does_not_become_large() -> None:
    tensor = (
        b"4\n%d\n3\nV 1\n9\nnn.Linear\n3\n%d\n1\n2\n6\nweight\n"
        b"4\n%d\n3\nV 1\n17\ntorch.FloatTensor\n1\n1000\n1\n1\n%s"
    )
    storage = b"4\n8\n3\nV 1\n18\ntorch.FloatStorage\n1000\n" + b"0 " * 999 + b"0\n"
    layers = b"".join(
        b"1\n%d\n" % (i + 1)
        + tensor % (100 + 3 * i, 101 + 3 * i, 102 + 3 * i, b"4\n8\n" if i else storage)
        for i in range(30)
    )
    start = BY_HAND[: BY_HAND.index(b"3\n4\n1\n1\n1\n")]
    with pytest.raises(InputError, match="larger than the file"):
        read_networks(start + b"3\n4\n30\n" + layers, "a.t7")


def test_they_are_foreign_files_like_others(tmp_path: Path) -> None:
    path = tmp_path / "a.t7"
    path.write_bytes(written(mc_cnn()))
    found = read_foreign(path)
    assert found.tensors["decision.0.weight"].shape == (3, 3, 1, 1)
    assert found.wrapper == "" and found.bytes == path.stat().st_size
    assert not is_torch7(struct.pack("<i", 7))


def test_the_authors_nets_become_ours() -> None:
    import torch

    import parity
    from fathom.nets.stereo import mc_cnn as module
    from fathom.published.convert import candidates, convert_tensors

    for name, wanted in (("mccnn_fast_mb", "mc-cnn-fast"), ("mccnn_accurate_kitti", None)):
        values = parity.weights(parity.case(name))
        layers: dict[str, dict[int, dict]] = {"features": {}, "decision": {}}
        for key, value in values.items():
            part, place, leaf = key.split(".")
            small = value[:, :, 0, 0] if part == "decision" and leaf == "weight" else value
            shaped = small.reshape(1, -1, 1, 1) if part == "decision" and leaf == "bias" else small
            layers[part].setdefault(int(place), {})[leaf] = np.ascontiguousarray(shaped)
        networks = []
        for part, kind in (
            ("features", "cudnn.SpatialConvolution"), ("decision", "nn.SpatialConvolution1_fw"),
        ):  # fmt: skip
            found = layers[part]
            places = range(max(found, default=-1) + 2 if found else 0)
            if found:
                networks.append(
                    network(
                        *((kind, found[i]) if i in found else ("cudnn.ReLU", {}) for i in places)
                    )
                )
        tensors = read_networks(written([*networks, {"a": "x"}], binary=True), name)
        assert {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in values.items()}
        done = convert_tensors(
            {k: torch.from_numpy(np.array(v)) for k, v in tensors.items()},
            candidates(module, module.WEIGHTS), list, name,
        )  # fmt: skip
        assert done.candidate.model == (wanted or "mc-cnn-accurate")
        back = module.unconvert({k: torch.from_numpy(v) for k, v in done.tensors.items()})
        assert all(np.array_equal(back[k].numpy(), v) for k, v in values.items())
