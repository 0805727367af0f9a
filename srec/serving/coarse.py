"""The coarse pass of ``certified``: approximate scores of all items, and how wrong they may be.

It reads the leading directions of the table only, in the type that ``products`` multiplies best on this CPU;
the others lie ready in 8 bits for those items that it leaves. The very first, along which a trained table's
mean lies, holds so much more than any other that it is no fit for their 8 bits, and stays in float32.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor

from srec.serving import products
from srec.serving.loops import (
    BLOCK,
    ROUNDING,
    TINY,
    Floats,
    Layout,
    Products,
    Rounded,
    round_sessions,
    turn_and_round,
)
from srec.serving.products import LEVELS, LOOK

CHUNK: Final = 1 << 16  # items that are prepared at once


class Coarse:
    """Approximate scores of all items in blocks of items with like bounds.

    Attributes:
        layout: what the search reads.
        place: the place of each item, int64 [V+1]; the first has no meaning.

    Args:
        items: the item table, float32 [V+1, D]; row 0 is padding. Rows are read in place.
        norms: what each item's product is divided by, float32 [V]; None for one.
        directions: orthonormal, those that matter most first, float32 [D, D].
        dims: how many of them the pass reads after the first.
    """

    def __init__(self, items: Tensor, norms: Tensor | None, directions: Tensor, dims: int) -> None:
        width = items.size(1)
        first = 1 + min(dims, width - 1)
        ends = [first, *range(first + LOOK, width, LOOK), *([width] if first < width else [])]
        turned, rests, lengths = _project(items, norms, directions, ends)
        at = _places((rests[0] if first < width else lengths).argsort(stable=True))
        codes = torch.zeros(len(at), len(ends) - 1, LOOK, dtype=torch.int8)
        rounding = ROUNDING * _laid(lengths, at)
        scales: list[Tensor] = []
        bounds: list[Tensor] = []
        read = left = torch.zeros(len(at))
        start = 1
        for end, rest in zip(ends, rests, strict=True):
            eight_bits = start > 1 or products.kind() != products.FLOAT32
            table, scale, kept, error = _as_read(_laid(turned[:, start:end], at), eight_bits)
            if start > 1:
                codes[:, len(scales) - 1, : end - start] = table
            else:
                self._product = products.product(table)
            read, left = torch.hypot(read, kept), torch.hypot(left, error)
            scales.append(scale)
            bounds.append(torch.stack([block_maxima(b) for b in (read, left, _laid(rest, at), rounding)], 1))
            start = end
        # In memory of this process' own, not in the small pages of a mapped file.
        self._directions, self._dims = directions.clone(), first - 1
        self._turned = np.empty((1, width), np.float32)
        self.place = np.empty(len(items), np.int64)
        self.place[at.numpy()] = np.arange(len(at))
        self.layout = Layout(
            at.numpy(),
            _laid(turned[:, 0], at).view(-1, BLOCK).numpy(),
            codes.numpy(),
            torch.stack(scales).numpy(),
            torch.stack(bounds).numpy(),
            items.numpy(),
            np.empty(0, np.float32) if norms is None else norms.numpy(),
        )
        self._of_one = self._room(1)

    def __call__(self, sessions: Floats) -> tuple[Products, Rounded]:
        """Multiply sessions [B, D] with the table.

        Returns:
            products [B, blocks, BLOCK]; what the looks need. The next call may overwrite them.
        """
        product, batch = self._product, len(sessions)
        first, rounded = self._of_one if batch == 1 else self._room(batch)
        if batch == 1:
            turn_and_round(sessions, self._directions.numpy(), self._turned, product.steps, rounded)
        else:
            turned = (torch.from_numpy(sessions) @ self._directions).numpy()
            round_sessions(sessions, turned, product.steps, rounded)
        return product(first).numpy().reshape(batch, -1, BLOCK), rounded

    def _room(self, batch: int) -> tuple[Tensor, Rounded]:
        """Memory for rounded sessions [B]; the first as the product takes it, too."""
        first = torch.empty(batch, self._dims, dtype=self._product.dtype)
        numbers = np.zeros((batch, *self.layout.codes.shape[1:]), np.int16)
        lengths = np.empty((batch, len(self.layout.bounds), 4), np.float32)
        return first, Rounded(first.numpy(), numbers, np.empty((batch, 3), np.float32), lengths)


def _as_read(rows: Tensor, eight_bits: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows as a product reads them, in 8 bits or as they are.

    Args:
        rows: float32 [places, d].
        eight_bits: whether to round.

    Returns:
        int8 or float32 [places, d]; scales [blocks]; lengths of what is kept of each row and of what is left
        out, [places] each.
    """
    blocks = len(rows) // BLOCK
    if not eight_bits:
        return rows, torch.ones(blocks), rows.norm(dim=1), torch.zeros(len(rows))
    scales = (block_maxima(rows.norm(torch.inf, dim=1)) / LEVELS).clamp(min=TINY)
    table = torch.zeros(rows.shape, dtype=torch.int8)
    error, length = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
    for places, chunk in zip(
        torch.split(torch.arange(len(rows)), CHUNK), torch.split(rows, CHUNK), strict=True
    ):
        scale = scales[places // BLOCK].unsqueeze(1)
        table[places] = (chunk / scale).round().to(torch.int8)
        kept = table[places] * scale
        error[places], length[places] = (chunk - kept).norm(dim=1), kept.norm(dim=1)
    return table, scales, length, error


def block_maxima(at_places: Tensor) -> Tensor:
    """Values [places] -> the largest of each block [blocks], rounded up."""
    return at_places.view(-1, BLOCK).amax(1) * (1 + ROUNDING)


def _places(order: Tensor) -> Tensor:
    """The item (from 1) at each place, int64 [places], so that neighbours in an order [V] share a block."""
    blocks = -(-len(order) // BLOCK)
    padded = order.new_zeros(blocks * BLOCK)
    padded[: len(order)] = order + 1
    return padded


def _laid(of_items: Tensor, at: Tensor) -> Tensor:
    """Values of items [V, ...] at their places [places, ...]; zeros where no item is."""
    laid = of_items.index_select(0, (at - 1).clamp_(min=0))
    laid[at == 0] = 0
    return laid


def _project(
    items: Tensor, norms: Tensor | None, directions: Tensor, ends: list[int]
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Values in the directions [V, D]; lengths [V] of what the first of them leave, for each end; of all."""
    turned = torch.empty(len(items) - 1, ends[-1])  # filled in place: large tables shall not be there twice
    rests, lengths = [], []
    for here, chunk in zip(torch.split(turned, CHUNK), _chunks(items, norms), strict=True):
        here[:] = chunk @ directions
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
