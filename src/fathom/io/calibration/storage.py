"""OpenCV's FileStorage, as much of it as calibrations use: matrices, lists and single values.

Read by our own parsers of the YAML, XML and JSON it writes: OpenCV's native one is not made for
files one does not trust.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.io.calibration.text import floats, number

Storage = Mapping[str, Array | str]
"""Name -> matrix (2-D float64), list (1-D float64) or text."""

_MOST = 1 << 20


def is_storage(text: str) -> bool:
    """True if the text is written by FileStorage, or looks like YAML with such matrices."""
    head = text.lstrip()[:4096]
    return (
        head.startswith("%YAML")
        or "<opencv_storage" in head
        or "opencv-matrix" in text
        or re.search(r"(?m)^ +(rows|cols): *\d+ *$", text) is not None
    )


def read_storage(text: str) -> Storage:
    """The top-level entries of a FileStorage text.

    Raises `InputError` (without the file's name) for a text that is broken, or a matrix whose
    numbers do not fit its rows and columns.
    """
    start = text.lstrip()[:1]
    if start == "<":
        return _read_xml(text)
    if start == "{":
        return _read_json(text)
    return _read_yaml(text)


_KEY = re.compile(r"([A-Za-z_][\w .-]{0,80}?)\s*:(?:\s+(.*))?$")


def _read_yaml(text: str) -> Storage:
    storage: dict[str, Array | str] = {}
    key, block = "", []
    for line in [*text.splitlines(), "end_of_file: 0"]:
        if line.rstrip() in ("---", "..."):
            continue
        match = _KEY.match(line)
        if match is None:
            block.append(line)
            continue
        if key:
            storage[key] = _yaml_value(key, "\n".join(block))
        key, block = match[1], [match[2] or ""]
    return storage


def _yaml_value(key: str, block: str) -> Array | str:
    block = re.sub(r"(?m)(^|\s)#.*$", "", block).strip()
    rows, cols = (re.search(rf"(?m)^\s*{n}: *(\S+)\s*$", block) for n in ("rows", "cols"))
    if rows and cols:
        data = re.search(r"data: *\[([^\[\]]*)\]", block)
        if data is None:
            raise InputError(
                "has no list of numbers",
                field=key,
                expected="data: [ ... ]",
                remedy="write the file without FileStorage::BASE64"
                if "!!binary" in block
                else None,
            )
        return _matrix(key, rows[1], cols[1], data[1])
    if block.startswith("["):
        return _list(block)
    if block.startswith("- "):
        return _list(re.sub(r"(?m)^\s*-\s", " ", block))  # the dash of an item, not a sign
    return block.strip("\"'")


def _list(text: str) -> Array | str:
    words = [w for w in re.split(r"[\s,\[\]]+", text) if w]
    try:
        return np.array([number(w, "") for w in words], dtype=np.float64)
    except InputError:
        return text  # a list of names is nobody's matrix


def _matrix(key: str, rows: str, cols: str, data: str) -> Array:
    shape = tuple(re.fullmatch(r"\d{1,6}", n.strip()) for n in (rows, cols))
    if shape[0] is None or shape[1] is None:
        raise InputError("has no size", field=key, value=f"rows {rows}, cols {cols}")
    height, width = int(shape[0][0]), int(shape[1][0])
    if height * width > _MOST:
        raise InputError("is too large", field=key, value=f"{height}x{width}")
    return np.array(floats(data, height * width, key), dtype=np.float64).reshape(height, width)


def _read_xml(text: str) -> Storage:
    from xml.etree import ElementTree

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        # Entities can grow without bound when they are expanded; FileStorage writes none.
        raise InputError("declares XML entities", expected="plain FileStorage XML")
    # The declared encoding is that of the bytes, which are decoded already.
    body = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        root = ElementTree.fromstring(body)  # noqa: S314
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise InputError(f"is broken XML: {error}", remedy="write the file again") from error
    storage: dict[str, Array | str] = {}
    for node in root:
        rows, cols, data = (node.findtext(n) for n in ("rows", "cols", "data"))
        if rows and cols:
            storage[node.tag] = _matrix(node.tag, rows, cols, data or "")
        else:
            storage[node.tag] = _scalar_or_list(node.text or "")
    return storage


def _scalar_or_list(text: str) -> Array | str:
    return _list(text) if len(text.split()) > 1 else text.strip().strip('"')


def _read_json(text: str) -> Storage:
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is broken JSON: {error}", remedy="write the file again") from error
    storage: dict[str, Array | str] = {}
    for key, value in root.items():
        if isinstance(value, dict) and {"rows", "cols", "data"} <= set(value):
            data = " ".join(_words(value["data"]))
            storage[key] = _matrix(key, str(value["rows"]), str(value["cols"]), data)
        elif isinstance(value, list):
            storage[key] = _list(" ".join(_words(value)))
        else:
            storage[key] = str(value)
    return storage


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        rows = (row if isinstance(row, list) else [row] for row in value)
        return [str(word) for row in rows for word in row]
    return str(value).split()


def storage_text(entries: Mapping[str, Array | int], xml: bool = False) -> str:
    """Matrices (float64, 2-D) and whole numbers as FileStorage's YAML 1.0, or its XML.

    Numbers are written with the digits that give them back to the last bit.
    """
    lines = ['<?xml version="1.0"?>', "<opencv_storage>"] if xml else ["%YAML:1.0", "---"]
    for name, value in entries.items():
        if isinstance(value, int):
            lines.append(f"<{name}>{value}</{name}>" if xml else f"{name}: {value}")
            continue
        rows, cols = value.shape
        numbers = [repr(float(v)) for v in value.ravel()]
        if xml:
            lines.append(f'<{name} type_id="opencv-matrix">')
            lines.append(f"  <rows>{rows}</rows><cols>{cols}</cols><dt>d</dt>")
            lines.append(f"  <data>{' '.join(numbers)}</data></{name}>")
        else:
            lines += [f"{name}: !!opencv-matrix", f"   rows: {rows}", f"   cols: {cols}"]
            lines += ["   dt: d", f"   data: [ {', '.join(numbers)} ]"]
    return "\n".join([*lines, "</opencv_storage>"] if xml else lines) + "\n"
