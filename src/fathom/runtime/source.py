"""A model's file as it was read and verified."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fathom.core.errors import InputError, ResourceError
from fathom.io.files import PathLike, read_bytes
from fathom.runtime.header import Header, read_header, read_xml_header

_LONGEST = 1 << 31


@dataclass(frozen=True, eq=False)
class Source:
    """path: for errors. data: the file's bytes. weights: of the .bin beside an .xml, else empty.
    sha256: of both, hexadecimal. own: of OpenVINO's own format. header: None where only OpenVINO
    can tell."""

    path: str
    data: bytes
    weights: bytes
    sha256: str
    own: bool
    header: Header | None


def read_source(path: PathLike, sha256: str | None = None) -> Source:
    """Reads .onnx, or .xml with the .bin beside it. sha256: of the file (of .xml, then .bin).

    Raises `InputError` for a file that is missing, truncated, no model, or of another digest.
    """
    data = read_bytes(path, "model", _LONGEST)
    own = Path(path).suffix.lower() == ".xml"
    weights = read_bytes(Path(path).with_suffix(".bin"), "model's .bin", _LONGEST) if own else b""
    digest = hashlib.sha256(data)
    digest.update(weights)
    found = digest.hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise InputError(
            "is not the file it should be: damaged or exchanged",
            file=path,
            field="sha256",
            value=found,
            expected=sha256.lower(),
            remedy="install fathom again, or give the file that belongs to this record",
        )
    if own:
        return Source(str(path), data, weights, found, own, read_xml_header(data))
    try:
        header = read_header(data)
    except ValueError as error:
        raise InputError(
            f"is no ONNX model: {error}",
            file=path,
            field="size",
            value=f"{len(data)} bytes",
            expected="an .onnx or .xml file that `fathom export` wrote",
            remedy="copy or make the file again",
        ) from error
    return Source(str(path), data, b"", found, own, header)


def refused(source: Source, backend: str, error: Exception) -> InputError | ResourceError:
    """The error for what a backend threw at this model."""
    text = str(error).strip().splitlines()
    reason = text[-1].strip() if text else type(error).__name__
    lowered = str(error).lower()
    if isinstance(error, MemoryError) or "bad_alloc" in lowered or "allocate" in lowered:
        return ResourceError(
            "not enough memory for this model at this size",
            file=source.path,
            remedy="shrink the images (--scale 0.5) or free memory",
        )
    return InputError(
        f"{backend} cannot run this model: {reason[:160]}",
        file=source.path,
        expected="a model that `fathom export` wrote",
        remedy="copy or make the file again",
    )
