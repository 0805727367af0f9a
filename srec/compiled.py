"""Numba's compiler for loops that no library has; it comes in a wheel and needs nothing of the host.

Where an answer hangs on the one before it, tensors take a call a step and numbers far more than they need. A
successor of Numba replaces this file.
"""

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.core import cgutils, config
from numba.extending import intrinsic
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

# Sums may be added up in any order, as in a library's product. Infinities keep their meaning, NaN has none.
SUMS: Final = {"reassoc", "contract", "nsz", "nnan"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers when it is first called; it answers as the plain one does.

    Nothing is kept on disk: Numba's cache is pickled.
    """
    return cast(Callable[P, R], njit(nogil=True, fastmath=SUMS, error_model="numpy")(function))


def _prefetch(_: Any, array: types.Array, byte: types.Integer) -> tuple[Any, Callable[..., Any]]:
    """How ``prefetch`` is typed, and what code is made for it."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        line = builder.gep(builder.bitcast(start, pointer), [arguments[1]])
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cast(Any, cgutils).get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        to_read, to_stay, of_data = 0, 3, 1
        builder.call(function, [line, *(ir.Constant(number, n) for n in (to_read, to_stay, of_data))])
        return context.get_dummy_value()

    return types.void(array, byte), code


prefetch = cast(Callable[[NDArray[Any], int], None], intrinsic(_prefetch))
"""In compiled functions: ask for a byte of an array, and those beside it, without waiting for them."""


def compiles(*features: str) -> bool:
    """Whether the code that Numba makes may use all of these features of a CPU, by LLVM's names for them."""
    known = config.CPU_FEATURES or get_host_cpu_features().flatten()  # type: ignore[attr-defined]
    return {f"+{feature}" for feature in features} <= {*known.split(",")}
