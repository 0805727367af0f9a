"""Numba's compiler for the loops that every request runs; it comes in a wheel and needs nothing of the host.

Where an answer hangs on the one before it, tensors take a call a step and numbers far more than they need. A
successor of Numba replaces this file.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar, cast

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

# Sums may be added up in any order, as in a library's product. Infinities keep their meaning, NaN has none.
SUMS: Final = {"reassoc", "contract", "nsz", "nnan"}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of arrays and numbers when it is first called; it answers as the plain one does.

    Nothing is kept on disk: Numba's cache is pickled.
    """
    return cast(Callable[P, R], njit(nogil=True, fastmath=SUMS, error_model="numpy")(function))
