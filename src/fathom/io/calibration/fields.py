"""Values out of JSON, and out of the YAML that ROS and Kalibr write, each checked and named.

Both give plain dicts, lists, numbers and text; what stands where is never taken on trust.
"""

import json
from typing import Any

import numpy as np

from fathom.core.arrays import Array
from fathom.core.errors import InputError
from fathom.io.calibration.text import number, whole


def read_json(text: str) -> dict[str, Any]:
    """The object in a JSON text. Raises `InputError` (without the file's name) for all else."""
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is broken JSON: {error}", remedy="write the file again") from error
    if not isinstance(root, dict):
        raise InputError("holds no JSON object", expected="{ ... }")
    return root


def part(fields: Any, key: str, where: str = "") -> Any:
    """`fields[key]`. Raises `InputError`, naming where.key, if it is not there."""
    name = f"{where}.{key}" if where else key
    if not isinstance(fields, dict) or fields.get(key) is None:
        raise InputError("is missing", field=name, expected="a value")
    return fields[key]


def real(fields: Any, key: str, where: str = "") -> float:
    """The number at `key`. Raises `InputError` if there is none."""
    return _number(part(fields, key, where), f"{where}.{key}" if where else key)


def count(fields: Any, key: str, where: str = "") -> int:
    """The positive whole number at `key`. Raises `InputError` if there is none."""
    name = f"{where}.{key}" if where else key
    value = part(fields, key, where)
    return whole("" if isinstance(value, list | dict | bool) else str(value), name)


def array(fields: Any, key: str, shape: tuple[int, ...], where: str = "") -> Array:
    """The numbers at `key`, nested or not, as float64 of `shape`; -1 stands for any length.

    Raises `InputError` for another count, or what is no number.
    """
    name = f"{where}.{key}" if where else key
    values = [_number(v, name) for v in _flat(part(fields, key, where), name)]
    try:
        return np.array(values, dtype=np.float64).reshape(shape)
    except ValueError:
        expected = f"{int(np.prod(shape))} numbers"
        raise InputError(f"has {len(values)} numbers", field=name, expected=expected) from None


def _number(value: Any, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    return number(str(value) if isinstance(value, str) else f"{value!r:.40}", name)


def _flat(value: Any, name: str) -> list[Any]:
    """The leaves of a list of lists. Three levels do; deeper ones are not what was asked for."""
    if not isinstance(value, list):
        raise InputError("is no list of numbers", field=name, value=value)
    leaves: list[Any] = []
    for row in value:
        leaves += row if isinstance(row, list) else [row]
    return leaves
