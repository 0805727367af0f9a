"""The coarse pass of ``scan``: approximate scores of all items, and how wrong they may be.

It reads the leading directions of the table only, in the type that ``products`` multiplies best on this CPU.
"""

import math
from typing import Final, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor

from srec.script import script
from srec.serving import products
from srec.serving.products import LEVELS, OneDnn

TINY: Final = 1e-18  # the square of which is no denormal number
CHUNK: Final = 1 << 16  # items that are prepared at once
ROUNDING: Final = 1e-5  # float32 sums here and in the exact scores, relative to |z| |v|; D at most 4,096


Rough: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Approximate scores of all items for a batch of sessions, in the order of their places.

- scores, int32 or float32 [B, blocks, block], the least value of its type behind the last item;
- step, what a score of 1 is worth, float32 [B, 1], times the block's ``Layout`` scale;
- lengths, by which the bounds are multiplied, float32 [B, 4];
- tails, int8 or float32 [B, w], their step [B, 1] and lengths [B, 3]: the same for a second look, or [B, 0].
"""  # no class with names: TorchScript makes such a class anew in every call, for 50 microseconds

Layout: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""What stands at the places, in blocks of places with one bound each.

- items, the item (from 1) at each place, int64 [places]; 0 behind the last;
- scales, float32 [blocks];
- bounds, float32 [blocks, 4], each the largest of its block: length of a row as the product reads it, of
  what that leaves out in the leading directions, of the row in the others, of the whole as float32 rounds it;
- tails, int8 or float32 [places, w], their scales [blocks] and bounds [blocks, 3]: length of a row as both
  products read it, of what they leave out in their directions and in rounding, and of the row in the others;
  [places, 0] where there is no second look.

``scan`` has the sum that they bound.
"""


class Head(NamedTuple):
    """What the coarse pass reads.

    Attributes:
        dims: how many leading directions of the table; D reads all as they are.
        then: how many of the next directions are looked at of what the pass leaves; 0 for no second look.
    """

    dims: int
    then: int = 0


class Coarse:
    """Approximate scores of all items in blocks of items with like bounds.

    Attributes:
        layout: see ``Layout``.
        place: the place of each item, int64 [V].
    """

    def __init__(
        self, items: Tensor, norms: Tensor | None, basis: Tensor | None, head: Head, block: int
    ) -> None:
        """Prepare a table; see ``CertifiedScan``."""
        self.n_items, width = items.size(0) - 1, items.size(1)
        self.dims, then = (width, 0) if basis is None else head
        if products.kind() == products.INT8:
            then = 0  # FBGEMM packs its table: no row of it can be looked at alone
        self.block = block
        self._basis = None
        if basis is not None and self.dims < width:
            self._basis = basis[:, : self.dims + then].contiguous()
        rows, tails, rest, beyond, lengths = _project(items, norms, self._basis, self.dims)
        order = (rest if self.dims < width else lengths).argsort(stable=True)
        self.place = torch.empty_like(order)
        self.place[order] = torch.arange(self.n_items)
        table, scales, read, error = _table(rows[order], block)
        self._product = products.product(table)
        rounding = ROUNDING * lengths[order]
        bounds = self._of_blocks(read, error, rest[order], rounding)
        tails, tail_scales, tail_read, tail_error = _table(tails[order], block)
        left = torch.hypot(error, tail_error) + rounding
        tail_bounds = self._of_blocks(torch.hypot(read, tail_read), left, beyond[order])
        self.layout: Layout = (_padded(order + 1, block), scales, bounds, tails, tail_scales, tail_bounds)

    def __call__(self, sessions: Tensor) -> Rough:
        """Score sessions [B, D]."""
        behind = len(self.layout[0]) - self.n_items
        if isinstance(self._product, OneDnn):
            return _by_onednn(sessions, self._basis, self.dims, self._product.table, self.block, behind)
        heads, *others = _split(sessions, self._basis, self.dims, self._product.steps)
        return cast(Rough, (_in_blocks(self._product(heads), self.block, behind), *others))

    def _of_blocks(self, *bounds: Tensor) -> Tensor:
        return torch.stack([block_maxima(bound, self.block) for bound in bounds], 1).contiguous()


@script
def _rounded(values: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values [B, d] -> whole numbers up to ``steps``, what 1 of them is worth [B, 1], length of the error.

    As they are where ``steps`` is 0.
    """
    if steps == 0 or values.size(1) == 0:
        one = values.new_ones([values.size(0), 1])
        return values, one, torch.zeros_like(one)
    step = (values.abs().amax(1, keepdim=True) / steps).clamp_min(1e-18)  # TINY
    numbers = (values / step).round_()
    return numbers, step, torch.addcmul(values, numbers, step, value=-1.0).norm(2, 1, True)


@script
def _split(
    sessions: Tensor, basis: Tensor | None, dims: int, steps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What the product multiplies, float32 [B, d], and all of ``Rough`` behind the scores."""
    turned = sessions if basis is None else sessions @ basis  # [B, d + w]
    heads, tails = turned.narrow(1, 0, dims), turned.narrow(1, dims, turned.size(1) - dims)
    whole, head = sessions.norm(2, 1, True), heads.norm(2, 1, True)
    squares = whole.square() * (1 + 1e-5)  # ROUNDING
    rest = (squares - head.square()).clamp_min(0.0).sqrt()
    numbers, step, wrong = _rounded(heads, steps)
    lengths = torch.cat([wrong, head, rest, whole], 1)
    if tails.size(1) == 0:
        return numbers, step, lengths, tails, step, lengths
    tails, tail_step, tail_wrong = _rounded(tails, steps)
    beyond = (squares - turned.norm(2, 1, True).square()).clamp_min(0.0).sqrt()
    tail_lengths = torch.cat([torch.hypot(wrong, tail_wrong), whole, beyond], 1)
    return numbers, step, lengths, tails, tail_step, tail_lengths


@script
def least(scores: Tensor) -> float:
    """The value that stands for "never", which no threshold lets through."""
    return -2147483648.0 if scores.dtype == torch.int32 else -math.inf


@script
def _in_blocks(scores: Tensor, block: int, behind: int) -> Tensor:
    """Scores [B, places] -> [B, blocks, block]; the last places hold no item."""
    if behind:
        scores.narrow(1, scores.size(1) - behind, behind).fill_(least(scores))
    return scores.view(scores.size(0), -1, block)


@script
def _by_onednn(  # noqa: PLR0917  names cost a script time
    sessions: Tensor, basis: Tensor | None, dims: int, table: Tensor, block: int, behind: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """All of the pass in one call, the usual one on a CPU of today."""
    numbers, step, lengths, tails, tail_step, tail_lengths = _split(sessions, basis, dims, 127)  # LEVELS
    scores = _in_blocks(torch._int_mm(numbers.to(torch.int8), table), block, behind)
    return scores, step, lengths, tails.to(torch.int8), tail_step, tail_lengths


def _table(rows: Tensor, block: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows in the order of their places, in the type that this CPU multiplies best.

    Args:
        rows: float32 [V, d].
        block: places that share a scale.

    Returns:
        int8 or float32 [places, d]; scales [blocks]; lengths of what is kept of each row and of what is left
        out, [V] each.
    """
    if products.kind() == products.FLOAT32 or not rows.size(1):
        table = _padded(rows, block)
        return table, torch.ones(len(table) // block), rows.norm(dim=1), torch.zeros(len(rows))
    scales = (block_maxima(rows.abs().amax(1), block) / LEVELS).clamp(min=TINY)
    table = torch.zeros(len(scales) * block, rows.size(1), dtype=torch.int8)
    error, length = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
    for places, chunk in zip(
        torch.split(torch.arange(len(rows)), CHUNK), torch.split(rows, CHUNK), strict=True
    ):
        scale = scales[places // block].unsqueeze(1)
        table[places] = (chunk / scale).round().to(torch.int8)
        coarse = table[places] * scale
        error[places], length[places] = (chunk - coarse).norm(dim=1), coarse.norm(dim=1)
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


def block_maxima(of_items: Tensor, block: int) -> Tensor:
    """Values in the order of places [V] -> the largest of each block [blocks], rounded up."""
    return _padded(of_items, block).view(-1, block).amax(1) * (1 + ROUNDING)


def _padded(of_items: Tensor, block: int) -> Tensor:
    """Zeros behind the last item, so that all blocks are whole: [V, ...] -> [places, ...]."""
    padded = of_items.new_zeros(-(-len(of_items) // block) * block, *of_items.shape[1:])
    padded[: len(of_items)] = of_items
    return padded


def _project(items: Tensor, norms: Tensor | None, basis: Tensor | None, dims: int) -> tuple[Tensor, ...]:
    """Leading values [V, d], the next [V, w], lengths [V] of all but the first, of all but both, of all."""
    parts: list[tuple[Tensor, ...]] = []
    for chunk in _chunks(items, norms):
        turned = chunk if basis is None else chunk @ basis
        head, tail = turned[:, :dims], turned[:, dims:]
        squares = chunk.square().sum(1)
        rest, beyond = (
            (squares * (1 + ROUNDING) - seen.square().sum(1)).clamp(min=0).sqrt() for seen in (head, turned)
        )
        parts.append((head, tail, rest, beyond, squares.sqrt()))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def _chunks(items: Tensor, norms: Tensor | None) -> list[Tensor]:
    """The table as scored, float32 [n, D] a chunk."""
    chunks = torch.split(items[1:], CHUNK)
    if norms is None:
        return list(chunks)
    return [rows / norm.unsqueeze(1) for rows, norm in zip(chunks, torch.split(norms, CHUNK), strict=True)]
