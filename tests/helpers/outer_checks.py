"""Checks of shapes go into functions and methods, not into functions inside these.

The checker of an inner function is compiled anew at every call of the outer one, 5 ms each: that
was half of the suite's time.
"""

import ast
from typing import Any

from jaxtyping._import_hook import JaxtypingTransformer

_visit = JaxtypingTransformer.visit_FunctionDef


def _outermost(self: JaxtypingTransformer, node: ast.FunctionDef) -> Any:
    inner = any(isinstance(parent, ast.FunctionDef) for parent in self._parents)
    return node if inner else _visit(self, node)


JaxtypingTransformer.visit_FunctionDef = _outermost
