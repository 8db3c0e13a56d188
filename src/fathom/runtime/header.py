"""What a model's file says of itself: its inputs, outputs and notes, without a library.

ONNX: protocol buffers are read at their outermost levels only (https://protobuf.dev/
programming-guides/encoding; field numbers from onnx.proto3), which takes a millisecond and finds a
truncated file before any runtime sees it. OpenVINO: the few elements that matter are searched for
in the text, since to parse all of it costs a tenth of a second of every first answer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import unescape

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _NOTE = 7, 14  # of ModelProto
_INPUT, _OUTPUT = 11, 12  # of GraphProto

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Header:
    """inputs, outputs: name -> shape, None where a size is free. notes: the metadata properties."""

    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    notes: dict[str, str]


_DIMS = rb"((?:\s*<dim>-?\d+</dim>)*)"
_PARAMETER = re.compile(
    rb'<layer [^>]*type="Parameter"[^>]*>\s*<data[^>]*/>\s*<output>\s*'
    rb'<port [^>]*names="([^",]+)"[^>]*>' + _DIMS
)
_RESULT = re.compile(
    rb'<layer [^>]*type="Result"[^>]*output_names="([^",]+)"[^>]*>\s*<input>\s*<port [^>]*>' + _DIMS
)
_NOTES = re.compile(rb"<rt_info>.*?<fathom>(.*?)</fathom>", re.DOTALL)
_NOTE_XML = re.compile(rb'<(\w+) value="([^"]*)"\s*/>')


def read_xml_header(data: bytes) -> Header | None:
    """The header of the text of OpenVINO's own format, as OpenVINO writes it; None where it is
    written otherwise, and OpenVINO has to be asked."""
    inputs, outputs = (
        {name.decode(): _sizes(dims) for name, dims in pattern.findall(data)}
        for pattern in (_PARAMETER, _RESULT)
    )
    whole = data.rstrip().endswith(b"</net>")
    counts = (data.count(b'type="Parameter"'), data.count(b'type="Result"'))
    if not whole or not inputs or not outputs or counts != (len(inputs), len(outputs)):
        return None
    found = _NOTES.search(data, data.rfind(b"</edges>"))
    notes = _NOTE_XML.findall(found[1]) if found else []
    told = {f"fathom.{k.decode()}": unescape(v.decode(), {"&quot;": '"'}) for k, v in notes}
    return Header(inputs, outputs, told)


def _sizes(dims: bytes) -> Shape:
    return tuple(None if d < 0 else d for d in map(int, re.findall(rb"-?\d+", dims)))


def read_header(data: bytes) -> Header:
    """The header of an ONNX file's bytes.

    Raises `ValueError` if they are truncated or no ONNX model.
    """
    inputs: dict[str, Shape] = {}
    outputs: dict[str, Shape] = {}
    notes: dict[str, str] = {}
    graphs = 0
    view = memoryview(data)
    for number, value in _fields(view):
        if number == _GRAPH and isinstance(value, memoryview):
            graphs += 1
            for inner, item in _fields(value):
                if inner in (_INPUT, _OUTPUT) and isinstance(item, memoryview):
                    name, shape = _value(item)
                    (inputs if inner == _INPUT else outputs)[name] = shape
        elif number == _NOTE and isinstance(value, memoryview):
            parts = dict(_fields(value))
            notes[_text(parts.get(1))] = _text(parts.get(2))
    if graphs != 1 or not inputs or not outputs:
        raise ValueError("has no graph with inputs and outputs")
    return Header(inputs, outputs, notes)


def _fields(data: memoryview) -> Iterator[tuple[int, "int | memoryview"]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"has a field of unknown kind {wire}")
        if number == 0 or at + length > len(data):
            raise ValueError("is truncated")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("is truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _value(info: memoryview) -> tuple[str, Shape]:
    """Name and shape of a ValueInfoProto: its type (2), the tensor's (1), the shape (2), its
    dimensions (1), each a number (1) or a name."""
    parts = dict(_fields(info))
    shape: list[int | None] = []
    tensor = _inside(_inside(parts.get(2), 1), 2)
    for number, dimension in _fields(tensor):
        if number == 1 and isinstance(dimension, memoryview):
            size = dict(_fields(dimension)).get(1)
            shape.append(size if isinstance(size, int) else None)
    return _text(parts.get(1)), tuple(shape)


def _inside(message: "int | memoryview | None", number: int) -> memoryview:
    if isinstance(message, memoryview):
        found = dict(_fields(message)).get(number)
        if isinstance(found, memoryview):
            return found
    return memoryview(b"")


def _text(value: "int | memoryview | None") -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, memoryview) else ""
