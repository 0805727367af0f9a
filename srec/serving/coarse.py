"""The coarse pass of ``scan``: approximate scores of all items, and how wrong they may be.

Products of 8-bit integers read a quarter of the bytes of float32: by oneDNN where the CPU adds them up in 32
bits (VNNI), else by FBGEMM, which needs AVX2; both come with torch. Without AVX2, float32 on the leading
directions of the table only.
"""

import functools
import warnings
from typing import Final, cast

import torch
from torch import Tensor

LEVELS: Final = 127  # of an 8-bit value in one sign
FEWER: Final = 63  # of a session's values where products are added up in 16 bits, which overflow with more
TINY: Final = 1e-30
CHUNK: Final = 1 << 16  # items that are prepared at once
ROUNDING: Final = 1e-5  # float32 sums here and in the exact scores, relative to |z| |v|; D at most 4,096


class Coarse:
    """Approximate scores of all items in blocks of items with like bounds.

    Attributes:
        order: the item (from 0) at each place, int64 [V].
        place: the place of each item, int64 [V].
    """

    def __init__(self, items: Tensor, norms: Tensor | None, dims: int, block: int) -> None:
        """Prepare a table; see ``CertifiedScan``."""
        n_items, width = items.size(0) - 1, items.size(1)
        self.block = block
        self._basis = leading_directions(items, norms)[:, :dims].contiguous() if dims < width else None
        rows, rest, lengths = _project(items, norms, self._basis)
        self.order = (rest if dims < width else lengths).argsort(stable=True)
        self.place = torch.empty_like(self.order)
        self.place[self.order] = torch.arange(n_items)
        self._scorer = (Int8 if has_int8() else Float32)(rows[self.order], block)
        self._rest = self._of_blocks(rest)
        self._rounding = ROUNDING * self._of_blocks(lengths)

    def __call__(self, sessions: Tensor) -> tuple[Tensor, Tensor]:
        """Sessions [B, D] -> approximate scores [B, blocks, block] and the bound of each block [B, blocks].

        What lies behind the last item scores minus infinity.
        """
        heads = sessions if self._basis is None else sessions @ self._basis  # [B, d]
        approximate, slack = self._scorer(heads)
        squares = sessions.square().sum(1, keepdim=True)  # [B, 1]
        slack.addcmul_(squares.sqrt(), self._rounding)
        if self._basis is not None:
            rest = squares * (1 + ROUNDING) - heads.square().sum(1, keepdim=True)
            slack.addcmul_(rest.clamp(min=0).sqrt(), self._rest)
        return approximate.view(len(sessions), -1, self.block), slack

    def _of_blocks(self, of_items: Tensor) -> Tensor:
        return block_maxima(of_items[self.order], self.block)


class Int8:
    """z~ . v~ in 8 bits, with a scale an item and a scale a session."""

    def __init__(self, rows: Tensor, block: int) -> None:
        """Take rows in the order of their places, float32 [V, d]."""
        self._n_items = len(rows)
        places = -(-len(rows) // block) * block
        scales = torch.full((places,), TINY)
        scales[: len(rows)] = (rows.abs().amax(1) / LEVELS).clamp(min=TINY)
        table = torch.zeros(places, rows.size(1), dtype=torch.int8)
        error, length = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
        for places_of, chunk in zip(
            torch.split(torch.arange(len(rows)), CHUNK), torch.split(rows, CHUNK), strict=True
        ):
            scale = scales[places_of].unsqueeze(1)
            table[places_of] = (chunk / scale).round().to(torch.int8)
            coarse = table[places_of] * scale
            error[places_of], length[places_of] = (chunk - coarse).norm(dim=1), coarse.norm(dim=1)
        self._product = (OneDnn if has_vnni() else Fbgemm)(table, scales)
        self._error, self._length = block_maxima(error, block), block_maxima(length, block)

    def __call__(self, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Leading values of sessions [B, d] -> scores [B, places] and bounds [B, blocks]."""
        scale = (heads.abs().amax(1, keepdim=True) / self._product.steps).clamp(min=TINY)  # [B, 1]
        whole = (heads / scale).round()
        scores = self._product(whole, scale)
        scores[:, self._n_items :] = -torch.inf
        wrong = torch.addcmul(heads, whole, scale, value=-1).norm(dim=1, keepdim=True)  # [B, 1]
        return scores, torch.addcmul(wrong * self._length, heads.norm(dim=1, keepdim=True), self._error)


class OneDnn:
    """Integer products summed in 32 bits."""

    steps = LEVELS

    def __init__(self, table: Tensor, scales: Tensor) -> None:
        """Take integers [places, d] and their scales [places]."""
        self._table, self._scales = table.T, scales

    def __call__(self, whole: Tensor, scale: Tensor) -> Tensor:
        """Whole numbers of sessions, float32 [B, d], and their scales [B, 1] -> scores [B, places]."""
        product = torch._int_mm(whole.to(torch.int8), self._table).float()
        return product.mul_(self._scales).mul_(scale)


class Fbgemm:
    """Integer products summed in 16 bits, in which two of a session's reduced values fit."""

    steps = FEWER

    def __init__(self, table: Tensor, scales: Tensor) -> None:
        """Take integers [places, d] and their scales [places]."""
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        with warnings.catch_warnings():  # the product has no form yet that takes plain tensors
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(table, scales.double(), zeros, 0)
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)

    def __call__(self, whole: Tensor, scale: Tensor) -> Tensor:
        """Whole numbers of sessions, float32 [B, d], and their scales [B, 1] -> scores [B, places]."""
        product: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            whole, 1.0, self.steps + 1, self._packed
        )
        return product.mul_(scale)


class Float32:
    """z_d . v_d as it is."""

    def __init__(self, rows: Tensor, block: int) -> None:
        """Take rows in the order of their places, float32 [V, d]."""
        n = -(-len(rows) // block) * block
        self._rows = torch.zeros(rows.size(1), n)  # [d, places]: the scan reads along the rows
        self._rows[:, : len(rows)] = rows.T
        self._n_items = len(rows)
        self._blocks = n // block

    def __call__(self, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Leading values of sessions [B, d] -> scores [B, places] and bounds [B, blocks]."""
        scores = heads @ self._rows
        scores[:, self._n_items :] = -torch.inf
        return scores, scores.new_zeros(len(heads), self._blocks)


@functools.cache
def has_vnni() -> bool:
    """Whether oneDNN's integer product is right to the last bit; without VNNI it overflows, unnoticed."""
    extreme = torch.full((64, 64), LEVELS, dtype=torch.int8)
    right = len(extreme) * LEVELS**2
    return all(int(torch._int_mm(sign * extreme[:1], extreme.T)[0, 0]) == sign * right for sign in (1, -1))


def has_int8() -> bool:
    """Whether there is an 8-bit product that is right on this CPU."""
    return has_avx2() and "fbgemm" in torch.backends.quantized.supported_engines


def has_avx2() -> bool:
    """Whether the CPU, and torch's own choice of kernels, has AVX2."""
    return torch.backends.cpu.get_cpu_capability() not in ("DEFAULT", "NO AVX")


def leading_directions(items: Tensor, norms: Tensor | None) -> Tensor:
    """Orthonormal directions of the table, those with most of its energy first, float32 [D, D]."""
    gram = torch.zeros(items.size(1), items.size(1), dtype=torch.float64)
    for rows in _chunks(items, norms):
        gram += (rows.T @ rows).double()
    return cast(Tensor, torch.linalg.eigh(gram).eigenvectors).flip(1).float().contiguous()


def block_maxima(of_items: Tensor, block: int) -> Tensor:
    """Values in the order of places [V] -> the largest of each block [blocks], rounded up."""
    blocks = -(-len(of_items) // block)
    padded = of_items.new_zeros(blocks * block)
    padded[: len(of_items)] = of_items
    return padded.view(blocks, block).amax(1) * (1 + ROUNDING)


def _project(items: Tensor, norms: Tensor | None, basis: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Leading values of all items [V, d], norms of the rest [V], whole norms [V]."""
    rows, rest, lengths = [], [], []
    for chunk in _chunks(items, norms):
        head = chunk if basis is None else chunk @ basis
        squares = chunk.square().sum(1)
        rows.append(head)
        rest.append((squares * (1 + ROUNDING) - head.square().sum(1)).clamp(min=0).sqrt())
        lengths.append(squares.sqrt())
    return torch.cat(rows), torch.cat(rest), torch.cat(lengths)


def _chunks(items: Tensor, norms: Tensor | None) -> list[Tensor]:
    """The table as scored, float32 [n, D] a chunk."""
    chunks = torch.split(items[1:], CHUNK)
    if norms is None:
        return list(chunks)
    return [rows / norm.unsqueeze(1) for rows, norm in zip(chunks, torch.split(norms, CHUNK), strict=True)]
