"""Vectors of 32 lanes inside numba kernels, spelled out instead of hoped for.

numba widens small integers to 64 bits and its arrays may overlap as far as LLVM knows, so plain
loops over uint8 are vectorised badly or, with more than a few arrays, not at all. The functions
below put LLVM's own vector instructions into a kernel: every lane is an unsigned integer that
saturates instead of wrapping, and LLVM cuts the 32 lanes to what the machine has (SSE, AVX2,
AVX-512, NEON). Integer lanes give the same result everywhere.

`i` is an index into a flat array, unchecked. No value may leave a kernel.
"""

# numba fixes the parameters of the functions that emit code; few need all of them
# ruff: noqa: ARG001, ARG005

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from fathom.classical.kernels.layout import LANES


class Lanes(types.Type):
    """The numba type of a vector of `LANES` unsigned integers of `bits` bits."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__(name=f"Lanes(uint{bits})")


class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _vector(lanes))  # type: ignore[no-untyped-call]


register_model(Lanes)(_LanesModel)


def _vector(lanes: Lanes) -> Any:
    return ir.VectorType(ir.IntType(lanes.bits), LANES)


def _intrinsic(function: Callable[..., Any]) -> Any:
    # the tests' type checker wraps every function; numba needs the bare one
    return intrinsic(inspect.unwrap(function))


def inlined(function: Callable[..., Any]) -> Any:
    """A helper of kernels that is compiled into each of its callers."""
    return njit(forceinline=True)(inspect.unwrap(function))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, to: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(result, [a.type for a in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(function, arguments)


def _splat(builder: Any, scalar: Any) -> Any:
    empty = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    one = builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, empty, zeros)


def _load(typing: Any, array: Any, i: Any) -> Any:
    lanes = Lanes(array.dtype.bitwidth)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], args[0], args[1], _vector(lanes))
        return builder.load(place, align=lanes.bits // 8)

    return lanes(array, types.intp), code


def _store(typing: Any, array: Any, i: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], args[0], args[1], args[2].type)
        builder.store(args[2], place, align=value.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


def _splat_of(bits: int) -> Any:
    def splat(typing: Any, scalar: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _splat(builder, args[0])

        return Lanes(bits)(getattr(types, f"uint{bits}")), code

    return _intrinsic(splat)


def _binary(emit: Callable[[Any, Any, Any, int], Any]) -> Any:
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args[0], args[1], a.bits)

        return a(a, b), code

    return _intrinsic(operation)


def _named(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, bits: int) -> Any:
        return _call(builder, f"llvm.{name}.v{LANES}i{bits}", a.type, [a, b])

    return _binary(emit)


def _ones(builder: Any, a: Any) -> Any:
    name = f"llvm.ctpop.v{LANES}i{a.type.element.width}"
    return _call(builder, name, a.type, [a])


def _count_ones(typing: Any, a: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _ones(builder, args[0])

    return a(a), code


def _smallest(typing: Any, a: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = f"llvm.vector.reduce.umin.v{LANES}i{a.bits}"
        return _call(builder, name, args[0].type.element, [args[0]])

    return getattr(types, f"uint{a.bits}")(a), code


def _widen(typing: Any, a: Any) -> Any:
    wide = Lanes(a.bits * 2)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(args[0], _vector(wide))

    return wide(a), code


def _ramp(builder: Any, start: Any) -> Any:
    steps = ir.Constant(ir.VectorType(start.type, LANES), list(range(LANES)))
    return builder.add(_splat(builder, start), steps)


def _narrow(typing: Any, a: Any) -> Any:
    slim = Lanes(a.bits // 2)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.trunc(args[0], _vector(slim))

    return slim(a), code


def _with_bit(typing: Any, a: Any, b: Any, c: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bit = builder.zext(builder.icmp_unsigned("<", args[1], args[2]), args[0].type)
        shift = ir.Constant(args[0].type, [1] * LANES)
        return builder.or_(builder.shl(args[0], shift), bit)

    return a(a, b, c), code


def _index_of(typing: Any, a: Any, value: Any, start: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        equal = builder.icmp_unsigned("==", args[0], _splat(builder, args[1]))
        none = ir.Constant(args[0].type, [2**a.bits - 1] * LANES)
        return builder.select(equal, _ramp(builder, args[2]), none)

    scalar = getattr(types, f"uint{a.bits}")
    return a(a, scalar, scalar), code


def _keyed(typing: Any, a: Any, start: Any) -> Any:
    wide = Lanes(32)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        shift = ir.Constant(_vector(wide), [16] * LANES)
        high = builder.shl(builder.zext(args[0], _vector(wide)), shift)
        return builder.or_(high, _ramp(builder, args[1]))

    return wide(a, types.uint32), code


load = _intrinsic(_load)
"""load(array, i): the 32 elements from `i` on."""
store = _intrinsic(_store)
"""store(array, i, a): writes the 32 lanes from `i` on."""
splat8 = _splat_of(8)
"""splat8(s): the scalar in every lane."""
splat16 = _splat_of(16)
"""splat16(s): the scalar in every lane."""
add = _named("uadd.sat")
"""add(a, b): saturating sum."""
sub = _named("usub.sat")
"""sub(a, b): difference, 0 where b > a."""
least = _named("umin")
"""least(a, b): the smaller of each two lanes."""
both = _binary(lambda builder, a, b, bits: builder.and_(a, b))
either = _binary(lambda builder, a, b, bits: builder.or_(a, b))
differing = _binary(lambda builder, a, b, bits: builder.xor(a, b))
"""both, either, differing: bitwise and, or, exclusive or."""
count_ones = _intrinsic(_count_ones)
"""count_ones(a): number of bits set in each lane."""
smallest = _intrinsic(_smallest)
"""smallest(a): the smallest lane, a scalar."""
widen = _intrinsic(_widen)
"""widen(a): the same numbers in lanes of twice the bits."""
narrow = _intrinsic(_narrow)
"""narrow(a): the lower half of each lane's bits."""
with_bit = _intrinsic(_with_bit)
"""with_bit(a, b, c): a << 1 | (b < c) in each lane."""
index_of = _intrinsic(_index_of)
"""index_of(a, s, start): lane k is start + k where a == s, else the largest number."""
keyed = _intrinsic(_keyed)
"""keyed(a, start): uint32 lanes a << 16 | start + k; their minimum is the first smallest lane."""
