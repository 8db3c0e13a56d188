"""Torch7 files (.t7, text or binary) of networks: what MC-CNN's authors published theirs as.

The format, as torch7's File.lua has it: an object is a number for its type and then its value.
Tables and objects of classes carry an index and are written once; a later one is its index alone.
A tensor is its dimensions, strides, offset (from 1) and a storage; an object of any other class is
a table of its fields. Functions (Lua code) are refused, so nothing in a file can run.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.io.files import PathLike

PARTS = ("features", "decision")
"""What the networks of a file are called: the first gives features, the second decides."""
_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = 0, 1, 2, 3, 4, 5
_DEEPEST, _LONGEST_WORD = 100, 1 << 16
_KINDS = {
    "Float": "f4", "Double": "f8", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2",
    "Byte": "u1", "Cuda": "f4", "CudaDouble": "f8", "CudaHalf": "f2", "CudaLong": "i8",
}  # fmt: skip
_HEADS = (b"3\n1\n", b"4\n1\n3\nV ", b"\x03\0\0\0\x01\0\0\0", b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V ")


def is_torch7(head: bytes) -> bool:
    """Whether a file that begins like this is a table or an object of Torch7."""
    return head.startswith(_HEADS)


def read_networks(data: bytes, path: PathLike) -> dict[str, Array]:
    """Weights and biases of the networks in a Torch7 file: `features.N.weight`, `decision.N.bias`,
    N = the layer's place counted from 0. Weights of convolutions are (out, in, height, width).

    Raises `InputError` if the file is truncated, holds code, or no networks.
    """
    reader = _Reader(data, data[:1] < b"\x10", path)
    try:
        root = reader.read()
    except (ValueError, OverflowError, TypeError, IndexError, KeyError) as error:
        raise reader.broken(str(error)) from error
    networks = [root] if isinstance(root, _Object) else _listed(root)
    found: dict[str, Array] = {}
    sequences = [n for n in networks if isinstance(n, _Object) and "modules" in n.fields]
    # the fast net's file has one part, the accurate one's two
    parts = PARTS[: len(sequences)]
    for part, network in zip(parts, sequences[: len(parts)], strict=True):
        for place, layer in enumerate(_listed(network.fields["modules"])):
            if isinstance(layer, _Object):
                found.update({f"{part}.{place}.{k}": v for k, v in _layer(layer).items()})
    if sum(values.size for values in found.values()) > len(data):
        raise reader.broken("its tensors are larger than the file")
    if not found:
        raise InputError(
            "holds no network with weights", file=path, expected="networks of layers (Torch7)",
            remedy="give the file of weights that its authors published",
        )  # fmt: skip
    return found


@dataclass
class _Object:
    """An object of a class that is no tensor: its fields by name."""

    kind: str
    fields: Mapping[Any, Any] = field(default_factory=dict)


def _listed(table: Any) -> list[Any]:
    """What a Lua table holds under 1, 2, 3, ..."""
    found: list[Any] = []
    while isinstance(table, dict) and len(found) + 1 in table:
        found.append(table[len(found) + 1])
    return found


def _layer(layer: _Object) -> dict[str, Array]:
    """Weight and bias in the shapes that torch's own layers have today."""
    weight, bias = (layer.fields.get(name) for name in ("weight", "bias"))
    found: dict[str, Array] = {}
    if isinstance(weight, np.ndarray) and weight.size:
        if layer.kind.endswith("SpatialConvolution1_fw"):
            weight = weight[..., None, None]
        elif weight.ndim == 2 and "kW" in layer.fields:
            sides = [int(layer.fields[name]) for name in ("nInputPlane", "kH", "kW")]
            weight = weight.reshape(len(weight), *sides)
        found["weight"] = weight
    if isinstance(bias, np.ndarray) and bias.size:
        found["bias"] = bias.reshape(-1)
    return found


@dataclass
class _Reader:
    """Reads one object after the other."""

    data: bytes
    binary: bool
    path: PathLike
    position: int = 0
    depth: int = 0
    seen: dict[int, Any] = field(default_factory=dict)

    def read(self) -> Any:
        """The next object: None, float, str, bool, dict, array or `_Object`."""
        kind = self.integer()
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            return float(self.numbers(1, "f8")[0])
        if kind == _STRING:
            return self.text()
        if kind == _BOOLEAN:
            return self.integer() != 0
        if kind not in (_TABLE, _OBJECT):
            if kind in (6, 7, 8):
                raise InputError(
                    "holds Lua code", file=self.path, expected="networks of layers (Torch7)",
                    remedy="ask for a file without functions",
                )  # fmt: skip
            raise ValueError(f"{kind} is no type of an object")
        index = self.integer()
        if index in self.seen:
            return self.seen[index]
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError("objects inside objects without end")
        value = self.table(index) if kind == _TABLE else self.object(index)
        self.depth -= 1
        return value

    def table(self, index: int) -> dict[Any, Any]:
        """A table: a number of pairs; those of a key that is an object are left out."""
        found: dict[Any, Any] = {}
        self.seen[index] = found
        for _ in range(self.length(self.integer())):
            key, value = self.read(), self.read()
            if isinstance(key, float | str | bool):
                found[key] = value
        return found

    def object(self, index: int) -> Any:
        """An object of a class: a tensor, a storage, or a table of fields."""
        version = self.text()
        name = self.text() if version.startswith("V ") else version
        found = re.fullmatch(r"torch\.(\w+?)(Tensor|Storage)", name)
        if found is None:
            value: Any = _Object(name)
            self.seen[index] = value
            fields = self.read()
            value.fields = fields if isinstance(fields, dict) else {}
        else:
            kind = _KINDS[found[1]]
            value = self.tensor() if found[2] == "Tensor" else self.storage(kind)
            self.seen[index] = value
        return value

    def tensor(self) -> Array:
        """A view into its storage."""
        dimensions = self.length(self.integer())
        shape, strides = (self.numbers(dimensions, "i8").tolist() for _ in range(2))
        offset = int(self.numbers(1, "i8")[0]) - 1
        storage = self.read()
        if not dimensions or not isinstance(storage, np.ndarray):
            return np.zeros(0, np.float32)
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if min(shape) < 1 or min(strides) < 0 or offset < 0 or last >= storage.size:
            raise ValueError("a tensor reaches beyond its storage")
        if math.prod(shape) > storage.size:
            raise ValueError("a tensor is larger than its storage")
        view = np.lib.stride_tricks.as_strided(
            storage[offset:], shape, [s * storage.itemsize for s in strides]
        )
        view.flags.writeable = False
        return view

    def storage(self, kind: str) -> Array:
        """Numbers in a row."""
        return self.numbers(self.length(int(self.numbers(1, "i8")[0])), kind)

    def text(self) -> str:
        """A string; Lua's are bytes."""
        length = self.length(self.integer())
        found = self.data[self.position : self.position + length]
        self.position += length
        if not self.binary and length and self.data[self.position : self.position + 1] == b"\n":
            self.position += 1
        return found.decode("latin-1")

    def integer(self) -> int:
        """One number of 4 bytes."""
        return int(self.numbers(1, "i4")[0])

    def length(self, count: int) -> int:
        """`count`, if so much can still come."""
        if not 0 <= count <= len(self.data) - self.position:
            raise ValueError(f"{count} more are announced than there are")
        return count

    def numbers(self, count: int, kind: str) -> Array:
        """The next numbers: a line of text, or their bytes."""
        dtype: np.dtype[Any] = np.dtype("<" + kind)
        if self.binary:
            end = self.position + count * dtype.itemsize
            if end > len(self.data):
                raise ValueError("it ends in the middle of numbers")
            found: Array = np.frombuffer(self.data[self.position : end], dtype)
            self.position = end
            return found
        if count == 0:
            return np.zeros(0, dtype)
        end = self.data.find(b"\n", self.position)
        words = self.data[self.position : end].split() if end >= 0 else []
        if len(words) != count:
            raise ValueError(f"{len(words)} numbers in a line of {count}")
        self.position = end + 1
        return np.array([word.decode("ascii") for word in words]).astype(dtype)

    def broken(self, why: str) -> InputError:
        """The error for a file that cannot be read on."""
        return InputError(
            f"is truncated or damaged ({why}, at byte {self.position})", file=self.path,
            expected="networks of layers (Torch7)",
            remedy="download it again, and compare its size with the authors'",
        )  # fmt: skip
