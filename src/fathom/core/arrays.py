"""Array types with shapes in them, and the checks the nouns share.

Shapes in signatures are jaxtyping's (https://docs.kidger.site/jaxtyping). They are checked under
pytest, where jaxtyping's hook is loaded before fathom; in a user's process nothing checks them,
so jaxtyping is neither imported nor required there (it would cost a tenth of a second at start).
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.core.errors import InputError

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import (
        Bool,
        Float,
        Float32,
        Float64,
        Int32,
        Num,
        Shaped,
        UInt8,
        UInt16,
        UInt64,
    )
else:

    class _Unchecked:
        """Stands for a jaxtyping name: `Float32[np.ndarray, "h w"]` is just `np.ndarray`."""

        def __class_getitem__(cls, item: Any) -> Any:
            return item[0]

    Bool = Float = Float32 = Float64 = Int32 = Num = Shaped = UInt8 = UInt16 = UInt64 = _Unchecked

__all__ = [
    "Array",
    "Bool",
    "Float",
    "Float32",
    "Float64",
    "Int32",
    "Num",
    "Shaped",
    "UInt8",
    "UInt16",
    "UInt64",
    "as_map",
    "frozen",
]

Array = np.ndarray[Any, np.dtype[Any]]
"""A numpy array; the shape and element type stand in the jaxtyping name around it."""


def frozen(array: Array) -> Array:
    """A read-only view of `array`: a noun's data can be shared because nobody can write to it."""
    view = array.view()
    view.flags.writeable = False
    return view


def as_map(values: Any, name: str, *, shape: tuple[int, int] | None = None) -> Array:
    """`values` as a read-only float32 array (h, w).

    Raises `InputError` if it is not two-dimensional and not empty, if it is not numeric, or if
    `shape` is given and differs.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise InputError(
            "is not a numeric array", field=name, value=array.dtype, expected="float32"
        )
    if array.ndim != 2 or array.size == 0:
        raise InputError(
            "has a wrong shape", field=name, value=array.shape, expected="(height, width)"
        )
    if shape is not None and array.shape != shape:
        raise InputError(
            "differs in size from the values it belongs to",
            field=name,
            value=array.shape,
            expected=str(shape),
        )
    return frozen(np.ascontiguousarray(array, dtype=np.float32))
