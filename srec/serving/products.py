"""Products of sessions with a table, as fast as this CPU has them.

Products of 8-bit integers read a quarter of the bytes of float32: by oneDNN where the CPU adds them up in 32
bits (VNNI), else by FBGEMM, which needs AVX2; both come with torch. Without AVX2 float32 stays.
"""

import functools
import os
import warnings
from typing import Final, Protocol

import torch
from torch import Tensor

LEVELS: Final = 127  # of an 8-bit value in one sign
IN_4_BITS: Final = 7  # of a 4-bit value
LOOK: Final = 64  # directions that a look of the certified scan reads of a row before it is judged again
SMALLEST: Final = 1e-9  # size of a direction that no item has
FEWER: Final = 63  # of a session's values where products are added up in 16 bits, which overflow with more

NIBBLES: Final = "nibbles"  # in 4 bits, by ``srec.serving.nibbles``
VNNI, INT8, FLOAT32 = "vnni", "int8", "float32"  # by oneDNN, by FBGEMM, as they are


class Product(Protocol):
    """Whole numbers of sessions times the whole numbers of the table, or float32 times float32."""

    steps: int
    """Largest whole number of a session; 0 where it is multiplied as it is."""

    dtype: torch.dtype
    """Of what is multiplied."""

    def __call__(self, heads: Tensor) -> Tensor:
        """Numbers of sessions [B, d] -> int32 or float32 [B, places]; the next call may overwrite them."""


def product(table: Tensor) -> Product:
    """The product with a table, int8 or float32 [places, d], that this CPU is best at."""
    found = kind()
    if found == FLOAT32:
        return Float32(table)
    return OneDnn(table) if found == VNNI else Fbgemm(table)


class OneDnn:
    """Integer products summed in 32 bits."""

    steps, dtype = LEVELS, torch.int8

    def __init__(self, table: Tensor) -> None:
        """Take integers, int8 [places, d]."""
        self.table = table.T
        self._lone = torch.empty(1, len(table), dtype=torch.int32)  # new memory costs half of the product

    def __call__(self, heads: Tensor) -> Tensor:
        """Whole numbers of sessions, int8 [B, d] -> int32 [B, places]."""
        if len(heads) == 1:
            return torch._int_mm(heads, self.table, out=self._lone)
        return torch._int_mm(heads, self.table)


class Fbgemm:
    """Integer products summed in 16 bits, in which two of a session's reduced values fit."""

    steps, dtype = FEWER, torch.float32

    def __init__(self, table: Tensor) -> None:
        """Take integers, int8 [places, d]."""
        ones, zeros = torch.ones(len(table), dtype=torch.float64), torch.zeros(len(table), dtype=torch.int64)
        with warnings.catch_warnings():  # the product has no form yet that takes plain tensors
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(table, ones, zeros, 0)
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)

    def __call__(self, heads: Tensor) -> Tensor:
        """Whole numbers of sessions, float32 [B, d] -> float32 [B, places]."""
        product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            heads, 1.0, self.steps + 1, self._packed
        )
        return product


class Float32:
    """z_d . v_d as it is."""

    steps, dtype = 0, torch.float32

    def __init__(self, rows: Tensor) -> None:
        """Take rows, float32 [places, d]."""
        self._rows = rows.T.contiguous()  # [d, places]: the scan reads along the rows
        self._lone = torch.empty(1, len(rows))

    def __call__(self, heads: Tensor) -> Tensor:
        """Float32 [B, d] -> float32 [B, places]."""
        return torch.mm(heads, self._rows, out=self._lone) if len(heads) == 1 else heads @ self._rows


@functools.cache
def has_vnni() -> bool:
    """Whether oneDNN's integer product is right to the last bit; without VNNI it overflows, unnoticed."""
    _leave_tiles_out()
    extreme = torch.full((64, 64), LEVELS, dtype=torch.int8)
    right = len(extreme) * LEVELS**2
    return all(int(torch._int_mm(sign * extreme[:1], extreme.T)[0, 0]) == sign * right for sign in (1, -1))


def _leave_tiles_out() -> None:
    """Keep oneDNN from AMX, unless the user has chosen its instructions; before its first product.

    Its tiles are for sixteen rows and more, and it lays the whole table out for them at every product: a lone
    session's takes three times as long as with plain AVX-512, a batch's no less.
    """
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_FP16")


def has_int8() -> bool:
    """Whether there is an 8-bit product that is right on this CPU."""
    return has_avx2() and "fbgemm" in torch.backends.quantized.supported_engines


def balance(rows: Tensor) -> Tensor:
    """By what to divide the directions of rows [n, d] that are read in 4 bits: the root of their size, [d].

    Divided by the whole size, all would be as wrong as each other; by nothing, the small ones would be lost.
    A session is multiplied by the same, so both ends come to bear.
    """
    weights = rows.square().mean(0).sqrt().clamp(min=SMALLEST).sqrt()
    return weights / weights.mean()


def has_nibbles() -> bool:
    """Whether the loops can be compiled that add up products of 4 bits."""
    # Small catalogues need no compiler.
    from srec.compiled import compiles  # noqa: PLC0415
    from srec.score_block import DOT_PRODUCTS  # noqa: PLC0415

    return compiles(*DOT_PRODUCTS)


def kind() -> str:
    """Which pass this CPU is best at: ``NIBBLES``, or a product of ``VNNI``, ``INT8`` or ``FLOAT32``."""
    if has_nibbles():
        return NIBBLES
    if not has_int8():
        return FLOAT32
    return VNNI if has_vnni() else INT8


def has_avx2() -> bool:
    """Whether the CPU, and torch's own choice of kernels, has AVX2."""
    return torch.backends.cpu.get_cpu_capability() not in ("DEFAULT", "NO AVX")
