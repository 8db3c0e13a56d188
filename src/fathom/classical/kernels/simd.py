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
    """The numba type of a vector of `count` unsigned integers of `bits` bits."""

    def __init__(self, bits: int, count: int = LANES) -> None:
        self.bits = bits
        self.count = count
        super().__init__(name=f"Lanes(uint{bits} x {count})")


class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _vector(lanes))  # type: ignore[no-untyped-call]


register_model(Lanes)(_LanesModel)


def _vector(lanes: Lanes) -> Any:
    return ir.VectorType(ir.IntType(lanes.bits), lanes.count)


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


def _splat(builder: Any, scalar: Any, count: int = LANES) -> Any:
    empty = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    one = builder.insert_element(empty, scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    return builder.shuffle_vector(one, empty, zeros)


def _load_of(count: int) -> Any:
    def load(typing: Any, array: Any, i: Any) -> Any:
        lanes = Lanes(array.dtype.bitwidth, count)

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            place = _pointer(context, builder, signature.args[0], args[0], args[1], _vector(lanes))
            return builder.load(place, align=lanes.bits // 8)

        return lanes(array, types.intp), code

    return _intrinsic(load)


def _prefetch(typing: Any, array: Any, i: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], args[0], args[1], ir.IntType(8))
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
        name = "llvm.prefetch.p0i8"
        function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
        builder.call(function, [place, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


def _store(typing: Any, array: Any, i: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _pointer(context, builder, signature.args[0], args[0], args[1], args[2].type)
        builder.store(args[2], place, align=value.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), code


def _get(typing: Any, array: Any, i: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]]))

    return array.dtype(array, types.intp), code


def _put(typing: Any, array: Any, i: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.store(args[2], builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), code


def _splat_of(bits: int, count: int = LANES) -> Any:
    def splat(typing: Any, scalar: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _splat(builder, args[0], count)

        return Lanes(bits, count)(getattr(types, f"uint{bits}")), code

    return _intrinsic(splat)


def _binary(emit: Callable[[Any, Any, Any, int], Any]) -> Any:
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args[0], args[1], a.bits)

        return a(a, b), code

    return _intrinsic(operation)


def _mean(builder: Any, a: Any, b: Any, bits: int) -> Any:
    wide = ir.VectorType(ir.IntType(2 * bits), a.type.count)
    one = ir.Constant(wide, [1] * a.type.count)
    total = builder.add(builder.add(builder.zext(a, wide), builder.zext(b, wide)), one)
    return builder.trunc(builder.lshr(total, one), a.type)


def _named(name: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, bits: int) -> Any:
        return _call(builder, f"llvm.{name}.v{a.type.count}i{bits}", a.type, [a, b])

    return _binary(emit)


def _ones(builder: Any, a: Any) -> Any:
    name = f"llvm.ctpop.v{a.type.count}i{a.type.element.width}"
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


def _equal(typing: Any, a: Any, b: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sext(builder.icmp_unsigned("==", args[0], args[1]), _vector(a))

    return a(a, b), code


def _moved_of(start: int) -> Any:
    def moved(typing: Any, a: Any, b: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            lanes = ir.VectorType(ir.IntType(32), LANES)
            places = ir.Constant(lanes, list(range(start, start + LANES)))
            return builder.shuffle_vector(args[0], args[1], places)

        return a(a, a), code

    return _intrinsic(moved)


def _no_more(typing: Any, a: Any, b: Any, start: Any, c: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        chosen = builder.icmp_unsigned("<=", args[0], args[1])
        return builder.select(chosen, _ramp(builder, args[2]), args[3])

    return a(a, a, getattr(types, f"uint{a.bits}"), a), code


def _apart(typing: Any, a: Any, start: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        two = ir.Constant(args[0].type, [2] * LANES)
        none = ir.Constant(args[0].type, [2**a.bits - 1] * LANES)
        far = builder.icmp_unsigned(">", _ramp(builder, args[1]), two)
        return builder.select(far, args[0], none)

    return a(a, getattr(types, f"uint{a.bits}")), code


def _shift_of(emit: Callable[[Any, Any, Any], Any]) -> Any:
    def shift(typing: Any, a: Any, count: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(
                builder, args[0], _splat(builder, builder.trunc(args[1], args[0].type.element))
            )

        return a(a, types.int64), code

    return _intrinsic(shift)


load = _load_of(LANES)
load_wide = _load_of(2 * LANES)
"""load(array, i), load_wide(array, i): the 32 or 64 elements from `i` on."""
prefetch = _intrinsic(_prefetch)
"""prefetch(array, i): asks for element `i`, which may lie outside, to be in the cache soon."""
store = _intrinsic(_store)
"""store(array, i, a): writes the lanes of `a` from `i` on."""
get = _intrinsic(_get)
put = _intrinsic(_put)
"""get(array, i), put(array, i, s): one element, without the check for negative indices."""
splat8 = _splat_of(8)
splat16 = _splat_of(16)
splat8_wide = _splat_of(8, 2 * LANES)
"""splat8(s), splat16(s), splat8_wide(s): the scalar in every lane, 64 of them in the last."""
add = _named("uadd.sat")
"""add(a, b): saturating sum."""
sub = _named("usub.sat")
"""sub(a, b): difference, 0 where b > a."""
least = _named("umin")
"""least(a, b): the smaller of each two lanes."""
mean = _binary(_mean)
"""mean(a, b): half of their sum, rounded up; one instruction on most machines."""
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
equal = _intrinsic(_equal)
"""equal(a, b): every bit of lane k is 1 where a == b, else 0."""
no_more = _intrinsic(_no_more)
"""no_more(a, b, start, c): lane k is start + k where a <= b, else that of c."""
apart = _intrinsic(_apart)
"""apart(a, start): lane k is a where (start + k) mod 2^bits > 2, else the largest number."""
one_below = _moved_of(LANES - 1)
"""one_below(before, a): lane k is lane k - 1 of a; lane 0 is the last one of `before`."""
one_above = _moved_of(1)
"""one_above(a, after): lane k is lane k + 1 of a; the last is lane 0 of `after`."""
shift_left = _shift_of(lambda builder, a, count: builder.shl(a, count))
shift_right = _shift_of(lambda builder, a, count: builder.lshr(a, count))
"""shift_left(a, n), shift_right(a, n): each lane's bits moved by n."""
