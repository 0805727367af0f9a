"""The coarse pass of ``scan``: approximate scores of all items, and how wrong they may be.

It reads the leading directions of the table only, in the type that ``products`` multiplies best on this CPU.
"""

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor

from srec.script import script
from srec.serving import products
from srec.serving.products import LEVELS, OneDnn

TINY: Final = 1e-18  # the square of which is no denormal number
CHUNK: Final = 1 << 16  # items that are prepared at once
ROUNDING: Final = 1e-5  # float32 sums here and in the exact scores, relative to |z| |v|; D at most 4,096


Rough: TypeAlias = tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]
"""Approximate scores of all items for a batch of sessions, in the order of their places, and for each look:

- scores, float32 [B, block, blocks], minus infinity where no item is;
- numbers that the look multiplies, int8 or float32 [B, w];
- step, what a score of 1 is worth, float32 [B, 1], times the block's scale;
- lengths, by which the bounds are multiplied, float32 [B, 4].
"""  # no class with names: TorchScript makes such a class anew in every call, for 50 microseconds

Layout: TypeAlias = tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]
"""What stands at the places, in blocks with one bound each: place p is in block p % blocks.

A block's places lie ``blocks`` apart, so that the maxima of all blocks are those of a few long rows.

- items, the item (from 1) at each place, int64 [places]; 0 where none is;

and for each look, the first of which is the pass over all places:

- table, int8 [places, w]; that of the first has another form, its product's, and is empty here;
- scales, float32 [blocks];
- bounds, float32 [blocks, 4], each the largest of its block: in the directions looked at so far, length of
  a row as the products read it and of what that leaves out; of the row in the others; of the whole as
  float32 rounds it.

``scan`` has the sum that they bound.
"""


class Head(NamedTuple):
    """What is read before float32.

    Attributes:
        dims: how many leading directions of the table the pass reads; D reads all as they are.
        then: how many of the next directions each further look reads of what was left.
    """

    dims: int
    then: tuple[int, ...] = ()


class Coarse:
    """Approximate scores of all items in blocks of items with like bounds.

    Attributes:
        layout: see ``Layout``.
        place: the place of each item, int64 [V+1]; the first has no meaning.
    """

    def __init__(
        self, items: Tensor, norms: Tensor | None, basis: Tensor | None, head: Head, block: int
    ) -> None:
        """Prepare a table; see ``CertifiedScan``."""
        self.n_items, width = items.size(0) - 1, items.size(1)
        # FBGEMM packs its table: no row of it can be looked at alone.
        then = () if products.kind() == products.INT8 else head.then
        self._widths = [width] if basis is None else [head.dims, *then]
        ends = [*accumulate(self._widths)]
        self._basis = None if basis is None or ends[0] == width else basis[:, : ends[-1]].contiguous()
        self.block = block
        turned, rests, lengths = _project(items, norms, self._basis, ends)
        at = _places((rests[0] if ends[0] < width else lengths).argsort(stable=True), block)
        self.place = torch.empty(self.n_items + 1, dtype=torch.int64)
        self.place[at] = torch.arange(len(at))
        rounding = ROUNDING * _laid(lengths, at)
        looks: list[tuple[Tensor, Tensor, Tensor]] = []
        read = left = torch.zeros(len(at))
        for part, rest in zip(torch.split(turned, self._widths, dim=1), rests, strict=True):
            eight_bits = bool(looks) or products.kind() != products.FLOAT32
            table, scales, kept, error = _as_read(_laid(part, at), block, eight_bits)
            read, left = torch.hypot(read, kept), torch.hypot(left, error)
            bounds = [block_maxima(bound, block) for bound in (read, left, _laid(rest, at), rounding)]
            if not looks:
                self._product, table = products.product(table), table[:0]
            looks.append((table, scales, torch.stack(bounds, 1).contiguous()))
        self.layout: Layout = (at, looks)

    def __call__(self, sessions: Tensor) -> Rough:
        """Score sessions [B, D]."""
        behind, product = len(self.layout[0]) - self.n_items, self._product
        if isinstance(product, OneDnn):
            return _by_onednn(sessions, self._basis, self._widths, product.table, self.block, behind)
        looks = _split(sessions, self._basis, self._widths, product.steps, product.dtype)
        return _in_blocks(product(looks[0][0]), self.block, behind), looks


@script
def _rounded(values: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values [B, d] -> whole numbers up to ``steps``, what 1 of them is worth [B, 1], length of the error.

    As they are where ``steps`` is 0.
    """
    if steps == 0:
        one = values.new_ones([values.size(0), 1])
        return values, one, torch.zeros_like(one)
    step = (values.abs().amax(1, keepdim=True) / steps).clamp_min(1e-18)  # TINY
    numbers = (values / step).round_()
    return numbers, step, torch.addcmul(values, numbers, step, value=-1.0).norm(2, 1, True)


@script
def _split(
    sessions: Tensor, basis: Tensor | None, widths: list[int], steps: int, dtype: torch.dtype
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What the products multiply: all of ``Rough`` behind the scores."""
    turned = sessions if basis is None else sessions @ basis  # [B, directions]
    whole = sessions.norm(2, 1, True)
    squares = whole.square() * (1 + 1e-5)  # ROUNDING
    looks: list[tuple[Tensor, Tensor, Tensor]] = []
    wrong, end = torch.zeros_like(whole), 0
    for width in widths:
        numbers, step, error = _rounded(turned.narrow(1, end, width), steps)
        end += width
        wrong = torch.hypot(wrong, error)
        inside = turned.narrow(1, 0, end).norm(2, 1, True)
        rest = (squares - inside.square()).clamp_min(0.0).sqrt()
        looks.append((numbers.to(dtype), step, torch.cat([wrong, inside, rest, whole], 1)))
    return looks


@script
def _in_blocks(scores: Tensor, block: int, behind: int) -> Tensor:
    """Scores [B, places] -> [B, block, blocks]; the last places of the last block hold no item."""
    scores = scores.view(scores.size(0), block, -1)
    if behind:
        scores.narrow(1, block - behind, behind).select(2, -1).fill_(-math.inf)
    return scores


@script
def _by_onednn(  # noqa: PLR0917  names cost a script time
    sessions: Tensor, basis: Tensor | None, widths: list[int], table: Tensor, block: int, behind: int
) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
    """All of the pass in one call, the usual one on a CPU of today."""
    looks = _split(sessions, basis, widths, 127, torch.int8)  # LEVELS
    return _in_blocks(torch._int_mm(looks[0][0], table).float(), block, behind), looks


def _as_read(rows: Tensor, block: int, eight_bits: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows as a product reads them, in 8 bits or as they are.

    Args:
        rows: float32 [places, d].
        block: places that share a scale.
        eight_bits: whether to round.

    Returns:
        int8 or float32 [places, d]; scales [blocks]; lengths of what is kept of each row and of what is left
        out, [places] each.
    """
    blocks = len(rows) // block
    if not eight_bits:
        return rows, torch.ones(blocks), rows.norm(dim=1), torch.zeros(len(rows))
    scales = (block_maxima(rows.norm(math.inf, dim=1), block) / LEVELS).clamp(min=TINY)
    table = torch.zeros(rows.shape, dtype=torch.int8)
    error, length = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
    for places, chunk in zip(
        torch.split(torch.arange(len(rows)), CHUNK), torch.split(rows, CHUNK), strict=True
    ):
        scale = scales[places % blocks].unsqueeze(1)
        table[places] = (chunk / scale).round().to(torch.int8)
        kept = table[places] * scale
        error[places], length[places] = (chunk - kept).norm(dim=1), kept.norm(dim=1)
    return table, scales, length, error


def leading_directions(items: Tensor, norms: Tensor | None, sessions: Tensor) -> Tensor:
    """Orthonormal directions, those with most of the energy of items and sessions first, float32 [D, D].

    A product's rest is bounded by both lengths, so both count, each with its share of its own energy.
    """
    gram = torch.zeros(items.size(1), items.size(1), dtype=torch.float64)
    for rows in _chunks(items, norms):
        gram += (rows.T @ rows).double()
    of_sessions = (sessions.T @ sessions).double()
    gram = gram / gram.trace().clamp(min=TINY) + of_sessions / of_sessions.trace().clamp(min=TINY)
    return cast(Tensor, torch.linalg.eigh(gram).eigenvectors).flip(1).float().contiguous()


def block_maxima(at_places: Tensor, block: int) -> Tensor:
    """Values [places] -> the largest of each block [blocks], rounded up."""
    return at_places.view(block, -1).amax(0) * (1 + ROUNDING)


def _places(order: Tensor, block: int) -> Tensor:
    """The item (from 1) at each place, int64 [places], so that neighbours in an order [V] share a block."""
    blocks = -(-len(order) // block)
    padded = order.new_zeros(blocks * block)
    padded[: len(order)] = order + 1
    return padded.view(blocks, block).t().reshape(-1)


def _laid(of_items: Tensor, at: Tensor) -> Tensor:
    """Values of items [V, ...] at their places [places, ...]; zeros where no item is."""
    laid = of_items.index_select(0, (at - 1).clamp_(min=0))
    laid[at == 0] = 0
    return laid


def _project(
    items: Tensor, norms: Tensor | None, basis: Tensor | None, ends: list[int]
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Values in the directions [V, d]; lengths [V] of what the first of them leave, for each end; of all."""
    turned = torch.empty(len(items) - 1, ends[-1])  # filled in place: large tables shall not be there twice
    rests, lengths = [], []
    for here, chunk in zip(torch.split(turned, CHUNK), _chunks(items, norms), strict=True):
        here[:] = chunk if basis is None else chunk @ basis
        squares = chunk.square().sum(1, keepdim=True)
        inside = here.square().cumsum(1)[:, [end - 1 for end in ends]]
        rests.append((squares * (1 + ROUNDING) - inside).clamp(min=0).sqrt())
        lengths.append(squares.sqrt().squeeze(1))
    return turned, list(torch.cat(rests).unbind(1)), torch.cat(lengths)


def _chunks(items: Tensor, norms: Tensor | None) -> Iterator[Tensor]:
    """The table as scored, float32 [n, D] a chunk."""
    for start in range(1, len(items), CHUNK):
        rows = items[start : start + CHUNK]
        yield rows if norms is None else rows / norms[start - 1 : start - 1 + CHUNK].unsqueeze(1)
