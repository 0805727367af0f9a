"""Matrix products in float32 that use all of a CPU; without gradients."""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

CPU: Final = Path("/proc/cpuinfo")


def _elsewhere() -> bool:
    """Whether MKL is not on a processor of its maker's."""
    return not CPU.exists() or "GenuineIntel" not in CPU.read_text()


_ONEDNN: Final = hasattr(torch.ops.mkldnn, "_linear_pointwise") and _elsewhere()


def rows_by_rows(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right.T`` of [m, k] and [n, k], which may be a transposed view.

    torch computes float32 products with MKL, whose kernels for other makers' processors stop at AVX2. oneDNN,
    which torch carries too, takes AVX-512 wherever it is: twice as fast there. On Intel's own MKL is faster.
    """
    if not _by_onednn(left, right):
        return left @ right.T
    product: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return product


def rows_by_columns(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Write ``left @ right`` of a few rows [m, k] and a matrix [k, n] to ``out`` [m, n].

    In one call where it can be: where a request comes alone, what stands around a product costs as much.
    """
    if _ONEDNN:
        out.copy_(rows_by_rows(left, right.t()))
    else:
        torch.mm(left, right, out=out)


def columns_by_rows(left: Tensor, right: Tensor) -> Tensor:
    """``left.T @ right`` of [k, m] and [k, n], where m is the large one."""
    if not _by_onednn(left, right):
        return left.T @ right
    turned = left.new_empty(left.size(1), left.size(0))
    half = len(turned) // 2
    for part in (slice(0, half), slice(half, None)):  # a whole matrix would be turned by one thread
        turned[part] = left[:, part].T
    return rows_by_rows(turned, right.T)


def _by_onednn(left: Tensor, right: Tensor) -> bool:
    return _ONEDNN and left.device.type == "cpu" and left.dtype == right.dtype == torch.float32
