"""Sixteen scores at once from products of 4-bit numbers, by the instructions that AVX-512 has for them.

Written with LLVM's builder, which comes with Numba: from loops LLVM does not find these instructions. Beside
``compiled`` the only part that knows Numba.
"""

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

DOT_PRODUCTS: Final = ("avx512f", "avx512bw", "avx512vnni")  # what ``score_block`` is compiled for
BYTE, INTEGER, NUMBER = ir.IntType(8), ir.IntType(32), ir.FloatType()
BYTES, INTEGERS, NUMBERS = ir.VectorType(BYTE, 64), ir.VectorType(INTEGER, 16), ir.VectorType(NUMBER, 16)
SUMS_OF_FOUR, LARGEST = "llvm.x86.avx512.vpdpbusd.512", "llvm.vector.reduce.fmax.v16f32"


def _score_block(  # noqa: PLR0917  an inner loop
    _: Any,
    codes: types.Array,
    block: types.Integer,
    numbers: types.Array,
    row: types.Integer,
    zero: types.Integer,
    unit: types.Float,
    leading: types.Array,
    along: types.Float,
    scores: types.Array,
) -> tuple[Any, Callable[..., Any]]:
    """How ``score_block`` is typed, and what code is made for it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def array(place: int) -> Any:
            return context.make_array(signature.args[place])(context, builder, arguments[place])

        def load(of: Any, data: Any, number: Any) -> Any:
            """The vector or integer at a place of an array, which counts in units of its size."""
            value = builder.load(builder.gep(builder.bitcast(data, of.as_pointer()), [number]))
            value.align = 1
            return value

        def everywhere(value: Any, of: Any) -> Any:
            """A vector of a value."""
            empty = ir.Constant(of, ir.Undefined)
            first = builder.insert_element(empty, value, ir.Constant(INTEGER, 0))
            return builder.shuffle_vector(first, empty, ir.Constant(INTEGERS, [0] * 16))

        def library(name: str, result: Any, of: list[Any]) -> Any:
            return cast(Any, cgutils).get_or_insert_function(
                builder.module, ir.FunctionType(result, of), name
            )

        _, block, _, row, zero, unit, _, along, _ = arguments
        groups = builder.extract_value(array(0).shape, 1)
        first_code, first_number = builder.mul(block, groups), builder.mul(row, groups)
        one, half = (ir.Constant(groups.type, n) for n in (1, 2))
        nothing = ir.Constant(INTEGERS, [0] * 16)
        sums = [cast(Any, cgutils).alloca_once_value(builder, nothing) for _ in range(2)]
        product = library(SUMS_OF_FOUR, INTEGERS, [INTEGERS, BYTES, BYTES])
        with cgutils.for_range(builder, groups) as loop:
            both = load(BYTES, array(0).data, builder.add(first_code, loop.index))
            low, high = (ir.Constant(BYTES, [n] * 64) for n in (15, 4))
            at = builder.mul(builder.add(first_number, loop.index), half)
            halves = ((builder.and_(both, low), at), (builder.lshr(both, high), builder.add(at, one)))
            for so_far, (codes_of_four, place) in zip(sums, halves, strict=True):
                four = everywhere(load(INTEGER, array(2).data, place), INTEGERS)
                of_four = [builder.load(so_far), codes_of_four, builder.bitcast(four, BYTES)]
                builder.store(builder.call(product, of_four), so_far)
        total = builder.add(*(builder.load(so_far) for so_far in sums))
        whole = builder.sitofp(builder.sub(total, everywhere(zero, INTEGERS)), NUMBERS)
        ahead = load(NUMBERS, array(6).data, block)
        fast = ("contract", "nnan", "nsz")
        found = builder.fadd(
            builder.fmul(whole, everywhere(unit, NUMBERS), flags=fast),
            builder.fmul(ahead, everywhere(along, NUMBERS), flags=fast),
            flags=fast,
        )
        of_row = builder.add(builder.mul(row, builder.extract_value(array(8).shape, 1)), block)
        to = builder.gep(builder.bitcast(array(8).data, NUMBERS.as_pointer()), [of_row])
        builder.store(found, to).align = 1
        return builder.call(library(LARGEST, NUMBER, [NUMBERS]), [found], fastmath=fast)

    return types.float32(codes, block, numbers, row, zero, unit, leading, along, scores), code


score_block = cast(Callable[..., np.float32], intrinsic(_score_block))
"""In compiled functions, where ``compiles(*DOT_PRODUCTS)``: score sixteen rows in 4 bits.

Args:
    codes: whole numbers from 0 to 15, uint8 [blocks, groups, 16, 4]: of a block's rows eight numbers each a
        group, those of the first four in the lower bits.
    block: which sixteen rows.
    numbers: by which they are multiplied, int8 [B, 8 * groups].
    row: which of these.
    zero: int32, what is taken off every product.
    unit: float32, by what it is multiplied then.
    leading: float32 [blocks, 16], what is added ...
    along: ... times this float32.
    scores: written to, float32 [B, blocks, 16].

Returns:
    the largest of the sixteen.
"""
