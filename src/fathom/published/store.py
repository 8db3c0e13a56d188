"""Weights in fathom's own form: safetensors files that say what they are and check themselves.

Such a file's metadata holds `format` ("fathom-weights"), `info` (JSON: model, licences, origin) and
`sha256` over the info, the table of tensors and their bytes: a file that was cut, or in which one
bit has turned, is found out. The same tensors and info always give the same file.

Weights are kept by name as NAME.safetensors in the folder `weights` of fathom's cache
(FATHOM_CACHE_DIR, else the platform's), where `fathom.create` finds them. Nothing here needs torch.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError, ResourceError
from fathom.io.atomic import atomic_file
from fathom.io.cache import cache_bases, own_folder
from fathom.io.files import PathLike, open_input
from fathom.published.record import check_name, none_published

FORMAT = "fathom-weights"
FOLDER = "weights"
SUFFIX = ".safetensors"
LARGEST = 1 << 34
"""No file of weights is read that is longer than this many bytes."""
_LONGEST_HEADER = 100_000_000
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"), "U8": np.dtype("u1"), "BOOL": np.dtype("?"),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_AGAIN = "copy or convert the file again"


@dataclass(frozen=True)
class Kept:
    """What the header of a safetensors file tells. bytes: of the file. shapes: of its tensors.
    about: its info, empty where the file is not of fathom's form. sha256: what it says of itself.
    """

    path: Path
    bytes: int
    shapes: Mapping[str, tuple[int, ...]]
    about: Mapping[str, Any]
    sha256: str | None

    @property
    def name(self) -> str:
        """The name it is kept under."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def model(self) -> str | None:
        """The catalog's name of the net it is for, if it says so."""
        found = self.about.get("model")
        return found if isinstance(found, str) else None

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments of the net's builder that belong to these weights."""
        found = self.about.get("settings")
        return dict(found) if isinstance(found, dict) else {}


def keep_folder() -> Path:
    """The folder in which weights are kept; made if it is not there.

    Raises `ResourceError` if no place for it can be written.
    """
    found = own_folder(FOLDER, cache_bases())
    if found is None:
        raise ResourceError(
            "no folder can be written to keep weights in",
            field="FATHOM_CACHE_DIR",
            value=os.environ.get("FATHOM_CACHE_DIR"),
            remedy="set it to a folder of yours, or give -o FILE",
        )
    return found


def kept_path(name: str) -> Path:
    """Where weights of that name are to be kept. Raises `UsageError`, `ResourceError`."""
    check_name(name)
    return keep_folder() / f"{name}{SUFFIX}"


def kept_paths() -> dict[str, Path]:
    """Name -> file of all weights that are kept; the first folder that holds a name wins."""
    found: dict[str, Path] = {}
    for base in cache_bases():
        with suppress(OSError):
            for path in sorted((base / FOLDER).glob(f"*{SUFFIX}")):
                if path.is_file() and not path.name.startswith(".") and _trusted(path):
                    found.setdefault(path.name.removesuffix(SUFFIX), path)
    return found


def weights_file(model: str, given: PathLike | None = None) -> Path:
    """The file of weights for that model of the catalog.

    given: a file, or a name they are kept under; None = those kept under the model's own name, or
    the only ones that are kept for it.

    Raises `InputError` saying how to get them if they are not there, or if they are the authors'
    file, not converted yet.
    """
    if given is not None and Path(given).exists():
        _check_converted(Path(given), model)
        return Path(given)
    name = model if given is None else str(given)
    found = kept_paths().get(name)
    if found is not None:
        return found
    if given is not None and (os.sep in str(given) or Path(given).suffix):
        raise InputError("does not exist", file=given, expected="a file of weights")
    others = [n for n, path in kept_paths().items() if _model_of(path) == model]
    if given is None and len(others) == 1:
        return kept_paths()[others[0]]
    raise InputError(
        "its weights are not here",
        field="weights" if given is not None else model,
        value=given,
        expected=f"a file, or weights kept as {' or '.join(others)}" if others else None,
        remedy=(
            "choose one with --weights NAME"
            if others
            else none_published(model)
            or f"get the authors' file (see: fathom weights list --model {model}), then run: "
            f"fathom weights convert FILE --model {model}"
        ),
    )


def has_weights(model: str) -> bool:
    """Whether `weights_file(model)` finds some."""
    kept = kept_paths()
    return model in kept or sum(_model_of(path) == model for path in kept.values()) == 1


def read_header(path: PathLike) -> Kept:
    """What a safetensors file says of itself; its tensors are not read.

    Raises `InputError` if it is missing, truncated, too long or no safetensors file.
    """
    with open_input(path, "file of weights") as (file, size):
        return _header(file, size, path)[0]


def read_weights(path: PathLike) -> tuple[dict[str, Array], Kept]:
    """The tensors of a safetensors file as arrays, compared with the digest it holds, if any.

    Raises `InputError` as `read_header`, or if the digest is another, or a tensor is of a type that
    numpy has not.
    """
    with open_input(path, "file of weights") as (file, size):
        kept, table, start, metadata = _header(file, size, path)
        file.seek(start)
        data = file.read()
    if kept.sha256 is not None and kept.sha256 != _digest(metadata.get("info", ""), table, data):
        raise InputError(
            "is damaged: the tensors are not those it was written with",
            file=path,
            field="sha256",
            expected=f"{kept.sha256[:16]}...",
            remedy=_AGAIN,
        )
    return {name: _array(name, entry, data, path) for name, entry in table.items()}, kept


def write_weights(path: PathLike, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Writes weights whole or not at all. about: JSON values. Raises `ResourceError` as
    `io.atomic_file` does."""
    arrays = {k: _little(v) for k, v in sorted(tensors.items(), key=_alignment)}
    table, offset = {}, 0
    for name, values in arrays.items():
        table[name] = {
            "dtype": _NAMES[values.dtype],
            "shape": list(values.shape),
            "data_offsets": [offset, offset + values.nbytes],
        }
        offset += values.nbytes
    info = json.dumps(about, allow_nan=False, sort_keys=True)
    digest = hashlib.sha256(_stated(info, table))
    for values in arrays.values():
        digest.update(values.tobytes())
    metadata = {"format": FORMAT, "info": info, "sha256": digest.hexdigest()}
    header = json.dumps({"__metadata__": metadata, **table}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with atomic_file(path) as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for values in arrays.values():
            file.write(values.tobytes())


def _header(
    file: BinaryIO, size: int, path: PathLike
) -> tuple[Kept, dict[str, dict[str, Any]], int, dict[str, str]]:
    """What the header says, its table of tensors, where their bytes start, and the metadata."""
    length = int.from_bytes(file.read(8), "little")
    if size > LARGEST or not 2 <= length <= min(size - 8, _LONGEST_HEADER):
        raise _no_weights(path, size)
    try:
        table = json.loads(file.read(length))
        metadata = {str(k): str(v) for k, v in table.pop("__metadata__", {}).items()}
        shapes, end = {}, 0
        for name, entry in sorted(table.items(), key=lambda item: item[1]["data_offsets"]):
            first, last = entry["data_offsets"]
            if first != end or last < first:
                raise ValueError(name)
            shapes[name], end = tuple(int(n) for n in entry["shape"]), last
        about = json.loads(metadata.get("info", "{}"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_weights(path, size) from error
    if 8 + length + end != size:
        raise InputError(
            "is truncated" if 8 + length + end > size else "has bytes after its end",
            file=path,
            field="size",
            value=f"{size} bytes",
            expected=f"{8 + length + end} bytes",
            remedy=_AGAIN,
        )
    about = about if isinstance(about, dict) else {}
    kept = Kept(Path(path), size, shapes, about, metadata.get("sha256"))
    return kept, table, 8 + length, metadata


def _no_weights(path: PathLike, size: int) -> InputError:
    return InputError(
        "is truncated or no safetensors file", file=path, field="size", value=f"{size} bytes",
        expected="weights as safetensors", remedy=_AGAIN,
    )  # fmt: skip


def _array(name: str, entry: Mapping[str, Any], data: bytes, path: PathLike) -> Array:
    first, last = entry["data_offsets"]
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None or last - first != dtype.itemsize * int(np.prod(entry["shape"], dtype=object)):
        raise InputError(
            "is of a type or size that does not fit",
            file=path,
            field=name,
            value=f"{entry['dtype']} {entry['shape']} in {last - first} bytes",
            expected=f"one of {', '.join(_DTYPES)}",
        )
    values: Array = np.frombuffer(data[first:last], dtype).reshape(entry["shape"])
    return values


def _little(values: Array) -> Array:
    whole = np.ascontiguousarray(values).reshape(values.shape)
    return whole.astype(whole.dtype.newbyteorder("<"), copy=False)


def _alignment(item: tuple[str, Array]) -> tuple[int, str]:
    # as safetensors' own writer does: every tensor starts at a multiple of its item's size
    return (-item[1].dtype.itemsize, item[0])


def _stated(info: str, table: Mapping[str, Mapping[str, Any]]) -> bytes:
    return (info + json.dumps(table, sort_keys=True)).encode()


def _digest(info: str, table: Mapping[str, Mapping[str, Any]], data: bytes) -> str:
    found = hashlib.sha256(_stated(info, table))
    found.update(data)
    return found.hexdigest()


def _check_converted(path: Path, model: str) -> None:
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(9)
        if head.startswith((b"PK", b"\x80\x02", b"3\n1\n", b"\x03\0\0\0\x01")):
            raise InputError(
                "is not converted yet", file=path, expected="weights as safetensors",
                remedy=f"run: fathom weights convert {path} --model {model}",
            )  # fmt: skip


def _model_of(path: Path) -> str | None:
    try:
        return read_header(path).model
    except (InputError, ResourceError):
        return None


def _trusted(path: Path) -> bool:
    """Not laid there by somebody else: one of the places is in the common temporary folder."""
    if not hasattr(os, "getuid"):
        return True
    return path.stat().st_uid in (os.getuid(), 0)
