"""The square root as one instruction: numba's own calls the C library, and kernels stand alone."""

# numba fixes the parameters of the functions that emit code; few need all of them
# ruff: noqa: ARG001

import inspect
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _sqrt(typing: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType()])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.sqrt.f64")  # type: ignore[no-untyped-call]
        return builder.call(function, args)

    return types.float64(types.float64), code


sqrt: Any = intrinsic(inspect.unwrap(_sqrt))
"""The root of a float64."""
