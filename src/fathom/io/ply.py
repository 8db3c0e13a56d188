"""PLY: coloured point clouds that every 3D viewer opens.

Written binary little-endian; read binary (both byte orders) and ASCII.
G. Turk, The PLY polygon file format (1994).
"""

import re
from dataclasses import dataclass

import numpy as np

from fathom.core.arrays import Array
from fathom.core.cloud import PointCloud
from fathom.core.errors import InputError
from fathom.core.text import one_line
from fathom.io.atomic import atomic_file
from fathom.io.files import PathLike, in_file, open_input
from fathom.io.recognise import what_is
from fathom.io.source import damaged

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_PLACE, _COLOR, _NORMAL = ("x", "y", "z"), ("red", "green", "blue"), ("nx", "ny", "nz")
_LONGEST_HEADER = 1 << 16
_MAX_BYTES = 1 << 34


def write_ply(path: PathLike, cloud: PointCloud) -> None:
    """Write the cloud binary little-endian, whole or not at all.

    Properties: x y z (float, metres), nx ny nz where the cloud has normals, red green blue (uchar)
    where it has colours. Comments tell unit and frame. Raises `ResourceError` if it cannot be
    written.
    """
    fields = [(name, "<f4", "float") for name in _PLACE]
    if cloud.normals is not None:
        fields += [(name, "<f4", "float") for name in _NORMAL]
    if cloud.colors is not None:
        fields += [(name, "u1", "uchar") for name in _COLOR]
    rows = np.empty(len(cloud), dtype=[(name, kind) for name, kind, _ in fields])
    for names, layer in (
        (_PLACE, cloud.points),
        (_NORMAL, cloud.normals),
        (_COLOR, cloud.colors),
    ):
        for i, name in enumerate(names):
            if layer is not None:
                rows[name] = layer[:, i]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment made by fathom; x right, y down, z forward",
        "comment unit: metre",
        f"comment frame: {one_line(cloud.frame)[:200]}",
        f"element vertex {len(cloud)}",
        *(f"property {kind} {name}" for name, _, kind in fields),
        "end_header\n",
    ]
    with atomic_file(path) as file:
        file.write("\n".join(header).encode("utf-8", errors="replace"))
        file.write(rows.tobytes())


@dataclass(frozen=True)
class _Layout:
    order: str
    count: int
    fields: tuple[tuple[str, str], ...]
    frame: str
    start: int

    @property
    def dtype(self) -> np.dtype[np.void]:
        return np.dtype([(name, self.order + kind) for name, kind in self.fields])


def read_ply(path: PathLike) -> PointCloud:
    """The cloud of a PLY: its vertices, with colours (uchar) and normals where all three are there.

    Properties may stand in any order; others, and faces, are ignored. The frame is "unknown"
    where no comment names it.

    Raises `InputError` if the file is no PLY, lacks x, y or z, has another length than it
    declares, or holds points that are not finite.
    """
    with open_input(path, "PLY cloud") as (file, size), in_file(path):
        layout = _layout(file.read(min(size, _LONGEST_HEADER)))
        if size > _MAX_BYTES:
            raise InputError("is too long", field="size", value=f"{size} bytes")
        left = size - layout.start
        # In ASCII a number takes a digit and a blank.
        row = 2 * len(layout.fields) if layout.order == "" else layout.dtype.itemsize
        if left + (layout.order == "") < row * layout.count:
            raise damaged(f"{layout.count} points need {row * layout.count} bytes, {left} are left")
        file.seek(layout.start)
        if layout.order == "":
            rows = _ascii_rows(file.read(), layout)
        else:
            rows = np.frombuffer(file.read(row * layout.count), layout.dtype)
        return PointCloud(
            _columns(rows, layout, _PLACE, np.float32),
            _columns(rows, layout, _COLOR, np.uint8) if _has(layout, _COLOR, "u1") else None,
            _columns(rows, layout, _NORMAL, np.float32) if _has(layout, _NORMAL, "") else None,
            frame=layout.frame,
        )


def _layout(head: bytes) -> _Layout:
    end = re.search(rb"\nend_header[ \t]*\r?\n", head)
    if not re.match(rb"ply\r?\n", head) or end is None:
        kind = what_is(head)
        named = f": it is {kind.name}" if kind and "PLY" not in kind.name else ""
        raise InputError(f"is no PLY cloud{named}", expected="a header from `ply` to `end_header`")
    order, count, frame, element = None, None, "unknown", ""
    fields: list[tuple[str, str]] = []
    for line in head[: end.start()].decode("utf-8", errors="replace").splitlines()[1:]:
        words = line.split()
        if words[:2] == ["comment", "frame:"]:
            frame = " ".join(words[2:]) or frame
        elif words[:1] == ["format"] and len(words) == 3:
            order = _ORDERS.get(words[1])
        elif words[:1] == ["element"]:
            if count is None and words[1:2] != ["vertex"]:
                raise InputError("does not begin with vertices", field="element", value=line)
            element = words[1]
            if element == "vertex":
                count = _count(words)
        elif words[:1] == ["property"] and element == "vertex":
            fields.append(_field(line, words))
    if order is None or count is None:
        raise InputError("lacks a line", field="header", expected="`format` and `element vertex`")
    names = [name for name, _ in fields]
    if not set(_PLACE) <= set(names) or len(set(names)) != len(names):
        raise InputError("are not x, y and z once each", field="properties", value=" ".join(names))
    return _Layout(order, count, tuple(fields), frame, end.end())


def _count(words: list[str]) -> int:
    if len(words) != 3 or not re.fullmatch(r"[0-9]{1,10}", words[2]):
        raise InputError("is no number of points", field="element vertex", value=" ".join(words))
    return int(words[2])


def _field(line: str, words: list[str]) -> tuple[str, str]:
    if len(words) != 3 or words[1] not in _TYPES:
        raise InputError(
            "is no plain number", field="property", value=line, expected="`property float x`"
        )
    return words[2], _TYPES[words[1]]


def _ascii_rows(data: bytes, layout: _Layout) -> Array:
    need = layout.count * len(layout.fields)
    words = data.split(None, need)[:need]
    if len(words) < need:
        raise damaged(f"{len(words)} numbers where {need} are declared")
    try:
        numbers = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise InputError("holds something that is no number", field="vertices") from error
    return numbers.reshape(layout.count, len(layout.fields))


def _has(layout: _Layout, names: tuple[str, ...], kind: str) -> bool:
    types = dict(layout.fields)
    return all(name in types and types[name].endswith(kind) for name in names)


def _columns(rows: Array, layout: _Layout, names: tuple[str, ...], dtype: type) -> Array:
    order = [name for name, _ in layout.fields]
    with np.errstate(over="ignore", invalid="ignore"):
        columns: list[Array] = [
            (rows[name] if rows.dtype.names else rows[:, order.index(name)]).astype(dtype)
            for name in names
        ]
    out: Array = np.stack(columns, axis=1)
    return out
